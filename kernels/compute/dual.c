/* dual.c: dual coordinate descent for linear support vector machines (Hsieh and others, "A dual coordinate descent method
 * for large-scale linear SVM", ICML 2008; Ho and Lin, "Large-scale linear support vector regression", JMLR 2012). */
#include <math.h>
#include <stdint.h>

#define DOT(i)                                                                                      \
    double dot = bias * w[columns];                                                                 \
    const int64_t first = dense ? (i) * columns : starts[i];                                        \
    const int64_t count = dense ? columns : starts[(i) + 1] - first;                                \
    if (dense)                                                                                      \
        for (int64_t j = 0; j < count; j++) dot += dense[first + j] * w[j];                         \
    else                                                                                            \
        for (int64_t j = 0; j < count; j++) dot += values[first + j] * w[index[first + j]];

#define ADD(step)                                                                                   \
    w[columns] += (step) * bias;                                                                    \
    if (dense)                                                                                      \
        for (int64_t j = 0; j < count; j++) w[j] += (step) * dense[first + j];                      \
    else                                                                                            \
        for (int64_t j = 0; j < count; j++) w[index[first + j]] += (step) * values[first + j];

/* One sweep over the local rows.
 *   dense [rows, columns], or CSR where it is NULL
 *   bias: the value of a last column of all rows; y [rows]: -1 or 1, or targets of a regression
 *   most [rows]: what |a| may be; norms [rows]: squared, with the bias; order [rows]
 *   epsilon: of the regression; regression: whether it is one
 *   sharing: the number of ranks, by which the curvature is overstated, as they all move at a time
 *   w [columns + 1] = (sum over rows of a x), and a [rows]: kept up to date; w takes steps of `sharing` times x */
#define EPOCH(NAME, REAL)                                                                                                \
    void NAME(int64_t rows, int64_t columns, const REAL *dense, const int64_t *starts, const int32_t *index,             \
              const REAL *values, double bias, const double *y, const double *most, const double *norms,                 \
              const int64_t *order, double epsilon, int regression, double sharing, double *w, double *a, int threads) { \
        (void)threads; /* each row waits for the one before */                                                           \
        for (int64_t at = 0; at < rows; at++) {                                                                          \
            const int64_t i = order[at];                                                                                 \
            if (most[i] <= 0) continue;                                                                                  \
            DOT(i)                                                                                                       \
            const double bend = norms[i] > 0 ? sharing * norms[i] : 1e-12;                                               \
            double made;                                                                                                 \
            if (regression) {                                                                                            \
                const double free = a[i] - (dot - y[i]) / bend, size = fabs(free) - epsilon / bend;                      \
                made = size > 0 ? (free > 0 ? size : -size) : 0;                                                         \
                made = fmin(fmax(made, -most[i]), most[i]);                                                              \
            } else {                                                                                                     \
                const double free = y[i] * a[i] - (y[i] * dot - 1) / bend;                                               \
                made = y[i] * fmin(fmax(free, 0), most[i]);                                                              \
            }                                                                                                            \
            const double step = sharing * (made - a[i]);                                                                 \
            a[i] = made;                                                                                                 \
            if (step != 0) {                                                                                             \
                ADD(step)                                                                                                \
            }                                                                                                            \
        }                                                                                                                \
    }

EPOCH(dual_epoch_f32, float)
EPOCH(dual_epoch_f64, double)
