#include "broker/core/command.h"

#include "broker/core/fleet.h"
#include "broker/core/history.h"
#include "broker/core/jobs.h"
#include "broker/core/sweeps.h"
#include "common/memory.h"

#include <inttypes.h>
#include <string.h>

enum { PRIORITY_MOST = 100, WEIGHT_MOST = 1000 };

/* The sweep that the record names by its id. */
MUST_CHECK static struct status sweep_of(const struct sched *s,
                                         const json_t *arguments,
                                         struct sweep **ret_sweep)
{
    return sweeps_find(s, json_text_or(arguments, "sweep", ""), ret_sweep);
}

/* A sweep that has not ended. */
MUST_CHECK static struct status live_of(const struct sched *s,
                                        const json_t *arguments,
                                        const char *verb,
                                        struct sweep **ret_sweep)
{
    TRY_PLAIN(sweep_of(s, arguments, ret_sweep));
    if ((*ret_sweep)->state == SWEEP_RUNNING)
        return SUCCESS;
    return FAIL(STATUS_INVALID,
                "sweep %s has ended (%s): there is nothing to "
                "%s",
                (*ret_sweep)->id, sweep_state_names[(*ret_sweep)->state], verb);
}

static json_t *of_sweep(const struct sweep *sweep)
{
    return json_pack("{s:s}", "sweep", sweep->id);
}

MUST_CHECK static struct status check_pause(struct sched *s,
                                            const json_t *arguments,
                                            json_t **ret_exact,
                                            json_t **ret_body)
{
    struct sweep *sweep = NULL;

    TRY_PLAIN(live_of(s, arguments, "pause", &sweep));
    *ret_exact = sweep->paused ? NULL : of_sweep(sweep);
    *ret_body = json_pack("{s:s, s:I}", "sweep", sweep->id, "running",
                          (json_int_t)sweep->jobs[JOB_RUNNING]);
    return SUCCESS;
}

MUST_CHECK static struct status apply_pause(struct sched *s,
                                            const json_t *exact, int64_t at_ms)
{
    struct sweep *sweep = NULL;

    TRY_PLAIN(sweep_of(s, exact, &sweep));
    sweep->paused = true;
    sweep->paused_ms = at_ms;
    sweeps_start_clock(s, sweep);
    jobs_stand(s, sweep);
    return SUCCESS;
}

MUST_CHECK static struct status check_resume(struct sched *s,
                                             const json_t *arguments,
                                             json_t **ret_exact,
                                             json_t **ret_body)
{
    struct sweep *sweep = NULL;

    TRY_PLAIN(live_of(s, arguments, "resume", &sweep));
    *ret_exact = sweep->paused ? of_sweep(sweep) : NULL;
    *ret_body = of_sweep(sweep);
    return SUCCESS;
}

/* The pause does not count towards limits.time. */
MUST_CHECK static struct status apply_resume(struct sched *s,
                                             const json_t *exact, int64_t at_ms)
{
    struct sweep *sweep = NULL;

    TRY_PLAIN(sweep_of(s, exact, &sweep));
    if (sweep->paused && at_ms > sweep->paused_ms)
        sweep->started_ms += at_ms - sweep->paused_ms;
    sweep->paused = false;
    sweeps_start_clock(s, sweep);
    jobs_stand(s, sweep);
    s->expand_more = true;
    return SUCCESS;
}

/* Whole points, and no more than there can be. */
MUST_CHECK static struct status check_trials(const struct sweep *sweep,
                                             uint64_t *trials)
{
    uint64_t replicates = compiled_replicates(sweep->compiled);
    uint64_t limit = compiled_trial_limit(sweep->compiled);
    uint64_t now = sweeps_budget(sweep);

    if (*trials < now)
        return FAIL(STATUS_INVALID,
                    "sweep %s is to run %" PRIu64 " trials already: fewer is "
                    "not an extension, `sinter cancel` ends it",
                    sweep->id, now);
    if (*trials > limit)
        return FAIL(STATUS_INVALID,
                    "the space of sweep %s has %" PRIu64 " trials, of which "
                    "%" PRIu64 " are asked for: no more than the rest can be "
                    "added",
                    sweep->id, limit, now);
    *trials += (replicates - *trials % replicates) % replicates;
    return sweeps_check_count(*trials);
}

MUST_CHECK static struct status check_extend(struct sched *s,
                                             const json_t *arguments,
                                             json_t **ret_exact,
                                             json_t **ret_body)
{
    int64_t asked = json_int_or(arguments, "trials", 0);
    int64_t time_ms = json_int_or(arguments, "time_ms", 0);
    struct sweep *sweep = NULL;
    uint64_t trials;
    bool more;

    TRY_PLAIN(sweep_of(s, arguments, &sweep));
    if (asked < 0 || time_ms < 0 || (asked == 0 && time_ms == 0))
        return FAIL(STATUS_INVALID, "extend what? Say \"trials\" or "
                                    "\"time_ms\", what it shall be in all");
    if (asked == 0 && sweep->limits.time_ms == 0)
        return FAIL(STATUS_INVALID,
                    "sweep %s has no limits.time: there is no time to extend",
                    sweep->id);
    trials = asked == 0 ? sweeps_budget(sweep) : (uint64_t)asked;
    TRY_PLAIN(check_trials(sweep, &trials));
    if (time_ms > 0 && time_ms < sweep->limits.time_ms)
        return FAIL(STATUS_INVALID,
                    "limits.time of sweep %s is %" PRId64 " s already: less is "
                    "not an extension",
                    sweep->id, sweep->limits.time_ms / 1000);
    time_ms = time_ms == 0 || sweep->limits.time_ms == 0 ? sweep->limits.time_ms
                                                         : time_ms;
    more = trials > sweeps_budget(sweep) || time_ms > sweep->limits.time_ms;
    *ret_body = json_pack("{s:s, s:I, s:I}", "sweep", sweep->id, "trials",
                          (json_int_t)trials, "time_ms", (json_int_t)time_ms);
    if (more)
        *ret_exact = json_deep_copy(*ret_body);
    return SUCCESS;
}

MUST_CHECK static struct status apply_extend(struct sched *s,
                                             const json_t *exact, int64_t at_ms)
{
    int64_t time_ms = json_int_or(exact, "time_ms", 0);
    struct sweep *sweep = NULL;

    TRY_PLAIN(sweep_of(s, exact, &sweep));
    sweeps_grow(s, sweep, (uint64_t)json_int_or(exact, "trials", 0));
    sweep->limits.time_ms = time_ms;
    if (sweep->state != SWEEP_RUNNING) {
        /* What it has used of its time stays used; what passed since is
         * not. */
        sweep->started_ms += at_ms - sweep->ended_ms;
        sweeps_reopen(s, sweep);
    }
    sweeps_start_clock(s, sweep);
    s->expand_more = true;
    return SUCCESS;
}

MUST_CHECK static struct status check_priority(struct sched *s,
                                               const json_t *arguments,
                                               json_t **ret_exact,
                                               json_t **ret_body)
{
    struct sweep *sweep = NULL;
    int64_t value;
    double weight;

    TRY_PLAIN(live_of(s, arguments, "hurry", &sweep));
    value = json_int_or(arguments, "value", sweep->limits.priority);
    weight = json_real_or(arguments, "weight", sweeps_weight(sweep));
    if (value < -PRIORITY_MOST || value > PRIORITY_MOST)
        return FAIL(STATUS_INVALID, "a priority is %d to %d, not %" PRId64,
                    -PRIORITY_MOST, PRIORITY_MOST, value);
    if (!(weight > 0.0) || weight > WEIGHT_MOST)
        return FAIL(STATUS_INVALID, "a weight is above 0 and at most %d",
                    WEIGHT_MOST);
    *ret_body = json_pack("{s:s, s:I, s:f}", "sweep", sweep->id, "value",
                          (json_int_t)value, "weight", weight);
    if (value != sweep->limits.priority || weight < sweeps_weight(sweep) ||
        weight > sweeps_weight(sweep))
        *ret_exact = json_deep_copy(*ret_body);
    return SUCCESS;
}

MUST_CHECK static struct status apply_priority(struct sched *s,
                                               const json_t *exact,
                                               int64_t at_ms)
{
    struct sweep *sweep = NULL;

    (void)at_ms;
    TRY_PLAIN(sweep_of(s, exact, &sweep));
    sweep->limits.priority = json_int_or(exact, "value", 0);
    sweep->weight = json_real_or(exact, "weight", 1.0);
    jobs_stand(s, sweep);
    return SUCCESS;
}

MUST_CHECK static struct status check_rm(struct sched *s,
                                         const json_t *arguments,
                                         json_t **ret_exact, json_t **ret_body)
{
    struct sweep *sweep = NULL;

    TRY_PLAIN(sweep_of(s, arguments, &sweep));
    if (sweep->state == SWEEP_RUNNING)
        return FAIL(STATUS_INVALID,
                    "sweep %s is still running: `sinter cancel %s` first",
                    sweep->id, sweep->id);
    *ret_exact = of_sweep(sweep);
    *ret_body = of_sweep(sweep);
    return SUCCESS;
}

MUST_CHECK static struct status apply_rm(struct sched *s, const json_t *exact,
                                         int64_t at_ms)
{
    struct sweep *sweep = NULL;

    (void)at_ms;
    TRY_PLAIN(sweep_of(s, exact, &sweep));
    sweeps_remove(s, sweep);
    return SUCCESS;
}

static const char *worker_name(const json_t *arguments)
{
    return json_text_or(arguments, "worker", "");
}

static bool is_known(const struct sched *s, const char *name)
{
    for (size_t i = 0; i < map_count(s->sessions); i++) {
        const struct session *w = map_at(s->sessions, i, NULL, NULL);

        if (strcmp(w->name, name) == 0)
            return true;
    }
    return fleet_is_cordoned(s, name);
}

MUST_CHECK static struct status worker_of(const struct sched *s,
                                          const json_t *arguments,
                                          json_t **ret_body)
{
    const char *name = worker_name(arguments);

    if (name[0] == '\0' || !is_known(s, name))
        return FAIL(STATUS_NOT_FOUND,
                    "there is no worker \"%.200s\": `sinter workers` lists "
                    "them",
                    name);
    *ret_body = json_pack("{s:s}", "worker", name);
    return SUCCESS;
}

MUST_CHECK static struct status check_cordon(struct sched *s,
                                             const json_t *arguments,
                                             json_t **ret_exact,
                                             json_t **ret_body)
{
    TRY_PLAIN(worker_of(s, arguments, ret_body));
    if (!fleet_is_cordoned(s, worker_name(arguments)))
        *ret_exact = json_incref(*ret_body);
    return SUCCESS;
}

MUST_CHECK static struct status apply_cordon(struct sched *s,
                                             const json_t *exact, int64_t at_ms)
{
    (void)at_ms;
    fleet_cordon(s, worker_name(exact), true);
    return SUCCESS;
}

MUST_CHECK static struct status check_uncordon(struct sched *s,
                                               const json_t *arguments,
                                               json_t **ret_exact,
                                               json_t **ret_body)
{
    TRY_PLAIN(worker_of(s, arguments, ret_body));
    if (fleet_is_cordoned(s, worker_name(arguments)))
        *ret_exact = json_incref(*ret_body);
    return SUCCESS;
}

MUST_CHECK static struct status apply_uncordon(struct sched *s,
                                               const json_t *exact,
                                               int64_t at_ms)
{
    (void)at_ms;
    fleet_cordon(s, worker_name(exact), false);
    return SUCCESS;
}

/* Said again it asks again for what has not begun. */
MUST_CHECK static struct status check_drain(struct sched *s,
                                            const json_t *arguments,
                                            json_t **ret_exact,
                                            json_t **ret_body)
{
    TRY_PLAIN(worker_of(s, arguments, ret_body));
    *ret_exact = json_incref(*ret_body);
    return SUCCESS;
}

MUST_CHECK static struct status apply_drain(struct sched *s,
                                            const json_t *exact, int64_t at_ms)
{
    (void)at_ms;
    fleet_drain(s, worker_name(exact));
    return SUCCESS;
}

const struct command command_table[] = {
    { "pause", "`sweep`", check_pause, apply_pause },
    { "resume", "`sweep`", check_resume, apply_resume },
    { "extend", "`sweep`, `trials`?, `time_ms`?", check_extend, apply_extend },
    { "priority", "`sweep`, `value`?, `weight`?", check_priority,
      apply_priority },
    { "rm", "`sweep`", check_rm, apply_rm },
    { "drain", "`worker`", check_drain, apply_drain },
    { "cordon", "`worker`", check_cordon, apply_cordon },
    { "uncordon", "`worker`", check_uncordon, apply_uncordon },
    { 0 },
};

const struct command *command_find(struct wire_bytes verb)
{
    for (const struct command *c = command_table; c->verb != NULL; c++)
        if (wire_is(verb, c->verb))
            return c;
    return NULL;
}

struct status command_run(struct sched *s, const struct command *command,
                          const json_t *arguments, json_t **ret_body)
{
    AUTO(json_release) json_t *exact = NULL;

    TRY_PLAIN(command->check(s, arguments, &exact, ret_body));
    if (exact == NULL)
        return SUCCESS;
    history_record(s, command->verb, exact);
    outbox_note(s->out, false, "order", "verb=%s of=\"%s%s\"", command->verb,
                json_text_or(exact, "sweep", ""), worker_name(exact));
    return command->apply(s, exact, s->t.wall_ms);
}
