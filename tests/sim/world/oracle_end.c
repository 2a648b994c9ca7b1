/* oracle_end.c -- what the broker knows: counts, and what another would read
 * of the store. */
#include "tests/sim/world/oracle_state.h"

#include "broker/core/report.h"
#include "broker/core/snapshot.h"
#include "broker/core/state.h"
#include "common/memory.h"
#include "tests/sim/world/brokers.h"
#include "tests/sim/world/keep.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TRIALS_MOST = 1000 };

/* The states of all trials, counted. */
struct count {
    int64_t done, failed, cancelled, others;
};

static struct count count_trials(const struct sched *s,
                                 const struct sweep *sweep)
{
    AUTO(json_release) json_t *body = report_trials(s, sweep, 0, TRIALS_MOST);
    const json_t *trials = json_object_get(body, "trials");
    struct count n = { 0 };

    for (size_t i = 0; i < json_array_size(trials); i++) {
        const char *state =
            json_text_or(json_array_get(trials, i), "state", "");

        if (strcmp(state, "done") == 0)
            n.done++;
        else if (strcmp(state, "failed") == 0)
            n.failed++;
        else if (strcmp(state, "cancelled") == 0)
            n.cancelled++;
        else if (strcmp(state, "excluded") != 0)
            n.others++;
    }
    return n;
}

static void check_sweep(const struct sched *s, const struct sweep *sweep)
{
    AUTO(json_release) json_t *status = report_status(s, sweep);
    struct count n = count_trials(s, sweep);
    int64_t trials = json_int_or(status, "trials", -1);

    if (n.others > 0)
        oracle_break(INVARIANT_I1, "%s: %lld trials have not ended", sweep->id,
                     (long long)n.others);
    if (n.done != json_int_or(status, "done", -1) ||
        n.failed != json_int_or(status, "failed", -1) ||
        n.cancelled != json_int_or(status, "cancelled", -1) ||
        n.done + n.failed + n.cancelled != trials)
        oracle_break(INVARIANT_I4,
                     "%s: of %lld trials %lld are done, %lld failed, %lld "
                     "cancelled, and the status has other numbers",
                     sweep->id, (long long)trials, (long long)n.done,
                     (long long)n.failed, (long long)n.cancelled);
    if (!oracle_has_sweep(sweep->id))
        oracle_break(INVARIANT_I3, "%s is known, and not on record", sweep->id);
}

void oracle_check_broker(const struct sched *s)
{
    struct sched_stats n = sched_stats(s);

    for (size_t i = 0; i < s->sweep_count; i++)
        check_sweep(s, s->sweeps[i]);
    if (n.jobs_running > 0 || n.jobs_ready > 0)
        oracle_break(INVARIANT_I8, "%llu jobs run and %llu are queued",
                     (unsigned long long)n.jobs_running,
                     (unsigned long long)n.jobs_ready);
    for (size_t i = 0; i < map_count(s->sessions); i++) {
        const struct session *w = map_at(s->sessions, i, NULL, NULL);

        if (w->running > 0 || w->committed.count > 0 || w->stale.count > 0)
            oracle_break(INVARIANT_I8, "%s still holds %zu jobs", w->name,
                         w->running);
    }
    if (s->waiter_count > 0)
        oracle_break(INVARIANT_I8, "%zu clients wait for what has ended",
                     s->waiter_count);
}

/* Of the sweeps that go first: any job, of late? */
void oracle_check_starving(const struct sched *s, int64_t since,
                           int64_t patience)
{
    int64_t first = INT64_MIN;

    for (size_t i = 0; i < s->live_count; i++)
        if (!s->live[i]->paused && s->live[i]->limits.priority > first)
            first = s->live[i]->limits.priority;
    for (size_t i = 0; i < s->live_count; i++) {
        const struct sweep *sweep = s->live[i];
        const char *name = compiled_name(sweep->compiled);
        int64_t ran = oracle_ran_last(name);

        if (sweep->paused || sweep->limits.priority < first)
            continue;
        if (time_now() - (ran > since ? ran : since) > patience)
            oracle_break(INVARIANT_I6, "%s has run nothing for %lld s", name,
                         (long long)(patience / NS_PER_S));
    }
}

/* ---- heirs ---------------------------------------------------------------- */

MUST_CHECK static struct status take_piece(void *self, const char *name,
                                           struct wire_bytes data)
{
    return snapshot_load(self, name, data);
}

MUST_CHECK static struct status take_record(void *self,
                                            const struct store_record *r)
{
    return sched_replay(self, r->data.data, r->data.size);
}

static struct sched *read_store(bool all)
{
    const struct sched_settings settings = { .heartbeat_ms = 1000,
                                             .lease_ms = 10000,
                                             .depot = "http://depot",
                                             .version = "sim" };
    struct sched *s = sched_new(&settings);
    const struct store_visitor visitor = { s, take_piece, take_record };
    struct status st = keep_read(&visitor, all);

    if (status_failed(&st))
        oracle_break(INVARIANT_I3, "the store cannot be read: %s", st.message);
    return s;
}

/* A broker that begins now must know as much. */
void oracle_check_read(const struct process *broker, const json_t *status)
{
    const char *id = json_text_or(status, "id", "");
    const struct sweep *sweep = NULL;
    AUTO(json_release) json_t *durable = NULL;
    const struct sched_time now = { .now = 1, .wall_ms = 1 };
    struct outbox out;
    struct sched *heir;
    struct status st;

    if (!keep_is_whole() || brokers_store_is_away(broker))
        return;
    heir = read_store(false);
    outbox_init(&out);
    sched_start(heir, keep_writer() + 1, now, &out);
    do { /* until it has counted what it read */
        outbox_clear(&out);
        sched_tick(heir, now, &out);
    } while (sched_deadline(heir) == INT64_MIN);
    outbox_release(&out);
    st = report_find(heir, id, &sweep);
    if (!status_failed(&st)) /* else it was removed meanwhile */
        durable = report_status(heir, sweep);
    if (durable != NULL &&
        json_int_or(durable, "done", 0) < json_int_or(status, "done", 0))
        oracle_break(INVARIANT_I3,
                     "%s shows %lld trials of %s done, on record are %lld",
                     broker->name, (long long)json_int_or(status, "done", 0),
                     id, (long long)json_int_or(durable, "done", 0));
    sched_free(heir);
}

/* Runs that came to no end are not on record. */
static json_t *trials_of(const struct sched *s, const struct sweep *sweep)
{
    json_t *all = report_trials(s, sweep, 0, TRIALS_MOST);
    json_t *trials = json_object_get(all, "trials");

    for (size_t i = 0; i < json_array_size(trials); i++)
        (void)json_object_del(json_array_get(trials, i), "workers");
    return all;
}

/* Of every sweep and trial, but for what is of the moment. */
static char *all_that_is_known(const struct sched *s)
{
    static const char *const moment[] = { "rate_per_s", "eta_s", "workers",
                                          "obstacle", "store_error" };
    AUTO(json_release) json_t *all = json_array();

    for (size_t i = 0; i < s->sweep_count; i++) {
        json_t *status = report_status(s, s->sweeps[i]);

        for (size_t k = 0; k < COUNT_OF(moment); k++)
            (void)json_object_del(status, moment[k]);
        (void)json_object_set_new(status, "all", trials_of(s, s->sweeps[i]));
        (void)json_array_append_new(all, status);
    }
    return json_canonical(all);
}

static void compare(const struct sched *heir, const char *expected,
                    const char *by)
{
    enum { BEFORE = 70, AFTER = 40 };
    AUTO(free_pointer) char *found = all_that_is_known(heir);
    size_t at = 0;
    size_t from;

    while (found[at] != '\0' && found[at] == expected[at])
        at++;
    from = at < BEFORE ? 0 : at - BEFORE;
    if (found[at] != expected[at])
        oracle_break(INVARIANT_I3, "by %s ...%.*s, for the broker ...%.*s", by,
                     BEFORE + AFTER, found + from, AFTER, expected + at);
}

void oracle_check_heirs(const struct sched *s, bool whole)
{
    AUTO(free_pointer) char *expected = all_that_is_known(s);
    struct sched *heir = read_store(false);

    compare(heir, expected, "the snapshot");
    sched_free(heir);
    if (!whole)
        return;
    heir = read_store(true);
    compare(heir, expected, "the whole log");
    sched_free(heir);
}
