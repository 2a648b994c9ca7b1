#include "tests/sim/replica.h"

#include "broker/core/snapshot.h"
#include "common/memory.h"
#include "support/test.h"

#include <string.h>

void replica_release(struct replica *r)
{
    for (size_t i = 0; i < r->count; i++)
        free(r->pieces[i].data);
    free(r->pieces);
    *r = (struct replica){ 0 };
}

void replica_take(struct replica *r, struct farm *f)
{
    struct snapshot *s = snapshot_take(f->sched, f->epoch, f->log_count, 0);

    replica_release(r);
    r->log_count = f->log_count;
    r->count = s->count;
    r->pieces = xcalloc(s->count + 1, sizeof *r->pieces);
    for (size_t i = 0; i < s->count; i++) {
        const struct snapshot_piece *from = &s->pieces[i];
        struct replica_piece *to = &r->pieces[i];

        assert_true(from->data.size <= SNAPSHOT_PIECE_MOST);
        (void)snprintf(to->name, sizeof to->name, "%s", from->name);
        to->data = xcalloc(from->data.size + 1, 1);
        memcpy(to->data, from->data.data, from->data.size);
        to->size = from->data.size;
    }
    snapshot_free(s);
}

void replica_load(const struct replica *r, const struct farm *f,
                  struct sched *into)
{
    for (size_t i = 0; i < r->count; i++)
        assert_ok(snapshot_load(
            into, r->pieces[i].name,
            (struct wire_bytes){ r->pieces[i].data, r->pieces[i].size }));
    for (size_t i = r->log_count; i < f->log_count; i++)
        assert_ok(sched_replay(into, f->log[i].data, f->log[i].size));
}

/* Runs that came to no end are not on record: a snapshot may know of them. */
static void strip_job(json_t *job)
{
    static const char *const of_runs[] = { "attempts", "worker",
                                           "progress_done", "progress_total" };
    const char *state = json_text_or(job, "state", "");

    (void)json_object_del(job, "log");
    if (strcmp(state, "done") == 0 || strcmp(state, "failed") == 0)
        return;
    for (size_t i = 0; i < COUNT_OF(of_runs); i++)
        (void)json_object_del(job, of_runs[i]);
}

static json_t *trial_of(const struct sched *s, const struct sweep *sweep,
                        uint64_t number)
{
    json_t *trial = NULL;
    json_t *jobs;

    assert_ok(report_trial(s, sweep, number, &trial));
    jobs = json_object_get(trial, "jobs");
    for (size_t i = 0; i < json_array_size(jobs); i++)
        strip_job(json_array_get(jobs, i));
    (void)json_object_del(trial, "workers");
    return trial;
}

static void add_trials(const struct sched *s, json_t *status)
{
    const struct sweep *sweep = NULL;
    json_t *trials = json_array();

    assert_ok(report_find(s, json_text_or(status, "id", ""), &sweep));
    for (int64_t i = 1; i <= json_int_or(status, "trials", 0); i++)
        (void)json_array_append_new(trials, trial_of(s, sweep, (uint64_t)i));
    (void)json_object_set_new(status, "all", trials);
    (void)json_object_del(status, "rate_per_s");
    (void)json_object_del(status, "eta_s");
}

static char *all_that_is_known(const struct sched *s)
{
    AUTO(json_release) json_t *all = report_sweeps(s);
    json_t *sweeps = json_object_get(all, "sweeps");
    json_t *stats = json_object();
    struct sched_stats n = sched_stats(s);

    for (size_t i = 0; i < json_array_size(sweeps); i++)
        add_trials(s, json_array_get(sweeps, i));
    (void)json_object_set_new(stats, "done",
                              json_integer((json_int_t)n.jobs_done));
    (void)json_object_set_new(stats, "failed",
                              json_integer((json_int_t)n.jobs_failed));
    (void)json_object_set_new(stats, "records",
                              json_integer((json_int_t)n.records));
    (void)json_object_set_new(all, "stats", stats);
    return json_canonical(all);
}

/* Both begin to serve, with nobody there. */
static char *settle(struct sched *s, const struct farm *f)
{
    struct sched_time t = { .now = f->now_ms * 1000000 + 1,
                            .wall_ms = 1000000 + f->now_ms };
    struct outbox out;

    outbox_init(&out);
    sched_start(s, f->epoch + 1, t, &out);
    do
        sched_tick(s, t, &out);
    while (sched_deadline(s) <= t.now);
    sched_check(s);
    outbox_release(&out);
    return all_that_is_known(s);
}

/* Where they part: the whole is too long to be read. */
static void check_same(const char *found, const char *expected)
{
    enum { AROUND = 300 };
    size_t at = 0;
    size_t from;

    while (found[at] != '\0' && found[at] == expected[at])
        at++;
    from = at < AROUND ? 0 : at - AROUND;
    if (found[at] != expected[at])
        fail_msg("by the snapshot ...%.*s\nby the log ...%.*s", 2 * AROUND,
                 found + from, 2 * AROUND, expected + from);
}

void replica_check(const struct replica *r, const struct farm *f)
{
    struct sched *whole = farm_new_sched();
    struct sched *short_cut = farm_new_sched();
    AUTO(free_pointer) char *expected = NULL;
    AUTO(free_pointer) char *found = NULL;

    for (size_t i = 0; i < f->log_count; i++)
        assert_ok(sched_replay(whole, f->log[i].data, f->log[i].size));
    replica_load(r, f, short_cut);
    expected = settle(whole, f);
    found = settle(short_cut, f);
    check_same(found, expected);
    sched_free(whole);
    sched_free(short_cut);
}
