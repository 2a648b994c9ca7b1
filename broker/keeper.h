/* keeper.h -- the thread that keeps the leader's key, or waits for it. It has
 * a connection to the store of its own, so that no append, snapshot or long
 * turn of the loop makes it late. */
#ifndef SINTER_BROKER_KEEPER_H
#define SINTER_BROKER_KEEPER_H

#include "broker/store.h"

#include <stdbool.h>
#include <stdint.h>

struct keeper; /* opaque */

/* Who leads, as far as is known. */
struct keeper_leader {
    bool known;
    uint64_t epoch;                  /* 0: not yet */
    char workers[STORE_HOLDER_MOST]; /* "" if not known */
    char clients[STORE_HOLDER_MOST];
    char http[STORE_HOLDER_MOST];
};

/* `store` is taken, also by a failure. A standby waits for the key at once;
 * any other asks for it when it has begun. `me`: where we are reached. */
MUST_CHECK struct status keeper_new(const struct store *store, int64_t ttl_ms,
                                    bool standby,
                                    const struct keeper_leader *me,
                                    struct keeper **ret_keeper);
/* Gives the key back if it is ours. NULL is fine. */
void keeper_free(struct keeper *k);

/* Readable when something changed; told once, by keeper_look(). */
int keeper_descriptor(const struct keeper *k);
/* Another that leads, if one is known. True: the key is ours, take over. */
bool keeper_look(struct keeper *k, struct keeper_leader *ret_other);

/* The epoch is raised: we lead. */
void keeper_begun(struct keeper *k, uint64_t epoch);
/* Give the key back; then keeper_look() tells who comes after us. */
void keeper_leave(struct keeper *k);

/* leader_may_speak(), now. */
bool keeper_may_speak(struct keeper *k, int64_t confirmed);

#endif
