/* samples.c: one number for the content of a row, whatever its place. */
#include "parallel.h"

/* The finalizer of SplitMix64 (Steele and others, "Fast splittable pseudorandom number generators", OOPSLA 2014). */
static inline uint64_t mixed(uint64_t z) {
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* A sum over what is not zero, so that zeros which a sparse row has or leaves out, and -0, are the same, in any order. */
#define ELEMENT(bits, column) mixed((uint64_t)(bits) + ((uint64_t)(column) + 1) * 0x9e3779b97f4a7c15u)

typedef struct {
    const void *dense, *values;
    const int64_t *starts;
    const int32_t *index;
    int64_t rows, columns, tasks;
    uint64_t *keys;
} sol_rows;

/* keys [rows] of dense rows [rows, columns], or of CSR ones where `dense` is NULL. */
#define KEYS(NAME, REAL, WHOLE)                                                                                          \
    static void NAME##_task(void *made, int64_t task) {                                                                  \
        const sol_rows *const job = made;                                                                                \
        const int64_t columns = job->columns, end = sol_first(job->rows, task + 1, job->tasks);                          \
        for (int64_t row = sol_first(job->rows, task, job->tasks); row < end; row++) {                                   \
            uint64_t sum = 0;                                                                                            \
            if (job->dense) {                                                                                            \
                const WHOLE *const x = (const WHOLE *)job->dense + row * columns;                                        \
                const WHOLE sign = (WHOLE)1 << (8 * sizeof(WHOLE) - 1);                                                  \
                for (int64_t j = 0; j < columns; j++) sum += x[j] & ~sign ? ELEMENT(x[j], j) : 0;                        \
            } else                                                                                                       \
                for (int64_t i = job->starts[row]; i < job->starts[row + 1]; i++) {                                      \
                    const REAL x = ((const REAL *)job->values)[i];                                                       \
                    if (x != 0) sum += ELEMENT(((const WHOLE *)job->values)[i], job->index[i]);                          \
                }                                                                                                        \
            job->keys[row] = mixed(sum);                                                                                 \
        }                                                                                                                \
    }                                                                                                                    \
    void NAME(const void *dense, const int64_t *starts, const int32_t *index, const void *values, uint64_t *keys,        \
              int64_t rows, int64_t columns, int64_t tasks, int threads) {                                               \
        sol_rows job = {dense, values, starts, index, rows, columns, tasks, keys};                                       \
        sol_parallel(NAME##_task, &job, tasks, threads);                                                                 \
    }

typedef uint32_t __attribute__((may_alias)) whole32;
typedef uint64_t __attribute__((may_alias)) whole64;
KEYS(samples_keys_f32, float, whole32)
KEYS(samples_keys_f64, double, whole64)
