/* Every row of cli/commands.c, with no line written for it here. */
#include "support/test.h"

#include "cli/command.h"
#include "common/memory.h"

#include <assert.h>
#include <string.h>
#include <sys/wait.h>

static const char *program;

struct outcome {
    char *text; /* both outputs */
    int code;
};

static struct outcome run(const char *arguments)
{
    AUTO(free_pointer)
    char *line = xasprintf("'%s' %s 2>&1 </dev/null", program, arguments);
    struct outcome o = { .text = NULL };
    size_t size = 0;
    FILE *all = open_memstream(&o.text, &size);
    FILE *pipe = popen(line, "r");
    int how = 0;
    int c = 0;

    assert_non_null(pipe);
    while ((c = fgetc(pipe)) != EOF)
        fputc(c, all);
    fclose(all);
    how = pclose(pipe);
    assert_true(WIFEXITED(how));
    o.code = WEXITSTATUS(how);
    return o;
}

static void assert_run(const char *arguments, int code, const char *words)
{
    struct outcome o = run(arguments);

    if (o.code != code || strstr(o.text, words) == NULL)
        fail_msg("sinter %s: exit %d (wanted %d), \"%s\" wanted in:\n%s",
                 arguments, o.code, code, words, o.text);
    free(o.text);
}

static void test_every_command_says_what_it_is(void **state)
{
    (void)state;
    for (const struct command *const *c = commands; *c != NULL; c++) {
        size_t size = strlen((*c)->summary);

        assert_non_null((*c)->usage);
        assert_non_null((*c)->run);
        assert_true(size > 0 && size < 66);
        assert_true((*c)->summary[size - 1] != '.');
        assert_true((*c)->group < COMMAND_GROUPS);
        assert_true((*c)->least <= (*c)->most);
        assert_true((*c)->most == 0 || (*c)->usage[0] != '\0');
        assert_ptr_equal(command_find((*c)->name), *c);
    }
}

static void test_every_option_has_help_and_a_good_default(void **state)
{
    static char name[] = "sinter";
    char *argv[] = { name, NULL };

    (void)state;
    for (const struct command *const *c = commands; *c != NULL; c++) {
        struct option_list operands = { NULL, 0 };
        void *settings = xcalloc(1, (*c)->settings_size + 1);

        for (const struct option *o = (*c)->options;
             o != NULL && o->name != NULL; o++) {
            assert_true(o->help != NULL && o->help[0] != '\0');
            assert_true(o->type == OPTION_SWITCH || o->value != NULL);
            for (const struct option *g = cli_global_options; g->name != NULL;
                 g++) {
                assert_string_not_equal(o->name, g->name);
                assert_true(o->letter == 0 || o->letter != g->letter);
            }
        }
        if ((*c)->options != NULL) {
            assert_ok(
                option_parse((*c)->options, 1, argv, settings, &operands));
            option_release((*c)->options, settings);
        }
        free(operands.items);
        free(settings);
    }
}

static void test_every_command_explains_itself(void **state)
{
    (void)state;
    for (const struct command *const *c = commands; *c != NULL; c++) {
        AUTO(free_pointer)
        char *usage = xasprintf("Usage: sinter %s", (*c)->name);
        AUTO(free_pointer) char *flag = xasprintf("%s --help", (*c)->name);
        AUTO(free_pointer) char *letter = xasprintf("-q %s -h", (*c)->name);
        AUTO(free_pointer) char *help = xasprintf("help %s", (*c)->name);

        assert_run(flag, 0, usage);
        assert_run(letter, 0, usage);
        assert_run(help, 0, usage);
        assert_run("--help", 0, (*c)->summary);
        assert_run("help --all", 0, usage);
    }
}

static void test_every_command_refuses_what_it_does_not_know(void **state)
{
    (void)state;
    for (const struct command *const *c = commands; *c != NULL; c++) {
        AUTO(free_pointer)
        char *flag = xasprintf("%s --no-such-flag", (*c)->name);
        AUTO(free_pointer)
        char *json = xasprintf("--json %s --no-such-flag", (*c)->name);

        assert_run(flag, 2, "no-such-flag");
        assert_run(json, 2, "{\"error\":{\"code\":\"invalid\"");
        if ((*c)->least > 0)
            assert_run((*c)->name, 2, "usage: sinter");
    }
}

static void test_the_program_answers_for_itself(void **state)
{
    (void)state;
    assert_run("", 2, "Usage: sinter [options] <command>");
    assert_run("--version", 0, SINTER_VERSION);
    assert_run("chekc x", 2, "did you mean `check`");
    assert_run("help chekc", 2, "did you mean `check`");
    assert_run("drain w1", 2, "did you mean `workers --drain`");
    assert_run("--no-such-flag", 2, "no-such-flag");
    assert_run("version extra", 2, "one too many");
    assert_run("--color blue version", 2, "auto, always or never");
    assert_run("--json version", 0, "\"schema\": \"sinter.version/1\"");
    assert_run("version --json", 0, "\"schema\": \"sinter.version/1\"");
}

static void test_a_broker_that_is_not_there_is_said(void **state)
{
    (void)state;
    assert_run("ls -b ipc:///nowhere/at/all --timeout 300ms", 6,
               "no broker answers at ipc:///nowhere/at/all");
    assert_run("--json status -b 127.0.0.1:9 --timeout 300ms", 6,
               "{\"error\":{\"code\":\"unavailable\"");
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_command_says_what_it_is),
        cmocka_unit_test(test_every_option_has_help_and_a_good_default),
        cmocka_unit_test(test_every_command_explains_itself),
        cmocka_unit_test(test_every_command_refuses_what_it_does_not_know),
        cmocka_unit_test(test_the_program_answers_for_itself),
        cmocka_unit_test(test_a_broker_that_is_not_there_is_said),
    };

    assert(argc == 2);
    program = argv[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
