/* Perplexity and accuracy of files: windows, tokenizers, questions. */
#include "support/test.h"

#include "common/file.h"
#include "common/memory.h"
#include "jobs/job_kind.h"
#include "support/fake_fixture.h"
#include "support/tiny_llama.h"
#include "support/tiny_mlp.h"
#include "support/tiny_tokenizer.h"

#include <math.h>
#include <string.h>

static json_t *file_of(const char *name, const char *text)
{
    assert_ok(file_write(fake_context_path(fake, name), text, strlen(text)));
    return fake_context_source(fake, name);
}

static json_t *run(const char *kind, json_t *model, json_t *data,
                   const char *more)
{
    json_t *params = tiny_json("%s", more), *result;

    (void)json_object_set_new(params, "model", model);
    (void)json_object_set_new(params, "data", data);
    assert_ok(tiny_run(fake, kind, params, &result));
    json_decref(params);
    return result;
}

static const char text[] = "s:dcab=abcd and s:zyx=xyz and r:abcd=dcba and so "
                           "on, as far as it goes.";

static void test_the_result_says_how_tokens_were_counted(void **state)
{
    static const struct {
        const char *more, *windows;
        int tokens;
    } cases[] = {
        { "{'context':12}", "side by side", 71 },
        { "{'context':12,'tail':'drop'}", "side by side", 66 },
        { "{'context':12,'stride':4}", "overlapping, new tokens counted", 71 },
        { "{'context':12,'stride':4,'tail':'drop'}",
          "overlapping, new tokens counted", 71 },
        { "{'context':12,'tokens':20}", "side by side", 22 },
    };
    json_t *model = tiny_model(fake, 5);

    (void)state;
    assert_int_equal(strlen(text), 71);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        json_t *result = run("evaluate.perplexity", json_incref(model),
                             file_of("a.txt", text), cases[i].more);
        const json_t *how = json_object_get(result, "how");

        assert_string_equal(json_text_or(how, "windows", ""), cases[i].windows);
        assert_int_equal((int)tiny_metric(result, "tokens"), cases[i].tokens);
        assert_int_equal(json_int_or(how, "context", 0), 12);
        json_decref(result);
    }
    json_decref(model);
}

/* The mean over windows of equal length is the mean over tokens. */
static void test_strides_see_more_context(void **state)
{
    json_t *model = tiny_model(fake, 60);
    json_t *apart = run("evaluate.perplexity", json_incref(model),
                        file_of("a.txt", text), "{'context':8}");
    json_t *close = run("evaluate.perplexity", json_incref(model),
                        file_of("a.txt", text), "{'context':8,'stride':1}");

    (void)state;
    assert_true(tiny_metric(apart, "tokens") == tiny_metric(close, "tokens"));
    assert_true(tiny_metric(apart, "loss") != tiny_metric(close, "loss"));
    json_decref(model);
    json_decref(apart);
    json_decref(close);
}

/* A fresh model whose directory has a tokenizer of 263 tokens. */
static json_t *with_tokenizer(int vocab)
{
    json_t *json = tiny_json("{'model_type':'llama','hidden_size':8,"
                             "'num_hidden_layers':1,'num_attention_heads':1,"
                             "'intermediate_size':8,'vocab_size':%d,"
                             "'max_position_embeddings':64,'hidden_act':'silu',"
                             "'rms_norm_eps':1e-5}",
                             vocab);
    json_t *tokenizer = tiny_tokenizer(), *source;
    struct model_config c;
    struct model *m;
    char *bytes = json_canonical(tokenizer);

    assert_ok(model_config_read(json, &c));
    assert_ok(model_new(&c, 0, &m));
    source = tiny_mlp_write(fake, m, "bpe");
    assert_ok(file_write(fake_context_path(fake, "bpe/tokenizer.json"), bytes,
                         strlen(bytes)));
    model_free(m);
    free(bytes);
    json_decref(json);
    json_decref(tokenizer);
    return source;
}

static void test_a_model_brings_its_tokenizer(void **state)
{
    json_t *result = run("evaluate.perplexity", with_tokenizer(263),
                         file_of("a.txt", "the then the"), "{'context':16}");

    (void)state;
    /* 83 258 | 262 77 | 262: the first is not predicted */
    assert_true(tiny_metric(result, "tokens") == 4.0);
    json_decref(result);
}

static void test_a_tokenizer_too_large_for_the_model_is_refused(void **state)
{
    json_t *params = tiny_json("{}"), *result;

    (void)state;
    (void)json_object_set_new(params, "model", with_tokenizer(262));
    (void)json_object_set_new(params, "data", file_of("a.txt", "the"));
    assert_fails(tiny_run(fake, "evaluate.perplexity", params, &result),
                 STATUS_INVALID, "tokens up to 262");
    json_decref(params);
}

/* --- accuracy --------------------------------------------------------------------- */

static double loss_of(json_t *model, const char *line)
{
    json_t *result =
        run("evaluate.perplexity", model, file_of("one.jsonl", line), "{}");
    double loss = tiny_metric(result, "loss") * tiny_metric(result, "tokens");

    json_decref(result);
    return loss;
}

/* What a choice costs is what perplexity says of the same letters (and of the
 * end behind them, which makes less of a difference than length does). */
static void test_the_likeliest_choice_is_taken(void **state)
{
    static const char *const choices[] = { "a", "bb b", "zyxw" };
    json_t *model = tiny_model(fake, 80), *line, *result;
    char *lines;
    size_t best = 0;
    double least = HUGE_VAL;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(choices); i++) {
        char one[128];
        double cost;

        (void)snprintf(one, sizeof(one),
                       "{\"prompt\":\"s:ba=\",\"answer\":\" %s\"}", choices[i]);
        cost = loss_of(json_incref(model), one);
        if (cost < least) {
            least = cost;
            best = i;
        }
    }
    line = json_pack("{ss s[sss] si}", "question", "s:ba=", "choices",
                     choices[0], choices[1], choices[2], "answer", (int)best);
    lines = json_canonical(line);
    result = run("evaluate.accuracy", json_incref(model),
                 file_of("a.jsonl", lines), "{}");
    assert_true(tiny_metric(result, "items") == 1.0);
    assert_true(tiny_metric(result, "accuracy") == 1.0);
    assert_string_equal(
        json_text_or(json_object_get(result, "scores"), "items", ""), "1");
    json_decref(result);
    free(lines);
    (void)json_object_set_new(line, "answer",
                              json_integer((json_int_t)((best + 1) % 3)));
    lines = json_canonical(line);
    result = run("evaluate.accuracy", model, file_of("a.jsonl", lines), "{}");
    assert_true(tiny_metric(result, "accuracy") == 0.0);
    json_decref(result);
    json_decref(line);
    free(lines);
}

/* Equal choices: the first is taken, whatever they are divided by. */
static void test_of_equal_choices_the_first_is_taken(void **state)
{
    static const char lines[] =
        "{\"question\":\"q\",\"choices\":[\"x\",\"x\"],\"answer\":0}\n"
        "{\"question\":\"q\",\"choices\":[\"x\",\"x\"],\"answer\":1}\n"
        "{\"question\":\"q\",\"choices\":[\"x\",\"x\"],\"answer\":0}\n";
    json_t *result = run("evaluate.accuracy", tiny_model(fake, 3),
                         file_of("a.jsonl", lines), "{'limit':2}");

    (void)state;
    assert_true(tiny_metric(result, "items") == 2.0);
    assert_true(tiny_metric(result, "accuracy") == 0.5);
    assert_true(tiny_metric(result, "accuracy_norm") == 0.5);
    assert_string_equal(
        json_text_or(json_object_get(result, "scores"), "items", ""), "10");
    json_decref(result);
}

static void test_written_answers_are_right_letter_by_letter(void **state)
{
    json_t *result = run("evaluate.accuracy", tiny_model(fake, 3),
                         file_of("a.jsonl", "{\"prompt\":\"s:ba=\","
                                            "\"answer\":\"qqqq\"}"),
                         "{}");

    (void)state;
    assert_true(tiny_metric(result, "items") == 1.0);
    assert_true(tiny_metric(result, "accuracy") == 0.0);
    assert_true(tiny_metric(result, "accuracy_norm") == 0.0);
    json_decref(result);
}

static void test_choices_have_no_perplexity(void **state)
{
    json_t *params = tiny_json("{}"), *result;

    (void)state;
    (void)json_object_set_new(params, "model", tiny_model(fake, 1));
    (void)json_object_set_new(
        params, "data",
        file_of("a.jsonl", "{\"question\":\"q\",\"choices\":[\"x\",\"y\"],"
                           "\"answer\":0}"));
    assert_fails(tiny_run(fake, "evaluate.perplexity", params, &result),
                 STATUS_INVALID, "measure their accuracy");
    (void)json_object_set_new(params, "data", file_of("a.txt", "text"));
    assert_fails(tiny_run(fake, "evaluate.accuracy", params, &result),
                 STATUS_INVALID, "no answers");
    json_decref(params);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest all[] = {
        CASE(test_the_result_says_how_tokens_were_counted),
        CASE(test_strides_see_more_context),
        CASE(test_a_model_brings_its_tokenizer),
        CASE(test_a_tokenizer_too_large_for_the_model_is_refused),
        CASE(test_the_likeliest_choice_is_taken),
        CASE(test_of_equal_choices_the_first_is_taken),
        CASE(test_written_answers_are_right_letter_by_letter),
        CASE(test_choices_have_no_perplexity),
    };

    return cmocka_run_group_tests(all, NULL, NULL);
}
