#include "support/test.h"

#include "jobs/job_kind.h"
#include "support/fake_fixture.h"

extern const struct job_kind job_evaluate_noop;

static struct status run(struct fake_context *f, json_t *params,
                         json_t **ret_result)
{
    struct status s = job_evaluate_noop.run(params, &f->context, ret_result);

    json_decref(params);
    return s;
}

static void test_it_gives_its_number(void **state)
{
    json_t *result;

    assert_ok(run(*state, json_pack("{s:f, s:i}", "value", 2.5, "sleep", 1),
                  &result));
    assert_true(
        json_real_or(json_object_get(result, "metrics"), "value", 0.0) == 2.5);
    json_decref(result);
}

static void test_it_fails_as_told(void **state)
{
    json_t *result;

    assert_fails(
        run(*state, json_pack("{s:s}", "fail", "unavailable"), &result),
        STATUS_UNAVAILABLE, "told to fail");
    assert_fails(run(*state, json_pack("{s:s}", "fail", "nonsense"), &result),
                 STATUS_FAILED, "nonsense");
}

static void test_a_sleep_can_be_cancelled(void **state)
{
    struct fake_context *f = *state;
    json_t *result;

    f->cancel_at = 2;
    assert_fails(run(f, json_pack("{s:i}", "sleep", 3600 * 1000), &result),
                 STATUS_CANCELLED, NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_it_gives_its_number),
        TEST(test_it_fails_as_told),
        TEST(test_a_sleep_can_be_cancelled),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
