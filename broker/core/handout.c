#include "broker/core/handout.h"

#include "broker/core/fleet.h"
#include "broker/core/jobs.h"
#include "broker/core/verdict.h"
#include "common/memory.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum {
    ASSIGN_MOST = 64, /* jobs in one message */
    ASSIGN_BYTES = 256 << 10,
};

void handout_add(struct session *session, struct job *job)
{
    if (session->batch_count == session->batch_room) {
        session->batch_room =
            session->batch_room == 0 ? 16 : 2 * session->batch_room;
        session->batch = xrealloc(session->batch,
                                  session->batch_room * sizeof(struct job *));
    }
    session->batch[session->batch_count++] = job;
    fleet_speak(session);
}

static size_t size_of(const struct sched *s, const struct job *job)
{
    enum { FRAME = 256 };
    size_t size = FRAME + job->params_size;

    for (size_t i = 0; i < job->input_count; i++)
        size += FRAME + jobs_result_text(s, job->inputs[i]).size;
    return size;
}

/* Who else has what the worker is to fetch; the caller frees the items. */
static struct wire_holders holders_of(const struct job *job)
{
    struct wire_holder items[LOCALITY_HOLDERS];
    struct wire_holders holders = { .items = NULL };

    if (job->place == NULL || job->session->address == NULL)
        return holders;
    holders.count = locality_holders(job->session, job->place, items);
    if (holders.count == 0)
        return holders;
    holders.items = xcalloc(holders.count, sizeof *holders.items);
    memcpy(holders.items, items, holders.count * sizeof *items);
    return holders;
}

/* Its lists are the caller's to free. */
static struct wire_assignment assignment_of(const struct sched *s,
                                            const struct job *job,
                                            char label[JOBS_LABEL])
{
    struct wire_assignment a = {
        .token = jobs_token(job),
        .kind = wire_text(job->kind),
        .params = { job->params, job->params_size },
        .label = wire_text(jobs_label(job, label)),
        .stall_ms = job->stall_ms,
        .limit_ms = job->limit_ms,
        .memory_bytes = job->memory_bytes,
        .batch = job->unit == NULL ? 0 : job->unit->number,
        .cpus = (uint64_t)job->cpus,
        .solo = job->session->solo == job,
        .holders = holders_of(job),
    };

    if (job->input_count == 0)
        return a;
    a.inputs.items = xcalloc(job->input_count, sizeof *a.inputs.items);
    a.inputs.count = job->input_count;
    for (size_t i = 0; i < job->input_count; i++) {
        a.inputs.items[i].key = job->inputs[i]->key;
        a.inputs.items[i].result = jobs_result_text(s, job->inputs[i]);
    }
    return a;
}

static void free_lists(const struct wire_assignment *a)
{
    free(a->inputs.items);
    free(a->holders.items);
}

/* Were this broker to die before its records are durable, would the next one
 * give the same? The inputs of a job, and what is known of its failures, are in
 * records; its token is not, and no token of another epoch is equal to it. */
static bool rests_on_records(const struct job *job)
{
    return job->input_count > 0 || job->failures > 0 || job->crashes > 0 ||
           job->suspect;
}

MUST_CHECK static struct status send_jobs(struct sched *s,
                                          const struct session *session,
                                          struct job *const *jobs, size_t count)
{
    char labels[ASSIGN_MOST][JOBS_LABEL];
    struct wire_assignment items[ASSIGN_MOST];
    struct wire_message m = { .type = WIRE_ASSIGN };
    bool early = true;
    struct status st;

    assert(count <= ASSIGN_MOST);
    for (size_t i = 0; i < count; i++) {
        items[i] = assignment_of(s, jobs[i], labels[i]);
        early = early && !rests_on_records(jobs[i]);
    }
    m.assign.jobs.items = items;
    m.assign.jobs.count = count;
    st = outbox_send(s->out, session->peer, &m, early);
    for (size_t i = 0; i < count; i++)
        free_lists(&items[i]);
    return st;
}

/* As many of the batch, from `at`, as go into one message. */
static size_t message_length(const struct sched *s,
                             const struct session *session, size_t at)
{
    size_t bytes = 0;
    size_t count = 0;

    while (at + count < session->batch_count && count < ASSIGN_MOST) {
        bytes += size_of(s, session->batch[at + count]);
        if (bytes > ASSIGN_BYTES && count > 0)
            break;
        count++;
    }
    return count;
}

void handout_send(struct sched *s, struct session *session)
{
    size_t count;

    for (size_t at = 0; at < session->batch_count; at += count) {
        struct status st;

        count = message_length(s, session, at);
        st = send_jobs(s, session, session->batch + at, count);
        /* Only a single job with huge inputs can be too big. */
        if (status_failed(&st))
            verdict_impossible(s, session->batch[at], &st);
    }
    session->batch_count = 0;
}
