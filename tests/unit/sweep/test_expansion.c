/* The fast way from a trial to its jobs against the slow one. */
#include "tests/support/test.h"

#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "sweep/expansion.h"
#include "tests/support/expansion_twin.h"
#include "tests/support/random_sweep.h"

enum { SWEEPS = 800, MOST_COMPARED = 60 };

/* NULL: it cannot be read. */
static struct compiled *compile(json_t *document)
{
    AUTO(free_pointer) char *text = json_canonical(document);
    struct compiled *c = NULL;
    struct status st = compiled_parse(text, strlen(text), &c);

    json_decref(document);
    return status_failed(&st) ? NULL : c;
}

static struct compiled *parse(const char *text)
{
    struct compiled *c = NULL;

    assert_ok(compiled_parse(text, strlen(text), &c));
    return c;
}

static void test_sweeps_of_every_shape_have_the_same_jobs(void **state)
{
    struct expansion_tally tally = { 0 };
    int read = 0;

    (void)state;
    for (uint32_t i = 0; i < SWEEPS; i++) {
        struct compiled *c = compile(random_sweep(i));

        if (c != NULL)
            expansion_compare(c, MOST_COMPARED, &tally);
        read += c != NULL;
        compiled_free(c);
    }
    /* They are worth something only if all sorts are among them. */
    assert_true(read > SWEEPS / 2);
    assert_true(tally.excluded > 1000 && tally.refused > 100);
    assert_true(tally.jobs > 20000 && tally.in_family > 1000);
}

static void test_pairs_of_replicates_have_the_same_jobs(void **state)
{
    struct expansion_tally tally = { 0 };
    int read = 0;

    (void)state;
    for (uint32_t i = 0; i < SWEEPS; i++) {
        struct compiled *c = compile(random_sweep_of_pairs(i));

        if (c != NULL)
            expansion_compare(c, MOST_COMPARED, &tally);
        read += c != NULL;
        compiled_free(c);
    }
    assert_true(read > SWEEPS / 2);
    assert_true(tally.refused > 100);
    assert_true(tally.jobs > 20000 && tally.in_family > 1000);
}

static const char pairs[] =
    "{'sinter': 1, 'name': 'map', 'replicates': {'count': 3},"
    "'parameters': [{'name': 'd', 'values': [1, 2]}],"
    "'stages': [{'name': 'dense', 'kind': 'train', 'sort': 'artifact',"
    "  'variants': [{'params': {'steps': 5}}]},"
    " {'name': 'prune', 'kind': 'prune', 'sort': 'lazy', 'variants':"
    "  [{'params': {'model': {'$stage': 'dense'}, 'd': {'$param': 'd'}}}]},"
    " {'name': 'again', 'kind': 'retrain', 'sort': 'artifact', 'variants':"
    "  [{'params': {'model': {'$stage': 'prune'},"
    "               'seed': {'$param': 'seed'}}}]}],"
    "'evaluate': [{'name': 'lmc', 'kind': 'evaluate.lmc', 'metrics': ['b'],"
    "  'variants': [{'params': {'models': [{'$lower': 'again'},"
    "                                      {'$higher': 'again'}]}}]}]}";

/* The JSON above with its quotes. */
static struct compiled *parse_quoted(const char *text)
{
    AUTO(free_pointer) char *copy = xstrdup(text);

    for (char *at = copy; *at != '\0'; at++)
        *at = *at == '\'' ? '"' : *at;
    return parse(copy);
}

struct pair_trial {
    struct digest dense, own, lmc;
};

static struct pair_trial pair_trial(const struct compiled *c, uint64_t trial)
{
    struct stage_jobs jobs = { 0 };
    struct pair_trial p;
    json_t *values = NULL;
    bool excluded = false;

    assert_ok(compiled_trial(c, trial, &values, &excluded));
    assert_ok(compiled_stages(c, values, &jobs));
    assert_int_equal(jobs.count, 4); /* the dense run is of both */
    assert_string_equal(jobs.items[0].stage, "dense");
    assert_string_equal(jobs.items[1].stage, "again");
    assert_string_equal(jobs.items[2].stage, "again");
    assert_string_equal(jobs.items[3].stage, "lmc");
    assert_int_equal(jobs.items[3].input_count, 2);
    p = (struct pair_trial){ jobs.items[0].key, jobs.items[1].key,
                             jobs.items[3].key };
    stage_jobs_release(&jobs);
    json_decref(values);
    return p;
}

static void test_each_replicate_meets_the_next(void **state)
{
    struct compiled *c = parse_quoted(pairs);
    struct pair_trial t[3];

    (void)state;
    for (uint64_t i = 0; i < 3; i++)
        t[i] = pair_trial(c, i);
    assert_true(digest_equal(&t[0].dense, &t[1].dense));
    assert_false(digest_equal(&t[0].own, &t[1].own));
    /* (0, 1), (1, 2), (0, 2) */
    assert_false(digest_equal(&t[0].lmc, &t[1].lmc));
    assert_false(digest_equal(&t[1].lmc, &t[2].lmc));
    assert_false(digest_equal(&t[0].lmc, &t[2].lmc));
    compiled_free(c);
}

/* With two there is one pair, and it is one job. */
static void test_two_replicates_are_one_pair(void **state)
{
    AUTO(free_pointer) char *two = xstrdup(pairs);
    struct compiled *c;
    struct pair_trial a;
    struct pair_trial b;

    (void)state;
    *strchr(strstr(two, "'count'"), '3') = '2';
    c = parse_quoted(two);
    a = pair_trial(c, 0);
    b = pair_trial(c, 1);
    assert_true(digest_equal(&a.lmc, &b.lmc));
    assert_false(digest_equal(&a.own, &b.own));
    compiled_free(c);
}

static void add(struct digest_stream *sum, const char *text)
{
    digest_add(sum, text, strlen(text) + 1);
}

static void add_trial(struct digest_stream *sum, const struct compiled *c,
                      uint64_t trial)
{
    json_t *values = NULL;
    struct stage_jobs jobs = { 0 };
    bool excluded = false;
    char *text;
    struct status st;

    assert_ok(compiled_trial(c, trial, &values, &excluded));
    text = json_canonical(values);
    add(sum, text);
    add(sum, excluded ? "excluded" : "taken");
    free(text);
    st = compiled_stages(c, values, &jobs);
    if (!excluded && !status_failed(&st)) {
        for (size_t i = 0; i < jobs.count; i++)
            digest_add(sum, jobs.items[i].key.bytes, DIGEST_SIZE);
    }
    stage_jobs_release(&jobs);
    json_decref(values);
}

/* Sweeps in the stores of farms count on it: trial i is what it was. */
static void test_points_and_keys_are_what_they_were(void **state)
{
    struct digest_stream *sum = digest_begin();
    char hex[DIGEST_TEXT];
    struct digest d;

    (void)state;
    for (uint32_t i = 0; i < SWEEPS; i++) {
        struct compiled *c = compile(random_sweep(i));
        uint64_t count = c == NULL ? 0 : compiled_trial_count(c);

        for (uint64_t j = 0; j < count && j < MOST_COMPARED; j++)
            add_trial(sum, c, j);
        compiled_free(c);
    }
    d = digest_end(sum);
    digest_to_text(&d, hex);
    assert_string_equal(
        hex,
        "69b9b20cab52b36e7824b264f7eca137bb272e1e24125848964f1d78ffbf4cb6");
}

/* More cases than a stage keeps texts apart for; the merge is lazy. */
static json_t *many_cases(void)
{
    json_t *document =
        json_pack("{s:i, s:s, s:[{s:s, s:[f, f, f]}], s:[{s:s, s:s, s:s}],"
                  " s:[{s:s, s:s, s:[s]}]}",
                  "sinter", 1, "name", "many", "parameters", "name", "x",
                  "values", 0.1, 0.25, 1e-9, "stages", "name", "m", "kind",
                  "merge", "sort", "lazy", "evaluate", "name", "e", "kind",
                  "evaluate.accuracy", "metrics", "value");
    json_t *cases = json_array();
    json_t *lazy = json_array();

    for (int i = 0; i < 20; i++) {
        AUTO(free_pointer) char *name = xasprintf("c%d", i);

        (void)json_array_append_new(cases, json_pack("{s:s}", "name", name));
        (void)json_array_append_new(
            lazy, json_pack("{s:{s:s}, s:{s:s, s:{s:s}, s:i}, s:[s]}", "when",
                            "case", name, "params", "method", name, "x",
                            "$param", "x", "k", i / 2, "fuse", "/x"));
    }
    (void)json_object_set_new(document, "cases", cases);
    (void)json_object_set_new(
        json_array_get(json_object_get(document, "stages"), 0), "variants",
        lazy);
    (void)json_object_set_new(
        json_array_get(json_object_get(document, "evaluate"), 0), "variants",
        json_pack("[{s:{s:{s:s}}}]", "params", "model", "$stage", "m"));
    return document;
}

static void test_many_variants_share_what_they_write_on(void **state)
{
    struct expansion_tally tally = { 0 };
    struct compiled *c = compile(many_cases());

    (void)state;
    assert_non_null(c);
    expansion_compare(c, 1000, &tally);
    assert_int_equal(tally.jobs, 61); /* the last trial twice */
    assert_int_equal(tally.in_family, 61);
    compiled_free(c);
}

static void check_first(const struct compiled *c, struct expansion *e,
                        struct expansion_scratch *scratch, uint64_t trial)
{
    struct expansion_trial fast;
    struct stage_jobs slow = { 0 };
    json_t *values = NULL;
    bool excluded = false;

    assert_ok(expansion_trial(e, trial, scratch, &fast));
    assert_ok(compiled_trial(c, trial, &values, &excluded));
    assert_ok(compiled_stages(c, values, &slow));
    assert_int_equal(fast.count, slow.count);
    assert_string_equal(fast.jobs[0].params, slow.items[0].params);
    assert_true(digest_equal(&fast.jobs[0].key, &slow.items[0].key));
    stage_jobs_release(&slow);
    json_decref(values);
}

static const char two_axes[] =
    "{\"sinter\": 1, \"name\": \"grid\", \"parameters\": ["
    "{\"name\": \"a\", \"from\": 0, \"to\": 1, \"count\": 1000},"
    "{\"name\": \"b\", \"from\": 1, \"to\": 9, \"count\": 1000}],"
    "\"evaluate\": [{\"name\": \"e\", \"kind\": \"noop\", \"variants\":"
    "[{\"params\": {\"a\": {\"$param\": \"a\"}, \"b\":"
    "{\"$param\": \"b\"}}}], \"metrics\": [\"value\"]}]}";

static void test_one_scratch_serves_many_sweeps(void **state)
{
    struct compiled *grid = parse(two_axes);
    struct compiled *many = compile(many_cases());
    struct expansion *of_grid = expansion_new(grid);
    struct expansion *of_many = expansion_new(many);
    struct expansion_scratch *scratch = expansion_scratch_new();

    (void)state;
    assert_int_equal(compiled_trial_count(grid), 1000000);
    for (uint64_t i = 0; i < 60; i++) {
        check_first(grid, of_grid, scratch, i * 16661);
        check_first(many, of_many, scratch, i);
        check_first(grid, of_grid, scratch, 999999 - i);
    }
    expansion_scratch_free(scratch);
    expansion_free(of_many);
    expansion_free(of_grid);
    compiled_free(many);
    compiled_free(grid);
}

/* Twice the value is too long for a job's parameters; the trials around it
 * are not disturbed. */
static void test_parameters_may_grow_too_long_in_one_trial(void **state)
{
    enum { LENGTH = 600 * 1000 };
    AUTO(free_pointer) char *value = xcalloc(LENGTH + 1, 1);
    struct expansion_tally tally = { 0 };
    json_t *document;
    struct compiled *c;

    (void)state;
    memset(value, 'x', LENGTH);
    document = json_pack(
        "{s:i, s:s, s:[{s:s, s:[s, s, s]}, {s:s, s:[i, i]}],"
        " s:[{s:s, s:s, s:[{s:{s:{s:s}, s:{s:s}, s:{s:s}}}], s:[s]}]}",
        "sinter", 1, "name", "long", "parameters", "name", "t", "values", "a",
        value, "b", "name", "u", "values", 1, 2, "evaluate", "name", "e",
        "kind", "noop", "variants", "params", "m", "$param", "u", "n", "$param",
        "t", "o", "$param", "t", "metrics", "value");
    c = compile(document);
    assert_non_null(c);
    expansion_compare(c, 100, &tally);
    assert_int_equal(tally.refused, 2);
    assert_int_equal(tally.jobs, 5); /* the last trial twice */
    compiled_free(c);
}

static struct compiled *random_of(int trials)
{
    return compile(json_pack(
        "{s:i, s:s, s:{s:s, s:i, s:i}, s:[{s:s, s:f, s:f}, {s:s, s:[i, i, i]}],"
        " s:{s:i},"
        " s:[{s:s, s:s, s:[{s:{s:{s:s}, s:{s:s}, s:{s:s}}}], s:[s]}]}",
        "sinter", 1, "name", "search", "strategy", "method", "random", "seed",
        7, "trials", trials, "parameters", "name", "x", "min", 0.1, "max", 2.0,
        "name", "y", "values", 1, 2, 3, "replicates", "count", 2, "evaluate",
        "name", "e", "kind", "noop", "variants", "params", "x", "$param", "x",
        "y", "$param", "y", "seed", "$param", "seed", "metrics", "value"));
}

/* What makes it possible to extend a search: its trials do not depend on how
 * many were asked for. */
static void test_a_search_goes_on_beyond_its_end(void **state)
{
    struct compiled *few = random_of(5);
    struct compiled *more = random_of(500);
    struct expansion *e = expansion_new(few);
    struct expansion_scratch *scratch = expansion_scratch_new();

    (void)state;
    assert_int_equal(compiled_trial_count(few), 10);
    assert_int_equal(compiled_trial_count(more), 1000);
    assert_true(compiled_trial_limit(few) == compiled_trial_limit(more));
    assert_true(compiled_trial_limit(few) > UINT64_C(1) << 52);
    for (uint64_t i = 0; i < 1000; i++)
        check_first(more, e, scratch, i);
    expansion_scratch_free(scratch);
    expansion_free(e);
    compiled_free(more);
    compiled_free(few);
}

/* A list has an end, and so has its random order. */
static void test_a_grid_that_was_cut_goes_on_to_its_end(void **state)
{
    struct compiled *cut = compile(json_pack(
        "{s:i, s:s, s:{s:s, s:i}, s:[{s:s, s:[i, i, i]}, {s:s, s:[i, i]}],"
        " s:[{s:s, s:s, s:[{s:{s:{s:s}}}], s:[s]}]}",
        "sinter", 1, "name", "cut", "strategy", "method", "random", "trials", 4,
        "parameters", "name", "x", "values", 1, 2, 3, "name", "y", "values", 1,
        2, "evaluate", "name", "e", "kind", "noop", "variants", "params", "x",
        "$param", "x", "metrics", "value"));

    (void)state;
    assert_int_equal(compiled_trial_count(cut), 4);
    assert_int_equal(compiled_trial_limit(cut), 6);
    compiled_free(cut);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sweeps_of_every_shape_have_the_same_jobs),
        cmocka_unit_test(test_pairs_of_replicates_have_the_same_jobs),
        cmocka_unit_test(test_each_replicate_meets_the_next),
        cmocka_unit_test(test_two_replicates_are_one_pair),
        cmocka_unit_test(test_points_and_keys_are_what_they_were),
        cmocka_unit_test(test_many_variants_share_what_they_write_on),
        cmocka_unit_test(test_one_scratch_serves_many_sweeps),
        cmocka_unit_test(test_parameters_may_grow_too_long_in_one_trial),
        cmocka_unit_test(test_a_search_goes_on_beyond_its_end),
        cmocka_unit_test(test_a_grid_that_was_cut_goes_on_to_its_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
