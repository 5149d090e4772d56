/* runtime.c: the runtime of a Python process, one copy for every compiled model in it: the pool of threads, which is
 * that of parallel.h, and memory for weights.
 */
#include "parallel.h"

sol_pool *sol_pool_get(void) { return &sol_threads; }

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* Runs clusters first to last - 1 of a program on its values. `seconds`, if not NULL, gets the time of each added. */
void sol_run(sol_pool *pool, const sol_cluster *clusters, float *const *values, int first, int last, int threads,
             double *seconds) {
    for (int i = first; i < last; i++) {
        const double start = seconds ? now() : 0;
        sol_run_cluster(pool, &clusters[i], values, threads);
        if (seconds) seconds[i] += now() - start;
    }
}

/* Has all these places fetched into the cache at once, which somebody is about to look at one after the other. The first
 * `objects` of them are objects that are alive, of so many `words`; what these words point at is fetched as well. */
void sol_prefetch(const char *const *places, int64_t count, int64_t objects, int64_t words) {
    enum { LINE = 64 };
    for (int64_t i = 0; i < count; i++) {
        __builtin_prefetch(places[i]);
        __builtin_prefetch(places[i] + LINE);
    }
    for (int64_t i = 0; i < objects; i++) {
        const char *const *object = (const char *const *)places[i];
        for (int64_t k = 0; k < words; k++) { /* a word that is no address does no harm */
            __builtin_prefetch(object[k]);
            __builtin_prefetch(object[k] + LINE);
        }
    }
}

/* Memory in whole pages, huge ones where the system has them: weights are streamed, and each page costs a look-up.
 * NULL where there is none to be had. */
void *sol_memory_get(int64_t bytes) {
    const int64_t huge = 2 << 20, size = (bytes + huge - 1) / huge * huge;
    if (bytes < huge) return bytes < 0 ? NULL : aligned_alloc(64, (size_t)((bytes + 127) / 64 * 64));
    void *memory = aligned_alloc((size_t)huge, (size_t)size);
#ifdef MADV_HUGEPAGE
    if (memory) madvise(memory, (size_t)size, MADV_HUGEPAGE);
#endif
    return memory;
}

void sol_memory_free(void *memory) { free(memory); }
