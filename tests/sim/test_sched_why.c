/* `sinter why`: every row of the table of reasons is brought about once. */
#include "support/test.h"
#include "tests/sim/farm.h"

#include "broker/core/why.h"
#include "common/memory.h"

#include <string.h>

enum { MOST_CODES = 64 };

static const char *seen[MOST_CODES];
static size_t seen_count;

/* The row of the table that has the code. */
static const char *row_of(const char *code)
{
    for (const struct why_row *r = why_rows; r->code != NULL; r++)
        if (strcmp(r->code, code) == 0)
            return r->code;
    fail_msg("\"%s\" is no code of the table", code);
    return NULL;
}

static void expect_why(struct farm *f, const char *arguments, const char *code,
                       const char *words)
{
    AUTO(json_release) json_t *body = NULL;
    const char *reason;

    farm_ask(f, "why", arguments);
    if (f->answer_code != STATUS_SUCCESS)
        fail_msg("why %s: %s", arguments, f->answer);
    assert_ok(json_parse(f->answer, strlen(f->answer), "why", &body));
    reason = json_text_or(body, "reason", "");
    if (strcmp(json_text_or(body, "code", ""), code) != 0 ||
        strstr(reason, words) == NULL)
        fail_msg("why %s: wanted %s, \"%s\"; got %s", arguments, code, words,
                 f->answer);
    assert_int_equal(reason[strlen(reason) - 1], '.');
    seen[seen_count++] = row_of(code);
    assert_true(seen_count < MOST_CODES);
}

static void submit(struct farm *f, const char *name, int points,
                   const char *extra)
{
    AUTO(free_pointer) char *document = farm_document(name, points, extra);

    farm_submit(f, document);
    assert_int_equal(f->answer_code, STATUS_SUCCESS);
}

static const char demo[] = "{\"sweep\":\"demo\"}";
static const char first[] = "{\"sweep\":\"demo\",\"trial\":1}";
static const char second[] = "{\"sweep\":\"demo\",\"trial\":2}";
static const char worker[] = "{\"worker\":\"worker-0\"}";

static void order(struct farm *f, const char *verb, const char *arguments)
{
    farm_ask(f, verb, arguments);
    assert_int_equal(f->answer_code, STATUS_SUCCESS);
}

static void test_from_waiting_to_done(void **state)
{
    struct farm *f = farm_new();

    (void)state;
    submit(f, "demo", 2, "");
    expect_why(f, demo, "no_worker", "no worker is connected");
    expect_why(f, first, "no_worker", "#1 base waits: no worker");
    farm_hello(f, 0, 1);
    farm_advance(f, 3000);
    expect_why(f, demo, "running", "1 job at work");
    expect_why(f, first, "inputs",
               "e needs base, which has been at worker-0 for 3 s");
    expect_why(f, worker, "worker_busy", "works: 1 job in 1 slot");
    farm_done(f, 0, "demo #1 base");
    expect_why(f, first, "running", "#1 runs: e has been at worker-0");
    expect_why(f, second, "busy", "all workers that could run it are busy");
    farm_done(f, 0, "demo #1 e");
    farm_done(f, 0, "demo #2 e");
    expect_why(f, demo, "done", "2 trials done, 0 failed");
    expect_why(f, first, "done", "#1 is done");
    expect_why(f, worker, "worker_idle", "no job is ready");
    farm_free(f);
}

static void test_a_worker_that_fell_silent(void **state)
{
    struct farm *f = farm_new();

    (void)state;
    submit(f, "demo", 1, "");
    farm_hello(f, 0, 1);
    farm_kill(f, 0);
    farm_advance(f, 12000);
    expect_why(f, first, "inputs",
               "has been at worker-0 for 12 s: it has been silent for 12 s, in "
               "18 s the job goes to another");
    farm_free(f);
}

static void test_what_people_did(void **state)
{
    struct farm *f = farm_new();

    (void)state;
    submit(f, "demo", 2, "");
    order(f, "pause", demo);
    farm_hello(f, 0, 1);
    expect_why(f, demo, "paused", "is paused; `sinter resume ");
    expect_why(f, second, "paused", "#2 base waits");
    expect_why(f, worker, "worker_held_back", "paused");
    order(f, "cordon", worker);
    expect_why(f, worker, "worker_cordoned", "sinter workers --uncordon");
    order(f, "resume", demo);
    expect_why(f, demo, "unsuitable", "is cordoned or drains");
    order(f, "cancel", "{\"sweep\":\"demo\",\"reason\":\"enough\"}");
    expect_why(f, demo, "cancelled", "was stopped: enough");
    expect_why(f, first, "cancelled", "#1 was stopped: enough");
    farm_free(f);
}

static void test_what_is_missing(void **state)
{
    struct farm *f = farm_new();

    (void)state;
    f->workers[0].kinds = "evaluate.noop";
    farm_hello(f, 0, 4);
    submit(f, "demo", 4, "\"limits\":{\"parallel\":2}");
    expect_why(f, first, "unsuitable", "no connected worker can run train");
    expect_why(f, worker, "worker_unsuitable", "the 1 ready job asks for");
    farm_hello(f, 1, 1);
    farm_done(f, 1, "demo #1 base");
    expect_why(f, "{\"sweep\":\"demo\",\"trial\":4}", "parallel",
               "2 jobs of its sweep run, limits.parallel allows no more");
    farm_free(f);
}

static void test_who_is_away(void **state)
{
    struct farm *f = farm_new();

    (void)state;
    farm_hello(f, 0, 2);
    submit(f, "demo", 3, "");
    farm_done(f, 0, "demo #1 base");
    sched_store_error(f->sched, "disk full");
    expect_why(f, "{\"sweep\":\"demo\",\"trial\":3}", "store_away",
               "the store is away (disk full)");
    sched_store_error(f->sched, NULL);
    farm_restart(f);
    expect_why(f, "{\"sweep\":\"demo\",\"trial\":3}", "recovery",
               "waits for its workers, at most 6 s more");
    farm_ask(f, "why", "{\"worker\":\"nobody\"}");
    assert_int_equal(f->answer_code, STATUS_NOT_FOUND);
    assert_non_null(strstr(f->answer, "at most 6 s more"));
    farm_heartbeat(f, 0);
    f->workers[0].connected = false;
    farm_advance(f, 10000);
    expect_why(f, worker, "worker_silent", "has not been heard of for 10 s");
    farm_hello(f, 1, 1);
    farm_advance(f, 21000);
    /* Both of its jobs are suspects: one runs alone, one waits. */
    expect_why(f, "{\"worker\":\"worker-1\"}", "worker_reserved",
               "gets nothing new until it is idle");
    farm_done(f, 1, "demo #3 e");
    expect_why(f, "{\"worker\":\"worker-1\"}", "worker_solo",
               "runs one job and nothing beside it");
    expect_why(f, second, "suspect", "waits to run alone on an idle worker");
    farm_free(f);
}

static void test_a_worker_that_is_kept_or_leaves(void **state)
{
    struct farm *f = farm_new();

    (void)state;
    farm_hello(f, 0, 2);
    farm_hello(f, 1, 2);
    submit(f, "demo", 9, "");
    farm_done(f, 0, "demo #1 base");
    farm_kill(f, 1);
    farm_advance(f, FARM_LEASE_MS + FARM_HEARTBEAT_MS);
    expect_why(f, worker, "worker_reserved",
               "gets nothing new until it is "
               "idle");
    farm_hand_back(f, 0, f->workers[0].held[0].label);
    expect_why(f, worker, "worker_leaves", "it finishes 1 job");
    farm_free(f);
}

static void test_failures(void **state)
{
    struct farm *f = farm_new();

    (void)state;
    farm_hello(f, 0, 8);
    submit(f, "demo", 3, "\"retries\":{\"max\":1,\"backoff_ms\":60000}");
    farm_fail(f, 0, "demo #1 base", STATUS_UNAVAILABLE, false);
    expect_why(f, first, "backoff", "attempt 1 failed: no luck");
    expect_why(f, demo, "backoff", "is tried again in ");
    farm_advance(f, 60000);
    farm_done(f, 0, "demo #1 base");
    farm_fail(f, 0, "demo #2 e", STATUS_INVALID, false);
    expect_why(f, second, "failed",
               "#2 failed: e at worker-0: no luck.  Not tried again: the same "
               "inputs give the same result");
    farm_done(f, 0, "demo #1 e");
    for (int i = 0; i < 3; i++) {
        farm_fail(f, 0, "demo #3 e", STATUS_LOST, true);
        farm_advance(f, 2000);
    }
    expect_why(f, "{\"sweep\":\"demo\",\"trial\":3}", "failed",
               "took down its slot or worker every time");
    farm_submit(f, "{\"sinter\":1,\"name\":\"bad\",\"parameters\":[{\"name\":"
                   "\"x\",\"values\":[1,2]}],\"strategy\":{\"method\":\"grid\"}"
                   ",\"stages\":[{\"name\":\"base\",\"kind\":\"train\","
                   "\"sort\":\"artifact\",\"variants\":[{\"params\":{\"size\":"
                   "7}}]}],\"evaluate\":[{\"name\":\"e\",\"kind\":"
                   "\"evaluate.noop\",\"variants\":[{\"params\":{\"x\":{"
                   "\"$param\":\"x\"},\"model\":{\"$stage\":\"base\"}}}],"
                   "\"metrics\":[\"value\"]}]}");
    farm_fail(f, 0, "bad #1 base", STATUS_CORRUPT, false);
    expect_why(f, "{\"sweep\":\"bad\",\"trial\":2}", "aborted",
               "#2 was given up because its input base failed at worker-0: no "
               "luck");
    expect_why(f, "{\"sweep\":\"bad\"}", "ended_failed", "every trial failed");
    farm_free(f);
}

static void test_trials_that_do_not_run(void **state)
{
    struct farm *f = farm_new();

    (void)state;
    farm_hello(f, 0, 1);
    /* A grid begins with its ends. */
    submit(f, "demo", 2000,
           "\"constraints\":[\"x != 2000\"],\"limits\":{\"trials\":1500}");
    expect_why(f, second, "excluded", "#2 is not run");
    expect_why(f, "{\"sweep\":\"demo\",\"trial\":1900}", "ahead",
               "waits its turn");
    submit(f, "few", 3, "\"limits\":{\"trials\":1},\"priority\":9");
    order(f, "cancel", demo);
    farm_done(f, 0, "demo #1 base"); /* few needs it too */
    farm_done(f, 0, "few #1 e");
    expect_why(f, "{\"sweep\":\"few\",\"trial\":3}", "beyond",
               "`sinter extend ");
    farm_ask(f, "why", "{\"sweep\":\"few\",\"trial\":4}");
    assert_int_equal(f->answer_code, STATUS_NOT_FOUND);
    farm_ask(f, "why", "{\"worker\":\"nobody\"}");
    assert_int_equal(f->answer_code, STATUS_NOT_FOUND);
    farm_free(f);
}

static void test_every_row_was_met(void **state)
{
    (void)state;
    for (const struct why_row *r = why_rows; r->code != NULL; r++) {
        bool met = false;

        assert_true(r->meaning != NULL && r->meaning[0] != '\0');
        for (size_t i = 0; i < seen_count; i++)
            met = met || seen[i] == r->code;
        if (!met)
            fail_msg("no story leads to \"%s\"", r->code);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_from_waiting_to_done),
        cmocka_unit_test(test_a_worker_that_fell_silent),
        cmocka_unit_test(test_what_people_did),
        cmocka_unit_test(test_what_is_missing),
        cmocka_unit_test(test_who_is_away),
        cmocka_unit_test(test_a_worker_that_is_kept_or_leaves),
        cmocka_unit_test(test_failures),
        cmocka_unit_test(test_trials_that_do_not_run),
        cmocka_unit_test(test_every_row_was_met), /* last */
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
