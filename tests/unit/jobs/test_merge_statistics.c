#include "support/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "common/philox.h"
#include "jobs/merge/merge_run.h"
#include "jobs/merge/merge_statistic.h"
#include "jobs/merge/merge_survey.h"

/* Statistics of whole models, counted in parts that travel as bytes, and
 * counts after a glance against counts without. */

enum { TASKS = 3, POINTS = 2, PARTS = 3, PART = 10000, COUNT = PARTS * PART };

static float base[COUNT], tasks[TASKS][COUNT];
static float scratch[TASKS * COUNT], row[COUNT];

/* Some models have many equal deltas, and some none at all. */
static void fill(float *x, const float *from, size_t count, uint32_t stream)
{
    const struct philox_key key = { 5, stream, 0 };

    for (size_t i = 0; i < count; i++) {
        float u = (float)(philox_word(key, i) >> 8) * 0x1p-24F - 0.5F;

        if (from == NULL)
            x[i] = u;
        else if (stream % 3 == 0)
            x[i] = from[i] + (float)(int)(u * 9.0F) / 64.0F;
        else
            x[i] = from[i] + 0.01F * u * u * u;
    }
}

static const struct {
    const char *name, *variant;
    enum merge_parameter parameter;
    double values[POINTS];
} cases[] = {
    { "ties", "original", MERGE_DENSITY, { 0.2, 0.5 } },
    { "ties", "mergelm", MERGE_DENSITY, { 0.1, 0.9 } },
    { "pcb", "nlp", MERGE_RATIO, { 0.1, 0.3 } },
    { "pcb", "es", MERGE_RATIO, { 0.05, 0.05 } },
};

static void set_steps(size_t at, struct merge_step steps[POINTS])
{
    for (size_t p = 0; p < POINTS; p++) {
        struct merge_step *step = &steps[p];

        *step = (struct merge_step){
            .method = merge_method_find(cases[at].name, cases[at].variant),
            .point = p,
            .models = TASKS,
            .elements = COUNT,
            .columns = COUNT,
            .rank = 1,
        };
        step->values.number[MERGE_CLAMP_QUANTILE][0] = 0.01;
        for (size_t i = 0; i < TASKS; i++) {
            step->values.number[cases[at].parameter][i] = cases[at].values[p];
            step->values.number[MERGE_LAMBDA][i] = 1.0 + (double)p;
            step->scale[i] = 1.0;
            step->threshold[i] = -INFINITY;
        }
    }
}

static struct merge_chunk chunk_of(void *tally, size_t first, size_t count)
{
    struct merge_chunk chunk = { .first = first,
                                 .count = count,
                                 .base = base + first,
                                 .delta = scratch,
                                 .row = row,
                                 .stride = COUNT,
                                 .tally = tally };

    for (size_t i = 0; i < TASKS; i++)
        chunk.task[i] = tasks[i] + first;
    return chunk;
}

static void *new_tally(const struct merge_survey *survey,
                       const struct merge_step *steps)
{
    void *tally = survey->tally_new(TASKS, POINTS);

    assert_int_equal(survey->begin(tally, steps, POINTS, COUNT, false),
                     MERGE_ROUND_FULL);
    return tally;
}

static void count(const struct merge_survey *survey, void *tally,
                  const struct merge_step *steps, size_t first, size_t size)
{
    struct merge_chunk chunk = chunk_of(tally, first, size);

    survey->count(tally, steps, POINTS, &chunk);
}

/* All in one place. */
static void *count_alone(const struct merge_survey *survey,
                         struct merge_step *steps)
{
    void *tally = new_tally(survey, steps);

    do {
        count(survey, tally, steps, 0, COUNT);
    } while (merge_survey_settle(survey, &tally, 1, steps, POINTS, COUNT) !=
             MERGE_ROUND_DONE);
    return tally;
}

/* What one machine does in a round: take what is known, count, send. */
static void count_part(const struct merge_survey *survey,
                       const struct merge_step *steps, size_t part,
                       const struct buf *known, struct buf *ret_bytes)
{
    void *tally = new_tally(survey, steps);

    if (known->size > 0)
        assert_ok(survey->load(tally, known->data, known->size));
    count(survey, tally, steps, part * PART, PART);
    assert_ok(survey->save(tally, ret_bytes));
    survey->tally_free(tally);
}

/* A round of all machines; what is known then replaces `known`. */
static enum merge_round reduce(const struct merge_survey *survey,
                               struct merge_step *steps, struct buf *known)
{
    void *tallies[PARTS];
    enum merge_round round;

    for (size_t i = 0; i < PARTS; i++) {
        struct buf bytes;

        buf_init(&bytes, 8 << 20);
        count_part(survey, steps, i, known, &bytes);
        tallies[i] = new_tally(survey, steps);
        assert_ok(survey->load(tallies[i], bytes.data, bytes.size));
        assert_fails(survey->load(tallies[i], bytes.data, bytes.size - 1),
                     STATUS_INVALID, "statistics");
        assert_ok(survey->load(tallies[i], bytes.data, bytes.size));
        buf_release(&bytes);
    }
    round = merge_survey_settle(survey, tallies, PARTS, steps, POINTS, COUNT);
    buf_clear(known);
    assert_ok(survey->save(tallies[0], known));
    for (size_t i = 0; i < PARTS; i++)
        survey->tally_free(tallies[i]);
    return round;
}

static void merge_with(void *tally, const struct merge_step *steps,
                       float outs[POINTS][COUNT])
{
    float *const rows[POINTS] = { outs[0], outs[1] };
    struct merge_chunk chunk = chunk_of(tally, 0, COUNT);

    chunk.outs = rows;
    steps->method->combine_points(steps, POINTS, &chunk);
}

static void check_parts(size_t at)
{
    static float alone[POINTS][COUNT], together[POINTS][COUNT];
    struct merge_step steps[POINTS];
    const struct merge_survey *survey;
    struct buf known;
    void *tally;

    set_steps(at, steps);
    survey = steps->method->survey(steps);
    tally = count_alone(survey, steps);
    merge_with(tally, steps, alone);
    survey->tally_free(tally);

    buf_init(&known, 8 << 20);
    while (reduce(survey, steps, &known) != MERGE_ROUND_DONE)
        ;
    tally = new_tally(survey, steps);
    assert_ok(survey->load(tally, known.data, known.size));
    merge_with(tally, steps, together);
    survey->tally_free(tally);
    buf_release(&known);
    assert_memory_equal(alone, together, sizeof alone);
    assert_memory_not_equal(alone[0], base, sizeof base);
}

static void test_parts_on_machines_of_their_own_are_one_model(void **state)
{
    (void)state;
    for (size_t at = 0; at < COUNT_OF(cases); at++)
        check_parts(at);
}

static void test_statistics_of_another_merge_are_refused(void **state)
{
    struct merge_step steps[POINTS], others[POINTS];
    const struct merge_survey *survey;
    struct buf bytes;
    void *tally;

    (void)state;
    set_steps(0, steps);
    set_steps(0, others);
    others[1].values.number[MERGE_DENSITY][1] = 0.7;
    survey = steps->method->survey(steps);
    buf_init(&bytes, 8 << 20);
    tally = count_alone(survey, steps);
    assert_ok(survey->save(tally, &bytes));
    survey->tally_free(tally);
    tally = new_tally(survey, others);
    assert_fails(survey->load(tally, bytes.data, bytes.size), STATUS_INVALID,
                 "are not the statistics of this merge");
    survey->tally_free(tally);
    buf_release(&bytes);
}

/* Large enough to be sampled first. */
enum { LARGE = 1100 * 1000 };

struct large {
    float *rows[TASKS];
    struct tensor tensors[TASKS];
    struct tensor_set sets[TASKS];
    struct merge_inputs inputs;
};

static void large_init(struct large *l)
{
    *l = (struct large){ .inputs.base = &l->sets[0] };
    for (size_t i = 0; i < TASKS; i++) {
        l->rows[i] = xcalloc(LARGE, sizeof(float));
        fill(l->rows[i], i == 0 ? NULL : l->rows[0], LARGE, (uint32_t)i + 1);
        l->tensors[i] = (struct tensor){ .name = "w",
                                         .dtype = DTYPE_F32,
                                         .rank = 2,
                                         .shape = { 1000, LARGE / 1000 },
                                         .count = LARGE,
                                         .data = l->rows[i] };
        l->sets[i] = (struct tensor_set){ 1, &l->tensors[i] };
        if (i > 0)
            l->inputs.tasks[i - 1] = &l->sets[i];
    }
}

static void large_release(struct large *l)
{
    for (size_t i = 0; i < TASKS; i++)
        free(l->rows[i]);
}

static void merge_large(const struct large *l, const char *text,
                        struct merge_runtime runtime, float *out)
{
    void *targets[] = { out };
    void *const *points[] = { targets };
    struct merge_config config;
    struct merge *merge;
    json_t *json;

    assert_ok(json_parse(text, strlen(text), "merge", &json));
    assert_ok(merge_config_read(json, &config));
    assert_ok(merge_new(&config, 1, &l->inputs, &merge));
    assert_ok(merge_run(merge, &runtime, points));
    merge_free(merge);
    json_decref(json);
}

/* Nor does little memory for what was counted. */
static void test_a_glance_changes_no_bit(void **state)
{
#define MERGE(method, numbers)                                  \
    "{\"merge_method\": " method ", \"base_model\": \"base\", " \
    "\"models\": [{\"model\": \"a\"}, {\"model\": \"b\"}], "    \
    "\"parameters\": {" numbers "}}"
    static const char *const texts[] = {
        MERGE("\"ties\"", "\"weight\": 1, \"density\": 0.3"),
        MERGE("\"magnitude_linear\"", "\"weight\": 1, \"density\": 0.3"),
        MERGE("\"ties\", \"variant\": \"original\"", "\"density\": 0.2"),
        MERGE("\"dare_ties\", \"variant\": \"mergelm\"",
              "\"density\": 0.3, \"trim_density\": 0.1"),
        MERGE("\"breadcrumbs\"",
              "\"weight\": 1, \"density\": 0.5, \"gamma\": 0.1"),
        MERGE("\"pcb\"", "\"ratio\": 0.1"),
    };
#undef MERGE
    size_t bytes = LARGE * sizeof(float);
    float *without = xcalloc(LARGE, sizeof *without);
    float *with = xcalloc(LARGE, sizeof *with);
    const struct merge_runtime others[] = {
        { .threads = 2 },
        { .threads = 2, .tallies = 1 },
        { .threads = 1, .tallies = 1 << 20 },
    };
    struct large l;

    (void)state;
    large_init(&l);
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        const struct merge_runtime plain = { .threads = 1, .no_hints = true };

        merge_large(&l, texts[i], plain, without);
        assert_memory_not_equal(without, l.rows[0], bytes);
        for (size_t k = 0; k < COUNT_OF(others); k++) {
            merge_large(&l, texts[i], others[k], with);
            assert_memory_equal(without, with, bytes);
        }
    }
    large_release(&l);
    free(without);
    free(with);
}

/* Parts of many models, as two threads have them, within one budget. */
enum { MANY = 64, BUDGET = 16 << 20 };

static struct merge_statistic *begin_many(uint64_t budget, size_t threads)
{
    struct merge_statistic *parts = xcalloc(MANY * threads, sizeof *parts);

    for (size_t k = 0; k < MANY * threads; k++) {
        merge_statistic_begin(&parts[k], SELECT_MAGNITUDE, LARGE, 1, true);
        merge_statistic_limit(&parts[k], budget, MANY * threads);
        (void)merge_statistic_want(&parts[k], LARGE / 5 * 4);
    }
    return parts;
}

static uint64_t bytes_of(const struct merge_statistic *parts, size_t count)
{
    uint64_t bytes = 0;

    for (size_t k = 0; k < count; k++)
        bytes += select_bytes(parts[k].select);
    return bytes;
}

/* A round of all models, each with the row a little changed; a sample of
 * it that says nothing. True: all are done. */
static bool count_many(struct merge_statistic *parts, size_t threads, float *x)
{
    size_t size = LARGE / threads;
    bool done = true;

    for (size_t i = 0; i < MANY; i++) {
        struct merge_statistic *own[2] = { &parts[i * threads],
                                           &parts[i * threads + 1] };

        for (size_t t = 0; t < threads; t++)
            merge_statistic_add(own[t], x + t * size,
                                own[t]->round == MERGE_COUNT_SAMPLE ? 10
                                                                    : size);
        merge_statistic_settle(own, threads, LARGE);
        done = done && own[0]->done;
    }
    return done;
}

static void test_many_models_keep_to_the_budget(void **state)
{
    struct merge_statistic *little = begin_many(BUDGET, 2);
    struct merge_statistic *plenty = begin_many(0, 1);
    float *x = xcalloc(LARGE, sizeof *x);

    (void)state;
    fill(x, NULL, LARGE, 7);
    for (size_t i = 0; i < LARGE / 2; i++)
        x[i] = roundf(x[i] * 64.0F) / 64.0F;
    while (!count_many(little, 2, x))
        assert_true(bytes_of(little, 2 * (size_t)MANY) <= BUDGET);
    assert_true(bytes_of(little, 2 * (size_t)MANY) <= BUDGET);
    while (!count_many(plenty, 1, x))
        ;
    for (size_t i = 0; i < MANY; i++)
        assert_true(little[2 * i].values[0] >= plenty[i].values[0] &&
                    little[2 * i].values[0] <= plenty[i].values[0]);
    for (size_t k = 0; k < 2 * (size_t)MANY; k++)
        merge_statistic_release(&little[k]);
    for (size_t k = 0; k < MANY; k++)
        merge_statistic_release(&plenty[k]);
    free(little);
    free(plenty);
    free(x);
}

static int setup(void **state)
{
    (void)state;
    fill(base, NULL, COUNT, 1);
    for (uint32_t i = 0; i < TASKS; i++)
        fill(tasks[i], base, COUNT, 2 + i);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parts_on_machines_of_their_own_are_one_model),
        cmocka_unit_test(test_statistics_of_another_merge_are_refused),
        cmocka_unit_test(test_a_glance_changes_no_bit),
        cmocka_unit_test(test_many_models_keep_to_the_budget),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}
