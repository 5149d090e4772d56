/* als.c: one half of a step of alternating least squares: each row's factors from the other side's, which stay fixed.
 *
 * Factors and ratings are float or double; normal equations are built and solved in double. */
#include "parallel.h"

#include <math.h>
#include <stdlib.h>

enum { ROWS = 16, TOGETHER = 4 }; /* rows of one task; ratings whose products go to the normal equations at once */

/* Room for so many factors, so that rows are whole vectors on all machines. */
static int64_t padded(int64_t rank) { return (rank + 7) / 8 * 8; }

/* x = A^-1 b by Cholesky's factorisation U^T U of the upper triangle of A, [k, k]; both are overwritten, b by x. Rows of U are
 * taken off those below, a loop without a chain of sums. `least` is what a pivot cannot fall below but by rounding. */
static void solve(int64_t k, double *A, double *b, double least) {
    for (int64_t i = 0; i < k; i++) {
        double *restrict row = A + i * k;
        const double scale = 1 / sqrt(row[i] > least ? row[i] : least);
        const int64_t from = i & ~(int64_t)7; /* what is left of the diagonal is never read */
        for (int64_t l = from; l < k; l++) row[l] *= scale;
        row[i] = scale; /* the diagonal has its inverse */
        b[i] *= scale;
        for (int64_t j = i + 1; j < k; j++) {
            double *restrict below = A + j * k;
            const double factor = row[j];
            for (int64_t l = j & ~(int64_t)7; l < k; l++) below[l] -= factor * row[l];
            b[j] -= factor * b[i];
        }
    }
    for (int64_t i = k - 1; i >= 0; i--) {
        double sum = b[i];
        for (int64_t l = i + 1; l < k; l++) sum -= A[i * k + l] * b[l];
        b[i] = sum * A[i * k + i];
    }
}

#define REAL float
#define NAME(name) name##_float
#include "als_rows.h"
#undef REAL
#undef NAME
#define REAL double
#define NAME(name) name##_double
#include "als_rows.h"
