/* sparse_rows.h: products of a CSR matrix, for the types REAL and POINTER. Included by sparse.c, once for each pair. */
#define N(name) JOIN(name, REAL_NAME, POINTER_NAME)

/* Vectors of this many lanes, anywhere in memory. */
typedef REAL N(real8) __attribute__((vector_size(8 * sizeof(REAL)), aligned(sizeof(REAL)), may_alias));
typedef REAL N(real4) __attribute__((vector_size(4 * sizeof(REAL)), aligned(sizeof(REAL)), may_alias));
typedef REAL N(real2) __attribute__((vector_size(2 * sizeof(REAL)), aligned(sizeof(REAL)), may_alias));

typedef struct {
    int64_t rows, columns, width, tasks;
    const POINTER *starts;
    const int32_t *index;
    const REAL *value, *x, *weights;
    REAL *y;
    double *sums;
    sparse_near *near;
} N(product);

/* The first row of task `task`: tasks have nearly the same number of rows and non-zeros together. */
static int64_t N(first_row)(const N(product) *p, int64_t task) {
    const int64_t work = (int64_t)p->starts[p->rows] - p->starts[0] + p->rows;
    const int64_t goal = sol_first(work, task, p->tasks);
    int64_t low = 0, high = p->rows;
    while (low < high) {
        const int64_t middle = (low + high) / 2;
        if ((int64_t)p->starts[middle] - p->starts[0] + middle < goal)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Four sums, so that one addition need not wait for the one before. */
INLINE REAL N(dot)(const int32_t *index, const REAL *value, int64_t count, const REAL *x) {
    REAL a = 0, b = 0, c = 0, d = 0;
    int64_t i = 0;
    for (; i + 4 <= count; i += 4) {
        a += value[i] * x[index[i]];
        b += value[i + 1] * x[index[i + 1]];
        c += value[i + 2] * x[index[i + 2]];
        d += value[i + 3] * x[index[i + 3]];
    }
    for (; i < count; i++) a += value[i] * x[index[i]];
    return (a + b) + (c + d);
}

/* out[0..V * COUNT) = the row times so many columns of x, in COUNT vectors of V lanes, which stay in registers. */
#define ROW_TIMES(V, COUNT)                                                                                       \
    {                                                                                                             \
        N(real##V) sum[COUNT] = {0};                                                                              \
        for (int64_t i = 0; i < count; i++) {                                                                     \
            const N(real##V) *const from = (const N(real##V) *)(x + (int64_t)index[i] * width);                   \
            SPARSE_UNROLL                                                                                         \
            for (int k = 0; k < COUNT; k++) sum[k] += value[i] * from[k];                                         \
        }                                                                                                         \
        SPARSE_UNROLL                                                                                             \
        for (int k = 0; k < COUNT; k++) ((N(real##V) *)out)[k] = sum[k];                                          \
    }

INLINE void N(row_times)(const int32_t *index, const REAL *value, int64_t count, const REAL *x, int64_t width, REAL *out,
                         const int columns) {
    if (columns == 32) ROW_TIMES(8, 4)
    else if (columns == 16) ROW_TIMES(8, 2)
    else if (columns == 8) ROW_TIMES(8, 1)
    else if (columns == 4) ROW_TIMES(4, 1)
    else if (columns == 2) ROW_TIMES(2, 1)
    else {
        REAL sum = 0;
        for (int64_t i = 0; i < count; i++) sum += value[i] * x[(int64_t)index[i] * width];
        *out = sum;
    }
}

/* sums[column, 0..V * COUNT) += the row's value there times x[0..V * COUNT) */
#define ADD_ROW(V, COUNT)                                                                                         \
    {                                                                                                             \
        sparse_sums##V from[COUNT];                                                                               \
        SPARSE_UNROLL                                                                                             \
        for (int k = 0; k < COUNT; k++)                                                                           \
            from[k] = (sparse_sums##V)__builtin_convertvector(((const N(real##V) *)x)[k], sparse_sums##V);        \
        for (int64_t i = 0; i < count; i++) {                                                                     \
            sparse_sums##V *const to = (sparse_sums##V *)(sums + (int64_t)index[i] * width);                      \
            SPARSE_UNROLL                                                                                         \
            for (int k = 0; k < COUNT; k++) to[k] += (double)value[i] * from[k];                                  \
        }                                                                                                         \
    }

INLINE void N(add_row)(const int32_t *index, const REAL *value, int64_t count, const REAL *x, int64_t width,
                       double *sums, const int columns) {
    if (columns == 32) ADD_ROW(8, 4)
    else if (columns == 16) ADD_ROW(8, 2)
    else if (columns == 8) ADD_ROW(8, 1)
    else if (columns == 4) ADD_ROW(4, 1)
    else if (columns == 2) ADD_ROW(2, 1)
    else {
        const double from = *x;
        for (int64_t i = 0; i < count; i++) sums[(int64_t)index[i] * width] += value[i] * from;
    }
}

/* Runs CALL(W) for blocks of W columns from `c` on. */
#define BLOCKS(CALL)                                   \
    int64_t c = 0;                                     \
    for (; c + 32 <= p->width; c += 32) { CALL(32); }  \
    for (; c + 16 <= p->width; c += 16) { CALL(16); }  \
    for (; c + 8 <= p->width; c += 8) { CALL(8); }     \
    for (; c + 4 <= p->width; c += 4) { CALL(4); }     \
    for (; c + 2 <= p->width; c += 2) { CALL(2); }     \
    for (; c < p->width; c++) { CALL(1); }

#define ROWS                                                                                  \
    const N(product) *const p = job;                                                          \
    const int64_t last = N(first_row)(p, task + 1);                                           \
    for (int64_t row = N(first_row)(p, task); row < last; row++) {                            \
        const int64_t first = p->starts[row], count = (int64_t)p->starts[row + 1] - first;    \
        const int32_t *const index = p->index + first;                                        \
        const REAL *const value = p->value + first;

static void N(vector_task)(void *job, int64_t task) {
    ROWS
        p->y[row] = N(dot)(index, value, count, p->x);
    }
}

static void N(matrix_task)(void *job, int64_t task) {
    ROWS
        REAL *const out = p->y + row * p->width;
#define CALL(W) N(row_times)(index, value, count, p->x + c, p->width, out + c, W)
        BLOCKS(CALL)
#undef CALL
    }
}

static void N(transposed_task)(void *job, int64_t task) {
    ROWS
        double *const sums = p->sums + task * p->columns * p->width;
        const REAL *const x = p->x + row * p->width;
#define CALL(W) N(add_row)(index, value, count, x + c, p->width, sums + c, W)
        BLOCKS(CALL)
#undef CALL
    }
}

/* One pass: each row is multiplied by x, and its product scattered while the row is in the cache. */
static void N(gram_task)(void *job, int64_t task) {
    ROWS
        double *const sums = p->sums + task * p->columns * p->width;
        const REAL weight = p->weights ? p->weights[row] : 1;
        REAL out[32];
        if (p->width == 1) {
            *out = weight * N(dot)(index, value, count, p->x);
            N(add_row)(index, value, count, out, 1, sums, 1);
            continue;
        }
#define CALL(W)                                                             \
    N(row_times)(index, value, count, p->x + c, p->width, out, W);          \
    for (int k = 0; k < W; k++) out[k] *= weight;                           \
    N(add_row)(index, value, count, out, p->width, sums + c, W)
        BLOCKS(CALL)
#undef CALL
    }
}

/* The same for four columns of x, which lie in front of their sums: 64 bytes, one line of the cache for both. */
static void N(gram_near_task)(void *job, int64_t task) {
    const N(product) *const p = job;
    sparse_near *const near = p->near + task * p->columns;
    for (int64_t j = 0; j < p->columns; j++) {
        near[j].x = __builtin_convertvector(((const N(real4) *)p->x)[j], sparse_sums4);
        near[j].sums = (sparse_sums4){0};
    }
    const int64_t last = N(first_row)(p, task + 1);
    for (int64_t row = N(first_row)(p, task); row < last; row++) {
        sparse_sums4 a = {0}, b = {0}, c = {0}, d = {0}; /* so that one addition need not wait for the one before */
        const int64_t first = p->starts[row], end = p->starts[row + 1];
        int64_t i = first;
        for (; i + 4 <= end; i += 4) {
            a += (double)p->value[i] * near[p->index[i]].x;
            b += (double)p->value[i + 1] * near[p->index[i + 1]].x;
            c += (double)p->value[i + 2] * near[p->index[i + 2]].x;
            d += (double)p->value[i + 3] * near[p->index[i + 3]].x;
        }
        for (; i < end; i++) a += (double)p->value[i] * near[p->index[i]].x;
        a = ((a + b) + (c + d)) * (double)(p->weights ? p->weights[row] : 1);
        for (i = first; i < end; i++) near[p->index[i]].sums += (double)p->value[i] * a;
    }
}

static void N(add_near)(void *job, int64_t task) {
    const N(product) *const p = job;
    const int64_t last = sol_first(p->columns, task + 1, p->tasks);
    for (int64_t j = sol_first(p->columns, task, p->tasks); j < last; j++) {
        sparse_sums4 sum = p->near[j].sums;
        for (int64_t part = 1; part < p->tasks; part++) sum += p->near[part * p->columns + j].sums;
        ((N(real4) *)p->y)[j] = __builtin_convertvector(sum, N(real4));
    }
}

static void N(add_parts)(void *job, int64_t task) {
    const sparse_sum *const s = job;
    REAL *const y = s->y;
    const int64_t last = sol_first(s->count, task + 1, s->tasks);
    for (int64_t i = sol_first(s->count, task, s->tasks); i < last; i++) {
        double sum = s->sums[i];
        for (int64_t part = 1; part < s->parts; part++) sum += s->sums[part * s->count + i];
        y[i] = (REAL)sum;
    }
}

static void N(add_up)(N(product) *p, sol_task *task, int threads) {
    sol_parallel(task, p, p->tasks, threads);
    sparse_sum sum = {p->sums, p->y, p->columns * p->width, p->tasks, p->tasks};
    sol_parallel(N(add_parts), &sum, sum.tasks, threads);
}

/* y [rows, width] = A x [columns, width] */
void N(sparse_product)(int64_t rows, const POINTER *starts, const int32_t *index, const REAL *value, int64_t width,
                       const REAL *x, REAL *y, int threads) {
    N(product) p = {.rows = rows, .width = width, .tasks = (int64_t)threads * TASKS, .starts = starts, .index = index,
                    .value = value, .x = x, .y = y};
    sol_parallel(width == 1 ? N(vector_task) : N(matrix_task), &p, p.tasks, threads);
}

/* y [columns, width] = transposed A times x [rows, width] */
void N(sparse_transposed)(int64_t rows, int64_t columns, const POINTER *starts, const int32_t *index, const REAL *value,
                          int64_t width, const REAL *x, double *sums, REAL *y, int threads) {
    N(product) p = {.rows = rows, .columns = columns, .width = width, .tasks = threads, .starts = starts,
                    .index = index, .value = value, .x = x, .y = y, .sums = sums};
    N(add_up)(&p, N(transposed_task), threads);
}

/* y [columns, width] = transposed A times weights [rows] (all 1 where there are none) times A x [columns, width]
 *   near [threads, columns, 8]: memory to work in for a width of 4, which begins at a line of the cache, instead of sums;
 *   one of them is NULL */
void N(sparse_gram)(int64_t rows, int64_t columns, const POINTER *starts, const int32_t *index, const REAL *value,
                    const REAL *weights, int64_t width, const REAL *x, double *sums, sparse_near *near, REAL *y, int threads) {
    N(product) p = {.rows = rows, .columns = columns, .width = width, .tasks = threads, .starts = starts,
                    .index = index, .value = value, .x = x, .weights = weights, .y = y, .sums = sums, .near = near};
    if (!near) {
        N(add_up)(&p, N(gram_task), threads);
        return;
    }
    sol_parallel(N(gram_near_task), &p, p.tasks, threads);
    sol_parallel(N(add_near), &p, p.tasks, threads);
}

#undef N
#undef ROWS
#undef BLOCKS
#undef ROW_TIMES
#undef ADD_ROW
