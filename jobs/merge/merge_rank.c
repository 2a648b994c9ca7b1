#include "jobs/merge/merge_rank.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "tensor/elementwise.h"

/* Digits of a radix sort from the lowest on; few elements are inserted one by
 * one. An entry is a magnitude above the place it comes from. */
enum { DIGITS = 4, BITS = 8, VALUES = 1 << BITS, FEW = 64 };

static uint64_t entry_of(const float *x, size_t place)
{
    uint32_t bits;

    memcpy(&bits, x + place, sizeof bits);
    return (uint64_t)(bits & 0x7fffffff) << 32 | place;
}

static void insert_all(const float *x, size_t count, uint64_t *entries)
{
    for (size_t i = 0; i < count; i++) {
        uint64_t entry = entry_of(x, i);
        size_t at = i;

        for (; at > 0 && entries[at - 1] > entry; at--)
            entries[at] = entries[at - 1];
        entries[at] = entry;
    }
}

static size_t digit_of(uint64_t entry, size_t digit)
{
    return entry >> (32 + BITS * digit) & (VALUES - 1);
}

/* Counts become the places where each value begins; false: all have one. */
static bool begin_places(uint32_t places[VALUES], size_t count)
{
    uint32_t next = 0;

    for (size_t v = 0; v < VALUES; v++) {
        uint32_t here = places[v];

        if (here == count)
            return false;
        places[v] = next;
        next += here;
    }
    return true;
}

/* The sorted entries, in one of the halves of `scratch`. */
static const uint64_t *sort(const float *x, size_t count, uint64_t *scratch)
{
    uint32_t places[DIGITS][VALUES] = { { 0 } };
    uint64_t *from = scratch;
    uint64_t *to = scratch + count;

    for (size_t i = 0; i < count; i++) {
        from[i] = entry_of(x, i);
        for (size_t d = 0; d < DIGITS; d++)
            places[d][digit_of(from[i], d)]++;
    }
    for (size_t d = 0; d < DIGITS; d++) {
        uint64_t *old = from;

        if (!begin_places(places[d], count))
            continue;
        for (size_t i = 0; i < count; i++)
            to[places[d][digit_of(from[i], d)]++] = from[i];
        from = to;
        to = old;
    }
    return from;
}

void merge_rank(const float *x, size_t count, uint32_t *ranks,
                uint64_t *scratch)
{
    const uint64_t *sorted = scratch;

    if (count <= FEW)
        insert_all(x, count, scratch);
    else
        sorted = sort(x, count, scratch);
    for (size_t i = 0; i < count; i++)
        ranks[(uint32_t)sorted[i]] = (uint32_t)i;
}

void merge_ranked_release(struct merge_ranked *r)
{
    free(r->ranks);
    free(r->kept);
    free(r->scratch);
}

static void reserve(struct merge_ranked *r, size_t room)
{
    if (room <= r->room)
        return;
    r->room = room;
    r->ranks = xrealloc(r->ranks, r->models * room * sizeof *r->ranks);
    r->kept = xrealloc(r->kept, r->models * room * sizeof *r->kept);
    r->scratch = xrealloc(r->scratch, 2 * room * sizeof *r->scratch);
}

void merge_ranked_load(struct merge_ranked *r, const struct merge_step *step,
                       const struct merge_chunk *chunk)
{
    size_t columns = (size_t)step->columns;

    reserve(r, chunk->stride);
    for (size_t i = 0; i < step->models; i++) {
        float *delta = chunk->delta + i * chunk->stride;

        elementwise_subtract(chunk->task[i], chunk->base, delta, chunk->count);
        for (size_t at = 0; at < chunk->count; at += columns)
            merge_rank(delta + at, columns, r->ranks + i * r->room + at,
                       r->scratch);
    }
}
