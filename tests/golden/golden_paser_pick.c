#include "tests/golden/golden_paser.h"

#include <math.h>
#include <stdlib.h>

#include "jobs/select/cluster.h"
#include "jobs/select/pick.h"

static size_t whole(const json_t *json)
{
    return (size_t)json_integer_value(json);
}

static size_t *wholes(const json_t *array)
{
    size_t count = json_array_size(array);
    size_t *numbers = xcalloc(count + 1, sizeof(*numbers));

    for (size_t i = 0; i < count; i++)
        numbers[i] = whole(json_array_get(array, i));
    return numbers;
}

static uint32_t *tokens(const json_t *array)
{
    size_t count = json_array_size(array);
    uint32_t *numbers = xcalloc(count + 1, sizeof(*numbers));

    for (size_t i = 0; i < count; i++)
        numbers[i] = (uint32_t)whole(json_array_get(array, i));
    return numbers;
}

/* --- budget ---------------------------------------------------------------------
 */

static void compare_counts(struct verdict *v, const char *name,
                           const char *mode, const json_t *expected,
                           const size_t *counts, size_t count)
{
    paser_expect(v, json_array_size(expected) == count, "%s, %s: %zu counts",
                 name, mode, json_array_size(expected));
    for (size_t i = 0; i < count; i++)
        paser_expect(v, counts[i] == whole(json_array_get(expected, i)),
                     "%s, %s: cluster %zu has %zu", name, mode, i, counts[i]);
}

static void compare_mode(struct verdict *v, const json_t *one,
                         enum budget_mode mode)
{
    const json_t *expected = json_object_get(one, "expected");
    const char *name = json_text_or(one, "name", "?");
    const json_t *should = json_object_get(expected, budget_mode_name(mode));
    bool valid = strcmp(json_text_or(expected, "status", "ok"), "ok") == 0;
    size_t count = json_array_size(json_object_get(one, "cds"));
    AUTO(free_pointer)
    double *cds = paser_numbers(json_object_get(one, "cds"));
    AUTO(free_pointer) size_t *sizes = wholes(json_object_get(one, "size"));
    AUTO(free_pointer) size_t *counts = xcalloc(count + 1, sizeof(*counts));
    const struct budget_how how = { .mode = mode,
                                    .budget =
                                        whole(json_object_get(one, "B")) };
    struct budget_result result;
    struct status st = budget_split(&how, count, cds, sizes, counts, &result);

    paser_expect(v, status_failed(&st) == !valid, "%s, %s: %s", name,
                 budget_mode_name(mode),
                 status_failed(&st) ? "refused" : "not refused");
    if (status_failed(&st))
        return;
    if (json_is_array(should))
        compare_counts(v, name, budget_mode_name(mode), should, counts, count);
    else if (json_is_string(should))
        paser_expect(v, result.zero_total, "%s: not all zero", name);
    if (mode == BUDGET_FLOOR)
        paser_expect(v,
                     result.unspent ==
                         whole(json_object_get(expected, "floor_unspent")),
                     "%s: %zu unspent", name, result.unspent);
}

struct status paser_budget(const struct paser_case *c, struct verdict *v)
{
    const json_t *cases = json_object_get(c->json, "cases");

    paser_expect(v, json_array_size(cases) > 0, "no cases");
    for (size_t i = 0; i < json_array_size(cases); i++) {
        const json_t *one = json_array_get(cases, i);
        size_t count = json_array_size(json_object_get(one, "cds"));

        TRY_PLAIN(paser_sized(json_object_get(one, "size"), "size", count));
        for (enum budget_mode mode = 0; mode < BUDGET_MODES; mode++)
            compare_mode(v, one, mode);
    }
    return SUCCESS;
}

/* --- priority -------------------------------------------------------------------
 */

/* What stages 5 and 6 read. */
struct inputs {
    size_t n, clusters;
    double *jsd;
    uint32_t *x, *y, *labels;
};

static void inputs_release(struct inputs *in)
{
    free(in->jsd);
    free(in->x);
    free(in->y);
    free(in->labels);
}

/* Arrays of one length, and labels below it. */
MUST_CHECK static struct status inputs_check(const json_t *json, size_t n)
{
    const json_t *labels = json_object_get(json, "cluster");

    TRY_PLAIN(paser_sized(json_object_get(json, "x_len"), "x_len", n));
    TRY_PLAIN(paser_sized(json_object_get(json, "y_len"), "y_len", n));
    if (labels != NULL)
        TRY_PLAIN(paser_sized(labels, "cluster", n));
    for (size_t i = 0; i < json_array_size(labels); i++)
        if (whole(json_array_get(labels, i)) >= n)
            return FAIL(STATUS_CORRUPT, "\"cluster\": entry %zu is %zu of %zu",
                        i, whole(json_array_get(labels, i)), n);
    return SUCCESS;
}

MUST_CHECK static struct status inputs_read(const json_t *json,
                                            struct inputs *in)
{
    in->n = json_array_size(json_object_get(json, "jsd"));
    TRY_PLAIN(inputs_check(json, in->n));
    in->jsd = paser_numbers(json_object_get(json, "jsd"));
    in->x = tokens(json_object_get(json, "x_len"));
    in->y = tokens(json_object_get(json, "y_len"));
    in->labels = tokens(json_object_get(json, "cluster"));
    for (size_t i = 0; i < json_array_size(json_object_get(json, "cluster"));
         i++)
        if (in->labels[i] >= in->clusters)
            in->clusters = in->labels[i] + 1;
    return SUCCESS;
}

static void compare_scores(const struct paser_case *c, const struct inputs *in,
                           double *scores, struct verdict *v)
{
    const json_t *should = paser_expected(c, "ies");
    double relative = paser_tolerance(c, "ies_rel");

    for (size_t i = 0; i < in->n; i++) {
        scores[i] =
            priority_score(PRIORITY_SQUARE, in->jsd[i], in->x[i], in->y[i]);
        paser_compare(v, "ies", i, scores[i],
                      paser_number(json_array_get(should, i)), 0.0,
                      relative > 0.0 ? relative : 1e-12);
    }
}

static void compare_degradation(const struct paser_case *c,
                                const struct inputs *in, struct verdict *v)
{
    const json_t *should = paser_expected(c, "cds");
    double relative = paser_tolerance(c, "cds_rel");
    AUTO(free_pointer)
    double *means = xcalloc(in->clusters + 1, sizeof(*means));
    AUTO(free_pointer)
    size_t *counts = xcalloc(in->clusters + 1, sizeof(*counts));

    priority_degradation(in->jsd, in->labels, in->n, in->clusters, means,
                         counts);
    paser_expect(v, json_array_size(should) == in->clusters, "%zu clusters",
                 in->clusters);
    for (size_t k = 0; k < in->clusters; k++)
        paser_compare(v, "cds", k, means[k],
                      paser_number(json_array_get(should, k)), 0.0,
                      relative > 0.0 ? relative : 1e-12);
}

MUST_CHECK static struct status compare_order(const struct paser_case *c,
                                              const struct inputs *in,
                                              const double *scores, size_t k,
                                              struct verdict *v)
{
    const json_t *should = json_array_get(paser_expected(c, "order"), k);
    AUTO(free_pointer) uint32_t *order = xcalloc(in->n + 1, sizeof(*order));
    size_t count = 0;

    for (size_t i = 0; i < in->n; i++)
        if (in->labels[i] == k && !isnan(scores[i]))
            order[count++] = (uint32_t)i;
    TRY_PLAIN(priority_sort(scores, order, count));
    paser_expect(v, count == json_array_size(should),
                 "cluster %zu has %zu scores", k, count);
    for (size_t i = 0; i < count; i++)
        paser_expect(v, order[i] == whole(json_array_get(should, i)),
                     "place %zu of cluster %zu is sample %u", i, k, order[i]);
    return SUCCESS;
}

struct status paser_ies(const struct paser_case *c, struct verdict *v)
{
    AUTO(inputs_release) struct inputs in = { 0 };
    AUTO(free_pointer) double *scores = NULL;
    const json_t *dropped = paser_expected(c, "dropped");
    size_t lost = 0;

    TRY_PLAIN(inputs_read(json_object_get(c->json, "inputs"), &in));
    scores = xcalloc(in.n + 1, sizeof(*scores));
    compare_scores(c, &in, scores, v);
    compare_degradation(c, &in, v);
    for (size_t k = 0; k < in.clusters; k++)
        TRY_PLAIN(compare_order(c, &in, scores, k, v));
    for (size_t i = 0; i < in.n; i++)
        lost += isnan(scores[i]) ? 1 : 0;
    paser_expect(v, lost == json_array_size(dropped), "%zu dropped", lost);
    return SUCCESS;
}

/* --- the graph ------------------------------------------------------------------
 */

static void free_concepts(struct concepts **c)
{
    concepts_free(*c);
}

static void free_graph(struct consistency **g)
{
    consistency_free(*g);
}

/* Sorted, none twice; the caller frees. */
static uint32_t *concepts_read(struct concepts *all, const json_t *texts,
                               size_t *ret_count)
{
    size_t count = json_array_size(texts);
    uint32_t *numbers = xcalloc(count + 1, sizeof(*numbers));

    for (size_t i = 0; i < count; i++) {
        const char *text = json_string_value(json_array_get(texts, i));

        numbers[i] = concepts_number(all, text, strlen(text));
    }
    *ret_count = concepts_sort(all, numbers, count);
    return numbers;
}

static void compare_conflict(struct verdict *v, const struct concepts *all,
                             const struct consistency_conflict *conflict,
                             bool accepted, const json_t *should, size_t i)
{
    const char *a = json_string_value(json_array_get(should, 0));
    const char *b = json_string_value(json_array_get(should, 1));

    if (accepted || a == NULL || b == NULL)
        paser_expect(v, accepted && a == NULL, "sample %zu: a conflict", i);
    else
        paser_expect(v,
                     strcmp(concepts_text(all, conflict->a), a) == 0 &&
                         strcmp(concepts_text(all, conflict->b), b) == 0,
                     "sample %zu: conflict of %s and %s", i,
                     concepts_text(all, conflict->a),
                     concepts_text(all, conflict->b));
}

static void compare_graph(struct verdict *v, struct concepts *all,
                          const struct consistency *g, const json_t *nodes,
                          const json_t *edges)
{
    paser_expect(v, consistency_edges(g) == json_array_size(edges), "%zu edges",
                 consistency_edges(g));
    for (size_t i = 0; i < json_array_size(edges); i++) {
        const json_t *edge = json_array_get(edges, i);
        const char *a = json_string_value(json_array_get(edge, 0));
        const char *b = json_string_value(json_array_get(edge, 1));

        paser_expect(v,
                     consistency_has_edge(g, concepts_number(all, a, strlen(a)),
                                          concepts_number(all, b, strlen(b))),
                     "no edge of %s and %s", a, b);
    }
    paser_expect(
        v, nodes == NULL || consistency_nodes(g) == json_array_size(nodes),
        "%zu nodes", consistency_nodes(g));
    for (size_t i = 0; i < json_array_size(nodes); i++) {
        const char *text = json_string_value(json_array_get(nodes, i));

        paser_expect(
            v,
            consistency_has_node(g, concepts_number(all, text, strlen(text))),
            "no node %s", text);
    }
}

MUST_CHECK static struct status check_edges(const json_t *edges)
{
    for (size_t i = 0; i < json_array_size(edges); i++) {
        TRY_PLAIN(paser_sized(json_array_get(edges, i), "edges", 2));
        TRY_PLAIN(paser_texts(json_array_get(edges, i), "edges"));
    }
    return SUCCESS;
}

MUST_CHECK static struct status compare_sequence(struct verdict *v,
                                                 const json_t *sequence,
                                                 const json_t *expected,
                                                 bool singletons)
{
    AUTO(free_concepts)
    struct concepts *all = concepts_new(&concept_stops_english);
    AUTO(free_graph) struct consistency *g = consistency_new(singletons);
    const json_t *accept = json_object_get(expected, "accept");
    const json_t *conflicts = json_object_get(expected, "first_conflict");

    for (size_t i = 0; i < json_array_size(sequence); i++) {
        struct consistency_conflict conflict;
        size_t count;
        AUTO(free_pointer) uint32_t *concepts = NULL;
        bool accepted;

        TRY_PLAIN(paser_texts(json_array_get(sequence, i), "sequence"));
        concepts = concepts_read(all, json_array_get(sequence, i), &count);
        accepted = consistency_check(g, concepts, count, &conflict);
        paser_expect(v, accepted == json_is_true(json_array_get(accept, i)),
                     "sample %zu is %s", i, accepted ? "accepted" : "refused");
        compare_conflict(v, all, &conflict, accepted,
                         json_array_get(conflicts, i), i);
        if (accepted)
            TRY_PLAIN(consistency_add(g, concepts, count));
    }
    TRY_PLAIN(check_edges(json_object_get(expected, "edges")));
    if (json_object_get(expected, "nodes") != NULL)
        TRY_PLAIN(paser_texts(json_object_get(expected, "nodes"), "nodes"));
    compare_graph(v, all, g, json_object_get(expected, "nodes"),
                  json_object_get(expected, "edges"));
    return SUCCESS;
}

struct status paser_ccg(const struct paser_case *c, struct verdict *v)
{
    const json_t *cases = json_object_get(c->json, "cases");

    paser_expect(v, json_array_size(cases) > 0, "no cases");
    for (size_t i = 0; i < json_array_size(cases); i++) {
        const json_t *one = json_array_get(cases, i);
        const json_t *sequence = json_object_get(one, "sequence");
        const json_t *other =
            json_object_get(one, "expected_singletons_add_nodes");

        TRY_PLAIN(compare_sequence(v, sequence,
                                   json_object_get(one, "expected"), false));
        if (other != NULL)
            TRY_PLAIN(compare_sequence(v, sequence, other, true));
    }
    return SUCCESS;
}

/* --- concepts -------------------------------------------------------------------
 */

static int compare_words(const void *a, const void *b)
{
    const char *const *x = a;
    const char *const *y = b;

    return strcmp(*x, *y);
}

static void compare_phrases(struct verdict *v, struct concepts *all,
                            const json_t *one)
{
    const char *text = json_text_or(one, "text", "");
    const json_t *should = json_object_get(one, "expected");
    AUTO(free_pointer) uint32_t *numbers = NULL;
    size_t count = concepts_of(all, text, strlen(text), &numbers);

    paser_expect(v, count == json_array_size(should), "%zu phrases in \"%s\"",
                 count, text);
    for (size_t i = 0; i < count && i < json_array_size(should); i++)
        paser_expect(v,
                     strcmp(concepts_text(all, numbers[i]),
                            json_string_value(json_array_get(should, i))) == 0,
                     "\"%s\" in \"%s\"", concepts_text(all, numbers[i]), text);
}

struct status paser_concepts(const struct paser_case *c, struct verdict *v)
{
    const json_t *words = json_object_get(c->json, "stopwords");
    const json_t *cases = json_object_get(c->json, "cases");
    size_t count = json_array_size(words);
    AUTO(free_pointer)
    const char **sorted = xcalloc(count + 1, sizeof(*sorted));
    struct concept_stops stops = { sorted, count };
    AUTO(free_concepts) struct concepts *all = concepts_new(&stops);

    TRY_PLAIN(paser_texts(words, "stopwords"));
    for (size_t i = 0; i < count; i++)
        sorted[i] = json_string_value(json_array_get(words, i));
    qsort(sorted, count, sizeof(*sorted), compare_words);
    paser_expect(v, json_array_size(cases) > 0, "no cases");
    for (size_t i = 0; i < json_array_size(cases); i++) {
        const json_t *one = json_array_get(cases, i);

        TRY_PLAIN(paser_texts(json_object_get(one, "expected"), "expected"));
        compare_phrases(v, all, one);
    }
    return SUCCESS;
}

/* --- from embeddings to a selection ---------------------------------------------
 */

struct whole_case {
    struct inputs in;
    struct concepts *all;
    uint32_t *concepts;
    uint64_t *begin;
};

static void whole_release(struct whole_case *w)
{
    inputs_release(&w->in);
    concepts_free(w->all);
    free(w->concepts);
    free(w->begin);
}

MUST_CHECK static struct status whole_read(const struct paser_case *c,
                                           struct whole_case *w)
{
    const json_t *inputs = json_object_get(c->json, "inputs");
    const json_t *concepts = json_object_get(inputs, "concepts");

    TRY_PLAIN(inputs_read(inputs, &w->in));
    TRY_PLAIN(paser_sized(concepts, "concepts", w->in.n));
    w->all = concepts_new(&concept_stops_english);
    w->begin = xcalloc(w->in.n + 1, sizeof(*w->begin));
    for (size_t i = 0; i < w->in.n; i++) {
        size_t count, before = w->begin[i];
        AUTO(free_pointer) uint32_t *numbers = NULL;

        TRY_PLAIN(paser_texts(json_array_get(concepts, i), "concepts"));
        numbers = concepts_read(w->all, json_array_get(concepts, i), &count);
        w->concepts =
            xrealloc(w->concepts, (before + count + 1) * sizeof(*w->concepts));
        memcpy(w->concepts + before, numbers, count * sizeof(*numbers));
        w->begin[i + 1] = before + count;
    }
    return SUCCESS;
}

MUST_CHECK static struct status find_clusters(const struct paser_case *c,
                                              struct whole_case *w,
                                              struct verdict *v)
{
    AUTO(free_pointer) float *rows = NULL;
    AUTO(spectrum_release) struct spectrum s = { 0 };
    AUTO(clusters_release) struct clusters clusters = { 0 };
    const struct spectrum_how how = { .route = SPECTRUM_DENSE };
    const struct cluster_how cluster = { .k = whole(paser_param(c, "K")) };
    size_t n, width;

    TRY_PLAIN(paser_rows(c, "embeddings", &n, &width, &rows));
    if (n != w->in.n)
        return FAIL(STATUS_CORRUPT, "%zu embeddings of %zu samples", n,
                    w->in.n);
    TRY_PLAIN(spectrum_make(NULL, rows, n, width, &how, &s));
    TRY_PLAIN(cluster_make(NULL, &s, &cluster, &clusters));
    paser_compare_labels(v, paser_expected(c, "labels"), clusters.labels, n);
    free(w->in.labels);
    w->in.labels = clusters.labels;
    w->in.clusters = clusters.count;
    clusters.labels = NULL;
    return SUCCESS;
}

static void compare_selection(struct verdict *v, const struct whole_case *w,
                              const char *mode, const struct pick *p,
                              const json_t *should)
{
    const json_t *selected = json_object_get(should, "selected");
    const json_t *rejected = json_object_get(should, "rejected");
    const json_t *edges = json_object_get(should, "edges");

    paser_expect(v, p->count == json_array_size(selected),
                 "%s, B %zu: %zu selected", mode, p->budget, p->count);
    for (size_t i = 0; i < p->count; i++)
        paser_expect(v, p->selected[i] == whole(json_array_get(selected, i)),
                     "%s, B %zu: place %zu is sample %u", mode, p->budget, i,
                     p->selected[i]);
    paser_expect(v, p->reasons[PICK_CONFLICT] == json_array_size(rejected),
                 "%s, B %zu: %zu conflicts", mode, p->budget,
                 p->reasons[PICK_CONFLICT]);
    for (size_t i = 0; i < json_array_size(rejected); i++) {
        size_t sample = whole(json_array_get(rejected, i));

        paser_expect(
            v, sample < w->in.n && p->samples[sample].reason == PICK_CONFLICT,
            "%s, B %zu: sample %zu is not refused", mode, p->budget, sample);
    }
    paser_expect(v, edges == NULL || p->edges == json_array_size(edges),
                 "%s, B %zu: %zu edges", mode, p->budget, p->edges);
}

MUST_CHECK static struct status compare_budget(const struct whole_case *w,
                                               const json_t *one,
                                               enum budget_mode mode,
                                               struct verdict *v)
{
    AUTO(pick_release) struct pick p = { 0 };
    const char *name = budget_mode_name(mode);
    AUTO(free_pointer) char *key = xasprintf("%s_selection", name);
    const struct pick_samples samples = { .n = w->in.n,
                                          .jsd = w->in.jsd,
                                          .labels = w->in.labels,
                                          .clusters = w->in.clusters,
                                          .x_tokens = w->in.x,
                                          .y_tokens = w->in.y,
                                          .concepts = w->concepts,
                                          .begin = w->begin };
    const struct pick_how how = {
        .method = PICK_PASER,
        .budget = { .mode = mode,
                    .budget = budget_of_fraction(
                        paser_number(json_object_get(one, "fraction")),
                        w->in.n) },
        .conflicts = true,
    };
    const json_t *counts = json_object_get(one, name);
    const json_t *taken =
        json_object_get(json_object_get(one, key), "taken_per_cluster");

    if (counts == NULL)
        return SUCCESS;
    TRY_PLAIN(pick_make(NULL, &samples, &how, &p));
    paser_expect(v, p.budget == whole(json_object_get(one, "B")), "B is %zu",
                 p.budget);
    for (size_t k = 0; k < p.clusters; k++) {
        paser_expect(v,
                     p.by_label[k].budget == whole(json_array_get(counts, k)),
                     "%s, B %zu: cluster %zu may give %zu", name, p.budget, k,
                     p.by_label[k].budget);
        paser_expect(v,
                     taken == NULL ||
                         p.by_label[k].taken == whole(json_array_get(taken, k)),
                     "%s, B %zu: cluster %zu gives %zu", name, p.budget, k,
                     p.by_label[k].taken);
    }
    compare_selection(v, w, name, &p, json_object_get(one, key));
    return SUCCESS;
}

struct status paser_e2e(const struct paser_case *c, struct verdict *v)
{
    AUTO(whole_release) struct whole_case w = { 0 };
    AUTO(free_pointer) double *scores = NULL;
    const json_t *budgets = paser_expected(c, "by_budget");

    TRY_PLAIN(whole_read(c, &w));
    TRY_PLAIN(find_clusters(c, &w, v));
    scores = xcalloc(w.in.n + 1, sizeof(*scores));
    compare_scores(c, &w.in, scores, v);
    compare_degradation(c, &w.in, v);
    paser_expect(v, json_array_size(budgets) > 0, "no budgets");
    for (size_t i = 0; i < json_array_size(budgets); i++)
        for (enum budget_mode mode = 0; mode < BUDGET_MODES; mode++)
            TRY_PLAIN(compare_budget(&w, json_array_get(budgets, i), mode, v));
    return SUCCESS;
}
