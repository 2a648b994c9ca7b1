#include "broker/keeper.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <unistd.h>

#include "broker/leader.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/memory.h"

struct keeper {
    struct store store; /* the thread's */
    pthread_t thread;
    pthread_mutex_t lock; /* of all that follows */
    pthread_cond_t changed;
    int event;
    bool stop;
    bool trouble; /* the store did not answer, and that was said */
    struct leader leader;
    struct store_holder me;
    struct store_holder holder; /* another; no name: none is known */
    struct keeper_leader self;
};

/* "EPOCH WORKERS CLIENTS HTTP"; of addresses too long for that, the epoch
 * alone. */
static void describe(const struct keeper_leader *l,
                     char text[STORE_HOLDER_MOST])
{
    int size = snprintf(text, STORE_HOLDER_MOST, "%" PRIu64 " %s %s %s",
                        l->epoch, l->workers, l->clients, l->http);

    if (size < 0 || size >= STORE_HOLDER_MOST)
        (void)snprintf(text, STORE_HOLDER_MOST, "%" PRIu64, l->epoch);
}

static void next_word(const char **text, char word[STORE_HOLDER_MOST])
{
    size_t size;

    *text += strspn(*text, " ");
    size = strcspn(*text, " ");
    (void)snprintf(word, STORE_HOLDER_MOST, "%.*s", (int)size, *text);
    *text += size;
}

static void parse(const struct store_holder *holder,
                  struct keeper_leader *ret_leader)
{
    const char *text = holder->address;
    char epoch[STORE_HOLDER_MOST];

    *ret_leader = (struct keeper_leader){ .known = holder->name[0] != '\0' };
    next_word(&text, epoch);
    ret_leader->epoch = strtoull(epoch, NULL, 10);
    next_word(&text, ret_leader->workers);
    next_word(&text, ret_leader->clients);
    next_word(&text, ret_leader->http);
}

/* With the lock. */
static void tell(struct keeper *k)
{
    static const uint64_t one = 1;

    (void)!write(k->event, &one, sizeof one);
}

/* ---- the thread ---------------------------------------------------------- */

/* What to ask the store for, and whose name is in the key then. */
struct asked {
    enum leader_action action;
    struct store_holder me, holder;
    uint64_t epoch; /* ours */
    int64_t ttl_ms;
};

/* Has it taken over from us, so that the key is rightly its own? */
static bool is_later(const struct asked *a)
{
    struct keeper_leader other;

    parse(&a->holder, &other);
    return other.epoch > a->epoch;
}

MUST_CHECK static struct status call(const struct store *s, struct asked *a,
                                     enum leader_event *ret_event)
{
    bool mine = false;

    *ret_event = LEADER_FREE;
    switch (a->action) {
    case LEADER_EXTEND:
        TRY_PLAIN(s->extend(s->self, &a->me, a->ttl_ms, &mine));
        break;
    case LEADER_RELEASE:
        return s->release(s->self, &a->me);
    case LEADER_SEIZE:
        TRY_PLAIN(s->acquire(s->self, &a->me, a->ttl_ms, &a->holder, &mine));
        if (!mine && !is_later(a))
            return s->release(s->self, &a->holder);
        break;
    case LEADER_LOOK: /* for no time at all: that only tells */
    default:
        TRY_PLAIN(s->acquire(s->self, &a->me, a->ttl_ms, &a->holder, &mine));
        break;
    }
    *ret_event = mine ? LEADER_OURS : LEADER_OTHERS;
    return SUCCESS;
}

/* With the lock: the holder as others are told, when it is another. */
static void note_holder(struct keeper *k, const struct asked *a,
                        enum leader_event event)
{
    if (event != LEADER_OTHERS || a->action == LEADER_EXTEND ||
        memcmp(&k->holder, &a->holder, sizeof k->holder) == 0)
        return;
    k->holder = a->holder;
    tell(k);
}

/* With the lock. */
static void note_trouble(struct keeper *k, const struct status *st)
{
    if (status_failed(st) && !k->trouble)
        log_failure("the leader's key cannot be looked at", st);
    k->trouble = status_failed(st);
}

/* With the lock, which is open while the store works. */
static void ask(struct keeper *k, enum leader_action action)
{
    struct asked a = { .action = action, .me = k->me, .epoch = k->self.epoch };
    enum leader_role role = k->leader.role;
    enum leader_event event;
    struct status st;
    int64_t at = clock_now();

    if (action != LEADER_LOOK)
        a.ttl_ms = k->leader.ttl / NS_PER_MS;
    (void)pthread_mutex_unlock(&k->lock);
    st = call(&k->store, &a, &event);
    (void)pthread_mutex_lock(&k->lock);
    note_trouble(k, &st);
    /* What was begun or left meanwhile is another story. */
    if (k->leader.role != role)
        return;
    if (status_failed(&st))
        event = LEADER_UNKNOWN;
    note_holder(k, &a, event);
    leader_hear(&k->leader, event, event == LEADER_OURS ? at : clock_now());
    if (k->leader.role != role)
        tell(k);
}

static void *run(void *self)
{
    struct keeper *k = self;

    (void)pthread_mutex_lock(&k->lock);
    while (!k->stop) {
        enum leader_action action = leader_next(&k->leader, clock_now());

        if (action == LEADER_SLEEP)
            (void)clock_condition_wait(&k->changed, &k->lock, k->leader.next);
        else
            ask(k, action);
    }
    (void)pthread_mutex_unlock(&k->lock);
    return NULL;
}

/* ---- the loop's side ------------------------------------------------------ */

static void name_myself(char name[STORE_HOLDER_MOST])
{
    enum { HOST_MOST = 100 };
    char host[HOST_MOST] = "";
    uint64_t random = 0;

    (void)gethostname(host, sizeof host - 1);
    if (getrandom(&random, sizeof random, 0) < 0)
        random = (uint64_t)clock_wall_ms();
    (void)snprintf(name, STORE_HOLDER_MOST, "%s-%ld-%016" PRIx64, host,
                   (long)getpid(), random);
}

struct status keeper_new(const struct store *store, int64_t ttl_ms,
                         bool standby, const struct keeper_leader *me,
                         struct keeper **ret_keeper)
{
    struct keeper *k = xnew(struct keeper);

    k->store = *store;
    k->self = *me;
    name_myself(k->me.name);
    describe(&k->self, k->me.address);
    leader_init(&k->leader, ttl_ms, standby, clock_now());
    (void)pthread_mutex_init(&k->lock, NULL);
    clock_condition_init(&k->changed);
    k->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    *ret_keeper = k;
    if (k->event < 0)
        return FAIL(STATUS_FAILED, "eventfd: %s", strerror(errno));
    if (pthread_create(&k->thread, NULL, run, k) != 0)
        return FAIL(STATUS_FAILED, "there is no thread for the leader's key");
    return SUCCESS;
}

/* A successor need not wait for the key to expire. */
static void give_back(struct keeper *k)
{
    struct status st = SUCCESS;

    if (k->leader.role != LEADER_WAITS)
        st = k->store.release(k->store.self, &k->me);
    if (status_failed(&st))
        log_failure("the leader's key was not given back; it expires", &st);
}

void keeper_free(struct keeper *k)
{
    if (k == NULL)
        return;
    (void)pthread_mutex_lock(&k->lock);
    k->stop = true;
    (void)pthread_cond_signal(&k->changed);
    (void)pthread_mutex_unlock(&k->lock);
    if (k->thread != 0)
        (void)pthread_join(k->thread, NULL);
    give_back(k);
    k->store.close(k->store.self);
    if (k->event >= 0)
        (void)close(k->event);
    (void)pthread_cond_destroy(&k->changed);
    (void)pthread_mutex_destroy(&k->lock);
    free(k);
}

int keeper_descriptor(const struct keeper *k)
{
    return k->event;
}

bool keeper_look(struct keeper *k, struct keeper_leader *ret_other)
{
    uint64_t told;
    bool ours;

    (void)!read(k->event, &told, sizeof told);
    (void)pthread_mutex_lock(&k->lock);
    ours = k->leader.role == LEADER_STARTS;
    parse(&k->holder, ret_other);
    (void)pthread_mutex_unlock(&k->lock);
    return ours;
}

static void happen(struct keeper *k, enum leader_event event)
{
    leader_hear(&k->leader, event, clock_now());
    k->holder = (struct store_holder){ .name = "" };
    (void)pthread_cond_signal(&k->changed);
}

void keeper_begun(struct keeper *k, uint64_t epoch)
{
    (void)pthread_mutex_lock(&k->lock);
    k->self.epoch = epoch;
    describe(&k->self, k->me.address);
    happen(k, LEADER_BEGUN);
    (void)pthread_mutex_unlock(&k->lock);
}

void keeper_leave(struct keeper *k)
{
    (void)pthread_mutex_lock(&k->lock);
    happen(k, LEADER_LEAVES);
    (void)pthread_mutex_unlock(&k->lock);
}

bool keeper_may_speak(struct keeper *k, int64_t confirmed)
{
    bool may;

    (void)pthread_mutex_lock(&k->lock);
    may = leader_may_speak(&k->leader, clock_now(), confirmed);
    (void)pthread_mutex_unlock(&k->lock);
    return may;
}
