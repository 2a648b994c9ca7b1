/* What a job that does nothing costs the scheduler alone: no socket, thread or
 * store.
 *
 *     core [points [workers [slots]]]
 *
 * Workers answer each assignment, in order and in messages of 64; of the turns
 * of a broker only what broker/core does is timed, and the codec. */
#include <stdlib.h>
#include <string.h>

#include "bench/bench.h"
#include "broker/core/sched.h"
#include "common/clock.h"
#include "common/memory.h"

enum {
    DEFAULT_POINTS = 1000 * 1000,
    DEFAULT_WORKERS = 16,
    DEFAULT_SLOTS = 16,
    BATCH = 64,
    TURN = 6, /* messages between two ticks, as broker/loop.c takes them */
    ROW = 1000,
};

enum phase { DECODE, DONE, TICK, PHASES };

struct worker {
    struct peer peer;
    struct wire_token *held; /* a ring of assigned jobs */
    size_t first, count, room;
};

struct bench {
    struct sched *sched;
    struct outbox out;
    struct buf message;
    struct worker *workers;
    size_t worker_count, rotor;
    uint64_t committed, assigned;
    double ns[PHASES];
};

static void must(struct status st)
{
    if (!status_failed(&st))
        return;
    (void)fprintf(stderr, "core: %s\n", st.message);
    exit(EXIT_FAILURE);
}

static struct sched_time time_now(void)
{
    return (struct sched_time){ .now = clock_now(),
                                .wall_ms = clock_wall_ms() };
}

/* As the broker takes it, from bytes. */
static void deliver(struct bench *b, struct peer from,
                    const struct wire_message *m, bool timed)
{
    struct wire_decoded d;
    int64_t began;
    int64_t decoded;

    buf_clear(&b->message);
    must(wire_encode(m, &b->message));
    began = clock_now();
    must(wire_decode(b->message.data, b->message.size, &d));
    decoded = clock_now();
    must(sched_message(b->sched, from, &d.message, time_now(), &b->out));
    wire_release(&d);
    if (!timed)
        return;
    b->ns[DECODE] += (double)(decoded - began);
    b->ns[DONE] += (double)(clock_now() - decoded);
}

static void hold(struct worker *w, const struct wire_token *token)
{
    if (w->count == w->room) {
        size_t room = w->room == 0 ? BATCH : 2 * w->room;
        struct wire_token *grown = xcalloc(room, sizeof *grown);

        for (size_t i = 0; i < w->count; i++)
            grown[i] = w->held[(w->first + i) % w->room];
        free(w->held);
        w->held = grown;
        w->room = room;
        w->first = 0;
    }
    w->held[(w->first + w->count++) % w->room] = *token;
}

static void take(struct bench *b, const struct outbox_message *sent)
{
    struct wire_decoded d;
    const struct wire_message *m = &d.message;

    must(wire_decode(b->out.bytes.data + sent->at, sent->size, &d));
    if (m->type == WIRE_ASSIGN) {
        b->assigned += m->assign.jobs.count;
        for (size_t i = 0; i < m->assign.jobs.count; i++)
            hold(&b->workers[sent->peer.id], &m->assign.jobs.items[i].token);
    } else if (m->type == WIRE_COMMITTED) {
        b->committed += m->committed.tokens.count;
    }
    wire_release(&d);
}

static void tick(struct bench *b)
{
    int64_t began = clock_now();

    sched_tick(b->sched, time_now(), &b->out);
    b->ns[TICK] += (double)(clock_now() - began);
    for (size_t i = 0; i < b->out.message_count; i++)
        take(b, &b->out.messages[i]);
    outbox_clear(&b->out);
}

/* The oldest of what it holds. */
static bool finish(struct bench *b, struct worker *w)
{
    struct wire_outcome outcomes[BATCH];
    struct wire_message m = { .type = WIRE_DONE };
    size_t count = w->count < BATCH ? w->count : BATCH;

    for (size_t i = 0; i < count; i++)
        outcomes[i] = (struct wire_outcome){
            .token = w->held[(w->first + i) % w->room],
            .result = wire_text("{\"metrics\":{\"value\":1}}"),
            .peak_bytes = 1 << 20,
        };
    if (count == 0)
        return false;
    w->first = (w->first + count) % w->room;
    w->count -= count;
    m.done.outcomes.items = outcomes;
    m.done.outcomes.count = count;
    deliver(b, w->peer, &m, true);
    return true;
}

static void turn(struct bench *b)
{
    size_t said = 0;

    for (size_t i = 0; i < b->worker_count && said < TURN; i++)
        said += finish(b, &b->workers[b->rotor++ % b->worker_count]);
    tick(b);
}

static void greet(struct bench *b, uint64_t slots)
{
    for (size_t i = 0; i < b->worker_count; i++) {
        AUTO(free_pointer) char *name = xasprintf("load-%zu", i);
        struct wire_message m = { .type = WIRE_HELLO };

        b->workers[i].peer = (struct peer){ PEER_WORKER, i };
        m.hello = (struct wire_hello){ .worker = wire_text(name),
                                       .incarnation = 1 + i,
                                       .least_major = WIRE_MAJOR,
                                       .most_major = WIRE_MAJOR,
                                       .slots = slots,
                                       .cpus = 1,
                                       .version = wire_text("bench") };
        deliver(b, b->workers[i].peer, &m, false);
    }
}

static void submit(struct bench *b, uint64_t points)
{
    AUTO(free_pointer)
    char *document = xasprintf(
        "{\"sinter\":1,\"name\":\"bench\",\"parameters\":[{\"name\":\"x\","
        "\"from\":1,\"to\":%d,\"count\":%d},{\"name\":\"y\",\"from\":1,\"to\":"
        "%llu,\"count\":%llu}],\"strategy\":{\"method\":\"grid\"},\"evaluate\":"
        "[{\"name\":\"e\",\"kind\":\"evaluate.noop\",\"variants\":[{\"params\":"
        "{\"value\":{\"$param\":\"x\"},\"sleep\":0,\"of\":1,\"row\":{\"$param\""
        ":\"y\"}}}],\"metrics\":[\"value\"]}]}",
        ROW, ROW, (unsigned long long)points / ROW,
        (unsigned long long)points / ROW);
    struct wire_message m = { .type = WIRE_SUBMIT };

    m.submit.idempotency = wire_text("bench");
    m.submit.compiled = wire_text(document);
    deliver(b, (struct peer){ PEER_CLIENT, 0 }, &m, false);
}

static void print(const struct bench *b, uint64_t points)
{
    static const char *const names[PHASES] = { "core_decode", "core_done",
                                               "core_tick" };
    double sum = 0.0;

    for (int i = 0; i < PHASES; i++) {
        bench_print(names[i], b->ns[i] / (double)points, "ns/job", 0.0, NULL);
        sum += b->ns[i];
    }
    bench_print("core", sum / (double)points, "ns/job", 0.0, NULL);
}

static uint64_t argument(int argc, char **argv, int i, uint64_t otherwise)
{
    return argc > i ? strtoull(argv[i], NULL, 10) : otherwise;
}

int main(int argc, char **argv)
{
    const struct sched_settings settings = { .heartbeat_ms = 1000000,
                                             .lease_ms = 1000000,
                                             .depot = "",
                                             .version = "bench" };
    uint64_t points = argument(argc, argv, 1, DEFAULT_POINTS) / ROW * ROW;
    struct bench b = { .sched = sched_new(&settings),
                       .worker_count =
                           argument(argc, argv, 2, DEFAULT_WORKERS) };

    b.workers = xcalloc(b.worker_count + 1, sizeof *b.workers);
    outbox_init(&b.out);
    buf_init(&b.message, SIZE_MAX / 2);
    sched_start(b.sched, 1, time_now(), &b.out);
    greet(&b, argument(argc, argv, 3, DEFAULT_SLOTS));
    submit(&b, points);
    while (b.committed < points)
        turn(&b);
    print(&b, points);
    for (size_t i = 0; i < b.worker_count; i++)
        free(b.workers[i].held);
    free(b.workers);
    buf_release(&b.message);
    outbox_release(&b.out);
    sched_free(b.sched);
    return 0;
}
