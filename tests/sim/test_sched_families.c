/* Jobs whose models one pass can make: given together, counted as one, and
 * each still on its own when something goes wrong. */
#include "support/test.h"
#include "tests/sim/farm.h"

#include "common/memory.h"

#include <stdlib.h>
#include <string.h>

static void submit(struct farm *f, const char *name, int points,
                   const char *extra)
{
    AUTO(free_pointer) char *document = farm_family(name, points, extra);

    farm_submit(f, document);
    assert_int_equal(f->answer_code, STATUS_SUCCESS);
}

/* A farm of workers with one slot each, in which the base of a family of
 * `points` is done; what was assigned then is in the trace. */
static struct farm *farm_with(int workers, int points, const char *extra)
{
    struct farm *f = farm_new();

    farm_hello(f, 0, 1);
    submit(f, "fam", points, extra);
    for (int w = 1; w < workers; w++)
        farm_hello(f, w, 1);
    farm_forget(f);
    farm_done(f, 0, "fam #1 base");
    return f;
}

static size_t held(const struct farm *f, int w)
{
    return f->workers[w].held_count;
}

/* Every job of the worker's ends well, in the order they were given. */
static void finish_worker(struct farm *f, int w)
{
    size_t count = held(f, w);
    AUTO(free_pointer)
    struct farm_job *jobs = xcalloc(count + 1, sizeof *jobs);

    memcpy(jobs, f->workers[w].held, count * sizeof *jobs);
    for (size_t i = 0; i < count; i++)
        farm_done(f, w, jobs[i].label);
}

static void finish_all(struct farm *f)
{
    bool any = true;

    while (any) {
        any = false;
        for (int w = 0; w < FARM_WORKERS; w++) {
            any = any || (f->workers[w].connected && held(f, w) > 0);
            if (f->workers[w].connected)
                finish_worker(f, w);
        }
        sched_check(f->sched);
    }
}

static void expect_done(struct farm *f, int trials)
{
    AUTO(json_release) json_t *status = farm_status(f, "fam");

    assert_string_equal(json_text_or(status, "state", ""), "done");
    assert_int_equal(farm_count(f, "fam", "done"), trials);
    assert_int_equal(farm_count(f, "fam", "jobs.computed"), 2 * trials + 1);
}

static void test_a_family_is_spread_over_the_idle_slots(void **state)
{
    struct farm *f = farm_with(2, 3, "");

    (void)state;
    farm_expect(f, "[    0] fam #3 e -> worker 0 (1.1) batch 2\n"
                   "[    0] fam #3 f -> worker 0 (1.1) batch 2\n"
                   "[    0] fam #1 e -> worker 1 (1.1) batch 1\n"
                   "[    0] fam #1 f -> worker 1 (1.1) batch 1\n"
                   "[    0] fam #2 e -> worker 1 (1.1) batch 1\n"
                   "[    0] fam #2 f -> worker 1 (1.1) batch 1\n"
                   "[    0] fam #1 base committed to worker 0\n");
    sched_check(f->sched);
    finish_all(f);
    expect_done(f, 3);
    farm_free(f);
}

/* The worker takes on nothing else while the last of them is not done. */
static void test_a_batch_counts_as_one_job(void **state)
{
    struct farm *f = farm_with(1, 3, "");
    AUTO(free_pointer) char *other = farm_document("other", 4, "");

    (void)state;
    assert_int_equal(held(f, 0), 6);
    farm_submit(f, other);
    for (int i = 0; i < 5; i++) {
        farm_done(f, 0, f->workers[0].held[0].label);
        assert_int_equal(held(f, 0), 5 - i);
        sched_check(f->sched);
    }
    farm_done(f, 0, f->workers[0].held[0].label);
    assert_int_equal(held(f, 0), 1);
    assert_string_equal(f->workers[0].held[0].label, "other #1 base");
    finish_all(f);
    expect_done(f, 3);
    farm_free(f);
}

static void test_a_large_family_goes_in_parts(void **state)
{
    struct farm *f = farm_with(1, 200, "");

    (void)state;
    assert_int_equal(held(f, 0), 64);
    finish_worker(f, 0);
    assert_int_equal(held(f, 0), 64);
    assert_int_not_equal(f->workers[0].held[0].batch, 1);
    finish_all(f);
    expect_done(f, 200);
    farm_free(f);
}

/* Two sweeps with one slot: after its 64 the family waits until the other has
 * had as many. */
static void test_a_family_does_not_starve_another_sweep(void **state)
{
    struct farm *f = farm_with(1, 200, "");
    AUTO(free_pointer) char *other = farm_document("other", 300, "");
    int turns = 0;

    (void)state;
    farm_submit(f, other);
    finish_worker(f, 0);
    while (strncmp(f->workers[0].held[0].label, "other", 5) == 0) {
        assert_int_equal(held(f, 0), 1);
        finish_worker(f, 0);
        turns++;
    }
    assert_in_range(turns, 60, 66);
    assert_int_equal(held(f, 0), 64);
    farm_free(f);
}

/* A job that takes long is worth little sharing and much waiting. */
static void test_long_jobs_go_in_small_batches(void **state)
{
    struct farm *f = farm_with(1, 100, "");

    (void)state;
    farm_done_after(f, 0, f->workers[0].held[0].label, 300 * 1000);
    while (held(f, 0) > 0 && f->workers[0].held[0].batch == 1)
        farm_done_after(f, 0, f->workers[0].held[0].label, 300 * 1000);
    assert_int_equal(held(f, 0), 4); /* three, and the second of a trial */
    farm_free(f);
}

static void test_parallel_is_a_limit_for_batches_too(void **state)
{
    struct farm *f = farm_with(3, 10, "\"limits\":{\"parallel\":5}");

    (void)state;
    assert_int_equal(held(f, 0) + held(f, 1) + held(f, 2), 5);
    finish_all(f);
    expect_done(f, 10);
    farm_free(f);
}

/* Only what ran is suspected; the rest had not begun. */
static void test_of_a_lost_batch_one_job_is_a_suspect(void **state)
{
    struct farm *f = farm_with(2, 6, "");
    AUTO(json_release) json_t *trial = NULL;
    uint64_t failures = sched_stats(f->sched).failures;

    (void)state;
    assert_int_equal(held(f, 1), 6);
    farm_done(f, 1, "fam #1 e");
    farm_kill(f, 1);
    farm_advance(f, FARM_LEASE_MS + FARM_HEARTBEAT_MS);
    assert_int_equal(sched_stats(f->sched).failures, failures + 1);
    sched_check(f->sched);
    for (int i = 0; i < 4; i++) {
        finish_all(f);
        farm_advance(f, 5000);
    }
    expect_done(f, 6);
    farm_ask(f, "trial", "{\"sweep\":\"fam\",\"trial\":1}");
    assert_ok(json_parse(f->answer, strlen(f->answer), "trial", &trial));
    for (size_t i = 0; i < json_array_size(json_object_get(trial, "jobs"));
         i++) {
        const json_t *job = json_array_get(json_object_get(trial, "jobs"), i);

        if (strcmp(json_text_or(job, "stage", ""), "f") == 0)
            assert_int_equal(json_int_or(job, "attempts", 0), 2);
        assert_int_equal(json_int_or(job, "crashes", -1), 0);
    }
    farm_free(f);
}

/* A drain hands back what has not begun: it goes on elsewhere, together. */
static void test_what_is_handed_back_is_a_family_again(void **state)
{
    struct farm *f = farm_with(1, 2, "");

    (void)state;
    farm_hand_back(f, 0, "fam #2 e");
    farm_hand_back(f, 0, "fam #2 f");
    sched_check(f->sched);
    farm_forget(f);
    farm_hello(f, 1, 1);
    farm_expect(f, "[    0] fam #2 e -> worker 1 (1.2) batch 2\n"
                   "[    0] fam #2 f -> worker 1 (1.2) batch 2\n");
    finish_all(f);
    expect_done(f, 2);
    farm_free(f);
}

static void test_a_cancelled_sweep_takes_its_batches_back(void **state)
{
    struct farm *f = farm_with(2, 5, "");

    (void)state;
    farm_ask(f, "cancel", "{\"sweep\":\"fam\"}");
    assert_int_equal(held(f, 0) + held(f, 1), 0);
    sched_check(f->sched);
    assert_int_equal(farm_count(f, "fam", "cancelled"), 5);
    farm_ask(f, "retry", "{\"sweep\":\"fam\"}");
    finish_all(f);
    expect_done(f, 5);
    farm_free(f);
}

/* What the worker holds, a new broker takes over; nothing is given twice. */
static void test_a_new_broker_takes_over_batches(void **state)
{
    struct farm *f = farm_with(1, 4, "");

    (void)state;
    farm_done(f, 0, "fam #1 e");
    farm_restart(f);
    farm_hello(f, 0, 1);
    sched_check(f->sched);
    assert_int_equal(held(f, 0), 7);
    farm_advance(f, 4 * FARM_HEARTBEAT_MS);
    assert_int_equal(held(f, 0), 7);
    finish_all(f);
    expect_done(f, 4);
    assert_int_equal(sched_stats(f->sched).stale, 0);
    farm_free(f);
}

/* A worker that knows one of the two kinds gets that one only. */
static void test_kinds_a_worker_lacks_are_left_out(void **state)
{
    struct farm *f = farm_new();

    (void)state;
    farm_hello(f, 0, 1);
    f->workers[1].kinds = "evaluate.noop";
    farm_hello(f, 1, 1);
    submit(f, "fam", 2, "");
    farm_forget(f);
    farm_done(f, 0, "fam #1 base");
    for (size_t i = 0; i < held(f, 1); i++)
        assert_string_equal(f->workers[1].held[i].kind, "evaluate.noop");
    finish_all(f);
    expect_done(f, 2);
    farm_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_family_is_spread_over_the_idle_slots),
        cmocka_unit_test(test_a_batch_counts_as_one_job),
        cmocka_unit_test(test_a_large_family_goes_in_parts),
        cmocka_unit_test(test_a_family_does_not_starve_another_sweep),
        cmocka_unit_test(test_long_jobs_go_in_small_batches),
        cmocka_unit_test(test_parallel_is_a_limit_for_batches_too),
        cmocka_unit_test(test_of_a_lost_batch_one_job_is_a_suspect),
        cmocka_unit_test(test_what_is_handed_back_is_a_family_again),
        cmocka_unit_test(test_a_cancelled_sweep_takes_its_batches_back),
        cmocka_unit_test(test_a_new_broker_takes_over_batches),
        cmocka_unit_test(test_kinds_a_worker_lacks_are_left_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
