/* wide.h: a vector of SOL_LANES lanes on a machine whose registers are narrower, so that what lies in memory in vectors
 * is the same for several machines. Part of vec.h, which defines `vh`, a register, before.
 *
 * The compiler takes a vector apart into its registers, as it does a register tile: all loops over parts are unrolled.
 */
#define SOL_PARTS (VLEN / VH)
#define EACH_PART UNROLL for (int k = 0; k < SOL_PARTS; k++)

typedef struct {
    vh part[SOL_PARTS];
} vf;

VF_INLINE vf vf_set1(float x) {
    vf v;
    EACH_PART v.part[k] = vh_set1(x);
    return v;
}
VF_INLINE vf vf_load(const float *p) {
    vf v;
    EACH_PART v.part[k] = vh_load(p + k * VH);
    return v;
}
VF_INLINE void vf_store(float *p, vf v) { EACH_PART vh_store(p + k * VH, v.part[k]); }

/* So many of the first n lanes are in the k-th part or behind it. Where they are fewer than a part has, `& (VH - 1)`
 * tells the compiler that. */
#define SOL_LEFT(n) ((n) - k * VH)

VF_INLINE vf vf_load_n(const float *p, int n) {
    vf v;
    EACH_PART {
        if (SOL_LEFT(n) >= VH) v.part[k] = vh_load(p + k * VH);
        else v.part[k] = SOL_LEFT(n) > 0 ? vh_load_n(p + k * VH, SOL_LEFT(n) & (VH - 1)) : vh_set1(0.0f);
    }
    return v;
}
VF_INLINE void vf_store_n(float *p, vf v, int n) {
    EACH_PART {
        if (SOL_LEFT(n) >= VH) vh_store(p + k * VH, v.part[k]);
        else if (SOL_LEFT(n) > 0) vh_store_n(p + k * VH, v.part[k], SOL_LEFT(n) & (VH - 1));
    }
}

/* The functions that do the same to each part: NAME, what it takes, and the part of each that vh_NAME takes. */
#define SOL_LIFT(NAME, TAKES, ...)                                                                                     \
    VF_INLINE vf vf_##NAME TAKES {                                                                                     \
        vf made;                                                                                                       \
        EACH_PART made.part[k] = vh_##NAME(__VA_ARGS__);                                                               \
        return made;                                                                                                   \
    }

SOL_LIFT(add, (vf a, vf b), a.part[k], b.part[k])
SOL_LIFT(sub, (vf a, vf b), a.part[k], b.part[k])
SOL_LIFT(mul, (vf a, vf b), a.part[k], b.part[k])
SOL_LIFT(div, (vf a, vf b), a.part[k], b.part[k])
SOL_LIFT(neg, (vf a), a.part[k])
SOL_LIFT(sqrt, (vf a), a.part[k])
SOL_LIFT(fma, (vf a, vf b, vf c), a.part[k], b.part[k], c.part[k])
SOL_LIFT(axpy, (float s, vf x, vf y), s, x.part[k], y.part[k])
SOL_LIFT(if_less, (vf a, vf b, vf x, vf y), a.part[k], b.part[k], x.part[k], y.part[k])
SOL_LIFT(if_nan, (vf a, vf x, vf y), a.part[k], x.part[k], y.part[k])
SOL_LIFT(pow2, (vf n), n.part[k])
SOL_LIFT(exponent, (vf x, vf *m), x.part[k], &m->part[k])

VF_INLINE float vf_sum_n(vf v, int n) {
    float lane[VLEN], sum = 0;
    vf_store(lane, v);
    for (int i = 0; i < n; i++) sum += lane[i];
    return sum;
}
