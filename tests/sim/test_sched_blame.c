/* Who is to blame when something dies: stories of lost workers, and of jobs
 * that the kernel kills for want of memory. */
#include "support/test.h"
#include "tests/sim/farm.h"

#include "common/memory.h"

#include <string.h>

/* Every trial is one job of its own; `memory`: what each asks for. */
static void submit_memory(struct farm *f, const char *name, int points,
                          int64_t memory)
{
    AUTO(free_pointer)
    char *document = xasprintf(
        "{\"sinter\":1,\"name\":\"%s\",\"parameters\":[{\"name\":\"x\","
        "\"from\":1,\"to\":%d,\"count\":%d,\"scale\":\"linear\"}],"
        "\"strategy\":{\"method\":\"grid\"},\"evaluate\":[{\"name\":\"e\","
        "\"kind\":\"evaluate.noop\",\"memory\":%lld,\"variants\":[{"
        "\"params\":{\"name\":\"%s\",\"x\":{\"$param\":\"x\"}}}],\"metrics\":"
        "[\"value\"]}]}",
        name, points, points, (long long)memory, name);

    farm_submit(f, document);
    assert_int_equal(f->answer_code, STATUS_SUCCESS);
}

static void submit(struct farm *f, const char *name, int points)
{
    submit_memory(f, name, points, 0);
}

/* A number of the only job of a trial. */
static int64_t job_number(struct farm *f, int trial, const char *name)
{
    AUTO(free_pointer)
    char *a = xasprintf("{\"sweep\":\"@last\",\"trial\":%d}", trial);
    AUTO(json_release) json_t *body = NULL;
    const json_t *job;

    farm_ask(f, "trial", a);
    assert_ok(json_parse(f->answer, strlen(f->answer), "trial", &body));
    job = json_array_get(json_object_get(body, "jobs"), 0);
    if (json_is_boolean(json_object_get(job, name)))
        return json_bool_or(job, name, false);
    return json_int_or(job, name, -1);
}

static void expect_message(struct farm *f, int trial, const char *words)
{
    AUTO(free_pointer)
    char *a = xasprintf("{\"sweep\":\"@last\",\"trial\":%d}", trial);

    farm_ask(f, "trial", a);
    if (strstr(f->answer, words) == NULL)
        fail_msg("\"%s\" is not in %s", words, f->answer);
}

/* Silent until its lease is over. */
static void lose_worker(struct farm *f, int w)
{
    farm_kill(f, w);
    farm_advance(f, FARM_LEASE_MS + FARM_HEARTBEAT_MS);
    sched_check(f->sched);
}

/* A worker that told of a job we do not know of may have died of that. */
static void test_death_beside_an_unknown_job_blames_nobody(void **state)
{
    struct farm *f = farm_new();
    struct farm_worker *w = &f->workers[0];

    (void)state;
    farm_hello(f, 0, 2);
    submit(f, "demo", 1);
    w->held[w->held_count] = w->held[0];
    w->held[w->held_count++].token.key.bytes[0] ^= 1;
    farm_heartbeat(f, 0);
    lose_worker(f, 0);
    assert_int_equal(job_number(f, 1, "crashes"), 0);
    farm_hello(f, 1, 2);
    lose_worker(f, 1); /* that was alone with it */
    assert_int_equal(job_number(f, 1, "crashes"), 1);
    farm_free(f);
}

/* The rest of the farm is large enough that one loss is no outage. */
static void test_neighbours_of_a_death_are_suspects_and_run_alone(void **state)
{
    struct farm *f = farm_new();

    (void)state;
    farm_hello(f, 0, 3);
    submit(f, "demo", 3);
    farm_forget(f);
    lose_worker(f, 0);
    for (int i = 1; i <= 3; i++) {
        assert_int_equal(job_number(f, i, "suspect"), 1);
        assert_int_equal(job_number(f, i, "crashes"), 0);
        assert_int_equal(job_number(f, i, "failures"), 0);
    }
    farm_hello(f, 1, 4);
    farm_expect(f, "[32000] demo #1 e -> worker 1 (1.2) alone\n");
    /* A second worker: at most one has a suspect, in so small a farm. */
    farm_hello(f, 2, 4);
    farm_expect(f, "");
    farm_done(f, 1, "demo #1 e");
    farm_expect(f, "[32000] demo #2 e -> worker 1 (1.2) alone\n"
                   "[32000] demo #1 e committed to worker 1\n");
    /* The culprit: it counts now, and only it. */
    farm_forget(f);
    lose_worker(f, 1);
    assert_int_equal(job_number(f, 2, "crashes"), 1);
    farm_expect(f, "[62060] demo #3 e -> worker 2 (1.2) alone\n");
    farm_done(f, 2, "demo #3 e");
    farm_expect(f, "[64000] demo #2 e -> worker 2 (1.3) alone\n"
                   "[64000] demo #3 e committed to worker 2\n");
    lose_worker(f, 2);
    assert_int_equal(job_number(f, 2, "crashes"), 2);
    farm_hello(f, 3, 4);
    lose_worker(f, 3);
    assert_int_equal(job_number(f, 2, "crashes"), 3);
    assert_int_equal(farm_count(f, "demo", "failed"), 1);
    assert_int_equal(farm_count(f, "demo", "done"), 2);
    expect_message(f, 2, "went silent while it ran this");
    farm_free(f);
}

/* A busy worker gets nothing new until it is idle; then the suspect. */
static void test_a_worker_is_kept_free_for_a_suspect(void **state)
{
    struct farm *f = farm_new();

    (void)state;
    farm_hello(f, 0, 2);
    farm_hello(f, 1, 2);
    submit(f, "demo", 20);
    lose_worker(f, 0); /* #1 and #3 ran there */
    farm_forget(f);
    farm_done(f, 1, "demo #2 e");
    farm_expect(f, "[32000] demo #2 e committed to worker 1\n");
    farm_done(f, 1, "demo #4 e");
    farm_expect(f, "[32000] demo #1 e -> worker 1 (1.2) alone\n"
                   "[32000] demo #4 e committed to worker 1\n");
    farm_done(f, 1, "demo #1 e");
    farm_expect(f, "[32000] demo #3 e -> worker 1 (1.2) alone\n"
                   "[32000] demo #1 e committed to worker 1\n");
    farm_done(f, 1, "demo #3 e");
    farm_expect(f, "[32000] demo #5 e -> worker 1 (1.1)\n"
                   "[32000] demo #6 e -> worker 1 (1.1)\n"
                   "[32000] demo #3 e committed to worker 1\n");
    sched_check(f->sched);
    farm_free(f);
}

/* More than a fifth of the farm at once: nobody's fault. */
static void test_an_outage_counts_for_nobody(void **state)
{
    struct farm *f = farm_new();

    (void)state;
    for (int w = 0; w < 6; w++)
        farm_hello(f, w, 1);
    submit(f, "demo", 6);
    farm_kill(f, 1);
    farm_advance(f, 1000);
    farm_kill(f, 4); /* a little later, within one lease */
    farm_advance(f, FARM_LEASE_MS + 2 * FARM_HEARTBEAT_MS);
    assert_int_equal(sched_stats(f->sched).lost, 2);
    for (int i = 1; i <= 6; i++) {
        assert_int_equal(job_number(f, i, "crashes"), 0);
        assert_int_equal(job_number(f, i, "suspect"), 0);
    }
    /* One alone is no outage. */
    farm_hello(f, 1, 1);
    assert_int_equal(f->workers[1].held_count, 1);
    farm_advance(f, FARM_LEASE_MS);
    lose_worker(f, 1);
    assert_int_equal(job_number(f, 2, "crashes") + job_number(f, 5, "crashes"),
                     1);
    farm_free(f);
}

/* A worker that says that it leaves, and is cut off before it could. */
static void test_a_drain_counts_for_nobody(void **state)
{
    struct farm *f = farm_new();

    (void)state;
    farm_hello(f, 0, 2);
    submit(f, "demo", 2);
    farm_hand_back(f, 0, "demo #2 e");
    lose_worker(f, 0);
    assert_int_equal(job_number(f, 1, "crashes"), 0);
    assert_int_equal(job_number(f, 1, "suspect"), 0);
    farm_free(f);
}

/* Those that a new broker does not find again were not lost to a job. */
static void test_a_takeover_counts_for_nobody(void **state)
{
    struct farm *f = farm_new();

    (void)state;
    farm_hello(f, 0, 1);
    submit(f, "demo", 1);
    farm_restart(f);
    farm_kill(f, 0);
    farm_advance(f, FARM_LEASE_MS + 10000);
    assert_int_equal(job_number(f, 1, "crashes"), 0);
    assert_int_equal(job_number(f, 1, "suspect"), 0);
    farm_hello(f, 1, 1);
    assert_int_equal(f->workers[1].held_count, 1);
    farm_free(f);
}

/* The broker itself stood still: its workers could not be heard. */
static void test_a_broker_that_slept_blames_nobody(void **state)
{
    struct farm *f = farm_new();

    (void)state;
    farm_hello(f, 0, 1);
    submit(f, "demo", 1);
    farm_advance(f, 4000);
    f->now_ms += 2 * FARM_LEASE_MS;
    farm_settle(f);
    assert_int_equal(sched_stats(f->sched).lost, 0);
    farm_heartbeat(f, 0);
    farm_advance(f, FARM_LEASE_MS);
    assert_int_equal(sched_stats(f->sched).lost, 0);
    farm_free(f);
}

/* A suspicion is on record, and ends with a verdict of the job's own. */
static void test_suspicion_outlives_the_broker(void **state)
{
    struct farm *f = farm_new();

    (void)state;
    farm_hello(f, 0, 2);
    submit(f, "demo", 2);
    lose_worker(f, 0);
    farm_restart(f);
    assert_int_equal(job_number(f, 1, "suspect"), 1);
    farm_advance(f, 10000);
    farm_forget(f);
    farm_hello(f, 1, 2);
    farm_expect(f, "[42000] demo #1 e -> worker 1 (2.2) alone\n");
    farm_fail(f, 1, "demo #1 e", STATUS_UNAVAILABLE, false);
    assert_int_equal(job_number(f, 1, "suspect"), 0);
    assert_int_equal(job_number(f, 1, "failures"), 1);
    assert_int_equal(job_number(f, 1, "crashes"), 0);
    farm_free(f);
}

static void fail_memory(struct farm *f, int w, const char *label, int64_t peak)
{
    struct farm_job job = *farm_find(f, w, label);
    struct wire_outcome o = {
        .token = job.token,
        .code = STATUS_NO_MEMORY,
        .message = wire_text("killed"),
        .peak_bytes = peak,
        .crashed = 3,
    };

    farm_send_outcome(f, w, &o);
}

enum { MIB = 1 << 20 };

static void test_killed_for_memory_runs_where_there_is_more(void **state)
{
    struct farm *f = farm_new();

    (void)state;
    f->workers[0].memory_bytes = 16 * MIB;
    f->workers[1].memory_bytes = 40 * MIB;
    farm_hello(f, 0, 1);
    submit_memory(f, "demo", 1, 10 * MIB);
    farm_forget(f);
    fail_memory(f, 0, "demo #1 e", 12 * MIB);
    /* All of the largest worker there is; no backoff, no crash. */
    farm_expect(f, "[    0] demo #1 e -> worker 0 (1.2)\n"
                   "[    0] demo #1 e committed to worker 0\n");
    assert_int_equal(job_number(f, 1, "memory_floor"), 16 * MIB);
    assert_int_equal(job_number(f, 1, "crashes"), 0);
    farm_hello(f, 1, 1);
    fail_memory(f, 0, "demo #1 e", 16 * MIB);
    farm_expect(f, "[    0] demo #1 e -> worker 1 (1.3)\n"
                   "[    0] demo #1 e committed to worker 0\n");
    assert_int_equal(job_number(f, 1, "memory_floor"), 32 * MIB);
    farm_restart(f);
    assert_int_equal(job_number(f, 1, "memory_floor"), 32 * MIB);
    farm_heartbeat(f, 0);
    farm_heartbeat(f, 1);
    fail_memory(f, 1, "demo #1 e", 33 * MIB);
    assert_int_equal(job_number(f, 1, "memory_floor"), 40 * MIB);
    fail_memory(f, 1, "demo #1 e", 40 * MIB);
    assert_int_equal(farm_count(f, "demo", "failed"), 1);
    expect_message(f, 1, "with 40 MiB, all that the largest worker has");
    farm_free(f);
}

/* A job that did not say what it needs is given twice of what it took. */
static void test_memory_of_a_job_that_did_not_say(void **state)
{
    struct farm *f = farm_new();

    (void)state;
    f->workers[0].memory_bytes = 64 * MIB;
    farm_hello(f, 0, 2);
    submit(f, "demo", 1);
    fail_memory(f, 0, "demo #1 e", 5 * MIB);
    assert_int_equal(job_number(f, 1, "memory_floor"), 10 * MIB);
    farm_done(f, 0, "demo #1 e");
    assert_int_equal(farm_count(f, "demo", "done"), 1);
    farm_free(f);
}

/* Where no worker says what it has, the retries of the sweep decide. */
static void test_memory_of_workers_that_do_not_say(void **state)
{
    struct farm *f = farm_new();
    int tries = 0;

    (void)state;
    farm_hello(f, 0, 1);
    submit(f, "demo", 1);
    while (farm_count(f, "demo", "failed") == 0 && tries < 20) {
        fail_memory(f, 0, "demo #1 e", 5 * MIB);
        farm_advance(f, 1);
        tries++;
    }
    assert_in_range(tries, 1, 4);
    farm_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_death_beside_an_unknown_job_blames_nobody),
        cmocka_unit_test(test_neighbours_of_a_death_are_suspects_and_run_alone),
        cmocka_unit_test(test_a_worker_is_kept_free_for_a_suspect),
        cmocka_unit_test(test_an_outage_counts_for_nobody),
        cmocka_unit_test(test_a_drain_counts_for_nobody),
        cmocka_unit_test(test_a_takeover_counts_for_nobody),
        cmocka_unit_test(test_a_broker_that_slept_blames_nobody),
        cmocka_unit_test(test_suspicion_outlives_the_broker),
        cmocka_unit_test(test_killed_for_memory_runs_where_there_is_more),
        cmocka_unit_test(test_memory_of_a_job_that_did_not_say),
        cmocka_unit_test(test_memory_of_workers_that_do_not_say),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
