/* neighbors_rows.h: nearest rows by brute force, included by neighbors.c for each REAL (WHOLE: the integer of its size).
 *
 * Rows are turned round in blocks of 2 * LANES, so that a lane is a row, and gone through in tiles that stay in the
 * cache while all points of a task meet them, four at a time. Distances are sums of differences, which lose no digits
 * where rows are close. Each point keeps its nearest rows in order; of rows as near, the first. */

enum { NAME(ROWS) = 2 * LANES };
typedef REAL NAME(vec) __attribute__((vector_size(64)));
typedef WHOLE NAME(ivec) __attribute__((vector_size(64)));
#define VEC NAME(vec)
#define IVEC NAME(ivec)

typedef struct {
    const REAL *X, *points;
    REAL *turned; /* [blocks, columns, ROWS] */
    double *distances; /* [number, k] */
    int64_t *found;    /* [number, k] */
    int64_t rows, columns, number, k, tasks, blocks, tile;
    int metric;
} NAME(job);

static void NAME(turn_task)(void *made, int64_t task) {
    const NAME(job) *job = made;
    const int64_t columns = job->columns, end = sol_first(job->blocks, task + 1, job->tasks);
    for (int64_t b = sol_first(job->blocks, task, job->tasks); b < end; b++) {
        REAL *block = job->turned + b * columns * NAME(ROWS);
        for (int64_t r = 0; r < NAME(ROWS); r++) {
            const int64_t row = sol_min(b * NAME(ROWS) + r, job->rows - 1);
            for (int64_t j = 0; j < columns; j++) block[j * NAME(ROWS) + r] = job->X[row * columns + j];
        }
    }
}

/* Distances of four points to the rows of a block; of the Euclidean ones, the squares. */
#define DISTANCES(step)                                                                                                \
    for (int64_t j = 0; j < columns; j++) {                                                                            \
        const VEC x = *(const VEC *)(block + j * NAME(ROWS)), y = *(const VEC *)(block + j * NAME(ROWS) + LANES);      \
        UNROLL for (int i = 0; i < 4; i++) {                                                                           \
            const VEC a = x - point[i][j], b = y - point[i][j];                                                        \
            VEC *const one = &sum[i][0], *const two = &sum[i][1];                                                      \
            step                                                                                                       \
        }                                                                                                              \
    }

VF_INLINE VEC NAME(absolute)(VEC a) {
    const IVEC negative = a < (VEC){0};
    return (VEC)((negative & (IVEC)(-a)) | (~negative & (IVEC)a));
}

VF_INLINE VEC NAME(larger)(VEC a, VEC b) {
    const IVEC less = a < b;
    return (VEC)((less & (IVEC)b) | (~less & (IVEC)a));
}

static void NAME(measure)(int metric, const REAL *block, const REAL *const *point, int64_t columns, VEC sum[4][2]) {
    for (int i = 0; i < 4; i++) sum[i][0] = sum[i][1] = (VEC){0};
    if (metric == NEIGHBORS_EUCLIDEAN)
        DISTANCES(*one += a * a; *two += b * b;)
    else if (metric == NEIGHBORS_MANHATTAN)
        DISTANCES(*one += NAME(absolute)(a); *two += NAME(absolute)(b);)
    else
        DISTANCES(*one = NAME(larger)(*one, NAME(absolute)(a)); *two = NAME(larger)(*two, NAME(absolute)(b));)
}

/* Puts a row where it belongs among the k nearest of a point. */
static void NAME(insert)(double *distances, int64_t *found, int64_t k, double distance, int64_t row) {
    int64_t at = k - 1;
    for (; at > 0 && distances[at - 1] > distance; at--) {
        distances[at] = distances[at - 1];
        found[at] = found[at - 1];
    }
    distances[at] = distance;
    found[at] = row;
}

static void NAME(search_task)(void *made, int64_t task) {
    const NAME(job) *job = made;
    const int64_t columns = job->columns, k = job->k;
    const int64_t first = sol_first(job->number, task, job->tasks), end = sol_first(job->number, task + 1, job->tasks);
    for (int64_t tile = 0; tile < job->blocks; tile += job->tile)
        for (int64_t q = first; q < end; q += 4) {
            const int points = (int)sol_min(4, end - q);
            const REAL *point[4];
            for (int i = 0; i < 4; i++) point[i] = job->points + (q + (i < points ? i : 0)) * columns;
            const int64_t last = sol_min(tile + job->tile, job->blocks);
            for (int64_t b = tile; b < last; b++) {
                VEC sum[4][2];
                NAME(measure)(job->metric, job->turned + b * columns * NAME(ROWS), point, columns, sum);
                const int64_t rows = sol_min(NAME(ROWS), job->rows - b * NAME(ROWS));
                for (int i = 0; i < points; i++) {
                    double *distances = job->distances + (q + i) * k;
                    int64_t *found = job->found + (q + i) * k;
                    const REAL most = (REAL)distances[k - 1];
                    const IVEC near = (sum[i][0] < most) | (sum[i][1] < most);
                    WHOLE any = 0;
                    UNROLL for (int r = 0; r < LANES; r++) any |= near[r];
                    if (!any) continue;
                    for (int64_t r = 0; r < rows; r++) {
                        const double distance = (double)sum[i][r / LANES][r % LANES];
                        if (distance < distances[k - 1])
                            NAME(insert)(distances, found, k, distance, b * NAME(ROWS) + r);
                    }
                }
            }
        }
}

/* For each of points [number, columns] the k nearest of X [rows, columns], nearest first: distances (squares of Euclidean
 * ones; they come in as infinity) and found [number, k], numbers of rows. turned: room for `blocks` blocks of 2 * LANES
 * rows, at a multiple of 64 bytes; tile: how many of them stay in the cache. */
void NAME(neighbors_nearest)(const REAL *X, const REAL *points, REAL *turned, double *distances, int64_t *found,
                             int64_t rows, int64_t columns, int64_t number, int64_t k, int64_t tile, int64_t tasks,
                             int64_t metric, int threads) {
    NAME(job) job = {.X = X, .points = points, .turned = turned, .distances = distances, .found = found};
    job.rows = rows, job.columns = columns, job.number = number, job.k = k, job.tile = tile, job.tasks = tasks;
    job.metric = (int)metric, job.blocks = (rows + NAME(ROWS) - 1) / NAME(ROWS);
    sol_parallel(NAME(turn_task), &job, tasks, threads);
    sol_parallel(NAME(search_task), &job, tasks, threads);
}
#undef DISTANCES
#undef VEC
#undef IVEC
