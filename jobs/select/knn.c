#include "jobs/select/knn.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "jobs/select/draw.h"

/* --- edges --------------------------------------------------------------------
 */

struct edge {
    uint32_t to;
    double squared;
};

static int compare_edges(const void *a, const void *b)
{
    const struct edge *x = a;
    const struct edge *y = b;

    return (x->to > y->to) - (x->to < y->to);
}

struct edges {
    struct edge *items;
    uint64_t *begin; /* [n + 1], with room for both directions of each */
    uint64_t *end;   /* [n] */
};

static void edges_release(struct edges *e)
{
    free(e->items);
    free(e->begin);
    free(e->end);
}

/* Each to its neighbours and back; an edge that goes both ways is there twice. */
MUST_CHECK static struct status edges_make(size_t n, size_t k,
                                           const uint32_t *index,
                                           const double *squared,
                                           struct edges *e)
{
    void *memory;

    TRY_PLAIN(crew_room(n + 1, sizeof(*e->begin), "a graph", &memory));
    e->begin = memory;
    TRY_PLAIN(crew_room(n + 1, sizeof(*e->end), "a graph", &memory));
    e->end = memory;
    TRY_PLAIN(crew_room(2 * n * k, sizeof(*e->items), "a graph", &memory));
    e->items = memory;
    for (size_t i = 0; i < n * k; i++)
        e->begin[index[i] + 1]++;
    for (size_t i = 0; i < n; i++)
        e->begin[i + 1] += e->begin[i] + k;
    memcpy(e->end, e->begin, n * sizeof(*e->end));
    for (size_t i = 0; i < n; i++)
        for (size_t l = i * k; l < (i + 1) * k; l++) {
            uint32_t j = index[l];

            e->items[e->end[i]++] = (struct edge){ j, squared[l] };
            e->items[e->end[j]++] = (struct edge){ (uint32_t)i, squared[l] };
        }
    return SUCCESS;
}

/* Sorted by column, none twice; returns how many there are with the diagonal. */
static size_t edges_clean(size_t n, struct edges *e)
{
    size_t entries = n;

    for (size_t i = 0; i < n; i++) {
        struct edge *row = e->items + e->begin[i];
        size_t count = (size_t)(e->end[i] - e->begin[i]), kept = 0;

        qsort(row, count, sizeof(*row), compare_edges);
        for (size_t l = 0; l < count; l++)
            if (kept == 0 || row[kept - 1].to != row[l].to)
                row[kept++] = row[l];
        e->end[i] = e->begin[i] + kept;
        entries += kept;
    }
    return entries;
}

static void put_entry(struct knn *g, size_t row, size_t *at, uint32_t column,
                      double weight)
{
    g->column[*at] = column;
    g->weight[*at] = weight;
    g->degree[row] += weight;
    (*at)++;
}

MUST_CHECK static struct status fill_graph(const struct edges *e, struct knn *g)
{
    double narrow = 1.0 / (2.0 * g->sigma * g->sigma);
    size_t at = 0;
    void *memory;

    if (!isfinite(narrow))
        return FAIL(STATUS_INVALID, "sigma %g is too small", g->sigma);
    TRY_PLAIN(crew_room(g->n + 1, sizeof(*g->begin), "a graph", &memory));
    g->begin = memory;
    TRY_PLAIN(crew_room(g->n, sizeof(*g->degree), "a graph", &memory));
    g->degree = memory;
    TRY_PLAIN(crew_room(g->entries, sizeof(*g->column), "a graph", &memory));
    g->column = memory;
    TRY_PLAIN(crew_room(g->entries, sizeof(*g->weight), "a graph", &memory));
    g->weight = memory;
    for (size_t i = 0; i < g->n; i++) {
        bool self = false;

        for (uint64_t l = e->begin[i]; l < e->end[i]; l++) {
            if (!self && e->items[l].to > i) {
                put_entry(g, i, &at, (uint32_t)i, 1.0);
                self = true;
            }
            put_entry(g, i, &at, e->items[l].to,
                      exp(-e->items[l].squared * narrow));
        }
        if (!self)
            put_entry(g, i, &at, (uint32_t)i, 1.0);
        g->begin[i + 1] = at;
    }
    return SUCCESS;
}

/* --- sigma --------------------------------------------------------------------
 */

struct subset {
    const float *embeddings;
    const uint32_t *rows;
    size_t count, width;
    double *pairs;
};

static void measure_pairs(void *self, size_t hand, size_t first, size_t count)
{
    const struct subset *s = self;

    (void)hand;
    for (size_t i = first; i < first + count; i++)
        for (size_t j = 0; j < i; j++)
            s->pairs[i * (i - 1) / 2 + j] = affinity_squared(
                s->embeddings + s->rows[i] * s->width,
                s->embeddings + s->rows[j] * s->width, s->width);
}

MUST_CHECK static struct status subset_median(const struct crew *crew,
                                              const float *embeddings,
                                              size_t width, uint32_t seed,
                                              struct knn *g, bool *ret_some)
{
    AUTO(free_pointer) void *rows = NULL;
    AUTO(free_pointer) void *pairs = NULL;
    struct subset s = { .embeddings = embeddings, .width = width };

    s.count = g->n < KNN_SUBSET ? g->n : KNN_SUBSET;
    TRY_PLAIN(crew_room(s.count, sizeof(uint32_t), "a subset", &rows));
    draw_rows(seed, "select.sigma", g->n, s.count, rows);
    TRY_PLAIN(
        crew_room(s.count * s.count / 2, sizeof(double), "distances", &pairs));
    s.rows = rows;
    s.pairs = pairs;
    TRY_PLAIN(crew_run(crew, s.count, 16, measure_pairs, &s));
    *ret_some =
        affinity_median(pairs, s.count * (s.count - 1) / 2, s.count,
                        AFFINITY_MEDIAN_OFFDIAG, &g->median, &g->fallback);
    return SUCCESS;
}

static bool rows_equal(const float *embeddings, size_t n, size_t width)
{
    for (size_t i = 1; i < n; i++)
        if (affinity_squared(embeddings, embeddings + i * width, width) > 0.0)
            return false;
    return true;
}

/* The subset is of one point but not all are: the neighbours say how far
 * others are. If they do not either, no edge is longer than 0, and any sigma
 * gives the same weights. */
MUST_CHECK static struct status neighbour_median(const struct edges *e,
                                                 struct knn *g)
{
    AUTO(free_pointer) void *memory = NULL;
    size_t count = 0;
    double *pairs;

    TRY_PLAIN(crew_room(g->entries, sizeof(*pairs), "distances", &memory));
    pairs = memory;
    for (size_t i = 0; i < g->n; i++)
        for (uint64_t l = e->begin[i]; l < e->end[i]; l++)
            pairs[count++] = e->items[l].squared;
    if (!affinity_median(pairs, count, g->n, AFFINITY_MEDIAN_OFFDIAG,
                         &g->median, &g->fallback))
        g->median = 1.0;
    g->fallback = true;
    return SUCCESS;
}

MUST_CHECK static struct status choose_sigma(
    const struct crew *crew, const float *embeddings, size_t width,
    const struct knn_how *how, const struct edges *e, struct knn *g)
{
    bool some;

    TRY_PLAIN(subset_median(crew, embeddings, width, how->seed, g, &some));
    if (!some && rows_equal(embeddings, g->n, width)) {
        g->all_equal = true;
        return SUCCESS;
    }
    if (!some)
        TRY_PLAIN(neighbour_median(e, g));
    g->sigma = g->median * (how->sigma.scale > 0.0 ? how->sigma.scale : 1.0);
    if (how->sigma.fixed > 0.0) {
        g->sigma = how->sigma.fixed;
        g->fallback = false;
    }
    return SUCCESS;
}

/* --- components ---------------------------------------------------------------
 */

/* Everything that is joined to `start`, which is new. */
static void flood(struct knn *g, uint32_t start, uint32_t name,
                  uint32_t *waiting)
{
    size_t count = 1;

    waiting[0] = start;
    g->component[start] = name;
    while (count > 0) {
        uint32_t i = waiting[--count];

        for (uint64_t l = g->begin[i]; l < g->begin[i + 1]; l++) {
            uint32_t j = g->column[l];

            if (g->component[j] != UINT32_MAX)
                continue;
            g->component[j] = name;
            waiting[count++] = j;
        }
    }
}

MUST_CHECK static struct status find_components(struct knn *g)
{
    AUTO(free_pointer) void *waiting = NULL;
    void *memory;

    TRY_PLAIN(crew_room(g->n, sizeof(uint32_t), "components", &waiting));
    TRY_PLAIN(crew_room(g->n, sizeof(uint32_t), "components", &memory));
    g->component = memory;
    memset(memory, 0xFF, g->n * sizeof(uint32_t));
    for (size_t i = 0; i < g->n; i++)
        if (g->component[i] == UINT32_MAX)
            flood(g, (uint32_t)i, (uint32_t)g->components++, waiting);
    return SUCCESS;
}

/* --- all ----------------------------------------------------------------------
 */

MUST_CHECK static struct status find_edges(const struct crew *crew,
                                           const float *embeddings,
                                           size_t width, size_t k,
                                           struct knn *g, struct edges *e)
{
    AUTO(free_pointer) void *index = NULL;
    AUTO(free_pointer) void *squared = NULL;
    const struct knn_search search = { .from = embeddings,
                                       .to = embeddings,
                                       .n = g->n,
                                       .m = g->n,
                                       .width = width,
                                       .k = k,
                                       .self = true };

    TRY_PLAIN(crew_room(g->n * k, sizeof(uint32_t), "neighbours", &index));
    TRY_PLAIN(crew_room(g->n * k, sizeof(double), "neighbours", &squared));
    TRY_PLAIN(knn_nearest(crew, &search, index, squared));
    TRY_PLAIN(edges_make(g->n, k, index, squared, e));
    g->entries = edges_clean(g->n, e);
    return SUCCESS;
}

MUST_CHECK static struct status make(const struct crew *crew,
                                     const float *embeddings, size_t width,
                                     const struct knn_how *how, struct knn *g)
{
    AUTO(edges_release) struct edges e = { 0 };
    size_t k = how->neighbours < g->n ? how->neighbours : g->n - 1;

    TRY_PLAIN(find_edges(crew, embeddings, width, k, g, &e));
    TRY_PLAIN(choose_sigma(crew, embeddings, width, how, &e, g));
    if (g->all_equal)
        return SUCCESS;
    TRY_PLAIN(fill_graph(&e, g));
    return find_components(g);
}

struct status knn_make(const struct crew *crew, const float *embeddings,
                       size_t n, size_t width, const struct knn_how *how,
                       struct knn *ret_graph)
{
    struct knn g = { .n = n };
    struct status st = SUCCESS;

    if (how->neighbours < 1 || how->neighbours > KNN_NEIGHBOURS)
        return FAIL(STATUS_INVALID, "%zu neighbours: from 1 to %d",
                    how->neighbours, KNN_NEIGHBOURS);
    if (!(how->sigma.fixed >= 0.0) || !(how->sigma.scale >= 0.0))
        return FAIL(STATUS_INVALID, "sigma %g and its scale %g must be above 0",
                    how->sigma.fixed, how->sigma.scale);
    if (n < 2)
        g.all_equal = true;
    else
        st = make(crew, embeddings, width, how, &g);
    if (status_failed(&st)) {
        knn_release(&g);
        return st;
    }
    *ret_graph = g;
    return SUCCESS;
}

void knn_release(struct knn *g)
{
    free(g->begin);
    free(g->column);
    free(g->weight);
    free(g->degree);
    free(g->component);
    *g = (struct knn){ 0 };
}
