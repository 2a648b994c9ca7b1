#include "worker/loop.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/dealer.h"
#include "common/limits.h"
#include "common/memory.h"
#include "jobs/job_kind.h"
#include "worker/core/session.h"
#include "worker/health.h"
#include "worker/holdings.h"
#include "worker/orphans.h"
#include "worker/serve.h"
#include "worker/signals.h"
#include "worker/slot.h"

enum {
    LOOK_MS = 500,        /* at the memory of the slots, so often */
    LOOK_CACHE_MS = 5000, /* at what lies in the cache ... */
    LOOK_SOON_MS = 200,   /* ... behind a fetch: others wait for it */
    MEMORY_SLACK = 4,     /* a job may exceed its ask by one in so many ... */
    MEMORY_SPARE = 256 << 20,    /* ... and by this, for the program itself */
    TROUBLE_MS = 10 * 60 * 1000, /* unless it comes again, it has passed */
};

struct loop {
    const struct worker_config *config;
    struct dealer *dealer;
    struct serve *serve; /* NULL: nothing is served */
    struct session *session;
    struct slot **slots;
    struct pollfd *fds; /* signals, then SLOT_FDS of each slot */
    struct buf out;
    char *kinds;
    int64_t now;
    int64_t looked;   /* ns, at the memory of the slots */
    int64_t cache_at; /* ns, when it is looked at again */
    int64_t busy_at;  /* ns, when there was a job last */
    bool exiting, idle;
    bool welcome; /* by the broker that is spoken to */
    int64_t trouble_at;
    char trouble[STATUS_MESSAGE_SIZE]; /* what the last job wanted in vain */
};

/* The kinds that can be assigned, with blanks between; the caller frees. */
static char *list_kinds(void)
{
    struct buf b;
    struct status st = SUCCESS;

    buf_init(&b, 64 << 10);
    for (size_t i = 0; job_kinds[i] != NULL && !status_failed(&st); i++) {
        if (job_kinds[i]->run != NULL)
            st = buf_print(&b, "%s%s", b.size > 0 ? " " : "",
                           job_kinds[i]->catalog.name);
    }
    return buf_take(&b);
}

/* For whoever wants to know what this worker began and what it was promised:
 * tests/chaos. */
static void log_token(const char *event, const struct wire_token *t)
{
    char key[DIGEST_TEXT];

    if (!log_shows(LOG_DEBUG))
        return;
    digest_to_text(&t->key, key);
    log_event(LOG_DEBUG, event, "key=%s epoch=%llu attempt=%llu", key,
              (unsigned long long)t->epoch, (unsigned long long)t->attempt);
}

static void on_message(struct loop *l, const void *data, size_t size)
{
    struct wire_decoded decoded;
    struct status st = wire_decode(data, size, &decoded);
    const struct wire_message *m = &decoded.message;

    if (status_failed(&st)) {
        log_failure("the broker sent something odd", &st);
        return;
    }
    if (m->type == WIRE_WELCOME && !l->welcome) {
        l->welcome = true;
        l->cache_at = l->now; /* whoever waits for that is told at once */
    }
    if (m->type == WIRE_WELCOME)
        log_event(LOG_INFO, "welcome", "epoch=%llu session=%llu",
                  (unsigned long long)m->welcome.epoch,
                  (unsigned long long)m->welcome.session);
    if (m->type == WIRE_ERROR)
        log_event(LOG_WARN, "the broker refuses", "why=\"%.*s\"",
                  (int)m->error.message.size, m->error.message.data);
    if (m->type == WIRE_NOT_LEADER)
        (void)dealer_redirect(l->dealer, m->not_leader.address.data,
                              m->not_leader.address.size);
    for (size_t i = 0;
         m->type == WIRE_COMMITTED && i < m->committed.tokens.count; i++)
        log_token("committed", &m->committed.tokens.items[i]);
    session_on_message(l->session, l->now, m);
    wire_release(&decoded);
}

static bool is_slot(void *self, pid_t pid)
{
    const struct loop *l = self;

    for (int64_t i = 0; i < l->config->slots; i++) {
        if (slot_pid(l->slots[i]) == pid)
            return true;
    }
    return false;
}

static bool no_slot(void *self, pid_t pid)
{
    (void)self;
    (void)pid;
    return false;
}

static void on_signals(struct loop *l)
{
    int number;

    while ((number = signals_next(l->fds[0].fd)) != 0) {
        if (number == SIGCHLD) {
            orphans_reap(is_slot, l);
            continue;
        }
        log_event(LOG_INFO, "drain", "signal=%d", number);
        session_on_drain(l->session, l->now, "drain");
    }
}

/* The fault of none of its inputs: a token, a server, a disk. */
static bool is_outer(uint64_t code)
{
    return code == STATUS_DENIED || code == STATUS_UNAVAILABLE ||
           code == STATUS_TIMED_OUT || code == STATUS_NO_SPACE;
}

/* Jobs are tried again, and elsewhere; whoever runs this worker wants to know
 * all the same. Said once, not for each job. */
static void note_trouble(struct loop *l, const struct wire_outcome *o)
{
    char words[sizeof l->trouble] = "";

    if (o->code == STATUS_CANCELLED)
        return;
    if (is_outer(o->code))
        (void)snprintf(words, sizeof words, "%.*s", (int)o->message.size,
                       o->message.data);
    l->trouble_at = l->now;
    if (strcmp(words, l->trouble) == 0)
        return;
    if (words[0] != '\0')
        log_event(LOG_WARN, "a job cannot be done here", "why=\"%s\"", words);
    else
        log_event(LOG_INFO, "jobs can be done again", "%s", "");
    memcpy(l->trouble, words, sizeof words);
    l->cache_at = l->now;
}

/* What it fetched, others may want. */
static void note_fetches(struct loop *l, const struct wire_outcome *o)
{
    if (o->pulls_failed > 0)
        log_event(LOG_WARN, "other workers did not give what they have",
                  "times=%llu why=\"see the log of the job\"",
                  (unsigned long long)o->pulls_failed);
    if (o->bytes_fetched > 0)
        l->cache_at = l->now;
}

static void look_soon(struct loop *l)
{
    int64_t at = l->now + LOOK_SOON_MS * NS_PER_MS;

    if (l->cache_at > at)
        l->cache_at = at;
}

static void on_slot_event(struct loop *l, size_t i, const struct slot_event *e)
{
    switch (e->type) {
    case SLOT_PROGRESS:
        if (wire_is(e->progress.unit, "byte"))
            look_soon(l);
        session_on_slot_progress(l->session, l->now, i, &e->progress);
        break;
    case SLOT_LOG:
        session_on_slot_log(l->session, l->now, i, e->text);
        break;
    case SLOT_DONE:
        note_trouble(l, &e->outcome);
        note_fetches(l, &e->outcome);
        session_on_slot_done(l->session, l->now, i, &e->outcome);
        break;
    case SLOT_DIED:
        log_event(LOG_WARN, "slot ended", "slot=%zu why=\"%.*s\"", i,
                  (int)e->outcome.message.size, e->outcome.message.data);
        session_on_slot_died(l->session, l->now, i, &e->outcome);
        orphans_kill(is_slot, l);
        break;
    }
}

static void on_slots(struct loop *l)
{
    struct slot_event event;

    for (size_t i = 0; i < (size_t)l->config->slots; i++) {
        const struct pollfd *fds = &l->fds[1 + i * SLOT_FDS];

        if ((fds[0].revents | fds[1].revents) == 0)
            continue;
        while (slot_next(l->slots[i], &event))
            on_slot_event(l, i, &event);
    }
}

static void send_message(struct loop *l, const struct wire_message *m)
{
    struct status st;

    buf_clear(&l->out);
    st = wire_encode(m, &l->out);
    if (status_failed(&st))
        log_failure("a message cannot be written", &st);
    else
        st = dealer_send(l->dealer, l->out.data, l->out.size);
    if (status_failed(&st))
        session_on_unsent(l->session, l->now);
}

/* What a job that asks for so much may take; the slot's merged models from
 * earlier jobs are its too. */
static int64_t memory_limit(const struct loop *l, int64_t asked)
{
    if (asked <= 0 || asked > INT64_MAX / 2)
        return 0;
    return asked + asked / MEMORY_SLACK + MEMORY_SPARE +
           (l->config->slots > 0 ? l->config->keep / l->config->slots : 0);
}

/* A job that takes more than it asked for takes it from its neighbours. */
static void look_at_memory(struct loop *l)
{
    if (l->now - l->looked < LOOK_MS * NS_PER_MS)
        return;
    l->looked = l->now;
    for (int64_t i = 0; i < l->config->slots; i++)
        slot_check_memory(l->slots[i]);
}

static void start_job(struct loop *l, size_t i, const struct wire_message *m)
{
    struct status st = slot_run(l->slots[i], m);
    const struct wire_outcome o = { .code = st.code,
                                    .message = wire_text(st.message) };

    log_token("began", &m->slot_run.job.token);
    slot_limit_memory(l->slots[i],
                      memory_limit(l, m->slot_run.job.memory_bytes));
    if (status_failed(&st))
        session_on_slot_died(l->session, l->now, i, &o);
}

static void tell_slot(struct loop *l, size_t i, const struct wire_message *m)
{
    struct status st = slot_tell(l->slots[i], m);

    if (status_failed(&st))
        log_failure("a slot cannot be told", &st);
}

static void tell_reopen(const struct loop *l, const char *why)
{
    const char *obstacle = dealer_obstacle(l->dealer, NULL);

    log_event(LOG_WARN, why, "broker=%s", dealer_endpoint(l->dealer));
    if (obstacle != NULL)
        log_event(LOG_WARN, "not let in", "broker=%s why=\"%s\"",
                  dealer_endpoint(l->dealer), obstacle);
}

MUST_CHECK static struct status carry_out(struct loop *l,
                                          const struct session_action *a)
{
    if (a->why[0] != '\0' && a->type != SESSION_REOPEN)
        log_event(a->type == SESSION_EXIT ? LOG_INFO : LOG_WARN, a->why,
                  "slot=%zu", a->slot);
    switch (a->type) {
    case SESSION_NOTHING:
        break;
    case SESSION_SEND:
        send_message(l, a->message);
        break;
    case SESSION_REOPEN:
        l->welcome = false;
        tell_reopen(l, a->why);
        TRY_PLAIN(dealer_reopen(l->dealer));
        if (dealer_endpoint_count(l->dealer) > 1)
            log_event(LOG_INFO, "try a broker", "broker=%s",
                      dealer_endpoint(l->dealer));
        break;
    case SESSION_START:
        start_job(l, a->slot, a->message);
        break;
    case SESSION_TELL:
        tell_slot(l, a->slot, a->message);
        break;
    case SESSION_STOP:
        slot_stop(l->slots[a->slot]);
        break;
    case SESSION_KILL:
        slot_kill(l->slots[a->slot]);
        break;
    case SESSION_EXIT:
        l->exiting = true;
        break;
    }
    return SUCCESS;
}

static int64_t wait_ms(const struct loop *l)
{
    int64_t left = session_deadline(l->session) - clock_now();

    if (session_count(l->session).running > 0 && left > LOOK_MS * NS_PER_MS)
        return LOOK_MS;
    if (left > LOOK_CACHE_MS * NS_PER_MS)
        return LOOK_CACHE_MS;
    return left <= 0 ? 0 : left / NS_PER_MS + 1;
}

/* Other workers may share the cache. */
static void look_at_cache(struct loop *l)
{
    if (l->now < l->cache_at)
        return;
    l->cache_at = l->now + LOOK_CACHE_MS * NS_PER_MS;
    holdings_look(l->config->cache, l->serve != NULL, l->session, l->now);
    if (l->now - l->trouble_at > TROUBLE_MS * NS_PER_MS)
        l->trouble[0] = '\0';
    health_mark(l->config->cache, l->config->name,
                l->welcome ? l->trouble
                           : "no broker has let it in, its log says why");
}

/* Told once: a second drain would not wait for BYE to be sent. */
static void look_at_idleness(struct loop *l)
{
    const int64_t most = l->config->idle_ms * NS_PER_MS;
    struct session_counts c = session_count(l->session);

    if (most == 0 || l->idle)
        return;
    if (l->busy_at == 0 || c.queued + c.running + c.finished > 0)
        l->busy_at = l->now;
    l->idle = l->now - l->busy_at >= most;
    if (l->idle)
        session_on_drain(l->session, l->now, "idle");
}

MUST_CHECK static struct status turn(struct loop *l)
{
    size_t count = (size_t)l->config->slots;
    struct session_action action;
    const void *data = NULL;
    size_t size = 0;

    for (size_t i = 0; i < count; i++)
        slot_poll(l->slots[i], &l->fds[1 + i * SLOT_FDS]);
    TRY(dealer_wait(l->dealer, wait_ms(l), l->fds, 1 + count * SLOT_FDS, &data,
                    &size),
        "wait for the broker");
    l->now = clock_now();
    if (data != NULL)
        on_message(l, data, size);
    if (dealer_was_lost(l->dealer)) {
        l->welcome = false;
        session_on_lost(l->session, l->now);
    }
    on_signals(l);
    on_slots(l);
    look_at_memory(l);
    look_at_cache(l);
    look_at_idleness(l);
    while (session_next(l->session, l->now, &action))
        TRY_PLAIN(carry_out(l, &action));
    return SUCCESS;
}

static struct session *new_session(const struct loop *l)
{
    const struct worker_config *c = l->config;
    struct session_config s = {
        .worker = c->name,
        .brokers = dealer_endpoint_count(l->dealer),
        .slots = (uint64_t)c->slots,
        .cpus = (uint64_t)c->cpus,
        .memory_bytes = c->memory,
        .labels = c->labels,
        .kinds = l->kinds,
        .version = SINTER_VERSION,
        .drain_ms = c->drain_ms,
        .replaces = c->replaces,
        .address = serve_url(l->serve),
    };

    if (getrandom(&s.incarnation, sizeof s.incarnation, 0) < 0)
        s.incarnation = (uint64_t)clock_now();
    return session_new(&s, clock_now());
}

MUST_CHECK static struct status open_dealer(struct loop *l)
{
    const struct dealer_safety safety = { .key = l->config->key,
                                          .broker_key = l->config->broker_key,
                                          .plaintext = l->config->plaintext };

    return dealer_open_safely(l->config->broker, &safety, &l->dealer);
}

MUST_CHECK static struct status start_serving(struct loop *l)
{
    const struct serve_settings settings = {
        .address = l->config->serve,
        .advertise = l->config->advertise,
        .cache = l->config->cache,
        .token_file = l->config->http_token_file,
    };

    TRY_PLAIN(serve_start(&settings, &l->serve));
    if (l->serve != NULL)
        log_event(LOG_INFO, "serves its cache", "at=%s", serve_url(l->serve));
    return SUCCESS;
}

struct status worker_loop_run(const struct worker_config *config,
                              char *const *argv)
{
    size_t count = (size_t)config->slots;
    struct loop l = { .config = config };
    struct status st;

    l.kinds = list_kinds();
    l.slots = xcalloc(count, sizeof(struct slot *));
    l.fds = xcalloc(1 + count * SLOT_FDS, sizeof *l.fds);
    buf_init(&l.out, LIMIT_MESSAGE);
    for (size_t i = 0; i < count; i++)
        l.slots[i] = slot_new(argv);
    orphans_adopt();
    l.fds[0].events = POLLIN;
    l.fds[0].fd = -1;
    st = signals_open(&l.fds[0].fd);
    if (!status_failed(&st))
        st = start_serving(&l);
    if (!status_failed(&st))
        st = open_dealer(&l);
    if (!status_failed(&st))
        l.session = new_session(&l);
    while (!status_failed(&st) && !l.exiting)
        st = turn(&l);
    health_end(config->cache, config->name);
    serve_stop(l.serve);
    for (size_t i = 0; i < count; i++)
        slot_kill(l.slots[i]);
    for (size_t i = 0; i < count; i++)
        slot_free(l.slots[i]);
    orphans_kill(no_slot, NULL);
    dealer_close(l.dealer);
    signals_close(l.fds[0].fd);
    session_free(l.session);
    buf_release(&l.out);
    free(l.slots);
    free(l.fds);
    free(l.kinds);
    return st;
}
