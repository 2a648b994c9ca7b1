/* bench_merge.c -- bytes of input a merge takes per second, four tasks and a
 * base of 50 million elements each, against a triad of the same run.
 *
 *     merge [MILLIONS [METHOD[/VARIANT]]]
 *
 * Inputs are in memory and the output is written again and again, as in a
 * slot. The input of a method with a base counts that, too. Of each method
 * float32 with one thread and two; what the second gains, against what it
 * gains arithmetic alone in the same turn; all that two threads read, round by
 * round, and write, as a share of what a triad of two moves ("bus"); bfloat16
 * against the elements that float32 takes in the same time, turn by turn, and
 * float32 against itself, which is what such a comparison can tell; then what
 * many points cost against one. */
#include <stdlib.h>
#include <string.h>

#include "bench/bench.h"
#include "bench/compute.h"
#include "bench/triad.h"
#include "common/clock.h"
#include "common/memory.h"
#include "common/philox.h"
#include "jobs/merge/merge_run.h"

enum { TASKS = 4, MODELS = 1 + TASKS, TENSORS = 16, RUNS = 5, ALIGN = 64 };
enum { POINT_MILLIONS = 6 }; /* elements of a run of many points, at most */

/* The base and the tasks, of one dtype. */
struct models {
    uint64_t elements; /* of one model */
    enum dtype dtype;
    char names[TENSORS][16];
    struct tensor items[MODELS][TENSORS];
    struct tensor_set sets[MODELS];
};

/* One point's output: as in a slot, one block (jobs/recipe_cache.c). */
struct output {
    char *memory;
    void *targets[TENSORS];
};

static void *new_row(uint64_t size)
{
    void *row = aligned_alloc(ALIGN, (size + ALIGN) / ALIGN * ALIGN);

    if (row == NULL)
        abort();
    memset(row, 0, size); /* its pages exist before the clock runs */
    return row;
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

static const void *new_tensor(const float *x, uint64_t count, enum dtype dtype)
{
    void *row = new_row(count * dtype_size(dtype));

    dtype_from_f32(dtype, x, row, count);
    return row;
}

static void models_init(struct models *m, uint64_t elements, enum dtype dtype)
{
    uint64_t each = elements / TENSORS;
    float *base = new_row(each * sizeof *base);
    float *x = new_row(each * sizeof *x);

    m->elements = each * TENSORS;
    m->dtype = dtype;
    for (size_t t = 0; t < TENSORS; t++) {
        (void)snprintf(m->names[t], sizeof m->names[t], "layers.%02zu.w", t);
        fill(base, NULL, each, (uint32_t)t);
        for (size_t i = 0; i < MODELS; i++) {
            if (i > 0)
                fill(x, base, each, (uint32_t)(i * TENSORS + t));
            m->items[i][t] =
                (struct tensor){ .name = m->names[t],
                                 .dtype = dtype,
                                 .rank = 2,
                                 .shape = { each / 1000, 1000 },
                                 .count = each,
                                 .data = new_tensor(i > 0 ? x : base, each,
                                                    dtype) };
        }
    }
    for (size_t i = 0; i < MODELS; i++)
        m->sets[i] = (struct tensor_set){ TENSORS, m->items[i] };
    free(base);
    free(x);
}

static void models_release(struct models *m)
{
    for (size_t i = 0; i < MODELS; i++) {
        for (size_t t = 0; t < TENSORS; t++)
            free((void *)(uintptr_t)m->items[i][t].data);
    }
}

static void output_init(struct output *o, const struct models *m)
{
    const size_t each =
        (tensor_bytes(&m->items[0][0]) + ALIGN - 1) / ALIGN * ALIGN;

    o->memory = xcalloc_large(TENSORS, each);
    for (size_t t = 0; t < TENSORS; t++)
        o->targets[t] = o->memory + t * each;
}

static void output_release(struct output *o)
{
    free(o->memory);
}

/* The least that a method takes, or as many as there are. */
static size_t tasks_of(const struct merge_method *method)
{
    return method->most_models != 0 && method->most_models < TASKS
               ? method->most_models
               : TASKS;
}

static bool has_base(const struct merge_method *method)
{
    return method->base || method->base_is_model;
}

static void set_inputs(struct merge_inputs *in, const struct models *m,
                       const struct merge_method *method)
{
    size_t first = method->base_is_model ? 0 : 1;

    *in =
        (struct merge_inputs){ .base = has_base(method) ? &m->sets[0] : NULL };
    for (size_t i = 0; i < tasks_of(method); i++)
        in->tasks[i] = &m->sets[first + i];
}

/* A point of a bench: numbers by their names in the file. */
struct point {
    const char *name;
    double value;
    double lambda;
};

static void set_numbers(json_t *parameters, const struct merge_method *method,
                        const struct point *point)
{
    if (merge_method_use(method, MERGE_WEIGHT) != NULL)
        (void)json_object_set_new(parameters, "weight", json_real(0.7));
    if (merge_method_use(method, MERGE_DENSITY) != NULL)
        (void)json_object_set_new(parameters, "density", json_real(0.2));
    if (merge_method_use(method, MERGE_T) != NULL)
        (void)json_object_set_new(parameters, "t", json_real(0.3));
    if (point == NULL)
        return;
    (void)json_object_set_new(parameters, point->name, json_real(point->value));
    (void)json_object_set_new(parameters, "lambda", json_real(point->lambda));
}

static json_t *config_of(const struct merge_method *method, const char *rule,
                         const char *dtype, const struct point *point)
{
    static const char *const names[] = { "base", "a", "b", "c", "d" };
    size_t first = method->base_is_model ? 0 : 1;
    json_t *parameters = json_object();
    json_t *models = json_array();
    json_t *config =
        json_pack("{s:s, s:s, s:o, s:o}", "merge_method", method->name, "dtype",
                  dtype, "parameters", parameters, "models", models);

    for (size_t i = 0; i < tasks_of(method); i++)
        (void)json_array_append_new(
            models, json_pack("{s:s}", "model", names[first + i]));
    if (has_base(method))
        (void)json_object_set_new(config, "base_model", json_string("base"));
    if (method->variant != NULL)
        (void)json_object_set_new(config, "variant",
                                  json_string(method->variant));
    if (rule != NULL)
        (void)json_object_set_new(parameters, "rescale_rule",
                                  json_string(rule));
    set_numbers(parameters, method, point);
    return config;
}

static void check(struct status s)
{
    if (!status_failed(&s))
        return;
    (void)fprintf(stderr, "bench merge: %s\n", s.message);
    exit(1);
}

/* A merge that can be timed again and again. */
struct timed {
    struct merge *merge;
    struct merge_inputs inputs;
    void *const *targets[MERGE_POINTS];
};

static void timed_init(struct timed *t, const struct models *models,
                       const struct merge_config *configs, size_t points,
                       const struct output *outputs)
{
    for (size_t p = 0; p < points; p++)
        t->targets[p] = outputs[p].targets;
    set_inputs(&t->inputs, models, configs->method);
    check(merge_new(configs, points, &t->inputs, &t->merge));
}

static double seconds_of(struct timed *t, uint64_t threads)
{
    const struct merge_runtime runtime = { .threads = threads };
    int64_t begin = clock_now();

    check(merge_run(t->merge, &runtime, t->targets));
    return (double)(clock_now() - begin) / (double)NS_PER_S;
}

/* One point with the usual numbers. */
struct one {
    json_t *json;
    struct merge_config config;
    struct output output;
    struct timed timed;
};

static void one_init(struct one *o, const struct models *models,
                     const struct merge_method *method, const char *rule)
{
    const char *dtype = models->dtype == DTYPE_F32 ? "float32" : "bfloat16";

    o->json = config_of(method, rule, dtype, NULL);
    check(merge_config_read(o->json, &o->config));
    output_init(&o->output, models);
    timed_init(&o->timed, models, &o->config, 1, &o->output);
}

static void one_release(struct one *o)
{
    merge_free(o->timed.merge);
    output_release(&o->output);
    json_decref(o->json);
}

static void name_of(const struct merge_method *method, const char *rule,
                    const char *more, char *text, size_t size)
{
    (void)snprintf(text, size, "merge.%s%s%s%s%s.%s", method->name,
                   method->variant != NULL ? "." : "",
                   method->variant != NULL ? method->variant : "",
                   rule != NULL ? "." : "", rule != NULL ? rule : "", more);
}

/* Medians of turns, each of which runs all of them. */
struct turns {
    double one, two; /* seconds of float32 by one thread and by two */
    double half;     /* of bfloat16 */
    double gain;     /* of bfloat16: times the elements a second */
    double again;    /* of float32 against itself */
    double speedup;  /* of float32 by the second thread ... */
    double computed; /* ... and what it gives to work without memory */
};

static struct turns take_turns(struct one *f32, struct one *bf16)
{
    double one[RUNS], two[RUNS], half[RUNS], gain[RUNS], again[RUNS];
    double speedup[RUNS], computed[RUNS];

    (void)seconds_of(&f32->timed, 1);
    (void)seconds_of(&bf16->timed, 1);
    for (size_t run = 0; run < RUNS; run++) {
        one[run] = seconds_of(&f32->timed, 1);
        half[run] = seconds_of(&bf16->timed, 1);
        again[run] = one[run] / seconds_of(&f32->timed, 1);
        gain[run] = one[run] / half[run];
        two[run] = seconds_of(&f32->timed, 2);
        speedup[run] = one[run] / two[run];
        computed[run] = 1.0 / compute_share_of_two();
    }
    return (struct turns){
        bench_quantile(one, RUNS, 0.5),      bench_quantile(two, RUNS, 0.5),
        bench_quantile(half, RUNS, 0.5),     bench_quantile(gain, RUNS, 0.5),
        bench_quantile(again, RUNS, 0.5),    bench_quantile(speedup, RUNS, 0.5),
        bench_quantile(computed, RUNS, 0.5),
    };
}

/* A method by the names of its lines, and what it was measured on. */
struct measured {
    const struct merge_method *method;
    const char *rule;
    double input, moved; /* bytes of float32: once; read and written by a run */
    const double *triads;
};

static void print_line(const struct measured *m, const char *what, double value,
                       const char *unit, double ratio, const char *against)
{
    char name[96];

    name_of(m->method, m->rule, what, name, sizeof name);
    bench_print(name, value, unit, ratio, against);
}

static void print_turns(const struct measured *m, const struct turns *t)
{
    double one = m->input / t->one / 1e9;
    double two = m->input / t->two / 1e9;
    double bus = m->moved / t->two / 1e9;

    print_line(m, "threads1", one, "GB/s", one / m->triads[0],
               "triad.threads1");
    print_line(m, "threads2", two, "GB/s", two / m->triads[1],
               "triad.threads2");
    print_line(m, "speedup", t->speedup, "times", t->speedup / t->computed,
               "two threads of arithmetic alone");
    print_line(m, "bus", bus, "GB/s", bus / m->triads[1], "triad.threads2");
    print_line(m, "bf16", m->input / 2.0 / t->half / 1e9, "GB/s", t->gain,
               "elements a second of threads1");
    print_line(m, "again", one, "GB/s", t->again, "itself");
}

static void bench_method(const struct models *f32, const struct models *bf16,
                         const struct merge_method *method, const char *rule,
                         const double *triads)
{
    size_t inputs = tasks_of(method) + (method->base ? 1 : 0);
    double each = (double)(f32->elements * sizeof(float));
    struct measured m = { .method = method,
                          .rule = rule,
                          .input = (double)inputs * each,
                          .triads = triads };
    struct one whole, half;
    struct turns turns;

    one_init(&whole, f32, method, rule);
    one_init(&half, bf16, method, rule);
    turns = take_turns(&whole, &half);
    m.moved = (double)merge_counts_of(whole.timed.merge).bytes_read + each;
    print_turns(&m, &turns);
    one_release(&whole);
    one_release(&half);
}

/* `count` values of a parameter by four lambdas, in one run. */
struct fan {
    const char *method, *variant, *parameter;
    size_t count;
    double values[8];
};

static const struct fan fans[] = {
    { "task_arithmetic", NULL, "weight", 1, { 0.7 } },
    { "dare_linear",
      NULL,
      "density",
      8,
      { 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.9 } },
    { "ties", "mergekit", "density", 3, { 0.1, 0.2, 0.3 } },
    { "ties", "original", "density", 3, { 0.1, 0.2, 0.3 } },
    { "pcb", "nlp", "ratio", 3, { 0.05, 0.1, 0.2 } },
};

static void bench_fan(const struct models *models, const struct fan *fan)
{
    enum { LAMBDAS = 4 };
    const struct merge_method *method =
        merge_method_find(fan->method, fan->variant);
    size_t points = fan->count * LAMBDAS;
    json_t *json[MERGE_POINTS];
    struct merge_config configs[MERGE_POINTS];
    struct output outputs[MERGE_POINTS];
    struct timed single, fused;
    double all[RUNS], share[RUNS];
    char more[32];
    char name[96];

    for (size_t p = 0; p < points; p++) {
        const struct point point = { fan->parameter, fan->values[p / LAMBDAS],
                                     0.5 + 0.25 * (double)(p % LAMBDAS) };

        json[p] = config_of(method, NULL, "float32", &point);
        check(merge_config_read(json[p], &configs[p]));
        output_init(&outputs[p], models);
    }
    timed_init(&single, models, configs, 1, outputs);
    timed_init(&fused, models, configs, points, outputs);
    for (size_t run = 0; run < RUNS; run++) {
        double one = seconds_of(&single, 1);

        all[run] = seconds_of(&fused, 1);
        share[run] = all[run] / one;
    }
    merge_free(single.merge);
    merge_free(fused.merge);
    (void)snprintf(more, sizeof more, "points%zu", points);
    name_of(method, NULL, more, name, sizeof name);
    bench_print(name, bench_quantile(all, RUNS, 0.5), "s",
                bench_quantile(share, RUNS, 0.5), "one point");
    for (size_t p = 0; p < points; p++) {
        output_release(&outputs[p]);
        json_decref(json[p]);
    }
}

/* "ties" or "ties/original"; NULL: any. */
static bool is_asked(const char *name, const char *variant, const char *asked)
{
    size_t length = strlen(name);

    if (asked == NULL)
        return true;
    if (strncmp(asked, name, length) != 0)
        return false;
    return asked[length] == '\0' || (asked[length] == '/' && variant != NULL &&
                                     strcmp(asked + length + 1, variant) == 0);
}

static void bench_rows(uint64_t elements, const char *asked,
                       const double *triads)
{
    static struct models f32, bf16;

    models_init(&f32, elements, DTYPE_F32);
    models_init(&bf16, elements, DTYPE_BF16);
    for (const struct merge_method *m = merge_methods; m->name != NULL; m++) {
        if (!is_asked(m->name, m->variant, asked))
            continue;
        bench_method(&f32, &bf16, m, m->rescales ? "paper" : NULL, triads);
        if (m->l1)
            bench_method(&f32, &bf16, m, "l1", triads);
    }
    models_release(&f32);
    models_release(&bf16);
}

static void bench_fans(uint64_t elements, const char *asked)
{
    static struct models models;
    const uint64_t most = POINT_MILLIONS * UINT64_C(1000000);

    models_init(&models, elements < most ? elements : most, DTYPE_F32);
    for (size_t i = 0; i < COUNT_OF(fans); i++) {
        if (is_asked(fans[i].method, fans[i].variant, asked))
            bench_fan(&models, &fans[i]);
    }
    models_release(&models);
}

int main(int argc, char **argv)
{
    double millions = argc > 1 ? strtod(argv[1], NULL) : 50.0;
    uint64_t elements = (uint64_t)(millions * 1e6) / 16000 * 16000;
    const char *asked = argc > 2 ? argv[2] : NULL;
    double triads[2];

    for (int threads = 1; threads <= 2; threads++) {
        triads[threads - 1] =
            triad_bytes_per_second(TRIAD_FLOATS, threads) / 1e9;
        bench_print(threads == 1 ? "triad.threads1" : "triad.threads2",
                    triads[threads - 1], "GB/s", 1.0, "triad");
    }
    bench_rows(elements, asked, triads);
    bench_fans(elements, asked);
    return 0;
}
