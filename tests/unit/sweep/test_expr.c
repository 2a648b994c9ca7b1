#include "tests/support/test.h"

#include "common/json.h"
#include "sweep/expr.h"

#include <math.h>
#include <string.h>

/* The world of these tests. */
static const char world[] =
    "{\"a\": 2, \"b\": 3.5, \"on\": true, \"off\": false, \"method\": "
    "\"ties\", \"list\": [1], \"copy.accuracy\": 0.5, \"big\": 1e308}";

struct scope {
    json_t *values;
    const char *names[16];
    size_t count;
};

static int find(const void *self, const char *name)
{
    const struct scope *s = self;

    for (size_t i = 0; i < s->count; i++) {
        if (strcmp(s->names[i], name) == 0)
            return (int)i;
    }
    return EXPR_UNBOUND;
}

static struct expr_value value(const void *self, int slot)
{
    const struct scope *s = self;

    return expr_value_of(json_object_get(s->values, s->names[slot]));
}

static void open_scope(struct scope *s)
{
    const char *name;
    json_t *v;

    *s = (struct scope){ 0 };
    assert_ok(json_parse(world, strlen(world), "world", &s->values));
    json_object_foreach(s->values, name, v)
    {
        (void)v;
        s->names[s->count++] = name;
    }
    s->names[s->count++] = "gone"; /* declared, without a value */
}

struct row {
    const char *text;
    enum expr_type type;
    double number;
};

static const struct row rows[] = {
    { "1", EXPR_NUMBER, 1.0 },
    { "010", EXPR_NUMBER, 10.0 },
    { "1e-5", EXPR_NUMBER, 1e-5 },
    { ".5", EXPR_NUMBER, 0.5 },
    { "1 - 0.9", EXPR_NUMBER, 1 - 0.9 },
    { "1 + 2 * 3", EXPR_NUMBER, 7.0 },
    { "(1 + 2) * 3", EXPR_NUMBER, 9.0 },
    { "10 - 4 - 3", EXPR_NUMBER, 3.0 },
    { "16 / 4 / 2", EXPR_NUMBER, 2.0 },
    { "2 ^ 3 ^ 2", EXPR_NUMBER, 512.0 },
    { "-2 ^ 2", EXPR_NUMBER, -4.0 },
    { "2 ^ -1", EXPR_NUMBER, 0.5 },
    { "--a", EXPR_NUMBER, 2.0 },
    { "+a", EXPR_NUMBER, 2.0 },
    { "a * b", EXPR_NUMBER, 7.0 },
    { "copy.accuracy * 2", EXPR_NUMBER, 1.0 },
    { "min(3, a, 9)", EXPR_NUMBER, 2.0 },
    { "max(3, a, 9)", EXPR_NUMBER, 9.0 },
    { "min(4)", EXPR_NUMBER, 4.0 },
    { "abs(-3)", EXPR_NUMBER, 3.0 },
    { "log(exp(2))", EXPR_NUMBER, 2.0 },
    { "sqrt(16)", EXPR_NUMBER, 4.0 },
    { "round(2.5) + round(-2.5)", EXPR_NUMBER, 1.0 },
    { "floor(2.9) + ceil(2.1)", EXPR_NUMBER, 5.0 },
    { "if(a > 1, 10, gone)", EXPR_NUMBER, 10.0 },
    { "if(off, 10, 20)", EXPR_NUMBER, 20.0 },
    { "1 / 0", EXPR_NUMBER, (double)INFINITY },
    { "a < b", EXPR_BOOL, 1.0 },
    { "a >= b", EXPR_BOOL, 0.0 },
    { "a <= 2", EXPR_BOOL, 1.0 },
    { "a == 2.0", EXPR_BOOL, 1.0 },
    { "a != 2", EXPR_BOOL, 0.0 },
    { "true", EXPR_BOOL, 1.0 },
    { "not off", EXPR_BOOL, 1.0 },
    { "not not on", EXPR_BOOL, 1.0 },
    { "not a == 2 or on", EXPR_BOOL, 1.0 },
    { "on and off or on", EXPR_BOOL, 1.0 },
    { "on and (off or off)", EXPR_BOOL, 0.0 },
    { "method == ties", EXPR_BOOL, 1.0 },
    { "method != \"ties\"", EXPR_BOOL, 0.0 },
    { "'a b' == method", EXPR_BOOL, 0.0 },
    { "method in [dare_ties, ties]", EXPR_BOOL, 1.0 },
    { "method not in [dare_ties, 'ties']", EXPR_BOOL, 0.0 },
    { "a in [1, 2, 3]", EXPR_BOOL, 1.0 },
    { "a in []", EXPR_BOOL, 0.0 },
    { "method == 2", EXPR_BOOL, 0.0 },
    { "on == 1", EXPR_BOOL, 1.0 },
    { "gone", EXPR_ABSENT, 0.0 },
    { "gone + 1 > 2", EXPR_ABSENT, 0.0 },
    { "gone == ties", EXPR_ABSENT, 0.0 },
    { "on or gone", EXPR_BOOL, 1.0 },
    { "gone or on", EXPR_BOOL, 1.0 },
    { "gone and off", EXPR_BOOL, 0.0 },
    { "gone and on", EXPR_ABSENT, 0.0 },
    { "method + 1", EXPR_WRONG, 0.0 },
    { "a < method", EXPR_WRONG, 0.0 },
    { "not method", EXPR_WRONG, 0.0 },
    { "list == 1", EXPR_WRONG, 0.0 },
};

static void test_every_expression_has_its_value(void **state)
{
    struct scope s;

    (void)state;
    open_scope(&s);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct expr *e = NULL;
        struct expr_value v;

        assert_ok(expr_parse(rows[i].text, &e, NULL));
        assert_ok(expr_bind_all(e, find, &s));
        v = expr_eval(e, (struct expr_scope){ .value = value, .self = &s });
        if (v.type != rows[i].type)
            fail_msg("%s: type %d, not %d", rows[i].text, v.type, rows[i].type);
        if ((v.type == EXPR_NUMBER || v.type == EXPR_BOOL) &&
            v.number != rows[i].number)
            fail_msg("%s = %.17g", rows[i].text, v.number);
        expr_free(e);
    }
    json_decref(s.values);
}

struct bad {
    const char *text;
    uint32_t column, length;
    const char *words;
};

static const struct bad bads[] = {
    { "", 1, 1, "ends where a value" },
    { "1 +", 4, 1, "ends where a value" },
    { "(1", 3, 1, "ends where `)`" },
    { "1 2", 3, 1, "an operator belongs here" },
    { "a = 2", 3, 1, "write ==" },
    { "a && b", 3, 2, "write `and`" },
    { "a ** 2", 3, 2, "write ^" },
    { "a < b < c", 7, 1, "do not chain" },
    { "a in (1)", 6, 1, "a list such as" },
    { "a not 1", 7, 1, "`in`" },
    { "sin(a)", 1, 3, "no function `sin`" },
    { "if(a, 1)", 1, 8, "takes 3 values" },
    { "abs()", 1, 5, "takes 1 value" },
    { "'open", 1, 1, "never closed" },
    { "$a", 1, 2, "without $" },
    { "0x10", 1, 2, "decimal" },
    { "2x", 1, 2, "neither a number nor a name" },
    { "a and", 6, 1, "ends where a value" },
    { "a or and", 6, 3, "a value belongs here" },
    { "[1]", 1, 1, "a value belongs here" },
};

static void test_every_mistake_has_its_place(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(bads); i++) {
        struct expr *e = NULL;
        struct expr_place place = { 0 };

        assert_fails(expr_parse(bads[i].text, &e, &place), STATUS_INVALID,
                     bads[i].words);
        if (place.column != bads[i].column || place.length != bads[i].length)
            fail_msg("%s: %u+%u", bads[i].text, place.column, place.length);
    }
}

static void test_deep_or_long_expressions_are_refused(void **state)
{
    char deep[512];
    char *chain = calloc(1, 10000);
    struct expr *e = NULL;

    (void)state;
    memset(deep, '(', sizeof deep - 1);
    deep[sizeof deep - 1] = '\0';
    assert_fails(expr_parse(deep, &e, NULL), STATUS_INVALID, "too deeply");
    memset(deep, '-', sizeof deep - 1);
    assert_fails(expr_parse(deep, &e, NULL), STATUS_INVALID, "too deeply");
    for (size_t i = 0; i < 4000; i += 2) {
        chain[i] = '1';
        chain[i + 1] = '+';
    }
    chain[4000] = '1';
    assert_fails(expr_parse(chain, &e, NULL), STATUS_TOO_BIG, "1024 parts");
    free(chain);
}

static void test_unknown_names_are_refused_when_bound(void **state)
{
    static const char *const texts[] = { "nobody + 1", "nobody == nothing",
                                         "a > nobody" };
    struct scope s;

    (void)state;
    open_scope(&s);
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        struct expr *e = NULL;

        assert_ok(expr_parse(texts[i], &e, NULL));
        assert_fails(expr_bind_all(e, find, &s), STATUS_INVALID,
                     "`nobody` is not declared");
        expr_free(e);
    }
    json_decref(s.values);
}

static void test_names_say_what_they_are_compared_with(void **state)
{
    struct expr *e = NULL;

    (void)state;
    assert_ok(expr_parse("method in [ties] and lr > 1", &e, NULL));
    assert_int_equal(expr_name_count(e), 3);
    assert_string_equal(expr_name(e, 1).text, "ties");
    assert_string_equal(expr_name(e, 1).against, "method");
    assert_true(expr_name(e, 1).word);
    assert_int_equal(expr_name(e, 1).place.column, 12);
    assert_false(expr_name(e, 2).word);
    expr_free(e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_expression_has_its_value),
        cmocka_unit_test(test_every_mistake_has_its_place),
        cmocka_unit_test(test_deep_or_long_expressions_are_refused),
        cmocka_unit_test(test_unknown_names_are_refused_when_bound),
        cmocka_unit_test(test_names_say_what_they_are_compared_with),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
