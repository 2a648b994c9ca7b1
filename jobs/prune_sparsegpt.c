#include "jobs/prune_sparsegpt.h"

#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "jobs/parallel.h"
#include "tensor/blas.h"
#include "tensor/elementwise.h"
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

/* Rows that one thread takes at a time, and of them those that go through the
 * columns together, so that what is read of the factor is still at hand. The
 * strips are the same whoever takes them: so are the bytes. */
enum { STRIP = 64, ABREAST = 16 };

/* Columns first ... first + count - 1 of the matrix, and room for what they
 * leave behind. */
struct block {
    const struct prune_factor *f;
    const struct prune_how *how;
    size_t first, count, outputs, strips;
    float *matrix;   /* [outputs][inputs] of which this is a part */
    uint8_t *kept;   /* the same */
    float *w;        /* [outputs][count] */
    float *errors;   /* [outputs][count] */
    float *scores;   /* [outputs][count] */
    uint8_t *keep;   /* [outputs][count] */
    uint8_t *may;    /* [outputs][count]: was there before */
    float *diagonal; /* [count] of the factor */
    double *losses;  /* [strips] */
};

static void block_release(struct block *b)
{
    free(b->w);
    free(b->errors);
    free(b->scores);
    free(b->keep);
    free(b->may);
    free(b->diagonal);
    free(b->losses);
}

static struct status block_init(struct block *b, size_t size)
{
    size_t count = b->outputs * size + 1;

    b->w = alloc_large(count * sizeof(float));
    b->errors = alloc_large(count * sizeof(float));
    b->scores = alloc_large(count * sizeof(float));
    b->keep = alloc_large(count);
    b->may = alloc_large(count);
    b->diagonal = xcalloc(size + 1, sizeof(float));
    b->losses = xcalloc(b->strips + 1, sizeof(double));
    if (b->w == NULL || b->errors == NULL || b->scores == NULL ||
        b->keep == NULL || b->may == NULL)
        return FAIL(STATUS_NO_MEMORY, "no memory for %zu columns of %zu", size,
                    b->outputs);
    return SUCCESS;
}

size_t prune_sparsegpt_bytes(size_t outputs, size_t block)
{
    return outputs * block * (3 * sizeof(float) + 2) + block * sizeof(float);
}

static size_t strip_end(const struct block *b, size_t strip)
{
    size_t end = (strip + 1) * STRIP;

    return end < b->outputs ? end : b->outputs;
}

ISA_CLONES
static void score(const float *w, const float *diagonal, size_t count,
                  float *scores)
{
    for (size_t i = 0; i < count; i++)
        scores[i] = (w[i] / diagonal[i]) * (w[i] / diagonal[i]);
}

static struct status take_strip(void *self, size_t hand, size_t strip)
{
    struct block *b = self;
    size_t n = b->f->inputs;

    (void)hand;
    for (size_t r = strip * STRIP; r < strip_end(b, strip); r++) {
        memcpy(b->w + r * b->count, b->matrix + r * n + b->first,
               b->count * sizeof(float));
        memcpy(b->may + r * b->count, b->kept + r * n + b->first, b->count);
        if (b->how->of == 0)
            score(b->w + r * b->count, b->diagonal, b->count,
                  b->scores + r * b->count);
    }
    return SUCCESS;
}

/* Of the group that begins at column i, as its weights are by now. */
static void choose_group(const struct block *b, size_t row, size_t i)
{
    size_t left = b->count - i, at = row * b->count + i;
    const struct prune_matrix m = { 1, left < b->how->of ? left : b->how->of,
                                    false };

    score(b->w + at, b->diagonal + i, m.inputs, b->scores + at);
    prune_choose(b->how, &m, b->scores + at, b->keep + at);
}

/* What goes, or is dead, is made up for by the columns behind it. Returns the
 * loss. */
static double run_weight(struct block *b, size_t row, size_t i, const float *u)
{
    size_t at = row * b->count + i;
    float *w = b->w + at;
    float error;

    b->errors[at] = 0.0F;
    b->keep[at] &= b->may[at];
    if (b->keep[at] != 0)
        return 0.0;
    error = *w / u[0];
    b->errors[at] = error;
    elementwise_axpy(-error, u + 1, w + 1, b->count - i - 1);
    *w = 0.0F;
    return (double)error * (double)error / 2.0;
}

static double run_rows(struct block *b, size_t first, size_t end)
{
    size_t n = b->f->inputs;
    double loss = 0.0;

    for (size_t i = 0; i < b->count; i++) {
        const float *u = b->f->upper + (b->first + i) * (n + 1);

        for (size_t r = first; r < end; r++) {
            if (b->how->of > 0 && i % b->how->of == 0)
                choose_group(b, r, i);
            loss += run_weight(b, r, i, u);
        }
    }
    return loss;
}

/* Columns behind the block make up for the rest. */
static void spread(const struct block *b, size_t first, size_t end)
{
    size_t n = b->f->inputs, behind = b->first + b->count;
    const struct blas_product p = {
        .m = end - first,
        .n = n - behind,
        .k = b->count,
        .alpha = -1.0F,
        .beta = 1.0F,
        .a = { .data = b->errors + first * b->count, .stride = b->count },
        .b = { .data = b->f->upper + b->first * n + behind, .stride = n },
    };

    if (behind < n)
        blas_multiply(&p, b->matrix + first * n + behind, n);
}

static struct status run_strip(void *self, size_t hand, size_t strip)
{
    struct block *b = self;
    size_t n = b->f->inputs, first = strip * STRIP, end = strip_end(b, strip);

    (void)hand;
    for (size_t r = first; r < end; r += ABREAST)
        b->losses[strip] +=
            run_rows(b, r, r + ABREAST < end ? r + ABREAST : end);
    spread(b, first, end);
    for (size_t r = first; r < end; r++) {
        memcpy(b->matrix + r * n + b->first, b->w + r * b->count,
               b->count * sizeof(float));
        memcpy(b->kept + r * n + b->first, b->keep + r * b->count, b->count);
    }
    return SUCCESS;
}

/* All of a block is chosen from before a weight of it has moved; groups are
 * chosen from when their turn comes. */
MUST_CHECK static struct status run_block(struct block *b, size_t hands)
{
    const struct prune_matrix m = { b->outputs, b->count, false };

    for (size_t i = 0; i < b->count; i++)
        b->diagonal[i] = b->f->upper[(b->first + i) * (b->f->inputs + 1)];
    TRY_PLAIN(parallel_run(hands, b->strips, take_strip, b));
    if (b->how->of == 0)
        prune_choose(b->how, &m, b->scores, b->keep);
    return parallel_run(hands, b->strips, run_strip, b);
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
    AUTO(block_release)
    struct block b = { .f = f,
                       .how = h,
                       .outputs = m->outputs,
                       .strips = (m->outputs + STRIP - 1) / STRIP,
                       .matrix = m->w,
                       .kept = m->keep };
    size_t hands = parallel_hands(m->threads, b.strips);

    TRY_PLAIN(block_init(&b, block < f->inputs ? block : f->inputs));
    drop_dead(f, m->outputs, m->w);
    for (b.first = 0; b.first < f->inputs; b.first += block) {
        size_t left = f->inputs - b.first;

        b.count = left < block ? left : block;
        TRY_PLAIN(run_block(&b, hands));
    }
    *ret_loss = 0.0;
    for (size_t i = 0; i < b.strips; i++)
        *ret_loss += b.losses[i];
    return SUCCESS;
}
