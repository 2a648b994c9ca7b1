/* Selections from file to ids: what each stage depends on, that parts and
 * kills do not matter, and input that is wrong. The mathematics is in
 * test_select_*.c. */
#include "support/test.h"

#include <math.h>
#include <string.h>

#include "common/file.h"
#include "common/memory.h"
#include "jobs/data.h"
#include "jobs/job_kind.h"
#include "jobs/model_input.h"
#include "jobs/select/jsd.h"
#include "jobs/select_stages.h"
#include "support/fake_fixture.h"
#include "support/tiny_files.h"
#include "support/tiny_llama.h"

#define SHAPE                                                        \
    "'hidden_size':16,'intermediate_size':24,'num_hidden_layers':2," \
    "'num_attention_heads':4,'max_position_embeddings':32,"
#define POOL "'data':{'builtin':'tasks','items':100,'predict':'answers'}"

static void write_model(const char *name, const char *config, uint32_t seed)
{
    struct tiny_files t;

    assert_ok(file_remove_tree(fake_context_path(fake, name)));
    tiny_files_of(&t, config, DTYPE_F32, seed);
    tiny_files_write(&t, fake, name);
    tiny_files_release(&t);
}

static void write_models(void)
{
    write_model("original", "{'model_type':'llama'," SHAPE "'vocab_size':260}",
                1);
    write_model("pruned", "{'model_type':'llama'," SHAPE "'vocab_size':260}",
                2);
}

static void write_pool(const char *text)
{
    assert_ok(
        file_write(fake_context_path(fake, "pool.jsonl"), text, strlen(text)));
}

/* A body as the compiler leaves it; members of `text` over defaults. */
static json_t *body_of(const char *text)
{
    json_t *body = tiny_json(
        "{'method':'paser','embed':'tfidf','clusters':'3','budget':0.3,"
        "'jsd':'mean_answer','tau':1,'sigma_scale':1,'graph':'auto','time':0,"
        "'cost':'square','budget_mode':'capped','min_per_cluster':0,"
        "'conflicts':false,'cluster_order':'canonical','parts':1}");
    json_t *given = tiny_json("{%s}", text);
    struct catalog_problem problem;

    (void)json_object_set_new(body, "original",
                              fake_context_source(fake, "original"));
    (void)json_object_set_new(body, "pruned",
                              fake_context_source(fake, "pruned"));
    if (json_object_get(given, "data") == NULL)
        (void)json_object_set_new(body, "data",
                                  fake_context_source(fake, "pool.jsonl"));
    (void)json_object_update(body, given);
    json_decref(given);
    if (!job_kind_find("select")->catalog.normalise(body, &problem))
        fail_msg("%s: %s", problem.path, problem.message);
    if (json_object_get(json_object_get(body, "seed"), "$param") != NULL)
        (void)json_object_set_new(body, "seed", json_integer(0));
    return body;
}

/* {"$stage"} becomes {"$job"}. */
static void name_jobs(json_t *json)
{
    json_t *stage = json_object_get(json, "$stage");
    const char *name;
    json_t *member;

    if (stage != NULL) {
        (void)json_object_set(json, "$job", stage);
        (void)json_object_del(json, "$stage");
        return;
    }
    json_object_foreach(json, name, member) name_jobs(member);
    for (size_t i = 0; i < json_array_size(json); i++)
        name_jobs(json_array_get(json, i));
}

static struct status run_stage(const char *name, const char *kind,
                               json_t *params)
{
    json_t *result = NULL;

    name_jobs(params);
    TRY_PLAIN(tiny_run(fake, kind, params, &result));
    fake_context_set_job(fake, name, json_text_or(result, "artifact", ""));
    json_decref(result);
    return SUCCESS;
}

/* All stages of a body and itself; the result is that of job "s". */
static struct status run_all(const char *text)
{
    AUTO(json_release) json_t *body = body_of(text);
    AUTO(json_release) json_t *stages = select_stages(body, "s");

    for (size_t i = 0; i < json_array_size(stages); i++) {
        json_t *one = json_array_get(stages, i);

        TRY_PLAIN(run_stage(json_text_or(one, "name", ""),
                            json_text_or(one, "kind", ""),
                            json_object_get(one, "params")));
    }
    return run_stage("s", "select", body);
}

static char *artifact_of(const char *job)
{
    return xstrdup(
        json_text_or(json_object_get(fake->inputs, job), "artifact", ""));
}

/* A file of the selection; the caller frees. */
static char *file_of(const char *name)
{
    AUTO(free_pointer) char *artifact = artifact_of("s");
    AUTO(free_pointer)
    char *path = xasprintf("%s/artifacts/%s/%s", fake->root, artifact, name);
    char *text;
    size_t size;

    assert_ok(file_read(path, 1 << 24, &text, &size));
    return text;
}

static json_t *head_of(void)
{
    AUTO(free_pointer) char *text = file_of("selection.json");
    json_t *json;

    assert_ok(json_parse(text, strlen(text), "selection.json", &json));
    return json;
}

static int64_t number_of(const char *name)
{
    AUTO(json_release) json_t *head = head_of();

    return json_int_or(head, name, -1);
}

static size_t lines_of(const char *name)
{
    AUTO(free_pointer) char *text = file_of(name);
    size_t count = 0;

    for (const char *c = text; *c != '\0'; c++)
        count += *c == '\n';
    return count;
}

/* ---- what stages depend on ------------------------------------------------------ */

/* Names of stages whose parameters differ between two bodies, with blanks. */
static char *differing(const char *one, const char *other)
{
    AUTO(json_release) json_t *a = body_of(one);
    AUTO(json_release) json_t *b = body_of(other);
    AUTO(json_release) json_t *first = select_stages(a, "s");
    AUTO(json_release) json_t *second = select_stages(b, "s");
    char *text = xstrdup("");

    for (size_t i = 0; i < json_array_size(first); i++)
        for (size_t k = 0; k < json_array_size(second); k++) {
            const json_t *x = json_array_get(first, i);
            const json_t *y = json_array_get(second, k);
            char *more;

            if (strcmp(json_text_or(x, "name", ""),
                       json_text_or(y, "name", "")) != 0 ||
                json_equal(x, y))
                continue;
            more = xasprintf("%s%s ", text, json_text_or(x, "name", "") + 2);
            free(text);
            text = more;
        }
    return text;
}

static void test_a_stage_knows_only_what_it_depends_on(void **state)
{
    static const struct {
        const char *one, *other, *wanted;
    } rows[] = {
        { "'budget':0.1", "'budget':40", "" },
        { "'conflicts':false", "'conflicts':true,'cost':'none'", "" },
        { "'budget_mode':'floor'", "'cluster_order':'degradation'", "" },
        { "'clusters':'3'", "'clusters':'auto'", "clusters " },
        { "'clusters':'3'", "'clusters':'60'", "spectrum clusters " },
        { "'time':0", "'time':2", "clusters " },
        { "'sigma_scale':1", "'sigma_scale':2", "spectrum " },
        { "'tau':1", "'tau':2", "jsd-1 " },
        { "'jsd':'mean_answer'", "'jsd':'sum_instruction'", "jsd-1 " },
        { "'pruned':'a'", "'pruned':'b'", "jsd-1 " },
        { "'embed':'hidden'", "'embed':'tfidf'", "embed " },
        { "'original':'a'", "'original':'b'", "hidden-1 jsd-1 " },
        { "'length':20", "'length':30", "hidden-1 jsd-1 " },
        { "'method':'paser'", "'method':'uniform'", "" },
        { "'method':'paser'", "'method':'topjsd'", "" },
        { "'method':'full'", "'method':'random'", "" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        AUTO(free_pointer)
        char *found = differing(rows[i].one, rows[i].other);

        assert_string_equal(found, rows[i].wanted);
    }
}

static void test_a_method_has_no_stage_it_does_not_need(void **state)
{
    static const struct {
        const char *method;
        size_t stages;
    } rows[] = {
        { "paser", 1 + 3 + 3 + 3 },
        { "uniform", 1 + 3 + 3 + 3 },
        { "topjsd", 1 + 3 + 3 },
        { "ifd", 1 + 3 },
        { "random", 1 },
        { "full", 1 },
        { "proportional", 1 + 3 * 3 },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        AUTO(free_pointer)
        char *text = xasprintf("'method':'%s','parts':3", rows[i].method);
        AUTO(json_release) json_t *body = body_of(text);
        AUTO(json_release) json_t *stages = select_stages(body, "s");

        assert_int_equal(json_array_size(stages), rows[i].stages);
    }
}

/* ---- one result, however it comes to be ----------------------------------------- */

static void test_parts_do_not_matter(void **state)
{
    static const char *const embeds[] = { "'hidden'", "'tfidf'",
                                          "{'$source':{'url':'" TEST_DATA
                                          "/golden/bert'}}" };

    (void)state;
    write_models();
    for (size_t i = 0; i < COUNT_OF(embeds); i++) {
        static const int parts[] = { 1, 3, 16 };
        AUTO(free_pointer) char *wanted = NULL;

        for (size_t k = 0; k < COUNT_OF(parts); k++) {
            AUTO(free_pointer)
            char *text = xasprintf("'embed':%s,'parts':%d,%s", embeds[i],
                                   parts[k], POOL);
            AUTO(free_pointer) char *found = NULL;

            assert_ok(run_all(text));
            found = artifact_of("s");
            if (wanted == NULL)
                wanted = xstrdup(found);
            assert_string_equal(found, wanted);
        }
    }
    assert_int_equal(number_of("selected"), 30);
    assert_int_equal(lines_of("selection.jsonl"), 30);
    assert_int_equal(lines_of("rejected.jsonl"), 70);
}

static void test_a_part_that_was_cut_short_goes_on(void **state)
{
    AUTO(json_release) json_t *params = NULL;
    AUTO(json_release) json_t *whole = NULL;
    AUTO(json_release) json_t *rest = NULL;

    (void)state;
    write_models();
    params =
        tiny_json("{'part':0,'parts':1,'data':{'builtin':'tasks','items':100,"
                  "'mix':{'sort':1}}}");
    (void)json_object_set_new(params, "model",
                              fake_context_source(fake, "original"));
    assert_ok(tiny_run(fake, "select_hidden", params, &whole));
    fake_context_keeps(fake);
    fake->polls = 0;
    fake->cancel_at = 2; /* behind the second block of four */
    assert_fails(tiny_run(fake, "select_hidden", params, &rest),
                 STATUS_CANCELLED, "cancelled behind sample 64");
    fake->cancel_at = 0;
    assert_ok(tiny_run(fake, "select_hidden", params, &rest));
    assert_non_null(strstr(fake->log, "goes on behind sample 64"));
    assert_true(json_equal(rest, whole));
    /* The depot was away when it was finished: nothing is computed again. */
    json_decref(rest);
    fake->polls = 0;
    assert_ok(tiny_run(fake, "select_hidden", params, &rest));
    assert_int_equal(fake->polls, 0);
    assert_true(json_equal(rest, whole));
}

/* ---- the numbers -------------------------------------------------------------------- */

/* Logits of one sequence, [rows][260]; the caller frees. */
static float *logits_of(const char *name, const int32_t *tokens, size_t count)
{
    AUTO(json_release) json_t *params = json_object();
    struct model_input in;
    struct batch b;
    struct pass *p;
    struct pass_batch view;
    const struct pass_room room = { .rows = 32, .longest = 32 };
    float *logits = xcalloc(count * 260, sizeof(float));
    double loss;

    (void)json_object_set_new(params, "model", fake_context_source(fake, name));
    assert_ok(model_input_open(params, &fake->context, MODEL_BORROW, &in));
    assert_ok(pass_new(in.model, &room, &p));
    batch_init(&b, 1, 32);
    assert_true(batch_add(&b, tokens, count, count));
    view = batch_view(&b);
    assert_ok(pass_forward(p, &view, &loss));
    memcpy(logits, pass_logits(p), count * 260 * sizeof(float));
    batch_release(&b);
    pass_free(p);
    model_input_release(&in);
    return logits;
}

/* The mean over the answer "xyz" and its end of "ab:xyz". */
static double expected_jsd(bool sum_instruction)
{
    static const int32_t tokens[] = { 256, 'a', 'b', ':', 'x', 'y', 'z', 257 };
    AUTO(free_pointer)
    float *o = logits_of("original", tokens, COUNT_OF(tokens));
    AUTO(free_pointer)
    float *p = logits_of("pruned", tokens, COUNT_OF(tokens));
    size_t first = sum_instruction ? 0 : 3, end = sum_instruction ? 4 : 7;
    double sum = 0.0;

    for (size_t i = first; i < end; i++) {
        double one;

        assert_true(
            jsd_row(DTYPE_F32, o + i * 260, p + i * 260, 260, 1.0, &one));
        sum += one;
    }
    return sum_instruction ? sum : sum / (double)(end - first);
}

static double found_jsd(void)
{
    AUTO(free_pointer) char *text = file_of("selection.jsonl");
    AUTO(json_release) json_t *line = NULL;

    assert_ok(json_parse(text, strcspn(text, "\n"), "line", &line));
    return json_real_or(line, "jsd", -1.0);
}

static void test_divergences_are_those_of_the_logits(void **state)
{
    (void)state;
    write_models();
    write_pool("{\"prompt\":\"ab:\",\"answer\":\"xyz\"}\n");
    assert_ok(run_all("'method':'topjsd','budget':1"));
    assert_true(fabs(found_jsd() - expected_jsd(false)) < 1e-6);
    assert_true(found_jsd() > 1e-4);
    assert_ok(run_all("'method':'topjsd','budget':1,'jsd':'sum_instruction'"));
    assert_true(fabs(found_jsd() - expected_jsd(true)) < 1e-6);
}

static void test_identical_models_share_the_budget_equally(void **state)
{
    AUTO(json_release) json_t *head = NULL;
    AUTO(free_pointer) char *text = NULL;

    (void)state;
    write_models();
    write_model("pruned", "{'model_type':'llama'," SHAPE "'vocab_size':260}",
                1);
    assert_ok(run_all(POOL));
    head = head_of();
    text = json_canonical(json_object_get(head, "notes"));
    assert_non_null(strstr(text, "predict the same"));
    assert_int_equal(json_int_or(head, "selected", 0), 30);
    for (size_t i = 0; i < 3; i++) {
        const json_t *c = json_array_get(json_object_get(head, "clusters"), i);

        assert_true(json_real_or(c, "degradation", 1.0) == 0.0);
        assert_int_equal(json_int_or(c, "budget", 0), 10);
    }
}

/* ---- what is drawn from -------------------------------------------------------------- */

static void test_a_selection_is_data(void **state)
{
    AUTO(json_release) json_t *job = tiny_json("{'$job':'s'}");
    const struct data_use use = { .window = 0 };
    struct data d;

    (void)state;
    write_models();
    write_pool("{\"prompt\":\"a:\",\"answer\":\"b\"}\n"
               "{\"prompt\":\"a:\",\"answer\":\"b\"}\n"
               "{\"instruction\":\"c\",\"output\":\"defg\"}\n");
    assert_ok(run_all("'method':'full'"));
    assert_int_equal(number_of("selected"), 2);
    assert_int_equal(number_of("samples"), 3);
    assert_ok(data_open(job, &use, &fake->context, &d));
    assert_int_equal(d.items, 2);
    assert_int_equal(d.window, 8); /* begin, c, newline, defg, end */
    assert_int_equal(d.tokens.first[0], 3);
    assert_int_equal(d.tokens.first[1], 3);
    assert_int_equal(d.tokens.tokens[d.tokens.starts[1] + 3], 'd');
    data_release(&d);
}

static void test_an_empty_selection_is_no_data(void **state)
{
    AUTO(json_release) json_t *job = tiny_json("{'$job':'s'}");
    const struct data_use use = { .window = 0 };
    struct data d;

    (void)state;
    write_models();
    assert_ok(run_all("'budget':0," POOL));
    assert_int_equal(number_of("selected"), 0);
    assert_fails(data_open(job, &use, &fake->context, &d), STATUS_INVALID,
                 "the selection is empty: its budget is 0 of 100 samples");
}

/* ---- odd pools ------------------------------------------------------------------------ */

static void test_budgets_beyond_the_pool(void **state)
{
    (void)state;
    write_models();
    assert_ok(run_all("'budget':1000," POOL));
    assert_int_equal(number_of("selected"), 100);
    assert_ok(run_all("'budget':2," POOL));
    assert_int_equal(number_of("selected"), 2); /* of three clusters */
}

static void test_small_and_equal_pools(void **state)
{
    (void)state;
    write_models();
    write_pool("{\"prompt\":\"a\",\"answer\":\"b\"}\n"
               "{\"prompt\":\"c\",\"answer\":\"d\"}\n");
    assert_ok(run_all("'budget':1,'clusters':'5'")); /* N < K, N < 3 */
    assert_int_equal(number_of("selected"), 2);
    write_pool("{\"prompt\":\"word\",\"answer\":\"b\"}\n"
               "{\"prompt\":\"word\",\"answer\":\"c\"}\n"
               "{\"prompt\":\"word\",\"answer\":\"d\"}\n"
               "{\"prompt\":\"word\",\"answer\":\"e\"}\n");
    assert_ok(run_all("'budget':2,'embed':'hidden','clusters':'auto'"));
    assert_int_equal(number_of("selected"), 2); /* all embeddings equal */
}

static void test_what_cannot_be_selected_is_told_why(void **state)
{
    AUTO(free_pointer) char *rejected = NULL;

    (void)state;
    write_models();
    write_pool("{\"prompt\":\"one\",\"answer\":\"1\"}\n"
               "\n"
               "{\"prompt\":\"two\",\"answer\":\"\"}\n"
               "{\"prompt\":\"one\",\"answer\":\"1\"}\n"
               "{\"prompt\":\"a prompt longer than all thirty-two places\","
               "\"answer\":\"3\"}\n"
               "{\"prompt\":\"four\",\"answer\":\"4\"}\n");
    assert_ok(run_all("'budget':1"));
    rejected = file_of("rejected.jsonl");
    assert_int_equal(number_of("selected"), 2);
    assert_non_null(strstr(rejected, "\"id\":1,\"line\":3,\"reason\":\"invalid"
                                     "\",\"why\":\"its answer is empty\""));
    assert_non_null(strstr(rejected, "\"id\":2,\"line\":4,\"of\":0,"
                                     "\"reason\":\"duplicate\""));
    assert_non_null(strstr(rejected, "\"id\":3,\"line\":5,\"reason\":"
                                     "\"invalid\",\"why\":\"no token"));
}

static void test_a_broken_line_is_named(void **state)
{
    (void)state;
    write_models();
    write_pool("{\"prompt\":\"one\",\"answer\":\"1\"}\n{\"prompt\":\n");
    assert_fails(run_all("'method':'random'"), STATUS_CORRUPT, "line 2");
    write_pool("{\"prompt\":\"one\",\"answer\":\"1\"}\n{\"other\":1}\n");
    assert_fails(run_all("'method':'random'"), STATUS_CORRUPT, "line 2");
}

static void test_models_of_other_vocabularies_are_refused(void **state)
{
    (void)state;
    write_models();
    write_model("pruned", "{'model_type':'llama'," SHAPE "'vocab_size':300}",
                2);
    assert_fails(run_all(POOL), STATUS_INVALID, "pruned) of 300");
}

static void test_too_little_memory_is_told_with_numbers(void **state)
{
    (void)state;
    write_models();
    fake->context.memory_bytes = 5000;
    assert_fails(run_all(POOL), STATUS_NO_MEMORY, "the slot has 5000");
}

static void test_ifd_prefers_instructions_that_help_least(void **state)
{
    AUTO(free_pointer) char *text = NULL;
    AUTO(json_release) json_t *line = NULL;

    (void)state;
    write_models();
    assert_ok(run_all("'method':'ifd','budget':5," POOL));
    text = file_of("selection.jsonl");
    assert_ok(json_parse(text, strcspn(text, "\n"), "line", &line));
    assert_in_range((uint64_t)(json_real_or(line, "ifd", 2.0) * 1000), 500,
                    1000);
    assert_true(number_of("selected") <= 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            test_a_stage_knows_only_what_it_depends_on, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            test_a_method_has_no_stage_it_does_not_need, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_parts_do_not_matter, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_a_part_that_was_cut_short_goes_on,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            test_divergences_are_those_of_the_logits, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            test_identical_models_share_the_budget_equally, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_selection_is_data, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_an_empty_selection_is_no_data,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_budgets_beyond_the_pool, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_small_and_equal_pools, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(
            test_what_cannot_be_selected_is_told_why, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_broken_line_is_named, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(
            test_models_of_other_vocabularies_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            test_too_little_memory_is_told_with_numbers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            test_ifd_prefers_instructions_that_help_least, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
