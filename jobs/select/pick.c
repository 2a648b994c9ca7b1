#include "jobs/select/pick.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "common/philox.h"
#include "jobs/select/choice.h"

/* --- words ------------------------------------------------------------------
 */

static const char *const method_names[PICK_METHODS] = {
    [PICK_PASER] = "paser",
    [PICK_UNIFORM] = "uniform",
    [PICK_PROPORTIONAL] = "proportional",
    [PICK_RANDOM] = "random",
    [PICK_TOPJSD] = "topjsd",
    [PICK_LONGEST] = "longest",
    [PICK_IFD] = "ifd",
    [PICK_FULL] = "full",
};
static const char *const order_names[PICK_ORDERS] = {
    [PICK_CANONICAL] = "canonical",
    [PICK_DEGRADATION] = "degradation",
};
static const char *const reason_names[PICK_REASONS] = {
    [PICK_SELECTED] = "selected", [PICK_BUDGET] = "budget",
    [PICK_CONFLICT] = "conflict", [PICK_INVALID] = "invalid",
    [PICK_SCORE] = "score",
};

CHOICE(pick_method, method_names)
CHOICE(pick_order, order_names)

const char *pick_reason_name(enum pick_reason reason)
{
    return reason_names[reason];
}

bool pick_needs_clusters(enum pick_method method)
{
    return method == PICK_PASER || method == PICK_UNIFORM ||
           method == PICK_PROPORTIONAL;
}

static bool needs_jsd(enum pick_method method)
{
    return pick_needs_clusters(method) || method == PICK_TOPJSD;
}

/* --- without clusters ---------------------------------------------------------
 */

static double draw(uint32_t seed, size_t i)
{
    const struct philox_key key = { .seed = seed,
                                    .stream = philox_hash("select.random") };

    return (double)(philox_pair(key, i) >> 11);
}

/* What a sample is ranked by; NaN: it cannot be ranked. */
static double rank_of(const struct pick_samples *s, const struct pick_how *how,
                      size_t i)
{
    switch (how->method) {
    case PICK_RANDOM:
        return draw(how->seed, i);
    case PICK_TOPJSD:
        return s->jsd[i];
    case PICK_LONGEST:
        return (double)s->x_tokens[i] + (double)s->y_tokens[i];
    case PICK_IFD:
        return s->ifd[i];
    default: /* full: one as good as the other */
        return 0.0;
    }
}

static void take(struct pick *p, size_t i)
{
    p->samples[i].reason = PICK_SELECTED;
    p->selected[p->count++] = (uint32_t)i;
}

MUST_CHECK static struct status pick_ranked(const struct pick_samples *s,
                                            const struct pick_how *how,
                                            double *scores, uint32_t *order,
                                            struct pick *p)
{
    size_t budget = how->method == PICK_FULL ? s->n : how->budget.budget;
    size_t ranked = 0;

    for (size_t i = 0; i < s->n; i++) {
        struct pick_sample *one = &p->samples[i];

        scores[i] = rank_of(s, how, i);
        one->score = how->method == PICK_FULL ? (double)NAN : scores[i];
        if (!isfinite(scores[i]))
            one->reason = PICK_INVALID;
        else if (how->method == PICK_IFD && scores[i] >= 1.0)
            one->reason = PICK_SCORE;
        else
            order[ranked++] = (uint32_t)i;
    }
    TRY_PLAIN(priority_sort(scores, order, ranked));
    for (size_t i = 0; i < ranked && i < budget; i++)
        take(p, order[i]);
    p->budget = budget;
    return SUCCESS;
}

/* --- cluster by cluster -------------------------------------------------------
 */

struct walk {
    const struct crew *crew;
    const struct pick_samples *samples;
    const struct pick_how *how;
    struct pick *pick;
    struct consistency *graph; /* NULL: no check */
    const double *scores;
    const uint32_t *order; /* of the cluster's samples, best first */
};

MUST_CHECK static struct status walk_cluster(struct walk *w, size_t first,
                                             size_t count,
                                             struct pick_cluster *cluster)
{
    const struct pick_samples *s = w->samples;

    for (size_t at = 0; at < count && cluster->taken < cluster->budget; at++) {
        size_t i = w->order[first + at];
        struct pick_sample *one = &w->pick->samples[i];
        struct consistency_conflict conflict;

        if (w->graph != NULL) {
            const uint32_t *concepts = s->concepts + s->begin[i];
            size_t known = (size_t)(s->begin[i + 1] - s->begin[i]);

            if (!consistency_check(w->graph, concepts, known, &conflict)) {
                one->reason = PICK_CONFLICT;
                one->a = conflict.a;
                one->b = conflict.b;
                one->pairs = conflict.pairs;
                cluster->conflicts++;
                continue;
            }
            TRY_PLAIN(consistency_add(w->graph, concepts, known));
        }
        take(w->pick, i);
        cluster->taken++;
    }
    return crew_cancelled(w->crew) ? FAIL(STATUS_CANCELLED, "interrupted")
                                   : SUCCESS;
}

/* Valid samples, cluster after cluster; begins [clusters + 1]. */
static void gather(const struct pick_samples *s, size_t *begins,
                   uint32_t *order)
{
    memset(begins, 0, (s->clusters + 1) * sizeof(*begins));
    for (size_t i = 0; i < s->n; i++)
        if (isfinite(s->jsd[i]))
            begins[s->labels[i] + 1]++;
    for (size_t k = 0; k < s->clusters; k++)
        begins[k + 1] += begins[k];
    for (size_t i = 0; i < s->n; i++)
        if (isfinite(s->jsd[i]))
            order[begins[s->labels[i]]++] = (uint32_t)i;
    for (size_t k = s->clusters; k > 0; k--)
        begins[k] = begins[k - 1];
    begins[0] = 0;
}

static double weight_of(enum pick_method method, const struct pick_cluster *c)
{
    if (method == PICK_PASER)
        return c->degradation;
    return method == PICK_UNIFORM ? 1.0 : (double)c->valid;
}

/* Clusters without a valid sample have no part in it. */
MUST_CHECK static struct status share_budget(const struct pick_how *how,
                                             struct pick *p)
{
    size_t count = 0;
    AUTO(free_pointer)
    double *weights = xcalloc(p->clusters + 1, sizeof(*weights));
    AUTO(free_pointer)
    size_t *sizes = xcalloc(3 * (p->clusters + 1), sizeof(*sizes));
    size_t *counts = sizes + p->clusters + 1;
    size_t *labels = counts + p->clusters + 1;
    struct budget_result result;

    for (size_t k = 0; k < p->clusters; k++) {
        const struct pick_cluster *c = &p->by_label[k];

        if (c->valid == 0)
            continue;
        weights[count] = weight_of(how->method, c);
        sizes[count] = c->valid;
        labels[count++] = k;
    }
    TRY_PLAIN(
        budget_split(&how->budget, count, weights, sizes, counts, &result));
    for (size_t i = 0; i < count; i++)
        p->by_label[labels[i]].budget = counts[i];
    p->budget = how->budget.budget;
    p->zero_total = result.zero_total;
    return SUCCESS;
}

MUST_CHECK static struct status order_clusters(enum pick_order order,
                                               const struct pick *p,
                                               uint32_t *labels)
{
    AUTO(free_pointer)
    double *means = xcalloc(p->clusters + 1, sizeof(*means));

    for (size_t k = 0; k < p->clusters; k++) {
        double mean = p->by_label[k].degradation;

        labels[k] = (uint32_t)k;
        means[k] = isfinite(mean) ? mean : -1.0;
    }
    if (order == PICK_CANONICAL)
        return SUCCESS;
    return priority_sort(means, labels, p->clusters);
}

static void score_samples(const struct pick_samples *s,
                          const struct pick_how *how, double *scores,
                          struct pick *p)
{
    for (size_t i = 0; i < s->n; i++) {
        struct pick_sample *one = &p->samples[i];

        p->by_label[s->labels[i]].size++;
        one->cost =
            how->cost == PRIORITY_NONE
                ? 0.0
                : priority_cost_of(how->cost, s->x_tokens[i], s->y_tokens[i]);
        scores[i] = priority_score(how->cost, s->jsd[i], s->x_tokens[i],
                                   s->y_tokens[i]);
        one->score = scores[i];
        if (!isfinite(s->jsd[i]))
            one->reason = PICK_INVALID;
    }
}

static void measure_clusters(const struct pick_samples *s, struct pick *p)
{
    AUTO(free_pointer)
    double *means = xcalloc(s->clusters + 1, sizeof(*means));
    AUTO(free_pointer)
    size_t *counts = xcalloc(s->clusters + 1, sizeof(*counts));

    priority_degradation(s->jsd, s->labels, s->n, s->clusters, means, counts);
    for (size_t k = 0; k < s->clusters; k++) {
        p->by_label[k].degradation = means[k];
        p->by_label[k].valid = counts[k];
    }
}

MUST_CHECK static struct status walk_all(struct walk *w, uint32_t *order)
{
    const struct pick_samples *s = w->samples;
    AUTO(free_pointer)
    size_t *begins = xcalloc(s->clusters + 2, sizeof(*begins));
    AUTO(free_pointer)
    uint32_t *labels = xcalloc(s->clusters + 1, sizeof(*labels));

    gather(s, begins, order);
    TRY_PLAIN(order_clusters(w->how->order, w->pick, labels));
    for (size_t at = 0; at < s->clusters; at++) {
        size_t k = labels[at], count = begins[k + 1] - begins[k];

        TRY_PLAIN(priority_sort(w->scores, order + begins[k], count));
        TRY_PLAIN(walk_cluster(w, begins[k], count, &w->pick->by_label[k]));
    }
    return SUCCESS;
}

static void free_graph(struct consistency **g)
{
    consistency_free(*g);
}

MUST_CHECK static struct status pick_clustered(const struct crew *crew,
                                               const struct pick_samples *s,
                                               const struct pick_how *how,
                                               double *scores, uint32_t *order,
                                               struct pick *p)
{
    AUTO(free_graph)
    struct consistency *graph = how->conflicts && s->concepts != NULL
                                    ? consistency_new(how->singletons)
                                    : NULL;
    struct walk w = { .crew = crew,
                      .samples = s,
                      .how = how,
                      .pick = p,
                      .graph = graph,
                      .scores = scores,
                      .order = order };

    p->clusters = s->clusters;
    p->by_label = xcalloc(s->clusters + 1, sizeof(*p->by_label));
    score_samples(s, how, scores, p);
    measure_clusters(s, p);
    TRY_PLAIN(share_budget(how, p));
    TRY_PLAIN(walk_all(&w, order));
    if (graph != NULL) {
        p->nodes = consistency_nodes(graph);
        p->edges = consistency_edges(graph);
    }
    return SUCCESS;
}

/* --- all ----------------------------------------------------------------------
 */

MUST_CHECK static struct status check_clusters(const struct pick_samples *s)
{
    if (s->labels == NULL || s->x_tokens == NULL || s->y_tokens == NULL)
        return FAIL(STATUS_INVALID,
                    "clusters and lengths of the samples are missing");
    if (s->clusters > s->n)
        return FAIL(STATUS_INVALID, "%zu clusters of %zu samples", s->clusters,
                    s->n);
    for (size_t i = 0; i < s->n; i++)
        if (s->labels[i] >= s->clusters)
            return FAIL(STATUS_INVALID, "sample %zu is in cluster %u of %zu", i,
                        s->labels[i], s->clusters);
    return SUCCESS;
}

MUST_CHECK static struct status check(const struct pick_samples *s,
                                      const struct pick_how *how)
{
    if (s->n > UINT32_MAX)
        return FAIL(STATUS_TOO_BIG, "%zu samples", s->n);
    if (needs_jsd(how->method) && s->jsd == NULL)
        return FAIL(STATUS_INVALID, "%s needs the divergence of each sample",
                    pick_method_name(how->method));
    if (how->method == PICK_IFD && s->ifd == NULL)
        return FAIL(STATUS_INVALID, "ifd needs the ratio of each sample");
    if (how->method == PICK_LONGEST &&
        (s->x_tokens == NULL || s->y_tokens == NULL))
        return FAIL(STATUS_INVALID, "longest needs the length of each sample");
    return pick_needs_clusters(how->method) ? check_clusters(s) : SUCCESS;
}

MUST_CHECK static struct status pick_init(struct pick *p, size_t n)
{
    void *memory;

    p->n = n;
    TRY_PLAIN(crew_room(n, sizeof(*p->selected), "a selection", &memory));
    p->selected = memory;
    TRY_PLAIN(crew_room(n, sizeof(*p->samples), "a selection", &memory));
    p->samples = memory;
    for (size_t i = 0; i < n; i++)
        p->samples[i] =
            (struct pick_sample){ .reason = PICK_BUDGET, .score = (double)NAN };
    return SUCCESS;
}

static void count_reasons(struct pick *p)
{
    for (size_t i = 0; i < p->n; i++)
        p->reasons[p->samples[i].reason]++;
    p->unspent = p->budget > p->count ? p->budget - p->count : 0;
}

MUST_CHECK static struct status fill(const struct crew *crew,
                                     const struct pick_samples *s,
                                     const struct pick_how *how, struct pick *p)
{
    AUTO(free_pointer) void *scores = NULL;
    AUTO(free_pointer) void *order = NULL;

    TRY_PLAIN(pick_init(p, s->n));
    TRY_PLAIN(crew_room(s->n, sizeof(double), "scores", &scores));
    TRY_PLAIN(crew_room(s->n, sizeof(uint32_t), "an order", &order));
    if (pick_needs_clusters(how->method))
        TRY_PLAIN(pick_clustered(crew, s, how, scores, order, p));
    else
        TRY_PLAIN(pick_ranked(s, how, scores, order, p));
    count_reasons(p);
    return SUCCESS;
}

struct status pick_make(const struct crew *crew,
                        const struct pick_samples *samples,
                        const struct pick_how *how, struct pick *ret_pick)
{
    struct pick p = { 0 };
    struct status st;

    TRY_PLAIN(check(samples, how));
    st = fill(crew, samples, how, &p);
    if (status_failed(&st)) {
        pick_release(&p);
        return st;
    }
    *ret_pick = p;
    return SUCCESS;
}

void pick_release(struct pick *p)
{
    free(p->selected);
    free(p->samples);
    free(p->by_label);
    *p = (struct pick){ 0 };
}

uint64_t pick_memory(size_t n, size_t clusters)
{
    return (uint64_t)n * (sizeof(struct pick_sample) + sizeof(double) +
                          3 * sizeof(uint32_t)) +
           (uint64_t)clusters *
               (sizeof(struct pick_cluster) + 8 * sizeof(double));
}
