#include "support/test.h"

#include "common/macros.h"
#include "model/optim.h"

#include <math.h>

/* One element with its moments. */
static void step_one(const struct optim *o, uint64_t step, double rate,
                     float *x, float g, float moments[2])
{
    const struct optim_call call = {
        .rate = rate,
        .step = step,
        .parameters = x,
        .gradients = &g,
        .moments = { &moments[0], &moments[1] },
        .count = 1,
    };

    o->row->step(o, &call);
}

static void test_adamw_follows_the_formula(void **state)
{
    const struct optim o = { .row = optim_find("adamw"),
                             .beta1 = 0.9,
                             .beta2 = 0.999,
                             .eps = 1e-8,
                             .decay = 0.1 };
    const double gradients[] = { 0.5, -0.25, 0.125 };
    float x = 1.0F, moments[2] = { 0.0F };
    double y = 1.0, m = 0.0, v = 0.0;

    (void)state;
    for (size_t t = 0; t < COUNT_OF(gradients); t++) {
        step_one(&o, t + 1, 0.01, &x, (float)gradients[t], moments);
        y *= 1.0 - 0.01 * 0.1;
        m = 0.9 * m + 0.1 * gradients[t];
        v = 0.999 * v + 0.001 * gradients[t] * gradients[t];
        y -= 0.01 * (m / (1.0 - pow(0.9, (double)t + 1.0))) /
             (sqrt(v / (1.0 - pow(0.999, (double)t + 1.0))) + 1e-8);
        assert_true(fabs((double)x - y) < 1e-6);
    }
}

static void test_sgd_follows_the_formula(void **state)
{
    const struct optim o = { .row = optim_find("sgd"),
                             .beta1 = 0.9,
                             .decay = 0.1 };
    const double gradients[] = { 0.5, -0.25, 0.125 };
    float x = 1.0F, moments[2] = { 0.0F };
    double y = 1.0, v = 0.0;

    (void)state;
    for (size_t t = 0; t < COUNT_OF(gradients); t++) {
        step_one(&o, t + 1, 0.01, &x, (float)gradients[t], moments);
        v = 0.9 * v + gradients[t] + 0.1 * y;
        y -= 0.01 * v;
        assert_true(fabs((double)x - y) < 1e-6);
    }
    assert_null(optim_find("lion"));
}

static void test_a_rate_of_nothing_moves_nothing(void **state)
{
    (void)state;
    for (const struct optim_row *r = optimisers; r->name != NULL; r++) {
        const struct optim o = {
            .row = r, .beta1 = 0.9, .beta2 = 0.99, .eps = 1e-8, .decay = 0.1
        };
        float x = 0.75F, moments[2] = { 0.0F };

        step_one(&o, 1, 0.0, &x, 3.0F, moments);
        assert_true(x == 0.75F);
        assert_true(moments[0] > 0.0F);
    }
}

/* A pruned weight: its gradient is masked, so it never moves. */
static void test_zero_stays_zero(void **state)
{
    (void)state;
    for (const struct optim_row *r = optimisers; r->name != NULL; r++) {
        const struct optim o = {
            .row = r, .beta1 = 0.9, .beta2 = 0.99, .eps = 1e-8, .decay = 0.1
        };
        float x = 0.0F, moments[2] = { 0.0F };
        const float zero = 0.0F;

        for (uint64_t step = 1; step < 5; step++)
            step_one(&o, step, 0.1, &x, 0.0F, moments);
        assert_memory_equal(&x, &zero, sizeof(x));
    }
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
        cmocka_unit_test(test_sgd_follows_the_formula),
        cmocka_unit_test(test_a_rate_of_nothing_moves_nothing),
        cmocka_unit_test(test_zero_stays_zero),
        cmocka_unit_test(test_clip_shortens_only_what_is_too_long),
        cmocka_unit_test(test_schedules_have_their_shapes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
