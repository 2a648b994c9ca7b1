#include "jobs/select/nmf.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "jobs/select/draw.h"
#include "jobs/select/nmf_parts.h"
#include "tensor/lapack.h"

/* --- half a step ----------------------------------------------------------------
 */

enum { ROWS = 64, SWEEPS = 20 };

/* The factor `to` follows `from`: to = argmin_{X >= 0} |S - X from^T|, by some
 * sweeps over the columns of each row; what they minimise has S only in
 * S from, so rows of S need not be formed twice. */
struct step {
    const struct nmf_matrix *s;
    size_t k, padded;
    const double *from; /* [n][k] */
    double *to;         /* [n][k] */
    const double *gram; /* [k][k] from^T from */
    double *factor;     /* Z by columns; NULL: S is there */
    double *columns;    /* `from` by columns */
    double *scratch;    /* [hands][nmf_rows_scratch()] */
    double *products;   /* [hands][ROWS][k] */
    double *crosses;    /* [blocks] sum to * (S from) */
};

/* product [rows][k] = S from, for some rows of S. */
static void multiply_rows(const struct step *t, size_t hand, size_t first,
                          size_t rows, double *product)
{
    const struct nmf_matrix *s = t->s;
    const struct nmf_rows r = { .factor = t->factor,
                                .other = t->columns,
                                .padded = t->padded,
                                .rank = s->rank,
                                .k = t->k };
    struct lapack_product p = { .m = rows,
                                .n = t->k,
                                .k = s->n,
                                .b = t->from,
                                .a_stride = s->n,
                                .b_stride = t->k };

    if (s->factor == NULL) {
        p.a = s->dense + first * s->n;
        lapack_multiply(&p, product, t->k);
        return;
    }
    nmf_multiply(&r, s->factor + first * s->rank, rows,
                 t->scratch + hand * nmf_rows_scratch(ROWS, t->k), product);
}

/* A row of one factor, given S times the other and the other's gram. */
static void sweep_row(const double *gram, const double *product, size_t k,
                      double *row)
{
    static const double still = 1e-12;
    double moved = 1.0, size = 0.0;

    for (size_t sweep = 0; sweep < SWEEPS && moved > still * size; sweep++) {
        moved = size = 0.0;
        for (size_t j = 0; j < k; j++) {
            double slope = product[j], before = row[j];

            for (size_t l = 0; l < k; l++)
                slope -= row[l] * gram[l * k + j];
            row[j] = gram[j * k + j] > 0.0
                         ? fmax(before + slope / gram[j * k + j], 0.0)
                         : 0.0;
            moved += fabs(row[j] - before);
            size += row[j];
        }
    }
}

static void step_block(void *self, size_t hand, size_t first, size_t count)
{
    const struct step *t = self;
    double *product = t->products + hand * ROWS * t->k;
    double cross = 0.0;

    multiply_rows(t, hand, first, count, product);
    for (size_t i = 0; i < count; i++) {
        double *row = t->to + (first + i) * t->k;

        sweep_row(t->gram, product + i * t->k, t->k, row);
        for (size_t j = 0; j < t->k; j++)
            cross += row[j] * product[i * t->k + j];
    }
    t->crosses[first / ROWS] = cross;
}

/* gram [k][k] = x^T x, x: [n][k] */
static void gram_of(const double *x, size_t n, size_t k, double *gram)
{
    const struct lapack_product p = { .m = k,
                                      .n = k,
                                      .k = n,
                                      .a = x,
                                      .b = x,
                                      .a_stride = k,
                                      .b_stride = k,
                                      .a_transposed = true };

    lapack_multiply(&p, gram, k);
}

MUST_CHECK static struct status half_step(const struct crew *crew,
                                          struct step *t, double *gram,
                                          double *ret_cross)
{
    size_t n = t->s->n;

    gram_of(t->from, n, t->k, gram);
    t->gram = gram;
    if (t->factor != NULL)
        nmf_transpose(t->from, n, t->k, t->columns);
    TRY_PLAIN(crew_run(crew, n, ROWS, step_block, t));
    *ret_cross = 0.0;
    for (size_t b = 0; b * ROWS < n; b++)
        *ret_cross += t->crosses[b];
    return SUCCESS;
}

/* --- the descent ----------------------------------------------------------------
 */

struct descent {
    struct step step;
    double *grams;  /* [2][k][k] */
    double squares; /* |S|^2 */
};

static void descent_release(struct descent *d)
{
    free(d->step.factor);
    free(d->step.columns);
    free(d->step.scratch);
    free(d->step.products);
    free(d->step.crosses);
    free(d->grams);
}

MUST_CHECK static struct status take_columns(struct descent *d,
                                             const struct crew *crew)
{
    struct step *t = &d->step;
    const struct nmf_matrix *s = t->s;
    void *memory;

    t->padded = nmf_padded(s->n);
    TRY_PLAIN(
        crew_room(t->padded * s->rank, sizeof(double), "a factor", &memory));
    t->factor = memory;
    nmf_transpose(s->factor, s->n, s->rank, t->factor);
    TRY_PLAIN(crew_room(t->padded * t->k, sizeof(double), "a factor", &memory));
    t->columns = memory;
    t->scratch = alloc_large(crew_size(crew) * nmf_rows_scratch(ROWS, t->k) *
                             sizeof(double));
    if (t->scratch == NULL)
        return FAIL(STATUS_NO_MEMORY, "no memory for rows of S");
    return SUCCESS;
}

/* |S|^2 = |Z^T Z|^2, for the absolute value changes no square. `gram` has room
 * for [rank][rank]. */
static double squares_of(const struct nmf_matrix *s, double *gram)
{
    size_t count = s->factor == NULL ? s->n * s->n : s->rank * s->rank;
    const double *x = s->dense;
    double sum = 0.0;

    if (s->factor != NULL) {
        gram_of(s->factor, s->n, s->rank, gram);
        x = gram;
    }
    for (size_t i = 0; i < count; i++)
        sum += x[i] * x[i];
    return sum;
}

MUST_CHECK static struct status descent_init(struct descent *d,
                                             const struct crew *crew,
                                             const struct nmf_matrix *s,
                                             size_t k)
{
    void *memory;

    d->step.s = s;
    d->step.k = k;
    TRY_PLAIN(crew_room(crew_size(crew) * ROWS * k, sizeof(double), "rows of S",
                        &memory));
    d->step.products = memory;
    TRY_PLAIN(crew_room(s->n / ROWS + 1, sizeof(double), "sums", &memory));
    d->step.crosses = memory;
    TRY_PLAIN(crew_room(2 * k * k + s->rank * s->rank, sizeof(double), "sums",
                        &memory));
    d->grams = memory;
    d->squares = squares_of(s, d->grams);
    return s->factor == NULL ? SUCCESS : take_columns(d, crew);
}

static double dot(const double *a, const double *b, size_t count)
{
    double sum = 0.0;

    for (size_t i = 0; i < count; i++)
        sum += a[i] * b[i];
    return sum;
}

/* H follows W, W follows H. */
struct status nmf_descend(const struct crew *crew, const struct nmf_matrix *s,
                          double still, size_t most, struct nmf *f)
{
    static const double exact = 1e-14;
    AUTO(descent_release) struct descent d = { 0 };
    size_t squared = f->k * f->k;
    double before = HUGE_VAL, now, cross;

    TRY_PLAIN(descent_init(&d, crew, s, f->k));
    f->converged = false;
    for (f->iterations = 0; f->iterations < most && !f->converged;
         f->iterations++) {
        d.step.from = f->w;
        d.step.to = f->h;
        TRY_PLAIN(half_step(crew, &d.step, d.grams, &cross));
        d.step.from = f->h;
        d.step.to = f->w;
        TRY_PLAIN(half_step(crew, &d.step, d.grams + squared, &cross));
        gram_of(f->w, s->n, f->k, d.grams);
        now =
            d.squares - 2.0 * cross + dot(d.grams, d.grams + squared, squared);
        now = fmax(now, 0.0);
        f->converged = (f->iterations > 0 && before - now <= still * before) ||
                       now <= exact * d.squares;
        before = now;
    }
    f->error = d.squares > 0.0 ? sqrt(before / d.squares) : 0.0;
    return SUCCESS;
}

/* --- memory -----------------------------------------------------------------------
 */

struct status nmf_room(size_t n, size_t k, struct nmf *f)
{
    void *memory;

    *f = (struct nmf){ .n = n, .k = k };
    TRY_PLAIN(crew_room(n * k, sizeof(double), "factors", &memory));
    f->w = memory;
    TRY_PLAIN(crew_room(n * k, sizeof(double), "factors", &memory));
    f->h = memory;
    return SUCCESS;
}

void nmf_release(struct nmf *f)
{
    free(f->w);
    free(f->h);
    *f = (struct nmf){ 0 };
}

uint64_t nmf_memory(size_t n, size_t k, uint64_t threads)
{
    const struct crew c = { .threads = threads };
    uint64_t coarse = n < NMF_COARSE ? n : NMF_COARSE;

    return (4 * (uint64_t)n + 6 * coarse) * k * sizeof(double) +
           coarse * coarse * sizeof(double) +
           crew_size(&c) * sizeof(double) *
               (ROWS * (coarse + 2 * k) + nmf_rows_scratch(ROWS, k)) +
           n / 8;
}

/* --- all --------------------------------------------------------------------------
 */

/* The rows that were not chosen follow those that were: what a row of S is in
 * their columns says what its own row of the factor is. */
struct following {
    const struct nmf_matrix *s;
    const double *chosen; /* [coarse->n][rank] */
    const struct nmf *coarse;
    const double *gram;
    double *tiles; /* [hands][ROWS][coarse->n + k] */
    double *w;
};

static void follow_block(void *self, size_t hand, size_t first, size_t count)
{
    const struct following *g = self;
    size_t m = g->coarse->n, k = g->coarse->k, rank = g->s->rank;
    double *tile = g->tiles + hand * ROWS * (m + k);
    double *product = tile + ROWS * m;
    const struct lapack_product form = { .m = count,
                                         .n = m,
                                         .k = rank,
                                         .a = g->s->factor + first * rank,
                                         .b = g->chosen,
                                         .a_stride = rank,
                                         .b_stride = rank,
                                         .b_transposed = true };
    const struct lapack_product multiply = { .m = count,
                                             .n = k,
                                             .k = m,
                                             .a = tile,
                                             .b = g->coarse->h,
                                             .a_stride = m,
                                             .b_stride = k };

    lapack_multiply(&form, tile, m);
    for (size_t i = 0; i < count * m; i++)
        tile[i] = fabs(tile[i]);
    lapack_multiply(&multiply, product, k);
    for (size_t i = 0; i < count; i++)
        sweep_row(g->gram, product + i * k, k, g->w + (first + i) * k);
}

MUST_CHECK static struct status extend(const struct crew *crew,
                                       const struct nmf_matrix *s,
                                       const double *chosen,
                                       const struct nmf *coarse, struct nmf *f)
{
    AUTO(free_pointer) void *tiles = NULL;
    AUTO(free_pointer)
    double *gram = xcalloc(coarse->k * coarse->k, sizeof(*gram));
    struct following g = {
        .s = s, .chosen = chosen, .coarse = coarse, .gram = gram, .w = f->w
    };

    TRY_PLAIN(crew_room(crew_size(crew) * ROWS * (coarse->n + coarse->k),
                        sizeof(double), "rows of S", &tiles));
    g.tiles = tiles;
    gram_of(coarse->h, coarse->n, coarse->k, gram);
    TRY_PLAIN(crew_run(crew, s->n, ROWS, follow_block, &g));
    memcpy(f->h, f->w, s->n * f->k * sizeof(*f->h));
    return SUCCESS;
}

/* Some rows stand for all until they are factored; then all go on from there. */
MUST_CHECK static struct status by_coarse(const struct crew *crew,
                                          const struct nmf_matrix *s,
                                          uint32_t seed, struct nmf *f)
{
    AUTO(free_pointer) void *rows = NULL;
    AUTO(free_pointer) void *factor = NULL;
    AUTO(nmf_release) struct nmf coarse = { .k = f->k };
    struct nmf_matrix some = { .n = NMF_COARSE, .rank = s->rank };
    const uint32_t *row;
    double *z;

    TRY_PLAIN(crew_room(some.n, sizeof(*row), "rows", &rows));
    TRY_PLAIN(crew_room(some.n * s->rank, sizeof(double), "rows", &factor));
    draw_rows(seed, "select.coarse", s->n, some.n, rows);
    row = rows;
    z = factor;
    for (size_t i = 0; i < some.n; i++)
        memcpy(z + i * s->rank, s->factor + row[i] * s->rank,
               s->rank * sizeof(*z));
    some.factor = z;
    TRY_PLAIN(nmf_best(crew, &some, f->k, seed, &coarse));
    TRY_PLAIN(extend(crew, s, z, &coarse, f));
    f->starts = coarse.starts;
    return nmf_descend(crew, s, NMF_STILL_FROM_COARSE, NMF_FROM_COARSE, f);
}

struct status nmf_make(const struct crew *crew, const struct nmf_matrix *s,
                       size_t k, uint32_t seed, struct nmf *ret_nmf)
{
    struct nmf f = { .k = k };
    struct status st;

    assert(k >= 1 && k <= s->n && k <= s->rank && k <= NMF_RANK);
    if (s->factor == NULL || s->n <= NMF_COARSE) {
        st = nmf_best(crew, s, k, seed, &f);
    } else {
        st = nmf_room(s->n, k, &f);
        if (!status_failed(&st))
            st = by_coarse(crew, s, seed, &f);
    }
    if (status_failed(&st)) {
        nmf_release(&f);
        return st;
    }
    *ret_nmf = f;
    return SUCCESS;
}

void nmf_labels(const struct nmf *f, uint32_t *ret_labels)
{
    AUTO(free_pointer) double *norms = xcalloc(f->k, sizeof(*norms));

    for (size_t i = 0; i < f->n; i++)
        for (size_t j = 0; j < f->k; j++)
            norms[j] += f->h[i * f->k + j] * f->h[i * f->k + j];
    for (size_t j = 0; j < f->k; j++)
        norms[j] = sqrt(norms[j]);
    for (size_t i = 0; i < f->n; i++) {
        double most = -1.0;

        for (size_t j = 0; j < f->k; j++)
            if (f->w[i * f->k + j] * norms[j] > most) {
                most = f->w[i * f->k + j] * norms[j];
                ret_labels[i] = (uint32_t)j;
            }
    }
}
