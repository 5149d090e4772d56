/* peak.c: what this machine's cores and memory can do at best, one thread's part of it. CHAINS comes from peak.py. */
#include <time.h>

#include "vec.h"

enum { STEPS = 100000 }; /* multiply-adds of each chain between two looks at the clock */

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + 1e-9 * t.tv_nsec;
}

/* FLOP/s of independent multiply-adds in registers, for about `seconds`. x <- x * scale + shift stays finite where
 * |scale| < 1. `result` takes a sum that the compiler must not leave out. */
double peak_fma(double seconds, float scale, float shift, float *result) {
    const vf a = vf_set1(scale), b = vf_set1(shift);
    vf x[CHAINS];
    UNROLL for (int c = 0; c < CHAINS; c++) x[c] = vf_set1((float)c);
    const double start = now();
    double took, steps = 0;
    do {
        for (int i = 0; i < STEPS; i++) {
            UNROLL for (int c = 0; c < CHAINS; c++) x[c] = vf_fma(x[c], a, b);
        }
        steps += STEPS;
        took = now() - start;
    } while (took < seconds);
    vf sum = x[0];
    UNROLL for (int c = 1; c < CHAINS; c++) sum = vf_add(sum, x[c]);
    *result = vf_sum_n(sum, VLEN);
    return 2.0 * VLEN * CHAINS * steps / took;
}

/* Bytes/s of reading `count` floats again and again, for about `seconds`. */
double peak_read(double seconds, const float *data, int64_t count, float *result) {
    enum { STREAMS = 8 };
    vf sum[STREAMS];
    UNROLL for (int s = 0; s < STREAMS; s++) sum[s] = vf_set1(0.0f);
    const int64_t whole = count - count % (STREAMS * VLEN);
    const double start = now();
    double took, bytes = 0;
    do {
        for (int64_t i = 0; i < whole; i += STREAMS * VLEN) {
            UNROLL for (int s = 0; s < STREAMS; s++) sum[s] = vf_add(sum[s], vf_load(data + i + s * VLEN));
        }
        bytes += 4.0 * whole;
        took = now() - start;
    } while (took < seconds);
    UNROLL for (int s = 1; s < STREAMS; s++) sum[0] = vf_add(sum[0], sum[s]);
    *result = vf_sum_n(sum[0], VLEN);
    return bytes / took;
}
