/* pool.h: a small pool of threads, and the loop over the clusters of a program.
 *
 * The caller works too, so a pool for T threads has T - 1 workers. A worker that finds nothing to do spins for about half
 * a millisecond (the next cluster is that close, and often the next call) and then sleeps, so an idle model costs no
 * time. A second thread that calls while the pool is busy does its own work alone: calls never wait for one another.
 */
#ifndef SOL_POOL_H
#define SOL_POOL_H

#include "sol.h"
#include "system.h"

enum { SOL_MOST_THREADS = 1024, SOL_SPIN = 40000 };

typedef struct {
    sol_kernel *kernel;
    float *const *buffer;
    int64_t first, tasks;
    int threads;
} sol_job;

/* A thread's share of the tasks, on a cache line of its own. Shares are runs: what a thread made in one cluster it mostly
 * reads itself in the next. */
typedef struct {
    _Alignas(64) _Atomic int64_t next; /* first task of the share that nobody has taken */
} sol_share;

typedef struct {
    sol_lock busy; /* held by the caller the pool works for */
    sol_lock lock; /* guards `sleeping`, and `turn` where a worker goes to sleep on it */
    sol_bell wake;
    int sleeping;
    int workers; /* threads started so far */
    pthread_t thread[SOL_MOST_THREADS];
    sol_job work;
    /* Number of the round << 16 | workers that take part in it. In one word: a worker that overslept a round it had no
     * part in must not take the next round's number of workers for that one's. */
    _Atomic uint64_t turn;
    _Atomic int unfinished; /* workers still at it */
    _Atomic int stopping;
    sol_share shares[SOL_MOST_THREADS];
} sol_pool;

/* `pool` is all zero. */
static inline void sol_pool_make(sol_pool *pool) {
    sol_lock_make(&pool->busy);
    sol_lock_make(&pool->lock);
    sol_bell_make(&pool->wake);
}

static inline int64_t sol_share_start(const sol_job *work, int index) {
    return work->first + index * work->tasks / work->threads;
}

/* Thread `mine` does its share, and then what others have left of theirs. */
static inline void sol_take_tasks(sol_pool *pool, int mine) {
    const sol_job work = pool->work;
    for (int i = 0; i < work.threads; i++) {
        const int index = (mine + i) % work.threads;
        const int64_t end = sol_share_start(&work, index + 1);
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
} sol_worker_start;

static void *sol_worker(void *argument) {
    const sol_worker_start start = *(sol_worker_start *)argument;
    free(argument);
    sol_pool *pool = start.pool;
    uint64_t seen = start.seen, turn;
    for (;;) {
        for (int i = 0; (turn = atomic_load_explicit(&pool->turn, memory_order_acquire)) == seen; i++) {
            if (i < SOL_SPIN) {
                sol_relax();
                continue;
            }
            sol_lock_take(&pool->lock);
            pool->sleeping++;
            while (atomic_load_explicit(&pool->turn, memory_order_acquire) == seen)
                sol_bell_wait(&pool->wake, &pool->lock);
            pool->sleeping--;
            sol_lock_release(&pool->lock);
        }
        if (atomic_load_explicit(&pool->stopping, memory_order_relaxed)) return NULL;
        seen = turn;
        if (start.index < (int)(turn & 0xffff)) {
            sol_take_tasks(pool, start.index + 1);
            atomic_fetch_sub_explicit(&pool->unfinished, 1, memory_order_release);
        }
    }
}

static inline void sol_start_workers(sol_pool *pool, int wanted) {
    while (pool->workers < wanted) {
        sol_worker_start *start = malloc(sizeof *start);
        if (!start) break;
        *start = (sol_worker_start){pool, pool->workers, atomic_load(&pool->turn)};
        if (pthread_create(&pool->thread[pool->workers], NULL, sol_worker, start)) {
            free(start); /* no more threads to be had: fewer will do */
            break;
        }
        pool->workers++;
    }
}

/* Begins a round for so many workers. */
static inline void sol_next_turn(sol_pool *pool, int workers) {
    sol_lock_take(&pool->lock);
    const uint64_t round = (atomic_load(&pool->turn) >> 16) + 1;
    atomic_store_explicit(&pool->turn, round << 16 | (uint64_t)workers, memory_order_release);
    if (pool->sleeping) sol_bell_ring(&pool->wake);
    sol_lock_release(&pool->lock);
}

/* Ends the workers; nobody is using the pool. */
static inline void sol_pool_end(sol_pool *pool) {
    atomic_store(&pool->stopping, 1);
    sol_next_turn(pool, 0);
    for (int i = 0; i < pool->workers; i++) pthread_join(pool->thread[i], NULL);
    sol_bell_end(&pool->wake);
    sol_lock_end(&pool->lock);
    sol_lock_end(&pool->busy);
}

static inline void sol_run_tasks(sol_pool *pool, sol_kernel *kernel, float *const *buffer, int64_t first, int64_t tasks,
                                 int threads) {
    if (threads > SOL_MOST_THREADS) threads = SOL_MOST_THREADS;
    if (threads > tasks) threads = (int)tasks;
    if (threads < 2 || !sol_lock_try(&pool->busy)) {
        for (int64_t task = first; task < first + tasks; task++) kernel(buffer, task);
        return;
    }
    sol_start_workers(pool, threads - 1);
    const int wanted = threads - 1 < pool->workers ? threads - 1 : pool->workers;
    pool->work = (sol_job){kernel, buffer, first, tasks, wanted + 1};
    for (int i = 0; i <= wanted; i++)
        atomic_store_explicit(&pool->shares[i].next, sol_share_start(&pool->work, i), memory_order_relaxed);
    atomic_store_explicit(&pool->unfinished, wanted, memory_order_relaxed);
    sol_next_turn(pool, wanted);
    sol_take_tasks(pool, 0);
    for (int i = 0; atomic_load_explicit(&pool->unfinished, memory_order_acquire) > 0; i++) {
        if (i < SOL_SPIN)
            sol_relax();
        else
            sched_yield(); /* more threads than processors: let the others finish */
    }
    sol_lock_release(&pool->busy);
}

/* Runs one cluster of a program on its values. */
static inline void sol_run_cluster(sol_pool *pool, const sol_cluster *cluster, float *const *values, int threads) {
    float *buffer[SOL_MOST_BUFFERS];
    for (int k = 0; k < cluster->buffers; k++) buffer[k] = values[cluster->values[k]];
    for (int round = 0; round < cluster->rounds; round++)
        sol_run_tasks(pool, cluster->kernel, buffer, round * *cluster->tasks, *cluster->tasks, threads);
}

#endif
