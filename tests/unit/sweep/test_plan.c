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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_plan_counts_trials_runs_and_sources),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
