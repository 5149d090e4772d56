/* coordinate.c: coordinate descent. */
#include <math.h>
#include <stdint.h>

/* Sweeps over the coordinates of 1/2 w^T G w - q^T w + l1 |w|_1 + l2/2 |w|^2 (Friedman, Hastie, Tibshirani 2010).
 *   gram [n, n] symmetric, q [n]
 *   w [n] and product = G w [n]: both kept up to date
 *   order [n]: the coordinates in the order of a sweep; NULL: as they are
 *   returns how many sweeps there were: until no coordinate changes by more than tol times the largest, or `most`. */
int64_t coordinate_gram(int64_t n, const double *gram, const double *q, double *w, double *product, double l1, double l2,
                        int positive, const int64_t *order, double tol, int64_t most, int threads) {
    (void)threads; /* each coordinate waits for the one before */
    for (int64_t sweep = 1; sweep <= most; sweep++) {
        double change = 0, largest = 0;
        for (int64_t at = 0; at < n; at++) {
            const int64_t j = order ? order[at] : at;
            const double *const row = gram + j * n;
            if (row[j] <= 0) continue;
            const double old = w[j], pull = q[j] - product[j] + row[j] * old, size = fabs(pull) - l1;
            double made = size > 0 ? (pull > 0 ? size : -size) / (row[j] + l2) : 0;
            if (positive && made < 0) made = 0;
            const double step = made - old;
            if (step != 0) {
                for (int64_t i = 0; i < n; i++) product[i] += step * row[i];
                w[j] = made;
            }
            change = fmax(change, fabs(step));
            largest = fmax(largest, fabs(made));
        }
        if (largest == 0 || change <= tol * largest) return sweep;
    }
    return most;
}
