/* Merges that siblings will ask for, made in the pass of the first. */
#include "support/test.h"

#include "common/memory.h"
#include "jobs/recipe.h"
#include "support/fake_context.h"
#include "support/small_model.h"

static const struct small_row rows[] = {
    { "model.layers.0.a.weight", DTYPE_F32, 2, { 30, 20 } },
    { "model.layers.1.a.weight", DTYPE_F32, 2, { 30, 20 } },
    { "norm.weight", DTYPE_F32, 1, { 7 } },
    { NULL, DTYPE_F32, 0, { 0 } },
};
enum {
    MODEL_BYTES = 64 + 2 * 2432 + 64, /* as the cache lays it out */
    INPUT_BYTES = 3 * (2 * 2400 + 28),
};

struct slot {
    struct fake_context *fake;
    json_t *siblings; /* of the job that runs */
};

static struct slot *the_slot;

static const json_t *siblings(void *self)
{
    (void)self;
    return the_slot->siblings;
}

static int setup(void **state)
{
    struct slot *s = xnew(struct slot);
    struct small_model base = small_model_new(rows, 1, 1.0);

    s->fake = fake_context_new();
    s->siblings = json_array();
    fake_context_write_model(s->fake, "base", &base.set, NULL);
    for (uint32_t i = 0; i < 2; i++) {
        struct small_model task = small_model_near(&base, 5 + i, 0.1);

        fake_context_write_model(s->fake, i == 0 ? "math" : "code", &task.set,
                                 NULL);
        small_model_release(&task);
    }
    small_model_release(&base);
    s->fake->context.siblings = siblings;
    the_slot = s;
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    struct slot *s = *state;

    recipe_cache_free(s->fake->context.cache);
    fake_context_free(s->fake);
    json_decref(s->siblings);
    free(s);
    return 0;
}

/* {"merge_method": method, ...} of base, math and code with these numbers. */
static json_t *merge_of(const struct slot *s, const char *method, json_t *base,
                        double density, json_t *lambda)
{
    struct fake_context *f = s->fake;

    return json_pack(
        "{s:{s:s, s:{s:s, s:o, s:[{s:o, s:{s:f, s:f}}, {s:o, s:{s:f, s:f}}], "
        "s:{s:o}, s:i}}}",
        "$recipe", "kind", "merge", "params", "merge_method", method,
        "base_model", base, "models", "model", fake_context_source(f, "math"),
        "parameters", "weight", 1.0, "density", density, "model",
        fake_context_source(f, "code"), "parameters", "weight", 0.5, "density",
        density, "parameters", "lambda", lambda, "seed", 3);
}

static json_t *point(const struct slot *s, double density, double lambda)
{
    return merge_of(s, "dare_linear", fake_context_source(s->fake, "base"),
                    density, json_real(lambda));
}

/* The next jobs of this slot: evaluations of these models. */
static void expect_models(struct slot *s, size_t count, json_t *const *models)
{
    json_array_clear(s->siblings);
    for (size_t i = 0; i < count; i++)
        (void)json_array_append_new(
            s->siblings, json_pack("{s:O, s:i}", "model", models[i], "x", 1));
}

/* A job that reads the model; its digest. */
static struct digest run_job(struct slot *s, json_t *model,
                             enum job_model origin, uint64_t bytes_read)
{
    struct job_context *context = &s->fake->context;
    struct recipe_model *m = NULL;
    struct digest digest;

    context->facts = (struct job_facts){ 0 };
    assert_ok(recipe_open(model, context, &m));
    digest = recipe_digest(m);
    recipe_close(m);
    assert_int_equal(context->facts.model, origin);
    assert_int_equal(context->facts.bytes_read, bytes_read);
    return digest;
}

/* The same model made alone, without a cache. */
static void assert_same_alone(struct slot *s, json_t *model,
                              const struct digest *digest)
{
    struct recipe_cache *cache = s->fake->context.cache;
    struct digest alone;

    s->fake->context.cache = NULL;
    alone = run_job(s, model, JOB_MODEL_REALISED, INPUT_BYTES);
    s->fake->context.cache = cache;
    assert_true(digest_equal(&alone, digest));
}

/* Runs the jobs one after the other, as a slot does; bytes_read is 0 for all
 * but those that say REALISED. */
static void run_jobs(struct slot *s, size_t count, json_t *const *models,
                     const enum job_model *origins)
{
    for (size_t i = 0; i < count; i++) {
        struct digest d;

        expect_models(s, count - i - 1, models + i + 1);
        d = run_job(s, models[i], origins[i],
                    origins[i] == JOB_MODEL_REALISED ? INPUT_BYTES : 0);
        assert_same_alone(s, models[i], &d);
    }
    for (size_t i = 0; i < count; i++)
        json_decref(models[i]);
}

static void test_siblings_are_made_in_one_pass(void **state)
{
    struct slot *s = *state;
    json_t *models[] = { point(s, 0.3, 0.5), point(s, 0.3, 1.0),
                         point(s, 0.7, 0.5), point(s, 0.9, 2.0) };
    static const enum job_model origins[] = {
        JOB_MODEL_REALISED, JOB_MODEL_SHARED, JOB_MODEL_SHARED, JOB_MODEL_SHARED
    };

    s->fake->context.cache = recipe_cache_new(10 * MODEL_BYTES);
    run_jobs(s, COUNT_OF(models), models, origins);
}

static void test_two_jobs_of_one_model_count_as_one_point(void **state)
{
    struct slot *s = *state;
    json_t *models[] = { point(s, 0.3, 0.5), point(s, 0.3, 0.5),
                         point(s, 0.7, 0.5), point(s, 0.7, 0.5) };
    static const enum job_model origins[] = {
        JOB_MODEL_REALISED, JOB_MODEL_CACHED, JOB_MODEL_SHARED, JOB_MODEL_CACHED
    };

    s->fake->context.cache = recipe_cache_new(2 * MODEL_BYTES);
    run_jobs(s, COUNT_OF(models), models, origins);
}

/* The one in use is kept for its second job, so there is none for others. */
static void test_a_model_is_kept_while_a_sibling_wants_it(void **state)
{
    struct slot *s = *state;
    json_t *models[] = { point(s, 0.3, 0.5), point(s, 0.3, 0.5),
                         point(s, 0.7, 0.5), point(s, 0.7, 0.5) };
    static const enum job_model origins[] = { JOB_MODEL_REALISED,
                                              JOB_MODEL_CACHED,
                                              JOB_MODEL_REALISED,
                                              JOB_MODEL_CACHED };

    s->fake->context.cache = recipe_cache_new(1 * MODEL_BYTES);
    run_jobs(s, COUNT_OF(models), models, origins);
}

/* Two fit beside the one in use: passes of three. */
static void test_no_more_are_made_than_fit(void **state)
{
    struct slot *s = *state;
    json_t *models[] = { point(s, 0.1, 1.0), point(s, 0.2, 1.0),
                         point(s, 0.3, 1.0), point(s, 0.4, 1.0),
                         point(s, 0.5, 1.0) };
    static const enum job_model origins[] = {
        JOB_MODEL_REALISED, JOB_MODEL_SHARED, JOB_MODEL_SHARED,
        JOB_MODEL_REALISED, JOB_MODEL_SHARED
    };

    s->fake->context.cache = recipe_cache_new(2 * MODEL_BYTES);
    run_jobs(s, COUNT_OF(models), models, origins);
}

static void test_without_room_each_is_made_alone(void **state)
{
    struct slot *s = *state;
    json_t *models[] = { point(s, 0.1, 1.0), point(s, 0.2, 1.0) };
    static const enum job_model origins[] = { JOB_MODEL_REALISED,
                                              JOB_MODEL_REALISED };

    s->fake->context.cache = recipe_cache_new(0);
    run_jobs(s, COUNT_OF(models), models, origins);
}

static void test_the_budget_of_the_job_counts_as_well(void **state)
{
    struct slot *s = *state;
    json_t *models[] = { point(s, 0.1, 1.0), point(s, 0.2, 1.0),
                         point(s, 0.3, 1.0) };
    static const enum job_model origins[] = { JOB_MODEL_REALISED,
                                              JOB_MODEL_SHARED,
                                              JOB_MODEL_REALISED };

    s->fake->context.cache = recipe_cache_new(10 * MODEL_BYTES);
    s->fake->context.memory_bytes = 2 * MODEL_BYTES;
    run_jobs(s, COUNT_OF(models), models, origins);
}

/* Of another method, seed or base: not in this pass. */
static void test_strangers_are_left_alone(void **state)
{
    struct slot *s = *state;
    json_t *models[] = {
        point(s, 0.3, 0.5),
        merge_of(s, "dare_ties", fake_context_source(s->fake, "base"), 0.3,
                 json_real(0.5)),
        point(s, 0.3, 0.6),
    };
    static const enum job_model origins[] = { JOB_MODEL_REALISED,
                                              JOB_MODEL_REALISED,
                                              JOB_MODEL_SHARED };

    s->fake->context.cache = recipe_cache_new(10 * MODEL_BYTES);
    run_jobs(s, COUNT_OF(models), models, origins);
}

static void expect_failure(struct slot *s, json_t *model)
{
    struct recipe_model *m = NULL;
    struct status st = recipe_open(model, &s->fake->context, &m);

    assert_int_equal(st.code, STATUS_INVALID);
}

/* One number is none, one density is out of range, and one weight has a
 * filter that fits no tensor, which only the plan of the merge sees. */
static void test_a_broken_sibling_fails_alone(void **state)
{
    struct slot *s = *state;
    json_t *base = fake_context_source(s->fake, "base");
    json_t *models[] = {
        point(s, 0.3, 0.5),
        merge_of(s, "dare_linear", json_incref(base), 0.3, json_string("much")),
        point(s, 1.5, 0.5), point(s, 0.3, 0.5), point(s, 0.4, 0.5)
    };
    json_t *own = json_object_get(
        json_array_get(json_object_get(
                           json_object_get(
                               json_object_get(models[3], "$recipe"), "params"),
                           "models"),
                       0),
        "parameters");
    struct digest d;

    (void)json_object_set_new(
        own, "weight",
        json_pack("[{s:s, s:f}]", "filter", "none", "value", 1.0));
    s->fake->context.cache = recipe_cache_new(10 * MODEL_BYTES);
    expect_models(s, 4, models + 1);
    (void)run_job(s, models[0], JOB_MODEL_REALISED, INPUT_BYTES);
    for (int i = 1; i <= 3; i++)
        expect_failure(s, models[i]);
    expect_models(s, 0, NULL);
    d = run_job(s, models[4], JOB_MODEL_SHARED, 0);
    assert_same_alone(s, models[4], &d);
    for (size_t i = 0; i < COUNT_OF(models); i++)
        json_decref(models[i]);
    json_decref(base);
}

/* The inner merges are siblings as well; the outer ones of each inner are. */
static void test_merges_of_merges_are_fused_inside_and_outside(void **state)
{
    struct slot *s = *state;
    json_t *inner[] = { point(s, 0.3, 0.5), point(s, 0.6, 0.5) };
    json_t *models[4];
    static const uint64_t reads[] = { 2, 0, 1, 0 };

    for (size_t i = 0; i < COUNT_OF(models); i++)
        models[i] = merge_of(s, "task_arithmetic", json_incref(inner[i / 2]),
                             1.0, json_real(i % 2 == 0 ? 0.5 : 1.0));
    s->fake->context.cache = recipe_cache_new(10 * MODEL_BYTES);
    for (size_t i = 0; i < COUNT_OF(models); i++) {
        expect_models(s, COUNT_OF(models) - i - 1, models + i + 1);
        (void)run_job(s, models[i],
                      i % 2 == 0 ? JOB_MODEL_REALISED : JOB_MODEL_SHARED,
                      reads[i] * INPUT_BYTES);
    }
    for (size_t i = 0; i < COUNT_OF(models); i++)
        json_decref(models[i]);
    for (size_t i = 0; i < COUNT_OF(inner); i++)
        json_decref(inner[i]);
}

/* What the siblings of an earlier batch wanted makes room in the end. */
static void test_what_nobody_wants_any_more_makes_room(void **state)
{
    struct slot *s = *state;
    json_t *gone[] = { point(s, 0.1, 1.0), point(s, 0.2, 1.0) };
    json_t *models[] = { point(s, 0.5, 1.0), point(s, 0.6, 1.0) };
    static const enum job_model origins[] = { JOB_MODEL_REALISED,
                                              JOB_MODEL_SHARED };

    s->fake->context.cache = recipe_cache_new(1 * MODEL_BYTES);
    expect_models(s, 1, gone + 1);
    (void)run_job(s, gone[0], JOB_MODEL_REALISED, INPUT_BYTES);
    run_jobs(s, COUNT_OF(models), models, origins);
    json_decref(gone[0]);
    json_decref(gone[1]);
}

static void test_a_cancelled_pass_leaves_nothing(void **state)
{
    struct slot *s = *state;
    json_t *models[] = { point(s, 0.1, 1.0), point(s, 0.2, 1.0) };
    struct recipe_model *m = NULL;
    struct status st;

    s->fake->context.cache = recipe_cache_new(10 * MODEL_BYTES);
    expect_models(s, 1, models + 1);
    s->fake->cancel_at = 1;
    st = recipe_open(models[0], &s->fake->context, &m);
    assert_int_equal(st.code, STATUS_CANCELLED);
    s->fake->cancel_at = 0;
    expect_models(s, 0, NULL);
    (void)run_job(s, models[1], JOB_MODEL_REALISED, INPUT_BYTES);
    json_decref(models[0]);
    json_decref(models[1]);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_siblings_are_made_in_one_pass),
        TEST(test_two_jobs_of_one_model_count_as_one_point),
        TEST(test_a_model_is_kept_while_a_sibling_wants_it),
        TEST(test_no_more_are_made_than_fit),
        TEST(test_without_room_each_is_made_alone),
        TEST(test_the_budget_of_the_job_counts_as_well),
        TEST(test_strangers_are_left_alone),
        TEST(test_a_broken_sibling_fails_alone),
        TEST(test_merges_of_merges_are_fused_inside_and_outside),
        TEST(test_what_nobody_wants_any_more_makes_room),
        TEST(test_a_cancelled_pass_leaves_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
