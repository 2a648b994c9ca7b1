#include "broker/standby.h"

#include "common/clock.h"
#include "common/limits.h"
#include "common/log.h"

enum {
    TURN = 256, /* messages */
    WAIT_MS = 1000,
    STAY_MS = 200, /* libzmq drops what was not read when a connection ends */
};

/* To one peer; that it is gone or reads too slowly is its own trouble. */
struct referral {
    struct loop *loop;
    const struct keeper_leader *leader;
    struct status status; /* the first real failure */
};

static void refer(void *self, struct peer peer)
{
    struct referral *r = self;
    const struct link *link = &r->loop->link;
    const struct wire_message m = {
        .type = WIRE_NOT_LEADER,
        .not_leader = { wire_text(peer.side == PEER_WORKER
                                      ? r->leader->workers
                                      : r->leader->clients),
                        r->leader->epoch },
    };
    struct buf out;
    struct status st;

    buf_init(&out, LIMIT_MESSAGE);
    st = wire_encode(&m, &out);
    if (!status_failed(&st))
        st = link->send(link->self, peer, out.data, out.size);
    buf_release(&out);
    if (st.code != STATUS_NOT_FOUND && st.code != STATUS_UNAVAILABLE &&
        status_failed(&st))
        r->status = st;
}

MUST_CHECK static struct status refer_messages(
    struct loop *l, const struct keeper_leader *leader)
{
    struct referral r = { l, leader, SUCCESS };

    for (int i = 0; i < TURN && !status_failed(&r.status); i++) {
        struct link_message in;
        bool got = false;

        TRY_PLAIN(l->link.receive(l->link.self, &in, &got));
        if (!got)
            break;
        refer(&r, in.from);
    }
    return r.status;
}

/* Those that were asked before it was known that we do not lead. */
static void refuse_questions(struct loop *l)
{
    struct status st = FAIL(STATUS_UNAVAILABLE, "this broker does not lead");
    struct hatch_question *q;

    while ((q = hatch_next(l->hatch)) != NULL)
        hatch_reply(l->hatch, q, &st, NULL);
}

static void show(struct loop *l, const struct keeper_leader *leader)
{
    hatch_set_standby(l->hatch, true, leader->http);
    if (!leader->known)
        return; /* it takes a moment, or this broker was the only one */
    log_event(LOG_INFO, "another broker leads",
              "workers=%s clients=%s http=%s epoch=%llu", leader->workers,
              leader->clients, leader->http, (unsigned long long)leader->epoch);
}

struct status standby_wait(struct loop *l, bool *ret_leads)
{
    struct pollfd others[] = { { .fd = l->stop_descriptor },
                               { .fd = hatch_descriptor(l->hatch) },
                               { .fd = keeper_descriptor(l->keeper) },
                               { .fd = l->reload_descriptor } };
    struct keeper_leader leader = { .known = false };

    hatch_set_standby(l->hatch, true, "");
    *ret_leads = false;
    while (!*ret_leads && others[0].revents == 0) {
        TRY_PLAIN(
            l->link.wait(l->link.self, WAIT_MS, others, COUNT_OF(others)));
        hatch_beat(l->hatch);
        if (others[COUNT_OF(others) - 1].revents != 0)
            l->reload(l->reload_self);
        if (others[2].revents != 0) {
            *ret_leads = keeper_look(l->keeper, &leader);
            if (!*ret_leads)
                show(l, &leader);
        }
        refuse_questions(l);
        /* What has come for a leader is left to it. */
        if (!*ret_leads)
            TRY_PLAIN(refer_messages(l, &leader));
    }
    return SUCCESS;
}

/* They leave by themselves; a connection that ends under them may take the
 * word with it. Who comes meanwhile is sent on as well. */
MUST_CHECK static struct status see_off(struct loop *l,
                                        const struct keeper_leader *leader)
{
    int64_t until = clock_now() + STAY_MS * NS_PER_MS;
    int64_t left;

    TRY_PLAIN(refer_messages(l, leader));
    while (leader->known && (left = until - clock_now()) > 0) {
        TRY_PLAIN(l->link.wait(l->link.self, left / NS_PER_MS + 1, NULL, 0));
        TRY_PLAIN(refer_messages(l, leader));
    }
    return SUCCESS;
}

/* A successor that has read the log has an epoch; before, it might not know
 * itself that it leads, and send them back. */
struct status standby_depart(struct loop *l, int64_t patience_ms)
{
    int64_t until = clock_now() + patience_ms * NS_PER_MS;
    struct pollfd told = { .fd = keeper_descriptor(l->keeper),
                           .events = POLLIN };
    struct keeper_leader leader = { .known = false };
    struct referral r = { l, &leader, SUCCESS };

    keeper_leave(l->keeper);
    while ((!leader.known || leader.epoch == 0) && clock_now() < until) {
        (void)poll(&told, 1, (int)((until - clock_now()) / NS_PER_MS) + 1);
        (void)keeper_look(l->keeper, &leader);
    }
    show(l, &leader);
    sched_peers(l->sched, refer, &r);
    TRY_PLAIN(r.status);
    return see_off(l, &leader);
}
