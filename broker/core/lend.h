/* lend.h -- workers that serve each other what lies in their caches.
 *
 * A lender of a source has it whole, serves it (HELLO says where), and can be
 * asked for it by whoever can prove what comes. Each serves a few at a time,
 * and each that has got it serves others: so a source spreads over the farm in
 * a number of rounds that grows as the logarithm of its workers. Who serves
 * takes from others, too; who does not fetches as ever.
 *
 * Nothing rests on it but time: a borrower whose lenders fail goes to the
 * origin. */
#ifndef SINTER_BROKER_CORE_LEND_H
#define SINTER_BROKER_CORE_LEND_H

#include "broker/core/crowd.h"

#include <stdint.h>

struct session;

enum { LEND_MOST = 2 }; /* workers that one serves at a time */

/* Of a worker: whom it gives how many sources. */
struct lending {
    struct {
        size_t to;
        size_t sources; /* 0: the row is free */
    } rows[LEND_MOST];
};

struct loan {
    struct session *from;
    size_t to;
};

/* Of a source. */
struct loans {
    struct crowd lenders;
    struct loan *items;
    size_t count, room;
    int64_t moved_at; /* ns, when a lender came or a loan began last */
};

void loans_release(struct loans *l);

/* Does the worker borrow at all, and are there lenders? */
bool lend_is_for(const struct session *session, const struct loans *l);
/* Is it there, and may be asked? */
bool lend_is_open(const struct session *lender);
/* A lender that has room for the worker, the least busy one; NULL: none now.
 * `workers`: by their numbers. */
struct session *lend_find(const struct loans *l, const struct session *to,
                          struct session *const *workers);
/* The worker has it, and serves it if it serves at all. */
void lend_offer(struct loans *l, const struct session *from, int64_t now);
void lend_begin(struct loans *l, struct session *from, const struct session *to,
                int64_t now);
/* Who lends it to the worker; NULL: nobody. */
struct session *lend_of(const struct loans *l, size_t to);
/* False: there was no such loan. */
bool lend_end(struct loans *l, size_t to);
/* One of the loans of that lender, to be ended; false: there is none. */
bool lend_by(const struct loans *l, const struct session *from, size_t *ret_to);

#endif
