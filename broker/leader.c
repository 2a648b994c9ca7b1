#include "broker/leader.h"

#include "common/clock.h"

enum {
    EXTENDS = 3,    /* in the time the key lasts */
    WAIT_MS = 200,  /* between two tries of a standby */
    LOOK_MS = 50,   /* who follows us? */
    RETRY_MS = 500, /* the store did not answer */
};

void leader_init(struct leader *l, int64_t ttl_ms, bool standby, int64_t now)
{
    *l = (struct leader){ .role = standby ? LEADER_WAITS : LEADER_STARTS,
                          .ttl = ttl_ms * NS_PER_MS,
                          .seize = !standby,
                          .next = standby ? now : INT64_MAX };
}

enum leader_action leader_next(const struct leader *l, int64_t now)
{
    if (now < l->next)
        return LEADER_SLEEP;
    switch (l->role) {
    case LEADER_LEFT:
        return l->release ? LEADER_RELEASE : LEADER_LOOK;
    case LEADER_LEADS:
    case LEADER_STARTS:
        return l->since != 0 ? LEADER_EXTEND
               : l->seize    ? LEADER_SEIZE
                             : LEADER_ACQUIRE;
    case LEADER_WAITS:
        break;
    }
    return LEADER_ACQUIRE;
}

static int64_t sooner(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* When to ask again for a key that another has. */
static int64_t again(const struct leader *l, int64_t at)
{
    int64_t wait_ms = l->role == LEADER_LEFT ? LOOK_MS : WAIT_MS;

    return at + sooner(wait_ms * NS_PER_MS, l->ttl / EXTENDS);
}

static void keep(struct leader *l, int64_t asked)
{
    if (l->role == LEADER_LEFT) { /* nobody has it yet */
        l->next = again(l, asked);
        return;
    }
    if (l->role == LEADER_WAITS)
        l->role = LEADER_STARTS;
    if (l->since == 0)
        l->since = asked;
    l->until = asked + l->ttl;
    l->seize = false;
    l->next = asked + l->ttl / EXTENDS;
}

void leader_hear(struct leader *l, enum leader_event event, int64_t at)
{
    switch (event) {
    case LEADER_OURS:
        keep(l, at);
        break;
    case LEADER_OTHERS:
        l->since = l->until = 0;
        l->next = again(l, at);
        break;
    case LEADER_UNKNOWN:
        l->next = at + sooner(RETRY_MS * NS_PER_MS, l->ttl / EXTENDS);
        break;
    case LEADER_FREE:
        l->release = l->seize = false;
        l->next = at;
        break;
    case LEADER_BEGUN:
        /* Asked for anew: the key tells the epoch from now on. */
        l->role = LEADER_LEADS;
        l->seize = l->since == 0;
        l->since = l->until = 0;
        l->next = at;
        break;
    case LEADER_LEAVES:
        l->release = true; /* it may just be on its way to us */
        l->role = LEADER_LEFT;
        l->since = l->until = 0;
        l->next = at;
        break;
    }
}

bool leader_may_speak(const struct leader *l, int64_t now, int64_t confirmed)
{
    return l->role == LEADER_LEADS && l->since != 0 && now < l->until &&
           confirmed >= l->since;
}
