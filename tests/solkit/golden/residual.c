// ---- reorder_b1525968.c
/* cluster 0: reorder
 *   b[0]  x [N=2, C=24, H=9, W=10] plain
 *   b[1]  x_2 [N=2, C=24, H=9, W=10] NCHWc halo 1x1
 */
#include "sol.h"

enum {
    IMAGES = 2,
    BLOCKS = SOL_CEIL(24, VLEN),  /* planes of an image: vectors of channels, or channels */
    TASKS = IMAGES * BLOCKS,
};

const int64_t reorder_b1525968_tasks = TASKS;

void reorder_b1525968(float *const *b, int64_t task) {
    const int64_t n = task / BLOCKS, block = task % BLOCKS;
    sol_zero_halo(b[1] + (n * SOL_CEIL(24, VLEN) + block) * 132 * VLEN, 9, 10, 1, 1, VLEN);
    for (int64_t y = 0; y < 9; y++) {
        const float *const from = b[0] + (n * 24 + (block * VLEN)) * 90 + y * 10;
        float *const to = b[1] + (n * SOL_CEIL(24, VLEN) + block) * 132 * VLEN + ((y + 1) * 12 + 1) * VLEN;
        const int lanes = (int)sol_min(VLEN, 24 - block * VLEN);
        for (int64_t x = 0; x < 10; x++) {
            vf_store(to + x * VLEN, vf_gather(from + x, 90, lanes));
        }
    }
}

// ---- conv2d_add_relu_10691033.c
/* cluster 1: conv2d (conv) -> add -> relu
 *   b[0]  x_2 [N=2, C=24, H=9, W=10] NCHWc halo 1x1
 *   b[1]  conv.weight [N=24, C=24, H=3, W=3] weights in panels
 *   b[2]  conv.bias [F=24] plain
 *   b[3]  relu [N=2, C=24, H=9, W=10] NCHWc halo 1x1
 */
#include "sol.h"

enum {
    PIXELS = 10,                                                   /* a register tile is so many pixels */
    VECTORS = SOL_MIN(2, SOL_CEIL(24, VLEN)),                      /* times vectors of channels */
    GROUPS = SOL_CEIL(24, VECTORS * VLEN),                         /* panels of output channels */
    IMAGES = 2,
    TILES = 9,                                                     /* of an image */
    PARTS = SOL_MIN(TILES, SOL_CEIL(16, GROUPS * IMAGES)),         /* tiles shared out */
    TASKS = GROUPS * IMAGES * PARTS,
    STEPS = SOL_CEIL(24, VLEN),                                    /* of the reduction */
    CHUNK = SOL_MAX(1, 196608 / (VECTORS * VLEN * 4 * 9 * VLEN)),  /* steps whose weights stay in the cache */
};

const int64_t conv2d_add_relu_10691033_tasks = TASKS;

void conv2d_add_relu_10691033(float *const *b, int64_t task) {
    const int64_t group = task / PARTS / IMAGES, part = task % PARTS, n = task / PARTS % IMAGES;
    const float *const weights = b[1] + group * 216 * VECTORS * VLEN;
    int lanes[VECTORS];
    vf bias[VECTORS];
    UNROLL for (int v = 0; v < VECTORS; v++) {
        const int64_t block = group * VECTORS + v;
        const int left = (int)sol_max(0, sol_min(VLEN, 24 - block * VLEN));
        lanes[v] = 24 % (VECTORS * VLEN) == 0 ? VLEN : left;
        bias[v] = lanes[v] > 0 ? vf_load_n(b[2] + block * VLEN, lanes[v]) : vf_set1(0.0f);
    }
    if (part == 0) UNROLL for (int v = 0; v < VECTORS; v++) if (lanes[v] > 0) {
        const int64_t block = group * VECTORS + v;
        sol_zero_halo(b[3] + (n * SOL_CEIL(24, VLEN) + block) * 132 * VLEN, 9, 10, 1, 1, VLEN);
    }
    for (int64_t c0 = 0; c0 < STEPS; c0 += CHUNK) {
        const int64_t c1 = sol_min(c0 + CHUNK, STEPS);
        for (int64_t y = part * TILES / PARTS; y < (part + 1) * TILES / PARTS; y++) {
            vf acc[PIXELS][VECTORS];
            UNROLL for (int p = 0; p < PIXELS; p++)
                UNROLL for (int v = 0; v < VECTORS; v++) {
                    const int64_t block = group * VECTORS + v;
                    acc[p][v] = c0 > 0 && lanes[v] > 0 ? vf_load(b[3] + (n * SOL_CEIL(24, VLEN) + block) * 132 * VLEN + ((y + 1) * 12 + p + 1) * VLEN) : bias[v];
                }
            const float *const input = b[0] + n * SOL_CEIL(24, VLEN) * 132 * VLEN + y * 12 * VLEN;
            const float *w = weights + c0 * VECTORS * VLEN * 9 * VLEN;
            for (int64_t c = c0; c < c1; c++) {
                for (int64_t ky = 0; ky < 3; ky++) {
                    for (int64_t kx = 0; kx < 3; kx++) {
                        for (int64_t lane = 0; lane < sol_min(VLEN, 24 - c * VLEN); lane++) {
                            const float *const in = input + c * 132 * VLEN + ky * 12 * VLEN + kx * VLEN + lane;
                            vf row[VECTORS];
                            UNROLL for (int v = 0; v < VECTORS; v++) row[v] = vf_load(w + v * VLEN);
                            UNROLL for (int p = 0; p < PIXELS; p++)
                                UNROLL for (int v = 0; v < VECTORS; v++)
                                    acc[p][v] = vf_axpy(in[p * VLEN], row[v], acc[p][v]);
                            w += VECTORS * VLEN;
                        }
                    }
                }
            }
            UNROLL for (int p = 0; p < PIXELS; p++)
                UNROLL for (int v = 0; v < VECTORS; v++) if (lanes[v] > 0) {
                    const int64_t block = group * VECTORS + v;
                    if (c1 < STEPS) {
                        vf_store(b[3] + (n * SOL_CEIL(24, VLEN) + block) * 132 * VLEN + ((y + 1) * 12 + p + 1) * VLEN, acc[p][v]);
                    } else {
                        const vf v1 = vf_load(b[0] + (n * SOL_CEIL(24, VLEN) + block) * 132 * VLEN + ((y + 1) * 12 + p + 1) * VLEN);
                        const vf v2 = vf_add(acc[p][v], v1);
                        const vf v3 = vf_max(vf_set1(0.0f), v2);
                        vf_store(b[3] + (n * SOL_CEIL(24, VLEN) + block) * 132 * VLEN + ((y + 1) * 12 + p + 1) * VLEN, v3);
                    }
                }
        }
    }
}

// ---- conv2d_sigmoid_mul_aae931e7.c
/* cluster 2: conv2d (conv) -> sigmoid -> mul
 *   b[0]  relu [N=2, C=24, H=9, W=10] NCHWc halo 1x1
 *   b[1]  conv.weight [N=24, C=24, H=3, W=3] weights in panels
 *   b[2]  conv.bias [F=24] plain
 *   b[3]  mul [N=2, C=24, H=9, W=10] NCHWc
 */
#include "sol.h"

enum {
    PIXELS = 10,                                                   /* a register tile is so many pixels */
    VECTORS = SOL_MIN(2, SOL_CEIL(24, VLEN)),                      /* times vectors of channels */
    GROUPS = SOL_CEIL(24, VECTORS * VLEN),                         /* panels of output channels */
    IMAGES = 2,
    TILES = 9,                                                     /* of an image */
    PARTS = SOL_MIN(TILES, SOL_CEIL(16, GROUPS * IMAGES)),         /* tiles shared out */
    TASKS = GROUPS * IMAGES * PARTS,
    STEPS = SOL_CEIL(24, VLEN),                                    /* of the reduction */
    CHUNK = SOL_MAX(1, 196608 / (VECTORS * VLEN * 4 * 9 * VLEN)),  /* steps whose weights stay in the cache */
};

const int64_t conv2d_sigmoid_mul_aae931e7_tasks = TASKS;

void conv2d_sigmoid_mul_aae931e7(float *const *b, int64_t task) {
    const int64_t group = task / PARTS / IMAGES, part = task % PARTS, n = task / PARTS % IMAGES;
    const float *const weights = b[1] + group * 216 * VECTORS * VLEN;
    int lanes[VECTORS];
    vf bias[VECTORS];
    UNROLL for (int v = 0; v < VECTORS; v++) {
        const int64_t block = group * VECTORS + v;
        const int left = (int)sol_max(0, sol_min(VLEN, 24 - block * VLEN));
        lanes[v] = 24 % (VECTORS * VLEN) == 0 ? VLEN : left;
        bias[v] = lanes[v] > 0 ? vf_load_n(b[2] + block * VLEN, lanes[v]) : vf_set1(0.0f);
    }
    for (int64_t c0 = 0; c0 < STEPS; c0 += CHUNK) {
        const int64_t c1 = sol_min(c0 + CHUNK, STEPS);
        for (int64_t y = part * TILES / PARTS; y < (part + 1) * TILES / PARTS; y++) {
            vf acc[PIXELS][VECTORS];
            UNROLL for (int p = 0; p < PIXELS; p++)
                UNROLL for (int v = 0; v < VECTORS; v++) {
                    const int64_t block = group * VECTORS + v;
                    acc[p][v] = c0 > 0 && lanes[v] > 0 ? vf_load(b[3] + (n * SOL_CEIL(24, VLEN) + block) * 90 * VLEN + (y * 10 + p) * VLEN) : bias[v];
                }
            const float *const input = b[0] + n * SOL_CEIL(24, VLEN) * 132 * VLEN + y * 12 * VLEN;
            const float *w = weights + c0 * VECTORS * VLEN * 9 * VLEN;
            for (int64_t c = c0; c < c1; c++) {
                for (int64_t ky = 0; ky < 3; ky++) {
                    for (int64_t kx = 0; kx < 3; kx++) {
                        for (int64_t lane = 0; lane < sol_min(VLEN, 24 - c * VLEN); lane++) {
                            const float *const in = input + c * 132 * VLEN + ky * 12 * VLEN + kx * VLEN + lane;
                            vf row[VECTORS];
                            UNROLL for (int v = 0; v < VECTORS; v++) row[v] = vf_load(w + v * VLEN);
                            UNROLL for (int p = 0; p < PIXELS; p++)
                                UNROLL for (int v = 0; v < VECTORS; v++)
                                    acc[p][v] = vf_axpy(in[p * VLEN], row[v], acc[p][v]);
                            w += VECTORS * VLEN;
                        }
                    }
                }
            }
            UNROLL for (int p = 0; p < PIXELS; p++)
                UNROLL for (int v = 0; v < VECTORS; v++) if (lanes[v] > 0) {
                    const int64_t block = group * VECTORS + v;
                    if (c1 < STEPS) {
                        vf_store(b[3] + (n * SOL_CEIL(24, VLEN) + block) * 90 * VLEN + (y * 10 + p) * VLEN, acc[p][v]);
                    } else {
                        const vf v1 = vf_sigmoid(acc[p][v]);
                        const vf v2 = vf_mul(v1, vf_set1(2.0f));
                        vf_store(b[3] + (n * SOL_CEIL(24, VLEN) + block) * 90 * VLEN + (y * 10 + p) * VLEN, v2);
                    }
                }
        }
    }
}

// ---- max_pool2d_add_726c97f2.c
/* cluster 3: max_pool2d (pool) -> add
 *   b[0]  mul [N=2, C=24, H=9, W=10] NCHWc
 *   b[1]  add_1 [N=2, C=24, H=5, W=5] NCHWc
 */
#include "sol.h"

enum {
    IMAGES = 2,
    BLOCKS = SOL_CEIL(24, VLEN),                        /* vectors of channels */
    PARTS = SOL_MIN(5, SOL_CEIL(16, IMAGES * BLOCKS)),  /* rows are shared out */
    TASKS = IMAGES * BLOCKS * PARTS,
};

const int64_t max_pool2d_add_726c97f2_tasks = TASKS;

void max_pool2d_add_726c97f2(float *const *b, int64_t task) {
    const int64_t n = task / (BLOCKS * PARTS), block = task / PARTS % BLOCKS, part = task % PARTS;
    for (int64_t y = part * 5 / PARTS; y < (part + 1) * 5 / PARTS; y++) {
        for (int64_t x = 0; x < 5; x++) {
            const int64_t wy0 = sol_max(0, y * 2 - 1), wy1 = sol_min(9, y * 2 - 1 + 3);
            const int64_t wx0 = sol_max(0, x * 2 - 1), wx1 = sol_min(10, x * 2 - 1 + 3);
            vf found = vf_set1(-__builtin_inff());
            for (int64_t wy = wy0; wy < wy1; wy++) {
                for (int64_t wx = wx0; wx < wx1; wx++) {
                    const vf v0 = vf_load(b[0] + (n * SOL_CEIL(24, VLEN) + block) * 90 * VLEN + (wy * 10 + wx) * VLEN);
                    found = vf_max_nan(found, v0);
                }
            }
            const vf v1 = vf_add(found, vf_set1(1.0f));
            vf_store(b[1] + (n * SOL_CEIL(24, VLEN) + block) * 25 * VLEN + (y * 5 + x) * VLEN, v1);
        }
    }
}

// ---- reorder_eb8b6de8.c
/* cluster 4: reorder
 *   b[0]  add_1 [N=2, C=24, H=5, W=5] NCHWc
 *   b[1]  add_1_2 [N=2, C=24, H=5, W=5] plain
 */
#include "sol.h"

enum {
    IMAGES = 2,
    BLOCKS = SOL_CEIL(24, VLEN),  /* planes of an image: vectors of channels, or channels */
    TASKS = IMAGES * BLOCKS,
};

const int64_t reorder_eb8b6de8_tasks = TASKS;

void reorder_eb8b6de8(float *const *b, int64_t task) {
    const int64_t n = task / BLOCKS, block = task % BLOCKS;
    for (int64_t y = 0; y < 5; y++) {
        const float *const from = b[0] + (n * SOL_CEIL(24, VLEN) + block) * 25 * VLEN + y * 5 * VLEN;
        float *const to = b[1] + (n * 24 + (block * VLEN)) * 25 + y * 5;
        const int lanes = (int)sol_min(VLEN, 24 - block * VLEN);
        for (int64_t x = 0; x < 5; x++) {
            vf_scatter(to + x, 25, vf_load(from + x * VLEN), lanes);
        }
    }
}

// ---- program.c
/* The clusters of the program, in the order they run, and the values each reads and writes. */
#include "sol.h"

sol_kernel reorder_b1525968;
extern const int64_t reorder_b1525968_tasks;
sol_kernel conv2d_add_relu_10691033;
extern const int64_t conv2d_add_relu_10691033_tasks;
sol_kernel conv2d_sigmoid_mul_aae931e7;
extern const int64_t conv2d_sigmoid_mul_aae931e7_tasks;
sol_kernel max_pool2d_add_726c97f2;
extern const int64_t max_pool2d_add_726c97f2_tasks;
sol_kernel reorder_eb8b6de8;
extern const int64_t reorder_eb8b6de8_tasks;

static const int32_t values_0[] = {0, 1};
static const int32_t values_1[] = {1, 2, 3, 4};
static const int32_t values_2[] = {4, 2, 3, 5};
static const int32_t values_3[] = {5, 6};
static const int32_t values_4[] = {6, 7};

const int32_t sol_vector_length = VLEN;
const sol_cluster sol_clusters[] = {
    {reorder_b1525968, &reorder_b1525968_tasks, values_0, 2, 1},
    {conv2d_add_relu_10691033, &conv2d_add_relu_10691033_tasks, values_1, 4, 1},
    {conv2d_sigmoid_mul_aae931e7, &conv2d_sigmoid_mul_aae931e7_tasks, values_2, 4, 1},
    {max_pool2d_add_726c97f2, &max_pool2d_add_726c97f2_tasks, values_3, 2, 1},
    {reorder_eb8b6de8, &reorder_eb8b6de8_tasks, values_4, 2, 1},
};
