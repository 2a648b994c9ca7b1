#include "support/test.h"

#include "cli/outputs.h"

#include <string.h>

static struct status read_outputs(const char *keep, int count, const char *to,
                                  struct outputs *ret_outputs)
{
    AUTO(json_release)
    json_t *document =
        json_pack("{s:s, s:{s:s*, s:i, s:s*}}", "name", "demo", "outputs",
                  "keep", keep, "count", count, "to", to);

    return outputs_read(document, ret_outputs);
}

static void test_directories_follow_the_name_and_the_wish(void **state)
{
    static const struct {
        const char *keep;
        int wish;
        const char *to, *first;
        size_t count;
    } rows[] = {
        { NULL, 0, NULL, NULL, 0 },
        { "none", 0, "x", NULL, 0 },
        { "best", 0, NULL, "demo-best", 1 },
        { "best", 0, "file:///models/${sweep}", "/models/demo", 1 },
        { "top", 3, NULL, "demo-top-1", 3 },
        { "top", 2, "out", "out/1", 2 },
        { "top", 2, "out-${rank}", "out-1", 2 },
        { "all", 0, NULL, "demo-top-1", 1000 },
    };
    struct outputs o;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        assert_ok(read_outputs(rows[i].keep, rows[i].wish, rows[i].to, &o));
        assert_int_equal(o.count, rows[i].count);
        if (rows[i].count > 0)
            assert_string_equal(o.directories[0], rows[i].first);
        outputs_release(&o);
    }
}

static void test_what_cannot_be_kept_is_said(void **state)
{
    struct outputs o;

    (void)state;
    assert_fails(read_outputs("pareto", 0, NULL, &o), STATUS_INVALID, "top N");
    assert_fails(read_outputs("top", 0, NULL, &o), STATUS_INVALID, "1 to 1000");
    assert_fails(read_outputs("best", 0, "s3://lab/x", &o), STATUS_INVALID,
                 "s3://lab/x");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_directories_follow_the_name_and_the_wish),
        cmocka_unit_test(test_what_cannot_be_kept_is_said),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
