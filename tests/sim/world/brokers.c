#include "tests/sim/world/brokers.h"

#include "broker/loop.h"
#include "broker/standby.h"
#include "tests/sim/world/coverage.h"
#include "tests/sim/world/keep.h"
#include "tests/sim/world/network.h"
#include "tests/sim/world/oracle.h"
#include "tests/sim/world/system.h"

#include <stdio.h>
#include <string.h>

struct brokers_settings brokers_settings;

enum { HANDOVER_MS = 1000, CHECK_ONE_IN = 16 };

struct broker {
    struct process *process;
    struct loop loop;
    struct router *router;
    size_t seat;
    int stop;
    bool standby, leads;
};

static struct broker *seats[NETWORK_SEATS];

void brokers_begin(void)
{
    memset(seats, 0, sizeof seats);
    memset(&brokers_settings, 0, sizeof brokers_settings);
}

struct process *brokers_at(size_t seat)
{
    struct broker *b = seats[seat];

    return b == NULL || b->process->dead || b->process->ended ? NULL
                                                              : b->process;
}

/* ---- what broker/main.c does ---------------------------------------------- */

static void check_at_rest(struct process *p)
{
    const struct broker *b = p->self;

    if (b->leads && brokers_settings.check && time_draw(CHECK_ONE_IN) == 0)
        sched_check(b->loop.sched);
}

static void open_link(struct broker *b)
{
    b->router = network_open_router(b->process, b->seat);
    b->router->rest = check_at_rest;
    b->loop.link = network_link(b->router);
}

MUST_CHECK static struct status open_keeper(struct broker *b)
{
    const struct link *link = &b->loop.link;
    struct keeper_leader me = { .known = true };
    struct store store = keep_open();

    (void)snprintf(me.workers, sizeof me.workers, "%s",
                   link->endpoint(link->self, PEER_WORKER));
    (void)snprintf(me.clients, sizeof me.clients, "%s",
                   link->endpoint(link->self, PEER_CLIENT));
    (void)snprintf(me.http, sizeof me.http, "none");
    return keeper_new(&store, brokers_settings.ttl_ms, b->standby, &me,
                      &b->loop.keeper);
}

MUST_CHECK static struct status take_over(struct broker *b)
{
    const struct sched_settings settings = {
        .heartbeat_ms = brokers_settings.heartbeat_ms,
        .lease_ms = brokers_settings.lease_ms,
        .depot = "http://depot",
        .version = "sim",
    };

    b->loop.sched = sched_new(&settings);
    TRY_PLAIN(loop_recover(&b->loop));
    b->leads = true;
    return SUCCESS;
}

MUST_CHECK static struct status wait_and_lead(struct broker *b, bool *ret_leads)
{
    open_link(b);
    TRY_PLAIN(open_keeper(b));
    TRY_PLAIN(standby_wait(&b->loop, ret_leads));
    if (!*ret_leads)
        return SUCCESS;
    TRY_PLAIN(take_over(b));
    hatch_set_standby(b->loop.hatch, false, "");
    return SUCCESS;
}

MUST_CHECK static struct status lead_at_once(struct broker *b)
{
    TRY_PLAIN(take_over(b));
    open_link(b);
    return open_keeper(b);
}

MUST_CHECK static struct status serve(struct broker *b)
{
    bool leads = true;

    TRY_PLAIN(hatch_new(&b->loop.hatch));
    b->loop.store = keep_open();
    b->loop.rebuild = brokers_settings.rebuild;
    b->loop.snapshot_ms = brokers_settings.snapshot_ms;
    b->loop.reload_descriptor = -1;
    b->loop.stop_descriptor = b->stop;
    TRY_PLAIN(b->standby ? wait_and_lead(b, &leads) : lead_at_once(b));
    if (!leads)
        return SUCCESS;
    keeper_begun(b->loop.keeper, b->loop.epoch);
    TRY_PLAIN(loop_run(&b->loop));
    b->leads = false;
    return standby_depart(&b->loop, b->standby ? HANDOVER_MS : 0);
}

static void close_all(struct broker *b)
{
    b->leads = false;
    if (b->loop.link.self != NULL)
        b->loop.link.close(b->loop.link.self);
    keeper_free(b->loop.keeper);
    sched_free(b->loop.sched);
    b->loop.store.close(b->loop.store.self);
    outbox_release(&b->loop.out);
    hatch_free(b->loop.hatch);
}

static void run(struct process *p)
{
    struct broker *b = p->self;
    struct status st;

    b->process = p;
    b->stop = system_event(p);
    st = serve(b);
    if (!p->dead)
        time_tell("%s ends: %s", p->name,
                  status_failed(&st) ? st.message : "well");
    close_all(b);
}

/* ---- who starts it again -------------------------------------------------- */

static void start_again(void *self, uint64_t seat)
{
    (void)self;
    if (brokers_at(seat) == NULL)
        brokers_start(seat, brokers_settings.seats > 1);
}

static void ended(struct process *p)
{
    const struct broker *b = p->self;

    if (brokers_settings.own_restart && seats[b->seat] == b)
        time_after(time_between(10, 3000) * NS_PER_MS, start_again, NULL,
                   b->seat);
}

void brokers_start(size_t seat, bool standby)
{
    struct broker *b = time_alloc(sizeof *b);
    char name[16];

    (void)snprintf(name, sizeof name, "broker %zu", seat);
    b->seat = seat;
    b->standby = standby;
    seats[seat] = b;
    time_tell("%s starts%s", name, standby ? " and waits" : "");
    b->process = process_start(name, run, b, ended);
}

void brokers_kill(size_t seat, bool quietly)
{
    struct process *p = brokers_at(seat);

    if (p == NULL)
        return;
    time_tell("%s is killed", p->name);
    network_killed(p, quietly);
    process_kill(p);
}

void brokers_term(size_t seat)
{
    struct process *p = brokers_at(seat);

    if (p == NULL)
        return;
    time_tell("%s is to leave", p->name);
    /* It may not have got so far yet. */
    if (seats[seat]->stop != 0)
        system_count(seats[seat]->stop);
}

static const struct broker *leader(void)
{
    for (size_t i = 0; i < NETWORK_SEATS; i++)
        if (brokers_at(i) != NULL && seats[i]->leads &&
            seats[i]->process == keep_writer_process())
            return seats[i];
    return NULL;
}

const struct sched *brokers_leading(void)
{
    const struct broker *b = leader();

    return b == NULL ? NULL : b->loop.sched;
}

bool brokers_are_idle(void)
{
    const struct broker *b = leader();

    return b != NULL && b->loop.appender != NULL && !b->loop.store_away &&
           b->loop.out.record_count == 0 && b->loop.out.message_count == 0 &&
           appender_pending(b->loop.appender) == 0;
}

bool brokers_store_is_away(const struct process *p)
{
    const struct broker *b = p->self;

    return b->loop.store_away;
}

bool brokers_has_waited(const struct process *p)
{
    const struct broker *b = p->self;

    return b->standby;
}
