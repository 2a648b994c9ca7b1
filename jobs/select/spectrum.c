#include "jobs/select/spectrum.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "jobs/select/choice.h"
#include "jobs/select/draw.h"
#include "jobs/select/spectrum_parts.h"
#include "tensor/lapack.h"

static const char *const route_names[SPECTRUM_ROUTES] = {
    [SPECTRUM_AUTO] = "auto",
    [SPECTRUM_DENSE] = "dense",
    [SPECTRUM_KNN] = "knn",
    [SPECTRUM_BY_LANDMARKS] = "landmarks",
};

CHOICE(spectrum_route, route_names)

enum spectrum_route spectrum_route_for(enum spectrum_route asked, size_t n)
{
    if (asked != SPECTRUM_AUTO)
        return asked;
    if (n <= SPECTRUM_DENSE_MOST)
        return SPECTRUM_DENSE;
    return n <= SPECTRUM_KNN_MOST ? SPECTRUM_KNN : SPECTRUM_BY_LANDMARKS;
}

/* --- settings -----------------------------------------------------------------
 */

static struct spectrum_how with_defaults(const struct spectrum_how *how)
{
    struct spectrum_how h = *how;

    h.pairs = h.pairs == 0 ? SPECTRUM_PAIRS : h.pairs;
    h.neighbours = h.neighbours == 0 ? SPECTRUM_NEIGHBOURS : h.neighbours;
    h.landmarks = h.landmarks == 0 ? SPECTRUM_LANDMARKS : h.landmarks;
    return h;
}

MUST_CHECK static struct status check(const struct spectrum_how *h, size_t n)
{
    enum spectrum_route route = spectrum_route_for(h->route, n);

    if (n > SPECTRUM_MOST)
        return FAIL(STATUS_TOO_BIG, "%zu samples: %d at most", n,
                    SPECTRUM_MOST);
    if (h->pairs > SPECTRUM_PAIRS_MOST)
        return FAIL(STATUS_INVALID, "%zu eigenpairs: %d at most", h->pairs,
                    SPECTRUM_PAIRS_MOST);
    if (route == SPECTRUM_DENSE && n > SPECTRUM_DENSE_LIMIT)
        return FAIL(STATUS_TOO_BIG,
                    "%zu samples for a dense matrix: take the graph of "
                    "neighbours or landmarks",
                    n);
    if (route == SPECTRUM_BY_LANDMARKS &&
        (h->landmarks < SPECTRUM_LANDMARKS_LEAST ||
         h->landmarks > SPECTRUM_DENSE_LIMIT))
        return FAIL(STATUS_INVALID, "%zu landmarks: from %d to %d",
                    h->landmarks, SPECTRUM_LANDMARKS_LEAST,
                    SPECTRUM_DENSE_LIMIT);
    return SUCCESS;
}

/* --- the dense route ----------------------------------------------------------
 */

struct status spectrum_room(struct spectrum *s, size_t pairs)
{
    void *memory;

    s->pairs = pairs;
    TRY_PLAIN(crew_room(pairs, sizeof(double), "eigenvalues", &memory));
    s->values = memory;
    TRY_PLAIN(
        crew_room(s->rows * pairs, sizeof(double), "eigenvectors", &memory));
    s->vectors = memory;
    return SUCCESS;
}

/* A becomes I - D^-1/2 A D^-1/2. */
static void make_laplacian(struct affinity *a)
{
    for (size_t i = 0; i < a->n; i++) {
        double *row = a->matrix + i * a->n;

        for (size_t j = 0; j < a->n; j++)
            row[j] = -row[j] / sqrt(a->degree[i] * a->degree[j]);
        row[i] += 1.0;
    }
}

/* The eigenpairs of a route: values, vectors, degree and what it found out.
 * `s` has `row` and `rows`; `pairs` is what is wanted. */
MUST_CHECK static struct status solve_dense(const struct crew *crew,
                                            const struct spectrum_points *p,
                                            const struct spectrum_how *how,
                                            size_t pairs, struct spectrum *s)
{
    AUTO(affinity_release) struct affinity a = { 0 };

    TRY_PLAIN(
        affinity_make(crew, p->rows, p->count, p->width, &how->sigma, &a));
    s->median = a.median;
    s->sigma = a.sigma;
    s->fallback = a.fallback;
    s->all_equal = a.all_equal;
    if (a.all_equal)
        return SUCCESS;
    TRY_PLAIN(spectrum_room(s, pairs));
    make_laplacian(&a);
    s->degree = a.degree;
    a.degree = NULL;
    if (crew_cancelled(crew))
        return FAIL(STATUS_CANCELLED, "interrupted");
    TRY(lapack_eigen(p->count, a.matrix, 0, pairs, s->values, s->vectors),
        "the spectrum of %zu samples", p->count);
    return SUCCESS;
}

/* --- landmarks ----------------------------------------------------------------
 */

/* Rows `from` of `embeddings` one after another; the caller frees. */
MUST_CHECK static struct status copy_rows(const float *embeddings, size_t width,
                                          const uint32_t *from, size_t count,
                                          float **ret_rows)
{
    void *memory;

    TRY_PLAIN(crew_room(count * width, sizeof(float), "embeddings", &memory));
    *ret_rows = memory;
    for (size_t i = 0; i < count; i++)
        memcpy(*ret_rows + i * width, embeddings + from[i] * width,
               width * sizeof(float));
    return SUCCESS;
}

/* The nearest landmarks of each point go to the sample it is. */
MUST_CHECK static struct status find_nearest(
    const struct crew *crew, const struct spectrum_points *points,
    const struct spectrum_points *landmarks, const uint32_t *samples,
    struct spectrum *s)
{
    AUTO(free_pointer) void *index = NULL;
    const struct knn_search search = { .from = points->rows,
                                       .to = landmarks->rows,
                                       .n = points->count,
                                       .m = landmarks->count,
                                       .width = points->width,
                                       .k = SPECTRUM_VOTES };
    void *memory;

    s->votes = SPECTRUM_VOTES;
    TRY_PLAIN(
        crew_room(s->n * s->votes, sizeof(uint32_t), "landmarks", &memory));
    s->nearest = memory;
    memset(memory, 0xFF, s->n * s->votes * sizeof(uint32_t));
    TRY_PLAIN(crew_room(points->count * s->votes, sizeof(uint32_t), "landmarks",
                        &index));
    TRY_PLAIN(knn_nearest(crew, &search, index, NULL));
    for (size_t i = 0; i < points->count; i++)
        memcpy(s->nearest + samples[i] * s->votes,
               (const uint32_t *)index + i * s->votes,
               s->votes * sizeof(uint32_t));
    return SUCCESS;
}

/* s->row becomes the landmarks. */
MUST_CHECK static struct status by_landmarks(const struct crew *crew,
                                             const struct spectrum_points *p,
                                             const struct spectrum_how *how,
                                             size_t pairs, struct spectrum *s)
{
    AUTO(free_pointer) uint32_t *samples = s->row;
    AUTO(free_pointer) void *chosen = NULL;
    AUTO(free_pointer) float *rows = NULL;
    size_t count = how->landmarks < p->count ? how->landmarks : p->count;
    const uint32_t *places;
    void *memory;

    s->row = NULL;
    s->rows = count;
    TRY_PLAIN(crew_room(count, sizeof(uint32_t), "landmarks", &memory));
    s->row = memory;
    TRY_PLAIN(crew_room(count, sizeof(uint32_t), "landmarks", &chosen));
    draw_rows(how->seed, "select.landmarks", p->count, count, chosen);
    TRY_PLAIN(copy_rows(p->rows, p->width, chosen, count, &rows));
    places = chosen;
    for (size_t i = 0; i < count; i++)
        s->row[i] = samples[places[i]];
    {
        const struct spectrum_points landmarks = { rows, count, p->width };

        TRY_PLAIN(solve_dense(crew, &landmarks, how,
                              pairs < count ? pairs : count, s));
        return find_nearest(crew, p, &landmarks, samples, s);
    }
}

/* --- all ----------------------------------------------------------------------
 */

MUST_CHECK static struct status find_rows(const float *embeddings, size_t n,
                                          size_t width, struct spectrum *s)
{
    void *memory;

    s->n = n;
    TRY_PLAIN(crew_room(n, sizeof(uint32_t), "rows", &memory));
    s->row = memory;
    TRY_PLAIN(affinity_rows(embeddings, n, width, s->row, &s->rows));
    s->empty = n - s->rows;
    return SUCCESS;
}

MUST_CHECK static struct status make(const struct crew *crew,
                                     const float *embeddings, size_t n,
                                     size_t width,
                                     const struct spectrum_how *how,
                                     struct spectrum *s)
{
    AUTO(free_pointer) float *copy = NULL;
    struct spectrum_points p = { embeddings, 0, width };
    size_t pairs;

    TRY_PLAIN(find_rows(embeddings, n, width, s));
    p.count = s->rows;
    if (s->empty > 0) {
        TRY_PLAIN(copy_rows(embeddings, width, s->row, s->rows, &copy));
        p.rows = copy;
    }
    s->route = spectrum_route_for(how->route, p.count);
    if (s->route == SPECTRUM_BY_LANDMARKS && p.count < SPECTRUM_LANDMARKS_LEAST)
        s->route = SPECTRUM_DENSE;
    pairs = how->pairs < p.count ? how->pairs : p.count;
    switch (s->route) {
    case SPECTRUM_KNN:
        return spectrum_sparse(crew, &p, how, pairs, s);
    case SPECTRUM_BY_LANDMARKS:
        return by_landmarks(crew, &p, how, pairs, s);
    default:
        return solve_dense(crew, &p, how, pairs, s);
    }
}

struct status spectrum_make(const struct crew *crew, const float *embeddings,
                            size_t n, size_t width,
                            const struct spectrum_how *how,
                            struct spectrum *ret_spectrum)
{
    struct spectrum_how h = with_defaults(how);
    struct spectrum s = { 0 };
    struct status st;

    TRY_PLAIN(check(&h, n));
    st = make(crew, embeddings, n, width, &h, &s);
    if (status_failed(&st)) {
        spectrum_release(&s);
        return st;
    }
    *ret_spectrum = s;
    return SUCCESS;
}

void spectrum_release(struct spectrum *s)
{
    free(s->row);
    free(s->values);
    free(s->vectors);
    free(s->degree);
    free(s->component);
    free(s->nearest);
    *s = (struct spectrum){ 0 };
}

uint64_t spectrum_memory(size_t n, size_t width, const struct spectrum_how *how,
                         uint64_t threads)
{
    const struct spectrum_how h = with_defaults(how);
    uint64_t copy = (uint64_t)n * width * sizeof(float);
    uint64_t kept = (uint64_t)n * (h.pairs + 1) * sizeof(double);
    size_t rows = h.landmarks < n ? h.landmarks : n;

    switch (spectrum_route_for(h.route, n)) {
    case SPECTRUM_KNN:
        return copy + 2 * kept + knn_memory(n, h.neighbours, threads) +
               lapack_largest_memory(n, h.pairs);
    case SPECTRUM_BY_LANDMARKS:
        return 2 * copy + affinity_memory(rows, width) +
               lapack_eigen_memory(rows, h.pairs) +
               (uint64_t)n * SPECTRUM_VOTES * 2 * sizeof(uint32_t);
    default:
        return copy + kept + affinity_memory(n, width) +
               lapack_eigen_memory(n, h.pairs);
    }
}

/* --- what it says -------------------------------------------------------------
 */

void spectrum_note(const struct spectrum *s, char *text, size_t size)
{
    int used = 0;

    if (s->all_equal) {
        (void)snprintf(text, size,
                       "%zu samples are one point: a single cluster", s->n);
        return;
    }
    used = snprintf(text, size, "%zu samples by route %s, sigma %.4g%s", s->n,
                    spectrum_route_name(s->route), s->sigma,
                    s->fallback ? " (median of positive distances)" : "");
    if (s->components > 0 && used >= 0 && (size_t)used < size)
        used += snprintf(text + used, size - (size_t)used,
                         ", %zu edges in %zu components",
                         (s->entries - s->rows) / 2, s->components);
    if (s->votes > 0 && used >= 0 && (size_t)used < size)
        used += snprintf(text + used, size - (size_t)used,
                         ", %zu landmarks, the others by the nearest %zu",
                         s->rows, s->votes);
    if (s->empty > 0 && used >= 0 && (size_t)used < size)
        (void)snprintf(text + used, size - (size_t)used, ", %zu without text",
                       s->empty);
}

double spectrum_distance(const struct spectrum *s, size_t pairs, double time,
                         size_t i, size_t j)
{
    double total = 0.0, sum = 0.0;

    for (size_t r = 0; r < s->rows; r++)
        total += s->degree[r];
    for (size_t k = 1; k < pairs; k++) {
        double a = s->vectors[i * s->pairs + k] / sqrt(s->degree[i] / total);
        double b = s->vectors[j * s->pairs + k] / sqrt(s->degree[j] / total);

        sum += pow(1.0 - s->values[k], 2.0 * time) * (a - b) * (a - b);
    }
    return sum;
}

/* psi_k of each row; the largest of them is positive, so that pictures of
 * equal spectra look alike. */
static void plane_axis(const struct spectrum *s, size_t k, float *rows)
{
    double most = 0.0;

    for (size_t i = 0; i < s->rows; i++) {
        double x = s->vectors[i * s->pairs + k] / sqrt(s->degree[i]);

        rows[2 * i] = (float)x;
        most = fabs(x) > fabs(most) ? x : most;
    }
    for (size_t i = 0; i < s->rows && most < 0.0; i++)
        rows[2 * i] = -rows[2 * i];
}

static void copy_place(const float *rows, size_t from, float *plane, size_t to)
{
    if (from == UINT32_MAX)
        return;
    plane[2 * to] = rows[2 * from];
    plane[2 * to + 1] = rows[2 * from + 1];
}

void spectrum_plane(const struct spectrum *s, float *ret_plane)
{
    AUTO(free_pointer)
    float *rows = xcalloc(2 * s->rows + 1, sizeof(*rows));

    for (size_t k = 1; k <= 2 && k < s->pairs; k++)
        plane_axis(s, k, rows + k - 1);
    memset(ret_plane, 0, 2 * s->n * sizeof(*ret_plane));
    for (size_t i = 0; i < s->n && s->nearest != NULL; i++)
        copy_place(rows, s->nearest[i * s->votes], ret_plane, i);
    for (size_t i = 0; i < s->rows; i++)
        copy_place(rows, i, ret_plane, s->row[i]);
}
