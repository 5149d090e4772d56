/* Calls a deployed network. After its first result it is asked for blocks of calls as in measure.py: seconds for a block
   and calls that do not count, on a line each. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include "deployed.h"

enum { MOST = 64, CALLS = 1 << 16 };

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

int main(int count, char **arguments) { /* threads, file of outputs, files of inputs */
    static double times[CALLS];
    void *given[MOST], *made[MOST];
    int64_t in[MOST], out[MOST];
    const int inputs = predict_inputs(), outputs = predict_outputs();
    if (count != 3 + inputs) return 2;
    const predict_options options = {0, atoi(arguments[1]), NULL, NULL};
    predict_context *context = predict_open(&options);
    if (predict_status(context)) return fprintf(stderr, "%s\n", predict_message(context)), 1;
    for (int i = 0; i < inputs; i++) {
        FILE *file = fopen(arguments[3 + i], "rb");
        given[i] = malloc((size_t)(in[i] = predict_input_bytes(i, NULL)));
        if (!file || fread(given[i], 1, (size_t)in[i], file) != (size_t)in[i]) return perror(arguments[3 + i]), 1;
        fclose(file);
    }
    for (int i = 0; i < outputs; i++) made[i] = malloc((size_t)(out[i] = predict_output_bytes(i, NULL)));
#define CALL() predict_run(context, NULL, (const void *const *)given, in, made, out)
    if (CALL()) return fprintf(stderr, "%s\n", predict_message(context)), 1;
    FILE *file = fopen(arguments[2], "wb");
    for (int i = 0; i < outputs; i++)
        if (!file || fwrite(made[i], 1, (size_t)out[i], file) != (size_t)out[i]) return perror(arguments[2]), 1;
    fclose(file);
    printf("ready %s\n", predict_instructions(context));
    fflush(stdout);
    double block;
    int warm_up, done;
    while (scanf("%lf %d", &block, &warm_up) == 2) {
        double end = now() + block;
        for (int i = 0; i < warm_up && (!i || now() < end); i++) CALL();
        end = now() + block;
        for (done = 0; done < CALLS && (done < 3 || now() < end); done++) {
            const double start = now();
            CALL();
            times[done] = now() - start;
        }
        for (int i = 0; i < done; i++) printf("%.9f ", times[i]);
        puts("");
        fflush(stdout);
    }
    predict_free(context);
    return 0;
}
