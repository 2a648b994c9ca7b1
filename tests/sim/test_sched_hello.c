/* Workers that say HELLO again and again cost themselves, nobody else. */
#include "support/test.h"
#include "tests/sim/farm.h"

#include "broker/core/fleet.h"
#include "broker/core/state.h"
#include "common/limits.h"
#include "common/memory.h"

#include <stdlib.h>
#include <string.h>

enum { MANY = 1000, BURST = 16, A_HEARTBEAT = 4 };

struct door {
    struct sched *sched;
    struct outbox out;
    int64_t now_ms;
    size_t welcomes, refusals, records;
};

static struct sched_time now(const struct door *d)
{
    return (struct sched_time){ .now = d->now_ms * NS_PER_MS,
                                .wall_ms = d->now_ms };
}

static struct door open_door(void)
{
    struct door d = { .sched = farm_new_sched(), .now_ms = 1000 };

    outbox_init(&d.out);
    sched_start(d.sched, 1, now(&d), &d.out);
    outbox_clear(&d.out);
    return d;
}

static void close_door(struct door *d)
{
    sched_check(d->sched);
    sched_free(d->sched);
    outbox_release(&d->out);
}

static void say(struct door *d, uint64_t peer, const struct wire_message *m)
{
    struct status st = sched_message(
        d->sched, (struct peer){ .side = PEER_WORKER, .id = peer }, m, now(d),
        &d->out);

    if (status_failed(&st)) {
        assert_int_equal(st.code, STATUS_UNAVAILABLE);
        d->refusals++;
    }
    d->welcomes += d->out.message_count;
    d->records += d->out.record_count;
    outbox_clear(&d->out);
}

static void hello(struct door *d, uint64_t peer, const char *name,
                  uint64_t incarnation)
{
    struct wire_message m = { .type = WIRE_HELLO };

    m.hello = (struct wire_hello){ .worker = wire_text(name),
                                   .incarnation = incarnation,
                                   .least_major = WIRE_MAJOR,
                                   .most_major = WIRE_MAJOR,
                                   .slots = 1 };
    say(d, peer, &m);
}

static void test_a_worker_that_says_hello_in_a_loop_is_let_wait(void **state)
{
    struct door d = open_door();

    (void)state;
    for (int i = 0; i < MANY; i++)
        hello(&d, 1, "loop", 7);
    assert_int_equal(d.welcomes, BURST);
    assert_int_equal(d.records, 1); /* it came */
    hello(&d, 2, "other", 8);       /* who is not in that loop is */
    assert_int_equal(d.welcomes, BURST + 1);
    d.now_ms += FARM_HEARTBEAT_MS;
    for (int i = 0; i < MANY; i++)
        hello(&d, 1, "loop", 7);
    assert_int_equal(d.welcomes, BURST + 1 + A_HEARTBEAT);
    d.now_ms += 60 * FARM_HEARTBEAT_MS; /* all is forgiven */
    for (int i = 0; i < BURST; i++)
        hello(&d, 1, "loop", 7);
    assert_int_equal(d.welcomes, 2 * BURST + 1 + A_HEARTBEAT);
    assert_int_equal(d.refusals, 0);
    close_door(&d);
}

/* On one connection, under ever new numbers; over ever new connections. */
static void test_who_it_says_it_is_makes_no_difference(void **state)
{
    struct door d = open_door();

    (void)state;
    for (uint64_t i = 0; i < MANY; i++)
        hello(&d, 1, "many", 100 + i);
    assert_int_equal(d.welcomes, BURST);
    assert_int_equal(map_count(d.sched->sessions), 1);
    assert_int_equal(d.records, 2 * BURST - 1);
    for (uint64_t i = 0; i < MANY; i++)
        hello(&d, 1000 + i, "one", 7);
    assert_int_equal(d.welcomes, 2 * BURST);
    assert_int_equal(map_count(d.sched->sessions), 2);
    for (uint64_t i = 0; i < MANY; i++) /* two who take turns at a place */
        hello(&d, 5000, i % 2 == 0 ? "a" : "b", 7);
    assert_int_equal(d.welcomes, 3 * BURST);
    close_door(&d);
}

/* A whole farm may come at once; more than that, again and again, may not. */
static void test_newcomers_are_let_in_at_a_pace(void **state)
{
    enum { PER_S = 1000 };
    struct wire_message bye = { .type = WIRE_BYE };
    struct door d = open_door();
    uint64_t peer = 0;

    (void)state;
    while (peer < LIMIT_WORKERS + 2 * PER_S) {
        char name[32];

        (void)snprintf(name, sizeof name, "w%d", (int)++peer);
        hello(&d, peer, name, peer);
        say(&d, peer, &bye);
    }
    assert_int_equal(d.welcomes, LIMIT_WORKERS);
    assert_int_equal(d.refusals, 2 * PER_S);
    d.now_ms += 1000;
    for (int i = 0; i < 2 * PER_S; i++) {
        peer++;
        hello(&d, peer, "late", peer);
    }
    assert_int_equal(d.welcomes, LIMIT_WORKERS + PER_S);
    close_door(&d);
}

/* Namesakes are found, and forgotten, in any order. */
static void test_workers_of_one_name_are_told_apart(void **state)
{
    enum { NAMESAKES = 5 };
    struct wire_message bye = { .type = WIRE_BYE };
    struct door d = open_door();

    (void)state;
    for (uint64_t i = 1; i <= NAMESAKES; i++)
        hello(&d, i, "same", i);
    fleet_cordon(d.sched, "same", true);
    for (uint64_t i = 1; i <= NAMESAKES; i++) {
        const struct session *w =
            fleet_find(d.sched, (struct peer){ PEER_WORKER, i });

        assert_true(w->cordoned && w->incarnation == i);
    }
    fleet_cordon(d.sched, "same", false);
    for (uint64_t i = 0; i < NAMESAKES; i++) {
        say(&d, 1 + (i + 2) % NAMESAKES, &bye);
        assert_int_equal(map_count(d.sched->sessions), NAMESAKES - 1 - i);
        assert_true((fleet_named(d.sched, "same") != NULL) ==
                    (i + 1 < NAMESAKES));
    }
    hello(&d, 9, "same", 3);
    assert_int_equal(fleet_named(d.sched, "same")->incarnation, 3);
    close_door(&d);
}

/* Who started it saw its predecessor die, or only thinks so. */
static void test_the_dead_are_not_waited_for(void **state)
{
    (void)state;
    for (int saw = 0; saw < 2; saw++) {
        AUTO(free_pointer) char *document = farm_document("demo", 3, "");
        struct farm *f = farm_new();
        struct farm_worker *w = &f->workers[0];

        farm_hello(f, 0, 1);
        farm_submit(f, document);
        assert_int_equal(w->held_count, 1); /* what all of it waits for */
        farm_kill(f, 0);
        w->held_count = 0;
        w->incarnation = 0;
        w->replaces = saw != 0;
        farm_hello(f, 0, 1);
        assert_int_equal(sched_stats(f->sched).lost, saw);
        assert_int_equal(map_count(f->sched->sessions), 2 - saw);
        farm_advance(f, 10 * FARM_HEARTBEAT_MS);
        assert_int_equal(sched_stats(f->sched).lost, 1);
        assert_int_equal(w->held_count, 1);
        sched_check(f->sched);
        farm_free(f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_worker_that_says_hello_in_a_loop_is_let_wait),
        cmocka_unit_test(test_who_it_says_it_is_makes_no_difference),
        cmocka_unit_test(test_newcomers_are_let_in_at_a_pace),
        cmocka_unit_test(test_workers_of_one_name_are_told_apart),
        cmocka_unit_test(test_the_dead_are_not_waited_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
