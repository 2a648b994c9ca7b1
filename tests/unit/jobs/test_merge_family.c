#include "support/test.h"

#include "common/memory.h"
#include "jobs/merge_family.h"

#include <string.h>

static json_t *parse(const char *text)
{
    json_t *json = NULL;

    assert_ok(json_parse(text, strlen(text), "a body", &json));
    return json;
}

/* Of models, slices and the merge; not inside models that are merges. */
static void test_numbers_at_all_levels_are_left_out(void **state)
{
    static const char form[] =
        "{\"merge_method\": \"dare_linear\", \"base_model\": \"b\", \"seed\": "
        "1,"
        " \"models\": [{\"model\": {\"$recipe\": {\"kind\": \"merge\", "
        "\"params\": {\"parameters\": {\"lambda\": %d}}}},"
        "   \"parameters\": {\"weight\": %d, \"density\": [0.1, 0.%d]}}],"
        " \"slices\": [{\"sources\": [{\"parameters\": {\"weight\": %d}}]}],"
        " \"parameters\": {\"lambda\": %d, \"rescale_rule\": \"paper\"}}";
    struct digest families[3];

    (void)state;
    for (int i = 0; i < 3; i++) {
        AUTO(free_pointer)
        char *text = xasprintf(form, i == 2, 1 + i, 1 + i, 1 + i, 1 + i);
        AUTO(json_release) json_t *params = parse(text);

        families[i] = merge_family_of(params);
    }
    assert_true(digest_equal(&families[0], &families[1]));
    assert_false(digest_equal(&families[0], &families[2]));
}

static void test_an_unknown_method_is_a_family_by_itself(void **state)
{
    AUTO(json_release)
    json_t *one = parse("{\"merge_method\": \"none\", \"parameters\": "
                        "{\"lambda\": 1}}");
    AUTO(json_release)
    json_t *two = parse("{\"merge_method\": \"none\", \"parameters\": "
                        "{\"lambda\": 2}}");
    struct digest a = merge_family_of(one);
    struct digest b = merge_family_of(two);

    (void)state;
    assert_false(digest_equal(&a, &b));
}

static void test_only_fusable_numbers_leave_the_family_the_same(void **state)
{
    static const char form[] =
        "{\"merge_method\": \"%s\", \"seed\": %d, \"models\": [{\"model\": "
        "\"%s\", \"parameters\": {\"weight\": %s, \"density\": 0.5}}],"
        " \"parameters\": {\"lambda\": %s}}";
    static const struct {
        const char *method;
        int seed;
        const char *model, *weight, *lambda;
        bool same;
    } cases[] = {
        { "dare_linear", 1, "a", "1.0", "0.5", true },
        { "dare_linear", 1, "a", "0.3", "\"bad\"", true },
        { "dare_linear", 1, "a", "[0.1, 0.2]", "7", true },
        { "dare_linear", 2, "a", "1.0", "0.5", false },
        { "dare_linear", 1, "b", "1.0", "0.5", false },
        { "ties", 1, "a", "1.0", "0.5", false },
    };
    struct digest first;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        AUTO(free_pointer)
        char *text =
            xasprintf(form, cases[i].method, cases[i].seed, cases[i].model,
                      cases[i].weight, cases[i].lambda);
        AUTO(json_release) json_t *params = parse(text);
        AUTO(json_release) json_t *copy = json_deep_copy(params);
        struct digest family = merge_family_of(params);

        if (i == 0)
            first = family;
        assert_int_equal(digest_equal(&family, &first), cases[i].same);
        assert_true(json_equal(params, copy));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers_at_all_levels_are_left_out),
        cmocka_unit_test(test_an_unknown_method_is_a_family_by_itself),
        cmocka_unit_test(test_only_fusable_numbers_leave_the_family_the_same),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
