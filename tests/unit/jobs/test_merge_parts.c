#include "support/test.h"

#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "jobs/merge/merge_parts.h"
#include "support/merge_case.h"

enum { MOST = 4 };

static const struct small_row rows[] = {
    { "ids", DTYPE_I64, 1, { 5 } },
    { "model.embed_tokens.weight", DTYPE_F32, 2, { 200, 251 } },
    { "model.layers.0.w", DTYPE_BF16, 2, { 165, 64 } },
    { "model.layers.1.w", DTYPE_F16, 2, { 7, 9 } },
    { "model.one", DTYPE_F32, 1, { 1 } },
    { NULL, DTYPE_F32, 0, { 0 } },
};

static int setup(void **state)
{
    return merge_models_set_up(state, rows);
}

/* A merge with what it points to. */
struct job {
    json_t *body;
    struct merge_config config;
    struct merge_inputs inputs;
    struct merge *merge;
};

static void job_open(const struct merge_models *m, const char *method,
                     const char *parameters, struct job *ret_job)
{
    AUTO(free_pointer)
    char *text =
        xasprintf("{%s, \"base_model\": \"base\", \"seed\": 5, \"models\": ["
                  "{\"model\": \"a\"}, {\"model\": \"b\"}, {\"model\": \"c\"}],"
                  " \"parameters\": {%s}}",
                  method, parameters);

    assert_ok(json_parse(text, strlen(text), "body", &ret_job->body));
    assert_ok(merge_config_read(ret_job->body, &ret_job->config));
    ret_job->inputs = merge_inputs_of(m, &ret_job->config);
    assert_ok(
        merge_new(&ret_job->config, 1, &ret_job->inputs, &ret_job->merge));
}

static void job_close(struct job *j)
{
    merge_free(j->merge);
    json_decref(j->body);
}

static const struct merge_runtime plain = { .threads = 1 };

/* One block of all tensors. */
static char *run(struct merge *m, size_t *ret_size)
{
    const struct tensor_set *layout = merge_layout(m);
    void **targets = xcalloc(layout->count, sizeof *targets);
    void *const *points[1];
    size_t size = 0;
    char *block;

    for (size_t i = 0; i < layout->count; i++)
        size += (size_t)tensor_bytes(&layout->items[i]);
    block = xcalloc(1, size);
    size = 0;
    for (size_t i = 0; i < layout->count; i++) {
        targets[i] = block + size;
        size += (size_t)tensor_bytes(&layout->items[i]);
    }
    points[0] = targets;
    assert_ok(merge_run(m, &plain, points));
    free(targets);
    *ret_size = size;
    return block;
}

/* A round as several machines have it: each opens the merge anew, with
 * parameters that only have to be right as far as they reach. */
static void count_round(const struct merge_models *m, const char *method,
                        const char *counting, const char *settling,
                        uint64_t parts, struct buf *statistics)
{
    struct buf counted[MOST];
    struct merge_saved saved[MOST];
    struct job j;

    for (uint64_t k = 0; k < parts; k++) {
        job_open(m, method, counting, &j);
        buf_init(&counted[k], MERGE_COUNTED);
        assert_ok(merge_count_part(
            j.merge, &plain,
            (struct merge_saved){ statistics->data, statistics->size }, k,
            parts, &counted[k]));
        saved[k] = (struct merge_saved){ counted[k].data, counted[k].size };
        job_close(&j);
    }
    buf_release(statistics);
    buf_init(statistics, MERGE_COUNTED);
    job_open(m, method, settling, &j);
    assert_ok(merge_settle_parts(j.merge, saved, parts, statistics));
    job_close(&j);
    for (uint64_t k = 0; k < parts; k++)
        buf_release(&counted[k]);
}

struct example {
    const char *method;
    const char *parameters;
    /* The same of rounds that others may share: what reaches their count. */
    const char *early[4];
};

static const struct example examples[] = {
    { "\"merge_method\": \"ties\", \"variant\": \"original\"",
      "\"density\": 0.3, \"lambda\": 0.7",
      { "", "\"density\": 0.3", "\"density\": 0.3" } },
    { "\"merge_method\": \"ties\", \"variant\": \"original\"",
      "\"density\": 1.0, \"lambda\": 0.7",
      { "", "\"density\": 1.0", "\"density\": 1.0" } },
    { "\"merge_method\": \"ties\", \"variant\": \"mergelm\"",
      "\"density\": 0.1",
      { "", "\"density\": 0.1", "\"density\": 0.1" } },
    { "\"merge_method\": \"dare_ties\", \"variant\": \"mergelm\"",
      "\"density\": 0.5, \"trim_density\": 0.3",
      { "\"density\": 0.5", "\"density\": 0.5, \"trim_density\": 0.3",
        "\"density\": 0.5, \"trim_density\": 0.3" } },
    { "\"merge_method\": \"pcb\"",
      "\"ratio\": 0.2, \"clamp_quantile\": 0.02, \"lambda\": 1.3",
      { "", "\"clamp_quantile\": 0.02", "\"clamp_quantile\": 0.02",
        "\"clamp_quantile\": 0.02, \"ratio\": 0.2" } },
    { "\"merge_method\": \"pcb\", \"variant\": \"es\"",
      "\"ratio\": 0.3",
      { "", "", "", "\"ratio\": 0.3" } },
    { "\"merge_method\": \"dare_pcb\"",
      "\"density\": 0.7, \"ratio\": 0.2",
      { "\"density\": 0.7", "\"density\": 0.7", "\"density\": 0.7",
        "\"density\": 0.7, \"ratio\": 0.2" } },
};

static void check_example(const struct merge_models *m, const struct example *e,
                          uint64_t parts)
{
    struct buf statistics;
    struct job j;
    size_t rounds, size, other_size;
    char *counted_inside, *known;

    job_open(m, e->method, e->parameters, &j);
    counted_inside = run(j.merge, &size);
    rounds = merge_parts_rounds(&j.config);
    assert_true(rounds > 0 && rounds <= COUNT_OF(e->early));
    buf_init(&statistics, MERGE_COUNTED);
    for (size_t r = 0; r < rounds; r++)
        count_round(m, e->method, e->early[r],
                    r + 1 < rounds ? e->early[r + 1] : e->early[r], parts,
                    &statistics);
    merge_know(j.merge, statistics.data, statistics.size);
    known = run(j.merge, &other_size);
    assert_int_equal(size, other_size);
    assert_memory_equal(counted_inside, known, size);
    assert_int_equal(merge_counts_of(j.merge).rounds, 1);
    free(counted_inside);
    free(known);
    buf_release(&statistics);
    job_close(&j);
}

static void test_parts_make_the_same_bytes(void **state)
{
    for (size_t i = 0; i < COUNT_OF(examples); i++) {
        check_example(*state, &examples[i], 1);
        check_example(*state, &examples[i], 3);
    }
}

static void test_parts_cover_each_tensor_once(void **state)
{
    struct job j;

    job_open(*state, "\"merge_method\": \"pcb\"", "", &j);
    for (size_t t = 0; t < merge_layout(j.merge)->count; t++) {
        uint64_t in = 0;

        for (uint64_t k = 0; k < 200; k++)
            in += merge_part_has(j.merge, t, k, 200) ? 1 : 0;
        /* Integers are not merged, small tensors are not cut. */
        assert_true(t == 0 ? in == 0 : in >= 1);
        assert_true(t < 3 || in == 1);
    }
    job_close(&j);
}

static void test_what_reaches_which_round(void **state)
{
    const struct merge_method *pcb = merge_method_find("pcb", NULL);
    const struct merge_method *ties = merge_method_find("ties", "original");

    (void)state;
    assert_int_equal(merge_parts_reach(pcb, MERGE_RATIO, 1), MERGE_REACHES_NOT);
    assert_int_equal(merge_parts_reach(pcb, MERGE_RATIO, 2),
                     MERGE_REACHES_SETTLE);
    assert_int_equal(merge_parts_reach(pcb, MERGE_RATIO, 3),
                     MERGE_REACHES_COUNT);
    assert_int_equal(merge_parts_reach(pcb, MERGE_LAMBDA, 3),
                     MERGE_REACHES_NOT);
    assert_int_equal(merge_parts_reach(ties, MERGE_DENSITY, 0),
                     MERGE_REACHES_SETTLE);
}

static void test_statistics_of_another_merge_are_refused(void **state)
{
    struct buf counted;
    struct merge_saved saved;
    struct job j;

    job_open(*state, "\"merge_method\": \"pcb\"", "", &j);
    buf_init(&counted, MERGE_COUNTED);
    assert_ok(merge_count_part(j.merge, &plain, (struct merge_saved){ NULL, 0 },
                               0, 1, &counted));
    job_close(&j);
    saved = (struct merge_saved){ counted.data, counted.size };
    job_open(*state, "\"merge_method\": \"ties\", \"variant\": \"original\"",
             "", &j);
    assert_fails(merge_settle_parts(j.merge, &saved, 1, &counted),
                 STATUS_INVALID, "statistics");
    merge_know(j.merge, saved.bytes, saved.size / 2);
    assert_fails(merge_count_part(j.merge, &plain, saved, 0, 1, &counted),
                 STATUS_INVALID, "statistics");
    job_close(&j);
    buf_release(&counted);
}

enum { SHARES = 3 };

/* All shares of a round that `known` leads to. */
static void count_shares(const struct job *j, const struct buf *known,
                         struct buf counted[SHARES],
                         struct merge_saved saved[SHARES])
{
    const struct merge_saved from = { known->data, known->size };

    for (uint64_t k = 0; k < SHARES; k++) {
        buf_init(&counted[k], MERGE_COUNTED);
        assert_ok(
            merge_count_part(j->merge, &plain, from, k, SHARES, &counted[k]));
        saved[k] = (struct merge_saved){ counted[k].data, counted[k].size };
    }
}

/* One share is missing, or there twice, or of the round before, whose first
 * one is there if `before` has bytes. The right ones are settled. */
static void check_round(const struct job *j, struct merge_saved before,
                        const struct merge_saved right[SHARES],
                        struct buf *known)
{
    const struct merge_saved twice[] = { right[0], right[1], right[1] };
    const struct merge_saved stale[] = { right[0], before, right[2] };

    buf_clear(known);
    assert_fails(merge_settle_parts(j->merge, right, SHARES - 1, known),
                 STATUS_INVALID, "add up");
    assert_fails(merge_settle_parts(j->merge, twice, SHARES, known),
                 STATUS_INVALID, "add up");
    if (before.size > 0)
        assert_fails(merge_settle_parts(j->merge, stale, SHARES, known),
                     STATUS_INVALID, "part 2 is not of the round");
    assert_int_equal(known->size, 0);
    assert_ok(merge_settle_parts(j->merge, right, SHARES, known));
}

/* What machines may hand in if they were told different things, or if what
 * lies there is of last week. */
static void test_parts_that_do_not_add_up_are_refused(void **state)
{
    for (size_t i = 0; i < COUNT_OF(examples); i++) {
        struct buf counted[2][SHARES];
        struct merge_saved saved[2][SHARES] = { { { NULL, 0 } } };
        struct buf known;
        struct job j;
        size_t rounds;

        job_open(*state, examples[i].method, examples[i].parameters, &j);
        rounds = merge_parts_rounds(&j.config);
        buf_init(&known, MERGE_COUNTED);
        for (size_t r = 0; r < rounds; r++) {
            size_t now = r % 2;

            count_shares(&j, &known, counted[now], saved[now]);
            check_round(&j, saved[1 - now][1], saved[now], &known);
            for (size_t k = 0; r > 0 && k < SHARES; k++)
                buf_release(&counted[1 - now][k]);
        }
        for (size_t k = 0; k < SHARES; k++)
            buf_release(&counted[(rounds - 1) % 2][k]);
        buf_release(&known);
        job_close(&j);
    }
}

static void test_statistics_that_lack_a_round_are_refused(void **state)
{
    struct merge_models *m = *state;
    void *targets[MOST + 1] = { NULL };
    void *const *points[1] = { targets };
    struct buf statistics;
    struct job j;

    buf_init(&statistics, MERGE_COUNTED);
    count_round(m, examples[0].method, "", "\"density\": 0.3", 2, &statistics);
    job_open(m, examples[0].method, "\"density\": 0.3", &j);
    merge_know(j.merge, statistics.data, statistics.size);
    assert_fails(merge_run(j.merge, &plain, points), STATUS_INVALID,
                 "lack a round");
    job_close(&j);
    buf_release(&statistics);
}

static void test_merges_without_statistics_have_no_rounds(void **state)
{
    struct buf counted;
    struct job j;

    job_open(*state, "\"merge_method\": \"ties\"", "\"weight\": 1", &j);
    assert_int_equal(merge_parts_rounds(&j.config), 0);
    buf_init(&counted, MERGE_COUNTED);
    assert_fails(merge_count_part(j.merge, &plain,
                                  (struct merge_saved){ NULL, 0 }, 0, 1,
                                  &counted),
                 STATUS_INVALID, "ties");
    job_close(&j);
    buf_release(&counted);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parts_make_the_same_bytes),
        cmocka_unit_test(test_parts_cover_each_tensor_once),
        cmocka_unit_test(test_what_reaches_which_round),
        cmocka_unit_test(test_statistics_of_another_merge_are_refused),
        cmocka_unit_test(test_parts_that_do_not_add_up_are_refused),
        cmocka_unit_test(test_statistics_that_lack_a_round_are_refused),
        cmocka_unit_test(test_merges_without_statistics_have_no_rounds),
    };

    return cmocka_run_group_tests(tests, setup, merge_models_tear_down);
}
