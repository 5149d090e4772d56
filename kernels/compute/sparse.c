/* sparse.c: products of a sparse matrix. Each for float32 and float64, and CSR for starts of rows of int32 and int64.
 *
 * CSR of `rows` rows: row i has the columns index[starts[i]] .. index[starts[i + 1] - 1] and their values. Indices are
 * not checked here. Dense matrices are row-major, of `width` columns. `threads` says how many threads a product may
 * use; in the transposed ones every thread adds up in its own part of `sums` [threads, columns * width] float64, which
 * comes in as zeros, so that the result depends on nothing but the number of threads.
 */
#include "parallel.h"

#if defined(__clang__)
#define SPARSE_UNROLL _Pragma("clang loop unroll(full)")
#else
#define SPARSE_UNROLL _Pragma("GCC unroll 32")
#endif
#define INLINE static inline __attribute__((always_inline))
#define JOIN_(a, b, c) a##_##b##_##c
#define JOIN(a, b, c) JOIN_(a, b, c)

enum { TASKS = 8 }; /* pieces of work for each thread where the rows are independent */

typedef double sparse_sums8 __attribute__((vector_size(64), aligned(8), may_alias));
typedef double sparse_sums4 __attribute__((vector_size(32), aligned(8), may_alias));
typedef double sparse_sums2 __attribute__((vector_size(16), aligned(8), may_alias));

typedef struct {
    sparse_sums4 x, sums;
} sparse_near;

/* The sum over threads of what each has added up, for a range of places. */
typedef struct {
    const double *sums;
    void *y;
    int64_t count, parts, tasks;
} sparse_sum;

#define REAL float
#define REAL_NAME f32
#include "sparse_jagged.h"
#define POINTER int32_t
#define POINTER_NAME i32
#include "sparse_rows.h"
#undef POINTER
#undef POINTER_NAME
#define POINTER int64_t
#define POINTER_NAME i64
#include "sparse_rows.h"
#undef POINTER
#undef POINTER_NAME
#undef REAL
#undef REAL_NAME

#define REAL double
#define REAL_NAME f64
#include "sparse_jagged.h"
#define POINTER int32_t
#define POINTER_NAME i32
#include "sparse_rows.h"
#undef POINTER
#undef POINTER_NAME
#define POINTER int64_t
#define POINTER_NAME i64
#include "sparse_rows.h"
