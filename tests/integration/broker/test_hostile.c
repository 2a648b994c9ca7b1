/* Peers that mean harm, against a real broker, a real worker and a real client
 * that go on with their work meanwhile: with keys and without. The programs'
 * paths are the arguments. */
#include "common/buf.h"
#include "common/clock.h"
#include "common/curve.h"
#include "common/limits.h"
#include "common/memory.h"
#include "support/peers.h"
#include "support/process.h"
#include "support/test.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <netinet/in.h>

enum {
    POINTS = 20,     /* of a sweep that must end while an attack lasts */
    HELD_MOST = 400, /* connections of an attack */
    PATIENCE_S = 30,
    GREETING = 64,
    RSS_MOST = 200 << 20, /* bytes more than before, of all attacks */
};

static const char *broker_program;
static const char *worker_program;

struct farm {
    char directory[SCRATCH_SIZE];
    bool keyed;
    int ports[2], http; /* workers, clients */
    pid_t broker, worker;
    struct dealer *client;
    int sweeps;
};

/* Connections that an attack leaves open. */
struct held {
    int fds[HELD_MOST];
    size_t count;
};

static char *path_in(const struct farm *f, const char *name)
{
    return xasprintf("%s/%s", f->directory, name);
}

static int port_of(const json_t *ready, const char *name)
{
    const char *endpoint = json_text_or(ready, name, ":0");

    return (int)strtol(strrchr(endpoint, ':') + 1, NULL, 10);
}

static void make_keys(const struct farm *f)
{
    static const enum curve_role roles[] = { CURVE_BROKER, CURVE_WORKER,
                                             CURVE_CLIENT };
    AUTO(free_pointer) char *keys = path_in(f, "keys");

    for (size_t i = 0; i < COUNT_OF(roles); i++) {
        struct curve_key key;

        assert_ok(curve_make(roles[i], curve_role_name(roles[i]), &key));
        assert_ok(curve_save(&key, keys));
    }
}

static void start_broker(struct farm *f)
{
    AUTO(free_pointer) char *ready_path = path_in(f, "ready.json");
    AUTO(free_pointer) char *log = path_in(f, "broker.log");
    AUTO(free_pointer) char *depot = path_in(f, "depot");
    AUTO(free_pointer) char *store = xasprintf("sqlite:%s/db", f->directory);
    AUTO(free_pointer) char *key = path_in(f, "keys/broker.key");
    AUTO(free_pointer) char *keys = path_in(f, "keys");
    AUTO(json_release) json_t *ready = NULL;
    const char *const argv[] = {
        broker_program,
        "--store",
        store,
        "--depot",
        depot,
        "--workers",
        "tcp://127.0.0.1:*",
        "--clients",
        "tcp://127.0.0.1:*",
        "--http",
        "127.0.0.1:0",
        "--heartbeat",
        "200ms",
        "--lease",
        "1s",
        "--ready-file",
        ready_path,
        "--die-with-parent",
        "--key",
        f->keyed ? key : "",
        "--allow",
        f->keyed ? keys : "",
        NULL,
    };

    f->broker = process_start(argv, log);
    assert_true(wait_for_file(ready_path, 20000));
    assert_ok(json_parse_file(ready_path, LIMIT_CONFIG, &ready));
    f->ports[0] = port_of(ready, "workers");
    f->ports[1] = port_of(ready, "clients");
    f->http = port_of(ready, "http");
}

static void start_worker(struct farm *f)
{
    AUTO(free_pointer) char *log = path_in(f, "worker.log");
    AUTO(free_pointer) char *cache = path_in(f, "cache");
    AUTO(free_pointer) char *at = xasprintf("tcp://127.0.0.1:%d", f->ports[0]);
    AUTO(free_pointer) char *key = path_in(f, "keys/worker.key");
    AUTO(free_pointer) char *broker_key = path_in(f, "keys/broker.pub");
    const char *const argv[] = {
        worker_program,
        "--broker",
        at,
        "--name",
        "honest",
        "--slots",
        "1",
        "--cache",
        cache,
        "--key",
        f->keyed ? key : "",
        "--broker-key",
        f->keyed ? broker_key : "",
        "--die-with-parent",
        NULL,
    };

    f->worker = process_start(argv, log);
}

static void open_client(struct farm *f)
{
    AUTO(free_pointer) char *at = xasprintf("tcp://127.0.0.1:%d", f->ports[1]);
    AUTO(free_pointer) char *key = path_in(f, "keys/client.key");
    AUTO(free_pointer) char *broker_key = path_in(f, "keys/broker.pub");
    const struct dealer_safety safety = {
        .key = f->keyed ? key : NULL,
        .broker_key = f->keyed ? broker_key : NULL,
    };

    assert_ok(dealer_open_safely(at, &safety, &f->client));
}

static struct farm farm_open(bool keyed)
{
    struct farm f = { .keyed = keyed };

    scratch_make(f.directory);
    if (keyed)
        make_keys(&f);
    start_broker(&f);
    start_worker(&f);
    open_client(&f);
    return f;
}

static void farm_close(struct farm *f)
{
    dealer_close(f->client);
    (void)process_end(f->worker, SIGKILL);
    assert_true(process_stop(f->broker));
    scratch_remove(f->directory);
}

/* A sweep of new jobs, from submit to its end. */
static void honest_work(struct farm *f)
{
    int64_t until = clock_now() + PATIENCE_S * NS_PER_S;
    int from = 1000 * ++f->sweeps;
    AUTO(free_pointer)
    char *document = xasprintf(
        "{\"sinter\":1,\"name\":\"s%d\",\"parameters\":[{\"name\":\"x\","
        "\"from\":%d,\"to\":%d,\"count\":%d,\"scale\":\"linear\"}],"
        "\"strategy\":{\"method\":\"grid\"},\"evaluate\":[{\"name\":\"e\","
        "\"kind\":\"evaluate.noop\",\"variants\":[{\"params\":{\"value\":"
        "{\"$param\":\"x\"},\"sleep\":0}}],\"metrics\":[\"value\"]}]}",
        f->sweeps, from, from + POINTS - 1, POINTS);
    AUTO(free_pointer) char *arguments = NULL;
    int64_t done = 0;
    char id[24];

    assert_ok(peer_submit(f->client, document, id));
    arguments = xasprintf("{\"sweep\":\"%s\",\"wait_ms\":1000}", id);
    while (done < POINTS) {
        AUTO(json_release) json_t *status = NULL;

        assert_true(clock_now() < until);
        assert_ok(peer_ask(f->client, "status", arguments, &status));
        assert_int_equal(json_int_or(status, "failed", -1), 0);
        done = json_int_or(status, "done", 0);
    }
}

/* ---- what the broker has ---------------------------------------------- */

static int64_t rss_of(pid_t pid)
{
    AUTO(free_pointer) char *path = xasprintf("/proc/%d/statm", (int)pid);
    FILE *file = fopen(path, "re");
    long pages = 0;

    assert_non_null(file);
    assert_int_equal(fscanf(file, "%*d %ld", &pages), 1);
    (void)fclose(file);
    return (int64_t)pages * sysconf(_SC_PAGESIZE);
}

static int descriptors_of(pid_t pid)
{
    AUTO(free_pointer) char *path = xasprintf("/proc/%d/fd", (int)pid);
    DIR *directory = opendir(path);
    int count = 0;

    assert_non_null(directory);
    while (readdir(directory) != NULL)
        count++;
    (void)closedir(directory);
    return count;
}

static void wait_for_descriptors(pid_t pid, int most)
{
    int64_t until = clock_now() + PATIENCE_S * NS_PER_S;

    while (descriptors_of(pid) > most) {
        assert_true(clock_now() < until);
        clock_sleep_ms(50);
    }
}

/* ---- raw connections -------------------------------------------------- */

static int dial(struct held *h, int port)
{
    struct sockaddr_in at = { .sin_family = AF_INET,
                              .sin_port = htons((uint16_t)port),
                              .sin_addr = { htonl(INADDR_LOOPBACK) } };
    const struct timeval patience = { .tv_sec = PATIENCE_S };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof at), 0);
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    assert_true(h->count < HELD_MOST);
    h->fds[h->count++] = fd;
    return fd;
}

static void hang_up(struct held *h)
{
    while (h->count > 0)
        (void)close(h->fds[--h->count]);
}

/* That it is taken is not asked for: the broker may have hung up. */
static void put(int fd, const void *data, size_t size)
{
    (void)send(fd, data, size, MSG_NOSIGNAL);
}

static void get(int fd, void *data, size_t size)
{
    assert_int_equal(recv(fd, data, size, MSG_WAITALL), size);
}

static void assert_closed(int fd)
{
    char bytes[4096];
    ssize_t got;

    while ((got = recv(fd, bytes, sizeof bytes, 0)) > 0)
        continue;
    assert_true(got == 0 || errno == ECONNRESET);
}

static void greeting(const char *mechanism, unsigned char bytes[GREETING])
{
    memset(bytes, 0, GREETING);
    bytes[0] = 0xff;
    bytes[9] = 0x7f;
    bytes[10] = 3;
    memcpy(bytes + 12, mechanism, strlen(mechanism));
}

/* A DEALER that has shaken hands, without keys. */
static int enter(struct held *h, int port)
{
    static const char ready[] = "\4\34\5READY\13Socket-Type\0\0\0\6DEALER";
    unsigned char bytes[GREETING];
    unsigned char head[2];
    unsigned char rest[256];
    int fd = dial(h, port);

    greeting("NULL", bytes);
    put(fd, bytes, sizeof bytes);
    get(fd, bytes, sizeof bytes);
    put(fd, ready, sizeof ready - 1);
    get(fd, head, sizeof head); /* its READY, a short command */
    assert_int_equal(head[0], 4);
    get(fd, rest, head[1]);
    return fd;
}

static void put_frame(int fd, unsigned char flags, const void *data,
                      size_t size)
{
    unsigned char head[9] = { flags | 2 };

    for (int i = 0; i < 8; i++)
        head[1 + i] = (unsigned char)((uint64_t)size >> (56 - 8 * i));
    put(fd, head, sizeof head);
    put(fd, data, size);
}

/* ---- attacks: each is given a port and leaves what it likes ------------ */

struct attack {
    const char *name;
    void (*run)(const struct farm *f, struct held *h, int side);
    bool in_words; /* it speaks the protocol: without keys only */
};

static void garbage(const struct farm *f, struct held *h, int side)
{
    unsigned char noise[4096];
    uint32_t seed = 1;

    for (int i = 0; i < 50; i++) {
        int fd = dial(h, f->ports[side]);

        for (size_t k = 0; k < sizeof noise; k++)
            noise[k] =
                (unsigned char)((seed = seed * 1664525 + 1013904223) >> 24);
        if (i % 2 == 1) /* the first byte of a greeting at least */
            noise[0] = 0xff;
        put(fd, noise, sizeof noise);
    }
}

static void silence(const struct farm *f, struct held *h, int side)
{
    for (int i = 0; i < 200; i++)
        (void)dial(h, f->ports[side]);
}

static void half_greetings(const struct farm *f, struct held *h, int side)
{
    unsigned char bytes[GREETING];

    for (int i = 0; i < GREETING; i++) {
        greeting(i % 2 == 0 ? "NULL" : "CURVE", bytes);
        put(dial(h, f->ports[side]), bytes, (size_t)i);
    }
}

/* Handshakes of the right form with nothing right in them. */
static void false_handshakes(const struct farm *f, struct held *h, int side)
{
    static const char *const mechanisms[] = { "NULL", "CURVE", "PLAIN", "" };
    static const char *const commands[] = { "\5HELLO",     "\5READY",
                                            "\10INITIATE", "\4PING",
                                            "\7MESSAGE",   "\377" };
    unsigned char bytes[GREETING];
    unsigned char command[200];

    for (size_t i = 0; i < COUNT_OF(mechanisms) * COUNT_OF(commands); i++) {
        const char *name = commands[i % COUNT_OF(commands)];
        int fd = dial(h, f->ports[side]);

        greeting(mechanisms[i / COUNT_OF(commands)], bytes);
        put(fd, bytes, sizeof bytes);
        memset(command, 0x55, sizeof command);
        memcpy(command, name, strlen(name));
        put_frame(fd, 4, command, sizeof command);
    }
}

static void long_frames(const struct farm *f, struct held *h, int side)
{
    static const unsigned char heads[][9] = {
        { 2, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff },
        { 2, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff },
        { 6, 0, 0, 0, 0, 0xff, 0, 0, 0 },
        { 2, 0, 0, 0, 0, 0, 0x50, 0, 0 }, /* 5 MiB: no sweep is so large */
        { 2, 0, 0, 0, 0, 0, 0x18, 0, 0 }, /* 1.5 MiB: no word of a worker is */
    };
    size_t count = side == 0 ? COUNT_OF(heads) : COUNT_OF(heads) - 1;

    for (size_t i = 0; i < count; i++) {
        int fd = enter(h, f->ports[side]);

        put(fd, heads[i], sizeof heads[i]);
        assert_closed(fd);
    }
}

/* Not beyond what a socket takes, but beyond what such a message has. */
static void long_messages(const struct farm *f, struct held *h, int side)
{
    enum { BIG = LIMIT_ORDINARY + 1 };
    AUTO(free_pointer)
    char *at = xasprintf("tcp://127.0.0.1:%d", f->ports[side]);
    unsigned char *message = xcalloc(1, BIG);
    struct dealer *d = NULL;

    (void)h;
    memcpy(message, "SN", 2);
    message[2] = WIRE_MAJOR;
    assert_ok(dealer_open(at, &d));
    for (int i = 0; i < 2; i++) {
        message[3] = (unsigned char)(i % 2 == 0 ? WIRE_HELLO : WIRE_QUERY);
        assert_fails(peer_provoke(d, message, BIG), STATUS_TOO_BIG,
                     i % 2 == 0 ? "hello" : "query");
    }
    dealer_close(d);
    free(message);
}

/* Five bytes that announce 268 million elements, in each place. */
static void bombs(const struct farm *f, struct held *h, int side)
{
    static const unsigned char fills[][5] = {
        { 0xdd, 0x0f, 0xff, 0xff, 0xff }, { 0xdf, 0xff, 0xff, 0xff, 0xff },
        { 0xdb, 0xff, 0xff, 0xff, 0xff }, { 0xc6, 0xff, 0xff, 0xff, 0xff },
        { 0x91, 0xdd, 0xff, 0xff, 0xff },
    };
    int fd = enter(h, f->ports[side]);

    for (int type = 0; type < 256; type++) {
        unsigned char message[8 + 5] = { 'S', 'N', WIRE_MAJOR,
                                         (unsigned char)type };

        for (size_t i = 0; i < COUNT_OF(fills); i++) {
            memcpy(message + 8, fills[i], 5);
            put_frame(fd, 0, message, sizeof message);
        }
    }
}

static void wrong_versions(const struct farm *f, struct held *h, int side)
{
    AUTO(free_pointer)
    char *at = xasprintf("tcp://127.0.0.1:%d", f->ports[side]);
    unsigned char message[9] = { 'S', 'N', WIRE_MAJOR + 1, WIRE_HELLO };
    struct dealer *d = NULL;

    (void)h;
    message[8] = 0x90;
    assert_ok(dealer_open(at, &d));
    assert_fails(peer_provoke(d, message, sizeof message), STATUS_INVALID,
                 "version");
    message[2] = WIRE_MAJOR;
    message[3] = 250;
    assert_fails(peer_provoke(d, message, sizeof message), STATUS_CORRUPT,
                 "unknown type");
    dealer_close(d);
}

/* Thousands of parts, and one that never ends. */
static void many_parts(const struct farm *f, struct held *h, int side)
{
    int fd = enter(h, f->ports[side]);

    for (int i = 0; i < 5000; i++)
        put(fd, "\1\1x", 3);
    put(fd, "\0\1x", 3);
    for (int i = 0; i < 5000; i++)
        put(fd, "\1\1x", 3);
}

/* A large frame, announced, of which a byte comes now and then. */
static void drips(const struct farm *f, struct held *h, int side)
{
    for (int i = 0; i < 20; i++) {
        int fd = enter(h, f->ports[side]);

        put(fd, "\2\0\0\0\0\0\17\0\0SN", 11);
        for (int k = 0; k < 5; k++) {
            clock_sleep_ms(2);
            put(fd, "\1", 1);
        }
    }
}

/* Asks as fast as it can and reads none of the answers. */
static void deaf(const struct farm *f, struct held *h, int side)
{
    struct wire_message m = { .type = WIRE_QUERY };
    int fd = enter(h, f->ports[side]);
    struct buf message;

    m.query.request = 1;
    m.query.verb = wire_text("sweeps");
    m.query.arguments = wire_text("{}");
    buf_init(&message, LIMIT_MESSAGE);
    assert_ok(wire_encode(&m, &message));
    for (int i = 0; i < 3000; i++)
        put_frame(fd, 0, message.data, message.size);
    buf_release(&message);
}

static void send_wire(int fd, const struct wire_message *m)
{
    struct buf message;

    buf_init(&message, LIMIT_MESSAGE);
    assert_ok(wire_encode(m, &message));
    put_frame(fd, 0, message.data, message.size);
    buf_release(&message);
}

/* Says it is the worker that is there, takes its jobs and never ends one. */
static void double_worker(const struct farm *f, struct held *h, int side)
{
    (void)side;
    for (uint64_t i = 0; i < 3; i++) {
        struct wire_message m = { .type = WIRE_HELLO };

        m.hello = (struct wire_hello){
            .worker = wire_text("honest"),
            .incarnation = 1 + i,
            .least_major = WIRE_MAJOR,
            .most_major = WIRE_MAJOR,
            .slots = LIMIT_SLOTS,
            .cpus = 1,
            .kinds = wire_text("evaluate.noop"),
            .version = wire_text("hostile"),
        };
        send_wire(enter(h, f->ports[0]), &m);
    }
}

/* Comes again and again, as another each time or as the same. */
static void hello_loop(const struct farm *f, struct held *h, int side)
{
    for (uint64_t other = 0; other < 2; other++) {
        int fd = enter(h, f->ports[0]);

        for (uint64_t i = 0; i < 3000; i++) {
            struct wire_message m = { .type = WIRE_HELLO };

            m.hello = (struct wire_hello){
                .worker = wire_text(side == 0 ? "loop" : "honest"),
                .incarnation = 1 + other * i,
                .least_major = WIRE_MAJOR,
                .most_major = WIRE_MAJOR,
                .slots = 1,
                .kinds = wire_text("none"),
            };
            send_wire(fd, &m);
        }
    }
}

/* Results for jobs it was never given, by tokens of all ages. */
static void stale_tokens(const struct farm *f, struct held *h, int side)
{
    struct wire_message hello = { .type = WIRE_HELLO };
    int fd = enter(h, f->ports[0]);

    (void)side;
    hello.hello = (struct wire_hello){ .worker = wire_text("forger"),
                                       .incarnation = 99,
                                       .least_major = WIRE_MAJOR,
                                       .most_major = WIRE_MAJOR,
                                       .version = wire_text("hostile") };
    send_wire(fd, &hello);
    for (uint64_t i = 0; i < 500; i++) {
        struct wire_message m = { .type = WIRE_DONE };
        struct wire_outcome o = { .result = wire_text(
                                      "{\"metrics\":{\"value\":666}}") };

        memset(&o.token.key, (int)(i % 256), sizeof o.token.key);
        o.token.epoch = i % 3 == 0 ? UINT64_MAX : i % 5;
        o.token.attempt = i % 2 == 0 ? UINT64_MAX : i;
        m.done.outcomes.items = &o;
        m.done.outcomes.count = 1;
        send_wire(fd, &m);
    }
}

static void http_nonsense(const struct farm *f, struct held *h, int side)
{
    static const char *const requests[] = {
        "GET",
        "GET / HTTP/1.1\r\nHost: x\r\nX: ",
        "\x16\x03\x01\x02\x00\x01\x00",
        "PUT /depot/../../etc/passwd HTTP/1.1\r\nHost: x\r\n"
        "Content-Length: 99999999999999\r\n\r\nx",
        "GET /depot/%2e%2e%2fx HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /depot/"
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa "
        "HTTP/1.1\r\nHost: x\r\nRange: bytes=-99999999999999999999\r\n\r\n",
        "PUT /depot/"
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa "
        "HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\n",
        "GET /api/v1/sweeps/%00/trials?from=-1&limit=99999999999999999999 "
        "HTTP/1.1\r\nHost: x\r\n\r\n",
    };
    char *big = xcalloc(1 << 20, 1);

    (void)side;
    for (int i = 0; i < 5; i++)
        for (size_t k = 0; k < COUNT_OF(requests); k++)
            put(dial(h, f->http), requests[k], strlen(requests[k]));
    memset(big, 'a', 1 << 20);
    memcpy(big, "GET /", 5);
    put(dial(h, f->http), big, 1 << 20);
    free(big);
}

static const struct attack attacks[] = {
    { "garbage", garbage, false },
    { "silence", silence, false },
    { "half greetings", half_greetings, false },
    { "false handshakes", false_handshakes, false },
    { "http nonsense", http_nonsense, false },
    { "long frames", long_frames, true },
    { "long messages", long_messages, true },
    { "bombs", bombs, true },
    { "wrong versions", wrong_versions, true },
    { "many parts", many_parts, true },
    { "drips", drips, true },
    { "deaf", deaf, true },
    { "double worker", double_worker, true },
    { "hello loop", hello_loop, true },
    { "stale tokens", stale_tokens, true },
};

static void play(struct farm *f)
{
    int before = descriptors_of(f->broker);
    int64_t rss = rss_of(f->broker);
    struct held h = { .count = 0 };

    for (size_t i = 0; i < COUNT_OF(attacks); i++) {
        if (f->keyed && attacks[i].in_words)
            continue;
        for (int side = 0; side < 2; side++) {
            print_message("%s, %s\n", attacks[i].name,
                          side == 0 ? "workers" : "clients");
            attacks[i].run(f, &h, side);
            honest_work(f); /* they are still connected */
            hang_up(&h);
        }
    }
    assert_true(rss_of(f->broker) - rss < RSS_MOST);
    wait_for_descriptors(f->broker, before);
}

static void test_offenders_cost_only_themselves(void **state)
{
    struct farm f = farm_open(false);

    (void)state;
    honest_work(&f);
    play(&f);
    honest_work(&f);
    farm_close(&f);
}

static void test_and_with_keys_as_well(void **state)
{
    struct farm f = farm_open(true);

    (void)state;
    honest_work(&f);
    play(&f);
    honest_work(&f);
    farm_close(&f);
}

/* Who does not shake hands is shown the door, though nothing ever comes. */
static void test_who_never_shakes_hands_is_dropped(void **state)
{
    struct farm f = farm_open(true);
    struct held h = { .count = 0 };

    (void)state;
    for (int side = 0; side < 2; side++)
        silence(&f, &h, side);
    for (size_t i = 0; i < h.count; i++)
        assert_closed(h.fds[i]);
    hang_up(&h);
    honest_work(&f);
    farm_close(&f);
}

/* AddressSanitizer keeps what was freed, which is no memory of the broker's. */
static void keep_nothing_freed(void)
{
    const char *before = getenv("ASAN_OPTIONS");
    AUTO(free_pointer)
    char *options =
        xasprintf("%s:quarantine_size_mb=1", before == NULL ? "" : before);

    (void)setenv("ASAN_OPTIONS", options, 1);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_offenders_cost_only_themselves),
        cmocka_unit_test(test_and_with_keys_as_well),
        cmocka_unit_test(test_who_never_shakes_hands_is_dropped),
    };

    if (argc < 3) {
        print_error("usage: %s SINTER-BROKER SINTER-WORKER\n", argv[0]);
        return 2;
    }
    broker_program = argv[1];
    worker_program = argv[2];
    keep_nothing_freed();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
