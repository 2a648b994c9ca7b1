#include "broker/core/why.h"

#include "broker/core/dispatch.h"
#include "broker/core/history.h"
#include "broker/core/jobs.h"
#include "broker/core/resources.h"
#include "broker/core/state.h"
#include "broker/core/verdict.h"
#include "common/memory.h"
#include "sweep/space.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum why {
    WHY_DONE,
    WHY_ENDED_FAILED,
    WHY_ENDED_CANCELLED,
    WHY_STORE,
    WHY_PAUSED,
    WHY_RECOVERY,
    WHY_RUNNING,
    WHY_INPUTS,
    WHY_BACKOFF,
    WHY_SUSPECT,
    WHY_NO_WORKER,
    WHY_UNSUITABLE,
    WHY_PARALLEL,
    WHY_BUSY,
    WHY_AHEAD,
    WHY_EXCLUDED,
    WHY_BEYOND,
    WHY_FAILED,
    WHY_ABORTED,
    WHY_WORKER_SILENT,
    WHY_WORKER_LEAVES,
    WHY_WORKER_CORDONED,
    WHY_WORKER_SOLO,
    WHY_WORKER_RESERVED,
    WHY_WORKER_BUSY,
    WHY_WORKER_IDLE,
    WHY_WORKER_UNSUITABLE,
    WHY_WORKER_HELD_BACK,
    WHYS,
};

const struct why_row why_rows[WHYS + 1] = {
    [WHY_DONE] = { "done", "it has all its results" },
    [WHY_ENDED_FAILED] = { "ended_failed", "the sweep ended with failures" },
    [WHY_ENDED_CANCELLED] = { "cancelled", "stopped by a user or a limit" },
    [WHY_STORE] = { "store_away", "nothing can be made durable now" },
    [WHY_PAUSED] = { "paused", "until `sinter resume`" },
    [WHY_RECOVERY] = { "recovery", "the broker was restarted and waits for "
                                   "its workers" },
    [WHY_RUNNING] = { "running", "nothing is in its way" },
    [WHY_INPUTS] = { "inputs", "a job of it waits for another" },
    [WHY_BACKOFF] = { "backoff", "tried again after a while" },
    [WHY_SUSPECT] = { "suspect", "its worker vanished: it is to run alone" },
    [WHY_NO_WORKER] = { "no_worker", "nobody is connected" },
    [WHY_UNSUITABLE] = { "unsuitable", "no worker has what it asks for" },
    [WHY_PARALLEL] = { "parallel", "limits.parallel is reached" },
    [WHY_BUSY] = { "busy", "all workers that could run it have work" },
    [WHY_AHEAD] = { "ahead", "trials before it are at work" },
    [WHY_EXCLUDED] = { "excluded", "a constraint forbids the point" },
    [WHY_BEYOND] = { "beyond", "the sweep ended before its turn" },
    [WHY_FAILED] = { "failed", "its last job failed for good" },
    [WHY_ABORTED] = { "aborted", "a job it needs failed for good" },
    [WHY_WORKER_SILENT] = { "worker_silent", "not heard of lately" },
    [WHY_WORKER_LEAVES] = { "worker_leaves", "it was told to stop" },
    [WHY_WORKER_CORDONED] = { "worker_cordoned", "until it is uncordoned" },
    [WHY_WORKER_SOLO] = { "worker_solo", "runs a suspect alone" },
    [WHY_WORKER_RESERVED] = { "worker_reserved", "kept free for a suspect" },
    [WHY_WORKER_BUSY] = { "worker_busy", "it has work" },
    [WHY_WORKER_IDLE] = { "worker_idle", "no job is ready" },
    [WHY_WORKER_UNSUITABLE] = { "worker_unsuitable", "it has not what the "
                                                     "ready jobs ask for" },
    [WHY_WORKER_HELD_BACK] = { "worker_held_back", "what is ready is paused, "
                                                   "or at its limit" },
};

static json_t *because(enum why why, const char *format, ...) PRINTF_LIKE(2, 3);

static json_t *because(enum why why, const char *format, ...)
{
    char text[1024];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return json_pack("{s:s, s:s+}", "code", why_rows[why].code, "reason", text,
                     ".");
}

/* "12 s", "5 min", "3 h": of each unit at least two. */
static const char *span(int64_t ns, char text[32])
{
    static const struct {
        const char *name;
        int64_t seconds;
    } units[] = { { "h", 3600 }, { "min", 60 }, { "s", 1 } };
    int64_t s = ns <= 0 ? 0 : (ns + NS_PER_S - 1) / NS_PER_S;
    size_t i = 0;

    while (i + 1 < COUNT_OF(units) && s < 2 * units[i].seconds)
        i++;
    (void)snprintf(text, 32, "%" PRId64 " %s", s / units[i].seconds,
                   units[i].name);
    return text;
}

static const char *plural(uint64_t n)
{
    return n == 1 ? "" : "s";
}

/* ---- what keeps a ready job --------------------------------------------- */

static json_t *why_ready(const struct sched *s, const struct sweep *sweep,
                         const struct group *g, const char *what)
{
    AUTO(free_pointer) char *obstacle = NULL;

    if (map_count(s->sessions) == 0)
        return because(WHY_NO_WORKER, "%s waits: no worker is connected", what);
    obstacle = resources_obstacle(s, g);
    if (obstacle != NULL)
        return because(WHY_UNSUITABLE, "%s waits: %s", what, obstacle);
    if (!dispatch_may_run_more(sweep))
        return because(WHY_PARALLEL,
                       "%s waits: %" PRIu64 " jobs of its sweep run, "
                       "limits.parallel allows no more",
                       what, sweep->jobs[JOB_RUNNING]);
    return because(WHY_BUSY,
                   "%s waits: all workers that could run it are busy, %" PRIu64
                   " job%s in the queues",
                   what, s->job_count[JOB_READY],
                   plural(s->job_count[JOB_READY]));
}

/* Whatever holds up all that a sweep could start; NULL: nothing does. */
static json_t *why_nothing_starts(const struct sched *s,
                                  const struct sweep *sweep, const char *what)
{
    char text[32];

    if (s->store_error != NULL)
        return because(WHY_STORE, "%s waits: the store is away (%s)", what,
                       s->store_error);
    if (sweep->paused)
        return because(WHY_PAUSED,
                       "%s waits: sweep %s is paused; `sinter resume %s` goes "
                       "on",
                       what, sweep->id, sweep->id);
    if (s->recovery_ends != 0)
        return because(WHY_RECOVERY,
                       "%s waits: the broker was restarted and waits for its "
                       "workers, at most %s more",
                       what, span(s->recovery_ends - s->t.now, text));
    return NULL;
}

static json_t *why_suspect(const struct job *job, const char *what)
{
    return because(WHY_SUSPECT, "%s waits to run alone on an idle worker: %s",
                   what,
                   job->message == NULL ? "its worker vanished" : job->message);
}

static json_t *why_backoff(const struct sched *s, const struct job *job,
                           const char *what)
{
    char text[32];

    return because(WHY_BACKOFF,
                   "%s is tried again in %s: attempt %" PRIu64 " failed: %s",
                   what, span(job->rank - s->t.now, text), job->attempt,
                   job->message == NULL ? "?" : job->message);
}

/* ---- sweeps -------------------------------------------------------------- */

static json_t *why_over(const struct sweep *sweep)
{
    if (sweep->state == SWEEP_DONE)
        return because(
            WHY_DONE,
            "%s has ended: %" PRIu64 " trials done, %" PRIu64 " failed",
            sweep->id, sweep->tally[TRIAL_DONE], sweep->tally[TRIAL_FAILED]);
    if (sweep->state == SWEEP_FAILED)
        return because(WHY_ENDED_FAILED, "%s ended: %s", sweep->id,
                       sweep->reason == NULL ? "?" : sweep->reason);
    return because(WHY_ENDED_CANCELLED, "%s was stopped: %s", sweep->id,
                   sweep->reason == NULL ? "?" : sweep->reason);
}

static struct job *first_in(const struct sweep *sweep, enum job_state state)
{
    for (const struct use *u = sweep->uses; u != NULL; u = u->sweep_next)
        if (u->job->state == state)
            return u->job;
    return NULL;
}

/* Nothing of the sweep runs. */
static json_t *why_stuck(const struct sched *s, const struct sweep *sweep)
{
    const struct job *job = first_in(sweep, JOB_READY);
    char label[JOBS_LABEL];

    if (job == NULL)
        job = first_in(sweep, JOB_BACKOFF);
    if (job == NULL)
        return because(WHY_AHEAD, "%s has begun: its next trials are looked at",
                       sweep->id);
    (void)jobs_label(job, label);
    if (job->state == JOB_BACKOFF)
        return why_backoff(s, job, label);
    if (job->suspect)
        return why_suspect(job, label);
    return why_ready(s, job->group->sweep, job->group, label);
}

json_t *why_sweep(const struct sched *s, const struct sweep *sweep)
{
    json_t *answer;

    if (sweep->state != SWEEP_RUNNING)
        return why_over(sweep);
    answer = why_nothing_starts(s, sweep, sweep->id);
    if (answer != NULL)
        return answer;
    if (sweep->jobs[JOB_RUNNING] > 0)
        return because(WHY_RUNNING,
                       "%s runs: %" PRIu64 " job%s at work, %zu ready behind "
                       "them",
                       sweep->id, sweep->jobs[JOB_RUNNING],
                       plural(sweep->jobs[JOB_RUNNING]), sweep->ready);
    return why_stuck(s, sweep);
}

/* ---- trials -------------------------------------------------------------- */

/* A trial as it is found again from the document. */
struct found {
    const struct sched *s;
    const struct sweep *sweep;
    uint64_t number;
    struct stage_jobs stages;
    struct status trouble; /* why it has none */
};

static const struct job *job_at(const struct found *f, size_t i)
{
    return jobs_find(f->s, &f->stages.items[i].key);
}

static bool is_done(const struct job *job)
{
    return job != NULL && job->state == JOB_DONE;
}

/* The first whose inputs are there; stages.count: none. */
static size_t first_open(const struct found *f)
{
    size_t i = 0;

    while (i < f->stages.count && is_done(job_at(f, i)))
        i++;
    return i;
}

/* ": it is silent ..." of a worker that may be dead; the caller frees. */
static char *silence(const struct found *f, const struct job *job)
{
    const struct session *w = job->session;
    char silent[32];
    char left[32];

    if (w == NULL || !w->suspect)
        return xstrdup("");
    return xasprintf(": it has been silent for %s, in %s the job goes to "
                     "another",
                     span(f->s->t.now - w->seen_at, silent),
                     span(w->lease_ends - f->s->t.now, left));
}

static json_t *why_running(const struct found *f, size_t i,
                           const struct job *job)
{
    const char *stage = f->stages.items[i].stage;
    const char *last = f->stages.items[f->stages.count - 1].stage;
    AUTO(free_pointer) char *silent = silence(f, job);
    char text[32];

    (void)span(f->s->t.now - job->assigned_at, text);
    if (i + 1 == f->stages.count)
        return because(WHY_RUNNING,
                       "#%" PRIu64 " runs: %s has been at %s for %s%s",
                       f->number, stage, job->worker, text, silent);
    return because(WHY_INPUTS,
                   "#%" PRIu64 " waits for its input: %s needs %s, which has "
                   "been at %s for %s%s",
                   f->number, last, stage, job->worker, text, silent);
}

static json_t *why_active(const struct found *f)
{
    size_t i = first_open(f);
    const struct job *job = i < f->stages.count ? job_at(f, i) : NULL;
    AUTO(free_pointer) char *what = NULL;
    json_t *answer;

    if (job == NULL)
        return because(WHY_AHEAD, "#%" PRIu64 " is about to begin", f->number);
    if (job->state == JOB_RUNNING)
        return why_running(f, i, job);
    what = xasprintf("#%" PRIu64 " %s", f->number, f->stages.items[i].stage);
    answer = why_nothing_starts(f->s, f->sweep, what);
    if (answer != NULL)
        return answer;
    if (job->state == JOB_BACKOFF)
        return why_backoff(f->s, job, what);
    if (job->suspect)
        return why_suspect(job, what);
    return why_ready(f->s, f->sweep, job->group, what);
}

static const char *no_more_tries(const struct job *job, char text[64])
{
    if (job->crashes >= VERDICT_CRASHES)
        return "It took down its slot or worker every time";
    if (job->code >= STATUS_COUNT ||
        status_retry((enum status_code)job->code) == RETRY_NEVER)
        return "Not tried again: the same inputs give the same result";
    (void)snprintf(text, 64, "Tried %" PRIu64 " times", job->attempt);
    return text;
}

/* The stage that failed the trial; stages.count: none, it ended well since. */
static size_t culprit_of(const struct found *f)
{
    size_t found = f->stages.count;

    for (size_t i = 0; i < f->stages.count; i++) {
        const struct job *job = job_at(f, i);

        if (job != NULL && job->state == JOB_FAILED)
            return i;
        if (job != NULL && job->message != NULL)
            found = i;
    }
    return found;
}

static json_t *why_failed(const struct found *f)
{
    size_t i = culprit_of(f);
    const struct job *job;
    char text[64];

    if (status_failed(&f->trouble))
        return because(WHY_FAILED, "#%" PRIu64 " failed: %s", f->number,
                       f->trouble.message);
    if (i == f->stages.count)
        return because(WHY_FAILED,
                       "#%" PRIu64 " failed, but its job ended well later for "
                       "another sweep: `sinter retry %s/%" PRIu64 "`",
                       f->number, f->sweep->id, f->number);
    job = job_at(f, i);
    if (i + 1 < f->stages.count)
        return because(WHY_ABORTED,
                       "#%" PRIu64 " was given up because its input %s failed "
                       "at %s: %s.  %s",
                       f->number, f->stages.items[i].stage,
                       job->worker == NULL ? "?" : job->worker, job->message,
                       no_more_tries(job, text));
    return because(WHY_FAILED, "#%" PRIu64 " failed: %s at %s: %s.  %s",
                   f->number, f->stages.items[i].stage,
                   job->worker == NULL ? "?" : job->worker, job->message,
                   no_more_tries(job, text));
}

static json_t *why_excluded(const struct found *f)
{
    struct space_trial t = { 0 };
    json_t *answer;

    space_trial(compiled_space(f->sweep->compiled), f->number - 1, &t);
    answer =
        because(WHY_EXCLUDED, "#%" PRIu64 " is not run: %s", f->number,
                t.reason[0] == '\0' ? "it repeats another point" : t.reason);
    json_decref(t.values);
    return answer;
}

static json_t *why_waiting(const struct found *f)
{
    const struct sweep *sweep = f->sweep;
    AUTO(free_pointer) char *what = xasprintf("#%" PRIu64, f->number);
    json_t *answer;

    if (sweep->state != SWEEP_RUNNING)
        return because(WHY_BEYOND,
                       "#%" PRIu64 " was never begun: %s ended after %" PRIu64
                       " trials; `sinter extend %s` goes on",
                       f->number, sweep->id, sweep->taken, sweep->id);
    answer = why_nothing_starts(f->s, sweep, what);
    if (answer != NULL)
        return answer;
    return because(WHY_AHEAD,
                   "#%" PRIu64 " waits its turn: %" PRIu64 " trials before it "
                   "are at work",
                   f->number, sweep->tally[TRIAL_ACTIVE]);
}

static json_t *why_found(const struct found *f)
{
    switch ((enum trial_state)f->sweep->trials[f->number - 1]) {
    case TRIAL_DONE:
        return because(WHY_DONE, "#%" PRIu64 " is done", f->number);
    case TRIAL_FAILED:
        return why_failed(f);
    case TRIAL_CANCELLED:
        return because(WHY_ENDED_CANCELLED, "#%" PRIu64 " was stopped: %s",
                       f->number,
                       f->sweep->reason == NULL ? "its sweep was cancelled"
                                                : f->sweep->reason);
    case TRIAL_EXCLUDED:
        return why_excluded(f);
    case TRIAL_ACTIVE:
        return why_active(f);
    default:
        return why_waiting(f);
    }
}

struct status why_trial(const struct sched *s, const struct sweep *sweep,
                        uint64_t number, json_t **ret_answer)
{
    struct found f = { .s = s, .sweep = sweep, .number = number };
    AUTO(json_release) json_t *values = NULL;
    bool excluded = false;

    if (number < 1 || number > sweep->trial_count)
        return FAIL(STATUS_NOT_FOUND, "sweep %s has trials #1 to #%" PRIu64,
                    sweep->id, sweep->trial_count);
    f.trouble = compiled_trial(sweep->compiled, number - 1, &values, &excluded);
    if (!status_failed(&f.trouble) && !excluded)
        f.trouble = compiled_stages(sweep->compiled, values, &f.stages);
    *ret_answer = why_found(&f);
    stage_jobs_release(&f.stages);
    return SUCCESS;
}

/* ---- workers ------------------------------------------------------------- */

/* Groups with ready jobs that may be given out, and that it could serve. */
static void count_work(const struct sched *s, struct session *w,
                       size_t *ret_open, size_t *ret_servable)
{
    *ret_open = 0;
    *ret_servable = 0;
    for (size_t i = 0; i < s->live_count; i++) {
        const struct sweep *sweep = s->live[i];

        for (size_t k = 0; k < sweep->group_count; k++) {
            struct group *g = sweep->groups[k];

            if (g->ready.count == 0)
                continue;
            *ret_servable += resources_has(w, g);
            *ret_open += resources_has(w, g) && dispatch_may_run_more(sweep);
        }
    }
}

static json_t *why_idle(const struct sched *s, struct session *w)
{
    uint64_t ready = s->job_count[JOB_READY];
    size_t open = 0;
    size_t servable = 0;

    if (ready == 0)
        return because(WHY_WORKER_IDLE, "%s is idle: no job is ready", w->name);
    count_work(s, w, &open, &servable);
    if (servable == 0)
        return because(WHY_WORKER_UNSUITABLE,
                       "%s is idle: it has not what the %" PRIu64
                       " ready job%s for (kind, memory, cpus or labels)",
                       w->name, ready, ready == 1 ? " asks" : "s ask");
    if (open == 0)
        return because(WHY_WORKER_HELD_BACK,
                       "%s is idle: what is ready belongs to sweeps that are "
                       "paused or at their limits.parallel",
                       w->name);
    return because(WHY_WORKER_IDLE, "%s is about to be given work", w->name);
}

/* Is anything but work in its way? NULL: no. */
static json_t *why_closed(const struct sched *s, const struct session *w)
{
    char silent[32];
    char left[32];

    if (w->draining)
        return because(WHY_WORKER_LEAVES,
                       "%s was told to stop: it finishes %zu job%s", w->name,
                       w->running, plural(w->running));
    if (w->suspect || !w->connected)
        return because(WHY_WORKER_SILENT,
                       "%s has not been heard of for %s; in %s its jobs go to "
                       "others",
                       w->name, span(s->t.now - w->seen_at, silent),
                       span(w->lease_ends - s->t.now, left));
    if (w->cordoned)
        return because(WHY_WORKER_CORDONED,
                       "%s gets nothing new: it is cordoned; `sinter workers "
                       "--uncordon %s` opens it",
                       w->name, w->name);
    if (w->solo != NULL)
        return because(WHY_WORKER_SOLO,
                       "%s runs one job and nothing beside it: a worker that "
                       "ran that job vanished",
                       w->name);
    if (w->reserved)
        return because(WHY_WORKER_RESERVED,
                       "%s gets nothing new until it is idle: then it runs a "
                       "job alone whose worker vanished",
                       w->name);
    return NULL;
}

static struct session *worker_of(const struct sched *s, const char *name)
{
    for (size_t i = 0; i < map_count(s->sessions); i++) {
        struct session *w = map_at(s->sessions, i, NULL, NULL);

        if (strcmp(w->name, name) == 0)
            return w;
    }
    return NULL;
}

struct status why_worker(const struct sched *s, const char *name,
                         json_t **ret_answer)
{
    struct session *w = worker_of(s, name);
    char text[32];

    if (w == NULL && s->recovery_ends != 0)
        return FAIL(STATUS_NOT_FOUND,
                    "there is no sweep and not yet a worker \"%.200s\": the "
                    "broker was restarted and waits for its workers, at most "
                    "%s more",
                    name, span(s->recovery_ends - s->t.now, text));
    if (w == NULL)
        return FAIL(STATUS_NOT_FOUND,
                    "there is no sweep and no worker \"%.200s\": `sinter ls` "
                    "and `sinter workers` list them",
                    name);
    *ret_answer = why_closed(s, w);
    if (*ret_answer == NULL && w->running > 0)
        *ret_answer =
            because(WHY_WORKER_BUSY,
                    "%s works: %zu job%s in %" PRIu64 " slot%s", w->name,
                    w->running, plural(w->running), w->slots, plural(w->slots));
    if (*ret_answer == NULL)
        *ret_answer = why_idle(s, w);
    return SUCCESS;
}
