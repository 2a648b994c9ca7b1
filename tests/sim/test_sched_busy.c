/* What is not taken while the store is away, or while as much waits for it as
 * there may be; and that nothing is lost by that. */
#include "support/test.h"
#include "tests/sim/farm.h"

#include "common/memory.h"

#include <string.h>

static const struct peer client = { .side = PEER_CLIENT, .id = 77 };

/* The first reply to a message, as the loop would send it at once. */
struct reply {
    struct outbox out;
    struct wire_decoded decoded;
    bool any;
    struct status status;
};

static struct reply say(struct farm *f, struct peer peer,
                        const struct wire_message *m)
{
    struct sched_time t = { .now = f->now_ms * 1000000 + 1,
                            .wall_ms = 1000000 + f->now_ms };
    struct reply r = { .any = false };

    outbox_init(&r.out);
    r.status = sched_message(f->sched, peer, m, t, &r.out);
    r.any = r.out.message_count > 0;
    if (r.any) {
        assert_true(r.out.messages[0].early);
        assert_ok(wire_decode(r.out.bytes.data + r.out.messages[0].at,
                              r.out.messages[0].size, &r.decoded));
    }
    return r;
}

static void end(struct reply *r)
{
    if (r->any)
        wire_release(&r->decoded);
    outbox_release(&r->out);
}

static void expect_busy(struct farm *f, const struct wire_message *m,
                        uint64_t request, const char *words)
{
    struct reply r = say(f, client, m);
    const struct wire_busy *busy = &r.decoded.message.busy;

    assert_ok(r.status);
    assert_int_equal(r.out.record_count, 0);
    assert_int_equal(r.out.message_count, 1);
    assert_int_equal(r.decoded.message.type, WIRE_BUSY);
    assert_int_equal(busy->request, request);
    assert_in_range(busy->retry_after_ms, 1, 5000);
    if (memmem(busy->reason.data, busy->reason.size, words, strlen(words)) ==
        NULL)
        fail_msg("\"%s\" is not in \"%.*s\"", words, (int)busy->reason.size,
                 busy->reason.data);
    end(&r);
}

static struct wire_message submit_of(const char *document, uint64_t knows)
{
    struct wire_message m = { .type = WIRE_SUBMIT };

    m.submit.request = 31;
    m.submit.idempotency = wire_text(document);
    m.submit.compiled = wire_text(document);
    m.submit.takes_busy = knows;
    return m;
}

static struct wire_message order_of(const char *verb, uint64_t knows)
{
    struct wire_message m = { .type = WIRE_QUERY };

    m.query.request = 32;
    m.query.verb = wire_text(verb);
    m.query.arguments = wire_text("{\"sweep\":\"first\"}");
    m.query.takes_busy = knows;
    return m;
}

static void expect_put_off(struct farm *f, const char *document,
                           const char *words)
{
    static const char *const orders[] = { "pause", "cancel", "retry", "rm" };
    struct wire_message m = submit_of(document, 1);
    struct reply r;

    expect_busy(f, &m, 31, words);
    for (size_t i = 0; i < COUNT_OF(orders); i++) {
        m = order_of(orders[i], 1);
        expect_busy(f, &m, 32, words);
    }
    /* A client of before does not know BUSY. */
    m = submit_of(document, 0);
    r = say(f, client, &m);
    assert_fails(r.status, STATUS_UNAVAILABLE, words);
    assert_false(r.any);
    end(&r);
    m = order_of("pause", 0);
    r = say(f, client, &m);
    assert_fails(r.status, STATUS_UNAVAILABLE, words);
    end(&r);
}

static void test_no_order_is_taken_while_the_store_is_away(void **state)
{
    struct farm *f = farm_new();
    AUTO(free_pointer) char *first = farm_document("first", 2, "");
    AUTO(free_pointer) char *second = farm_document("second", 2, "");

    (void)state;
    farm_submit(f, first);
    sched_store_error(f->sched, "no route");
    expect_put_off(f, second, "the store is away (no route)");
    /* Nor is the one that is there: its end may not be durable. */
    expect_put_off(f, first, "the store is away");
    sched_store_error(f->sched, NULL);
    assert_int_equal(sched_stats(f->sched).busy_replies, 10);
    farm_submit(f, second);
    assert_int_equal(f->answer_code, STATUS_SUCCESS);
    assert_int_equal(sched_stats(f->sched).sweeps, 2);
    farm_free(f);
}

static void test_no_order_is_taken_while_too_much_waits(void **state)
{
    struct farm *f = farm_new();
    AUTO(free_pointer) char *first = farm_document("first", 2, "");
    AUTO(free_pointer) char *second = farm_document("second", 2, "");

    (void)state;
    farm_submit(f, first);
    sched_backlog(f->sched, 3 << 20, true);
    expect_put_off(f, second, "the store is slow: 3072 KiB wait");
    sched_backlog(f->sched, 1 << 20, false);
    farm_submit(f, second);
    assert_int_equal(f->answer_code, STATUS_SUCCESS);
    farm_free(f);
}

/* Its outcomes stay with the worker, its lease goes on, and when there is room
 * it is asked for them. */
static void test_outcomes_wait_at_the_worker(void **state)
{
    struct farm *f = farm_new();
    AUTO(free_pointer) char *document = farm_document("full", 3, "");

    (void)state;
    farm_hello(f, 0, 1);
    farm_submit(f, document);
    sched_backlog(f->sched, 1 << 20, true);
    farm_done(f, 0, "full #1 base");
    assert_int_equal(f->workers[0].held_count, 1);
    assert_int_equal(farm_count(f, "full", "jobs.computed"), 0);
    farm_advance(f, 2 * FARM_LEASE_MS);
    assert_int_equal(f->workers[0].held_count, 1); /* nobody took it away */
    sched_backlog(f->sched, 0, false);
    /* It is asked to say HELLO, and then says it again. */
    farm_advance(f, 2 * FARM_HEARTBEAT_MS);
    assert_int_equal(farm_count(f, "full", "jobs.computed"), 1);
    assert_int_equal(f->workers[0].held_count, 1); /* the next one */
    farm_free(f);
}

static void test_nothing_is_begun_while_too_much_waits(void **state)
{
    struct farm *f = farm_new();
    AUTO(free_pointer) char *document = farm_document("begin", 3, "");
    /* A newcomer is a record: not now. */
    struct wire_message m = { .type = WIRE_HELLO,
                              .hello = { .worker = wire_text("new"),
                                         .least_major = WIRE_MAJOR,
                                         .most_major = WIRE_MAJOR,
                                         .slots = 1 } };
    struct reply r;

    (void)state;
    farm_submit(f, document);
    sched_backlog(f->sched, 1 << 20, true);
    r = say(f, (struct peer){ .side = PEER_WORKER, .id = 500 }, &m);
    assert_fails(r.status, STATUS_UNAVAILABLE, "no more workers until then");
    assert_int_equal(sched_stats(f->sched).workers, 0);
    assert_int_equal(r.out.record_count, 0);
    end(&r);
    sched_backlog(f->sched, 0, false);
    farm_hello(f, 0, 1);
    assert_int_equal(f->workers[0].held_count, 1);
    sched_backlog(f->sched, 1 << 20, true);
    /* Who is known may come again, but gets no new work. */
    m.hello.worker = wire_text("worker-0");
    m.hello.incarnation = f->workers[0].incarnation;
    m.hello.slots = 4;
    m.hello.running.items = &f->workers[0].held[0].token;
    m.hello.running.count = 1;
    r = say(f, (struct peer){ .side = PEER_WORKER, .id = 501 }, &m);
    assert_ok(r.status);
    assert_int_equal(r.decoded.message.type, WIRE_WELCOME);
    end(&r);
    farm_settle(f);
    assert_int_equal(sched_stats(f->sched).slots, 4);
    assert_int_equal(sched_stats(f->sched).jobs_running, 1);
    assert_true(sched_deadline(f->sched) > f->now_ms * 1000000 + 1);
    farm_free(f);
}

/* One answer waits for the store, however often the worker asks for it. */
static void test_repeated_outcomes_have_one_answer(void **state)
{
    struct farm *f = farm_new();
    AUTO(free_pointer) char *document = farm_document("again", 3, "");
    const struct peer worker = { .side = PEER_WORKER, .id = 1 };
    struct wire_outcome o = { .result = wire_text("{\"metrics\":{}}") };
    struct wire_message m = { .type = WIRE_DONE };
    struct sched_time t = { .now = 1, .wall_ms = 1000000 };
    struct reply r;

    (void)state;
    farm_hello(f, 0, 1);
    farm_submit(f, document);
    o.token = farm_find(f, 0, "again #1 base")->token;
    m.done.outcomes.items = &o;
    m.done.outcomes.count = 1;
    sched_store_error(f->sched, "gone");
    assert_int_equal(f->workers[0].peer, worker.id);
    for (int i = 0; i < 5; i++) {
        r = say(f, worker, &m);
        assert_ok(r.status);
        assert_int_equal(r.out.record_count, i == 0);
        sched_tick(f->sched, t, &r.out);
        assert_int_equal(r.out.message_count > 0, i == 0);
        end(&r);
    }
    sched_store_error(f->sched, NULL);
    r = say(f, worker, &m);
    sched_tick(f->sched, t, &r.out);
    assert_int_equal(r.out.message_count, 1);
    end(&r);
    farm_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_order_is_taken_while_the_store_is_away),
        cmocka_unit_test(test_no_order_is_taken_while_too_much_waits),
        cmocka_unit_test(test_outcomes_wait_at_the_worker),
        cmocka_unit_test(test_nothing_is_begun_while_too_much_waits),
        cmocka_unit_test(test_repeated_outcomes_have_one_answer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
