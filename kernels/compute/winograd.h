/* winograd.h: the transforms of Winograd's minimal filtering, F(2, 3) and F(4, 3), one dimension at a time.
 *
 * Two outputs (four) of a filter of three taps take 4 (6) multiplications instead of 6 (12). In two dimensions, a tile of
 * 4x4 (6x6) inputs makes 2x2 (4x4) outputs with 16 (36) multiplications instead of 36 (144). Lavin and Gray, "Fast
 * Algorithms for Convolutional Neural Networks" (2016), whose matrices these are; F(4, 3) interpolates at 0, 1, -1, 2, -2.
 */
#ifndef SOL_WINOGRAD_H
#define SOL_WINOGRAD_H

#include "vec.h"

/* y = B^T x */
VF_INLINE void sol_winograd2_input(const vf *x, vf *y) {
    y[0] = vf_sub(x[0], x[2]);
    y[1] = vf_add(x[1], x[2]);
    y[2] = vf_sub(x[2], x[1]);
    y[3] = vf_sub(x[1], x[3]);
}

/* y = A^T m */
VF_INLINE void sol_winograd2_output(const vf *m, vf *y) {
    y[0] = vf_add(vf_add(m[0], m[1]), m[2]);
    y[1] = vf_sub(vf_sub(m[1], m[2]), m[3]);
}

VF_INLINE void sol_winograd4_input(const vf *x, vf *y) {
    const vf minus4 = vf_set1(-4.0f), minus5 = vf_set1(-5.0f), four = vf_set1(4.0f);
    const vf even = vf_fma(minus4, x[2], x[4]), odd = vf_fma(minus4, x[1], x[3]);
    const vf near = vf_sub(x[4], x[2]), far = vf_sub(x[3], x[1]), twice = vf_add(far, far);
    y[0] = vf_fma(four, x[0], vf_fma(minus5, x[2], x[4]));
    y[1] = vf_add(even, odd);
    y[2] = vf_sub(even, odd);
    y[3] = vf_add(near, twice);
    y[4] = vf_sub(near, twice);
    y[5] = vf_fma(four, x[1], vf_fma(minus5, x[3], x[5]));
}

VF_INLINE void sol_winograd4_output(const vf *m, vf *y) {
    const vf sum1 = vf_add(m[1], m[2]), sum2 = vf_add(m[3], m[4]);
    const vf difference1 = vf_sub(m[1], m[2]), difference2 = vf_sub(m[3], m[4]);
    y[0] = vf_add(vf_add(m[0], sum1), sum2);
    y[1] = vf_fma(vf_set1(2.0f), difference2, difference1);
    y[2] = vf_fma(vf_set1(4.0f), sum2, sum1);
    y[3] = vf_add(vf_fma(vf_set1(8.0f), difference2, difference1), m[5]);
}

#endif
