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
    RUN = 16, /* steps in depth that are copied for all tiles, then the next */
    /* A vector between copied tiles may be written behind each. */
    COPIED_TILES = 32,
    COPY = GEMM_DEPTH * COPIED_ROWS + COPIED_TILES * LINE,
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

/* Where the copy of tile i begins, whose first row is `row` of the block. */
static size_t copy_at(const struct block *b, size_t i, size_t row)
{
    return row * b->depth + i * LINE;
}

/* Rows of a tile of C. */
struct rows {
    size_t i, first, count; /* which tile, and where in the block */
};

static struct rows find_rows(const struct block *b, size_t parts, size_t i)
{
    size_t first = begin_of(b->rows, parts, i);

    return (struct rows){ i, first, begin_of(b->rows, parts, i + 1) - first };
}

/* Where A begins for a tile. */
static const float *find_a(const struct block *b, const struct rows *r)
{
    const struct blas_operand *a = &b->p->a;

    if (b->copy != NULL)
        return b->copy + copy_at(b, r->i, r->first);
    return a->transposed ? a->data + b->at * a->stride + b->row + r->first
                         : a->data + (b->row + r->first) * a->stride + b->at;
}

/* What the next tile will read of A: rows, or the lines of a copy one behind
 * the other; turned ones are there already. */
static void find_ahead(const struct block *b, const struct rows *next,
                       struct gemm_tile *t)
{
    const struct blas_operand *a = &b->p->a;
    bool nothing = a->transposed && b->copy == NULL;

    t->ahead = nothing ? t->panel : find_a(b, next);
    t->ahead_stride = nothing ? 0 : b->copy != NULL ? b->depth : a->stride;
}

/* What will be needed lies far away: it is asked for a tile's time before. */
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

/* Columns of B that become a panel, as they lie: `rows` pieces. */
struct piece {
    const float *at;
    size_t stride, rows, width;
    size_t column, count;
};

/* From `column` on; none behind the last. */
static struct piece find_piece(const struct block *b, size_t column)
{
    const struct blas_operand *x = &b->p->b;
    size_t left = b->p->n - column;
    size_t count = left < b->set->columns ? left : b->set->columns;
    struct piece p = { .stride = x->stride, .column = column, .count = count };

    if (left == 0)
        return p;
    p.at = x->transposed ? x->data + column * x->stride + b->at
                         : x->data + b->at * x->stride + column;
    p.rows = x->transposed ? count : b->depth;
    p.width = x->transposed ? b->depth : count;
    return p;
}

/* Part i of `parts` of it. */
static void fetch_piece(const struct piece *p, size_t parts, size_t i)
{
    size_t row = begin_of(p->rows, parts, i);

    if (p->rows > 0)
        fetch(p->at + row * p->stride, p->stride,
              begin_of(p->rows, parts, i + 1) - row, p->width);
}

/* Tiles of all rows of the block under one panel; `next` will follow it. One
 * struct serves all of them: a copy of it for each would wait for its parts. */
static void multiply_panel(const struct block *b, const float *panel,
                           const struct piece *x, const struct piece *next)
{
    const struct blas_product *p = b->p;
    bool first = b->at == 0, sum = first && p->sum.data != NULL;
    const float *from = sum ? p->sum.data : b->c;
    size_t parts = parts_of(b->rows, tile_rows(b));
    struct rows now = find_rows(b, parts, 0);
    struct gemm_tile t = {
        .a_stride = p->a.stride,
        .turned = p->a.transposed,
        .panel = panel,
        .depth = b->depth,
        .alpha = p->alpha,
        .bias = first && p->bias != NULL ? p->bias + x->column : NULL,
        .from_stride = sum ? p->sum.stride : b->stride,
        .beta = sum || !first ? 1.0F : p->beta,
        .c_stride = b->stride,
        .columns = x->count,
    };

    for (size_t i = 0; i < parts; i++) {
        struct rows then = find_rows(b, parts, i + 1 < parts ? i + 1 : 0);
        size_t down = b->row + now.first;

        t.a = find_a(b, &now);
        if (b->copy != NULL)
            t.a_stride = now.count;
        find_ahead(b, &then, &t);
        t.c = b->c + down * b->stride + x->column;
        if (t.beta != 0.0F)
            t.from = from + down * t.from_stride + x->column;
        fetch_written(t.c, t.c_stride, now.count, x->count);
        fetch_piece(next, parts, i);
        b->set->tiles[now.count - 1](&t);
        now = then;
    }
}

static void multiply_block(const struct block *b)
{
    _Alignas(64) float panel[GEMM_DEPTH * GEMM_COLUMNS];
    struct piece x = find_piece(b, 0);

    while (x.count > 0) {
        struct piece next = find_piece(b, x.column + x.count);

        if (b->p->b.transposed)
            b->set->pack_turned(x.at, x.stride, b->depth, x.count, panel);
        else
            b->set->pack(x.at, x.stride, b->depth, x.count, panel);
        multiply_panel(b, panel, &x, &next);
        x = next;
    }
}

/* `run` steps in depth, from `p` on, of all tiles. */
static void copy_run(const struct block *b, size_t p, size_t run, float *copy)
{
    const struct blas_operand *a = &b->p->a;
    const float *from = a->data + (b->at + p) * a->stride + b->row;
    size_t parts = parts_of(b->rows, tile_rows(b));

    for (size_t i = 0; i < parts; i++) {
        struct rows r = find_rows(b, parts, i);

        b->set->pack_rows(from + r.first, a->stride, run, r.count,
                          copy + copy_at(b, i, r.first) + p * r.count);
    }
}

static void multiply_turned(const struct block *b)
{
    _Alignas(64) float copy[COPY];
    struct block copied = *b;

    for (size_t p = 0; p < b->depth; p += RUN)
        copy_run(b, p, b->depth - p < RUN ? b->depth - p : RUN, copy);
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
