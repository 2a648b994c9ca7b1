#include "tensor/select.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "tensor/isa.h"

enum {
    HALF = 16, /* bits of a pass */
    BINS = 1 << HALF,
    BLOCK = 32, /* elements looked at together */
};

static const uint32_t magnitude_mask = 0x7fffffff;
static const uint32_t sign_bit = 0x80000000;

/* A wanted rank, and the bin of high halves it lies in. */
struct wanted {
    uint64_t rank;
    uint64_t below; /* elements in lower bins */
    uint32_t bin;
    uint32_t slot; /* of its low counters */
};

struct select {
    enum select_order order;
    bool narrowed;
    uint64_t count; /* elements of the running pass */
    uint64_t *high; /* [BINS], first pass */
    uint64_t *low;  /* [slots][BINS], second pass */
    uint8_t *slots; /* [BINS], slot + 1 of a bin; 0: not wanted */
    size_t slot_count;
    size_t slot_room;
    uint32_t first_bin; /* range of wanted bins */
    uint32_t last_bin;
    size_t wanted_count;
    struct wanted wanted[SELECT_RANKS];
};
_Static_assert(SELECT_RANKS < UINT8_MAX, "slot + 1 of every rank");

static inline uint32_t bits_of(const float *x)
{
    uint32_t bits;

    memcpy(&bits, x, sizeof bits);
    return bits;
}

static inline uint32_t key_magnitude(uint32_t bits)
{
    return bits & magnitude_mask;
}

/* Unsigned order of the result is the order of the values. */
static inline uint32_t key_value(uint32_t bits)
{
    bits = bits == sign_bit ? 0 : bits;
    return (bits & sign_bit) != 0 ? ~bits : bits | sign_bit;
}

static uint32_t key_of(enum select_order order, float x)
{
    uint32_t bits = bits_of(&x);

    return order == SELECT_MAGNITUDE ? key_magnitude(bits) : key_value(bits);
}

static float value_of(enum select_order order, uint32_t key)
{
    uint32_t bits = key;
    float value;

    if (order == SELECT_VALUE)
        bits = (key & sign_bit) != 0 ? key & ~sign_bit : ~key;
    memcpy(&value, &bits, sizeof value);
    return value;
}

struct select *select_new(enum select_order order)
{
    struct select *s = xnew(struct select);

    s->order = order;
    s->high = xcalloc(BINS, sizeof *s->high);
    s->slots = xcalloc(BINS, sizeof *s->slots);
    return s;
}

void select_free(struct select *s)
{
    if (s == NULL)
        return;
    free(s->high);
    free(s->low);
    free(s->slots);
    free(s);
}

void select_clear(struct select *s)
{
    memset(s->high, 0, BINS * sizeof *s->high);
    for (size_t i = 0; i < s->wanted_count; i++)
        s->slots[s->wanted[i].bin] = 0;
    s->narrowed = false;
    s->count = 0;
    s->slot_count = 0;
    s->wanted_count = 0;
}

static void count_high(struct select *s, const float *x, size_t count)
{
    uint64_t *high = s->high;

    if (s->order == SELECT_MAGNITUDE) {
        for (size_t i = 0; i < count; i++)
            high[key_magnitude(bits_of(x + i)) >> HALF]++;
        return;
    }
    for (size_t i = 0; i < count; i++)
        high[key_value(bits_of(x + i)) >> HALF]++;
}

static void count_block(struct select *s, const float *x, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t key = key_of(s->order, x[i]);
        uint32_t slot = s->slots[key >> HALF];

        if (slot > 0)
            s->low[(size_t)(slot - 1) * BINS + key % BINS]++;
    }
}

/* Few elements lie in wanted bins: whole blocks are passed by. */
#define COUNT_LOW(name)                                                    \
    ISA_CLONES                                                             \
    static void count_low_##name(struct select *s, const float *x,         \
                                 size_t count)                             \
    {                                                                      \
        const uint32_t first = s->first_bin;                               \
        const uint32_t range = s->last_bin - first;                        \
        size_t whole = count - count % BLOCK;                              \
                                                                           \
        for (size_t i = 0; i < whole; i += BLOCK) {                        \
            uint32_t found = 0;                                            \
                                                                           \
            for (size_t k = i; k < i + BLOCK; k++)                         \
                found |=                                                   \
                    (key_##name(bits_of(x + k)) >> HALF) - first <= range; \
            if (found != 0)                                                \
                count_block(s, x + i, BLOCK);                              \
        }                                                                  \
        count_block(s, x + whole, count - whole);                          \
    }
COUNT_LOW(magnitude)
COUNT_LOW(value)
#undef COUNT_LOW

static void count_low(struct select *s, const float *x, size_t count)
{
    if (s->wanted_count == 0)
        return;
    if (s->order == SELECT_MAGNITUDE)
        count_low_magnitude(s, x, count);
    else
        count_low_value(s, x, count);
}

void select_add(struct select *s, const float *x, size_t count)
{
    if (s->narrowed)
        count_low(s, x, count);
    else
        count_high(s, x, count);
    s->count += count;
}

static void add_counters(uint64_t *to, const uint64_t *from, size_t count)
{
    for (size_t i = 0; i < count; i++)
        to[i] += from[i];
}

void select_merge(struct select *s, const struct select *other)
{
    assert(s->order == other->order && s->narrowed == other->narrowed &&
           s->slot_count == other->slot_count);
    if (s->narrowed)
        add_counters(s->low, other->low, s->slot_count * BINS);
    else
        add_counters(s->high, other->high, BINS);
    s->count += other->count;
}

uint64_t select_count(const struct select *s)
{
    return s->count;
}

/* The bin of `counters` that holds `rank`, and what lies below it. */
static uint32_t find_bin(const uint64_t *counters, uint64_t rank,
                         uint64_t *ret_below)
{
    uint64_t below = 0;
    uint32_t bin = 0;

    while (below + counters[bin] <= rank) {
        below += counters[bin++];
        assert(bin < BINS);
    }
    *ret_below = below;
    return bin;
}

static void want(struct select *s, uint64_t rank)
{
    struct wanted *w = s->wanted + s->wanted_count++;

    w->rank = rank;
    w->bin = find_bin(s->high, rank, &w->below);
    if (s->slots[w->bin] == 0)
        s->slots[w->bin] = (uint8_t)++s->slot_count;
    w->slot = s->slots[w->bin] - 1U;
    s->first_bin = w->bin < s->first_bin ? w->bin : s->first_bin;
    s->last_bin = w->bin > s->last_bin ? w->bin : s->last_bin;
}

static void begin_second(struct select *s)
{
    size_t size = s->slot_count * BINS;

    if (s->slot_count > s->slot_room) {
        s->low = xrealloc(s->low, size * sizeof *s->low);
        s->slot_room = s->slot_count;
    }
    if (size > 0)
        memset(s->low, 0, size * sizeof *s->low);
    s->narrowed = true;
    s->count = 0;
}

struct status select_narrow(struct select *s, const uint64_t *ranks,
                            size_t count)
{
    assert(!s->narrowed);
    if (count > SELECT_RANKS)
        return FAIL(STATUS_INVALID, "%zu ranks are wanted, at most %d at once",
                    count, SELECT_RANKS);
    for (size_t i = 0; i < count; i++) {
        if (ranks[i] >= s->count)
            return FAIL(STATUS_INVALID,
                        "rank %" PRIu64 " of %" PRIu64 " elements is wanted",
                        ranks[i], s->count);
    }
    s->first_bin = BINS;
    s->last_bin = 0;
    for (size_t i = 0; i < count; i++)
        want(s, ranks[i]);
    begin_second(s);
    return SUCCESS;
}

void select_follow(struct select *s, const struct select *leader)
{
    assert(s->order == leader->order && leader->narrowed);
    select_clear(s);
    memcpy(s->wanted, leader->wanted, sizeof s->wanted);
    memcpy(s->slots, leader->slots, BINS * sizeof *s->slots);
    s->wanted_count = leader->wanted_count;
    s->slot_count = leader->slot_count;
    s->first_bin = leader->first_bin;
    s->last_bin = leader->last_bin;
    begin_second(s);
}

struct select_found select_result(const struct select *s, size_t i)
{
    const struct wanted *w = s->wanted + i;
    const uint64_t *low = s->low + (size_t)w->slot * BINS;
    struct select_found found;
    uint32_t bin;

    assert(s->narrowed && i < s->wanted_count);
    bin = find_bin(low, w->rank - w->below, &found.below);
    found.value = value_of(s->order, w->bin << HALF | bin);
    found.below += w->below;
    found.equal = low[bin];
    return found;
}

uint64_t select_equal(const struct select *s, float value)
{
    uint32_t key = key_of(s->order, value);
    uint32_t slot = s->slots[key >> HALF];

    assert(s->narrowed && slot > 0);
    return s->low[(size_t)(slot - 1) * BINS + key % BINS];
}

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
        found += key_magnitude(bits_of(x + i)) == threshold;
    return found;
}

/* Magnitudes below `least` become 0. */
ISA_CLONES
static void zero_below(float *x, size_t count, uint32_t least)
{
    for (size_t i = 0; i < count; i++)
        x[i] = key_magnitude(bits_of(x + i)) >= least ? x[i] : 0.0F;
}

/* `keep` of the equal ones stay, the first. */
static void zero_later(float *x, size_t count, uint32_t threshold,
                       uint64_t keep)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t key = key_magnitude(bits_of(x + i));

        if (key > threshold || (key == threshold && keep > 0))
            keep -= key == threshold;
        else
            x[i] = 0.0F;
    }
}

void select_cut_apply(struct select_cut *cut, float *x, size_t count)
{
    enum { PIECE = 4096 };
    uint32_t threshold = key_of(SELECT_MAGNITUDE, cut->threshold);

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

/* Radix select on a copy that shrinks from digit to digit: for rows whose
 * histograms would be larger than they are. */
static struct select_found find_small(const float *x, size_t count,
                                      uint64_t rank)
{
    enum { DIGIT = 8, DIGITS = 1 << DIGIT };
    AUTO(free_pointer) uint32_t *keys = xcalloc(count, sizeof *keys);
    struct select_found found = { .below = 0 };

    for (size_t i = 0; i < count; i++)
        keys[i] = key_magnitude(bits_of(x + i));
    for (int shift = 32 - DIGIT; shift >= 0; shift -= DIGIT) {
        uint64_t counters[DIGITS] = { 0 };
        uint64_t below;
        size_t kept = 0;
        uint32_t digit;

        for (size_t i = 0; i < count; i++)
            counters[keys[i] >> shift & (DIGITS - 1)]++;
        digit = find_bin(counters, rank - found.below, &below);
        found.below += below;
        for (size_t i = 0; i < count; i++) {
            if ((keys[i] >> shift & (DIGITS - 1)) == digit)
                keys[kept++] = keys[i];
        }
        count = kept;
    }
    found.value = value_of(SELECT_MAGNITUDE, keys[0]);
    found.equal = count;
    return found;
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
