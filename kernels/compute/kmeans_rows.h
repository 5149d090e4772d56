/* kmeans_rows.h: rows and centroids, included by kmeans.c for each REAL (WHOLE: the integer of its size).
 *
 * Dense rows are taken 2 * LANES at a time and turned round, so that a lane is a row: the nearest centroid is then found
 * by vector comparisons, any number of centroids and columns fills the vectors, and each row is read once. What the
 * distances are compared by is half the centroid's square less the product with it, about a point `shift` near the
 * middle of the rows, where it loses no digits.
 * Sparse rows go against centroids that are turned round: [columns, padded], so that a lane is a centroid.
 * Sums are float64, one set per task. */

enum { NAME(ROWS) = 2 * LANES };
typedef REAL NAME(vec) __attribute__((vector_size(64)));
typedef WHOLE NAME(ivec) __attribute__((vector_size(64)));
#define VEC NAME(vec)
#define IVEC NAME(ivec)

typedef struct {
    const REAL *X, *weights, *centers, *half, *shift;
    const int32_t *indptr, *indices; /* of sparse rows, whose numbers are X */
    int64_t rows, columns, count, padded, tasks, again;
    int32_t *labels;
    int64_t *changed;  /* [tasks] rows with a weight and another label than before */
    double *sums;      /* [tasks, count, columns + 1]: of weighted rows less shift, and of weights; or NULL */
    double *distances; /* [rows], or [count, rows] of `closest` */
    const double *nearest;
    double *potential; /* [tasks, count] */
} NAME(job);

/* So many rows, each less `shift`, as columns of `block`; rows that are not there repeat the first. */
static void NAME(turn)(const NAME(job) * job, int64_t first, int64_t rows, REAL *block) {
    const int64_t columns = job->columns;
    for (int64_t r = 0; r < NAME(ROWS); r++) {
        const REAL *x = job->X + (first + (r < rows ? r : 0)) * columns;
        for (int64_t j = 0; j < columns; j++) block[j * NAME(ROWS) + r] = x[j] - job->shift[j];
    }
}

/* The next `n` centroids from number `k` on: their scores, and what is the best so far. */
#define SCORES(n)                                                                                                      \
    {                                                                                                                  \
        VEC a[n], b[n];                                                                                                \
        const REAL *c = job->centers + k * columns;                                                                    \
        UNROLL for (int i = 0; i < n; i++) a[i] = b[i] = job->half[k + i] - (VEC){0};                                  \
        for (int64_t j = 0; j < columns; j++) {                                                                        \
            const VEC x = *(const VEC *)(block + j * NAME(ROWS)), y = *(const VEC *)(block + j * NAME(ROWS) + LANES);  \
            UNROLL for (int i = 0; i < n; i++) {                                                                       \
                a[i] -= c[i * columns + j] * x;                                                                        \
                b[i] -= c[i * columns + j] * y;                                                                        \
            }                                                                                                          \
        }                                                                                                              \
        UNROLL for (int i = 0; i < n; i++) {                                                                           \
            const IVEC less = a[i] < best[0], also = b[i] < best[1], me = (WHOLE)(k + i) - (IVEC){0};                  \
            at[0] = (less & me) | (~less & at[0]);                                                                     \
            at[1] = (also & me) | (~also & at[1]);                                                                     \
            best[0] = (VEC)((less & (IVEC)a[i]) | (~less & (IVEC)best[0]));                                            \
            best[1] = (VEC)((also & (IVEC)b[i]) | (~also & (IVEC)best[1]));                                            \
        }                                                                                                              \
        k += n;                                                                                                        \
    }

/* The nearest centroid of each row of a block. */
static void NAME(nearest)(const NAME(job) * job, const REAL *block, IVEC *at) {
    const int64_t columns = job->columns;
    VEC best[2] = {INFINITY - (VEC){0}, INFINITY - (VEC){0}};
    at[0] = at[1] = (IVEC){0};
    int64_t k = 0;
    while (k + 5 <= job->count) SCORES(5)
    while (k < job->count) SCORES(1)
}

static void NAME(take)(const NAME(job) * job, double *sums, int64_t row, int64_t label) {
    const int64_t columns = job->columns;
    const REAL *x = job->X + row * columns;
    double *sum = sums + label * (columns + 1);
    const double w = job->weights ? (double)job->weights[row] : 1;
    for (int64_t j = 0; j < columns; j++) sum[j] += w * (double)(x[j] - job->shift[j]);
    sum[columns] += w;
}

static void NAME(assign_task)(void *made, int64_t task) {
    const NAME(job) *job = made;
    REAL *block = aligned_alloc(64, (size_t)(job->columns + 1) * 128);
    if (!block) abort();
    const int64_t end = sol_first(job->rows, task + 1, job->tasks);
    int64_t changed = 0;
    for (int64_t row = sol_first(job->rows, task, job->tasks); row < end; row += NAME(ROWS)) {
        const int64_t rows = sol_min(NAME(ROWS), end - row);
        IVEC at[2];
        NAME(turn)(job, row, rows, block);
        NAME(nearest)(job, block, at);
        for (int64_t r = 0; r < rows; r++) {
            const int32_t label = (int32_t)at[r / LANES][r % LANES];
            changed += label != job->labels[row + r] && (!job->weights || job->weights[row + r] > 0);
            job->labels[row + r] = label;
            if (job->sums) NAME(take)(job, job->sums + task * job->count * (job->columns + 1), row + r, label);
        }
    }
    job->changed[task] = changed;
    free(block);
}

/* labels [rows]: the nearest of centers [count, columns], which are less `shift` [columns], with `half` [count] their
 * squares' halves. changed [tasks], sums [tasks, count, columns + 1] zeros or NULL. */
void NAME(kmeans_assign)(const REAL *X, const REAL *weights, const REAL *shift, const REAL *centers, const REAL *half,
                         int32_t *labels, double *sums, int64_t *changed, int64_t rows, int64_t columns, int64_t count,
                         int64_t tasks, int threads) {
    NAME(job) job = {.X = X, .weights = weights, .shift = shift, .centers = centers, .half = half, .rows = rows};
    job.columns = columns, job.count = count, job.tasks = tasks;
    job.labels = labels, job.sums = sums, job.changed = changed;
    sol_parallel(NAME(assign_task), &job, tasks, threads);
}

static void NAME(closest_task)(void *made, int64_t task) {
    const NAME(job) *job = made;
    const int64_t columns = job->columns;
    REAL *block = aligned_alloc(64, (size_t)(columns + 1) * 128);
    if (!block) abort();
    const int64_t end = sol_first(job->rows, task + 1, job->tasks);
    for (int64_t row = sol_first(job->rows, task, job->tasks); row < end; row += NAME(ROWS)) {
        const int64_t rows = sol_min(NAME(ROWS), end - row);
        NAME(turn)(job, row, rows, block);
        for (int64_t k = 0; k < job->count; k++) {
            const REAL *c = job->centers + k * columns;
            VEC sum[2] = {{0}, {0}};
            for (int64_t j = 0; j < columns; j++)
                UNROLL for (int i = 0; i < 2; i++) {
                    const VEC off = *(const VEC *)(block + j * NAME(ROWS) + i * LANES) - c[j];
                    sum[i] += off * off;
                }
            double *out = job->distances + k * job->rows + row, potential = 0;
            for (int64_t r = 0; r < rows; r++) {
                const double d = (double)sum[r / LANES][r % LANES];
                out[r] = job->nearest && job->nearest[row + r] < d ? job->nearest[row + r] : d;
                potential += job->weights ? (double)job->weights[row + r] * out[r] : out[r];
            }
            job->potential[task * job->count + k] += potential;
        }
    }
    free(block);
}

/* distances [count, rows]: squares of those to centers [count, columns] (less `shift`), or `nearest` [rows] where that is
 * less; potential [tasks, count] zeros: their weighted sums. */
void NAME(kmeans_closest)(const REAL *X, const REAL *weights, const REAL *shift, const REAL *centers,
                          const double *nearest, double *distances, double *potential, int64_t rows, int64_t columns,
                          int64_t count, int64_t tasks, int threads) {
    NAME(job) job = {.X = X, .weights = weights, .shift = shift, .centers = centers, .rows = rows};
    job.columns = columns, job.count = count, job.tasks = tasks;
    job.nearest = nearest, job.distances = distances, job.potential = potential;
    sol_parallel(NAME(closest_task), &job, tasks, threads);
}

static void NAME(own_task)(void *made, int64_t task) {
    const NAME(job) *job = made;
    const int64_t columns = job->columns, end = sol_first(job->rows, task + 1, job->tasks);
    for (int64_t row = sol_first(job->rows, task, job->tasks); row < end; row++) {
        const REAL *x = job->X + row * columns, *c = job->centers + job->labels[row] * columns;
        double part[8] = {0}, sum = 0;
        int64_t j = 0;
        for (; j + 8 <= columns; j += 8)
            UNROLL for (int i = 0; i < 8; i++) part[i] += (double)(x[j + i] - c[j + i]) * (double)(x[j + i] - c[j + i]);
        for (; j < columns; j++) sum += (double)(x[j] - c[j]) * (double)(x[j] - c[j]);
        for (int i = 0; i < 8; i++) sum += part[i];
        job->distances[row] = sum;
    }
}

/* distances [rows]: the square of each row's to the centroid of its label. */
void NAME(kmeans_own)(const REAL *X, const REAL *centers, const int32_t *labels, double *distances, int64_t rows,
                      int64_t columns, int64_t tasks, int threads) {
    NAME(job) job = {.X = X, .centers = centers, .rows = rows, .columns = columns, .tasks = tasks};
    job.labels = (int32_t *)labels, job.distances = distances;
    sol_parallel(NAME(own_task), &job, tasks, threads);
}

/* For the row's products with all centroids, 64 bytes of them at a time: score [padded] = half - product. */
static void NAME(sparse_scores)(const NAME(job) * job, int64_t row, REAL *score) {
    const int64_t padded = job->padded;
    const int32_t first = job->indptr[row], end = job->indptr[row + 1];
    int64_t k = 0;
    for (; k + 2 * LANES <= padded; k += 2 * LANES) {
        VEC a = *(const VEC *)(job->half + k), b = *(const VEC *)(job->half + k + LANES);
        for (int32_t i = first; i < end; i++) {
            const REAL *c = job->centers + job->indices[i] * padded + k;
            a -= job->X[i] * *(const VEC *)c;
            b -= job->X[i] * *(const VEC *)(c + LANES);
        }
        *(VEC *)(score + k) = a;
        *(VEC *)(score + k + LANES) = b;
    }
    for (; k < padded; k += LANES) {
        VEC a = *(const VEC *)(job->half + k);
        for (int32_t i = first; i < end; i++)
            a -= job->X[i] * *(const VEC *)(job->centers + job->indices[i] * padded + k);
        *(VEC *)(score + k) = a;
    }
}

static void NAME(add)(const NAME(job) * job, int64_t row, double *sum, double w) {
    for (int32_t i = job->indptr[row]; i < job->indptr[row + 1]; i++) sum[job->indices[i]] += w * (double)job->X[i];
    sum[job->columns] += w;
}

static void NAME(sparse_task)(void *made, int64_t task) {
    const NAME(job) *job = made;
    REAL *score = aligned_alloc(64, (size_t)job->padded * sizeof(REAL));
    if (!score) abort();
    const int64_t columns = job->columns, end = sol_first(job->rows, task + 1, job->tasks);
    int64_t changed = 0;
    for (int64_t row = sol_first(job->rows, task, job->tasks); row < end; row++) {
        NAME(sparse_scores)(job, row, score);
        int32_t label = 0;
        for (int64_t k = 1; k < job->count; k++) label = score[k] < score[label] ? (int32_t)k : label;
        const int32_t before = job->labels[row];
        changed += label != before && (!job->weights || job->weights[row] > 0);
        job->labels[row] = label;
        if (!job->sums || (job->again && label == before)) continue;
        const double w = job->weights ? (double)job->weights[row] : 1;
        NAME(add)(job, row, job->sums + (task * job->count + label) * (columns + 1), w);
        if (job->again) NAME(add)(job, row, job->sums + (task * job->count + before) * (columns + 1), -w);
    }
    job->changed[task] = changed;
    free(score);
}

/* The same as kmeans_assign for CSR rows. centers [columns, padded] and half [padded] begin at multiples of 64 bytes.
 * again: sums are those of the labels that came in, and only rows whose label changes are moved in them. */
void NAME(kmeans_assign_csr)(const REAL *data, const int32_t *indices, const int32_t *indptr, const REAL *weights,
                             const REAL *centers, const REAL *half, int32_t *labels, double *sums, int64_t *changed,
                             int64_t rows, int64_t columns, int64_t count, int64_t padded, int64_t again, int64_t tasks,
                             int threads) {
    NAME(job) job = {.X = data, .indices = indices, .indptr = indptr, .weights = weights, .centers = centers};
    job.again = again;
    job.half = half, job.rows = rows, job.columns = columns, job.count = count, job.padded = padded;
    job.tasks = tasks, job.labels = labels, job.sums = sums, job.changed = changed;
    sol_parallel(NAME(sparse_task), &job, tasks, threads);
}

static void NAME(sparse_own_task)(void *made, int64_t task) {
    const NAME(job) *job = made;
    const int64_t end = sol_first(job->rows, task + 1, job->tasks);
    for (int64_t row = sol_first(job->rows, task, job->tasks); row < end; row++) {
        const double *const center = job->nearest + (int64_t)job->labels[row] * job->columns;
        double sum = 0;
        for (int32_t i = job->indptr[row]; i < job->indptr[row + 1]; i++) {
            const double at = center[job->indices[i]], off = (double)job->X[i] - at;
            sum += off * off - at * at;
        }
        job->distances[row] = sum;
    }
}

/* distances [rows]: squares of the distances of CSR rows to centers [count, columns] of their labels, less the squares of
 * these centers. */
void NAME(kmeans_own_csr)(const REAL *data, const int32_t *indices, const int32_t *indptr, const double *centers,
                          int32_t *labels, double *distances, int64_t rows, int64_t columns, int64_t tasks, int threads) {
    NAME(job) job = {.X = data, .indices = indices, .indptr = indptr, .nearest = centers, .labels = labels};
    job.rows = rows, job.columns = columns, job.tasks = tasks, job.distances = distances;
    sol_parallel(NAME(sparse_own_task), &job, tasks, threads);
}
#undef SCORES
#undef VEC
#undef IVEC
