#include "tensor/select.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "common/varint.h"
#include "tensor/isa.h"
#include "tensor/select_key.h"

enum {
    BINS = 1 << 16,  /* counters of a span, at least */
    ROOM = 8 * BINS, /* shared by few spans */
    GUESSES = 16,    /* more spans cost more than a pass without a guess */
    BLOCK = 32,      /* elements looked at together */
    WIDTH = 8,       /* of them in a vector */
    VECTORS = BLOCK / WIDTH,
};

typedef uint32_t keys __attribute__((vector_size(WIDTH * sizeof(uint32_t))));

/* Keys that are counted, key >> shift together. */
struct span {
    uint32_t first, last;
    uint32_t shift;
    size_t at;      /* of its counters */
    uint64_t below; /* elements of lower keys: known, or counted as well */
};

struct select {
    enum select_order order;
    bool whole;     /* the only span holds all keys: all elements are counted */
    bool guessed;   /* elements below spans are counted */
    uint64_t count; /* elements of the running pass */
    uint64_t *counters;
    size_t room; /* of counters held */
    size_t used; /* by the spans */
    size_t span_count;
    struct span spans[SELECT_RANKS]; /* ascending, apart from each other */
    size_t wanted_count;
    uint64_t wanted[SELECT_RANKS];
};

/* Keys among which a rank is. */
struct place {
    struct span span;
    uint64_t elements; /* of a counter */
    bool exact;        /* one key, and it has a counter */
};

static uint32_t last_key(enum select_order order)
{
    return order == SELECT_MAGNITUDE ? SELECT_KEY_MAGNITUDE : UINT32_MAX;
}

static size_t counters_of(const struct span *span)
{
    return ((span->last - span->first) >> span->shift) + (size_t)1;
}

/* Counters for the spans, all zero. A span of BINS keys has one for each. */
static void begin(struct select *s, bool guessed)
{
    size_t each = s->span_count > 0 ? ROOM / s->span_count : 0;

    each = each < BINS ? BINS : each;
    if (s->whole)
        each = BINS;
    s->used = 0;
    for (size_t i = 0; i < s->span_count; i++) {
        struct span *span = s->spans + i;

        for (span->shift = 0; counters_of(span) > each;)
            span->shift++;
        span->at = s->used;
        s->used += counters_of(span);
    }
    if (s->used > s->room) {
        s->counters = xrealloc(s->counters, s->used * sizeof *s->counters);
        s->room = s->used;
    }
    if (s->used > 0)
        memset(s->counters, 0, s->used * sizeof *s->counters);
    s->guessed = guessed;
    s->count = 0;
}

static void begin_whole(struct select *s)
{
    s->whole = true;
    s->span_count = 1;
    s->spans[0] = (struct span){ .last = last_key(s->order) };
    begin(s, false);
}

struct select *select_new(enum select_order order)
{
    struct select *s = xnew(struct select);

    s->order = order;
    begin_whole(s);
    return s;
}

void select_free(struct select *s)
{
    if (s == NULL)
        return;
    free(s->counters);
    free(s);
}

enum select_order select_order_of(const struct select *s)
{
    return s->order;
}

void select_clear(struct select *s)
{
    s->wanted_count = 0;
    begin_whole(s);
}

static void count_whole(struct select *s, const float *x, size_t count)
{
    uint64_t *counters = s->counters;
    uint32_t shift = s->spans[0].shift;

    if (s->order == SELECT_MAGNITUDE) {
        for (size_t i = 0; i < count; i++)
            counters[select_key_magnitude(select_bits(x + i)) >> shift]++;
        return;
    }
    for (size_t i = 0; i < count; i++)
        counters[select_key_value(select_bits(x + i)) >> shift]++;
}

/* What one vectorised walk finds beside the counters of its span. */
struct tally {
    uint64_t below, zeros;
};

static inline void count_few(struct select *s, const struct span *span,
                             const float *x, size_t count)
{
    uint32_t zero = select_key(s->order, 0.0F);
    uint64_t *counters = s->counters + span->at;
    uint32_t found[BLOCK];
    size_t hits = 0;

    for (size_t i = 0; i < count; i++) {
        uint32_t key = select_key(s->order, x[i]);
        uint32_t off = key - span->first;

        found[hits] = off >> span->shift;
        hits += off <= span->last - span->first && key != zero;
    }
    for (size_t i = 0; i < hits; i++)
        counters[found[i]]++;
}

/* Through pointers: how such vectors are passed differs between compilers. */
static inline __attribute__((always_inline)) void vector_magnitude(keys *bits)
{
    *bits &= SELECT_KEY_MAGNITUDE;
}

static inline __attribute__((always_inline)) void vector_value(keys *bits)
{
    typedef int32_t signs __attribute__((vector_size(sizeof(keys))));
    keys negative;

    *bits &= (keys)(*bits != SELECT_KEY_SIGN);
    negative = (keys)((signs)*bits < 0);
    *bits ^= negative | SELECT_KEY_SIGN;
}

static inline __attribute__((always_inline)) bool any(const keys *truth)
{
    uint64_t words[sizeof *truth / sizeof(uint64_t)];

    memcpy(words, truth, sizeof words);
    return ((words[0] | words[1]) | (words[2] | words[3])) != 0;
}

static inline uint64_t add_lanes(const keys *lanes)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < WIDTH; i++)
        sum += (*lanes)[i];
    return sum;
}

/* Few elements lie in a span, most of those are zeros if it holds them: whole
 * blocks are passed by. `count` is a multiple of BLOCK, below 2^32. */
#define COUNT_SPAN(name)                                                \
    ISA_CLONES                                                          \
    static struct tally count_span_##name(struct select *s,             \
                                          const struct span *span,      \
                                          const float *x, size_t count) \
    {                                                                   \
        const uint32_t first = span->first;                             \
        const uint32_t range = span->last - first;                      \
        const uint32_t zero = select_key(s->order, 0.0F);               \
        keys below = { 0 };                                             \
        keys zeros = { 0 };                                             \
                                                                        \
        for (size_t i = 0; i < count; i += BLOCK) {                     \
            keys found[VECTORS];                                        \
            keys some = { 0 };                                          \
                                                                        \
            for (size_t v = 0; v < VECTORS; v++) {                      \
                keys key, at_zero;                                      \
                                                                        \
                memcpy(&key, x + i + v * WIDTH, sizeof key);            \
                vector_##name(&key);                                    \
                at_zero = (keys)(key == zero);                          \
                below -= (keys)(key < first);                           \
                zeros -= at_zero;                                       \
                found[v] = (keys)(key - first <= range) & ~at_zero;     \
                some |= found[v];                                       \
            }                                                           \
            if (!any(&some))                                            \
                continue;                                               \
            for (size_t v = 0; v < VECTORS; v++) {                      \
                if (any(&found[v]))                                     \
                    count_few(s, span, x + i + v * WIDTH, WIDTH);       \
            }                                                           \
        }                                                               \
        return (struct tally){ add_lanes(&below), add_lanes(&zeros) };  \
    }
COUNT_SPAN(magnitude)
COUNT_SPAN(value)
#undef COUNT_SPAN

static struct tally count_rest(struct select *s, const struct span *span,
                               const float *x, size_t count)
{
    uint32_t zero = select_key(s->order, 0.0F);
    struct tally t = { 0, 0 };

    for (size_t i = 0; i < count; i++) {
        uint32_t key = select_key(s->order, x[i]);

        t.below += key < span->first;
        t.zeros += key == zero;
    }
    count_few(s, span, x, count);
    return t;
}

static void add_tally(struct select *s, struct span *span, struct tally t)
{
    uint32_t zero = select_key(s->order, 0.0F);

    if (s->guessed)
        span->below += t.below;
    if (zero >= span->first && zero <= span->last)
        s->counters[span->at + ((zero - span->first) >> span->shift)] +=
            t.zeros;
}

static void count_span(struct select *s, struct span *span, const float *x,
                       size_t count)
{
    size_t whole = count - count % BLOCK;

    add_tally(s, span,
              s->order == SELECT_MAGNITUDE
                  ? count_span_magnitude(s, span, x, whole)
                  : count_span_value(s, span, x, whole));
    add_tally(s, span, count_rest(s, span, x + whole, count - whole));
}

void select_add(struct select *s, const float *x, size_t count)
{
    enum { PIECE = 1 << 12 }; /* stays in the cache for all spans */

    s->count += count;
    if (s->whole) {
        count_whole(s, x, count);
        return;
    }
    for (size_t i = 0; i < count; i += PIECE) {
        size_t size = count - i < PIECE ? count - i : PIECE;

        for (size_t k = 0; k < s->span_count; k++)
            count_span(s, s->spans + k, x + i, size);
    }
}

static bool same_pass(const struct select *a, const struct select *b)
{
    if (a->order != b->order || a->whole != b->whole ||
        a->guessed != b->guessed || a->span_count != b->span_count)
        return false;
    for (size_t i = 0; i < a->span_count; i++) {
        if (a->spans[i].first != b->spans[i].first ||
            a->spans[i].last != b->spans[i].last)
            return false;
    }
    return true;
}

void select_merge(struct select *s, const struct select *other)
{
    assert(same_pass(s, other));
    for (size_t i = 0; i < s->used; i++)
        s->counters[i] += other->counters[i];
    for (size_t i = 0; s->guessed && i < s->span_count; i++)
        s->spans[i].below += other->spans[i].below;
    s->count += other->count;
}

uint64_t select_count(const struct select *s)
{
    return s->count;
}

/* The keys of one counter. */
static struct place place_at(const struct span *span, uint32_t bin,
                             uint64_t below)
{
    uint64_t first = span->first + ((uint64_t)bin << span->shift);
    uint64_t last = first + (UINT64_C(1) << span->shift) - 1;

    return (struct place){
        .span = { .first = (uint32_t)first,
                  .last = last < span->last ? (uint32_t)last : span->last,
                  .below = below },
        .exact = span->shift == 0,
    };
}

/* A rank below the i-th span and above the one before, where no rank was
 * expected. */
static struct place place_in_gap(const struct select *s, size_t i,
                                 uint64_t below)
{
    struct span gap = { .first = i > 0 ? s->spans[i - 1].last + 1 : 0,
                        .last = i < s->span_count ? s->spans[i].first - 1
                                                  : last_key(s->order),
                        .below = below };

    return (struct place){ .span = gap };
}

static struct place place_of(const struct select *s, uint64_t rank)
{
    const struct span *span;
    uint64_t below;
    size_t next = 0;

    while (next < s->span_count && s->spans[next].below <= rank)
        next++;
    if (next == 0)
        return place_in_gap(s, 0, 0);
    span = s->spans + next - 1;
    below = span->below;
    for (uint32_t bin = 0; bin < counters_of(span); bin++) {
        struct place place = place_at(span, bin, below);

        place.elements = s->counters[span->at + bin];
        below += place.elements;
        if (rank < below)
            return place;
    }
    return place_in_gap(s, next, below);
}

MUST_CHECK static struct status want(struct select *s, const uint64_t *ranks,
                                     size_t count, uint64_t elements)
{
    if (count > SELECT_RANKS)
        return FAIL(STATUS_INVALID, "%zu ranks are wanted, at most %d at once",
                    count, SELECT_RANKS);
    for (size_t i = 0; i < count; i++) {
        if (ranks[i] >= elements)
            return FAIL(STATUS_INVALID,
                        "rank %" PRIu64 " of %" PRIu64 " elements is wanted",
                        ranks[i], elements);
        s->wanted[i] = ranks[i];
    }
    s->wanted_count = count;
    return SUCCESS;
}

static int by_key(const void *a, const void *b)
{
    const struct span *x = a;
    const struct span *y = b;

    return (x->first > y->first) - (x->first < y->first);
}

/* Spans for the next pass; those that overlap become one. */
static void set_spans(struct select *s, struct span *spans, size_t count)
{
    size_t kept = 0;

    qsort(spans, count, sizeof *spans, by_key);
    for (size_t i = 0; i < count; i++) {
        struct span *before = kept > 0 ? s->spans + kept - 1 : NULL;

        if (before == NULL || spans[i].first > before->last)
            s->spans[kept++] = spans[i];
        else if (spans[i].last > before->last)
            before->last = spans[i].last;
    }
    s->span_count = kept;
    s->whole = false;
}

bool select_settle(struct select *s)
{
    struct span next[SELECT_RANKS];
    bool exact = true;

    for (size_t i = 0; i < s->wanted_count; i++) {
        struct place place;

        assert(s->wanted[i] < s->count);
        place = place_of(s, s->wanted[i]);
        next[i] = place.span;
        exact = exact && place.exact;
    }
    if (exact && !s->whole) /* of no ranks at all */
        return true;
    set_spans(s, next, s->wanted_count);
    begin(s, false);
    return false;
}

struct status select_narrow(struct select *s, const uint64_t *ranks,
                            size_t count)
{
    assert(s->whole);
    TRY_PLAIN(want(s, ranks, count, s->count));
    (void)select_settle(s);
    return SUCCESS;
}

/* Keys between which a rank of `elements` lies, if the `s->count` of the
 * sample are like the others. */
static struct span expect(const struct select *s, uint64_t rank,
                          uint64_t elements)
{
    static const double sigmas = 4.0;
    static const double slack = 2.0; /* where sigma is next to nothing */
    double count = (double)s->count;
    double share = ((double)rank + 0.5) / (double)elements;
    double reach = sigmas * sqrt(share * (1.0 - share) * count) + slack;
    double low = floor(share * count - reach);
    double high = ceil(share * count + reach);
    struct span span = { .first = 0, .last = last_key(s->order) };

    if (low >= 0.0)
        span.first = place_of(s, (uint64_t)low).span.first;
    if (high < count)
        span.last = place_of(s, (uint64_t)high).span.last;
    return span;
}

struct status select_guess(struct select *s, const uint64_t *ranks,
                           size_t count, uint64_t elements)
{
    struct span spans[SELECT_RANKS];

    assert(s->whole);
    TRY_PLAIN(want(s, ranks, count, elements));
    for (size_t i = 0; i < count; i++)
        spans[i] = expect(s, ranks[i], elements);
    set_spans(s, spans, count);
    if (s->span_count > GUESSES)
        begin_whole(s);
    else
        begin(s, true);
    return SUCCESS;
}

void select_follow(struct select *s, const struct select *leader)
{
    assert(s->order == leader->order);
    s->whole = leader->whole;
    s->span_count = leader->span_count;
    s->wanted_count = leader->wanted_count;
    memcpy(s->spans, leader->spans, sizeof s->spans);
    memcpy(s->wanted, leader->wanted, sizeof s->wanted);
    begin(s, leader->guessed);
    for (size_t i = 0; s->guessed && i < s->span_count; i++)
        s->spans[i].below = 0; /* counted here anew */
}

struct select_found select_result(const struct select *s, size_t i)
{
    struct place place;

    assert(i < s->wanted_count);
    place = place_of(s, s->wanted[i]);
    assert(place.exact);
    return (struct select_found){ select_value(s->order, place.span.first),
                                  place.span.below, place.elements };
}

uint64_t select_equal(const struct select *s, float value)
{
    uint32_t key = select_key(s->order, value);

    for (size_t i = 0; i < s->span_count; i++) {
        const struct span *span = s->spans + i;

        if (key >= span->first && key <= span->last) {
            assert(span->shift == 0);
            return s->counters[span->at + (key - span->first)];
        }
    }
    assert(false); /* it was not found */
    return 0;
}

/* Counters are few or far apart: pairs of how many zeros there are before one,
 * and what it counts. The last pair leads to the end and has no second. */
MUST_CHECK static struct status save_counters(const struct select *s,
                                              struct buf *bytes)
{
    size_t zeros = 0;

    for (size_t i = 0; i < s->used; i++) {
        if (s->counters[i] == 0) {
            zeros++;
            continue;
        }
        TRY_PLAIN(varint_put(bytes, zeros));
        TRY_PLAIN(varint_put(bytes, s->counters[i]));
        zeros = 0;
    }
    return varint_put(bytes, zeros);
}

struct status select_save(const struct select *s, struct buf *bytes)
{
    const uint64_t head[] = { s->order, s->whole,      s->guessed,
                              s->count, s->span_count, s->wanted_count };

    for (size_t i = 0; i < COUNT_OF(head); i++)
        TRY_PLAIN(varint_put(bytes, head[i]));
    for (size_t i = 0; i < s->span_count; i++) {
        TRY_PLAIN(varint_put(bytes, s->spans[i].first));
        TRY_PLAIN(varint_put(bytes, s->spans[i].last));
        TRY_PLAIN(varint_put(bytes, s->spans[i].below));
    }
    for (size_t i = 0; i < s->wanted_count; i++)
        TRY_PLAIN(varint_put(bytes, s->wanted[i]));
    return save_counters(s, bytes);
}

static bool load_counters(struct select *s, const char **at, const char *end)
{
    size_t i = 0;
    uint64_t zeros;

    while (varint_get(at, end, &zeros) && zeros <= s->used - i) {
        i += (size_t)zeros;
        if (i == s->used)
            return true;
        if (!varint_get(at, end, &s->counters[i++]))
            return false;
    }
    return false;
}

static bool load_spans(struct select *s, const char **at, const char *end)
{
    uint64_t least = 0;

    for (size_t i = 0; i < s->span_count; i++) {
        struct span *span = s->spans + i;
        uint64_t first, last;

        if (!varint_get(at, end, &first) || !varint_get(at, end, &last) ||
            !varint_get(at, end, &span->below))
            return false;
        if (first < least || last < first || last > last_key(s->order))
            return false;
        span->first = (uint32_t)first;
        span->last = (uint32_t)last;
        least = last + 1;
    }
    for (size_t i = 0; i < s->wanted_count; i++) {
        if (!varint_get(at, end, &s->wanted[i]))
            return false;
    }
    return !s->whole || (s->span_count == 1 && s->spans[0].first == 0 &&
                         s->spans[0].last == last_key(s->order));
}

static bool load(struct select *s, const char **at, const char *end)
{
    uint64_t head[6];

    for (size_t i = 0; i < COUNT_OF(head); i++) {
        if (!varint_get(at, end, &head[i]))
            return false;
    }
    if (head[0] != s->order || head[1] > 1 || head[2] > 1 ||
        head[4] > SELECT_RANKS || head[5] > SELECT_RANKS)
        return false;
    s->whole = head[1] == 1;
    s->span_count = head[4];
    s->wanted_count = head[5];
    if (!load_spans(s, at, end))
        return false;
    begin(s, head[2] == 1);
    s->count = head[3];
    return load_counters(s, at, end);
}

struct status select_load(struct select *s, const char **at, const char *end)
{
    if (load(s, at, end))
        return SUCCESS;
    select_clear(s);
    return FAIL(STATUS_INVALID, "these bytes are no order statistics");
}
