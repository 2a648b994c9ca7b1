#include "broker/appender.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/memory.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    BOXES = APPENDER_MOST,
    RETRY_FIRST_MS = 100,
    RETRY_MOST_MS = 5000,
    CHECK_MS = 2000, /* the store is looked at when nothing is to be done */
    REST = 8,        /* times what a piece of a snapshot took, before the next:
                        neither Redis nor a CPU is kept from appends for long */
    REST_MOST_MS = 20,         /* a slow store need not be slower */
    HURRY_RECORDS = 512 << 10, /* behind a snapshot: no rest any more */
};

struct appender {
    struct store store;
    uint64_t epoch;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t work;
    int event;
    bool stop;

    /* Group n is in boxes[n % BOXES]. Only the loop pushes and pops, only the
     * thread appends; the rest is read under the lock. */
    struct outbox boxes[BOXES];
    uint64_t pushed, durable, popped; /* groups */
    uint64_t sequence;                /* records pushed */

    /* The thread's own. */
    uint64_t appended; /* records that are durable */
    struct store_record *records;
    size_t record_room;
    int64_t retry_ms;
    size_t next_piece;
    bool tidy;      /* the store may have something in the way */
    int64_t rested; /* ns: the next piece, or the next look at what is in the
                       way, not before */

    char *away;
    bool asked;        /* somebody wants to know how the store is */
    int64_t confirmed; /* ns: appender_confirmed() */
    struct times times;
    bool lost;    /* the store forgot what it had accepted */
    bool rebuild; /* from the snapshot, which is all there is */
    struct status failure;
    struct snapshot *snapshot;
    enum appender_snapshot snapshot_state;
};

static void tell(const struct appender *a)
{
    const uint64_t one = 1;

    (void)!write(a->event, &one, sizeof one);
}

/* ---- the thread ---------------------------------------------------------- */

/* Puts the records of a group behind the `count` there are. */
static size_t list_records(struct appender *a, const struct outbox *box,
                           size_t count)
{
    if (a->record_room < count + box->record_count) {
        a->record_room = 2 * (count + box->record_count);
        a->records = xrealloc(a->records, a->record_room * sizeof *a->records);
    }
    for (size_t i = 0; i < box->record_count; i++, count++)
        a->records[count] = (struct store_record){
            .epoch = a->epoch,
            .sequence = a->appended + 1 + count,
            .data = { box->bytes.data + box->records[i].at,
                      box->records[i].size },
        };
    return count;
}

/* All groups that were pushed, in one go. */
MUST_CHECK static struct status append(struct appender *a, uint64_t from,
                                       uint64_t to)
{
    size_t count = 0;

    for (uint64_t i = from; i < to; i++)
        count = list_records(a, &a->boxes[i % BOXES], count);
    if (count > 0 || from == to)
        TRY_PLAIN(a->store.append(a->store.self, a->records, count));
    a->appended += count;
    return SUCCESS;
}

/* With the lock: sleep, or until there is something to do at all. */
static void wait_ms(struct appender *a, int64_t ms)
{
    int64_t until = clock_now() + ms * NS_PER_MS;

    while (!a->stop && !a->rebuild &&
           clock_condition_wait(&a->work, &a->lock, until))
        continue;
}

/* With the lock: written, or given up. */
static void end_snapshot(struct appender *a, const struct status *st)
{
    if (st->code == STATUS_STALE)
        a->failure = *st;
    snapshot_free(a->snapshot);
    a->snapshot = NULL;
    a->snapshot_state = status_failed(st) ? SNAPSHOT_FAILED : SNAPSHOT_WRITTEN;
    a->tidy = !status_failed(st) && a->store.tidy != NULL;
    tell(a);
}

/* With the lock. */
static void go_away(struct appender *a, const struct status *st)
{
    bool lost = st->code == STATUS_LOST;

    if (a->away == NULL || (lost && !a->lost))
        log_failure("store is away; nothing is acknowledged until it is back",
                    st);
    a->lost = lost;
    if (lost && a->snapshot != NULL && !a->rebuild) /* never its time */
        end_snapshot(a, st);
    a->retry_ms = a->away == NULL ? RETRY_FIRST_MS : 2 * a->retry_ms;
    if (a->retry_ms > RETRY_MOST_MS)
        a->retry_ms = RETRY_MOST_MS;
    free(a->away);
    a->away = xstrdup(st->message);
    tell(a);
    wait_ms(a, a->retry_ms);
}

/* With the lock. */
static void come_back(struct appender *a)
{
    if (a->away == NULL)
        return;
    free(a->away);
    a->away = NULL;
    a->lost = false;
    log_event(LOG_INFO, "store is back", "sequence=%" PRIu64, a->appended);
}

/* With the lock, which is open while the store works. */
static void append_groups(struct appender *a)
{
    uint64_t from = a->durable;
    uint64_t to = a->pushed;
    int64_t began = clock_now();
    struct status st;

    a->asked = false;
    (void)pthread_mutex_unlock(&a->lock);
    st = append(a, from, to);
    (void)pthread_mutex_lock(&a->lock);
    if (!status_failed(&st)) {
        if (from < to)
            times_add(&a->times, clock_now() - began);
        a->confirmed = began;
        come_back(a);
        a->durable = to;
    } else if (status_retry(st.code) == RETRY_LATER) {
        go_away(a, &st);
        return;
    } else {
        a->failure = st;
    }
    tell(a);
}

MUST_CHECK static struct status publish(const struct appender *a,
                                        const struct snapshot *s)
{
    AUTO(free_pointer)
    const char **names = xcalloc(s->count + 1, sizeof(const char *));

    for (size_t i = 0; i < s->count; i++)
        names[i] = s->pieces[i].name;
    return a->store.publish(a->store.self, names, s->count, s->epoch,
                            s->sequence);
}

/* One piece, or the end. True: there is more to do. */
MUST_CHECK static struct status write_piece(struct appender *a, bool *ret_more)
{
    const struct snapshot *s = a->snapshot;
    const struct snapshot_piece *p;

    while (a->next_piece < s->count && s->pieces[a->next_piece].is_known)
        a->next_piece++;
    *ret_more = a->next_piece < s->count;
    if (!*ret_more)
        return publish(a, s);
    p = &s->pieces[a->next_piece++];
    return a->store.put(a->store.self, p->name, p->data);
}

/* With the lock, which is open while the store works. */
static void rebuild(struct appender *a)
{
    uint64_t sequence = a->snapshot->sequence;
    bool more = true;
    struct status st;

    (void)pthread_mutex_unlock(&a->lock);
    st = a->store.rebuild(a->store.self);
    while (!status_failed(&st) && more)
        st = write_piece(a, &more);
    (void)pthread_mutex_lock(&a->lock);
    a->rebuild = false;
    end_snapshot(a, &st);
    if (!status_failed(&st)) {
        /* Were it lost until the next append, it would be written again. */
        a->lost = false;
        a->asked = true;
        log_event(LOG_WARN, "store was written anew from memory",
                  "sequence=%" PRIu64, sequence);
    } else if (status_retry(st.code) == RETRY_LATER)
        go_away(a, &st);
    else
        a->failure = st;
}

/* With the lock, which is open while the store works. */
static void go_on_with_snapshot(struct appender *a)
{
    bool more = false;
    struct status st;

    (void)pthread_mutex_unlock(&a->lock);
    st = write_piece(a, &more);
    (void)pthread_mutex_lock(&a->lock);
    if (!status_failed(&st) && more)
        return;
    if (status_failed(&st) && st.code != STATUS_STALE)
        log_failure("no snapshot this time; the log only grows longer", &st);
    end_snapshot(a, &st);
}

/* With the lock, which is open while the store works. What cannot be done now
 * is left to the next snapshot. */
static void tidy(struct appender *a)
{
    bool more = false;
    struct status st;

    (void)pthread_mutex_unlock(&a->lock);
    st = a->store.tidy(a->store.self, &more);
    (void)pthread_mutex_lock(&a->lock);
    a->tidy = !status_failed(&st) && more;
    if (st.code != STATUS_STALE)
        return;
    a->failure = st;
    tell(a);
}

static bool may_write_snapshot(const struct appender *a)
{
    return a->snapshot != NULL && a->appended >= a->snapshot->sequence;
}

/* With the lock: what is done between appends, a little of it. */
static void do_chore(struct appender *a)
{
    int64_t began = clock_now();
    int64_t rest;

    if (may_write_snapshot(a))
        go_on_with_snapshot(a);
    else
        tidy(a);
    rest = REST * (clock_now() - began);
    if (rest > REST_MOST_MS * NS_PER_MS)
        rest = REST_MOST_MS * NS_PER_MS;
    a->rested = clock_now() + rest;
    if (a->snapshot != NULL &&
        a->appended - a->snapshot->sequence > HURRY_RECORDS)
        a->rested = 0;
}

static bool has_chore(const struct appender *a)
{
    return a->tidy || may_write_snapshot(a);
}

static bool has_news(const struct appender *a)
{
    return a->durable < a->pushed || a->asked;
}

/* With the lock: sleep until there may be something to do. */
static bool is_idle_for_long(struct appender *a)
{
    int64_t until =
        has_chore(a) ? a->rested : clock_now() + CHECK_MS * NS_PER_MS;

    return !clock_condition_wait(&a->work, &a->lock, until) && !has_chore(a);
}

static void *run(void *self)
{
    struct appender *a = self;

    (void)pthread_mutex_lock(&a->lock);
    while (a->failure.code == STATUS_SUCCESS) {
        if (a->stop && (a->durable == a->pushed || a->away != NULL))
            break;
        if (a->rebuild)
            rebuild(a);
        else if (!has_news(a) && has_chore(a) && clock_now() >= a->rested)
            do_chore(a);
        else if (has_news(a) || is_idle_for_long(a))
            append_groups(a); /* maybe of nothing: is the store well? */
    }
    (void)pthread_mutex_unlock(&a->lock);
    return NULL;
}

/* ---- the loop's side ------------------------------------------------------ */

struct status appender_new(const struct store *store, uint64_t epoch,
                           struct appender **ret_appender)
{
    struct appender *a = xnew(struct appender);

    a->store = *store;
    a->epoch = epoch;
    for (int i = 0; i < BOXES; i++)
        outbox_init(&a->boxes[i]);
    (void)pthread_mutex_init(&a->lock, NULL);
    clock_condition_init(&a->work);
    a->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    *ret_appender = a;
    if (a->event < 0)
        return FAIL(STATUS_FAILED, "eventfd: %s", strerror(errno));
    if (pthread_create(&a->thread, NULL, run, a) != 0)
        return FAIL(STATUS_FAILED, "there is no thread for the store");
    return SUCCESS;
}

void appender_free(struct appender *a)
{
    if (a == NULL)
        return;
    (void)pthread_mutex_lock(&a->lock);
    a->stop = true;
    (void)pthread_cond_signal(&a->work);
    (void)pthread_mutex_unlock(&a->lock);
    if (a->thread != 0)
        (void)pthread_join(a->thread, NULL);
    for (int i = 0; i < BOXES; i++)
        outbox_release(&a->boxes[i]);
    if (a->event >= 0)
        (void)close(a->event);
    (void)pthread_cond_destroy(&a->work);
    (void)pthread_mutex_destroy(&a->lock);
    snapshot_free(a->snapshot);
    free(a->records);
    free(a->away);
    free(a);
}

int appender_descriptor(const struct appender *a)
{
    return a->event;
}

size_t appender_pending(const struct appender *a)
{
    return (size_t)(a->pushed - a->popped);
}

void appender_push(struct appender *a, struct outbox *out)
{
    struct outbox *box = &a->boxes[a->pushed % BOXES];
    struct outbox empty = *box;

    assert(appender_pending(a) < BOXES && empty.message_count == 0);
    *box = *out;
    *out = empty;
    a->sequence += box->record_count;
    (void)pthread_mutex_lock(&a->lock);
    a->pushed++;
    (void)pthread_cond_signal(&a->work);
    (void)pthread_mutex_unlock(&a->lock);
}

struct outbox *appender_first(struct appender *a)
{
    bool any;

    (void)pthread_mutex_lock(&a->lock);
    any = a->popped < a->durable;
    (void)pthread_mutex_unlock(&a->lock);
    return any ? &a->boxes[a->popped % BOXES] : NULL;
}

void appender_pop(struct appender *a)
{
    outbox_clear(&a->boxes[a->popped % BOXES]);
    a->popped++;
}

struct outbox *appender_group(struct appender *a, size_t at)
{
    assert(at < appender_pending(a));
    return &a->boxes[(a->popped + at) % BOXES];
}

size_t appender_bytes(const struct appender *a)
{
    size_t bytes = 0;

    for (uint64_t i = a->popped; i < a->pushed; i++)
        bytes += a->boxes[i % BOXES].bytes.size;
    return bytes;
}

size_t appender_records(const struct appender *a)
{
    size_t records = 0;

    for (uint64_t i = a->popped; i < a->pushed; i++)
        records += a->boxes[i % BOXES].record_count;
    return records;
}

bool appender_holds_work(const struct appender *a)
{
    bool any = false;

    for (uint64_t i = a->popped; i < a->pushed; i++)
        any = any || a->boxes[i % BOXES].work_unsent > 0;
    return any;
}

uint64_t appender_sequence(const struct appender *a)
{
    return a->sequence;
}

void appender_ask(struct appender *a)
{
    (void)pthread_mutex_lock(&a->lock);
    a->asked = true;
    (void)pthread_cond_signal(&a->work);
    (void)pthread_mutex_unlock(&a->lock);
}

int64_t appender_confirmed(struct appender *a)
{
    int64_t at;

    (void)pthread_mutex_lock(&a->lock);
    at = a->confirmed;
    (void)pthread_mutex_unlock(&a->lock);
    return at;
}

struct times appender_times(struct appender *a)
{
    struct times times;

    (void)pthread_mutex_lock(&a->lock);
    times = a->times;
    (void)pthread_mutex_unlock(&a->lock);
    return times;
}

struct status appender_state(struct appender *a, char **ret_away)
{
    uint64_t told;
    struct status st;

    (void)!read(a->event, &told, sizeof told);
    (void)pthread_mutex_lock(&a->lock);
    st = a->failure;
    *ret_away = a->away == NULL ? NULL : xstrdup(a->away);
    (void)pthread_mutex_unlock(&a->lock);
    return st;
}

bool appender_is_lost(struct appender *a)
{
    bool lost;

    (void)pthread_mutex_lock(&a->lock);
    lost = a->lost;
    (void)pthread_mutex_unlock(&a->lock);
    return lost;
}

static void take_snapshot(struct appender *a, struct snapshot *snapshot,
                          bool rebuild)
{
    (void)pthread_mutex_lock(&a->lock);
    assert(a->snapshot == NULL);
    a->snapshot = snapshot;
    a->snapshot_state = SNAPSHOT_RUNNING;
    a->next_piece = 0;
    a->rebuild = rebuild;
    (void)pthread_cond_signal(&a->work);
    (void)pthread_mutex_unlock(&a->lock);
}

void appender_rebuild(struct appender *a, struct snapshot *snapshot)
{
    take_snapshot(a, snapshot, true);
}

void appender_snapshot(struct appender *a, struct snapshot *snapshot)
{
    take_snapshot(a, snapshot, false);
}

enum appender_snapshot appender_snapshot_state(struct appender *a)
{
    enum appender_snapshot state;

    (void)pthread_mutex_lock(&a->lock);
    state = a->snapshot_state;
    if (state != SNAPSHOT_RUNNING)
        a->snapshot_state = SNAPSHOT_NONE;
    (void)pthread_mutex_unlock(&a->lock);
    return state;
}
