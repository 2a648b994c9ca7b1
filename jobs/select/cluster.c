#include "jobs/select/cluster.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "jobs/select/spectrum_parts.h"

/* --- K --------------------------------------------------------------------------
 */

size_t cluster_eigengap(const double *values, size_t count, size_t least,
                        size_t most, double *ret_gap)
{
    size_t best = 0;

    *ret_gap = (double)NAN;
    for (size_t k = least < 1 ? 1 : least; k <= most && k < count; k++) {
        double gap = values[k] - values[k - 1];

        if (best == 0 || gap > *ret_gap) {
            best = k;
            *ret_gap = gap;
        }
    }
    return best;
}

MUST_CHECK static struct status choose_by_gap(const struct spectrum *s,
                                              const struct cluster_how *how,
                                              struct clusters *c)
{
    size_t least = how->least == 0 ? CLUSTER_LEAST : how->least;
    size_t most = how->most == 0 ? CLUSTER_MOST : how->most;

    most = most < s->rows - 2 ? most : s->rows - 2;
    c->by_gap = true;
    if (s->pairs <= most && s->pairs < s->rows)
        return FAIL(STATUS_INVALID,
                    "up to %zu clusters by eigengap need %zu eigenpairs, there "
                    "are %zu",
                    most, most + 1, s->pairs);
    /* All eigenvalues there are may be 0. */
    if (s->components > most)
        c->k = most;
    else
        c->k = cluster_eigengap(s->values, s->pairs, least, most, &c->gap);
    if (c->k == 0)
        c->k = least < s->rows ? least : s->rows;
    return SUCCESS;
}

MUST_CHECK static struct status choose_k(const struct spectrum *s,
                                         const struct cluster_how *how,
                                         struct clusters *c)
{
    c->gap = (double)NAN;
    c->k = how->k;
    if (how->k == 0)
        TRY_PLAIN(choose_by_gap(s, how, c));
    c->reduced = c->k > s->rows;
    c->k = c->reduced ? s->rows : c->k;
    if (c->k > s->pairs)
        return FAIL(STATUS_INVALID,
                    "%zu clusters need as many eigenpairs, there are %zu", c->k,
                    s->pairs);
    if (c->k < s->pairs)
        c->gap = s->values[c->k] - s->values[c->k - 1];
    c->repeated = c->gap < 1e-6;
    return SUCCESS;
}

/* --- labels of the rows of the spectrum -------------------------------------------
 */

/* Z = Phi_K diag(mu^t); rows [rows][k], the caller's to free. */
MUST_CHECK static struct status make_factor(const struct spectrum *s, size_t k,
                                            double time, double **ret_factor)
{
    double *z;
    void *memory;

    TRY_PLAIN(crew_room(s->rows * k, sizeof(double), "a factor", &memory));
    z = *ret_factor = memory;
    for (size_t j = 0; j < k; j++) {
        double mu = 1.0 - s->values[j];
        /* Of a kernel that is not positive only the size decays. */
        double weight = time > 0.0 ? pow(fabs(mu), time) : 1.0;

        for (size_t i = 0; i < s->rows; i++)
            z[i * k + j] = s->vectors[i * s->pairs + j] * weight;
    }
    return SUCCESS;
}

MUST_CHECK static struct status factorise(const struct crew *crew,
                                          const struct spectrum *s,
                                          const struct cluster_how *how,
                                          struct clusters *c, uint32_t *labels)
{
    AUTO(free_pointer) double *z = NULL;
    AUTO(nmf_release) struct nmf f = { 0 };
    struct nmf_matrix matrix = { .n = s->rows, .rank = c->k };

    TRY_PLAIN(make_factor(s, c->k, how->time, &z));
    matrix.factor = z;
    TRY_PLAIN(nmf_make(crew, &matrix, c->k, how->seed, &f));
    nmf_labels(&f, labels);
    c->error = f.error;
    c->iterations = f.iterations;
    c->starts = f.starts;
    return SUCCESS;
}

/* The k - 1 largest components are clusters, the others share the last one. */
MUST_CHECK static struct status merge_components(const struct spectrum *s,
                                                 size_t k, uint32_t *labels)
{
    AUTO(free_pointer) void *memory = NULL;
    AUTO(free_pointer) void *places = NULL;
    struct component *all;
    uint32_t *place;

    TRY_PLAIN(crew_room(s->components, sizeof(*all), "components", &memory));
    TRY_PLAIN(crew_room(s->components, sizeof(*place), "components", &places));
    all = memory;
    place = places;
    for (size_t i = 0; i < s->components; i++)
        all[i].name = (uint32_t)i;
    for (size_t i = 0; i < s->rows; i++)
        all[s->component[i]].size++;
    qsort(all, s->components, sizeof(*all), component_by_size);
    for (size_t i = 0; i < s->components; i++)
        place[all[i].name] = (uint32_t)(i < k ? i : k - 1);
    for (size_t i = 0; i < s->rows; i++)
        labels[i] = place[s->component[i]];
    return SUCCESS;
}

MUST_CHECK static struct status label_rows(const struct crew *crew,
                                           const struct spectrum *s,
                                           const struct cluster_how *how,
                                           struct clusters *c, uint32_t *labels)
{
    c->one = s->all_equal || s->rows < 3;
    if (c->one) {
        c->k = 1;
        c->gap = (double)NAN;
        return SUCCESS; /* labels are 0 */
    }
    TRY_PLAIN(choose_k(s, how, c));
    c->merged = s->components > c->k;
    if (c->merged)
        return merge_components(s, c->k, labels);
    return factorise(crew, s, how, c, labels);
}

/* --- labels of the samples --------------------------------------------------------
 */

/* Most of the nearest landmarks; equal: the label of the nearer one. */
static uint32_t vote(const uint32_t *nearest, size_t votes,
                     const uint32_t *labels)
{
    size_t most = 0;
    uint32_t best = 0;

    for (size_t i = 0; i < votes; i++) {
        uint32_t label = labels[nearest[i]];
        size_t count = 0;

        for (size_t j = 0; j < votes; j++)
            count += labels[nearest[j]] == label;
        if (count > most) {
            most = count;
            best = label;
        }
    }
    return best;
}

static void label_samples(const struct spectrum *s, const uint32_t *rows,
                          uint32_t lone, struct clusters *c)
{
    for (size_t i = 0; i < s->n; i++)
        c->labels[i] = lone;
    for (size_t i = 0; i < s->n && s->votes > 0; i++) {
        const uint32_t *nearest = s->nearest + i * s->votes;

        if (nearest[0] != UINT32_MAX)
            c->labels[i] = vote(nearest, s->votes, rows);
    }
    for (size_t i = 0; i < s->rows; i++)
        c->labels[s->row[i]] = rows[i];
}

struct status cluster_canonical(uint32_t *labels, size_t n, size_t *ret_count)
{
    AUTO(free_pointer) void *memory = NULL;
    uint32_t *names, next = 0;

    TRY_PLAIN(crew_room(n, sizeof(*names), "labels", &memory));
    names = memory; /* plus one; 0: none yet */
    for (size_t i = 0; i < n; i++) {
        uint32_t *name = &names[labels[i]];

        *name = *name == 0 ? ++next : *name;
        labels[i] = *name - 1;
    }
    *ret_count = next;
    return SUCCESS;
}

/* A sample without text; n if there is none. */
static size_t find_lone(const struct spectrum *s)
{
    size_t next = 0;

    if (s->empty == 0)
        return s->n;
    for (size_t i = 0; i < s->n; i++) {
        if (s->votes > 0 && s->nearest[i * s->votes] != UINT32_MAX)
            continue;
        while (next < s->rows && s->row[next] < i)
            next++;
        if (s->votes > 0 || next == s->rows || s->row[next] != i)
            return i;
    }
    return s->n;
}

MUST_CHECK static struct status settle(const struct spectrum *s,
                                       struct clusters *c)
{
    size_t lone = find_lone(s), used;
    void *memory;

    TRY_PLAIN(cluster_canonical(c->labels, c->n, &c->count));
    c->lone = lone < c->n;
    if (c->lone)
        c->lone_label = c->labels[lone];
    used = c->count - (c->lone ? 1 : 0);
    c->dropped = s->rows > 0 && c->k > used ? c->k - used : 0;
    TRY_PLAIN(crew_room(c->count, sizeof(*c->sizes), "clusters", &memory));
    c->sizes = memory;
    for (size_t i = 0; i < c->n; i++)
        c->sizes[c->labels[i]]++;
    return SUCCESS;
}

MUST_CHECK static struct status make(const struct crew *crew,
                                     const struct spectrum *s,
                                     const struct cluster_how *how,
                                     struct clusters *c)
{
    AUTO(free_pointer) void *rows = NULL;
    void *memory;

    TRY_PLAIN(crew_room(s->n, sizeof(*c->labels), "labels", &memory));
    c->labels = memory;
    TRY_PLAIN(crew_room(s->rows, sizeof(uint32_t), "labels", &rows));
    TRY_PLAIN(label_rows(crew, s, how, c, rows));
    if (s->n == 0)
        return settle(s, c);
    /* No label of a row is as large, unless each has its own and none is
     * without text. */
    label_samples(s, rows, (uint32_t)(s->n - 1), c);
    return settle(s, c);
}

struct status cluster_make(const struct crew *crew, const struct spectrum *s,
                           const struct cluster_how *how,
                           struct clusters *ret_clusters)
{
    struct clusters c = { .n = s->n };
    struct status st;

    if (how->k > NMF_RANK || !(how->time >= 0.0) || isinf(how->time))
        return FAIL(STATUS_INVALID,
                    "%zu clusters and time %g: %d at most, and 0 or more",
                    how->k, how->time, NMF_RANK);
    st = make(crew, s, how, &c);
    if (status_failed(&st)) {
        clusters_release(&c);
        return st;
    }
    *ret_clusters = c;
    return SUCCESS;
}

void clusters_release(struct clusters *c)
{
    free(c->labels);
    free(c->sizes);
    *c = (struct clusters){ 0 };
}

uint64_t cluster_memory(size_t n, size_t k, uint64_t threads)
{
    return nmf_memory(n, k, threads) +
           (uint64_t)n * (k * sizeof(double) + 4 * sizeof(uint32_t));
}

/* --- what it says -----------------------------------------------------------------
 */

void cluster_note(const struct clusters *c, char *text, size_t size)
{
    const struct {
        bool said;
        const char *words;
    } notes[] = {
        { c->one, ", all samples in one" },
        { c->by_gap, ", by the largest eigengap" },
        { c->repeated, ", the cut goes through equal eigenvalues" },
        { c->merged,
          ", more components than clusters: the smallest share one" },
        { c->reduced, ", more were asked for than there are samples" },
        { c->dropped > 0, ", the others won no sample" },
        { c->lone, ", one of them for samples without text" },
    };
    int used;

    used = snprintf(text, size, "%zu clusters (K %zu, gap %.3g)", c->count,
                    c->k, c->gap);
    for (size_t i = 0; i < COUNT_OF(notes); i++)
        if (notes[i].said && used >= 0 && (size_t)used < size)
            used += snprintf(text + used, size - (size_t)used, "%s",
                             notes[i].words);
}

/* Moves what is farther one place on. */
static void keep_nearest(double distance, size_t sample, size_t count,
                         double *distances, size_t *samples)
{
    size_t at = count;

    while (at > 0 &&
           (samples[at - 1] == SIZE_MAX || distance < distances[at - 1]))
        at--;
    if (at == count)
        return;
    for (size_t i = count - 1; i > at; i--) {
        distances[i] = distances[i - 1];
        samples[i] = samples[i - 1];
    }
    distances[at] = distance;
    samples[at] = sample;
}

void cluster_nearest(const struct clusters *c, uint32_t label,
                     const float *embeddings, size_t width, size_t count,
                     size_t *ret_samples)
{
    AUTO(free_pointer) double *mean = xcalloc(width + 1, sizeof(*mean));
    AUTO(free_pointer) float *centre = xcalloc(width + 1, sizeof(*centre));
    AUTO(free_pointer)
    double *distances = xcalloc(count + 1, sizeof(*distances));

    for (size_t i = 0; i < count; i++)
        ret_samples[i] = SIZE_MAX;
    for (size_t i = 0; i < c->n; i++)
        for (size_t l = 0; l < width && c->labels[i] == label; l++)
            mean[l] += (double)embeddings[i * width + l];
    for (size_t l = 0; l < width; l++)
        centre[l] = (float)(mean[l] / (double)c->sizes[label]);
    for (size_t i = 0; i < c->n; i++)
        if (c->labels[i] == label)
            keep_nearest(
                affinity_squared(centre, embeddings + i * width, width), i,
                count, distances, ret_samples);
}
