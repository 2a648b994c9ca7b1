/* snapshot_sweep.c -- one sweep: its record, what commands and time have made
 * of it, and three long rows in parts:
 *
 *     trials   runs of trials in one state: its letter, their number
 *     counted  runs of rows of the ledger that a live sweep counts among its
 *              own: how many are not, how many are
 *     scores   of a live sweep with replicates: the bits of each, 8 bytes,
 *              lowest first
 *
 * Trials of a live sweep are done, excluded or still to be looked at: whatever
 * was going on begins again, and finds the jobs that failed as they are. */
#include "broker/core/snapshot_parts.h"

#include "broker/core/history.h"
#include "broker/core/jobs.h"
#include "broker/core/sweeps.h"
#include "common/memory.h"
#include "common/varint.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { PART_BYTES = 256 << 10, NUMBER_BYTES = 8, WORD_BYTES = 16 };

static const char part_trials[] = "trials";
static const char part_counted[] = "counted";
static const char part_scores[] = "scores";

/* One of the long rows while it is written. */
struct part {
    struct snapshot_stream *stream;
    const struct sweep *sweep;
    const char *what;
    uint64_t from;
    struct buf data;
};

static struct part begin_part(struct snapshot_stream *stream,
                              const struct sweep *sweep, const char *what)
{
    struct part part = { .stream = stream, .sweep = sweep, .what = what };

    buf_init(&part.data, (size_t)2 * PART_BYTES);
    return part;
}

static void flush_part(struct part *part, uint64_t next)
{
    struct wire_message m = { .type = WIRE_RECORD_PART };

    m.record_part = (struct wire_record_part){
        .sweep = wire_text(part->sweep->id),
        .what = wire_text(part->what),
        .from = part->from,
        .data = { part->data.data, part->data.size },
    };
    if (part->data.size > 0)
        snapshot_put(part->stream, part->sweep->order, &m);
    buf_clear(&part->data);
    part->from = next;
}

static void end_part(struct part *part)
{
    flush_part(part, 0);
    buf_release(&part->data);
}

/* `next`: what the following part begins with. */
static void add_number(struct part *part, uint64_t number)
{
    struct status st = varint_put(&part->data, number);

    assert(!status_failed(&st));
}

static void end_run(struct part *part, uint64_t next)
{
    if (part->data.size >= PART_BYTES)
        flush_part(part, next);
}

/* ---- writing -------------------------------------------------------------- */

static uint8_t kept_state(const struct sweep *sweep, uint64_t trial)
{
    uint8_t state = sweep->trials[trial];

    return sweep->state != SWEEP_RUNNING || state == TRIAL_DONE ||
                   state == TRIAL_EXCLUDED
               ? state
               : TRIAL_WAITING;
}

/* Where the run of trials in one state ends that begins at `i`. A million of
 * them are looked at while nobody is heard: in words where they are equal. */
static uint64_t end_of_trials(const struct sweep *sweep, uint64_t i)
{
    uint8_t state = kept_state(sweep, i);

    while (i < sweep->trial_count && kept_state(sweep, i) == state) {
        uint8_t word[WORD_BYTES];

        memset(word, sweep->trials[i], sizeof word);
        for (i++; i + WORD_BYTES <= sweep->trial_count &&
                  memcmp(sweep->trials + i, word, sizeof word) == 0;)
            i += WORD_BYTES;
    }
    return i;
}

static void put_trials(struct snapshot_stream *stream,
                       const struct sweep *sweep)
{
    struct part part = begin_part(stream, sweep, part_trials);
    uint64_t from = 0;

    while (from < sweep->trial_count) {
        uint64_t end = end_of_trials(sweep, from);

        add_number(&part, kept_state(sweep, from));
        add_number(&part, end - from);
        end_run(&part, end);
        from = end;
    }
    end_part(&part);
}

/* The first row from `i` on that the sweep does not count (or does). */
static uint32_t end_of_rows(const struct snapshot_stream *stream,
                            const struct sweep *sweep, uint32_t i, bool counted)
{
    const struct ledger *l = stream->s->jobs->ledger;

    while (i < ledger_count(l) &&
           jobs_is_counted(stream->s, sweep, i) == counted)
        i = sweep->also_bytes == 0 ? ledger_mark_end(l, i) : i + 1;
    return i;
}

static void put_counted(struct snapshot_stream *stream,
                        const struct sweep *sweep)
{
    struct part part = begin_part(stream, sweep, part_counted);
    uint32_t rows = ledger_count(stream->s->jobs->ledger);
    uint32_t i = 0;

    while (i < rows) {
        uint32_t from = i;
        uint32_t first = end_of_rows(stream, sweep, from, false);

        i = end_of_rows(stream, sweep, first, true);
        add_number(&part, first - from);
        add_number(&part, i - first);
        end_run(&part, i);
    }
    end_part(&part);
}

static void put_scores(struct snapshot_stream *stream,
                       const struct sweep *sweep)
{
    struct part part = begin_part(stream, sweep, part_scores);

    for (uint64_t i = 0; sweep->scores != NULL && i < sweep->trial_count; i++) {
        unsigned char bytes[NUMBER_BYTES];
        uint64_t bits;
        struct status st;

        memcpy(&bits, &sweep->scores[i], sizeof bits);
        for (int k = 0; k < NUMBER_BYTES; k++)
            bytes[k] = (unsigned char)(bits >> 8 * k);
        st = buf_add(&part.data, bytes, sizeof bytes);
        assert(!status_failed(&st));
        end_run(&part, i + 1);
    }
    end_part(&part);
}

/* Of a live one only what is done is counted: the rest will be again. */
static void keep_done(json_t *counts)
{
    for (size_t i = 0; i < JOB_STATES; i++)
        if (i != JOB_DONE)
            (void)json_array_set_new(counts, i, json_integer(0));
}

static json_t *summary_of(const struct sweep *sweep)
{
    json_t *a = history_summary(sweep);
    json_t *stages = json_object_get(a, "stages");
    json_t *more = json_pack(
        "{s:I, s:I, s:b, s:I, s:I, s:I, s:I, s:f, s:f, s:I}", "forgiven",
        (json_int_t)sweep->forgiven, "started_ms",
        (json_int_t)sweep->started_ms, "paused", (int)sweep->paused,
        "paused_ms", (json_int_t)sweep->paused_ms, "trials",
        (json_int_t)sweep->limits.trials, "time_ms",
        (json_int_t)sweep->limits.time_ms, "priority",
        (json_int_t)sweep->limits.priority, "share", sweep->limits.weight,
        "weight", sweep->weight, "grown", (json_int_t)sweep->trial_count);

    assert(more != NULL);
    (void)json_object_update(a, more);
    json_decref(more);
    if (sweep->state != SWEEP_RUNNING)
        return a;
    keep_done(json_object_get(a, "jobs"));
    for (size_t i = 0; i < json_array_size(stages); i++)
        keep_done(json_object_get(json_array_get(stages, i), "jobs"));
    return a;
}

void snapshot_put_sweep(struct snapshot_stream *stream,
                        const struct sweep *sweep)
{
    struct wire_message m = { .type = WIRE_RECORD_SWEEP };
    AUTO(json_release) json_t *summary = summary_of(sweep);
    AUTO(free_pointer)
    char *compiled =
        json_dumps(compiled_document(sweep->compiled), JSON_COMPACT);

    m.record_sweep = (struct wire_record_sweep){
        .id = wire_text(sweep->id),
        .idempotency = wire_text(sweep->idempotency),
        .compiled = wire_text(compiled),
        .wall_ms = sweep->submitted_ms,
    };
    snapshot_put(stream, sweep->order, &m);
    snapshot_put_command(stream, sweep->order, "sweep", summary);
    put_trials(stream, sweep);
    if (sweep->state != SWEEP_RUNNING)
        return;
    put_counted(stream, sweep);
    put_scores(stream, sweep);
}

/* ---- reading -------------------------------------------------------------- */

struct status snapshot_apply_sweep(struct sched *s, const json_t *arguments,
                                   int64_t at_ms)
{
    struct sweep *sweep = NULL;

    (void)at_ms;
    TRY_PLAIN(sweeps_find(s, json_text_or(arguments, "sweep", ""), &sweep));
    history_restore(s, sweep, arguments);
    sweeps_grow(s, sweep, (uint64_t)json_int_or(arguments, "grown", 0));
    sweep->forgiven = (uint64_t)json_int_or(arguments, "forgiven", 0);
    sweep->started_ms = json_int_or(arguments, "started_ms", 0);
    sweep->paused = json_bool_or(arguments, "paused", false);
    sweep->paused_ms = json_int_or(arguments, "paused_ms", 0);
    sweep->limits.trials = (uint64_t)json_int_or(arguments, "trials", -1);
    sweep->limits.time_ms = json_int_or(arguments, "time_ms", 0);
    sweep->limits.priority = json_int_or(arguments, "priority", 0);
    sweep->limits.weight = json_real_or(arguments, "share", 1.0);
    sweep->weight = json_real_or(arguments, "weight", 0.0);
    if (sweep->state != SWEEP_RUNNING)
        sweeps_retire(s, sweep);
    return SUCCESS;
}

/* Two numbers of a run; false: they are none, or the bytes are over. */
static bool next_run(const char **at, const char *end, uint64_t *a, uint64_t *b)
{
    return *at < end && varint_get(at, end, a) && varint_get(at, end, b);
}

static bool read_trials(struct sched *s, struct sweep *sweep,
                        const struct wire_record_part *r)
{
    const char *at = r->data.data;
    const char *end = at + r->data.size;
    uint64_t i = r->from;
    uint64_t state;
    uint64_t count;

    (void)s;
    while (next_run(&at, end, &state, &count)) {
        if (state >= TRIAL_STATES || i > sweep->trial_count ||
            count > sweep->trial_count - i)
            return false;
        memset(sweep->trials + i, (int)state, count);
        sweep->tally[TRIAL_WAITING] -= count;
        sweep->tally[state] += count;
        if (state != TRIAL_WAITING && state != TRIAL_EXCLUDED)
            sweep->taken += count;
        i += count;
    }
    return at == end;
}

static bool read_counted(struct sched *s, struct sweep *sweep,
                         const struct wire_record_part *r)
{
    const char *at = r->data.data;
    const char *end = at + r->data.size;
    uint64_t rows = ledger_count(s->jobs->ledger);
    uint64_t i = r->from;
    uint64_t skip;
    uint64_t count;

    while (next_run(&at, end, &skip, &count)) {
        if (i > rows || skip > rows - i || count > rows - i - skip)
            return false;
        i += skip;
        for (; count > 0; count--, i++)
            jobs_count_row(s, sweep, (uint32_t)i);
    }
    return at == end;
}

static bool read_scores(struct sched *s, struct sweep *sweep,
                        const struct wire_record_part *r)
{
    const unsigned char *at = (const unsigned char *)r->data.data;
    uint64_t count = r->data.size / NUMBER_BYTES;

    (void)s;
    if (r->data.size % NUMBER_BYTES != 0 || r->from > sweep->trial_count ||
        count > sweep->trial_count - r->from)
        return false;
    if (sweep->scores == NULL)
        sweep->scores = xcalloc(sweep->trial_count, sizeof *sweep->scores);
    for (uint64_t i = 0; i < count; i++, at += NUMBER_BYTES) {
        uint64_t bits = 0;

        for (int k = NUMBER_BYTES - 1; k >= 0; k--)
            bits = bits << 8 | at[k];
        memcpy(&sweep->scores[r->from + i], &bits, sizeof bits);
    }
    return true;
}

static const struct {
    const char *what;
    bool (*read)(struct sched *s, struct sweep *sweep,
                 const struct wire_record_part *r);
} parts[] = {
    { part_trials, read_trials },
    { part_counted, read_counted },
    { part_scores, read_scores },
};

struct status snapshot_apply_part(struct sched *s,
                                  const struct wire_record_part *r)
{
    AUTO(free_pointer) char *id = wire_take(r->sweep);
    struct sweep *sweep = NULL;

    TRY_PLAIN(sweeps_find(s, id, &sweep));
    for (size_t i = 0; i < COUNT_OF(parts); i++)
        if (wire_is(r->what, parts[i].what) && parts[i].read(s, sweep, r))
            return SUCCESS;
    return FAIL(STATUS_CORRUPT,
                "sweep %s of the snapshot: \"%.*s\" cannot be "
                "read: was it written by a newer sinter-broker?",
                id, (int)r->what.size, r->what.data);
}
