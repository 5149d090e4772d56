/* sag.c: epochs of SAG (Schmidt, Le Roux and Bach, "Minimizing finite sums with the stochastic average gradient", 2013)
 * and SAGA (Defazio, Bach and Lacoste-Julien, NIPS 2014) of linear models over the rows of one rank.
 *
 * A table has the derivative of each row's loss when the row was last drawn. A step goes along the mean of all of the
 * table's gradients (for SAGA, with what has changed in the drawn row's in full), shrinks the weights by the squared norm,
 * and then draws them to zero by the absolute one.
 *
 * Dense rows take all of a step at once. With sparse rows the weights are held as scale * w, so that shrinking costs
 * nothing, and a weight takes its steps when a row that has its column is drawn: until then its mean gradient does not
 * change, so the steps that it has missed are one difference of running sums.
 */
#include <math.h>
#include <stdint.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))
#define JOIN_(a, b) a##_##b
#define JOIN(a, b) JOIN_(a, b)

/* The numbers of mllib/optim/sag.py. */
enum { SQUARED, LOGISTIC, MULTINOMIAL };

typedef struct {
    int64_t rows, columns, classes;
    const double *y, *weights; /* weights NULL: all 1 */
    int loss, saga, intercept;
    double eta, l2, l2_bias, l1;
    double *w, *bias, *sum, *bias_sum, *table;
    uint8_t *seen;
    int64_t *drawn;         /* [1], how many rows were seen */
    double *steps, *pulls;  /* [count + 1], running sums of the steps' lengths, along the mean and to zero */
    int64_t *done;          /* [columns], how many steps each weight has taken */
} sag_state;

typedef double sag_double4 __attribute__((vector_size(32)));
typedef double sag_double4_any __attribute__((vector_size(32), aligned(8), may_alias));

/* The derivatives of a row's loss by its margins, in place. */
INLINE void derivatives(const sag_state *s, int64_t i, double *z, const int64_t classes) {
    const double weight = s->weights ? s->weights[i] : 1, y = s->y[i];
    if (s->loss == SQUARED) {
        z[0] = weight * (z[0] - y);
    } else if (s->loss == LOGISTIC) {
        z[0] = -weight * y / (1 + exp(y * z[0]));
    } else {
        double most = z[0], total = 0;
        for (int64_t c = 1; c < classes; c++) most = z[c] > most ? z[c] : most;
        for (int64_t c = 0; c < classes; c++) total += z[c] = exp(z[c] - most);
        for (int64_t c = 0; c < classes; c++) z[c] *= weight / total;
        z[(int64_t)y] -= weight;
    }
}

/* v after the steps v = soft(v - a g, p) from `first` to `last`, a and p of each from the running sums A and P; g >= 0.
 * There are at most three stretches, each with a closed form, and bisection finds where they meet: v falls to zero;
 * falls on below zero as long as a g > p (a / p never grows); then rises to zero and stays. */
static double missed_down(double v, double g, const double *A, const double *P, int64_t first, int64_t last) {
    if (v > 0) {
        const double all = v - (A[last] - A[first]) * g - (P[last] - P[first]);
        if (all > 0) return all;
        int64_t low = first + 1, high = last;
        while (low < high) {
            const int64_t middle = (low + high) / 2;
            if (v - (A[middle] - A[first]) * g - (P[middle] - P[first]) > 0)
                low = middle + 1;
            else
                high = middle;
        }
        const double before = v - (A[low] - A[first]) * g - (P[low - 1] - P[first]), pull = P[low] - P[low - 1];
        v = before < -pull ? before + pull : 0;
        first = low;
    }
    int64_t low = first, high = last;
    while (low < high) {
        const int64_t middle = (low + high) / 2;
        if ((A[middle + 1] - A[middle]) * g > P[middle + 1] - P[middle])
            low = middle + 1;
        else
            high = middle;
    }
    v -= (A[low] - A[first]) * g - (P[low] - P[first]);
    const double rest = v - (A[last] - A[low]) * g + (P[last] - P[low]);
    return rest < 0 ? rest : 0;
}

/* The steps that a weight has missed; most often the mean gradient is too small to leave zero. */
INLINE double missed(double v, double g, const double *A, const double *P, int64_t first, int64_t last) {
    if (first == last) return v;
    return g < 0 ? -missed_down(-v, -g, A, P, first, last) : missed_down(v, g, A, P, first, last);
}

/* All weights take the steps up to `now`, and the scale goes into them. */
static void settle(sag_state *s, int64_t now, double scale) {
    for (int64_t j = 0; j < s->columns; j++) {
        double *const v = s->w + j * s->classes;
        const double *const g = s->sum + j * s->classes;
        for (int64_t c = 0; c < s->classes; c++) {
            if (s->l1 > 0)
                v[c] = missed(v[c], g[c], s->steps, s->pulls, s->done[j], now);
            else
                v[c] -= (s->steps[now] - s->steps[s->done[j]]) * g[c];
            v[c] *= scale;
        }
        s->done[j] = now;
    }
    s->steps[now] = s->pulls[now] = 0; /* nobody looks back beyond here */
}

/* The intercepts' step. */
INLINE void step_bias(sag_state *s, const double *change, double seen, double share, const int64_t classes) {
    for (int64_t c = 0; c < classes; c++) {
        s->bias_sum[c] += change[c];
        s->bias[c] *= 1 - s->eta * s->l2_bias;
        s->bias[c] -= s->eta * s->bias_sum[c] / seen + share * change[c];
    }
}

/* Whether all weights are finite. */
static int all_finite(const sag_state *s) {
    double all = 0;
    for (int64_t j = 0; j < s->columns * s->classes; j++) all += 0 * s->w[j];
    for (int64_t c = 0; c < s->classes; c++) all += 0 * s->bias[c];
    return all == 0;
}

#define REAL float
#define NAME f32
#include "sag_rows.h"
#undef REAL
#undef NAME
#define REAL double
#define NAME f64
#include "sag_rows.h"
