/* Which results keep their artifacts. */
#include "support/test.h"
#include "tests/sim/farm.h"

#include "broker/core/collect.h"
#include "common/memory.h"

#include <string.h>

enum { HOUR_MS = 3600 * 1000 };

static void submit(struct farm *f, const char *name, int points,
                   const char *extra)
{
    AUTO(free_pointer) char *document = farm_document(name, points, extra);

    farm_submit(f, document);
    assert_int_equal(f->answer_code, STATUS_SUCCESS);
}

static void finish_all(struct farm *f)
{
    while (f->workers[0].held_count > 0)
        farm_done(f, 0, f->workers[0].held[0].label);
}

static void order(struct farm *f, const char *verb, const char *arguments)
{
    farm_ask(f, verb, arguments);
    assert_int_equal(f->answer_code, STATUS_SUCCESS);
}

static struct farm *farm_with_a_result(void)
{
    struct farm *f = farm_new();

    farm_hello(f, 0, 4);
    submit(f, "one", 2, "");
    finish_all(f);
    farm_advance(f, HOUR_MS);
    return f;
}

static void test_a_removed_sweep_lets_go_of_its_artifacts(void **state)
{
    struct farm *f = farm_with_a_result();

    (void)state;
    assert_int_equal(farm_collect(f, 1000, false), 0);
    order(f, "rm", "{\"sweep\":\"one\"}");
    assert_int_equal(farm_collect(f, 2 * HOUR_MS, false), 0); /* too young */
    assert_int_equal(farm_collect(f, 1000, false), 1);
    assert_int_equal(farm_collect(f, 1000, true), 1);
    assert_int_equal(farm_collect(f, 1000, true), 0);
    sched_check(f->sched);
    farm_restart(f);
    sched_check(f->sched);
    assert_int_equal(farm_collect(f, 1000, false), 0);
    farm_heartbeat(f, 0);
    farm_forget(f);
    /* What needs it computes it again; what was only numbers is known. */
    submit(f, "one", 2, "");
    assert_int_equal(farm_count(f, "one", "jobs.known"), 2);
    assert_int_equal(f->workers[0].held_count, 1);
    assert_string_equal(f->workers[0].held[0].label, "one #1 base");
    finish_all(f);
    assert_int_equal(farm_count(f, "one", "done"), 2);
    farm_advance(f, HOUR_MS);
    assert_int_equal(farm_collect(f, 1000, false), 0);
    farm_restart(f);
    sched_check(f->sched);
    assert_int_equal(farm_collect(f, 1000, false), 0);
    farm_free(f);
}

static void test_another_sweep_keeps_them(void **state)
{
    struct farm *f = farm_with_a_result();

    (void)state;
    submit(f, "two", 5, "");
    order(f, "rm", "{\"sweep\":\"one\"}");
    assert_int_equal(farm_collect(f, 1000, true), 0);
    finish_all(f);
    assert_int_equal(farm_count(f, "two", "jobs.known"), 3);
    farm_free(f);
}

/* Sweeps that come, grow and go while it marks. */
static void test_changes_while_it_marks(void **state)
{
    struct farm *f = farm_with_a_result();
    struct collect *c;

    (void)state;
    submit(f, "two", 6, "");
    finish_all(f);
    farm_advance(f, HOUR_MS);
    c = collect_new(f->sched, INT64_MAX);
    assert_false(collect_mark(c, 1));
    order(f, "rm", "{\"sweep\":\"one\"}");
    assert_false(collect_mark(c, 3));
    order(f, "rm", "{\"sweep\":\"two\"}");
    submit(f, "three", 1, "");
    while (!collect_mark(c, 1))
        continue;
    collect_free(c);
    assert_int_equal(farm_collect(f, 1000, true), 0);
    farm_free(f);
}

/* An export was fetched when it was made: by and by it goes by itself. */
static void test_old_exports_go(void **state)
{
    struct farm *f = farm_new();

    (void)state;
    farm_hello(f, 0, 4);
    submit(f, "one-export", 1, "\"hidden\":true");
    assert_int_equal(farm_collect(f, 0, true), 0); /* it runs */
    finish_all(f);
    farm_advance(f, HOUR_MS);
    assert_int_equal(farm_collect(f, 2 * HOUR_MS, true), 0);
    assert_int_equal(farm_collect(f, 1000, true), 1);
    assert_int_equal(sched_stats(f->sched).sweeps, 0);
    farm_restart(f);
    assert_int_equal(sched_stats(f->sched).sweeps, 0);
    farm_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_removed_sweep_lets_go_of_its_artifacts),
        cmocka_unit_test(test_another_sweep_keeps_them),
        cmocka_unit_test(test_changes_while_it_marks),
        cmocka_unit_test(test_old_exports_go),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
