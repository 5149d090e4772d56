/* graph.c: loops over the adjacency lists of a graph, in CSR form with int32 indices.
 *
 * A rank has the rows `first` to `first + rows` of a matrix of `nodes` x `nodes`; column numbers count over all of them.
 * Sums are taken in one order whatever the number of threads, so that results do not depend on it. */
#include "parallel.h"

#include <math.h>
#include <stdlib.h>

enum { BLOCK = 2048 }; /* rows of one task */

/* ---------------------------------------------------------------- Building rows. */

/* Edges (row, column), rows counted from the first of this rank, into CSR, each row in the order the edges came. `weights`
 * may be null. start: [rows + 1], filled here. */
void graph_rows(int64_t edges, int64_t rows, const int32_t *row, const int32_t *column, const double *weights,
                int32_t *start, int32_t *columns, double *values) {
    memset(start, 0, (rows + 1) * sizeof *start);
    for (int64_t e = 0; e < edges; e++) start[row[e] + 1]++;
    for (int64_t r = 0; r < rows; r++) start[r + 1] += start[r];
    for (int64_t e = 0; e < edges; e++) { /* start[r] runs to the end of row r, which is where r + 1 begins */
        const int32_t at = start[row[e]]++;
        columns[at] = column[e];
        if (weights) values[at] = weights[e];
    }
    for (int64_t r = rows; r > 0; r--) start[r] = start[r - 1];
    start[0] = 0;
}

/* Of edges named twice in a row the place of the first and the weight of the last stay, as in networkx. In place; returns
 * how many are left, or -1 if memory is short. */
int64_t graph_once(int64_t rows, int64_t nodes, int32_t *start, int32_t *columns, double *values) {
    int32_t *seen = malloc(nodes * sizeof *seen);
    if (!seen && nodes) return -1;
    for (int64_t i = 0; i < nodes; i++) seen[i] = -1;
    int32_t kept = 0, from = 0;
    for (int64_t r = 0; r < rows; r++) {
        const int32_t begin = kept, end = start[r + 1];
        for (int32_t e = from; e < end; e++) {
            const int32_t c = columns[e], place = seen[c];
            if (place >= begin) {
                if (values) values[place] = values[e];
                continue;
            }
            seen[c] = kept;
            columns[kept] = c;
            if (values) values[kept] = values[e];
            kept++;
        }
        from = end;
        start[r + 1] = kept;
    }
    free(seen);
    return kept;
}

/* ---------------------------------------------------------------- PageRank. */

typedef struct {
    int64_t rows;
    const int32_t *start, *columns;
    const double *weights, *shares, *jump, *inverse, *old;
    double alpha, lost, *fresh, *out, *changes, *dangling;
    const double *dangling_jump;
} pagerank_job;

static void pagerank_task(void *given, int64_t task) {
    const pagerank_job *const job = given;
    const int64_t first = task * BLOCK, last = first + BLOCK < job->rows ? first + BLOCK : job->rows;
    double changes = 0, dangling = 0;
    for (int64_t r = first; r < last; r++) {
        double sum = 0;
        if (job->weights)
            for (int32_t e = job->start[r]; e < job->start[r + 1]; e++) sum += job->weights[e] * job->shares[job->columns[e]];
        else
            for (int32_t e = job->start[r]; e < job->start[r + 1]; e++) sum += job->shares[job->columns[e]];
        const double x = job->alpha * (sum + job->lost * job->dangling_jump[r]) + (1 - job->alpha) * job->jump[r];
        changes += fabs(x - job->old[r]);
        if (job->inverse[r] == 0) dangling += x;
        job->fresh[r] = x;
        job->out[r] = x * job->inverse[r];
    }
    job->changes[task] = changes;
    job->dangling[task] = dangling;
}

/* One step of the power method for the rows of a rank: fresh = alpha (A^T D^-1 old + lost dangling_jump) + (1 - alpha) jump.
 *
 * start, columns, weights (null: all 1): rows of A^T. shares: [nodes], the old ranks times 1 / out-weight. inverse: [rows],
 * 1 / out-weight of the own nodes, 0 where there is none. fresh: [rows]; out: [rows], fresh * inverse. sums: [2], the sum of
 * |fresh - old|, and what is now on nodes without a way out. scratch: [2 * number of blocks]. */
void graph_pagerank(int64_t rows, const int32_t *start, const int32_t *columns, const double *weights,
                    const double *shares, const double *jump, const double *dangling_jump, const double *inverse,
                    const double *old, double alpha, double lost, double *fresh, double *out, double *sums,
                    double *scratch, int64_t threads) {
    const int64_t tasks = (rows + BLOCK - 1) / BLOCK;
    pagerank_job job = {rows, start,  columns, weights, shares, jump, inverse,         old,
                        alpha, lost, fresh,   out,     scratch, scratch + tasks, dangling_jump};
    sol_parallel(pagerank_task, &job, tasks, (int)threads);
    sums[0] = sums[1] = 0;
    for (int64_t t = 0; t < tasks; t++) {
        sums[0] += scratch[t];
        sums[1] += scratch[tasks + t];
    }
}

/* ---------------------------------------------------------------- Components. */

static int32_t root_of(int32_t *parent, int32_t node) {
    while (parent[node] != node) {
        parent[node] = parent[parent[node]]; /* pointer jumping */
        node = parent[node];
    }
    return node;
}

static void unite(int32_t *parent, int32_t a, int32_t b) {
    a = root_of(parent, a);
    b = root_of(parent, b);
    if (a < b) parent[b] = a;
    if (b < a) parent[a] = b; /* the smallest node stays the root */
}

/* Joins the ends of every edge of the own rows in a forest over all nodes, parent: [nodes]. */
void graph_unite_rows(int64_t first, int64_t rows, const int32_t *start, const int32_t *columns, int32_t *parent) {
    for (int64_t r = 0; r < rows; r++)
        for (int32_t e = start[r]; e < start[r + 1]; e++) unite(parent, (int32_t)(first + r), columns[e]);
}

/* Joins each node with the root that another rank found for it. */
void graph_unite_roots(int64_t nodes, const int32_t *other, int32_t *parent) {
    for (int64_t i = 0; i < nodes; i++)
        if (other[i] != i) unite(parent, (int32_t)i, other[i]);
}

/* Every node's root itself: the smallest node of its tree. */
void graph_roots(int64_t nodes, int32_t *parent) {
    for (int64_t i = 0; i < nodes; i++) parent[i] = parent[parent[i]]; /* parents are never larger */
}

/* ---------------------------------------------------------------- Breadth-first search. */

/* A whole search on one rank: order[0] is the source, with level 0 and itself as parent; all other levels and parents are
 * -1. Nodes are found in the order of a queue. Returns how many. */
int64_t graph_bfs(const int32_t *start, const int32_t *columns, int32_t *order, int32_t *level, int32_t *parent,
                  int64_t depth) {
    int64_t tail = 1;
    for (int64_t head = 0; head < tail; head++) {
        const int32_t node = order[head];
        if (level[node] >= depth) break;
        for (int32_t e = start[node]; e < start[node + 1]; e++) {
            const int32_t next = columns[e];
            if (level[next] >= 0) continue;
            level[next] = level[node] + 1;
            parent[next] = node;
            order[tail++] = next;
        }
    }
    return tail;
}

/* One level on one of several ranks: the nodes that the own rows of order[head..tail) lead to and that nobody has reached,
 * each once, with the place in the queue of the node that leads there. Returns how many. */
int64_t graph_frontier(int64_t first, int64_t rows, const int32_t *start, const int32_t *columns, const int32_t *order,
                       int64_t head, int64_t tail, int32_t *level, int32_t *found, int32_t *places) {
    int64_t count = 0;
    for (int64_t at = head; at < tail; at++) {
        const int64_t r = order[at] - first;
        if (r < 0 || r >= rows) continue;
        for (int32_t e = start[r]; e < start[r + 1]; e++) {
            const int32_t next = columns[e];
            if (level[next] >= 0) continue;
            level[next] = level[order[at]] + 1;
            found[count] = next;
            places[count++] = (int32_t)at;
        }
    }
    return count;
}

/* What all ranks found, in the order of the queue, goes to its end: each node once. Returns the new end. */
int64_t graph_enqueue(int64_t count, const int32_t *found, const int32_t *places, int32_t *order, int64_t tail,
                      int32_t *level, int32_t *parent) {
    for (int64_t i = 0; i < count; i++) {
        const int32_t node = found[i], from = order[places[i]];
        if (parent[node] >= 0) continue;
        parent[node] = from;
        level[node] = level[from] + 1;
        order[tail++] = node;
    }
    return tail;
}

/* ---------------------------------------------------------------- Shortest paths. */

typedef struct {
    double distance;
    int32_t node;
} heap_entry;

typedef struct {
    heap_entry *entries;
    int64_t size, room;
} heap;

static int heap_push(heap *h, double distance, int32_t node) {
    if (h->size == h->room) {
        const int64_t room = h->room ? 2 * h->room : 1024;
        heap_entry *const more = realloc(h->entries, room * sizeof *more);
        if (!more) return 0;
        h->entries = more;
        h->room = room;
    }
    int64_t at = h->size++;
    while (at > 0 && h->entries[(at - 1) / 4].distance > distance) {
        h->entries[at] = h->entries[(at - 1) / 4];
        at = (at - 1) / 4;
    }
    h->entries[at] = (heap_entry){distance, node};
    return 1;
}

static heap_entry heap_pop(heap *h) {
    const heap_entry top = h->entries[0], last = h->entries[--h->size];
    int64_t at = 0;
    for (;;) {
        int64_t least = 4 * at + 1;
        if (least >= h->size) break;
        const int64_t end = least + 4 < h->size ? least + 4 : h->size;
        for (int64_t child = least + 1; child < end; child++)
            if (h->entries[child].distance < h->entries[least].distance) least = child;
        if (h->entries[least].distance >= last.distance) break;
        h->entries[at] = h->entries[least];
        at = least;
    }
    h->entries[at] = last;
    return top;
}

/* Dijkstra's algorithm over the own rows, from own nodes whose distance has become smaller. best: [nodes], the smallest
 * distances this rank knows of; foreign nodes whose distance falls are listed in `reached`, each once (`listed`: [nodes], 0
 * before and after). weights null: all 1. Returns how many, or -1 if memory is short. */
int64_t graph_dijkstra(int64_t first, int64_t rows, const int32_t *start, const int32_t *columns, const double *weights,
                       double cutoff, int64_t count, const int32_t *changed, double *best, uint8_t *listed,
                       int32_t *reached) {
    heap h = {0};
    int64_t foreign = 0;
    int fits = 1;
    for (int64_t i = 0; i < count && fits; i++) fits = heap_push(&h, best[changed[i]], changed[i]);
    while (h.size && fits) {
        const heap_entry now = heap_pop(&h);
        if (now.distance > best[now.node]) continue; /* a shorter way was found since */
        const int64_t r = now.node - first;
        for (int32_t e = start[r]; e < start[r + 1] && fits; e++) {
            const int32_t next = columns[e];
            const double distance = now.distance + (weights ? weights[e] : 1);
            if (!(distance < best[next]) || distance > cutoff) continue;
            best[next] = distance;
            if (next >= first && next < first + rows) {
                fits = heap_push(&h, distance, next);
            } else if (!listed[next]) {
                listed[next] = 1;
                reached[foreign++] = next;
            }
        }
    }
    free(h.entries);
    for (int64_t i = 0; i < foreign; i++) listed[reached[i]] = 0;
    return fits ? foreign : -1;
}

/* ---------------------------------------------------------------- Triangles. */

typedef struct {
    int64_t first, rows, from, count, nodes, tasks;
    const int32_t *start, *columns, *other_start, *other_columns;
    int64_t *triangles; /* [tasks, nodes] */
    int32_t *marks;     /* [tasks, nodes], -1 */
} triangles_job;

static void triangles_task(void *given, int64_t task) {
    const triangles_job *const job = given;
    int64_t *const found = job->triangles + task * job->nodes;
    int32_t *const mark = job->marks + task * job->nodes;
    enum { ROWS = 64 }; /* dealt out in turn: rows with many neighbours may lie together */
    for (int64_t block = task; block * ROWS < job->rows; block += job->tasks) {
        const int64_t end = (block + 1) * ROWS < job->rows ? (block + 1) * ROWS : job->rows;
        for (int64_t r = block * ROWS; r < end; r++) {
            int64_t here = 0;
            for (int32_t e = job->start[r]; e < job->start[r + 1]; e++) mark[job->columns[e]] = (int32_t)r;
            for (int32_t e = job->start[r]; e < job->start[r + 1]; e++) {
                const int64_t v = job->columns[e] - job->from;
                if (v < 0 || v >= job->count) continue;
                int64_t common = 0;
                for (int32_t f = job->other_start[v]; f < job->other_start[v + 1]; f++) {
                    const int32_t w = job->other_columns[f];
                    if (mark[w] != r) continue;
                    common++;
                    found[w]++;
                }
                found[job->from + v] += common;
                here += common;
            }
            found[job->first + r] += here;
        }
    }
}

/* Triangles u v w with u in the own rows and v in rows `from` to `from + count` (the other CSR), where edges lead from nodes
 * of smaller to nodes of larger degree. triangles: [nodes], each node's number is added to. Returns 0 if memory is short. */
int graph_triangles(int64_t first, int64_t rows, const int32_t *start, const int32_t *columns, int64_t from,
                    int64_t count, const int32_t *other_start, const int32_t *other_columns, int64_t nodes,
                    int64_t *triangles, int64_t threads) {
    const int64_t tasks = threads > 0 ? threads : 1;
    int64_t *const found = calloc(tasks * nodes + 1, sizeof *found);
    int32_t *const marks = malloc((tasks * nodes + 1) * sizeof *marks);
    const int fits = found && marks;
    if (fits) {
        memset(marks, 0xff, tasks * nodes * sizeof *marks);
        triangles_job job = {first,   rows,        from,          count, nodes, tasks, start,
                             columns, other_start, other_columns, found, marks};
        sol_parallel(triangles_task, &job, tasks, (int)threads);
        for (int64_t t = 0; t < tasks; t++)
            for (int64_t i = 0; i < nodes; i++) triangles[i] += found[t * nodes + i];
    }
    free(found);
    free(marks);
    return fits;
}
