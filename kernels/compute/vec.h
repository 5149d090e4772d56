/* vec.h: the only file that knows a machine.
 *
 * A vector is `vf`: VLEN float32 lanes, a constant of the machine (AVX-512 16, AVX 8, SSE and NEON 4, Vector Engine
 * 256), or where -DSOL_LANES says so the same for several machines that share their weights (see wide.h). Generated code
 * and hand-written kernels are written once against the functions below.
 *
 *   memory      vf_load vf_store            VLEN floats, any alignment
 *               vf_load_n vf_store_n        the first n lanes (1 <= n <= VLEN); other lanes: unspecified, not touched
 *               vf_gather vf_scatter        n floats, `stride` floats apart
 *   arithmetic  vf_set1 vf_add vf_sub vf_mul vf_div vf_sqrt vf_neg
 *               vf_fma(a, b, c)             a * b + c, one rounding where the machine has it
 *               vf_axpy(s, x, y)            s * x + y with a scalar s: the heart of every matrix kernel
 *   choice      vf_if_less(a, b, x, y)      per lane a < b ? x : y, so y where a or b is NaN
 *               vf_max vf_min               give the second argument where either is NaN
 *               vf_max_nan                  NaN where either is NaN
 *   reduction   vf_sum_n(v, n)              sum of the first n lanes
 *   functions   vf_exp vf_sigmoid vf_tanh   below 2 ulp (exp), 4 ulp (others); built from the above, so every machine
 *                                           has them, the Vector Engine (no C library here) too
 *               vf_log vf_erf vf_gelu vf_gelu_tanh
 */
#ifndef SOL_VEC_H
#define SOL_VEC_H

#include <stdint.h>

#define VF_INLINE static inline __attribute__((always_inline, unused))

/* Loops over register tiles must vanish at compile time, or the tile lives in memory. */
#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 64")
#endif

#if defined(__ve__)
/* ---------------------------------------------------------------- NEC SX-Aurora Vector Engine: 256 lanes, intrinsics.
 * A float32 lives in the upper half of a 64-bit element. */
#include <velintrin.h>
#define VLEN 256
typedef __vr vf;

VF_INLINE vf vf_set1(float x) { return _vel_vbrds_vsl(x, VLEN); }
VF_INLINE vf vf_load(const float *p) { return _vel_vldu_vssl(4, (void *)p, VLEN); }
VF_INLINE vf vf_load_n(const float *p, int n) { return _vel_vldu_vssl(4, (void *)p, n); }
VF_INLINE vf vf_gather(const float *p, int64_t stride, int n) { return _vel_vldu_vssl(4 * stride, (void *)p, n); }
VF_INLINE void vf_store(float *p, vf v) { _vel_vstu_vssl(v, 4, p, VLEN); }
VF_INLINE void vf_store_n(float *p, vf v, int n) { _vel_vstu_vssl(v, 4, p, n); }
VF_INLINE void vf_scatter(float *p, int64_t stride, vf v, int n) { _vel_vstu_vssl(v, 4 * stride, p, n); }
VF_INLINE vf vf_add(vf a, vf b) { return _vel_vfadds_vvvl(a, b, VLEN); }
VF_INLINE vf vf_sub(vf a, vf b) { return _vel_vfsubs_vvvl(a, b, VLEN); }
VF_INLINE vf vf_mul(vf a, vf b) { return _vel_vfmuls_vvvl(a, b, VLEN); }
VF_INLINE vf vf_div(vf a, vf b) { return _vel_vfdivs_vvvl(a, b, VLEN); }
VF_INLINE vf vf_neg(vf a) { return _vel_vfmuls_vsvl(-1.0f, a, VLEN); }
VF_INLINE vf vf_sqrt(vf a) { return _vel_vfsqrts_vvl(a, VLEN); }
VF_INLINE vf vf_fma(vf a, vf b, vf c) { return _vel_vfmads_vvvvl(c, a, b, VLEN); }
VF_INLINE vf vf_axpy(float s, vf x, vf y) { return _vel_vfmads_vvsvl(y, s, x, VLEN); }
VF_INLINE vf vf_if_less(vf a, vf b, vf x, vf y) {
    __vm256 less = _vel_vfmkslt_mvl(_vel_vfcmps_vvvl(a, b, VLEN), VLEN);
    return _vel_vmrg_vvvml(y, x, less, VLEN);
}
VF_INLINE vf vf_if_nan(vf a, vf x, vf y) {
    return _vel_vmrg_vvvml(y, x, _vel_vfmksnan_mvl(a, VLEN), VLEN);
}
VF_INLINE float vf_sum_n(vf v, int n) { return _vel_lvss_svs(_vel_vfsums_vvl(v, n), 0); }
/* The exponent of a normal positive number, and in `m` the rest, in [1, 2). */
VF_INLINE vf vf_exponent(vf x, vf *m) {
    const __vr bits = _vel_vsrl_vvsl(x, 32, VLEN);
    const __vr rest = _vel_vor_vsvl(0x3f800000, _vel_vand_vsvl(0x7fffff, bits, VLEN), VLEN);
    *m = _vel_vsll_vvsl(rest, 32, VLEN);
    return _vel_vcvtsw_vvl(_vel_vaddswsx_vsvl(-127, _vel_vsrl_vvsl(bits, 23, VLEN), VLEN), VLEN);
}
/* 2^n for whole n from -126 to 127: the exponent field, moved to the upper half of the element. */
VF_INLINE vf vf_pow2(vf n) {
    return _vel_vsll_vvsl(_vel_vaddswsx_vsvl(127, _vel_vcvtwssx_vvl(n, VLEN), VLEN), 55, VLEN);
}

#else
/* ---------------------------------------------------------------- Hosts: the vector extensions of GCC and Clang.
 * VH is the width of a register. With -DSOL_LANES=n, a multiple of it, a vector is n lanes in several registers: this
 * section then defines `vh`, vh_add and so on for one register, and wide.h makes `vf` of them. */
#if defined(__AVX512F__)
#define VH 16
#elif defined(__AVX__)
#define VH 8
#else
#define VH 4 /* SSE2, NEON, and anything else these compilers know */
#endif

#if defined(SOL_LANES) && SOL_LANES != VH
#if SOL_LANES % VH != 0
#error "SOL_LANES is no multiple of what a register holds"
#endif
#define VLEN SOL_LANES
#define VH_(name) vh_##name
#else
#define VLEN VH
#define VH_(name) vf_##name
typedef float vf __attribute__((vector_size(4 * VLEN)));
#endif

typedef float vh __attribute__((vector_size(4 * VH)));
typedef int32_t vi __attribute__((vector_size(4 * VH)));
typedef float vh_any __attribute__((vector_size(4 * VH), aligned(4), may_alias)); /* at any address */

VF_INLINE vh VH_(set1)(float x) { return x - (vh){0}; } /* x - 0 is x, also for -0 */
VF_INLINE vh VH_(load)(const float *p) { return *(const vh_any *)p; }
VF_INLINE void VH_(store)(float *p, vh v) { *(vh_any *)p = v; }

#if defined(__AVX512F__)
VF_INLINE vh VH_(load_n)(const float *p, int n) {
    return (vh)__builtin_ia32_loadups512_mask((const void *)p, (vh){0}, (uint16_t)((1u << n) - 1));
}
VF_INLINE void VH_(store_n)(float *p, vh v, int n) {
    __builtin_ia32_storeups512_mask((void *)p, v, (uint16_t)((1u << n) - 1));
}
#elif defined(__AVX__)
VF_INLINE vi vh_first(int n) { return ((vi){0, 1, 2, 3, 4, 5, 6, 7} < n); }
VF_INLINE vh VH_(load_n)(const float *p, int n) { return __builtin_ia32_maskloadps256((const void *)p, vh_first(n)); }
VF_INLINE void VH_(store_n)(float *p, vh v, int n) { __builtin_ia32_maskstoreps256((void *)p, vh_first(n), v); }
#else
VF_INLINE vh VH_(load_n)(const float *p, int n) {
    vh v = {0};
    for (int i = 0; i < n; i++) v[i] = p[i];
    return v;
}
VF_INLINE void VH_(store_n)(float *p, vh v, int n) {
    for (int i = 0; i < n; i++) p[i] = v[i];
}
#endif

VF_INLINE vh VH_(add)(vh a, vh b) { return a + b; }
VF_INLINE vh VH_(sub)(vh a, vh b) { return a - b; }
VF_INLINE vh VH_(mul)(vh a, vh b) { return a * b; }
VF_INLINE vh VH_(div)(vh a, vh b) { return a / b; }
VF_INLINE vh VH_(neg)(vh a) { return -a; }
VF_INLINE vh VH_(fma)(vh a, vh b, vh c) { return a * b + c; } /* contracted: see the flags in solkit/toolchain.py */
VF_INLINE vh VH_(axpy)(float s, vh x, vh y) { return s * x + y; }
VF_INLINE vh VH_(sqrt)(vh a) {
    UNROLL for (int i = 0; i < VH; i++) a[i] = __builtin_sqrtf(a[i]);
    return a;
}
VF_INLINE vh vh_choose(vi mask, vh x, vh y) { return (vh)((mask & (vi)x) | (~mask & (vi)y)); }
VF_INLINE vh VH_(if_less)(vh a, vh b, vh x, vh y) { return vh_choose(a < b, x, y); }
VF_INLINE vh VH_(if_nan)(vh a, vh x, vh y) { return vh_choose(a != a, x, y); }
VF_INLINE vh VH_(pow2)(vh n) { return (vh)((__builtin_convertvector(n, vi) + 127) << 23); }
/* The exponent of a normal positive number, and in `m` the rest, in [1, 2). */
VF_INLINE vh VH_(exponent)(vh x, vh *m) {
    *m = (vh)(((vi)x & 0x7fffff) | 0x3f800000);
    return __builtin_convertvector(((vi)x >> 23) - 127, vh);
}

#if VLEN != VH
#include "wide.h"
#else
VF_INLINE float vf_sum_n(vf v, int n) {
    float sum = 0;
    for (int i = 0; i < n; i++) sum += v[i];
    return sum;
}
#endif

VF_INLINE vf vf_gather(const float *p, int64_t stride, int n) {
    float lane[VLEN] = {0};
    for (int i = 0; i < n; i++) lane[i] = p[i * stride];
    return vf_load(lane);
}
VF_INLINE void vf_scatter(float *p, int64_t stride, vf v, int n) {
    float lane[VLEN];
    vf_store(lane, v);
    for (int i = 0; i < n; i++) p[i * stride] = lane[i];
}
#endif

/* ---------------------------------------------------------------- The same on every machine. */
VF_INLINE vf vf_max(vf a, vf b) { return vf_if_less(b, a, a, b); }
VF_INLINE vf vf_min(vf a, vf b) { return vf_if_less(a, b, a, b); }
VF_INLINE vf vf_max_nan(vf a, vf b) { return vf_if_nan(a, a, vf_max(a, b)); }

/* To the nearest whole number, for |x| < 2^22: adding 1.5 * 2^23 pushes the fraction out of the mantissa. */
VF_INLINE vf vf_round(vf x) {
    const vf shift = vf_set1(12582912.0f);
    return vf_sub(vf_add(x, shift), shift);
}

/* e^x = 2^n * e^r with n = round(x / ln 2), |r| <= ln 2 / 2; ln 2 in two parts keeps r exact (Cody and Waite). The
 * polynomial is the Taylor series to r^7, whose remainder there is below 2^-27. 2^n goes on in two factors, so that
 * results beyond the range of one exponent become infinity or a subnormal, as they should. */
VF_INLINE vf vf_exp(vf x) {
    const vf bounded = vf_max(vf_set1(-104.0f), vf_min(vf_set1(89.0f), x));
    const vf n = vf_round(vf_mul(bounded, vf_set1(1.44269504088896341f)));
    const vf r = vf_fma(n, vf_set1(2.12194440e-4f), vf_fma(n, vf_set1(-0.693359375f), bounded));
    vf p = vf_set1(1.0f / 5040);
    p = vf_fma(p, r, vf_set1(1.0f / 720));
    p = vf_fma(p, r, vf_set1(1.0f / 120));
    p = vf_fma(p, r, vf_set1(1.0f / 24));
    p = vf_fma(p, r, vf_set1(1.0f / 6));
    p = vf_fma(p, r, vf_set1(0.5f));
    p = vf_fma(p, r, vf_set1(1.0f));
    p = vf_fma(p, r, vf_set1(1.0f));
    const vf half = vf_round(vf_mul(n, vf_set1(0.5f)));
    return vf_mul(vf_mul(p, vf_pow2(half)), vf_pow2(vf_sub(n, half)));
}

VF_INLINE vf vf_sigmoid(vf x) {
    const vf one = vf_set1(1.0f);
    return vf_div(one, vf_add(one, vf_exp(vf_neg(x))));
}

/* 1 - 2 / (e^2x + 1), which cancels near 0: there the Taylor series, to x^13. */
VF_INLINE vf vf_tanh(vf x) {
    const vf one = vf_set1(1.0f);
    const vf size = vf_max(vf_neg(x), x);
    const vf far_off = vf_sub(one, vf_div(vf_set1(2.0f), vf_add(vf_exp(vf_add(size, size)), one)));
    const vf s = vf_mul(x, x);
    vf p = vf_set1(21844.0f / 6081075);
    p = vf_fma(p, s, vf_set1(-1382.0f / 155925));
    p = vf_fma(p, s, vf_set1(62.0f / 2835));
    p = vf_fma(p, s, vf_set1(-17.0f / 315));
    p = vf_fma(p, s, vf_set1(2.0f / 15));
    p = vf_fma(p, s, vf_set1(-1.0f / 3));
    const vf near_by = vf_fma(vf_mul(p, s), x, x);
    const vf signed_off = vf_if_less(x, vf_set1(0.0f), vf_neg(far_off), far_off);
    return vf_if_less(size, vf_set1(0.5f), near_by, signed_off);
}

/* Half of the complementary error function of |x| / sqrt 2, the tail of the normal distribution: formula 7.1.26 of
 * Abramowitz and Stegun, whose relative error is small where e^-x^2/2 is; absolute error below 1e-7. */
VF_INLINE vf vf_normal_tail(vf x) {
    const vf size = vf_max(vf_neg(x), x);
    const vf t = vf_div(vf_set1(1.0f), vf_fma(size, vf_set1(0.3275911f * 0.70710678f), vf_set1(1.0f)));
    vf p = vf_set1(0.5f * 1.061405429f);
    p = vf_fma(p, t, vf_set1(0.5f * -1.453152027f));
    p = vf_fma(p, t, vf_set1(0.5f * 1.421413741f));
    p = vf_fma(p, t, vf_set1(0.5f * -0.284496736f));
    p = vf_fma(p, t, vf_set1(0.5f * 0.254829592f));
    return vf_mul(vf_mul(p, t), vf_exp(vf_mul(vf_mul(x, x), vf_set1(-0.5f))));
}

/* x times the probability that a normal variable is below x (Hendrycks and Gimpel 2016). */
VF_INLINE vf vf_gelu(vf x) {
    const vf tail = vf_normal_tail(x);
    return vf_mul(x, vf_if_less(x, vf_set1(0.0f), tail, vf_sub(vf_set1(1.0f), tail)));
}

/* Its approximation by tanh: x / (1 + e^-2u), u = sqrt(2 / pi) (x + 0.044715 x^3). */
VF_INLINE vf vf_gelu_tanh(vf x) {
    const vf cubic = vf_mul(x, vf_fma(vf_mul(x, x), vf_set1(-2 * 0.7978845608f * 0.044715f), vf_set1(-2 * 0.7978845608f)));
    return vf_div(x, vf_add(vf_set1(1.0f), vf_exp(cubic)));
}

/* Near 0 the Taylor series, to x^13; beyond, the tail. */
VF_INLINE vf vf_erf(vf x) {
    const vf s = vf_mul(x, x);
    vf p = vf_set1(1.1283791671f / 9360);
    p = vf_fma(p, s, vf_set1(-1.1283791671f / 1320));
    p = vf_fma(p, s, vf_set1(1.1283791671f / 216));
    p = vf_fma(p, s, vf_set1(-1.1283791671f / 42));
    p = vf_fma(p, s, vf_set1(1.1283791671f / 10));
    p = vf_fma(p, s, vf_set1(-1.1283791671f / 3));
    p = vf_fma(p, s, vf_set1(1.1283791671f));
    const vf tail = vf_normal_tail(vf_mul(x, vf_set1(1.41421356f)));
    const vf far_off = vf_sub(vf_set1(1.0f), vf_add(tail, tail));
    const vf signed_off = vf_if_less(x, vf_set1(0.0f), vf_neg(far_off), far_off);
    return vf_if_less(s, vf_set1(0.25f), vf_mul(p, x), signed_off);
}

/* Natural logarithm: x = 2^n m with m in [sqrt 1/2, sqrt 2); log m by the series of atanh((m - 1) / (m + 1)). Below 3 ulp;
 * subnormal numbers count as 0. */
VF_INLINE vf vf_log(vf x) {
    vf m;
    const vf n = vf_exponent(x, &m);
    const vf one = vf_set1(1.0f), big = vf_set1(1.41421356f);
    const vf halved = vf_if_less(big, m, vf_mul(m, vf_set1(0.5f)), m);
    const vf whole = vf_if_less(big, m, vf_add(n, one), n);
    const vf f = vf_sub(halved, one);
    const vf q = vf_div(f, vf_add(halved, one));
    const vf s = vf_mul(q, q);
    vf p = vf_set1(2.0f / 11);
    p = vf_fma(p, s, vf_set1(2.0f / 9));
    p = vf_fma(p, s, vf_set1(2.0f / 7));
    p = vf_fma(p, s, vf_set1(2.0f / 5));
    p = vf_fma(p, s, vf_set1(2.0f / 3));
    const vf series = vf_fma(vf_mul(p, s), q, vf_add(q, q));
    const vf sum = vf_fma(whole, vf_set1(0.693359375f), vf_fma(whole, vf_set1(-2.12194440e-4f), series));
    const vf zero = vf_set1(0.0f), least = vf_set1(1.17549435e-38f);
    const vf some = vf_if_less(x, least, vf_if_less(x, zero, vf_set1(__builtin_nanf("")), vf_set1(-__builtin_inff())), sum);
    return vf_if_nan(x, x, vf_if_less(x, vf_set1(__builtin_inff()), some, x));
}

#endif
