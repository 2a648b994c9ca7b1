#include "tests/support/test.h"

#include "sweep/plan.h"

#include <string.h>

static const char document[] =
    "{\"sinter\": 1, \"name\": \"n\","
    " \"parameters\": [{\"name\": \"density\", \"values\": [0.1, 0.5, 0.9]},"
    "  {\"name\": \"rescale\", \"values\": [false, true]}],"
    " \"constraints\": [\"density < 0.9 or rescale\"],"
    " \"replicates\": {\"count\": 3},"
    " \"stages\": ["
    "  {\"name\": \"base\", \"kind\": \"train\", \"sort\": \"artifact\", "
    "\"variants\": [{\"params\": {\"data\": {\"$source\": {\"url\": "
    "\"file:///d\"}}}}]},"
    "  {\"name\": \"merged\", \"kind\": \"merge\", \"sort\": \"lazy\", "
    "\"variants\": [{\"params\": {\"m\": {\"$stage\": \"base\"}, \"d\": "
    "{\"$param\": \"density\"}, \"r\": {\"$param\": \"rescale\"}, \"s\": "
    "{\"$param\": \"seed\"}}}]},"
    "  {\"name\": \"unused\", \"kind\": \"merge\", \"sort\": \"lazy\", "
    "\"variants\": [{\"params\": {}}]}],"
    " \"evaluate\": [{\"name\": \"acc\", \"kind\": \"evaluate.accuracy\", "
    "\"variants\": [{\"params\": {\"model\": {\"$stage\": \"merged\"}, "
    "\"data\": {\"$source\": {\"url\": \"http://h/x\"}}}}]},"
    " {\"name\": \"plain\", \"kind\": \"evaluate.accuracy\", \"variants\": "
    "[{\"params\": {\"model\": {\"$stage\": \"base\"}, \"r\": {\"$param\": "
    "\"rescale\"}}}]}]}";

static void test_the_plan_counts_trials_runs_and_sources(void **state)
{
    static const struct {
        const char *name;
        uint64_t runs, trials;
    } expected[] = {
        { "base", 1, 15 }, { "merged", 15, 15 }, { "unused", 0, 0 },
        { "acc", 15, 15 }, { "plain", 2, 15 },
    };
    struct compiled *c = NULL;
    struct plan p;

    (void)state;
    assert_ok(compiled_parse(document, strlen(document), &c));
    assert_ok(plan_make(c, &p));
    assert_int_equal(p.points, 6);
    assert_int_equal(p.replicates, 3);
    assert_int_equal(p.trials, 15);
    assert_int_equal(p.excluded, 3);
    assert_false(p.truncated);
    assert_int_equal(p.stage_count, COUNT_OF(expected));
    for (size_t i = 0; i < COUNT_OF(expected); i++) {
        assert_string_equal(p.stages[i].name, expected[i].name);
        assert_int_equal(p.stages[i].runs, expected[i].runs);
        assert_int_equal(p.stages[i].trials, expected[i].trials);
    }
    assert_int_equal(json_array_size(p.sources), 2);
    plan_release(&p);
    compiled_free(c);
}

/* 3 densities x 2 lambdas x 2 seeds; the seed tells families apart. */
static const char fused[] =
    "{\"sinter\": 1, \"name\": \"n\","
    " \"parameters\": [{\"name\": \"density\", \"values\": [0.1, 0.5, 0.9]},"
    "  {\"name\": \"lambda\", \"values\": [1, 2]}],"
    " \"replicates\": {\"count\": 2},"
    " \"stages\": ["
    "  {\"name\": \"inner\", \"kind\": \"merge\", \"sort\": \"lazy\", "
    "\"variants\": [{\"params\": {\"d\": {\"$param\": \"density\"}, \"s\": "
    "{\"$param\": \"seed\"}, \"m\": {\"$source\": {\"url\": \"file:///m\"}}}, "
    "\"fuse\": [\"/d\"]}]},"
    "  {\"name\": \"outer\", \"kind\": \"merge\", \"sort\": \"lazy\", "
    "\"variants\": [{\"params\": {\"m\": {\"$stage\": \"inner\"}, \"l\": "
    "{\"$param\": \"lambda\"}}, \"fuse\": [\"/l\"]}]}],"
    " \"evaluate\": [{\"name\": \"acc\", \"kind\": \"evaluate.accuracy\", "
    "\"variants\": [{\"params\": {\"model\": {\"$stage\": \"outer\"}}}]}]}";

/* An outer merge reads its own inner one, so it shares a pass with those of
 * the same inner one only; its pass reads no source but its own. */
static void test_the_plan_counts_families(void **state)
{
    struct compiled *c = NULL;
    struct plan p;

    (void)state;
    assert_ok(compiled_parse(fused, strlen(fused), &c));
    assert_ok(plan_make(c, &p));
    assert_int_equal(p.stages[0].runs, 6);
    assert_int_equal(p.stages[0].family_count, 2);
    assert_int_equal(p.stages[0].families[0].points, 3);
    assert_int_equal(json_array_size(p.stages[0].families[0].sources), 1);
    assert_int_equal(p.stages[1].runs, 12);
    assert_int_equal(p.stages[1].family_count, 6);
    assert_int_equal(p.stages[1].families[5].points, 2);
    assert_int_equal(json_array_size(p.stages[1].families[0].sources), 0);
    assert_int_equal(p.stages[2].family_count, 0);
    plan_release(&p);
    compiled_free(c);
}

/* What a plan says of a stage is said of the run that has most to say. */
static void test_the_plan_shows_the_fullest_run(void **state)
{
    static const char text[] =
        "{\"sinter\": 1, \"name\": \"n\","
        " \"parameters\": [{\"name\": \"m\", \"values\": [1, 2]}],"
        " \"stages\": [{\"name\": \"s\", \"kind\": \"train\", \"sort\": "
        "\"artifact\", \"variants\": ["
        "{\"when\": {\"m\": 1}, \"params\": {\"a\": 1}},"
        "{\"when\": {\"m\": 2}, \"params\": {\"a\": 2, \"b\": 2}}]}],"
        " \"evaluate\": [{\"name\": \"e\", \"kind\": \"evaluate.accuracy\", "
        "\"variants\": [{\"params\": {\"model\": {\"$stage\": \"s\"}}}]}]}";
    struct compiled *c = NULL;
    struct plan p;

    (void)state;
    assert_ok(compiled_parse(text, strlen(text), &c));
    assert_ok(plan_make(c, &p));
    assert_int_equal(p.stages[0].runs, 2);
    assert_int_equal(json_int_or(p.stages[0].fullest, "b", 0), 2);
    plan_release(&p);
    compiled_free(c);
}

static void test_passes_follow_slots_and_room(void **state)
{
    static const struct {
        uint64_t points, slots, most, passes;
    } cases[] = {
        { 32, 1, 64, 1 }, { 32, 1, 32, 1 }, { 32, 1, 31, 2 },
        { 32, 2, 64, 2 }, { 32, 2, 1, 32 }, { 3, 8, 64, 3 },
        { 65, 1, 64, 2 }, { 0, 4, 64, 0 },  { 5, 2, 2, 3 },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        assert_int_equal(
            plan_passes(cases[i].points, cases[i].slots, cases[i].most),
            cases[i].passes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_plan_counts_trials_runs_and_sources),
        cmocka_unit_test(test_the_plan_counts_families),
        cmocka_unit_test(test_the_plan_shows_the_fullest_run),
        cmocka_unit_test(test_passes_follow_slots_and_room),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
