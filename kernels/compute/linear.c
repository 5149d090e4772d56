/* linear.c: losses of linear models. In one pass over the rows: the margins z = X w + b, the loss of each row and its
 * derivative, and the gradient X^T r. Each for float32 and float64, dense (row-major) and CSR.
 *
 * Every thread has a run of rows with about the same number of values, and adds up a gradient of its own in float64
 * where the caller gives it memory. Sums over rows are float64 throughout.
 */
#include "parallel.h"

#include <math.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))
#define JOIN_(a, b) a##_##b
#define JOIN(a, b) JOIN_(a, b)

enum { BLOCK = 64 }; /* rows whose margins are in the cache together */
enum { AHEAD = 64 };    /* values of sparse rows whose coefficients are asked for before they are needed, */
enum { NEAR = 1 << 20 }; /* where all coefficients have more bytes than this: than a cache that is near */

/* A coefficient and its derivative. Sparse rows go to both at the same places: in one line of the cache, the second
 * is there when the first has been fetched. */
typedef struct {
    double w, g;
} linear_pair;

/* The numbers of mllib/optim/losses.py. */
enum { LOGISTIC, SQUARED, SQUARED_HINGE, SQUARED_EPSILON };

/* e^x for x <= 0, below 1 ulp: x = n ln 2 + r, |r| <= ln 2 / 2 (Cody and Waite), and the Taylor series of e^r, whose
 * remainder is below 2^-54. Plain arithmetic, so that a loop over it becomes vectors. */
INLINE double exp_below(double x) {
    x = x < -708.0 ? -708.0 : x;
    const double shift = 6755399441055744.0; /* 1.5 * 2^52: adding it rounds to a whole number */
    const double shifted = x * 1.4426950408889634 + shift;
    const double n = shifted - shift;
    const double r = (x - n * 6.93147180369123816490e-01) - n * 1.90821492927058770002e-10;
    double p = 1.0 / 6227020800;
    p = p * r + 1.0 / 479001600;
    p = p * r + 1.0 / 39916800;
    p = p * r + 1.0 / 3628800;
    p = p * r + 1.0 / 362880;
    p = p * r + 1.0 / 40320;
    p = p * r + 1.0 / 5040;
    p = p * r + 1.0 / 720;
    p = p * r + 1.0 / 120;
    p = p * r + 1.0 / 24;
    p = p * r + 1.0 / 6;
    p = p * r + 0.5;
    p = p * r + 1.0;
    p = p * r + 1.0;
    union {
        double number;
        int64_t bits;
    } power = {.number = shifted};
    power.bits = (power.bits + 1023) << 52;
    return p * power.number;
}

/* log(1 + e) for 0 <= e <= 1: twice the series of atanh(q), q = e / (2 + e) <= 1/3. */
INLINE double log1p_of(double e) {
    const double q = e / (2.0 + e), s = q * q;
    double p = 2.0 / 33;
    p = p * s + 2.0 / 31;
    p = p * s + 2.0 / 29;
    p = p * s + 2.0 / 27;
    p = p * s + 2.0 / 25;
    p = p * s + 2.0 / 23;
    p = p * s + 2.0 / 21;
    p = p * s + 2.0 / 19;
    p = p * s + 2.0 / 17;
    p = p * s + 2.0 / 15;
    p = p * s + 2.0 / 13;
    p = p * s + 2.0 / 11;
    p = p * s + 2.0 / 9;
    p = p * s + 2.0 / 7;
    p = p * s + 2.0 / 5;
    p = p * s + 2.0 / 3;
    return (p * s + 2.0) * q;
}

/* Losses of up to BLOCK margins z, their derivatives r and second derivatives d. For classes y is -1 or 1. */
static void losses(int loss, double parameter, int64_t count, const double *z, const double *y, double *value, double *r,
                   double *d) {
    switch (loss) {
    case LOGISTIC:
        for (int64_t i = 0; i < count; i++) {
            const double m = y[i] * z[i], size = fabs(m), e = exp_below(-size), far_off = 1.0 / (1.0 + e);
            value[i] = log1p_of(e) + (size - m) * 0.5;
            r[i] = -y[i] * (m < 0 ? far_off : e * far_off);
            d[i] = e * far_off * far_off;
        }
        break;
    case SQUARED:
        for (int64_t i = 0; i < count; i++) {
            r[i] = z[i] - y[i];
            value[i] = 0.5 * r[i] * r[i];
            d[i] = 1.0;
        }
        break;
    case SQUARED_HINGE:
        for (int64_t i = 0; i < count; i++) {
            const double m = 1.0 - y[i] * z[i], over = m > 0 ? m : 0.0;
            value[i] = over * over;
            r[i] = -2.0 * y[i] * over;
            d[i] = m > 0 ? 2.0 : 0.0;
        }
        break;
    default: /* SQUARED_EPSILON */
        for (int64_t i = 0; i < count; i++) {
            const double m = z[i] - y[i], beyond = fabs(m) - parameter, over = beyond > 0 ? beyond : 0.0;
            value[i] = over * over;
            r[i] = m > 0 ? 2.0 * over : -2.0 * over;
            d[i] = beyond > 0 ? 2.0 : 0.0;
        }
    }
}

/* The softmax of one row of k margins less its class' indicator, in place; returns the loss. */
INLINE double softmax_row(double *z, int64_t classes, int64_t own, double weight) {
    double most = z[0], sum = 0;
    for (int64_t c = 1; c < classes; c++) most = z[c] > most ? z[c] : most;
    const double at_own = z[own] - most;
    for (int64_t c = 0; c < classes; c++) z[c] = exp_below(z[c] - most);
    for (int64_t c = 0; c < classes; c++) sum += z[c];
    for (int64_t c = 0; c < classes; c++) z[c] *= weight / sum;
    z[own] -= weight;
    return weight * (log(sum) - at_own);
}

typedef double linear_double4 __attribute__((vector_size(32)));
typedef double linear_double4_any __attribute__((vector_size(32), aligned(8), may_alias));

/* Where thread `task` of `tasks` begins: by rows where they are dense, by values where they are not. */
static int64_t first_row(const int64_t *starts, int64_t rows, int64_t task, int64_t tasks) {
    if (!starts || task == 0 || task == tasks) return sol_first(rows, task, tasks);
    const int64_t value = sol_first(starts[rows] + rows, task, tasks);
    int64_t low = 0, high = rows;
    while (low < high) {
        const int64_t middle = low + (high - low) / 2;
        if (starts[middle] + middle < value)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

#define REAL float
#define NAME f32
#include "linear_rows.h"
#undef REAL
#undef NAME
#define REAL double
#define NAME f64
#include "linear_rows.h"
