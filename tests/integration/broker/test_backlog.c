/* A real sinter-broker whose Redis is away for long: what waits for it is
 * bounded, who wants something kept is told to come again, and in the end
 * nothing is missing. The program's path is the argument. */
#include "client/sinter.h"
#include "common/clock.h"
#include "common/file.h"
#include "common/http.h"
#include "common/limits.h"
#include "common/memory.h"
#include "support/peers.h"
#include "support/process.h"
#include "support/test.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

enum {
    WORKERS = 8,
    SLOTS = 128,
    POINTS = 3 * WORKERS * SLOTS,
    BOUND = 64 << 10,
    TURN = 256 << 10, /* what one turn may add: a job for each slot */
    NEWCOMERS = 20,
};

static const char *program;
static struct peer_worker workers[WORKERS];

struct farm {
    char directory[SCRATCH_SIZE];
    char *workers_at, *clients_at, *http;
    pid_t broker, redis;
    struct http *fetch;
};

static void start_broker(struct farm *f)
{
    AUTO(free_pointer) char *ready = xasprintf("%s/ready", f->directory);
    AUTO(free_pointer) char *log = xasprintf("%s/log", f->directory);
    AUTO(free_pointer) char *depot = xasprintf("%s/depot", f->directory);
    AUTO(free_pointer)
    char *store = xasprintf("redis+unix:%s/redis.sock", f->directory);
    const char *const argv[] = {
        program,        "--store",     store,
        "--depot",      depot,         "--workers",
        f->workers_at,  "--clients",   f->clients_at,
        "--http",       "127.0.0.1:0", "--heartbeat",
        "100ms",        "--lease",     "60s",
        "--ready-file", ready,         "--die-with-parent",
        "--backlog",    "64KiB",       NULL,
    };
    json_t *body = NULL;

    f->broker = process_start(argv, log);
    assert_true(wait_for_file(ready, 20000));
    assert_ok(json_parse_file(ready, LIMIT_CONFIG, &body));
    f->http = xasprintf("http://%s/metrics", json_text_or(body, "http", ""));
    json_decref(body);
}

static struct farm open_farm(void)
{
    static const struct http_settings settings = { .give_up_ms = 3000 };
    struct farm f = { .broker = 0 };

    scratch_make(f.directory);
    f.workers_at = xasprintf("ipc://%s/workers", f.directory);
    f.clients_at = xasprintf("ipc://%s/clients", f.directory);
    f.redis = redis_start(f.directory, "always");
    assert_true(f.redis > 0);
    start_broker(&f);
    assert_ok(http_new(&settings, &f.fetch));
    return f;
}

static void close_farm(struct farm *f)
{
    assert_true(process_stop(f->broker));
    (void)process_end(f->redis, SIGKILL);
    scratch_remove(f->directory);
    http_free(f->fetch);
    free(f->workers_at);
    free(f->clients_at);
    free(f->http);
}

static double metric(struct farm *f, const char *name)
{
    AUTO(free_pointer) char *line = xasprintf("\n%s ", name);
    AUTO(free_pointer) char *body = NULL;
    const char *at;
    size_t size = 0;

    assert_ok(http_get(f->fetch, f->http, 1 << 20, &body, &size));
    at = strstr(body, line);
    assert_non_null(at);
    return strtod(at + strlen(line), NULL);
}

/* The client of the library; `busy` counts what it was told. */
struct asker {
    struct sinter *client;
    pid_t *redis;
    const char *directory;
    int busy;
};

/* When it has been told that the broker is busy, Redis comes back. */
static void on_busy(void *self, const char *endpoint, const char *reason)
{
    struct asker *a = self;

    assert_non_null(strstr(endpoint, "clients"));
    assert_non_null(strstr(reason, "the store is"));
    a->busy++;
    if (a->redis != NULL)
        *a->redis = redis_start(a->directory, "always");
}

static void dial(struct asker *a, const struct farm *f, int64_t timeout_ms,
                 int64_t busy_ms)
{
    const struct sinter_settings settings = { .endpoint = f->clients_at,
                                              .timeout_ms = timeout_ms,
                                              .busy_ms = busy_ms,
                                              .busy = on_busy,
                                              .self = a };

    a->directory = f->directory;
    assert_ok(sinter_connect(&settings, &a->client));
}

MUST_CHECK static struct status submit(struct asker *a, const char *text,
                                       const char *idempotency, bool *ret_again)
{
    char id[SINTER_ID];

    return sinter_submit(a->client, text, strlen(text), idempotency, id,
                         ret_again);
}

static size_t committed(void)
{
    size_t sum = 0;

    for (int i = 0; i < WORKERS; i++)
        sum += workers[i].committed;
    return sum;
}

/* All workers take what has come and say that they live. */
static void turn(void)
{
    for (int i = 0; i < WORKERS; i++) {
        while (peer_worker_step(&workers[i], 1))
            continue;
        peer_worker_heartbeat(&workers[i]);
    }
}

static void fill_workers(struct farm *f)
{
    int64_t until = clock_now() + 20 * NS_PER_S;
    size_t held = 0;

    for (int i = 0; i < WORKERS; i++) {
        char *name = xasprintf("w%d", i);

        peer_worker_open(&workers[i], f->workers_at, name, SLOTS);
        workers[i].idle = true;
    }
    while (held < WORKERS * SLOTS) {
        assert_true(clock_now() < until);
        turn();
        held = 0;
        for (int i = 0; i < WORKERS; i++)
            held += workers[i].held_count;
    }
}

/* Workers that come and go would each be a record. */
static void play_newcomers(struct farm *f)
{
    struct wire_message m = { .type = WIRE_HELLO };
    struct buf out;

    buf_init(&out, LIMIT_MESSAGE);
    for (int i = 0; i < NEWCOMERS; i++) {
        struct dealer *d = NULL;

        m.hello = (struct wire_hello){ .worker = wire_text("newcomer"),
                                       .incarnation = (uint64_t)clock_now(),
                                       .least_major = WIRE_MAJOR,
                                       .most_major = WIRE_MAJOR,
                                       .slots = 1 };
        buf_clear(&out);
        assert_ok(wire_encode(&m, &out));
        assert_ok(dealer_open(f->workers_at, &d));
        assert_fails(peer_provoke(d, out.data, out.size), STATUS_UNAVAILABLE,
                     "no more workers until then");
        dealer_close(d);
    }
    buf_release(&out);
}

static void check_bound(struct farm *f)
{
    double bytes = metric(f, "sinter_store_backlog_bytes");

    if (bytes > BOUND + TURN)
        fail_msg("%.0f bytes wait", bytes);
}

/* As a worker does: what is not answered is said again after a while. */
static void finish_all(struct farm *f)
{
    int64_t until = clock_now() + 60 * NS_PER_S;
    int64_t again = 0;

    for (;;) {
        assert_true(clock_now() < until);
        turn();
        if (clock_now() < again)
            continue;
        if (metric(f, "sinter_jobs_done") >= POINTS)
            return;
        again = clock_now() + NS_PER_S;
        for (int i = 0; i < WORKERS; i++)
            peer_worker_finish(&workers[i]);
    }
}

static void test_an_outage_costs_no_more_than_the_bound(void **state)
{
    struct farm f = open_farm();
    AUTO(free_pointer) char *first = peer_document("first", POINTS);
    AUTO(free_pointer) char *second = peer_document("second", 1);
    struct asker a = { .redis = NULL };
    struct asker impatient = { .redis = NULL };
    json_t *answer = NULL;
    json_t *name = json_pack("{s:s}", "sweep", "first");
    bool again = false;

    (void)state;
    dial(&a, &f, 2000, 30000);
    dial(&impatient, &f, 300, 600);
    assert_ok(submit(&a, first, "first", &again));
    fill_workers(&f);
    (void)process_end(f.redis, SIGKILL);
    f.redis = 0;
    /* Everybody finishes all at once, again and again, while nothing can be
     * kept; those who come meanwhile are too many. */
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < WORKERS; i++)
            peer_worker_finish(&workers[i]);
        turn();
        play_newcomers(&f);
        check_bound(&f);
    }
    assert_int_equal(committed(), 0);
    assert_true(metric(&f, "sinter_store_away") > 0.0);
    /* A question is answered, an order is put off. */
    assert_ok(sinter_query(impatient.client, "status", name, &answer));
    json_decref(answer);
    assert_int_equal(impatient.busy, 0);
    assert_fails(sinter_query(impatient.client, "pause", name, &answer),
                 STATUS_UNAVAILABLE, "is busy: the store is");
    assert_fails(submit(&impatient, second, "second", &again),
                 STATUS_UNAVAILABLE, "nothing was changed");
    assert_int_equal(impatient.busy, 2);
    check_bound(&f);
    /* Who waits gets it, and only once. */
    a.redis = &f.redis;
    assert_ok(submit(&a, second, "second", &again));
    assert_int_equal(a.busy, 1);
    assert_false(again);
    for (int i = 0; i < WORKERS; i++)
        workers[i].idle = false;
    finish_all(&f);
    assert_int_equal(metric(&f, "sinter_jobs_done"), POINTS);
    assert_int_equal(metric(&f, "sinter_results_total"), POINTS);
    assert_int_equal(metric(&f, "sinter_sweeps_live"), 0);
    json_decref(name);
    sinter_close(a.client);
    sinter_close(impatient.client);
    for (int i = 0; i < WORKERS; i++) {
        peer_worker_close(&workers[i]);
        free((char *)(uintptr_t)workers[i].name);
    }
    close_farm(&f);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_outage_costs_no_more_than_the_bound),
    };

    program = argc > 1 ? argv[1] : "sinter-broker";
    return cmocka_run_group_tests(tests, NULL, NULL);
}
