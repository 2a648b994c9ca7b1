/* What many workers cost the broker.
 *
 *     fleet [workers [raw workers]]
 *
 * First so many connections of libzmq, which say HELLO and heartbeats as a
 * worker does: memory of the broker for each, its time while nobody has
 * anything to do, how long it takes until all are there, and until all are
 * back after the broker was started anew. Then as many that are no libzmq's
 * (bench/load.h; 0 raw workers: none at all): what is dispatched with all of
 * them. The first over a unix socket, over TCP, and over TCP with keys; the
 * second over the first two. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <zmq.h>

#include "bench/bench.h"
#include "bench/farm.h"
#include "bench/load.h"
#include "common/clock.h"
#include "common/curve.h"
#include "common/limits.h"
#include "common/machine.h"
#include "common/memory.h"
#include "common/wire.h"

enum {
    DEFAULT_WORKERS = 2000,
    DEFAULT_RAW = 10000,
    HEARTBEAT_MS = 2000,
    IDLE_MS = 10 * 1000,
    PATIENCE_S = 60,
    SLEEP_MS = 2,
    THREADS = 1, /* of libzmq at this end */
    RECONNECT_MS = 100,
    RECONNECT_MOST_MS = 5000,
    POINTS = 200 * 1000,
    SLOTS = 4,
    BATCH = 64,
};

struct member {
    void *socket;
    uint64_t beats;
    int64_t beat_at;
    uint64_t epoch; /* of its last WELCOME */
};

struct fleet {
    void *context;
    struct member *items;
    size_t count;
    uint64_t beats, acks; /* so far */
};

/* How workers come to the broker. */
struct way {
    const char *name;
    bool tcp, curve;
};

static const struct way ways[] = {
    { "unix", false, false },
    { "tcp", true, false },
    { "curve", true, true },
};

static struct farm open_farm(const struct way *way)
{
    return farm_open((struct farm_settings){
        .fsync = "everysec", .tcp = way->tcp, .curve = way->curve });
}

static void print(const char *what, const struct way *way, size_t workers,
                  double value, const char *unit)
{
    AUTO(free_pointer)
    char *name = xasprintf("fleet.%s.%s.%zu", what, way->name, workers);

    bench_print(name, value, unit, 0.0, NULL);
}

/* ---- connections of libzmq ------------------------------------------------ */

static void set_option(void *socket, int option, int value)
{
    if (zmq_setsockopt(socket, option, &value, sizeof value) != 0)
        must(FAIL(STATUS_FAILED, "ZeroMQ refuses an option: %s",
                  zmq_strerror(zmq_errno())));
}

static void set_key(void *socket, int option, const uint8_t key[CURVE_BYTES])
{
    if (zmq_setsockopt(socket, option, key, CURVE_BYTES) != 0)
        must(FAIL(STATUS_FAILED, "ZeroMQ refuses a key: %s",
                  zmq_strerror(zmq_errno())));
}

/* All have the same key: the broker goes by names. */
static void set_keys(void *socket, const struct farm *farm)
{
    AUTO(free_pointer) char *own_path = farm_key(farm, "worker.key");
    AUTO(free_pointer) char *broker_path = farm_key(farm, "broker.pub");
    struct curve_key own;
    struct curve_key broker;

    if (own_path == NULL)
        return;
    must(curve_load_secret(own_path, &own));
    must(curve_load_public(broker_path, &broker));
    set_key(socket, ZMQ_CURVE_SERVERKEY, broker.open);
    set_key(socket, ZMQ_CURVE_PUBLICKEY, own.open);
    set_key(socket, ZMQ_CURVE_SECRETKEY, own.secret);
}

static void *dial(void *context, const struct farm *farm)
{
    void *socket = zmq_socket(context, ZMQ_DEALER);

    if (socket == NULL)
        must(FAIL(STATUS_FAILED, "ZeroMQ gives no more sockets: %s",
                  zmq_strerror(zmq_errno())));
    set_option(socket, ZMQ_LINGER, 0);
    set_option(socket, ZMQ_IMMEDIATE, 1);
    set_option(socket, ZMQ_RECONNECT_IVL, RECONNECT_MS);
    set_option(socket, ZMQ_RECONNECT_IVL_MAX, RECONNECT_MOST_MS);
    set_keys(socket, farm);
    if (zmq_connect(socket, farm->workers_at) != 0)
        must(FAIL(STATUS_UNAVAILABLE, "connect to %s: %s", farm->workers_at,
                  zmq_strerror(zmq_errno())));
    return socket;
}

/* False: nobody is there yet. */
static bool say(const struct member *w, const struct wire_message *m)
{
    struct buf out;
    int sent;

    buf_init(&out, LIMIT_MESSAGE);
    must(wire_encode(m, &out));
    sent = zmq_send(w->socket, out.data, out.size, ZMQ_DONTWAIT);
    buf_release(&out);
    return sent >= 0;
}

static bool say_hello(const struct fleet *f, const struct member *w)
{
    size_t number = (size_t)(w - f->items);
    AUTO(free_pointer) char *name = xasprintf("fleet-%zu", number);
    struct wire_message m = { .type = WIRE_HELLO };

    m.hello = (struct wire_hello){
        .worker = wire_text(name),
        .incarnation = 1 + number,
        .least_major = WIRE_MAJOR,
        .most_major = WIRE_MAJOR,
        .slots = SLOTS,
        .cpus = SLOTS,
        .memory_bytes = INT64_C(8) << 30,
        .labels = wire_text("zone=a disk=ssd"),
        .kinds = wire_text("train evaluate.noop evaluate.accuracy export"),
        .version = wire_text("bench"),
    };
    return say(w, &m);
}

static void say_heartbeat(struct fleet *f, struct member *w)
{
    struct wire_message m = { .type = WIRE_HEARTBEAT };

    m.heartbeat.sequence = ++w->beats;
    m.heartbeat.free_slots = SLOTS;
    f->beats += say(w, &m);
}

static void take(struct fleet *f, struct member *w)
{
    char data[1024];
    int size;

    while ((size = zmq_recv(w->socket, data, sizeof data, ZMQ_DONTWAIT)) > 0) {
        struct wire_decoded d;

        if (size > (int)sizeof data)
            must(FAIL(STATUS_TOO_BIG, "a message of %d bytes", size));
        must(wire_decode(data, (size_t)size, &d));
        if (d.message.type == WIRE_WELCOME)
            w->epoch = d.message.welcome.epoch;
        if (d.message.type == WIRE_HEARTBEAT_ACK) {
            f->acks++;
            if (d.message.heartbeat_ack.say_hello != 0)
                (void)say_hello(f, w);
        }
        wire_release(&d);
    }
}

/* One look at each. How many are welcome in that epoch or a later one. */
static size_t turn(struct fleet *f, uint64_t epoch)
{
    size_t there = 0;

    for (size_t i = 0; i < f->count; i++) {
        struct member *w = &f->items[i];

        take(f, w);
        if (clock_now() >= w->beat_at) {
            w->beat_at = clock_now() + HEARTBEAT_MS * NS_PER_MS;
            if (w->epoch == 0)
                w->beat_at = clock_now() +
                             (say_hello(f, w) ? HEARTBEAT_MS : 20) * NS_PER_MS;
            else
                say_heartbeat(f, w);
        }
        there += w->epoch >= epoch;
    }
    clock_sleep_ms(SLEEP_MS);
    return there;
}

/* Seconds until all are welcome. */
static double await_all(struct fleet *f, uint64_t epoch)
{
    int64_t began = clock_now();

    while (turn(f, epoch) < f->count)
        if (clock_now() - began > PATIENCE_S * NS_PER_S)
            must(FAIL(STATUS_TIMED_OUT, "not all workers are there"));
    return (double)(clock_now() - began) / (double)NS_PER_S;
}

static void open_fleet(struct fleet *f, const struct farm *farm, size_t count)
{
    f->context = zmq_ctx_new();
    (void)zmq_ctx_set(f->context, ZMQ_MAX_SOCKETS, (int)count + 16);
    (void)zmq_ctx_set(f->context, ZMQ_IO_THREADS, THREADS);
    f->items = xcalloc(count, sizeof *f->items);
    f->count = count;
    for (size_t i = 0; i < count; i++)
        f->items[i].socket = dial(f->context, farm);
}

static void close_fleet(struct fleet *f)
{
    for (size_t i = 0; i < f->count; i++)
        (void)zmq_close(f->items[i].socket);
    (void)zmq_ctx_term(f->context);
    free(f->items);
}

static void measure_idle(struct fleet *f, const struct farm *farm,
                         const struct way *way)
{
    double cpu = farm_cpu_s(farm->broker);
    uint64_t acks = f->acks;
    int64_t until = clock_now() + IDLE_MS * NS_PER_MS;
    double seconds = IDLE_MS / 1000.0;

    while (clock_now() < until)
        (void)turn(f, 0);
    cpu = farm_cpu_s(farm->broker) - cpu;
    print("heartbeats", way, f->count, (double)(f->acks - acks) / seconds,
          "heartbeats/s");
    print("idle_cpu", way, f->count, 100.0 * cpu / seconds, "% of a core");
}

static void measure_dealers(const struct way *way, size_t count)
{
    struct farm farm = open_farm(way);
    struct fleet f = { .count = 0 };
    double before = farm_rss_bytes(farm.broker);

    open_fleet(&f, &farm, count);
    print("connect", way, count, await_all(&f, 1), "s");
    measure_idle(&f, &farm, way);
    print("memory", way, count,
          (farm_rss_bytes(farm.broker) - before) / (double)count, "B/worker");
    print("restart", way, count, farm_restart_broker(&farm), "s");
    print("all_back", way, count, await_all(&f, 2), "s");
    close_fleet(&f);
    farm_close(&farm);
}

/* ---- connections that are cheap at this end ------------------------------- */

static void await_workers(struct farm *farm, size_t count)
{
    size_t there = 0;

    for (int i = 0; there < count && i < PATIENCE_S * 10; i++) {
        json_t *body = farm_ask(farm, "scaling", "{}");

        there = (size_t)json_int_or(body, "workers", 0);
        json_decref(body);
        clock_sleep_ms(100);
    }
}

static void measure_raw(const struct way *way, size_t count)
{
    struct farm farm = open_farm(way);
    struct load_settings settings = { .endpoint = farm.workers_at,
                                      .connections = count,
                                      .slots = SLOTS,
                                      .batch = BATCH };
    struct load *load = NULL;
    double before = farm_rss_bytes(farm.broker);
    double cpu;
    int64_t began = clock_now();

    must(load_start(&settings, &load));
    await_workers(&farm, count);
    print("raw_connect", way, count,
          (double)(clock_now() - began) / (double)NS_PER_S, "s");
    cpu = farm_cpu_s(farm.broker);
    clock_sleep_ms(IDLE_MS);
    cpu = farm_cpu_s(farm.broker) - cpu;
    print("raw_idle_cpu", way, count, 100.0 * cpu * 1000.0 / IDLE_MS,
          "% of a core");
    print("raw_memory", way, count,
          (farm_rss_bytes(farm.broker) - before) / (double)count, "B/worker");
    (void)farm_run_sweep(&farm, 1, POINTS / 10); /* what jobs take is learned */
    print("dispatch", way, count, POINTS / farm_run_sweep(&farm, 2, POINTS),
          "jobs/s");
    must(load_stop(load));
    load_free(load);
    farm_close(&farm);
}

int main(int argc, char **argv)
{
    long workers = argc > 1 ? strtol(argv[1], NULL, 10) : DEFAULT_WORKERS;
    long raw = argc > 2 ? strtol(argv[2], NULL, 10) : DEFAULT_RAW;
    uint64_t descriptors = 0;

    if (workers < 0 || raw < 0 || argc > 3) {
        (void)fprintf(stderr, "usage: fleet [workers [raw workers]]\n");
        return 2;
    }
    must(machine_descriptors(&descriptors));
    for (size_t i = 0; workers > 0 && i < COUNT_OF(ways); i++)
        measure_dealers(&ways[i], (size_t)workers);
    for (size_t i = 0; i < COUNT_OF(ways) && !ways[i].curve; i++) {
        if (workers > 0 && raw > 0)
            measure_raw(&ways[i], (size_t)workers);
        if (raw > 0 && raw != workers)
            measure_raw(&ways[i], (size_t)raw);
    }
    return 0;
}
