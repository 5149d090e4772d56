/* neighbors.c: the nearest of many rows to each of some points, for float32 and float64. See neighbors_rows.h. */
#include <math.h>
#include <stdlib.h>

#include "parallel.h"

enum { NEIGHBORS_EUCLIDEAN, NEIGHBORS_MANHATTAN, NEIGHBORS_CHEBYSHEV };

#define REAL float
#define WHOLE int32_t
#define LANES 16
#define NAME(name) name##_f32
#include "neighbors_rows.h"
#undef REAL
#undef WHOLE
#undef LANES
#undef NAME

#define REAL double
#define WHOLE int64_t
#define LANES 8
#define NAME(name) name##_f64
#include "neighbors_rows.h"
