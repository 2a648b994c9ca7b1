#include "support/test.h"

#include <math.h>
#include <string.h>

#include "support/one_tensor.h"

#define METHOD(name)           "\"merge_method\": \"" name "\""
#define VARIANT(name, variant) METHOD(name) ", \"variant\": \"" variant "\""

static void assert_near(const float *got, const float *want, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!(fabs((double)got[i] - (double)want[i]) < 1e-6))
            fail_msg("element %zu is %.9g, not %.9g", i, (double)got[i],
                     (double)want[i]);
    }
}

/* Merge and compare. */
static void expect(const struct one_tensor *t, const char *method,
                   const char *parameters, const float *want)
{
    float got[64];
    size_t count = 1;

    for (uint32_t i = 0; i < t->rank; i++)
        count *= t->shape[i];
    assert_ok(one_tensor_merge(t, method, parameters, got));
    assert_near(got, want, count);
}

#define VECTOR(count_)          .rank = 1, .shape = { (count_) }
#define MATRIX(rows_, columns_) .rank = 2, .shape = { (rows_), (columns_) }

/* ---- slerp, nuslerp, nearswap ------------------------------------------ */

static void test_slerp_follows_the_arc(void **state)
{
    const float a[] = { 1, 0 }, c[] = { 0, 1 };
    const struct one_tensor t = { VECTOR(2), .base = a, .tasks = { c },
                                  .base_first = true };

    (void)state;
    expect(&t, METHOD("slerp"), "\"t\": 0.5",
           (float[]){ 0.70710678F, 0.70710678F });
    expect(&t, METHOD("slerp"), "\"t\": 0.0", a);
    expect(&t, METHOD("slerp"), "\"t\": 1.0", c);
}

static void test_slerp_is_straight_where_there_is_no_arc(void **state)
{
    const float a[] = { 1, 0 }, opposite[] = { -1, 0 }, same[] = { 3, 0 };
    struct one_tensor t = { VECTOR(2), .base = a, .tasks = { opposite },
                            .base_first = true };

    (void)state;
    expect(&t, METHOD("slerp"), "\"t\": 0.25", (float[]){ 0.5F, 0 });
    t.tasks[0] = same;
    expect(&t, METHOD("slerp"), "\"t\": 0.25", (float[]){ 1.5F, 0 });
    t.rank = 0;
    expect(&t, METHOD("slerp"), "\"t\": 0.25", (float[]){ 1.5F });
}

static void test_slerp_takes_a_zero_vector_for_a_right_angle(void **state)
{
    const float zero[] = { 0, 0 }, c[] = { 0, 2 };
    const struct one_tensor t = { VECTOR(2), .base = zero, .tasks = { c },
                                  .base_first = true };
    const struct one_tensor both = { VECTOR(2), .base = zero, .tasks = { zero },
                                     .base_first = true };

    (void)state;
    expect(&t, METHOD("slerp"), "\"t\": 0.5", (float[]){ 0, 1.41421356F });
    expect(&both, METHOD("slerp"), "\"t\": 0.5", zero);
}

static void test_nuslerp_goes_by_tensors_rows_or_columns(void **state)
{
    const float a[] = { 1, 0, 0, 1 }, c[] = { 0, 1, 0, 1 };
    const struct one_tensor t = { MATRIX(2, 2), .tasks = { a, c } };
    const float half = 0.70710678F;

    (void)state;
    /* 60 degrees as a whole */
    expect(&t, METHOD("nuslerp"), "\"weight\": 1.0",
           (float[]){ 0.57735027F, 0.57735027F, 0, 1.15470054F });
    expect(&t, METHOD("nuslerp"), "\"weight\": 1.0, \"nuslerp_flatten\": false",
           (float[]){ half, half, 0, 1 });
    /* columns (1, 0) to (0, 0) and (0, 1) to (1, 1) */
    expect(&t, METHOD("nuslerp"),
           "\"weight\": 1.0, \"nuslerp_flatten\": false, "
           "\"nuslerp_row_wise\": true",
           (float[]){ half, 0.54119610F, 0, 1.08239220F });
}

static void test_nuslerp_of_task_vectors_starts_at_the_base(void **state)
{
    const float base[] = { 5, 5 }, a[] = { 6, 5 }, c[] = { 5, 6 };
    const struct one_tensor t = { VECTOR(2), .base = base, .tasks = { a, c } };
    const float want[] = { 5.70710678F, 5.70710678F };

    (void)state;
    expect(&t, METHOD("nuslerp"), "\"weight\": 0.3", want);
    /* A vector is one row, and one column. */
    expect(&t, METHOD("nuslerp"), "\"weight\": 1, \"nuslerp_flatten\": false",
           want);
    expect(&t, METHOD("nuslerp"),
           "\"weight\": 1, \"nuslerp_flatten\": false, "
           "\"nuslerp_row_wise\": true",
           want);
}

static void test_nuslerp_weights_that_add_up_to_nothing_are_halves(void **state)
{
    const float a[] = { 1, 0 }, c[] = { 0, 1 };
    const struct one_tensor t = { VECTOR(2), .tasks = { a, c } };

    (void)state;
    expect(&t, METHOD("nuslerp"), "\"weight\": 0.0",
           (float[]){ 0.70710678F, 0.70710678F });
}

static void test_nuslerp_of_rows_and_columns_of_one(void **state)
{
    const float a[] = { 1, 0, -2 }, c[] = { 3, 4, 2 };
    const struct one_tensor tall = { MATRIX(3, 1), .tasks = { a, c } };
    const struct one_tensor wide = { MATRIX(1, 3), .tasks = { a, c } };
    /* Same sign and opposite: straight. From 0: a right angle. */
    const float want[] = { 2, 2.82842712F, 0 };

    (void)state;
    expect(&tall, METHOD("nuslerp"),
           "\"weight\": 1.0, \"nuslerp_flatten\": false", want);
    expect(&wide, METHOD("nuslerp"),
           "\"weight\": 1.0, \"nuslerp_flatten\": false, "
           "\"nuslerp_row_wise\": true",
           want);
}

static void test_nearswap_takes_over_what_is_near(void **state)
{
    const float a[] = { 1, 1, 1, 1 }, c[] = { 1, 1.25F, 2, 5 };
    const struct one_tensor t = { VECTOR(4), .base = a, .tasks = { c },
                                  .base_first = true };

    (void)state;
    expect(&t, METHOD("nearswap"), "\"t\": 0.5",
           (float[]){ 1, 1.25F, 1.5F, 1.5F });
    expect(&t, METHOD("nearswap"), "\"t\": 0.0", a);
}

/* ---- della ------------------------------------------------------------- */

static void test_della_keeps_by_rank_and_equal_ones_by_index(void **state)
{
    const float base[8] = { 0 };
    const float task[] = { 4, -1, 3, 2, 1, 1, -1, 1 };
    const float draws[] = { 0.5F, 0.5F, 0.5F, 0.5F, 0.5F, 0.5F, 0.5F, 0.5F };
    const struct one_tensor t = { MATRIX(2, 4), .base = base, .tasks = { task },
                                  .draws = { draws } };

    (void)state;
    /* Probabilities 0.3, 0.433, 0.567, 0.7 by rank. */
    expect(&t, VARIANT("della_linear", "mergekit"),
           "\"weight\": 1, \"density\": 0.5, \"epsilon\": 0.2, "
           "\"rescale\": false",
           (float[]){ 4, 0, 3, 0, 0, 0, -1, 1 });
    /* 14 before, 9 after */
    expect(&t, VARIANT("della_linear", "mergekit"),
           "\"weight\": 1, \"density\": 0.5, \"epsilon\": 0.2",
           (float[]){ 4 * 14 / 9.0F, 0, 3 * 14 / 9.0F, 0, 0, 0, -14 / 9.0F,
                      14 / 9.0F });
    expect(&t, VARIANT("della_linear", "authors"),
           "\"weight\": 1, \"density\": 0.5, \"epsilon\": 0.2",
           (float[]){ 4 / 0.7F, 0, 3 / 0.56666667F, 0, 0, 0, -1 / 0.56666667F,
                      1 / 0.7F });
}

static void test_della_row_of_one_is_kept_with_the_density(void **state)
{
    const float base[2] = { 0 };
    const float task[] = { 4, -1 };
    const float draws[] = { 0.45F, 0.55F };
    const struct one_tensor t = { MATRIX(2, 1), .base = base, .tasks = { task },
                                  .draws = { draws } };

    (void)state;
    expect(&t, VARIANT("della", "authors"),
           "\"weight\": 1, \"density\": 0.5, \"epsilon\": 0.2",
           (float[]){ 8, 0 });
}

static void test_della_at_the_ends_of_density(void **state)
{
    const float base[] = { 1, 1, 1 }, task[] = { 2, 3, 4 };
    const struct one_tensor t = { VECTOR(3), .base = base, .tasks = { task } };

    (void)state;
    expect(&t, METHOD("della"), "\"weight\": 1, \"density\": 1.0", task);
    expect(&t, METHOD("della"), "\"weight\": 1, \"density\": 0.0", base);
}

static void test_della_probabilities_must_stay_inside(void **state)
{
    static const char *const outside[] = {
        "\"weight\": 1, \"density\": 0.9",
        "\"weight\": 1, \"density\": 0.1",
        "\"weight\": 1, \"density\": 0.5, \"epsilon\": 0.5",
    };
    const float base[] = { 1, 1, 1 }, task[] = { 2, 3, 4 };
    const struct one_tensor t = { VECTOR(3), .base = base, .tasks = { task } };
    float out[3];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(outside); i++)
        assert_fails(one_tensor_merge(&t, METHOD("della"), outside[i], out),
                     STATUS_INVALID, "epsilon");
}

static void test_della_of_nothing_is_the_base(void **state)
{
    const float base[] = { 1, 2, 3 };
    const struct one_tensor t = { VECTOR(3), .base = base, .tasks = { base } };

    (void)state;
    expect(&t, METHOD("della"), "\"weight\": 1, \"density\": 0.5", base);
    expect(&t, VARIANT("della_linear", "authors"),
           "\"weight\": 1, \"density\": 0.5", base);
}

/* ---- breadcrumbs ------------------------------------------------------- */

static void test_breadcrumbs_lose_both_ends(void **state)
{
    const float base[10] = { 0 };
    const float task[] = { 9, -1, 8, 2, -7, 3, 6, 4, -5, 10 };
    const struct one_tensor t = { VECTOR(10), .base = base, .tasks = { task } };

    (void)state;
    expect(&t, METHOD("breadcrumbs"),
           "\"weight\": 1, \"density\": 0.3, \"gamma\": 0.2",
           (float[]){ 0, 0, 8, 0, -7, 0, 6, 0, 0, 0 });
    /* Nothing to remove at the top, where the reference keeps nothing. */
    expect(&t, METHOD("breadcrumbs"),
           "\"weight\": 1, \"density\": 0.3, \"gamma\": 0.05",
           (float[]){ 9, 0, 8, 0, 0, 0, 0, 0, 0, 10 });
    /* More than the density leaves. */
    expect(&t, METHOD("breadcrumbs"),
           "\"weight\": 1, \"density\": 0.9, \"gamma\": 0.5",
           (float[]){ 9, -1, 8, 2, -7, 3, 6, 4, -5, 0 });
    expect(&t, METHOD("breadcrumbs_ties"),
           "\"weight\": 1, \"density\": 1.0, \"gamma\": 0.5", task);
}

static void test_breadcrumbs_rank_equal_ones_by_index(void **state)
{
    const float base[6] = { 0 };
    const float task[] = { 1, -1, 1, 1, -1, 1 };
    const struct one_tensor t = { VECTOR(6), .base = base, .tasks = { task } };
    const char *parameters = "\"weight\": 1, \"density\": 0.5, \"gamma\": 0.2";
    const float want[] = { 0, 0, 1, 1, -1, 0 };

    (void)state;
    expect(&t, METHOD("breadcrumbs"), parameters, want);
    expect(&t, VARIANT("breadcrumbs", "authors"), parameters, want);
}

static void test_breadcrumbs_of_one_element_keep_it(void **state)
{
    const float base[] = { 1, 1, 1 }, task[] = { 2, 3, 4 };
    const struct one_tensor scalar = { .base = base, .tasks = { task } };
    const struct one_tensor column = { MATRIX(3, 1), .base = base,
                                       .tasks = { task } };
    const char *parameters = "\"weight\": 1, \"density\": 0.3, \"gamma\": 0.1";

    (void)state;
    expect(&scalar, METHOD("breadcrumbs"), parameters, task);
    expect(&scalar, VARIANT("breadcrumbs", "authors"), parameters, task);
    expect(&column, VARIANT("breadcrumbs", "authors"), parameters, task);
}

static void test_authors_breadcrumbs_go_by_rows_in_either_order(void **state)
{
    const float base[10] = { 0 };
    const float task[] = { 1, 2, 3, 4, 5, 50, 40, 30, 20, 10 };
    const struct one_tensor t = { MATRIX(2, 5), .base = base,
                                  .tasks = { task } };

    (void)state;
    expect(&t, VARIANT("breadcrumbs", "authors"),
           "\"weight\": 1, \"density\": 0.4, \"gamma\": 0.2",
           (float[]){ 0, 0, 3, 4, 0, 0, 40, 30, 0, 0 });
    expect(&t, VARIANT("breadcrumbs", "authors"),
           "\"weight\": 1, \"density\": 0.4, \"gamma\": 0.2, "
           "\"remove_first\": false",
           (float[]){ 0, 0, 0, 4, 0, 0, 40, 0, 0, 0 });
    /* All are removed. */
    expect(&t, VARIANT("breadcrumbs", "authors"),
           "\"weight\": 1, \"density\": 0.4, \"gamma\": 1.0", base);
}

/* ---- model_stock ------------------------------------------------------- */

static void test_stock_goes_as_far_as_the_models_agree(void **state)
{
    const float base[] = { 1, 1 };
    const float right[] = { 3, 1 }, up[] = { 1, 3 }, left[] = { -1, 1 };
    struct one_tensor t = { VECTOR(2), .base = base,
                            .tasks = { right, right } };

    (void)state;
    expect(&t, METHOD("model_stock"), "", right);
    t.tasks[1] = up;
    expect(&t, METHOD("model_stock"), "", base);
    t.tasks[1] = base; /* no vector, no angle */
    expect(&t, METHOD("model_stock"), "", base);
    t.tasks[1] = left;
    expect(&t, METHOD("model_stock"), "", base);
}

static void test_stock_does_not_mind_short_vectors(void **state)
{
    const float base[] = { 0, 0 };
    const float a[] = { 2e-20F, 0 };
    const struct one_tensor t = { VECTOR(2), .base = base, .tasks = { a, a } };
    float out[2];

    (void)state;
    assert_ok(one_tensor_merge(&t, METHOD("model_stock"), "", out));
    assert_true(fabs((double)out[0] - 2e-20) < 1e-26);
}

static void test_stock_by_rows(void **state)
{
    const float base[4] = { 0 };
    const float a[] = { 1, 0, 2, 2 }, c[] = { 0, 1, 2, 2 };
    const struct one_tensor rows = { MATRIX(2, 2), .base = base,
                                     .tasks = { a, c } };
    const struct one_tensor ones = { MATRIX(4, 1), .base = base,
                                     .tasks = { a, c } };
    const float want[] = { 0, 0, 2, 2 };

    (void)state;
    expect(&rows, METHOD("model_stock"), "\"filter_wise\": true", want);
    expect(&ones, METHOD("model_stock"), "\"filter_wise\": true", want);
}

static void test_stock_needs_two_models(void **state)
{
    const float base[] = { 1, 1 }, task[] = { 3, 1 };
    const struct one_tensor t = { VECTOR(2), .base = base, .tasks = { task } };
    float out[2];

    (void)state;
    assert_fails(one_tensor_merge(&t, METHOD("model_stock"), "", out),
                 STATUS_INVALID, "model_stock");
}

/* ---- sce --------------------------------------------------------------- */

static void test_sce_weighs_by_squares_however_small(void **state)
{
    const float base[] = { 0, 0 };
    const float a[] = { 1e-4F, 1e-4F }, c[] = { 4e-4F, 4e-4F };
    const struct one_tensor t = { VECTOR(2), .base = base, .tasks = { a, c } };
    float out[2];

    (void)state;
    assert_ok(one_tensor_merge(&t, METHOD("sce"), "", out));
    /* 1 and 16 of 17 */
    assert_true(fabs((double)out[0] - (1e-4 + 16.0 * 4e-4) / 17.0) < 1e-10);
}

static void test_sce_selects_what_varies_and_erases_minorities(void **state)
{
    const float base[4] = { 0 };
    const float a[] = { 3, 1, 0, 1 }, c[] = { -1, 1, 2, 0 };
    const struct one_tensor t = { VECTOR(4), .base = base, .tasks = { a, c } };

    (void)state;
    /* Deviations 2, 0, 1, 0.5: two of the three that vary. */
    expect(&t, METHOD("sce"), "\"select_topk\": 0.7", (float[]){ 3, 0, 2, 0 });
    /* At least one. */
    expect(&t, METHOD("sce"), "\"select_topk\": 0.1", (float[]){ 3, 0, 0, 0 });
}

static void test_sce_selects_equal_ones_by_index(void **state)
{
    const float base[4] = { 0 };
    const float a[] = { 1, 1, 1, 1 }, c[] = { 3, 3, 3, 3 };
    const struct one_tensor t = { VECTOR(4), .base = base, .tasks = { a, c } };

    (void)state;
    /* (1 + 3 9) / 10 */
    expect(&t, METHOD("sce"), "\"select_topk\": 0.5",
           (float[]){ 2.8F, 2.8F, 0, 0 });
}

static void test_sce_without_anything_to_select(void **state)
{
    const float base[] = { 1, 1 }, task[] = { 2, 3 };
    struct one_tensor t = { VECTOR(2), .base = base, .tasks = { task, task } };

    (void)state;
    expect(&t, METHOD("sce"), "\"select_topk\": 0.5", base);
    t.rank = 0; /* one element is all there is */
    expect(&t, METHOD("sce"), "\"select_topk\": 0.5", task);
    t.tasks[0] = t.tasks[1] = base;
    expect(&t, METHOD("sce"), "", base);
}

static void test_passthrough_scales(void **state)
{
    const float a[] = { 1, -2 };
    const struct one_tensor t = { VECTOR(2), .tasks = { a } };

    (void)state;
    expect(&t, METHOD("passthrough"), "\"scale\": 0.5", (float[]){ 0.5F, -1 });
    expect(&t, METHOD("passthrough"), "", a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slerp_follows_the_arc),
        cmocka_unit_test(test_slerp_is_straight_where_there_is_no_arc),
        cmocka_unit_test(test_slerp_takes_a_zero_vector_for_a_right_angle),
        cmocka_unit_test(test_nuslerp_goes_by_tensors_rows_or_columns),
        cmocka_unit_test(test_nuslerp_of_task_vectors_starts_at_the_base),
        cmocka_unit_test(
            test_nuslerp_weights_that_add_up_to_nothing_are_halves),
        cmocka_unit_test(test_nuslerp_of_rows_and_columns_of_one),
        cmocka_unit_test(test_nearswap_takes_over_what_is_near),
        cmocka_unit_test(test_della_keeps_by_rank_and_equal_ones_by_index),
        cmocka_unit_test(test_della_row_of_one_is_kept_with_the_density),
        cmocka_unit_test(test_della_at_the_ends_of_density),
        cmocka_unit_test(test_della_probabilities_must_stay_inside),
        cmocka_unit_test(test_della_of_nothing_is_the_base),
        cmocka_unit_test(test_breadcrumbs_lose_both_ends),
        cmocka_unit_test(test_breadcrumbs_rank_equal_ones_by_index),
        cmocka_unit_test(test_breadcrumbs_of_one_element_keep_it),
        cmocka_unit_test(test_authors_breadcrumbs_go_by_rows_in_either_order),
        cmocka_unit_test(test_stock_goes_as_far_as_the_models_agree),
        cmocka_unit_test(test_stock_does_not_mind_short_vectors),
        cmocka_unit_test(test_stock_by_rows),
        cmocka_unit_test(test_stock_needs_two_models),
        cmocka_unit_test(test_sce_weighs_by_squares_however_small),
        cmocka_unit_test(test_sce_selects_what_varies_and_erases_minorities),
        cmocka_unit_test(test_sce_selects_equal_ones_by_index),
        cmocka_unit_test(test_sce_without_anything_to_select),
        cmocka_unit_test(test_passthrough_scales),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
