/* The first result of MobileNet v2 in ONNX Runtime. Its package has its C library, but no header. That functions keep
   their places in the table is its promise. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdint.h>

typedef struct {
    void *a[2];
    const char *(*message)(void *status);
    void *(*env)(int level, const char *name, void **made);
    void *b[3];
    void *(*session)(void *env, const char *path, void *options, void **made);
    void *c;
    void *(*run)(void *session, void *options, const char **names, void **values, size_t inputs, const char **results,
        size_t outputs, void **made);
    void *(*options)(void **made);
    void *d[38];
    void *(*tensor)(void *memory, void *data, size_t bytes, const int64_t *shape, size_t rank, int type, void **made);
    void *e;
    void *(*data)(void *value, void **made);
    void *f[17];
    void *(*memory)(int allocator, int type, void **made);
} table;
#define TRY(call) if ((failed = (call))) return fprintf(stderr, "%s\n", api->message(failed)), 1

int main(int count, char **arguments) { /* library, model, file of outputs, file of inputs */
    static float x[3 * 224 * 224];
    const int64_t shape[] = {1, 3, 224, 224};
    const char *names[] = {"x"}, *results[] = {"y"};
    void *failed, *env, *options, *session, *memory, *given, *made = NULL, *y;
    FILE *file = count == 5 ? fopen(arguments[4], "rb") : NULL;
    if (!file || fread(x, sizeof x, 1, file) != 1) return 1;
    fclose(file);
    void *library = dlopen(arguments[1], RTLD_NOW);
    if (!library) return fprintf(stderr, "%s\n", dlerror()), 1;
    struct { const table *(*api)(uint32_t version); } *(*base)(void) = dlsym(library, "OrtGetApiBase");
    const table *api = base()->api(1);
    TRY(api->env(3, "benchmark", &env));
    TRY(api->options(&options));
    TRY(api->session(env, arguments[2], options, &session));
    TRY(api->memory(0, 0, &memory));
    TRY(api->tensor(memory, x, sizeof x, shape, 4, 1, &given));
    TRY(api->run(session, NULL, names, &given, 1, results, 1, &made));
    TRY(api->data(made, &y));
    if (!(file = fopen(arguments[3], "wb")) || fwrite(y, 4, 1000, file) != 1000) return 1;
    fclose(file);
    puts("ready");
    fflush(stdout);
    getchar();
    return 0;
}
