/* network.h: a deployed network, all of it that is the same for every one: contexts, the file of weights, a call.
 *
 * It is included once, by the generated NAME.c, which has defined SOL_PUBLIC(x) as NAME_x and the tables below, and has
 * included the public header NAME.h. There is no state but in contexts, and none is shared between them.
 */
#ifndef SOL_NETWORK_H
#define SOL_NETWORK_H

#include "mapped.h"
#include "pool.h"

typedef SOL_PUBLIC(tensor) sol_tensor;
typedef SOL_PUBLIC(options) sol_options;
typedef SOL_PUBLIC(context) sol_context;
#define SOL_STATUS(name) SOL_PUBLIC(name)

/* What an entry of a program's table of values points at. */
enum { SOL_ARENA, SOL_WEIGHTS, SOL_INPUT, SOL_OUTPUT, SOL_FAULT };
typedef struct {
    int8_t kind;
    int64_t where; /* bytes into the arena or the weights; or which input, output or fault it is */
} sol_place;

/* Numbers of rows that must be looked at before cluster `before` runs: compiled code reads what they say. */
typedef struct {
    int32_t before;
    int32_t bytes; /* of a number: 4 or 8 */
    sol_place place;
    int64_t count, rows;
    const char *said;
} sol_check;

/* A result that is an input, a weight, or a result already. */
typedef struct {
    int32_t output;
    sol_place place;
    int64_t bytes;
} sol_copy;

/* A program for so many samples at once. */
typedef struct {
    int64_t batch;
    const sol_place *places;
    const sol_check *checks;
    const sol_copy *copies;
    const char *const *faults; /* what to say of each, with a %lld for the number at fault */
    int64_t arena;             /* bytes of memory for what is made on the way */
    int32_t first, last;       /* its clusters */
    int32_t entries, checked, copied, faulty;
} sol_program;

/* The same clusters, compiled for each set of instructions. */
typedef struct {
    const char *name;
    int (*has)(void); /* whether this processor has it */
    const sol_cluster *clusters;
} sol_level;

typedef struct {
    const char *name, *file; /* of weights, where they are not in the library */
    const uint8_t *embedded;
    int64_t bytes;     /* of weights */
    uint8_t digest[16]; /* of the network: a file of another is refused */
    const sol_tensor *inputs, *outputs;
    int32_t input_count, output_count;
    int32_t varying; /* whether the batch varies */
    const sol_program *programs; /* largest batch first */
    int32_t program_count;
    const sol_level *levels; /* best first */
    int32_t level_count;
} sol_network;

enum { SOL_ALIGNMENT = 64, SOL_MESSAGE = 512, SOL_MOST_ARRAYS = 64 };

struct SOL_PUBLIC(context) {
    const sol_network *network;
    const sol_cluster *clusters;
    const char *level;
    const uint8_t *weights;
    sol_mapped file;
    int threads;
    int status;     /* of the last call */
    int opened;     /* that of opening it: with an error no call works */
    sol_lock lock;  /* held by the call that runs */
    sol_pool *pool;
    char *memory; /* the arena, of one program at a time */
    float ***tables;
    int64_t *faults; /* two numbers for each of all programs, see sol_fault */
    char message[SOL_MESSAGE];
};

#define SOL_FAIL(context, code, ...)                                                                                   \
    (snprintf((context)->message, SOL_MESSAGE, __VA_ARGS__), (context)->status = SOL_STATUS(code))

static inline int sol_item_bytes(SOL_PUBLIC(dtype) dtype) {
    static const int8_t bytes[] = {4, 8, 2, 2, 1, 2, 4, 8, 1, 1};
    return bytes[dtype];
}

/* ---------------------------------------------------------------- Contexts */

static inline int sol_processors(void) {
#if defined(__ve__) || !defined(CPU_COUNT)
    const long count = sysconf(_SC_NPROCESSORS_ONLN);
    return count > 0 ? (int)count : 1;
#else
    cpu_set_t set;
    return sched_getaffinity(0, sizeof set, &set) ? 1 : CPU_COUNT(&set);
#endif
}

/* The path of the file of weights where nobody says one: beside the library, or the program it is linked into. */
static inline void sol_beside(const sol_network *network, char *path, size_t room) {
    const char *folder = "";
    int length = 0;
#if !defined(__ve__)
    Dl_info found;
    if (dladdr((const void *)network, &found) && found.dli_fname) {
        const char *slash = strrchr(found.dli_fname, '/');
        folder = found.dli_fname;
        length = slash ? (int)(slash - found.dli_fname) + 1 : 0;
    }
#endif
    snprintf(path, room, "%.*s%s", length, folder, network->file);
}

static inline int sol_open_weights(sol_context *context, const char *asked) {
    const sol_network *network = context->network;
    char path[SOL_MOST_PATH];
    sol_beside(network, path, sizeof path);
    const char *file = asked ? asked : path;
    switch (sol_map(file, network->digest, network->bytes, &context->file)) {
    case SOL_MAPPED:
        context->weights = (const uint8_t *)context->file.memory + SOL_HEADER;
        return SOL_STATUS(OK);
    case SOL_NOT_OPENED: return SOL_FAIL(context, NO_WEIGHTS, "cannot open the file of weights %.400s", file);
    case SOL_NOT_MAPPED: return SOL_FAIL(context, NO_MEMORY, "cannot map the file of weights %.400s", file);
    case SOL_NO_WEIGHTS: return SOL_FAIL(context, WRONG_WEIGHTS, "%.400s is no file of weights", file);
    case SOL_OTHER: return SOL_FAIL(context, WRONG_WEIGHTS, "%.400s has the weights of another network", file);
    case SOL_CUT_OFF: return SOL_FAIL(context, WRONG_WEIGHTS, "%.400s is cut off, or longer than it should be", file);
    default: return SOL_FAIL(context, WRONG_WEIGHTS, "%.400s is damaged: its checksum is wrong", file);
    }
}

static inline int sol_choose_level(sol_context *context, const char *asked) {
    const sol_network *network = context->network;
    for (int i = 0; i < network->level_count; i++) {
        const sol_level *level = &network->levels[i];
        if ((asked && strcmp(asked, level->name)) || !level->has()) continue;
        context->clusters = level->clusters;
        context->level = level->name;
        return SOL_STATUS(OK);
    }
    return SOL_FAIL(context, WRONG_DEVICE, "this processor does not have the instructions %s",
                    asked ? asked : network->levels[network->level_count - 1].name);
}

/* Memory for all programs, and their tables of values with all in them that stays where it is. */
static inline int sol_place_values(sol_context *context) {
    const sol_network *network = context->network;
    int64_t arenas = 0, entries = 0, faults = 0;
    for (int p = 0; p < network->program_count; p++) {
        const sol_program *program = &network->programs[p];
        arenas = program->arena > arenas ? program->arena : arenas; /* one program at a time */
        entries += program->entries;
        faults += program->faulty;
    }
    void *memory;
    context->tables = calloc((size_t)network->program_count, sizeof *context->tables);
    context->faults = calloc((size_t)(2 * faults + 1), sizeof *context->faults);
    float **table = calloc((size_t)entries + 1, sizeof *table);
    if (posix_memalign(&memory, SOL_ALIGNMENT, (size_t)arenas + SOL_ALIGNMENT)) memory = NULL;
    context->memory = memory;
    if (context->tables) context->tables[0] = table;
    if (!context->tables || !context->faults || !table || !memory) {
        if (!context->tables) free(table);
        return SOL_FAIL(context, NO_MEMORY, "there is no memory for %lld bytes", (long long)arenas);
    }
    int64_t *fault = context->faults;
    for (int p = 0; p < network->program_count; p++) {
        const sol_program *program = &network->programs[p];
        context->tables[p] = table;
        for (int i = 0; i < program->entries; i++, table++) {
            const sol_place *place = &program->places[i];
            if (place->kind == SOL_ARENA) *table = (float *)(context->memory + place->where);
            if (place->kind == SOL_WEIGHTS) *table = (float *)(uintptr_t)(context->weights + place->where);
            if (place->kind == SOL_FAULT) *table = (float *)(fault + 2 * place->where);
        }
        fault += 2 * program->faulty;
    }
    return SOL_STATUS(OK);
}

static inline sol_context *sol_open(const sol_network *network, const sol_options *options) {
    sol_context *context = calloc(1, sizeof *context);
    if (!context) return NULL;
    context->network = network;
    sol_lock_make(&context->lock);
    void *pool = NULL;
    if (!posix_memalign(&pool, _Alignof(sol_pool), sizeof *context->pool)) {
        context->pool = pool;
        memset(pool, 0, sizeof *context->pool);
        sol_pool_make(pool);
    }
    context->threads = options->threads > 0 ? options->threads : sol_processors();
    if (!pool)
        SOL_FAIL(context, NO_MEMORY, "there is no memory for a pool of threads");
    else if (options->device != 0)
        SOL_FAIL(context, WRONG_DEVICE, "there is no device %d: this library runs where it is called, device 0",
                 options->device);
    else if (options->threads < 0)
        SOL_FAIL(context, WRONG_SIZE, "%d threads: 0 is one for each processor", options->threads);
    else if (!sol_choose_level(context, options->instructions)) {
        context->weights = network->embedded;
        if (network->embedded || !sol_open_weights(context, options->weights)) sol_place_values(context);
    }
    context->opened = context->status;
    return context;
}

static inline void sol_close(sol_context *context) {
    if (!context) return;
    if (context->pool) {
        sol_pool_end(context->pool);
        free(context->pool);
    }
    if (context->tables) free(context->tables[0]);
    free(context->tables);
    free(context->faults);
    free(context->memory);
    sol_unmap(&context->file);
    sol_lock_end(&context->lock);
    free(context);
}

/* ---------------------------------------------------------------- A call */

static inline int sol_look_at_faults(sol_context *context, const sol_program *program, int index) {
    int64_t *fault = context->faults;
    for (int p = 0; p < index; p++) fault += 2 * context->network->programs[p].faulty;
    int found = SOL_STATUS(OK);
    for (int i = 0; i < program->faulty; i++) {
        if (!fault[2 * i]) continue;
        fault[2 * i] = 0;
        if (!found) found = SOL_FAIL(context, WRONG_VALUE, program->faults[i], (long long)fault[2 * i + 1]);
    }
    return found;
}

/* Where a value lies during a call. */
static inline const char *sol_at(const sol_context *context, sol_place place, const void *const *inputs,
                                 void *const *outputs) {
    switch (place.kind) {
    case SOL_ARENA: return context->memory + place.where;
    case SOL_WEIGHTS: return (const char *)context->weights + place.where;
    case SOL_INPUT: return inputs[place.where];
    default: return outputs[place.where];
    }
}

static inline int sol_check_rows(sol_context *context, const sol_check *check, const char *numbers) {
    for (int64_t i = 0; i < check->count; i++) {
        int64_t row = 0;
        int32_t half;
        if (check->bytes == 8) {
            memcpy(&row, numbers + 8 * i, 8);
        } else {
            memcpy(&half, numbers + 4 * i, 4);
            row = half;
        }
        if (row < 0 || row >= check->rows)
            return SOL_FAIL(context, WRONG_VALUE, "%s: %lld is no row of a table of %lld", check->said, (long long)row,
                            (long long)check->rows);
    }
    return SOL_STATUS(OK);
}

/* Runs one program. */
static inline int sol_run_program(sol_context *context, int index, const void *const *inputs, void *const *outputs) {
    const sol_program *program = &context->network->programs[index];
    float **table = context->tables[index];
    for (int i = 0; i < program->entries; i++) {
        const sol_place *place = &program->places[i];
        if (place->kind == SOL_INPUT) table[i] = (float *)(uintptr_t)inputs[place->where];
        if (place->kind == SOL_OUTPUT) table[i] = outputs[place->where];
    }
    const sol_check *check = program->checks, *const checked = check + program->checked;
    for (int c = program->first; c < program->last; c++) {
        for (; check < checked && check->before <= c - program->first; check++)
            if (sol_check_rows(context, check, sol_at(context, check->place, inputs, outputs))) return context->status;
        sol_run_cluster(context->pool, &context->clusters[c], (float *const *)table, context->threads);
    }
    for (int i = 0; i < program->copied; i++) {
        const sol_copy *copy = &program->copies[i];
        memcpy(outputs[copy->output], sol_at(context, copy->place, inputs, outputs), (size_t)copy->bytes);
    }
    return sol_look_at_faults(context, program, index);
}

static inline const sol_tensor *sol_tensor_at(const sol_network *network, int output, int index) {
    const int count = output ? network->output_count : network->input_count;
    return index < 0 || index >= count ? NULL : output ? &network->outputs[index] : &network->inputs[index];
}

/* Whether the first dimension of a tensor is a batch that varies. */
static inline int sol_is_batch(const sol_network *network, const sol_tensor *tensor) {
    return network->varying && tensor->rank > 0 && tensor->dims[0] == -1;
}

/* The samples of a call; 0 where nobody says, or too few. */
static inline int64_t sol_samples(const sol_network *network, const int64_t *sizes) {
    if (!network->varying) return 1;
    return sizes && sizes[0] > 0 && sizes[0] < INT64_MAX / 1024 ? sizes[0] : 0;
}

/* The bytes of an input or output, for so many samples. */
static inline int64_t sol_bytes(const sol_network *network, int output, int index, int64_t samples) {
    const sol_tensor *tensor = sol_tensor_at(network, output, index);
    int64_t bytes = sol_item_bytes(tensor->dtype);
    for (int d = 0; d < tensor->rank; d++) bytes *= d == 0 && sol_is_batch(network, tensor) ? samples : tensor->dims[d];
    return bytes;
}

static inline int64_t sol_size_of(const sol_network *network, int output, int index, const int64_t *sizes) {
    const int64_t samples = sol_samples(network, sizes);
    return sol_tensor_at(network, output, index) && samples ? sol_bytes(network, output, index, samples) : -1;
}

/* What is wrong with the arrays of a call. `bytes` may be NULL: then the caller knows them to be right. */
static inline int sol_check_arrays(sol_context *context, int output, const void *const *arrays, const int64_t *bytes,
                                   int64_t samples) {
    const sol_network *network = context->network;
    const char *kind = output ? "output" : "input";
    for (int i = 0; i < (output ? network->output_count : network->input_count); i++) {
        const char *name = sol_tensor_at(network, output, i)->name;
        const int64_t wanted = sol_bytes(network, output, i, samples);
        if (!arrays || (!arrays[i] && wanted))
            return SOL_FAIL(context, NULL_POINTER, "the %s %s is NULL", kind, name);
        if (bytes && bytes[i] != wanted)
            return SOL_FAIL(context, WRONG_SIZE, "the %s %s has %lld bytes and not %lld", kind, name, (long long)bytes[i],
                            (long long)wanted);
    }
    return SOL_STATUS(OK);
}

/* Runs all samples: as many at once as a program takes of those left. Programs are in order, largest first, and the last
 * is for one sample. */
static inline int sol_run_samples(sol_context *context, const void *const *inputs, void *const *outputs,
                                  int64_t samples) {
    const sol_network *network = context->network;
    const void *in[SOL_MOST_ARRAYS];
    void *out[SOL_MOST_ARRAYS];
    for (int i = 0; i < network->input_count; i++) in[i] = inputs[i];
    for (int i = 0; i < network->output_count; i++) out[i] = outputs[i];
    for (int p = 0; samples > 0; samples -= network->programs[p].batch) {
        while (network->varying && network->programs[p].batch > samples) p++;
        if (sol_run_program(context, p, in, out)) return context->status;
        if (!network->varying) break;
        const int64_t done = network->programs[p].batch;
        for (int i = 0; i < network->input_count; i++)
            if (sol_is_batch(network, &network->inputs[i])) in[i] = (const char *)in[i] + sol_bytes(network, 0, i, done);
        for (int i = 0; i < network->output_count; i++)
            if (sol_is_batch(network, &network->outputs[i])) out[i] = (char *)out[i] + sol_bytes(network, 1, i, done);
    }
    return SOL_STATUS(OK);
}

static inline int sol_call(sol_context *context, const int64_t *sizes, const void *const *inputs,
                           const int64_t *input_bytes, void *const *outputs, const int64_t *output_bytes) {
    if (!context) return SOL_STATUS(NULL_POINTER);
    if (context->opened) return context->opened;
    const int64_t samples = sol_samples(context->network, sizes);
    sol_lock_take(&context->lock);
    context->status = SOL_STATUS(OK);
    context->message[0] = 0;
    if (!samples)
        SOL_FAIL(context, WRONG_SIZE, "a batch has one sample at least");
    else if (!sol_check_arrays(context, 0, inputs, input_bytes, samples) &&
             !sol_check_arrays(context, 1, (const void *const *)outputs, output_bytes, samples))
        sol_run_samples(context, inputs, outputs, samples);
    const int status = context->status;
    sol_lock_release(&context->lock);
    return status;
}

#endif
