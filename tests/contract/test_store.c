/* What store.h promises, on every back end, with the real thing. */
#include "broker/store.h"
#include "common/memory.h"
#include "support/process.h"
#include "support/test.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

struct backend {
    const char *name;
    bool is_redis;
};

static const struct backend backends[] = {
    { "sqlite", false },
    { "redis", true },
};

/* One test's store. */
struct bench {
    const struct backend *backend;
    char directory[SCRATCH_SIZE];
    char *url;
    pid_t redis;
};

static struct bench bench_new(const struct backend *backend)
{
    struct bench b = { .backend = backend };

    scratch_make(b.directory);
    if (backend->is_redis) {
        b.redis = redis_start(b.directory, "always");
        assert_true(b.redis > 0);
        b.url = xasprintf("redis+unix:%s/redis.sock", b.directory);
    } else {
        b.url = xasprintf("sqlite:%s/sinter.db", b.directory);
    }
    return b;
}

static void bench_release(struct bench *b)
{
    (void)process_end(b->redis, SIGKILL);
    scratch_remove(b->directory);
    free(b->url);
}

static struct store open_store(const struct bench *b)
{
    static const struct store_options options = { 0 };
    struct store s;

    assert_ok(store_open(b->url, "test", &options, &s));
    return s;
}

static uint64_t begin(struct store *s)
{
    uint64_t epoch = 0;

    assert_ok(s->begin(s->self, &epoch));
    return epoch;
}

static struct store_record record(uint64_t epoch, uint64_t sequence,
                                  const char *text)
{
    return (struct store_record){ .epoch = epoch,
                                  .sequence = sequence,
                                  .data = wire_text(text) };
}

/* "1-1:a 1-2:b " */
struct history {
    char text[4096];
    size_t count;
    struct status fail_with;
};

static struct status visit(void *self, const struct store_record *r)
{
    struct history *h = self;
    size_t size = strlen(h->text);

    if (status_failed(&h->fail_with))
        return h->fail_with;
    h->count++;
    (void)snprintf(h->text + size, sizeof h->text - size, "%llu-%llu:%.*s ",
                   (unsigned long long)r->epoch,
                   (unsigned long long)r->sequence,
                   r->data.size > 8 ? 8 : (int)r->data.size, r->data.data);
    return SUCCESS;
}

static void expect_log(struct store *s, const char *text)
{
    struct history h = { .fail_with = SUCCESS };

    assert_ok(s->replay(s->self, visit, &h));
    assert_string_equal(h.text, text);
}

static void check_append_and_replay(const struct backend *backend)
{
    struct bench b = bench_new(backend);
    struct store s = open_store(&b);
    uint64_t e = begin(&s);
    const struct store_record first[] = { record(e, 1, "a"),
                                          record(e, 2, "b") };
    const struct store_record next = record(e, 3, "c");

    expect_log(&s, "");
    assert_ok(s.append(s.self, first, 2));
    assert_ok(s.append(s.self, &next, 1));
    assert_ok(s.append(s.self, NULL, 0));
    expect_log(&s, "1-1:a 1-2:b 1-3:c ");
    s.close(s.self);

    s = open_store(&b);
    e = begin(&s);
    assert_int_equal(e, 2);
    expect_log(&s, "1-1:a 1-2:b 1-3:c ");
    s.close(s.self);
    bench_release(&b);
}

static void check_same_append_again(const struct backend *backend)
{
    struct bench b = bench_new(backend);
    struct store s = open_store(&b);
    uint64_t e = begin(&s);
    const struct store_record r[] = { record(e, 1, "a"), record(e, 2, "b"),
                                      record(e, 3, "c") };

    assert_ok(s.append(s.self, r, 2)); /* and its reply was lost */
    assert_ok(s.append(s.self, r, 2));
    assert_ok(s.append(s.self, r, 3)); /* a prefix of this one is there */
    expect_log(&s, "1-1:a 1-2:b 1-3:c ");
    s.close(s.self);
    bench_release(&b);
}

static void check_fence(const struct backend *backend)
{
    struct bench b = bench_new(backend);
    struct store old = open_store(&b);
    uint64_t e1 = begin(&old);
    struct store new = open_store(&b);
    uint64_t e2 = begin(&new);
    const struct store_record late = record(e1, 1, "late");
    const struct store_record good = record(e2, 1, "good");

    assert_true(e2 > e1);
    assert_fails(old.append(old.self, &late, 1), STATUS_STALE,
                 "another broker took over");
    assert_ok(new.append(new.self, &good, 1));
    assert_fails(old.append(old.self, &late, 1), STATUS_STALE, NULL);
    expect_log(&new, "2-1:good ");
    old.close(old.self);
    new.close(new.self);
    bench_release(&b);
}

static void check_large_and_binary(const struct backend *backend)
{
    enum { BIG = 1 << 20, MANY = 2500 };
    struct bench b = bench_new(backend);
    struct store s = open_store(&b);
    uint64_t e = begin(&s);
    AUTO(free_pointer) char *big = xcalloc(BIG, 1);
    struct store_record *many = xcalloc(MANY, sizeof *many);
    struct history h = { .fail_with = SUCCESS };

    memset(big, 0xff, BIG);
    big[1] = '\0';
    for (uint64_t i = 0; i < MANY; i++)
        many[i] = record(e, i + 1, "x");
    many[7].data = (struct wire_bytes){ .data = big, .size = BIG };
    assert_ok(s.append(s.self, many, MANY));
    assert_ok(s.replay(s.self, visit, &h));
    assert_int_equal(h.count, MANY);
    free(many);
    s.close(s.self);
    bench_release(&b);
}

static void check_visitor_may_fail(const struct backend *backend)
{
    struct bench b = bench_new(backend);
    struct store s = open_store(&b);
    uint64_t e = begin(&s);
    const struct store_record r = record(e, 1, "a");
    struct history h = { .fail_with = FAIL(STATUS_CORRUPT, "no sense") };

    assert_ok(s.append(s.self, &r, 1));
    assert_fails(s.replay(s.self, visit, &h), STATUS_CORRUPT, "no sense");
    h.fail_with = SUCCESS;
    assert_ok(s.replay(s.self, visit, &h));
    s.close(s.self);
    bench_release(&b);
}

/* A store that is killed and comes back goes on where it was; what it said
 * was durable is there. SQLite has no process to kill: it is reopened. */
static void check_kill_and_reopen(const struct backend *backend)
{
    struct bench b = bench_new(backend);
    struct store s = open_store(&b);
    uint64_t e = begin(&s);
    const struct store_record first[] = { record(e, 1, "a"),
                                          record(e, 2, "b") };
    const struct store_record next = record(e, 3, "c");

    assert_ok(s.append(s.self, first, 2));
    if (backend->is_redis) {
        (void)process_end(b.redis, SIGKILL);
        assert_fails(s.append(s.self, &next, 1), STATUS_UNAVAILABLE, "Redis");
        assert_fails(s.append(s.self, &next, 1), STATUS_UNAVAILABLE, "Redis");
        b.redis = redis_start(b.directory, "always");
        assert_true(b.redis > 0);
    }
    assert_ok(s.append(s.self, &next, 1));
    expect_log(&s, "1-1:a 1-2:b 1-3:c ");
    s.close(s.self);
    bench_release(&b);
}

static void (*const checks[])(const struct backend *) = {
    check_append_and_replay, check_same_append_again, check_fence,
    check_large_and_binary,  check_visitor_may_fail,  check_kill_and_reopen,
};

static void test_every_back_end_keeps_the_contract(void **state)
{
    (void)state;
    for (size_t b = 0; b < COUNT_OF(backends); b++)
        for (size_t i = 0; i < COUNT_OF(checks); i++)
            checks[i](&backends[b]);
}

static void redis_command(const struct bench *b, const char *one,
                          const char *two, const char *three, const char *four)
{
    AUTO(free_pointer) char *path = xasprintf("%s/redis.sock", b->directory);
    const char *const argv[] = { "redis-cli", "-s",  path, one,
                                 two,         three, four, NULL };

    assert_int_equal(process_end(process_start(argv, "/dev/null"), 0), 0);
}

static void test_flushed_redis_is_noticed(void **state)
{
    struct bench b = bench_new(&backends[1]);
    struct store s = open_store(&b);
    uint64_t e = begin(&s);
    const struct store_record r = record(e, 1, "a");
    const struct store_record next = record(e, 2, "b");

    (void)state;
    assert_ok(s.append(s.self, &r, 1));
    redis_command(&b, "FLUSHALL", NULL, NULL, NULL);
    assert_fails(s.append(s.self, &next, 1), STATUS_CORRUPT, "is gone");
    s.close(s.self);
    bench_release(&b);
}

static void test_unsafe_redis_is_refused_in_plain_words(void **state)
{
    struct bench b = bench_new(&backends[1]);
    struct store_options options = { 0 };
    struct store s;

    (void)state;
    redis_command(&b, "CONFIG", "SET", "maxmemory-policy", "allkeys-lru");
    assert_fails(store_open(b.url, "test", &options, &s), STATUS_DENIED,
                 "--accept-loss");
    options.accept_loss = true;
    assert_ok(store_open(b.url, "test", &options, &s));
    s.close(s.self);
    bench_release(&b);
}

static void test_password_comes_from_a_file(void **state)
{
    struct bench b = bench_new(&backends[1]);
    AUTO(free_pointer) char *path = xasprintf("%s/secret", b.directory);
    struct store_options options = { .password_file = path };
    struct store s;
    FILE *file;

    (void)state;
    redis_command(&b, "CONFIG", "SET", "requirepass", "open sesame");
    file = fopen(path, "w");
    assert_non_null(file);
    (void)fputs("open sesame\n", file);
    (void)fclose(file);
    assert_ok(store_open(b.url, "test", &options, &s));
    s.close(s.self);
    options.password_file = NULL;
    assert_fails(store_open(b.url, "test", &options, &s), STATUS_DENIED,
                 "NOAUTH");
    bench_release(&b);
}

static void test_refused_record_leaves_no_hole(void **state)
{
    struct bench b = bench_new(&backends[1]);
    struct store s = open_store(&b);
    uint64_t e = begin(&s);
    const struct store_record r[] = { record(e, 1, "a"), record(e, 2, "b") };

    (void)state;
    redis_command(&b, "CONFIG", "SET", "maxmemory", "1");
    assert_fails(s.append(s.self, r, 2), STATUS_NO_SPACE, "OOM");
    redis_command(&b, "CONFIG", "SET", "maxmemory", "0");
    expect_log(&s, "");
    assert_ok(s.append(s.self, r, 2));
    expect_log(&s, "1-1:a 1-2:b ");
    s.close(s.self);
    bench_release(&b);
}

static void test_wrong_urls_and_files_are_told(void **state)
{
    static const struct store_options none = { 0 };
    struct bench b = bench_new(&backends[0]);
    AUTO(free_pointer) char *path = xasprintf("%s/text", b.directory);
    AUTO(free_pointer) char *url = xasprintf("sqlite:%s", path);
    struct store s;
    FILE *file = fopen(path, "w");

    (void)state;
    (void)fputs("this is no database, although it is long enough to be one"
                "......................................................",
                file);
    (void)fclose(file);
    assert_fails(store_open("mysql://x", "t", &none, &s), STATUS_INVALID,
                 "sqlite:PATH");
    assert_fails(store_open("redis://pw@host", "t", &none, &s), STATUS_INVALID,
                 "password");
    assert_fails(store_open("redis://host:99999", "t", &none, &s),
                 STATUS_INVALID, "port");
    assert_fails(store_open("redis://127.0.0.1:1", "t", &none, &s),
                 STATUS_UNAVAILABLE, "127.0.0.1");
    assert_fails(store_open("sqlite:/nonexistent/x.db", "t", &none, &s),
                 STATUS_DENIED, "/nonexistent/x.db");
    assert_fails(store_open(url, "t", &none, &s), STATUS_CORRUPT, path);
    bench_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_back_end_keeps_the_contract),
        cmocka_unit_test(test_flushed_redis_is_noticed),
        cmocka_unit_test(test_unsafe_redis_is_refused_in_plain_words),
        cmocka_unit_test(test_password_comes_from_a_file),
        cmocka_unit_test(test_refused_record_leaves_no_hole),
        cmocka_unit_test(test_wrong_urls_and_files_are_told),
    };

    (void)signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
