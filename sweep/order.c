#include "sweep/order.h"

#include <assert.h>
#include <stdlib.h>

#include "common/memory.h"
#include "common/philox.h"

/* An axis of LIMIT_VALUES has ends, then at most 17 halvings. */
enum { MOST_LEVELS = 40 };

struct axis {
    uint32_t size;
    uint32_t *by_rank; /* coarse to fine: rank to index; NULL: the same */
    uint32_t level_size[MOST_LEVELS]; /* ranks of this level and all coarser */
    size_t level_count;
};

/* Points of one level that are in no coarser one. */
struct shell {
    uint64_t end; /* number of points in this and all earlier shells */
    uint64_t stride;
};

struct order {
    struct axis *axes;
    size_t axis_count;
    struct shell shells[MOST_LEVELS];
    size_t shell_count;
};

__extension__ typedef unsigned __int128 wide;

struct interval {
    uint32_t low, high;
};

/* Breadth-first bisection: each level adds the middles of what is left. */
static void rank_ordered(struct axis *a)
{
    struct interval *queue = xcalloc(2 * (size_t)a->size, sizeof *queue);
    uint32_t ranked = 0;
    size_t head = 0;
    size_t tail = 0;

    a->by_rank = xcalloc(a->size, sizeof *a->by_rank);
    a->by_rank[ranked++] = 0;
    a->level_size[a->level_count++] = ranked;
    if (a->size > 1) {
        a->by_rank[ranked++] = a->size - 1;
        a->level_size[a->level_count++] = ranked;
        queue[tail++] = (struct interval){ 0, a->size - 1 };
    }
    while (ranked < a->size) {
        for (size_t level_end = tail; head < level_end; head++) {
            uint32_t low = queue[head].low;
            uint32_t high = queue[head].high;
            uint32_t middle = low + (high - low) / 2;

            if (high - low < 2)
                continue;
            a->by_rank[ranked++] = middle;
            queue[tail++] = (struct interval){ low, middle };
            queue[tail++] = (struct interval){ middle, high };
        }
        a->level_size[a->level_count++] = ranked;
    }
    free(queue);
}

static uint64_t size_at(const struct axis *a, size_t level)
{
    return level < a->level_count ? a->level_size[level] : a->size;
}

static uint64_t common_divisor(uint64_t a, uint64_t b)
{
    while (b != 0) {
        uint64_t rest = a % b;

        a = b;
        b = rest;
    }
    return a;
}

/* Near the golden section of `size`, so that steps of it spread evenly, and
 * without a common divisor, so that they reach every number. */
static uint64_t stride_for(uint64_t size)
{
    uint64_t stride = (uint64_t)((double)size * 0.6180339887498949);

    if (stride == 0)
        return 1;
    while (common_divisor(stride, size) != 1)
        stride++;
    return stride;
}

static uint64_t points_at(const struct order *o, size_t level)
{
    uint64_t product = 1;

    for (size_t i = 0; i < o->axis_count; i++)
        product *= size_at(&o->axes[i], level);
    return product;
}

MUST_CHECK static struct status make_shells(struct order *o)
{
    uint64_t all = 1;
    size_t levels = 1;

    for (size_t i = 0; i < o->axis_count; i++) {
        if (o->axes[i].size > ORDER_MOST / all)
            return FAIL(STATUS_TOO_BIG, "the grid has more than 2^53 points");
        all *= o->axes[i].size;
        if (o->axes[i].level_count > levels)
            levels = o->axes[i].level_count;
    }
    for (size_t level = 0; level < levels; level++) {
        uint64_t before = level == 0 ? 0 : o->shells[level - 1].end;
        uint64_t end = points_at(o, level);

        o->shells[level] = (struct shell){
            .end = end, .stride = end > before ? stride_for(end - before) : 1
        };
    }
    o->shell_count = levels;
    return SUCCESS;
}

struct status order_new(const struct order_axis *axes, size_t count,
                        struct order **ret_order)
{
    struct order *o = xnew(struct order);
    struct status st;

    o->axes = xcalloc(count + 1, sizeof *o->axes);
    o->axis_count = count;
    for (size_t i = 0; i < count; i++) {
        struct axis *a = &o->axes[i];

        a->size = axes[i].size;
        if (axes[i].ordered)
            rank_ordered(a);
        else
            a->level_size[a->level_count++] = a->size;
    }
    st = make_shells(o);
    if (status_failed(&st)) {
        order_free(o);
        return st;
    }
    *ret_order = o;
    return SUCCESS;
}

void order_free(struct order *o)
{
    if (o == NULL)
        return;
    for (size_t i = 0; i < o->axis_count; i++)
        free(o->axes[i].by_rank);
    free(o->axes);
    free(o);
}

uint64_t order_count(const struct order *o)
{
    return o->shells[o->shell_count - 1].end;
}

/* A shell is cut into blocks: in block j, axis j is the first one whose rank
 * is new on this level; the axes before it are old, those after it free. */
static uint64_t block_size(const struct order *o, size_t level, size_t j)
{
    uint64_t size = 1;

    for (size_t k = 0; k < o->axis_count; k++) {
        uint64_t old = level == 0 ? 0 : size_at(&o->axes[k], level - 1);
        uint64_t all = size_at(&o->axes[k], level);

        size *= k < j ? old : k == j ? all - old : all;
    }
    return size;
}

static void ranks_of(const struct order *o, size_t level, size_t j, uint64_t at,
                     uint32_t *ret_ranks)
{
    for (size_t k = o->axis_count; k-- > 0;) {
        uint64_t old = level == 0 ? 0 : size_at(&o->axes[k], level - 1);
        uint64_t all = size_at(&o->axes[k], level);
        uint64_t digits = k < j ? old : k == j ? all - old : all;

        assert(digits > 0); /* the block that holds `at` is not empty */
        ret_ranks[k] = (uint32_t)(at % digits + (k == j ? old : 0));
        at /= digits;
    }
}

void order_point(const struct order *o, uint64_t i, uint32_t *ret_indices)
{
    size_t level = 0;
    size_t j = 0;
    uint64_t before;
    uint64_t points;
    uint64_t at;

    while (i >= o->shells[level].end)
        level++;
    before = level == 0 ? 0 : o->shells[level - 1].end;
    points = o->shells[level].end - before;
    assert(points > 0); /* i is one of them */
    at = (uint64_t)((wide)(i - before) * o->shells[level].stride % points);
    while (j < o->axis_count) {
        uint64_t block = block_size(o, level, j);

        if (at < block)
            break;
        at -= block;
        j++;
    }
    ranks_of(o, level, j, at, ret_indices);
    for (size_t k = 0; k < o->axis_count; k++) {
        if (o->axes[k].by_rank != NULL)
            ret_indices[k] = o->axes[k].by_rank[ret_indices[k]];
    }
}

/* A Feistel network over 2 * half bits is a permutation; numbers beyond
 * `count` are sent through again until one is inside (cycle walking). */
uint64_t order_shuffle(uint32_t seed, uint64_t count, uint64_t i)
{
    enum { ROUNDS = 6 };
    unsigned half = 1;
    uint64_t mask;

    while (half < 31 && (UINT64_C(1) << (2 * half)) < count)
        half++;
    mask = (UINT64_C(1) << half) - 1;
    do {
        uint64_t left = i >> half;
        uint64_t right = i & mask;

        for (uint32_t round = 0; round < ROUNDS; round++) {
            struct philox_key key = { .seed = seed, .stream = round };
            uint64_t mixed = left ^ (philox_word(key, right) & mask);

            left = right;
            right = mixed;
        }
        i = left << half | right;
    } while (i >= count);
    return i;
}
