/* als_rows.h: the part of als.c that there is for float and for double; REAL and NAME say which. */

typedef struct {
    int64_t rows, rank, implicit;
    const int32_t *start, *columns;
    const REAL *ratings, *factors;
    const double *gram;
    double penalty, alpha;
    REAL *out;
    double *losses;
} NAME(als_job);

/* A += sum of weight v v^T (upper triangle), b += sum of target v over a row's ratings. v: [TOGETHER, k], 0 beyond rank. */
static void NAME(als_equations)(const NAME(als_job) *job, int64_t row, double *A, double *b, double *v) {
    const int64_t rank = job->rank, k = padded(rank);
    for (int32_t e = job->start[row]; e < job->start[row + 1]; e += TOGETHER) {
        const int32_t left = job->start[row + 1] - e, count = left < TOGETHER ? left : TOGETHER;
        double weight[TOGETHER] = {0}, target[TOGETHER] = {0};
        for (int32_t n = 0; n < TOGETHER; n++) {
            if (n >= count) { /* counts nothing */
                memset(v + n * k, 0, k * sizeof *v);
                continue;
            }
            const REAL *const from = job->factors + job->columns[e + n] * rank;
            for (int64_t i = 0; i < rank; i++) v[n * k + i] = from[i];
            const double rating = job->ratings[e + n];
            weight[n] = job->implicit ? job->alpha * rating : 1;
            target[n] = job->implicit ? (rating > 0 ? 1 + job->alpha * rating : 0) : rating;
        }
        const double *restrict v0 = v, *restrict v1 = v + k, *restrict v2 = v + 2 * k, *restrict v3 = v + 3 * k;
        for (int64_t i = 0; i < rank; i++) {
            const double w0 = weight[0] * v0[i], w1 = weight[1] * v1[i], w2 = weight[2] * v2[i], w3 = weight[3] * v3[i];
            double *restrict to = A + i * k;
            for (int64_t j = i & ~(int64_t)7; j < k; j++) to[j] += (w0 * v0[j] + w1 * v1[j]) + (w2 * v2[j] + w3 * v3[j]);
            b[i] += (target[0] * v0[i] + target[1] * v1[i]) + (target[2] * v2[i] + target[3] * v3[i]);
        }
    }
}

/* What a row's ratings add to the objective: squared errors; with implicit ratings also minus the square that the sum over
 * all pairs, taken elsewhere, counts for those that have one. */
static double NAME(als_loss)(const NAME(als_job) *job, int64_t row, const REAL *x) {
    const int64_t k = job->rank;
    double loss = 0;
    for (int32_t e = job->start[row]; e < job->start[row + 1]; e++) {
        const REAL *const v = job->factors + job->columns[e] * k;
        double part[8] = {0}, score = 0;
        int64_t i = 0;
        for (; i + 8 <= k; i += 8)
            for (int l = 0; l < 8; l++) part[l] += (double)x[i + l] * v[i + l];
        for (; i < k; i++) score += (double)x[i] * v[i];
        for (int l = 0; l < 8; l++) score += part[l];
        const double rating = job->ratings[e];
        if (!job->implicit)
            loss += (rating - score) * (rating - score);
        else if (rating > 0)
            loss += (1 + job->alpha * rating) * (1 - score) * (1 - score) - score * score;
    }
    return loss;
}

static void NAME(als_task)(void *given, int64_t task) {
    const NAME(als_job) *const job = given;
    const int64_t rank = job->rank, k = padded(rank), first = task * ROWS, end = first + ROWS < job->rows ? first + ROWS : job->rows;
    double *const A = calloc(k * k + k + TOGETHER * k, sizeof *A);
    for (int64_t row = first; row < end; row++) {
        if (!A) {
            job->losses[row] = NAN;
            continue;
        }
        double *const b = A + k * k;
        const int32_t count = job->start[row + 1] - job->start[row];
        const double penalty = job->implicit ? job->penalty : job->penalty * (count ? count : 1);
        memset(A, 0, (k * k + k) * sizeof *A);
        for (int64_t i = 0; i < k; i++) A[i * k + i] = penalty;
        for (int64_t i = 0; job->gram && i < rank; i++)
            for (int64_t j = i; j < rank; j++) A[i * k + j] += job->gram[i * rank + j];
        NAME(als_equations)(job, row, A, b, b + k);
        solve(k, A, b, penalty / 2);
        REAL *const x = job->out + row * rank;
        for (int64_t i = 0; i < rank; i++) x[i] = (REAL)b[i];
        job->losses[row] = NAME(als_loss)(job, row, x);
    }
    free(A);
}

/* Factors of rows of ratings in CSR form.
 *
 * factors: [columns, rank]. Explicit ratings: out minimises the squared errors of the ratings plus penalty * number of
 * ratings * |out|^2 (gram is null). Implicit: gram is factors^T factors, and the errors of all columns count, 1 times where
 * there is no rating and 1 + alpha * rating times where there is one. out: [rows, rank]. losses: [rows], what the ratings
 * add to the objective; NaN if memory is short. */
void NAME(als)(int64_t rows, int64_t rank, const int32_t *start, const int32_t *columns, const REAL *ratings,
               const REAL *factors, const double *gram, double penalty, double alpha, REAL *out, double *losses,
               int64_t threads) {
    NAME(als_job) job = {rows, rank, gram != NULL, start, columns, ratings, factors, gram, penalty, alpha, out, losses};
    sol_parallel(NAME(als_task), &job, (rows + ROWS - 1) / ROWS, (int)threads);
}
