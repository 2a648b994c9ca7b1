#include "broker/core/lend.h"

#include "broker/core/state.h"
#include "common/memory.h"

#include <assert.h>
#include <stdlib.h>

void loans_release(struct loans *l)
{
    crowd_release(&l->lenders);
    free(l->items);
    *l = (struct loans){ .items = NULL };
}

bool lend_is_for(const struct session *session, const struct loans *l)
{
    return session->address != NULL && l->lenders.count > 0;
}

/* Workers that it serves something now. */
static size_t busy(const struct lending *l)
{
    size_t count = 0;

    for (size_t i = 0; i < LEND_MOST; i++)
        count += l->rows[i].sources > 0;
    return count;
}

/* Its row for the worker: the one there is, or a free one; LEND_MOST: none. */
static size_t row_for(const struct lending *l, size_t to)
{
    size_t found = LEND_MOST;

    for (size_t i = 0; i < LEND_MOST; i++) {
        if (l->rows[i].sources > 0 && l->rows[i].to == to)
            return i;
        if (l->rows[i].sources == 0)
            found = i;
    }
    return found;
}

bool lend_is_open(const struct session *lender)
{
    return lender->address != NULL && lender->connected && !lender->suspect &&
           !lender->draining;
}

struct session *lend_find(const struct loans *l, const struct session *to,
                          struct session *const *workers)
{
    struct session *best = NULL;
    size_t at = to->holder + 1;

    for (size_t seen = 0; seen < l->lenders.count; seen++, at++) {
        struct session *lender;

        at = crowd_next(&l->lenders, at);
        lender = workers[at];
        if (lender == to || !lend_is_open(lender) ||
            row_for(&lender->lending, to->holder) == LEND_MOST)
            continue;
        if (busy(&lender->lending) == 0)
            return lender;
        if (best == NULL || busy(&lender->lending) < busy(&best->lending))
            best = lender;
    }
    return best;
}

void lend_offer(struct loans *l, const struct session *from, int64_t now)
{
    if (from->address == NULL || crowd_has(&l->lenders, from->holder))
        return;
    crowd_put(&l->lenders, from->holder);
    l->moved_at = now;
}

void lend_begin(struct loans *l, struct session *from, const struct session *to,
                int64_t now)
{
    size_t row = row_for(&from->lending, to->holder);

    assert(row < LEND_MOST);
    from->lending.rows[row].to = to->holder;
    from->lending.rows[row].sources++;
    if (l->count == l->room) {
        l->room = 2 * l->room + 4;
        l->items = xrealloc(l->items, l->room * sizeof *l->items);
    }
    l->items[l->count++] = (struct loan){ from, to->holder };
    l->moved_at = now;
}

static struct loan *find(const struct loans *l, size_t to)
{
    for (size_t i = 0; i < l->count; i++)
        if (l->items[i].to == to)
            return &l->items[i];
    return NULL;
}

struct session *lend_of(const struct loans *l, size_t to)
{
    const struct loan *loan = find(l, to);

    return loan == NULL ? NULL : loan->from;
}

bool lend_end(struct loans *l, size_t to)
{
    struct loan *loan = find(l, to);

    if (loan == NULL)
        return false;
    loan->from->lending.rows[row_for(&loan->from->lending, to)].sources--;
    *loan = l->items[--l->count];
    return true;
}

bool lend_by(const struct loans *l, const struct session *from, size_t *ret_to)
{
    for (size_t i = 0; i < l->count; i++) {
        if (l->items[i].from == from) {
            *ret_to = l->items[i].to;
            return true;
        }
    }
    return false;
}
