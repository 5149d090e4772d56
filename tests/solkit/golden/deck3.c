// ---- conv2d_relu_avg_pool2d_94be83ac.c
/* cluster 0: conv2d (0) -> relu (1) -> avg_pool2d (2)
 *   b[0]  input [N=1, C=512, H=13, W=13] plain
 *   b[1]  0.weight [N=1000, C=512, H=1, W=1] weights in panels
 *   b[2]  0.bias [F=1000] plain
 *   b[3]  avg_pool2d [N=1, C=1000, H=1, W=1] plain
 */
#include "sol.h"

enum {
    PIXELS = 13,                                 /* a register tile is so many pixels */
    VECTORS = SOL_MIN(2, SOL_CEIL(1000, VLEN)),  /* times vectors of channels */
    GROUPS = SOL_CEIL(1000, VECTORS * VLEN),     /* panels of output channels */
    TASKS = GROUPS,
};

const int64_t conv2d_relu_avg_pool2d_94be83ac_tasks = TASKS;

void conv2d_relu_avg_pool2d_94be83ac(float *const *b, int64_t task) {
    const int64_t group = task;
    const float *const weights = b[1] + group * 512 * VECTORS * VLEN;
    int lanes[VECTORS];
    vf bias[VECTORS];
    UNROLL for (int v = 0; v < VECTORS; v++) {
        const int64_t block = group * VECTORS + v;
        const int left = (int)sol_max(0, sol_min(VLEN, 1000 - block * VLEN));
        lanes[v] = 1000 % (VECTORS * VLEN) == 0 ? VLEN : left;
        bias[v] = lanes[v] > 0 ? vf_load_n(b[2] + block * VLEN, lanes[v]) : vf_set1(0.0f);
    }
    vf sum[VECTORS];
    UNROLL for (int v = 0; v < VECTORS; v++) sum[v] = vf_set1(0.0f);
    for (int64_t y = 0; y < 13; y++) {
        vf acc[PIXELS][VECTORS];
        UNROLL for (int p = 0; p < PIXELS; p++)
            UNROLL for (int v = 0; v < VECTORS; v++) acc[p][v] = bias[v];
        const float *const input = b[0] + y * 13;
        const float *w = weights;
        for (int64_t c = 0; c < 512; c++) {
            const float *const in = input + c * 169;
            vf row[VECTORS];
            UNROLL for (int v = 0; v < VECTORS; v++) row[v] = vf_load(w + v * VLEN);
            UNROLL for (int p = 0; p < PIXELS; p++)
                UNROLL for (int v = 0; v < VECTORS; v++)
                    acc[p][v] = vf_axpy(in[p], row[v], acc[p][v]);
            w += VECTORS * VLEN;
        }
        UNROLL for (int p = 0; p < PIXELS; p++)
            UNROLL for (int v = 0; v < VECTORS; v++) if (lanes[v] > 0) {
                const vf v1 = vf_max(vf_set1(0.0f), acc[p][v]);
                sum[v] = vf_add(sum[v], v1);
            }
    }
    UNROLL for (int v = 0; v < VECTORS; v++) if (lanes[v] > 0) {
        const int64_t block = group * VECTORS + v;
        const vf mean = vf_mul(sum[v], vf_set1(1.0f / 169));
        vf_store_n(b[3] + block * VLEN, mean, lanes[v]);
    }
}

// ---- program.c
/* The clusters of the program, in the order they run, and the values each reads and writes. */
#include "sol.h"

sol_kernel conv2d_relu_avg_pool2d_94be83ac;
extern const int64_t conv2d_relu_avg_pool2d_94be83ac_tasks;

static const int32_t values_0[] = {0, 1, 2, 3};

const int32_t sol_vector_length = VLEN;
const sol_cluster sol_clusters[] = {
    {conv2d_relu_avg_pool2d_94be83ac, &conv2d_relu_avg_pool2d_94be83ac_tasks, values_0, 4, 1},
};
