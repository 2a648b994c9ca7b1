#include "support/test.h"

#include "cli/verify.h"

#include <string.h>

static json_t *json(const char *text)
{
    char copy[2048];
    json_t *value;

    (void)snprintf(copy, sizeof copy, "%s", text);
    for (char *c = copy; *c != '\0'; c++)
        *c = *c == '\'' ? '"' : *c;
    assert_ok(json_parse(copy, strlen(copy), "test", &value));
    return value;
}

/* "stage what verdict" of every row, one a line. */
static void rows_text(const json_t *rows, char *text, size_t size)
{
    size_t used = 0;

    text[0] = '\0';
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);

        used += (size_t)snprintf(text + used, size - used, "%s %s %s\n",
                                 json_text_or(row, "stage", "?"),
                                 json_text_or(row, "what", "?"),
                                 json_text_or(row, "verdict", "?"));
    }
}

static void assert_rows(const char *trial, const char *again,
                        const char *digest, const char *wanted)
{
    json_t *was = json(trial), *is = json(again);
    json_t *rows = verify_compare(was, is, digest);
    char text[1024];

    rows_text(rows, text, sizeof text);
    assert_string_equal(text, wanted);
    json_decref(rows);
    json_decref(was);
    json_decref(is);
}

static const char trial[] =
    "{'jobs':[{'stage':'base','state':'done','result':{'artifact':'aa',"
    "'metrics':{'loss':1.5}}},{'stage':'rev','state':'done','result':"
    "{'metrics':{'accuracy':1,'loss':0.25},'scores':{'items':'101'},"
    "'seconds':3}}]}";

static void test_equal_results_are_the_same(void **state)
{
    (void)state;
    assert_rows(trial,
                "{'jobs':[{'result':{'artifact':'aa'}},{'result':{'stage':"
                "'base','result':{'artifact':'aa','metrics':{'loss':1.5}}}},"
                "{'result':{'stage':'rev','result':{'metrics':{'loss':0.25,"
                "'accuracy':1.0},'scores':{'items':'101'},'seconds':4}}}]}",
                NULL,
                "base artifact same\nbase loss same\nrev accuracy same\n"
                "rev loss same\nrev scores same\n");
}

static void test_every_difference_is_shown(void **state)
{
    (void)state;
    assert_rows(trial,
                "{'jobs':[{'result':{'stage':'base','result':{'artifact':'ab',"
                "'metrics':{'loss':1.5000000000000002}}}},{'result':{'stage':"
                "'rev','result':{'metrics':{'accuracy':1,'more':2},'scores':"
                "{'items':'100'}}}}]}",
                NULL,
                "base artifact differs\nbase loss differs\nrev accuracy same\n"
                "rev loss differs\nrev more new\nrev scores differs\n");
}

static void test_a_model_is_compared_if_its_digest_is_known(void **state)
{
    static const char again[] =
        "{'jobs':[{'result':{'stage':'mix','result':{'model_digest':'aa'}}}]}";

    (void)state;
    assert_rows(trial, again, NULL, "mix model_digest new\n");
    assert_rows(trial, again, "aa", "mix model_digest same\n");
    assert_rows(trial, again, "ab", "mix model_digest differs\n");
}

static void test_what_is_done_and_a_lazy_end_are_verified(void **state)
{
    json_t *t = json("{'jobs':[{'stage':'base','state':'done'},{'stage':'rev',"
                     "'state':'failed'}]}");
    json_t *lazy = json("{'stages':[{'name':'base','sort':'artifact'},"
                        "{'name':'mix','sort':'lazy'}]}");
    json_t *bare = json("{}");
    json_t *names = verify_names(t, lazy, NULL);

    (void)state;
    assert_int_equal(json_array_size(names), 2);
    assert_string_equal(json_string_value(json_array_get(names, 0)), "base");
    assert_string_equal(json_string_value(json_array_get(names, 1)), "mix");
    json_decref(names);
    names = verify_names(t, lazy, "mix");
    assert_int_equal(json_array_size(names), 1);
    json_decref(names);
    names = verify_names(t, bare, "mix");
    assert_int_equal(json_array_size(names), 0);
    json_decref(names);
    json_decref(bare);
    json_decref(lazy);
    json_decref(t);
}

static void test_the_digest_is_that_of_the_same_values(void **state)
{
    json_t *ours = json("{'parameters':[{'name':'a','values':[1]}],'stages':"
                        "[{'name':'mix'}]}");
    json_t *same = json("{'parameters':[{'name':'a','values':[1]}],'stages':"
                        "[{'name':'mix'},{'name':'export'}]}");
    json_t *other = json("{'parameters':[{'name':'a','values':[2]}],'stages':"
                         "[{'name':'mix'},{'name':'export'}]}");
    json_t *seeded = json("{'parameters':[{'name':'a','values':[1]}],'stages':"
                          "[{'name':'mix'},{'name':'export'}],'replicates':"
                          "{'count':1,'seeds':[1]}}");
    json_t *edited = json("{'parameters':[{'name':'a','values':[1]}],'stages':"
                          "[{'name':'max'},{'name':'export'}]}");
    json_t *files = json("{'jobs':[{'result':null},{'result':{'model_digest':"
                         "'aa'}}]}");

    (void)state;
    assert_string_equal(verify_known_digest(ours, same, files), "aa");
    assert_null(verify_known_digest(ours, other, files));
    assert_null(verify_known_digest(ours, seeded, files));
    assert_null(verify_known_digest(ours, edited, files));
    json_decref(ours);
    json_decref(same);
    json_decref(other);
    json_decref(seeded);
    json_decref(edited);
    json_decref(files);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equal_results_are_the_same),
        cmocka_unit_test(test_every_difference_is_shown),
        cmocka_unit_test(test_a_model_is_compared_if_its_digest_is_known),
        cmocka_unit_test(test_what_is_done_and_a_lazy_end_are_verified),
        cmocka_unit_test(test_the_digest_is_that_of_the_same_values),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
