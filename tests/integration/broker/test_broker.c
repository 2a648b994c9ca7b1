/* A real sinter-broker on a real store, with a client and workers that are
 * played. The program's path is the argument. */
#include "common/clock.h"
#include "common/file.h"
#include "common/http.h"
#include "common/limits.h"
#include "common/memory.h"
#include "support/peers.h"
#include "support/process.h"
#include "support/test.h"

#include <signal.h>
#include <string.h>
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
    int status;

    dealer_close(f->client);
    status = process_end(f->broker, SIGTERM);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    (void)process_end(f->redis, SIGKILL);
    scratch_remove(f->directory);
    free(f->workers);
    free(f->clients);
    free(f->http);
    free(f->store);
}

static char *document(const char *name, int points)
{
    return xasprintf(
        "{\"sinter\":1,\"name\":\"%s\",\"parameters\":[{\"name\":\"x\","
        "\"from\":1,\"to\":%d,\"count\":%d,\"scale\":\"linear\"}],"
        "\"strategy\":{\"method\":\"grid\"},\"evaluate\":[{\"name\":\"e\","
        "\"kind\":\"evaluate.noop\",\"variants\":[{\"params\":{\"x\":"
        "{\"$param\":\"x\"}}}],\"metrics\":[\"value\"]}],\"objective\":"
        "{\"metric\":\"e.value\",\"goal\":\"minimize\"}}",
        name, points, points);
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
    AUTO(free_pointer) char *doc = document("life", POINTS);
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
    AUTO(free_pointer) char *doc = document("adopt", 4);
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

static void test_silent_worker_loses_its_jobs(void **state)
{
    struct farm f = farm_open(false);
    AUTO(free_pointer) char *doc = document("silent", 3);
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
    peer_worker_close(&w);
    farm_close(&f);
}

/* Nothing is acknowledged while Redis is away, all of it afterwards. */
static void test_store_goes_away_and_comes_back(void **state)
{
    struct farm f = farm_open(true);
    AUTO(free_pointer) char *doc = document("away", 2);
    AUTO(free_pointer) char *more = document("more", 5);
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
    AUTO(free_pointer) char *doc = document("flushed", POINTS);
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

static void test_flushed_store_stops_acknowledging(void **state)
{
    struct farm f = farm_open(true);
    AUTO(free_pointer) char *doc = document("flushed", 2);
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
    for (int i = 0; i < 10; i++) {
        peer_worker_heartbeat(&w);
        (void)peer_worker_step(&w, 50);
    }
    assert_int_equal(w.committed, 0);
    status = ask(&f, "status", "{\"sweep\":\"@last\"}");
    assert_non_null(strstr(json_text_or(status, "store_error", ""), "is gone"));
    json_decref(status);
    peer_worker_close(&w);
    farm_close(&f);
}

static void test_second_broker_fences_the_first(void **state)
{
    struct farm f = farm_open(true);
    struct farm second = f;
    AUTO(free_pointer) char *doc = document("late", 1);
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
    AUTO(free_pointer) char *doc = document("web", 2);
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

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_results_survive_a_killed_broker_sqlite),
        cmocka_unit_test(test_results_survive_a_killed_broker_redis),
        cmocka_unit_test(test_running_jobs_are_adopted),
        cmocka_unit_test(test_silent_worker_loses_its_jobs),
        cmocka_unit_test(test_store_goes_away_and_comes_back),
        cmocka_unit_test(test_flushed_store_is_written_anew),
        cmocka_unit_test(test_flushed_store_stops_acknowledging),
        cmocka_unit_test(test_second_broker_fences_the_first),
        cmocka_unit_test(test_mistakes_are_answered),
        cmocka_unit_test(test_http_port),
    };

    program = argc > 1 ? argv[1] : "sinter-broker";
    return cmocka_run_group_tests(tests, NULL, NULL);
}
