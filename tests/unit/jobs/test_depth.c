#include "support/test.h"

#include "common/memory.h"
#include "jobs/merge/depth.h"

static json_t *parse(const char *text)
{
    json_t *json;

    assert_ok(json_parse(text, strlen(text), "value", &json));
    return json;
}

/* Of a scalar too. */
static json_t *parse_any(const char *text)
{
    AUTO(free_pointer) char *list = xasprintf("[%s]", text);
    json_t *json = parse(list);
    json_t *only = json_incref(json_array_get(json, 0));

    json_decref(json);
    return only;
}

static double at(const char *text, const char *tensor, double t)
{
    const struct depth_place place = { .tensor = tensor, .t = t };
    json_t *json = parse(text);
    double number = -1.0;

    assert_true(depth_at(json, place, &number));
    json_decref(json);
    return number;
}

static bool fits(const char *text, const char *tensor)
{
    const struct depth_place place = { .tensor = tensor };
    json_t *json = parse(text);
    double number;
    bool found = depth_at(json, place, &number);

    json_decref(json);
    return found;
}

static void test_a_number_is_itself_everywhere(void **state)
{
    json_t *json = json_real(0.25);
    double number = 0.0;

    (void)state;
    assert_true(depth_at(json, depth_place("x", 3), &number));
    assert_true(number == 0.25);
    json_decref(json);
    assert_true(at("[0.5]", "x", 0.7) == 0.5);
}

static void test_a_list_is_linear_over_depth(void **state)
{
    (void)state;
    assert_true(at("[1, 3]", "x", 0.0) == 1.0);
    assert_true(at("[1, 3]", "x", 0.25) == 1.5);
    assert_true(at("[1, 3]", "x", 1.0) == 3.0);
    assert_true(at("[0, 1, 0]", "x", 0.5) == 1.0);
    assert_true(at("[0, 1, 0]", "x", 0.75) == 0.5);
}

static void test_the_first_filter_that_fits_counts(void **state)
{
    const char *value = "[{\"filter\": \"mlp\", \"value\": [0, 1]},"
                        " {\"filter\": \"attn\", \"value\": 0.5},"
                        " {\"value\": 0.75}]";

    (void)state;
    assert_true(at(value, "model.layers.3.mlp.up", 0.5) == 0.5);
    assert_true(at(value, "model.layers.3.self_attn.q", 0.1) == 0.5);
    assert_true(at(value, "model.norm", 0.0) == 0.75);
    assert_true(at("[{\"filter\": \"*\", \"value\": 2}]", "x", 0) == 2.0);
    assert_false(fits("[{\"filter\": \"mlp\", \"value\": 2}]", "model.norm"));
}

static void test_a_list_of_flags_is_a_row_of_steps(void **state)
{
    static const struct {
        const char *text;
        double t;
        bool flag;
    } rows[] = {
        { "true", 0.5, true },
        { "[true, false]", 0.0, true },
        { "[true, false]", 0.99, true },
        { "[true, false]", 1.0, false },
        { "[{\"filter\": \"y\", \"value\": true}, {\"value\": false}]", 0.0,
          false },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const struct depth_place place = { .tensor = "x", .t = rows[i].t };
        json_t *json = parse_any(rows[i].text);
        bool flag = !rows[i].flag;

        assert_true(depth_flag_at(json, place, &flag));
        assert_int_equal(flag, rows[i].flag);
        json_decref(json);
    }
}

/* What comes out as canonical text. */
static void assert_chain(const char *first, const char *second,
                         const char *expected)
{
    json_t *a = first == NULL ? NULL : parse_any(first);
    json_t *b = second == NULL ? NULL : parse_any(second);
    json_t *both = depth_chain(a, b);
    json_t *list = json_pack("[O]", both);
    AUTO(free_pointer) char *text = json_canonical(list);
    AUTO(free_pointer) char *wanted = xasprintf("[%s]", expected);

    assert_string_equal(text, wanted);
    json_decref(list);
    json_decref(both);
    json_decref(a);
    json_decref(b);
}

#define FILTER(filter, value) "{\"filter\":\"" filter "\",\"value\":" value "}"

static void test_levels_are_chained_where_filters_end(void **state)
{
    (void)state;
    assert_chain("0.5", "0.7", "0.5");
    assert_chain(NULL, "[0,1]", "[0,1]");
    assert_chain("[0.25]", NULL, "0.25");
    assert_chain("[" FILTER("mlp", "1") "]", "[0,1]",
                 "[" FILTER("mlp", "1") ",{\"value\":[0,1]}]");
    assert_chain("[" FILTER("mlp", "1") ",{\"value\":2}]", "3",
                 "[" FILTER("mlp", "1") ",{\"value\":2}]");
    assert_chain("[" FILTER("*", "1") "," FILTER("mlp", "2") "]", "3", "1");
    assert_chain("[" FILTER("a", "[4]") "]", "[" FILTER("b", "5") "]",
                 "[" FILTER("a", "4") "," FILTER("b", "5") "]");
}

static void test_layers_are_read_off_the_names(void **state)
{
    static const struct tensor items[] = {
        { .name = "h.10.mlp" },
        { .name = "model.layers.0.x" },
        { .name = "model.layers.4.x" },
        { .name = "norm" },
    };
    const struct tensor_set set = { COUNT_OF(items), items };

    (void)state;
    assert_int_equal(depth_layers(&set), 11);
    assert_true(depth_place("model.layers.4.x", 5).t == 1.0);
    assert_true(depth_place("model.layers.1.x", 5).t == 0.25);
    assert_true(depth_place("transformer.h.2.x", 5).t == 0.5);
    assert_true(depth_place("model.layers.0.x", 1).t == 1.0);
    assert_true(depth_place("lm_head.weight", 5).t == 0.0);
    assert_true(depth_place("path.4.x", 5).t == 0.0);
    assert_true(depth_place("mylayers.4.x", 5).t == 0.0);
    assert_true(depth_place("layers.x", 5).t == 0.0);
    assert_true(depth_place("transformer.blocks.4.x", 5).t == 1.0);
}

struct seen {
    size_t numbers;
    double sum;
    char path[64];
};

static bool see(void *self, const char *path, const json_t *value)
{
    struct seen *seen = self;

    seen->numbers++;
    seen->sum += json_number_value(value);
    if (json_is_number(value))
        return json_number_value(value) >= 0.0;
    (void)snprintf(seen->path, sizeof seen->path, "wrong at %s", path);
    return false;
}

static void wrong(void *self, const char *path, const char *why)
{
    struct seen *seen = self;

    (void)why;
    (void)snprintf(seen->path, sizeof seen->path, "wrong at %s", path);
}

static bool visit(const char *text, struct seen *seen)
{
    const struct depth_visitor visitor = {
        .self = seen, .open = true, .scalar = see, .wrong = wrong
    };
    json_t *json = parse(text);
    bool fine;

    *seen = (struct seen){ .numbers = 0 };
    fine = depth_visit(json, &visitor);
    json_decref(json);
    return fine;
}

static void test_every_number_is_visited_and_references_are_not(void **state)
{
    struct seen seen;

    (void)state;
    assert_true(visit("[1, {\"$param\": \"w\"}, 2]", &seen));
    assert_true(seen.sum == 3.0);
    assert_true(visit("[{\"$param\": \"a\"}, {\"$param\": \"b\"}]", &seen));
    assert_int_equal(seen.numbers, 0);
    assert_true(visit("[{\"filter\": \"a\", \"value\": [1, 2]},"
                      " {\"filter\": null, \"value\": 4}]",
                      &seen));
    assert_true(seen.sum == 7.0);
    assert_false(visit("[1, -1, 5]", &seen));
    assert_int_equal(seen.numbers, 2);
}

static void test_a_wrong_form_is_told_with_its_place(void **state)
{
    struct seen seen;

    (void)state;
    assert_false(visit("[]", &seen));
    assert_string_equal(seen.path, "wrong at ");
    assert_false(visit("[1, \"a\"]", &seen));
    assert_string_equal(seen.path, "wrong at /1");
    assert_false(visit("[{\"filter\": \"a\"}]", &seen));
    assert_string_equal(seen.path, "wrong at /0");
    assert_false(visit("[{\"filter\": \"a\", \"value\": {}}]", &seen));
    assert_string_equal(seen.path, "wrong at /0/value");
    assert_false(visit("[{\"filter\": \"a\", \"value\": 1}, 2]", &seen));
    assert_string_equal(seen.path, "wrong at /1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_number_is_itself_everywhere),
        cmocka_unit_test(test_a_list_is_linear_over_depth),
        cmocka_unit_test(test_the_first_filter_that_fits_counts),
        cmocka_unit_test(test_a_list_of_flags_is_a_row_of_steps),
        cmocka_unit_test(test_levels_are_chained_where_filters_end),
        cmocka_unit_test(test_layers_are_read_off_the_names),
        cmocka_unit_test(test_every_number_is_visited_and_references_are_not),
        cmocka_unit_test(test_a_wrong_form_is_told_with_its_place),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
