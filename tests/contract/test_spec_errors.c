/* Every broken file of tests/golden/spec against what `sinter check` prints
 * for it, with the kinds of jobs/. SINTER_UPDATE_GOLDEN=1 writes the expected
 * texts anew; read the difference before it is committed. */
#include "tests/support/test.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/file.h"
#include "common/memory.h"
#include "jobs/job_kind.h"
#include "sweep/problem.h"
#include "sweep/spec.h"

#define FOLDER TEST_DATA "/golden/spec/"

enum { MOST_FILES = 256, MOST_OVERRIDES = 8, FILE_LIMIT = 4 << 20 };

struct broken {
    char *text;
    size_t size;
    char *overrides[MOST_OVERRIDES];
    struct spec_override override_rows[MOST_OVERRIDES];
    struct spec_input input;
};

/* Lines "# --set NAME=VALUE" of the file stand for the command line. */
static void read_overrides(struct broken *b)
{
    const char *line = b->text;

    while (strncmp(line, "# --set ", 8) == 0) {
        size_t length = strcspn(line, "\n");
        size_t i = b->input.override_count++;

        b->overrides[i] = xstrndup(line + 8, length - 8);
        b->override_rows[i].text = b->overrides[i];
        line += length + 1;
    }
}

static void open_broken(struct broken *b, const char *name)
{
    AUTO(free_pointer) char *path = xasprintf(FOLDER "%s", name);

    *b = (struct broken){ 0 };
    assert_ok(file_read(path, FILE_LIMIT, &b->text, &b->size));
    read_overrides(b);
    b->input.file = name;
    b->input.text = b->text;
    b->input.size = b->size;
    b->input.directory = "/data";
    b->input.overrides = b->override_rows;
}

static void close_broken(struct broken *b)
{
    for (size_t i = 0; i < b->input.override_count; i++)
        free(b->overrides[i]);
    free(b->text);
}

/* What `sinter check` would print; notes which codes came. */
static char *printed(const struct spec_input *input, bool *seen)
{
    struct spec_problems problems;
    json_t *document = NULL;
    struct status st = spec_compile(input, job_catalog(), &document, &problems);
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    assert_int_equal(status_failed(&st), problem_is_error(&problems));
    assert_true(problems.count > 0);
    for (size_t i = 0; i < problems.count; i++) {
        const struct spec_problem *p = &problems.items[i];
        json_t *json = spec_problem_json(p, input);

        spec_print_problem(p, input, false, out);
        (void)fputc('\n', out);
        assert_string_equal(json_text_or(json, "code", ""), p->code);
        json_decref(json);
        for (size_t code = 0; code < PROBLEM_COUNT; code++) {
            if (strcmp(problem_rows[code].code, p->code) == 0)
                seen[code] = true;
        }
    }
    (void)fclose(out);
    json_decref(document);
    return text;
}

static void compare(const char *name, const char *text)
{
    AUTO(free_pointer)
    char *path = xasprintf(FOLDER "%.*s.expected", (int)strlen(name) - 5, name);
    AUTO(free_pointer) char *expected = NULL;
    size_t size;

    if (getenv("SINTER_UPDATE_GOLDEN") != NULL)
        assert_ok(file_write(path, text, strlen(text)));
    assert_ok(file_read(path, FILE_LIMIT, &expected, &size));
    if (strcmp(expected, text) != 0)
        fail_msg("%s prints\n%s\ninstead of\n%s", name, text, expected);
}

static int is_yaml(const struct dirent *entry)
{
    size_t length = strlen(entry->d_name);

    return length > 5 && strcmp(entry->d_name + length - 5, ".yaml") == 0;
}

static void test_every_broken_file_prints_what_is_expected(void **state)
{
    bool seen[PROBLEM_COUNT] = { false };
    struct dirent **names = NULL;
    int count = scandir(FOLDER, &names, is_yaml, alphasort);

    (void)state;
    assert_true(count >= 24 && count < MOST_FILES);
    for (int i = 0; i < count; i++) {
        struct broken b;
        char *text;

        open_broken(&b, names[i]->d_name);
        text = printed(&b.input, seen);
        compare(names[i]->d_name, text);
        free(text);
        close_broken(&b);
        free(names[i]);
    }
    free(names);
    for (size_t code = 0; code < PROBLEM_COUNT; code++) {
        if (!seen[code])
            fail_msg("no broken file gives %s", problem_rows[code].code);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_broken_file_prints_what_is_expected),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
