#include "broker/core/command.h"
#include "broker/core/rights.h"
#include "support/test.h"

#include <string.h>

static struct status ask(enum curve_role role, const char *verb)
{
    struct wire_message m = { .type = WIRE_QUERY };

    m.query.verb = wire_text(verb);
    return rights_check(role, &m);
}

static void test_orders_take_their_role(void **state)
{
    static const char *const client[] = { "cancel", "retry", "pause", "resume",
                                          "extend" };
    static const char *const admin[] = {
        "rm",      "priority", "drain",
        "cordon",  "uncordon", "gc",
        "rebuild", "",         "of a newer version"
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(client); i++) {
        assert_ok(ask(CURVE_CLIENT, client[i]));
        assert_ok(ask(CURVE_ADMIN, client[i]));
        assert_fails(ask(CURVE_WORKER, client[i]), STATUS_DENIED, "worker");
    }
    for (size_t i = 0; i < COUNT_OF(admin); i++) {
        assert_ok(ask(CURVE_ADMIN, admin[i]));
        assert_fails(ask(CURVE_CLIENT, admin[i]), STATUS_DENIED, "admin");
        assert_fails(ask(CURVE_WORKER, admin[i]), STATUS_DENIED, "admin");
    }
}

/* So that whoever adds one looks here. */
static void test_every_command_has_been_thought_of(void **state)
{
    static const char *const known[] = { "pause",  "resume",   "extend",
                                         "drain",  "rm",       "priority",
                                         "cordon", "uncordon", "gc" };

    (void)state;
    for (const struct command *c = command_table; c->verb != NULL; c++) {
        bool found = false;

        for (size_t i = 0; i < COUNT_OF(known); i++)
            found |= strcmp(known[i], c->verb) == 0;
        if (!found)
            fail_msg("%s: whose is it? Say so in rights.c, in "
                     "docs/security.md and here",
                     c->verb);
    }
}

static void test_messages_of_workers_are_not_asked_about(void **state)
{
    struct wire_message m = { .type = WIRE_HEARTBEAT };

    (void)state;
    assert_ok(rights_check(CURVE_WORKER, &m));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_orders_take_their_role),
        cmocka_unit_test(test_every_command_has_been_thought_of),
        cmocka_unit_test(test_messages_of_workers_are_not_asked_about),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
