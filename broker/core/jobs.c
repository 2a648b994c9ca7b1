#include "broker/core/jobs.h"

#include "broker/core/dispatch.h"
#include "broker/core/family.h"
#include "broker/core/groups.h"
#include "broker/core/jobs_parts.h"
#include "broker/core/sweeps.h"
#include "common/memory.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct job *jobs_find(const struct sched *s, const struct digest *key)
{
    return table_find(s->jobs, key);
}

struct job *jobs_touch(struct sched *s, const struct digest *key)
{
    struct job *job = jobs_find(s, key);

    if (job != NULL)
        return job;
    s->job_count[JOB_IDLE]++;
    return table_add(s->jobs, key);
}

void jobs_hold(struct job *job)
{
    job->holders++;
}

void jobs_let_go(struct sched *s, struct job *job)
{
    if (--job->holders == 0)
        table_leave(s->jobs, job);
}

static void take_params(struct job *job, const struct stage_job *stage)
{
    job->params_size = stage->params_size;
    job->params = stage->params_size <= sizeof job->text
                      ? job->text
                      : xcalloc(stage->params_size, 1);
    memcpy(job->params, stage->params, stage->params_size);
}

static void free_params(struct job *job)
{
    if (job->params != job->text)
        free(job->params);
    job->params = NULL;
}

void jobs_forget_params(struct sched *s, struct job *job)
{
    free_params(job);
    locality_let_go(&job->place);
    if (job->inputs == NULL)
        return;
    for (size_t i = 0; i < job->input_count; i++)
        jobs_let_go(s, job->inputs[i]);
    free(job->inputs);
    job->inputs = NULL;
    job->input_count = 0;
}

static void release_job(struct job *job)
{
    unit_forget(job);
    free_params(job);
    free(job->inputs);
    free(job->dependents);
    free(job->message);
    free(job->log);
}

/* Nobody points to it, and it is known from the ledger, or there is nothing
 * to know: no run of it can come back. */
static bool may_drop(const struct job *job)
{
    if (job->holders > 0 || job->uses != NULL)
        return false;
    return job->state == JOB_DONE ||
           (job->state == JOB_IDLE && job->epoch == 0 && job->pending == 0 &&
            job->message == NULL);
}

void jobs_sweep(struct sched *s)
{
    struct job *job;

    while ((job = table_next_leaving(s->jobs)) != NULL) {
        if (!may_drop(job))
            continue;
        if (job->state == JOB_IDLE)
            s->job_count[JOB_IDLE]--;
        jobs_forget_params(s, job); /* may put its inputs behind it */
        release_job(job);
        table_drop(s->jobs, job);
    }
}

void jobs_free_all(struct sched *s)
{
    for (uint32_t i = 0; i < s->jobs->live_count; i++) {
        struct job *job = s->jobs->live[i];

        while (job != NULL && job->uses != NULL) {
            struct use *next = job->uses->job_next;

            pool_give(&s->jobs->uses, job->uses);
            job->uses = next;
        }
        if (job != NULL)
            release_job(job);
        pool_give(&s->jobs->jobs, job);
    }
    table_free(s->jobs);
}

struct ledger_row jobs_row(const struct sched *s, const struct job *job)
{
    static const struct ledger_row none = { .epoch = 0 };

    return job->row == 0 ? none : ledger_read(s->jobs->ledger, job->row - 1);
}

struct wire_bytes jobs_result_text(const struct sched *s, const struct job *job)
{
    return job->row == 0 ? wire_text("")
                         : ledger_result(s->jobs->ledger, job->row - 1);
}

void jobs_set_state(struct sched *s, struct job *job, enum job_state state)
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

/* Not paused, highest priority, then the oldest. */
static bool comes_before(const struct sweep *a, const struct sweep *b)
{
    if (a->paused != b->paused)
        return b->paused;
    if (a->limits.priority != b->limits.priority)
        return a->limits.priority > b->limits.priority;
    return a->order < b->order;
}

/* The live sweep in whose name the job is queued. NULL: nobody needs it. */
static struct use *sponsor_of(const struct job *job)
{
    struct use *best = NULL;

    for (struct use *u = job->uses; u != NULL; u = u->job_next) {
        if (u->wanted == 0)
            continue;
        if (best == NULL || comes_before(u->sweep, best->sweep))
            best = u;
    }
    return best;
}

static void enqueue(struct sched *s, struct job *job, const struct use *use)
{
    assert(job->kind != NULL && job->params != NULL);
    if (job->input_count > 0)
        locality_add_inputs(s, use->sweep, job);
    job->group = groups_find(use->sweep, job);
    job->rank = (int64_t)use->trial;
    job->tie = s->ties++;
    if (job->suspect) {
        heap_add(&s->suspects, job);
        return;
    }
    use->sweep->ready++;
    groups_fill(s, job->group);
    heap_add(&job->group->ready, job);
    family_join(job);
}

static void dequeue(struct sched *s, struct job *job)
{
    if (heap_has(&s->suspects, job)) {
        heap_remove(&s->suspects, job);
        return;
    }
    assert(job->group != NULL); /* the queue that it is in */
    job->group->sweep->ready--;
    heap_remove(&job->group->ready, job);
    family_leave(job);
}

void jobs_place(struct sched *s, struct job *job)
{
    struct use *use = sponsor_of(job);

    if (use == NULL) {
        jobs_set_state(s, job, JOB_IDLE);
        return;
    }
    if (job->pending > 0) {
        jobs_set_state(s, job, JOB_WAITING);
        return;
    }
    jobs_set_state(s, job, JOB_READY);
    job->ready_at = s->t.now;
    enqueue(s, job, use);
}

void jobs_displace(struct sched *s, struct job *job)
{
    if (job->state == JOB_READY)
        dequeue(s, job);
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

void jobs_set_memory(struct job *job, int64_t asked)
{
    int64_t before = job->memory_bytes;

    job->memory_bytes = asked > job->memory_floor ? asked : job->memory_floor;
    if (job->session != NULL)
        job->session->memory_used += job->memory_bytes - before;
}

static void take_inputs(struct sched *s, struct job *job,
                        const struct stage_job *stage)
{
    job->pending = 0;
    if (stage->input_count == 0)
        return;
    job->input_count = (uint32_t)stage->input_count;
    job->inputs = xcalloc(stage->input_count, sizeof(struct job *));
    for (size_t i = 0; i < stage->input_count; i++) {
        struct job *input = jobs_touch(s, &stage->inputs[i]);

        job->inputs[i] = input;
        jobs_hold(input);
        if (input->state == JOB_DONE)
            continue;
        job->pending++;
        add_dependent(input, job);
    }
}

void jobs_describe(struct sched *s, struct job *job,
                   const struct stage_job *stage)
{
    if (job->kind == NULL)
        job->kind = sched_intern(s, stage->kind, strlen(stage->kind));
    if (job->params != NULL || job->state == JOB_DONE)
        return;
    take_params(job, stage);
    job->place = locality_place(s, job->params, job->params_size);
    job->family = stage->family;
    /* One that was taken over undescribed was taken over alone. */
    assert(job->unit == NULL);
    jobs_set_memory(job, stage->memory_bytes);
    job->cpus = stage->cpus;
    job->labels = stage->labels == NULL
                      ? NULL
                      : sched_intern(s, stage->labels, strlen(stage->labels));
    job->stall_ms = stage->stall_ms;
    job->limit_ms = stage->limit_ms;
    take_inputs(s, job, stage);
}

void jobs_forgive(struct sched *s, struct job *job)
{
    if (job->state != JOB_FAILED)
        return;
    job->failures = 0;
    job->crashes = 0;
    job->suspect = false;
    job->memory_floor = 0;
    jobs_set_state(s, job, JOB_IDLE);
    for (struct use *u = job->uses; u != NULL; u = u->job_next)
        sweeps_reopen_failed(s, u->sweep);
}

/* Does the mark of a row belong to a sweep that is live? */
static bool is_opening_live(const struct sched *s, uint32_t opening)
{
    for (size_t i = 0; i < s->live_count; i++)
        if (s->live[i]->opening == opening)
            return true;
    return false;
}

bool jobs_is_counted(const struct sched *s, const struct sweep *sweep,
                     uint32_t row)
{
    return *ledger_mark(s->jobs->ledger, row) == sweep->opening ||
           (row / 8 < sweep->also_bytes &&
            (sweep->also[row / 8] >> row % 8 & 1) != 0);
}

void jobs_count_row(struct sched *s, struct sweep *sweep, uint32_t row)
{
    uint32_t *mark = ledger_mark(s->jobs->ledger, row);

    if (*mark == 0 || !is_opening_live(s, *mark))
        *mark = sweep->opening;
    if (*mark == sweep->opening)
        return;
    if (row / 8 >= sweep->also_bytes) {
        size_t bytes = 2 * ((size_t)row / 8 + 32);

        sweep->also = xrealloc(sweep->also, bytes);
        memset(sweep->also + sweep->also_bytes, 0, bytes - sweep->also_bytes);
        sweep->also_bytes = bytes;
    }
    sweep->also[row / 8] |= (uint8_t)(1 << row % 8);
}

/* One that was done before this sweep came to it. */
static void count_done(struct sched *s, const struct job *job,
                       struct sweep *sweep, uint32_t stage)
{
    if (jobs_is_counted(s, sweep, job->row - 1))
        return;
    jobs_count_row(s, sweep, job->row - 1);
    sweep->jobs[JOB_DONE]++;
    sweep->stages[stage].jobs[JOB_DONE]++;
    if (job->order < sweep->order)
        sweep->known++;
    else
        sweep->computed++;
}

struct use *jobs_use(struct sched *s, struct job *job, struct sweep *sweep,
                     uint32_t stage, uint64_t trial)
{
    struct use *u = job->uses;

    if (job->state == JOB_DONE) {
        count_done(s, job, sweep, stage);
        return NULL;
    }
    while (u != NULL && u->sweep != sweep)
        u = u->job_next;
    if (u != NULL) {
        if (trial < u->trial)
            u->trial = trial;
        return u;
    }
    u = pool_take(&s->jobs->uses);
    *u = (struct use){ .job = job,
                       .sweep = sweep,
                       .stage = stage,
                       .trial = trial,
                       .job_next = job->uses,
                       .sweep_next = sweep->uses };
    if (sweep->uses != NULL)
        sweep->uses->sweep_prev = u;
    job->uses = u;
    sweep->uses = u;
    sweep->jobs[job->state]++;
    sweep->stages[stage].jobs[job->state]++;
    return u;
}

void jobs_drop_use(struct sched *s, struct use *use)
{
    struct use **at = &use->job->uses;

    assert(use->wanted == 0);
    while (*at != use)
        at = &(*at)->job_next;
    *at = use->job_next;
    if (use->sweep_prev == NULL)
        use->sweep->uses = use->sweep_next;
    else
        use->sweep_prev->sweep_next = use->sweep_next;
    if (use->sweep_next != NULL)
        use->sweep_next->sweep_prev = use->sweep_prev;
    if (use->job->uses == NULL && use->job->holders == 0)
        table_leave(s->jobs, use->job);
    pool_give(&s->jobs->uses, use);
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
        jobs_place(s, job);
    } else if (job->state == JOB_READY && sponsor_of(job) == use) {
        dequeue(s, job);
        enqueue(s, job, use);
    }
}

void jobs_stand(struct sched *s, const struct sweep *sweep)
{
    s->news++; /* what was held back may go now */
    for (const struct use *u = sweep->uses; u != NULL; u = u->sweep_next) {
        if (u->job->state != JOB_READY)
            continue;
        dequeue(s, u->job);
        enqueue(s, u->job, sponsor_of(u->job));
    }
}

void jobs_forget_groups(struct sched *s, const struct sweep *sweep)
{
    for (uint32_t i = 0; i < s->jobs->live_count; i++) {
        struct job *job = s->jobs->live[i];

        if (job != NULL && job->group != NULL && job->group->sweep == sweep)
            job->group = NULL;
    }
}

void jobs_unlink_need(struct need *need)
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
    bool last;

    if (!need->open)
        return;
    last = need->use->wanted == 1;
    jobs_unlink_need(need);
    if (!last || job->state == JOB_RUNNING || job->state == JOB_FAILED ||
        job->state == JOB_IDLE)
        return;
    if (job->state == JOB_READY && job->group->sweep != need->use->sweep)
        return;
    if (job->state != JOB_READY && sponsor_of(job) != NULL)
        return;
    jobs_displace(s, job);
    jobs_place(s, job);
}

void jobs_assign(struct sched *s, struct job *job, struct session *session,
                 struct unit *unit, uint64_t epoch, uint64_t attempt)
{
    struct wire_token token;

    jobs_displace(s, job);
    jobs_set_state(s, job, JOB_RUNNING);
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
    session->solo = NULL; /* whoever gives it alone says so */
    token = jobs_token(job);
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
    if (session->solo == job)
        session->solo = NULL;
    session->running_sum ^= wire_token_hash(&token);
    unit_leave(session, job);
}

void jobs_requeue(struct sched *s, struct job *job, int64_t due)
{
    assert(job->session == NULL);
    jobs_displace(s, job); /* a late verdict finds it in a queue again */
    if (due > s->t.now && job->pending == 0 && sponsor_of(job) != NULL) {
        jobs_set_state(s, job, JOB_BACKOFF);
        job->rank = due;
        job->tie = s->ties++;
        heap_add(&s->backoff, job);
        return;
    }
    /* A job taken over from a worker may not be described yet: the sweep
     * that needs it, if any, will come to it. */
    jobs_place(s, job);
}

void jobs_wake(struct sched *s)
{
    struct job *job = heap_first(&s->backoff);

    while (job != NULL && job->rank <= s->t.now) {
        heap_remove(&s->backoff, job);
        jobs_place(s, job);
        job = heap_first(&s->backoff);
    }
}

struct wire_token jobs_token(const struct job *job)
{
    return (struct wire_token){ .key = job->key,
                                .epoch = job->epoch,
                                .attempt = job->attempt };
}

/* Returns where the text ends; what does not fit is cut. */
static char *put_text(char *at, const char *end, const char *text)
{
    while (at < end && *text != '\0')
        *at++ = *text++;
    *at = '\0';
    return at;
}

static char *put_number(char *at, const char *end, uint64_t number)
{
    char digits[24];
    size_t from = sizeof digits - 1;

    digits[from] = '\0';
    do {
        digits[--from] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    return put_text(at, end, digits + from);
}

char *jobs_label(const struct job *job, char text[JOBS_LABEL])
{
    const struct use *u = sponsor_of(job);
    const char *end = text + JOBS_LABEL - 1;
    char *at = text;

    if (u == NULL) {
        (void)put_text(at, end, job->kind == NULL ? "?" : job->kind);
        return text;
    }
    at = put_text(at, end, compiled_name(u->sweep->compiled));
    at = put_text(at, end, " #");
    at = put_number(at, end, u->trial + 1);
    at = put_text(at, end, " ");
    (void)put_text(at, end, u->sweep->stages[u->stage].name);
    return text;
}
