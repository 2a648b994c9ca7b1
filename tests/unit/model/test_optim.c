#include "support/test.h"

#include "common/macros.h"
#include "model/optim.h"

#include <math.h>

static void test_adamw_follows_the_formula(void **state)
{
    struct adamw a = {
        .rate = 0.01, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .decay = 0.1
    };
    const double gradients[] = { 0.5, -0.25, 0.125 };
    float x = 1.0F;
    double y = 1.0, m = 0.0, v = 0.0;

    (void)state;
    assert_ok(adamw_init(&a, 1));
    for (size_t t = 0; t < COUNT_OF(gradients); t++) {
        float g = (float)gradients[t];

        adamw_step(&a, 1.0, &x, &g);
        y *= 1.0 - 0.01 * 0.1;
        m = 0.9 * m + 0.1 * gradients[t];
        v = 0.999 * v + 0.001 * gradients[t] * gradients[t];
        y -= 0.01 * (m / (1.0 - pow(0.9, (double)t + 1.0))) /
             (sqrt(v / (1.0 - pow(0.999, (double)t + 1.0))) + 1e-8);
        assert_true(fabs((double)x - y) < 1e-6);
    }
    adamw_release(&a);
}

static void test_a_factor_of_nothing_moves_nothing(void **state)
{
    struct adamw a = {
        .rate = 0.01, .beta1 = 0.9, .beta2 = 0.99, .eps = 1e-8, .decay = 0.1
    };
    float x = 0.75F, g = 3.0F;

    (void)state;
    assert_ok(adamw_init(&a, 1));
    adamw_step(&a, 0.0, &x, &g);
    assert_true(x == 0.75F);
    assert_true(a.first[0] > 0.0F);
    adamw_release(&a);
}

static void test_clip_shortens_only_what_is_too_long(void **state)
{
    float g[] = { 3.0F, 4.0F };

    (void)state;
    assert_true(optim_clip(g, 2, 10.0) == 5.0);
    assert_true(g[0] == 3.0F && g[1] == 4.0F);
    assert_true(optim_clip(g, 2, 0.0) == 5.0);
    assert_true(g[0] == 3.0F);
    assert_true(optim_clip(g, 2, 1.0) == 5.0);
    assert_true(fabsf(g[0] - 0.6F) < 1e-6F && fabsf(g[1] - 0.8F) < 1e-6F);
}

static void test_schedules_have_their_shapes(void **state)
{
    struct schedule s = { .row = schedule_find("cosine"),
                          .steps = 110,
                          .warmup = 10 };

    (void)state;
    assert_true(schedule_factor(&s, 0) == 0.0);
    assert_true(schedule_factor(&s, 5) == 0.5);
    assert_true(schedule_factor(&s, 10) == 1.0);
    assert_true(fabs(schedule_factor(&s, 60) - 0.5) < 1e-12);
    assert_true(fabs(schedule_factor(&s, 110)) < 1e-12);
    assert_true(fabs(schedule_factor(&s, 500)) < 1e-12);
    s.row = schedule_find("linear");
    assert_true(schedule_factor(&s, 60) == 0.5);
    s.row = schedule_find("constant");
    assert_true(schedule_factor(&s, 60) == 1.0);
    s.row = schedule_find("multistep");
    s.milestones[0] = 50;
    s.milestones[1] = 60;
    s.gamma = 0.5;
    assert_true(schedule_factor(&s, 49) == 1.0);
    assert_true(schedule_factor(&s, 50) == 0.5);
    assert_true(schedule_factor(&s, 60) == 0.25);
    assert_null(schedule_find("sine"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_adamw_follows_the_formula),
        cmocka_unit_test(test_a_factor_of_nothing_moves_nothing),
        cmocka_unit_test(test_clip_shortens_only_what_is_too_long),
        cmocka_unit_test(test_schedules_have_their_shapes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
