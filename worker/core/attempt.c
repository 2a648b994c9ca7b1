#include "worker/core/attempt.h"

#include <stdlib.h>
#include <string.h>

#include "common/json_scan.h"
#include "common/limits.h"
#include "common/memory.h"

void attempt_list_add(struct attempt_list *list, struct attempt *a)
{
    a->next = NULL;
    a->before = list->last;
    if (list->last != NULL)
        list->last->next = a;
    else
        list->first = a;
    list->last = a;
    list->count++;
}

void attempt_list_remove(struct attempt_list *list, struct attempt *a)
{
    if (a->before != NULL)
        a->before->next = a->next;
    else
        list->first = a->next;
    if (a->next != NULL)
        a->next->before = a->before;
    else
        list->last = a->before;
    list->count--;
}

static void kept_release(struct kept *k)
{
    wire_release(&k->decoded);
    buf_release(&k->bytes);
}

/* Through the codec: one deep copy for every kind of message. */
MUST_CHECK static struct status kept_copy(const struct wire_message *m,
                                          struct kept *ret_kept)
{
    struct kept k = { 0 };
    struct status st;

    buf_init(&k.bytes, LIMIT_MESSAGE);
    st = wire_encode(m, &k.bytes);
    if (!status_failed(&st))
        st = wire_decode(k.bytes.data, k.bytes.size, &k.decoded);
    if (status_failed(&st)) {
        buf_release(&k.bytes);
        return st;
    }
    *ret_kept = k;
    return SUCCESS;
}

/* The byte behind the object that begins at `at`. */
static const char *end_of_object(const char *at, const char *end)
{
    int depth = 0;

    for (; at < end; at++) {
        if (*at == '"' && (at = json_end_of_text(at + 1, end)) == NULL)
            break;
        depth += (*at == '{') - (*at == '}');
        if (depth == 0)
            return at + 1;
    }
    return end;
}

static struct digest model_of(struct wire_bytes params)
{
    static const char mark[] = "\"$recipe\":{";
    const struct digest none = { { 0 } };
    const char *at = params.size == 0 ? NULL
                                      : memmem(params.data, params.size, mark,
                                               sizeof mark - 1);
    const char *end = params.data + params.size;

    if (at == NULL)
        return none;
    at += sizeof mark - 2; /* its brace */
    return digest_of(at, (size_t)(end_of_object(at, end) - at));
}

struct status attempt_new(const struct wire_assignment *job,
                          struct attempt **ret_attempt)
{
    const struct wire_message m = { .type = WIRE_SLOT_RUN,
                                    .slot_run = { .job = *job } };
    struct kept run;
    struct attempt *a;

    TRY(kept_copy(&m, &run), "keep job \"%.*s\"", (int)job->label.size,
        job->label.size == 0 ? "" : job->label.data);
    a = xnew(struct attempt);
    a->run = run;
    a->token = job->token;
    a->progress.token = job->token;
    a->model = model_of(job->params);
    a->lane = SIZE_MAX;
    a->told = a->log_told = true;
    buf_init(&a->log, LIMIT_LOG_TAIL);
    *ret_attempt = a;
    return SUCCESS;
}

void attempt_free(struct attempt *a)
{
    if (a == NULL)
        return;
    kept_release(&a->run);
    if (a->state == ATTEMPT_FINISHED)
        kept_release(&a->done);
    buf_release(&a->log);
    free(a);
}

const struct wire_assignment *attempt_job(const struct attempt *a)
{
    return &a->run.decoded.message.slot_run.job;
}

void attempt_set_progress(struct attempt *a, const struct wire_progress *p)
{
    size_t size = p->unit.size < sizeof a->unit ? p->unit.size : sizeof a->unit;

    if (size > 0)
        memcpy(a->unit, p->unit.data, size);
    a->progress.done = p->done;
    a->progress.total = p->total;
    a->progress.unit = (struct wire_bytes){ a->unit, size };
    a->told = false;
}

void attempt_set_log(struct attempt *a, struct wire_bytes text)
{
    size_t skip = text.size > a->log.limit ? text.size - a->log.limit : 0;
    struct status st;

    buf_clear(&a->log);
    st = buf_add(&a->log, text.data + skip, text.size - skip);
    a->log_told = status_failed(&st);
}

void attempt_finish(struct attempt *a, const struct wire_outcome *outcome)
{
    struct wire_outcome o = *outcome;
    struct wire_message m = { .type = WIRE_DONE,
                              .done = { .outcomes = { &o, 1 } } };
    struct status st;

    o.token = a->token;
    st = kept_copy(&m, &a->done);
    if (status_failed(&st)) {
        o = (struct wire_outcome){ .token = a->token,
                                   .code = STATUS_TOO_BIG,
                                   .message = wire_text(st.message),
                                   .wall_ms = outcome->wall_ms };
        st = kept_copy(&m, &a->done);
    }
    if (status_failed(&st))
        abort(); /* a short message always fits: the codec is broken */
    a->state = ATTEMPT_FINISHED;
}

const struct wire_outcome *attempt_outcome(const struct attempt *a)
{
    return &a->done.decoded.message.done.outcomes.items[0];
}

size_t attempt_outcome_size(const struct attempt *a)
{
    return a->done.bytes.size;
}
