/* Saved statistics of a merge, as they come from other workers: what is taken
 * can be saved again, to bytes that are taken again, and what fits can be
 * settled. */
#include <assert.h>
#include <stdlib.h>

#include "common/buf.h"
#include "jobs/merge/merge_statistic.h"

enum { ELEMENTS = 4096, RANKS = 2, SAVED = 64 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void begin(struct merge_statistic *s, bool scores)
{
    merge_statistic_begin(s, scores ? SELECT_VALUE : SELECT_MAGNITUDE, ELEMENTS,
                          RANKS, false);
    (void)merge_statistic_want(s, 0);
    (void)merge_statistic_want(s, ELEMENTS / 2);
}

static void load_again(const struct buf *bytes, bool scores)
{
    struct merge_statistic again = { .select = NULL };
    const char *at = bytes->data;
    const char *end = at + bytes->size;

    begin(&again, scores);
    assert(merge_statistic_load(&again, &at, end));
    assert(at == end);
    merge_statistic_release(&again);
}

static void save_and_load(const struct merge_statistic *s, bool scores)
{
    struct buf bytes;
    struct status st;

    buf_init(&bytes, SAVED);
    st = merge_statistic_save(s, &bytes);
    assert(!status_failed(&st));
    load_again(&bytes, scores);
    buf_release(&bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct merge_statistic s = { .select = NULL };
    struct merge_statistic *parts[] = { &s };
    bool scores = size > 0 && data[0] == 'v';
    const char *at = (const char *)data + (size > 0 ? 1 : 0);
    const char *end = (const char *)data + size;

    begin(&s, scores);
    if (merge_statistic_load(&s, &at, end)) {
        save_and_load(&s, scores);
        if (merge_statistic_fit(parts, 1, ELEMENTS) == 1) {
            merge_statistic_settle(parts, 1, ELEMENTS);
            save_and_load(&s, scores);
        }
    }
    merge_statistic_release(&s);
    return 0;
}
