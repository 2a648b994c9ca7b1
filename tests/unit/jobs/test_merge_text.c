/* A merge written as a mergekit configuration and read again is that merge:
 * every method of the table, and every form of a body. */
#include "support/test.h"

#include "common/file.h"
#include "common/memory.h"
#include "jobs/job_kind.h"
#include "jobs/merge/merge_method.h"
#include "jobs/merge_text.h"
#include "sweep/compiled.h"
#include "sweep/spec.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

/* The model of a sweep whose body is `text`, each line of it indented. */
static json_t *model_of(const char *text)
{
    char *file = NULL, *json;
    size_t size = 0;
    FILE *out = open_memstream(&file, &size);
    struct spec_input input = { .file = "test", .directory = "/data" };
    struct spec_problems problems;
    json_t *document = NULL, *values, *model;
    struct compiled *c;
    bool excluded;

    (void)fprintf(out, "sinter: 1\nsources: {base: /m/base, math: /m/math, "
                       "code: /m/code, chat: /m/chat, wide: /m/wide, plain: "
                       "/m/plain, spoken: /m/spoken, tools: /m/tools}\n"
                       "merge:\n");
    while (*text != '\0') {
        size_t length = strcspn(text, "\n");

        (void)fprintf(out, "  %.*s\n", (int)length, text);
        text += length + (text[length] == '\n' ? 1 : 0);
    }
    (void)fprintf(out, "evaluate: {size: {builtin: footprint}}\n");
    (void)fclose(out);
    input.text = file;
    input.size = strlen(file);
    if (spec_compile(&input, job_catalog(), &document, &problems).code !=
        STATUS_SUCCESS)
        spec_print_problem(&problems.items[0], &input, false, stderr);
    assert_non_null(document);
    json = json_canonical(document);
    assert_ok(compiled_parse(json, strlen(json), &c));
    assert_ok(compiled_trial(c, 0, &values, &excluded));
    assert_ok(compiled_model(c, values, &model));
    compiled_free(c);
    json_decref(values);
    json_decref(document);
    free(json);
    free(file);
    return model;
}

static struct status text_of(const json_t *model, char **ret_text)
{
    struct buf out;
    struct status st;

    buf_init(&out, 1 << 20);
    st = merge_text(model, &out);
    if (!status_failed(&st))
        *ret_text = buf_take(&out);
    buf_release(&out);
    return st;
}

static void assert_round_trip(const char *body)
{
    json_t *before = model_of(body), *after;
    char *text = NULL;

    assert_ok(text_of(before, &text));
    after = model_of(text);
    if (!json_equal(before, after))
        fail_msg("not the same merge:\n%s\nas\n%s", body, text);
    json_decref(before);
    json_decref(after);
    free(text);
}

static void add_parameters(FILE *out, const struct merge_method *m,
                           const char *indent)
{
    for (const struct merge_use *u = m->uses; u->most > 0.0; u++) {
        double number = u->required ? 0.5 : u->otherwise;

        (void)fprintf(out, "%s%s: %.17g\n", indent,
                      merge_parameters[u->parameter].name, number);
    }
}

/* A body with all that the method takes. */
static char *body_of(const struct merge_method *m)
{
    char *text = NULL;
    size_t size = 0;
    size_t models = m->least_models > 2 ? m->least_models : 2;
    FILE *out = open_memstream(&text, &size);

    if (m->most_models > 0 && models > m->most_models)
        models = m->most_models;
    (void)fprintf(out, "merge_method: %s\n", m->name);
    if (m->variant != NULL)
        (void)fprintf(out, "variant: %s\n", m->variant);
    if (m->base || m->base_is_model)
        (void)fprintf(out, "base_model: %s\n",
                      m->base ? "/models/base" : "/models/0");
    (void)fprintf(out, "models:\n");
    for (size_t i = 0; i < models; i++)
        (void)fprintf(out, "  - model: /models/%zu\n", i);
    (void)fprintf(out, "parameters:%s\n",
                  m->uses->most > 0.0 || m->choices != NULL ? "" : " {}");
    add_parameters(out, m, "  ");
    for (const struct merge_choice *c = m->choices;
         c != NULL && c->option != MERGE_OPTIONS; c++)
        (void)fprintf(out, "  %s: %s\n", merge_options[c->option].name,
                      merge_options[c->option].words[c->otherwise]);
    (void)fprintf(out, "dtype: float32\n%s", m->draws ? "seed: 7\n" : "");
    (void)fclose(out);
    return text;
}

static bool mergekit_has(const struct merge_method *m)
{
    static const char *const ours[] = { "average", "pcb", "dare_pcb",
                                        "magnitude_linear" };

    for (size_t i = 0; i < COUNT_OF(ours); i++) {
        if (strcmp(m->name, ours[i]) == 0)
            return false;
    }
    return m->variant == NULL || strcmp(m->variant, "mergekit") == 0;
}

static void test_every_method_comes_back_or_is_refused(void **state)
{
    size_t written = 0, refused = 0;

    (void)state;
    for (const struct merge_method *m = merge_methods; m->name != NULL; m++) {
        AUTO(free_pointer) char *body = body_of(m);
        json_t *model = NULL;
        char *text = NULL;

        if (mergekit_has(m)) {
            assert_round_trip(body);
            written++;
            continue;
        }
        model = model_of(body);
        assert_fails(text_of(model, &text), STATUS_INVALID, "--format json");
        json_decref(model);
        refused++;
    }
    assert_true(written >= 15 && refused >= 5);
}

static const char *const forms[] = {
    /* numbers over depth, by filters, by models */
    "merge_method: ties\nbase_model: /m/base\nmodels:\n"
    "  - model: /m/base\n"
    "  - {model: /m/a, parameters: {weight: [0.1, 0.9], density: 1e-3}}\n"
    "  - model: /m/b\n    parameters:\n      weight: 0.1\n      density:\n"
    "        - {filter: mlp, value: [0.5, 1]}\n"
    "        - {filter: \"*\", value: 0.25}\n"
    "parameters: {normalize: false, lambda: 1.0e-05}\nout_dtype: bfloat16\n",
    /* sources of every sort */
    "merge_method: linear\nmodels:\n"
    "  - {model: \"file:///m/with%20blank\", parameters: {weight: 1}}\n"
    "  - {model: hf://org/name@main, parameters: {weight: 0.2}}\n"
    "  - {model: org/other, parameters: {weight: 0.3}}\n"
    "  - {model: https://host/dir/, parameters: {weight: -1.5}}\n"
    "  - {model: s3://bucket/key/, parameters: {weight: 0.25}}\n",
    /* slices */
    "merge_method: passthrough\nslices:\n"
    "  - sources: [{model: /m/a, layer_range: [0, 2]}]\n"
    "  - sources: [{model: /m/b, layer_range: [1, 3], parameters: "
    "{scale: 0.5}}]\ndtype: float16\n",
    "merge_method: slerp\nbase_model: /m/a\nslices:\n"
    "  - sources:\n"
    "      - {model: /m/a, layer_range: [0, 4]}\n"
    "      - {model: /m/b, layer_range: [0, 4]}\n"
    "parameters:\n  t:\n    - {filter: self_attn, value: [0, 0.5, 1]}\n"
    "    - {filter: mlp, value: [1, 0.5, 0]}\n    - value: 0.5\n"
    "dtype: bfloat16\n",
    /* the rest of the keys */
    "merge_method: dare_linear\nbase_model: /m/base\nmodels:\n"
    "  - {model: /m/a, parameters: {weight: 1, density: 0.5}}\n"
    "parameters: {rescale_rule: l1, int8_mask: true}\n"
    "tokenizer_source: union\non_shape_mismatch: submatrix\n"
    "exclude: [lm_head, \"yes\"]\nseed: 11\n",
};

static void test_every_form_comes_back(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(forms); i++)
        assert_round_trip(forms[i]);
}

static int is_yaml(const struct dirent *entry)
{
    size_t length = strlen(entry->d_name);

    return length > 5 && strcmp(entry->d_name + length - 5, ".yaml") == 0;
}

/* Configurations as people write them; those of methods that mergekit lacks
 * are refused. */
static void test_configurations_of_people_come_back(void **state)
{
    static const char folder[] = TEST_DATA "/golden/recipes/";
    struct dirent **names = NULL;
    int count = scandir(folder, &names, is_yaml, alphasort);

    (void)state;
    assert_true(count >= 25);
    for (int i = 0; i < count; i++) {
        AUTO(free_pointer)
        char *path = xasprintf("%s%s", folder, names[i]->d_name);
        AUTO(free_pointer) char *body = NULL;
        size_t size;

        assert_ok(file_read(path, 1 << 20, &body, &size));
        if (strstr(body, "merge_method: pcb") == NULL &&
            strstr(body, "variant: ") == NULL)
            assert_round_trip(body);
        free(names[i]);
    }
    free(names);
}

static void test_it_reads_like_a_configuration(void **state)
{
    AUTO(json_release)
    json_t *model = model_of(
        "merge_method: task_arithmetic\nbase_model: org/base@v1\nmodels:\n"
        "  - {model: /m/a, parameters: {weight: 1e-7}}\ndtype: bfloat16\n");
    AUTO(free_pointer) char *text = NULL;

    (void)state;
    assert_ok(text_of(model, &text));
    assert_non_null(strstr(text, "merge_method: task_arithmetic\n"
                                 "base_model: org/base@v1\n"
                                 "models:\n"
                                 "  - model: /m/a\n"
                                 "    parameters:\n"
                                 "      weight: 1.0e-07\n"));
    assert_non_null(strstr(text, "\ndtype: bfloat16\n"));
    assert_null(strstr(text, "variant"));
}

static void test_what_the_sweep_makes_has_no_name(void **state)
{
    AUTO(json_release)
    json_t *model = model_of("merge_method: linear\nmodels:\n"
                             "  - {model: /m/a, parameters: {weight: 1}}\n"
                             "  - {model: /m/b, parameters: {weight: 1}}\n");
    json_t *params =
        json_object_get(json_object_get(model, "$recipe"), "params");
    AUTO(json_release) json_t *alone = json_pack("{s:{}}", "$source");
    char *text = NULL;

    (void)state;
    (void)json_object_set_new(
        json_array_get(json_object_get(params, "models"), 1), "model",
        json_pack("{s:s}", "$job", "00"));
    assert_fails(text_of(model, &text), STATUS_INVALID,
                 "made by the sweep itself (trained)");
    assert_fails(text_of(alone, &text), STATUS_INVALID, "is not a merge");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_method_comes_back_or_is_refused),
        cmocka_unit_test(test_every_form_comes_back),
        cmocka_unit_test(test_configurations_of_people_come_back),
        cmocka_unit_test(test_it_reads_like_a_configuration),
        cmocka_unit_test(test_what_the_sweep_makes_has_no_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
