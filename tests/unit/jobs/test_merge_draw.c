#include "support/test.h"

#include <math.h>

#include "jobs/merge/merge_draw.h"

enum { COUNT = 1000 };

static const struct philox_key key = { 7, 0x12345678, 0x9abcdef012345678 };

static size_t kept(const float *draws, float threshold, size_t count)
{
    size_t sum = 0;

    for (size_t i = 0; i < count; i++)
        sum += draws[i] >= threshold;
    return sum;
}

static void test_draws_are_the_uniform_ones(void **state)
{
    static const uint64_t firsts[] = { 0, 4, 4096, UINT64_C(1) << 34 };
    float draws[COUNT];
    float u[COUNT];

    (void)state;
    for (size_t f = 0; f < COUNT_OF(firsts); f++) {
        merge_draw(key, firsts[f], COUNT - f, draws);
        philox_uniform(key, firsts[f], COUNT - f, u);
        assert_memory_equal(draws, u, (COUNT - f) * sizeof *u);
    }
}

static void test_draws_do_not_depend_on_the_cut(void **state)
{
    float whole[COUNT], part[COUNT];

    (void)state;
    merge_draw(key, 0, COUNT, whole);
    for (size_t at = 0; at < COUNT; at += 68) {
        size_t count = COUNT - at < 68 ? COUNT - at : 68;

        merge_draw(key, at, count, part + at);
    }
    assert_memory_equal(whole, part, sizeof whole);
}

/* In double, as the rules are written. */
static void test_thresholds_are_the_rules(void **state)
{
    static const double keeps[] = { 0.0,  1e-9, 0x1p-24, 0.1,
                                    0.25, 0.3,  0.9,     1.0 - 0x1p-40 };
    static const float draws[] = {
        0.0F, 0x1p-24F, 0.1F, 0.25F, 0.3F,
        0.7F, 0.75F,    0.9F, 0.99F, 0x1.fffffep-1F
    };

    (void)state;
    for (size_t k = 0; k < COUNT_OF(keeps); k++) {
        float above = merge_threshold(MERGE_DROP_BELOW_RATE, keeps[k]);
        float below = merge_threshold(MERGE_KEEP_BELOW_DENSITY, keeps[k]);

        for (size_t i = 0; i < COUNT_OF(draws); i++) {
            double u = (double)draws[i];

            assert_int_equal(draws[i] >= above, u >= 1.0 - keeps[k]);
            assert_int_equal(-draws[i] >= below, u < keeps[k]);
        }
    }
}

static void test_what_is_certain_is_kept_whatever_is_drawn(void **state)
{
    (void)state;
    assert_true(-1.0F >= merge_threshold(MERGE_KEEP_BELOW_DENSITY, 1.0));
    assert_true(0.0F >= merge_threshold(MERGE_DROP_BELOW_RATE, 1.0));
}

static void test_masks_of_growing_densities_nest(void **state)
{
    float low = merge_threshold(MERGE_DROP_BELOW_RATE, 0.2);
    float high = merge_threshold(MERGE_DROP_BELOW_RATE, 0.6);
    float draws[COUNT];

    (void)state;
    merge_draw(key, 0, COUNT, draws);
    assert_true(high < low);
    assert_in_range(kept(draws, low, COUNT), 160, 240);
    assert_in_range(kept(draws, high, COUNT), 550, 650);
}

/* The published convention for seed 1, model "m", tensor "t": a change here
 * changes every DARE merge there is. */
static void test_the_convention_stays_what_it_is(void **state)
{
    static const uint32_t words[] = { 4288466, 6930016,  13086130, 4575569,
                                      3790265, 13528789, 1303700,  2237023 };
    const struct philox_key named = { 1, philox_hash("m"), philox_hash64("t") };
    float u[COUNT_OF(words)];

    (void)state;
    philox_uniform(named, 0, COUNT_OF(u), u);
    for (size_t i = 0; i < COUNT_OF(u); i++)
        assert_true((double)u[i] == (double)words[i] * 0x1p-24);
}

static void test_given_draws_follow_their_rule(void **state)
{
    static const float given[] = { 0.0F, 0.29F, 0.31F, 0.69F, 0.71F };
    float draws[COUNT_OF(given)];
    float threshold = merge_threshold(MERGE_KEEP_BELOW_DENSITY, 0.3);

    (void)state;
    merge_draw_given(given, MERGE_KEEP_BELOW_DENSITY, COUNT_OF(given), draws);
    assert_int_equal(kept(draws, threshold, 2), 2);
    assert_int_equal(kept(draws, threshold, COUNT_OF(given)), 2);
    threshold = merge_threshold(MERGE_DROP_BELOW_RATE, 0.3);
    merge_draw_given(given, MERGE_DROP_BELOW_RATE, COUNT_OF(given), draws);
    assert_int_equal(kept(draws, threshold, COUNT_OF(given)), 1);
    assert_true(draws[4] >= threshold);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_draws_are_the_uniform_ones),
        cmocka_unit_test(test_draws_do_not_depend_on_the_cut),
        cmocka_unit_test(test_thresholds_are_the_rules),
        cmocka_unit_test(test_what_is_certain_is_kept_whatever_is_drawn),
        cmocka_unit_test(test_masks_of_growing_densities_nest),
        cmocka_unit_test(test_the_convention_stays_what_it_is),
        cmocka_unit_test(test_given_draws_follow_their_rule),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
