#include "support/test.h"

#include "common/log.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TEXT_SIZE = 8192 };

/* What `say` writes to stderr. */
static void capture(void (*say)(void), char text[TEXT_SIZE])
{
    char path[] = "/tmp/sinter-log-XXXXXX";
    int file = mkstemp(path);
    int saved = dup(STDERR_FILENO);
    ssize_t size;

    assert_true(file >= 0 && saved >= 0);
    (void)dup2(file, STDERR_FILENO);
    say();
    (void)dup2(saved, STDERR_FILENO);
    size = pread(file, text, TEXT_SIZE - 1, 0);
    assert_true(size >= 0);
    text[size] = '\0';
    (void)close(saved);
    (void)close(file);
    (void)unlink(path);
}

static void say_some(void)
{
    struct status st = FAIL(STATUS_LOST, "worker 7");

    log_start("sinter-test", LOG_INFO);
    log_event(LOG_DEBUG, "not shown", "%s", "");
    log_event(LOG_WARN, "job taken back", "job=%s ms=%d", "ab12", 30);
    log_event(LOG_INFO, "ready", "%s", "");
    log_failure("assign", &st);
}

static void test_a_line_has_time_level_program_event_and_fields(void **state)
{
    char text[TEXT_SIZE];
    char expected[128];
    char *line = text;

    (void)state;
    capture(say_some, text);
    assert_int_equal(text[10], 'T');
    assert_int_equal(text[19], 'Z');
    (void)snprintf(expected, sizeof expected,
                   " warn sinter-test[%ld] \"job taken back\" "
                   "job=ab12 ms=30\n",
                   (long)getpid());
    assert_memory_equal(text + 20, expected, strlen(expected));
    line = strchr(text, '\n') + 1;
    assert_non_null(strstr(line, "\"ready\"\n"));
    line = strchr(line, '\n') + 1;
    assert_non_null(strstr(line, " error "));
    assert_non_null(strstr(line, "code=lost error=\"worker 7\""));
    assert_null(strstr(text, "not shown"));
}

static void say_much(void)
{
    char field[4096];

    memset(field, 'x', sizeof field);
    field[sizeof field - 1] = '\0';
    log_event(LOG_ERROR, "long", "field=%s", field);
}

static void test_a_long_line_is_cut_but_ended(void **state)
{
    char text[TEXT_SIZE];

    (void)state;
    capture(say_much, text);
    assert_true(strlen(text) <= 1024);
    assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_line_has_time_level_program_event_and_fields),
        cmocka_unit_test(test_a_long_line_is_cut_but_ended),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
