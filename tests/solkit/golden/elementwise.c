// ---- hardswish_sigmoid_74374efb.c
/* cluster 0: hardswish (0) -> sigmoid (1)
 *   b[0]  input [N=3, T=5, F=7] plain
 *   b[1]  sigmoid [N=3, T=5, F=7] plain
 */
#include "sol.h"

enum {
    ROWS = 1,                    /* vectors run along the innermost dimension */
    TASKS = SOL_CEIL(ROWS, 78),
};

const int64_t hardswish_sigmoid_74374efb_tasks = TASKS;

void hardswish_sigmoid_74374efb(float *const *b, int64_t task) {
    for (int64_t r = task * 78; r < sol_min(ROWS, (task + 1) * 78); r++) {
        const int64_t whole0 = 105 / VLEN * VLEN;
        for (int64_t i = 0; i < whole0; i += VLEN) {
            const vf v0 = vf_load(b[0] + i);
            const vf v1 = vf_mul(v0, vf_min(vf_set1(1.0f), vf_max(vf_set1(0.0f), vf_fma(v0, vf_set1(1.0f / 6.0f), vf_set1(0.5f)))));
            const vf v2 = vf_sigmoid(v1);
            vf_store(b[1] + i, v2);
        }
        if (whole0 < 105) {
            const int64_t i = whole0;
            const int lanes = (int)(105 - i);
            const vf v0 = vf_load_n(b[0] + i, lanes);
            const vf v1 = vf_mul(v0, vf_min(vf_set1(1.0f), vf_max(vf_set1(0.0f), vf_fma(v0, vf_set1(1.0f / 6.0f), vf_set1(0.5f)))));
            const vf v2 = vf_sigmoid(v1);
            vf_store_n(b[1] + i, v2, lanes);
        }
    }
}

// ---- program.c
/* The clusters of the program, in the order they run, and the values each reads and writes. */
#include "sol.h"

sol_kernel hardswish_sigmoid_74374efb;
extern const int64_t hardswish_sigmoid_74374efb_tasks;

static const int32_t values_0[] = {0, 1};

const int32_t sol_vector_length = VLEN;
const sol_cluster sol_clusters[] = {
    {hardswish_sigmoid_74374efb, &hardswish_sigmoid_74374efb_tasks, values_0, 2, 1},
};
