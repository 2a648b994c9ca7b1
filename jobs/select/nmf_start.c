#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "common/philox.h"
#include "jobs/select/nmf_parts.h"
#include "tensor/lapack.h"

/* How the first W is made; H begins as the same. */
typedef struct status make_start(const struct nmf_matrix *s, uint32_t seed,
                                 struct nmf *f);

static const double *basis_of(const struct nmf_matrix *s)
{
    return s->basis != NULL ? s->basis : s->factor;
}

/* --- the farthest rows ----------------------------------------------------------
 */

static double dot(const double *a, const double *b, size_t count)
{
    double sum = 0.0;

    for (size_t i = 0; i < count; i++)
        sum += a[i] * b[i];
    return sum;
}

/* Takes the direction of row `of` away from all rows. */
static void project(double *rows, size_t n, size_t rank, size_t of,
                    double *direction)
{
    double norm;

    memcpy(direction, rows + of * rank, rank * sizeof(*direction));
    norm = sqrt(dot(direction, direction, rank));
    for (size_t l = 0; l < rank; l++)
        direction[l] /= norm;
    for (size_t i = 0; i < n; i++) {
        double along = dot(rows + i * rank, direction, rank);

        for (size_t l = 0; l < rank; l++)
            rows[i * rank + l] -= along * direction[l];
    }
}

/* Column j of W is the column of S at row `at`. */
static void copy_column(const struct nmf_matrix *s, size_t at, size_t j,
                        struct nmf *f)
{
    for (size_t i = 0; i < s->n; i++)
        f->w[i * f->k + j] = s->factor == NULL
                                 ? s->dense[i * s->n + at]
                                 : fabs(dot(s->factor + i * s->rank,
                                            s->factor + at * s->rank, s->rank));
}

/* Successive projection (Araujo et al. 2001): if clusters are apart, the k rows
 * found are in k clusters. What it does is the same for any rotation of the
 * basis. */
MUST_CHECK static struct status start_far(const struct nmf_matrix *s,
                                          uint32_t seed, struct nmf *f)
{
    AUTO(free_pointer) void *memory = NULL;
    AUTO(free_pointer)
    double *direction = xcalloc(s->rank, sizeof(*direction));
    double *rows;

    (void)seed;
    TRY_PLAIN(crew_room(s->n * s->rank, sizeof(*rows), "rows", &memory));
    rows = memory;
    memcpy(rows, basis_of(s), s->n * s->rank * sizeof(*rows));
    for (size_t j = 0; j < f->k; j++) {
        double most = 0.0;
        size_t best = 0;

        for (size_t i = 0; i < s->n; i++) {
            double length =
                dot(rows + i * s->rank, rows + i * s->rank, s->rank);

            /* Rounding must not choose among rows that are as far. */
            if (length > most * (1.0 + 1e-9)) {
                most = length;
                best = i;
            }
        }
        copy_column(s, best, j, f);
        if (most <= 0.0)
            break;
        project(rows, s->n, s->rank, best, direction);
    }
    return SUCCESS;
}

/* --- parts of the basis ---------------------------------------------------------
 */

/* The larger of the positive and the negative part of each basis vector, after
 * NNDSVD (Boutsidis and Gallopoulos 2008). */
MUST_CHECK static struct status start_parts(const struct nmf_matrix *s,
                                            uint32_t seed, struct nmf *f)
{
    const double *basis = basis_of(s);

    (void)seed;
    for (size_t j = 0; j < f->k; j++) {
        double up = 0.0, down = 0.0, sign;

        for (size_t i = 0; i < s->n; i++) {
            double x = basis[i * s->rank + j];

            up += x > 0.0 ? x * x : 0.0;
            down += x < 0.0 ? x * x : 0.0;
        }
        sign = up >= down ? 1.0 : -1.0;
        for (size_t i = 0; i < s->n; i++)
            f->w[i * f->k + j] = fmax(sign * basis[i * s->rank + j], 0.0);
    }
    return SUCCESS;
}

MUST_CHECK static struct status start_by_chance(const struct nmf_matrix *s,
                                                uint32_t seed, struct nmf *f)
{
    const struct philox_key key = { .seed = seed,
                                    .stream = philox_hash("select.nmf") };

    for (size_t i = 0; i < s->n * f->k; i++)
        f->w[i] = ((double)philox_word(key, i) + 0.5) * 0x1p-32;
    return SUCCESS;
}

/* --- the best -------------------------------------------------------------------
 */

/* A column that no row prefers is of no use. */
MUST_CHECK static struct status all_used(const struct nmf *f, bool *ret_all)
{
    AUTO(free_pointer) void *memory = NULL;
    AUTO(free_pointer) bool *used = xcalloc(f->k, sizeof(*used));
    uint32_t *labels;

    TRY_PLAIN(crew_room(f->n, sizeof(*labels), "labels", &memory));
    labels = memory;
    nmf_labels(f, labels);
    for (size_t i = 0; i < f->n; i++)
        used[labels[i]] = true;
    *ret_all = true;
    for (size_t j = 0; j < f->k; j++)
        *ret_all = *ret_all && used[j];
    return SUCCESS;
}

/* An error is the root of a difference of sums as large as |S|^2: what is less
 * than that is rounding, which must not choose. */
static const double rounding = 1e-7;

/* Keeps the better one in `best`; equal ones: the earlier. */
MUST_CHECK static struct status try_start(const struct crew *crew,
                                          const struct nmf_matrix *s,
                                          make_start *start, uint32_t seed,
                                          struct nmf *best)
{
    AUTO(nmf_release) struct nmf f = { 0 };
    size_t starts = best->starts + 1;

    TRY_PLAIN(nmf_room(s->n, best->k, &f));
    TRY_PLAIN(start(s, seed, &f));
    memcpy(f.h, f.w, s->n * f.k * sizeof(*f.h));
    TRY_PLAIN(nmf_descend(crew, s, NMF_STILL, NMF_ITERATIONS, &f));
    if (starts == 1 || f.error < best->error * (1.0 - 1e-6) - rounding) {
        struct nmf worse = *best;

        *best = f;
        f = worse;
    }
    best->starts = starts;
    return SUCCESS;
}

/* S is small enough to be there. */
MUST_CHECK static struct status form(const struct nmf_matrix *s, double **ret_s)
{
    const struct lapack_product p = { .m = s->n,
                                      .n = s->n,
                                      .k = s->rank,
                                      .a = s->factor,
                                      .b = s->factor,
                                      .a_stride = s->rank,
                                      .b_stride = s->rank,
                                      .b_transposed = true };
    void *memory;

    TRY_PLAIN(crew_room(s->n * s->n, sizeof(double), "S", &memory));
    *ret_s = memory;
    lapack_multiply(&p, *ret_s, s->n);
    for (size_t i = 0; i < s->n * s->n; i++)
        (*ret_s)[i] = fabs((*ret_s)[i]);
    return SUCCESS;
}

MUST_CHECK static struct status try_all(const struct crew *crew,
                                        const struct nmf_matrix *s,
                                        uint32_t seed, struct nmf *best)
{
    bool all;

    TRY_PLAIN(try_start(crew, s, start_far, seed, best));
    TRY_PLAIN(try_start(crew, s, start_parts, seed, best));
    TRY_PLAIN(all_used(best, &all));
    for (uint32_t i = 0; i < NMF_RESTARTS && !all; i++) {
        TRY_PLAIN(try_start(crew, s, start_by_chance, seed + i, best));
        TRY_PLAIN(all_used(best, &all));
    }
    return SUCCESS;
}

struct status nmf_best(const struct crew *crew, const struct nmf_matrix *s,
                       size_t k, uint32_t seed, struct nmf *ret_nmf)
{
    AUTO(free_pointer) double *dense = NULL;
    AUTO(nmf_release) struct nmf best = { .n = s->n, .k = k };
    struct nmf_matrix there = *s;

    if (s->factor != NULL) {
        TRY_PLAIN(form(s, &dense));
        there = (struct nmf_matrix){
            .n = s->n, .rank = s->rank, .dense = dense, .basis = basis_of(s)
        };
    }
    TRY_PLAIN(try_all(crew, &there, seed, &best));
    *ret_nmf = best;
    best = (struct nmf){ 0 };
    return SUCCESS;
}
