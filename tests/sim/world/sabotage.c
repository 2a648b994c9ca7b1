#include "tests/sim/world/sabotage.h"

#include "broker/core/state.h"
#include "common/macros.h"
#include "common/memory.h"
#include "tests/sim/world/brokers.h"
#include "tests/sim/world/keep.h"
#include "tests/sim/world/oracle_state.h"
#include "tests/sim/world/workers.h"

#include <stdlib.h>
#include <string.h>

/* ---- the store ------------------------------------------------------------ */

static void appends_twice(void)
{
    keep_sabotage.twice = true;
}

static void forgets(void)
{
    keep_sabotage.forgets = true;
}

static void drops_the_fence(void)
{
    keep_sabotage.no_fence = true;
}

static void never_trims(void)
{
    keep_sabotage.never_trims = true;
    brokers_settings.snapshot_ms = 1000;
}

/* It says that it keeps what it has not synced, and dies with the broker. */
static void die_together(void *self, uint64_t unused)
{
    (void)self;
    (void)unused;
    if (keep_may_lose() && brokers_at(0) != NULL) {
        keep_lose();
        brokers_kill(0, false);
    }
    time_after(3 * NS_PER_S, die_together, NULL, 0);
}

static void acknowledges_too_soon(void)
{
    keep_weather.everysec = true;
    die_together(NULL, 0);
}

/* A death beside others is put down as one alone. */
static void blame(struct store_record *r)
{
    enum { ALONE = 2, BESIDE = 4 };
    struct wire_decoded d;
    struct status st = wire_decode(r->data.data, r->data.size, &d);
    struct buf out;

    if (status_failed(&st))
        return;
    if (d.message.type == WIRE_RECORD_FAILURE &&
        d.message.record_failure.crashed == BESIDE) {
        d.message.record_failure.crashed = ALONE;
        buf_init(&out, r->data.size + 1024);
        st = wire_encode(&d.message, &out);
        if (!status_failed(&st))
            r->data =
                (struct wire_bytes){ time_copy(out.data, out.size), out.size };
        buf_release(&out);
    }
    wire_release(&d);
}

static void blames_anybody(void)
{
    keep_sabotage.alter = blame;
}

/* ---- the network ---------------------------------------------------------- */

enum { TYPE_AT = 3 };

static bool is_of(const struct wire_bytes *bytes, enum wire_type type)
{
    return (enum wire_type)(unsigned char)bytes->data[TYPE_AT] == type;
}

/* A second worker hears what the first is given. */
static bool overhear(const struct connection *c, enum direction to,
                     struct wire_bytes *bytes)
{
    bool keep = oracle_sent(c, to, bytes);

    if (to != TO_DEALER || !is_of(bytes, WIRE_ASSIGN))
        return keep;
    network_spy.sent = NULL; /* not again */
    for (struct connection *o = network_first(); o != NULL; o = o->next)
        if (o != c && o->peer.side == PEER_WORKER)
            (void)network_send(o, TO_DEALER, bytes->data, bytes->size);
    network_spy.sent = overhear;
    return keep;
}

static void gives_to_two(void)
{
    network_spy.sent = overhear;
}

/* What one sweep is given is lost. */
static bool starve(const struct connection *c, enum direction to,
                   struct wire_bytes *bytes)
{
    struct wire_decoded d;
    struct status st;
    bool keep = oracle_sent(c, to, bytes);

    if (to != TO_DEALER || !is_of(bytes, WIRE_ASSIGN))
        return keep;
    st = wire_decode(bytes->data, bytes->size, &d);
    if (status_failed(&st))
        return keep;
    for (size_t i = 0; i < d.message.assign.jobs.count; i++) {
        const struct wire_bytes *label = &d.message.assign.jobs.items[i].label;

        keep = keep && (label->size < 2 || label->data[1] < '3');
    }
    wire_release(&d);
    return keep;
}

static void starves_one(void)
{
    network_spy.sent = starve;
}

/* No outcome arrives. */
static bool swallow(const struct connection *c, enum direction to,
                    struct wire_bytes *bytes)
{
    return oracle_sent(c, to, bytes) && !is_of(bytes, WIRE_DONE);
}

static void loses_outcomes(void)
{
    network_spy.sent = swallow;
}

/* The broker always says that it sees something else. */
static bool disagree(const struct connection *c, enum direction to,
                     struct wire_bytes *bytes)
{
    struct wire_message m = { .type = WIRE_HEARTBEAT_ACK,
                              .heartbeat_ack = { 1, 1, 1 } };
    struct buf out;
    struct status st;

    if (to == TO_DEALER && is_of(bytes, WIRE_HEARTBEAT_ACK)) {
        buf_init(&out, 1024);
        st = wire_encode(&m, &out);
        if (!status_failed(&st))
            *bytes =
                (struct wire_bytes){ time_copy(out.data, out.size), out.size };
        buf_release(&out);
    }
    return oracle_sent(c, to, bytes);
}

static void disagrees(void)
{
    network_spy.sent = disagree;
}

/* ---- the broker ----------------------------------------------------------- */

/* It counts a trial too many. */
static void miscount(void *self, uint64_t unused)
{
    const struct sched *s = brokers_leading();

    (void)self;
    (void)unused;
    brokers_settings.check = false; /* that would be found at once */
    if (s != NULL && s->sweep_count > 0)
        s->sweeps[0]->tally[TRIAL_DONE]++;
    else
        time_after(NS_PER_S, miscount, NULL, 0);
}

static void miscounts(void)
{
    time_after(5 * NS_PER_S, miscount, NULL, 0);
}

const struct sabotage sabotages[] = {
    { INVARIANT_I1, "the store appends what is sent again once more",
      appends_twice, "store" },
    { INVARIANT_I2, "a record is gone when the log is read", forgets,
      "broker" },
    { INVARIANT_I3, "the store acknowledges before it has synced",
      acknowledges_too_soon, "calm" },
    { INVARIANT_I4, "the broker counts a trial too many", miscounts, "calm" },
    { INVARIANT_I5, "an assignment reaches two workers", gives_to_two, "calm" },
    { INVARIANT_I6, "the jobs of some sweeps are lost on their way",
      starves_one, "calm" },
    { INVARIANT_I7, "no outcome ever arrives", loses_outcomes, "calm" },
    { INVARIANT_I8, "a snapshot does not shorten the log", never_trims,
      "calm" },
    { INVARIANT_I9, "every death is put down to somebody", blames_anybody,
      "slots" },
    { INVARIANT_VIEWS, "views that agree are said to differ", disagrees,
      "calm" },
    { INVARIANT_FENCE, "the store takes records of older epochs",
      drops_the_fence, "standby" },
};
const size_t sabotage_count = COUNT_OF(sabotages);

void sabotage_begin(const struct sabotage *s)
{
    if (s != NULL)
        s->begin();
}
