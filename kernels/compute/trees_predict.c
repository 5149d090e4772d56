/* trees_predict.c: the leaves of rows in decision trees, and sums of what the leaves say. */
#include "parallel.h"

typedef struct {
    double threshold;
    int32_t feature, left, right; /* children, counted from the tree's root; a leaf's are itself */
    int32_t missing_left;
} tree_node;

typedef struct {
    const tree_node *nodes;
    const int64_t *roots; /* [trees] */
    const float *X;       /* [rows][columns] */
    const double *values; /* [nodes][outputs] */
    void *made;
    int64_t trees, rows, columns, outputs, cycle, tasks;
} predict_job;

enum { ABREAST = 8 };

/* The leaves of up to ABREAST rows, which go down side by side: one waits for memory, the others go on. */
static inline void find_leaves(const tree_node *nodes, const float *X, int64_t columns, int64_t rows, int32_t *at) {
    const float *x[ABREAST];
    for (int i = 0; i < ABREAST; i++) x[i] = X + (i < rows ? i : 0) * columns, at[i] = 0;
    for (int moved = 1; moved;) {
        moved = 0;
        for (int i = 0; i < ABREAST; i++) {
            const tree_node *const node = nodes + at[i];
            const float v = x[i][node->feature];
            const int goes_left = ((double)v <= node->threshold) | ((v != v) & node->missing_left);
            const int32_t next = goes_left ? node->left : node->right;
            moved |= next ^ at[i];
            at[i] = next;
        }
    }
}

static void apply_rows(void *job, int64_t task) {
    const predict_job *const j = job;
    int32_t *const made = j->made;
    const int64_t end = sol_first(j->rows, task + 1, j->tasks);
    for (int64_t first = sol_first(j->rows, task, j->tasks); first < end; first += ABREAST) {
        const int64_t rows = end - first < ABREAST ? end - first : ABREAST;
        int32_t at[ABREAST];
        for (int64_t t = 0; t < j->trees; t++) {
            find_leaves(j->nodes + j->roots[t], j->X + first * j->columns, j->columns, rows, at);
            for (int64_t i = 0; i < rows; i++) made[(first + i) * j->trees + t] = at[i];
        }
    }
}

/* Trees outside, so that a tree stays in the cache for a block of rows. */
static void sum_rows(void *job, int64_t task) {
    const predict_job *const j = job;
    double *const made = j->made;
    const int64_t end = sol_first(j->rows, task + 1, j->tasks);
    for (int64_t block = sol_first(j->rows, task, j->tasks); block < end; block += 1024) {
        const int64_t last = block + 1024 < end ? block + 1024 : end;
        for (int64_t t = 0; t < j->trees; t++)
            for (int64_t first = block; first < last; first += ABREAST) {
                const int64_t rows = last - first < ABREAST ? last - first : ABREAST;
                int32_t at[ABREAST];
                find_leaves(j->nodes + j->roots[t], j->X + first * j->columns, j->columns, rows, at);
                for (int64_t i = 0; i < rows; i++) {
                    const double *const value = j->values + (j->roots[t] + at[i]) * j->outputs;
                    if (j->cycle) /* one output each, in turns */
                        made[(first + i) * j->cycle + t % j->cycle] += *value;
                    else
                        for (int64_t k = 0; k < j->outputs; k++) made[(first + i) * j->outputs + k] += value[k];
                }
            }
    }
}

/* made[r][t]: the leaf, counted from the root of tree t. */
void trees_apply(const tree_node *nodes, const int64_t *roots, int64_t trees, const float *X, int64_t rows, int64_t columns,
                 int32_t *made, int threads) {
    predict_job job = {nodes, roots, X, NULL, made, trees, rows, columns, 0, 0, threads};
    sol_parallel(apply_rows, &job, job.tasks, threads);
}

/* made[r][k] += values of the leaves of all trees; with a cycle, tree t has one value, for output t % cycle. */
void trees_sum(const tree_node *nodes, const int64_t *roots, int64_t trees, const float *X, int64_t rows, int64_t columns,
               const double *values, int64_t outputs, int64_t cycle, double *made, int threads) {
    predict_job job = {nodes, roots, X, values, made, trees, rows, columns, outputs, cycle, threads};
    sol_parallel(sum_rows, &job, job.tasks, threads);
}

typedef struct {
    const uint8_t *bins;
    const int32_t *feature, *bin, *left, *right;
    const uint8_t *missing_left;
    int32_t *made;
    int64_t rows, missing, tasks;
} place_job;

static void place_rows(void *job, int64_t task) {
    const place_job *const j = job;
    for (int64_t r = sol_first(j->rows, task, j->tasks); r < sol_first(j->rows, task + 1, j->tasks); r++) {
        int32_t at = 0;
        while (j->left[at] >= 0) {
            const int32_t bin = j->bins[j->feature[at] * j->rows + r];
            at = (bin == j->missing ? j->missing_left[at] : bin <= j->bin[at]) ? j->left[at] : j->right[at];
        }
        j->made[r] = at;
    }
}

/* The leaves of binned rows. */
void trees_place(const uint8_t *bins, int64_t rows, int64_t missing, const int32_t *feature, const int32_t *bin,
                 const int32_t *left, const int32_t *right, const uint8_t *missing_left, int32_t *made, int threads) {
    place_job job = {bins, feature, bin, left, right, missing_left, made, rows, missing, threads};
    sol_parallel(place_rows, &job, job.tasks, threads);
}
