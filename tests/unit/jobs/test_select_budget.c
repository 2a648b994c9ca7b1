#include "jobs/select/budget.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/macros.h"
#include "common/philox.h"
#include "jobs/select/priority.h"
#include "support/test.h"

enum { MOST = 12, RUNS = 3000 };

/* --- budgets ----------------------------------------------------------------------
 */

struct drawn {
    struct budget_how how;
    size_t count, sizes[MOST], room;
    double weights[MOST];
};

static uint32_t draw(uint64_t *at, uint32_t bound)
{
    const struct philox_key key = { .seed = 7 };

    return philox_below(key, (*at)++, bound);
}

/* Weights that tie, vanish and lie far apart; sizes that bind or do not. */
static struct drawn draw_case(enum budget_mode mode, uint64_t *at)
{
    struct drawn d = { .count = 1 + draw(at, MOST) };

    d.how.mode = mode;
    d.how.budget = draw(at, 60);
    d.how.min_per_cluster = draw(at, 4) == 0 ? draw(at, 4) : 0;
    for (size_t i = 0; i < d.count; i++) {
        d.sizes[i] = draw(at, 20);
        d.weights[i] = draw(at, 3) == 0 ? 0.0 : 0.125 * draw(at, 9);
        d.weights[i] *= draw(at, 9) == 0 ? 1e-9 : 1.0;
        d.room += d.sizes[i];
    }
    return d;
}

static size_t sum(const size_t *counts, size_t count)
{
    size_t total = 0;

    for (size_t i = 0; i < count; i++)
        total += counts[i];
    return total;
}

static void test_budgets_are_spent_as_far_as_their_mode_allows(void **state)
{
    uint64_t at = 0;

    (void)state;
    for (size_t run = 0; run < RUNS; run++)
        for (enum budget_mode mode = 0; mode < BUDGET_MODES; mode++) {
            struct drawn d = draw_case(mode, &at);
            size_t counts[MOST], total;
            struct budget_result result;

            assert_ok(budget_split(&d.how, d.count, d.weights, d.sizes, counts,
                                   &result));
            total = sum(counts, d.count);
            assert_true(total <= d.how.budget);
            assert_int_equal(result.unspent, d.how.budget - total);
            if (mode == BUDGET_REMAINDER)
                assert_int_equal(total, d.how.budget);
            if (mode == BUDGET_FLOOR && !result.zero_total)
                assert_true(d.how.budget - total < d.count);
            if (mode != BUDGET_CAPPED)
                continue;
            assert_int_equal(total,
                             d.room < d.how.budget ? d.room : d.how.budget);
            for (size_t i = 0; i < d.count; i++)
                assert_true(counts[i] <= d.sizes[i]);
        }
}

/* The rule word for word: split what is left among those that are not full
 * until none is asked for more than it has. */
static void capped_twin(const struct drawn *d, size_t *counts)
{
    size_t left = d->how.budget, places[MOST], open = d->count;
    double weights[MOST];

    for (size_t i = 0; i < d->count; i++)
        places[i] = i;
    for (bool again = true; again;) {
        const struct budget_how how = { BUDGET_REMAINDER, left, 0 };
        size_t shares[MOST], still = 0;
        struct budget_result result;

        for (size_t i = 0; i < open; i++)
            weights[i] = d->weights[places[i]];
        assert_ok(budget_split(&how, open, weights, d->sizes, shares, &result));
        again = false;
        for (size_t i = 0; i < open; i++) {
            size_t k = places[i];

            counts[k] = shares[i] < d->sizes[k] ? shares[i] : d->sizes[k];
            if (shares[i] <= d->sizes[k]) {
                places[still++] = k;
                continue;
            }
            left -= d->sizes[k];
            again = true;
        }
        open = still;
        again = again && open > 0;
    }
}

static void test_what_a_full_cluster_cannot_give_the_others_give(void **state)
{
    uint64_t at = 1u << 20;

    (void)state;
    for (size_t run = 0; run < RUNS; run++) {
        struct drawn d = draw_case(BUDGET_CAPPED, &at);
        size_t counts[MOST], expected[MOST];
        struct budget_result result;

        d.how.min_per_cluster = 0;
        assert_ok(
            budget_split(&d.how, d.count, d.weights, d.sizes, counts, &result));
        capped_twin(&d, expected);
        for (size_t i = 0; i < d.count; i++)
            assert_int_equal(counts[i], expected[i]);
    }
}

static void test_a_cascade_of_full_clusters(void **state)
{
    /* 64, 32, 3, 1; the first is full, then the second, then the third. */
    const double weights[] = { 0.64, 0.32, 0.03, 0.01 };
    const size_t sizes[] = { 10, 60, 5, 1000 };
    const struct budget_how how = { BUDGET_CAPPED, 100, 0 };
    size_t counts[4];
    struct budget_result result;

    (void)state;
    assert_ok(budget_split(&how, 4, weights, sizes, counts, &result));
    assert_int_equal(counts[0], 10);
    assert_int_equal(counts[1], 60);
    assert_int_equal(counts[2], 5);
    assert_int_equal(counts[3], 25);
    assert_int_equal(result.unspent, 0);
}

static void test_each_cluster_gets_its_least_first(void **state)
{
    const double weights[] = { 0.0, 1.0, 8.0, 1.0 };
    const size_t sizes[] = { 9, 1, 9, 9 };
    struct budget_how how = { BUDGET_CAPPED, 12, 2 };
    size_t counts[4];
    struct budget_result result;

    (void)state;
    assert_ok(budget_split(&how, 4, weights, sizes, counts, &result));
    assert_int_equal(counts[0], 2);
    assert_int_equal(counts[1], 1);
    assert_int_equal(sum(counts, 4), 12);
    assert_true(counts[2] > counts[3] && counts[3] >= 2);
    how.budget = 3; /* one each in turn, the largest weight first */
    assert_ok(budget_split(&how, 4, weights, sizes, counts, &result));
    assert_int_equal(counts[0], 0);
    assert_int_equal(counts[1], 1);
    assert_int_equal(counts[2], 1);
    assert_int_equal(counts[3], 1);
}

static void test_weights_that_are_no_numbers_are_refused(void **state)
{
    const size_t sizes[] = { 1, 1 };
    const struct budget_how how = { BUDGET_FLOOR, 2, 0 };
    size_t counts[2];
    struct budget_result result;

    (void)state;
    assert_fails(budget_split(&how, 2, (double[]){ 1.0, (double)NAN }, sizes,
                              counts, &result),
                 STATUS_INVALID, "cluster 1");
    assert_fails(budget_split(&how, 2, (double[]){ HUGE_VAL, 1.0 }, sizes,
                              counts, &result),
                 STATUS_INVALID, "cluster 0");
    assert_fails(budget_split(&how, 2, (double[]){ 1e308, 1e308 }, sizes,
                              counts, &result),
                 STATUS_INVALID, "no finite sum");
    assert_ok(budget_split(&how, 0, NULL, NULL, counts, &result));
    assert_int_equal(result.unspent, 2);
}

static void test_models_that_do_not_differ_give_equal_shares(void **state)
{
    const double weights[] = { 0.0, -1e-17, 0.0 };
    const size_t sizes[] = { 9, 9, 9 };
    struct budget_how how = { BUDGET_CAPPED, 10, 0 };
    size_t counts[3];
    struct budget_result result;

    (void)state;
    assert_ok(budget_split(&how, 3, weights, sizes, counts, &result));
    assert_true(result.zero_total);
    assert_int_equal(counts[0], 4);
    assert_int_equal(counts[1], 3);
    assert_int_equal(counts[2], 3);
    how.mode = BUDGET_FLOOR; /* as released: nothing can be split */
    assert_ok(budget_split(&how, 3, weights, sizes, counts, &result));
    assert_true(result.zero_total);
    assert_int_equal(result.unspent, 10);
}

static void test_fractions_of_a_pool(void **state)
{
    (void)state;
    assert_int_equal(budget_of_fraction(0.04, 60), 2);
    assert_int_equal(budget_of_fraction(0.0, 60), 0);
    assert_int_equal(budget_of_fraction(1.0, 60), 60);
}

/* --- priority ---------------------------------------------------------------------
 */

static void test_scores_are_damage_by_the_logarithm_of_the_cost(void **state)
{
    (void)state;
    assert_true(priority_score(PRIORITY_SQUARE, 0.5, 3, 7) == 0.5 / log(100.0));
    assert_true(priority_score(PRIORITY_LINEAR, 0.5, 3, 7) == 0.5 / log(10.0));
    assert_true(priority_score(PRIORITY_NONE, 0.5, 3, 7) == 0.5);
    /* ln 1 and ln 0 are nothing to divide by. */
    for (enum priority_cost cost = 0; cost < PRIORITY_COSTS; cost++)
        for (size_t x = 0; x < 3; x++)
            assert_true(isfinite(priority_score(cost, 0.5, x, 0)));
    assert_true(priority_cost_of(PRIORITY_SQUARE, 0, 1) == 4.0);
}

static void test_orders_are_stable(void **state)
{
    enum { N = 1000 };
    static double scores[N];
    static uint32_t order[N];
    uint64_t at = 1u << 21;

    (void)state;
    for (size_t n = 0; n < N; n = 2 * n + 1) {
        for (size_t i = 0; i < n; i++) {
            scores[i] = draw(&at, 10);
            order[i] = (uint32_t)i;
        }
        assert_ok(priority_sort(scores, order, n));
        for (size_t i = 1; i < n; i++) {
            double a = scores[order[i - 1]], b = scores[order[i]];

            assert_true(a > b || (a == b && order[i - 1] < order[i]));
        }
    }
}

static void test_degradation_is_the_mean_of_what_is_valid(void **state)
{
    const double none = (double)NAN, jsd[] = { 0.1, none, 0.3, none };
    const uint32_t labels[] = { 0, 0, 0, 1 };
    double means[3];
    size_t counts[3];

    (void)state;
    priority_degradation(jsd, labels, 4, 3, means, counts);
    assert_true(means[0] == 0.2);
    assert_int_equal(counts[0], 2);
    assert_true(isnan(means[1]) && counts[1] == 0);
    assert_true(isnan(means[2]) && counts[2] == 0);
}

static void test_words_for_all_of_it(void **state)
{
    (void)state;
    for (enum budget_mode m = 0; m < BUDGET_MODES; m++) {
        enum budget_mode found;

        assert_true(budget_mode_find(budget_mode_name(m), &found));
        assert_int_equal(found, m);
    }
    for (enum priority_cost c = 0; c < PRIORITY_COSTS; c++) {
        enum priority_cost found;

        assert_true(priority_cost_find(priority_cost_name(c), &found));
        assert_int_equal(found, c);
    }
    assert_false(budget_mode_find("", &(enum budget_mode){ 0 }));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_budgets_are_spent_as_far_as_their_mode_allows),
        cmocka_unit_test(test_what_a_full_cluster_cannot_give_the_others_give),
        cmocka_unit_test(test_a_cascade_of_full_clusters),
        cmocka_unit_test(test_each_cluster_gets_its_least_first),
        cmocka_unit_test(test_weights_that_are_no_numbers_are_refused),
        cmocka_unit_test(test_models_that_do_not_differ_give_equal_shares),
        cmocka_unit_test(test_fractions_of_a_pool),
        cmocka_unit_test(test_scores_are_damage_by_the_logarithm_of_the_cost),
        cmocka_unit_test(test_orders_are_stable),
        cmocka_unit_test(test_degradation_is_the_mean_of_what_is_valid),
        cmocka_unit_test(test_words_for_all_of_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
