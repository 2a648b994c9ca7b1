#include "tensor/gemm.h"

#include <assert.h>

const struct gemm_set *const gemm_sets[] = {
#if defined(__x86_64__)
    &gemm_avx512,
    &gemm_avx2,
#endif
    NULL,
};

enum {
    /* Floats of A that stay in the second cache while all panels of B meet
     * them: half of the smallest one of a server. */
    BLOCK = 128 * 1024,
    /* Rows that lie so many floats apart share the sets of the first cache:
     * more than four of them at a time would drive each other out. */
    ALIASES = 1024,
    ALIAS_ROWS = 4,
    LINE = 16, /* floats */
    /* A that lies turned is copied, so many rows at a time, when each step in
     * depth would be in another page soon. */
    COPIED_ROWS = 128,
    COPIED_STRIDE = 256,
};

const struct gemm_set *gemm_best(void)
{
    const struct gemm_set *const *set = gemm_sets;

    while (*set != NULL && !(*set)->usable())
        set++;
    return *set;
}

static size_t parts_of(size_t total, size_t most)
{
    return total <= most ? 1 : (total + most - 1) / most;
}

/* Where part i of `parts` even ones begins. */
static size_t begin_of(size_t total, size_t parts, size_t i)
{
    return total / parts * i + total % parts * i / parts;
}

/* Some rows of C and one part of the depth. */
struct block {
    const struct gemm_set *set;
    const struct blas_product *p;
    size_t row, rows;
    size_t at, depth;
    float *c;
    size_t stride;
    const float *copy; /* of A, tile behind tile; NULL: A lies well */
};

static size_t tile_rows(const struct block *b)
{
    const struct blas_operand *a = &b->p->a;
    bool aliases = !a->transposed && a->stride % ALIASES == 0;

    return aliases ? ALIAS_ROWS : b->set->rows;
}

/* Where A begins for the tile of `rows` rows from `row` of the block on, and
 * how it lies. */
static void find_a(const struct block *b, size_t row, size_t rows,
                   struct gemm_tile *t)
{
    const struct blas_operand *a = &b->p->a;

    t->a_stride = a->stride;
    t->a = a->transposed ? a->data + b->at * a->stride + b->row + row
                         : a->data + (b->row + row) * a->stride + b->at;
    if (b->copy == NULL)
        return;
    t->a = b->copy + row * b->depth;
    t->a_stride = rows;
}

/* What a tile will write and, under the first panel, what the next one will
 * read lies far away: it is asked for a tile's time before. */
static void fetch(const float *at, size_t stride, size_t rows, size_t count)
{
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < count; j += LINE)
            __builtin_prefetch(at + i * stride + j, 0, 2);
}

static void fetch_written(const float *at, size_t stride, size_t rows,
                          size_t count)
{
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < count; j += LINE)
            __builtin_prefetch(at + i * stride + j, 1, 3);
}

/* Tiles of all rows of the block under one panel of `count` columns. */
static void multiply_panel(const struct block *b, const float *panel,
                           size_t column, size_t count)
{
    const struct blas_product *p = b->p;
    const struct blas_operand *a = &p->a;
    size_t parts = parts_of(b->rows, tile_rows(b));
    float *c = b->c + b->row * b->stride + column;
    const float *sum =
        b->at == 0 && p->sum.data != NULL ? p->sum.data + column : NULL;
    struct gemm_tile t = {
        .turned = a->transposed,
        .panel = panel,
        .depth = b->depth,
        .alpha = p->alpha,
        .from_stride = b->stride,
        .beta = b->at == 0 ? p->beta : 1.0F,
        .bias = b->at == 0 && p->bias != NULL ? p->bias + column : NULL,
        .c_stride = b->stride,
        .columns = count,
    };

    if (sum != NULL) {
        t.beta = 1.0F;
        t.from_stride = p->sum.stride;
    }
    for (size_t i = 0; i < parts; i++) {
        size_t row = begin_of(b->rows, parts, i);
        size_t rows = begin_of(b->rows, parts, i + 1) - row;
        size_t down = b->row + row;

        find_a(b, row, rows, &t);
        t.c = c + row * b->stride;
        t.from = t.beta == 0.0F ? NULL : t.c;
        if (sum != NULL)
            t.from = sum + down * p->sum.stride;
        fetch_written(t.c, t.c_stride, rows, count);
        if (column == 0 && !a->transposed)
            fetch(t.a + rows * a->stride, a->stride, rows, b->depth);
        b->set->tiles[rows - 1](&t);
    }
}

static void multiply_block(const struct block *b)
{
    _Alignas(64) float panel[GEMM_DEPTH * GEMM_COLUMNS];
    const struct blas_operand *x = &b->p->b;
    size_t columns = b->set->columns;

    for (size_t j = 0; j < b->p->n; j += columns) {
        size_t count = b->p->n - j < columns ? b->p->n - j : columns;

        if (x->transposed)
            b->set->pack_turned(x->data + j * x->stride + b->at, x->stride,
                                b->depth, count, panel);
        else
            b->set->pack(x->data + b->at * x->stride + j, x->stride, b->depth,
                         count, panel);
        multiply_panel(b, panel, j, count);
    }
}

static void multiply_turned(const struct block *b)
{
    _Alignas(64) float copy[GEMM_DEPTH * COPIED_ROWS + LINE];
    const struct blas_operand *a = &b->p->a;
    size_t parts = parts_of(b->rows, tile_rows(b));
    struct block copied = *b;

    for (size_t i = 0; i < parts; i++) {
        size_t row = begin_of(b->rows, parts, i);

        b->set->pack_rows(a->data + b->at * a->stride + b->row + row, a->stride,
                          b->depth, begin_of(b->rows, parts, i + 1) - row,
                          copy + row * b->depth);
    }
    copied.copy = copy;
    multiply_block(&copied);
}

void gemm_multiply(const struct gemm_set *set, const struct blas_product *p,
                   float *c, size_t stride)
{
    size_t deep = parts_of(p->k, GEMM_DEPTH);
    size_t depth = p->k < GEMM_DEPTH ? p->k + (p->k == 0) : GEMM_DEPTH;
    bool copied =
        p->a.transposed && p->a.stride >= COPIED_STRIDE && p->n > set->columns;
    size_t blocks = parts_of(p->m, copied ? COPIED_ROWS : BLOCK / depth);

    if (p->m == 0 || p->n == 0)
        return;
    for (size_t i = 0; i < blocks; i++)
        for (size_t d = 0; d < deep; d++) {
            struct block b = {
                .set = set,
                .p = p,
                .row = begin_of(p->m, blocks, i),
                .at = begin_of(p->k, deep, d),
                .c = c,
                .stride = stride,
            };

            b.rows = begin_of(p->m, blocks, i + 1) - b.row;
            b.depth = begin_of(p->k, deep, d + 1) - b.at;
            if (copied)
                multiply_turned(&b);
            else
                multiply_block(&b);
        }
}
