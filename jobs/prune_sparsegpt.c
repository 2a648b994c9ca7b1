#include "jobs/prune_sparsegpt.h"

#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
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

/* Columns first ... first + count - 1 of the matrix, and room for what they
 * leave behind. */
struct block {
    const struct prune_factor *f;
    const struct prune_how *how;
    size_t first, count, outputs;
    float *w;        /* [outputs][count] */
    float *errors;   /* [outputs][count] */
    float *scores;   /* [outputs][count] */
    uint8_t *keep;   /* [outputs][count] */
    uint8_t *may;    /* [outputs][count]: was there before */
    float *diagonal; /* [count] of the factor */
    double loss;
};

static void block_release(struct block *b)
{
    free(b->w);
    free(b->errors);
    free(b->scores);
    free(b->keep);
    free(b->may);
    free(b->diagonal);
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

static void take_block(struct block *b, const float *w, const uint8_t *keep)
{
    size_t n = b->f->inputs;

    for (size_t i = 0; i < b->count; i++)
        b->diagonal[i] = b->f->upper[(b->first + i) * (n + 1)];
    for (size_t r = 0; r < b->outputs; r++) {
        memcpy(b->w + r * b->count, w + r * n + b->first,
               b->count * sizeof(*w));
        memcpy(b->may + r * b->count, keep + r * n + b->first, b->count);
    }
}

ISA_CLONES
static void score(const float *w, const float *diagonal, size_t count,
                  float *scores)
{
    for (size_t i = 0; i < count; i++)
        scores[i] = (w[i] / diagonal[i]) * (w[i] / diagonal[i]);
}

/* All of the block is chosen from before a weight of it has moved. */
static void choose_block(struct block *b)
{
    const struct prune_matrix m = { b->outputs, b->count, false };

    for (size_t r = 0; r < b->outputs; r++)
        score(b->w + r * b->count, b->diagonal, b->count,
              b->scores + r * b->count);
    prune_choose(b->how, &m, b->scores, b->keep);
}

/* Of the group that begins at column i, as its weights are by now. */
static void choose_group(const struct block *b, size_t i, const float *w,
                         float *scores, uint8_t *keep)
{
    size_t left = b->count - i;
    const struct prune_matrix m = { 1, left < b->how->of ? left : b->how->of,
                                    false };

    score(w + i, b->diagonal + i, m.inputs, scores);
    prune_choose(b->how, &m, scores, keep + i);
}

/* Column by column: what goes, or is dead, is made up for by those behind. */
static void run_row(struct block *b, size_t row)
{
    float *w = b->w + row * b->count, *errors = b->errors + row * b->count;
    uint8_t *keep = b->keep + row * b->count;
    const uint8_t *may = b->may + row * b->count;

    for (size_t i = 0; i < b->count; i++) {
        const float *u = b->f->upper + (b->first + i) * (b->f->inputs + 1);

        if (b->how->of > 0 && i % b->how->of == 0)
            choose_group(b, i, w, b->scores, keep);
        errors[i] = 0.0F;
        keep[i] &= may[i];
        if (keep[i] != 0)
            continue;
        errors[i] = w[i] / u[0];
        b->loss += (double)errors[i] * (double)errors[i] / 2.0;
        elementwise_axpy(-errors[i], u + 1, w + i + 1, b->count - i - 1);
        w[i] = 0.0F;
    }
}

/* Columns behind the block make up for the rest. */
static void spread(const struct block *b, float *w)
{
    size_t n = b->f->inputs, behind = b->first + b->count;
    const struct blas_product p = {
        .m = b->outputs,
        .n = n - behind,
        .k = b->count,
        .alpha = -1.0F,
        .beta = 1.0F,
        .a = { .data = b->errors, .stride = b->count },
        .b = { .data = b->f->upper + b->first * n + behind, .stride = n },
    };

    if (behind < n)
        blas_multiply(&p, w + behind, n);
}

static void put_block(const struct block *b, float *w, uint8_t *keep)
{
    size_t n = b->f->inputs;

    for (size_t r = 0; r < b->outputs; r++) {
        memcpy(w + r * n + b->first, b->w + r * b->count,
               b->count * sizeof(*w));
        memcpy(keep + r * n + b->first, b->keep + r * b->count, b->count);
    }
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
                              size_t outputs, float *w, uint8_t *keep,
                              double *ret_loss)
{
    AUTO(block_release)
    struct block b = { .f = f, .how = h, .outputs = outputs };

    TRY_PLAIN(block_init(&b, block < f->inputs ? block : f->inputs));
    drop_dead(f, outputs, w);
    for (b.first = 0; b.first < f->inputs; b.first += block) {
        size_t left = f->inputs - b.first;

        b.count = left < block ? left : block;
        take_block(&b, w, keep);
        if (h->of == 0)
            choose_block(&b);
        for (size_t r = 0; r < outputs; r++)
            run_row(&b, r);
        spread(&b, w);
        put_block(&b, w, keep);
    }
    *ret_loss = b.loss;
    return SUCCESS;
}
