/* What store.h promises, on every back end, with the real thing. */
#include "broker/store.h"
#include "broker/store_group.h"
#include "common/clock.h"
#include "common/limits.h"
#include "common/memory.h"
#include "support/store_case.h"

#include <signal.h>
#include <string.h>

static void check_append_and_replay(struct store_case *c)
{
    struct store s = store_case_open(c);
    uint64_t e = store_case_begin(&s);
    const struct store_record first[] = { store_case_record(e, 1, "a"),
                                          store_case_record(e, 2, "b") };
    const struct store_record next = store_case_record(e, 3, "c");

    store_case_expect(&s, "");
    assert_ok(s.append(s.self, first, 2));
    assert_ok(s.append(s.self, &next, 1));
    assert_ok(s.append(s.self, NULL, 0));
    store_case_expect(&s, "1-1:a 1-2:b 1-3:c ");
    s.close(s.self);

    s = store_case_open(c);
    e = store_case_begin(&s);
    assert_int_equal(e, 2);
    assert_ok(store_case_append(&s, e, 1, 2));
    store_case_expect(&s, "1-1:a 1-2:b 1-3:c 2-1:r1 2-2:r2 ");
    s.close(s.self);
}

static void check_same_append_again(struct store_case *c)
{
    struct store s = store_case_open(c);
    uint64_t e = store_case_begin(&s);

    assert_ok(store_case_append(&s, e, 1, 2)); /* and its reply was lost */
    assert_ok(store_case_append(&s, e, 1, 2));
    assert_ok(store_case_append(&s, e, 1, 3)); /* a prefix of it is there */
    assert_ok(store_case_append(&s, e, 3, 3));
    store_case_expect(&s, "1-1:r1 1-2:r2 1-3:r3 ");
    s.close(s.self);
}

static void check_fence(struct store_case *c)
{
    struct store old = store_case_open(c);
    uint64_t e1 = store_case_begin(&old);
    struct store new = store_case_open(c);
    uint64_t e2 = store_case_begin(&new);
    static const char *const names[] = { "p" };

    assert_true(e2 > e1);
    assert_ok(new.append(new.self, NULL, 0));
    assert_fails(old.append(old.self, NULL, 0), STATUS_STALE,
                 "another broker took over");
    assert_fails(store_case_append(&old, e1, 1, 1), STATUS_STALE,
                 "another broker took over");
    assert_ok(store_case_append(&new, e2, 1, 1));
    assert_fails(store_case_append(&old, e1, 1, 5000), STATUS_STALE, NULL);
    assert_fails(store_case_put(&old, "p", "late"), STATUS_STALE,
                 "another broker took over");
    assert_ok(store_case_put(&new, "p", "good"));
    assert_fails(old.publish(old.self, names, 1, e1, 0), STATUS_STALE,
                 "another broker took over");
    assert_ok(new.publish(new.self, names, 1, e1, 0));
    store_case_expect(&new, "[p:good] 2-1:r1 ");
    old.close(old.self);
    new.close(new.self);
}

/* Groups end at 4096 records or 512 KiB; a record may be larger than that. */
static void check_large_and_binary(struct store_case *c)
{
    enum { BIG = LIMIT_SUBMIT, MANY = 100 * 1000, FIRST = 7 };
    struct store s = store_case_open(c);
    uint64_t e = store_case_begin(&s);
    AUTO(free_pointer) char *big = xcalloc(BIG, 1);
    AUTO(free_pointer) struct store_record *many = xcalloc(MANY, sizeof *many);
    struct store_history h;
    struct store_visitor v = store_case_visitor(&h);

    memset(big, 0xff, BIG);
    big[1] = '\0';
    for (uint64_t i = 0; i < MANY; i++)
        many[i] = store_case_record(e, i + 1, "x");
    many[FIRST].data = (struct wire_bytes){ .data = big, .size = BIG };
    many[MANY - 1].data = (struct wire_bytes){ .data = big, .size = 0 };
    assert_ok(s.append(s.self, many, FIRST));
    assert_ok(s.append(s.self, many + FIRST, MANY - FIRST));
    assert_ok(s.replay(s.self, &v));
    assert_int_equal(h.records, MANY);
    assert_int_equal(h.last, MANY);
    s.close(s.self);
}

static void check_visitor_may_fail(struct store_case *c)
{
    struct store s = store_case_open(c);
    uint64_t e = store_case_begin(&s);
    struct store_history h;
    struct store_visitor v = store_case_visitor(&h);

    assert_ok(store_case_append(&s, e, 1, 3));
    h.fail_with = FAIL(STATUS_CORRUPT, "no sense");
    assert_fails(s.replay(s.self, &v), STATUS_CORRUPT, "no sense");
    h.fail_with = SUCCESS;
    assert_ok(s.replay(s.self, &v));
    assert_int_equal(h.records, 3);
    s.close(s.self);
}

/* A store that is killed and comes back goes on where it was; what it said
 * was durable is there. */
static void check_kill_and_reopen(struct store_case *c)
{
    struct store s = store_case_open(c);
    uint64_t e = store_case_begin(&s);

    assert_ok(store_case_append(&s, e, 1, 2));
    store_case_kill(c);
    if (c->back == STORE_REDIS) {
        assert_fails(store_case_append(&s, e, 3, 3), STATUS_UNAVAILABLE,
                     "Redis");
        assert_fails(store_case_append(&s, e, 3, 3), STATUS_UNAVAILABLE,
                     "Redis");
    }
    store_case_start(c);
    assert_ok(store_case_append(&s, e, 3, 3));
    store_case_expect(&s, "1-1:r1 1-2:r2 1-3:r3 ");
    s.close(s.self);
}

static void check_snapshot_replaces_the_log(struct store_case *c)
{
    static const char *const names[] = { "zulu", "alpha" };
    static const char *const later[] = { "alpha", "state-2" };
    struct store s = store_case_open(c);
    uint64_t e = store_case_begin(&s);

    assert_ok(store_case_append(&s, e, 1, 2));
    assert_ok(store_case_append(&s, e, 3, 5));
    assert_ok(store_case_put(&s, "alpha", "A"));
    assert_ok(store_case_put(&s, "zulu", "old"));
    assert_ok(store_case_put(&s, "zulu", "Z"));
    assert_ok(store_case_put(&s, "left", "over"));
    assert_ok(s.publish(s.self, names, 2, e, 2));
    store_case_expect(&s, "[zulu:Z] [alpha:A] 1-3:r3 1-4:r4 1-5:r5 ");

    assert_ok(store_case_append(&s, e, 6, 6));
    assert_ok(store_case_put(&s, "state-2", ""));
    assert_ok(s.publish(s.self, later, 2, e, 6));
    store_case_expect(&s, "[alpha:A] [state-2:] ");
    s.close(s.self);

    s = store_case_open(c); /* an empty log still knows its end */
    assert_int_equal(store_case_begin(&s), 2);
    assert_ok(store_case_append(&s, 2, 1, 1));
    store_case_expect(&s, "[alpha:A] [state-2:] 2-1:r1 ");
    s.close(s.self);
}

/* The id of a snapshot need not be the last one of a group. */
static void check_snapshot_inside_a_group(struct store_case *c)
{
    static const char *const names[] = { "p" };
    struct store s = store_case_open(c);
    uint64_t e = store_case_begin(&s);

    assert_ok(store_case_append(&s, e, 1, 5));
    assert_ok(store_case_put(&s, "p", "P"));
    assert_ok(s.publish(s.self, names, 1, e, 3));
    store_case_expect(&s, "[p:P] 1-4:r4 1-5:r5 ");
    s.close(s.self);
}

/* Killed between put() and publish(): the old snapshot is whole, and the next
 * broker may take the same names. */
static void check_unpublished_pieces_are_harmless(struct store_case *c)
{
    static const char *const first[] = { "one" };
    static const char *const second[] = { "one", "two" };
    struct store s = store_case_open(c);
    uint64_t e = store_case_begin(&s);

    assert_ok(store_case_append(&s, e, 1, 2));
    assert_ok(store_case_put(&s, "one", "1"));
    assert_ok(s.publish(s.self, first, 1, e, 1));
    assert_ok(store_case_put(&s, "two", "never"));
    assert_ok(store_case_put(&s, "one", "1"));
    assert_fails(store_case_put(&s, "one", "other"), STATUS_INVALID,
                 "the published snapshot has other bytes");
    store_case_kill(c);
    s.close(s.self);
    store_case_start(c);

    s = store_case_open(c);
    e = store_case_begin(&s);
    store_case_expect(&s, "[one:1] 1-2:r2 ");
    assert_ok(store_case_put(&s, "two", "2"));
    assert_ok(s.publish(s.self, second, 2, e - 1, 2));
    store_case_expect(&s, "[one:1] [two:2] ");
    s.close(s.self);
}

static void check_wrong_snapshots_are_refused(struct store_case *c)
{
    enum { BIG = STORE_PIECE_MOST + 1 };
    static const char *const names[] = { "there", "missing" };
    static const char *const strange[] = { "a\nb" };
    AUTO(free_pointer) char *big = xcalloc(BIG, 1);
    struct store s = store_case_open(c);
    uint64_t e = store_case_begin(&s);

    assert_ok(store_case_append(&s, e, 1, 2));
    assert_ok(store_case_put(&s, "there", "1"));
    assert_fails(s.publish(s.self, names, 2, e, 1), STATUS_NOT_FOUND, NULL);
    assert_fails(s.publish(s.self, names, 1, e, 3), STATUS_INVALID, "1-3");
    assert_fails(s.publish(s.self, names, 1, e + 1, 0), STATUS_INVALID,
                 "durable");
    assert_fails(s.publish(s.self, strange, 1, e, 1), STATUS_INVALID, "name");
    assert_fails(store_case_put(&s, "", "x"), STATUS_INVALID, "name");
    assert_fails(
        s.put(s.self, "big", (struct wire_bytes){ .data = big, .size = BIG }),
        STATUS_TOO_BIG, "big");
    store_case_expect(&s, "1-1:r1 1-2:r2 ");
    s.close(s.self);
}

static void check_leader(struct store_case *c)
{
    enum { LONG_MS = 60 * 1000, SHORT_MS = 50 };
    static const struct store_holder a = { "broker-a", "tcp://a:7420" };
    static const struct store_holder b = { "broker-b", "tcp://b:7420" };
    struct store one = store_case_open(c);
    struct store two = store_case_open(c);
    struct store_holder who;
    bool mine = false;

    assert_ok(one.extend(one.self, &a, LONG_MS, &mine));
    assert_false(mine);
    assert_ok(one.acquire(one.self, &a, LONG_MS, &who, &mine));
    assert_true(mine);
    assert_ok(two.acquire(two.self, &b, LONG_MS, &who, &mine));
    assert_false(mine);
    assert_string_equal(who.name, a.name);
    assert_string_equal(who.address, a.address);
    assert_ok(two.extend(two.self, &b, LONG_MS, &mine));
    assert_false(mine);
    assert_ok(two.release(two.self, &b)); /* not its to release */
    assert_ok(one.extend(one.self, &a, LONG_MS, &mine));
    assert_true(mine);
    assert_ok(one.release(one.self, &a));
    assert_ok(two.acquire(two.self, &b, SHORT_MS, &who, &mine));
    assert_true(mine);
    for (mine = false; !mine; clock_sleep_ms(SHORT_MS / 10))
        assert_ok(one.acquire(one.self, &a, LONG_MS, &who, &mine));
    assert_string_equal(who.name, a.name);
    one.close(one.self);
    two.close(two.self);
}

/* What was written before there were groups is read, and groups go behind. */
static void check_old_log_is_read(struct store_case *c)
{
    struct store s;
    uint64_t e;

    if (c->back == STORE_REDIS) {
        store_case_cli(c, "XADD 'sn:{test}:wal' 1-0 start 1");
        store_case_cli(c, "XADD 'sn:{test}:wal' 1-1 d a");
        store_case_cli(c, "XADD 'sn:{test}:wal' 1-2 d b");
        store_case_cli(c, "SET 'sn:{test}:epoch' 1");
    } else {
        store_case_sql(
            c, "CREATE TABLE log (epoch INTEGER NOT NULL, sequence INTEGER NOT"
               " NULL, data BLOB NOT NULL, PRIMARY KEY (epoch, sequence))"
               " WITHOUT ROWID;"
               "CREATE TABLE meta (only INTEGER PRIMARY KEY CHECK (only = 1),"
               " epoch INTEGER NOT NULL);"
               "INSERT INTO meta VALUES (1, 1);"
               "INSERT INTO log VALUES (1, 1, X'61'), (1, 2, X'62');");
    }
    s = store_case_open(c);
    e = store_case_begin(&s);
    assert_int_equal(e, 2);
    store_case_expect(&s, "1-1:a 1-2:b ");
    assert_ok(store_case_append(&s, e, 1, 2));
    s.close(s.self);
    s = store_case_open(c);
    store_case_expect(&s, "1-1:a 1-2:b 2-1:r1 2-2:r2 ");
    s.close(s.self);
}

/* `redis` on a Redis store, else `sql`. */
static void meddle(const struct store_case *c, const char *redis,
                   const char *sql)
{
    if (c->back == STORE_REDIS)
        store_case_cli(c, "%s", redis);
    else
        store_case_sql(c, sql);
}

static void expect_corrupt(const struct store_case *c, const char *words)
{
    struct store s = store_case_open(c);
    struct store_history h;
    struct store_visitor v = store_case_visitor(&h);

    assert_fails(s.replay(s.self, &v), STATUS_CORRUPT, words);
    s.close(s.self);
}

static void check_damage_is_told(struct store_case *c)
{
    static const char *const names[] = { "p" };
    struct store s = store_case_open(c);
    uint64_t e = store_case_begin(&s);

    assert_ok(store_case_append(&s, e, 1, 2));
    assert_ok(store_case_append(&s, e, 3, 3));
    assert_ok(store_case_append(&s, e, 4, 4));
    assert_ok(store_case_put(&s, "p", "P"));
    assert_ok(s.publish(s.self, names, 1, e, 2));
    meddle(c, "XDEL 'sn:{test}:wal' 1-3",
           "DELETE FROM entries WHERE sequence = 3");
    expect_corrupt(c, "records 1-3 to 1-3 are missing");
    meddle(c, "XADD 'sn:{test}:wal' 2-1 g nonsense",
           "UPDATE entries SET sequence = 1, epoch = 2, data = X'6E'");
    meddle(c, "XDEL 'sn:{test}:wal' 1-4", "SELECT 1");
    expect_corrupt(c, "group 2-1");
    meddle(c, "HDEL 'sn:{test}:pieces' p", "DELETE FROM piece");
    expect_corrupt(c, "piece p of the snapshot is missing");
    s.close(s.self);
}

/* Records of one entry each: from..to. */
static void append_entries(struct store *s, uint64_t epoch, uint64_t from,
                           uint64_t to)
{
    enum { LARGE = 5000 }; /* an entry that shares its node with none */
    AUTO(free_pointer) char *text = xcalloc(LARGE + 1, 1);

    memset(text, 'x', LARGE);
    for (uint64_t i = from; i <= to; i++) {
        const struct store_record r = store_case_record(epoch, i, text);

        assert_ok(s->append(s->self, &r, 1));
    }
}

static void expect_one_entry(const struct store_case *c)
{
    AUTO(free_pointer) char *count = NULL;

    if (c->back == STORE_SQLITE) {
        store_case_sql(c, "CREATE TEMP TABLE only (n CHECK (n = 1));"
                          "INSERT INTO only SELECT COUNT(*) FROM entries;");
        return;
    }
    count = store_case_ask(c, "XLEN 'sn:{test}:wal'");
    assert_string_equal(count, "1");
}

/* Nobody waits for a long log to be deleted, and a broker that dies meanwhile
 * leaves nothing that is read twice. */
static void check_log_is_deleted_bit_by_bit(struct store_case *c)
{
    enum { ENTRIES = 250, LEAST_BITS = 3, MOST_BITS = 8 };
    static const char *const names[] = { "p" };
    struct store s = store_case_open(c);
    uint64_t e = store_case_begin(&s);
    struct store next = store_case_open(c);
    bool more = true;
    int bits = 0;

    assert_ok(s.tidy(s.self, &more)); /* nothing to do */
    assert_false(more);
    append_entries(&s, e, 1, ENTRIES);
    assert_ok(store_case_append(&s, e, ENTRIES + 1, ENTRIES + 1));
    assert_ok(store_case_put(&s, "p", "P"));
    assert_ok(s.publish(s.self, names, 1, e, ENTRIES));
    for (more = true; more; bits++) {
        store_case_expect(&s, "[p:P] 1-251:r251 ");
        assert_ok(s.tidy(s.self, &more));
    }
    assert_in_range(bits, LEAST_BITS, MOST_BITS);
    expect_one_entry(c);
    store_case_expect(&s, "[p:P] 1-251:r251 ");
    assert_ok(s.publish(s.self, names, 1, e, ENTRIES + 1));
    (void)store_case_begin(&next);
    assert_fails(s.tidy(s.self, &more), STATUS_STALE, "another broker");
    s.close(s.self);
    next.close(next.self);
}

static void (*const checks[])(struct store_case *) = {
    check_append_and_replay,
    check_same_append_again,
    check_fence,
    check_large_and_binary,
    check_visitor_may_fail,
    check_kill_and_reopen,
    check_snapshot_replaces_the_log,
    check_snapshot_inside_a_group,
    check_log_is_deleted_bit_by_bit,
    check_unpublished_pieces_are_harmless,
    check_wrong_snapshots_are_refused,
    check_leader,
    check_old_log_is_read,
    check_damage_is_told,
};

static void test_every_back_end_keeps_the_contract(void **state)
{
    (void)state;
    for (int back = 0; back < STORE_BACKS; back++)
        for (size_t i = 0; i < COUNT_OF(checks); i++) {
            struct store_case c = store_case_new((enum store_back)back);

            checks[i](&c);
            store_case_release(&c);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_back_end_keeps_the_contract),
    };

    (void)signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
