#include "broker/core/snapshot.h"

#include "broker/core/collect.h"
#include "broker/core/jobs.h"
#include "broker/core/snapshot_parts.h"
#include "common/limits.h"
#include "common/memory.h"
#include "common/varint.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { VERSION = 1 };

void snapshot_free(struct snapshot *snapshot)
{
    if (snapshot == NULL)
        return;
    for (size_t i = 0; i < snapshot->count; i++)
        free(snapshot->pieces[i].owned);
    free(snapshot->pieces);
    free(snapshot);
}

/* ---- the stream ----------------------------------------------------------- */

/* The buffers have no limit that memory does not set. */
static void must(struct status st)
{
    assert(!status_failed(&st));
}

void snapshot_put(struct snapshot_stream *stream, uint64_t order,
                  const struct wire_message *m)
{
    buf_clear(&stream->record);
    must(wire_encode(m, &stream->record));
    must(varint_put(&stream->bytes, order));
    must(varint_put(&stream->bytes, stream->record.size));
    must(buf_add(&stream->bytes, stream->record.data, stream->record.size));
}

void snapshot_put_command(struct snapshot_stream *stream, uint64_t order,
                          const char *verb, const json_t *arguments)
{
    struct wire_message m = { .type = WIRE_RECORD_COMMAND };
    AUTO(free_pointer) char *text = json_dumps(arguments, JSON_COMPACT);

    m.record_command.verb = wire_text(verb);
    m.record_command.arguments = wire_text(text);
    snapshot_put(stream, order, &m);
}

static void put_job(struct snapshot_stream *stream, const struct job *job)
{
    struct wire_message m = { .type = WIRE_RECORD_JOB };

    m.record_job = (struct wire_record_job){
        .token = jobs_token(job),
        .kind = wire_text(job->kind),
        .failures = job->failures,
        .crashes = job->crashes,
        .suspect = job->suspect,
        .settled = job->settled,
        .terminal = job->state == JOB_FAILED,
        .memory_floor = job->memory_floor,
        .code = job->code,
        .message = wire_text(job->message),
        .log = wire_text(job->log),
        .worker = wire_text(job->worker),
        .at_ms = job->at_ms,
    };
    snapshot_put(stream, job->order, &m);
}

static void put_jobs(struct snapshot_stream *stream)
{
    const struct table *t = stream->s->jobs;

    for (uint32_t i = 0; i < t->live_count; i++)
        if (t->live[i] != NULL && t->live[i]->at_ms != 0 &&
            t->live[i]->state != JOB_DONE)
            put_job(stream, t->live[i]);
}

static void put_worker(struct snapshot_stream *stream, const char *name,
                       uint64_t incarnation)
{
    AUTO(json_release)
    json_t *a = json_pack("{s:s, s:I, s:b}", "name", name, "incarnation",
                          (json_int_t)incarnation, "joined", 1);

    snapshot_put_command(stream, stream->s->order, "worker", a);
}

static void put_workers(struct snapshot_stream *stream)
{
    const struct sched *s = stream->s;

    for (size_t i = 0; i < map_count(s->known); i++) {
        const void *key;
        size_t size;
        const uint64_t *incarnation = map_at(s->known, i, &key, &size);
        AUTO(free_pointer) char *name = xstrndup(key, size);

        put_worker(stream, name, *incarnation);
    }
    for (size_t i = 0; i < map_count(s->sessions); i++) {
        const struct session *w = map_at(s->sessions, i, NULL, NULL);

        put_worker(stream, w->name, w->incarnation);
    }
}

static void put_fences(struct snapshot_stream *stream)
{
    const struct map *fenced = stream->s->fenced;

    for (size_t i = 0; fenced != NULL && i < map_count(fenced); i++) {
        const void *key;
        size_t size;
        json_t *a;

        (void)map_at(fenced, i, &key, &size);
        a = json_pack("{s:s%}", "worker", (const char *)key, size);
        assert(a != NULL);
        snapshot_put_command(stream, stream->s->order, "cordon", a);
        json_decref(a);
    }
}

static void put_forgotten(struct snapshot_stream *stream)
{
    size_t from = 0;
    json_t *a;

    while ((a = collect_forgotten(stream->s, &from)) != NULL) {
        snapshot_put_command(stream, stream->s->order, "forget", a);
        json_decref(a);
    }
}

static void put_all(struct snapshot_stream *stream)
{
    const char version = VERSION;
    const struct sched *s = stream->s;

    must(buf_add(&stream->bytes, &version, 1));
    for (size_t i = 0; i < s->sweep_count; i++)
        snapshot_put_sweep(stream, s->sweeps[i]);
    put_jobs(stream);
    put_workers(stream);
    put_fences(stream);
    put_forgotten(stream);
    must(varint_put(&stream->bytes, s->order));
    must(varint_put(&stream->bytes, 0));
}

/* ---- the pieces ----------------------------------------------------------- */

static struct snapshot_piece *add_piece(struct snapshot *snapshot)
{
    if (snapshot->count == snapshot->room) {
        snapshot->room = snapshot->room == 0 ? 16 : 2 * snapshot->room;
        snapshot->pieces = xrealloc(snapshot->pieces,
                                    snapshot->room * sizeof *snapshot->pieces);
    }
    snapshot->pieces[snapshot->count] =
        (struct snapshot_piece){ .owned = NULL };
    return &snapshot->pieces[snapshot->count++];
}

static void add_data(struct snapshot *snapshot, const char *name,
                     struct wire_bytes data)
{
    struct snapshot_piece *p;

    for (int i = 0; data.size > SNAPSHOT_PIECE_MOST; i++) {
        p = add_piece(snapshot);
        (void)snprintf(p->name, sizeof p->name, "%.40s.%d", name, i);
        p->data = (struct wire_bytes){ data.data, SNAPSHOT_PIECE_MOST };
        data.data += SNAPSHOT_PIECE_MOST;
        data.size -= SNAPSHOT_PIECE_MOST;
    }
    p = add_piece(snapshot);
    (void)snprintf(p->name, sizeof p->name, "%.60s", name);
    p->data = data;
}

static void add_results(struct snapshot *snapshot, const struct ledger *l,
                        size_t known)
{
    size_t count = ledger_segments(l);
    char name[SNAPSHOT_NAME];

    for (size_t i = 0; i + 1 < count; i++) {
        (void)snprintf(name, sizeof name, "results-%zu", i);
        add_data(snapshot, name, ledger_segment(l, i));
    }
    snapshot->lasting = snapshot->count;
    for (size_t i = 0; i < known && i < snapshot->lasting; i++)
        snapshot->pieces[i].is_known = true;
    if (count == 0)
        return;
    (void)snprintf(name, sizeof name, "open-%" PRIu64 "-%" PRIu64,
                   snapshot->epoch, snapshot->sequence);
    add_data(snapshot, name, ledger_segment(l, count - 1));
    /* It grows on, and may be written a good while from now. */
    for (size_t i = snapshot->lasting; i < snapshot->count; i++) {
        struct snapshot_piece *p = &snapshot->pieces[i];

        p->owned = xcalloc(p->data.size + 1, 1);
        memcpy(p->owned, p->data.data, p->data.size);
        p->data.data = p->owned;
    }
}

static void add_state(struct snapshot *snapshot, struct sched *s)
{
    struct snapshot_stream stream = { .s = s };
    char name[SNAPSHOT_NAME];
    size_t first = snapshot->count;
    size_t size;
    char *bytes;

    buf_init(&stream.bytes, SIZE_MAX / 2);
    buf_init(&stream.record, SIZE_MAX / 2);
    put_all(&stream);
    buf_release(&stream.record);
    size = stream.bytes.size;
    bytes = buf_take(&stream.bytes);
    (void)snprintf(name, sizeof name, "state-%" PRIu64 "-%" PRIu64,
                   snapshot->epoch, snapshot->sequence);
    add_data(snapshot, name, (struct wire_bytes){ bytes, size });
    snapshot->pieces[first].owned = bytes;
}

struct snapshot *snapshot_take(struct sched *s, uint64_t epoch,
                               uint64_t sequence, size_t known)
{
    struct snapshot *snapshot = xnew(struct snapshot);

    snapshot->epoch = epoch;
    snapshot->sequence = sequence;
    add_results(snapshot, s->jobs->ledger, known);
    add_state(snapshot, s);
    return snapshot;
}

/* ---- loading --------------------------------------------------------------- */

static void apply_job(struct sched *s, const struct wire_record_job *r)
{
    struct wire_record_failure failure = {
        .token = r->token,
        .code = r->code,
        .message = r->message,
        .log = r->log,
        .worker = r->worker,
        .terminal = r->terminal,
        .at_ms = r->at_ms,
        .memory_floor = r->memory_floor,
    };
    struct job *job = jobs_touch(s, &r->token.key);

    if (r->kind.size > 0)
        job->kind = sched_intern(s, r->kind.data, r->kind.size);
    jobs_failure(s, &failure);
    job->failures = (uint32_t)r->failures;
    job->crashes = (uint32_t)r->crashes;
    job->suspect = r->suspect != 0;
    job->settled = r->settled != 0;
}

MUST_CHECK static struct status apply_command(
    struct sched *s, const struct wire_record_command *r)
{
    AUTO(json_release) json_t *arguments = NULL;

    TRY_PLAIN(json_parse(r->arguments.data, r->arguments.size,
                         "a command of the snapshot", &arguments));
    return snapshot_apply_sweep(s, arguments, r->at_ms);
}

/* What only snapshots have; the rest is as in the log. */
MUST_CHECK static struct status apply(struct sched *s,
                                      const struct wire_message *m,
                                      struct wire_bytes bytes)
{
    if (m->type == WIRE_RECORD_JOB) {
        apply_job(s, &m->record_job);
        return SUCCESS;
    }
    if (m->type == WIRE_RECORD_PART)
        return snapshot_apply_part(s, &m->record_part);
    if (m->type == WIRE_RECORD_COMMAND &&
        wire_is(m->record_command.verb, "sweep"))
        return apply_command(s, &m->record_command);
    s->order--; /* the replay counts it */
    return sched_replay(s, bytes.data, bytes.size);
}

MUST_CHECK static struct status load_record(struct sched *s, uint64_t order,
                                            struct wire_bytes bytes)
{
    struct wire_decoded decoded;
    struct status st;

    TRY(wire_decode(bytes.data, bytes.size, &decoded), "the snapshot");
    s->order = order;
    st = apply(s, &decoded.message, bytes);
    wire_release(&decoded);
    return st;
}

MUST_CHECK static struct status load_stream(struct sched *s,
                                            struct wire_bytes data)
{
    const char *at = data.data;
    const char *end = at + data.size;

    if (data.size == 0 || *at++ != VERSION)
        return FAIL(STATUS_CORRUPT, "the state is none that this program "
                                    "writes: is it of a newer one?");
    for (;;) {
        uint64_t order = 0;
        uint64_t size = 0;

        if (!varint_get(&at, end, &order) || !varint_get(&at, end, &size) ||
            size > (uint64_t)(end - at))
            return FAIL(STATUS_CORRUPT, "the state is cut off");
        if (size == 0) {
            s->order = order;
            return SUCCESS;
        }
        TRY_PLAIN(load_record(s, order, (struct wire_bytes){ at, size }));
        at += size;
    }
}

MUST_CHECK static struct status load_whole(struct sched *s, const char *name,
                                           struct wire_bytes data)
{
    if (strncmp(name, "state-", 6) == 0)
        return load_stream(s, data);
    if (strncmp(name, "results-", 8) != 0 && strncmp(name, "open-", 5) != 0)
        return FAIL(STATUS_CORRUPT, "it is no piece that this program knows: "
                                    "was it written by a newer one?");
    TRY_PLAIN(table_load_rows(s->jobs, data.data, data.size));
    s->job_count[JOB_DONE] = ledger_count(s->jobs->ledger);
    return SUCCESS;
}

MUST_CHECK static struct status load(struct sched *s, const char *name,
                                     struct wire_bytes data)
{
    struct status st;

    s->pieces_known += strncmp(name, "results-", 8) == 0;
    if (strchr(name, '.') == NULL && s->loading.size == 0)
        return load_whole(s, name, data);
    TRY_PLAIN(buf_add(&s->loading, data.data, data.size));
    if (strchr(name, '.') != NULL)
        return SUCCESS; /* there is more of it */
    st = load_whole(s, name,
                    (struct wire_bytes){ s->loading.data, s->loading.size });
    buf_release(&s->loading);
    return st;
}

struct status snapshot_load(struct sched *s, const char *name,
                            struct wire_bytes data)
{
    TRY(load(s, name, data), "piece %s of the snapshot", name);
    return SUCCESS;
}

size_t snapshot_known(const struct sched *s)
{
    return s->pieces_known;
}
