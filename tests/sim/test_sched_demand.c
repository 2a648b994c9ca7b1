/* How many workers there should be: the formula, its steadiness, and the
 * figures it is made of in a farm whose clock is a number. */
#include "support/test.h"
#include "tests/sim/farm.h"

#include "common/clock.h"
#include "common/memory.h"

#include <math.h>
#include <string.h>

static const struct demand_settings plain = {
    .drain_ms = 100 * 1000, .hold_ms = 60 * 1000, .least = 0, .most = 50
};

struct row {
    const char *what;
    double backlog_s, running_s, jobs, slots;
    uint64_t busy;
    int64_t least, most;
    uint64_t wanted;
};

static void test_the_formula(void **state)
{
    static const struct row rows[] = {
        { "nothing to do", 0, 0, 0, 4, 0, 0, 50, 0 },
        { "one short job", 0.1, 0, 1, 4, 0, 0, 50, 1 },
        { "1,000 s of work, one slot each", 1000, 0, 100, 1, 0, 0, 50, 10 },
        { "... of four slots", 1000, 0, 100, 4, 0, 0, 50, 3 },
        { "busy ones count by how long", 1000, 500, 100, 1, 10, 0, 50, 15 },
        { "who is busy stays", 0, 5, 0, 4, 7, 0, 50, 7 },
        { "no more than jobs", 36000, 0, 10, 4, 0, 0, 50, 3 },
        { "... beside the busy ones", 36000, 7200, 10, 4, 5, 0, 50, 8 },
        { "at least", 0, 0, 0, 4, 0, 2, 50, 2 },
        { "at most", 1e9, 0, 1e9, 1, 0, 0, 50, 50 },
        { "at most, though more are busy", 0, 0, 0, 1, 60, 0, 50, 50 },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const struct row *r = &rows[i];
        struct demand d;

        demand_init(&d, &plain);
        d.set.least = r->least;
        d.set.most = r->most;
        d.backlog_s = r->backlog_s;
        d.running_s = r->running_s;
        d.jobs = r->jobs;
        d.slots = r->slots;
        d.busy = r->busy;
        if (demand_wanted(&d) != r->wanted)
            fail_msg("%s: %d, not %d", r->what, (int)demand_wanted(&d),
                     (int)r->wanted);
    }
}

static uint64_t steady(struct demand *d, uint64_t wanted, int64_t second)
{
    d->wanted = wanted;
    return demand_steady(d, second * NS_PER_S);
}

static void test_up_at_once_down_when_it_lasts(void **state)
{
    struct demand d;

    (void)state;
    demand_init(&d, &plain);
    assert_int_equal(steady(&d, 3, 1), 3);
    assert_int_equal(steady(&d, 10, 2), 10);
    assert_int_equal(steady(&d, 4, 10), 10);
    assert_int_equal(steady(&d, 6, 30), 10);
    assert_int_equal(steady(&d, 2, 61), 10);
    /* A minute after the last ten: the most that was wanted since. */
    assert_int_equal(steady(&d, 2, 62), 6);
    assert_int_equal(steady(&d, 2, 121), 6);
    assert_int_equal(steady(&d, 0, 122), 2);
    assert_int_equal(steady(&d, 5, 123), 5);
    /* Nobody asked for long. */
    assert_int_equal(steady(&d, 0, 200), 0);
}

static void submit(struct farm *f, const char *name, int points,
                   const char *extra)
{
    AUTO(free_pointer) char *document = farm_document(name, points, extra);

    farm_submit(f, document);
    assert_int_equal(f->answer_code, STATUS_SUCCESS);
}

static const struct demand *look(struct farm *f)
{
    farm_advance(f, 1001);
    return sched_demand(f->sched);
}

static void near(double value, double expected)
{
    if (fabs(value - expected) > 0.01 * fabs(expected) + 1e-9)
        fail_msg("%g, not %g", value, expected);
}

/* The worker ends the first of its jobs. */
static void end_one(struct farm *f, int w, int64_t wall_ms)
{
    AUTO(free_pointer) char *label = xstrdup(f->workers[w].held[0].label);

    farm_done_after(f, w, label, wall_ms);
}

/* A stage that all trials share, and one job for each of 5,000 trials of which
 * the scheduler has looked at some only. */
static void test_what_is_still_to_come_counts(void **state)
{
    enum { POINTS = 5000, ASSUMED_S = 10 };
    struct farm *f = farm_new();
    const struct demand *d;

    (void)state;
    submit(f, "long", POINTS, "");
    d = look(f);
    near(d->jobs, POINTS + 1);
    near(d->backlog_s, (POINTS + 1) * ASSUMED_S);
    assert_int_equal(d->workers, 0);
    assert_int_equal(d->desired, 100); /* the default of --scale-max */
    assert_in_range(d->oldest_ms, 1000, 1100);
    farm_hello(f, 0, 2);
    farm_hello(f, 1, 4);
    farm_done_after(f, 0, "long #1 base", 60000);
    d = look(f);
    near(d->slots, 3.0);
    assert_int_equal(d->workers, 2);
    assert_int_equal(d->busy, 2);
    /* What jobs of that kind take is learned. */
    end_one(f, 0, 200);
    end_one(f, 1, 200);
    d = look(f);
    near(d->backlog_s, (POINTS - 8) * 0.2);
    assert_int_equal(d->wanted, 2); /* 1,000 s / 300 s / 3 slots */
    assert_int_equal(d->desired, 100);
    /* Before it was learned 5,000 jobs of 10 s seemed to wait. */
    farm_advance(f, 2 * 60 * 1000);
    assert_int_equal(sched_demand(f->sched)->desired, 56);
    farm_advance(f, 2 * 60 * 1000);
    assert_int_equal(sched_demand(f->sched)->desired, 2);
    farm_free(f);
}

static void test_limits_of_the_sweep_limit_it(void **state)
{
    struct farm *f = farm_new();
    const struct demand *d;

    (void)state;
    submit(f, "few", 5000, "\"limits\":{\"parallel\":2}");
    d = look(f);
    near(d->backlog_s, 2 * 300.0);
    assert_int_equal(d->desired, 2);
    farm_ask(f, "pause", "{\"sweep\":\"few\"}");
    assert_int_equal(f->answer_code, STATUS_SUCCESS);
    d = look(f);
    near(d->jobs, 0.0);
    assert_int_equal(d->wanted, 0);
    farm_ask(f, "scaling", "{}");
    assert_non_null(strstr(f->answer, "\"desired_workers\":2"));
    farm_free(f);
}

static void test_a_worker_that_leaves_does_not_count(void **state)
{
    struct farm *f = farm_new();
    const struct demand *d;

    (void)state;
    submit(f, "leave", 3, "");
    farm_hello(f, 0, 1);
    farm_done(f, 0, "leave #1 base");
    d = look(f);
    assert_int_equal(d->busy, 1);
    farm_bye(f, 0);
    d = look(f);
    assert_int_equal(d->workers, 0);
    assert_int_equal(d->busy, 0);
    near(d->slots, 1.0); /* as the last one had */
    farm_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_formula),
        cmocka_unit_test(test_up_at_once_down_when_it_lasts),
        cmocka_unit_test(test_what_is_still_to_come_counts),
        cmocka_unit_test(test_limits_of_the_sweep_limit_it),
        cmocka_unit_test(test_a_worker_that_leaves_does_not_count),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
