/* A file that is the body of one stage: a mergekit file as it is. */
#include "tests/support/test.h"

#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "jobs/job_kind.h"
#include "sweep/spec.h"

static const char good[] = "merge_method: dare_ties\n"
                           "base_model: org/base\n"
                           "models:\n"
                           "  - model: org/math\n"
                           "    parameters: {weight: 0.5, density: 0.5}\n"
                           "  - model: lost\n"
                           "    parameters: {weight: 0.5, density: 0.5}\n"
                           "dtype: bfloat16\n";

/* "lost" is no model and "a b" cannot be one; anything else is of the hub. */
static char *locate(void *self, const char *text)
{
    assert_ptr_equal(self, good);
    if (strcmp(text, "lost") == 0)
        return xstrdup(text);
    if (strcmp(text, "secret") == 0)
        return xstrdup("https://user:word@host/m/");
    return xasprintf("hf://%s", text);
}

static struct status compile(const char *text, const char *override,
                             json_t **ret_params,
                             struct spec_problems *ret_problems)
{
    const struct spec_override overrides[] = { { .text = override } };
    const struct spec_input input = { .file = "m.yaml",
                                      .text = text,
                                      .size = strlen(text),
                                      .directory = "/here",
                                      .overrides = overrides,
                                      .override_count = override != NULL,
                                      .locate = locate,
                                      .self = (void *)(uintptr_t)good };

    return spec_compile_body(&input, job_catalog(), "merge", ret_params,
                             ret_problems);
}

/* `good` with the first `from` replaced. */
static char *changed(const char *from, const char *to)
{
    const char *at = strstr(good, from);

    assert_non_null(at);
    return xasprintf("%.*s%s%s", (int)(at - good), good, to, at + strlen(from));
}

static void test_a_body_is_its_parameters(void **state)
{
    AUTO(free_pointer) char *text = changed("lost", "org/code");
    AUTO(json_release) json_t *params = NULL;
    struct spec_problems problems;

    (void)state;
    assert_ok(compile(text, NULL, &params, &problems));
    assert_int_equal(problems.count, 0);
    assert_string_equal(json_text_or(params, "merge_method", ""), "dare_ties");
    assert_string_equal(json_text_or(params, "variant", ""), "mergekit");
    assert_string_equal(
        json_text_or(
            json_object_get(json_object_get(params, "base_model"), "$source"),
            "url", ""),
        "hf://org/base");
    assert_string_equal(
        json_text_or(json_object_get(params, "seed"), "$param", ""), "seed");
}

static void test_an_override_takes_the_place_of_a_key(void **state)
{
    AUTO(free_pointer) char *text = changed("lost", "org/code");
    AUTO(json_release) json_t *params = NULL;
    AUTO(json_release) json_t *seeded = NULL;
    struct spec_problems problems;

    (void)state;
    assert_ok(compile(text, "merge.variant=mergelm", &params, &problems));
    assert_string_equal(json_text_or(params, "variant", ""), "mergelm");
    assert_ok(compile(text, "merge.seed=7", &seeded, &problems));
    assert_int_equal(json_int_or(seeded, "seed", 0), 7);
}

/* What is wrong, and exactly where. */
static void check_problem(const char *text, const char *override, uint32_t line,
                          uint32_t column, const char *words)
{
    struct spec_problems problems;
    json_t *params = NULL;

    assert_fails(compile(text, override, &params, &problems), STATUS_INVALID,
                 words);
    assert_null(params);
    assert_int_equal(problems.count, 1);
    assert_int_equal(problems.items[0].line, line);
    assert_int_equal(problems.items[0].column, column);
}

static void test_mistakes_have_their_place_in_the_file(void **state)
{
    static const struct {
        const char *from, *to;
        uint32_t line, column;
        const char *words;
    } rows[] = {
        { "org/base", "org/base", 6, 12, "\"lost\" is no path that exists" },
        { "lost", "secret", 6, 12, "holds a user name or password" },
        { "lost", "a b", 6, 12, "has blanks" },
        { "dare_ties", "dare_tise", 1, 15, "dare_tise" },
        { "dtype: bf", "dtype: cf", 8, 8, "cfloat16" },
        { "density: 0.5", "density: 1.5", 5, 40, "1.5" },
        { "dtype", "dtypo", 8, 1, "dtypo" },
        { "org/base", "$base", 2, 13, "$base" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        AUTO(free_pointer) char *first = changed(rows[i].from, rows[i].to);
        AUTO(free_pointer) char *text = NULL;
        char *lost = i == 0 ? NULL : strstr(first, "lost");

        if (lost != NULL)
            memcpy(lost, "a/bc", 4);
        text = xstrdup(first);
        check_problem(text, NULL, rows[i].line, rows[i].column, rows[i].words);
    }
}

static void test_other_files_are_told_apart(void **state)
{
    AUTO(free_pointer) char *fine = changed("lost", "org/code");

    (void)state;
    check_problem("sinter: 1\nmerge: {}\n", NULL, 1, 1, "this is a sweep file");
    check_problem("[]\n", NULL, 1, 1, "no map of keys");
    check_problem("a: [\n", NULL, 2, 1, "");
    check_problem(fine, "merge.variant=nope", 0, 1, "no variant \"nope\"");
    check_problem(fine, "merge.seed=x", 0, 1, "`seed` takes an integer");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_body_is_its_parameters),
        cmocka_unit_test(test_an_override_takes_the_place_of_a_key),
        cmocka_unit_test(test_mistakes_have_their_place_in_the_file),
        cmocka_unit_test(test_other_files_are_told_apart),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
