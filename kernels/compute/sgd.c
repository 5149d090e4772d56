/* sgd.c: stochastic gradient descent of linear models over the rows of one rank. */
#include <math.h>
#include <stdint.h>

/* The numbers of mllib/optim/sgd.py. */
enum { HINGE, SQUARED_HINGE, PERCEPTRON, LOG, MODIFIED_HUBER, SQUARED, HUBER, EPSILON, SQUARED_EPSILON };
enum { CONSTANT, OPTIMAL, INVSCALING, ADAPTIVE, PA1, PA2 };

static double loss_of(int loss, double epsilon, double p, double y, double *derivative) {
    const double m = p * y, error = p - y, size = fabs(error), beyond = size - epsilon, sign = error > 0 ? 1 : -1;
    switch (loss) {
    case HINGE: *derivative = m <= 1 ? -y : 0; return m <= 1 ? 1 - m : 0;
    case SQUARED_HINGE: *derivative = m < 1 ? -2 * y * (1 - m) : 0; return m < 1 ? (1 - m) * (1 - m) : 0;
    case PERCEPTRON: *derivative = m <= 0 ? -y : 0; return m <= 0 ? -m : 0;
    case LOG: *derivative = -y / (exp(fmin(m, 700)) + 1); return m > 0 ? log1p(exp(-m)) : log1p(exp(m)) - m;
    case MODIFIED_HUBER:
        *derivative = m >= 1 ? 0 : m >= -1 ? -2 * y * (1 - m) : -4 * y;
        return m >= 1 ? 0 : m >= -1 ? (1 - m) * (1 - m) : -4 * m;
    case SQUARED: *derivative = error; return 0.5 * error * error;
    case HUBER:
        *derivative = size <= epsilon ? error : sign * epsilon;
        return size <= epsilon ? 0.5 * error * error : epsilon * (size - 0.5 * epsilon);
    case EPSILON: *derivative = beyond > 0 ? sign : 0; return fmax(beyond, 0);
    default: *derivative = beyond > 0 ? 2 * sign * beyond : 0; return beyond > 0 ? beyond * beyond : 0;
    }
}

/* One sweep of `count` steps, each at a row that `order` says.
 *   dense [., columns], or CSR where it is NULL; y, weights (of a step): of all rows
 *   w [columns], bias [1], steps [1] (the number of the next step, from 1): kept up to date
 *   drift [columns], and of the bias at the end, [columns + 1]: sums of w over the steps are added; NULL: not wanted
 *   pulled [columns]: how much of the absolute norm each coefficient has had (Tsuruoka and others, ACL 2009), and
 *   pull [1]: how much all should have had
 *   shrink: of the squared norm, l1: of the absolute one
 * The weights are held as scale * w, so that shrinking them costs nothing. Returns the weighted sum of losses. */
#define EPOCH(NAME, REAL)                                                                                                \
    double NAME(int64_t count, int64_t columns, const REAL *dense, const int64_t *starts, const int32_t *index,          \
                const REAL *values, const int64_t *order, const double *y, const double *weights, int loss,              \
                double epsilon, int rate, double eta, double power, double start, double alpha, double shrink, double l1, \
                int intercept, double decay, double *w, double *bias, double *steps, double *drift, double *pulled,      \
                double *pull, int threads) {                                                                             \
        (void)threads;                                                                                                   \
        double sum = 0, scale = 1, scales = 0, norm = 0, now = eta;                                                      \
        for (int64_t j = 0; j < columns; j++) norm += w[j] * w[j];                                                       \
        for (int64_t at = 0; at < count; at++) {                                                                         \
            const int64_t i = order[at], first = dense ? i * columns : starts[i];                                        \
            const int64_t length = dense ? columns : starts[i + 1] - first;                                              \
            const REAL *const x = (dense ? dense : values) + first;                                                      \
            const int32_t *const place = dense ? 0 : index + first;                                                      \
            double p = 0, square = 0, slope, step;                                                                       \
            if (dense)                                                                                                   \
                for (int64_t j = 0; j < length; j++) p += x[j] * w[j];                                                   \
            else                                                                                                         \
                for (int64_t j = 0; j < length; j++) p += x[j] * w[place[j]];                                            \
            p = p * scale + *bias;                                                                                       \
            if (rate == OPTIMAL) now = 1 / (alpha * (start + *steps - 1));                                               \
            if (rate == INVSCALING) now = eta / pow(*steps, power);                                                      \
            const double cost = loss_of(loss, epsilon, p, y[i], &slope);                                                 \
            sum += weights[i] * (cost + 0.5 * shrink * norm * scale * scale);                                            \
            if (rate >= PA1) {                                                                                           \
                for (int64_t j = 0; j < length; j++) square += (double)x[j] * x[j];                                      \
                if (rate == PA1 && square == 0) continue;                                                                \
                step = rate == PA1 ? fmin(eta, cost / square) : cost / (square + 0.5 / eta);                             \
                step *= loss <= MODIFIED_HUBER ? y[i] : (y[i] < p ? -1 : 1);                                             \
            } else                                                                                                       \
                step = -now * fmin(fmax(slope, -1e12), 1e12);                                                            \
            step *= weights[i];                                                                                          \
            scale *= fmax(0, 1 - now * shrink);                                                                          \
            if (scale < 1e-9) {                                                                                          \
                for (int64_t j = 0; j < columns; j++) {                                                                  \
                    if (drift) drift[j] += scales * w[j];                                                                \
                    w[j] *= scale;                                                                                       \
                }                                                                                                        \
                norm *= scale * scale, scale = 1, scales = 0;                                                            \
            }                                                                                                            \
            *pull += l1 * now;                                                                                           \
            if (step != 0 || l1 > 0)                                                                                     \
                for (int64_t j = 0; j < length; j++) {                                                                   \
                    const int64_t k = dense ? j : place[j];                                                              \
                    const double old = w[k];                                                                             \
                    double made = old + step / scale * x[j];                                                             \
                    if (l1 > 0) {                                                                                        \
                        const double before = made;                                                                      \
                        if (made > 0)                                                                                    \
                            made = fmax(0, made - (*pull + pulled[k]) / scale);                                          \
                        else                                                                                             \
                            made = fmin(0, made + (*pull - pulled[k]) / scale);                                          \
                        pulled[k] += scale * (made - before);                                                            \
                    }                                                                                                    \
                    w[k] = made;                                                                                         \
                    norm += made * made - old * old;                                                                     \
                    if (drift) drift[k] -= scales * (made - old);                                                        \
                }                                                                                                        \
            if (intercept) *bias += step * decay;                                                                        \
            if (drift) {                                                                                                 \
                scales += scale;                                                                                         \
                drift[columns] += *bias;                                                                                 \
            }                                                                                                            \
            ++*steps;                                                                                                    \
        }                                                                                                                \
        for (int64_t j = 0; j < columns; j++) {                                                                          \
            if (drift) drift[j] += scales * w[j];                                                                        \
            w[j] *= scale;                                                                                               \
        }                                                                                                                \
        return sum;                                                                                                      \
    }

EPOCH(sgd_epoch_f32, float)
EPOCH(sgd_epoch_f64, double)
