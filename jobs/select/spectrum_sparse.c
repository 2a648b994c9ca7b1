#include "jobs/select/spectrum_parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "common/philox.h"
#include "tensor/lapack.h"

/* D^-1/2 A D^-1/2 of a graph, whose eigenvectors of the eigenvalue 1 are known:
 * one for each component, sqrt(D) there. They are taken away, because Lanczos
 * finds a repeated eigenvalue by rounding errors only. */
struct walk {
    const struct crew *crew;
    const struct knn *graph;
    double *root;   /* [n] sqrt(D) */
    double *norms;  /* [components] sum of D */
    double *parts;  /* [components] of the vector at hand */
    double *scaled; /* [n] the vector at hand by sqrt(D) */
    double *y;
};

enum { ROWS = 2048 };

static void multiply_rows(void *self, size_t hand, size_t first, size_t count)
{
    const struct walk *w = self;
    const struct knn *g = w->graph;

    (void)hand;
    for (size_t i = first; i < first + count; i++) {
        double sum = 0.0;

        for (uint64_t l = g->begin[i]; l < g->begin[i + 1]; l++)
            sum += g->weight[l] * w->scaled[g->column[l]];
        /* Once takes an eigenvalue of 1 to 0, twice to -1: below all wanted. */
        w->y[i] =
            sum / w->root[i] - 2.0 * w->parts[g->component[i]] * w->root[i];
    }
}

static bool multiply(void *self, const double *x, double *y)
{
    struct walk *w = self;
    const struct knn *g = w->graph;
    struct status st;

    memset(w->parts, 0, g->components * sizeof(*w->parts));
    for (size_t i = 0; i < g->n; i++) {
        w->parts[g->component[i]] += w->root[i] * x[i];
        w->scaled[i] = x[i] / w->root[i];
    }
    for (size_t c = 0; c < g->components; c++)
        w->parts[c] /= w->norms[c];
    w->y = y;
    st = crew_run(w->crew, g->n, ROWS, multiply_rows, w);
    return !status_failed(&st);
}

/* --- the eigenvalue 1 -----------------------------------------------------------
 */

int component_by_size(const void *a, const void *b)
{
    const struct component *x = a;
    const struct component *y = b;

    if (x->size != y->size)
        return x->size > y->size ? -1 : 1;
    return (x->name > y->name) - (x->name < y->name);
}

/* The vectors of the largest components, as many as there is room for. */
MUST_CHECK static struct status fill_components(const struct walk *w,
                                                size_t count,
                                                struct spectrum *s)
{
    const struct knn *g = w->graph;
    AUTO(free_pointer) void *memory = NULL;
    AUTO(free_pointer) void *places = NULL;
    struct component *all;
    uint32_t *place;

    TRY_PLAIN(crew_room(g->components, sizeof(*all), "components", &memory));
    TRY_PLAIN(crew_room(g->components, sizeof(*place), "components", &places));
    all = memory;
    place = places;
    for (size_t c = 0; c < g->components; c++)
        all[c].name = (uint32_t)c;
    for (size_t i = 0; i < g->n; i++)
        all[g->component[i]].size++;
    qsort(all, g->components, sizeof(*all), component_by_size);
    for (size_t c = 0; c < g->components; c++)
        place[all[c].name] = (uint32_t)c;
    for (size_t i = 0; i < g->n; i++) {
        uint32_t c = g->component[i];

        if (place[c] < count)
            s->vectors[i * s->pairs + place[c]] =
                w->root[i] / sqrt(w->norms[c]);
    }
    return SUCCESS;
}

/* --- the others -----------------------------------------------------------------
 */

/* The mean direction and something of all others. */
static void fill_start(const struct walk *w, uint32_t seed, double *start)
{
    const struct philox_key key = { .seed = seed,
                                    .stream = philox_hash("select.start") };
    double norm = 0.0;

    for (size_t i = 0; i < w->graph->n; i++)
        norm += w->graph->degree[i];
    for (size_t i = 0; i < w->graph->n; i++)
        start[i] =
            w->root[i] / sqrt(norm) + 0.1 * (double)philox_normal(key, i);
}

/* Eigenpairs behind the first `known` of s->pairs. */
MUST_CHECK static struct status by_lanczos(struct walk *w, uint32_t seed,
                                           size_t known, struct spectrum *s)
{
    static const double tolerance = 1e-9;
    AUTO(free_pointer) void *start = NULL;
    AUTO(free_pointer) void *values = NULL;
    AUTO(free_pointer) void *vectors = NULL;
    size_t n = w->graph->n, count = s->pairs - known;
    struct lapack_operator o = { .n = n,
                                 .apply = multiply,
                                 .self = w,
                                 .tolerance = tolerance,
                                 .iterations = 1000 };
    const double *from;

    TRY_PLAIN(crew_room(n, sizeof(double), "a start vector", &start));
    TRY_PLAIN(crew_room(count, sizeof(double), "eigenvalues", &values));
    TRY_PLAIN(crew_room(n * count, sizeof(double), "eigenvectors", &vectors));
    fill_start(w, seed, start);
    o.start = start;
    TRY(lapack_largest(&o, count, values, vectors),
        "the spectrum of %zu samples (take route landmarks, or another number "
        "of neighbours)",
        n);
    from = values;
    for (size_t k = 0; k < count; k++)
        s->values[known + k] = 1.0 - from[k];
    from = vectors;
    for (size_t i = 0; i < n; i++)
        memcpy(s->vectors + i * s->pairs + known, from + i * count,
               count * sizeof(double));
    return SUCCESS;
}

MUST_CHECK static struct status by_matrix(const struct walk *w,
                                          struct spectrum *s)
{
    AUTO(free_pointer) void *memory = NULL;
    const struct knn *g = w->graph;
    double *matrix;

    TRY_PLAIN(crew_room(g->n * g->n, sizeof(double), "a matrix", &memory));
    matrix = memory;
    for (size_t i = 0; i < g->n; i++) {
        for (uint64_t l = g->begin[i]; l < g->begin[i + 1]; l++)
            matrix[i * g->n + g->column[l]] =
                -g->weight[l] / (w->root[i] * w->root[g->column[l]]);
        matrix[i * g->n + i] += 1.0;
    }
    return lapack_eigen(g->n, matrix, 0, s->pairs, s->values, s->vectors);
}

static void walk_release(struct walk *w)
{
    free(w->root);
    free(w->scaled);
    free(w->norms);
    free(w->parts);
}

MUST_CHECK static struct status walk_init(struct walk *w)
{
    const struct knn *g = w->graph;
    void *memory;

    TRY_PLAIN(crew_room(g->n, sizeof(double), "degrees", &memory));
    w->root = memory;
    TRY_PLAIN(crew_room(g->n, sizeof(double), "a vector", &memory));
    w->scaled = memory;
    TRY_PLAIN(crew_room(g->components, sizeof(double), "components", &memory));
    w->norms = memory;
    TRY_PLAIN(crew_room(g->components, sizeof(double), "components", &memory));
    w->parts = memory;
    for (size_t i = 0; i < g->n; i++) {
        w->root[i] = sqrt(g->degree[i]);
        w->norms[g->component[i]] += g->degree[i];
    }
    return SUCCESS;
}

MUST_CHECK static struct status fill(struct walk *w, uint32_t seed,
                                     size_t pairs, struct spectrum *s)
{
    size_t known;

    TRY_PLAIN(walk_init(w));
    TRY_PLAIN(spectrum_room(s, pairs));
    if (w->graph->n <= SPECTRUM_SMALL)
        return by_matrix(w, s);
    known = w->graph->components < pairs ? w->graph->components : pairs;
    TRY_PLAIN(fill_components(w, known, s));
    return known < pairs ? by_lanczos(w, seed, known, s) : SUCCESS;
}

/* What the graph found out goes with the spectrum. */
static void take_graph(struct knn *g, struct spectrum *s)
{
    s->median = g->median;
    s->sigma = g->sigma;
    s->fallback = g->fallback;
    s->all_equal = g->all_equal;
    s->entries = g->entries;
    s->components = g->components;
    if (g->all_equal)
        return;
    s->degree = g->degree;
    s->component = g->component;
    g->degree = NULL;
    g->component = NULL;
}

struct status spectrum_sparse(const struct crew *crew,
                              const struct spectrum_points *p,
                              const struct spectrum_how *how, size_t pairs,
                              struct spectrum *s)
{
    const struct knn_how graph = { .neighbours = how->neighbours,
                                   .sigma = how->sigma,
                                   .seed = how->seed };
    AUTO(knn_release) struct knn g = { 0 };
    AUTO(walk_release) struct walk w = { .crew = crew, .graph = &g };

    TRY_PLAIN(knn_make(crew, p->rows, p->count, p->width, &graph, &g));
    if (!g.all_equal)
        TRY_PLAIN(fill(&w, how->seed, pairs, s));
    take_graph(&g, s);
    return SUCCESS;
}
