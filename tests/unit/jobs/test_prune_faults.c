/* What a prune refuses, and what it says: file, tensor, and what to do. */
#include "support/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/file.h"
#include "common/memory.h"
#include "jobs/data.h"
#include "jobs/recipe_mask.h"
#include "support/fake_fixture.h"
#include "support/tiny_files.h"
#include "support/tiny_llama.h"

#define OPT                                              \
    "{'model_type':'opt','hidden_size':16,'ffn_dim':24," \
    "'num_hidden_layers':2,'num_attention_heads':4,"     \
    "'vocab_size':260,'max_position_embeddings':32}"
#define TASKS                                                         \
    "'calibration':{'samples':40,'seed':3,'data':{'builtin':'tasks'," \
    "'mix':{'sort':1},'shortest':3,'longest':6,'split':'train'}}"
#define FC1 "model.decoder.layers.1.fc1.weight"

static const char *const methods[] = {
    "{'method':'magnitude','sparsity':0.5}",
    "{'method':'random','pattern':'2:4','seed':1}",
    "{'method':'wanda','sparsity':0.5,'scope':'row'," TASKS "}",
    "{'method':'sparsegpt','sparsity':0.5," TASKS "}",
};

/* By the job, where the method has one, or by who reads the model. */
static struct status prune(struct fake_context *f, const char *name,
                           const char *params)
{
    json_t *json = tiny_json("%s", params);
    bool fed = json_object_get(json, "calibration") != NULL;
    struct recipe_model *m = NULL;
    json_t *result = NULL, *model;
    struct status s;

    (void)json_object_set_new(json, "model", fake_context_source(f, name));
    model =
        json_pack("{s:{s:s, s:O}}", "$recipe", "kind", "prune", "params", json);
    s = fed ? tiny_run(f, "prune_fit", json, &result)
            : recipe_open(model, &f->context, &m);
    recipe_close(m);
    json_decref(model);
    json_decref(json);
    json_decref(result);
    return s;
}

static void write_opt(struct fake_context *f, struct tiny_files *t,
                      const char *name)
{
    tiny_files_of(t, OPT, DTYPE_F32, 5);
    tiny_files_write(t, f, name);
}

static struct tensor *find(struct tiny_files *t, const char *name)
{
    return (struct tensor *)(uintptr_t)tensor_find(&t->set, name);
}

static void test_models_that_are_not_whole_are_named(void **state)
{
    struct fake_context *f = *state;
    struct tiny_files t;
    struct tensor *fc1;

    write_opt(f, &t, "good");
    fc1 = find(&t, FC1);
    tiny_files_put(&t, FC1, 100, NAN);
    tiny_files_write(&t, f, "nan");
    tiny_files_put(&t, FC1, 100, 0.0F);
    fc1->shape[0] = 16;
    fc1->shape[1] = 24;
    tiny_files_write(&t, f, "turned");
    fc1->shape[0] = 24;
    fc1->shape[1] = 16;
    fc1->dtype = DTYPE_I32;
    tiny_files_write(&t, f, "whole");
    fc1->dtype = DTYPE_F32;
    fc1->name = FC1 "_";
    tiny_files_write(&t, f, "lacking");
    fake_context_write_model(f, "strange", &t.set, "{\"model_type\":\"odd\"}");
    fake_context_write_model(f, "bare", &t.set, NULL);
    for (size_t i = 0; i < COUNT_OF(methods); i++) {
        assert_ok(prune(f, "good", methods[i]));
        assert_fails(prune(f, "nan", methods[i]), STATUS_CORRUPT,
                     "tensor \"" FC1 "\" has a NaN or infinity at element 100 "
                     "of ");
        assert_fails(prune(f, "turned", methods[i]), STATUS_INVALID,
                     "turned/model.safetensors is 16x24; config.json asks for "
                     "24x16");
        assert_fails(prune(f, "whole", methods[i]), STATUS_INVALID,
                     "whole/model.safetensors holds I32, not floats");
        assert_fails(prune(f, "lacking", methods[i]), STATUS_INVALID,
                     "\"" FC1 "\" is missing; config.json asks for it with "
                     "shape 24x16");
        assert_fails(prune(f, "strange", methods[i]), STATUS_INVALID,
                     "gpt_neox");
        assert_fails(prune(f, "bare", methods[i]), STATUS_INVALID,
                     "give the directory of the model, not one file of it");
    }
    tiny_files_release(&t);
}

/* ---- calibration ----------------------------------------------------------------- */

struct file {
    const char *name;
    const void *bytes;
    size_t size;
    enum status_code code;
    const char *words;
};

static void check_data(struct fake_context *f, const char *method,
                       const struct file *file, size_t length)
{
    const char *path = fake_context_path(f, file->name);
    char params[1024];

    assert_ok(file_write(path, file->bytes, file->size));
    (void)snprintf(params, sizeof(params),
                   "{'method':'%s','sparsity':0.5,'scope':'row','calibration':"
                   "{'samples':2,'length':%zu,'data':{'format':'%s','file':"
                   "{'$source':{'url':'%s'}}}}}",
                   method, length,
                   strstr(file->name, ".bin") != NULL     ? "tokens"
                   : strstr(file->name, ".jsonl") != NULL ? "jsonl"
                                                          : "text",
                   path);
    if (file->words == NULL)
        assert_ok(prune(f, "good", params));
    else
        assert_fails(prune(f, "good", params), file->code, file->words);
}

static void test_data_that_cannot_be_fed_are_named(void **state)
{
    static const uint16_t beyond[] = { 1, 2, 260, 3, 4, 5, 6, 7, 8, 9, 10, 11 };
    static const struct file files[] = {
        { "good.txt", "what a model is fed, as text", 28, STATUS_INVALID,
          NULL },
        { "empty.txt", "", 0, STATUS_INVALID, "empty.txt is empty" },
        { "empty.bin", "", 0, STATUS_INVALID, "empty.bin is empty" },
        { "cut.bin", "\1\0\2", 3, STATUS_CORRUPT,
          "cut.bin, byte 3: ends inside a number of 2 bytes" },
        { "beyond.bin", beyond, sizeof(beyond), STATUS_INVALID,
          "beyond.bin: token 260, number 3 of the data, is outside the "
          "model's vocabulary of 260" },
        { "cut.jsonl", "{\"text\": \"whole\"}\n{\"text\": \"cu", 29,
          STATUS_CORRUPT, "cut.jsonl: line 2, column 11: premature" },
    };
    struct fake_context *f = *state;
    static const char text[] = "a text that is longer than the thirty-two "
                               "positions which the model has";
    const struct file longer = {
        "longer.txt", text, sizeof(text) - 1, STATUS_INVALID,
        "sequences of 33 tokens are too long for the model"
    };
    struct tiny_files t;

    write_opt(f, &t, "good");
    for (size_t i = 0; i < 2 * COUNT_OF(files); i++)
        check_data(f, i % 2 == 0 ? "wanda" : "sparsegpt", &files[i / 2], 8);
    check_data(f, "wanda", &longer, 33); /* than the model's positions */
    tiny_files_release(&t);
}

/* ---- nothing to go by ---------------------------------------------------------------- */

/* An output layer of zeros: all scores are equal, and what reads what it leaves
 * sees zeros. */
static void test_a_layer_of_zeros_is_pruned_like_any(void **state)
{
    struct fake_context *f = *state;
    struct tiny_files t;

    write_opt(f, &t, "good");
    for (uint64_t i = 0; i < find(&t, FC1)->count; i++)
        tiny_files_put(&t, FC1, i, 0.0F);
    tiny_files_write(&t, f, "zeros");
    for (size_t i = 0; i < COUNT_OF(methods); i++)
        assert_ok(prune(f, "zeros", methods[i]));
    tiny_files_release(&t);
}

static void test_memory_is_refused_with_numbers(void **state)
{
    struct fake_context *f = *state;
    struct tiny_files t;

    write_opt(f, &t, "good");
    f->context.memory_bytes = 9000;
    for (size_t i = 0; i < COUNT_OF(methods); i++)
        assert_fails(prune(f, "good", methods[i]), STATUS_NO_MEMORY,
                     "bytes, the slot has 9000; give the worker more --memory "
                     "or fewer slots");
    tiny_files_release(&t);
}

/* ---- sweep files ----------------------------------------------------------------------- */

static void test_sweeps_that_make_no_sense_are_refused(void **state)
{
    static const struct {
        const char *body, *path, *message;
    } rows[] = {
        { "{'method':'magnitude','pattern':'unstructured','sparsity':1}",
          "/sparsity", "a sparsity of 1 leaves no weight" },
        { "{'method':'magnitude','pattern':'unstructured','density':0}",
          "/density", "a density of 0 leaves no weight" },
        { "{'method':'magnitude','pattern':'unstructured','sparsity':0.5,'"
          "density':0.5}",
          "/density", "`sparsity` and `density` exclude each other" },
        { "{'method':'magnitude','pattern':'unstructured'}", "",
          "how many weights go is not said" },
        { "{'method':'magnitude','pattern':'4:4'}", "/pattern",
          "a pattern is N:M with 0 < N < M" },
        { "{'method':'wanda','pattern':'unstructured','sparsity':0.5}", "",
          "the method has to see what the model is fed" },
        { "{'method':'magnitude','pattern':'unstructured','sparsity':0.5,'rule'"
          ":'alpha'}",
          "/rule", "`alpha` is a rule of wanda alone" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        tiny_refuses("prune", rows[i].body, rows[i].path, rows[i].message);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            test_models_that_are_not_whole_are_named, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_data_that_cannot_be_fed_are_named,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            test_a_layer_of_zeros_is_pruned_like_any, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_memory_is_refused_with_numbers,
                                        set_up, tear_down),
        cmocka_unit_test(test_sweeps_that_make_no_sense_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
