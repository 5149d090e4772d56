/* sparse_jagged.h: products of matrices stored by diagonals, for the type REAL. Included by sparse.c, once for each.
 *
 * The inner loop goes over many rows at once, whatever their lengths: what machines with long vectors want. A block of
 * rows keeps its sums in the cache while it goes through the diagonals.
 */
#define N(name) JOIN(name, REAL_NAME, diagonals)

enum { N(BLOCK) = 512 }; /* rows */

typedef struct {
    int64_t rows, diagonals, rest_rows;
    const int64_t *starts, *rest_starts;
    const int32_t *index, *lengths, *order, *rest_index;
    const REAL *value, *rest_value, *x;
    REAL *y;
} N(matrix);

static void N(ell_task)(void *job, int64_t task) {
    const N(matrix) *const m = job;
    const int64_t first = task * N(BLOCK);
    const int64_t rows = m->rows - first < N(BLOCK) ? m->rows - first : N(BLOCK);
    const int32_t *const lengths = m->lengths + first;
    REAL sum[N(BLOCK)] = {0};
    for (int64_t d = 0; d < m->diagonals; d++) {
        const int32_t *const index = m->index + d * m->rows + first;
        const REAL *const value = m->value + d * m->rows + first;
        for (int64_t i = 0; i < rows; i++) { /* padding must not count, not even where x is infinite */
            const REAL product = value[i] * m->x[index[i]];
            sum[i] += d < lengths[i] ? product : 0;
        }
    }
    memcpy(m->y + first, sum, (size_t)rows * sizeof(REAL));
}

static void N(jds_task)(void *job, int64_t task) {
    const N(matrix) *const m = job;
    const int64_t first = task * N(BLOCK);
    const int64_t rows = m->rows - first < N(BLOCK) ? m->rows - first : N(BLOCK);
    REAL sum[N(BLOCK)] = {0};
    for (int64_t d = 0; d < m->diagonals; d++) {
        int64_t count = m->starts[d + 1] - m->starts[d] - first; /* rows of this block that are long enough */
        if (count <= 0) break;
        if (count > rows) count = rows;
        const int32_t *const index = m->index + m->starts[d] + first;
        const REAL *const value = m->value + m->starts[d] + first;
        for (int64_t i = 0; i < count; i++) sum[i] += value[i] * m->x[index[i]];
    }
    for (int64_t i = 0; i < rows && first + i < m->rest_rows; i++)
        for (int64_t k = m->rest_starts[first + i]; k < m->rest_starts[first + i + 1]; k++)
            sum[i] += m->rest_value[k] * m->x[m->rest_index[k]];
    for (int64_t i = 0; i < rows; i++) m->y[m->order[first + i]] = sum[i];
}

/* y [rows] = A x. The d-th elements of all rows are index[d * rows ..] and value[d * rows ..]; a row has `lengths` of
 * them, and its others are padding whose index is any column. */
void N(sparse_ell)(int64_t rows, int64_t diagonals, const int32_t *lengths, const int32_t *index, const REAL *value,
                   const REAL *x, REAL *y, int threads) {
    N(matrix) m = {.rows = rows, .diagonals = diagonals, .lengths = lengths, .index = index, .value = value, .x = x,
                   .y = y};
    sol_parallel(N(ell_task), &m, (rows + N(BLOCK) - 1) / N(BLOCK), threads);
}

/* y [rows] = A x. The i-th row in falling order of lengths is row order[i]. The d-th elements of the rows that have so
 * many are index[starts[d]] and on. The first `rest_rows` rows in that order have more: rest_starts, rest_index and
 * rest_value are CSR. */
void N(sparse_jds)(int64_t rows, int64_t diagonals, const int32_t *order, const int64_t *starts, const int32_t *index,
                   const REAL *value, int64_t rest_rows, const int64_t *rest_starts, const int32_t *rest_index,
                   const REAL *rest_value, const REAL *x, REAL *y, int threads) {
    N(matrix) m = {.rows = rows, .diagonals = diagonals, .order = order, .starts = starts, .index = index,
                   .value = value, .rest_rows = rest_rows, .rest_starts = rest_starts, .rest_index = rest_index,
                   .rest_value = rest_value, .x = x, .y = y};
    sol_parallel(N(jds_task), &m, (rows + N(BLOCK) - 1) / N(BLOCK), threads);
}

#undef N
