/* runtime.c: a small pool of threads, and memory for weights. One copy serves every compiled model of a process.
 *
 * The caller works too, so a pool for T threads has T - 1 workers. A worker that finds nothing to do spins for about half
 * a millisecond (the next cluster is that close, and often the next call) and then sleeps, so an idle model costs no
 * time. A second thread that calls while the pool is busy does its own work alone: calls never wait for one another.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "sol.h"

enum { MOST_THREADS = 1024, SPIN = 40000 };

typedef struct {
    sol_kernel *kernel;
    float *const *buffer;
    int64_t first, tasks;
    int threads;
} job;

/* A thread's share of the tasks, on a cache line of its own. Shares are runs: what a thread made in one cluster it mostly
 * reads itself in the next. */
typedef struct {
    _Alignas(64) _Atomic int64_t next; /* first task of the share that nobody has taken */
} share;

typedef struct {
    pthread_mutex_t busy; /* held by the caller the pool works for */
    pthread_mutex_t lock; /* guards `sleeping`, and `turn` where a worker goes to sleep on it */
    pthread_cond_t wake;
    int sleeping;
    int workers; /* threads started so far */
    job work;
    /* Number of the round << 16 | workers that take part in it. In one word: a worker that overslept a round it had no
     * part in must not take the next round's number of workers for that one's. */
    _Atomic uint64_t turn;
    _Atomic int unfinished; /* workers still at it */
    share shares[MOST_THREADS];
} sol_pool;

static sol_pool the_pool = {
    .busy = PTHREAD_MUTEX_INITIALIZER, .lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER};

static void relax(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static int64_t share_start(const job *work, int index) {
    return work->first + index * work->tasks / work->threads;
}

/* Thread `mine` does its share, and then what others have left of theirs. */
static void take_tasks(sol_pool *pool, int mine) {
    const job work = pool->work;
    for (int i = 0; i < work.threads; i++) {
        const int index = (mine + i) % work.threads;
        const int64_t end = share_start(&work, index + 1);
        for (;;) {
            const int64_t task = atomic_fetch_add_explicit(&pool->shares[index].next, 1, memory_order_relaxed);
            if (task >= end) break;
            work.kernel(work.buffer, task);
        }
    }
}

typedef struct {
    sol_pool *pool;
    int index;
    uint64_t seen;
} worker_start;

static void *worker(void *argument) {
    const worker_start start = *(worker_start *)argument;
    free(argument);
    sol_pool *pool = start.pool;
    uint64_t seen = start.seen, turn;
    for (;;) {
        for (int i = 0; (turn = atomic_load_explicit(&pool->turn, memory_order_acquire)) == seen; i++) {
            if (i < SPIN) {
                relax();
                continue;
            }
            pthread_mutex_lock(&pool->lock);
            pool->sleeping++;
            while (atomic_load_explicit(&pool->turn, memory_order_acquire) == seen)
                pthread_cond_wait(&pool->wake, &pool->lock);
            pool->sleeping--;
            pthread_mutex_unlock(&pool->lock);
        }
        seen = turn;
        if (start.index < (int)(turn & 0xffff)) {
            take_tasks(pool, start.index + 1);
            atomic_fetch_sub_explicit(&pool->unfinished, 1, memory_order_release);
        }
    }
    return NULL;
}

/* A child made by fork() starts afresh: the parent's threads are not in it, its locks may be held. */
static void forget_parent(void) {
    memset(&the_pool, 0, sizeof the_pool);
    pthread_mutex_init(&the_pool.busy, NULL);
    pthread_mutex_init(&the_pool.lock, NULL);
    pthread_cond_init(&the_pool.wake, NULL);
}

/* In the child before fork() returns, while it has a single thread: nobody can be using the pool. */
__attribute__((constructor)) static void at_load(void) { pthread_atfork(NULL, NULL, forget_parent); }

static void start_workers(sol_pool *pool, int wanted) {
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    while (pool->workers < wanted) {
        worker_start *start = malloc(sizeof *start);
        pthread_t thread;
        if (!start) break;
        *start = (worker_start){pool, pool->workers, atomic_load(&pool->turn)};
        if (pthread_create(&thread, &attributes, worker, start)) { /* no more threads to be had: fewer will do */
            free(start);
            break;
        }
        pool->workers++;
    }
    pthread_attr_destroy(&attributes);
}

sol_pool *sol_pool_get(void) { return &the_pool; }

static void run_tasks(sol_pool *pool, sol_kernel *kernel, float *const *buffer, int64_t first, int64_t tasks,
                      int threads) {
    if (threads > MOST_THREADS) threads = MOST_THREADS;
    if (threads > tasks) threads = (int)tasks;
    if (threads < 2 || pthread_mutex_trylock(&pool->busy)) {
        for (int64_t task = first; task < first + tasks; task++) kernel(buffer, task);
        return;
    }
    start_workers(pool, threads - 1);
    const int wanted = threads - 1 < pool->workers ? threads - 1 : pool->workers;
    pool->work = (job){kernel, buffer, first, tasks, wanted + 1};
    for (int i = 0; i <= wanted; i++)
        atomic_store_explicit(&pool->shares[i].next, share_start(&pool->work, i), memory_order_relaxed);
    atomic_store_explicit(&pool->unfinished, wanted, memory_order_relaxed);
    pthread_mutex_lock(&pool->lock);
    const uint64_t round = (atomic_load(&pool->turn) >> 16) + 1;
    atomic_store_explicit(&pool->turn, round << 16 | (uint64_t)wanted, memory_order_release);
    if (pool->sleeping) pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->lock);
    take_tasks(pool, 0);
    for (int i = 0; atomic_load_explicit(&pool->unfinished, memory_order_acquire) > 0; i++) {
        if (i < SPIN)
            relax();
        else
            sched_yield(); /* more threads than processors: let the others finish */
    }
    pthread_mutex_unlock(&pool->busy);
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* Runs clusters first to last - 1 of a program on its values. `seconds`, if not NULL, gets the time of each added. */
void sol_run(sol_pool *pool, const sol_cluster *clusters, float *const *values, int first, int last, int threads,
             double *seconds) {
    for (int i = first; i < last; i++) {
        const sol_cluster *cluster = &clusters[i];
        float *buffer[SOL_MOST_BUFFERS];
        for (int k = 0; k < cluster->buffers; k++) buffer[k] = values[cluster->values[k]];
        const double start = seconds ? now() : 0;
        for (int round = 0; round < cluster->rounds; round++)
            run_tasks(pool, cluster->kernel, buffer, round * *cluster->tasks, *cluster->tasks, threads);
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
