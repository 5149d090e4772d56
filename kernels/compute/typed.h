/* typed.h: numbers of all types, for kernels that are plain loops over memory of any dtype.
 *
 * float16 and bfloat16 lie in memory as uint16_t and are computed with as float; bool as uint8_t, 0 or 1. Whole numbers
 * wrap around as in PyTorch: what may overflow is computed without sign. Nothing here traps or reads outside; what
 * PyTorch raises an error for is noted in a fault (see sol_fault), which the caller looks at after the run.
 */
#ifndef SOL_TYPED_H
#define SOL_TYPED_H

#include <stdint.h>

#include "vec.h"

VF_INLINE uint32_t sol_bits(float x) {
    uint32_t bits;
    __builtin_memcpy(&bits, &x, 4);
    return bits;
}
VF_INLINE float sol_float(uint32_t bits) {
    float x;
    __builtin_memcpy(&x, &bits, 4);
    return x;
}

/* ---------------------------------------------------------------- Half precision, rounded to the nearest, ties to even.
 * Without branches, so that loops over it are vectorised; the multiplications scale by powers of two and are exact. */

VF_INLINE float sol_from_float16(uint16_t half) {
    const uint32_t word = (uint32_t)half << 16, twice = word + word;
    const float normal = sol_float((twice >> 4) + (0xE0u << 23)) * 0x1.0p-112f; /* infinity and NaN too */
    const float subnormal = sol_float((twice >> 17) | (126u << 23)) - 0.5f;
    return sol_float((word & 0x80000000u) | (twice < (1u << 27) ? sol_bits(subnormal) : sol_bits(normal)));
}

VF_INLINE uint16_t sol_to_float16(float x) {
    const uint32_t word = sol_bits(x), twice = word + word;
    /* Too large becomes infinity. Adding a power of two leaves as many bits as a half has, rounded by the machine. */
    const float size = (sol_float(word & 0x7FFFFFFFu) * 0x1.0p+112f) * 0x1.0p-110f;
    const uint32_t exponent = (twice & 0xFF000000u) < 0x71000000u ? 0x71000000u : twice & 0xFF000000u;
    const uint32_t bits = sol_bits(sol_float((exponent >> 1) + 0x07800000u) + size);
    const uint32_t rounded = ((bits >> 13) & 0x7C00u) + (bits & 0x0FFFu);
    return (uint16_t)(((word >> 16) & 0x8000u) | (twice > 0xFF000000u ? 0x7E00u : rounded));
}

VF_INLINE float sol_from_bfloat16(uint16_t half) { return sol_float((uint32_t)half << 16); }

VF_INLINE uint16_t sol_to_bfloat16(float x) {
    const uint32_t bits = sol_bits(x);
    return (uint16_t)(x != x ? 0x7FC0u : (bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16);
}

/* ---------------------------------------------------------------- To whole numbers, cut towards zero. What does not fit
 * gives the smallest number, as the instructions of x86 do, and PyTorch with them. */

VF_INLINE int32_t sol_to_int32(double x) { return x > -2147483649.0 && x < 2147483648.0 ? (int32_t)x : INT32_MIN; }
VF_INLINE int64_t sol_to_int64(double x) { return x >= -0x1.0p63 && x < 0x1.0p63 ? (int64_t)x : INT64_MIN; }
VF_INLINE uint64_t sol_to_uint64(double x) {
    return x >= 0x1.0p63 ? (x < 0x1.0p64 ? (uint64_t)x : 0) : (uint64_t)sol_to_int64(x);
}

/* ---------------------------------------------------------------- What cannot be computed: `fault` is a flag and the
 * number that is wrong. Tasks may find one at the same time; any of them will do. */

VF_INLINE void sol_fault(int64_t *fault, int64_t number) {
    __atomic_store_n(fault + 1, number, __ATOMIC_RELAXED);
    __atomic_store_n(fault, 1, __ATOMIC_RELAXED);
}

/* An index into `size` elements; 0 and a fault if there is no such element. */
VF_INLINE int64_t sol_index(int64_t index, int64_t size, int64_t *fault) {
    if (__builtin_expect(index >= 0 && index < size, 1)) return index;
    sol_fault(fault, index);
    return 0;
}
/* The same, counted from the end if negative. */
VF_INLINE int64_t sol_index_wrapped(int64_t index, int64_t size, int64_t *fault) {
    return index >= -size && index < 0 ? index + size : sol_index(index, size, fault);
}

/* ---------------------------------------------------------------- Division and powers of whole numbers. Division by zero
 * is a fault and gives 0; INT64_MIN / -1 wraps around. */

VF_INLINE int64_t sol_div_trunc(int64_t a, int64_t b, int64_t *fault) {
    if (__builtin_expect(b == 0, 0)) {
        sol_fault(fault, 0);
        return 0;
    }
    return b == -1 ? (int64_t)(0 - (uint64_t)a) : a / b;
}
/* With the sign of the dividend. */
VF_INLINE int64_t sol_rem_trunc(int64_t a, int64_t b, int64_t *fault) {
    if (__builtin_expect(b == 0, 0)) {
        sol_fault(fault, 0);
        return 0;
    }
    return b == -1 ? 0 : a % b;
}
/* With the sign of the divisor, as in Python. */
VF_INLINE int64_t sol_rem_floor(int64_t a, int64_t b, int64_t *fault) {
    const int64_t rest = sol_rem_trunc(a, b, fault);
    return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}
VF_INLINE int64_t sol_div_floor(int64_t a, int64_t b, int64_t *fault) {
    const int64_t whole = sol_div_trunc(a, b, fault);
    return b != 0 && b != -1 && a % b != 0 && (a < 0) != (b < 0) ? whole - 1 : whole;
}
VF_INLINE uint64_t sol_div_unsigned(uint64_t a, uint64_t b, int64_t *fault) {
    if (__builtin_expect(b != 0, 1)) return a / b;
    sol_fault(fault, 0);
    return 0;
}
VF_INLINE uint64_t sol_rem_unsigned(uint64_t a, uint64_t b, int64_t *fault) {
    if (__builtin_expect(b != 0, 1)) return a % b;
    sol_fault(fault, 0);
    return 0;
}

VF_INLINE uint64_t sol_power_unsigned(uint64_t base, uint64_t exponent) {
    uint64_t made = 1;
    for (; exponent; exponent >>= 1, base *= base) made *= exponent & 1 ? base : 1;
    return made;
}
/* To a negative power: 0, but for the base 1 and -1. */
VF_INLINE int64_t sol_power(int64_t base, int64_t exponent) {
    if (exponent >= 0) return (int64_t)sol_power_unsigned((uint64_t)base, (uint64_t)exponent);
    return base == 1 ? 1 : base == -1 ? (exponent & 1 ? -1 : 1) : 0;
}

/* ---------------------------------------------------------------- The same for floating point, and whatever else needs
 * more than an expression, for float (f) and double (d). */

#define SOL_FLOATING(T, F, S)                                                                                          \
    VF_INLINE T sol_rem_floor_##F(T a, T b) {                                                                          \
        const T rest = __builtin_fmod##S(a, b);                                                                        \
        return rest != 0 && (b < 0) != (rest < 0) ? rest + b : rest;                                                   \
    }                                                                                                                  \
    VF_INLINE T sol_div_floor_##F(T a, T b) {                                                                          \
        if (b == 0) return a / b;                                                                                      \
        const T rest = __builtin_fmod##S(a, b);                                                                        \
        T whole = (a - rest) / b;                                                                                      \
        if (rest != 0 && (b < 0) != (rest < 0)) whole -= 1;                                                            \
        if (whole == 0) return __builtin_copysign##S(0, a / b);                                                        \
        const T floored = __builtin_floor##S(whole);                                                                   \
        return whole - floored > (T)0.5 ? floored + 1 : floored;                                                       \
    }                                                                                                                  \
    VF_INLINE T sol_sigmoid_##F(T x) { return 1 / (1 + __builtin_exp##S(-x)); }                                        \
    VF_INLINE T sol_softplus_##F(T x) {                                                                                \
        return (x > 0 ? x : 0) + __builtin_log1p##S(__builtin_exp##S(-__builtin_fabs##S(x))) + (x != x ? x : 0);       \
    }                                                                                                                  \
    VF_INLINE T sol_log_add_exp_##F(T a, T b) {                                                                        \
        if (a == b) return a + (T)0.69314718055994530942;                                                              \
        const T most = a > b || a != a ? a : b;                                                                        \
        return most + __builtin_log1p##S(__builtin_exp##S(-__builtin_fabs##S(a - b)));                                 \
    }                                                                                                                  \
    /* From 0 to `most`, and 0 for NaN. */                                                                             \
    VF_INLINE T sol_between_##F(T x, T most) { return x > 0 ? (x < most ? x : most) : 0; }                             \
    /* Mirrored at `low` and at `low` + `span` until it is between them. */                                            \
    VF_INLINE T sol_reflect_##F(T x, T low, T span) {                                                                  \
        if (span == 0) return 0;                                                                                       \
        const T size = __builtin_fabs##S(x - low), rest = __builtin_fmod##S(size, span);                               \
        const T whole = __builtin_floor##S(size / span);                                                               \
        return __builtin_fmod##S(whole, 2) == 0 ? rest + low : span - rest + low;                                      \
    }

SOL_FLOATING(float, f, f)
SOL_FLOATING(double, d, )

#endif
