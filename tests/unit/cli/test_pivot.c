/* Tables of `report.table` made of trials. */
#include "tests/support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/pivot.h"
#include "common/file.h"
#include "common/memory.h"

/* JSON with ' for ". */
static json_t *quoted(const char *text)
{
    AUTO(free_pointer) char *copy = xstrdup(text);
    json_t *json;

    for (char *at = copy; *at != '\0'; at++)
        *at = *at == '\'' ? '"' : *at;
    json = json_loads(copy, 0, NULL);
    assert_non_null(json);
    return json;
}

static const char cases[] =
    "'cases': [{'name': 'none'}, {'name': 'norm'}, {'name': 'full'}],"
    "'parameters': [{'name': 'sparsity', 'values': [0.7, 0.5]},"
    "               {'name': 'lr', 'values': [1, 2]}],"
    "'objective': {'metric': 'wiki.ppl', 'goal': 'minimize'}";

static json_t *spec_of(const char *table)
{
    AUTO(free_pointer)
    char *text = xasprintf("{%s, 'report': {'table': %s}}", cases, table);

    return quoted(text);
}

static void add_trial(json_t *trials, const char *name, double sparsity, int lr,
                      int seed, double ppl)
{
    json_t *trial =
        json_pack("{s:i, s:{s:s, s:f, s:i}, s:{s:f, s:f}}", "trial",
                  (int)json_array_size(trials) + 1, "values", "case", name,
                  "sparsity", sparsity, "seed", seed, "metrics", "wiki.ppl",
                  ppl, "size.share", strcmp(name, "full") == 0 ? 1.0 : 0.25);

    if (lr > 0)
        (void)json_object_set_new(json_object_get(trial, "values"), "lr",
                                  json_integer(lr));
    (void)json_array_append_new(trials, trial);
}

/* The order of the sweep is not that of the table. */
static json_t *some_trials(void)
{
    json_t *trials = json_array();

    for (int seed = 0; seed < 2; seed++) {
        double d = seed == 0 ? 0.25 : -0.25;

        add_trial(trials, "full", 0.5, 1, seed, 6.0 + d);
        add_trial(trials, "full", 0.7, 1, seed, 6.5);
        add_trial(trials, "norm", 0.5, 1, seed, 6.5);
        add_trial(trials, "norm", 0.5, 2, seed, 9.5);
        add_trial(trials, "norm", 0.7, 1, seed, 99.0);
        add_trial(trials, "norm", 0.7, 2, seed, 7.0 + d);
        add_trial(trials, "none", 0.5, 0, seed, 7.0);
        add_trial(trials, "none", 0.7, 0, seed, 9.0);
    }
    return trials;
}

static char *printed(const struct pivot *p, enum table_format format,
                     bool people)
{
    char *text = NULL;
    size_t size = 0;
    struct terminal out = { .width = SIZE_MAX };
    struct table *t = pivot_table(p, people, true);

    out.stream = open_memstream(&text, &size);
    table_print(t, format, &out, NULL);
    (void)fclose(out.stream);
    table_free(t);
    return text;
}

static const char papers[] =
    "{'rows': ['case'], 'columns': ['sparsity'], 'cell': 'wiki.ppl',"
    " 'best_over': ['lr'], 'beside': ['size.share'], 'format': '%.2f',"
    " 'gap': {'from': 'none', 'to': 'full'}}";

static void test_the_best_rate_stands_in_each_cell(void **state)
{
    AUTO(json_release) json_t *spec = spec_of(papers);
    AUTO(json_release) json_t *trials = some_trials();
    AUTO(free_pointer) char *text = NULL;
    struct pivot *p = NULL;

    (void)state;
    assert_ok(pivot_make(spec, trials, &p));
    text = printed(p, TABLE_MARKDOWN, true);
    assert_string_equal(
        text, "| case | size.share | sparsity 0.7 | sparsity 0.5 |\n"
              "| --- | ---: | ---: | ---: |\n"
              "| none | 0.25 | 9.00 | 7.00 |\n"
              "| norm | 0.25 | 7.00 \302\2610.25 (80 %) | 6.50 (50 %) |\n"
              "| full | 1 | 6.50 (100 %) | 6.00 \302\2610.25 (100 %) |\n");
    assert_string_equal(pivot_caption(p),
                        "wiki.ppl, best over lr; in brackets the share of the "
                        "gap from none to full that is closed");
    pivot_free(p);
}

static void test_programs_get_columns_of_their_own(void **state)
{
    AUTO(json_release) json_t *spec = spec_of(papers);
    AUTO(json_release) json_t *trials = some_trials();
    AUTO(free_pointer) char *text = NULL;
    struct pivot *p = NULL;

    (void)state;
    assert_ok(pivot_make(spec, trials, &p));
    text = printed(p, TABLE_CSV, false);
    assert_memory_equal(text,
                        "case,size.share,sparsity 0.7,sparsity 0.7 error,"
                        "sparsity 0.7 closed,",
                        60);
    assert_non_null(strstr(text, "norm,0.25,7,0.25,0.8,6.5,0,0.5"));
    pivot_free(p);
}

static void test_columns_may_be_metrics(void **state)
{
    AUTO(json_release)
    json_t *spec = spec_of("{'rows': ['case'], 'best_over': ['sparsity', 'lr'],"
                           " 'columns': ['wiki.ppl', 'size.share']}");
    AUTO(json_release) json_t *trials = some_trials();
    AUTO(free_pointer) char *text = NULL;
    struct pivot *p = NULL;

    (void)state;
    assert_ok(pivot_make(spec, trials, &p));
    text = printed(p, TABLE_MARKDOWN, true);
    assert_non_null(strstr(text, "| case | wiki.ppl | size.share |"));
    assert_non_null(strstr(text, "| norm | 6.5 | 0.25 |"));
    pivot_free(p);
}

static void test_an_empty_cell_is_a_dash(void **state)
{
    AUTO(json_release) json_t *spec = spec_of(papers);
    AUTO(json_release) json_t *trials = some_trials();
    AUTO(free_pointer) char *text = NULL;
    struct pivot *p = NULL;

    (void)state;
    for (size_t i = 0; i < json_array_size(trials); i++) {
        json_t *trial = json_array_get(trials, i);
        const json_t *values = json_object_get(trial, "values");

        if (strcmp(json_text_or(values, "case", ""), "norm") == 0 &&
            json_real_or(values, "sparsity", 0.0) > 0.6)
            (void)json_object_del(trial, "metrics");
        if (strcmp(json_text_or(values, "case", ""), "full") == 0 &&
            json_real_or(values, "sparsity", 0.0) > 0.6)
            (void)json_object_set_new(json_object_get(trial, "metrics"),
                                      "wiki.ppl", json_real(9.0));
    }
    assert_ok(pivot_make(spec, trials, &p));
    text = printed(p, TABLE_MARKDOWN, true);
    assert_non_null(strstr(text, "| norm | 0.25 | - | 6.50 (50 %) |"));
    /* Of a gap of nothing there is no share. */
    assert_non_null(strstr(text, "| full | 1 | 9.00 | 6.00"));
    pivot_free(p);
}

static void test_latex_escapes_what_means_something(void **state)
{
    char folder[] = "/tmp/test-pivot-XXXXXX";
    AUTO(json_release) json_t *spec = spec_of(papers);
    AUTO(json_release) json_t *trials = some_trials();
    AUTO(free_pointer) char *path = NULL;
    AUTO(free_pointer) char *text = NULL;
    struct pivot *p = NULL;
    size_t size = 0;

    (void)state;
    assert_non_null(mkdtemp(folder));
    add_trial(trials, "bias_norm", 0.5, 1, 0, 6.25);
    path = xasprintf("%s/t.tex", folder);
    assert_ok(pivot_make(spec, trials, &p));
    assert_ok(pivot_write(p, path));
    assert_ok(file_read(path, 1 << 20, &text, &size));
    assert_non_null(strstr(text, "\\begin{tabular}{lrrr}"));
    assert_non_null(
        strstr(text, "bias\\_norm & 0.25 & - & 6.25 (75 \\%) \\\\"));
    assert_ok(file_remove_tree(folder));
    pivot_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_best_rate_stands_in_each_cell),
        cmocka_unit_test(test_programs_get_columns_of_their_own),
        cmocka_unit_test(test_columns_may_be_metrics),
        cmocka_unit_test(test_an_empty_cell_is_a_dash),
        cmocka_unit_test(test_latex_escapes_what_means_something),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
