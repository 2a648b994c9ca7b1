#include "tensor/select.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "common/varint.h"
#include "tensor/isa.h"
#include "tensor/select_kept.h"
#include "tensor/select_key.h"

enum {
    BINS = 1 << 16,  /* counters of a span, at least */
    ROOM = 8 * BINS, /* shared by few spans */
    GUESSES = 16,    /* more spans cost more than a pass without a guess */
    PARTS = 4 * SELECT_KEPT, /* keys of merged parts, at most */
};

/* Keys that a pass looks for; once they are counted, key >> shift together. */
struct span {
    uint32_t first, last;
    uint32_t shift;
    uint32_t common;  /* many elements may have this one ... */
    uint64_t commons; /* ... and these have, as long as keys are kept */
    uint64_t inside;  /* elements, those included */
    size_t at;        /* of its counters */
    uint64_t below;   /* elements of lower keys: known, or counted as well */
};

/* The keys that a pass finds are kept. If they are too many, they spill over
 * into counters, and so do those that follow. */
struct select {
    enum select_order order;
    bool whole;   /* the only span holds all keys: all elements are counted */
    bool guessed; /* elements below spans are counted */
    bool spilled;
    uint64_t count; /* elements of the running pass */
    struct select_kept kept;
    uint64_t *counters;
    size_t room;                   /* of counters held */
    size_t most_kept, most_merged; /* keys of a part, of merged parts */
    size_t most_counters;          /* 0: as many as two passes need */
    size_t used;                   /* by the spans */
    size_t span_count;
    struct span spans[SELECT_RANKS]; /* ascending, apart from each other */
    size_t wanted_count;
    uint64_t wanted[SELECT_RANKS];
    bool settled; /* these are they */
    struct select_found found[SELECT_RANKS];
};

/* Keys among which a rank is. */
struct place {
    struct span span;
    uint64_t elements; /* of them */
    bool exact;        /* one key, and it is known how often it is there */
};

static uint32_t last_key(enum select_order order)
{
    return order == SELECT_MAGNITUDE ? SELECT_KEY_MAGNITUDE : UINT32_MAX;
}

static size_t counters_of(const struct span *span)
{
    return ((span->last - span->first) >> span->shift) + (size_t)1;
}

static bool has_key(const struct span *span, uint32_t key)
{
    return key >= span->first && key <= span->last;
}

/* What a drop or a trim left is the most common of all. */
static void set_common(const struct select *s, struct span *span)
{
    uint32_t zero = select_key(s->order, 0.0F);

    if (has_key(span, zero))
        span->common = zero;
    else if (!has_key(span, span->common))
        span->common = span->first;
}

/* Two passes need BINS of a span. */
static size_t counters_for_each(const struct select *s)
{
    size_t spans = s->span_count > 0 ? s->span_count : 1;
    size_t room = s->most_counters > 0 ? s->most_counters : ROOM;
    size_t each = s->whole && room > BINS ? BINS : room / spans;

    return s->most_counters == 0 && each < BINS ? BINS : each;
}

/* A pass for the spans. One of BINS keys has a counter for each. */
static void begin(struct select *s, bool guessed)
{
    size_t each = counters_for_each(s);

    s->used = 0;
    for (size_t i = 0; i < s->span_count; i++) {
        struct span *span = s->spans + i;

        for (span->shift = 0; counters_of(span) > each;)
            span->shift++;
        span->at = s->used;
        s->used += counters_of(span);
        set_common(s, span);
        span->commons = 0;
        span->inside = 0;
    }
    s->kept.count = 0;
    s->spilled = false;
    s->settled = false;
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
    select_limit(s, 0);
    return s;
}

/* Half is for keys, half for counters. Room for keys is doubled as they come:
 * theirs is a power of two. */
void select_limit(struct select *s, uint64_t bytes)
{
    s->most_counters =
        bytes > 0 ? select_kept_most(bytes, ROOM, sizeof *s->counters) : 0;
    s->most_merged = select_kept_most(bytes, PARTS, sizeof *s->kept.keys);
    s->most_kept = s->most_merged < SELECT_KEPT ? s->most_merged : SELECT_KEPT;
    if (bytes > 0 && s->room > s->most_counters) {
        free(s->counters);
        s->counters = NULL;
        s->room = 0;
    }
    if (s->kept.room > s->most_merged)
        select_kept_release(&s->kept);
    select_clear(s);
}

size_t select_bytes(const struct select *s)
{
    return s->kept.room * sizeof *s->kept.keys + s->room * sizeof *s->counters;
}

void select_free(struct select *s)
{
    if (s == NULL)
        return;
    select_kept_release(&s->kept);
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

/* ---- a pass ------------------------------------------------------------ */

static uint64_t *counter_of(const struct select *s, const struct span *span,
                            uint32_t key)
{
    return s->counters + span->at + ((key - span->first) >> span->shift);
}

static void open_counters(struct select *s)
{
    if (s->used > s->room) {
        s->counters = xrealloc(s->counters, s->used * sizeof *s->counters);
        s->room = s->used;
    }
    if (s->used > 0)
        memset(s->counters, 0, s->used * sizeof *s->counters);
    s->spilled = true;
}

/* What is kept is counted instead. */
static void spill(struct select *s)
{
    if (!s->spilled)
        open_counters(s);
    for (size_t i = 0; i < s->span_count; i++) {
        struct span *span = s->spans + i;

        *counter_of(s, span, span->common) += span->commons;
        span->commons = 0;
    }
    for (size_t i = 0; i < s->kept.count; i++) {
        uint32_t key = s->kept.keys[i];
        const struct span *span = s->spans;

        while (key > span->last)
            span++;
        ++*counter_of(s, span, key);
    }
    s->kept.count = 0;
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

static void add_whole(struct select *s, const float *x, size_t count)
{
    s->spans[0].inside += count;
    if (!s->spilled && count <= s->most_kept - s->kept.count) {
        select_kept_add_all(&s->kept, s->order, x, count);
        return;
    }
    if (!s->spilled)
        spill(s);
    count_whole(s, x, count);
}

static void keep_span(struct select *s, struct span *span, const float *x,
                      size_t count)
{
    struct select_scope scope = { span->first, span->last, span->common, 0 };
    size_t before = s->kept.count;
    uint64_t below = select_kept_add(&s->kept, s->order, &scope, x, count);

    span->commons += scope.commons;
    span->inside += scope.commons + (s->kept.count - before);
    if (s->guessed)
        span->below += below;
}

void select_add(struct select *s, const float *x, size_t count)
{
    enum { PIECE = 1 << 12 }; /* stays in the cache for all spans */

    s->count += count;
    s->settled = false;
    if (s->whole) {
        add_whole(s, x, count);
        return;
    }
    for (size_t i = 0; i < count; i += PIECE) {
        size_t size = count - i < PIECE ? count - i : PIECE;

        if (s->kept.count + 2 * size > s->most_kept) /* room for each span */
            spill(s);
        for (size_t k = 0; k < s->span_count; k++)
            keep_span(s, s->spans + k, x + i, size);
    }
    if (s->spilled)
        spill(s);
}

/* ---- parts ------------------------------------------------------------- */

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

static void merge_commons(struct select *s, const struct select *other)
{
    for (size_t i = 0; i < s->span_count; i++) {
        struct span *span = s->spans + i;
        const struct span *from = other->spans + i;

        if (!s->spilled && span->common != from->common)
            spill(s);
        span->inside += from->inside;
        if (s->guessed)
            span->below += from->below;
        if (s->spilled)
            *counter_of(s, span, from->common) += from->commons;
        else
            span->commons += from->commons;
    }
}

static void merge_kept(struct select *s, const struct select_kept *other)
{
    if (s->kept.count + other->count > s->most_merged)
        spill(s);
    select_kept_append(&s->kept, other);
    if (s->spilled)
        spill(s);
}

void select_merge(struct select *s, const struct select *other)
{
    assert(same_pass(s, other));
    s->settled = false;
    if (other->spilled && !s->spilled)
        spill(s);
    for (size_t i = 0; other->spilled && i < s->used; i++)
        s->counters[i] += other->counters[i];
    merge_commons(s, other);
    merge_kept(s, &other->kept);
    s->count += other->count;
}

static bool wants(const struct select *s, const uint64_t *ranks, size_t count)
{
    return s->whole || (s->wanted_count == count &&
                        memcmp(s->wanted, ranks, count * sizeof *ranks) == 0);
}

static bool same_below(const struct select *a, const struct select *b)
{
    for (size_t i = 0; i < a->span_count; i++) {
        if (a->spans[i].below != b->spans[i].below)
            return false;
    }
    return true;
}

/* Is the rank among elements of a span, in all parts together? */
static bool is_inside(struct select *const *parts, size_t count, uint64_t rank)
{
    const struct select *first = parts[0];

    for (size_t i = 0; i < first->span_count; i++) {
        uint64_t end = first->spans[i].below;

        if (rank < end)
            return false;
        for (size_t k = 0; k < count; k++)
            end += parts[k]->spans[i].inside;
        if (rank < end)
            return true;
    }
    return false;
}

size_t select_fit(struct select *const *parts, size_t count,
                  const uint64_t *ranks, size_t rank_count, uint64_t elements)
{
    for (size_t k = 0; k < count; k++) {
        const struct select *s = parts[k];

        if (!same_pass(parts[0], s) || !same_below(parts[0], s) || s->guessed ||
            !wants(s, ranks, rank_count))
            return k;
        if (s->count > elements)
            return 0;
        elements -= s->count;
    }
    for (size_t i = 0; i < rank_count; i++) {
        if (!is_inside(parts, count, ranks[i]))
            return 0;
    }
    return elements == 0 ? count : 0;
}

bool select_is_whole(const struct select *s)
{
    return s->whole;
}

uint64_t select_count(const struct select *s)
{
    return s->count;
}

/* ---- what was found ---------------------------------------------------- */

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

static struct place place_kept(const struct select *s, const struct span *span,
                               uint64_t rank)
{
    const struct select_scope scope = { span->first, span->last, span->common,
                                        span->commons };
    struct select_ranked r = select_kept_find(&s->kept, &scope, rank);

    return (struct place){
        .span = { .first = r.key,
                  .last = r.key,
                  .below = span->below + r.below },
        .elements = r.equal,
        .exact = true,
    };
}

/* A rank that is in none of the counters is in the gap behind them. */
static struct place place_counted(const struct select *s, size_t i,
                                  uint64_t rank)
{
    const struct span *span = s->spans + i;
    uint64_t below = span->below;

    for (uint32_t bin = 0; bin < counters_of(span); bin++) {
        struct place place = place_at(span, bin, below);

        place.elements = s->counters[span->at + bin];
        below += place.elements;
        if (rank < below)
            return place;
    }
    return place_in_gap(s, i + 1, below);
}

static struct place place_of(const struct select *s, uint64_t rank)
{
    const struct span *span;
    size_t next = 0;

    while (next < s->span_count && s->spans[next].below <= rank)
        next++;
    if (next == 0)
        return place_in_gap(s, 0, 0);
    if (s->spilled)
        return place_counted(s, next - 1, rank);
    span = s->spans + next - 1;
    return rank - span->below < span->inside
               ? place_kept(s, span, rank - span->below)
               : place_in_gap(s, next, span->below + span->inside);
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

static struct select_found found_at(const struct select *s,
                                    const struct place *place)
{
    return (struct select_found){ select_value(s->order, place->span.first),
                                  place->span.below, place->elements };
}

/* Where the wanted ranks are; true: just there. */
static bool find_wanted(struct select *s, struct span *spans)
{
    bool exact = true;

    for (size_t i = 0; i < s->wanted_count; i++) {
        struct place place;

        assert(s->wanted[i] < s->count);
        place = place_of(s, s->wanted[i]);
        spans[i] = place.span;
        s->found[i] = found_at(s, &place);
        exact = exact && place.exact;
    }
    return exact;
}

bool select_settle(struct select *s)
{
    struct span next[SELECT_RANKS];

    s->settled = find_wanted(s, next);
    if (s->settled)
        return true;
    set_spans(s, next, s->wanted_count);
    begin(s, false);
    return false;
}

struct status select_narrow(struct select *s, const uint64_t *ranks,
                            size_t count)
{
    struct span next[SELECT_RANKS];

    assert(s->whole);
    TRY_PLAIN(want(s, ranks, count, s->count));
    (void)find_wanted(s, next);
    set_spans(s, next, count);
    begin(s, false);
    return SUCCESS;
}

struct status select_finish(struct select *s, const uint64_t *ranks,
                            size_t count, bool *ret_done)
{
    assert(s->whole);
    TRY_PLAIN(want(s, ranks, count, s->count));
    *ret_done = select_settle(s);
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

    if (s->count > 0)
        span.common = place_of(s, (uint64_t)(share * count)).span.first;
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
    if (s->settled)
        return s->found[i];
    place = place_of(s, s->wanted[i]);
    assert(place.exact);
    return found_at(s, &place);
}

uint64_t select_equal(const struct select *s, float value)
{
    uint32_t key = select_key(s->order, value);

    for (size_t i = 0; i < s->span_count; i++) {
        const struct span *span = s->spans + i;

        if (!has_key(span, key))
            continue;
        if (!s->spilled)
            return select_kept_equal(&s->kept, key) +
                   (key == span->common ? span->commons : 0);
        assert(span->shift == 0);
        return *counter_of(s, span, key);
    }
    assert(false); /* it was not found */
    return 0;
}

/* ---- as bytes ---------------------------------------------------------- */

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

struct status select_save(struct select *s, struct buf *bytes)
{
    const uint64_t head[] = { s->order, s->whole,      s->guessed,
                              s->count, s->span_count, s->wanted_count };

    spill(s);
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

/* How many elements lie in the spans; false: more than there are. */
static bool add_inside(struct select *s)
{
    uint64_t left = s->count;

    for (size_t i = 0; i < s->span_count; i++) {
        struct span *span = s->spans + i;

        for (size_t k = 0; k < counters_of(span); k++) {
            uint64_t here = s->counters[span->at + k];

            if (here > left)
                return false;
            left -= here;
            span->inside += here;
        }
    }
    return !s->whole || left == 0;
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
    open_counters(s);
    s->count = head[3];
    return load_counters(s, at, end) && add_inside(s);
}

struct status select_load(struct select *s, const char **at, const char *end)
{
    if (load(s, at, end))
        return SUCCESS;
    select_clear(s);
    return FAIL(STATUS_INVALID, "these bytes are no order statistics");
}
