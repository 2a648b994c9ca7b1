#include "broker/core/jobs.h"

#include "broker/core/family.h"
#include "broker/core/sweeps.h"
#include "common/memory.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct job *jobs_find(const struct sched *s, const struct digest *key)
{
    return map_get(s->jobs, key->bytes, DIGEST_SIZE);
}

struct job *jobs_touch(struct sched *s, const struct digest *key)
{
    struct job *job = jobs_find(s, key);

    if (job != NULL)
        return job;
    job = xnew(struct job);
    job->key = *key;
    s->job_count[JOB_IDLE]++;
    (void)map_put(s->jobs, key->bytes, DIGEST_SIZE, job);
    return job;
}

/* What is needed only to run. */
static void forget_params(struct job *job)
{
    free(job->params);
    free(job->inputs);
    job->params = NULL;
    job->inputs = NULL;
    job->input_count = 0;
}

static void free_job(struct job *job)
{
    while (job->uses != NULL) {
        struct use *next = job->uses->job_next;

        free(job->uses);
        job->uses = next;
    }
    unit_forget(job);
    forget_params(job);
    free(job->dependents);
    free(job->result);
    free(job->message);
    free(job->log);
    free(job);
}

void jobs_free_all(struct sched *s)
{
    for (size_t i = 0; i < map_count(s->jobs); i++)
        free_job(map_at(s->jobs, i, NULL, NULL));
    map_free(s->jobs);
}

/* The only place where a job's state changes: all sums follow from here. */
static void set_state(struct sched *s, struct job *job, enum job_state state)
{
    s->job_count[job->state]--;
    s->job_count[state]++;
    for (const struct use *u = job->uses; u != NULL; u = u->job_next) {
        struct stage *stage = &u->sweep->stages[u->stage];

        u->sweep->jobs[job->state]--;
        u->sweep->jobs[state]++;
        stage->jobs[job->state]--;
        stage->jobs[state]++;
    }
    job->state = state;
}

/* The live sweep in whose name the job is queued: highest priority, then the
 * oldest. NULL: nobody needs it. */
static struct use *sponsor_of(const struct job *job)
{
    struct use *best = NULL;

    for (struct use *u = job->uses; u != NULL; u = u->job_next) {
        if (u->wanted == 0)
            continue;
        if (best == NULL ||
            u->sweep->limits.priority > best->sweep->limits.priority ||
            (u->sweep->limits.priority == best->sweep->limits.priority &&
             u->sweep->order < best->sweep->order))
            best = u;
    }
    return best;
}

static struct group *group_of(struct sweep *sweep, const char *kind,
                              int64_t memory_bytes)
{
    struct group *g;

    for (size_t i = 0; i < sweep->group_count; i++) {
        g = sweep->groups[i];
        if (g->kind == kind && g->memory_bytes == memory_bytes)
            return g;
    }
    g = xnew(struct group);
    *g = (struct group){ .sweep = sweep,
                         .kind = kind,
                         .memory_bytes = memory_bytes,
                         .run_ms = -1.0 };
    sweep->groups = xrealloc(sweep->groups,
                             (sweep->group_count + 1) * sizeof(struct group *));
    sweep->groups[sweep->group_count++] = g;
    return g;
}

static void enqueue(struct sched *s, struct job *job, const struct use *use)
{
    assert(job->kind != NULL && job->params != NULL);
    job->group = group_of(use->sweep, job->kind, job->memory_bytes);
    job->rank = (int64_t)use->trial;
    job->tie = s->ties++;
    heap_add(&job->group->ready, job);
    family_join(job);
    use->sweep->ready++;
}

static void dequeue(struct job *job)
{
    heap_remove(&job->group->ready, job);
    family_leave(job);
    job->group->sweep->ready--;
}

/* Put a job that is in no queue and at no worker where it belongs. */
static void place(struct sched *s, struct job *job)
{
    struct use *use = sponsor_of(job);

    if (use == NULL) {
        set_state(s, job, JOB_IDLE);
        return;
    }
    if (job->pending > 0) {
        set_state(s, job, JOB_WAITING);
        return;
    }
    set_state(s, job, JOB_READY);
    enqueue(s, job, use);
}

/* Take a job that nobody runs out of the queue it is in. */
static void displace(struct sched *s, struct job *job)
{
    if (job->state == JOB_READY)
        dequeue(job);
    else if (job->state == JOB_BACKOFF)
        heap_remove(&s->backoff, job);
}

static void add_dependent(struct job *input, struct job *job)
{
    /* Room doubles at powers of two: the count tells it. */
    if ((input->dependent_count & (input->dependent_count - 1)) == 0) {
        size_t room =
            input->dependent_count == 0 ? 1 : 2 * input->dependent_count;

        input->dependents =
            xrealloc(input->dependents, room * sizeof(struct job *));
    }
    input->dependents[input->dependent_count++] = job;
}

void jobs_describe(struct sched *s, struct job *job,
                   const struct stage_job *stage)
{
    if (job->kind == NULL)
        job->kind = sched_intern(s, stage->kind, strlen(stage->kind));
    if (job->params != NULL || job->state == JOB_DONE)
        return;
    job->params = xstrdup(stage->params);
    job->family = stage->family;
    /* One that was taken over undescribed was taken over alone. */
    assert(job->unit == NULL);
    if (job->session != NULL)
        job->session->memory_used += stage->memory_bytes - job->memory_bytes;
    job->memory_bytes = stage->memory_bytes;
    job->stall_ms = stage->stall_ms;
    job->limit_ms = stage->limit_ms;
    job->input_count = stage->input_count;
    job->inputs = xcalloc(stage->input_count + 1, sizeof(struct job *));
    job->pending = 0;
    for (size_t i = 0; i < stage->input_count; i++) {
        struct job *input = jobs_touch(s, &stage->inputs[i]);

        job->inputs[i] = input;
        if (input->state == JOB_DONE)
            continue;
        job->pending++;
        add_dependent(input, job);
    }
}

void jobs_forgive(struct sched *s, struct job *job)
{
    if (job->state != JOB_FAILED)
        return;
    job->failures = 0;
    job->crashes = 0;
    set_state(s, job, JOB_IDLE);
    for (struct use *u = job->uses; u != NULL; u = u->job_next)
        sweeps_reopen_failed(s, u->sweep);
}

struct use *jobs_use(struct job *job, struct sweep *sweep, uint32_t stage,
                     uint64_t trial)
{
    struct use *u = job->uses;

    while (u != NULL && u->sweep != sweep)
        u = u->job_next;
    if (u != NULL) {
        if (trial < u->trial)
            u->trial = trial;
        return u;
    }
    u = xnew(struct use);
    *u = (struct use){ .job = job,
                       .sweep = sweep,
                       .stage = stage,
                       .trial = trial,
                       .job_next = job->uses,
                       .sweep_next = sweep->uses };
    job->uses = u;
    sweep->uses = u;
    sweep->jobs[job->state]++;
    sweep->stages[stage].jobs[job->state]++;
    if (job->state == JOB_DONE && job->order < sweep->order)
        sweep->known++;
    else if (job->state == JOB_DONE)
        sweep->computed++;
    return u;
}

void jobs_drop_use(struct use *use)
{
    struct use **at = &use->job->uses;

    assert(use->wanted == 0);
    while (*at != use)
        at = &(*at)->job_next;
    *at = use->job_next;
    free(use);
}

void jobs_need(struct sched *s, struct need *need)
{
    struct job *job = need->job;
    struct use *use = need->use;

    if (job->state == JOB_DONE)
        return;
    need->open = true;
    need->next = job->needs;
    if (job->needs != NULL)
        job->needs->prev = need;
    job->needs = need;
    need->trial->pending++;
    if (use->wanted++ > 0)
        return;
    /* The first trial of this sweep: it may matter more than the sponsor
     * under whose name the job was queued. */
    if (job->state == JOB_IDLE) {
        place(s, job);
    } else if (job->state == JOB_READY && sponsor_of(job) == use) {
        dequeue(job);
        enqueue(s, job, use);
    }
}

static void unlink_need(struct need *need)
{
    struct job *job = need->job;

    if (need->prev == NULL)
        job->needs = need->next;
    else
        need->prev->next = need->next;
    if (need->next != NULL)
        need->next->prev = need->prev;
    need->use->wanted--;
    need->trial->pending--;
    need->open = false;
}

void jobs_unneed(struct sched *s, struct need *need)
{
    struct job *job = need->job;
    bool last = need->use->wanted == 1;

    if (!need->open)
        return;
    unlink_need(need);
    if (!last || job->state == JOB_RUNNING || job->state == JOB_FAILED ||
        job->state == JOB_IDLE)
        return;
    if (job->state == JOB_READY && job->group->sweep != need->use->sweep)
        return;
    if (job->state != JOB_READY && sponsor_of(job) != NULL)
        return;
    displace(s, job);
    place(s, job);
}

void jobs_assign(struct sched *s, struct job *job, struct session *session,
                 struct unit *unit, uint64_t epoch, uint64_t attempt)
{
    struct wire_token token;

    displace(s, job);
    set_state(s, job, JOB_RUNNING);
    job->epoch = epoch;
    job->attempt = attempt;
    job->settled = false;
    job->session = session;
    job->worker = sched_intern(s, session->name, strlen(session->name));
    job->assigned_at = s->t.now;
    job->progress_done = 0;
    job->progress_total = 0;
    job->prev = session->last;
    job->next = NULL;
    if (session->last == NULL)
        session->first = job;
    else
        session->last->next = job;
    session->last = job;
    token = jobs_token(job);
    session->running++;
    session->running_sum ^= wire_token_hash(&token);
    unit_enter(session, job, unit);
    session->changed_at = s->t.now;
}

void jobs_take_away(struct job *job)
{
    struct session *session = job->session;
    struct wire_token token = jobs_token(job);

    if (session == NULL)
        return;
    if (job->prev == NULL)
        session->first = job->next;
    else
        job->prev->next = job->next;
    if (job->next == NULL)
        session->last = job->prev;
    else
        job->next->prev = job->prev;
    job->prev = NULL;
    job->next = NULL;
    job->session = NULL;
    session->running--;
    session->running_sum ^= wire_token_hash(&token);
    unit_leave(session, job);
}

void jobs_requeue(struct sched *s, struct job *job, int64_t due)
{
    assert(job->session == NULL);
    displace(s, job); /* a late verdict finds it in a queue again */
    if (due > s->t.now && job->pending == 0 && sponsor_of(job) != NULL) {
        set_state(s, job, JOB_BACKOFF);
        job->rank = due;
        job->tie = s->ties++;
        heap_add(&s->backoff, job);
        return;
    }
    /* A job taken over from a worker may not be described yet: the sweep
     * that needs it, if any, will come to it. */
    place(s, job);
}

void jobs_wake(struct sched *s)
{
    struct job *job = heap_first(&s->backoff);

    while (job != NULL && job->rank <= s->t.now) {
        heap_remove(&s->backoff, job);
        place(s, job);
        job = heap_first(&s->backoff);
    }
}

static void replace(char **text, struct wire_bytes bytes)
{
    free(*text);
    *text = bytes.size == 0 ? NULL : sched_clean(bytes);
}

/* Counted anew each time: a job that was described twice stands twice in the
 * list of its input. */
static size_t count_pending(const struct job *job)
{
    size_t pending = 0;

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
            place(s, d);
    }
    free(job->dependents);
    job->dependents = NULL;
    job->dependent_count = 0;
}

/* Moving mean of what jobs of its group take. */
static void learn_run_time(struct job *job, int64_t wall_ms)
{
    static const double weight = 0.2;
    struct group *g = job->group;

    if (g == NULL)
        return;
    if (g->run_ms < 0.0)
        g->run_ms = (double)wall_ms;
    else
        g->run_ms += weight * ((double)wall_ms - g->run_ms);
}

static void become_done(struct sched *s, struct job *job)
{
    jobs_take_away(job);
    displace(s, job);
    set_state(s, job, JOB_DONE);
    for (const struct use *u = job->uses; u != NULL; u = u->job_next)
        u->sweep->computed++;
    release_dependents(s, job);
    forget_params(job);
    while (job->needs != NULL) {
        struct trial *trial = job->needs->trial;

        unlink_need(job->needs);
        if (trial->pending == 0)
            sweeps_trial_done(s, trial);
    }
}

void jobs_result(struct sched *s, const struct wire_record_result *r)
{
    struct job *job = jobs_touch(s, &r->token.key);

    if (job->state == JOB_DONE)
        return; /* the first result is the result */
    learn_run_time(job, r->wall_ms);
    jobs_take_away(job); /* while its token is still the one it ran under */
    job->epoch = r->token.epoch;
    job->attempt = r->token.attempt;
    job->settled = true;
    job->order = s->order;
    job->wall_ms = r->wall_ms;
    job->peak_bytes = r->peak_bytes;
    job->bytes_read = r->bytes_read;
    job->bytes_fetched = r->bytes_fetched;
    job->model = r->model;
    job->at_ms = r->at_ms;
    job->code = STATUS_SUCCESS;
    if (job->kind == NULL && r->kind.size > 0)
        job->kind = sched_intern(s, r->kind.data, r->kind.size);
    job->worker = sched_intern(s, r->worker.data, r->worker.size);
    replace(&job->result, r->result);
    replace(&job->log, r->log);
    free(job->message);
    job->message = NULL;
    become_done(s, job);
}

static void become_failed(struct sched *s, struct job *job)
{
    displace(s, job);
    set_state(s, job, JOB_FAILED);
    forget_params(job);
    while (job->needs != NULL)
        sweeps_trial_failed(s, job->needs->trial);
}

void jobs_failure(struct sched *s, const struct wire_record_failure *r)
{
    struct job *job = jobs_touch(s, &r->token.key);

    if (job->state == JOB_DONE)
        return;
    jobs_take_away(job);
    job->epoch = r->token.epoch;
    job->attempt = r->token.attempt;
    job->settled = r->crashed != CRASH_LEASE || r->terminal != 0;
    if (r->crashed != NO_CRASH)
        job->crashes++;
    else
        job->failures++;
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

struct wire_token jobs_token(const struct job *job)
{
    return (struct wire_token){ .key = job->key,
                                .epoch = job->epoch,
                                .attempt = job->attempt };
}

char *jobs_label(const struct job *job)
{
    const struct use *u = sponsor_of(job);

    if (u == NULL)
        return xstrdup(job->kind == NULL ? "?" : job->kind);
    return xasprintf("%s #%llu %s", compiled_name(u->sweep->compiled),
                     (unsigned long long)u->trial + 1,
                     u->sweep->stages[u->stage].name);
}
