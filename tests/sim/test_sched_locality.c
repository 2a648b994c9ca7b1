/* Jobs go where their bytes are. */
#include "support/test.h"
#include "tests/sim/farm.h"

#include "broker/core/fleet.h"
#include "broker/core/jobs.h"
#include "broker/core/state.h"
#include "common/memory.h"

#include <stdlib.h>
#include <string.h>

static const char *url_of(char model)
{
    static char url[32];

    (void)snprintf(url, sizeof url, "%s/hub/%c",
                   model == 'D'   ? "file:///"
                   : model == 'C' ? "https://c.org:8443"
                                  : "https://ab.org",
                   model);
    return url;
}

/* The variant of trials that read this model. */
static char *variant(char model)
{
    return xasprintf("{\"when\":{\"m\":\"%c\"},\"params\":{\"x\":{"
                     "\"$param\":\"x\"},\"model\":{\"$source\":{"
                     "\"sha256\":{\"a}\\\"\":\"00\"},\"url\":\"%s\"}}}}",
                     model, url_of(model));
}

/* Trials read one of the models A and B of one server, C of another or D of
 * the disk;
 * `points` of each, those of one model behind each other. */
static void submit(struct farm *f, const char *name, const char *models,
                   int points)
{
    AUTO(free_pointer) char *a = variant('A');
    AUTO(free_pointer) char *b = variant('B');
    AUTO(free_pointer) char *c = variant('C');
    AUTO(free_pointer) char *d = variant('D');
    AUTO(free_pointer)
    char *document = xasprintf(
        "{\"sinter\":1,\"name\":\"%s\",\"parameters\":[{\"name\":\"m\","
        "\"values\":[%s]},{\"name\":\"x\",\"from\":1,\"to\":%d,\"count\":%d,"
        "\"scale\":\"linear\"}],\"strategy\":{\"method\":\"grid\"},"
        "\"stages\":[],\"evaluate\":[{\"name\":\"e\",\"kind\":"
        "\"evaluate.noop\",\"variants\":[%s,%s,%s,%s],\"metrics\":["
        "\"value\"]}]}",
        name, models, points, points, a, b, c, d);

    farm_submit(f, document);
    assert_int_equal(f->answer_code, STATUS_SUCCESS);
}

/* Which model the worker's i-th job reads. */
static char model_of(const struct farm *f, int w, size_t i)
{
    const struct job *job =
        jobs_find(f->sched, &f->workers[w].held[i].token.key);
    const char *at = strstr(job->params, "hub/");

    assert_non_null(at);
    return at[4];
}

static size_t held(const struct farm *f, int w)
{
    return f->workers[w].held_count;
}

static void finish(struct farm *f, int w)
{
    farm_done(f, w, f->workers[w].held[0].label);
    sched_check(f->sched);
}

/* The worker's cache has it, or has it no more. */
static void tell_cache(struct farm *f, int w, char model, bool there)
{
    const char *url = url_of(model);
    struct digest source = digest_of(url, strlen(url));

    farm_tell_cache(f, w, &source, there);
}

static void test_a_worker_goes_on_with_what_it_has(void **state)
{
    struct farm *f = farm_new();

    (void)state;
    for (int w = 0; w < 2; w++)
        farm_hello(f, w, 1);
    tell_cache(f, 1, 'B', true);
    submit(f, "s", "\"A\",\"B\"", 5);
    assert_int_equal(model_of(f, 0, 0), 'A');
    for (int i = 0; i < 4; i++) {
        assert_int_equal(model_of(f, 1, 0), 'B');
        finish(f, 1);
    }
    assert_int_equal(model_of(f, 0, 0), 'A');
    farm_free(f);
}

/* It has nothing of it, but another worker has: that one is waited for, half
 * a second and no longer. */
static void test_a_worker_waits_for_one_that_has_the_bytes(void **state)
{
    struct farm *f = farm_new();

    (void)state;
    farm_hello(f, 0, 1);
    tell_cache(f, 0, 'A', true);
    submit(f, "s", "\"A\"", 3);
    farm_hello(f, 1, 1);
    assert_int_equal(held(f, 0), 1);
    assert_int_equal(held(f, 1), 0);
    farm_advance(f, 400);
    finish(f, 0); /* and it takes the next one */
    assert_int_equal(held(f, 1), 0);
    farm_advance(f, 99);
    assert_int_equal(held(f, 1), 0);
    farm_advance(f, 800);
    assert_int_equal(held(f, 1), 1);
    assert_int_equal(held(f, 0), 1);
    farm_free(f);
}

/* What nobody has is fetched by a few workers at most at the same time. */
static void test_few_fetch_at_a_time(void **state)
{
    struct farm *f = farm_new();
    size_t busy = 0;

    (void)state;
    f->sched->fetches = 3;
    for (int w = 0; w < 6; w++)
        farm_hello(f, w, 1);
    submit(f, "s", "\"A\"", 12);
    for (int w = 0; w < 6; w++)
        busy += held(f, w);
    assert_int_equal(busy, 3);
    sched_check(f->sched);
    tell_cache(f, 0, 'A', true); /* one has it: there is room for another */
    farm_advance(f, 1000);
    busy = 0;
    for (int w = 0; w < 6; w++)
        busy += held(f, w);
    assert_int_equal(busy, 4);
    finish(f, 0);
    finish(f, 1);
    farm_kill(f, 2);
    farm_advance(f, FARM_LEASE_MS + FARM_HEARTBEAT_MS);
    busy = 0;
    for (int w = 0; w < 6; w++)
        busy += held(f, w);
    assert_int_equal(busy, 5);
    farm_free(f);
}

/* It is the server that is spared, whatever is fetched from it; one that
 * fetches from there already may fetch more. */
static void test_few_fetch_from_one_origin(void **state)
{
    size_t from_ab = 0;
    struct farm *f = farm_new();

    (void)state;
    f->sched->fetches = 2;
    for (int w = 0; w < 6; w++)
        farm_hello(f, w, 1);
    submit(f, "s", "\"A\",\"B\",\"C\"", 12);
    for (int w = 0; w < 6; w++)
        from_ab += held(f, w) == 1 && model_of(f, w, 0) != 'C' ? 1 : 0;
    assert_int_equal(from_ab, 2);
    assert_int_equal(held(f, 2) + held(f, 3), 2);
    assert_int_equal(model_of(f, 2, 0), 'C');
    assert_int_equal(model_of(f, 3, 0), 'C');
    assert_int_equal(held(f, 4) + held(f, 5), 0);
    finish(f, 0); /* it has A: there is room at that server */
    assert_int_equal(held(f, 4), 1);
    assert_int_equal(model_of(f, 4, 0), 'B');
    finish(f, 2);
    farm_advance(f, 600); /* it waits no longer for the one that has C */
    assert_int_equal(held(f, 5), 1);
    assert_int_equal(model_of(f, 5, 0), 'C');
    farm_hello(f, 6, 2);
    finish(f, 1);
    farm_advance(f, 600);
    assert_int_equal(held(f, 6), 2); /* one fetches from there: so may two */
    farm_free(f);
}

static void test_files_of_the_machine_are_everywhere(void **state)
{
    struct farm *f = farm_new();

    (void)state;
    f->sched->fetches = 1;
    for (int w = 0; w < 4; w++)
        farm_hello(f, w, 2);
    submit(f, "s", "\"D\"", 12);
    for (int w = 0; w < 4; w++)
        assert_int_equal(held(f, w), 2);
    farm_free(f);
}

static void test_what_was_evicted_is_not_there(void **state)
{
    struct farm *f = farm_new();

    (void)state;
    farm_hello(f, 0, 1);
    tell_cache(f, 0, 'B', true);
    tell_cache(f, 0, 'B', false);
    submit(f, "s", "\"A\",\"B\"", 2);
    assert_int_equal(model_of(f, 0, 0), 'A');
    /* It has A now: that is proved by the job that ended well. */
    finish(f, 0);
    assert_int_equal(model_of(f, 0, 0), 'A');
    finish(f, 0);
    assert_int_equal(model_of(f, 0, 0), 'B');
    farm_free(f);
}

static void serve(struct farm *f, int first, int count)
{
    static char addresses[FARM_WORKERS][32];

    for (int w = first; w < first + count; w++) {
        (void)snprintf(addresses[w], sizeof addresses[w], "http://h:%d",
                       7000 + w);
        f->workers[w].address = addresses[w];
    }
}

static const char *holders(const struct farm *f, int w)
{
    return f->workers[w].held[0].holders;
}

/* Workers whose job begins with asking that one. */
static int sent_to(const struct farm *f, const char *port)
{
    int count = 0;

    for (int w = 0; w < FARM_WORKERS; w++)
        count += held(f, w) > 0 && strncmp(holders(f, w), port, 5) == 0;
    return count;
}

/* A worker that has it serves two others; the next ones wait for them, then
 * are told of all. */
static void test_workers_serve_each_other(void **state)
{
    struct farm *f = farm_new();

    (void)state;
    f->sched->fetches = 1;
    serve(f, 0, 7);
    for (int w = 0; w < 8; w++)
        farm_hello(f, w, 1);
    submit(f, "s", "\"A\"", 40);
    assert_int_equal(held(f, 0), 1);
    assert_string_equal(holders(f, 0), ""); /* the first goes to the origin */
    assert_int_equal(held(f, 1) + held(f, 7), 0);
    tell_cache(f, 0, 'A', true);
    farm_advance(f, 1000);
    assert_int_equal(sent_to(f, " 7000"), 2);
    assert_int_equal(held(f, 1) + held(f, 2), 2);
    for (int w = 3; w < 7; w++)
        assert_int_equal(held(f, w), 0);
    assert_int_equal(held(f, 7), 1); /* which serves nothing, nor is served */
    assert_string_equal(holders(f, 7), "");
    sched_check(f->sched);
    tell_cache(f, 2, 'A', true);
    farm_advance(f, 1000);
    assert_int_equal(sent_to(f, " 7000"), 3); /* two of them by now */
    assert_int_equal(sent_to(f, " 7002"), 2);
    assert_int_equal(held(f, 3) + held(f, 4) + held(f, 5) + held(f, 6), 3);
    sched_check(f->sched);
    farm_free(f);
}

/* Nobody waits for ever for one that is held up: after ten seconds and twice
 * the time of a fetch since anything moved, the origin is asked. */
static void test_the_origin_is_asked_when_nothing_moves(void **state)
{
    struct farm *f = farm_new();

    (void)state;
    serve(f, 0, 4);
    farm_hello(f, 0, 1);
    tell_cache(f, 0, 'A', true);
    submit(f, "s", "\"A\"", 40);
    for (int w = 1; w < 4; w++)
        farm_hello(f, w, 1);
    farm_advance(f, 1000);
    assert_int_equal(sent_to(f, " 7000"), 2);
    assert_int_equal(held(f, 1) + held(f, 2) + held(f, 3), 2);
    farm_advance(f, 29000);
    assert_int_equal(held(f, 1) + held(f, 2) + held(f, 3), 2);
    farm_advance(f, 3000);
    assert_int_equal(held(f, 1) + held(f, 2) + held(f, 3), 3);
    assert_int_equal(sent_to(f, " 7000"), 2);
    farm_free(f);
}

/* One that fell silent is not sent to, and whom it served counts as fetching
 * from the origin. */
static void test_a_holder_that_is_gone_is_forgotten(void **state)
{
    struct farm *f = farm_new();

    (void)state;
    f->sched->fetches = 1;
    serve(f, 0, 4);
    f->workers[0].kinds = "other"; /* no job falls to it */
    farm_hello(f, 0, 1);
    tell_cache(f, 0, 'A', true);
    submit(f, "s", "\"A\"", 40);
    farm_hello(f, 1, 1);
    farm_advance(f, 1000);
    assert_string_equal(holders(f, 1), " 7000");
    farm_kill(f, 0);
    farm_advance(f, FARM_LEASE_MS + FARM_HEARTBEAT_MS);
    sched_check(f->sched);
    farm_hello(f, 2, 1);
    farm_advance(f, 1000);
    assert_int_equal(held(f, 2), 0); /* 1 is at the origin now */
    tell_cache(f, 1, 'A', true);
    farm_advance(f, 1000);
    assert_string_equal(holders(f, 2), " 7001");
    sched_check(f->sched);
    farm_free(f);
}

/* What was served once and is not any more, or at an address that is none. */
static void test_only_what_is_served_is_asked_for(void **state)
{
    struct farm *f = farm_new();

    (void)state;
    serve(f, 0, 3);
    f->workers[1].address = "http://h:7001/../depot";
    for (int w = 0; w < 3; w++)
        farm_hello(f, w, 1);
    tell_cache(f, 1, 'A', true);
    tell_cache(f, 2, 'A', true);
    tell_cache(f, 2, 'A', false);
    submit(f, "s", "\"A\"", 40);
    farm_advance(f, 1000);
    assert_string_equal(holders(f, 0), "");
    assert_string_equal(holders(f, 2), "");
    sched_check(f->sched);
    farm_free(f);
}

static void test_everything_ends_whoever_has_what(void **state)
{
    struct farm *f = farm_new();

    (void)state;
    f->sched->fetches = 2;
    serve(f, 0, 4);
    for (int w = 0; w < 5; w++)
        farm_hello(f, w, 1 + (uint64_t)w % 3);
    submit(f, "s", "\"A\",\"B\",\"C\",\"D\"", 20);
    for (int i = 0; i < 400; i++) {
        int w = i % 5;

        if (held(f, w) > 0)
            finish(f, w);
        if (i % 7 == 0)
            tell_cache(f, w, (char)('A' + i % 3), i % 2 == 0);
        if (i % 9 == 0)
            farm_advance(f, 200);
    }
    assert_int_equal(farm_count(f, "s", "done"), 80);
    farm_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_worker_goes_on_with_what_it_has),
        cmocka_unit_test(test_a_worker_waits_for_one_that_has_the_bytes),
        cmocka_unit_test(test_few_fetch_at_a_time),
        cmocka_unit_test(test_few_fetch_from_one_origin),
        cmocka_unit_test(test_files_of_the_machine_are_everywhere),
        cmocka_unit_test(test_what_was_evicted_is_not_there),
        cmocka_unit_test(test_workers_serve_each_other),
        cmocka_unit_test(test_the_origin_is_asked_when_nothing_moves),
        cmocka_unit_test(test_a_holder_that_is_gone_is_forgotten),
        cmocka_unit_test(test_only_what_is_served_is_asked_for),
        cmocka_unit_test(test_everything_ends_whoever_has_what),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
