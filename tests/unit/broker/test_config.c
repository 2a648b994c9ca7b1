#include "broker/config.h"
#include "support/test.h"

#include <stdlib.h>
#include <string.h>

static struct status parse(const char *const *arguments, int count,
                           struct config *ret_config)
{
    char *argv[8] = { (char *)(uintptr_t) "sinter-broker" };
    struct option_list operands = { 0 };
    struct status st;

    for (int i = 0; i < count; i++)
        argv[i + 1] = (char *)(uintptr_t)arguments[i];
    memset(ret_config, 0, sizeof *ret_config);
    st = option_parse(config_options, count + 1, argv, ret_config, &operands);
    free(operands.items);
    return status_failed(&st) ? st : config_check(ret_config);
}

static void test_defaults_are_those_of_the_manual(void **state)
{
    struct config c;

    (void)state;
    assert_ok(parse(NULL, 0, &c));
    assert_string_equal(c.store, "sqlite:sinter.db");
    assert_string_equal(c.workers, "tcp://127.0.0.1:7420");
    assert_string_equal(c.clients, "tcp://127.0.0.1:7421");
    assert_string_equal(c.http, "127.0.0.1:7422");
    assert_int_equal(c.lease_ms, 30000);
    assert_int_equal(c.heartbeat_ms, 2000);
    assert_null(c.depot_url);
    assert_false(c.accept_loss);
}

static void test_values_that_make_no_sense_are_refused(void **state)
{
    static const struct {
        const char *flag, *value, *words;
    } cases[] = {
        { "--lease", "5s", "three times" },
        { "--log", "loud", "loud" },
        { "--log-format", "xml", "logfmt or json" },
        { "--namespace", "a{b", "letters" },
        { "--namespace", "", "letters" },
        { "--lease", "30 parsecs", "lease" },
        { "--leese", "30s", "lease" },
        { "--key", "k", "--allow" },
        { "--allow", "a", "--key" },
        { "--workers", "tcp://*:1", "--plaintext" },
        { "--clients", "tcp://[::]:1", "--plaintext" },
        { "--http", "[::]:1", "--http-open" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const char *arguments[] = { cases[i].flag, cases[i].value };
        struct config c;

        assert_fails(parse(arguments, 2, &c), STATUS_INVALID, cases[i].words);
    }
}

static void test_the_network_is_served_when_it_is_safe_or_told(void **state)
{
    static const char *const safe[] = { "--workers", "tcp://*:1", "--key", "k",
                                        "--allow",   "a",         NULL };
    static const char *const told[] = { "--clients", "tcp://*:1", "--plaintext",
                                        NULL };
    static const char *const tokens[] = { "--http", "0.0.0.0:1",
                                          "--http-token-file", "t", NULL };
    static const char *const open[] = { "--http", "0.0.0.0:1", "--http-open",
                                        NULL };
    static const char *const none[] = { "--key=", "--allow=", NULL };
    static const char *const *const rows[] = { safe, told, tokens, open, none };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct config c;
        int count = 0;

        while (rows[i][count] != NULL)
            count++;
        assert_ok(parse(rows[i], count, &c));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults_are_those_of_the_manual),
        cmocka_unit_test(test_values_that_make_no_sense_are_refused),
        cmocka_unit_test(test_the_network_is_served_when_it_is_safe_or_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
