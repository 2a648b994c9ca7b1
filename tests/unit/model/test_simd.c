#include "support/test.h"

#include "model/simd.h"

#include <math.h>

static void test_exp_is_right_to_the_last_places(void **state)
{
    double worst = 0.0;

    (void)state;
    for (float x = -87.0F; x < 88.0F; x += 0.00371F) {
        double is = (double)simd_exp(x), should = exp((double)x);

        worst = fmax(worst, fabs(is - should) / should);
    }
    assert_true(worst < 3e-7);
    assert_true(simd_exp(0.0F) == 1.0F);
}

static void test_exp_stays_finite_beyond_its_range_and_keeps_nan(void **state)
{
    (void)state;
    assert_true(simd_exp(-1e30F) > 0.0F);
    assert_true(simd_exp(-1e30F) < 2e-38F);
    assert_true(simd_exp(-INFINITY) < 2e-38F);
    assert_true(isfinite(simd_exp(1e30F)));
    assert_true(isnan(simd_exp(NAN)));
}

static void test_sum_takes_every_lane_once(void **state)
{
    float part[SIMD_LANES];

    (void)state;
    for (size_t i = 0; i < SIMD_LANES; i++)
        part[i] = (float)(1U << i);
    assert_true(simd_sum(part) == 65535.0F);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exp_is_right_to_the_last_places),
        cmocka_unit_test(test_exp_stays_finite_beyond_its_range_and_keeps_nan),
        cmocka_unit_test(test_sum_takes_every_lane_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
