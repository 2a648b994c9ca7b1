/* What a sweep over each axis of a selection computes once and what again, from
 * the file to the keys of its jobs; and what its plan says. */
#include "support/test.h"

#include "common/memory.h"
#include "jobs/job_kind.h"
#include "sweep/plan.h"
#include "sweep/spec.h"

#include <string.h>

enum { PARTS = 3 };

/* A selection of a list of values for one key; `%s` are the other keys, the
 * axis as `key: $x`, and its values. */
static const char form[] = "sinter: 1\n"
                           "name: axes\n"
                           "stages:\n"
                           "  pruned: {prune: {model: /base, method: magnitude,"
                           " sparsity: %s}}\n"
                           "  chosen:\n"
                           "    select:\n"
                           "      original: /base\n"
                           "      pruned: $stages.pruned.model\n"
                           "      data: /pool.jsonl\n"
                           "      parts: 3\n"
                           "      %s\n"
                           "evaluate:\n"
                           "  loss: {builtin: perplexity, model: "
                           "$stages.pruned.model, data: $stages.chosen.data}\n"
                           "parameters:\n"
                           "  x: %s\n";

static json_t *document_of(const char *sparsity, const char *line,
                           const char *values)
{
    AUTO(free_pointer) char *text = xasprintf(form, sparsity, line, values);
    const struct spec_input input = { .file = "axes.yaml",
                                      .text = text,
                                      .size = strlen(text),
                                      .directory = "/data" };
    struct spec_problems problems;
    json_t *document = NULL;
    struct status st =
        spec_compile(&input, job_catalog(), &document, &problems);

    for (size_t i = 0; i < problems.count; i++)
        spec_print_problem(&problems.items[i], &input, false, stderr);
    assert_ok(st);
    return document;
}

static struct compiled *compile(const char *sparsity, const char *line,
                                const char *values)
{
    AUTO(json_release)
    json_t *document = document_of(sparsity, line, values);
    AUTO(free_pointer) char *json = json_canonical(document);
    struct compiled *c = NULL;

    assert_ok(compiled_parse(json, strlen(json), &c));
    return c;
}

/* Stages in the order in which they depend on each other. */
static const struct {
    const char *kind, *word;
    uint64_t once; /* runs for one point */
} kinds[] = {
    { "select_samples", "samples", 1 },
    { "select_hidden", "hidden", PARTS },
    { "select_embed", "embed", 1 },
    { "select_spectrum", "spectrum", 1 },
    { "select_clusters", "clusters", 1 },
    { "select_jsd", "jsd", PARTS },
    { "select", "select", 1 },
};

/* Which of them run twice for two values; the caller frees. */
static char *repeated(const char *sparsity, const char *line,
                      const char *values)
{
    struct compiled *c = compile(sparsity, line, values);
    char *text = xstrdup("");
    struct plan p;

    assert_ok(plan_make(c, &p));
    for (size_t k = 0; k < COUNT_OF(kinds); k++) {
        AUTO(free_pointer) char *before = text;
        uint64_t runs = 0;

        for (size_t i = 0; i < p.stage_count; i++)
            if (strcmp(p.stages[i].kind, kinds[k].kind) == 0)
                runs += p.stages[i].runs;
        if (runs != kinds[k].once && runs != 2 * kinds[k].once)
            fail_msg("%s: %s runs %d times", line, kinds[k].kind, (int)runs);
        text = xasprintf("%s%s%s", before, runs > kinds[k].once ? " " : "",
                         runs > kinds[k].once ? kinds[k].word : "");
    }
    plan_release(&p);
    compiled_free(c);
    return text;
}

static void test_an_axis_repeats_what_depends_on_it(void **state)
{
    static const struct {
        const char *line, *values, *wanted;
    } axes[] = {
        { "budget: $x", "[0.04, 0.2]", " select" },
        { "clusters: $x", "[auto, 10]", " clusters select" },
        { "clusters: $x", "[5, 30]", " clusters select" },
        { "sigma_scale: $x", "[0.5, 2]", " spectrum clusters select" },
        { "graph: $x", "[dense, knn]", " spectrum clusters select" },
        { "time: $x", "[0, 4]", " clusters select" },
        { "jsd: $x", "[mean_answer, sum_instruction]", " jsd select" },
        { "tau: $x", "[0.7, 2]", " jsd select" },
        { "cost: $x", "[square, none]", " select" },
        { "budget_mode: $x", "[capped, floor]", " select" },
        { "min_per_cluster: $x", "[0, 2]", " select" },
        { "conflicts: $x", "[true, false]", " select" },
        { "cluster_order: $x", "[canonical, degradation]", " select" },
        { "method: $x", "[paser, uniform]", " select" },
        { "method: $x", "[paser, topjsd]", " select" },
        { "length: $x", "[64, 128]",
          " hidden embed spectrum clusters jsd select" },
        { "embed: $x", "[hidden, tfidf]", " embed spectrum clusters select" },
        { "embed: $x", "[tfidf, minilm]", " embed spectrum clusters select" },
        /* Nothing of paser is drawn. */
        { "seed: $x", "[1, 2]", "" },
    };
    AUTO(free_pointer) char *pruned = NULL;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(axes); i++) {
        AUTO(free_pointer)
        char *found = repeated("0.5", axes[i].line, axes[i].values);

        if (strcmp(found, axes[i].wanted) != 0)
            fail_msg("%s: again%s, not%s", axes[i].line, found, axes[i].wanted);
    }
    pruned = repeated("$x", "budget: 0.1", "[0.5, 0.6]");
    assert_string_equal(pruned, " jsd select");
}

/* Q pruned models: the original's states once, and one pass of each. */
static void test_one_original_serves_all_pruned_models(void **state)
{
    struct compiled *c =
        compile("$x", "budget: 0.1", "[0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]");
    uint64_t original = 0, pruned = 0;
    struct plan p;

    (void)state;
    assert_ok(plan_make(c, &p));
    for (size_t i = 0; i < p.stage_count; i++) {
        original += strcmp(p.stages[i].kind, "select_hidden") == 0
                        ? p.stages[i].runs
                        : 0;
        pruned +=
            strcmp(p.stages[i].kind, "select_jsd") == 0 ? p.stages[i].runs : 0;
    }
    assert_int_equal(original, PARTS);
    assert_int_equal(pruned, 7 * PARTS);
    plan_release(&p);
    compiled_free(c);
}

/* ---- all behind the divergences --------------------------------------------------- */

/* The family of the choice of a trial; a slot is given a family at once. */
static uint64_t family_of(const struct compiled *c, uint64_t trial)
{
    json_t *values = NULL;
    struct stage_jobs jobs;
    uint64_t family = 0;
    bool excluded;

    assert_ok(compiled_trial(c, trial, &values, &excluded));
    assert_ok(compiled_stages(c, values, &jobs));
    for (size_t i = 0; i < jobs.count; i++)
        if (strcmp(jobs.items[i].kind, "select") == 0)
            family = jobs.items[i].family;
    stage_jobs_release(&jobs);
    json_decref(values);
    return family;
}

static void test_points_over_the_same_divergences_go_together(void **state)
{
    static const struct {
        const char *line, *values;
    } axes[] = {
        { "budget: $x", "[0.04, 0.1, 0.2, 1]" },
        { "clusters: $x", "[auto, 5, 10]" },
        { "time: $x", "[0, 1, 2, 4]" },
        { "sigma_scale: $x", "[0.5, 1, 2]" },
        { "graph: $x", "[dense, knn, landmarks]" },
        { "cost: $x", "[square, linear, none]" },
        { "budget_mode: $x", "[capped, remainder, floor]" },
        { "min_per_cluster: $x", "[0, 1, 2]" },
        { "conflicts: $x", "[true, false]" },
        { "cluster_order: $x", "[canonical, degradation]" },
    };
    struct compiled *c;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(axes); i++) {
        uint64_t first;

        c = compile("0.5", axes[i].line, axes[i].values);
        first = family_of(c, 0);
        assert_true(first != 0);
        for (uint64_t t = 1; t < compiled_trial_count(c); t++)
            if (family_of(c, t) != first)
                fail_msg("%s: another family", axes[i].line);
        compiled_free(c);
    }
    c = compile("$x", "budget: 0.1", "[0.5, 0.6]"); /* two sets of them */
    assert_true(family_of(c, 0) != family_of(c, 1));
    compiled_free(c);
}

/* ---- what a plan says ------------------------------------------------------------- */

static void test_the_plan_names_the_route(void **state)
{
    static const struct {
        const char *params, *wanted;
    } rows[] = {
        { "{\"clusters\":{},\"data\":{\"builtin\":\"tasks\",\"items\":6000}}",
          "spectrum of up to 6000 samples by the route dense, all distances "
          "and LAPACK" },
        { "{\"clusters\":{},\"data\":{\"builtin\":\"tasks\",\"items\":6001}}",
          "spectrum of up to 6001 samples by the route knn, a graph of "
          "nearest neighbours and ARPACK" },
        { "{\"clusters\":{},\"data\":{\"builtin\":\"tasks\",\"items\":100001}}",
          "spectrum of up to 100001 samples by the route landmarks, which the "
          "others follow" },
        { "{\"clusters\":{},\"graph\":\"knn\",\"data\":{\"builtin\":\"tasks\","
          "\"items\":9}}",
          "spectrum by the route knn, a graph of nearest neighbours and "
          "ARPACK" },
        { "{\"clusters\":{},\"data\":{\"$source\":{\"url\":"
          "\"https://far/away.jsonl\"}}}",
          "spectrum by the route dense up to 6000 samples, knn up to 100000, "
          "landmarks beyond" },
        { "{\"data\":{\"builtin\":\"tasks\",\"items\":9}}", "" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        AUTO(json_release) json_t *params = NULL;
        char text[256] = "";

        assert_ok(
            json_parse(rows[i].params, strlen(rows[i].params), "t", &params));
        job_kind_find("select")->catalog.remark(params, text, sizeof(text));
        assert_string_equal(text, rows[i].wanted);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_axis_repeats_what_depends_on_it),
        cmocka_unit_test(test_one_original_serves_all_pruned_models),
        cmocka_unit_test(test_points_over_the_same_divergences_go_together),
        cmocka_unit_test(test_the_plan_names_the_route),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
