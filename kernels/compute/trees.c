/* trees.c: decision trees on binned features: bins, histograms, best splits, partition of the rows.
 *
 * Weights and weighted values come as whole numbers (fixed point), so sums do not depend on the order of the rows: any
 * number of threads and ranks finds the same tree. A histogram holds `channels` sums for each bin:
 *   classes: the weight of each class;  values: weight, weight * value;  and if `counted`, last, the number of rows.
 * The last bin holds the missing values. */
#include "parallel.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    const uint8_t *bins;   /* [columns][rows] */
    int32_t *order;        /* rows of the nodes, each node a run of it */
    const int64_t *weight; /* [rows], of tree t at t * weight_step */
    const int64_t *moment; /* weight * value, at t * moment_step; NULL: classes */
    const int64_t *square; /* weight * value^2, likewise */
    const double *value;   /* [rows], at t * value_step */
    const int32_t *label;  /* [rows] */
    int64_t rows, columns, bin_count, classes, channels, counted, entropy;
    int64_t weight_step, moment_step, value_step;
    int64_t max_features;
    double least_rows; /* of a child */
} forest;

typedef struct {
    const int32_t *tree;
    const int64_t *begin, *end; /* in `order` */
    const uint64_t *seed;       /* of the draw of features */
    const int64_t *total;       /* [nodes][channels], of all ranks */
    const double *least_weight; /* of a child, in fixed point */
} node_list;

typedef struct {
    double *score;
    int32_t *feature; /* -1: no split */
    int32_t *bin;     /* the last bin that goes left */
    int32_t *next;    /* the first bin with rows that goes right; -1: none but missing values */
    uint8_t *missing_left; /* 2: no row misses the feature */
    int64_t *left; /* [nodes][channels] */
} split_list;

typedef struct {
    forest *data;
    const node_list *nodes;
    const split_list *splits;
    int64_t *histograms; /* [nodes][slots][bin_count][channels] */
    int64_t slots;
    int64_t *middle;                /* partition: where the right child begins */
    int64_t *squares;               /* [nodes][2] */
    double *least, *most;           /* [nodes][2] */
} tree_job;

static uint64_t mix(uint64_t *state) { /* splitmix64 */
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* The order in which a node looks at the features. */
static void draw_features(int32_t *made, int64_t columns, uint64_t seed) {
    for (int64_t i = 0; i < columns; i++) made[i] = (int32_t)i;
    for (int64_t i = 0; i + 1 < columns; i++) {
        const int64_t j = i + (int64_t)(mix(&seed) % (uint64_t)(columns - i));
        const int32_t kept = made[i];
        made[i] = made[j], made[j] = kept;
    }
}

/* Adds the rows of a node to the histogram of one feature. */
static void add_rows(const forest *d, int64_t tree, int64_t begin, int64_t end, int64_t feature, int64_t *h) {
    const uint8_t *const bins = d->bins + feature * d->rows;
    const int64_t *const weight = d->weight + tree * d->weight_step;
    const int32_t *const order = d->order;
    const int64_t channels = d->channels;
    if (d->moment) {
        const int64_t *const moment = d->moment + tree * d->moment_step;
        if (d->counted)
            for (int64_t i = begin; i < end; i++) {
                const int32_t row = order[i];
                int64_t *const bin = h + bins[row] * 3;
                bin[0] += weight[row], bin[1] += moment[row], bin[2]++;
            }
        else
            for (int64_t i = begin; i < end; i++) {
                const int32_t row = order[i];
                int64_t *const bin = h + bins[row] * 2;
                bin[0]++, bin[1] += moment[row];
            }
        return;
    }
    const int32_t *const label = d->label;
    if (d->counted)
        for (int64_t i = begin; i < end; i++) {
            const int32_t row = order[i];
            int64_t *const bin = h + bins[row] * channels;
            bin[label[row]] += weight[row], bin[channels - 1]++;
        }
    else
        for (int64_t i = begin; i < end; i++) h[bins[order[i]] * channels + label[order[i]]]++;
}

static double weight_of(const forest *d, const int64_t *sums) {
    if (d->moment) return (double)sums[0];
    int64_t sum = 0;
    for (int64_t k = 0; k < d->classes; k++) sum += sums[k];
    return (double)sum;
}

/* What a child contributes to a split's score: minus its weight times its impurity, but for what all splits share. */
static double merit(const forest *d, const int64_t *sums, double weight) {
    if (d->moment) return (double)sums[1] * (double)sums[1] / weight;
    double sum = 0;
    if (!d->entropy) {
        for (int64_t k = 0; k < d->classes; k++) sum += (double)sums[k] * (double)sums[k];
        return sum / weight;
    }
    for (int64_t k = 0; k < d->classes; k++)
        if (sums[k] > 0) sum += (double)sums[k] * log2((double)sums[k] / weight);
    return sum;
}

/* Takes the split if it is allowed and better than the best so far. */
static void consider(const forest *d, const int64_t *total, double least_weight, const int64_t *left, int64_t *right, int32_t feature, int32_t bin,
                     int32_t next, int missing_left, const split_list *s, int64_t node) {
    for (int64_t c = 0; c < d->channels; c++) right[c] = total[c] - left[c];
    const double weight_left = weight_of(d, left), weight_right = weight_of(d, right);
    const int64_t last = d->channels - 1;
    const double rows_left = d->counted ? (double)left[last] : weight_left;
    const double rows_right = d->counted ? (double)right[last] : weight_right;
    if (rows_left < d->least_rows || rows_right < d->least_rows || rows_left < 1 || rows_right < 1) return;
    if (weight_left < least_weight || weight_right < least_weight || weight_left <= 0 || weight_right <= 0) return;
    const double score = merit(d, left, weight_left) + merit(d, right, weight_right);
    if (s->feature[node] >= 0 && !(score > s->score[node])) return;
    s->score[node] = score, s->feature[node] = feature, s->bin[node] = bin, s->next[node] = next;
    s->missing_left[node] = (uint8_t)missing_left;
    memcpy(s->left + node * d->channels, left, (size_t)d->channels * sizeof *left);
}

/* The first bin in use from `bin` on. */
static inline int64_t next_bin(const uint64_t *used, int64_t bin) {
    for (int64_t word = bin >> 6; word < 4; word++) {
        uint64_t bits = used[word];
        if (word == bin >> 6) bits &= ~(uint64_t)0 << (bin & 63);
        if (bits) return word * 64 + __builtin_ctzll(bits);
    }
    return 256;
}

/* Which bins of a histogram have rows. */
static void find_used(const forest *d, const int64_t *h, uint64_t *used) {
    memset(used, 0, 4 * sizeof *used);
    for (int64_t bin = 0; bin < d->bin_count; bin++) {
        int64_t any = 0;
        for (int64_t c = 0; c < d->channels; c++) any |= h[bin * d->channels + c];
        used[bin >> 6] |= (uint64_t)(any != 0) << (bin & 63);
    }
}

/* All splits of a node by one feature. `work` has room for 4 * channels.
 * Returns whether the feature is not the same in all rows. */
static int scan(const forest *d, const int64_t *h, const uint64_t *used, const node_list *nodes, int32_t feature,
                const split_list *s, int64_t node, int64_t *work) {
    const int64_t *const total = nodes->total + node * d->channels;
    const double least_weight = nodes->least_weight[node];
    const int64_t channels = d->channels, missing = d->bin_count - 1;
    const size_t size = (size_t)channels * sizeof *h;
    int64_t *const left = work, *const with = work + channels, *const right = work + 2 * channels;
    const int64_t *const lost = h + missing * channels;
    const int any_missing = (int)(used[missing >> 6] >> (missing & 63) & 1);
    memset(left, 0, size);
    int64_t before = -1;
    for (int64_t bin = next_bin(used, 0); bin < missing; bin = next_bin(used, bin + 1)) {
        const int64_t *const here = h + bin * channels;
        if (before >= 0) {
            consider(d, total, least_weight, left, right, feature, (int32_t)before, (int32_t)bin, any_missing ? 0 : 2, s, node);
            if (any_missing) {
                for (int64_t c = 0; c < channels; c++) with[c] = left[c] + lost[c];
                consider(d, total, least_weight, with, right, feature, (int32_t)before, (int32_t)bin, 1, s, node);
            }
        }
        for (int64_t c = 0; c < channels; c++) left[c] += here[c];
        before = bin;
    }
    if (any_missing && before >= 0) consider(d, total, least_weight, left, right, feature, (int32_t)before, -1, 0, s, node);
    return next_bin(used, next_bin(used, 0) + 1) < 256;
}

static int64_t *room_for(int64_t count) {
    int64_t *const made = calloc((size_t)count, sizeof *made);
    if (!made) abort(); /* a few kilobytes */
    return made;
}

/* A node's best split, by histograms made on the way. Of a histogram only the bins in use are touched. */
static void split_small(void *job, int64_t node) {
    const tree_job *const j = job;
    const forest *const d = j->data;
    const node_list *const n = j->nodes;
    const int64_t channels = d->channels, size = d->bin_count * channels, tree = n->tree[node];
    const int64_t rows = n->end[node] - n->begin[node];
    int64_t *const h = room_for(size + 4 * channels);
    int64_t *const weight = malloc((size_t)rows * 20 + (size_t)d->columns * 4);
    if (!weight) abort();
    int64_t *const moment = weight + rows;
    int32_t *const label = (int32_t *)(moment + rows), *const features = label + rows;
    const int32_t *const order = d->order + n->begin[node];
    for (int64_t i = 0; i < rows; i++) {
        weight[i] = d->weight[tree * d->weight_step + order[i]];
        moment[i] = d->moment ? d->moment[tree * d->moment_step + order[i]] : 0;
        label[i] = d->label ? d->label[order[i]] : 0;
    }
    draw_features(features, d->columns, n->seed[node]);
    const int64_t last = channels - 1;
    int found = 0;
    j->splits->feature[node] = -1;
    for (int64_t k = 0; k < d->columns && !(k >= d->max_features && found); k++) {
        const uint8_t *const bins = d->bins + features[k] * d->rows;
        uint64_t used[4] = {0, 0, 0, 0};
        for (int64_t i = 0; i < rows; i++) {
            const uint8_t bin = bins[order[i]];
            int64_t *const sums = h + bin * channels;
            used[bin >> 6] |= (uint64_t)1 << (bin & 63);
            sums[label[i]] += weight[i];
            if (d->moment) sums[1] += moment[i];
            if (d->counted) sums[last]++;
        }
        found |= scan(d, h, used, n, features[k], j->splits, node, h + size);
        for (int64_t bin = next_bin(used, 0); bin < 256; bin = next_bin(used, bin + 1))
            memset(h + bin * channels, 0, (size_t)channels * sizeof *h);
    }
    free(weight);
    free(h);
}

/* One histogram: task = node * slots + slot. With as many slots as features a slot is a feature, else a place in the draw. */
static void one_histogram(void *job, int64_t task) {
    const tree_job *const j = job;
    const forest *const d = j->data;
    const node_list *const n = j->nodes;
    const int64_t node = task / j->slots, slot = task % j->slots, size = d->bin_count * d->channels;
    int64_t feature = slot;
    if (j->slots < d->columns) {
        int32_t *const features = (int32_t *)room_for((d->columns + 1) / 2);
        draw_features(features, d->columns, n->seed[node]);
        feature = features[slot];
        free(features);
    }
    memset(j->histograms + task * size, 0, (size_t)size * sizeof(int64_t));
    add_rows(d, n->tree[node], n->begin[node], n->end[node], feature, j->histograms + task * size);
}

static void split_large(void *job, int64_t node) {
    const tree_job *const j = job;
    const forest *const d = j->data;
    const int64_t channels = d->channels, size = d->bin_count * channels;
    int64_t *const work = room_for(4 * channels + (d->columns + 1) / 2);
    int32_t *const features = (int32_t *)(work + 4 * channels);
    draw_features(features, d->columns, j->nodes->seed[node]);
    int found = 0;
    j->splits->feature[node] = -1;
    for (int64_t k = 0; k < j->slots && !(k >= d->max_features && found); k++) {
        const int64_t slot = j->slots < d->columns ? k : features[k];
        const int64_t *const h = j->histograms + (node * j->slots + slot) * size;
        uint64_t used[4];
        find_used(d, h, used);
        found |= scan(d, h, used, j->nodes, features[k], j->splits, node, work);
    }
    if (!found && j->slots < d->columns) j->splits->feature[node] = -2; /* look at more features */
    free(work);
}

/* Sums of squares and extremes of the values of a run of rows. */
static void describe(const forest *d, int64_t tree, int64_t begin, int64_t end, int64_t *squares, double *least, double *most) {
    if (!d->moment) return;
    const int64_t *const square = d->square + tree * d->moment_step;
    const double *const value = d->value + tree * d->value_step;
    int64_t sum = 0;
    double low = INFINITY, high = -INFINITY;
    for (int64_t i = begin; i < end; i++) {
        const int32_t row = d->order[i];
        const double v = value[row];
        sum += square[row];
        low = v < low ? v : low, high = v > high ? v : high;
    }
    *squares = sum, *least = low, *most = high;
}

static void split_rows(void *job, int64_t node) {
    const tree_job *const j = job;
    const forest *const d = j->data;
    const int64_t begin = j->nodes->begin[node], end = j->nodes->end[node], tree = j->nodes->tree[node];
    const uint8_t *const bins = d->bins + j->splits->feature[node] * d->rows;
    const int32_t last = j->splits->bin[node], missing = (int32_t)d->bin_count - 1;
    uint8_t goes[256];
    for (int32_t bin = 0; bin < 256; bin++) goes[bin] = bin == missing ? j->splits->missing_left[node] == 1 : bin <= last;
    int32_t *const right = (int32_t *)room_for((end - begin + 1) / 2 + 1);
    int64_t lefts = begin, rights = 0;
    for (int64_t i = begin; i < end; i++) {
        const int32_t row = d->order[i];
        const int is_left = goes[bins[row]];
        d->order[lefts] = row, right[rights] = row;
        lefts += is_left, rights += !is_left;
    }
    memcpy(d->order + lefts, right, (size_t)rights * sizeof *right);
    free(right);
    j->middle[node] = lefts;
    describe(d, tree, begin, lefts, j->squares + 2 * node, j->least + 2 * node, j->most + 2 * node);
    describe(d, tree, lefts, end, j->squares + 2 * node + 1, j->least + 2 * node + 1, j->most + 2 * node + 1);
}

void trees_split_small(forest *d, const node_list *nodes, const split_list *splits, int64_t count, int threads) {
    tree_job job = {.data = d, .nodes = nodes, .splits = splits};
    sol_parallel(split_small, &job, count, threads);
}

void trees_histograms(forest *d, const node_list *nodes, int64_t *histograms, int64_t slots, int64_t count, int threads) {
    tree_job job = {.data = d, .nodes = nodes, .histograms = histograms, .slots = slots};
    sol_parallel(one_histogram, &job, count * slots, threads);
}

void trees_split_large(forest *d, const node_list *nodes, const split_list *splits, int64_t *histograms, int64_t slots,
                       int64_t count, int threads) {
    tree_job job = {.data = d, .nodes = nodes, .splits = splits, .histograms = histograms, .slots = slots};
    sol_parallel(split_large, &job, count, threads);
}

void trees_partition(forest *d, const node_list *nodes, const split_list *splits, int64_t *middle, int64_t *squares,
                     double *least, double *most, int64_t count, int threads) {
    tree_job job = {d, nodes, splits, NULL, 0, middle, squares, least, most};
    sol_parallel(split_rows, &job, count, threads);
}

typedef struct {
    forest *data;
    const node_list *nodes;
    int64_t *total, *squares;
    double *least, *most;
} root_job;

static void one_root(void *job, int64_t node) {
    const root_job *const j = job;
    const forest *const d = j->data;
    const int64_t tree = j->nodes->tree[node], begin = j->nodes->begin[node], end = j->nodes->end[node];
    int64_t *const total = j->total + node * d->channels;
    memset(total, 0, (size_t)d->channels * sizeof *total);
    for (int64_t i = begin; i < end; i++) {
        const int32_t row = d->order[i];
        const int64_t weight = d->weight[tree * d->weight_step + row];
        total[d->moment ? 0 : d->label[row]] += weight;
        if (d->moment) total[1] += d->moment[tree * d->moment_step + row];
    }
    if (d->counted) total[d->channels - 1] = end - begin;
    describe(d, tree, begin, end, j->squares + node, j->least + node, j->most + node);
}

void trees_roots(forest *d, const node_list *nodes, int64_t *total, int64_t *squares, double *least, double *most,
                 int64_t count, int threads) {
    root_job job = {d, nodes, total, squares, least, most};
    sol_parallel(one_root, &job, count, threads);
}

/* The bins of rows: bins[c][r] = how many of the column's upper limits are below X[r][c]; missing: the last bin. */
typedef struct {
    const float *X, *limits; /* [rows][columns], [columns][most] */
    const int32_t *counts;   /* limits of each column */
    uint8_t *bins;
    int64_t rows, columns, most, missing, tasks;
} bin_job;

static void bin_rows(void *job, int64_t task) {
    const bin_job *const j = job;
    const int64_t end = sol_first(j->rows, task + 1, j->tasks);
    for (int64_t first = sol_first(j->rows, task, j->tasks); first < end; first += 64) {
        const int64_t last = first + 64 < end ? first + 64 : end;
        for (int64_t c = 0; c < j->columns; c++) {
            const float *const limits = j->limits + c * j->most;
            for (int64_t r = first; r < last; r++) {
                const float x = j->X[r * j->columns + c];
                const float *base = limits;
                int64_t left = j->counts[c];
                while (left > 1) { /* no branch depends on x */
                    const int64_t half = left / 2;
                    base += base[half - 1] < x ? half : 0;
                    left -= half;
                }
                const int64_t bin = base - limits + (left == 1 && *base < x);
                j->bins[c * j->rows + r] = (uint8_t)(x != x ? j->missing : bin);
            }
        }
    }
}

void trees_bin(const float *X, int64_t rows, int64_t columns, const float *limits, const int32_t *counts, int64_t most,
               int64_t missing, uint8_t *bins, int threads) {
    bin_job job = {X, limits, counts, bins, rows, columns, most, missing, threads};
    sol_parallel(bin_rows, &job, job.tasks, threads);
}
