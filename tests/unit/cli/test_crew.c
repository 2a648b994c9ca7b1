#include "cli/crew.h"
#include "common/memory.h"
#include "support/test.h"

static const uint64_t gib = UINT64_C(1) << 30;
static const struct crew_machine machine = { .processors = 8,
                                             .memory = UINT64_C(32) << 30 };

static void test_workers_share_the_machine(void **state)
{
    const struct crew_machine unknown = { .processors = 2, .memory = 0 };

    (void)state;
    assert_int_equal(crew_memory(&machine, 4), 8 * gib);
    assert_int_equal(crew_keep(&machine, 4), 4 * gib);
    assert_int_equal(crew_cpus(&machine, 4), 2);
    assert_int_equal(crew_cpus(&machine, 3), 2);
    assert_int_equal(crew_cpus(&machine, 100), 1);
    assert_int_equal(crew_memory(&machine, 0), 32 * gib);
    assert_int_equal(crew_keep(&unknown, 2), 0);
    for (size_t n = 1; n < 20; n++) {
        assert_true(n * crew_memory(&machine, n) <= machine.memory);
        assert_true(2 * n * crew_keep(&machine, n) <= machine.memory);
    }
}

/* Of a stage that asks for that; what is 0 is not said. */
static struct status choose(int cpus, uint64_t memory, size_t workers,
                            struct crew *ret_crew)
{
    const struct crew wanted = { workers, 1 };
    AUTO(json_release)
    json_t *document =
        json_pack("{s:[{s:i, s:I}], s:[{s:s, s:I}]}", "stages", "cpus", cpus,
                  "memory", (json_int_t)(memory / 2), "evaluate", "name",
                  "text", "memory", (json_int_t)memory);

    return crew_choose(&machine, document, &wanted, ret_crew);
}

static void test_as_many_workers_as_jobs_leave_room_for(void **state)
{
    static const struct {
        int cpus;
        uint64_t gib;
        size_t workers, slots;
    } rows[] = {
        { 0, 0, 8, 1 }, { 1, 4, 8, 1 }, { 2, 4, 4, 2 },  { 3, 0, 2, 3 },
        { 8, 0, 1, 8 }, { 0, 5, 6, 1 }, { 0, 20, 1, 1 }, { 0, 32, 1, 1 },
    };
    struct crew c;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        assert_ok(choose(rows[i].cpus, rows[i].gib * gib, 0, &c));
        assert_int_equal(c.workers, rows[i].workers);
        assert_int_equal(c.slots, rows[i].slots);
    }
}

static void test_a_crew_that_cannot_run_the_jobs_is_refused(void **state)
{
    struct crew c;

    (void)state;
    assert_ok(choose(2, 8 * gib, 4, &c));
    assert_int_equal(c.workers, 4);
    assert_fails(choose(9, 0, 0, &c), STATUS_INVALID,
                 "a job asks for 9, and this machine grants 8");
    assert_fails(choose(4, 0, 3, &c), STATUS_INVALID, "take --workers 2");
    assert_fails(choose(1, 9 * gib, 4, &c), STATUS_INVALID, "take --workers 3");
    assert_fails(
        choose(1, 33 * gib, 4, &c), STATUS_INVALID,
        "text asks for 33792 MiB of memory, and this machine grants 32768");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_workers_share_the_machine),
        cmocka_unit_test(test_as_many_workers_as_jobs_leave_room_for),
        cmocka_unit_test(test_a_crew_that_cannot_run_the_jobs_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
