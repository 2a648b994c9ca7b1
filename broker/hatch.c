#include "broker/hatch.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/memory.h"

enum { QUEUE_MOST = 64, PATIENCE_S = 3 };

enum stage { QUEUED, TAKEN, ANSWERED, ABANDONED };

struct question {
    struct hatch_question shown; /* first: hatch_reply() gets it back */
    char *verb, *arguments;
    enum stage stage;
    struct status status;
    char *body;
    struct question *next;
};

struct hatch {
    pthread_mutex_t mutex;
    pthread_cond_t answered;
    struct question *first;
    size_t count;
    int event;
    _Atomic int64_t beat; /* clock_now() of the loop */
    atomic_bool ready;
    bool standby;                  /* with the mutex */
    char elsewhere[HATCH_ADDRESS]; /* the leader's address */
};

struct status hatch_new(struct hatch **ret_hatch)
{
    struct hatch *h;
    int event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

    if (event < 0)
        return FAIL(STATUS_FAILED, "eventfd: %s", strerror(errno));
    h = xnew(struct hatch);
    h->event = event;
    (void)pthread_mutex_init(&h->mutex, NULL);
    clock_condition_init(&h->answered);
    hatch_beat(h);
    *ret_hatch = h;
    return SUCCESS;
}

static void free_question(struct question *q)
{
    free(q->verb);
    free(q->arguments);
    free(q->body);
    free(q);
}

void hatch_free(struct hatch *h)
{
    if (h == NULL)
        return;
    while (h->first != NULL) {
        struct question *next = h->first->next;

        free_question(h->first);
        h->first = next;
    }
    (void)pthread_cond_destroy(&h->answered);
    (void)pthread_mutex_destroy(&h->mutex);
    (void)close(h->event);
    free(h);
}

int hatch_descriptor(const struct hatch *h)
{
    return h->event;
}

void hatch_beat(struct hatch *h)
{
    atomic_store(&h->beat, clock_now());
}

int64_t hatch_silence_ms(const struct hatch *h)
{
    return (clock_now() - atomic_load(&h->beat)) / NS_PER_MS;
}

void hatch_set_ready(struct hatch *h)
{
    atomic_store(&h->ready, true);
}

bool hatch_is_ready(const struct hatch *h)
{
    return atomic_load(&h->ready);
}

void hatch_set_standby(struct hatch *h, bool standby, const char *address)
{
    (void)pthread_mutex_lock(&h->mutex);
    h->standby = standby;
    (void)snprintf(h->elsewhere, HATCH_ADDRESS, "%s", address);
    (void)pthread_mutex_unlock(&h->mutex);
}

bool hatch_is_standby(struct hatch *h, char address[HATCH_ADDRESS])
{
    bool standby;

    (void)pthread_mutex_lock(&h->mutex);
    standby = h->standby;
    (void)snprintf(address, HATCH_ADDRESS, "%s", h->elsewhere);
    (void)pthread_mutex_unlock(&h->mutex);
    return standby;
}

static void append_question(struct hatch *h, struct question *q)
{
    struct question **at = &h->first;

    while (*at != NULL)
        at = &(*at)->next;
    *at = q;
    h->count++;
}

static void unlink_question(struct hatch *h, const struct question *q)
{
    struct question **at = &h->first;

    while (*at != q)
        at = &(*at)->next;
    *at = q->next;
    h->count--;
}

/* With the mutex held. True: `q` is answered. */
static bool wait_for_answer(struct hatch *h, struct question *q)
{
    int64_t until = clock_now() + PATIENCE_S * NS_PER_S;

    while (q->stage != ANSWERED &&
           clock_condition_wait(&h->answered, &h->mutex, until))
        continue;
    return q->stage == ANSWERED;
}

/* With the mutex held. The answer, or `q` is left to the loop. */
MUST_CHECK static struct status collect(struct hatch *h, struct question *q,
                                        char **ret_body)
{
    struct status st;

    if (!wait_for_answer(h, q)) {
        if (q->stage == QUEUED) {
            unlink_question(h, q);
            free_question(q);
        } else {
            q->stage = ABANDONED; /* hatch_reply() frees it */
        }
        return FAIL(STATUS_TIMED_OUT,
                    "the broker did not answer within %d s:"
                    " try again",
                    PATIENCE_S);
    }
    st = q->status;
    if (!status_failed(&st)) {
        *ret_body = q->body;
        q->body = NULL;
    }
    free_question(q);
    return st;
}

struct status hatch_ask(struct hatch *h, const char *verb,
                        const char *arguments, char **ret_body)
{
    static const uint64_t one = 1;
    struct question *q;
    struct status st;
    bool woken;

    (void)pthread_mutex_lock(&h->mutex);
    if (h->count >= QUEUE_MOST) {
        (void)pthread_mutex_unlock(&h->mutex);
        return FAIL(STATUS_UNAVAILABLE,
                    "%d questions wait already: try "
                    "again",
                    QUEUE_MOST);
    }
    q = xnew(struct question);
    q->verb = xstrdup(verb);
    q->arguments = xstrdup(arguments);
    q->shown.verb = q->verb;
    q->shown.arguments = q->arguments;
    append_question(h, q);
    woken = write(h->event, &one, sizeof one) > 0;
    (void)woken; /* if not, the counter is full: the loop is awake */
    st = collect(h, q, ret_body);
    (void)pthread_mutex_unlock(&h->mutex);
    return st;
}

struct hatch_question *hatch_next(struct hatch *h)
{
    struct question *q;
    uint64_t count;

    (void)pthread_mutex_lock(&h->mutex);
    q = h->first;
    if (q != NULL) {
        unlink_question(h, q);
        q->stage = TAKEN;
    } else if (read(h->event, &count, sizeof count) < 0) {
        q = NULL; /* nothing was counted either */
    }
    (void)pthread_mutex_unlock(&h->mutex);
    return q == NULL ? NULL : &q->shown;
}

void hatch_reply(struct hatch *h, struct hatch_question *question,
                 const struct status *st, char *body)
{
    struct question *q = (struct question *)question;

    (void)pthread_mutex_lock(&h->mutex);
    q->status = *st;
    q->body = body;
    if (q->stage == ABANDONED) {
        free_question(q);
    } else {
        q->stage = ANSWERED;
        (void)pthread_cond_broadcast(&h->answered);
    }
    (void)pthread_mutex_unlock(&h->mutex);
}
