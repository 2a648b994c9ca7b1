/* A Redis that is unsafe, full, away, behind or empty: each is told in plain
 * words, and healed where that can be done without a lie. */
#include "common/clock.h"
#include "common/memory.h"
#include "support/store_case.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    (void)fputs(text, file);
    (void)fclose(file);
}

static void test_unsafe_redis_is_refused_in_plain_words(void **state)
{
    static const struct {
        const char *name, *bad, *good, *words;
    } rows[] = {
        { "maxmemory-policy", "allkeys-lru", "noeviction", "throw away" },
        { "appendfsync", "no", "everysec", "power failure" },
        { "appendonly", "no", "yes", "would forget" },
    };
    struct store_case c = store_case_new(STORE_REDIS);
    struct store_options options = { 0 };
    struct store s;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        options.accept_loss = false;
        store_case_cli(&c, "CONFIG SET %s %s", rows[i].name, rows[i].bad);
        assert_fails(store_open(c.url, "test", &options, &s), STATUS_DENIED,
                     rows[i].words);
        assert_fails(store_open(c.url, "test", &options, &s), STATUS_DENIED,
                     "--accept-loss");
        options.accept_loss = true;
        assert_ok(store_open(c.url, "test", &options, &s));
        s.close(s.self);
        store_case_cli(&c, "CONFIG SET %s %s", rows[i].name, rows[i].good);
    }
    options.accept_loss = false;
    assert_ok(store_open(c.url, "test", &options, &s));
    assert_null(s.caution);
    s.close(s.self);
    store_case_release(&c);
}

/* An ACL may hide the settings: INFO tells two of three, and where that is
 * forbidden too the broker starts with a warning. */
static void test_hidden_settings_are_a_caution(void **state)
{
    struct store_case c = store_case_new(STORE_REDIS);
    struct store_options options = { 0 };
    struct store s;

    (void)state;
    store_case_cli(&c, "ACL SETUSER default -config");
    assert_ok(store_open(c.url, "test", &options, &s));
    assert_non_null(strstr(s.caution, "appendfsync"));
    assert_null(strstr(s.caution, "appendonly"));
    s.close(s.self);
    store_case_cli(&c, "ACL SETUSER default -info");
    assert_ok(store_open(c.url, "test", &options, &s));
    assert_non_null(strstr(s.caution, "appendonly yes"));
    assert_non_null(strstr(s.caution, "maxmemory-policy noeviction"));
    assert_int_equal(store_case_begin(&s), 1);
    s.close(s.self);
    store_case_release(&c);
}

static void test_info_tells_what_config_hides(void **state)
{
    struct store_case c = store_case_new(STORE_REDIS);
    struct store_options options = { 0 };
    struct store s;

    (void)state;
    store_case_cli(&c, "CONFIG SET maxmemory-policy volatile-ttl");
    store_case_cli(&c, "ACL SETUSER default -config");
    assert_fails(store_open(c.url, "test", &options, &s), STATUS_DENIED,
                 "volatile-ttl");
    store_case_release(&c);
}

static void test_user_and_password_come_from_files(void **state)
{
    struct store_case c = store_case_new(STORE_REDIS);
    AUTO(free_pointer) char *secret = xasprintf("%s/secret", c.directory);
    AUTO(free_pointer) char *user = xasprintf("%s/user", c.directory);
    AUTO(free_pointer) char *empty = xasprintf("%s/empty", c.directory);
    struct store_options options = { .password_file = secret };
    struct store s;

    (void)state;
    write_file(secret, "open sesame\n");
    write_file(user, "sinter\n");
    write_file(empty, "\n");
    store_case_cli(&c, "CONFIG SET requirepass 'open sesame'");
    assert_ok(store_open(c.url, "test", &options, &s));
    s.close(s.self);
    options.password_file = NULL;
    assert_fails(store_open(c.url, "test", &options, &s), STATUS_DENIED,
                 "--redis-password-file");
    options.password_file = empty;
    assert_fails(store_open(c.url, "test", &options, &s), STATUS_INVALID,
                 "first line is empty");
    options.password_file = user;
    assert_fails(store_open(c.url, "test", &options, &s), STATUS_DENIED,
                 "WRONGPASS");
    options.password_file = NULL;
    options.user_file = user;
    assert_fails(store_open(c.url, "test", &options, &s), STATUS_INVALID,
                 "--redis-password-file");
    store_case_release(&c);
}

/* The rights docs/redis.md names are enough for everything. */
static void test_user_with_few_rights_will_do(void **state)
{
    static const char *const names[] = { "p" };
    static const struct store_holder me = { "me", "here" };
    struct store_case c = store_case_new(STORE_REDIS);
    AUTO(free_pointer) char *secret = xasprintf("%s/secret", c.directory);
    AUTO(free_pointer) char *user = xasprintf("%s/user", c.directory);
    const struct store_options options = { .user_file = user,
                                           .password_file = secret };
    struct store_holder who;
    struct store s;
    bool mine = false;
    uint64_t e;

    (void)state;
    write_file(secret, "pw\n");
    write_file(user, "sinter\n");
    store_case_cli(&c, "ACL SETUSER sinter on '>pw' '~sn:{test}:*' +@all "
                       "-@dangerous -@admin +info '+config|get'");
    assert_ok(store_open(c.url, "test", &options, &s));
    assert_null(s.caution);
    e = store_case_begin(&s);
    assert_ok(store_case_append(&s, e, 1, 3));
    assert_ok(store_case_put(&s, "p", "P"));
    assert_ok(s.publish(s.self, names, 1, e, 2));
    assert_ok(s.acquire(s.self, &me, 1000, &who, &mine));
    assert_true(mine);
    store_case_expect(&s, "[p:P] 1-3:r3 ");
    s.close(s.self);
    assert_ok(store_open(c.url, "other", &options, &s));
    assert_fails(s.begin(s.self, &e), STATUS_DENIED, "ACL");
    s.close(s.self);
    store_case_release(&c);
}

static void test_refused_record_leaves_no_hole(void **state)
{
    struct store_case c = store_case_new(STORE_REDIS);
    struct store s = store_case_open(&c);
    uint64_t e = store_case_begin(&s);

    (void)state;
    store_case_cli(&c, "CONFIG SET maxmemory 1");
    assert_fails(store_case_append(&s, e, 1, 2), STATUS_NO_SPACE,
                 "raise maxmemory");
    assert_fails(store_case_append(&s, e, 1, 9999), STATUS_NO_SPACE, "OOM");
    store_case_cli(&c, "CONFIG SET maxmemory 0");
    store_case_expect(&s, "");
    assert_ok(store_case_append(&s, e, 1, 3));
    store_case_expect(&s, "1-1:r1 1-2:r2 1-3:r3 ");
    s.close(s.self);
    store_case_release(&c);
}

static void test_replica_is_no_store(void **state)
{
    struct store_case c = store_case_new(STORE_REDIS);
    struct store s = store_case_open(&c);
    uint64_t e = store_case_begin(&s);

    (void)state;
    assert_ok(store_case_append(&s, e, 1, 1));
    store_case_cli(&c, "REPLICAOF 127.0.0.1 1");
    assert_fails(store_case_append(&s, e, 2, 2), STATUS_UNAVAILABLE,
                 "it is a replica");
    assert_fails(store_case_append(&s, e, 2, 2), STATUS_UNAVAILABLE,
                 "it is a replica");
    store_case_cli(&c, "REPLICAOF NO ONE");
    assert_ok(store_case_append(&s, e, 2, 2));
    store_case_expect(&s, "1-1:r1 1-2:r2 ");
    s.close(s.self);
    store_case_release(&c);
}

/* One that hangs is given up for a while; what it had taken in counts. */
static void test_hanging_redis_is_not_waited_for(void **state)
{
    struct store_case c = store_case_new(STORE_REDIS);
    struct store s = store_case_open(&c);
    uint64_t e = store_case_begin(&s);

    (void)state;
    assert_ok(store_case_append(&s, e, 1, 1));
    assert_int_equal(kill(c.redis, SIGSTOP), 0);
    assert_fails(store_case_append(&s, e, 2, 9), STATUS_UNAVAILABLE,
                 "does not answer");
    assert_fails(store_case_append(&s, e, 2, 9), STATUS_UNAVAILABLE,
                 "does not answer");
    assert_int_equal(kill(c.redis, SIGCONT), 0);
    assert_ok(store_case_append(&s, e, 2, 10));
    store_case_expect(&s, "1-1:r1 1-2:r2 1-3:r3 1-4:r4 1-5:r5 1-6:r6 1-7:r7 "
                          "1-8:r8 1-9:r9 1-10:r10 ");
    s.close(s.self);
    store_case_release(&c);
}

/* --- Redis comes back with less */

/* The files Redis keeps, aside or back. */
static void copy_data(const struct store_case *c, const char *from,
                      const char *to)
{
    AUTO(free_pointer)
    char *command = xasprintf("rm -rf %s/%s && cp -a %s/%s %s/%s", c->directory,
                              to, c->directory, from, c->directory, to);
    const char *const argv[] = { "sh", "-c", command, NULL };

    assert_int_equal(process_end(process_start(argv, "/dev/null"), 0), 0);
}

static void save_data(struct store_case *c)
{
    copy_data(c, "appendonlydir", "saved");
}

/* Killed, and started from what was saved. */
static void restore_data(struct store_case *c)
{
    store_case_kill(c);
    copy_data(c, "saved", "appendonlydir");
    store_case_start(c);
}

static void test_lost_end_is_appended_again(void **state)
{
    static const char *const names[] = { "one", "two" };
    struct store_case c = store_case_new(STORE_REDIS);
    struct store s = store_case_open(&c);
    uint64_t e = store_case_begin(&s);

    (void)state;
    assert_ok(store_case_append(&s, e, 1, 2));
    assert_ok(store_case_put(&s, "one", "1"));
    assert_ok(s.publish(s.self, names, 1, e, 1));
    save_data(&c);
    assert_ok(store_case_append(&s, e, 3, 4));
    assert_ok(store_case_append(&s, e, 5, 10000));
    assert_ok(store_case_put(&s, "two", "2"));
    restore_data(&c);
    assert_fails(store_case_append(&s, e, 10001, 10001), STATUS_UNAVAILABLE,
                 "Redis");
    assert_ok(store_case_append(&s, e, 10001, 10001));
    /* A piece that was put is lost as well: the caller hears of it. */
    assert_fails(s.publish(s.self, names, 2, e, 9999), STATUS_NOT_FOUND, "two");
    assert_ok(store_case_put(&s, "two", "2"));
    assert_ok(s.publish(s.self, names, 2, e, 9999));
    store_case_expect(&s, "[one:1] [two:2] 1-10000:r10000 1-10001:r10001 ");
    s.close(s.self);
    store_case_release(&c);
}

/* A failover may forget even that this broker took over; an older one that
 * still runs must not get in between. */
static void test_lost_takeover_is_made_good(void **state)
{
    struct store_case c = store_case_new(STORE_REDIS);
    struct store old = store_case_open(&c);
    uint64_t e1 = store_case_begin(&old);
    struct store s;
    uint64_t e2;

    (void)state;
    assert_ok(store_case_append(&old, e1, 1, 2));
    save_data(&c);
    s = store_case_open(&c);
    e2 = store_case_begin(&s);
    assert_ok(store_case_append(&s, e2, 1, 3));
    restore_data(&c);
    assert_fails(store_case_append(&s, e2, 4, 4), STATUS_UNAVAILABLE, "Redis");
    assert_ok(store_case_append(&s, e2, 4, 4));
    assert_fails(store_case_append(&old, e1, 3, 3), STATUS_UNAVAILABLE,
                 "Redis");
    assert_fails(store_case_append(&old, e1, 3, 3), STATUS_STALE,
                 "another broker took over");
    assert_fails(store_case_put(&old, "p", "late"), STATUS_STALE, NULL);
    store_case_expect(&s, "1-1:r1 1-2:r2 2-1:r1 2-2:r2 2-3:r3 2-4:r4 ");
    s.close(s.self);
    old.close(old.self);
    store_case_release(&c);
}

/* Once the memory of the tail is behind a snapshot of its own, or too old, the
 * store says so and writes nothing until it is told to rebuild. */
static void rebuild(struct store *s, uint64_t e, uint64_t upto)
{
    static const char *const names[] = { "all", "more" };

    assert_ok(s->rebuild(s->self));
    assert_ok(store_case_put(s, "all", "A"));
    assert_ok(store_case_put(s, "more", "M"));
    assert_ok(s->publish(s->self, names, 2, e, upto));
}

static void test_flushed_redis_is_noticed_and_rebuilt(void **state)
{
    static const char *const names[] = { "p" };
    struct store_case c = store_case_new(STORE_REDIS);
    struct store s = store_case_open(&c);
    uint64_t e = store_case_begin(&s);

    (void)state;
    assert_ok(store_case_append(&s, e, 1, 2));
    assert_ok(store_case_put(&s, "p", "P"));
    assert_ok(s.append(s.self, NULL, 0));
    store_case_cli(&c, "FLUSHALL");
    assert_fails(s.append(s.self, NULL, 0), STATUS_LOST, "is gone");
    assert_fails(store_case_put(&s, "q", "Q"), STATUS_LOST, "is gone");
    assert_fails(store_case_append(&s, e, 3, 4), STATUS_LOST, "sinter rebuild");
    assert_fails(store_case_append(&s, e, 3, 9000), STATUS_LOST, "is gone");
    assert_fails(s.publish(s.self, names, 1, e, 1), STATUS_LOST, "is gone");
    assert_int_equal(status_retry(STATUS_LOST), RETRY_LATER);
    rebuild(&s, e, 4); /* of all that is known, acknowledged or not */
    assert_ok(store_case_append(&s, e, 3, 5));
    store_case_expect(&s, "[all:A] [more:M] 1-5:r5 ");
    store_case_kill(&c);
    store_case_start(&c);
    assert_fails(store_case_append(&s, e, 6, 6), STATUS_UNAVAILABLE, NULL);
    assert_ok(store_case_append(&s, e, 6, 6));
    s.close(s.self);

    s = store_case_open(&c);
    assert_int_equal(store_case_begin(&s), e + 1);
    store_case_expect(&s, "[all:A] [more:M] 1-5:r5 1-6:r6 ");
    s.close(s.self);
    store_case_release(&c);
}

static void test_gap_beyond_memory_is_told_and_rebuilt(void **state)
{
    enum { BIG = 1 << 20, MANY = 70 };
    struct store_case c = store_case_new(STORE_REDIS);
    struct store s = store_case_open(&c);
    struct store other;
    uint64_t e = store_case_begin(&s);
    AUTO(free_pointer) char *big = xcalloc(BIG, 1);

    (void)state;
    assert_ok(store_case_append(&s, e, 1, 2));
    save_data(&c);
    for (uint64_t i = 3; i < 3 + MANY; i++) { /* more than is kept */
        struct store_record r = store_case_record(e, i, "");

        r.data = (struct wire_bytes){ .data = big, .size = BIG };
        assert_ok(s.append(s.self, &r, 1));
    }
    restore_data(&c);
    assert_fails(store_case_append(&s, e, 3 + MANY, 3 + MANY),
                 STATUS_UNAVAILABLE, NULL);
    assert_fails(store_case_append(&s, e, 3 + MANY, 3 + MANY), STATUS_LOST,
                 "lost the end");
    other = store_case_open(&c);
    store_case_expect(&other, "1-1:r1 1-2:r2 "); /* untouched so far */
    other.close(other.self);
    rebuild(&s, e, 2 + MANY);
    assert_ok(store_case_append(&s, e, 3 + MANY, 3 + MANY));
    store_case_expect(&s, "[all:A] [more:M] 1-73:r73 ");
    store_case_kill(&c);
    store_case_start(&c);
    assert_fails(store_case_append(&s, e, 74, 74), STATUS_UNAVAILABLE, NULL);
    assert_ok(store_case_append(&s, e, 74, 74));
    s.close(s.self);
    store_case_release(&c);
}

/* A broker that was given up must not rebuild over its successor. */
static void test_rebuild_is_fenced(void **state)
{
    struct store_case c = store_case_new(STORE_REDIS);
    struct store old = store_case_open(&c);
    uint64_t e1 = store_case_begin(&old);
    struct store new = store_case_open(&c);

    (void)state;
    assert_ok(store_case_append(&old, e1, 1, 1));
    (void)store_case_begin(&new);
    assert_fails(old.rebuild(old.self), STATUS_STALE,
                 "another broker took over");
    old.close(old.self);
    new.close(new.self);
    store_case_release(&c);
}

/* Until a question has that answer. */
static void await_answer(const struct store_case *c, const char *words,
                         const char *wanted)
{
    enum { TRIES = 1000, PAUSE_MS = 10 };
    AUTO(free_pointer) char *answer = NULL;

    for (int i = 0; i < TRIES; i++) {
        free(answer);
        answer = store_case_ask(c, words);
        if (strcmp(answer, wanted) == 0)
            return;
        clock_sleep_ms(PAUSE_MS);
    }
    assert_string_equal(answer, wanted);
}

/* --- progress for people */

static bool show(const struct store *s, const char *sweep, const char *done)
{
    const struct store_field fields[] = { { "state", "running" },
                                          { "done", done } };

    return s->view(s->self, sweep, fields, COUNT_OF(fields));
}

static void test_view_is_a_hash_and_an_event(void **state)
{
    struct store_case c = store_case_new(STORE_REDIS);
    struct store old = store_case_open(&c);
    struct store new = store_case_open(&c);

    (void)state;
    (void)store_case_begin(&old);
    assert_true(show(&old, "s-1", "3"));
    await_answer(&c, "HGET 'sn:{test}:view:s-1' done", "3");
    await_answer(&c, "XLEN 'sn:{test}:events'", "1");
    assert_true(show(&old, "s-1", "4"));
    await_answer(&c, "HGET 'sn:{test}:view:s-1' done", "4");
    await_answer(&c, "HGET 'sn:{test}:view:s-1' state", "running");
    (void)store_case_begin(&new); /* from now on the old one shows nothing */
    (void)show(&old, "s-2", "1");
    assert_true(show(&new, "s-3", "1"));
    await_answer(&c, "HGET 'sn:{test}:view:s-3' done", "1");
    await_answer(&c, "EXISTS 'sn:{test}:view:s-2'", "0");
    await_answer(&c, "XLEN 'sn:{test}:events'", "3");
    old.close(old.self);
    new.close(new.self);
    store_case_release(&c);
}

/* A Redis that hangs keeps nobody: this test would not end. */
static void test_view_never_waits(void **state)
{
    enum { MANY = 50 * 1000 };
    struct store_case c = store_case_new(STORE_REDIS);
    struct store s = store_case_open(&c);
    uint64_t e = store_case_begin(&s);
    size_t lost = 0;

    (void)state;
    assert_true(show(&s, "s-1", "1"));
    await_answer(&c, "HGET 'sn:{test}:view:s-1' done", "1");
    assert_int_equal(kill(c.redis, SIGSTOP), 0);
    for (int i = 0; i < MANY; i++)
        lost += !show(&s, "s-1", "2");
    assert_true(lost > 0);
    assert_int_equal(kill(c.redis, SIGCONT), 0);
    assert_ok(store_case_append(&s, e, 1, 1));
    store_case_kill(&c);
    assert_fails(store_case_append(&s, e, 2, 2), STATUS_UNAVAILABLE, NULL);
    assert_false(show(&s, "s-1", "3"));
    store_case_start(&c);
    assert_ok(store_case_append(&s, e, 2, 2));
    while (!show(&s, "s-1", "4"))
        clock_sleep_ms(10);
    await_answer(&c, "HGET 'sn:{test}:view:s-1' done", "4");
    s.close(s.self);
    store_case_release(&c);
}

/* --- a full disk under the AOF */

static bool mount_disk(const char *path, const char *size, unsigned long how)
{
    return mount("tmpfs", path, "tmpfs", how, size) == 0;
}

/* Append until the disk is full; how many were accepted. */
static uint64_t fill(struct store *s, uint64_t e)
{
    enum { BIG = 1 << 20 };
    AUTO(free_pointer) char *big = xcalloc(BIG, 1);
    struct status st = SUCCESS;
    uint64_t n = 0;

    while (!status_failed(&st)) {
        struct store_record r = store_case_record(e, n + 1, "");

        r.data = (struct wire_bytes){ .data = big, .size = BIG };
        st = s->append(s->self, &r, 1);
        n += !status_failed(&st);
    }
    assert_int_equal(status_retry(st.code), RETRY_LATER);
    return n;
}

/* With "always" Redis ends itself when it cannot write; with "everysec" it
 * refuses (MISCONF), and what it accepted last is in its memory only. */
static void check_full_disk(struct store_case *c, const char *fsync, bool kill)
{
    enum { TRIES = 400, PAUSE_MS = 50 };
    struct store_history h;
    struct store_visitor v = store_case_visitor(&h);
    struct status st = FAIL(STATUS_FAILED, "never tried");
    struct store s;
    uint64_t n;
    uint64_t e;

    c->redis = redis_start(c->directory, fsync);
    assert_true(c->redis > 0);
    s = store_case_open(c);
    e = store_case_begin(&s);
    n = fill(&s, e);
    assert_true(n > 0);
    if (kill)
        store_case_kill(c);
    assert_true(mount_disk(c->directory, "size=30m", MS_REMOUNT));
    if (kill)
        store_case_start(c);
    for (int i = 0; i < TRIES && status_failed(&st); i++) {
        st = store_case_append(&s, e, n + 1, n + 1);
        if (status_failed(&st))
            clock_sleep_ms(PAUSE_MS);
    }
    assert_ok(st);
    assert_ok(s.replay(s.self, &v));
    assert_int_equal(h.records, n + 1);
    s.close(s.self);
}

static void test_full_disk_is_waited_for(void **state)
{
    static const struct {
        const char *fsync;
        bool kill;
    } rows[] = { { "always", true },
                 { "everysec", true },
                 { "everysec", false } };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct store_case c = { .back = STORE_REDIS };

        scratch_make(c.directory);
        if (!mount_disk(c.directory, "size=3m", 0)) {
            print_message("SKIPPED: a full disk under Redis (mount: %s)\n",
                          strerror(errno));
            scratch_remove(c.directory);
            skip();
        }
        c.url = xasprintf("redis+unix:%s/redis.sock", c.directory);
        check_full_disk(&c, rows[i].fsync, rows[i].kill);
        store_case_kill(&c);
        (void)umount2(c.directory, MNT_DETACH);
        scratch_remove(c.directory);
        free(c.url);
    }
}

static void test_wrong_urls_and_files_are_told(void **state)
{
    static const struct store_options none = { 0 };
    struct store_case c = store_case_new(STORE_SQLITE);
    AUTO(free_pointer) char *path = xasprintf("%s/text", c.directory);
    AUTO(free_pointer) char *url = xasprintf("sqlite:%s", path);
    struct store s;

    (void)state;
    write_file(path, "this is no database, although it is long enough to be one"
                     "......................................................");
    assert_fails(store_open("mysql://x", "t", &none, &s), STATUS_INVALID,
                 "sqlite:PATH");
    assert_fails(store_open("rediss://host", "t", &none, &s), STATUS_INVALID,
                 "TLS");
    assert_fails(store_open("redis://pw@host", "t", &none, &s), STATUS_INVALID,
                 "password");
    assert_fails(store_open("redis://host:99999", "t", &none, &s),
                 STATUS_INVALID, "port");
    assert_fails(store_open("redis://127.0.0.1:1", "t", &none, &s),
                 STATUS_UNAVAILABLE, "127.0.0.1");
    assert_fails(store_open("sqlite:/nonexistent/x.db", "t", &none, &s),
                 STATUS_DENIED, "/nonexistent/x.db");
    assert_fails(store_open(url, "t", &none, &s), STATUS_CORRUPT, path);
    store_case_release(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unsafe_redis_is_refused_in_plain_words),
        cmocka_unit_test(test_hidden_settings_are_a_caution),
        cmocka_unit_test(test_info_tells_what_config_hides),
        cmocka_unit_test(test_user_and_password_come_from_files),
        cmocka_unit_test(test_user_with_few_rights_will_do),
        cmocka_unit_test(test_refused_record_leaves_no_hole),
        cmocka_unit_test(test_replica_is_no_store),
        cmocka_unit_test(test_hanging_redis_is_not_waited_for),
        cmocka_unit_test(test_lost_end_is_appended_again),
        cmocka_unit_test(test_lost_takeover_is_made_good),
        cmocka_unit_test(test_flushed_redis_is_noticed_and_rebuilt),
        cmocka_unit_test(test_gap_beyond_memory_is_told_and_rebuilt),
        cmocka_unit_test(test_rebuild_is_fenced),
        cmocka_unit_test(test_view_is_a_hash_and_an_event),
        cmocka_unit_test(test_view_never_waits),
        cmocka_unit_test(test_full_disk_is_waited_for),
        cmocka_unit_test(test_wrong_urls_and_files_are_told),
    };

    (void)signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
