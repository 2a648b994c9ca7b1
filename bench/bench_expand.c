/* How fast a sweep becomes jobs.
 *
 *     expand [trials]
 *
 * For sweeps of several shapes: how long the broker takes to read one when it
 * is submitted, whatever its size, and what a trial's jobs cost, by
 * sweep/expansion.h and by the JSON that reports are made of. */
#include <stdlib.h>
#include <string.h>

#include "bench/bench.h"
#include "common/clock.h"
#include "common/file.h"
#include "common/memory.h"
#include "jobs/job_kind.h"
#include "sweep/expansion.h"
#include "sweep/spec.h"

enum { DEFAULT_TRIALS = 200 * 1000, SLOW_PART = 100, ROUNDS = 5 };

struct shape {
    const char *name;
    const char *file;     /* a sweep file; NULL: the quickstart */
    const char *compiled; /* or what one compiles to */
};

#define NOOP(space)                                                    \
    "{\"sinter\": 1, \"name\": \"noop\", " space                       \
    ", \"evaluate\": [{\"name\": \"e\", \"kind\": \"evaluate.noop\", " \
    "\"variants\": [{\"params\": {\"x\": {\"$param\": \"x\"}, \"y\": " \
    "{\"$param\": \"y\"}}}], \"metrics\": [\"value\"]}]}"

#define AXIS(name, count) \
    "{\"name\": \"" name "\", \"from\": 0.5, \"to\": 1, \"count\": " count "}"

#define MERGE                                                                \
    "sources: {base: ./base, math: ./math}\n"                                \
    "merge:\n  merge_method: dare_linear\n  base_model: base\n"              \
    "  models:\n    - {model: math, parameters: {weight: 1, density: $d}}\n" \
    "  parameters: {lambda: $l}\n"                                           \
    "replicates: {count: 3}\n"                                               \
    "evaluate:\n  size: {builtin: footprint}\n"

static const struct shape shapes[] = {
    { .name = "grid_1e6",
      .compiled = NOOP(
          "\"parameters\": [" AXIS("x", "1000") ", " AXIS("y", "1000") "]") },
    { .name = "grid_1e8",
      .compiled = NOOP(
          "\"parameters\": [" AXIS("x", "10000") ", " AXIS("y", "10000") "]") },
    { .name = "random_list",
      .compiled = NOOP("\"parameters\": [" AXIS("x", "1000") ", " AXIS(
          "y", "1000") "], \"strategy\": {\"method\": \"random\"}") },
    { .name = "random_interval",
      .compiled =
          NOOP("\"parameters\": [{\"name\": \"x\", \"min\": 0, \"max\": 1},"
               "{\"name\": \"y\", \"min\": 1e-6, \"max\": 1, \"scale\": "
               "\"log\"}], \"strategy\": {\"method\": \"random\", \"trials\": "
               "100000000}") },
    { .name = "dare_grid",
      .file = "sinter: 1\nname: d\nparameters:\n"
              "  d: {from: 0.01, to: 1, count: 500}\n"
              "  l: {from: 0.1, to: 2, count: 500}\n" MERGE },
    { .name = "dare_derived",
      .file = "sinter: 1\nname: d\nparameters:\n"
              "  drop: {from: 0, to: 0.99, count: 500}\n"
              "  l: {from: 0.1, to: 2, count: 500}\n"
              "derive: {d: 1 - drop}\n"
              "constraints: [drop > 0 or l < 2]\n" MERGE },
    { .name = "quickstart" },
};

static void print(const char *what, const char *name, double value,
                  const char *unit)
{
    AUTO(free_pointer) char *full = xasprintf("%s.%s", what, name);

    bench_print(full, value, unit, 0.0, NULL);
}

static _Noreturn void stop(const char *name, const char *why)
{
    (void)fprintf(stderr, "%s: %s\n", name, why);
    exit(1);
}

static char *compiled_text(const struct shape *s, const char *text)
{
    const struct spec_input input = {
        .file = s->name, .text = text, .size = strlen(text), .directory = "/"
    };
    struct spec_problems problems;
    json_t *document = NULL;
    struct status st =
        spec_compile(&input, job_catalog(), &document, &problems);
    char *json;

    if (status_failed(&st)) {
        spec_print_problem(&problems.items[0], &input, false, stderr);
        stop(s->name, st.message);
    }
    json = json_canonical(document);
    json_decref(document);
    return json;
}

static double since(int64_t start)
{
    return (double)(clock_now() - start);
}

/* The least of some rounds: others use the machine too. */
static struct compiled *measure_reading(const struct shape *s, const char *json)
{
    struct compiled *c = NULL;
    double least = 1e18;

    for (int i = 0; i < ROUNDS; i++) {
        int64_t start = clock_now();
        struct expansion *e;
        struct status st;
        double took;

        compiled_free(c);
        st = compiled_parse(json, strlen(json), &c);
        if (status_failed(&st))
            stop(s->name, st.message);
        e = expansion_new(c);
        took = since(start);
        least = took < least ? took : least;
        expansion_free(e);
    }
    print("read", s->name, least / (double)NS_PER_MS, "ms");
    return c;
}

static size_t expand(struct expansion *e, struct expansion_scratch *scratch,
                     uint64_t trials)
{
    size_t jobs = 0;

    for (uint64_t i = 0; i < trials; i++) {
        struct expansion_trial t;
        struct status st = expansion_trial(e, i, scratch, &t);

        if (status_failed(&st))
            stop("expand", st.message);
        jobs += t.count;
    }
    return jobs;
}

static void measure_fast(const struct shape *s, const struct compiled *c,
                         uint64_t trials)
{
    struct expansion_scratch *scratch = expansion_scratch_new();
    double least = 1e18;
    size_t jobs = 0;

    for (int i = 0; i < ROUNDS; i++) {
        struct expansion *e = expansion_new(c);
        int64_t start = clock_now();
        double took;

        jobs = expand(e, scratch, trials);
        took = since(start);
        least = took < least ? took : least;
        expansion_free(e);
    }
    expansion_scratch_free(scratch);
    print("trial", s->name, least / (double)trials, "ns");
    print("jobs_per_trial", s->name, (double)jobs / (double)trials, "jobs");
}

static void measure_slow(const struct shape *s, const struct compiled *c,
                         uint64_t trials)
{
    int64_t start = clock_now();

    for (uint64_t i = 0; i < trials; i++) {
        json_t *values = NULL;
        struct stage_jobs jobs = { 0 };
        bool excluded = false;
        struct status st = compiled_trial(c, i, &values, &excluded);

        if (!status_failed(&st) && !excluded)
            st = compiled_stages(c, values, &jobs);
        if (status_failed(&st))
            stop(s->name, st.message);
        stage_jobs_release(&jobs);
        json_decref(values);
    }
    print("trial_as_json", s->name, since(start) / (double)trials, "ns");
}

/* Run from the top of the sources. */
static char *quickstart(const char *name)
{
    char *text = NULL;
    size_t size;
    struct status st =
        file_read("examples/quickstart.yaml", 1 << 20, &text, &size);

    if (status_failed(&st))
        stop(name, st.message);
    return text;
}

static void measure(const struct shape *s, uint64_t most)
{
    AUTO(free_pointer)
    char *file = s->file != NULL ? xstrdup(s->file) : quickstart(s->name);
    AUTO(free_pointer)
    char *json =
        s->compiled != NULL ? xstrdup(s->compiled) : compiled_text(s, file);
    struct compiled *c = measure_reading(s, json);
    uint64_t trials =
        compiled_trial_count(c) < most ? compiled_trial_count(c) : most;

    measure_fast(s, c, trials);
    measure_slow(s, c, trials / SLOW_PART + 1);
    compiled_free(c);
}

int main(int argc, char **argv)
{
    uint64_t trials =
        argc > 1 ? strtoull(argv[1], NULL, 10) : (uint64_t)DEFAULT_TRIALS;

    for (size_t i = 0; i < COUNT_OF(shapes); i++)
        measure(&shapes[i], trials < 1 ? 1 : trials);
    return 0;
}
