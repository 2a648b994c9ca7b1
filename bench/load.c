#include "bench/load.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/dealer.h"
#include "common/limits.h"
#include "common/memory.h"
#include "common/wire.h"

enum {
    BATCH_MOST = 64,
    EVENTS = 64,
    READ_BYTES = 256 << 10,
    GREETING = 64,
    TRIPS_MOST = 1 << 20,
    TICK_NS = 250 * 1000,    /* of the pace: its cost has a bound */
    LINGER_NS = 1000 * 1000, /* of a job that ended until its DONE has others */
    IDLE_NS = 100 * 1000 * 1000,
    PATIENCE_MS = 10 * 1000,
};

/* ZMTP 3.1, rfc.zeromq.org/spec/37: flags before each frame. */
enum { FRAME_LONG = 2, FRAME_COMMAND = 4 };

/* A DONE that is not wholly answered, or whose jobs are not all replaced. */
struct trip {
    int64_t due; /* when the first of its jobs ended, by the pace */
    int64_t sent;
    size_t left;
};

struct trips { /* a ring */
    struct trip *items;
    size_t first, count, room;
};

struct connection {
    int fd;
    struct dealer *dealer; /* instead of our own ZMTP; NULL: none */
    size_t number;
    bool greeted, ready;
    struct buf in, out;
    struct wire_token *held; /* assigned, not yet said to be done */
    size_t held_count, held_room;
    struct trips unanswered, unreplaced;
    int64_t beat_at;
    uint64_t beats, outstanding_sum, outstanding;
};

struct load {
    struct load_settings set;
    struct connection *items;
    int poll, stop;
    pthread_t thread;
    struct status failure;
    struct load_figures figures;
    double *spans[LOAD_SPANS];
    size_t span_counts[LOAD_SPANS];
    int64_t began; /* the pace; 0: there was no job yet */
    int64_t ticked;
    uint64_t finished; /* jobs, since it began */
    size_t rotor;
    int64_t heartbeat_ms;
};

/* ---- frames ----------------------------------------------------------- */

static void must_add(struct buf *b, const void *data, size_t size)
{
    struct status st = buf_add(b, data, size);

    if (status_failed(&st))
        abort(); /* what is queued is bounded by what was assigned */
}

static void put_frame(struct buf *out, unsigned flags, const void *data,
                      size_t size)
{
    unsigned char head[9] = { (unsigned char)flags, (unsigned char)size };

    if (size > 255) {
        head[0] |= FRAME_LONG;
        for (int i = 0; i < 8; i++)
            head[1 + i] = (unsigned char)(size >> (56 - 8 * i));
        must_add(out, head, sizeof head);
    } else {
        must_add(out, head, 2);
    }
    must_add(out, data, size);
}

/* Size of the frame at `data` with its head; 0: not all of it is there. */
static size_t frame_at(const unsigned char *data, size_t left,
                       const unsigned char **ret_body, size_t *ret_size)
{
    size_t head = left > 0 && (data[0] & FRAME_LONG) != 0 ? 9 : 2;
    size_t size = 0;

    if (left < head)
        return 0;
    for (size_t i = 1; i < head; i++)
        size = size << 8 | data[i];
    if (left - head < size)
        return 0;
    *ret_body = data + head;
    *ret_size = size;
    return head + size;
}

static void put_greeting(struct buf *out)
{
    static const char ready[] = "\5READY\13Socket-Type\0\0\0\6DEALER"
                                "\10Identity\0\0\0\0";
    unsigned char greeting[GREETING] = { 0xff };

    greeting[9] = 0x7f;
    greeting[10] = 3;
    greeting[11] = 1;
    memcpy(greeting + 12, "NULL", sizeof "NULL");
    must_add(out, greeting, sizeof greeting);
    put_frame(out, FRAME_COMMAND, ready, sizeof ready - 1);
}

/* ---- messages --------------------------------------------------------- */

/* A handshake may be under way, or the queue be full. */
static void send_by_dealer(struct connection *c, const struct buf *body)
{
    struct status st;

    for (int waited = 0; waited < PATIENCE_MS; waited++) {
        st = dealer_send(c->dealer, body->data, body->size);
        if (!status_failed(&st))
            return;
        clock_sleep_ms(1);
    }
    (void)fprintf(stderr, "load: the broker takes no message\n");
    exit(EXIT_FAILURE);
}

static void put_message(struct connection *c, const struct wire_message *m)
{
    struct buf body;
    struct status st;

    buf_init(&body, LIMIT_MESSAGE);
    st = wire_encode(m, &body);
    if (status_failed(&st))
        abort(); /* our own, and small */
    if (c->dealer != NULL)
        send_by_dealer(c, &body);
    else
        put_frame(&c->out, 0, body.data, body.size);
    buf_release(&body);
}

static void say_hello(const struct load *l, struct connection *c)
{
    AUTO(free_pointer) char *name = xasprintf("load-%zu", c->number);
    struct wire_message m = { .type = WIRE_HELLO };

    m.hello = (struct wire_hello){
        .worker = wire_text(name),
        .incarnation = 1 + c->number + ((uint64_t)getpid() << 32),
        .least_major = WIRE_MAJOR,
        .most_major = WIRE_MAJOR,
        .slots = l->set.slots,
        .cpus = 1,
        .version = wire_text("load"),
        .running = { .items = c->held, .count = c->held_count },
    };
    put_message(c, &m);
}

static void say_heartbeat(struct connection *c)
{
    struct wire_message m = { .type = WIRE_HEARTBEAT };

    m.heartbeat.sequence = ++c->beats;
    m.heartbeat.running_count = c->outstanding;
    m.heartbeat.running_sum = c->outstanding_sum;
    put_message(c, &m);
}

static void add_trip(struct trips *t, const struct trip *trip)
{
    if (t->count == t->room) {
        size_t room = t->room == 0 ? 64 : 2 * t->room;
        struct trip *grown = xcalloc(room, sizeof *grown);

        for (size_t i = 0; i < t->count; i++)
            grown[i] = t->items[(t->first + i) % t->room];
        free(t->items);
        t->items = grown;
        t->first = 0;
        t->room = room;
    }
    t->items[(t->first + t->count++) % t->room] = *trip;
}

/* Of the oldest `*left` jobs. False: no trip has come to its end. */
static bool end_trip(struct trips *t, size_t *left, struct trip *ret_trip)
{
    struct trip *trip = &t->items[t->count == 0 ? 0 : t->first];
    size_t part;

    if (*left == 0 || t->count == 0)
        return false;
    part = *left < trip->left ? *left : trip->left;
    trip->left -= part;
    *left -= part;
    if (trip->left > 0)
        return false;
    *ret_trip = *trip;
    t->first = (t->first + 1) % t->room;
    t->count--;
    return true;
}

static void note_span(struct load *l, enum load_span span, int64_t ns)
{
    if (l->span_counts[span] < TRIPS_MOST)
        l->spans[span][l->span_counts[span]++] = (double)ns / 1000.0;
}

static bool counts(const struct load *l, const struct trip *t)
{
    return t->due >= l->began + l->set.warm_ns;
}

/* The last `count` of the jobs it holds have ended, the first at `due`. */
static void say_done(struct load *l, struct connection *c, size_t count,
                     int64_t due)
{
    struct wire_outcome outcomes[BATCH_MOST];
    struct wire_message m = { .type = WIRE_DONE };
    struct trip trip;

    c->held_count -= count;
    for (size_t i = 0; i < count; i++)
        outcomes[i] = (struct wire_outcome){
            .token = c->held[c->held_count + i],
            .result = wire_text("{\"metrics\":{\"value\":1}}"),
            .wall_ms = l->set.wall_ms,
            .peak_bytes = 1 << 20,
        };
    m.done.outcomes.items = outcomes;
    m.done.outcomes.count = count;
    put_message(c, &m);
    trip = (struct trip){ .due = due, .sent = clock_now(), .left = count };
    add_trip(&c->unanswered, &trip);
    add_trip(&c->unreplaced, &trip);
    l->figures.dones++;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static void finish_all(struct load *l, struct connection *c)
{
    while (c->held_count > 0)
        say_done(l, c, least(c->held_count, l->set.batch), clock_now());
}

static void note_replaced(struct load *l, struct connection *c, size_t count)
{
    struct trip t;

    while (end_trip(&c->unreplaced, &count, &t)) {
        int64_t now = clock_now();

        if (!counts(l, &t))
            continue;
        note_span(l, LOAD_DISPATCH, now - t.due);
        note_span(l, LOAD_GIVEN, now - t.sent);
    }
}

static void take_assign(struct load *l, struct connection *c,
                        const struct wire_assignments *jobs)
{
    note_replaced(l, c, jobs->count);
    while (c->held_room < c->held_count + jobs->count) {
        c->held_room = c->held_room == 0 ? 256 : 2 * c->held_room;
        c->held = xrealloc(c->held, c->held_room * sizeof *c->held);
    }
    for (size_t i = 0; i < jobs->count; i++) {
        c->held[c->held_count++] = jobs->items[i].token;
        c->outstanding_sum ^= wire_token_hash(&jobs->items[i].token);
    }
    c->outstanding += jobs->count;
    l->figures.assigned += jobs->count;
    l->figures.assigns++;
    if (l->set.rate <= 0.0)
        finish_all(l, c);
    else if (l->began == 0)
        l->began = clock_now();
}

static void note_answered(struct load *l, struct connection *c, size_t count)
{
    struct trip t;

    while (end_trip(&c->unanswered, &count, &t)) {
        int64_t now = clock_now();

        if (!counts(l, &t))
            continue;
        note_span(l, LOAD_WHOLE, now - t.due);
        note_span(l, LOAD_ANSWER, now - t.sent);
        note_span(l, LOAD_LATE, t.sent - t.due);
    }
}

static void take_committed(struct load *l, struct connection *c,
                           const struct wire_tokens *tokens)
{
    for (size_t i = 0; i < tokens->count; i++)
        c->outstanding_sum ^= wire_token_hash(&tokens->items[i]);
    c->outstanding -= tokens->count;
    note_answered(l, c, tokens->count);
}

MUST_CHECK static struct status take_message(struct load *l,
                                             struct connection *c,
                                             const void *data, size_t size)
{
    struct wire_decoded d;
    const struct wire_message *m = &d.message;

    TRY_PLAIN(wire_decode(data, size, &d));
    if (m->type == WIRE_ASSIGN) {
        take_assign(l, c, &m->assign.jobs);
    } else if (m->type == WIRE_COMMITTED) {
        l->figures.committed += m->committed.tokens.count;
        take_committed(l, c, &m->committed.tokens);
    } else if (m->type == WIRE_STALE) {
        l->figures.stale += m->stale.tokens.count;
        take_committed(l, c, &m->stale.tokens);
    } else if (m->type == WIRE_WELCOME) {
        l->heartbeat_ms = m->welcome.heartbeat_ms;
        c->beat_at = clock_now() + l->heartbeat_ms * NS_PER_MS;
    }
    wire_release(&d);
    return SUCCESS;
}

/* ---- connections ------------------------------------------------------ */

static void take_command(struct load *l, struct connection *c,
                         const unsigned char *body, size_t size)
{
    enum { PING_HEAD = 7 }; /* its name and a time to live */

    if (size >= 6 && memcmp(body, "\5READY", 6) == 0) {
        c->ready = true;
        say_hello(l, c);
    } else if (size >= PING_HEAD && memcmp(body, "\4PING", 5) == 0) {
        struct buf pong;

        buf_init(&pong, 1024);
        must_add(&pong, "\4PONG", 5);
        must_add(&pong, body + PING_HEAD, size - PING_HEAD);
        put_frame(&c->out, FRAME_COMMAND, pong.data, pong.size);
        buf_release(&pong);
    }
}

MUST_CHECK static struct status take_bytes(struct load *l, struct connection *c)
{
    const unsigned char *data = (const unsigned char *)c->in.data;
    size_t at = 0;
    size_t taken;

    if (!c->greeted && c->in.size < GREETING)
        return SUCCESS;
    at = c->greeted ? 0 : GREETING;
    c->greeted = true;
    do {
        const unsigned char *body = NULL;
        size_t size = 0;

        taken = frame_at(data + at, c->in.size - at, &body, &size);
        if (taken > 0 && (data[at] & FRAME_COMMAND) != 0)
            take_command(l, c, body, size);
        else if (taken > 0)
            TRY_PLAIN(take_message(l, c, body, size));
        at += taken;
    } while (taken > 0);
    memmove(c->in.data, c->in.data + at, c->in.size - at);
    c->in.size -= at;
    return SUCCESS;
}

/* All that has come, as the descriptor tells of it only once. */
MUST_CHECK static struct status drain(struct load *l, struct connection *c)
{
    const void *data = NULL;
    size_t size = 0;

    do {
        TRY_PLAIN(dealer_wait(c->dealer, 0, NULL, 0, &data, &size));
        if (data != NULL)
            TRY_PLAIN(take_message(l, c, data, size));
    } while (data != NULL);
    return SUCCESS;
}

MUST_CHECK static struct status flush(struct load *l, struct connection *c)
{
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = c };
    ssize_t sent = c->dealer != NULL || c->out.size == 0
                       ? 0
                       : send(c->fd, c->out.data, c->out.size,
                              MSG_NOSIGNAL | MSG_DONTWAIT);

    if (c->dealer != NULL)
        return drain(l, c);
    if (sent < 0 && errno != EAGAIN)
        return FAIL(STATUS_UNAVAILABLE, "send: %s", strerror(errno));
    if (sent <= 0 || (size_t)sent == c->out.size) {
        if (sent > 0)
            buf_clear(&c->out);
        if (sent >= 0)
            return SUCCESS;
    } else {
        memmove(c->out.data, c->out.data + sent, c->out.size - (size_t)sent);
        c->out.size -= (size_t)sent;
    }
    event.events = EPOLLIN | EPOLLOUT;
    (void)epoll_ctl(l->poll, EPOLL_CTL_MOD, c->fd, &event);
    return SUCCESS;
}

MUST_CHECK static struct status take_input(struct load *l, struct connection *c)
{
    static _Thread_local char bytes[READ_BYTES];
    ssize_t got = recv(c->fd, bytes, sizeof bytes, MSG_DONTWAIT);

    if (got == 0)
        return FAIL(STATUS_UNAVAILABLE, "the broker hung up");
    if (got < 0)
        return errno == EAGAIN
                   ? SUCCESS
                   : FAIL(STATUS_UNAVAILABLE, "receive: %s", strerror(errno));
    must_add(&c->in, bytes, (size_t)got);
    return take_bytes(l, c);
}

MUST_CHECK static struct status on_event(struct load *l,
                                         const struct epoll_event *e)
{
    struct connection *c = e->data.ptr;
    struct epoll_event reading = { .events = EPOLLIN, .data.ptr = c };

    if (c->dealer != NULL)
        return drain(l, c);
    if ((e->events & (unsigned)EPOLLOUT) != 0)
        (void)epoll_ctl(l->poll, EPOLL_CTL_MOD, c->fd, &reading);
    if ((e->events & (unsigned)EPOLLIN) != 0)
        TRY_PLAIN(take_input(l, c));
    return flush(l, c);
}

/* ---- the thread ------------------------------------------------------- */

MUST_CHECK static struct status beat(struct load *l)
{
    int64_t now = clock_now();

    for (size_t i = 0; i < l->set.connections; i++) {
        struct connection *c = &l->items[i];

        if (c->beat_at == 0 || now < c->beat_at)
            continue;
        c->beat_at = now + l->heartbeat_ms * NS_PER_MS;
        say_heartbeat(c);
        TRY_PLAIN(flush(l, c));
    }
    return SUCCESS;
}

/* When the job of that number ends, however late this thread may be. */
static int64_t due_at(const struct load *l, uint64_t job)
{
    return l->began + (int64_t)((double)job * (double)NS_PER_S / l->set.rate);
}

static struct connection *next_holder(struct load *l)
{
    for (size_t i = 0; i < l->set.connections; i++) {
        struct connection *c = &l->items[l->rotor++ % l->set.connections];

        if (c->held_count > 0)
            return c;
    }
    return NULL;
}

/* What has ended by now is said, from one connection after the other. What
 * nobody holds yet, for the broker has not given it, stays due. */
MUST_CHECK static struct status pace(struct load *l)
{
    int64_t now = clock_now();
    struct connection *c;
    uint64_t due;

    if (l->began == 0 || now < l->ticked + TICK_NS)
        return SUCCESS;
    due = 1 +
          (uint64_t)((double)(now - l->began) * l->set.rate / (double)NS_PER_S);
    if (due - l->finished < l->set.batch &&
        now < due_at(l, l->finished) + LINGER_NS)
        return SUCCESS;
    l->ticked = now;
    while (l->finished < due && (c = next_holder(l)) != NULL) {
        size_t count = least(least(c->held_count, l->set.batch),
                             (size_t)(due - l->finished));

        say_done(l, c, count, due_at(l, l->finished));
        l->finished += count;
    }
    for (size_t i = 0; i < l->set.connections; i++)
        TRY_PLAIN(flush(l, &l->items[i]));
    return SUCCESS;
}

/* Nanoseconds until pace() has something to do. */
static int64_t pause_ns(const struct load *l)
{
    int64_t at;
    int64_t now = clock_now();

    if (l->began == 0) /* sends by libzmq hide arrivals */
        return l->set.key == NULL ? IDLE_NS : LINGER_NS;
    at = due_at(l, l->finished + l->set.batch - 1);
    if (at > due_at(l, l->finished) + LINGER_NS)
        at = due_at(l, l->finished) + LINGER_NS;
    if (at < l->ticked + TICK_NS)
        at = l->ticked + TICK_NS;
    return at > now ? at - now : 0;
}

static double thread_cpu_s(void)
{
    struct rusage u;

    (void)getrusage(RUSAGE_THREAD, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

MUST_CHECK static struct status work(struct load *l)
{
    struct epoll_event events[EVENTS];
    bool stopped = false;

    while (!stopped) {
        struct timespec pause = { .tv_nsec = pause_ns(l) };
        int count = epoll_pwait2(l->poll, events, EVENTS, &pause, NULL);

        for (int i = 0; i < count; i++) {
            if (events[i].data.ptr == NULL)
                stopped = true;
            else
                TRY_PLAIN(on_event(l, &events[i]));
        }
        TRY_PLAIN(pace(l));
        TRY_PLAIN(beat(l));
        for (size_t i = 0; l->set.key != NULL && i < l->set.connections; i++)
            TRY_PLAIN(drain(l, &l->items[i]));
        l->figures.cpu_s = thread_cpu_s();
    }
    return SUCCESS;
}

static void *run(void *self)
{
    struct load *l = self;

    l->failure = work(l);
    if (status_failed(&l->failure))
        (void)fprintf(stderr, "load: %s\n", l->failure.message);
    return NULL;
}

/* ---- opening ---------------------------------------------------------- */

static int dial(const char *endpoint)
{
    const int on = 1;
    int fd;

    if (strncmp(endpoint, "ipc://", 6) == 0) {
        struct sockaddr_un at = { .sun_family = AF_UNIX };

        (void)snprintf(at.sun_path, sizeof at.sun_path, "%s", endpoint + 6);
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        return connect(fd, (struct sockaddr *)&at, sizeof at) == 0 ? fd : -1;
    }
    struct sockaddr_in at = { .sin_family = AF_INET };

    at.sin_port =
        htons((uint16_t)strtoul(strrchr(endpoint, ':') + 1, NULL, 10));
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return connect(fd, (struct sockaddr *)&at, sizeof at) == 0 ? fd : -1;
}

MUST_CHECK static struct status open_dealer(struct load *l,
                                            struct connection *c)
{
    const struct dealer_safety safety = { .key = l->set.key,
                                          .broker_key = l->set.broker_key };
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = c };

    TRY_PLAIN(dealer_open_safely(l->set.endpoint, &safety, &c->dealer));
    c->fd = dealer_descriptor(c->dealer);
    if (epoll_ctl(l->poll, EPOLL_CTL_ADD, c->fd, &event) != 0)
        return FAIL(STATUS_FAILED, "epoll: %s", strerror(errno));
    say_hello(l, c);
    return SUCCESS;
}

MUST_CHECK static struct status open_connection(struct load *l, size_t i)
{
    struct connection *c = &l->items[i];
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = c };

    c->number = i;
    if (l->set.key != NULL)
        return open_dealer(l, c);
    buf_init(&c->in, 64 << 20);
    buf_init(&c->out, 64 << 20);
    c->fd = dial(l->set.endpoint);
    if (c->fd < 0)
        return FAIL(STATUS_UNAVAILABLE, "connect to %s: %s", l->set.endpoint,
                    strerror(errno));
    if (epoll_ctl(l->poll, EPOLL_CTL_ADD, c->fd, &event) != 0)
        return FAIL(STATUS_FAILED, "epoll: %s", strerror(errno));
    put_greeting(&c->out);
    return flush(l, c);
}

struct status load_start(const struct load_settings *settings,
                         struct load **ret_load)
{
    struct load *l = xnew(struct load);
    struct epoll_event event = { .events = EPOLLIN };

    *ret_load = l;
    l->set = *settings;
    l->items = xcalloc(settings->connections, sizeof *l->items);
    for (int i = 0; i < LOAD_SPANS; i++)
        l->spans[i] = xcalloc(TRIPS_MOST, sizeof *l->spans[i]);
    l->poll = epoll_create1(EPOLL_CLOEXEC);
    l->stop = eventfd(0, EFD_CLOEXEC);
    (void)epoll_ctl(l->poll, EPOLL_CTL_ADD, l->stop, &event);
    for (size_t i = 0; i < settings->connections; i++)
        TRY_PLAIN(open_connection(l, i));
    if (pthread_create(&l->thread, NULL, run, l) != 0)
        return FAIL(STATUS_FAILED, "no thread for the load");
    return SUCCESS;
}

struct status load_stop(struct load *l)
{
    const uint64_t one = 1;

    if (write(l->stop, &one, sizeof one) != (ssize_t)sizeof one)
        return FAIL(STATUS_FAILED, "eventfd: %s", strerror(errno));
    (void)pthread_join(l->thread, NULL);
    return l->failure;
}

void load_free(struct load *l)
{
    for (size_t i = 0; i < l->set.connections; i++) {
        if (l->items[i].dealer == NULL)
            (void)close(l->items[i].fd);
        dealer_close(l->items[i].dealer);
        buf_release(&l->items[i].in);
        buf_release(&l->items[i].out);
        free(l->items[i].held);
        free(l->items[i].unanswered.items);
        free(l->items[i].unreplaced.items);
    }
    (void)close(l->poll);
    (void)close(l->stop);
    free(l->items);
    for (int i = 0; i < LOAD_SPANS; i++)
        free(l->spans[i]);
    free(l);
}

struct load_figures load_figures(const struct load *l)
{
    return l->figures;
}

double *load_trips(struct load *l, enum load_span span, size_t *ret_count)
{
    *ret_count = l->span_counts[span];
    return l->spans[span];
}
