/* linear_rows.h: the kernels of linear.c for one type of number, REAL, called NAME. */

/* Rows of X: `dense` [rows, columns], or CSR where it is NULL. */
typedef struct {
    int64_t rows, columns;
    const REAL *dense;
    const int64_t *starts;
    const int32_t *index;
    const REAL *values;
} JOIN(linear_matrix, NAME);

typedef struct {
    JOIN(linear_matrix, NAME) X;
    const double *w;
    double bias;
    const double *y, *weights;
    int loss;
    double parameter;
    double *gradients, *sums;
    double *curvature;
    linear_pair *pairs;
    int64_t tasks;
} JOIN(linear_pass, NAME);

typedef REAL JOIN(linear_vector, NAME) __attribute__((vector_size(4 * sizeof(REAL)), aligned(sizeof(REAL)), may_alias));
#define VECTOR JOIN(linear_vector, NAME)

/* x . w. Four sums, as one multiply-add takes four cycles. */
INLINE double JOIN(dense_dot, NAME)(const REAL *x, const double *w, int64_t columns) {
    linear_double4 sum[4] = {{0}};
    int64_t j = 0;
    for (; j + 16 <= columns; j += 16)
        for (int k = 0; k < 4; k++)
            sum[k] += __builtin_convertvector(*(const VECTOR *)(x + j + 4 * k), linear_double4) *
                      *(const linear_double4_any *)(w + j + 4 * k);
    for (; j + 4 <= columns; j += 4)
        sum[0] += __builtin_convertvector(*(const VECTOR *)(x + j), linear_double4) * *(const linear_double4_any *)(w + j);
    const linear_double4 all = (sum[0] + sum[1]) + (sum[2] + sum[3]);
    double total = (all[0] + all[1]) + (all[2] + all[3]);
    for (; j < columns; j++) total += (double)x[j] * w[j];
    return total;
}

/* The same of a sparse row. The first `asked` of its values have others AHEAD of them, whose pairs are asked for. */
INLINE double JOIN(sparse_dot, NAME)(const REAL *x, const int32_t *index, const linear_pair *pairs, int64_t count,
                                     int64_t asked) {
    double sum[4] = {0};
    int64_t j = 0;
    for (int64_t k = 0; k < (asked < count ? asked : count); k++) __builtin_prefetch(pairs + index[k + AHEAD], 1);
    for (; j + 4 <= count; j += 4)
        for (int k = 0; k < 4; k++) sum[k] += (double)x[j + k] * pairs[index[j + k]].w;
    for (; j < count; j++) sum[0] += (double)x[j] * pairs[index[j]].w;
    return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

static void JOIN(linear_task, NAME)(void *job, int64_t task) {
    const JOIN(linear_pass, NAME) *const pass = job;
    const int64_t columns = pass->X.columns;
    const int64_t *const starts = pass->X.dense ? NULL : pass->X.starts;
    const int64_t end = first_row(starts, pass->X.rows, task + 1, pass->tasks);
    double *const g = pass->gradients + task * (columns + 1);
    const double *const w = pass->w;
    double z[BLOCK], y[BLOCK] = {0}, value[BLOCK], r[BLOCK], d[BLOCK], sum = 0, bias_sum = 0;
    linear_pair *const pairs = pass->pairs + task * columns;
    const int far = columns * (int64_t)sizeof *pairs > NEAR;
    if (pass->X.dense)
        memset(g, 0, sizeof *g * (size_t)columns);
    else
        for (int64_t j = 0; j < columns; j++) pairs[j] = (linear_pair){w[j], 0};
    for (int64_t i = first_row(starts, pass->X.rows, task, pass->tasks); i < end; i += BLOCK) {
        const int64_t count = end - i < BLOCK ? end - i : BLOCK;
        for (int64_t k = 0; k < count; k++)
            if (pass->X.dense)
                z[k] = JOIN(dense_dot, NAME)(pass->X.dense + (i + k) * columns, w, columns) + pass->bias;
            else {
                const int64_t at = starts[i + k];
                z[k] = JOIN(sparse_dot, NAME)(pass->X.values + at, pass->X.index + at, pairs, starts[i + k + 1] - at,
                                              far ? starts[end] - at - AHEAD : 0) +
                       pass->bias;
            }
        if (pass->y) memcpy(y, pass->y + i, sizeof *y * (size_t)count);
        losses(pass->loss, pass->parameter, count, z, y, value, r, d);
        if (pass->weights)
            for (int64_t k = 0; k < count; k++) {
                value[k] *= pass->weights[i + k];
                r[k] *= pass->weights[i + k];
                d[k] *= pass->weights[i + k];
            }
        for (int64_t k = 0; k < count; k++) {
            sum += value[k];
            bias_sum += r[k];
        }
        if (pass->curvature)
            for (int64_t k = 0; k < count; k++) pass->curvature[i + k] = d[k];
        if (pass->X.dense) {
            int64_t k = 0;
            for (; k + 4 <= count; k += 4) {
                const REAL *const a = pass->X.dense + (i + k) * columns;
                const REAL *const b = a + columns, *const c = b + columns, *const e = c + columns;
                const double ra = r[k], rb = r[k + 1], rc = r[k + 2], re = r[k + 3];
                for (int64_t j = 0; j < columns; j++) g[j] += (ra * a[j] + rb * b[j]) + (rc * c[j] + re * e[j]);
            }
            for (; k < count; k++) {
                const REAL *const a = pass->X.dense + (i + k) * columns;
                for (int64_t j = 0; j < columns; j++) g[j] += r[k] * a[j];
            }
        } else
            for (int64_t k = 0; k < count; k++) {
                if (r[k] == 0) continue; /* beyond the margin of a hinge */
                for (int64_t at = starts[i + k]; at < starts[i + k + 1]; at++)
                    pairs[pass->X.index[at]].g += r[k] * pass->X.values[at];
            }
    }
    if (!pass->X.dense)
        for (int64_t j = 0; j < columns; j++) g[j] = pairs[j].g;
    g[columns] = bias_sum;
    pass->sums[task] = sum;
}

/* Loss and gradient of all rows.
 *   w [columns], y and weights [rows] (NULL: all 0; all 1)
 *   gradients [tasks, columns + 1]: of each task, that of the bias at the end; their sum is in the first
 *   sums [tasks]: losses, likewise
 *   curvature [rows]: second derivatives, weighted; NULL where they are not wanted
 *   pairs [tasks, columns]: memory to work in; NULL where X is dense */
void JOIN(linear_loss, NAME)(int64_t rows, int64_t columns, const REAL *dense, const int64_t *starts,
                             const int32_t *index, const REAL *values, const double *w, double bias, const double *y,
                             const double *weights, int loss, double parameter, double *gradients, double *sums,
                             double *curvature, linear_pair *pairs, int64_t tasks, int threads) {
    JOIN(linear_pass, NAME)
    pass = {{rows, columns, dense, starts, index, values}, w, bias, y, weights, loss, parameter, gradients, sums, curvature,
            pairs, tasks};
    sol_parallel(JOIN(linear_task, NAME), &pass, tasks, threads);
    for (int64_t task = 1; task < tasks; task++) {
        const double *const other = gradients + task * (columns + 1);
        for (int64_t j = 0; j <= columns; j++) gradients[j] += other[j];
        sums[0] += sums[task];
    }
}

static void JOIN(squares_task, NAME)(void *job, int64_t task) {
    const JOIN(linear_pass, NAME) *const pass = job;
    const int64_t columns = pass->X.columns;
    const int64_t *const starts = pass->X.dense ? NULL : pass->X.starts;
    const int64_t end = first_row(starts, pass->X.rows, task + 1, pass->tasks);
    double *const sums = pass->gradients + task * columns;
    memset(sums, 0, sizeof *sums * (size_t)columns);
    for (int64_t i = first_row(starts, pass->X.rows, task, pass->tasks); i < end; i++) {
        const double weight = pass->weights ? pass->weights[i] : 1.0;
        if (pass->X.dense) {
            const REAL *const x = pass->X.dense + i * columns;
            for (int64_t j = 0; j < columns; j++) sums[j] += weight * x[j] * x[j];
        } else
            for (int64_t at = starts[i]; at < starts[i + 1]; at++)
                sums[pass->X.index[at]] += weight * pass->X.values[at] * pass->X.values[at];
    }
}

/* Weighted sums of squares of each column: in the first of `sums` [tasks, columns]. */
void JOIN(linear_squares, NAME)(int64_t rows, int64_t columns, const REAL *dense, const int64_t *starts,
                                const int32_t *index, const REAL *values, const double *weights, double *sums,
                                int64_t tasks, int threads) {
    JOIN(linear_pass, NAME)
    pass = {.X = {rows, columns, dense, starts, index, values}, .weights = weights, .gradients = sums, .tasks = tasks};
    sol_parallel(JOIN(squares_task, NAME), &pass, tasks, threads);
    for (int64_t task = 1; task < tasks; task++)
        for (int64_t j = 0; j < columns; j++) sums[j] += sums[task * columns + j];
}

typedef struct {
    JOIN(linear_matrix, NAME) X;
    int64_t classes;
    const double *w;
    const int32_t *y;
    const double *weights;
    double *gradients, *sums;
    int64_t tasks;
} JOIN(softmax_pass, NAME);

static void JOIN(softmax_task, NAME)(void *job, int64_t task) {
    const JOIN(softmax_pass, NAME) *const pass = job;
    const int64_t columns = pass->X.columns, classes = pass->classes;
    const int64_t *const starts = pass->X.dense ? NULL : pass->X.starts;
    const int64_t end = first_row(starts, pass->X.rows, task + 1, pass->tasks);
    double *const g = pass->gradients + task * (columns + 1) * classes, *const bias = g + columns * classes;
    const double *const w = pass->w;
    double z[classes], sum = 0;
    memset(g, 0, sizeof *g * (size_t)((columns + 1) * classes));
    for (int64_t i = first_row(starts, pass->X.rows, task, pass->tasks); i < end; i++) {
        const int64_t first = starts ? starts[i] : 0, last = starts ? starts[i + 1] : columns;
        const REAL *const x = starts ? pass->X.values : pass->X.dense + i * columns;
        const int32_t *const index = pass->X.index;
        memcpy(z, w + columns * classes, sizeof z);
        for (int64_t at = first; at < last; at++) {
            const double *const row = w + (starts ? index[at] : at) * classes;
            for (int64_t c = 0; c < classes; c++) z[c] += x[at] * row[c];
        }
        sum += softmax_row(z, classes, pass->y[i], pass->weights ? pass->weights[i] : 1.0);
        for (int64_t at = first; at < last; at++) {
            double *const row = g + (starts ? index[at] : at) * classes;
            for (int64_t c = 0; c < classes; c++) row[c] += x[at] * z[c];
        }
        for (int64_t c = 0; c < classes; c++) bias[c] += z[c];
    }
    pass->sums[task] = sum;
}

/* The same for the multinomial logistic loss.
 *   w [columns + 1, classes], the biases in its last row
 *   y [rows]: numbers of classes
 *   gradients [tasks, columns + 1, classes] */
void JOIN(linear_softmax, NAME)(int64_t rows, int64_t columns, const REAL *dense, const int64_t *starts,
                                const int32_t *index, const REAL *values, int64_t classes, const double *w,
                                const int32_t *y, const double *weights, double *gradients, double *sums, int64_t tasks,
                                int threads) {
    JOIN(softmax_pass, NAME)
    pass = {{rows, columns, dense, starts, index, values}, classes, w, y, weights, gradients, sums, tasks};
    sol_parallel(JOIN(softmax_task, NAME), &pass, tasks, threads);
    for (int64_t task = 1; task < tasks; task++) {
        const double *const other = gradients + task * (columns + 1) * classes;
        for (int64_t j = 0; j < (columns + 1) * classes; j++) gradients[j] += other[j];
        sums[0] += sums[task];
    }
}

#undef VECTOR
