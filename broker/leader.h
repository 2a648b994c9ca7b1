/* leader.h -- who leads, as a decision: what to ask the store for and when,
 * and whether what this broker knows may be said. Pure.
 *
 * The store has one key that names the leader, for a while (its TTL). A
 * standby waits for it; who has it raises the epoch, which fences all others,
 * and keeps it while it serves. The key is for finding each other and for not
 * speaking out of turn; what protects the log is the epoch alone. Times are
 * ns of the monotonic clock. */
#ifndef SINTER_BROKER_LEADER_H
#define SINTER_BROKER_LEADER_H

#include <stdbool.h>
#include <stdint.h>

enum leader_role {
    LEADER_WAITS,  /* for the key */
    LEADER_STARTS, /* has the key, reads the log */
    LEADER_LEADS,
    LEADER_LEFT, /* gave the key back; looks who has it */
};

/* What happened. The first three are answers of the store. */
enum leader_event {
    LEADER_OURS,    /* the key is ours; `at`: when it was asked for */
    LEADER_OTHERS,  /* somebody else has it */
    LEADER_UNKNOWN, /* the store did not answer */
    LEADER_FREE,    /* given back, or taken from who had it */
    LEADER_BEGUN,   /* our epoch is the highest */
    LEADER_LEAVES,
};

enum leader_action {
    LEADER_SLEEP, /* until `next` */
    LEADER_ACQUIRE,
    LEADER_EXTEND,
    LEADER_SEIZE, /* whoever has the key is fenced: take it away */
    LEADER_RELEASE,
    LEADER_LOOK, /* who has it? */
};

struct leader {
    enum leader_role role;
    int64_t ttl;
    int64_t next; /* something is to be asked */
    /* Ours without a gap since ... until, by a clock that starts when we ask:
     * nobody else is given the key in that time. since 0: not ours. */
    int64_t since, until;
    bool seize;   /* the key may be that of a broker that is fenced */
    bool release; /* it is still to be given back */
};

/* A standby waits; any other leads as soon as it has begun. */
void leader_init(struct leader *l, int64_t ttl_ms, bool standby, int64_t now);
enum leader_action leader_next(const struct leader *l, int64_t now);
void leader_hear(struct leader *l, enum leader_event event, int64_t at);

/* May answers be given that rest on what we know? `confirmed`: the store has
 * accepted something of our epoch that was asked for then. Not if a standby
 * may have taken over unseen (we were stopped for a while). */
bool leader_may_speak(const struct leader *l, int64_t now, int64_t confirmed);

#endif
