#include "support/test.h"

#include "jobs/merge/merge_draw.h"

enum { COUNT = 1000 };

static const struct philox_key key = { 7, 0x12345678, 0x9abcdef012345678 };

static size_t kept(const uint32_t *keep, size_t count)
{
    size_t sum = 0;

    for (size_t i = 0; i < count; i++)
        sum += keep[i] != 0;
    return sum;
}

static void test_masks_are_those_of_the_uniform_draws(void **state)
{
    static const double densities[] = { 0.0, 0.1, 0.5, 0.9, 1.0, 1e-9 };
    static const uint64_t firsts[] = { 0, 4, 4096, UINT64_C(1) << 34 };
    uint32_t keep[COUNT];
    float u[COUNT];

    (void)state;
    for (size_t d = 0; d < COUNT_OF(densities); d++) {
        for (size_t f = 0; f < COUNT_OF(firsts); f++) {
            merge_draw(key, densities[d], firsts[f], COUNT - d, keep);
            philox_uniform(key, firsts[f], COUNT - d, u);
            for (size_t i = 0; i < COUNT - d; i++)
                assert_int_equal(keep[i], (double)u[i] < 1.0 - densities[d]
                                              ? 0
                                              : UINT32_MAX);
        }
    }
}

static void test_masks_do_not_depend_on_the_cut(void **state)
{
    uint32_t whole[COUNT], part[COUNT];

    (void)state;
    merge_draw(key, 0.3, 0, COUNT, whole);
    for (size_t at = 0; at < COUNT; at += 68) {
        size_t count = COUNT - at < 68 ? COUNT - at : 68;

        merge_draw(key, 0.3, at, count, part + at);
    }
    assert_memory_equal(whole, part, sizeof whole);
}

static void test_masks_of_growing_densities_nest(void **state)
{
    uint32_t low[COUNT], high[COUNT];

    (void)state;
    merge_draw(key, 0.2, 0, COUNT, low);
    merge_draw(key, 0.6, 0, COUNT, high);
    for (size_t i = 0; i < COUNT; i++)
        assert_true(low[i] == 0 || high[i] != 0);
    assert_in_range(kept(low, COUNT), 160, 240);
    assert_in_range(kept(high, COUNT), 550, 650);
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
    static const float draws[] = { 0.0F, 0.29F, 0.31F, 0.69F, 0.71F };
    uint32_t keep[COUNT_OF(draws)];

    (void)state;
    merge_draw_given(draws, MERGE_KEEP_BELOW_DENSITY, 0.3, COUNT_OF(draws),
                     keep);
    assert_int_equal(kept(keep, 2), 2);
    assert_int_equal(kept(keep, COUNT_OF(draws)), 2);
    merge_draw_given(draws, MERGE_DROP_BELOW_RATE, 0.3, COUNT_OF(draws), keep);
    assert_int_equal(kept(keep, COUNT_OF(draws)), 1);
    assert_int_equal(keep[4], UINT32_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_masks_are_those_of_the_uniform_draws),
        cmocka_unit_test(test_masks_do_not_depend_on_the_cut),
        cmocka_unit_test(test_masks_of_growing_densities_nest),
        cmocka_unit_test(test_the_convention_stays_what_it_is),
        cmocka_unit_test(test_given_draws_follow_their_rule),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
