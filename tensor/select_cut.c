#include <assert.h>
#include <math.h>
#include <stdlib.h>

#include "common/memory.h"
#include "tensor/isa.h"
#include "tensor/select_kept.h"
#include "tensor/select_key.h"

uint64_t select_cut_rank(uint64_t count, uint64_t keep)
{
    assert(keep >= 1 && keep <= count);
    return count - keep;
}

struct select_cut select_cut_at(const struct select_found *found,
                                uint64_t count, uint64_t keep)
{
    uint64_t above = count - found->below - found->equal;

    return (struct select_cut){ found->value, keep - above };
}

ISA_CLONES
static uint64_t count_equal(const float *x, size_t count, uint32_t threshold)
{
    uint32_t found = 0;

    for (size_t i = 0; i < count; i++)
        found += select_key_magnitude(select_bits(x + i)) == threshold;
    return found;
}

/* Magnitudes below `least` become 0. */
ISA_CLONES
static void zero_below(float *x, size_t count, uint32_t least)
{
    for (size_t i = 0; i < count; i++)
        x[i] = select_key_magnitude(select_bits(x + i)) >= least ? x[i] : 0.0F;
}

/* `keep` of the equal ones stay, the first. */
static void zero_later(float *x, size_t count, uint32_t threshold,
                       uint64_t keep)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t key = select_key_magnitude(select_bits(x + i));

        if (key > threshold || (key == threshold && keep > 0))
            keep -= key == threshold;
        else
            x[i] = 0.0F;
    }
}

void select_cut_apply(struct select_cut *cut, float *x, size_t count)
{
    enum { PIECE = 4096 };
    uint32_t threshold = select_key(SELECT_MAGNITUDE, cut->threshold);

    for (size_t i = 0; i < count; i += PIECE) {
        size_t size = count - i < PIECE ? count - i : PIECE;
        uint64_t equal = count_equal(x + i, size, threshold);

        if (equal <= cut->equal)
            zero_below(x + i, size, threshold);
        else if (cut->equal == 0)
            zero_below(x + i, size, threshold + 1);
        else
            zero_later(x + i, size, threshold, cut->equal);
        cut->equal -= equal < cut->equal ? equal : cut->equal;
    }
}

/* For rows whose histograms would be larger than they are. */
static struct select_found find_small(const float *x, size_t count,
                                      uint64_t rank)
{
    const struct select_scope all = { .last = SELECT_KEY_MAGNITUDE };
    AUTO(free_pointer) uint32_t *keys = xcalloc(count, sizeof *keys);
    const struct select_kept kept = { keys, count, count };
    struct select_ranked found;

    for (size_t i = 0; i < count; i++)
        keys[i] = select_key_magnitude(select_bits(x + i));
    found = select_kept_find(&kept, &all, rank);
    return (struct select_found){ select_value(SELECT_MAGNITUDE, found.key),
                                  found.below, found.equal };
}

static struct select_found find_large(const float *x, size_t count,
                                      uint64_t rank)
{
    struct select *s = select_new(SELECT_MAGNITUDE);
    struct select_found found;
    struct status st;

    select_add(s, x, count);
    st = select_narrow(s, &rank, 1);
    assert(!status_failed(&st)); /* the caller keeps rank < count */
    select_add(s, x, count);
    found = select_result(s, 0);
    select_free(s);
    return found;
}

static struct select_found find_one(const float *x, size_t count, uint64_t rank)
{
    enum { SMALL = 1 << 16 };

    return count <= SMALL ? find_small(x, count, rank)
                          : find_large(x, count, rank);
}

float select_magnitude(const float *x, size_t count, uint64_t rank)
{
    assert(rank < count);
    return find_one(x, count, rank).value;
}

struct select_cut select_largest(const float *x, size_t count, uint64_t keep)
{
    struct select_found found;

    assert(keep <= count);
    if (keep == 0)
        return (struct select_cut){ INFINITY, 0 };
    found = find_one(x, count, select_cut_rank(count, keep));
    return select_cut_at(&found, count, keep);
}
