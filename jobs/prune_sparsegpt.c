#include "jobs/prune_sparsegpt.h"

#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "jobs/parallel.h"
#include "tensor/blas.h"
#include "tensor/isa.h"
#include "tensor/lapack.h"

/* ---- the factor ---------------------------------------------------------------- */

static void mark_dead(struct prune_factor *f, double damping)
{
    double sum = 0.0;
    float added;

    for (size_t i = 0; i < f->inputs; i++) {
        float *x = &f->upper[i * f->inputs + i];

        f->dead[i] = *x == 0.0F;
        *x = f->dead[i] ? 1.0F : *x;
        sum += (double)*x;
    }
    added = f->inputs == 0 ? 0.0F : (float)(damping * sum / (double)f->inputs);
    for (size_t i = 0; i < f->inputs; i++)
        f->upper[i * f->inputs + i] += added;
}

static void make_identity(struct prune_factor *f)
{
    memset(f->upper, 0, f->inputs * f->inputs * sizeof(*f->upper));
    for (size_t i = 0; i < f->inputs; i++)
        f->upper[i * f->inputs + i] = 1.0F;
}

void prune_factor_init(struct prune_factor *f, struct prune_hessian *h,
                       double damping)
{
    *f = (struct prune_factor){
        .inputs = h->inputs,
        .upper = h->h,
        .dead = xcalloc(h->inputs + 1, 1),
    };
    h->h = NULL;
    mark_dead(f, damping);
    f->damped = lapack_inverse_factor(f->inputs, f->upper);
    if (!f->damped)
        make_identity(f);
}

void prune_factor_release(struct prune_factor *f)
{
    free(f->upper);
    free(f->dead);
}

size_t prune_factor_packed(size_t inputs)
{
    return inputs * (inputs + 1) / 2 * sizeof(float);
}

void prune_factor_pack(const struct prune_factor *f, float *ret_packed)
{
    for (size_t i = 0; i < f->inputs; i++) {
        size_t count = f->inputs - i;

        memcpy(ret_packed, f->upper + i * (f->inputs + 1),
               count * sizeof(float));
        ret_packed += count;
    }
}

MUST_CHECK static struct status take_factor(size_t inputs, const uint8_t *dead,
                                            struct prune_factor *f)
{
    *f = (struct prune_factor){
        .inputs = inputs,
        .upper = xcalloc_large(inputs * inputs, sizeof(float)),
        .dead = xcalloc(inputs + 1, 1),
    };
    memcpy(f->dead, dead, inputs);
    if (f->upper == NULL)
        return FAIL(STATUS_NO_MEMORY, "no memory for a Hessian of %zu inputs",
                    inputs);
    return SUCCESS;
}

struct status prune_factor_unpack(size_t inputs, const void *packed,
                                  const uint8_t *dead,
                                  struct prune_factor *ret_factor)
{
    const char *from = packed;

    TRY_PLAIN(take_factor(inputs, dead, ret_factor));
    ret_factor->damped = true;
    for (size_t i = 0; i < inputs; i++) {
        size_t size = (inputs - i) * sizeof(float);

        memcpy(ret_factor->upper + i * (inputs + 1), from, size);
        from += size;
    }
    return SUCCESS;
}

struct status prune_factor_nothing(size_t inputs, const uint8_t *dead,
                                   struct prune_factor *ret_factor)
{
    TRY_PLAIN(take_factor(inputs, dead, ret_factor));
    make_identity(ret_factor);
    return SUCCESS;
}

/* ---- a block of columns ---------------------------------------------------------- */

/* Rows that one thread takes at a time, side by side in vectors, and of the
 * columns of a block those that see each other's errors one by one. Strips are
 * the same whoever takes them: so are the bytes. */
enum {
    STRIP = 64,
    LANES = 16,
    VECTORS = STRIP / LANES,
    NARROW = 16,
    AHEAD = 8, /* rows that are asked for before */
    LINE = 64, /* bytes */
};
typedef float lanes __attribute__((vector_size(LANES * sizeof(float))));

/* Rows of a block, turned: a column's lie behind each other. Where there are
 * fewer the rest is 0. */
struct strip {
    size_t first, rows;
    float *w;        /* [count][STRIP] */
    float *errors;   /* [count][STRIP] what went, by the diagonal */
    float *scores;   /* [of][STRIP] of a group */
    uint8_t *keep;   /* [count][STRIP] */
    uint8_t *chosen; /* [of][STRIP] */
};

/* Columns first ... first + count - 1 of the matrix. */
struct block {
    const struct prune_factor *f;
    const struct prune_how *how;
    size_t first, count, outputs, strips, hands;
    float *matrix;      /* [outputs][inputs] of which this is a part */
    uint8_t *kept;      /* the same */
    float *scores;      /* [outputs][count], of no pattern */
    uint8_t *chosen;    /* the same */
    float *upper;       /* [count][count] of the factor */
    float *diagonal;    /* [count] of it */
    double *losses;     /* [strips] */
    struct strip *hand; /* [hands] */
};

static void block_release(struct block *b)
{
    for (size_t i = 0; b->hand != NULL && i < b->hands; i++) {
        free(b->hand[i].w);
        free(b->hand[i].errors);
        free(b->hand[i].scores);
        free(b->hand[i].keep);
        free(b->hand[i].chosen);
    }
    free(b->hand);
    free(b->scores);
    free(b->chosen);
    free(b->upper);
    free(b->diagonal);
    free(b->losses);
}

/* False: there is no memory. */
static bool strip_init(struct strip *s, size_t size, size_t of)
{
    s->w = alloc_large(size * STRIP * sizeof(float));
    s->errors = alloc_large(size * STRIP * sizeof(float));
    s->scores = alloc_large((of + 1) * STRIP * sizeof(float));
    s->keep = alloc_large(size * STRIP);
    s->chosen = alloc_large((of + 1) * STRIP);
    return s->w != NULL && s->errors != NULL && s->scores != NULL &&
           s->keep != NULL && s->chosen != NULL;
}

static struct status block_init(struct block *b, size_t size)
{
    size_t count = b->how->of > 0 ? 1 : b->outputs * size + 1;
    bool done;

    b->scores = alloc_large(count * sizeof(float));
    b->chosen = alloc_large(count);
    b->upper = alloc_large((size * size + 1) * sizeof(float));
    b->diagonal = xcalloc(size + 1, sizeof(float));
    b->losses = xcalloc(b->strips + 1, sizeof(double));
    b->hand = xcalloc(b->hands, sizeof(*b->hand));
    done = b->scores != NULL && b->chosen != NULL && b->upper != NULL;
    for (size_t i = 0; i < b->hands && done; i++)
        done = strip_init(&b->hand[i], size + 1, b->how->of);
    return done ? SUCCESS
                : FAIL(STATUS_NO_MEMORY, "no memory for %zu columns of %zu",
                       size, b->outputs);
}

size_t prune_sparsegpt_bytes(const struct prune_how *h, size_t outputs,
                             size_t block, uint64_t threads)
{
    size_t strips = (outputs + STRIP - 1) / STRIP;
    size_t each = (block + 1) * (2 * sizeof(float) + 1) +
                  (h->of + 1) * (sizeof(float) + 1);
    size_t all = h->of > 0 ? 0 : outputs * block * (sizeof(float) + 1);

    return all + parallel_hands(threads, strips) * STRIP * each +
           block * (block + 1) * sizeof(float);
}

/* ---- what goes -------------------------------------------------------------------- */

ISA_CLONES
static void score(const float *w, const float *diagonal, size_t count,
                  float *scores)
{
    for (size_t i = 0; i < count; i++)
        scores[i] = (w[i] / diagonal[i]) * (w[i] / diagonal[i]);
}

ISA_CLONES
static void score_column(const float *restrict w, float diagonal,
                         float *restrict scores)
{
    for (size_t l = 0; l < STRIP; l++)
        scores[l] = (w[l] / diagonal) * (w[l] / diagonal);
}

static struct status score_strip(void *self, size_t hand, size_t strip)
{
    struct block *b = self;

    (void)hand;
    for (size_t r = strip * STRIP; r < (strip + 1) * STRIP && r < b->outputs;
         r++)
        score(b->matrix + r * b->f->inputs + b->first, b->diagonal, b->count,
              b->scores + r * b->count);
    return SUCCESS;
}

/* Of the groups that begin at column i, as their weights are by now. */
static void choose_groups(const struct block *b, struct strip *s, size_t i)
{
    size_t left = b->count - i;
    const struct prune_matrix m = { STRIP,
                                    left < b->how->of ? left : b->how->of,
                                    true };

    for (size_t k = 0; k < m.inputs; k++)
        score_column(s->w + (i + k) * STRIP, b->diagonal[i + k],
                     s->scores + k * STRIP);
    prune_choose(b->how, &m, s->scores, s->chosen);
    for (size_t k = 0; k < m.inputs * STRIP; k++)
        s->keep[i * STRIP + k] &= s->chosen[k];
}

/* ---- what is made up for ------------------------------------------------------------ */

/* Adds half the squares of what went to the losses of the rows. */
ISA_CLONES
static void drop(const uint8_t *restrict keep, float diagonal,
                 float *restrict w, float *restrict errors,
                 double *restrict losses)
{
    for (size_t l = 0; l < STRIP; l++) {
        float error = keep[l] != 0 ? 0.0F : w[l] / diagonal;

        errors[l] = error;
        w[l] = keep[l] != 0 ? w[l] : 0.0F;
        losses[l] += (double)error * (double)error / 2.0;
    }
}

/* From each of the columns goes what the errors of `count` others, one after
 * the other, make of it: u [count][stride]. */
ISA_CLONES
static void make_up(const float *errors, size_t count, const float *u,
                    size_t stride, size_t columns, float *w)
{
    for (size_t j = 0; j < columns; j++) {
        lanes x[VECTORS], error;

        memcpy(x, w + j * STRIP, sizeof(x));
        for (size_t i = 0; i < count; i++)
            for (size_t v = 0; v < VECTORS; v++) {
                memcpy(&error, errors + i * STRIP + v * LANES, sizeof(error));
                x[v] -= u[i * stride + j] * error;
            }
        memcpy(w + j * STRIP, x, sizeof(x));
    }
}

/* Columns from ... to - 1, and what they leave to those behind in the block. */
static void run_columns(const struct block *b, struct strip *s, size_t from,
                        size_t to, double *losses)
{
    for (size_t i = from; i < to; i++) {
        const float *u = b->upper + i * b->count;

        if (b->how->of > 0 && i % b->how->of == 0)
            choose_groups(b, s, i);
        drop(s->keep + i * STRIP, u[i], s->w + i * STRIP, s->errors + i * STRIP,
             losses);
        make_up(s->errors + i * STRIP, 1, u + i + 1, b->count, to - i - 1,
                s->w + (i + 1) * STRIP);
    }
    make_up(s->errors + from * STRIP, to - from,
            b->upper + from * b->count + to, b->count, b->count - to,
            s->w + to * STRIP);
}

/* Columns behind the block make up for the rest. */
static void spread(const struct block *b, const struct strip *s)
{
    size_t n = b->f->inputs, behind = b->first + b->count;
    const struct blas_product p = {
        .m = s->rows,
        .n = n - behind,
        .k = b->count,
        .alpha = -1.0F,
        .beta = 1.0F,
        .a = { .data = s->errors, .stride = STRIP, .transposed = true },
        .b = { .data = b->f->upper + b->first * n + behind, .stride = n },
    };

    if (behind < n)
        blas_multiply(&p, b->matrix + s->first * n + behind, n);
}

/* ---- strips -------------------------------------------------------------------------- */

/* Rows lie far apart: no processor guesses which is next. */
static void fetch(const struct block *b, const struct strip *s, size_t r)
{
    size_t at = (s->first + r) * b->f->inputs + b->first;

    for (size_t i = 0; i < b->count && r < s->rows; i += LANES)
        __builtin_prefetch(b->matrix + at + i);
    for (size_t i = 0; i < b->count && r < s->rows; i += LINE)
        __builtin_prefetch(b->kept + at + i);
}

/* Some columns at a time, so that lines of both sides are still at hand. */
static void take(const struct block *b, struct strip *s)
{
    size_t n = b->f->inputs;

    if (s->rows < STRIP) {
        memset(s->w, 0, b->count * STRIP * sizeof(float));
        memset(s->keep, 0, b->count * STRIP);
    }
    for (size_t r = 0; r < AHEAD; r++)
        fetch(b, s, r);
    for (size_t at = 0; at < b->count; at += NARROW)
        for (size_t r = 0; r < s->rows; r++) {
            size_t row = (s->first + r) * n + b->first;
            const uint8_t *chosen = b->how->of > 0
                                        ? b->kept + row
                                        : b->chosen + (s->first + r) * b->count;

            if (at == 0)
                fetch(b, s, r + AHEAD);
            for (size_t i = at; i < at + NARROW && i < b->count; i++) {
                s->w[i * STRIP + r] = b->matrix[row + i];
                s->keep[i * STRIP + r] = b->kept[row + i] & chosen[i];
            }
        }
}

static void put(const struct block *b, const struct strip *s)
{
    size_t n = b->f->inputs;

    for (size_t at = 0; at < b->count; at += NARROW)
        for (size_t r = 0; r < s->rows; r++) {
            size_t row = (s->first + r) * n + b->first;

            for (size_t i = at; i < at + NARROW && i < b->count; i++) {
                b->matrix[row + i] = s->w[i * STRIP + r];
                b->kept[row + i] = s->keep[i * STRIP + r];
            }
        }
}

/* Groups are not cut. */
static size_t narrow(const struct block *b)
{
    size_t of = b->how->of;

    return of == 0 ? NARROW : of >= NARROW ? of : NARROW / of * of;
}

static struct status run_strip(void *self, size_t hand, size_t strip)
{
    struct block *b = self;
    struct strip *s = &b->hand[hand];
    size_t step = narrow(b);
    double losses[STRIP] = { 0.0 };

    s->first = strip * STRIP;
    s->rows = b->outputs - s->first < STRIP ? b->outputs - s->first : STRIP;
    take(b, s);
    for (size_t i = 0; i < b->count; i += step)
        run_columns(b, s, i, i + step < b->count ? i + step : b->count, losses);
    put(b, s);
    spread(b, s);
    for (size_t l = 0; l < STRIP; l++)
        b->losses[strip] += losses[l];
    return SUCCESS;
}

/* All of a block is chosen from before a weight of it has moved; groups are
 * chosen from when their turn comes. */
MUST_CHECK static struct status run_block(struct block *b)
{
    const struct prune_matrix m = { b->outputs, b->count, false };
    size_t n = b->f->inputs;

    for (size_t i = 0; i < b->count; i++) {
        memcpy(b->upper + i * b->count,
               b->f->upper + (b->first + i) * n + b->first,
               b->count * sizeof(float));
        b->diagonal[i] = b->upper[i * (b->count + 1)];
    }
    if (b->how->of == 0) {
        TRY_PLAIN(parallel_run(b->hands, b->strips, score_strip, b));
        prune_choose(b->how, &m, b->scores, b->chosen);
    }
    return parallel_run(b->hands, b->strips, run_strip, b);
}

static void drop_dead(const struct prune_factor *f, size_t outputs, float *w)
{
    for (size_t r = 0; r < outputs; r++)
        for (size_t i = 0; i < f->inputs; i++)
            if (f->dead[i] != 0)
                w[r * f->inputs + i] = 0.0F;
}

struct status prune_sparsegpt(const struct prune_factor *f,
                              const struct prune_how *h, size_t block,
                              const struct prune_weights *m, double *ret_loss)
{
    size_t strips = (m->outputs + STRIP - 1) / STRIP;
    AUTO(block_release)
    struct block b = { .f = f,
                       .how = h,
                       .outputs = m->outputs,
                       .strips = strips,
                       .hands = parallel_hands(m->threads, strips),
                       .matrix = m->w,
                       .kept = m->keep };

    TRY_PLAIN(block_init(&b, block < f->inputs ? block : f->inputs));
    drop_dead(f, m->outputs, m->w);
    for (b.first = 0; b.first < f->inputs; b.first += block) {
        size_t left = f->inputs - b.first;

        b.count = left < block ? left : block;
        TRY_PLAIN(run_block(&b));
    }
    *ret_loss = 0.0;
    for (size_t i = 0; i < b.strips; i++)
        *ret_loss += b.losses[i];
    return SUCCESS;
}
