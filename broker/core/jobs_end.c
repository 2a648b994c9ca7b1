/* jobs_end.c -- how a job ends: its result or failure, as the record says. */
#include "broker/core/jobs.h"

#include "broker/core/dispatch.h"
#include "broker/core/jobs_parts.h"
#include "broker/core/sweeps.h"
#include "common/memory.h"

#include <stdlib.h>

static void replace(char **text, struct wire_bytes bytes)
{
    free(*text);
    *text = bytes.size == 0 ? NULL : sched_clean(bytes);
}

/* Counted anew each time: a job that was described twice stands twice in the
 * list of its input. */
static uint32_t count_pending(const struct job *job)
{
    uint32_t pending = 0;

    for (size_t i = 0; i < job->input_count; i++)
        pending += job->inputs[i]->state != JOB_DONE;
    return pending;
}

static void release_dependents(struct sched *s, struct job *job)
{
    for (size_t i = 0; i < job->dependent_count; i++) {
        struct job *d = job->dependents[i];

        d->pending = count_pending(d);
        if (d->pending == 0 && d->state == JOB_WAITING)
            jobs_place(s, d);
        else if (d->holders == 0)
            table_leave(s->jobs, d);
    }
    free(job->dependents);
    job->dependents = NULL;
    job->dependent_count = 0;
}

static void become_done(struct sched *s, struct job *job)
{
    jobs_take_away(job);
    jobs_displace(s, job);
    jobs_set_state(s, job, JOB_DONE);
    for (const struct use *u = job->uses; u != NULL; u = u->job_next) {
        u->sweep->computed++;
        jobs_count_row(s, u->sweep, job->row - 1);
    }
    release_dependents(s, job);
    jobs_forget_params(s, job);
    while (job->needs != NULL) {
        struct trial *trial = job->needs->trial;

        jobs_unlink_need(job->needs);
        if (trial->pending == 0)
            sweeps_trial_done(s, trial);
    }
    while (job->uses != NULL)
        jobs_drop_use(s, job->uses);
    if (job->holders == 0)
        table_leave(s->jobs, job);
}

/* `known`: the same name, maybe, interned already. */
static const char *name_of(struct sched *s, const char *known,
                           struct wire_bytes name)
{
    if (name.size == 0 || name.data == known)
        return known;
    return sched_intern(s, name.data, name.size);
}

static struct ledger_row row_of(struct sched *s, const struct job *job,
                                const struct wire_record_result *r)
{
    return (struct ledger_row){
        .key = r->token.key,
        .epoch = r->token.epoch,
        .attempt = r->token.attempt,
        .order = s->order,
        .kind = name_of(s, job == NULL ? NULL : job->kind, r->kind),
        .worker = name_of(s, job == NULL ? NULL : job->worker, r->worker),
        .result = r->result,
        .log = r->log,
        .wall_ms = r->wall_ms,
        .at_ms = r->at_ms,
        .peak_bytes = r->peak_bytes,
        .bytes_read = r->bytes_read,
        .bytes_fetched = r->bytes_fetched,
        .model = r->model,
    };
}

/* The result of a job that is no struct: a record of the log. */
static void note_result(struct sched *s, const struct wire_record_result *r)
{
    struct ledger_row row = row_of(s, NULL, r);

    table_add_row(s->jobs, &row);
    s->job_count[JOB_DONE]++;
}

void jobs_take_result(struct sched *s, struct job *job,
                      const struct wire_record_result *r)
{
    struct ledger_row row;

    if (job->group != NULL)
        dispatch_learn(s, job->group, r->wall_ms);
    jobs_take_away(job); /* while its token is still the one it ran under */
    replace(&job->log, r->log);
    row = row_of(s, job, r);
    row.log = wire_text(job->log);
    table_take_row(job, ledger_add(s->jobs->ledger, &row), &row);
    job->code = STATUS_SUCCESS;
    free(job->message);
    job->message = NULL;
    become_done(s, job);
}

void jobs_result(struct sched *s, const struct wire_record_result *r)
{
    uint32_t known = keys_get(&s->jobs->keys, &r->token.key);
    struct job *job;

    if (known == 0) {
        note_result(s, r);
        return;
    }
    job = jobs_find(s, &r->token.key);
    if (job->state != JOB_DONE) /* the first result is the result */
        jobs_take_result(s, job, r);
}

static void become_failed(struct sched *s, struct job *job)
{
    jobs_displace(s, job);
    jobs_set_state(s, job, JOB_FAILED);
    jobs_forget_params(s, job);
    while (job->needs != NULL)
        sweeps_trial_failed(s, job->needs->trial);
}

/* The one place where failures and crashes are counted. Only a death that
 * nobody else can have caused is a crash of the job. */
static void count_failure(struct job *job, const struct wire_record_failure *r)
{
    bool vanished = r->crashed == CRASH_LEASE || r->crashed == CRASH_BESIDE;

    job->settled = !vanished || r->terminal != 0;
    job->suspect = vanished;
    if (r->crashed == CRASH_SLOT || r->crashed == CRASH_LEASE)
        job->crashes++;
    else if (r->crashed != CRASH_BESIDE)
        job->failures++;
    if (r->memory_floor > job->memory_floor)
        job->memory_floor = r->memory_floor;
    jobs_set_memory(job, job->memory_bytes);
}

void jobs_failure(struct sched *s, const struct wire_record_failure *r)
{
    struct job *job = jobs_touch(s, &r->token.key);

    if (job->state == JOB_DONE)
        return;
    jobs_take_away(job);
    job->epoch = r->token.epoch;
    job->attempt = r->token.attempt;
    count_failure(job, r);
    job->at_ms = r->at_ms;
    job->code = r->code;
    job->worker = sched_intern(s, r->worker.data, r->worker.size);
    replace(&job->message, r->message);
    replace(&job->log, r->log);
    if (r->terminal == 0)
        return;
    job->order = s->order;
    become_failed(s, job);
}
