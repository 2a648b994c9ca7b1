/* The kinds merge_count and merge_settle, and merges that use what they
 * give. */
#include "support/test.h"

#include <stdlib.h>
#include <string.h>

#include "common/file.h"
#include "common/memory.h"
#include "jobs/job_kind.h"
#include "jobs/merge/merge_body.h"
#include "jobs/recipe.h"
#include "support/fake_context.h"
#include "support/small_model.h"

static const struct small_row rows[] = {
    { "model.embed_tokens.weight", DTYPE_F32, 2, { 200, 251 } },
    { "model.layers.0.w", DTYPE_F32, 2, { 500, 100 } },
    { "model.layers.1.w", DTYPE_BF16, 2, { 500, 100 } },
    { "model.norm", DTYPE_F32, 1, { 100 } },
    { NULL, DTYPE_F32, 0, { 0 } },
};

/* What was asked for since the last look, by row. */
static bool asked[COUNT_OF(rows)];

static struct status fetch_tensors(void *self, const json_t *source,
                                   bool (*wanted)(void *chooser,
                                                  const char *name),
                                   void *chooser, const char **ret_path)
{
    struct fake_context *f = self;

    for (size_t i = 0; rows[i].name != NULL; i++)
        asked[i] = wanted(chooser, rows[i].name) || asked[i];
    return f->context.fetch(self, source, ret_path);
}

static int setup(void **state)
{
    struct fake_context *f = fake_context_new();
    struct small_model base = small_model_new(rows, 1, 0.5);
    struct small_model a = small_model_near(&base, 2, 0.01);
    struct small_model b = small_model_near(&base, 3, 0.01);

    fake_context_write_model(f, "base", &base.set, NULL);
    fake_context_write_model(f, "a", &a.set, NULL);
    fake_context_write_model(f, "b", &b.set, NULL);
    f->context.fetch_tensors = fetch_tensors;
    small_model_release(&base);
    small_model_release(&a);
    small_model_release(&b);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fake_context_free(*state);
    return 0;
}

/* A normalised body; the caller decrefs. */
static json_t *body_of(struct fake_context *f, const char *text)
{
    struct catalog_problem problem;
    json_t *body;

    assert_ok(json_parse(text, strlen(text), "body", &body));
    (void)json_object_set_new(body, "base_model",
                              fake_context_source(f, "base"));
    (void)json_object_set_new(body, "models",
                              json_pack("[{s:o}, {s:o}]", "model",
                                        fake_context_source(f, "a"), "model",
                                        fake_context_source(f, "b")));
    if (!merge_body_normalise(body, &problem))
        fail_msg("%s", problem.message);
    return body;
}

static struct status run(struct fake_context *f, const char *kind,
                         const json_t *params, json_t **ret_result)
{
    struct status s = job_kind_find(kind)->run(params, &f->context, ret_result);

    assert_ok(file_remove_tree(f->scratch));
    assert_ok(file_make_directories(f->scratch));
    return s;
}

/* {"$stage": x} becomes {"$job": x}, as the compiler would have it. */
static void resolve(json_t *json)
{
    const json_t *stage = json_object_get(json, "$stage");
    const char *name;
    json_t *member;

    if (stage != NULL) {
        (void)json_object_set(json, "$job", (json_t *)(uintptr_t)stage);
        (void)json_object_del(json, "$stage");
    }
    json_object_foreach(json, name, member)
    {
        resolve(member);
    }
    for (size_t i = 0; i < json_array_size(json); i++)
        resolve(json_array_get(json, i));
}

/* Run what must be run before a body; the number of jobs. */
static size_t run_stages(struct fake_context *f, json_t *body)
{
    json_t *stages = merge_body_before(body, "m");
    size_t count = json_array_size(stages);

    for (size_t i = 0; i < count; i++) {
        const json_t *stage = json_array_get(stages, i);
        json_t *params = json_object_get(stage, "params");
        json_t *result;

        resolve(params);
        assert_ok(run(f, json_text_or(stage, "kind", "?"), params, &result));
        fake_context_set_job(f, json_text_or(stage, "name", "?"),
                             json_text_or(result, "artifact", "?"));
        json_decref(result);
    }
    json_decref(stages);
    resolve(body);
    return count;
}

/* Takes the body. */
static struct digest realise(struct fake_context *f, json_t *body)
{
    json_t *model =
        json_pack("{s:{s:s, s:o}}", "$recipe", "kind", "merge", "params", body);
    struct recipe_model *m;
    struct digest digest;

    assert_ok(recipe_open(model, &f->context, &m));
    digest = recipe_digest(m);
    recipe_close(m);
    json_decref(model);
    return digest;
}

static void check_stages(struct fake_context *f, const char *text, size_t jobs)
{
    json_t *parts = body_of(f, text);
    json_t *inside = json_deep_copy(parts);
    struct digest a, b;

    (void)json_object_del(inside, "statistics");
    assert_int_equal(run_stages(f, parts), jobs);
    a = realise(f, parts);
    b = realise(f, inside);
    assert_true(digest_equal(&a, &b));
}

static void test_the_model_is_that_of_a_merge_that_counts_itself(void **state)
{
    check_stages(*state,
                 "{\"merge_method\": \"pcb\", \"statistics\": {\"parts\": 3}, "
                 "\"parameters\": {\"ratio\": 0.2, \"lambda\": 1.3}}",
                 16);
    check_stages(*state,
                 "{\"merge_method\": \"dare_ties\", \"variant\": \"mergelm\", "
                 "\"statistics\": {\"parts\": 2}, \"seed\": 7, "
                 "\"parameters\": {\"density\": 0.6, \"trim_density\": 0.3}}",
                 9);
}

static void test_a_merge_without_such_statistics_has_no_stages(void **state)
{
    json_t *body =
        body_of(*state, "{\"merge_method\": \"ties\", \"parameters\": "
                        "{\"weight\": 1}, \"statistics\": {\"parts\": 3}}");

    assert_null(json_object_get(body, "statistics"));
    assert_null(merge_body_before(body, "m"));
    json_decref(body);
    body = body_of(*state,
                   "{\"merge_method\": \"pcb\", \"statistics\": {\"parts\": "
                   "0}}");
    assert_null(json_object_get(body, "statistics"));
    json_decref(body);
}

/* The params of a stage; borrowed. */
static json_t *params_of(const json_t *stages, const char *name)
{
    for (size_t i = 0; i < json_array_size(stages); i++) {
        const json_t *stage = json_array_get(stages, i);

        if (strcmp(json_text_or(stage, "name", ""), name) == 0)
            return json_object_get(stage, "params");
    }
    fail_msg("no stage %s", name);
    return NULL;
}

static void test_rounds_do_not_know_what_does_not_reach_them(void **state)
{
    json_t *a =
        body_of(*state, "{\"merge_method\": \"pcb\", \"dtype\": \"float32\", "
                        "\"parameters\": {\"ratio\": 0.2, \"lambda\": 1}, "
                        "\"statistics\": {\"parts\": 1}}");
    json_t *b =
        body_of(*state, "{\"merge_method\": \"pcb\", \"dtype\": \"bfloat16\", "
                        "\"parameters\": {\"ratio\": 0.3, \"lambda\": 2}, "
                        "\"statistics\": {\"parts\": 1}}");
    json_t *left = merge_body_before(a, "m");
    json_t *right = merge_body_before(b, "m");
    static const char *const same[] = { "m.count-1-1", "m.settle-1",
                                        "m.count-2-1", "m.settle-2",
                                        "m.count-3-1" };

    for (size_t i = 0; i < COUNT_OF(same); i++)
        assert_true(
            json_equal(params_of(left, same[i]), params_of(right, same[i])));
    assert_false(json_equal(params_of(left, "m.settle-3"),
                            params_of(right, "m.settle-3")));
    assert_false(json_equal(params_of(left, "m.count-4-1"),
                            params_of(right, "m.count-4-1")));
    json_decref(left);
    json_decref(right);
    json_decref(a);
    json_decref(b);
}

static void test_a_part_asks_for_its_tensors(void **state)
{
    json_t *body = body_of(*state, "{\"merge_method\": \"pcb\", "
                                   "\"statistics\": {\"parts\": 3}}");
    json_t *stages = merge_body_before(body, "m");
    json_t *result;

    memset(asked, 0, sizeof asked);
    assert_ok(
        run(*state, "merge_count", params_of(stages, "m.count-1-3"), &result));
    /* An embedding may be a head's, so it is looked at. */
    assert_true(asked[0]);
    assert_false(asked[1]);
    assert_true(asked[2]);
    assert_true(asked[3]);
    json_decref(result);
    json_decref(stages);
    json_decref(body);
}

static void test_settling_asks_for_no_tensors(void **state)
{
    struct fake_context *f = *state;
    json_t *body = body_of(f, "{\"merge_method\": \"pcb\", "
                              "\"statistics\": {\"parts\": 1}}");
    json_t *stages = merge_body_before(body, "m");
    json_t *params = params_of(stages, "m.settle-1");
    json_t *result;

    assert_ok(run(f, "merge_count", params_of(stages, "m.count-1-1"), &result));
    fake_context_set_job(f, "m.count-1-1",
                         json_text_or(result, "artifact", "?"));
    json_decref(result);
    resolve(params);
    memset(asked, 0, sizeof asked);
    assert_ok(run(f, "merge_settle", params, &result));
    assert_false(asked[1] || asked[2] || asked[3]);
    json_decref(result);
    json_decref(stages);
    json_decref(body);
}

static void test_what_cannot_be_counted_or_settled(void **state)
{
    struct fake_context *f = *state;
    json_t *body = body_of(f, "{\"merge_method\": \"pcb\", "
                              "\"statistics\": {\"parts\": 2}}");
    json_t *stages = merge_body_before(body, "m");
    json_t *params = params_of(stages, "m.count-1-2");
    json_t *result = NULL;

    (void)json_object_set_new(params, "part", json_integer(2));
    assert_fails(run(f, "merge_count", params, &result), STATUS_INVALID,
                 "no such part");
    params = params_of(stages, "m.count-2-1");
    (void)json_object_set_new(params, "after",
                              json_pack("{s:s}", "$job", "nowhere"));
    assert_fails(run(f, "merge_count", params, &result), STATUS_NOT_FOUND,
                 "nowhere");
    params = params_of(stages, "m.settle-1");
    (void)json_object_set_new(params, "counted", json_array());
    assert_fails(run(f, "merge_settle", params, &result), STATUS_INVALID,
                 "0 parts");
    f->cancel_at = f->polls + 1;
    assert_fails(
        run(f, "merge_count", params_of(stages, "m.count-1-1"), &result),
        STATUS_CANCELLED, NULL);
    f->cancel_at = 0;
    json_decref(stages);
    json_decref(body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_model_is_that_of_a_merge_that_counts_itself),
        cmocka_unit_test(test_a_merge_without_such_statistics_has_no_stages),
        cmocka_unit_test(test_rounds_do_not_know_what_does_not_reach_them),
        cmocka_unit_test(test_a_part_asks_for_its_tensors),
        cmocka_unit_test(test_settling_asks_for_no_tensors),
        cmocka_unit_test(test_what_cannot_be_counted_or_settled),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
