/* Selections from file to ids: what each stage depends on, that parts and
 * kills do not matter, and input that is wrong. The mathematics is in
 * test_select_*.c. */
#include "support/test.h"

#include <math.h>

#include "jobs/data.h"
#include "jobs/model_input.h"
#include "jobs/select/jsd.h"
#include "support/select_fixture.h"

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

static void test_minilm_is_an_encoder_of_the_hub(void **state)
{
    AUTO(json_release) json_t *body = body_of("'embed':'minilm','parts':1");
    AUTO(json_release) json_t *stages = select_stages(body, "s");
    const json_t *encode = NULL;

    (void)state;
    for (size_t i = 0; i < json_array_size(stages); i++)
        if (strcmp(json_text_or(json_array_get(stages, i), "kind", ""),
                   "select_encode") == 0)
            encode = json_array_get(stages, i);
    encode = json_object_get(json_object_get(encode, "params"), "model");
    assert_string_equal(
        json_text_or(json_object_get(encode, "$source"), "url", ""),
        "hf://sentence-transformers/all-MiniLM-L6-v2");
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
        { "proportional", 1 + 3 + 3 + 3 },
        { "longest", 1 + 3 },
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
        size_t count = i == 0 ? COUNT_OF(parts) : 2;
        AUTO(free_pointer) char *wanted = NULL;

        for (size_t k = 0; k < count; k++) {
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
                 "the selection is empty: its budget is 0 of 100 samples; left "
                 "out: {\"budget\"");
}

/* Of fewer samples: it runs many times. */
#define FEW "'data':{'builtin':'tasks','items':40,'predict':'answers'}"

static void test_each_key_says_what_is_selected(void **state)
{
    static const struct {
        const char *one, *other;
    } rows[] = {
        { "'cost':'square'", "'cost':'none'" },
        { "'budget_mode':'floor','budget':29",
          "'budget_mode':'capped','budget':29" },
        { "'method':'proportional','budget':6",
          "'method':'proportional','budget':6,'min_per_cluster':2" },
        { "'cluster_order':'canonical'", "'cluster_order':'degradation'" },
        { "'method':'random','seed':1", "'method':'random','seed':2" },
        { "'method':'topjsd','tau':1", "'method':'topjsd','tau':3" },
        { "'method':'topjsd','length':32", "'method':'topjsd','length':14" },
        { "'method':'uniform'", "'method':'proportional'" },
    };

    (void)state;
    write_models();
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        AUTO(free_pointer) char *a = xasprintf("%s," FEW, rows[i].one);
        AUTO(free_pointer) char *b = xasprintf("%s," FEW, rows[i].other);
        AUTO(free_pointer) char *one = NULL;
        AUTO(free_pointer) char *other = NULL;

        assert_ok(run_all(a));
        one = file_of("selection.jsonl");
        assert_ok(run_all(b));
        other = file_of("selection.jsonl");
        if (strcmp(one, other) == 0)
            fail_msg("%s changes nothing", rows[i].other);
    }
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

static void test_the_table_has_a_row_for_each_sample(void **state)
{
    AUTO(free_pointer) char *table = NULL;

    (void)state;
    write_models();
    write_pool("{\"prompt\":\"one\",\"answer\":\"1\"}\n"
               "\n"
               "{\"prompt\":\"two\",\"answer\":\"\"}\n"
               "{\"prompt\":\"one\",\"answer\":\"1\"}\n"
               "{\"prompt\":\"four\",\"answer\":\"4\"}\n");
    assert_ok(run_all("'budget':1"));
    table = file_of("selection.csv");
    assert_int_equal(lines_of("selection.csv"), 1 + 4);
    assert_ptr_equal(strstr(table, "place,id,line,reason,cluster,jsd,ifd,cost,"
                                   "score,pair,of,why\n1,"),
                     table);
    assert_non_null(strstr(table, "\n2,"));
    assert_non_null(
        strstr(table, "\n,1,3,\"invalid\",,,,,,,,\"its answer is empty\"\n"));
    assert_non_null(strstr(table, "\n,2,4,\"duplicate\",,,,,,,0,\n"));
}

/* Whatever comes first: two of three are taken, and the third joins what they
 * do not. */
static void test_a_conflict_is_told_by_its_concepts(void **state)
{
    AUTO(free_pointer) char *table = NULL;
    AUTO(free_pointer) char *rejected = NULL;
    AUTO(json_release) json_t *line = NULL;
    const json_t *pair;

    (void)state;
    write_models();
    write_pool("{\"prompt\":\"red, blue\",\"answer\":\"the\"}\n"
               "{\"prompt\":\"blue, green\",\"answer\":\"the\"}\n"
               "{\"prompt\":\"red, green\",\"answer\":\"the\"}\n");
    assert_ok(run_all("'budget':3,'clusters':'1','conflicts':true"));
    assert_int_equal(number_of("selected"), 2);
    assert_int_equal(number_of("unspent"), 1);
    rejected = file_of("rejected.jsonl");
    assert_ok(json_parse(rejected, strlen(rejected), "rejected", &line));
    assert_string_equal(json_text_or(line, "reason", ""), "conflict");
    assert_int_equal(json_int_or(line, "pairs", 0), 1);
    pair = json_object_get(line, "pair");
    assert_int_equal(json_array_size(pair), 2);
    table = file_of("selection.csv");
    assert_non_null(strstr(table, "\"conflict\",0,"));
    assert_non_null(strstr(table, " / "));
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

static void test_the_longest_are_those_with_most_tokens(void **state)
{
    AUTO(free_pointer) char *text = NULL;

    (void)state;
    write_models();
    write_pool("{\"prompt\":\"ab\",\"answer\":\"c\"}\n"
               "{\"prompt\":\"a\",\"answer\":\"much more than that\"}\n"
               "{\"prompt\":\"a longer prompt\",\"answer\":\"c\"}\n");
    assert_ok(run_all("'method':'longest','budget':2,'parts':1"));
    text = file_of("selection.jsonl");
    assert_string_equal(
        text, "{\"id\":1,\"line\":2,\"reason\":\"selected\",\"score\":22}\n"
              "{\"id\":2,\"line\":3,\"reason\":\"selected\",\"score\":18}\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            test_a_stage_knows_only_what_it_depends_on, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            test_a_method_has_no_stage_it_does_not_need, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_minilm_is_an_encoder_of_the_hub,
                                        set_up, tear_down),
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
        cmocka_unit_test_setup_teardown(test_each_key_says_what_is_selected,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_budgets_beyond_the_pool, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_small_and_equal_pools, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(
            test_what_cannot_be_selected_is_told_why, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            test_the_table_has_a_row_for_each_sample, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_conflict_is_told_by_its_concepts,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_broken_line_is_named, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(
            test_models_of_other_vocabularies_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            test_too_little_memory_is_told_with_numbers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            test_ifd_prefers_instructions_that_help_least, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            test_the_longest_are_those_with_most_tokens, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
