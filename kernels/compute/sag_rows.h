/* sag_rows.h: the epochs of sag.c for one type of number, REAL, called NAME. */
typedef REAL JOIN(sag_vector, NAME) __attribute__((vector_size(4 * sizeof(REAL)), aligned(sizeof(REAL)), may_alias));
#define VECTOR JOIN(sag_vector, NAME)

/* x . w, in sums that need not wait for each other. */
INLINE double JOIN(dense_dot, NAME)(const REAL *x, const double *w, int64_t columns) {
    sag_double4 sum[4] = {{0}};
    int64_t j = 0;
    for (; j + 16 <= columns; j += 16)
        for (int k = 0; k < 4; k++)
            sum[k] += __builtin_convertvector(*(const VECTOR *)(x + j + 4 * k), sag_double4) *
                      *(const sag_double4_any *)(w + j + 4 * k);
    for (; j + 4 <= columns; j += 4)
        sum[0] += __builtin_convertvector(*(const VECTOR *)(x + j), sag_double4) * *(const sag_double4_any *)(w + j);
    const sag_double4 all = (sum[0] + sum[1]) + (sum[2] + sum[3]);
    double total = (all[0] + all[1]) + (all[2] + all[3]);
    for (; j < columns; j++) total += (double)x[j] * w[j];
    return total;
}

/* The weights of one class take a step along a dense row. */
INLINE void JOIN(dense_step, NAME)(const REAL *x, int64_t columns, double change, double seen, double share,
                                   const sag_state *s, double *restrict w, double *restrict sum) {
    const double keep = 1 - s->eta * s->l2, mean = s->eta / seen, part = share * change, pull = s->eta * s->l1;
    if (pull > 0) {
        for (int64_t j = 0; j < columns; j++) {
            sum[j] += change * x[j];
            const double v = keep * w[j] - part * x[j] - mean * sum[j];
            const double top = v < pull ? v : pull, inside = top > -pull ? top : -pull;
            w[j] = v - inside;
        }
    } else {
        for (int64_t j = 0; j < columns; j++) {
            sum[j] += change * x[j];
            w[j] = keep * w[j] - part * x[j] - mean * sum[j];
        }
    }
}

INLINE void JOIN(dense_epoch, NAME)(sag_state *s, const REAL *X, int64_t count, const int64_t *order,
                                    const int64_t classes) {
    const int64_t columns = s->columns;
    double z[classes], change[classes];
    for (int64_t t = 0; t < count; t++) {
        const int64_t i = order[t];
        const REAL *const x = X + i * columns;
        double *const old = s->table + i * classes;
        if (t + 2 < count) { /* rows come in no order that a machine could guess */
            const char *const next = (const char *)(X + order[t + 2] * columns);
            const int64_t bytes = columns * (int64_t)sizeof(REAL);
            for (int64_t at = 0; at < bytes && at < 2048; at += 64) __builtin_prefetch(next + at);
            __builtin_prefetch(s->table + order[t + 2] * classes, 1);
            __builtin_prefetch(s->y + order[t + 2]);
        }
        *s->drawn += !s->seen[i];
        s->seen[i] = 1;
        const double seen = (double)*s->drawn, share = s->saga ? s->eta * (1 - 1 / seen) : 0;
        for (int64_t c = 0; c < classes; c++) z[c] = JOIN(dense_dot, NAME)(x, s->w + c * columns, columns) + s->bias[c];
        derivatives(s, i, z, classes);
        for (int64_t c = 0; c < classes; c++) {
            change[c] = z[c] - old[c];
            old[c] = z[c];
            JOIN(dense_step, NAME)(x, columns, change[c], seen, share, s, s->w + c * columns, s->sum + c * columns);
        }
        if (s->intercept) step_bias(s, change, seen, share, classes);
    }
}

INLINE void JOIN(sparse_epoch, NAME)(sag_state *s, const int64_t *starts, const int32_t *index, const REAL *values,
                                     int64_t count, const int64_t *order, const int64_t classes, const int pulled) {
    const double keep = 1 - s->eta * s->l2;
    double z[classes], change[classes], scale = 1;
    memset(s->done, 0, sizeof *s->done * (size_t)s->columns);
    s->steps[0] = s->pulls[0] = 0;
    for (int64_t t = 0; t < count; t++) {
        const int64_t i = order[t], first = starts[i], length = starts[i + 1] - first;
        const REAL *const x = values + first;
        const int32_t *const place = index + first;
        double *const old = s->table + i * classes;
        if (t + 8 < count) __builtin_prefetch(starts + order[t + 8]);
        if (t + 4 < count) {
            const int64_t from = starts[order[t + 4]];
            for (int64_t at = 0; at < 64; at += 16) {
                __builtin_prefetch(index + from + at);
                __builtin_prefetch(values + from + at);
            }
            __builtin_prefetch(s->table + order[t + 4] * classes, 1);
            __builtin_prefetch(s->y + order[t + 4]);
        }
        *s->drawn += !s->seen[i];
        s->seen[i] = 1;
        const double seen = (double)*s->drawn, share = s->saga ? s->eta * (1 - 1 / seen) : 0, so_far = s->steps[t];
        for (int64_t c = 0; c < classes; c++) z[c] = 0;
        for (int64_t a = 0; a < length; a++) {
            const int64_t j = place[a];
            double *const v = s->w + j * classes;
            const double *const g = s->sum + j * classes;
            if (pulled)
                for (int64_t c = 0; c < classes; c++) v[c] = missed(v[c], g[c], s->steps, s->pulls, s->done[j], t);
            else {
                const double length_missed = so_far - s->steps[s->done[j]];
                for (int64_t c = 0; c < classes; c++) v[c] -= length_missed * g[c];
            }
            for (int64_t c = 0; c < classes; c++) z[c] += x[a] * v[c];
            s->done[j] = t;
        }
        for (int64_t c = 0; c < classes; c++) z[c] = scale * z[c] + s->bias[c];
        derivatives(s, i, z, classes);
        for (int64_t c = 0; c < classes; c++) {
            change[c] = z[c] - old[c];
            old[c] = z[c];
        }
        scale *= keep;
        const double part = share / scale;
        for (int64_t a = 0; a < length; a++) {
            double *const v = s->w + place[a] * classes, *const g = s->sum + place[a] * classes;
            for (int64_t c = 0; c < classes; c++) {
                const double moved = x[a] * change[c];
                g[c] += moved;
                v[c] -= part * moved;
            }
        }
        if (s->intercept) step_bias(s, change, seen, share, classes);
        s->steps[t + 1] = s->steps[t] + s->eta / (scale * seen);
        s->pulls[t + 1] = s->pulls[t] + s->eta * s->l1 / scale;
        if (scale < 1e-9) {
            settle(s, t + 1, scale);
            scale = 1;
        }
    }
    settle(s, count, scale);
}

/* `count` steps; `order` [count] are the rows drawn.
 *   dense [rows, columns], or CSR where it is NULL
 *   y [rows]: targets, or -1 and 1, or numbers of classes
 *   eta: the length of steps; l2, l2_bias, l1: the norms' strengths, of the mean loss
 *   w, sum [classes, columns] of dense rows, [columns, classes] of sparse ones; bias, bias_sum [classes]; table
 *   [rows, classes]; seen [rows]; drawn [1]: kept up to date
 *   steps, pulls [count + 1], done [columns]: room for sparse rows, else NULL
 * Returns whether all weights are finite. */
int JOIN(sag_epoch, NAME)(int64_t rows, int64_t columns, const REAL *dense, const int64_t *starts, const int32_t *index,
                          const REAL *values, int64_t classes, int64_t count, const int64_t *order, const double *y,
                          const double *weights, int loss, int saga, int intercept, double eta, double l2, double l2_bias,
                          double l1, double *w, double *bias, double *sum, double *bias_sum, double *table, uint8_t *seen,
                          int64_t *drawn, double *steps, double *pulls, int64_t *done) {
    sag_state s = {rows, columns, classes, y, weights, loss, saga, intercept, eta, l2, l2_bias, l1,
                   w, bias, sum, bias_sum, table, seen, drawn, steps, pulls, done};
    if (dense) {
        if (classes == 1)
            JOIN(dense_epoch, NAME)(&s, dense, count, order, 1);
        else
            JOIN(dense_epoch, NAME)(&s, dense, count, order, classes);
    } else if (l1 > 0) {
        JOIN(sparse_epoch, NAME)(&s, starts, index, values, count, order, classes, 1);
    } else if (classes == 1) {
        JOIN(sparse_epoch, NAME)(&s, starts, index, values, count, order, 1, 0);
    } else {
        JOIN(sparse_epoch, NAME)(&s, starts, index, values, count, order, classes, 0);
    }
    return all_finite(&s);
}

#undef VECTOR
