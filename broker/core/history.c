#include "broker/core/history.h"

#include "broker/core/collect.h"
#include "broker/core/command.h"
#include "broker/core/fleet.h"
#include "broker/core/jobs.h"
#include "broker/core/sweeps.h"
#include "common/limits.h"
#include "common/memory.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

const char *const sweep_state_names[SWEEP_STATES] = {
    [SWEEP_RUNNING] = "running",
    [SWEEP_DONE] = "done",
    [SWEEP_FAILED] = "failed",
    [SWEEP_CANCELLED] = "cancelled",
};

/* One letter a trial state, for runs like "d57f1d2". On record: append only. */
static const char trial_letters[TRIAL_STATES + 1] = {
    [TRIAL_WAITING] = 'w', [TRIAL_ACTIVE] = 'a',    [TRIAL_DONE] = 'd',
    [TRIAL_FAILED] = 'f',  [TRIAL_CANCELLED] = 'c', [TRIAL_EXCLUDED] = 'x',
};

void history_record(struct sched *s, const char *verb, const json_t *arguments)
{
    struct wire_message m = { .type = WIRE_RECORD_COMMAND };
    AUTO(free_pointer) char *text = json_dumps(arguments, JSON_COMPACT);
    struct status st;

    assert(text != NULL);
    m.record_command.verb = wire_text(verb);
    m.record_command.arguments = wire_text(text);
    m.record_command.at_ms = s->t.wall_ms;
    st = sched_record(s, &m);
    assert(!status_failed(&st)); /* commands are small, see write_runs() */
}

/* NULL when it would be too long for a record (millions of trials in no
 * order at all). */
static char *write_runs(const struct sweep *sweep)
{
    struct buf out;
    uint64_t from = 0;

    buf_init(&out, LIMIT_MESSAGE / 2);
    for (uint64_t i = 1; i <= sweep->trial_count; i++) {
        struct status st;

        if (i < sweep->trial_count && sweep->trials[i] == sweep->trials[from])
            continue;
        st = buf_print(&out, "%c%" PRIu64, trial_letters[sweep->trials[from]],
                       i - from);
        if (status_failed(&st)) {
            buf_release(&out);
            return NULL;
        }
        from = i;
    }
    return buf_take(&out);
}

static json_t *counts_json(const uint64_t *counts)
{
    json_t *array = json_array();

    for (int i = 0; i < JOB_STATES; i++)
        (void)json_array_append_new(array, json_integer((json_int_t)counts[i]));
    return array;
}

static json_t *stages_json(const struct sweep *sweep)
{
    json_t *array = json_array();

    for (size_t i = 0; i < sweep->stage_count; i++) {
        const struct stage *stage = &sweep->stages[i];

        (void)json_array_append_new(
            array, json_pack("{s:s, s:s, s:o}", "name", stage->name, "kind",
                             stage->kind, "jobs", counts_json(stage->jobs)));
    }
    return array;
}

json_t *history_summary(const struct sweep *sweep)
{
    json_t *a = json_pack(
        "{s:s, s:s, s:s*, s:I, s:o, s:I, s:I, s:o}", "sweep", sweep->id,
        "state", sweep_state_names[sweep->state], "reason", sweep->reason,
        "ended_ms", (json_int_t)sweep->ended_ms, "jobs",
        counts_json(sweep->jobs), "known", (json_int_t)sweep->known, "computed",
        (json_int_t)sweep->computed, "stages", stages_json(sweep));

    assert(a != NULL);
    if (sweep->has_best)
        (void)json_object_set_new(a, "best",
                                  json_pack("{s:I, s:f, s:f, s:I}", "trial",
                                            (json_int_t)sweep->best_trial,
                                            "value", sweep->best.mean, "error",
                                            sweep->best.error, "replicates",
                                            (json_int_t)sweep->best.count));
    return a;
}

void history_record_end(struct sched *s, const struct sweep *sweep)
{
    AUTO(json_release) json_t *arguments = history_summary(sweep);
    AUTO(free_pointer) char *runs = write_runs(sweep);

    if (runs != NULL)
        (void)json_object_set_new(arguments, "trials", json_string(runs));
    history_record(s, "end", arguments);
}

MUST_CHECK static struct status bad_record(const struct sweep *sweep,
                                           const char *what)
{
    return FAIL(STATUS_CORRUPT,
                "the record of the end of sweep %s: %s is "
                "not what this program writes",
                sweep->id, what);
}

/* Counts anew into the tally. */
MUST_CHECK static struct status read_runs(struct sweep *sweep, const char *text)
{
    uint64_t at = 0;

    memset(sweep->tally, 0, sizeof sweep->tally);
    while (*text != '\0') {
        const char *letter = strchr(trial_letters, *text);
        char *end;
        uint64_t count = strtoull(text + 1, &end, 10);

        if (letter == NULL || end == text + 1 ||
            count > sweep->trial_count - at)
            return bad_record(sweep, "trials");
        memset(sweep->trials + at, (int)(letter - trial_letters), count);
        sweep->tally[letter - trial_letters] += count;
        at += count;
        text = end;
    }
    return at == sweep->trial_count ? SUCCESS : bad_record(sweep, "trials");
}

static void read_counts(const json_t *array, uint64_t *ret_counts)
{
    for (size_t i = 0; i < JOB_STATES; i++)
        ret_counts[i] = (uint64_t)json_integer_value(json_array_get(array, i));
}

static void read_stages(struct sched *s, struct sweep *sweep,
                        const json_t *array)
{
    sweep->stage_count = json_array_size(array);
    sweep->stages = xrealloc(sweep->stages,
                             (sweep->stage_count + 1) * sizeof(struct stage));
    for (size_t i = 0; i < sweep->stage_count; i++) {
        const json_t *row = json_array_get(array, i);
        const char *name = json_text_or(row, "name", "");
        const char *kind = json_text_or(row, "kind", "");

        sweep->stages[i].name = sched_intern(s, name, strlen(name));
        sweep->stages[i].kind = sched_intern(s, kind, strlen(kind));
        read_counts(json_object_get(row, "jobs"), sweep->stages[i].jobs);
    }
}

static enum sweep_state find_state(const char *name)
{
    for (int i = 0; i < SWEEP_STATES; i++)
        if (strcmp(sweep_state_names[i], name) == 0)
            return (enum sweep_state)i;
    return SWEEP_RUNNING;
}

void history_restore(struct sched *s, struct sweep *sweep,
                     const json_t *arguments)
{
    const char *reason = json_text_or(arguments, "reason", NULL);
    const json_t *best = json_object_get(arguments, "best");

    sweep->state = find_state(json_text_or(arguments, "state", ""));
    free(sweep->reason);
    sweep->reason = reason == NULL ? NULL : xstrdup(reason);
    sweep->ended_ms = json_int_or(arguments, "ended_ms", 0);
    read_counts(json_object_get(arguments, "jobs"), sweep->jobs);
    sweep->known = (uint64_t)json_int_or(arguments, "known", 0);
    sweep->computed = (uint64_t)json_int_or(arguments, "computed", 0);
    read_stages(s, sweep, json_object_get(arguments, "stages"));
    sweep->has_best = best != NULL;
    sweep->best_trial = (uint64_t)json_int_or(best, "trial", 0);
    sweep->best = (struct estimate){
        .mean = json_real_or(best, "value", 0.0),
        .error = json_real_or(best, "error", 0.0),
        .count = (size_t)json_int_or(best, "replicates", 1),
    };
}

MUST_CHECK static struct status apply_end(struct sched *s,
                                          const json_t *arguments,
                                          int64_t at_ms)
{
    const char *state = json_text_or(arguments, "state", "");
    const char *runs = json_text_or(arguments, "trials", NULL);
    struct sweep *sweep = NULL;

    (void)at_ms;
    TRY_PLAIN(sweeps_find(s, json_text_or(arguments, "sweep", ""), &sweep));
    if (find_state(state) == SWEEP_RUNNING)
        return bad_record(sweep, "state");
    if (runs == NULL)
        return SUCCESS; /* too many for a record: found again, one by one */
    TRY_PLAIN(read_runs(sweep, runs));
    history_restore(s, sweep, arguments);
    sweeps_retire(s, sweep);
    return SUCCESS;
}

void history_forgive(struct sched *s, struct job *job)
{
    char key[DIGEST_TEXT];
    json_t *a;

    digest_to_text(&job->key, key);
    a = json_pack("{s:s}", "key", key);
    history_record(s, "forgive", a);
    json_decref(a);
    jobs_forgive(s, job);
}

MUST_CHECK static struct status apply_forgive(struct sched *s,
                                              const json_t *arguments,
                                              int64_t at_ms)
{
    struct digest key;
    struct job *job = NULL;

    (void)at_ms;
    if (digest_from_text(json_text_or(arguments, "key", ""), &key))
        job = jobs_find(s, &key);
    if (job != NULL)
        jobs_forgive(s, job);
    return SUCCESS;
}

/* Forgive what failed this trial. */
MUST_CHECK static struct status forgive_trial(struct sched *s,
                                              const struct sweep *sweep,
                                              uint64_t index)
{
    AUTO(json_release) json_t *values = NULL;
    struct stage_jobs jobs = { 0 };
    bool excluded = false;

    TRY_PLAIN(compiled_trial(sweep->compiled, index, &values, &excluded));
    if (excluded)
        return SUCCESS;
    TRY_PLAIN(compiled_stages(sweep->compiled, values, &jobs));
    for (size_t i = 0; i < jobs.count; i++) {
        struct job *job = jobs_find(s, &jobs.items[i].key);

        if (job != NULL)
            jobs_forgive(s, job);
    }
    stage_jobs_release(&jobs);
    return SUCCESS;
}

/* People count trials from 1. */
MUST_CHECK static struct status trial_of(const struct sweep *sweep,
                                         const json_t *number,
                                         uint64_t *ret_index)
{
    json_int_t n = json_integer_value(number);

    if (!json_is_integer(number) || n < 1 || (uint64_t)n > sweep->trial_count)
        return FAIL(STATUS_NOT_FOUND, "sweep %s has trials #1 to #%" PRIu64,
                    sweep->id, sweep->trial_count);
    *ret_index = (uint64_t)n - 1;
    return SUCCESS;
}

MUST_CHECK static struct status forgive_trials(struct sched *s,
                                               const struct sweep *sweep,
                                               const json_t *trials)
{
    for (size_t i = 0; i < json_array_size(trials); i++) {
        uint64_t index = 0;
        struct status st;

        TRY_PLAIN(trial_of(sweep, json_array_get(trials, i), &index));
        st = forgive_trial(s, sweep, index);
        (void)st; /* a trial that cannot be made fails again, in its turn */
    }
    return SUCCESS;
}

MUST_CHECK static struct status apply_retry(struct sched *s,
                                            const json_t *arguments,
                                            int64_t at_ms)
{
    const json_t *trials = json_object_get(arguments, "trials");
    struct sweep *sweep = NULL;

    TRY_PLAIN(sweeps_find(s, json_text_or(arguments, "sweep", ""), &sweep));
    if (trials == NULL)
        sweep->forgiven = s->order;
    else
        TRY_PLAIN(forgive_trials(s, sweep, trials));
    sweep->started_ms = at_ms;
    if (sweep->state != SWEEP_RUNNING)
        sweeps_reopen(s, sweep);
    else
        sweeps_reopen_failed(s, sweep);
    return SUCCESS;
}

static bool is_retryable(const struct sweep *sweep, uint64_t index)
{
    return sweep->trials[index] == TRIAL_FAILED ||
           sweep->trials[index] == TRIAL_CANCELLED;
}

MUST_CHECK static struct status count_retries(const struct sweep *sweep,
                                              const json_t *trials,
                                              uint64_t *ret_count)
{
    *ret_count = 0;
    if (trials == NULL) {
        *ret_count = sweep->tally[TRIAL_FAILED] + sweep->tally[TRIAL_CANCELLED];
        return SUCCESS;
    }
    for (size_t i = 0; i < json_array_size(trials); i++) {
        uint64_t index = 0;

        TRY_PLAIN(trial_of(sweep, json_array_get(trials, i), &index));
        *ret_count += is_retryable(sweep, index);
    }
    return SUCCESS;
}

struct status history_retry(struct sched *s, const json_t *arguments,
                            uint64_t *ret_retried)
{
    const json_t *trials = json_object_get(arguments, "trials");
    AUTO(json_release) json_t *exact = NULL;
    struct sweep *sweep = NULL;

    if (trials != NULL &&
        (!json_is_array(trials) || json_array_size(trials) > LIMIT_VALUES))
        return FAIL(STATUS_INVALID,
                    "\"trials\" is not a list of at most %d "
                    "numbers",
                    LIMIT_VALUES);
    TRY_PLAIN(sweeps_find(s, json_text_or(arguments, "sweep", ""), &sweep));
    TRY_PLAIN(count_retries(sweep, trials, ret_retried));
    if (*ret_retried == 0)
        return SUCCESS;
    /* Under the id: a name may mean another sweep when it is replayed. */
    exact = json_pack("{s:s, s:O*}", "sweep", sweep->id, "trials", trials);
    history_record(s, "retry", exact);
    TRY_PLAIN(apply_retry(s, exact, s->t.wall_ms));
    sweeps_start_clock(s, sweep);
    return SUCCESS;
}

static const struct record {
    const char *verb;
    struct status (*apply)(struct sched *s, const json_t *arguments,
                           int64_t at_ms);
} commands[] = {
    { "end", apply_end },        { "forgive", apply_forgive },
    { "retry", apply_retry },    { "worker", fleet_apply },
    { "forget", collect_apply },
};

struct status history_apply(struct sched *s,
                            const struct wire_record_command *r)
{
    const struct command *known = command_find(r->verb);
    AUTO(json_release) json_t *arguments = NULL;

    TRY_PLAIN(json_parse(r->arguments.data, r->arguments.size,
                         "a command of the log", &arguments));
    for (size_t i = 0; i < COUNT_OF(commands); i++)
        if (wire_is(r->verb, commands[i].verb))
            return commands[i].apply(s, arguments, r->at_ms);
    if (known != NULL)
        return known->apply(s, arguments, r->at_ms);
    return FAIL(STATUS_CORRUPT,
                "the log has a command \"%.*s\" that this "
                "program does not know: was it written by a newer one?",
                (int)r->verb.size, r->verb.data);
}
