/* system.h: what the runtime asks of the operating system, POSIX threads and mapped files.
 *
 * Cross compilers for the Vector Engine come without a C library. The functions we call are declared here then; they are
 * those of Linux, and none takes a structure whose layout only the real headers know. Without locks that can sleep,
 * waiting is spinning: a process has the cores of its Vector Engine to itself.
 */
#ifndef SOL_SYSTEM_H
#define SOL_SYSTEM_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__ve__) && !__has_include(<pthread.h>)

typedef unsigned long pthread_t;
extern int pthread_create(pthread_t *, const void *, void *(*)(void *), void *);
extern int pthread_join(pthread_t, void **);
extern int sched_yield(void);
extern void *malloc(size_t);
extern void *calloc(size_t, size_t);
extern void free(void *);
extern int posix_memalign(void **, size_t, size_t);
extern void *memcpy(void *, const void *, size_t);
extern void *memset(void *, int, size_t);
extern int memcmp(const void *, const void *, size_t);
extern int strcmp(const char *, const char *);
extern int snprintf(char *, size_t, const char *, ...);
extern int open(const char *, int, ...);
extern int close(int);
extern int64_t lseek(int, int64_t, int);
extern void *mmap(void *, size_t, int, int, int, int64_t);
extern int munmap(void *, size_t);
extern long sysconf(int);
enum { O_RDONLY = 0, SEEK_END = 2, PROT_READ = 1, MAP_PRIVATE = 2, _SC_NPROCESSORS_ONLN = 84 };
#define MAP_FAILED ((void *)-1)

typedef struct {
    _Atomic int taken;
} sol_lock;

static inline void sol_lock_make(sol_lock *lock) { atomic_init(&lock->taken, 0); }
static inline void sol_lock_end(sol_lock *lock) { (void)lock; }
static inline int sol_lock_try(sol_lock *lock) { return !atomic_exchange(&lock->taken, 1); }
static inline void sol_lock_take(sol_lock *lock) {
    while (!sol_lock_try(lock)) sched_yield();
}
static inline void sol_lock_release(sol_lock *lock) { atomic_store(&lock->taken, 0); }

typedef struct {
    char none;
} sol_bell;
static inline void sol_bell_make(sol_bell *bell) { (void)bell; }
static inline void sol_bell_end(sol_bell *bell) { (void)bell; }
static inline void sol_bell_ring(sol_bell *bell) { (void)bell; }
static inline void sol_bell_wait(sol_bell *bell, sol_lock *lock) {
    (void)bell;
    sol_lock_release(lock);
    sched_yield();
    sol_lock_take(lock);
}

#else

#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

typedef pthread_mutex_t sol_lock;
static inline void sol_lock_make(sol_lock *lock) { pthread_mutex_init(lock, NULL); }
static inline void sol_lock_end(sol_lock *lock) { pthread_mutex_destroy(lock); }
static inline int sol_lock_try(sol_lock *lock) { return !pthread_mutex_trylock(lock); }
static inline void sol_lock_take(sol_lock *lock) { pthread_mutex_lock(lock); }
static inline void sol_lock_release(sol_lock *lock) { pthread_mutex_unlock(lock); }

/* What sleepers wait for. */
typedef pthread_cond_t sol_bell;
static inline void sol_bell_make(sol_bell *bell) { pthread_cond_init(bell, NULL); }
static inline void sol_bell_end(sol_bell *bell) { pthread_cond_destroy(bell); }
static inline void sol_bell_ring(sol_bell *bell) { pthread_cond_broadcast(bell); }
static inline void sol_bell_wait(sol_bell *bell, sol_lock *lock) { pthread_cond_wait(bell, lock); }

#endif

/* A breath while spinning. */
static inline void sol_relax(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

#endif
