/* bench_merge.c -- bytes of input a merge takes per second, four tasks and a
 * base of 50 million float32 each, against a triad of the same run.
 *
 *     merge [MILLIONS [METHOD]]
 *
 * Inputs are in memory and the output is written again and again, as in a
 * slot. The input of a method with a base counts five models, else four. */
#include <stdlib.h>
#include <string.h>

#include "bench/bench.h"
#include "bench/triad.h"
#include "common/clock.h"
#include "common/memory.h"
#include "common/philox.h"
#include "jobs/merge/merge_run.h"

enum { TASKS = 4, TENSORS = 16, RUNS = 3, ALIGN = 64 };

struct inputs {
    uint64_t floats; /* of one model */
    char names[TENSORS][16];
    struct tensor items[1 + TASKS][TENSORS];
    struct tensor_set sets[1 + TASKS];
    struct merge_inputs inputs;
    void *targets[TENSORS];
};

static float *new_floats(uint64_t count)
{
    float *x =
        aligned_alloc(ALIGN, (count * sizeof *x + ALIGN) / ALIGN * ALIGN);

    if (x == NULL)
        abort();
    return x;
}

/* Deltas about as long-tailed as those of fine-tunes; quick, not normal. */
static void fill(float *x, const float *base, uint64_t count, uint32_t seed)
{
    const struct philox_key key = { seed, 0, 0 };

    philox_uniform(key, 0, count, x);
    for (uint64_t i = 0; i < count; i++) {
        float centred = 2.0F * x[i] - 1.0F;

        x[i] = base == NULL ? 0.02F * centred
                            : base[i] + 0.001F * centred * centred * centred;
    }
}

static void inputs_init(struct inputs *in, uint64_t floats)
{
    uint64_t each = floats / TENSORS;

    in->floats = each * TENSORS;
    for (size_t m = 0; m < 1 + TASKS; m++) {
        for (size_t t = 0; t < TENSORS; t++) {
            float *x = new_floats(each);

            fill(x, m == 0 ? NULL : in->items[0][t].data, each,
                 (uint32_t)(m * TENSORS + t));
            (void)snprintf(in->names[t], sizeof in->names[t], "layers.%02zu.w",
                           t);
            in->items[m][t] = (struct tensor){ .name = in->names[t],
                                               .dtype = DTYPE_F32,
                                               .rank = 1,
                                               .shape = { each },
                                               .count = each,
                                               .data = x };
        }
        in->sets[m] = (struct tensor_set){ TENSORS, in->items[m] };
    }
    in->inputs.base = &in->sets[0];
    for (size_t m = 0; m < TASKS; m++)
        in->inputs.tasks[m] = &in->sets[1 + m];
    for (size_t t = 0; t < TENSORS; t++) {
        in->targets[t] = new_floats(each);
        memset(in->targets[t], 0, each * sizeof(float));
    }
}

static json_t *config_of(const struct merge_method *method, const char *rule)
{
    json_t *parameters = json_pack("{s:s}", "rescale_rule", rule);
    json_t *config = json_pack(
        "{s:s, s:s, s:o, s:[{s:s}, {s:s}, {s:s}, {s:s}]}", "merge_method",
        method->name, "base_model", "base", "parameters", parameters, "models",
        "model", "a", "model", "b", "model", "c", "model", "d");

    if (method->variant != NULL)
        (void)json_object_set_new(config, "variant",
                                  json_string(method->variant));
    if (merge_method_use(method, MERGE_WEIGHT) != NULL)
        (void)json_object_set_new(parameters, "weight", json_real(0.7));
    if (merge_method_use(method, MERGE_DENSITY) != NULL)
        (void)json_object_set_new(parameters, "density", json_real(0.2));
    return config;
}

static void check(struct status s)
{
    if (!status_failed(&s))
        return;
    (void)fprintf(stderr, "bench merge: %s\n", s.message);
    exit(1);
}

static double seconds_of(struct inputs *in, const struct merge_config *config,
                         uint64_t threads)
{
    const struct merge_runtime runtime = { .threads = threads };
    double seconds[RUNS];
    struct merge *m;

    check(merge_new(config, &in->inputs, &m));
    for (size_t run = 0; run < RUNS; run++) {
        int64_t begin = clock_now();

        check(merge_run(m, &runtime, in->targets));
        seconds[run] = (double)(clock_now() - begin) / (double)NS_PER_S;
    }
    merge_free(m);
    return bench_quantile(seconds, RUNS, 0.5);
}

static void bench_method(struct inputs *in, const struct merge_method *method,
                         const char *rule, uint64_t threads, double triad)
{
    json_t *json = config_of(method, rule);
    size_t models = method->base ? 1 + TASKS : TASKS;
    double bytes = (double)(in->floats * sizeof(float) * models);
    struct merge_config config;
    char name[96];
    double rate;

    check(merge_config_read(json, &config));
    (void)snprintf(name, sizeof name, "merge.%s%s%s%s%s.threads%d",
                   method->name, method->variant != NULL ? "." : "",
                   method->variant != NULL ? method->variant : "",
                   method->draws ? "." : "", method->draws ? rule : "",
                   (int)threads);
    rate = bytes / seconds_of(in, &config, threads) / 1e9;
    bench_print(name, rate, "GB/s", rate / triad, "triad");
    json_decref(json);
}

int main(int argc, char **argv)
{
    static struct inputs in;
    double millions = argc > 1 ? strtod(argv[1], NULL) : 50.0;

    inputs_init(&in, (uint64_t)(millions * 1e6));
    for (uint64_t threads = 1; threads <= 2; threads++) {
        double triad = triad_bytes_per_second(TRIAD_FLOATS, (int)threads) / 1e9;

        bench_print(threads == 1 ? "triad.threads1" : "triad.threads2", triad,
                    "GB/s", 1.0, "triad");
        for (const struct merge_method *m = merge_methods; m->name != NULL;
             m++) {
            if (argc > 2 && strcmp(argv[2], m->name) != 0)
                continue;
            bench_method(&in, m, "paper", threads, triad);
            if (m->draws && m->survey == NULL)
                bench_method(&in, m, "l1", threads, triad);
        }
    }
    return 0;
}
