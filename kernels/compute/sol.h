/* sol.h: what a generated program and the runtime that calls it agree on. */
#ifndef SOL_H
#define SOL_H

#include <stdint.h>

#include "vec.h"

/* One task of a cluster: reads and writes the buffers it is given. Tasks of a round may run in any order, at once. */
typedef void sol_kernel(float *const *buffer, int64_t task);

/* A cluster: its kernel, how many tasks it has, which of the program's values its buffers are, and how often all its
 * tasks run: those of round r are r * tasks + i, and begin when those of round r - 1 are done. */
typedef struct {
    sol_kernel *kernel;
    const int64_t *tasks;
    const int32_t *values;
    int32_t buffers;
    int32_t rounds;
} sol_cluster;

enum { SOL_MOST_BUFFERS = 64 };

/* A number of floating point that a program for many shapes finds among its sizes, as bits. */
VF_INLINE float sol_real(int64_t bits) {
    const uint32_t low = (uint32_t)bits;
    float number;
    __builtin_memcpy(&number, &low, sizeof number);
    return number;
}

VF_INLINE int64_t sol_min(int64_t a, int64_t b) { return a < b ? a : b; }
VF_INLINE int64_t sol_max(int64_t a, int64_t b) { return a > b ? a : b; }

/* The largest of two numbers, or of the first n lanes; NaN if there is one. */
VF_INLINE float sol_max_nan(float a, float b) { return b > a || b != b ? b : a; }
VF_INLINE float sol_max_n(vf v, int n) {
    float lane[VLEN], most;
    vf_store(lane, v);
    most = lane[0];
    for (int i = 1; i < n; i++) most = sol_max_nan(most, lane[i]);
    return most;
}

/* Constant expressions, for sizes of arrays. */
#define SOL_MIN(a, b) ((a) < (b) ? (a) : (b))
#define SOL_MAX(a, b) ((a) > (b) ? (a) : (b))
#define SOL_CEIL(a, b) (((a) + (b) - 1) / (b))

/* Zeros around a plane of height x width pixels, `lanes` floats each; `plane` is the corner of the halo. */
VF_INLINE void sol_zero_halo(float *plane, int64_t height, int64_t width, int64_t rows, int64_t columns, int64_t lanes) {
    const int64_t row = (width + 2 * columns) * lanes;
    for (int64_t i = 0; i < rows * row; i++) plane[i] = plane[(height + rows) * row + i] = 0;
    for (int64_t y = rows; y < height + rows; y++)
        for (int64_t i = 0; i < columns * lanes; i++)
            plane[y * row + i] = plane[y * row + (width + columns) * lanes + i] = 0;
}

#endif
