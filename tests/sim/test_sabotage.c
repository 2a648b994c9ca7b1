/* Each invariant is found broken in a world that breaks it: a check that could
 * not fail would prove nothing. */
#include "support/test.h"

#include "tests/sim/world/families.h"
#include "tests/sim/world/sabotage.h"
#include "tests/sim/world/universe.h"

#include <string.h>

enum { SEEDS_MOST = 60 };

static uint64_t family_number(const char *name)
{
    uint64_t i = 0;

    while (i < family_count && strcmp(families[i].name, name) != 0)
        i++;
    assert_true(i < family_count);
    return i;
}

static bool is_noticed(const struct sabotage *s)
{
    uint64_t number = family_number(s->family);

    for (uint64_t i = 0; i < SEEDS_MOST; i++) {
        struct universe_verdict v = universe_run(number + i * family_count, s);

        if (v.broken[s->expects] > 0)
            return true;
    }
    return false;
}

static void test_each_broken_rule_is_noticed(void **state)
{
    (void)state;
    for (size_t i = 0; i < sabotage_count; i++)
        if (!is_noticed(&sabotages[i]))
            fail_msg("%s: nobody noticed (%s)", sabotages[i].what,
                     invariant_name(sabotages[i].expects));
}

static void test_each_invariant_has_a_row(void **state)
{
    bool has[INVARIANT_COUNT] = { false };

    (void)state;
    for (size_t i = 0; i < sabotage_count; i++)
        has[sabotages[i].expects] = true;
    for (int i = 0; i < INVARIANT_COUNT; i++)
        if (!has[i])
            fail_msg("nothing proves that %s can be found broken",
                     invariant_name((enum invariant)i));
}

/* Chance, memory and order of maps: nothing comes from outside. */
static void test_a_seed_is_a_story(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 2 * family_count; seed++) {
        struct universe_verdict a = universe_run(seed, NULL);
        struct universe_verdict b = universe_run(seed, NULL);

        assert_int_equal(a.events, b.events);
        assert_int_equal(a.ends, b.ends);
        assert_string_equal(a.story, "");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_invariant_has_a_row),
        cmocka_unit_test(test_each_broken_rule_is_noticed),
        cmocka_unit_test(test_a_seed_is_a_story),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
