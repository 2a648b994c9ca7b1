#include "broker/core/collect.h"

#include "broker/core/history.h"
#include "broker/core/state.h"
#include "broker/core/sweeps.h"
#include "common/memory.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS_MOST = 4096 }; /* of one record */

struct collect {
    struct sched *s;
    int64_t before_ms;
    struct map *needed;        /* keys of jobs that make artifacts */
    uint64_t order;            /* of the sweep looked at last */
    const struct sweep *sweep; /* the one that is looked at; NULL: none */
    struct expansion *expansion;
    struct expansion_scratch *scratch;
    uint64_t trial;
    uint64_t stamp; /* of all there was to look at, when it began */
};

static bool is_hidden(const struct sweep *sweep)
{
    return json_bool_or(compiled_document(sweep->compiled), "hidden", false);
}

/* An export that was fetched long ago keeps nothing. */
static bool is_kept(const struct collect *c, const struct sweep *sweep)
{
    return !is_hidden(sweep) || sweep->state == SWEEP_RUNNING ||
           sweep->ended_ms >= c->before_ms;
}

/* Changes when sweeps or trials were added that may have been passed over. */
static uint64_t stamp_of(const struct sched *s)
{
    uint64_t stamp = s->openings;

    for (size_t i = 0; i < s->sweep_count; i++)
        stamp += s->sweeps[i]->trial_count;
    return stamp;
}

struct collect *collect_new(struct sched *s, int64_t before_ms)
{
    struct collect *c = xnew(struct collect);

    assert(s->collect == NULL);
    c->s = s;
    c->before_ms = before_ms;
    c->needed = map_new();
    c->scratch = expansion_scratch_new();
    c->stamp = stamp_of(s);
    s->collect = c;
    return c;
}

void collect_drop_sweep(struct collect *c, const struct sweep *sweep)
{
    if (c == NULL || c->sweep != sweep)
        return;
    expansion_free(c->expansion);
    c->expansion = NULL;
    c->sweep = NULL;
}

void collect_free(struct collect *c)
{
    if (c == NULL)
        return;
    collect_drop_sweep(c, c->sweep);
    expansion_scratch_free(c->scratch);
    map_free(c->needed);
    c->s->collect = NULL;
    free(c);
}

/* The next sweep that keeps something; false: there is none. */
static bool next_sweep(struct collect *c)
{
    const struct sched *s = c->s;

    for (size_t i = 0; i < s->sweep_count; i++) {
        const struct sweep *sweep = s->sweeps[i];

        if (sweep->order <= c->order || !is_kept(c, sweep))
            continue;
        c->order = sweep->order;
        c->sweep = sweep;
        c->expansion = expansion_new(sweep->compiled);
        c->trial = 0;
        return true;
    }
    return false;
}

static void mark_trial(struct collect *c)
{
    static char mark;
    struct expansion_trial t;
    struct status st =
        expansion_trial(c->expansion, c->trial++, c->scratch, &t);

    /* One that cannot be made has no jobs either. */
    for (size_t i = 0; !status_failed(&st) && i < t.count; i++)
        if (t.jobs[i].sort != STAGE_VALUE)
            (void)map_put(c->needed, t.jobs[i].key.bytes, DIGEST_SIZE, &mark);
}

bool collect_mark(struct collect *c, size_t trials)
{
    while (trials > 0) {
        if (c->sweep == NULL && !next_sweep(c)) {
            if (c->stamp == stamp_of(c->s))
                return true;
            /* Marks stay: what was needed once may be. */
            c->stamp = stamp_of(c->s);
            c->order = 0;
            continue;
        }
        if (c->trial >= c->sweep->trial_count) {
            collect_drop_sweep(c, c->sweep);
            continue;
        }
        mark_trial(c);
        trials--;
    }
    return false;
}

/* The artifact of a result; "": it has none. */
static void artifact_of(struct wire_bytes result, char ret_name[DIGEST_TEXT])
{
    static const char member[] = "\"artifact\"";
    struct digest digest;
    json_t *json;
    const char *text;

    ret_name[0] = '\0';
    if (memmem(result.data, result.size, member, sizeof member - 1) == NULL)
        return;
    json = json_loadb(result.data, result.size, 0, NULL);
    text = json_text_or(json, "artifact", "");
    if (digest_from_text(text, &digest))
        digest_to_text(&digest, ret_name);
    json_decref(json);
}

static bool is_garbage(const struct collect *c, uint32_t row)
{
    const struct ledger *l = c->s->jobs->ledger;
    const struct digest *key = ledger_key(l, row);

    return map_get(c->needed, key->bytes, DIGEST_SIZE) == NULL &&
           ledger_read(l, row).at_ms < c->before_ms;
}

void collect_each(const struct collect *c,
                  void (*visit)(void *self, const char *artifact, bool kept),
                  void *self)
{
    const struct ledger *l = c->s->jobs->ledger;
    char name[DIGEST_TEXT];

    for (uint32_t row = 0; row < ledger_count(l); row++) {
        if (!table_has_row(c->s->jobs, row))
            continue;
        artifact_of(ledger_result(l, row), name);
        if (name[0] != '\0')
            visit(self, name, !is_garbage(c, row));
    }
}

static void forget_row(struct sched *s, uint32_t row)
{
    if (s->forgotten_count == s->forgotten_room) {
        s->forgotten_room = s->forgotten_room == 0 ? 64 : 2 * s->forgotten_room;
        s->forgotten =
            xrealloc(s->forgotten, s->forgotten_room * sizeof *s->forgotten);
    }
    s->forgotten[s->forgotten_count++] = row;
    s->job_count[JOB_DONE]--;
    if (table_forget_row(s->jobs, row))
        s->job_count[JOB_IDLE]++;
}

static void record_rows(struct sched *s, json_t *rows)
{
    json_t *arguments;
    struct status st;

    if (json_array_size(rows) == 0)
        return;
    arguments = json_pack("{s:O}", "rows", rows);
    history_record(s, "forget", arguments);
    st = collect_apply(s, arguments, s->t.wall_ms);
    assert(!status_failed(&st));
    json_decref(arguments);
    (void)json_array_clear(rows);
}

/* Exports whose artifacts go: they could not be fetched any more. */
static void remove_exports(const struct collect *c)
{
    struct sched *s = c->s;

    for (size_t i = s->sweep_count; i > 0; i--) {
        struct sweep *sweep = s->sweeps[i - 1];
        json_t *arguments;

        if (is_kept(c, sweep))
            continue;
        arguments = json_pack("{s:s}", "sweep", sweep->id);
        history_record(s, "rm", arguments);
        json_decref(arguments);
        sweeps_remove(s, sweep);
    }
}

void collect_forget(struct collect *c, struct sched_time t, struct outbox *out)
{
    struct sched *s = c->s;
    uint32_t count = ledger_count(s->jobs->ledger);
    AUTO(json_release) json_t *rows = json_array();
    char name[DIGEST_TEXT];

    s->t = t;
    s->out = out;
    remove_exports(c);
    for (uint32_t row = 0; row < count; row++) {
        if (!table_has_row(s->jobs, row) || !is_garbage(c, row))
            continue;
        artifact_of(ledger_result(s->jobs->ledger, row), name);
        if (name[0] == '\0')
            continue;
        (void)json_array_append_new(rows, json_integer(row));
        if (json_array_size(rows) == ROWS_MOST)
            record_rows(s, rows);
    }
    record_rows(s, rows);
    s->out = NULL;
}

struct status collect_apply(struct sched *s, const json_t *arguments,
                            int64_t at_ms)
{
    const json_t *rows = json_object_get(arguments, "rows");

    (void)at_ms;
    for (size_t i = 0; i < json_array_size(rows); i++) {
        json_int_t row = json_integer_value(json_array_get(rows, i));

        if (row < 0 || row >= ledger_count(s->jobs->ledger))
            return FAIL(STATUS_CORRUPT, "the log forgets a result that it "
                                        "never had");
        forget_row(s, (uint32_t)row);
    }
    return SUCCESS;
}

json_t *collect_forgotten(const struct sched *s, size_t *from)
{
    json_t *rows;

    if (*from >= s->forgotten_count)
        return NULL;
    rows = json_array();
    while (*from < s->forgotten_count && json_array_size(rows) < ROWS_MOST)
        (void)json_array_append_new(rows,
                                    json_integer(s->forgotten[(*from)++]));
    return json_pack("{s:o}", "rows", rows);
}
