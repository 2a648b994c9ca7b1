/* Two real ROUTERs on unix sockets, against DEALERs in the same thread. */
#include "broker/link.h"
#include "common/clock.h"
#include "common/dealer.h"
#include "common/memory.h"
#include "support/process.h"
#include "support/test.h"

#include <string.h>

struct pair {
    char directory[SCRATCH_SIZE];
    struct link link;
    struct dealer *dealers[PEER_SIDES];
};

static struct pair open_pair(void)
{
    struct pair p;
    struct link_settings settings = { .most_queued = 10 };
    char *endpoints[PEER_SIDES];

    scratch_make(p.directory);
    for (int i = 0; i < PEER_SIDES; i++) {
        endpoints[i] = xasprintf("ipc://%s/%d", p.directory, i);
        settings.endpoints[i] = endpoints[i];
    }
    assert_ok(link_zmq_open(&settings, &p.link));
    for (int i = 0; i < PEER_SIDES; i++) {
        assert_ok(dealer_open(endpoints[i], &p.dealers[i]));
        assert_string_equal(p.link.endpoint(p.link.self, (enum peer_side)i),
                            endpoints[i]);
        free(endpoints[i]);
    }
    return p;
}

static void close_pair(struct pair *p)
{
    for (int i = 0; i < PEER_SIDES; i++)
        dealer_close(p->dealers[i]);
    p->link.close(p->link.self);
    scratch_remove(p->directory);
}

static void say(struct dealer *d, const char *text)
{
    struct status st = dealer_send(d, text, strlen(text));

    for (int i = 0; i < 5000 && st.code == STATUS_UNAVAILABLE; i++) {
        clock_sleep_ms(1);
        st = dealer_send(d, text, strlen(text));
    }
    assert_ok(st);
}

static struct peer hear(struct pair *p, const char *text)
{
    struct link_message m = { 0 };
    bool got = false;

    for (int i = 0; i < 50 && !got; i++) {
        assert_ok(p->link.receive(p->link.self, &m, &got));
        if (!got)
            assert_ok(p->link.wait(p->link.self, 100, NULL, 0));
    }
    assert_true(got);
    assert_int_equal(m.size, strlen(text));
    assert_memory_equal(m.data, text, m.size);
    return m.from;
}

static void test_both_sides_talk_both_ways(void **state)
{
    struct pair p = open_pair();

    (void)state;
    for (int i = 0; i < PEER_SIDES; i++) {
        const void *data = NULL;
        size_t size = 0;
        struct peer from;

        say(p.dealers[i], "question");
        from = hear(&p, "question");
        assert_int_equal(from.side, i);
        assert_ok(p.link.send(p.link.self, from, "answer", 6));
        assert_ok(dealer_wait(p.dealers[i], 5000, NULL, 0, &data, &size));
        assert_int_equal(size, 6);
        assert_memory_equal(data, "answer", 6);
    }
    close_pair(&p);
}

static void test_peer_that_left_is_not_found(void **state)
{
    struct pair p = open_pair();
    struct peer nobody = { PEER_WORKER, 123456 };
    struct peer from;
    struct status st = SUCCESS;

    (void)state;
    assert_fails(p.link.send(p.link.self, nobody, "x", 1), STATUS_NOT_FOUND,
                 NULL);
    say(p.dealers[PEER_WORKER], "hello");
    from = hear(&p, "hello");
    dealer_close(p.dealers[PEER_WORKER]);
    p.dealers[PEER_WORKER] = NULL;
    for (int i = 0; i < 500 && !status_failed(&st); i++) {
        assert_ok(p.link.wait(p.link.self, 10, NULL, 0));
        st = p.link.send(p.link.self, from, "x", 1);
    }
    assert_true(st.code == STATUS_NOT_FOUND || st.code == STATUS_UNAVAILABLE);
    close_pair(&p);
}

static void test_peer_that_does_not_read_costs_only_itself(void **state)
{
    enum { FLOOD = 200000 };
    struct pair p = open_pair();
    static const char big[4096];
    struct peer slow;
    struct status st = SUCCESS;

    (void)state;
    say(p.dealers[PEER_WORKER], "slow");
    slow = hear(&p, "slow");
    for (int i = 0; i < FLOOD && !status_failed(&st); i++)
        st = p.link.send(p.link.self, slow, big, sizeof big);
    assert_int_equal(st.code, STATUS_UNAVAILABLE);
    say(p.dealers[PEER_CLIENT], "quick");
    assert_ok(p.link.send(p.link.self, hear(&p, "quick"), "yes", 3));
    close_pair(&p);
}

static void test_place_that_is_taken_is_told(void **state)
{
    const struct link_settings settings = {
        .most_queued = 10,
        .endpoints = { "nonsense://", "ipc:///tmp/x" },
    };
    struct link l;

    (void)state;
    assert_fails(link_zmq_open(&settings, &l), STATUS_UNAVAILABLE,
                 "nonsense://");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_sides_talk_both_ways),
        cmocka_unit_test(test_peer_that_left_is_not_found),
        cmocka_unit_test(test_peer_that_does_not_read_costs_only_itself),
        cmocka_unit_test(test_place_that_is_taken_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
