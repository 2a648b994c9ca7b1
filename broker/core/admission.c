#include "broker/core/admission.h"

#include "broker/core/fleet.h"

enum {
    AWAY_RETRY_MS = 1000, /* a store that is restarted takes seconds */
    FULL_RETRY_MS = 250,  /* one that is slow frees room all the time */
};

static struct status obstacle(const struct sched *s)
{
    if (s->store_error != NULL)
        return FAIL(STATUS_UNAVAILABLE, "the store is away (%.300s)",
                    s->store_error);
    return FAIL(STATUS_UNAVAILABLE,
                "the store is slow: %llu KiB wait for it, and no more is "
                "taken on",
                (unsigned long long)(s->backlog_bytes >> 10));
}

MUST_CHECK static struct status put_off(struct sched *s, struct peer peer,
                                        const struct wire_message *m)
{
    bool is_submit = m->type == WIRE_SUBMIT;
    bool knows = is_submit ? m->submit.takes_busy : m->query.takes_busy;
    struct status why = obstacle(s);
    struct wire_message reply = { .type = WIRE_BUSY };

    if (!knows)
        return FAIL(STATUS_UNAVAILABLE,
                    "%s, so nothing new can be kept: try again later",
                    why.message);
    reply.busy = (struct wire_busy){
        .request = is_submit ? m->submit.request : m->query.request,
        .retry_after_ms =
            s->store_error != NULL ? AWAY_RETRY_MS : FULL_RETRY_MS,
        .reason = wire_text(why.message),
    };
    s->stats.busy_replies++;
    return outbox_send(s->out, peer, &reply, true);
}

/* It lives, and has more to say than we can keep. */
static void owe(struct sched *s, struct peer peer)
{
    struct session *session = fleet_find(s, peer);

    if (session == NULL)
        return;
    fleet_seen(s, session);
    session->owed = true;
}

struct status admission_check(struct sched *s, enum admission rule,
                              struct peer peer, const struct wire_message *m,
                              bool *ret_taken)
{
    *ret_taken = rule == ADMIT_ALWAYS ||
                 (rule == ADMIT_WHEN_WELL ? admission_is_well(s) : !s->full);
    if (*ret_taken)
        return SUCCESS;
    if (rule == ADMIT_WHEN_WELL)
        return put_off(s, peer, m);
    owe(s, peer);
    return SUCCESS;
}

bool admission_is_well(const struct sched *s)
{
    return s->store_error == NULL && !s->full;
}

struct status admission_newcomer(const struct sched *s)
{
    struct status why;

    if (!s->full)
        return SUCCESS;
    why = obstacle(s);
    return FAIL(STATUS_UNAVAILABLE, "%s: no more workers until then",
                why.message);
}
