/* parallel.h: a loop over tasks on the threads of this process, for kernels that Python calls one at a time. */
#ifndef SOL_PARALLEL_H
#define SOL_PARALLEL_H

#define _GNU_SOURCE
#include "pool.h"

typedef void sol_task(void *job, int64_t task);

typedef struct {
    sol_task *task;
    void *job;
} sol_call;

static sol_pool sol_threads; /* of this library */

/* A child made by fork() starts afresh: the parent's threads are not in it, its locks may be held. */
static void sol_forget_parent(void) {
    memset(&sol_threads, 0, sizeof sol_threads);
    sol_pool_make(&sol_threads);
}

__attribute__((constructor)) static void sol_at_load(void) {
    sol_pool_make(&sol_threads);
    pthread_atfork(NULL, NULL, sol_forget_parent);
}

static void sol_one_task(float *const *call, int64_t task) {
    const sol_call *const made = (const sol_call *)(const void *)call;
    made->task(made->job, task);
}

/* Runs task(job, 0) to task(job, tasks - 1), in any order, on so many threads. Tasks write to memory of their own. */
static inline void sol_parallel(sol_task *task, void *job, int64_t tasks, int threads) {
    const sol_call call = {task, job};
    sol_run_tasks(&sol_threads, sol_one_task, (float *const *)(const void *)&call, 0, tasks, threads);
}

/* The first of `count` things that task `task` of so many takes; that of the next task is its end. */
static inline int64_t sol_first(int64_t count, int64_t task, int64_t tasks) { return count * task / tasks; }

#endif
