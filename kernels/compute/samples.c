/* samples.c: one number for the content of a row, whatever its place. */
#include "parallel.h"

typedef uint64_t eight __attribute__((vector_size(64)));

/* The finalizer of SplitMix64 (Steele and others, "Fast splittable pseudorandom number generators", OOPSLA 2014), of a
 * number or of a vector of them. */
#define MIX(z)                                                                                                           \
    do {                                                                                                                 \
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;                                                                       \
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;                                                                       \
        z ^= z >> 31;                                                                                                    \
    } while (0)
#define STEP 0x9e3779b97f4a7c15u /* from the state of a column to the next's */

typedef struct {
    const void *dense, *values;
    const int64_t *starts;
    const int32_t *index;
    int64_t rows, columns, tasks;
    uint64_t *keys;
} sol_rows;

/* keys [rows] of dense rows [rows, columns], or of CSR ones where `dense` is NULL. */
#define KEYS(NAME, REAL, WHOLE)                                                                                          \
    typedef WHOLE NAME##_eight __attribute__((vector_size(8 * sizeof(WHOLE))));                                          \
    static void NAME##_task(void *made, int64_t task) {                                                                  \
        const sol_rows *const job = made;                                                                                \
        const int64_t columns = job->columns, end = sol_first(job->rows, task + 1, job->tasks);                          \
        for (int64_t row = sol_first(job->rows, task, job->tasks); row < end; row++) {                                   \
            uint64_t sum = 0;                                                                                            \
            /* What is zero adds nothing, so zeros that a sparse row has or leaves out, and -0, are the same. */         \
            if (job->dense) {                                                                                            \
                const WHOLE *const x = (const WHOLE *)job->dense + row * columns;                                        \
                const eight none = {0};                                                                                  \
                eight sums = {0}, state = {STEP, 2 * STEP, 3 * STEP, 4 * STEP, 5 * STEP, 6 * STEP, 7 * STEP, 8 * STEP};  \
                for (int64_t j = 0; j < columns; j += 8, state += 8 * STEP) {                                            \
                    NAME##_eight few = {0};                                                                              \
                    if (j + 8 <= columns)                                                                                \
                        memcpy(&few, x + j, sizeof few);                                                                 \
                    else                                                                                                 \
                        memcpy(&few, x + j, (size_t)(columns - j) * sizeof(WHOLE));                                      \
                    const eight bits = WIDE(few);                                                                        \
                    eight z = bits + state;                                                                              \
                    MIX(z);                                                                                              \
                    sums += z & (eight)((bits << (65 - 8 * sizeof(WHOLE))) != none);                                     \
                }                                                                                                        \
                for (int i = 0; i < 8; i++) sum += sums[i];                                                              \
            } else                                                                                                       \
                for (int64_t i = job->starts[row]; i < job->starts[row + 1]; i++) {                                      \
                    const REAL x = ((const REAL *)job->values)[i];                                                       \
                    uint64_t z = ((const WHOLE *)job->values)[i] + ((uint64_t)job->index[i] + 1) * STEP;                 \
                    MIX(z);                                                                                              \
                    sum += x != 0 ? z : 0;                                                                               \
                }                                                                                                        \
            MIX(sum);                                                                                                    \
            job->keys[row] = sum;                                                                                        \
        }                                                                                                                \
    }                                                                                                                    \
    void NAME(const void *dense, const int64_t *starts, const int32_t *index, const void *values, uint64_t *keys,        \
              int64_t rows, int64_t columns, int64_t tasks, int threads) {                                               \
        sol_rows job = {dense, values, starts, index, rows, columns, tasks, keys};                                       \
        sol_parallel(NAME##_task, &job, tasks, threads);                                                                 \
    }

typedef uint32_t __attribute__((may_alias)) whole32;
typedef uint64_t __attribute__((may_alias)) whole64;
#define WIDE(few) __builtin_convertvector(few, eight)
KEYS(samples_keys_f32, float, whole32)
#undef WIDE
#define WIDE(few) few
KEYS(samples_keys_f64, double, whole64)
