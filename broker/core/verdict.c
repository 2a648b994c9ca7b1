#include "broker/core/verdict.h"

#include "broker/core/dispatch.h"
#include "broker/core/expect.h"
#include "broker/core/fleet.h"
#include "broker/core/jobs.h"
#include "common/json_scan.h"
#include "common/limits.h"
#include "common/memory.h"
#include "common/philox.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum {
    CRASH_BACKOFF_MS = 200, /* before the first retry after one */
    BACKOFF_MOST_MS = 5 * 60 * 1000,
};

int64_t verdict_backoff_ms(const struct job *job, uint64_t failures,
                           int64_t backoff_ms)
{
    enum { DOUBLINGS = 20 };
    struct philox_key key = { .stream = philox_hash("backoff") };
    uint64_t times = failures > DOUBLINGS ? DOUBLINGS : failures - 1;
    int64_t most =
        backoff_ms > BACKOFF_MOST_MS ? BACKOFF_MOST_MS : backoff_ms << times;

    if (most > BACKOFF_MOST_MS)
        most = BACKOFF_MOST_MS;
    memcpy(&key.seed, job->key.bytes, sizeof key.seed);
    memcpy(&key.tensor, job->key.bytes + sizeof key.seed, sizeof key.tensor);
    return most <= 0 ? 0 : 1 + philox_below(key, job->attempt, (uint32_t)most);
}

/* Limits of the most patient sweep that waits for the job. */
struct patience {
    uint64_t retries;
    int64_t backoff_ms;
};

static struct patience patience_for(const struct job *job)
{
    struct patience p = { 0 };

    for (const struct use *u = job->uses; u != NULL; u = u->job_next) {
        if (u->wanted == 0)
            continue;
        if (u->sweep->limits.retries > p.retries)
            p.retries = u->sweep->limits.retries;
        if (u->sweep->limits.backoff_ms > p.backoff_ms)
            p.backoff_ms = u->sweep->limits.backoff_ms;
    }
    return p;
}

static bool is_final(const struct job *job, const struct wire_outcome *o,
                     const struct patience *patience)
{
    if (o->crashed == CRASH_BESIDE)
        return false;
    if (o->crashed == CRASH_SLOT || o->crashed == CRASH_LEASE)
        return job->crashes + 1 >= VERDICT_CRASHES;
    if (o->code >= STATUS_COUNT ||
        status_retry((enum status_code)o->code) == RETRY_NEVER)
        return true;
    return job->failures + 1 > patience->retries;
}

enum { MEBIBYTE_SHIFT = 20 };

/* Killed for want of memory: twice of what it had, but no more than there is.
 * Returns what the next run must be given; 0: it had as much as there is, and
 * `ret_why` says so; -1: nobody knows how much there is. The caller frees. */
static int64_t more_memory(const struct sched *s, const struct job *job,
                           const struct wire_outcome *o, char **ret_why)
{
    int64_t most = s->memory_most;
    int64_t had = job->memory_bytes > 0 ? job->memory_bytes : o->peak_bytes;
    int64_t next = had > INT64_MAX / 2 ? INT64_MAX : 2 * had;

    if (most == 0)
        return -1;
    if (job->memory_bytes >= most) {
        *ret_why = xasprintf(
            "%s was killed for want of memory with %lld MiB, all that the "
            "largest worker has: start a worker with more memory, or make "
            "the job smaller",
            job->kind == NULL ? "it" : job->kind,
            (long long)(job->memory_bytes >> MEBIBYTE_SHIFT));
        return 0;
    }
    return next > 0 && next < most ? next : most;
}

/* Before the next run. More memory, or to run alone, need not be waited for. */
static int64_t wait_ms(const struct job *job, const struct wire_outcome *o,
                       const struct patience *patience)
{
    if (o->crashed == CRASH_MEMORY || o->crashed == CRASH_BESIDE)
        return 0;
    return o->crashed == NO_CRASH
               ? verdict_backoff_ms(job, job->failures, patience->backoff_ms)
               : verdict_backoff_ms(job, job->crashes, CRASH_BACKOFF_MS);
}

/* The one place where a run without a result is counted and put on record. */
static void fail(struct sched *s, struct job *job, const struct wire_outcome *o)
{
    AUTO(free_pointer) char *why = NULL;
    struct patience patience = patience_for(job);
    int64_t memory =
        o->crashed == CRASH_MEMORY ? more_memory(s, job, o, &why) : -1;
    bool final = memory < 0 ? is_final(job, o, &patience) : memory == 0;
    struct wire_message m = { .type = WIRE_RECORD_FAILURE };
    struct status st;

    m.record_failure = (struct wire_record_failure){
        .token = o->token,
        .code = o->code,
        .crashed = o->crashed,
        .terminal = final,
        .message = why == NULL ? o->message : wire_text(why),
        .log = o->log,
        .worker = wire_text(job->worker),
        .at_ms = s->t.wall_ms,
        .memory_floor = memory > 0 ? memory : 0,
    };
    st = sched_record(s, &m);
    assert(!status_failed(&st)); /* clipped before */
    jobs_failure(s, &m.record_failure);
    s->stats.failures++;
    if (!final)
        jobs_requeue(s, job, s->t.now + wait_ms(job, o, &patience) * NS_PER_MS);
}

static void succeed(struct sched *s, struct job *job,
                    const struct wire_outcome *o)
{
    struct wire_message m = { .type = WIRE_RECORD_RESULT };
    struct status st;

    m.record_result = (struct wire_record_result){
        .token = o->token,
        .kind = wire_text(job->kind),
        .result = o->result,
        .log = o->log,
        .worker = wire_text(job->worker),
        .wall_ms = o->wall_ms,
        .at_ms = s->t.wall_ms,
        .peak_bytes = o->peak_bytes,
        .bytes_read = o->bytes_read,
        .bytes_fetched = o->bytes_fetched,
        .model = o->model,
    };
    st = sched_record(s, &m);
    assert(!status_failed(&st));
    jobs_take_result(s, job, &m.record_result);
    s->stats.results++;
}

static struct wire_bytes tail_of(struct wire_bytes b, size_t most)
{
    if (b.size > most) {
        b.data += b.size - most;
        b.size = most;
    }
    return b;
}

/* A success whose result is nothing we could give to others is a failure. */
static struct status check_result(const struct wire_outcome *o)
{
    json_t *json = NULL;
    struct status st;

    if (o->result.size > LIMIT_RESULT)
        return FAIL(STATUS_TOO_BIG,
                    "its result has %zu bytes, at most %d "
                    "are taken",
                    o->result.size, LIMIT_RESULT);
    if (json_is_plain_object(o->result.data, o->result.size))
        return SUCCESS;
    st = json_parse(o->result.data, o->result.size, "its result", &json);
    if (!status_failed(&st) && !json_is_object(json))
        st = FAIL(STATUS_CORRUPT, "its result is JSON but no object");
    json_decref(json);
    return st;
}

static void judge(struct sched *s, struct job *job,
                  const struct wire_outcome *given)
{
    struct wire_outcome o = *given;
    struct status st = SUCCESS;

    o.log = tail_of(o.log, LIMIT_LOG_TAIL);
    if (o.crashed != NO_CRASH && o.crashed != CRASH_MEMORY)
        o.crashed = CRASH_SLOT;
    o.message.size = o.message.size > STATUS_MESSAGE_SIZE ? STATUS_MESSAGE_SIZE
                                                          : o.message.size;
    if (o.code == STATUS_SUCCESS) {
        st = check_result(&o);
        o.code = st.code;
        if (status_failed(&st))
            o.message = wire_text(st.message);
    }
    if (o.code == STATUS_SUCCESS)
        succeed(s, job, &o);
    else
        fail(s, job, &o);
}

/* LATER: a worker repeats itself for as long as the store is away, and one
 * answer that waits for it is enough. */
enum answer { ANSWER_STALE, ANSWER_COMMITTED, ANSWER_LATER };

static void count_bytes(struct sched_stats *stats, const struct wire_outcome *o)
{
    if (o->bytes_fetched > 0)
        stats->fetched_bytes += (uint64_t)o->bytes_fetched;
    if (o->bytes_pulled > 0)
        stats->pulled_bytes += (uint64_t)o->bytes_pulled;
    stats->pulls_failed += o->pulls_failed;
}

static enum answer take_outcome(struct sched *s, const struct wire_outcome *o)
{
    struct job *job = jobs_find(s, &o->token.key);

    if (job == NULL || job->epoch != o->token.epoch ||
        job->attempt != o->token.attempt) {
        s->stats.stale++;
        return s->store_error == NULL ? ANSWER_STALE : ANSWER_LATER;
    }
    if (job->settled) {
        s->stats.duplicates++; /* our answer was lost on the way, or waits */
        return s->store_error == NULL ? ANSWER_COMMITTED : ANSWER_LATER;
    }
    count_bytes(&s->stats, o);
    dispatch_ended(s, job, o->wall_ms, o->code == STATUS_SUCCESS);
    if (o->code == STATUS_SUCCESS && job->session != NULL)
        locality_made(job->session, o->result.data, o->result.size);
    if (o->code == STATUS_SUCCESS ||
        (o->code != STATUS_CANCELLED && job->needs != NULL)) {
        judge(s, job, o);
        return ANSWER_COMMITTED;
    }
    /* Killed by our own wish, or failed when nobody waits for it any more:
     * no verdict. */
    jobs_take_away(job);
    if (job->state == JOB_RUNNING)
        jobs_requeue(s, job, 0);
    return ANSWER_STALE;
}

static void take_outcomes(struct sched *s, struct session *session,
                          const struct wire_outcome *outcomes, size_t count)
{
    expect_outcomes(s, outcomes, count);
    for (size_t i = 0; i < count; i++) {
        const struct wire_outcome *o = &outcomes[i];
        enum answer answer = take_outcome(s, o);

        if (answer == ANSWER_COMMITTED)
            token_list_add(&session->committed, o->token);
        else if (answer == ANSWER_STALE)
            token_list_add(&session->stale, o->token);
    }
}

struct status verdict_done(struct sched *s, struct peer peer,
                           const struct wire_done *m)
{
    struct session *session = fleet_find(s, peer);

    if (session == NULL) {
        /* It keeps its outcomes and sends them again after WELCOME. */
        fleet_ask_hello(s, peer, 0);
        return SUCCESS;
    }
    fleet_seen(s, session);
    session->changed_at = s->t.now;
    for (size_t i = 0; i < m->outcomes.count; i += EXPECT_MOST) {
        size_t left = m->outcomes.count - i;

        take_outcomes(s, session, m->outcomes.items + i,
                      left < EXPECT_MOST ? left : EXPECT_MOST);
    }
    return SUCCESS;
}

void verdict_lost(struct sched *s, struct job *job, bool alone)
{
    AUTO(free_pointer)
    char *why = xasprintf(alone ? "worker %s went silent while it ran this"
                                : "worker %s went silent while it ran this "
                                  "and others; each is tried alone",
                          job->worker);
    struct wire_outcome o = {
        .token = jobs_token(job),
        .code = STATUS_LOST,
        .message = wire_text(why),
        .crashed = alone ? CRASH_LEASE : CRASH_BESIDE,
    };

    if (job->needs == NULL) {
        jobs_take_away(job);
        jobs_requeue(s, job, 0);
        return;
    }
    fail(s, job, &o);
}

void verdict_impossible(struct sched *s, struct job *job,
                        const struct status *why)
{
    struct wire_outcome o = {
        .token = jobs_token(job),
        .code = why->code,
        .message = wire_text(why->message),
    };

    fail(s, job, &o);
}
