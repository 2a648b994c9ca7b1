#include "jobs/select/affinity.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "jobs/select/choice.h"
#include "tensor/isa.h"
#include "tensor/lapack.h"

static const char *const rule_names[AFFINITY_RULES] = {
    [AFFINITY_MEDIAN_FULL] = "median_full",
    [AFFINITY_MEDIAN_OFFDIAG] = "median_offdiag",
};

CHOICE(affinity_rule, rule_names)

struct status affinity_rows(const float *embeddings, size_t n, size_t width,
                            uint32_t *ret_rows, size_t *ret_count)
{
    size_t count = 0;

    for (size_t i = 0; i < n; i++) {
        bool zero = true;

        for (size_t k = 0; k < width; k++) {
            float x = embeddings[i * width + k];

            if (!isfinite(x))
                return FAIL(STATUS_INVALID,
                            "the embedding of sample %zu is not finite", i);
            zero = zero && x == 0.0F;
        }
        if (!zero)
            ret_rows[count++] = (uint32_t)i;
    }
    *ret_count = count;
    return SUCCESS;
}

enum { LANES = 8 };

ISA_CLONES
double affinity_squared(const float *a, const float *b, size_t width)
{
    double lanes[LANES] = { 0 };
    size_t whole = width - width % LANES;

    for (size_t i = 0; i < whole; i += LANES)
        for (size_t l = 0; l < LANES; l++) {
            double step = (double)a[i + l] - (double)b[i + l];

            lanes[l] += step * step;
        }
    for (size_t i = whole; i < width; i++) {
        double step = (double)a[i] - (double)b[i];

        lanes[i - whole] += step * step;
    }
    for (size_t l = 1; l < LANES; l++)
        lanes[0] += lanes[l];
    return lanes[0];
}

/* --- the median -----------------------------------------------------------------
 */

/* Sorts x [count] so far that what is before `rank` is not larger than x[rank],
 * and what is behind it not smaller. */
static void sort_to(double *x, size_t count, size_t rank)
{
    size_t first = 0, end = count;

    while (end - first > 1) {
        double pivot = x[first + (end - first) / 2];
        size_t low = first, at = first, high = end;

        while (at < high) {
            double value = x[at];

            if (value < pivot) {
                x[at++] = x[low];
                x[low++] = value;
            } else if (value > pivot) {
                x[at] = x[--high];
                x[high] = value;
            } else {
                at++;
            }
        }
        if (rank < low)
            end = low;
        else if (rank >= high)
            first = high;
        else
            return;
    }
}

static double root_at(double *squared, size_t count, size_t rank)
{
    sort_to(squared, count, rank);
    return sqrt(squared[rank]);
}

/* The mean of the two in the middle, as is usual. */
static double median_of(double *squared, size_t count)
{
    return (root_at(squared, count, (count - 1) / 2) +
            root_at(squared, count, count / 2)) /
           2.0;
}

/* Of n zeros, and each pair twice. */
static double median_full(double *squared, size_t count, size_t n)
{
    size_t middle[2] = { (n * n - 1) / 2, n * n / 2 };
    double sum = 0.0;

    for (size_t i = 0; i < 2; i++)
        if (middle[i] >= n)
            sum += root_at(squared, count, (middle[i] - n) / 2);
    return sum / 2.0;
}

bool affinity_median(double *squared, size_t count, size_t n,
                     enum affinity_rule rule, double *ret_median,
                     bool *ret_fallback)
{
    size_t positive = 0;
    double median;

    *ret_median = 0.0;
    *ret_fallback = false;
    if (count == 0)
        return false;
    median = rule == AFFINITY_MEDIAN_FULL ? median_full(squared, count, n)
                                          : median_of(squared, count);
    *ret_median = median;
    if (median > 0.0)
        return true;
    for (size_t i = 0; i < count; i++)
        if (squared[i] > 0.0)
            squared[positive++] = squared[i];
    if (positive == 0)
        return false;
    *ret_fallback = true;
    *ret_median = median_of(squared, positive);
    return true;
}

/* --- the matrix -------------------------------------------------------------------
 */

struct making {
    const float *embeddings;
    size_t n, width;
    double *norms;  /* [n] squared */
    double *matrix; /* [n][n] */
    double *pairs;  /* [n (n - 1) / 2] */
    double *degree;
    double narrow; /* 1 / (2 sigma^2) */
};

enum { ROWS = 64 }; /* of a block */

/* From the products of rows in the lower triangle. Near pairs are computed
 * anew: their difference is what the subtraction leaves. */
static void fill_distances(void *self, size_t hand, size_t first, size_t count)
{
    static const double near = 1e-6;
    const struct making *m = self;

    (void)hand;
    for (size_t i = first; i < first + count; i++) {
        double *row = m->matrix + i * m->n;
        double *pairs = m->pairs == NULL ? NULL : m->pairs + i * (i - 1) / 2;

        for (size_t j = 0; j < i; j++) {
            double both = m->norms[i] + m->norms[j];

            row[j] = both - 2.0 * row[j];
            if (row[j] < near * both)
                row[j] =
                    affinity_squared(m->embeddings + i * m->width,
                                     m->embeddings + j * m->width, m->width);
        }
        if (i > 0 && pairs != NULL)
            memcpy(pairs, row, i * sizeof(*pairs));
    }
}

static void fill_kernel(void *self, size_t hand, size_t first, size_t count)
{
    const struct making *m = self;

    (void)hand;
    for (size_t i = first; i < first + count; i++) {
        double *row = m->matrix + i * m->n;

        for (size_t j = 0; j < i; j++) {
            row[j] = exp(-row[j] * m->narrow);
            m->matrix[j * m->n + i] = row[j];
        }
        row[i] = 1.0;
    }
}

static void fill_degrees(void *self, size_t hand, size_t first, size_t count)
{
    const struct making *m = self;

    (void)hand;
    for (size_t i = first; i < first + count; i++) {
        const double *row = m->matrix + i * m->n;
        double sum = 0.0;

        for (size_t j = 0; j < m->n; j++)
            sum += row[j];
        m->degree[i] = sum;
    }
}

MUST_CHECK static struct status multiply_rows(struct making *m)
{
    AUTO(free_pointer) void *wide = NULL;
    double *x;

    TRY_PLAIN(crew_room(m->n * m->width, sizeof(*x), "embeddings", &wide));
    x = wide;
    for (size_t i = 0; i < m->n * m->width; i++)
        x[i] = (double)m->embeddings[i];
    lapack_gram(m->n, m->width, x, m->matrix);
    for (size_t i = 0; i < m->n; i++)
        m->norms[i] = m->matrix[i * m->n + i];
    return SUCCESS;
}

MUST_CHECK static struct status check_sigma(const struct affinity_sigma *how)
{
    if (!(how->fixed >= 0.0) || !(how->scale >= 0.0) || isinf(how->fixed) ||
        isinf(how->scale))
        return FAIL(STATUS_INVALID, "sigma %g and its scale %g must be above 0",
                    how->fixed, how->scale);
    return SUCCESS;
}

/* False in ret_some: all points are one. */
MUST_CHECK static struct status choose_sigma(const struct affinity_sigma *how,
                                             struct making *m,
                                             struct affinity *a, bool *ret_some)
{
    size_t count = m->n * (m->n - 1) / 2;

    *ret_some = affinity_median(m->pairs, count, m->n, how->rule, &a->median,
                                &a->fallback);
    a->sigma = a->median * (how->scale > 0.0 ? how->scale : 1.0);
    if (how->fixed > 0.0) {
        a->sigma = how->fixed;
        a->fallback = false;
    }
    m->narrow = 1.0 / (2.0 * a->sigma * a->sigma);
    if (*ret_some && !isfinite(m->narrow))
        return FAIL(STATUS_INVALID, "sigma %g is too small", a->sigma);
    return SUCCESS;
}

MUST_CHECK static struct status make(const struct crew *crew,
                                     const struct affinity_sigma *how,
                                     struct making *m, struct affinity *a)
{
    AUTO(free_pointer) void *norms = NULL;
    AUTO(free_pointer) void *pairs = NULL;
    void *memory;
    bool some;

    TRY_PLAIN(crew_room(m->n * m->n, sizeof(double), "distances", &memory));
    a->matrix = m->matrix = memory;
    TRY_PLAIN(crew_room(m->n, sizeof(double), "degrees", &memory));
    a->degree = m->degree = memory;
    TRY_PLAIN(crew_room(m->n, sizeof(double), "norms", &norms));
    m->norms = norms;
    TRY_PLAIN(multiply_rows(m));
    TRY_PLAIN(
        crew_room(m->n * m->n / 2, sizeof(double), "sorted distances", &pairs));
    m->pairs = pairs;
    TRY_PLAIN(crew_run(crew, m->n, ROWS, fill_distances, m));
    TRY_PLAIN(choose_sigma(how, m, a, &some));
    if (!some) {
        a->all_equal = true;
        return SUCCESS;
    }
    TRY_PLAIN(crew_run(crew, m->n, ROWS, fill_kernel, m));
    return crew_run(crew, m->n, ROWS, fill_degrees, m);
}

struct status affinity_make(const struct crew *crew, const float *embeddings,
                            size_t n, size_t width,
                            const struct affinity_sigma *how,
                            struct affinity *ret_affinity)
{
    struct making m = { .embeddings = embeddings, .n = n, .width = width };
    struct affinity a = { .n = n };
    struct status st;

    TRY_PLAIN(check_sigma(how));
    if (n == 0) {
        a.all_equal = true;
        *ret_affinity = a;
        return SUCCESS;
    }
    st = make(crew, how, &m, &a);
    if (status_failed(&st) || a.all_equal) {
        free(a.matrix);
        free(a.degree);
        a.matrix = a.degree = NULL;
    }
    if (!status_failed(&st))
        *ret_affinity = a;
    return st;
}

void affinity_release(struct affinity *a)
{
    free(a->matrix);
    free(a->degree);
    *a = (struct affinity){ 0 };
}

uint64_t affinity_memory(size_t n, size_t width)
{
    uint64_t matrix = (uint64_t)n * n * sizeof(double);
    uint64_t wide = (uint64_t)n * width * sizeof(double);

    return matrix + (wide > matrix / 2 ? wide : matrix / 2) +
           2 * (uint64_t)n * sizeof(double);
}
