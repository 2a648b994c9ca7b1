#include "broker/core/jobs.h"
#include "broker/core/report.h"
#include "broker/core/state.h"
#include "common/limits.h"
#include "common/memory.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const char *const job_state_names[JOB_STATES] = {
    [JOB_IDLE] = "cancelled",  [JOB_WAITING] = "waiting",
    [JOB_BACKOFF] = "backoff", [JOB_READY] = "ready",
    [JOB_RUNNING] = "running", [JOB_DONE] = "done",
    [JOB_FAILED] = "failed",
};

/* A trial as it is found again from the document. */
struct view {
    const struct sched *s;
    const struct sweep *sweep;
    uint64_t index;
    json_t *values;
    struct stage_jobs stages; /* empty for one that was never looked at */
    struct status trouble;    /* why it has no jobs */
};

static void view_release(struct view *v)
{
    json_decref(v->values);
    stage_jobs_release(&v->stages);
}

static struct view view_of(const struct sched *s, const struct sweep *sweep,
                           uint64_t index, bool with_jobs)
{
    struct view v = { .s = s, .sweep = sweep, .index = index };
    bool excluded = false;

    v.trouble = compiled_trial(sweep->compiled, index, &v.values, &excluded);
    if (!status_failed(&v.trouble) && with_jobs)
        v.trouble = compiled_stages(sweep->compiled, v.values, &v.stages);
    if (v.values == NULL)
        v.values = json_object();
    return v;
}

static struct job *job_of(const struct view *v, size_t i)
{
    return jobs_find(v->s, &v->stages.items[i].key);
}

static const char *state_of(const struct view *v)
{
    switch ((enum trial_state)v->sweep->trials[v->index]) {
    case TRIAL_DONE:
        return "done";
    case TRIAL_FAILED:
        return "failed";
    case TRIAL_CANCELLED:
        return "cancelled";
    case TRIAL_EXCLUDED:
        return "excluded";
    default:
        break;
    }
    for (size_t i = 0; i < v->stages.count; i++) {
        const struct job *job = job_of(v, i);

        if (job != NULL && job->state == JOB_RUNNING)
            return "running";
    }
    return "waiting";
}

static json_t *result_json(const struct sched *s, const struct job *job)
{
    struct wire_bytes text =
        job == NULL ? wire_text("") : jobs_result_text(s, job);
    json_t *json = json_loadb(text.data, text.size, 0, NULL);

    return json == NULL ? json_null() : json;
}

/* Of a failed trial none, although some of its jobs may have ended well:
 * which ones would depend on who was faster. */
static json_t *metrics_of(const struct view *v)
{
    AUTO(json_release) json_t *results = json_object();
    json_t *metrics = NULL;
    struct status st;

    if (v->sweep->trials[v->index] == TRIAL_FAILED)
        return json_object();
    for (size_t i = 0; i < v->stages.count; i++) {
        const struct job *job = job_of(v, i);

        if (job != NULL && job->state == JOB_DONE)
            (void)json_object_set_new(results, v->stages.items[i].stage,
                                      result_json(v->s, job));
    }
    st = compiled_metrics(v->sweep->compiled, results, &metrics);
    return status_failed(&st) ? json_object() : metrics;
}

static json_t *failure_json(const char *stage, const char *message)
{
    return json_pack("{s:s, s:s}", "stage", stage, "message", message);
}

/* The job that failed the trial: NULL if it ended well later. One that is on
 * its way again, for another sweep, still says why it failed this one. */
static const struct job *culprit_of(const struct view *v,
                                    const char **ret_stage)
{
    const struct job *found = NULL;

    for (size_t i = 0; i < v->stages.count; i++) {
        const struct job *job = job_of(v, i);

        if (job == NULL || job->message == NULL ||
            (found != NULL && job->state != JOB_FAILED))
            continue;
        found = job;
        *ret_stage = v->stages.items[i].stage;
        if (job->state == JOB_FAILED)
            break;
    }
    return found;
}

static json_t *failure_of(const struct view *v)
{
    const struct job *job;
    const char *stage = "";

    if (v->sweep->trials[v->index] != TRIAL_FAILED)
        return json_null();
    if (status_failed(&v->trouble))
        return failure_json("", v->trouble.message);
    job = culprit_of(v, &stage);
    if (job == NULL)
        return failure_json("", "its job failed, and ended well later for "
                                "another sweep");
    return failure_json(stage, job->message);
}

static json_t *workers_of(const struct view *v)
{
    json_t *names = json_array();

    for (size_t i = 0; i < v->stages.count; i++) {
        const struct job *job = job_of(v, i);
        bool seen = job == NULL || job->worker == NULL;

        for (size_t k = 0; k < json_array_size(names) && !seen; k++)
            seen = strcmp(json_string_value(json_array_get(names, k)),
                          job->worker) == 0;
        if (!seen)
            (void)json_array_append_new(names, json_string(job->worker));
    }
    return names;
}

/* Sums over the jobs of a trial, of runs that ended well. */
struct facts {
    int64_t wall_ms, bytes_read, bytes_fetched;
};

static struct facts facts_of(const struct view *v)
{
    struct facts f = { 0 };

    for (size_t i = 0; i < v->stages.count; i++) {
        const struct job *job = job_of(v, i);
        struct ledger_row row;

        if (job == NULL)
            continue;
        row = jobs_row(v->s, job);
        f.wall_ms += row.wall_ms;
        f.bytes_read += row.bytes_read;
        f.bytes_fetched += row.bytes_fetched;
    }
    return f;
}

static json_t *trial_json(const struct view *v)
{
    struct facts f = facts_of(v);

    return json_pack("{s:I, s:s, s:O, s:o, s:o, s:I, s:I, s:I, s:o}", "trial",
                     (json_int_t)v->index + 1, "state", state_of(v), "values",
                     v->values, "metrics", metrics_of(v), "failure",
                     failure_of(v), "wall_ms", (json_int_t)f.wall_ms,
                     "bytes_read", (json_int_t)f.bytes_read, "bytes_fetched",
                     (json_int_t)f.bytes_fetched, "workers", workers_of(v));
}

json_t *report_first_failure(const struct sched *s, const struct sweep *sweep)
{
    const uint8_t *at;
    struct view v;
    json_t *failure;

    if (sweep->tally[TRIAL_FAILED] == 0)
        return json_null();
    at = memchr(sweep->trials, TRIAL_FAILED, sweep->trial_count);
    if (at == NULL)
        return json_null();
    v = view_of(s, sweep, (uint64_t)(at - sweep->trials), true);
    failure = failure_of(&v);
    (void)json_object_set_new(failure, "trial",
                              json_integer((json_int_t)v.index + 1));
    view_release(&v);
    return failure;
}

/* One that a constraint excludes is no trial, nor is one beyond
 * limits.trials of a sweep that has ended. */
static bool is_shown(const struct sweep *sweep, uint64_t index)
{
    uint8_t state = sweep->trials[index];

    return state != TRIAL_EXCLUDED &&
           (state != TRIAL_WAITING || sweep->state == SWEEP_RUNNING);
}

json_t *report_trials(const struct sched *s, const struct sweep *sweep,
                      uint64_t from, uint64_t limit)
{
    json_t *array = json_array();
    uint64_t i = from;

    for (; i < sweep->trial_count && json_array_size(array) < limit; i++) {
        struct view v;

        if (!is_shown(sweep, i))
            continue;
        v = view_of(s, sweep, i, sweep->trials[i] != TRIAL_WAITING);
        (void)json_array_append_new(array, trial_json(&v));
        view_release(&v);
    }
    return json_pack("{s:o, s:o}", "trials", array, "next",
                     i < sweep->trial_count ? json_integer((json_int_t)i)
                                            : json_null());
}

/* Where the merged model of a job came from, by enum job_model; NULL: it read
 * none, or a newer worker says something new. */
static const char *model_name(uint64_t model)
{
    static const char *const names[] = { NULL, "realised", "shared", "cached" };

    return model < COUNT_OF(names) ? names[model] : NULL;
}

/* How a job of the trial stands, for people. */
struct standing {
    const char *state, *message; /* `message` NULL: nothing to say */
    char text[STATUS_MESSAGE_SIZE + LIMIT_NAME];
};

/* The stage of the trial that has the key; stages.count: none. */
static size_t stage_with(const struct view *v, const struct digest *key)
{
    size_t i = 0;

    while (i < v->stages.count && !digest_equal(&v->stages.items[i].key, key))
        i++;
    return i;
}

/* The failed job that stage `i` needs, directly or through others, none of
 * which can run; stages.count: none. Inputs come before who needs them. */
static size_t failed_input(const struct view *v, size_t i)
{
    const struct stage_job *stage = &v->stages.items[i];

    for (size_t k = 0; k < stage->input_count; k++) {
        size_t at = stage_with(v, &stage->inputs[k]);
        const struct job *job = at < i ? job_of(v, at) : NULL;

        if (at >= i)
            continue;
        if (job != NULL && job->state == JOB_FAILED)
            return at;
        at = failed_input(v, at);
        if (at < v->stages.count)
            return at;
    }
    return v->stages.count;
}

static void stand(const struct view *v, size_t i, struct standing *ret)
{
    const struct job *job = job_of(v, i);
    size_t culprit = failed_input(v, i);

    ret->state = job_state_names[job == NULL ? JOB_WAITING : job->state];
    ret->message = job == NULL ? NULL : job->message;
    if (culprit == v->stages.count ||
        (job != NULL && (job->state == JOB_DONE || job->state == JOB_FAILED)))
        return;
    (void)snprintf(ret->text, sizeof ret->text, "its input %s failed: %s",
                   v->stages.items[culprit].stage, job_of(v, culprit)->message);
    ret->state = "aborted";
    ret->message = ret->text;
}

static json_t *job_json(const struct view *v, size_t i)
{
    static const struct job none = { .state = JOB_WAITING };
    const struct sched *s = v->s;
    const struct stage_job *stage = &v->stages.items[i];
    const struct job *found = job_of(v, i);
    const struct job *job = found == NULL ? &none : found;
    const struct ledger_row row = jobs_row(s, job);
    struct standing standing;
    char key[DIGEST_TEXT];

    stand(v, i, &standing);
    digest_to_text(&stage->key, key);
    return json_pack(
        "{s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:b, s:I, s:s?, s:I, s:I, s:I, "
        "s:I, s:s?, s:s?, s:o, s:I, s:I}",
        "stage", stage->stage, "kind", stage->kind, "key", key, "state",
        standing.state, "attempts", (json_int_t)job->attempt, "failures",
        (json_int_t)job->failures, "crashes", (json_int_t)job->crashes,
        "suspect", (int)job->suspect, "memory_floor",
        (json_int_t)job->memory_floor, "worker", job->worker, "wall_ms",
        (json_int_t)row.wall_ms, "peak_bytes", (json_int_t)row.peak_bytes,
        "bytes_read", (json_int_t)row.bytes_read, "bytes_fetched",
        (json_int_t)row.bytes_fetched, "model", model_name(row.model),
        "message", standing.message, "result", result_json(s, job),
        "progress_done", (json_int_t)job->progress_done, "progress_total",
        (json_int_t)job->progress_total);
}

/* People count trials from 1. */
MUST_CHECK static struct status index_of(const struct sweep *sweep,
                                         uint64_t number, uint64_t *ret_index)
{
    if (number < 1 || number > sweep->trial_count)
        return FAIL(STATUS_NOT_FOUND, "sweep %s has trials #1 to #%" PRIu64,
                    sweep->id, sweep->trial_count);
    *ret_index = number - 1;
    return SUCCESS;
}

struct status report_trial(const struct sched *s, const struct sweep *sweep,
                           uint64_t number, json_t **ret_trial)
{
    json_t *jobs = json_array();
    json_t *model = NULL;
    json_t *trial;
    uint64_t index = 0;
    struct view v;
    struct status st = index_of(sweep, number, &index);

    if (status_failed(&st)) {
        json_decref(jobs);
        return st;
    }
    v = view_of(s, sweep, index, true);
    for (size_t i = 0; i < v.stages.count; i++)
        (void)json_array_append_new(jobs, job_json(&v, i));
    st = compiled_model(sweep->compiled, v.values, &model);
    trial = trial_json(&v);
    (void)json_object_set_new(trial, "jobs", jobs);
    (void)json_object_set_new(trial, "model",
                              status_failed(&st) ? json_null() : model);
    view_release(&v);
    *ret_trial = trial;
    return SUCCESS;
}

static json_t *log_json(const struct view *v, size_t i)
{
    const struct stage_job *stage = &v->stages.items[i];
    const struct job *job = job_of(v, i);
    struct standing standing;
    char key[DIGEST_TEXT];

    stand(v, i, &standing);
    digest_to_text(&stage->key, key);
    return json_pack("{s:s, s:s, s:s, s:s?, s:s}", "stage", stage->stage, "key",
                     key, "state", standing.state, "message", standing.message,
                     "log", job != NULL && job->log != NULL ? job->log : "");
}

struct status report_logs(const struct sched *s, const struct sweep *sweep,
                          uint64_t number, const char *stage, json_t **ret_logs)
{
    json_t *jobs;
    uint64_t index = 0;
    struct view v;

    TRY_PLAIN(index_of(sweep, number, &index));
    v = view_of(s, sweep, index, true);
    jobs = json_array();
    for (size_t i = 0; i < v.stages.count; i++)
        if (stage == NULL || strcmp(stage, v.stages.items[i].stage) == 0)
            (void)json_array_append_new(jobs, log_json(&v, i));
    view_release(&v);
    if (stage != NULL && json_array_size(jobs) == 0) {
        json_decref(jobs);
        return FAIL(STATUS_NOT_FOUND,
                    "trial #%" PRIu64 " has no stage "
                    "\"%s\"",
                    number, stage);
    }
    *ret_logs = json_pack("{s:o}", "jobs", jobs);
    return SUCCESS;
}
