#include "support/test.h"

#include "common/json.h"
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

static void say_some(enum log_format format)
{
    struct status st = FAIL(STATUS_LOST, "worker \"7\" left\nat once=1");

    log_start("sinter-test", LOG_INFO, format);
    log_event(LOG_DEBUG, "not shown", "%s", "");
    log_event(LOG_WARN, "job taken back", "job=%s ms=%d", "ab12", 30);
    log_event(LOG_INFO, "ready", "%s", "");
    log_failure("assign", &st);
    log_event(LOG_INFO, "odd", "why=\"%s\" zone=007 at=-3",
              "\xff\x01 \xc3\xa9");
}

static void say_logfmt(void)
{
    say_some(LOG_LOGFMT);
}

static void say_json(void)
{
    say_some(LOG_JSON);
}

static void test_a_line_has_time_level_program_event_and_fields(void **state)
{
    char text[TEXT_SIZE];
    char expected[128];
    const char *line = text;

    (void)state;
    capture(say_logfmt, text);
    assert_memory_equal(text, "time=", 5);
    assert_int_equal(text[15], 'T');
    (void)snprintf(expected, sizeof expected,
                   " level=warn from=sinter-test pid=%ld event=\"job taken "
                   "back\" job=ab12 ms=30\n",
                   (long)getpid());
    assert_memory_equal(text + 25, expected, strlen(expected));
    line = strchr(text, '\n') + 1;
    assert_non_null(strstr(line, "event=\"ready\"\n"));
    line = strchr(line, '\n') + 1;
    assert_non_null(strstr(line, " level=error "));
    assert_non_null(strstr(
        line, "code=lost error=\"worker \\\"7\\\" left\\nat once=1\" at="));
    assert_non_null(strstr(line, "why=\"?? \xc3\xa9\" zone=007 at=-3\n"));
    assert_null(strstr(text, "not shown"));
}

/* The i-th line, which must be JSON. */
static json_t *line_json(const char *text, size_t i)
{
    const char *end;
    json_t *json = NULL;

    for (; i > 0; i--)
        text = strchr(text, '\n') + 1;
    end = strchr(text, '\n');
    assert_non_null(end);
    assert_ok(json_parse(text, (size_t)(end - text), "line", &json));
    return json;
}

static void test_json_has_the_same_fields(void **state)
{
    char text[TEXT_SIZE];
    json_t *taken, *failed, *odd;

    (void)state;
    capture(say_json, text);
    taken = line_json(text, 0);
    assert_string_equal(json_text_or(taken, "level", ""), "warn");
    assert_string_equal(json_text_or(taken, "event", ""), "job taken back");
    assert_string_equal(json_text_or(taken, "job", ""), "ab12");
    assert_int_equal(json_int_or(taken, "ms", 0), 30);
    failed = line_json(text, 2);
    assert_string_equal(json_text_or(failed, "error", ""),
                        "worker \"7\" left\nat once=1");
    odd = line_json(text, 3);
    assert_string_equal(json_text_or(odd, "why", ""), "?? \xc3\xa9");
    assert_string_equal(json_text_or(odd, "zone", ""), "007");
    assert_int_equal(json_int_or(odd, "at", 0), -3);
    json_decref(taken);
    json_decref(failed);
    json_decref(odd);
}

static void say_much(void)
{
    char field[4096];

    memset(field, '"', sizeof field);
    field[sizeof field - 1] = '\0';
    log_event(LOG_ERROR, "long", "field=\"%s\"", field);
}

static void say_much_json(void)
{
    log_start("sinter-test", LOG_INFO, LOG_JSON);
    say_much();
}

static void test_a_long_line_is_cut_but_ended(void **state)
{
    char text[TEXT_SIZE];

    (void)state;
    capture(say_much, text);
    assert_true(strlen(text) <= 1024);
    assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
    capture(say_much_json, text);
    json_decref(line_json(text, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_line_has_time_level_program_event_and_fields),
        cmocka_unit_test(test_json_has_the_same_fields),
        cmocka_unit_test(test_a_long_line_is_cut_but_ended),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
