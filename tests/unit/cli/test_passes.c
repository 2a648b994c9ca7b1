#include "tests/support/test.h"

#include <string.h>

#include "cli/passes.h"

static json_t *source(const char *url)
{
    return json_pack("{s:s}", "url", url);
}

/* Two families: one reads a (10 bytes) and b (30), one reads a and what
 * nobody could look at. */
static void test_passes_and_bytes_of_all_families(void **state)
{
    static const struct {
        struct passes_farm farm;
        uint64_t passes, bytes;
    } cases[] = {
        { { 1, 1000 }, 2, 50 }, /* all at once */
        { { 1, 0 }, 12, 360 },  /* nothing can be kept */
        { { 1, 30 }, 5, 170 },  /* two of 30 bytes, four of 10 */
        { { 4, 1000 }, 8, 200 }, { { 3, 30 }, 8, 230 },
    };
    struct plan_family families[] = {
        { 8, json_pack("[o, o]", source("a"), source("b")) },
        { 4, json_pack("[o, o]", source("a"), source("dark")) },
    };
    const struct plan_stage stage = { .sort = STAGE_LAZY,
                                      .families = families,
                                      .family_count = COUNT_OF(families) };
    const struct model_survey survey = {
        .sources = json_pack("{s:{s:i}, s:{s:i}, s:{s:s}}", "a", "bytes", 10,
                             "b", "bytes", 30, "dark", "error", "no answer"),
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct passes p = passes_of(&stage, &survey, &cases[i].farm);

        assert_int_equal(p.points, 12);
        assert_int_equal(p.passes, cases[i].passes);
        assert_int_equal(p.bytes, cases[i].bytes);
        assert_int_equal(p.bytes_alone, 8 * 40 + 4 * 10);
    }
    json_decref(survey.sources);
    for (size_t i = 0; i < COUNT_OF(families); i++)
        json_decref(families[i].sources);
}

static void test_other_stages_make_none(void **state)
{
    const struct plan_stage stage = { .sort = STAGE_VALUE, .runs = 3 };
    const struct model_survey survey = { .sources = NULL };
    const struct passes_farm farm = passes_farm_here();
    struct passes p = passes_of(&stage, &survey, &farm);

    (void)state;
    assert_int_equal(p.points, 0);
    assert_int_equal(p.passes, 0);
    assert_true(farm.slots > 0 && farm.keep > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_passes_and_bytes_of_all_families),
        cmocka_unit_test(test_other_stages_make_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
