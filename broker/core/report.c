#include "broker/core/report.h"

#include "broker/core/dispatch.h"
#include "broker/core/history.h"
#include "broker/core/jobs.h"
#include "broker/core/state.h"
#include "broker/core/sweeps.h"
#include "common/memory.h"

#include <stdlib.h>
#include <string.h>

struct status report_find(const struct sched *s, const char *text,
                          const struct sweep **ret_sweep)
{
    struct sweep *sweep = NULL;

    TRY_PLAIN(sweeps_find(s, text, &sweep));
    *ret_sweep = sweep;
    return SUCCESS;
}

static void set(json_t *object, const char *name, json_t *value)
{
    (void)json_object_set_new(object, name, value);
}

static void set_count(json_t *object, const char *name, uint64_t count)
{
    set(object, name, json_integer((json_int_t)count));
}

static json_t *text_or_null(const char *text)
{
    return text == NULL ? json_null() : json_string(text);
}

/* Active trials with a job at a worker. */
static uint64_t running_trials(const struct sweep *sweep)
{
    uint64_t running = 0;

    for (const struct trial *t = sweep->active; t != NULL; t = t->next)
        for (size_t i = 0; i < t->need_count; i++)
            if (t->needs[i].job->state == JOB_RUNNING) {
                running++;
                break;
            }
    return running;
}

/* Trials that are to run: not excluded, not beyond limits.trials. */
static uint64_t trials_of(const struct sweep *sweep)
{
    uint64_t waiting = sweep->tally[TRIAL_WAITING];
    uint64_t left = sweep->limits.trials - sweep->taken;

    if (sweep->limits.trials < sweep->taken || sweep->state != SWEEP_RUNNING)
        left = 0;
    return sweep->tally[TRIAL_ACTIVE] + sweep->tally[TRIAL_DONE] +
           sweep->tally[TRIAL_FAILED] + sweep->tally[TRIAL_CANCELLED] +
           (waiting < left ? waiting : left);
}

static void add_trials(const struct sweep *sweep, json_t *status)
{
    uint64_t total = trials_of(sweep);
    uint64_t running = running_trials(sweep);
    uint64_t done = sweep->tally[TRIAL_DONE];
    uint64_t failed = sweep->tally[TRIAL_FAILED];
    uint64_t cancelled = sweep->tally[TRIAL_CANCELLED];

    set_count(status, "trials", total);
    set_count(status, "done", done);
    set_count(status, "failed", failed);
    set_count(status, "running", running);
    set_count(status, "waiting", total - done - failed - cancelled - running);
    set_count(status, "cancelled", cancelled);
    set_count(status, "excluded", sweep->tally[TRIAL_EXCLUDED]);
}

static uint64_t sum(const uint64_t *counts)
{
    uint64_t total = 0;

    for (int i = 0; i < JOB_STATES; i++)
        total += counts[i];
    return total;
}

static json_t *jobs_json(const struct sweep *sweep)
{
    const uint64_t *n = sweep->jobs;
    json_t *jobs = json_object();

    set_count(jobs, "total", sum(n));
    set_count(jobs, "done", n[JOB_DONE]);
    set_count(jobs, "running", n[JOB_RUNNING]);
    set_count(jobs, "ready", n[JOB_READY]);
    set_count(jobs, "waiting", n[JOB_WAITING] + n[JOB_BACKOFF] + n[JOB_IDLE]);
    set_count(jobs, "failed", n[JOB_FAILED]);
    set_count(jobs, "known", sweep->known);
    set_count(jobs, "computed", sweep->computed);
    return jobs;
}

static json_t *stages_json(const struct sweep *sweep)
{
    json_t *array = json_array();

    for (size_t i = 0; i < sweep->stage_count; i++) {
        const struct stage *stage = &sweep->stages[i];
        json_t *row =
            json_pack("{s:s, s:s}", "name", stage->name, "kind", stage->kind);

        set_count(row, "total", sum(stage->jobs));
        set_count(row, "done", stage->jobs[JOB_DONE]);
        set_count(row, "running", stage->jobs[JOB_RUNNING]);
        set_count(row, "failed", stage->jobs[JOB_FAILED]);
        (void)json_array_append_new(array, row);
    }
    return array;
}

static json_t *best_json(const struct sweep *sweep)
{
    AUTO(json_release) json_t *values = NULL;
    bool excluded = false;
    struct status st;

    if (!sweep->has_best)
        return json_null();
    st = compiled_trial(sweep->compiled, sweep->best_trial, &values, &excluded);
    if (status_failed(&st))
        return json_null();
    return json_pack("{s:I, s:f, s:f, s:I, s:O}", "trial",
                     (json_int_t)sweep->best_trial + 1, "value",
                     sweep->best.mean, "error", sweep->best.error, "replicates",
                     (json_int_t)sweep->best.count, "values", values);
}

static json_t *objective_json(const struct sweep *sweep)
{
    struct objective o = compiled_objective(sweep->compiled);

    if (o.metric == NULL)
        return json_null();
    return json_pack("{s:s, s:s}", "metric", o.metric, "goal",
                     o.maximize ? "maximize" : "minimize");
}

/* Trials a second: of the last ones while it runs, overall afterwards. */
static double rate_of(const struct sched *s, const struct sweep *sweep)
{
    size_t kept = sweep->ring_count < RATE_RING ? sweep->ring_count : RATE_RING;
    int64_t ms = sweep->ended_ms - sweep->started_ms;
    int64_t ns;

    if (sweep->state != SWEEP_RUNNING)
        return ms <= 0 ? 0.0
                       : 1000.0 * (double)sweep->tally[TRIAL_DONE] / (double)ms;
    if (kept < 2)
        return 0.0;
    ns = s->t.now - sweep->ring[(sweep->ring_count - kept) % RATE_RING];
    /* The first ones end together, a slot each: that is no pace yet. */
    if (kept < RATE_RING && ns < NS_PER_S)
        return 0.0;
    return ns <= 0 ? 0.0 : (double)(kept - 1) * (double)NS_PER_S / (double)ns;
}

static void add_pace(const struct sched *s, const struct sweep *sweep,
                     json_t *status)
{
    double rate = rate_of(s, sweep);
    uint64_t left = trials_of(sweep) - sweep->tally[TRIAL_DONE] -
                    sweep->tally[TRIAL_FAILED] - sweep->tally[TRIAL_CANCELLED];
    bool known = rate > 0.0 && sweep->state == SWEEP_RUNNING;

    set(status, "rate_per_s", json_real(rate));
    set(status, "eta_s", known ? json_real((double)left / rate) : json_null());
}

/* json_string() takes the text, so it may be freed. */
static json_t *obstacle_json(const struct sched *s, const struct sweep *sweep)
{
    AUTO(free_pointer) char *text = dispatch_obstacle(s, sweep);

    return text_or_null(text);
}

json_t *report_status(const struct sched *s, const struct sweep *sweep)
{
    json_t *status = json_object();

    set(status, "id", json_string(sweep->id));
    set(status, "name", json_string(compiled_name(sweep->compiled)));
    set(status, "state", json_string(sweep_state_names[sweep->state]));
    set(status, "paused", json_boolean(sweep->paused));
    set(status, "reason", text_or_null(sweep->reason));
    set(status, "priority", json_integer(sweep->limits.priority));
    set(status, "weight", json_real(sweeps_weight(sweep)));
    set_count(status, "budget", sweeps_budget(sweep));
    set(status, "time_ms", json_integer(sweep->limits.time_ms));
    add_trials(sweep, status);
    set(status, "jobs", jobs_json(sweep));
    set(status, "stages", stages_json(sweep));
    set(status, "best", best_json(sweep));
    set(status, "objective", objective_json(sweep));
    add_pace(s, sweep, status);
    set(status, "first_failure", report_first_failure(s, sweep));
    set(status, "submitted_ms", json_integer(sweep->submitted_ms));
    set(status, "ended_ms",
        sweep->ended_ms == 0 ? json_null() : json_integer(sweep->ended_ms));
    set_count(status, "workers", map_count(s->sessions));
    set(status, "obstacle", obstacle_json(s, sweep));
    set(status, "store_error", text_or_null(s->store_error));
    set(status, "hidden",
        json_boolean(
            json_bool_or(compiled_document(sweep->compiled), "hidden", false)));
    return status;
}

size_t report_count(const struct sched *s)
{
    return s->sweep_count;
}

struct report_progress report_progress(const struct sched *s, size_t number)
{
    const struct sweep *sweep = s->sweeps[number];

    return (struct report_progress){
        .id = sweep->id,
        .name = compiled_name(sweep->compiled),
        .state = sweep->paused && sweep->state == SWEEP_RUNNING
                     ? "paused"
                     : sweep_state_names[sweep->state],
        .total = trials_of(sweep),
        .done = sweep->tally[TRIAL_DONE],
        .failed = sweep->tally[TRIAL_FAILED],
        .cancelled = sweep->tally[TRIAL_CANCELLED],
        .running = sweep->jobs[JOB_RUNNING],
        .has_best = sweep->has_best,
        .best = sweep->best.mean,
        .best_trial = sweep->best_trial + 1,
        .rate = rate_of(s, sweep),
    };
}

json_t *report_sweeps(const struct sched *s)
{
    json_t *array = json_array();

    for (size_t i = 0; i < s->sweep_count; i++)
        (void)json_array_append_new(array, report_status(s, s->sweeps[i]));
    return json_pack("{s:o}", "sweeps", array);
}

json_t *report_spec(const struct sweep *sweep)
{
    return json_deep_copy(compiled_document(sweep->compiled));
}

static const char *worker_state(const struct session *w)
{
    if (w->draining)
        return "draining";
    if (w->suspect || !w->connected)
        return "suspect";
    if (w->cordoned)
        return "cordoned";
    return w->units >= w->slots ? "busy" : "ready";
}

static json_t *labels_of(const struct session *w)
{
    json_t *array = json_array();

    for (const struct job *job = w->first; job != NULL; job = job->next) {
        char label[JOBS_LABEL];

        (void)json_array_append_new(array, json_string(jobs_label(job, label)));
    }
    return array;
}

json_t *report_scaling(const struct demand *d)
{
    return json_pack(
        "{s:I, s:I, s:I, s:f, s:f, s:f, s:f, s:f}", "desired_workers",
        (json_int_t)d->desired, "workers", (json_int_t)d->workers,
        "busy_workers", (json_int_t)d->busy, "slots_per_worker", d->slots,
        "backlog_jobs", d->jobs, "backlog_s", d->backlog_s, "running_s",
        d->running_s, "oldest_wait_s", (double)d->oldest_ms / 1000.0);
}

json_t *report_depot(const struct sched *s)
{
    return json_pack("{s:s}", "url", s->depot);
}

json_t *report_workers(const struct sched *s)
{
    json_t *array = json_array();

    for (size_t i = 0; i < map_count(s->sessions); i++) {
        const struct session *w = map_at(s->sessions, i, NULL, NULL);
        uint64_t busy = w->units < w->slots ? w->units : w->slots;

        (void)json_array_append_new(
            array,
            json_pack("{s:s, s:s, s:I, s:I, s:I, s:s, s:s, s:s, s:I, s:I, "
                      "s:o}",
                      "name", w->name, "state", worker_state(w), "slots",
                      (json_int_t)w->slots, "busy", (json_int_t)busy, "held",
                      (json_int_t)w->running, "labels", w->labels, "kinds",
                      w->kinds, "version", w->version, "memory_bytes",
                      (json_int_t)w->memory_bytes, "seen_ms",
                      (json_int_t)w->seen_wall_ms, "jobs", labels_of(w)));
    }
    return json_pack("{s:o}", "workers", array);
}
