/* Jobs that are taken back, workers that are closed, jobs that need room. */
#include "support/test.h"
#include "tests/sim/farm.h"

#include "broker/core/fleet.h"
#include "broker/core/state.h"
#include "common/memory.h"

#include <stdlib.h>
#include <string.h>

static void submit(struct farm *f, const char *name, int points)
{
    AUTO(free_pointer) char *document = farm_document(name, points, "");

    farm_submit(f, document);
    assert_int_equal(f->answer_code, STATUS_SUCCESS);
}

/* Trials of one job each, which asks for so much memory. */
static void submit_memory(struct farm *f, const char *name, int points,
                          int memory)
{
    AUTO(free_pointer)
    char *document = xasprintf(
        "{\"sinter\":1,\"name\":\"%s\",\"parameters\":[{\"name\":\"x\","
        "\"from\":1,\"to\":%d,\"count\":%d,\"scale\":\"linear\"}],"
        "\"strategy\":{\"method\":\"grid\"},\"stages\":[],\"evaluate\":[{"
        "\"name\":\"e\",\"kind\":\"evaluate.noop\",\"memory\":%d,"
        "\"variants\":[{\"params\":{\"x\":{\"$param\":\"x\"},\"of\":\"%s\"}}],"
        "\"metrics\":[\"value\"]}]}",
        name, points, points, memory, name);

    farm_submit(f, document);
    assert_int_equal(f->answer_code, STATUS_SUCCESS);
}

static size_t held(const struct farm *f, int w)
{
    return f->workers[w].held_count;
}

static void expect_done(struct farm *f, const char *sweep, int trials)
{
    for (int round = 0; round < 100; round++)
        for (int w = 0; w < FARM_WORKERS; w++)
            while (f->workers[w].connected && held(f, w) > 0)
                farm_done(f, w, f->workers[w].held[0].label);
    assert_int_equal(farm_count(f, sweep, "done"), trials);
    assert_int_equal(sched_stats(f->sched).stale, 0);
    sched_check(f->sched);
}

/* Worker 0 has one slot and, as its jobs take 0.4 s, one more of them. */
static struct farm *busy_farm(int points)
{
    struct farm *f = farm_new();

    farm_hello(f, 0, 1);
    submit(f, "demo", points);
    farm_done_after(f, 0, "demo #1 base", 400);
    farm_done_after(f, 0, "demo #1 e", 400);
    assert_int_equal(held(f, 0), points == 2 ? 1 : 2);
    farm_forget(f);
    return f;
}

static void test_an_idle_worker_is_given_what_waits_elsewhere(void **state)
{
    struct farm *f = busy_farm(3);

    (void)state;
    farm_hello(f, 1, 1);
    farm_advance(f, 150);
    farm_expect(f, "[  101] demo #3 e given back by worker 0\n"
                   "[  101] demo #3 e -> worker 1 (1.2)\n");
    sched_check(f->sched);
    expect_done(f, "demo", 3);
    farm_free(f);
}

static void test_what_runs_stays_where_it_is(void **state)
{
    struct farm *f = busy_farm(2);

    (void)state;
    farm_hello(f, 1, 4);
    farm_advance(f, 5000);
    farm_expect(f, "");
    expect_done(f, "demo", 2);
    farm_free(f);
}

/* Half of what waits, the newest: the rest when that is at work too. */
static void test_batches_are_shared_with_a_worker_that_joins(void **state)
{
    struct farm *f = farm_new();
    AUTO(free_pointer) char *document = farm_family("fam", 8, "");

    (void)state;
    farm_hello(f, 0, 1);
    farm_submit(f, document);
    farm_done(f, 0, "fam #1 base");
    assert_int_equal(held(f, 0), 16);
    farm_hello(f, 1, 1);
    farm_advance(f, 150);
    assert_int_equal(held(f, 0), 8);
    assert_int_equal(held(f, 1), 8);
    sched_check(f->sched);
    expect_done(f, "fam", 8);
    farm_free(f);
}

static void test_short_work_is_not_worth_a_message(void **state)
{
    struct farm *f = farm_new();

    (void)state;
    farm_hello(f, 0, 1);
    submit(f, "demo", 40);
    farm_done_after(f, 0, "demo #1 base", 1);
    for (int i = 1; i <= 8; i++) {
        AUTO(free_pointer) char *label = xasprintf("demo #%d e", i);

        farm_done_after(f, 0, label, 1);
    }
    assert_in_range(held(f, 0), 5, 9);
    for (int i = 9; held(f, 0) > 5; i++) {
        AUTO(free_pointer) char *label = xasprintf("demo #%d e", i);

        if (i > 30)
            break;
        farm_done_after(f, 0, label, 1);
    }
    farm_forget(f);
    farm_hello(f, 1, 1);
    assert_null(strstr(f->trace.data, "given back"));
    expect_done(f, "demo", 40);
    farm_free(f);
}

static void test_a_cordoned_worker_gets_nothing_new(void **state)
{
    struct farm *f = farm_new();

    (void)state;
    farm_hello(f, 0, 1);
    submit(f, "demo", 2);
    fleet_cordon(f->sched, "worker-0", true);
    farm_forget(f);
    farm_done(f, 0, "demo #1 base");
    farm_expect(f, "[    0] demo #1 base committed to worker 0\n");
    farm_ask(f, "status", "{\"sweep\":\"demo\"}");
    assert_non_null(strstr(f->answer, "is cordoned or drains"));
    f->workers[0].connected = false; /* it comes back: still cordoned */
    farm_hello(f, 0, 1);
    farm_advance(f, 5000);
    farm_expect(f, "");
    fleet_cordon(f->sched, "worker-0", false);
    farm_settle(f);
    farm_expect(f, "[ 5000] demo #1 e -> worker 0 (1.1)\n");
    expect_done(f, "demo", 2);
    farm_free(f);
}

static void test_a_drained_worker_gives_back_what_it_has_not_begun(void **state)
{
    struct farm *f = busy_farm(3);

    (void)state;
    fleet_drain(f->sched, "worker-0");
    farm_settle(f);
    farm_expect(f, "[    0] demo #3 e given back by worker 0\n");
    farm_hello(f, 1, 1);
    farm_expect(f, "[    0] demo #3 e -> worker 1 (1.2)\n");
    farm_done(f, 0, "demo #2 e");
    assert_int_equal(held(f, 0), 0);
    expect_done(f, "demo", 3);
    farm_free(f);
}

/* Small jobs go on for ever, and still there comes room for the large one;
 * one worker makes it, the other goes on. */
static void test_room_is_made_for_a_large_job(void **state)
{
    struct farm *f = farm_new();
    bool found = false;

    (void)state;
    f->workers[0].memory_bytes = f->workers[1].memory_bytes = 1000;
    farm_hello(f, 0, 4);
    farm_hello(f, 1, 4);
    submit_memory(f, "small", 200, 300);
    assert_int_equal(held(f, 0) + held(f, 1), 6);
    submit_memory(f, "large", 1, 900);
    for (int i = 0; i < 12 && !found; i++) {
        int w = i % 2;

        if (held(f, w) == 0)
            continue;
        farm_done(f, w, f->workers[w].held[0].label);
        sched_check(f->sched);
        for (int k = 0; k < 2; k++)
            found = found ||
                    (held(f, k) == 1 &&
                     strcmp(f->workers[k].held[0].label, "large #1 e") == 0);
        assert_true(held(f, 0) + held(f, 1) >= 3);
    }
    assert_true(found);
    expect_done(f, "small", 200);
    expect_done(f, "large", 1);
    farm_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_idle_worker_is_given_what_waits_elsewhere),
        cmocka_unit_test(test_what_runs_stays_where_it_is),
        cmocka_unit_test(test_batches_are_shared_with_a_worker_that_joins),
        cmocka_unit_test(test_short_work_is_not_worth_a_message),
        cmocka_unit_test(test_a_cordoned_worker_gets_nothing_new),
        cmocka_unit_test(
            test_a_drained_worker_gives_back_what_it_has_not_begun),
        cmocka_unit_test(test_room_is_made_for_a_large_job),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
