/* What people order: each command twice, after a restart, and against its
 * nature. */
#include "support/test.h"
#include "tests/sim/farm.h"

#include "common/memory.h"

#include <string.h>

/* Every trial is one job of its own; `strategy` and `extra` are JSON. */
static void submit_with(struct farm *f, const char *name, const char *strategy,
                        const char *extra)
{
    AUTO(free_pointer)
    char *document = xasprintf(
        "{\"sinter\":1,\"name\":\"%s\",\"parameters\":[{\"name\":\"x\","
        "\"from\":1,\"to\":6,\"count\":6,\"scale\":\"linear\"}],"
        "\"strategy\":{%s},\"evaluate\":[{\"name\":\"e\",\"kind\":"
        "\"evaluate.noop\",\"variants\":[{\"params\":{\"of\":\"%s\",\"x\":{"
        "\"$param\":\"x\"}}}],\"metrics\":[\"value\"]}],\"objective\":{"
        "\"metric\":\"e.value\",\"goal\":\"maximize\"}%s%s}",
        name, strategy, name, extra[0] == '\0' ? "" : ",", extra);

    farm_submit(f, document);
    if (f->answer_code != STATUS_SUCCESS)
        fail_msg("%s", f->answer);
}

static void submit(struct farm *f, const char *name, const char *extra)
{
    submit_with(f, name, "\"method\":\"grid\"", extra);
}

/* The command succeeds; the second time it puts nothing on record. */
static void order(struct farm *f, const char *verb, const char *arguments)
{
    size_t records;

    farm_ask(f, verb, arguments);
    if (f->answer_code != STATUS_SUCCESS)
        fail_msg("%s %s: %s", verb, arguments, f->answer);
    records = f->log_count;
    farm_ask(f, verb, arguments);
    assert_int_equal(f->answer_code, STATUS_SUCCESS);
    assert_int_equal(f->log_count, records);
    sched_check(f->sched);
}

static void refuse(struct farm *f, const char *verb, const char *arguments,
                   enum status_code code, const char *words)
{
    size_t records = f->log_count;

    farm_ask(f, verb, arguments);
    assert_int_equal(f->answer_code, code);
    if (strstr(f->answer, words) == NULL)
        fail_msg("\"%s\" is not in \"%s\"", words, f->answer);
    assert_int_equal(f->log_count, records);
}

static void finish_all(struct farm *f, int w)
{
    while (f->workers[w].held_count > 0)
        farm_done(f, w, f->workers[w].held[0].label);
}

static void expect_state(struct farm *f, const char *sweep, const char *state)
{
    AUTO(json_release) json_t *status = farm_status(f, sweep);

    assert_string_equal(json_text_or(status, "state", "?"), state);
    sched_check(f->sched);
}

static void test_a_paused_sweep_starts_nothing(void **state)
{
    struct farm *f = farm_new();

    (void)state;
    farm_hello(f, 0, 2);
    submit(f, "demo", "");
    farm_forget(f);
    order(f, "pause", "{\"sweep\":\"demo\"}");
    farm_done(f, 0, "demo #1 e");
    farm_expect(f, "[    0] demo #1 e committed to worker 0\n");
    farm_restart(f);
    farm_heartbeat(f, 0);
    farm_expect(f, "");
    assert_int_equal(farm_count(f, "demo", "running"), 1);
    farm_done(f, 0, "demo #2 e");
    farm_advance(f, 60000);
    farm_expect(f, "[    0] demo #2 e committed to worker 0\n");
    expect_state(f, "demo", "running");
    order(f, "resume", "{\"sweep\":\"demo\"}");
    farm_expect(f, "[60000] demo #3 e -> worker 0 (2.1)\n"
                   "[60000] demo #4 e -> worker 0 (2.1)\n");
    finish_all(f, 0);
    expect_state(f, "demo", "done");
    refuse(f, "pause", "{\"sweep\":\"demo\"}", STATUS_INVALID,
           "has ended (done): there is nothing to pause");
    refuse(f, "resume", "{\"sweep\":\"nobody\"}", STATUS_NOT_FOUND, "nobody");
    farm_free(f);
}

/* What another sweep needs too goes on in its name. */
static void test_a_pause_holds_up_nobody_else(void **state)
{
    AUTO(free_pointer) char *one = farm_document("one", 4, "\"priority\":5");
    AUTO(free_pointer) char *two = farm_document("two", 4, "");
    struct farm *f = farm_new();

    (void)state;
    farm_submit(f, one);
    farm_submit(f, two);
    order(f, "pause", "{\"sweep\":\"one\"}");
    farm_hello(f, 0, 1);
    farm_expect(f, "[    0] two #1 base -> worker 0 (1.1)\n");
    farm_done(f, 0, "two #1 base");
    farm_expect(f, "[    0] two #1 e -> worker 0 (1.1)\n"
                   "[    0] two #1 base committed to worker 0\n");
    finish_all(f, 0);
    expect_state(f, "two", "done");
    expect_state(f, "one", "done"); /* all was found known */
    farm_free(f);
}

/* limits.time stands still; a pause that the log tells counts the same. */
static void test_a_pause_takes_no_time(void **state)
{
    struct farm *f = farm_new();

    (void)state;
    submit(f, "demo", "\"limits\":{\"time_ms\":60000}");
    farm_advance(f, 20000);
    order(f, "pause", "{\"sweep\":\"demo\"}");
    farm_advance(f, 100000);
    farm_restart(f);
    farm_advance(f, 100000);
    order(f, "resume", "{\"sweep\":\"demo\"}");
    farm_advance(f, 39000);
    farm_restart(f);
    expect_state(f, "demo", "running");
    farm_advance(f, 1001);
    expect_state(f, "demo", "cancelled");
    farm_free(f);
}

static void test_priority_overtakes_and_is_kept(void **state)
{
    struct farm *f = farm_new();

    (void)state;
    submit(f, "one", "");
    submit(f, "two", "");
    order(f, "priority", "{\"sweep\":\"two\",\"value\":7,\"weight\":2.5}");
    farm_restart(f);
    assert_int_equal(farm_count(f, "two", "priority"), 7);
    farm_ask(f, "status", "{\"sweep\":\"two\"}");
    assert_non_null(strstr(f->answer, "\"weight\":2.5"));
    farm_hello(f, 0, 2);
    farm_expect(f, "[    0] two #1 e -> worker 0 (2.1)\n"
                   "[    0] two #2 e -> worker 0 (2.1)\n");
    order(f, "priority", "{\"sweep\":\"one\",\"value\":8}");
    farm_done(f, 0, "two #1 e");
    farm_expect(f, "[    0] one #1 e -> worker 0 (2.1)\n"
                   "[    0] two #1 e committed to worker 0\n");
    refuse(f, "priority", "{\"sweep\":\"one\",\"value\":101}", STATUS_INVALID,
           "-100 to 100");
    refuse(f, "priority", "{\"sweep\":\"one\",\"weight\":0}", STATUS_INVALID,
           "above 0");
    farm_free(f);
}

static void test_extend_goes_on_where_a_search_stopped(void **state)
{
    struct farm *f = farm_new();

    (void)state;
    farm_hello(f, 0, 8);
    submit_with(f, "demo", "\"method\":\"random\",\"trials\":3,\"seed\":1", "");
    assert_int_equal(f->workers[0].held_count, 3);
    order(f, "extend", "{\"sweep\":\"demo\",\"trials\":4}");
    assert_int_equal(f->workers[0].held_count, 4);
    finish_all(f, 0);
    expect_state(f, "demo", "done");
    assert_int_equal(farm_count(f, "demo", "done"), 4);
    order(f, "extend", "{\"sweep\":\"demo\",\"trials\":6}");
    expect_state(f, "demo", "running");
    assert_int_equal(farm_count(f, "demo", "done"), 4);
    assert_int_equal(f->workers[0].held_count, 2);
    farm_restart(f);
    assert_int_equal(farm_count(f, "demo", "trials"), 6);
    farm_heartbeat(f, 0);
    finish_all(f, 0);
    expect_state(f, "demo", "done");
    assert_int_equal(farm_count(f, "demo", "done"), 6);
    farm_restart(f);
    assert_int_equal(farm_count(f, "demo", "done"), 6);
    refuse(f, "extend", "{\"sweep\":\"demo\",\"trials\":5}", STATUS_INVALID,
           "to run 6 trials already");
    refuse(f, "extend", "{\"sweep\":\"demo\"}", STATUS_INVALID, "extend what");
    farm_free(f);
}

static void test_extend_lifts_limits(void **state)
{
    struct farm *f = farm_new();

    (void)state;
    farm_hello(f, 0, 8);
    submit(f, "few", "\"limits\":{\"trials\":2,\"time_ms\":5000}");
    finish_all(f, 0);
    expect_state(f, "few", "done");
    farm_advance(f, 60000);
    order(f, "extend", "{\"sweep\":\"few\",\"trials\":3}");
    assert_int_equal(f->workers[0].held_count, 1);
    finish_all(f, 0);
    expect_state(f, "few", "done"); /* the minute between did not count */
    refuse(f, "extend", "{\"sweep\":\"few\",\"time_ms\":1}", STATUS_INVALID,
           "less is not an extension");
    order(f, "extend", "{\"sweep\":\"few\",\"trials\":6}");
    assert_int_equal(farm_count(f, "few", "trials"), 6); /* all there are */
    finish_all(f, 0);
    refuse(f, "extend", "{\"sweep\":\"few\",\"trials\":7}", STATUS_INVALID,
           "has 6 trials");
    submit(f, "free", "");
    refuse(f, "extend", "{\"sweep\":\"free\",\"time_ms\":1}", STATUS_INVALID,
           "has no limits.time");
    finish_all(f, 0);
    submit(f, "slow", "\"limits\":{\"time_ms\":5000}");
    farm_advance(f, 5001);
    expect_state(f, "slow", "cancelled");
    order(f, "extend", "{\"sweep\":\"slow\",\"time_ms\":9000}");
    expect_state(f, "slow", "running");
    farm_advance(f, 3000);
    farm_restart(f);
    farm_advance(f, 500);
    expect_state(f, "slow", "running");
    farm_advance(f, 1000);
    expect_state(f, "slow", "cancelled");
    farm_free(f);
}

static void expect_worker(struct farm *f, int w, const char *state)
{
    AUTO(free_pointer)
    char *words =
        xasprintf("\"name\":\"worker-%d\",\"state\":\"%s\"", w, state);

    farm_ask(f, "workers", "{}");
    if (strstr(f->answer, words) == NULL)
        fail_msg("%s is not in %s", words, f->answer);
}

static void test_a_cordoned_worker_gets_nothing_new(void **state)
{
    struct farm *f = farm_new();

    (void)state;
    farm_hello(f, 0, 1);
    submit(f, "demo", "");
    farm_forget(f);
    order(f, "cordon", "{\"worker\":\"worker-0\"}");
    farm_done(f, 0, "demo #1 e");
    farm_expect(f, "[    0] demo #1 e committed to worker 0\n");
    expect_worker(f, 0, "cordoned");
    /* Whoever comes under that name, and after a restart. */
    farm_bye(f, 0);
    farm_hello(f, 0, 1);
    farm_restart(f);
    farm_heartbeat(f, 0);
    farm_expect(f, "");
    order(f, "uncordon", "{\"worker\":\"worker-0\"}");
    farm_expect(f, "[    0] demo #2 e -> worker 0 (2.1)\n");
    refuse(f, "cordon", "{\"worker\":\"worker-7\"}", STATUS_NOT_FOUND,
           "there is no worker \"worker-7\"");
    refuse(f, "drain", "{}", STATUS_NOT_FOUND, "no worker");
    farm_free(f);
}

static void test_a_drained_worker_finishes_what_runs(void **state)
{
    struct farm *f = farm_new();

    (void)state;
    farm_hello(f, 0, 1);
    submit(f, "demo", "");
    farm_forget(f);
    farm_ask(f, "drain", "{\"worker\":\"worker-0\"}");
    assert_int_equal(f->answer_code, STATUS_SUCCESS);
    farm_ask(f, "drain", "{\"worker\":\"worker-0\"}");
    assert_int_equal(f->answer_code, STATUS_SUCCESS);
    farm_done(f, 0, "demo #1 e");
    farm_hello(f, 1, 1);
    farm_expect(f, "[    0] demo #1 e committed to worker 0\n"
                   "[    0] demo #2 e -> worker 1 (1.1)\n");
    order(f, "uncordon", "{\"worker\":\"worker-0\"}");
    farm_expect(f, "[    0] demo #3 e -> worker 0 (1.1)\n");
    farm_free(f);
}

/* Before the scheduler has come to itself. */
static void order_at_once(struct farm *f, const char *verb)
{
    struct wire_message m = { .type = WIRE_QUERY };
    struct sched_time t = { .now = f->now_ms * 1000000 + 1,
                            .wall_ms = 1000000 + f->now_ms };

    m.query.verb = wire_text(verb);
    m.query.arguments = wire_text("{\"sweep\":\"demo\"}");
    assert_ok(sched_message(f->sched, (struct peer){ PEER_CLIENT, 900 }, &m, t,
                            &f->out));
}

static void test_what_is_done_stays_done_when_a_retry_is_cancelled(void **state)
{
    struct farm *f = farm_new();

    (void)state;
    farm_hello(f, 0, 6);
    submit(f, "demo", "\"retries\":{\"max\":0}");
    farm_done(f, 0, "demo #1 e");
    farm_done(f, 0, "demo #5 e");
    farm_fail(f, 0, "demo #2 e", STATUS_INVALID, false);
    order(f, "cancel", "{\"sweep\":\"demo\"}");
    assert_int_equal(farm_count(f, "demo", "done"), 2);
    order_at_once(f, "retry");
    order_at_once(f, "cancel");
    farm_settle(f);
    assert_int_equal(farm_count(f, "demo", "done"), 2);
    assert_int_equal(farm_count(f, "demo", "failed"), 0);
    assert_int_equal(farm_count(f, "demo", "cancelled"), 4);
    sched_check(f->sched);
    farm_free(f);
}

static void test_a_removed_sweep_is_forgotten_and_its_results_are_not(
    void **state)
{
    struct farm *f = farm_new();

    (void)state;
    farm_hello(f, 0, 8);
    submit(f, "demo", "");
    refuse(f, "rm", "{\"sweep\":\"demo\"}", STATUS_INVALID, "still running");
    finish_all(f, 0);
    farm_ask(f, "rm", "{\"sweep\":\"demo\"}");
    assert_int_equal(f->answer_code, STATUS_SUCCESS);
    sched_check(f->sched);
    refuse(f, "rm", "{\"sweep\":\"demo\"}", STATUS_NOT_FOUND, "no sweep");
    farm_restart(f);
    assert_int_equal(sched_stats(f->sched).sweeps, 0);
    farm_heartbeat(f, 0);
    submit(f, "demo", "");
    assert_int_equal(farm_count(f, "demo", "jobs.known"), 6);
    expect_state(f, "demo", "done");
    farm_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_paused_sweep_starts_nothing),
        cmocka_unit_test(test_a_pause_holds_up_nobody_else),
        cmocka_unit_test(test_a_pause_takes_no_time),
        cmocka_unit_test(test_priority_overtakes_and_is_kept),
        cmocka_unit_test(test_extend_goes_on_where_a_search_stopped),
        cmocka_unit_test(test_extend_lifts_limits),
        cmocka_unit_test(test_a_cordoned_worker_gets_nothing_new),
        cmocka_unit_test(test_a_drained_worker_finishes_what_runs),
        cmocka_unit_test(
            test_what_is_done_stays_done_when_a_retry_is_cancelled),
        cmocka_unit_test(
            test_a_removed_sweep_is_forgotten_and_its_results_are_not),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
