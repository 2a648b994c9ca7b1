/* tokenizer_bpe.c -- byte-level byte-pair encoding as tokenizer.json says it.
 *
 * Source: Sennrich et al., "Neural machine translation of rare words with
 * subword units", 2016; Radford et al., "Language models are unsupervised
 * multitask learners", 2019, for bytes as symbols. */
#include "model/tokenizer_bpe.h"

#include <stdlib.h>
#include <string.h>

#include "common/memory.h"

/* Two tokens that become one; the table is open addressing over `pair`. */
struct merge {
    uint64_t pair; /* left << 32 | right */
    uint32_t rank;
    int32_t token; /* -1: an empty place */
};

struct tokenizer_merges {
    size_t places; /* a power of two */
    struct merge *items;
};

static size_t hash_of(uint64_t pair)
{
    pair *= UINT64_C(0x9E3779B97F4A7C15);
    return (size_t)(pair >> 32 ^ pair);
}

static struct merge *place_of(const struct tokenizer_merges *m, uint64_t pair)
{
    size_t at = hash_of(pair);

    for (;; at++) {
        struct merge *one = &m->items[at & (m->places - 1)];

        if (one->token < 0 || one->pair == pair)
            return one;
    }
}

struct tokenizer_merges *bpe_merges_new(size_t count)
{
    struct tokenizer_merges *m = xnew(struct tokenizer_merges);

    m->places = 16;
    while (m->places < 2 * count)
        m->places *= 2;
    m->items = xcalloc(m->places, sizeof(*m->items));
    for (size_t i = 0; i < m->places; i++)
        m->items[i].token = -1;
    return m;
}

void bpe_merges_free(struct tokenizer_merges *m)
{
    if (m == NULL)
        return;
    free(m->items);
    free(m);
}

void bpe_merges_add(struct tokenizer_merges *m, int32_t left, int32_t right,
                    uint32_t rank, int32_t token)
{
    uint64_t pair = (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
    struct merge *one = place_of(m, pair);

    if (one->token < 0)
        *one = (struct merge){ pair, rank, token };
}

/* --- a long word ------------------------------------------------------------- */

/* Symbols of a word, those that are left linked both ways. */
struct symbol {
    int32_t token; /* -1: taken up by the one before */
    size_t before, behind;
};

/* A merge that could be done; it is checked when its turn comes. */
struct chance {
    uint32_t rank;
    uint64_t pair;
    size_t at; /* its left symbol */
};

struct word {
    const struct tokenizer_merges *merges;
    size_t count;
    struct symbol *symbols;
    struct chance *heap; /* the first by rank, then by place */
    size_t heap_count;
};

static bool goes_first(const struct chance *a, const struct chance *b)
{
    return a->rank != b->rank ? a->rank < b->rank : a->at < b->at;
}

static void swap(struct chance *a, struct chance *b)
{
    struct chance kept = *a;

    *a = *b;
    *b = kept;
}

static void push(struct word *w, struct chance c)
{
    size_t at = w->heap_count++;

    w->heap[at] = c;
    while (at > 0 && goes_first(&w->heap[at], &w->heap[(at - 1) / 2])) {
        swap(&w->heap[at], &w->heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
}

static struct chance pop(struct word *w)
{
    struct chance first = w->heap[0];
    size_t at = 0;

    w->heap[0] = w->heap[--w->heap_count];
    for (;;) {
        size_t least = at;

        for (size_t k = 2 * at + 1; k <= 2 * at + 2; k++)
            if (k < w->heap_count && goes_first(&w->heap[k], &w->heap[least]))
                least = k;
        if (least == at)
            return first;
        swap(&w->heap[at], &w->heap[least]);
        at = least;
    }
}

/* The pair that symbol `at` begins. */
static void offer(struct word *w, size_t at)
{
    const struct symbol *left = &w->symbols[at];
    const struct merge *m;
    uint64_t pair;

    if (at >= w->count || left->behind >= w->count)
        return;
    pair = (uint64_t)(uint32_t)left->token << 32 |
           (uint32_t)w->symbols[left->behind].token;
    m = place_of(w->merges, pair);
    if (m->token >= 0)
        push(w, (struct chance){ m->rank, pair, at });
}

static void take(struct word *w, const struct chance *c)
{
    struct symbol *left = &w->symbols[c->at], *right;
    uint64_t pair;

    if (left->token < 0 || left->behind >= w->count)
        return;
    right = &w->symbols[left->behind];
    pair = (uint64_t)(uint32_t)left->token << 32 | (uint32_t)right->token;
    if (pair != c->pair)
        return; /* one of both was taken up meanwhile */
    left->token = place_of(w->merges, pair)->token;
    right->token = -1;
    left->behind = right->behind;
    if (left->behind < w->count)
        w->symbols[left->behind].before = c->at;
    offer(w, left->before);
    offer(w, c->at);
}

static size_t encode_long(const struct tokenizer_merges *m,
                          const int32_t *bytes, const char *text, size_t size,
                          int32_t *ret_tokens)
{
    struct word w = {
        .merges = m,
        .count = size,
        .symbols = xcalloc(size, sizeof(*w.symbols)),
        .heap = xcalloc(3 * size, sizeof(*w.heap)),
    };
    size_t count = 0;

    for (size_t i = 0; i < size; i++)
        w.symbols[i] = (struct symbol){ bytes[(unsigned char)text[i]],
                                        i == 0 ? size : i - 1, i + 1 };
    for (size_t i = 0; i + 1 < size; i++)
        offer(&w, i);
    while (w.heap_count > 0) {
        struct chance c = pop(&w);

        take(&w, &c);
    }
    for (size_t i = 0; i < size; i++)
        if (w.symbols[i].token >= 0)
            ret_tokens[count++] = w.symbols[i].token;
    free(w.symbols);
    free(w.heap);
    return count;
}

/* --- a short one: nearly all ------------------------------------------------- */

enum { SHORT = 32 }; /* bytes; looking at all pairs is faster than a heap */

/* What two tokens become; `rank` UINT32_MAX: nothing. */
struct joint {
    uint32_t rank;
    int32_t token;
};

static struct joint joint_of(const struct tokenizer_merges *m,
                             const int32_t *pair)
{
    const struct merge *one =
        place_of(m, (uint64_t)(uint32_t)pair[0] << 32 | (uint32_t)pair[1]);

    return (struct joint){ one->token < 0 ? UINT32_MAX : one->rank,
                           one->token };
}

static size_t encode_short(const struct tokenizer_merges *m, size_t count,
                           int32_t *tokens)
{
    struct joint joints[SHORT];

    for (size_t i = 0; i + 1 < count; i++)
        joints[i] = joint_of(m, tokens + i);
    while (count > 1) {
        size_t first = 0;

        for (size_t i = 1; i + 1 < count; i++)
            if (joints[i].rank < joints[first].rank)
                first = i;
        if (joints[first].rank == UINT32_MAX)
            return count;
        tokens[first] = joints[first].token;
        count--;
        for (size_t i = first + 1; i < count; i++) {
            tokens[i] = tokens[i + 1];
            joints[i - 1] = joints[i];
        }
        if (first > 0)
            joints[first - 1] = joint_of(m, tokens + first - 1);
        if (first + 1 < count)
            joints[first] = joint_of(m, tokens + first);
    }
    return count;
}

size_t bpe_encode(const struct tokenizer_merges *m, const int32_t *bytes,
                  const char *text, size_t size, int32_t *ret_tokens)
{
    if (size > SHORT)
        return encode_long(m, bytes, text, size, ret_tokens);
    for (size_t i = 0; i < size; i++)
        ret_tokens[i] = bytes[(unsigned char)text[i]];
    return encode_short(m, size, ret_tokens);
}
