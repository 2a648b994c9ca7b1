#include "broker/core/sweeps.h"

#include "broker/core/best.h"
#include "broker/core/collect.h"
#include "broker/core/family.h"
#include "broker/core/fleet.h"
#include "broker/core/groups.h"
#include "broker/core/history.h"
#include "broker/core/jobs.h"
#include "common/limits.h"
#include "common/memory.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* Trials ahead of the workers: enough that no worker starves, few enough that
 * a million points cost nothing and what is in hand stays in the caches. Beyond
 * ACTIVE_LEAST more are looked at only while fewer than READY_LEAST jobs are
 * ready. */
enum {
    ACTIVE_LEAST = 1024,
    ACTIVE_MOST = 64 * 1024,
    READY_LEAST = 512,
    EXPAND_SLICE = 1024, /* trials a tick: messages wait for it, about 1 ms */
};

/* Memory of the states, one byte each, is taken at the submit. */
static const uint64_t most_trials = UINT64_C(100000000);

static void free_trial(struct sched *s, struct trial *trial)
{
    if (trial->need_room <= TRIAL_NEEDS)
        pool_give(&s->jobs->trials, trial);
    else
        free(trial);
}

static void free_sweep(struct sched *s, struct sweep *sweep)
{
    while (sweep->active != NULL) {
        struct trial *next = sweep->active->next;

        free_trial(s, sweep->active);
        sweep->active = next;
    }
    groups_free_all(sweep);
    family_free_all(sweep);
    free(sweep->stages);
    free(sweep->trials);
    free(sweep->also);
    free(sweep->stage_at);
    free(sweep->scores);
    free(sweep->reason);
    free(sweep->idempotency);
    expansion_free(sweep->expansion);
    compiled_free(sweep->compiled);
    free(sweep);
}

void sweeps_free_all(struct sched *s)
{
    for (size_t i = 0; i < s->sweep_count; i++)
        free_sweep(s, s->sweeps[i]);
    expansion_scratch_free(s->scratch);
    map_free(s->sweeps_by_id);
    free(s->sweeps);
    free(s->live);
}

static void add_live(struct sched *s, struct sweep *sweep)
{
    size_t at = s->live_count++;

    s->live = xrealloc(s->live, s->live_count * sizeof(struct sweep *));
    /* In order of submission, also when an old one is retried. */
    for (; at > 0 && s->live[at - 1]->order > sweep->order; at--)
        s->live[at] = s->live[at - 1];
    s->live[at] = sweep;
}

static void remove_live(struct sched *s, struct sweep *sweep)
{
    size_t to = 0;

    share_leave(s, sweep);
    for (size_t i = 0; i < s->live_count; i++)
        if (s->live[i] != sweep)
            s->live[to++] = s->live[i];
    s->live_count = to;
    sweep->paused = false;
    free(sweep->scores); /* found again if the sweep is opened again */
    sweep->scores = NULL;
    free(sweep->also);
    sweep->also = NULL;
    sweep->also_bytes = 0;
    expansion_free(sweep->expansion);
    sweep->expansion = NULL;
}

void sweeps_start_clock(struct sched *s, struct sweep *sweep)
{
    int64_t left_ms =
        sweep->limits.time_ms - (s->t.wall_ms - sweep->started_ms);

    sweep->ends_at = INT64_MAX;
    if (sweep->limits.time_ms > 0 && !sweep->paused)
        sweep->ends_at = s->t.now + (left_ms < 0 ? 0 : left_ms) * NS_PER_MS;
}

struct status sweeps_check_count(uint64_t trials)
{
    if (trials > most_trials)
        return FAIL(STATUS_TOO_BIG,
                    "%llu trials, at most %llu are taken: use "
                    "`strategy: random` or smaller ranges",
                    (unsigned long long)trials,
                    (unsigned long long)most_trials);
    return SUCCESS;
}

MUST_CHECK static struct status check_size(const struct compiled *c)
{
    TRY(sweeps_check_count(compiled_trial_count(c)), "sweep %s",
        compiled_name(c));
    return SUCCESS;
}

uint64_t sweeps_budget(const struct sweep *sweep)
{
    return sweep->limits.trials < sweep->trial_count ? sweep->limits.trials
                                                     : sweep->trial_count;
}

double sweeps_weight(const struct sweep *sweep)
{
    if (sweep->weight > 0.0)
        return sweep->weight;
    return sweep->limits.weight > 0.0 ? sweep->limits.weight : 1.0;
}

void sweeps_grow(struct sched *s, struct sweep *sweep, uint64_t trials)
{
    uint64_t before = sweep->trial_count;

    if (sweep->limits.trials < trials)
        sweep->limits.trials = trials;
    s->expand_more = true;
    if (trials <= before)
        return;
    sweep->trials = xrealloc(sweep->trials, trials + 1);
    memset(sweep->trials + before, TRIAL_WAITING, trials + 1 - before);
    sweep->tally[TRIAL_WAITING] += trials - before;
    sweep->trial_count = trials;
    best_grow(sweep, before);
}

/* Takes `compiled`. */
static struct sweep *make_sweep(struct sched *s, struct compiled *compiled,
                                const struct wire_record_sweep *r)
{
    struct sweep *sweep = xnew(struct sweep);

    (void)snprintf(sweep->id, sizeof sweep->id, "%.*s", (int)r->id.size,
                   r->id.data);
    sweep->idempotency = wire_take(r->idempotency);
    sweep->compiled = compiled;
    sweep->limits = compiled_limits(compiled);
    sweep->weight = sweep->limits.weight;
    sweep->order = s->order;
    sweep->opening = ++s->openings;
    sweep->forgiven = s->order;
    sweep->submitted_ms = r->wall_ms;
    sweep->started_ms = r->wall_ms;
    sweep->trial_count = compiled_trial_count(compiled);
    sweep->trials = xcalloc(sweep->trial_count + 1, 1);
    sweep->tally[TRIAL_WAITING] = sweep->trial_count;
    return sweep;
}

static void enlist(struct sched *s, struct sweep *sweep)
{
    if (s->sweep_count == s->sweep_room) {
        s->sweep_room = s->sweep_room == 0 ? 16 : 2 * s->sweep_room;
        s->sweeps = xrealloc(s->sweeps, s->sweep_room * sizeof(struct sweep *));
    }
    s->sweeps[s->sweep_count++] = sweep;
    (void)map_put_text(s->sweeps_by_id, sweep->id, sweep);
    add_live(s, sweep);
    s->expand_more = true;
}

struct status sweeps_add(struct sched *s, const struct wire_record_sweep *r)
{
    struct compiled *compiled = NULL;

    TRY(compiled_parse(r->compiled.data, r->compiled.size, &compiled),
        "sweep %.*s of the log", (int)r->id.size, r->id.data);
    enlist(s, make_sweep(s, compiled, r));
    return SUCCESS;
}

/* "s-" and the first digits of the digest of its idempotency text: as many as
 * make it differ from other sweeps. */
static struct sweep *find_or_name(const struct sched *s,
                                  const char *idempotency, char id[24])
{
    enum { DIGITS = 8, MOST_DIGITS = 20, STEP = 4 };
    struct digest d = digest_of(idempotency, strlen(idempotency));
    char text[DIGEST_TEXT];

    digest_to_text(&d, text);
    for (int digits = DIGITS; digits <= MOST_DIGITS; digits += STEP) {
        struct sweep *other;

        (void)snprintf(id, 24, "s-%.*s", digits, text);
        other = map_get_text(s->sweeps_by_id, id);
        if (other == NULL)
            return NULL;
        if (strcmp(other->idempotency, idempotency) == 0)
            return other;
    }
    abort(); /* 80 bits of SHA-256 were equal four times */
}

MUST_CHECK static struct status accept(struct sched *s, const char *id,
                                       const char *idempotency,
                                       const struct wire_submit *m,
                                       struct compiled *compiled)
{
    struct wire_message record = { .type = WIRE_RECORD_SWEEP };
    struct sweep *sweep;

    record.record_sweep = (struct wire_record_sweep){
        .id = wire_text(id),
        .idempotency = wire_text(idempotency),
        .compiled = m->compiled,
        .wall_ms = s->t.wall_ms,
    };
    TRY(sched_record(s, &record), "sweep %s", id);
    sweep = make_sweep(s, compiled, &record.record_sweep);
    sweeps_start_clock(s, sweep);
    enlist(s, sweep);
    outbox_note(s->out, false, "sweep accepted",
                "sweep=%s name=\"%s\" trials=%llu", id, compiled_name(compiled),
                (unsigned long long)sweeps_budget(sweep));
    return SUCCESS;
}

/* On success the sweep exists: made now, or there before (duplicate). */
MUST_CHECK static struct status submit(struct sched *s,
                                       const struct wire_submit *m, char id[24],
                                       bool *ret_duplicate)
{
    AUTO(free_pointer) char *idempotency = sched_clean(m->idempotency);
    struct compiled *compiled = NULL;
    struct status st;

    if (idempotency[0] == '\0' || m->idempotency.size > LIMIT_URL)
        return FAIL(STATUS_INVALID,
                    "the idempotency text is missing or "
                    "longer than %d bytes",
                    LIMIT_URL);
    *ret_duplicate = find_or_name(s, idempotency, id) != NULL;
    if (*ret_duplicate)
        return SUCCESS;
    if (m->compiled.size > LIMIT_COMPILED)
        return FAIL(STATUS_TOO_BIG,
                    "the compiled sweep has %zu bytes, at "
                    "most %d are taken",
                    m->compiled.size, LIMIT_COMPILED);
    if (s->sweep_count >= LIMIT_SWEEPS)
        return FAIL(STATUS_TOO_BIG, "there are %zu sweeps already",
                    s->sweep_count);
    TRY_PLAIN(compiled_parse(m->compiled.data, m->compiled.size, &compiled));
    st = check_size(compiled);
    if (!status_failed(&st))
        st = accept(s, id, idempotency, m, compiled);
    if (status_failed(&st))
        compiled_free(compiled);
    return st;
}

struct status sweeps_submit(struct sched *s, struct peer peer,
                            const struct wire_submit *m)
{
    struct wire_message reply = { .type = WIRE_ACCEPTED };
    char id[24];
    bool duplicate = false;

    TRY_PLAIN(submit(s, m, id, &duplicate));
    reply.accepted.request = m->request;
    reply.accepted.sweep = wire_text(id);
    reply.accepted.duplicate = duplicate;
    return outbox_send(s->out, peer, &reply, false);
}

/* NULL if there is none. */
MUST_CHECK static struct status find_prefix(const struct sched *s,
                                            const char *text,
                                            struct sweep **ret_sweep)
{
    struct sweep *found = NULL;

    for (size_t i = 0; i < s->sweep_count; i++) {
        if (strncmp(s->sweeps[i]->id, text, strlen(text)) != 0)
            continue;
        if (found != NULL)
            return FAIL(STATUS_INVALID,
                        "\"%s\" begins the ids of several "
                        "sweeps (%s, %s): give more of it",
                        text, found->id, s->sweeps[i]->id);
        found = s->sweeps[i];
    }
    *ret_sweep = found;
    return SUCCESS;
}

/* An export: nobody who asks for the last sweep means it. */
static bool is_hidden(const struct sweep *sweep)
{
    return json_bool_or(compiled_document(sweep->compiled), "hidden", false);
}

struct status sweeps_find(const struct sched *s, const char *text,
                          struct sweep **ret_sweep)
{
    enum { LEAST_PREFIX = 3 }; /* "s-" alone would name all */
    bool last = strcmp(text, "@last") == 0;
    struct sweep *sweep = map_get_text(s->sweeps_by_id, text);

    for (size_t i = s->sweep_count; i > 0 && sweep == NULL; i--) {
        struct sweep *other = s->sweeps[i - 1];

        if (last ? !is_hidden(other)
                 : strcmp(compiled_name(other->compiled), text) == 0)
            sweep = other;
    }
    if (sweep == NULL && last)
        return FAIL(STATUS_NOT_FOUND, "there are no sweeps yet; submit one: "
                                      "sinter submit FILE, or sinter run FILE");
    if (sweep == NULL && strlen(text) >= LEAST_PREFIX)
        TRY_PLAIN(find_prefix(s, text, &sweep));
    if (sweep == NULL)
        return FAIL(STATUS_NOT_FOUND,
                    "there is no sweep \"%s\": `sinter ls` "
                    "lists them",
                    text);
    *ret_sweep = sweep;
    return SUCCESS;
}

static void set_trial(struct sweep *sweep, uint64_t index,
                      enum trial_state state)
{
    sweep->tally[sweep->trials[index]]--;
    sweep->tally[state]++;
    sweep->trials[index] = (uint8_t)state;
}

/* Gives up all that the trial still needs, and the trial. */
static void end_trial(struct sched *s, struct trial *trial,
                      enum trial_state state)
{
    struct sweep *sweep = trial->sweep;

    for (size_t i = 0; i < trial->need_count; i++) {
        jobs_unneed(s, &trial->needs[i]);
        jobs_let_go(s, trial->needs[i].job);
    }
    if (trial->prev == NULL)
        sweep->active = trial->next;
    else
        trial->prev->next = trial->next;
    if (trial->next != NULL)
        trial->next->prev = trial->prev;
    set_trial(sweep, trial->index, state);
    free_trial(s, trial);
    s->expand_more = true;
}

/* Only what is computed now has a pace: not what the log says, and not a
 * trial that needed nothing, see activate(). */
static void note_pace(const struct sched *s, struct sweep *sweep)
{
    if (s->out != NULL)
        sweep->ring[sweep->ring_count++ % RATE_RING] = s->t.now;
}

void sweeps_trial_done(struct sched *s, struct trial *trial)
{
    note_pace(s, trial->sweep);
    best_consider(s, trial);
    end_trial(s, trial, TRIAL_DONE);
}

void sweeps_trial_failed(struct sched *s, struct trial *trial)
{
    note_pace(s, trial->sweep);
    end_trial(s, trial, TRIAL_FAILED);
}

void sweeps_reopen_failed(struct sched *s, struct sweep *sweep)
{
    s->expand_more = true;
    for (uint64_t i = 0; i < sweep->cursor; i++) {
        if (sweep->trials[i] != TRIAL_FAILED)
            continue;
        set_trial(sweep, i, TRIAL_WAITING);
        sweep->taken--;
    }
    sweep->cursor = 0;
}

void sweeps_reopen(struct sched *s, struct sweep *sweep)
{
    for (uint64_t i = 0; i < sweep->trial_count; i++) {
        if (sweep->trials[i] != TRIAL_WAITING)
            sweep->walked = i + 1;
        if (sweep->trials[i] != TRIAL_EXCLUDED)
            set_trial(sweep, i, TRIAL_WAITING);
    }
    memset(sweep->jobs, 0, sizeof sweep->jobs);
    sweep->opening = ++s->openings;
    sweep->stage_count = 0;
    free(sweep->stage_at);
    sweep->stage_at = NULL;
    sweep->known = 0;
    sweep->computed = 0;
    sweep->taken = 0;
    sweep->cursor = 0;
    sweep->has_best = false;
    sweep->state = SWEEP_RUNNING;
    sweep->ended_ms = 0;
    free(sweep->reason);
    sweep->reason = NULL;
    add_live(s, sweep);
    s->expand_more = true;
}

void sweeps_found(const struct sched *s, struct sweep *sweep)
{
    sweep->walked = ledger_count(s->jobs->ledger) + (uint64_t)ACTIVE_MOST;
}

void sweeps_retire(struct sched *s, struct sweep *sweep)
{
    remove_live(s, sweep);
}

static uint32_t add_stage(struct sched *s, struct sweep *sweep,
                          const struct stage_job *job)
{
    const char *name = sched_intern(s, job->stage, strlen(job->stage));

    for (size_t i = 0; i < sweep->stage_count; i++)
        if (sweep->stages[i].name == name)
            return (uint32_t)i;
    sweep->stages = xrealloc(sweep->stages,
                             (sweep->stage_count + 1) * sizeof(struct stage));
    sweep->stages[sweep->stage_count] = (struct stage){
        .name = name,
        .kind = sched_intern(s, job->kind, strlen(job->kind)),
    };
    return (uint32_t)sweep->stage_count++;
}

static uint32_t stage_of(struct sched *s, struct sweep *sweep,
                         const struct stage_job *job)
{
    uint32_t *at;

    if (sweep->stage_at == NULL)
        sweep->stage_at = xcalloc(compiled_stage_count(sweep->compiled) + 1,
                                  sizeof *sweep->stage_at);
    at = &sweep->stage_at[job->index];
    if (*at == 0)
        *at = 1 + add_stage(s, sweep, job);
    return *at - 1;
}

static struct trial *add_trial(struct sched *s, struct sweep *sweep,
                               uint64_t index, size_t needs)
{
    struct trial *trial =
        needs <= TRIAL_NEEDS
            ? pool_take(&s->jobs->trials)
            : xcalloc(1, sizeof *trial + needs * sizeof(struct need));

    trial->need_room = needs;
    trial->sweep = sweep;
    trial->index = index;
    trial->next = sweep->active;
    if (sweep->active != NULL)
        sweep->active->prev = trial;
    sweep->active = trial;
    set_trial(sweep, index, TRIAL_ACTIVE);
    return trial;
}

/* Tie the trial to its jobs. A job that failed after the sweep was last given
 * a chance fails the trial at once. */
static void activate(struct sched *s, struct sweep *sweep, uint64_t index,
                     const struct expansion_trial *t)
{
    struct trial *trial = add_trial(s, sweep, index, t->count);
    bool failed = false;

    for (size_t i = 0; i < t->count; i++) {
        const struct stage_job *stage = &t->jobs[i];
        struct job *job = jobs_touch(s, &stage->key);
        struct need *need = &trial->needs[trial->need_count++];

        if (job->state == JOB_FAILED && job->order < sweep->forgiven)
            history_forgive(s, job);
        *need = (struct need){ .trial = trial, .job = job };
        jobs_hold(job);
        need->stage = stage_of(s, sweep, stage);
        need->use = jobs_use(s, job, sweep, need->stage, index);
        failed = failed || job->state == JOB_FAILED;
        if (failed)
            continue;
        if (job->kind == NULL)
            job->kind = sweep->stages[need->stage].kind;
        jobs_describe(s, job, stage);
        jobs_need(s, need);
    }
    if (failed) {
        end_trial(s, trial, TRIAL_FAILED);
    } else if (trial->pending == 0) {
        best_consider(s, trial);
        end_trial(s, trial, TRIAL_DONE);
    }
}

static void expand_trial(struct sched *s, struct sweep *sweep, uint64_t index)
{
    struct expansion_trial trial = { 0 };
    struct status st;

    if (s->scratch == NULL)
        s->scratch = expansion_scratch_new();
    if (sweep->expansion == NULL)
        sweep->expansion = expansion_new(sweep->compiled);
    st = expansion_trial(sweep->expansion, index, s->scratch, &trial);
    if (!status_failed(&st) && trial.excluded) {
        set_trial(sweep, index, TRIAL_EXCLUDED);
        return;
    }
    sweep->taken++;
    if (status_failed(&st)) {
        /* Why is found again when somebody asks (report.c). */
        set_trial(sweep, index, TRIAL_FAILED);
        return;
    }
    activate(s, sweep, index, &trial);
}

static bool wants_trials(const struct sweep *sweep)
{
    uint64_t active = sweep->tally[TRIAL_ACTIVE];

    if (sweep->cursor >= sweep->trial_count ||
        sweep->taken >= sweep->limits.trials)
        return false;
    return active < ACTIVE_LEAST ||
           (sweep->ready < READY_LEAST && active < ACTIVE_MOST);
}

static bool too_many_failed(const struct sweep *sweep)
{
    return sweep->tally[TRIAL_FAILED] > sweep->limits.failures;
}

void sweeps_expand(struct sched *s)
{
    size_t budget = EXPAND_SLICE;

    s->expand_more = false;
    for (size_t i = 0; i < s->live_count; i++) {
        struct sweep *sweep = s->live[i];

        while (budget > 0 && wants_trials(sweep) && !too_many_failed(sweep)) {
            uint64_t index = sweep->cursor++;

            if (sweep->trials[index] != TRIAL_WAITING)
                continue;
            expand_trial(s, sweep, index);
            budget--;
        }
    }
    if (budget == 0)
        s->expand_more = true;
}

static void drop_uses(struct sched *s, const struct sweep *sweep)
{
    while (sweep->uses != NULL)
        jobs_drop_use(s, sweep->uses);
}

/* Jobs that run for nobody any more are stopped at their workers. */
static void stop_orphans(struct sched *s, const struct sweep *sweep)
{
    for (const struct use *u = sweep->uses; u != NULL; u = u->sweep_next) {
        struct job *job = u->job;

        if (job->state != JOB_RUNNING || job->needs != NULL)
            continue;
        fleet_cancel(s, job);
        jobs_requeue(s, job, 0);
    }
}

/* Trials that had been looked at before the sweep was opened again, or before
 * the broker was restarted: some of them are done. */
static void catch_up(struct sched *s, struct sweep *sweep)
{
    while (sweep->cursor < sweep->walked &&
           sweep->cursor < sweep->trial_count &&
           sweep->taken < sweep->limits.trials) {
        uint64_t index = sweep->cursor++;

        if (sweep->trials[index] == TRIAL_WAITING)
            expand_trial(s, sweep, index);
    }
}

/* The end, on record: what follows is a summary that needs no trial. */
static void end_sweep(struct sched *s, struct sweep *sweep,
                      enum sweep_state state, const char *reason)
{
    catch_up(s, sweep);
    /* Those beyond limits.trials were never asked for. */
    for (uint64_t i = 0;
         i < sweep->trial_count && sweep->taken < sweep->limits.trials; i++) {
        if (sweep->trials[i] != TRIAL_WAITING)
            continue;
        set_trial(sweep, i, TRIAL_CANCELLED);
        sweep->taken++;
    }
    for (struct trial *trial = sweep->active; trial != NULL;) {
        struct trial *next = trial->next;

        end_trial(s, trial, TRIAL_CANCELLED);
        trial = next;
    }
    stop_orphans(s, sweep);
    sweep->state = state;
    free(sweep->reason);
    sweep->reason = reason == NULL ? NULL : xstrdup(reason);
    sweep->ended_ms = s->t.wall_ms;
    drop_uses(s, sweep);
    remove_live(s, sweep);
    history_record_end(s, sweep);
    outbox_note(s->out, false, "sweep ended",
                "sweep=%s state=%s done=%llu failed=%llu", sweep->id,
                sweep_state_names[state],
                (unsigned long long)sweep->tally[TRIAL_DONE],
                (unsigned long long)sweep->tally[TRIAL_FAILED]);
}

/* Is there nothing left to do? limits.trials leaves the rest unlooked at. */
static bool is_over(const struct sweep *sweep)
{
    return sweep->active == NULL && (sweep->cursor >= sweep->trial_count ||
                                     sweep->taken >= sweep->limits.trials);
}

static void settle(struct sched *s, struct sweep *sweep)
{
    AUTO(free_pointer) char *reason = NULL;

    if (too_many_failed(sweep)) {
        reason = xasprintf("%llu trials failed, limits.failures is %llu",
                           (unsigned long long)sweep->tally[TRIAL_FAILED],
                           (unsigned long long)sweep->limits.failures);
        end_sweep(s, sweep, SWEEP_FAILED, reason);
    } else if (is_over(sweep)) {
        bool none =
            sweep->tally[TRIAL_DONE] == 0 && sweep->tally[TRIAL_FAILED] > 0;

        end_sweep(s, sweep, none ? SWEEP_FAILED : SWEEP_DONE,
                  none ? "every trial failed" : NULL);
    } else if (sweep->ends_at <= s->t.now) {
        end_sweep(s, sweep, SWEEP_CANCELLED, "limits.time is over");
    }
}

void sweeps_settle(struct sched *s)
{
    /* From the end: settle() may remove the sweep from the list. */
    for (size_t i = s->live_count; i > 0; i--)
        settle(s, s->live[i - 1]);
}

void sweeps_remove(struct sched *s, struct sweep *sweep)
{
    size_t to = 0;

    assert(sweep->state != SWEEP_RUNNING);
    for (size_t i = 0; i < s->sweep_count; i++)
        if (s->sweeps[i] != sweep)
            s->sweeps[to++] = s->sweeps[i];
    s->sweep_count = to;
    to = 0;
    for (size_t i = 0; i < s->waiter_count; i++)
        if (s->waiters[i].sweep != sweep)
            s->waiters[to++] = s->waiters[i];
    s->waiter_count = to; /* they ask again, and are told that it is gone */
    (void)map_remove_text(s->sweeps_by_id, sweep->id);
    collect_drop_sweep(s->collect, sweep);
    jobs_forget_groups(s, sweep);
    free_sweep(s, sweep);
}

struct status sweeps_cancel(struct sched *s, const json_t *arguments,
                            json_t **ret_body)
{
    const char *reason = json_text_or(arguments, "reason", "");
    struct sweep *sweep = NULL;

    TRY_PLAIN(sweeps_find(s, json_text_or(arguments, "sweep", ""), &sweep));
    if (sweep->state == SWEEP_RUNNING) /* twice is once */
        end_sweep(s, sweep, SWEEP_CANCELLED,
                  reason[0] == '\0' ? "cancelled" : reason);
    *ret_body = json_pack("{s:s, s:s}", "sweep", sweep->id, "state",
                          sweep_state_names[sweep->state]);
    return SUCCESS;
}
