#include "support/test.h"

#include "cli/leaderboard.h"
#include "sweep/pairs.h"

#include <math.h>
#include <string.h>

static void add(json_t *trials, int number, const char *method, int seed,
                double value)
{
    json_t *trial =
        json_pack("{s:i, s:{s:s, s:i}, s:{}}", "trial", number, "values",
                  "method", method, "seed", seed, "metrics");

    if (!isnan(value)) /* else it failed: no metrics */
        (void)json_object_set_new(json_object_get(trial, "metrics"),
                                  "mean.value", json_real(value));
    (void)json_array_append_new(trials, trial);
}

static void test_the_error_is_that_of_the_mean(void **state)
{
    const double values[] = { 1.0, 2.0, 3.0, 4.0 };
    const double equal[] = { 0.1, 0.1, 0.1 };
    struct estimate e = estimate_of(values, 4);

    (void)state;
    assert_true(fabs(e.mean - 2.5) < 1e-15);
    assert_true(fabs(e.error - 0.6454972243679028) < 1e-15);
    assert_int_equal(e.count, 4);
    e = estimate_of(equal, 3);
    assert_true(e.error == 0.0); /* rounding of the mean is no spread */
    e = estimate_of(values, 1);
    assert_true(e.error == 0.0 && e.mean == 1.0);
    assert_int_equal(estimate_of(NULL, 0).count, 0);
}

static void test_points_are_ranked_by_the_mean_of_their_seeds(void **state)
{
    json_t *trials = json_array();
    struct leaderboard b;

    (void)state;
    add(trials, 1, "ties", 0, 0.60);
    add(trials, 2, "ties", 1, 0.70);
    add(trials, 3, "dare", 0, 0.90);
    add(trials, 4, "dare", 1, 0.80);
    add(trials, 5, "lost", 0, (double)NAN);
    leaderboard_make(NULL, trials, "mean.value", true, &b);
    assert_int_equal(b.count, 2);
    assert_int_equal(b.unmeasured, 1);
    assert_int_equal(b.items[0].trial, 3);
    assert_int_equal(b.items[1].trial, 2);
    assert_true(fabs(b.items[0].objective.mean - 0.85) < 1e-15);
    assert_true(fabs(b.items[0].objective.error - 0.05) < 1e-15);
    assert_null(json_object_get(b.items[0].values, "seed"));
    assert_false(b.tied);
    leaderboard_release(&b);
    leaderboard_make(NULL, trials, "mean.value", false, &b);
    assert_int_equal(b.items[0].trial, 1);
    leaderboard_release(&b);
    json_decref(trials);
}

static void test_two_that_differ_by_less_than_their_error_are_tied(void **state)
{
    json_t *trials = json_array();
    struct leaderboard b;

    (void)state;
    add(trials, 1, "ties", 0, 0.60);
    add(trials, 2, "ties", 1, 0.70);
    add(trials, 3, "dare", 0, 0.62);
    add(trials, 4, "dare", 1, 0.74);
    leaderboard_make(NULL, trials, "mean.value", true, &b);
    assert_true(b.tied);
    assert_int_equal(b.items[0].trial, 4);
    leaderboard_release(&b);
    json_decref(trials);
}

/* Three pairs of three models are as uncertain as the models: what both of a
 * pair add to it is known half as well as from three pairs apart. Delete-one
 * jackknife gives the same. */
static void test_pairs_of_replicates_share_them(void **state)
{
    const double values[] = { 1.0, 2.0, 4.0 };
    struct estimate e = estimate_of_pairs(values, 3, 3);
    double squares = 0.0;

    (void)state;
    for (size_t i = 0; i < 3; i++)
        squares += (values[i] - e.mean) * (values[i] - e.mean);
    assert_true(fabs(e.error - sqrt(2.0 / 3.0 * squares)) < 1e-12);
    e = estimate_of_pairs(values, 2, 2); /* both say it of one pair */
    assert_int_equal(e.count, 1);
    assert_true(e.error == 0.0);
}

static void test_formulas_over_pairs_are_of_pairs(void **state)
{
    AUTO(json_release)
    json_t *spec = json_pack(
        "{s:{s:i}, s:[{s:s}, {s:s, s:s}, {s:s, s:s}, {s:s, s:s}]}",
        "replicates", "count", 3, "evaluate", "name", "test", "name", "lmc",
        "across", "replicates", "name", "sum", "expr", "1 + lmc.barrier",
        "name", "far", "expr", "2 * sum.value + my_lmc.x");

    (void)state;
    assert_int_equal(pairs_of_metric(spec, "lmc.barrier"), 3);
    assert_int_equal(pairs_of_metric(spec, "sum.value"), 3);
    assert_int_equal(pairs_of_metric(spec, "far.value"), 3);
    assert_int_equal(pairs_of_metric(spec, "test.error"), 0);
    assert_int_equal(pairs_of_metric(NULL, "test.error"), 0);
}

static void test_a_failed_replicate_is_counted_but_not_averaged(void **state)
{
    json_t *trials = json_array();
    struct leaderboard b;

    (void)state;
    add(trials, 1, "ties", 0, 0.5);
    add(trials, 2, "ties", 1, (double)NAN);
    leaderboard_make(NULL, trials, "mean.value", true, &b);
    assert_int_equal(b.items[0].replicates, 2);
    assert_int_equal(b.items[0].objective.count, 1);
    assert_int_equal(leader_estimate(&b.items[0], "other").count, 0);
    leaderboard_release(&b);
    json_decref(trials);
}

static void test_equal_points_stand_in_order_of_their_number(void **state)
{
    json_t *trials = json_array();
    struct leaderboard b;

    (void)state;
    add(trials, 2, "b", 0, 0.5);
    add(trials, 1, "a", 0, 0.5);
    leaderboard_make(NULL, trials, "mean.value", true, &b);
    assert_int_equal(b.items[0].trial, 1);
    assert_true(b.tied);
    leaderboard_release(&b);
    json_decref(trials);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_error_is_that_of_the_mean),
        cmocka_unit_test(test_points_are_ranked_by_the_mean_of_their_seeds),
        cmocka_unit_test(
            test_two_that_differ_by_less_than_their_error_are_tied),
        cmocka_unit_test(test_pairs_of_replicates_share_them),
        cmocka_unit_test(test_formulas_over_pairs_are_of_pairs),
        cmocka_unit_test(test_a_failed_replicate_is_counted_but_not_averaged),
        cmocka_unit_test(test_equal_points_stand_in_order_of_their_number),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
