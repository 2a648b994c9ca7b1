#include "jobs/merge/merge_statistic.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "common/varint.h"

void merge_statistic_begin(struct merge_statistic *s, enum select_order order,
                           uint64_t elements, size_t ranks, bool hints)
{
    if (s->select != NULL && select_order_of(s->select) != order) {
        select_free(s->select);
        s->select = NULL;
    }
    if (s->select == NULL)
        s->select = select_new(order);
    select_clear(s->select);
    s->early = hints;
    /* What is kept needs no glance; nor does one help that is so short that
     * many are near the ranks it expects. */
    s->round = hints && elements / SELECT_KEPT >= ranks ? MERGE_COUNT_SAMPLE
                                                        : MERGE_COUNT_FIRST;
    s->done = false;
    s->count = 0;
}

void merge_statistic_limit(struct merge_statistic *s, uint64_t bytes,
                           size_t shares)
{
    uint64_t share = bytes == 0 ? 0 : bytes / shares + 1;

    select_limit(s->select, s->early ? share : 0);
}

void merge_statistic_release(struct merge_statistic *s)
{
    select_free(s->select);
    s->select = NULL;
}

size_t merge_statistic_want(struct merge_statistic *s, uint64_t rank)
{
    size_t k = 0;

    while (k < s->count && s->ranks[k] != rank)
        k++;
    if (k == s->count) {
        assert(k < SELECT_RANKS);
        s->ranks[s->count++] = rank;
    }
    return k;
}

enum merge_round merge_statistic_round(const struct merge_statistic *s)
{
    if (s->done)
        return MERGE_ROUND_DONE;
    return s->round == MERGE_COUNT_SAMPLE ? MERGE_ROUND_SAMPLE
                                          : MERGE_ROUND_FULL;
}

void merge_statistic_add(struct merge_statistic *s, const float *x,
                         size_t count)
{
    if (!s->done)
        select_add(s->select, x, count);
}

/* True: the results are there. */
static bool settle(struct merge_statistic *s, uint64_t elements)
{
    struct status status = SUCCESS;
    bool done = false;

    if (s->round == MERGE_COUNT_SAMPLE)
        status = select_guess(s->select, s->ranks, s->count, elements);
    else if (s->round == MERGE_COUNT_FIRST && s->early)
        status = select_finish(s->select, s->ranks, s->count, &done);
    else if (s->round == MERGE_COUNT_FIRST)
        status = select_narrow(s->select, s->ranks, s->count);
    else
        done = select_settle(s->select);
    assert(!status_failed(&status)); /* ranks come from the element count */
    return done;
}

void merge_statistic_settle(struct merge_statistic *const *parts,
                            size_t threads, uint64_t elements)
{
    struct merge_statistic *first = parts[0];
    bool done;

    if (first->done)
        return;
    for (size_t t = 1; t < threads; t++)
        select_merge(first->select, parts[t]->select);
    done = settle(first, elements);
    for (size_t k = 0; done && k < first->count; k++)
        first->values[k] = select_result(first->select, k).value;
    for (size_t t = 0; t < threads; t++) {
        parts[t]->done = done;
        parts[t]->round = MERGE_COUNT_NEXT;
        memcpy(parts[t]->values, first->values, sizeof first->values);
        if (t > 0 && !done)
            select_follow(parts[t]->select, first->select);
    }
}

struct status merge_statistic_save(const struct merge_statistic *s,
                                   struct buf *bytes)
{
    TRY_PLAIN(varint_put(bytes, s->round));
    TRY_PLAIN(varint_put(bytes, s->done));
    if (s->round == MERGE_COUNT_FIRST) /* the same for any ranks */
        return select_save(s->select, bytes);
    TRY_PLAIN(varint_put(bytes, s->count));
    for (size_t k = 0; k < s->count; k++)
        TRY_PLAIN(varint_put(bytes, s->ranks[k]));
    if (!s->done)
        return select_save(s->select, bytes);
    for (size_t k = 0; k < s->count; k++)
        TRY_PLAIN(merge_statistic_put(bytes, s->values[k]));
    return SUCCESS;
}

static bool wants_the_same(const struct merge_statistic *s, const char **at,
                           const char *end)
{
    if (!merge_statistic_is_next(at, end, s->count))
        return false;
    for (size_t k = 0; k < s->count; k++) {
        if (!merge_statistic_is_next(at, end, s->ranks[k]))
            return false;
    }
    return true;
}

bool merge_statistic_load(struct merge_statistic *s, const char **at,
                          const char *end)
{
    uint64_t round, done;
    struct status status;

    if (!varint_get(at, end, &round) || round > MERGE_COUNT_NEXT ||
        !varint_get(at, end, &done) ||
        done > (round == MERGE_COUNT_NEXT ? 1U : 0U) ||
        (round != MERGE_COUNT_FIRST && !wants_the_same(s, at, end)))
        return false;
    s->round = (unsigned)round;
    s->done = done == 1;
    if (!s->done) {
        status = select_load(s->select, at, end);
        return !status_failed(&status) &&
               select_is_whole(s->select) == (round != MERGE_COUNT_NEXT);
    }
    for (size_t k = 0; k < s->count; k++) {
        if (!merge_statistic_get(at, end, &s->values[k]))
            return false;
    }
    return true;
}

size_t merge_statistic_fit(struct merge_statistic *const *parts, size_t count,
                           uint64_t elements)
{
    const struct merge_statistic *first = parts[0];
    struct select **selects = xcalloc(count, sizeof(void *));
    size_t fit;

    for (fit = 0; fit < count; fit++) {
        const struct merge_statistic *s = parts[fit];
        bool same; /* values as they were saved: by their bits */

        /* NOLINTNEXTLINE(bugprone-suspicious-memory-comparison) */
        same = memcmp(s->values, first->values, sizeof s->values) == 0;
        if (!same || s->round != first->round || s->done != first->done ||
            s->round == MERGE_COUNT_SAMPLE)
            break;
        selects[fit] = s->select;
    }
    if (fit == count && !first->done)
        fit = select_fit(selects, count, first->ranks, first->count, elements);
    free(selects);
    return fit;
}

bool merge_statistic_is_next(const char **at, const char *end,
                             uint64_t expected)
{
    uint64_t value;

    return varint_get(at, end, &value) && value == expected;
}

struct status merge_statistic_put(struct buf *bytes, float value)
{
    uint32_t bits;

    memcpy(&bits, &value, sizeof bits);
    return varint_put(bytes, bits);
}

bool merge_statistic_get(const char **at, const char *end, float *ret_value)
{
    uint64_t value;
    uint32_t bits;

    if (!varint_get(at, end, &value) || value > UINT32_MAX)
        return false;
    bits = (uint32_t)value;
    memcpy(ret_value, &bits, sizeof bits);
    return true;
}
