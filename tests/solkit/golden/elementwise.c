// ---- kernel_0.c
/* cluster 0: hardswish (0) -> sigmoid (1)
 *   b[0]  input [N=3, T=5, F=7] plain
 *   b[1]  sigmoid [N=3, T=5, F=7] plain
 */
#include "sol.h"

enum {
    ROWS = 1,                             /* vectors run along the innermost dimension */
    PIECES = 1,                           /* of a row */
    TASKS = SOL_CEIL(ROWS, 78) * PIECES,
};

const int64_t kernel_0_tasks = TASKS;

void kernel_0(float *const *b, int64_t task) {
    const int64_t piece = task % PIECES;
    for (int64_t r = task / PIECES * 78; r < sol_min(ROWS, (task / PIECES + 1) * 78); r++) {
        const int64_t end = (piece + 1) * 105 / PIECES;
        for (int64_t i = piece * 105 / PIECES; i < end; i += VLEN) {
            const int lanes = (int)sol_min(VLEN, end - i);
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

sol_kernel kernel_0;
extern const int64_t kernel_0_tasks;

static const int32_t values_0[] = {0, 1};

const int32_t sol_vector_length = VLEN;
const sol_cluster sol_clusters[] = {
    {kernel_0, &kernel_0_tasks, values_0, 2, 1},
};
