#include "tensor/select_kept.h"

#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "tensor/isa.h"
#include "tensor/select_key.h"

enum {
    LEAST = 1 << 12,
    DIGITS = 1 << 11,
    BLOCK = 32, /* elements looked at together */
    WIDTH = 8,  /* of them in a vector */
    VECTORS = BLOCK / WIDTH,
};

typedef uint32_t lanes __attribute__((vector_size(WIDTH * sizeof(uint32_t))));

size_t select_kept_most(uint64_t bytes, size_t most, size_t size)
{
    if (bytes > 0 && bytes < SELECT_BYTES)
        bytes = SELECT_BYTES;
    while (bytes > 0 && most * size > bytes / 2)
        most /= 2;
    return most;
}

/* ---- keys are taken ---------------------------------------------------- */

/* Room for so many behind those that are there. */
static void reserve(struct select_kept *k, size_t more)
{
    size_t room = k->room > LEAST ? k->room : LEAST;

    if (k->keys != NULL && k->room - k->count >= more)
        return;
    while (room - k->count < more)
        room *= 2;
    k->keys = xrealloc(k->keys, room * sizeof *k->keys);
    k->room = room;
}

void select_kept_release(struct select_kept *k)
{
    free(k->keys);
    *k = (struct select_kept){ .keys = NULL };
}

void select_kept_append(struct select_kept *k, const struct select_kept *other)
{
    if (other->count == 0)
        return;
    reserve(k, other->count);
    memcpy(k->keys + k->count, other->keys, other->count * sizeof *k->keys);
    k->count += other->count;
}

ISA_CLONES
static void take_magnitudes(const float *x, size_t count, uint32_t *taken)
{
    for (size_t i = 0; i < count; i++)
        taken[i] = select_key_magnitude(select_bits(x + i));
}

ISA_CLONES
static void take_values(const float *x, size_t count, uint32_t *taken)
{
    for (size_t i = 0; i < count; i++)
        taken[i] = select_key_value(select_bits(x + i));
}

void select_kept_add_all(struct select_kept *k, enum select_order order,
                         const float *x, size_t count)
{
    uint32_t *taken;

    reserve(k, count);
    taken = k->keys + k->count;
    if (order == SELECT_MAGNITUDE)
        take_magnitudes(x, count, taken);
    else
        take_values(x, count, taken);
    k->count += count;
}

/* What a walk finds. */
struct gather {
    uint32_t *keys;
    size_t count;
    uint64_t below, commons;
};

/* Through pointers: how such vectors are passed differs between compilers. */
static inline __attribute__((always_inline)) void vector_magnitude(lanes *bits)
{
    *bits &= SELECT_KEY_MAGNITUDE;
}

static inline __attribute__((always_inline)) void vector_value(lanes *bits)
{
    typedef int32_t signs __attribute__((vector_size(sizeof(lanes))));
    lanes negative;

    *bits &= (lanes)(*bits != SELECT_KEY_SIGN);
    negative = (lanes)((signs)*bits < 0);
    *bits ^= negative | SELECT_KEY_SIGN;
}

/* A bit for each element of a block: lanes hold those of their own. */
static inline __attribute__((always_inline)) uint32_t join(const lanes *all)
{
    uint64_t words[sizeof *all / sizeof(uint64_t)];

    memcpy(words, all, sizeof words);
    words[0] |= words[1] | words[2] | words[3];
    return (uint32_t)(words[0] | words[0] >> 32);
}

static inline uint64_t add_lanes(const lanes *all)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < WIDTH; i++)
        sum += (*all)[i];
    return sum;
}

/* Few elements lie in a span, most of those are common: whole blocks are
 * passed by. `count` is a multiple of BLOCK, below 2^32. */
#define GATHER(name)                                                          \
    ISA_CLONES                                                                \
    static void gather_##name(const struct select_scope *scope,               \
                              const float *x, size_t count, struct gather *g) \
    {                                                                         \
        const lanes lane = { 1,      1 << 1, 1 << 2, 1 << 3,                  \
                             1 << 4, 1 << 5, 1 << 6, 1 << 7 };                \
        const uint32_t first = scope->first;                                  \
        const uint32_t range = scope->last - first;                           \
        const uint32_t common = scope->common;                                \
        uint32_t *to = g->keys + g->count;                                    \
        lanes below = { 0 };                                                  \
        lanes commons = { 0 };                                                \
                                                                              \
        for (size_t i = 0; i < count; i += BLOCK) {                           \
            lanes some = { 0 };                                               \
            uint32_t bits;                                                    \
                                                                              \
            for (size_t v = 0; v < VECTORS; v++) {                            \
                lanes key, at_common;                                         \
                                                                              \
                memcpy(&key, x + i + v * WIDTH, sizeof key);                  \
                vector_##name(&key);                                          \
                at_common = (lanes)(key == common);                           \
                below -= (lanes)(key < first);                                \
                commons -= at_common;                                         \
                some |= (lanes)(key - first <= range) & ~at_common &          \
                        lane << v * WIDTH;                                    \
            }                                                                 \
            for (bits = join(&some); bits != 0; bits &= bits - 1) {           \
                size_t at = i + (size_t)__builtin_ctz(bits);                  \
                                                                              \
                *to++ = select_key_##name(select_bits(x + at));               \
            }                                                                 \
        }                                                                     \
        g->count = (size_t)(to - g->keys);                                    \
        g->below += add_lanes(&below);                                        \
        g->commons += add_lanes(&commons);                                    \
    }
GATHER(magnitude)
GATHER(value)
#undef GATHER

static void gather_rest(enum select_order order,
                        const struct select_scope *scope, const float *x,
                        size_t count, struct gather *g)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t key = select_key(order, x[i]);

        g->below += key < scope->first;
        if (key == scope->common)
            g->commons++;
        else if (key >= scope->first && key <= scope->last)
            g->keys[g->count++] = key;
    }
}

uint64_t select_kept_add(struct select_kept *k, enum select_order order,
                         struct select_scope *scope, const float *x,
                         size_t count)
{
    size_t whole = count - count % BLOCK;
    struct gather g;

    reserve(k, count);
    g = (struct gather){ .keys = k->keys, .count = k->count };
    if (order == SELECT_MAGNITUDE)
        gather_magnitude(scope, x, whole, &g);
    else
        gather_value(scope, x, whole, &g);
    gather_rest(order, scope, x + whole, count - whole, &g);
    k->count = g.count;
    scope->commons += g.commons;
    return g.below;
}

/* ---- one is found ------------------------------------------------------ */

/* By how much keys of a range are shifted so that there are DIGITS at most. */
static uint32_t shift_of(uint32_t range)
{
    uint32_t shift = 0;

    while (range >> shift >= DIGITS)
        shift++;
    return shift;
}

static void count_digits(const uint32_t *keys, size_t count,
                         const struct select_scope *scope, uint64_t *digits)
{
    uint32_t range = scope->last - scope->first;
    uint32_t shift = shift_of(range);

    for (size_t i = 0; i < count; i++) {
        uint32_t off = keys[i] - scope->first;

        if (off <= range)
            digits[off >> shift]++;
    }
    if (scope->common >= scope->first && scope->common <= scope->last)
        digits[(scope->common - scope->first) >> shift] += scope->commons;
}

/* To the keys of one digit. */
static void narrow(struct select_scope *scope, uint32_t digit)
{
    uint32_t shift = shift_of(scope->last - scope->first);
    uint32_t left;

    scope->first += digit << shift;
    left = scope->last - scope->first;
    if (left >> shift > 0)
        scope->last = scope->first + ((UINT32_C(1) << shift) - 1);
}

/* `to` may be where they come from, and has room for one more: what is not
 * taken is written as well, and overwritten. */
static size_t take(const uint32_t *keys, size_t count,
                   const struct select_scope *scope, uint32_t *to)
{
    uint32_t range = scope->last - scope->first;
    size_t taken = 0;

    for (size_t i = 0; i < count; i++) {
        uint32_t key = keys[i];

        to[taken] = key;
        taken += key - scope->first <= range;
    }
    return taken;
}

/* Of those of a digit the common ones are not among the keys. */
static size_t room_for(uint64_t elements, size_t count)
{
    return (elements < count ? (size_t)elements : count) + 1;
}

struct select_ranked select_kept_find(const struct select_kept *k,
                                      const struct select_scope *scope,
                                      uint64_t rank)
{
    struct select_scope left = *scope;
    AUTO(free_pointer) uint32_t *own = NULL;
    const uint32_t *keys = k->keys;
    size_t count = k->count;
    uint64_t below = 0;

    for (;;) {
        uint64_t digits[DIGITS] = { 0 };
        uint32_t digit = 0;

        count_digits(keys, count, &left, digits);
        while (below + digits[digit] <= rank)
            below += digits[digit++];
        if (left.last - left.first < DIGITS)
            return (struct select_ranked){ left.first + digit, below,
                                           digits[digit] };
        narrow(&left, digit);
        if (own == NULL)
            own = xcalloc(room_for(digits[digit], count), sizeof *own);
        count = take(keys, count, &left, own);
        keys = own;
    }
}

ISA_CLONES
uint64_t select_kept_equal(const struct select_kept *k, uint32_t key)
{
    uint64_t equal = 0;

    for (size_t i = 0; i < k->count; i++)
        equal += k->keys[i] == key;
    return equal;
}
