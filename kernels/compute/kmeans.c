/* kmeans.c: rows and centroids, for float32 and float64. See kmeans_rows.h. */
#include <math.h>
#include <stdlib.h>

#include "parallel.h"

#define REAL float
#define WHOLE int32_t
#define LANES 16
#define NAME(name) name##_f32
#include "kmeans_rows.h"
#undef REAL
#undef WHOLE
#undef LANES
#undef NAME

#define REAL double
#define WHOLE int64_t
#define LANES 8
#define NAME(name) name##_f64
#include "kmeans_rows.h"
