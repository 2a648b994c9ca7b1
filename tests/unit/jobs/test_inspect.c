/* The counts of jobs/inspect.c beside plain loops in double. */
#include "support/test.h"

#include "common/memory.h"
#include "jobs/inspect.h"
#include "support/small_model.h"

#include <math.h>
#include <stdlib.h>

static const struct small_row rows[] = {
    { "lm_head.weight", DTYPE_F32, 2, { 3, 7 } },
    { "model.layers.0.mlp.weight", DTYPE_F32, 2, { 90, 100 } },
    { "model.layers.1.mlp.weight", DTYPE_BF16, 2, { 30, 40 } },
    { "model.layers.10.mlp.weight", DTYPE_F16, 1, { 4097 } },
    { "model.steps", DTYPE_I64, 1, { 5 } },
    { "one", DTYPE_F32, 0, { 0 } },
    { NULL, DTYPE_F32, 0, { 0 } },
};

enum { TENSORS = 6, MODELS = 3 };

static double value(const struct tensor *t, uint64_t i)
{
    float x;

    dtype_to_f32(t->dtype, (const char *)t->data + i * dtype_size(t->dtype), &x,
                 1);
    return (double)x;
}

/* Differences are float32. */
static double delta(const struct tensor *task, const struct tensor *base,
                    uint64_t i)
{
    return (double)((float)value(task, i) - (float)value(base, i));
}

static void assert_near(double a, double b)
{
    if (!(fabs(a - b) <= 1e-12 * (1.0 + fabs(b))))
        fail_msg("%.17g is not %.17g", a, b);
}

struct case_ {
    struct small_model base, tasks[MODELS];
    const struct tensor_set *sets[MODELS];
    struct inspect_counts base_counts[TENSORS];
    struct inspect_counts counts[MODELS][TENSORS];
    const struct inspect_counts *lists[MODELS];
    struct inspect_runtime runtime;
};

static int setup(void **state)
{
    struct case_ *c = xnew(struct case_);

    c->base = small_model_new(rows, 1, 1.0);
    for (uint32_t m = 0; m < MODELS; m++) {
        c->tasks[m] = small_model_near(&c->base, m + 2, 0.01 * (m + 1));
        c->sets[m] = &c->tasks[m].set;
        c->lists[m] = c->counts[m];
    }
    *state = c;
    return 0;
}

static int teardown(void **state)
{
    struct case_ *c = *state;

    small_model_release(&c->base);
    for (size_t m = 0; m < MODELS; m++)
        small_model_release(&c->tasks[m]);
    free(c);
    return 0;
}

static void look(struct case_ *c, struct inspect_diff *ret_diff)
{
    assert_ok(inspect_set(&c->base.set, &c->runtime, c->base_counts));
    for (size_t m = 0; m < MODELS; m++)
        assert_ok(inspect_set(c->sets[m], &c->runtime, c->counts[m]));
    assert_ok(inspect_compare(&c->base.set, c->base_counts, c->sets, c->lists,
                              MODELS, &c->runtime, ret_diff));
}

static void test_one_model_is_counted(void **state)
{
    struct case_ *c = *state;

    small_model_set(&c->base, "model.layers.0.mlp.weight", 5000, 0.0);
    assert_ok(inspect_set(&c->base.set, &c->runtime, c->base_counts));
    for (size_t t = 0; t < TENSORS; t++) {
        const struct tensor *tensor = &c->base.set.items[t];
        const struct inspect_counts *got = &c->base_counts[t];
        double least = (double)INFINITY, most = -least, squares = 0.0;
        uint64_t zeros = 0;

        assert_int_equal(got->elements, tensor->count);
        assert_int_equal(got->not_finite, 0);
        if (!dtype_is_float(tensor->dtype)) {
            assert_int_equal(got->zeros, 0); /* bytes that count up */
            assert_true(got->least > got->most);
            continue;
        }
        for (uint64_t i = 0; i < tensor->count; i++) {
            double x = value(tensor, i);

            zeros += x == 0.0;
            least = fmin(least, x);
            most = fmax(most, x);
            squares += x * x;
        }
        assert_int_equal(got->zeros, zeros);
        assert_true(got->least == least && got->most == most);
        assert_near(got->squares, squares);
    }
    assert_true(c->base_counts[1].zeros >= 1);
}

static void test_what_is_not_finite_is_found(void **state)
{
    struct case_ *c = *state;
    const struct inspect_counts *got = &c->base_counts[1];

    small_model_set(&c->base, "model.layers.0.mlp.weight", 8191,
                    (double)INFINITY);
    small_model_set(&c->base, "model.layers.0.mlp.weight", 4097, (double)NAN);
    assert_ok(inspect_set(&c->base.set, &c->runtime, c->base_counts));
    assert_int_equal(got->not_finite, 2);
    assert_int_equal(got->first_bad, 4097);
    assert_true(isfinite(got->squares) && got->most <= 1.0);
    assert_int_equal(got->zeros, 0);
}

static void check_delta(const struct case_ *c, const struct inspect_diff *d,
                        size_t t, size_t m)
{
    const struct tensor *base = &c->base.set.items[t];
    const struct tensor *task = &c->tasks[m].set.items[t];
    const struct inspect_delta *got = &d->deltas[t * MODELS + m];
    double squares = 0.0;
    uint64_t zeros = 0, large = 0;

    if (!dtype_is_float(base->dtype)) {
        assert_int_equal(got->elements, 0);
        assert_int_equal(d->matches[t * MODELS + m], INSPECT_NO_FLOAT);
        return;
    }
    for (uint64_t i = 0; i < base->count; i++) {
        double x = delta(task, base, i);

        squares += x * x;
        zeros += x == 0.0;
        large += fabs(x) > (double)INSPECT_LARGE;
    }
    assert_int_equal(d->matches[t * MODELS + m], INSPECT_COMPARED);
    assert_int_equal(got->elements, base->count);
    assert_int_equal(got->zeros, zeros);
    assert_int_equal(got->large, large);
    assert_near(got->squares, squares);
}

static void check_crowd(const struct case_ *c, const struct inspect_diff *d,
                        size_t t)
{
    const struct tensor *base = &c->base.set.items[t];
    uint64_t moved = 0, conflicts = 0;

    for (uint64_t i = 0; dtype_is_float(base->dtype) && i < base->count; i++) {
        int up = 0, down = 0;

        for (size_t m = 0; m < MODELS; m++) {
            up += delta(&c->tasks[m].set.items[t], base, i) > 0.0;
            down += delta(&c->tasks[m].set.items[t], base, i) < 0.0;
        }
        moved += up + down > 1;
        conflicts += up > 0 && down > 0;
    }
    assert_int_equal(d->crowds[t].moved, moved);
    assert_int_equal(d->crowds[t].conflicts, conflicts);
}

static void test_task_vectors_are_counted(void **state)
{
    struct case_ *c = *state;
    struct inspect_diff d;

    look(c, &d);
    for (size_t t = 0; t < TENSORS; t++) {
        for (size_t m = 0; m < MODELS; m++)
            check_delta(c, &d, t, m);
        check_crowd(c, &d, t);
    }
    assert_true(d.crowds[1].conflicts > 1000);
    assert_true(d.deltas[2 * MODELS].zeros > 0); /* bf16 swallows some */
    inspect_diff_release(&d);
}

static void test_cosines_are_those_of_long_vectors(void **state)
{
    struct case_ *c = *state;
    struct inspect_diff d;

    look(c, &d);
    for (size_t i = 0; i < MODELS; i++) {
        for (size_t j = 0; j < MODELS; j++) {
            double a = 0.0, b = 0.0, dot = 0.0;

            for (size_t t = 0; t < TENSORS; t++) {
                const struct tensor *base = &c->base.set.items[t];

                for (uint64_t k = 0;
                     dtype_is_float(base->dtype) && k < base->count; k++) {
                    double x = delta(&c->tasks[i].set.items[t], base, k);
                    double y = delta(&c->tasks[j].set.items[t], base, k);

                    a += x * x;
                    b += y * y;
                    dot += x * y;
                }
            }
            assert_near(inspect_cosine(&d, i, j), dot / sqrt(a) / sqrt(b));
        }
    }
    assert_true(inspect_cosine(&d, 1, 1) == 1.0);
    inspect_diff_release(&d);
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

static void test_quantiles_are_elements_of_the_sorted_row(void **state)
{
    struct case_ *c = *state;
    struct inspect_diff d;

    look(c, &d);
    for (size_t m = 0; m < MODELS; m++) {
        AUTO(free_pointer) double *all = xcalloc(100000, sizeof *all);
        size_t count = 0;

        for (size_t t = 0; t < TENSORS; t++) {
            const struct tensor *base = &c->base.set.items[t];

            for (uint64_t i = 0; dtype_is_float(base->dtype) && i < base->count;
                 i++)
                all[count++] = fabs(delta(&c->tasks[m].set.items[t], base, i));
        }
        qsort(all, count, sizeof *all, by_size);
        assert_true(d.quantiles[m][0] == all[(size_t)((double)count * 0.5)]);
        assert_true(d.quantiles[m][2] == all[(size_t)((double)count * 0.99)]);
        assert_true(d.quantiles[m][4] == all[count - 1]);
    }
    inspect_diff_release(&d);
}

static void test_threads_change_no_bit(void **state)
{
    struct case_ *c = *state;
    struct inspect_diff one, many;

    look(c, &one);
    c->runtime.threads = 3;
    look(c, &many);
    assert_memory_equal(one.deltas, many.deltas,
                        sizeof *one.deltas * TENSORS * MODELS);
    assert_memory_equal(one.crowds, many.crowds, sizeof *one.crowds * TENSORS);
    assert_memory_equal(one.dots, many.dots, sizeof one.dots);
    assert_memory_equal(one.quantiles, many.quantiles, sizeof one.quantiles);
    inspect_diff_release(&one);
    inspect_diff_release(&many);
}

static void test_what_does_not_match_is_left_out(void **state)
{
    static const struct small_row others[] = {
        { "lm_head.weight", DTYPE_F32, 2, { 4, 7 } },
        { "model.layers.0.mlp.weight", DTYPE_F32, 2, { 90, 100 } },
        { "model.layers.1.mlp.weight", DTYPE_I32, 2, { 30, 40 } },
        { "one", DTYPE_F32, 0, { 0 } },
        { NULL, DTYPE_F32, 0, { 0 } },
    };
    struct case_ *c = *state;
    struct small_model other = small_model_new(others, 9, 1.0);
    struct inspect_diff d;

    small_model_set(&other, "one", 0, (double)NAN);
    c->sets[1] = &other.set;
    look(c, &d);
    assert_int_equal(d.matches[0 * MODELS + 1], INSPECT_SHAPE);
    assert_int_equal(d.matches[1 * MODELS + 1], INSPECT_COMPARED);
    assert_int_equal(d.matches[2 * MODELS + 1], INSPECT_NO_FLOAT);
    assert_int_equal(d.matches[3 * MODELS + 1], INSPECT_MISSING);
    assert_int_equal(d.matches[5 * MODELS + 1], INSPECT_NOT_FINITE);
    assert_int_equal(d.deltas[0 * MODELS + 1].elements, 0);
    assert_int_equal(d.deltas[1 * MODELS + 1].elements, 9000);
    assert_int_equal(d.deltas[0 * MODELS + 0].elements, 21);
    inspect_diff_release(&d);
    small_model_release(&other);
}

static void test_a_task_equal_to_the_base_has_no_angle(void **state)
{
    struct case_ *c = *state;
    struct inspect_diff d;

    c->sets[2] = &c->base.set;
    look(c, &d);
    assert_true(inspect_cosine(&d, 0, 2) == 0.0);
    assert_true(inspect_cosine(&d, 2, 2) == 0.0);
    assert_true(d.quantiles[2][4] == 0.0);
    inspect_diff_release(&d);
}

static bool stop(void *self)
{
    (void)self;
    return true;
}

static void test_it_can_be_cancelled(void **state)
{
    struct case_ *c = *state;

    c->runtime.cancelled = stop;
    assert_fails(inspect_set(&c->base.set, &c->runtime, c->base_counts),
                 STATUS_CANCELLED, NULL);
}

static void test_names_say_where_a_tensor_stands(void **state)
{
    static const struct {
        const char *name, *group, *kind;
        int64_t layer;
    } names[] = {
        { "model.layers.7.mlp.up_proj.weight", "model.layers", "mlp.up_proj",
          7 },
        { "h.0.attn.bias", "h", "attn.bias", 0 },
        { "encoder.block.3.layer.0.q.weight", "encoder.block", "layer.0.q", 3 },
        { "lm_head.weight", "lm_head", "", -1 },
        { "norms.3.weight", "norms", "weight", 3 },
        { "a.12", "a.12", "", -1 },
        { "7.weight", "7", "", -1 },
        { ".weight", ".weight", "", -1 },
        { "", "", "", -1 },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        struct inspect_place p = inspect_place(names[i].name);

        assert_string_equal(p.group, names[i].group);
        assert_string_equal(p.kind, names[i].kind);
        assert_int_equal(p.layer, names[i].layer);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_one_model_is_counted),
        TEST(test_what_is_not_finite_is_found),
        TEST(test_task_vectors_are_counted),
        TEST(test_cosines_are_those_of_long_vectors),
        TEST(test_quantiles_are_elements_of_the_sorted_row),
        TEST(test_threads_change_no_bit),
        TEST(test_what_does_not_match_is_left_out),
        TEST(test_a_task_equal_to_the_base_has_no_angle),
        TEST(test_it_can_be_cancelled),
        cmocka_unit_test(test_names_say_where_a_tensor_stands),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
