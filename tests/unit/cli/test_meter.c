#include "support/test.h"

#include "cli/meter.h"
#include "common/clock.h"
#include "common/memory.h"

#include <stdlib.h>
#include <string.h>

static size_t count(const char *text, char wanted)
{
    size_t found = 0;

    for (; *text != '\0'; text++)
        found += *text == wanted ? 1 : 0;
    return found;
}

/* All that is written while 0 to 1,000 MB go by, ten a second. */
static char *shown(bool tty, bool silent)
{
    char *text = NULL;
    size_t size = 0;
    struct terminal terminal = { .width = 100, .tty = tty };
    struct meter m;

    terminal.stream = open_memstream(&text, &size);
    meter_init(&m, &terminal, silent);
    for (uint64_t i = 0; i <= 100; i++)
        meter_show(&m, "merged", i * 10000000, 1000000000,
                   (int64_t)(i + 1) * NS_PER_S);
    meter_end(&m);
    fclose(terminal.stream);
    return text;
}

static void test_a_log_gets_a_line_every_tenth(void **state)
{
    AUTO(free_pointer) char *text = shown(false, false);

    (void)state;
    assert_int_equal(count(text, '\n'), 10);
    assert_int_equal(count(text, '\r') + count(text, '\033'), 0);
    assert_non_null(
        strstr(text, "merged 500.0 MB of 1.0 GB  10.0 MB/s  50s left\n"));
}

static void test_a_terminal_has_one_line_that_goes(void **state)
{
    AUTO(free_pointer) char *text = shown(true, false);

    (void)state;
    assert_int_equal(count(text, '\n'), 0);
    assert_non_null(strstr(text, "50%  500.0 MB of 1.0 GB"));
    assert_string_equal(text + strlen(text) - 4, "\r\033[K");
}

static void test_silence_is_silence(void **state)
{
    AUTO(free_pointer) char *text = shown(true, true);

    (void)state;
    assert_string_equal(text, "");
}

static void test_what_is_done_at_once_is_not_shown_in_a_log(void **state)
{
    char *text = NULL;
    size_t size = 0;
    struct terminal terminal = { .width = 100 };
    struct meter m;

    (void)state;
    terminal.stream = open_memstream(&text, &size);
    meter_init(&m, &terminal, false);
    for (uint64_t i = 0; i <= 10; i++)
        meter_show(&m, "merged", i, 10, (int64_t)i * NS_PER_MS + 1);
    meter_show(&m, "merged", 1, 0, NS_PER_S); /* nothing to do at all */
    meter_end(&m);
    fclose(terminal.stream);
    assert_string_equal(text, "");
    free(text);
}

/* What was there already is not counted as speed. */
static void test_the_rate_is_of_what_is_done_now(void **state)
{
    char *text = NULL;
    size_t size = 0;
    struct terminal terminal = { .width = 100 };
    struct meter m;

    (void)state;
    terminal.stream = open_memstream(&text, &size);
    meter_init(&m, &terminal, false);
    meter_show(&m, "merged", 800000000, 1000000000, NS_PER_S);
    meter_show(&m, "merged", 900000000, 1000000000, 11 * NS_PER_S);
    fclose(terminal.stream);
    assert_string_equal(text,
                        "merged 900.0 MB of 1.0 GB  10.0 MB/s  10s left\n");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_log_gets_a_line_every_tenth),
        cmocka_unit_test(test_a_terminal_has_one_line_that_goes),
        cmocka_unit_test(test_silence_is_silence),
        cmocka_unit_test(test_what_is_done_at_once_is_not_shown_in_a_log),
        cmocka_unit_test(test_the_rate_is_of_what_is_done_now),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
