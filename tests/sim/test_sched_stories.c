/* What the broker does, as stories: a script and the trace it must leave. */
#include "support/test.h"
#include "tests/sim/farm.h"

#include "common/memory.h"

#include <math.h>
#include <string.h>

static void submit(struct farm *f, const char *name, int points,
                   const char *extra)
{
    AUTO(free_pointer) char *document = farm_document(name, points, extra);

    farm_submit(f, document);
    assert_int_equal(f->answer_code, STATUS_SUCCESS);
}

static char *text_of(struct farm *f, const char *sweep, const char *name)
{
    AUTO(json_release) json_t *status = farm_status(f, sweep);

    return xstrdup(json_text_or(status, name, "null"));
}

static void expect_state(struct farm *f, const char *sweep, const char *state)
{
    AUTO(free_pointer) char *is = text_of(f, sweep, "state");

    assert_string_equal(is, state);
    sched_check(f->sched);
}

/* A shared stage runs once, whatever needs it. */
static void test_shared_stage_runs_once(void **state)
{
    struct farm *f = farm_new();

    (void)state;
    farm_hello(f, 0, 2);
    submit(f, "demo", 3, "");
    farm_expect(f, "[    0] demo #1 base -> worker 0 (1.1)\n");
    farm_done(f, 0, "demo #1 base");
    farm_expect(f, "[    0] demo #1 e -> worker 0 (1.1)\n"
                   "[    0] demo #2 e -> worker 0 (1.1)\n"
                   "[    0] demo #1 base committed to worker 0\n");
    farm_done(f, 0, "demo #1 e");
    farm_done(f, 0, "demo #2 e");
    farm_done(f, 0, "demo #3 e");
    expect_state(f, "demo", "done");
    assert_int_equal(farm_count(f, "demo", "done"), 3);
    assert_int_equal(farm_count(f, "demo", "jobs.total"), 4);
    assert_int_equal(farm_count(f, "demo", "jobs.computed"), 4);

    /* A second sweep finds the stage and two of its points known. */
    farm_forget(f);
    submit(f, "more", 2, "");
    farm_expect(f, "");
    assert_int_equal(farm_count(f, "more", "jobs.known"), 3);
    assert_int_equal(farm_count(f, "more", "jobs.computed"), 0);
    expect_state(f, "more", "done");
    farm_free(f);
}

static json_t *best_of(struct farm *f, const char *sweep)
{
    AUTO(json_release) json_t *status = farm_status(f, sweep);

    return json_incref(json_object_get(status, "best"));
}

/* A point is worth the mean of its seeds, and may lose the lead by the next
 * one. */
static void test_best_is_the_best_mean(void **state)
{
    static const char document[] =
        "{\"sinter\":1,\"name\":\"demo\",\"parameters\":[{\"name\":\"x\","
        "\"values\":[1,2]}],\"strategy\":{\"method\":\"grid\"},"
        "\"replicates\":{\"count\":2,\"seeds\":[0,1]},\"stages\":[],"
        "\"evaluate\":[{\"name\":\"e\",\"kind\":\"evaluate.noop\","
        "\"variants\":[{\"params\":{\"x\":{\"$param\":\"x\"},"
        "\"seed\":{\"$param\":\"seed\"}}}],\"metrics\":[\"value\"]}],"
        "\"objective\":{\"metric\":\"e.value\",\"goal\":\"maximize\"}}";
    static const struct {
        const char *label;
        int value, trial, replicates;
        double mean, error;
    } steps[] = {
        { "demo #1 e", 9, 1, 1, 9.0, 0.0 },
        { "demo #3 e", 8, 1, 1, 9.0, 0.0 },
        { "demo #2 e", 1, 3, 1, 8.0, 0.0 }, /* 5 on average: no longer */
        { "demo #4 e", 4, 3, 2, 6.0, 2.0 },
    };
    struct farm *f = farm_new();

    (void)state;
    farm_hello(f, 0, 4);
    farm_submit(f, document);
    assert_int_equal(f->answer_code, STATUS_SUCCESS);
    for (size_t i = 0; i < COUNT_OF(steps); i++) {
        AUTO(json_release) json_t *best = NULL;

        farm_done_with(f, 0, steps[i].label, steps[i].value);
        best = best_of(f, "demo");
        assert_int_equal(json_int_or(best, "trial", 0), steps[i].trial);
        assert_int_equal(json_int_or(best, "replicates", 0),
                         steps[i].replicates);
        assert_true(json_real_or(best, "value", 0.0) == steps[i].mean);
        assert_true(fabs(json_real_or(best, "error", -1.0) - steps[i].error) <
                    1e-12);
    }
    farm_restart(f);
    {
        AUTO(json_release) json_t *best = best_of(f, "demo");

        assert_int_equal(json_int_or(best, "trial", 0), 3);
        assert_true(json_real_or(best, "value", 0.0) == 6.0);
        assert_int_equal(json_int_or(best, "replicates", 0), 2);
    }
    farm_free(f);
}

static void test_same_submit_is_the_same_sweep(void **state)
{
    struct farm *f = farm_new();
    AUTO(free_pointer) char *first = NULL;

    (void)state;
    submit(f, "demo", 1, "");
    first = xstrdup(f->answer);
    submit(f, "demo", 1, "");
    assert_string_equal(f->answer, first);
    assert_int_equal(sched_stats(f->sched).sweeps, 1);
    farm_free(f);
}

static void test_silent_workers_job_goes_to_the_next(void **state)
{
    struct farm *f = farm_new();

    (void)state;
    submit(f, "demo", 1, "");
    farm_hello(f, 0, 1);
    farm_hello(f, 1, 1);
    farm_expect(f, "[    0] demo #1 base -> worker 0 (1.1)\n");
    farm_kill(f, 0);
    farm_advance(f, 29999);
    farm_expect(f, "");
    farm_advance(f, 1000);
    farm_expect(f, "[30200] demo #1 base -> worker 1 (1.2) alone\n");
    farm_free(f);
}

static void test_farewell_hands_the_job_on_at_once(void **state)
{
    struct farm *f = farm_new();

    (void)state;
    submit(f, "demo", 1, "");
    farm_hello(f, 0, 1);
    farm_hello(f, 1, 1);
    farm_forget(f);
    farm_bye(f, 0);
    farm_expect(f, "[    0] demo #1 base -> worker 1 (1.2)\n");
    farm_ask(f, "trial", "{\"sweep\":\"demo\",\"trial\":1}");
    assert_non_null(strstr(f->answer, "\"crashes\":0"));
    farm_free(f);
}

/* One that drains finishes what it runs and gets nothing more. */
static void test_draining_worker_finishes_what_it_runs(void **state)
{
    struct farm *f = farm_new();

    (void)state;
    submit(f, "demo", 3, "");
    farm_hello(f, 0, 2);
    farm_done(f, 0, "demo #1 base");
    farm_forget(f);
    farm_hand_back(f, 0, "demo #2 e");
    farm_expect(f, "");
    farm_done(f, 0, "demo #1 e");
    farm_expect(f, "[    0] demo #1 e committed to worker 0\n");
    farm_hello(f, 1, 2);
    farm_expect(f, "[    0] demo #2 e -> worker 1 (1.2)\n"
                   "[    0] demo #3 e -> worker 1 (1.1)\n");
    farm_bye(f, 0);
    assert_int_equal(sched_stats(f->sched).workers, 1);
    farm_free(f);
}

static void test_late_result_counts_if_nobody_else_has_the_job(void **state)
{
    struct farm *f = farm_new();

    (void)state;
    submit(f, "demo", 1, "");
    farm_hello(f, 0, 1);
    f->workers[0].connected = false; /* paused */
    farm_advance(f, 31000);
    farm_forget(f);
    f->workers[0].connected = true;
    farm_done(f, 0, "demo #1 base"); /* from nobody known: HELLO first */
    farm_expect(f, "[31000] demo #1 e -> worker 0 (1.1)\n"
                   "[31000] demo #1 base committed to worker 0\n");
    assert_int_equal(farm_count(f, "demo", "jobs.done"), 1);
    farm_free(f);
}

static void test_late_result_is_stale_if_somebody_else_has_it(void **state)
{
    struct farm *f = farm_new();
    struct farm_job late;

    (void)state;
    submit(f, "demo", 1, "");
    farm_hello(f, 0, 1);
    farm_hello(f, 1, 1);
    late = f->workers[0].held[0];
    f->workers[0].connected = false;
    farm_advance(f, 31000);
    farm_forget(f);
    f->workers[0].connected = true;
    farm_heartbeat(f, 0); /* asked to introduce itself */
    farm_expect(f, "[31000] demo #1 base dropped by worker 0\n");
    farm_outcome(f, 0, &late, STATUS_SUCCESS, false);
    farm_expect(f, "[31000] ? stale at worker 0\n");
    assert_int_equal(farm_count(f, "demo", "jobs.done"), 0);
    farm_done(f, 1, "demo #1 base");
    farm_forget(f);
    assert_int_equal(farm_count(f, "demo", "jobs.done"), 1);
    farm_free(f);
}

static void test_restarted_broker_adopts_what_runs(void **state)
{
    struct farm *f = farm_new();

    (void)state;
    farm_hello(f, 0, 1);
    farm_hello(f, 1, 1);
    submit(f, "demo", 3, "");
    farm_done(f, 0, "demo #1 base");
    farm_expect(f, "[    0] demo #1 base -> worker 0 (1.1)\n"
                   "[    0] demo #2 e -> worker 0 (1.1)\n"
                   "[    0] demo #1 e -> worker 1 (1.1)\n"
                   "[    0] demo #1 base committed to worker 0\n");
    farm_restart(f);
    farm_expect(f, "");
    sched_check(f->sched);
    farm_heartbeat(f, 0);
    farm_expect(f, ""); /* the other one has not spoken yet */
    farm_heartbeat(f, 1);
    farm_done(f, 1, "demo #1 e");
    farm_expect(f, "[    0] demo #3 e -> worker 1 (2.1)\n"
                   "[    0] demo #1 e committed to worker 1\n");
    farm_done(f, 0, "demo #2 e");
    farm_done(f, 1, "demo #3 e");
    expect_state(f, "demo", "done");
    assert_int_equal(farm_count(f, "demo", "jobs.computed"), 4);
    assert_int_equal(sched_stats(f->sched).assigned, 1);
    farm_free(f);
}

static void test_broker_does_not_wait_for_ever_for_old_workers(void **state)
{
    struct farm *f = farm_new();

    (void)state;
    farm_hello(f, 0, 1);
    submit(f, "demo", 1, "");
    farm_forget(f);
    farm_restart(f);
    farm_kill(f, 0);
    farm_hello(f, 1, 1);
    farm_expect(f, "");
    farm_advance(f, 6001);
    farm_expect(f, "[ 6000] demo #1 base -> worker 1 (2.1)\n");
    farm_restart(f); /* and the next one need not wait for worker 0 */
    farm_heartbeat(f, 1);
    farm_done(f, 1, "demo #1 base");
    farm_expect(f, "[ 6001] demo #1 e -> worker 1 (3.1)\n"
                   "[ 6001] demo #1 base committed to worker 1\n");
    farm_free(f);
}

static void test_result_is_committed_again_after_a_restart(void **state)
{
    struct farm *f = farm_new();
    struct farm_job job;

    (void)state;
    farm_hello(f, 0, 1);
    submit(f, "demo", 1, "");
    job = f->workers[0].held[0];
    farm_done(f, 0, "demo #1 base");
    farm_done(f, 0, "demo #1 e");
    f->workers[0].held[f->workers[0].held_count++] = job; /* no COMMITTED */
    farm_forget(f);
    farm_restart(f);
    farm_heartbeat(f, 0);
    farm_expect(f, "[    0] demo #1 base dropped by worker 0\n");
    expect_state(f, "demo", "done");
    assert_int_equal(farm_count(f, "demo", "done"), 1);
    farm_free(f);
}

static void test_cancel_stops_what_nobody_else_needs(void **state)
{
    struct farm *f = farm_new();

    (void)state;
    farm_hello(f, 0, 1);
    farm_hello(f, 1, 1);
    submit(f, "one", 2, "");
    submit(f, "two", 1, "\"priority\":1");
    farm_done(f, 0, "one #1 base");
    farm_forget(f);
    /* #1 is shared by both, #2 is only wanted by the first. */
    farm_ask(f, "cancel", "{\"sweep\":\"one\",\"reason\":\"enough\"}");
    farm_expect(f, "[    0] one #2 e cancelled at worker 0\n");
    expect_state(f, "one", "cancelled");
    farm_ask(f, "cancel", "{\"sweep\":\"one\"}");
    assert_int_equal(f->answer_code, STATUS_SUCCESS);
    assert_int_equal(farm_count(f, "one", "cancelled"), 2);
    farm_done(f, 1, "two #1 e");
    expect_state(f, "two", "done");
    farm_free(f);
}

static void test_failure_that_may_pass_is_tried_again(void **state)
{
    struct farm *f = farm_new();

    (void)state;
    farm_hello(f, 0, 1);
    submit(f, "demo", 1, "\"retries\":{\"max\":1,\"backoff_ms\":4000}");
    farm_fail(f, 0, "demo #1 base", STATUS_UNAVAILABLE, false);
    farm_forget(f);
    farm_advance(f, 4001);
    assert_int_equal(f->workers[0].held_count, 1);
    assert_int_equal(f->workers[0].held[0].token.attempt, 2);
    farm_fail(f, 0, "demo #1 base", STATUS_UNAVAILABLE, false);
    expect_state(f, "demo", "failed");
    assert_int_equal(farm_count(f, "demo", "failed"), 1);
    farm_free(f);
}

static void test_failed_stage_fails_its_dependents_with_the_reason(void **state)
{
    struct farm *f = farm_new();

    (void)state;
    farm_hello(f, 0, 1);
    submit(f, "demo", 3, "");
    farm_fail(f, 0, "demo #1 base", STATUS_INVALID, false);
    assert_int_equal(farm_count(f, "demo", "failed"), 3);
    farm_ask(f, "status", "{\"sweep\":\"demo\"}");
    assert_non_null(strstr(f->answer, "\"first_failure\":{\"stage\":\"base\","
                                      "\"message\":\"no luck\",\"trial\":1}"));
    expect_state(f, "demo", "failed");
    farm_ask(f, "trial", "{\"sweep\":\"demo\",\"trial\":3}");
    assert_non_null(strstr(f->answer, "\"state\":\"aborted\""));
    assert_non_null(strstr(f->answer, "\"its input base failed: no luck\""));
    farm_ask(f, "logs", "{\"sweep\":\"demo\",\"trial\":3,\"stage\":\"e\"}");
    assert_non_null(strstr(f->answer, "\"state\":\"aborted\""));
    /* The same after a restart, and after a second try it is well. */
    farm_restart(f);
    assert_int_equal(farm_count(f, "demo", "failed"), 3);
    farm_heartbeat(f, 0);
    farm_forget(f);
    farm_ask(f, "retry", "{\"sweep\":\"demo\",\"failed\":true}");
    assert_string_equal(f->answer, "{\"retried\":3}");
    farm_expect(f, "[    0] demo #1 base -> worker 0 (2.2)\n");
    farm_done(f, 0, "demo #1 base");
    assert_int_equal(farm_count(f, "demo", "running"), 1);
    sched_check(f->sched);
    farm_free(f);
}

/* The record of a failure is enough: a broker that dies before it has put
 * the end of the sweep on record comes to the same end, and runs nothing. */
static void test_failure_is_known_after_a_crash(void **state)
{
    struct farm *f = farm_new();

    (void)state;
    farm_hello(f, 0, 1);
    submit(f, "demo", 5, "");
    f->crash_after = 1;
    farm_fail(f, 0, "demo #1 base", STATUS_INVALID, false);
    farm_restart(f);
    expect_state(f, "demo", "failed");
    assert_int_equal(farm_count(f, "demo", "failed"), 5);
    assert_int_equal(sched_stats(f->sched).assigned, 0);
    farm_free(f);
}

/* It came back without the run it had, and then speaks of it after all. */
static void test_verdict_for_a_job_that_waits_again(void **state)
{
    struct farm *f = farm_new();
    struct farm_job job;

    (void)state;
    submit(f, "demo", 1, "\"retries\":{\"max\":9,\"backoff_ms\":60000}");
    farm_hello(f, 0, 1);
    job = f->workers[0].held[0];
    f->workers[0].connected = false;
    f->workers[0].held_count = 0;
    farm_forget(f);
    while (sched_stats(f->sched).lost == 0)
        farm_advance(f, 1);
    farm_hello(f, 0, 1);
    farm_expect(f, ""); /* it backs off */
    farm_outcome(f, 0, &job, STATUS_UNAVAILABLE, false);
    sched_check(f->sched);
    farm_advance(f, 60001);
    assert_int_equal(f->workers[0].held_count, 1);
    assert_int_equal(f->workers[0].held[0].token.attempt, 2);
    farm_free(f);
}

/* A shared stage that fails is tried once for all trials; and a failure whose
 * answer was lost is not counted again. */
static void test_failure_counts_once(void **state)
{
    struct farm *f = farm_new();
    struct farm_job job;

    (void)state;
    farm_hello(f, 0, 1);
    submit(f, "demo", 3000, "");
    farm_fail(f, 0, "demo #1 base", STATUS_INVALID, false);
    expect_state(f, "demo", "failed");
    assert_int_equal(farm_count(f, "demo", "failed"), 3000);
    assert_int_equal(sched_stats(f->sched).assigned, 1);

    farm_forget(f);
    submit(f, "again", 1, "\"retries\":{\"max\":3,\"backoff_ms\":60000}");
    job = f->workers[0].held[0];
    farm_fail(f, 0, "again #1 base", STATUS_UNAVAILABLE, false);
    f->workers[0].held[f->workers[0].held_count++] = job;
    farm_forget(f);
    farm_advance(f, 6000);
    farm_expect(f, "[ 6000] again #1 base dropped by worker 0\n");
    assert_int_equal(sched_stats(f->sched).failures, 2);
    farm_free(f);
}

static void test_three_crashes_are_the_jobs_fault(void **state)
{
    struct farm *f = farm_new();

    (void)state;
    farm_hello(f, 0, 1);
    submit(f, "demo", 1, "");
    for (int i = 0; i < 3; i++) {
        expect_state(f, "demo", "running");
        farm_fail(f, 0, "demo #1 base", STATUS_FAILED, true);
        farm_advance(f, 2000);
    }
    expect_state(f, "demo", "failed");
    farm_free(f);
}

static void test_higher_priority_goes_first_and_equals_take_turns(void **state)
{
    static const char other[] =
        "\"evaluate\":[{\"name\":\"e\",\"kind\":\"evaluate.noop\","
        "\"variants\":[{\"params\":{\"n\":%d,\"x\":{\"$param\":\"x\"}}}],"
        "\"metrics\":[\"value\"]}],\"priority\":%d";
    struct farm *f = farm_new();

    (void)state;
    for (int i = 0; i < 3; i++) {
        AUTO(free_pointer)
        char *document = xasprintf(
            "{\"sinter\":1,\"name\":\"s%d\",\"parameters\":[{\"name\":\"x\","
            "\"values\":[1,2]}],\"strategy\":{\"method\":\"grid\"},",
            i);
        AUTO(free_pointer) char *rest = xasprintf(other, i, i == 2 ? 5 : 0);
        AUTO(free_pointer) char *whole = xasprintf("%s%s}", document, rest);

        farm_submit(f, whole);
        assert_int_equal(f->answer_code, STATUS_SUCCESS);
    }
    farm_hello(f, 0, 6);
    farm_expect(f, "[    0] s2 #1 e -> worker 0 (1.1)\n"
                   "[    0] s2 #2 e -> worker 0 (1.1)\n"
                   "[    0] s0 #1 e -> worker 0 (1.1)\n"
                   "[    0] s1 #1 e -> worker 0 (1.1)\n"
                   "[    0] s0 #2 e -> worker 0 (1.1)\n"
                   "[    0] s1 #2 e -> worker 0 (1.1)\n");
    farm_free(f);
}

static void test_job_too_big_for_every_worker_waits_and_says_so(void **state)
{
    struct farm *f = farm_new();
    AUTO(free_pointer) char *why = NULL;

    (void)state;
    f->workers[0].memory_bytes = 1 << 20;
    farm_hello(f, 0, 4);
    farm_submit(f, "{\"sinter\":1,\"name\":\"big\",\"parameters\":[],"
                   "\"strategy\":{\"method\":\"grid\"},\"evaluate\":[{"
                   "\"name\":\"e\",\"kind\":\"evaluate.noop\",\"memory\":"
                   "8388608,\"variants\":[{\"params\":{}}],\"metrics\":["
                   "\"value\"]}]}");
    farm_expect(f, "");
    why = text_of(f, "big", "obstacle");
    assert_string_equal(why, "a evaluate.noop job asks for 8 MiB of memory, "
                             "the largest worker has 1 MiB");
    f->workers[1].memory_bytes = 16 << 20;
    farm_hello(f, 1, 1);
    farm_expect(f, "[    0] big #1 e -> worker 1 (1.1)\n");
    farm_free(f);
}

static void test_limits_stop_a_sweep(void **state)
{
    struct farm *f = farm_new();

    (void)state;
    farm_hello(f, 0, 8);
    submit(f, "few", 10, "\"limits\":{\"trials\":3,\"parallel\":2}");
    farm_done(f, 0, "few #1 base");
    assert_int_equal(f->workers[0].held_count, 2);
    assert_int_equal(farm_count(f, "few", "trials"), 3);
    for (int i = 0; i < 3; i++) {
        struct farm_job job = f->workers[0].held[0];

        farm_done(f, 0, job.label);
    }
    expect_state(f, "few", "done");
    assert_int_equal(farm_count(f, "few", "trials"), 3);
    submit(f, "slow", 12, "\"limits\":{\"time_ms\":60000}");
    farm_advance(f, 60001);
    expect_state(f, "slow", "cancelled");
    submit(f, "bad", 14, "\"limits\":{\"failures\":0}");
    farm_fail(f, 0, "bad #11 e", STATUS_INVALID, false);
    expect_state(f, "bad", "failed");
    farm_restart(f);
    expect_state(f, "few", "done");
    expect_state(f, "slow", "cancelled");
    expect_state(f, "bad", "failed");
    assert_int_equal(farm_count(f, "few", "trials"), 3);
    farm_free(f);
}

/* ROUTER may drop; the views of the two sides then differ for good. */
static void test_lost_assignment_is_found_by_heartbeats(void **state)
{
    struct farm *f = farm_new();

    (void)state;
    farm_hello(f, 0, 1);
    submit(f, "demo", 1, "");
    farm_forget(f);
    f->workers[0].held_count = 0; /* it never arrived */
    farm_advance(f, 8000);
    farm_expect(f, "[ 6000] ? dropped by worker 0\n" /* it may still come */
                   "[ 6000] demo #1 base -> worker 0 (1.2)\n");
    farm_free(f);
}

/* While the store is away assignments wait: that the worker does not know them
 * is no reason to make more of them. */
static void test_assignment_that_waits_for_the_store_is_not_lost(void **state)
{
    struct farm *f = farm_new();

    (void)state;
    farm_hello(f, 0, 1);
    submit(f, "demo", 1, "");
    sched_store_error(f->sched, "away");
    farm_forget(f);
    f->workers[0].held_count = 0; /* as good as never sent */
    farm_advance(f, 60000);
    farm_hello(f, 0, 1); /* on another connection it is lost */
    farm_expect(f, "[60000] demo #1 base -> worker 0 (1.2)\n");
    f->workers[0].held_count = 0;
    sched_store_error(f->sched, NULL);
    farm_advance(f, 4000); /* it may be on its way now */
    farm_expect(f, "");
    farm_advance(f, 8000);
    farm_expect(f, "[66000] ? dropped by worker 0\n"
                   "[66000] demo #1 base -> worker 0 (1.3)\n");
    farm_free(f);
}

static void test_client_may_wait_for_the_end(void **state)
{
    struct farm *f = farm_new();
    struct peer client = { PEER_CLIENT, 900 };

    (void)state;
    farm_hello(f, 0, 1);
    submit(f, "demo", 1, "");
    assert_false(sched_wait_for_end(f->sched, client, 7, "nobody", 0));
    assert_true(
        sched_wait_for_end(f->sched, client, 7, "demo", INT64_C(5000000000)));
    farm_advance(f, 4000);
    assert_null(strstr(f->answer, "\"state\""));
    farm_advance(f, 1001);
    assert_non_null(strstr(f->answer, "\"state\":\"running\""));
    assert_true(sched_wait_for_end(f->sched, client, 8, "demo", INT64_MAX));
    farm_done(f, 0, "demo #1 base");
    farm_done(f, 0, "demo #1 e");
    assert_non_null(strstr(f->answer, "\"state\":\"done\""));
    farm_free(f);
}

static void test_mistakes_of_peers_are_told_and_harmless(void **state)
{
    struct farm *f = farm_new();
    struct wire_message m = { .type = WIRE_WELCOME };
    struct peer worker = { PEER_WORKER, 77 };
    struct sched_time t = { .now = 1, .wall_ms = 1000000 };

    (void)state;
    assert_fails(sched_message(f->sched, worker, &m, t, &f->out),
                 STATUS_INVALID, "does not belong here");
    m = (struct wire_message){ .type = WIRE_HELLO };
    m.hello.most_major = WIRE_MAJOR;
    m.hello.slots = 100000;
    assert_fails(sched_message(f->sched, worker, &m, t, &f->out),
                 STATUS_INVALID, "slots");
    m.hello.least_major = WIRE_MAJOR + 1;
    assert_fails(sched_message(f->sched, worker, &m, t, &f->out),
                 STATUS_INVALID, "version");
    farm_submit(f, "{\"sinter\":1}");
    assert_int_equal(f->answer_code, STATUS_INVALID);
    farm_ask(f, "cancel", "{\"sweep\":\"nobody\"}");
    assert_int_equal(f->answer_code, STATUS_NOT_FOUND);
    farm_ask(f, "cancel", "{");
    assert_int_equal(f->answer_code, STATUS_CORRUPT);
    farm_ask(f, "nonsense", "{}");
    assert_int_equal(f->answer_code, STATUS_INVALID);
    sched_check(f->sched);
    farm_free(f);
}

static void test_result_that_is_no_object_fails_the_job(void **state)
{
    struct farm *f = farm_new();
    struct wire_outcome o = { .result = { .data = "[1]", .size = 3 } };
    struct wire_message m = { .type = WIRE_DONE };

    (void)state;
    farm_hello(f, 0, 1);
    submit(f, "demo", 1, "");
    o.token = f->workers[0].held[0].token;
    m.done.outcomes.items = &o;
    m.done.outcomes.count = 1;
    assert_ok(sched_message(f->sched,
                            (struct peer){ PEER_WORKER, f->workers[0].peer },
                            &m, (struct sched_time){ 1, 1000000 }, &f->out));
    farm_settle(f);
    expect_state(f, "demo", "failed");
    farm_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shared_stage_runs_once),
        cmocka_unit_test(test_best_is_the_best_mean),
        cmocka_unit_test(test_same_submit_is_the_same_sweep),
        cmocka_unit_test(test_silent_workers_job_goes_to_the_next),
        cmocka_unit_test(test_farewell_hands_the_job_on_at_once),
        cmocka_unit_test(test_draining_worker_finishes_what_it_runs),
        cmocka_unit_test(test_late_result_counts_if_nobody_else_has_the_job),
        cmocka_unit_test(test_late_result_is_stale_if_somebody_else_has_it),
        cmocka_unit_test(test_restarted_broker_adopts_what_runs),
        cmocka_unit_test(test_broker_does_not_wait_for_ever_for_old_workers),
        cmocka_unit_test(test_result_is_committed_again_after_a_restart),
        cmocka_unit_test(test_cancel_stops_what_nobody_else_needs),
        cmocka_unit_test(test_failure_that_may_pass_is_tried_again),
        cmocka_unit_test(
            test_failed_stage_fails_its_dependents_with_the_reason),
        cmocka_unit_test(test_failure_is_known_after_a_crash),
        cmocka_unit_test(test_verdict_for_a_job_that_waits_again),
        cmocka_unit_test(test_failure_counts_once),
        cmocka_unit_test(test_three_crashes_are_the_jobs_fault),
        cmocka_unit_test(test_higher_priority_goes_first_and_equals_take_turns),
        cmocka_unit_test(test_job_too_big_for_every_worker_waits_and_says_so),
        cmocka_unit_test(test_limits_stop_a_sweep),
        cmocka_unit_test(test_lost_assignment_is_found_by_heartbeats),
        cmocka_unit_test(test_assignment_that_waits_for_the_store_is_not_lost),
        cmocka_unit_test(test_client_may_wait_for_the_end),
        cmocka_unit_test(test_mistakes_of_peers_are_told_and_harmless),
        cmocka_unit_test(test_result_that_is_no_object_fails_the_job),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
