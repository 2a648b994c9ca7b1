#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "jobs/select/knn.h"
#include "tensor/blas.h"
#include "tensor/isa.h"

/* Products of so many rows with so many others are at hand at a time. The cut
 * is fixed: the bits of a product may depend on it. */
enum { TILE_ROWS = 256, TILE_COLUMNS = 1024, GLANCE = 32 };

struct candidate {
    float key; /* |b|^2 - 2 a.b, which orders as the distance does */
    uint32_t row;
};

/* The nearest so far of a row, the farthest of them on top. */
struct heap {
    struct candidate *items;
    size_t count, room;
};

struct hunt {
    const struct knn_search *search;
    size_t room;                  /* candidates of a row */
    float *norms;                 /* [m] |b|^2 */
    float *tiles;                 /* [hands][TILE_ROWS][TILE_COLUMNS] */
    struct candidate *candidates; /* [hands][TILE_ROWS][room] */
    uint32_t *index;
    double *squared;
};

static bool is_farther(const struct candidate *a, const struct candidate *b)
{
    return a->key > b->key || (a->key == b->key && a->row > b->row);
}

static void sift_up(struct heap *h)
{
    size_t at = h->count - 1;

    while (at > 0) {
        size_t parent = (at - 1) / 2;
        struct candidate c = h->items[at];

        if (!is_farther(&c, &h->items[parent]))
            return;
        h->items[at] = h->items[parent];
        h->items[parent] = c;
        at = parent;
    }
}

static void sift_down(struct heap *h)
{
    size_t at = 0;

    for (;;) {
        size_t child = 2 * at + 1;
        struct candidate c = h->items[at];

        if (child >= h->count)
            return;
        if (child + 1 < h->count &&
            is_farther(&h->items[child + 1], &h->items[child]))
            child++;
        if (!is_farther(&h->items[child], &c))
            return;
        h->items[at] = h->items[child];
        h->items[child] = c;
        at = child;
    }
}

/* Rows come in ascending order: of equal keys the earlier stay. */
static void offer(struct heap *h, float key, uint32_t row)
{
    const struct candidate c = { key, row };

    if (h->count < h->room) {
        h->items[h->count++] = c;
        sift_up(h);
    } else if (key < h->items[0].key) {
        h->items[0] = c;
        sift_down(h);
    }
}

/* Keys of some products; true: one is below `most`. */
ISA_CLONES
static bool make_keys(const float *products, const float *norms, float most,
                      size_t count, float *keys)
{
    int below = 0;

    for (size_t i = 0; i < count; i++) {
        keys[i] = norms[i] - 2.0F * products[i];
        below |= keys[i] < most;
    }
    return below != 0;
}

static void offer_tile(const struct hunt *h, struct heap *heap, size_t row,
                       const float *products, size_t first, size_t count)
{
    float keys[GLANCE];

    for (size_t at = 0; at < count; at += GLANCE) {
        size_t some = count - at < GLANCE ? count - at : GLANCE;
        bool full = heap->count == heap->room;

        if (!make_keys(products + at, h->norms + first + at,
                       full ? heap->items[0].key : 0.0F, some, keys) &&
            full)
            continue;
        for (size_t i = 0; i < some; i++) {
            size_t other = first + at + i;

            if (!h->search->self || other != row)
                offer(heap, keys[i], (uint32_t)other);
        }
    }
}

/* --- the order of what was found ------------------------------------------------
 */

struct found {
    double squared;
    uint32_t row;
};

static int compare_found(const void *a, const void *b)
{
    const struct found *x = a;
    const struct found *y = b;

    if (x->squared != y->squared)
        return x->squared < y->squared ? -1 : 1;
    return (x->row > y->row) - (x->row < y->row);
}

static void settle(const struct hunt *h, size_t row, const struct heap *heap)
{
    const struct knn_search *s = h->search;
    struct found found[KNN_NEIGHBOURS + KNN_SPARE];

    for (size_t i = 0; i < heap->count; i++) {
        uint32_t other = heap->items[i].row;

        found[i] = (struct found){ affinity_squared(s->from + row * s->width,
                                                    s->to + other * s->width,
                                                    s->width),
                                   other };
    }
    /* Of an empty heap nothing is sorted. */
    /* cppcheck-suppress uninitvar */
    qsort(found, heap->count, sizeof(*found), compare_found);
    for (size_t i = 0; i < s->k; i++) {
        h->index[row * s->k + i] = found[i].row;
        if (h->squared != NULL)
            h->squared[row * s->k + i] = found[i].squared;
    }
}

static void hunt_block(void *self, size_t hand, size_t first, size_t count)
{
    const struct hunt *h = self;
    const struct knn_search *s = h->search;
    float *tile = h->tiles + hand * TILE_ROWS * TILE_COLUMNS;
    struct heap heaps[TILE_ROWS];

    for (size_t i = 0; i < count; i++)
        heaps[i] = (struct heap){ .items = h->candidates +
                                           (hand * TILE_ROWS + i) * h->room,
                                  .room = h->room };
    for (size_t at = 0; at < s->m; at += TILE_COLUMNS) {
        size_t columns = s->m - at < TILE_COLUMNS ? s->m - at : TILE_COLUMNS;

        blas_nt(count, columns, s->width, s->from + first * s->width,
                s->to + at * s->width, 0.0F, tile);
        for (size_t i = 0; i < count; i++)
            offer_tile(h, &heaps[i], first + i, tile + i * columns, at,
                       columns);
    }
    for (size_t i = 0; i < count; i++)
        settle(h, first + i, &heaps[i]);
}

static void fill_norms(const struct knn_search *s, float *norms)
{
    for (size_t j = 0; j < s->m; j++) {
        const float *row = s->to + j * s->width;
        double sum = 0.0;

        for (size_t k = 0; k < s->width; k++)
            sum += (double)row[k] * (double)row[k];
        norms[j] = (float)sum;
    }
}

static size_t room_of(size_t m, size_t k)
{
    return k + KNN_SPARE < m ? k + KNN_SPARE : m;
}

struct status knn_nearest(const struct crew *crew, const struct knn_search *s,
                          uint32_t *ret_index, double *ret_squared)
{
    AUTO(free_pointer) void *norms = NULL;
    AUTO(free_pointer) void *tiles = NULL;
    AUTO(free_pointer) void *candidates = NULL;
    size_t hands = crew_size(crew);
    struct hunt h = { .search = s,
                      .room = room_of(s->m, s->k),
                      .index = ret_index,
                      .squared = ret_squared };

    if (s->n == 0 || s->k == 0)
        return SUCCESS;
    TRY_PLAIN(crew_room(s->m, sizeof(float), "norms", &norms));
    TRY_PLAIN(crew_room(hands * TILE_ROWS * TILE_COLUMNS, sizeof(float),
                        "products", &tiles));
    TRY_PLAIN(crew_room(hands * TILE_ROWS * h.room, sizeof(*h.candidates),
                        "candidates", &candidates));
    h.norms = norms;
    h.tiles = tiles;
    h.candidates = candidates;
    fill_norms(s, norms);
    return crew_run(crew, s->n, TILE_ROWS, hunt_block, &h);
}

uint64_t knn_memory(size_t n, size_t neighbours, uint64_t threads)
{
    const struct crew c = { .threads = threads };
    uint64_t entries = (uint64_t)n * neighbours;
    uint64_t hunt = crew_size(&c) * (uint64_t)TILE_ROWS *
                    (TILE_COLUMNS * sizeof(float) +
                     (neighbours + KNN_SPARE) * sizeof(struct candidate));
    uint64_t subset = (uint64_t)KNN_SUBSET * KNN_SUBSET / 2 * sizeof(double);

    return entries * (12 + 2 * 16 + 2 * 12) + (uint64_t)n * 64 +
           (hunt > subset ? hunt : subset);
}
