/* How fast a broker could be that has nothing to decide, at a fixed rate.
 *
 *     floor [rate [seconds [row]]]
 *
 * The sockets (libzmq) and the store (Redis) of the broker, its messages and
 * its records, and nothing between them: what came in is replaced by new jobs,
 * appended in one group, and answered when that is durable. The load is that of
 * bench/dispatch, whose rows have the same names, and so is the machine. No
 * strict bound: here the loop itself waits for Redis. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/bench.h"
#include "bench/farm.h"
#include "bench/paced.h"
#include "broker/link.h"
#include "broker/store.h"
#include "common/clock.h"
#include "common/memory.h"

enum {
    RATE = 200 * 1000,
    SECONDS = 10,
    WARM_MS = 500,
    CONNECTIONS = 16,
    SLOTS = 16,
    BATCH = 64,
    AHEAD = 128, /* jobs a worker holds for each slot, as of the broker, which
                    gives one by one what takes long */
    TURN = 64,   /* messages */
    RECORDS_MOST = TURN * BATCH,
};

struct row {
    const char *name, *fsync;
    size_t batch; /* outcomes of a DONE */
    bool curve;
};

struct server {
    const struct row *row;
    struct link link;
    struct store store;
    struct outbox out;
    struct store_record *records;
    uint64_t epoch, sequence, jobs;
};

static void assign(struct server *s, struct peer peer, size_t count)
{
    struct wire_assignment items[BATCH];
    struct wire_message m = { .type = WIRE_ASSIGN };

    for (size_t i = 0; i < count; i++) {
        items[i] = (struct wire_assignment){
            .token = { .epoch = s->epoch, .attempt = 1 },
            .kind = wire_text("evaluate.noop"),
            .params = wire_text("{\"of\":1,\"sleep\":0,\"value\":1}"),
            .label = wire_text("floor:e:1"),
        };
        memcpy(items[i].token.key.bytes, &s->jobs, sizeof s->jobs);
        s->jobs++;
    }
    m.assign.jobs.items = items;
    m.assign.jobs.count = count;
    must(outbox_send(&s->out, peer, &m, true));
}

static void greet(struct server *s, struct peer peer)
{
    size_t batch = s->row->batch;
    size_t jobs = batch == 1 ? SLOTS : SLOTS * AHEAD;

    for (size_t i = 0; i < jobs / batch; i++)
        assign(s, peer, batch);
}

static void take_done(struct server *s, struct peer peer,
                      const struct wire_done *done)
{
    size_t count = done->outcomes.count;
    struct wire_token tokens[BATCH];
    struct wire_message answer = { .type = WIRE_COMMITTED };

    for (size_t i = 0; i < count; i++) {
        const struct wire_outcome *o = &done->outcomes.items[i];
        struct wire_message record = { .type = WIRE_RECORD_RESULT };

        record.record_result = (struct wire_record_result){
            .token = o->token,
            .kind = wire_text("evaluate.noop"),
            .result = o->result,
            .worker = wire_text("load"),
            .at_ms = clock_wall_ms(),
            .peak_bytes = o->peak_bytes,
        };
        must(outbox_record(&s->out, &record));
        tokens[i] = o->token;
    }
    answer.committed.tokens.items = tokens;
    answer.committed.tokens.count = count;
    must(outbox_send(&s->out, peer, &answer, false));
    assign(s, peer, count);
}

static void take_message(struct server *s, const struct link_message *in)
{
    struct wire_decoded d;

    must(wire_decode(in->data, in->size, &d));
    if (d.message.type == WIRE_HELLO)
        greet(s, in->from);
    if (d.message.type == WIRE_DONE)
        take_done(s, in->from, &d.message.done);
    wire_release(&d);
}

static void append(struct server *s)
{
    size_t count = s->out.record_count;

    for (size_t i = 0; i < count; i++)
        s->records[i] = (struct store_record){
            .epoch = s->epoch,
            .sequence = ++s->sequence,
            .data = { s->out.bytes.data + s->out.records[i].at,
                      s->out.records[i].size },
        };
    if (count > 0)
        must(s->store.append(s->store.self, s->records, count));
}

static void send_messages(const struct server *s, bool early)
{
    for (size_t i = 0; i < s->out.message_count; i++) {
        const struct outbox_message *m = &s->out.messages[i];

        if (m->early == early)
            must(s->link.send(s->link.self, m->peer, s->out.bytes.data + m->at,
                              m->size));
    }
}

static void turn(struct server *s)
{
    bool got = true;

    must(s->link.wait(s->link.self, -1, NULL, 0));
    for (int i = 0; i < TURN && got; i++) {
        struct link_message in;

        must(s->link.receive(s->link.self, &in, &got));
        if (got)
            take_message(s, &in);
    }
    send_messages(s, true);
    append(s);
    send_messages(s, false);
    outbox_clear(&s->out);
}

static struct link open_link(const struct farm *f)
{
    AUTO(free_pointer) char *path = farm_key(f, "broker.key");
    struct curve_key key = { 0 };
    struct link_settings settings = {
        .endpoints = { f->workers_at, f->clients_at },
        .most_queued = 4096,
        .key = path == NULL ? NULL : &key,
    };
    struct link link;

    if (path != NULL) {
        must(curve_load_secret(path, &key));
        must(curve_ring_load(f->keys, &settings.ring));
    }
    must(link_zmq_open(&settings, &link));
    return link;
}

_Noreturn static void serve(const struct farm *f, const struct row *row,
                            int ready)
{
    static const struct store_options options = { 0 };
    struct server s = { .row = row,
                        .records = xcalloc(RECORDS_MOST, sizeof *s.records) };
    AUTO(free_pointer) char *url = farm_store(f);

    (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
    outbox_init(&s.out);
    must(store_open(url, "floor", &options, &s.store));
    must(s.store.begin(s.store.self, &s.epoch));
    s.link = open_link(f);
    (void)!write(ready, "", 1);
    for (;;)
        turn(&s);
}

static pid_t start_server(const struct farm *f, const struct row *row)
{
    int ready[2];
    char byte;
    pid_t pid;

    if (pipe(ready) != 0)
        must(FAIL(STATUS_FAILED, "no pipe"));
    pid = fork();
    if (pid < 0)
        must(FAIL(STATUS_FAILED, "no process"));
    if (pid == 0)
        serve(f, row, ready[1]);
    (void)close(ready[1]);
    if (read(ready[0], &byte, 1) != 1)
        must(FAIL(STATUS_FAILED, "the server does not start"));
    (void)close(ready[0]);
    return pid;
}

static void measure(const struct row *row, double rate, int seconds)
{
    struct farm f = farm_open_bare(
        (struct farm_settings){ .fsync = row->fsync, .curve = row->curve });
    AUTO(free_pointer) char *key = farm_key(&f, "worker.key");
    AUTO(free_pointer) char *broker_key = farm_key(&f, "broker.pub");
    struct load_settings settings = { .endpoint = f.workers_at,
                                      .key = key,
                                      .broker_key = broker_key,
                                      .connections = CONNECTIONS,
                                      .slots = SLOTS,
                                      .batch = row->batch,
                                      .rate = rate,
                                      .warm_ns = WARM_MS * NS_PER_MS };
    AUTO(free_pointer) char *name = xasprintf("floor_%s", row->name);
    struct load *load = NULL;

    f.broker = start_server(&f, row);
    must(load_start(&settings, &load));
    clock_sleep_ms(INT64_C(1000) * seconds);
    must(load_stop(load));
    paced_print("half_load_wanted", name, rate, "jobs/s");
    paced_print("half_load_cpu_broker", name,
                100.0 * farm_cpu_s(f.broker) / seconds, "% of a core");
    paced_print("half_load_cpu_redis", name,
                100.0 * farm_cpu_s(f.redis) / seconds, "% of a core");
    paced_print_load(name, load, seconds);
    load_free(load);
    farm_close(&f);
}

static const struct row rows[] = {
    { "redis_everysec", "everysec", BATCH, false },
    { "redis_always", "always", BATCH, false },
    { "redis_everysec_single", "everysec", 1, false },
    { "redis_everysec_curve", "everysec", BATCH, true },
};

/* NULL: there is none. */
static const struct row *find_row(const char *name)
{
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        if (strcmp(rows[i].name, name) == 0)
            return &rows[i];
    return NULL;
}

int main(int argc, char **argv)
{
    double rate = argc > 1 ? strtod(argv[1], NULL) : RATE;
    long seconds = argc > 2 ? strtol(argv[2], NULL, 10) : SECONDS;
    const struct row *row = find_row(argc > 3 ? argv[3] : rows[0].name);

    if (rate <= 0.0 || seconds <= 0 || row == NULL || argc > 4) {
        (void)fprintf(stderr, "usage: floor [rate [seconds [row]]]\n");
        return 2;
    }
    paced_print_machine();
    measure(row, rate, (int)seconds);
    return 0;
}
