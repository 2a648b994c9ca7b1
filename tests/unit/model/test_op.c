/* Everything here runs over the table of operations: a new row is tested
 * without a line written for it, but its naive twin. */
#include "support/test.h"

#include "common/memory.h"
#include "model/op.h"
#include "support/op_reference.h"

#include <math.h>

static const struct op_reference *reference_of(const struct op *op)
{
    for (const struct op_reference *r = op_references; r->op != NULL; r++)
        if (r->op == op)
            return r;
    return NULL;
}

static void test_every_op_has_a_naive_twin_and_agrees_with_it(void **state)
{
    (void)state;
    for (const struct op *const *op = ops; *op != NULL; op++)
        for (int number = 0; number < OP_TRIALS; number++) {
            const struct op_reference *r = reference_of(*op);
            struct op_trial t;
            double *expected;

            if (r == NULL)
                fail_msg("%s has no naive twin", (*op)->name);
            op_trial_init(&t, *op, number);
            expected = xcalloc(t.sizes.out, sizeof(*expected));
            (*op)->forward(&t.call);
            r->forward(&t.call, expected);
            for (size_t i = 0; i < t.sizes.out; i++)
                if (!(fabs((double)t.call.out[i] - expected[i]) <=
                      2e-5 * (1.0 + fabs(expected[i]))))
                    fail_msg("%s, trial %d: out[%zu] is %.9g, not %.9g",
                             (*op)->name, number, i, (double)t.call.out[i],
                             expected[i]);
            free(expected);
            op_trial_release(&t);
        }
}

/* sum_i out_i d_out_i, by the twin: float64 keeps the difference exact. */
static double weighed(const struct op_reference *r, const struct op_trial *t,
                      double *scratch)
{
    double sum = 0.0;

    r->forward(&t->call, scratch);
    for (size_t i = 0; i < t->sizes.out; i++)
        sum += scratch[i] * (double)t->d_out[i];
    return sum;
}

static double slope(const struct op_reference *r, struct op_trial *t, float *x,
                    double *scratch)
{
    float saved = *x, high = saved + 1e-3F, low = saved - 1e-3F;
    double up, down;

    *x = high;
    up = weighed(r, t, scratch);
    *x = low;
    down = weighed(r, t, scratch);
    *x = saved;
    return (up - down) / ((double)high - (double)low);
}

static void check_gradient(const struct op *op, int number)
{
    const struct op_reference *r = reference_of(op);
    struct op_trial t;
    double *scratch;

    op_trial_init(&t, op, number);
    scratch = xcalloc(t.sizes.out, sizeof(*scratch));
    for (size_t k = 0; k < OP_INPUTS; k++) {
        t.call.d_in[k] = op_trial_slopes(&t, k) ? t.d_in[k] : NULL;
        t.call.fresh[k] = true;
    }
    op->forward(&t.call);
    op->backward(&t.call);
    for (size_t k = 0; k < OP_INPUTS; k++)
        /* A prime step looks everywhere in reasonable time. */
        for (size_t i = 0;
             t.call.d_in[k] != NULL && i<t.sizes.in[k]; i += t.sizes.in[k]> 200
                 ? 13
                 : 1) {
            double wanted = slope(r, &t, &t.in[k][i], scratch);

            if (!(fabs((double)t.d_in[k][i] - wanted) <=
                  1e-4 * (1.0 + fabs(wanted))))
                fail_msg("%s, trial %d: gradient of in[%zu][%zu] is %.9g, "
                         "not %.9g",
                         op->name, number, k, i, (double)t.d_in[k][i], wanted);
        }
    free(scratch);
    op_trial_release(&t);
}

static void test_every_op_has_the_gradient_it_claims(void **state)
{
    (void)state;
    for (const struct op *const *op = ops; *op != NULL; op++)
        for (int number = 0; number < OP_TRIALS; number++)
            check_gradient(*op, number);
}

/* What backward() gives when there is something already must be the sum. */
static void check_adding(const struct op *op, int number)
{
    struct op_trial fresh, kept;

    op_trial_init(&fresh, op, number);
    op_trial_init(&kept, op, number);
    for (size_t k = 0; k < OP_INPUTS; k++) {
        fresh.call.d_in[k] = op_trial_slopes(&fresh, k) ? fresh.d_in[k] : NULL;
        kept.call.d_in[k] = op_trial_slopes(&kept, k) ? kept.d_in[k] : NULL;
        fresh.call.fresh[k] = true;
        for (size_t i = 0; i < kept.sizes.in[k]; i++)
            kept.d_in[k][i] = 3.0F;
    }
    op->forward(&fresh.call);
    op->backward(&fresh.call);
    op->forward(&kept.call);
    op->backward(&kept.call);
    for (size_t k = 0; k < OP_INPUTS; k++)
        for (size_t i = 0; kept.call.d_in[k] != NULL && i < kept.sizes.in[k];
             i++)
            if (!(fabsf(kept.d_in[k][i] - 3.0F - fresh.d_in[k][i]) <=
                  1e-5F * (4.0F + fabsf(fresh.d_in[k][i]))))
                fail_msg("%s, trial %d: in[%zu][%zu] was not added to",
                         op->name, number, k, i);
    op_trial_release(&fresh);
    op_trial_release(&kept);
}

static void test_every_backward_adds_or_writes_as_it_is_told(void **state)
{
    (void)state;
    for (const struct op *const *op = ops; *op != NULL; op++)
        for (int number = 0; number < OP_TRIALS; number++)
            check_adding(*op, number);
}

static void test_gradients_that_nobody_wants_are_left_out(void **state)
{
    (void)state;
    for (const struct op *const *op = ops; *op != NULL; op++) {
        struct op_trial t;

        op_trial_init(&t, *op, 1);
        (*op)->forward(&t.call);
        (*op)->backward(&t.call); /* all d_in are NULL */
        op_trial_release(&t);
    }
}

static void test_scratch_without_backward_gives_the_same_output(void **state)
{
    (void)state;
    for (const struct op *const *op = ops; *op != NULL; op++) {
        struct op_trial full, lean;
        struct op_sizes sizes = { 0 };

        op_trial_init(&full, *op, 2);
        op_trial_init(&lean, *op, 2);
        lean.call.shape.lean = true;
        (*op)->sizes(&lean.call.shape, &sizes);
        assert_true(sizes.saved <= full.sizes.saved);
        (*op)->forward(&full.call);
        (*op)->forward(&lean.call);
        assert_memory_equal(full.call.out, lean.call.out,
                            sizes.out * sizeof(float));
        op_trial_release(&full);
        op_trial_release(&lean);
    }
}

/* A test of the test: a wrong gradient must not pass. */
static void test_the_check_sees_a_wrong_gradient(void **state)
{
    struct op_trial t;
    double scratch[64];
    double wanted;

    (void)state;
    op_trial_init(&t, &op_swiglu, 0);
    t.call.d_in[0] = t.d_in[0];
    t.call.fresh[0] = true;
    op_swiglu.forward(&t.call);
    op_swiglu.backward(&t.call);
    wanted = slope(reference_of(&op_swiglu), &t, &t.in[0][0], scratch);
    assert_true(fabs((double)t.d_in[0][0] - wanted) < 1e-4);
    assert_false(fabs((double)t.d_in[0][0] * 1.01 - wanted) < 1e-4);
    op_trial_release(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_op_has_a_naive_twin_and_agrees_with_it),
        cmocka_unit_test(test_every_op_has_the_gradient_it_claims),
        cmocka_unit_test(test_every_backward_adds_or_writes_as_it_is_told),
        cmocka_unit_test(test_gradients_that_nobody_wants_are_left_out),
        cmocka_unit_test(test_scratch_without_backward_gives_the_same_output),
        cmocka_unit_test(test_the_check_sees_a_wrong_gradient),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
