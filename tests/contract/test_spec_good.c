/* Files that must compile, with the kinds of jobs/: those of
 * tests/golden/spec-good (with the plan they must have; SINTER_UPDATE_GOLDEN=1
 * writes it anew), all of examples/, and the example of every kind. */
#include "tests/support/test.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "common/file.h"
#include "common/memory.h"
#include "jobs/job_kind.h"
#include "sweep/plan.h"
#include "sweep/spec.h"
#include "tests/support/expansion_twin.h"

#define FOLDER   TEST_DATA "/golden/spec-good/"
#define EXAMPLES TEST_DATA "/../examples/"

enum { FILE_LIMIT = 4 << 20 };

/* No error, and no warning if it is to be `clean`. */
static json_t *compiled_file(const char *name, const char *text, bool clean)
{
    const struct spec_input input = {
        .file = name, .text = text, .size = strlen(text), .directory = "/data"
    };
    struct spec_problems problems;
    json_t *document = NULL;
    struct status st =
        spec_compile(&input, job_catalog(), &document, &problems);

    if (!status_failed(&st) && !(clean && problems.count > 0))
        return document;
    for (size_t i = 0; i < problems.count; i++)
        spec_print_problem(&problems.items[i], &input, false, stderr);
    fail_msg("%s: %s", name, status_failed(&st) ? st.message : "has warnings");
    return NULL;
}

static char *plan_text(json_t *document)
{
    AUTO(free_pointer) char *json = json_canonical(document);
    struct compiled *c = NULL;
    struct plan p;
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    assert_ok(compiled_parse(json, strlen(json), &c));
    assert_ok(plan_make(c, &p));
    (void)fprintf(out, "%s: %d points x %d, %d trials, %d excluded\n",
                  compiled_name(c), (int)p.points, (int)p.replicates,
                  (int)p.trials, (int)p.excluded);
    for (size_t i = 0; i < p.stage_count; i++)
        (void)fprintf(out, "%s %s: %d runs for %d trials\n", p.stages[i].name,
                      p.stages[i].kind, (int)p.stages[i].runs,
                      (int)p.stages[i].trials);
    for (size_t i = 0; i < json_array_size(p.sources); i++)
        (void)fprintf(out, "source %s\n",
                      json_text_or(json_array_get(p.sources, i), "url", "?"));
    (void)fclose(out);
    plan_release(&p);
    compiled_free(c);
    return text;
}

/* The broker's way to the jobs is the other programs'. */
static void compare_ways(const json_t *document)
{
    enum { MOST_TRIALS = 500 };
    AUTO(free_pointer) char *json = json_canonical(document);
    struct expansion_tally tally = { 0 };
    struct compiled *c = NULL;

    assert_ok(compiled_parse(json, strlen(json), &c));
    expansion_compare(c, MOST_TRIALS, &tally);
    assert_int_equal(tally.refused, 0);
    assert_true(tally.trials > 0);
    compiled_free(c);
}

static void compare_plan(const char *name, json_t *document)
{
    AUTO(free_pointer)
    char *path = xasprintf(FOLDER "%.*s.expected", (int)strlen(name) - 5, name);
    AUTO(free_pointer) char *text = plan_text(document);
    AUTO(free_pointer) char *expected = NULL;
    size_t size;

    if (getenv("SINTER_UPDATE_GOLDEN") != NULL)
        assert_ok(file_write(path, text, strlen(text)));
    assert_ok(file_read(path, FILE_LIMIT, &expected, &size));
    assert_string_equal(text, expected);
}

static int is_yaml(const struct dirent *entry)
{
    size_t length = strlen(entry->d_name);

    return length > 5 && strcmp(entry->d_name + length - 5, ".yaml") == 0;
}

static int compile_all(const char *folder, bool with_plan)
{
    struct dirent **names = NULL;
    int count = scandir(folder, &names, is_yaml, alphasort);

    for (int i = 0; i < count; i++) {
        AUTO(free_pointer)
        char *path = xasprintf("%s%s", folder, names[i]->d_name);
        AUTO(free_pointer) char *text = NULL;
        size_t size;
        json_t *document;

        assert_ok(file_read(path, FILE_LIMIT, &text, &size));
        document = compiled_file(names[i]->d_name, text, true);
        compare_ways(document);
        if (with_plan)
            compare_plan(names[i]->d_name, document);
        json_decref(document);
        free(names[i]);
    }
    free(names);
    return count;
}

static void test_good_files_have_the_plan_that_is_expected(void **state)
{
    (void)state;
    assert_true(compile_all(FOLDER, true) >= 10);
}

static void test_examples_check_clean(void **state)
{
    (void)state;
    (void)compile_all(EXAMPLES, false);
}

/* The example of a kind, indented under its place in a sweep file. */
static char *file_of(const struct catalog_kind *kind)
{
    const char *dot = strchr(kind->name, '.');
    const char *line = kind->example == NULL ? "" : kind->example;
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    (void)fprintf(out, "sinter: 1\nsources: {base: ./base, math: ./math, "
                       "code: ./code, lm: ./lm}\n");
    if (dot == NULL)
        (void)fprintf(out, "%s:\n", kind->name);
    else
        (void)fprintf(out, "merge: {merge_method: linear, models: [{model: "
                           "./a, parameters: {weight: 1}}, {model: ./b, "
                           "parameters: {weight: 1}}]}\nevaluate:\n it:\n");
    if (dot != NULL && strcmp(dot, ".command") != 0)
        (void)fprintf(out, "   builtin: %s\n", dot + 1);
    while (*line != '\0') {
        size_t length = strcspn(line, "\n");

        if (strncmp(line, "{}", 2) != 0)
            (void)fprintf(out, "   %.*s\n", (int)length, line);
        line += length + (line[length] == '\n' ? 1 : 0);
    }
    (void)fclose(out);
    return text;
}

static void test_the_example_of_every_kind_checks_clean(void **state)
{
    (void)state;
    for (const struct job_kind *const *kind = job_kinds; *kind != NULL;
         kind++) {
        AUTO(free_pointer) char *text = NULL;

        if ((*kind)->catalog.example == NULL)
            continue; /* 17b-kinds-of-programs.yaml */
        text = file_of(&(*kind)->catalog);
        json_decref(compiled_file((*kind)->catalog.name, text, false));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good_files_have_the_plan_that_is_expected),
        cmocka_unit_test(test_examples_check_clean),
        cmocka_unit_test(test_the_example_of_every_kind_checks_clean),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
