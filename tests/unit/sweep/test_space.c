#include "tests/support/test.h"

#include "common/json.h"
#include "common/memory.h"
#include "sweep/space.h"

#include <stdlib.h>
#include <string.h>

struct open_space {
    json_t *document;
    struct space *space;
};

static struct open_space open_space(const char *json)
{
    struct open_space o = { 0 };

    assert_ok(json_parse(json, strlen(json), "document", &o.document));
    assert_ok(space_new(o.document, &o.space));
    return o;
}

static void close_space(struct open_space *o)
{
    space_free(o->space);
    json_decref(o->document);
}

static char *values_of(const struct space *s, uint64_t trial)
{
    struct space_trial t;
    char *text;

    space_trial(s, trial, &t);
    text = t.verdict == SPACE_TAKEN ? json_canonical(t.values)
                                    : xasprintf("excluded: %s", t.reason);
    json_decref(t.values);
    return text;
}

static void expect_trials(const char *json, const char *const *expected,
                          size_t count)
{
    struct open_space o = open_space(json);

    assert_int_equal(space_points(o.space) * space_replicates(o.space), count);
    for (size_t i = 0; i < count; i++) {
        char *text = values_of(o.space, i);

        assert_string_equal(text, expected[i]);
        free(text);
    }
    close_space(&o);
}
#define EXPECT_TRIALS(json, ...)                                \
    do {                                                        \
        static const char *const expected_[] = { __VA_ARGS__ }; \
        expect_trials(json, expected_, COUNT_OF(expected_));    \
    } while (0)

static void test_a_sweep_without_parameters_is_one_trial(void **state)
{
    (void)state;
    EXPECT_TRIALS("{}", "{\"seed\":0}");
}

static void test_replicates_stand_next_to_each_other(void **state)
{
    (void)state;
    EXPECT_TRIALS("{\"parameters\": [{\"name\": \"a\", \"values\": [1, 2]}],"
                  " \"replicates\": {\"count\": 2, \"seeds\": [5, 9]}}",
                  "{\"a\":1,\"seed\":5}", "{\"a\":1,\"seed\":9}",
                  "{\"a\":2,\"seed\":5}", "{\"a\":2,\"seed\":9}");
}

static void test_counted_axes_have_round_numbers_and_both_ends(void **state)
{
    (void)state;
    EXPECT_TRIALS("{\"parameters\": [{\"name\": \"a\", \"from\": 0.1, "
                  "\"to\": 0.5, \"count\": 5}]}",
                  "{\"a\":0.1,\"seed\":0}", "{\"a\":0.5,\"seed\":0}",
                  "{\"a\":0.3,\"seed\":0}", "{\"a\":0.2,\"seed\":0}",
                  "{\"a\":0.4,\"seed\":0}");
    EXPECT_TRIALS("{\"parameters\": [{\"name\": \"a\", \"from\": 1e-6, "
                  "\"to\": 1e-3, \"count\": 4, \"scale\": \"log\"}]}",
                  "{\"a\":1e-06,\"seed\":0}", "{\"a\":0.001,\"seed\":0}",
                  "{\"a\":1e-05,\"seed\":0}", "{\"a\":0.0001,\"seed\":0}");
}

static void test_cases_take_turns_and_bring_their_own_parameters(void **state)
{
    (void)state;
    EXPECT_TRIALS(
        "{\"parameters\": ["
        "{\"name\": \"w\", \"values\": [1, 2]},"
        "{\"name\": \"d\", \"values\": [0.5], \"case\": \"ties\"}],"
        " \"cases\": [{\"name\": \"base\", \"set\": {\"method\": \"none\", "
        "\"w\": 0}},"
        " {\"name\": \"ties\", \"set\": {\"method\": \"ties\"}}]}",
        "{\"case\":\"base\",\"method\":\"none\",\"seed\":0,\"w\":0}",
        "{\"case\":\"ties\",\"d\":0.5,\"method\":\"ties\",\"seed\":0,\"w\":1}",
        "{\"case\":\"ties\",\"d\":0.5,\"method\":\"ties\",\"seed\":0,\"w\":2}");
}

static void test_derived_values_are_rounded_and_may_be_chained(void **state)
{
    (void)state;
    EXPECT_TRIALS(
        "{\"parameters\": [{\"name\": \"p\", \"values\": [0.9]}],"
        " \"derive\": [{\"name\": \"half\", \"expr\": \"density / 2\"},"
        " {\"name\": \"density\", \"expr\": \"1 - p\"},"
        " {\"name\": \"label\", \"expr\": \"if(p > 0.5, 'high', 'low')\"},"
        " {\"name\": \"ten\", \"expr\": \"100 * density\"}]}",
        "{\"density\":0.1,\"half\":0.05,\"label\":\"high\",\"p\":0.9,"
        "\"seed\":0,\"ten\":10}");
}

static void test_constraints_exclude_points_and_say_so(void **state)
{
    (void)state;
    EXPECT_TRIALS("{\"parameters\": [{\"name\": \"a\", \"values\": [0, 1]}, "
                  "{\"name\": \"b\", \"values\": [false, true]}],"
                  " \"constraints\": [\"a > 0 or b\"]}",
                  "excluded: a > 0 or b", "{\"a\":0,\"b\":true,\"seed\":0}",
                  "{\"a\":1,\"b\":false,\"seed\":0}",
                  "{\"a\":1,\"b\":true,\"seed\":0}");
}

static void test_when_is_settled_by_the_case_without_repeats(void **state)
{
    (void)state;
    EXPECT_TRIALS(
        "{\"parameters\": [{\"name\": \"lr\", \"values\": [1, 2], \"when\": "
        "\"mode != none\"}],"
        " \"cases\": [{\"name\": \"n\", \"set\": {\"mode\": \"none\"}},"
        " {\"name\": \"r\", \"set\": {\"mode\": \"retrain\"}}]}",
        "{\"case\":\"n\",\"mode\":\"none\",\"seed\":0}",
        "{\"case\":\"r\",\"lr\":1,\"mode\":\"retrain\",\"seed\":0}",
        "{\"case\":\"r\",\"lr\":2,\"mode\":\"retrain\",\"seed\":0}");
}

static void test_when_on_a_swept_value_leaves_one_of_equal_points(void **state)
{
    (void)state;
    EXPECT_TRIALS("{\"parameters\": ["
                  "{\"name\": \"lr\", \"values\": [1, 2], \"when\": \"on\"},"
                  "{\"name\": \"on\", \"values\": [false, true]}]}",
                  "{\"on\":false,\"seed\":0}",
                  "{\"lr\":1,\"on\":true,\"seed\":0}",
                  "excluded: lr: has no meaning here",
                  "{\"lr\":2,\"on\":true,\"seed\":0}");
}

static void test_constraints_on_absent_values_say_nothing(void **state)
{
    (void)state;
    EXPECT_TRIALS("{\"parameters\": [{\"name\": \"d\", \"values\": [0.5], "
                  "\"when\": \"false\"}],"
                  " \"constraints\": [\"d > 0.9\"]}",
                  "{\"seed\":0}");
}

static void test_a_parameter_called_seed_replaces_that_of_replicates(
    void **state)
{
    (void)state;
    EXPECT_TRIALS(
        "{\"parameters\": [{\"name\": \"seed\", \"values\": [3, 4]}]}",
        "{\"seed\":3}", "{\"seed\":4}");
}

static void test_an_undefined_derived_value_excludes_the_point(void **state)
{
    (void)state;
    EXPECT_TRIALS("{\"parameters\": [{\"name\": \"a\", \"values\": [0]}],"
                  " \"derive\": [{\"name\": \"b\", \"expr\": \"1 / a\"}]}",
                  "excluded: b: not a finite number");
}

static struct open_space open_drawn(int seed)
{
    char *json = xasprintf("{\"parameters\": [{\"name\": \"x\", \"min\": 0.5, "
                           "\"max\": 2}, {\"name\": \"lr\", \"min\": 1e-6, "
                           "\"max\": 1e-3, \"scale\": \"log\"}, {\"name\": "
                           "\"k\", \"min\": 2, \"max\": 5, \"integer\": "
                           "true}, {\"name\": \"m\", \"values\": [\"a\", "
                           "\"b\"]}], \"strategy\": {\"method\": \"random\", "
                           "\"seed\": %d, \"trials\": 400}}",
                           seed);
    struct open_space o = open_space(json);

    free(json);
    return o;
}

static void test_random_points_are_inside_and_spread(void **state)
{
    struct open_space o = open_drawn(7);
    double sum = 0.0;
    int small = 0;
    int counts[6] = { 0 };

    (void)state;
    assert_int_equal(space_points(o.space), 400);
    for (uint64_t i = 0; i < 400; i++) {
        struct space_trial t;
        double x;
        double lr;
        int64_t k;

        space_trial(o.space, i, &t);
        x = json_real_or(t.values, "x", -1.0);
        lr = json_real_or(t.values, "lr", -1.0);
        k = json_int_or(t.values, "k", -1);
        assert_true(x >= 0.5 && x <= 2.0);
        assert_true(lr >= 1e-6 && lr <= 1e-3);
        assert_true(k >= 2 && k <= 5);
        sum += x;
        small += lr < 3.1622776601683795e-05;
        counts[k]++;
        json_decref(t.values);
    }
    assert_true(sum / 400 > 1.18 && sum / 400 < 1.32);
    assert_true(small > 160 && small < 240);
    for (int k = 2; k <= 5; k++)
        assert_true(counts[k] > 65 && counts[k] < 135);
    close_space(&o);
}

static void test_random_points_are_a_function_of_seed_and_number(void **state)
{
    struct open_space a = open_drawn(7);
    struct open_space b = open_drawn(7);
    struct open_space c = open_drawn(8);
    char *first = values_of(a.space, 123);
    char *again = values_of(b.space, 123);
    char *other = values_of(c.space, 123);

    (void)state;
    assert_string_equal(first, again);
    assert_string_not_equal(first, other);
    /* Golden: trials of sweeps in flight must not change. */
    assert_string_equal(first, "{\"k\":4,\"lr\":1.06499728665e-05,"
                               "\"m\":\"b\",\"seed\":0,"
                               "\"x\":0.766876045607}");
    free(first);
    free(again);
    free(other);
    close_space(&a);
    close_space(&b);
    close_space(&c);
}

static void test_random_over_lists_repeats_no_point(void **state)
{
    struct open_space o = open_space(
        "{\"parameters\": [{\"name\": \"a\", \"values\": [1, 2, 3, 4, 5]},"
        " {\"name\": \"b\", \"values\": [1, 2, 3, 4, 5, 6, 7]}],"
        " \"strategy\": {\"method\": \"random\", \"seed\": 1, \"trials\": "
        "99}}");
    char seen[8][8] = { { 0 } };

    (void)state;
    assert_int_equal(space_points(o.space), 35);
    for (uint64_t i = 0; i < 35; i++) {
        struct space_trial t;
        int64_t a;
        int64_t b;

        space_trial(o.space, i, &t);
        a = json_int_or(t.values, "a", 0);
        b = json_int_or(t.values, "b", 0);
        assert_int_equal(seen[a][b], 0);
        seen[a][b] = 1;
        json_decref(t.values);
    }
    close_space(&o);
}

static void test_a_huge_grid_is_no_work_until_asked(void **state)
{
    struct open_space o = open_space(
        "{\"parameters\": [{\"name\": \"a\", \"from\": 0, \"to\": 1, "
        "\"count\": 100000}, {\"name\": \"b\", \"from\": 0, \"to\": 1, "
        "\"count\": 100000}]}");
    char *last;

    (void)state;
    assert_int_equal(space_points(o.space), UINT64_C(10000000000));
    last = values_of(o.space, UINT64_C(9999999999));
    assert_non_null(strstr(last, "\"a\":"));
    free(last);
    close_space(&o);
}

struct bad {
    const char *json;
    enum status_code code;
    const char *words;
};

static const struct bad bads[] = {
    { "{\"parameters\": 1}", STATUS_INVALID, "is not a list" },
    { "{\"parameters\": [1]}", STATUS_INVALID, "\"name\" is missing" },
    { "{\"parameters\": [{\"name\": \"\", \"values\": [1]}]}", STATUS_INVALID,
      "1 to 63 bytes" },
    { "{\"parameters\": [{\"name\": \"a\", \"values\": []}]}", STATUS_INVALID,
      "one or more" },
    { "{\"parameters\": [{\"name\": \"a\"}]}", STATUS_INVALID, "\"min\"" },
    { "{\"parameters\": [{\"name\": \"a\", \"min\": 2, \"max\": 1}]}",
      STATUS_INVALID, "below max" },
    { "{\"parameters\": [{\"name\": \"a\", \"min\": 0, \"max\": 1, \"scale\": "
      "\"log\"}]}",
      STATUS_INVALID, "above 0" },
    { "{\"parameters\": [{\"name\": \"a\", \"min\": 0, \"max\": 1}]}",
      STATUS_INVALID, "endless" },
    { "{\"parameters\": [{\"name\": \"a\", \"from\": 0, \"to\": 1, \"count\": "
      "1000000}]}",
      STATUS_INVALID, "count must be" },
    { "{\"parameters\": [{\"name\": \"a\", \"from\": -1e308, \"to\": 1e308, "
      "\"count\": 3}]}",
      STATUS_INVALID, "too far apart" },
    { "{\"parameters\": [{\"name\": \"a\", \"values\": [1]}, {\"name\": "
      "\"a\", \"values\": [1]}]}",
      STATUS_INVALID, "stands twice" },
    { "{\"parameters\": [{\"name\": \"a\", \"values\": [1], \"case\": "
      "\"x\"}]}",
      STATUS_INVALID, "no case \"x\"" },
    { "{\"cases\": [{\"name\": \"a\"}, {\"name\": \"a\"}]}", STATUS_INVALID,
      "two cases" },
    { "{\"derive\": [{\"name\": \"a\", \"expr\": \"b\"}]}", STATUS_INVALID,
      "`b` is not declared" },
    { "{\"derive\": [{\"name\": \"a\", \"expr\": \"b\"}, {\"name\": \"b\", "
      "\"expr\": \"a\"}]}",
      STATUS_INVALID, "depends on itself" },
    { "{\"constraints\": [\"1 +\"]}", STATUS_INVALID, "constraints[0]" },
    { "{\"constraints\": [1]}", STATUS_INVALID, "not a text" },
    { "{\"replicates\": {\"count\": 0}}", STATUS_INVALID, "1 to" },
    { "{\"replicates\": {\"count\": 2, \"seeds\": [1]}}", STATUS_INVALID,
      "a list of 2" },
    { "{\"strategy\": {\"method\": \"psychic\"}}", STATUS_INVALID,
      "\"psychic\" is unknown" },
    { "{\"strategy\": {\"seed\": -1}}", STATUS_INVALID, "negative" },
};

static void test_hostile_documents_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(bads); i++) {
        json_t *document = NULL;
        struct space *space = NULL;

        assert_ok(json_parse(bads[i].json, strlen(bads[i].json), "document",
                             &document));
        assert_fails(space_new(document, &space), bads[i].code, bads[i].words);
        json_decref(document);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_sweep_without_parameters_is_one_trial),
        cmocka_unit_test(test_replicates_stand_next_to_each_other),
        cmocka_unit_test(test_counted_axes_have_round_numbers_and_both_ends),
        cmocka_unit_test(test_cases_take_turns_and_bring_their_own_parameters),
        cmocka_unit_test(test_derived_values_are_rounded_and_may_be_chained),
        cmocka_unit_test(test_constraints_exclude_points_and_say_so),
        cmocka_unit_test(test_when_is_settled_by_the_case_without_repeats),
        cmocka_unit_test(test_when_on_a_swept_value_leaves_one_of_equal_points),
        cmocka_unit_test(test_constraints_on_absent_values_say_nothing),
        cmocka_unit_test(
            test_a_parameter_called_seed_replaces_that_of_replicates),
        cmocka_unit_test(test_an_undefined_derived_value_excludes_the_point),
        cmocka_unit_test(test_random_points_are_inside_and_spread),
        cmocka_unit_test(test_random_points_are_a_function_of_seed_and_number),
        cmocka_unit_test(test_random_over_lists_repeats_no_point),
        cmocka_unit_test(test_a_huge_grid_is_no_work_until_asked),
        cmocka_unit_test(test_hostile_documents_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
