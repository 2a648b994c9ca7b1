#include "support/test.h"

#include <math.h>

#include "common/memory.h"
#include "support/merge_case.h"

static int setup(void **state)
{
    return merge_models_set_up(state, merge_model_rows);
}

static float element(const struct merge_output *o, const char *name, uint64_t i)
{
    const struct tensor *t = tensor_find(o->layout, name);
    const char *data;
    float value;

    assert_non_null(t);
    data = o->targets[0][t - o->layout->items];
    dtype_to_f32(t->dtype, data + i * dtype_size(t->dtype), &value, 1);
    return value;
}

#define MODELS                                                    \
    "\"base_model\": \"base\", \"models\": [{\"model\": \"a\"}, " \
    "{\"model\": \"b\"}, {\"model\": \"c\"}], "

static const struct merge_runtime plain = { .threads = 1 };

static struct status merge_text(const struct merge_models *m, const char *text,
                                const struct merge_runtime *runtime,
                                struct merge_output *ret_output)
{
    AUTO(json_release) json_t *body = NULL;

    assert_ok(json_parse(text, strlen(text), "config", &body));
    return merge_output_make(m, &body, 1, runtime, ret_output);
}

static void test_integers_and_empty_tensors_are_copied(void **state)
{
    const struct merge_models *m = *state;
    struct merge_output o;

    assert_ok(merge_text(
        m, "{\"merge_method\": \"average\", " MODELS "\"dtype\": \"bfloat16\"}",
        &plain, &o));
    assert_int_equal(o.layout->count, m->base.set.count);
    assert_memory_equal(o.targets[0][0], m->base.set.items[0].data, 40);
    assert_int_equal(o.layout->items[0].dtype, DTYPE_I64);
    assert_int_equal(o.layout->items[1].dtype, DTYPE_BF16);
    assert_int_equal(o.layout->items[4].count, 0);
    merge_output_release(&o);
}

static void test_task_arithmetic_is_its_formula(void **state)
{
    const struct merge_models *m = *state;
    const char *name = "model.embed_tokens.weight";
    struct merge_output o;

    assert_ok(merge_text(m,
                         "{\"merge_method\": \"task_arithmetic\", " MODELS
                         "\"parameters\": {\"weight\": 0.5, "
                         "\"lambda\": 0.8}}",
                         &plain, &o));
    for (uint64_t i = 0; i < 50200; i += 97) {
        double base = small_model_get(&m->base, name, i);
        double sum = 0.0;

        for (size_t t = 0; t < MERGE_TASKS; t++)
            sum +=
                0.5 *
                (double)(float)(small_model_get(&m->tasks[t], name, i) - base);
        assert_true(element(&o, name, i) == (float)(base + 0.8 * sum));
    }
    merge_output_release(&o);
}

static void test_dare_drops_what_philox_says(void **state)
{
    const struct merge_models *m = *state;
    const char *name = "model.embed_tokens.weight";
    const struct philox_key key = { 5, philox_hash("\"a\""),
                                    philox_hash64(name) };
    struct merge_output o;

    assert_ok(merge_text(
        m,
        "{\"merge_method\": \"dare_linear\", \"base_model\": \"base\", "
        "\"models\": [{\"model\": \"a\"}], \"seed\": 5, "
        "\"parameters\": {\"weight\": 1, \"density\": 0.25}}",
        &plain, &o));
    for (uint64_t i = 0; i < 50200; i += 4) {
        double base = small_model_get(&m->base, name, i);
        double delta =
            (double)(float)(small_model_get(&m->tasks[0], name, i) - base);
        float u[4];

        philox_uniform(key, i, 4, u);
        if ((double)u[0] < 0.75)
            delta = 0.0;
        assert_true(element(&o, name, i) == (float)(base + 4.0 * delta));
    }
    merge_output_release(&o);
}

static void test_a_mask_stays_when_models_change_places(void **state)
{
    const struct merge_models *m = *state;
    struct merge_output a, b;

    assert_ok(merge_text(
        m,
        "{\"merge_method\": \"dare_ties\", \"base_model\": \"base\", "
        "\"models\": [{\"model\": \"a\"}, {\"model\": \"b\"}], \"seed\": 5, "
        "\"parameters\": {\"weight\": 1, \"density\": 0.25}}",
        &plain, &a));
    assert_ok(merge_text(
        m,
        "{\"merge_method\": \"dare_ties\", \"base_model\": \"base\", "
        "\"models\": [{\"model\": \"b\"}, {\"model\": \"a\"}], \"seed\": 5, "
        "\"parameters\": {\"weight\": 1, \"density\": 0.25}}",
        &plain, &b));
    assert_null(merge_output_differs(&a, 0, &b, 0));
    merge_output_release(&a);
    merge_output_release(&b);
}

static int larger_first(const void *a, const void *b)
{
    const float x = fabsf(*(const float *)a);
    const float y = fabsf(*(const float *)b);

    return (x < y) - (x > y);
}

static void test_ties_keeps_so_many_of_the_largest(void **state)
{
    enum { COUNT = 50200, KEPT = 15060 }; /* int(0.3 x COUNT) */
    static float deltas[COUNT];
    const struct merge_models *m = *state;
    const char *name = "model.embed_tokens.weight";
    struct merge_output o;
    float least;

    assert_ok(
        merge_text(m,
                   "{\"merge_method\": \"ties\", \"base_model\": \"base\", "
                   "\"models\": [{\"model\": \"a\"}], "
                   "\"parameters\": {\"weight\": 1, \"density\": 0.3}}",
                   &plain, &o));
    for (uint64_t i = 0; i < COUNT; i++)
        deltas[i] = (float)(small_model_get(&m->tasks[0], name, i) -
                            small_model_get(&m->base, name, i));
    qsort(deltas, COUNT, sizeof *deltas, larger_first);
    least = fabsf(deltas[KEPT - 1]);
    for (uint64_t i = 0; i < COUNT; i++) {
        double base = small_model_get(&m->base, name, i);
        double task = small_model_get(&m->tasks[0], name, i);
        bool kept = fabsf((float)(task - base)) >= least;

        assert_true(element(&o, name, i) == (float)(kept ? task : base));
    }
    merge_output_release(&o);
}

static void test_of_equal_magnitudes_the_first_stay(void **state)
{
    static const struct small_row row[] = {
        { "w", DTYPE_F32, 1, { 40000 } },
        { NULL, DTYPE_F32, 0, { 0 } },
    };
    static const struct merge_runtime threads = { .threads = 3 };
    struct small_model base = small_model_new(row, 1, 0.0);
    struct small_model task = small_model_new(row, 1, 0.0);
    struct merge_models m = { .base = base, .tasks = { task } };
    struct merge_output o;

    (void)state;
    for (uint64_t i = 0; i < 40000; i++)
        small_model_set(&task, "w", i, i % 2 == 0 ? 1.0 : -1.0);
    assert_ok(
        merge_text(&m,
                   "{\"merge_method\": \"ties\", \"base_model\": \"base\", "
                   "\"models\": [{\"model\": \"a\"}], "
                   "\"parameters\": {\"weight\": 1, \"density\": 0.75}}",
                   &threads, &o));
    for (uint64_t i = 0; i < 40000; i++)
        assert_true(fabsf(element(&o, "w", i)) == (i < 30000 ? 1.0F : 0.0F));
    merge_output_release(&o);
    small_model_release(&base);
    small_model_release(&task);
}

static void test_a_density_of_less_than_one_element_keeps_the_largest(
    void **state)
{
    const struct merge_models *m = *state;
    struct merge_output o;

    assert_ok(
        merge_text(m,
                   "{\"merge_method\": \"ties\", \"base_model\": \"base\", "
                   "\"models\": [{\"model\": \"a\"}], "
                   "\"parameters\": {\"weight\": 1, \"density\": 1e-9}}",
                   &plain, &o));
    assert_true(element(&o, "model.one", 0) ==
                (float)small_model_get(&m->tasks[0], "model.one", 0));
    merge_output_release(&o);
}

static void test_values_follow_filters_and_depth(void **state)
{
    const struct merge_models *m = *state;
    struct merge_output o;

    assert_ok(merge_text(
        m,
        "{\"merge_method\": \"task_arithmetic\", \"base_model\": \"base\", "
        "\"models\": [{\"model\": \"a\", \"parameters\": {\"weight\": "
        "[{\"filter\": \"layers\", \"value\": [0, 1]}, {\"value\": 0}]}}]}",
        &plain, &o));
    assert_true(element(&o, "model.layers.0.w", 3) ==
                (float)small_model_get(&m->base, "model.layers.0.w", 3));
    assert_true(element(&o, "model.layers.1.w", 3) ==
                (float)small_model_get(&m->tasks[0], "model.layers.1.w", 3));
    assert_true(element(&o, "model.one", 0) ==
                (float)small_model_get(&m->base, "model.one", 0));
    merge_output_release(&o);
    assert_fails(
        merge_text(
            m,
            "{\"merge_method\": \"task_arithmetic\", \"base_model\": \"base\", "
            "\"models\": [{\"model\": \"a\", \"parameters\": {\"weight\": "
            "[{\"filter\": \"layers\", \"value\": 1}]}}]}",
            &plain, &o),
        STATUS_INVALID, "no filter of weight fits tensor model.embed");
}

static void test_a_nan_of_the_base_is_told(void **state)
{
    struct merge_models *m = *state;
    struct merge_output o;

    small_model_set(&m->base, "model.layers.1.w", 62, (double)-INFINITY);
    assert_fails(merge_text(m,
                            "{\"merge_method\": \"task_arithmetic\", " MODELS
                            "\"parameters\": {\"weight\": 1}}",
                            &plain, &o),
                 STATUS_CORRUPT,
                 "model.layers.1.w of base is NaN or infinite "
                 "at element 62");
}

static void test_shapes_must_agree_or_be_cut(void **state)
{
    static const struct small_row base_rows[] = {
        { "w", DTYPE_F32, 2, { 3, 4 } }, { NULL, DTYPE_F32, 0, { 0 } }
    };
    static const struct small_row task_rows[] = {
        { "w", DTYPE_F32, 2, { 5, 4 } }, { NULL, DTYPE_F32, 0, { 0 } }
    };
    struct small_model base = small_model_new(base_rows, 1, 1.0);
    struct small_model task = small_model_new(task_rows, 2, 1.0);
    struct merge_models m = { .base = base, .tasks = { task } };
    struct merge_output o;

    (void)state;
    assert_fails(merge_text(&m,
                            "{\"merge_method\": \"task_arithmetic\", "
                            "\"base_model\": \"base\", \"parameters\": "
                            "{\"weight\": 1}, \"models\": "
                            "[{\"model\": \"a\"}]}",
                            &plain, &o),
                 STATUS_INVALID, "tensor w is 5x4 in a but 3x4 in base");
    assert_ok(merge_text(&m,
                         "{\"merge_method\": \"task_arithmetic\", "
                         "\"base_model\": \"base\", \"parameters\": "
                         "{\"weight\": 1}, \"models\": [{\"model\": "
                         "\"a\"}], \"on_shape_mismatch\": "
                         "\"submatrix\"}",
                         &plain, &o));
    merge_output_release(&o);
    small_model_release(&base);
    small_model_release(&task);
}

static void test_a_missing_tensor_is_named(void **state)
{
    struct merge_models m = *(struct merge_models *)*state;
    struct merge_output o;

    m.tasks[2].set.count--; /* without the last one, model.scalar */
    assert_fails(
        merge_text(&m, "{\"merge_method\": \"average\", " MODELS "\"seed\": 1}",
                   &plain, &o),
        STATUS_INVALID, "model.scalar");
    assert_fails(
        merge_text(&m, "{\"merge_method\": \"average\", " MODELS "\"seed\": 1}",
                   &plain, &o),
        STATUS_INVALID, "is missing in c");
}

static void test_a_tied_head_stands_for_its_embedding(void **state)
{
    static const struct small_row whole[] = {
        { "lm_head.weight", DTYPE_F32, 2, { 6, 2 } },
        { "model.embed_tokens.weight", DTYPE_F32, 2, { 6, 2 } },
        { NULL, DTYPE_F32, 0, { 0 } },
    };
    struct small_model base = small_model_new(whole, 1, 1.0);
    struct small_model tied = small_model_new(whole + 1, 2, 1.0);
    struct merge_models m = { .base = base, .tasks = { tied } };
    const char *text = "{\"merge_method\": \"average\", \"base_model\": "
                       "\"base\", \"models\": [{\"model\": \"a\"}]}";
    struct merge_output o;

    (void)state;
    assert_ok(merge_text(&m, text, &plain, &o));
    assert_true((double)element(&o, "lm_head.weight", 3) ==
                small_model_get(&tied, "model.embed_tokens.weight", 3));
    merge_output_release(&o);
    /* The other way round a head of its own would be lost. */
    m = (struct merge_models){ .base = tied, .tasks = { base } };
    assert_fails(merge_text(&m, text, &plain, &o), STATUS_INVALID,
                 "a has a lm_head.weight of its own");
    small_model_release(&base);
    small_model_release(&tied);
}

#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, setup, merge_models_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_integers_and_empty_tensors_are_copied),
        TEST(test_task_arithmetic_is_its_formula),
        TEST(test_dare_drops_what_philox_says),
        TEST(test_a_mask_stays_when_models_change_places),
        TEST(test_ties_keeps_so_many_of_the_largest),
        TEST(test_of_equal_magnitudes_the_first_stay),
        TEST(test_a_density_of_less_than_one_element_keeps_the_largest),
        TEST(test_values_follow_filters_and_depth),
        TEST(test_a_nan_of_the_base_is_told),
        TEST(test_shapes_must_agree_or_be_cut),
        TEST(test_a_missing_tensor_is_named),
        TEST(test_a_tied_head_stands_for_its_embedding),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
