#include "tests/sim/world/universe.h"

#include "broker/core/report.h"
#include "common/memory.h"
#include "tests/sim/world/brokers.h"
#include "tests/sim/world/coverage.h"
#include "tests/sim/world/families.h"
#include "tests/sim/world/sabotage.h"
#include "tests/sim/world/system.h"
#include "tests/sim/world/workers.h"

#include <stdio.h>
#include <string.h>

enum {
    TROUBLE_LEAST_S = 20, /* so long things go wrong */
    TROUBLE_MOST_S = 60,
    CALM_S = 600,    /* then all must have ended within */
    GRACE_S = 40,    /* of the calm: until who went silent was found out */
    STARVES_S = 150, /* no job of a sweep that could have one */
    TAIL_MOST = 16,  /* records behind the last snapshot, when all is over */
};

static void pick_settings(const struct family *f)
{
    static const int64_t heartbeats[] = { 500, 1000, 2000 };
    static const int64_t snapshots[] = { 0, 1000, 5000, 20000 };
    int64_t heartbeat_ms = heartbeats[time_draw(COUNT_OF(heartbeats))];
    int64_t lease_ms = heartbeat_ms * time_between(5, 12);
    int64_t ttl_ms = time_between(1000, 6000);

    brokers_settings = (struct brokers_settings){
        .seats = f->seats,
        .heartbeat_ms = heartbeat_ms,
        .lease_ms = lease_ms,
        .ttl_ms = ttl_ms,
        .snapshot_ms = snapshots[time_draw(COUNT_OF(snapshots))],
        .rebuild = f->rebuild,
        .check = true,
        .own_restart = true,
    };
    network_weather = f->network;
    keep_weather = f->store;
    slots_weather = f->slots;
    clients_weather = f->clients;
}

static void start_broker(void *self, uint64_t seat)
{
    const struct family *f = self;

    brokers_start(seat, f->seats > 1);
}

static void next_accident(void *self, uint64_t until)
{
    const struct family *f = self;

    if (time_now() >= (int64_t)until)
        return;
    if (time_now() > NS_PER_S)
        family_accident(f);
    time_after(time_between(1, 2 * (int64_t)f->every_ms) * NS_PER_MS,
               next_accident, self, until);
}

static void populate(const struct family *f, int64_t until)
{
    static const char *const workers[] = { "b0:w", "b0:w,b1:w",
                                           "b0:w,b1:w,b2:w" };
    static const char *const clients[] = { "b0:c", "b0:c,b1:c",
                                           "b0:c,b1:c,b2:c" };
    void *self = (void *)(uintptr_t)f;

    for (size_t i = 0; i < f->seats; i++)
        time_after(time_between(0, 1000) * NS_PER_MS, start_broker, self, i);
    workers_begin((size_t)time_between(2, 5), workers[f->seats - 1]);
    clients_begin((size_t)time_between(1, CLIENTS_MOST), clients[f->seats - 1]);
    if (f->every_ms > 0)
        time_after(0, next_accident, self, (uint64_t)until);
}

/* ---- peace ---------------------------------------------------------------- */

static void wake_up(void)
{
    for (size_t i = 0; i < NETWORK_SEATS; i++)
        if (brokers_at(i) != NULL)
            process_continue(brokers_at(i));
    for (size_t i = 0; i < workers_count(); i++)
        if (workers_at(i) != NULL)
            process_continue(workers_at(i));
}

static bool all_has_ended(void)
{
    const struct sched *s = brokers_leading();

    return s != NULL && clients_have_settled() &&
           sched_stats(s).sweeps_live == 0;
}

static void pass(int64_t s)
{
    time_pass(time_now() + s * NS_PER_S);
}

/* What must end does, and what could starve does not. */
static bool come_to_an_end(void)
{
    int64_t began = time_now();

    for (int64_t s = 0; s < CALM_S && !all_has_ended(); s++) {
        pass(1);
        if (brokers_leading() != NULL)
            oracle_check_starving(brokers_leading(), began,
                                  STARVES_S * NS_PER_S);
    }
    return all_has_ended();
}

static void judge_rest(void)
{
    enum { SLACK_S = 12 };
    const struct sched *s;

    pass(brokers_settings.snapshot_ms / 1000 + SLACK_S);
    s = brokers_leading();
    if (s == NULL || !brokers_are_idle()) {
        oracle_break(INVARIANT_I8, "the broker does not come to rest");
        return;
    }
    if (brokers_settings.snapshot_ms > 0 && keep_tail() > TAIL_MOST)
        oracle_break(INVARIANT_I8, "%zu records are behind the snapshot",
                     keep_tail());
    oracle_check_broker(s);
    oracle_check_told();
}

/* A broker that begins now knows the same, be it by the snapshot or by the
 * whole history. */
static void judge_heirs(bool whole)
{
    oracle_check_heirs(brokers_leading(), whole);
}

/* For who reads the story. */
static void tell_what_is_left(void)
{
    const struct sched *s = brokers_leading();
    AUTO(json_release) json_t *sweeps = s == NULL ? NULL : report_sweeps(s);
    AUTO(json_release) json_t *workers = s == NULL ? NULL : report_workers(s);
    AUTO(free_pointer) char *a = json_canonical(sweeps);
    AUTO(free_pointer) char *b = json_canonical(workers);

    time_tell("%s", a == NULL ? "" : a);
    time_tell("%s", b == NULL ? "" : b);
}

static void judge(const struct family *f)
{
    if (!come_to_an_end()) {
        if (time_tells)
            tell_what_is_left();
        oracle_break(INVARIANT_I7, "after %d s of calm: %s", (int)CALM_S,
                     brokers_leading() == NULL ? "nobody leads"
                     : clients_have_settled()  ? "sweeps are live"
                                               : "a client gets no answer");
        oracle_check_told();
        return;
    }
    judge_rest();
    if (brokers_leading() != NULL)
        judge_heirs(!f->rebuild);
}

void universe_begin(uint64_t seed)
{
    time_begin(seed);
    system_begin();
    network_begin();
    keep_begin();
    slots_begin(seed);
    brokers_begin();
    oracle_begin();
    network_spy = (struct network_spy){ .sent = oracle_sent };
}

void universe_end(void)
{
    brokers_settings.own_restart = false;
    for (size_t i = 0; i < NETWORK_SEATS; i++)
        brokers_kill(i, true);
    for (size_t i = 0; i < workers_count(); i++)
        workers_kill(i, true);
    for (size_t i = 0; i < CLIENTS_MOST; i++)
        clients_kill(i);
    time_pass(time_now());
    oracle_end();
    time_end();
}

struct universe_verdict universe_run(uint64_t seed,
                                     const struct sabotage *sabotage)
{
    const struct family *f = &families[seed % family_count];
    struct universe_verdict v = { .story = "" };
    int64_t until;

    universe_begin(seed);
    pick_settings(f);
    until = time_between(TROUBLE_LEAST_S, TROUBLE_MOST_S) * NS_PER_S;
    populate(f, until);
    sabotage_begin(sabotage);
    time_tell("seed %llu: %s", (unsigned long long)seed, f->name);
    if (f->every_ms == 0)
        oracle_calm(0);
    time_pass(until);
    families_heal();
    wake_up();
    if (f->every_ms > 0)
        oracle_calm(time_now() + GRACE_S * NS_PER_S);
    clients_settle();
    judge(f);
    memcpy(v.broken, oracle_broken(), sizeof v.broken);
    (void)snprintf(v.story, sizeof v.story, "%s", oracle_story());
    v.events = time_events();
    v.ends = time_now();
    universe_end();
    return v;
}
