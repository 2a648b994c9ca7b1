/* A real sinter-broker on a real store, with a client and workers that are
 * played. The program's path is the argument. */
#include "common/clock.h"
#include "common/file.h"
#include "common/http.h"
#include "common/limits.h"
#include "common/memory.h"
#include "common/wire_cursor.h"
#include "support/peers.h"
#include "support/process.h"
#include "support/test.h"

#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *program;

struct farm {
    char directory[SCRATCH_SIZE];
    char *workers, *clients, *http; /* endpoints */
    pid_t broker, redis;
    bool rebuild; /* start it so that it writes a flushed Redis anew */
    char *store;
    struct dealer *client;
};

static char *path_in(const struct farm *f, const char *name)
{
    return xasprintf("%s/%s", f->directory, name);
}

static void read_ready_file(struct farm *f, const char *path)
{
    json_t *ready = NULL;

    assert_true(wait_for_file(path, 20000));
    assert_ok(json_parse_file(path, LIMIT_CONFIG, &ready));
    free(f->http);
    f->http = xasprintf("http://%s", json_text_or(ready, "http", ""));
    json_decref(ready);
}

static void start_broker(struct farm *f)
{
    AUTO(free_pointer) char *ready = path_in(f, "ready.json");
    AUTO(free_pointer) char *log = path_in(f, "broker.log");
    AUTO(free_pointer) char *depot = path_in(f, "depot");
    static const char rebuild[] = "--rebuild-from-memory";
    const char *const argv[] = {
        program,        "--store",     f->store,
        "--depot",      depot,         "--workers",
        f->workers,     "--clients",   f->clients,
        "--http",       "127.0.0.1:0", "--heartbeat",
        "100ms",        "--lease",     "1s",
        "--ready-file", ready,         "--die-with-parent",
        "--log",        "debug",       f->rebuild ? rebuild : NULL,
        NULL,
    };

    (void)unlink(ready);
    f->broker = process_start(argv, log);
    assert_true(f->broker > 0);
    read_ready_file(f, ready);
}

static struct farm farm_open(bool redis)
{
    struct farm f = { 0 };

    scratch_make(f.directory);
    f.workers = xasprintf("ipc://%s/workers", f.directory);
    f.clients = xasprintf("ipc://%s/clients", f.directory);
    if (redis) {
        f.redis = redis_start(f.directory, "always");
        assert_true(f.redis > 0);
        f.store = xasprintf("redis+unix:%s/redis.sock", f.directory);
    } else {
        f.store = xasprintf("sqlite:%s/sinter.db", f.directory);
    }
    start_broker(&f);
    assert_ok(dealer_open(f.clients, &f.client));
    return f;
}

static void farm_close(struct farm *f)
{
    dealer_close(f->client);
    assert_true(process_stop(f->broker));
    (void)process_end(f->redis, SIGKILL);
    scratch_remove(f->directory);
    free(f->workers);
    free(f->clients);
    free(f->http);
    free(f->store);
}

static json_t *ask(struct farm *f, const char *verb, const char *arguments)
{
    json_t *body = NULL;

    assert_ok(peer_ask(f->client, verb, arguments, &body));
    return body;
}

static int64_t count(struct farm *f, const char *name)
{
    json_t *status = ask(f, "status", "{\"sweep\":\"@last\"}");
    int64_t n = json_int_or(status, name, -1);

    json_decref(status);
    return n;
}

/* Whatever the worker gets, until it has committed so many in all. */
static void work(struct peer_worker *w, size_t committed)
{
    int64_t until = clock_now() + 20 * NS_PER_S;

    while (w->committed < committed) {
        assert_true(clock_now() < until);
        if (!peer_worker_step(w, 100))
            peer_worker_heartbeat(w);
    }
}

static char *table(struct farm *f)
{
    json_t *trials = ask(f, "trials", "{\"sweep\":\"@last\"}");
    char *text = json_canonical(trials);

    json_decref(trials);
    return text;
}

static void check_whole_life(bool redis)
{
    enum { POINTS = 50 };
    struct farm f = farm_open(redis);
    AUTO(free_pointer) char *doc = peer_document("life", POINTS);
    AUTO(free_pointer) char *before = NULL;
    AUTO(free_pointer) char *after = NULL;
    static struct peer_worker w;
    char id[24];

    assert_ok(peer_submit(f.client, doc, id));
    peer_worker_open(&w, f.workers, "w1", 2);
    work(&w, POINTS);
    assert_int_equal(count(&f, "done"), POINTS);
    before = table(&f);

    (void)process_end(f.broker, SIGKILL);
    start_broker(&f);
    assert_int_equal(count(&f, "done"), POINTS);
    after = table(&f);
    assert_string_equal(after, before);
    assert_ok(peer_submit(f.client, doc, id)); /* is there: nothing runs */
    peer_worker_heartbeat(&w);
    while (w.epoch != 2)
        (void)peer_worker_step(&w, 1000);
    assert_int_equal(w.assigned, POINTS);
    peer_worker_close(&w);
    farm_close(&f);
}

static void test_results_survive_a_killed_broker_sqlite(void **state)
{
    (void)state;
    check_whole_life(false);
}

static void test_results_survive_a_killed_broker_redis(void **state)
{
    (void)state;
    check_whole_life(true);
}

static void test_running_jobs_are_adopted(void **state)
{
    struct farm f = farm_open(false);
    AUTO(free_pointer) char *doc = peer_document("adopt", 4);
    static struct peer_worker w;
    char id[24];

    (void)state;
    assert_ok(peer_submit(f.client, doc, id));
    peer_worker_open(&w, f.workers, "w1", 4);
    w.idle = true;
    while (w.assigned < 4)
        assert_true(peer_worker_step(&w, 5000));
    (void)process_end(f.broker, SIGKILL);
    start_broker(&f);
    /* The connection comes back by itself, the session by heartbeats. */
    while (w.epoch != 2) {
        peer_worker_heartbeat(&w);
        (void)peer_worker_step(&w, 100);
    }
    assert_int_equal(w.held_count, 4);
    peer_worker_finish(&w);
    work(&w, 4);
    assert_int_equal(w.assigned, 4); /* none ran twice */
    assert_int_equal(count(&f, "done"), 4);
    peer_worker_close(&w);
    farm_close(&f);
}

static void assert_logged(const struct farm *f, const char *words)
{
    AUTO(free_pointer) char *path = path_in(f, "broker.log");
    AUTO(free_pointer) char *log = NULL;
    size_t size = 0;

    assert_ok(file_read(path, 1 << 20, &log, &size));
    if (memmem(log, size, words, strlen(words)) == NULL)
        fail_msg("\"%s\" is not in the log", words);
}

static void test_silent_worker_loses_its_jobs(void **state)
{
    struct farm f = farm_open(false);
    AUTO(free_pointer) char *doc = peer_document("silent", 3);
    static struct peer_worker dead;
    static struct peer_worker w;
    char id[24];

    (void)state;
    assert_ok(peer_submit(f.client, doc, id));
    peer_worker_open(&dead, f.workers, "dead", 3);
    dead.idle = true;
    while (dead.assigned < 3)
        assert_true(peer_worker_step(&dead, 5000));
    peer_worker_close(&dead);
    peer_worker_open(&w, f.workers, "w1", 1);
    work(&w, 3);
    assert_int_equal(count(&f, "done"), 3);
    assert_logged(&f, "\"sweep accepted\" sweep=");
    assert_logged(&f, "\"worker came\" worker=\"dead\" slots=3 holds=0");
    assert_logged(&f, "\"worker is silent\" worker=\"dead\"");
    assert_logged(&f, "\"worker lost\" worker=\"dead\" jobs=3");
    assert_logged(&f, "\"worker came\" worker=\"w1\"");
    assert_logged(&f, "\"sweep ended\" sweep=");
    peer_worker_close(&w);
    farm_close(&f);
}

/* The record whose head lies at `at`, last in its message, with its first
 * fields only, as a version wrote it that had no more. */
static void older(struct buf *message, size_t at, size_t fields)
{
    struct wire_cursor c = { .data = (const uint8_t *)message->data + at,
                             .size = message->size - at };
    struct wire_value v;

    assert_true(wire_cursor_next(&c, &v));
    assert_true(v.shape == WIRE_IS_LIST && v.number > fields);
    for (size_t i = 0; i < fields; i++) {
        assert_true(wire_cursor_next(&c, &v));
        assert_true(wire_cursor_skip(&c, &v));
    }
    message->data[at] = (char)(0x90 | fields);
    message->size = at + c.at;
}

/* Sends, if there is something; the type of what comes back. */
static enum wire_type talk(struct dealer *d, const struct buf *message,
                           struct wire_decoded *ret)
{
    static char copy[1 << 16]; /* what is decoded points into it */
    const void *data = NULL;
    size_t size = 0;
    struct status st = SUCCESS;

    for (int i = 0; message != NULL && i < 5000; i++) {
        st = dealer_send(d, message->data, message->size);
        if (!status_failed(&st))
            break;
        clock_sleep_ms(1);
    }
    assert_ok(st);
    assert_ok(dealer_wait(d, 5000, NULL, 0, &data, &size));
    assert_non_null(data);
    assert_true(size <= sizeof copy);
    memcpy(copy, data, size);
    assert_ok(wire_decode(copy, size, ret));
    return ret->message.type;
}

/* DONE whose outcome ends after the result, as that of version 1.0 could. */
static void answer_old(const struct wire_assignment *job, struct buf *out)
{
    struct wire_outcome o = { .token = job->token,
                              .result = wire_text("{\"metrics\":{}}") };
    struct wire_message m = { .type = WIRE_DONE,
                              .done = { { .items = &o, .count = 1 } } };

    buf_clear(out);
    assert_ok(wire_encode(&m, out));
    older(out, WIRE_HEADER + 2, 4); /* its list has one */
}

/* A worker of the version before, whose messages end sooner, works and is
 * believed; one that speaks another major is refused in words. */
static void test_neighbouring_versions_are_served(void **state)
{
    struct farm f = farm_open(false);
    AUTO(free_pointer) char *doc = peer_document("older", 1);
    struct dealer *d = NULL;
    struct wire_decoded in;
    struct wire_message m = { .type = WIRE_HELLO };
    struct buf out;
    char id[24];

    (void)state;
    assert_ok(peer_submit(f.client, doc, id)); /* of before BUSY */
    assert_ok(dealer_open(f.workers, &d));
    m.hello = (struct wire_hello){ .worker = wire_text("old"),
                                   .incarnation = 9,
                                   .least_major = WIRE_MAJOR - 1,
                                   .most_major = WIRE_MAJOR,
                                   .slots = 1 };
    buf_init(&out, LIMIT_MESSAGE);
    assert_ok(wire_encode(&m, &out));
    older(&out, WIRE_HEADER,
          5); /* neither cpus nor memory, labels, kinds ... */
    assert_int_equal(talk(d, &out, &in), WIRE_WELCOME);
    wire_release(&in);
    assert_int_equal(talk(d, NULL, &in), WIRE_ASSIGN);
    answer_old(&in.message.assign.jobs.items[0], &out);
    wire_release(&in);
    assert_int_equal(talk(d, &out, &in), WIRE_COMMITTED);
    wire_release(&in);
    assert_int_equal(count(&f, "done"), 1);

    /* Only of a later major, or of an earlier one. */
    for (int step = -1; step <= 1; step += 2) {
        m.hello.least_major = (uint64_t)(WIRE_MAJOR + step);
        m.hello.most_major = (uint64_t)(WIRE_MAJOR + step);
        buf_clear(&out);
        assert_ok(wire_encode(&m, &out));
        assert_fails(peer_provoke(d, out.data, out.size), STATUS_INVALID,
                     "speaks version 1 of the protocol");
        buf_clear(&out);
        m.hello.least_major = m.hello.most_major = WIRE_MAJOR;
        assert_ok(wire_encode(&m, &out));
        out.data[2] = (char)(WIRE_MAJOR + step); /* the header says so */
        assert_fails(peer_provoke(d, out.data, out.size), STATUS_INVALID,
                     "run the same version of sinter everywhere");
    }
    buf_release(&out);
    dealer_close(d);
    farm_close(&f);
}

/* Nothing is acknowledged while Redis is away, all of it afterwards. */
static void test_store_goes_away_and_comes_back(void **state)
{
    struct farm f = farm_open(true);
    AUTO(free_pointer) char *doc = peer_document("away", 2);
    AUTO(free_pointer) char *more = peer_document("more", 5);
    static struct peer_worker w;
    json_t *status;
    char id[24];

    (void)state;
    assert_ok(peer_submit(f.client, doc, id));
    peer_worker_open(&w, f.workers, "w1", 2);
    w.idle = true;
    while (w.assigned < 2)
        assert_true(peer_worker_step(&w, 5000));
    (void)process_end(f.redis, SIGKILL);
    peer_worker_finish(&w);
    for (int i = 0; i < 5; i++) {
        peer_worker_heartbeat(&w);
        (void)peer_worker_step(&w, 100);
    }
    assert_int_equal(w.committed, 0);
    status = ask(&f, "status", "{\"sweep\":\"@last\"}");
    assert_true(json_is_string(json_object_get(status, "store_error")));
    json_decref(status);
    assert_fails(peer_submit(f.client, more, id), STATUS_FAILED,
                 "the store is away");
    f.redis = redis_start(f.directory, "always");
    work(&w, 2);
    assert_int_equal(count(&f, "done"), 2);
    peer_worker_close(&w);
    farm_close(&f);
}

static void flush_redis(const struct farm *f)
{
    AUTO(free_pointer) char *socket = path_in(f, "redis.sock");
    const char *const argv[] = { "redis-cli", "-s", socket, "FLUSHALL", NULL };

    assert_int_equal(process_end(process_start(argv, "/dev/null"), 0), 0);
}

/* The key is there (again). */
static void await_key(const struct farm *f, const char *key)
{
    AUTO(free_pointer) char *socket = path_in(f, "redis.sock");
    AUTO(free_pointer)
    char *command =
        xasprintf("redis-cli -s %s EXISTS '%s' | grep -q 1", socket, key);
    const char *const argv[] = { "sh", "-c", command, NULL };
    int64_t until = clock_now() + 20 * NS_PER_S;

    while (process_end(process_start(argv, "/dev/null"), 0) != 0)
        assert_true(clock_now() < until);
}

/* The only whole copy is the broker's memory: told to, it writes all of it
 * anew, and finds out though it has nothing to append. */
static void test_flushed_store_is_written_anew(void **state)
{
    enum { POINTS = 40 };
    struct farm f = farm_open(true);
    AUTO(free_pointer) char *doc = peer_document("flushed", POINTS);
    AUTO(free_pointer) char *before = NULL;
    AUTO(free_pointer) char *after = NULL;
    static struct peer_worker w;
    char id[24];

    (void)state;
    f.rebuild = true;
    (void)process_end(f.broker, SIGTERM);
    start_broker(&f);
    assert_ok(peer_submit(f.client, doc, id));
    peer_worker_open(&w, f.workers, "w1", 2);
    w.idle = true;
    while (w.assigned < 1)
        assert_true(peer_worker_step(&w, 5000));
    flush_redis(&f);
    w.idle = false;
    peer_worker_finish(&w);
    work(&w, POINTS);
    before = table(&f);
    flush_redis(&f);
    await_key(&f, "sn:{sinter}:snapshot");
    (void)process_end(f.broker, SIGKILL);
    start_broker(&f);
    after = table(&f);
    assert_string_equal(before, after);
    assert_int_equal(count(&f, "done"), POINTS);
    peer_worker_close(&w);
    farm_close(&f);
}

/* It is found at the next append, which takes as long as it takes. */
static void await_store_error(struct farm *f, struct peer_worker *w,
                              const char *words)
{
    enum { PATIENCE = 200 };
    bool found = false;

    for (int i = 0; i < PATIENCE && !found; i++) {
        json_t *status = ask(f, "status", "{\"sweep\":\"@last\"}");

        found = strstr(json_text_or(status, "store_error", ""), words) != NULL;
        json_decref(status);
        peer_worker_heartbeat(w);
        (void)peer_worker_step(w, 50);
    }
    assert_true(found);
}

static void test_flushed_store_stops_acknowledging(void **state)
{
    struct farm f = farm_open(true);
    AUTO(free_pointer) char *doc = peer_document("flushed", 2);
    static struct peer_worker w;
    json_t *status;
    char id[24];

    (void)state;
    assert_ok(peer_submit(f.client, doc, id));
    peer_worker_open(&w, f.workers, "w1", 2);
    w.idle = true;
    while (w.assigned < 2)
        assert_true(peer_worker_step(&w, 5000));
    flush_redis(&f);
    peer_worker_finish(&w);
    await_store_error(&f, &w, "is gone");
    assert_int_equal(w.committed, 0);
    /* Until somebody says that memory is the copy that counts. */
    json_decref(ask(&f, "rebuild", "{\"begin\":true}"));
    await_key(&f, "sn:{sinter}:snapshot");
    work(&w, 2);
    assert_int_equal(count(&f, "done"), 2);
    status = ask(&f, "rebuild", "{}");
    assert_false(json_bool_or(status, "lost", true));
    json_decref(status);
    assert_fails(peer_ask(f.client, "rebuild", "{\"begin\":true}", &status),
                 STATUS_INVALID, "has lost nothing");
    (void)process_end(f.broker, SIGKILL);
    start_broker(&f);
    assert_int_equal(count(&f, "done"), 2);
    peer_worker_close(&w);
    farm_close(&f);
}

static void test_second_broker_fences_the_first(void **state)
{
    struct farm f = farm_open(true);
    struct farm second = f;
    AUTO(free_pointer) char *doc = peer_document("late", 1);
    char id[24];
    int status;

    (void)state;
    second.workers = xasprintf("ipc://%s/workers2", f.directory);
    second.clients = xasprintf("ipc://%s/clients2", f.directory);
    second.http = NULL;
    start_broker(&second);
    assert_fails(peer_submit(f.client, doc, id), STATUS_TIMED_OUT, NULL);
    status = process_end(f.broker, 0);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 75);
    f.broker = second.broker;
    free(second.workers);
    free(second.clients);
    free(second.http);
    farm_close(&f);
}

static void test_mistakes_are_answered(void **state)
{
    struct farm f = farm_open(false);
    struct dealer *stranger = NULL;
    json_t *body = NULL;

    (void)state;
    assert_ok(dealer_open(f.workers, &stranger));
    assert_fails(peer_provoke(stranger, "garbage!", 8), STATUS_CORRUPT, NULL);
    assert_fails(peer_provoke(stranger, "", 0), STATUS_CORRUPT, NULL);
    dealer_close(stranger);
    assert_fails(peer_ask(f.client, "status", "{\"sweep\":\"no\"}", &body),
                 STATUS_NOT_FOUND, "sinter ls");
    assert_fails(peer_ask(f.client, "dance", "{}", &body), STATUS_INVALID,
                 "dance");
    assert_fails(peer_ask(f.client, "status", "{]", &body), STATUS_CORRUPT,
                 NULL);
    farm_close(&f);
}

static void get(struct http *h, const struct farm *f, const char *path,
                const char *words)
{
    AUTO(free_pointer) char *url = xasprintf("%s%s", f->http, path);
    AUTO(free_pointer) char *body = NULL;
    size_t size = 0;

    assert_ok(http_get(h, url, 1 << 20, &body, &size));
    if (strstr(body, words) == NULL)
        fail_msg("\"%s\" is not in \"%s\"", words, body);
}

static void test_http_port(void **state)
{
    static const char hello[] = "hello, depot";
    struct farm f = farm_open(false);
    AUTO(free_pointer) char *doc = peer_document("web", 2);
    AUTO(free_pointer) char *trials = NULL;
    AUTO(free_pointer) char *url = NULL;
    struct http_settings settings = { .give_up_ms = 1000 };
    struct digest digest = digest_of(hello, strlen(hello));
    char name[DIGEST_TEXT];
    char part[6] = "";
    char id[24];
    struct http *h = NULL;

    (void)state;
    assert_ok(http_new(&settings, &h));
    assert_ok(peer_submit(f.client, doc, id));
    trials = xasprintf("/api/v1/sweeps/%s/trials?from=1&limit=1", id);
    get(h, &f, "/livez", "ok");
    get(h, &f, "/readyz", "ok");
    get(h, &f, "/metrics", "\nsinter_sweeps 1\n");
    get(h, &f, "/api/v1/sweeps", "\"name\":\"web\"");
    get(h, &f, trials, "\"trial\":2");
    get(h, &f, "/", "<html");
    digest_to_text(&digest, name);
    url = xasprintf("%s/depot/%s", f.http, name);
    assert_ok(http_put(h, url, hello, strlen(hello)));
    assert_ok(http_put(h, url, hello, strlen(hello)));
    assert_ok(http_get_range(h, url, 7, 5, part));
    assert_string_equal(part, "depot");
    assert_fails(http_put(h, url, "other", 5), STATUS_INVALID, NULL);
    http_free(h);
    farm_close(&f);
}

/* 200 or 503; whoever else answers is none of ours. */
static void wait_for_livez(struct http *h, const struct farm *f, bool alive)
{
    int64_t until = clock_now() + 60 * NS_PER_S;
    AUTO(free_pointer) char *url = xasprintf("%s/livez", f->http);

    for (;;) {
        AUTO(free_pointer) char *body = NULL;
        size_t size = 0;
        struct status st = http_get(h, url, 1 << 10, &body, &size);

        if (alive != status_failed(&st))
            break;
        assert_true(clock_now() < until);
        clock_sleep_ms(100);
    }
}

/* The thread of the loop alone stands still, as it would in a call that never
 * returns; the threads of HTTP go on. */
static void test_a_loop_that_is_stuck_is_not_alive(void **state)
{
    struct farm f = farm_open(false);
    struct http_settings settings = { .give_up_ms = 1 };
    struct http *h = NULL;
    int status = 0;

    (void)state;
    assert_ok(http_new(&settings, &h));
    wait_for_livez(h, &f, true);
    if (ptrace(PTRACE_SEIZE, f.broker, NULL, NULL) != 0) {
        http_free(h);
        farm_close(&f);
        skip(); /* not everywhere may a process be looked into */
    }
    assert_int_equal(ptrace(PTRACE_INTERRUPT, f.broker, NULL, NULL), 0);
    assert_int_equal(waitpid(f.broker, &status, __WALL), f.broker);
    wait_for_livez(h, &f, false);
    assert_int_equal(ptrace(PTRACE_DETACH, f.broker, NULL, NULL), 0);
    wait_for_livez(h, &f, true);
    http_free(h);
    farm_close(&f);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_results_survive_a_killed_broker_sqlite),
        cmocka_unit_test(test_results_survive_a_killed_broker_redis),
        cmocka_unit_test(test_running_jobs_are_adopted),
        cmocka_unit_test(test_silent_worker_loses_its_jobs),
        cmocka_unit_test(test_neighbouring_versions_are_served),
        cmocka_unit_test(test_store_goes_away_and_comes_back),
        cmocka_unit_test(test_flushed_store_is_written_anew),
        cmocka_unit_test(test_flushed_store_stops_acknowledging),
        cmocka_unit_test(test_second_broker_fences_the_first),
        cmocka_unit_test(test_mistakes_are_answered),
        cmocka_unit_test(test_http_port),
        cmocka_unit_test(test_a_loop_that_is_stuck_is_not_alive),
    };

    program = argc > 1 ? argv[1] : "sinter-broker";
    return cmocka_run_group_tests(tests, NULL, NULL);
}
