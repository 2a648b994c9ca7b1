#include "support/test.h"

#include "cli/progress.h"
#include "common/clock.h"
#include "common/memory.h"

#include <stdlib.h>
#include <string.h>

static json_t *status_at(int done)
{
    return json_pack("{s:s, s:s, s:s, s:i, s:i, s:{s:i, s:i}}", "id", "s-1",
                     "name", "demo", "state", done < 100 ? "running" : "done",
                     "done", done, "trials", 100, "jobs", "done", done, "total",
                     100);
}

static size_t count_lines(const char *text)
{
    size_t lines = 0;

    for (; *text != '\0'; text++)
        lines += *text == '\n' ? 1 : 0;
    return lines;
}

/* All that is written while a sweep goes from 0 to 100, one a second. */
static char *shown(bool tty)
{
    char *text = NULL;
    size_t size = 0;
    /* a stream without a terminal behind it is 80 columns wide */
    struct terminal terminal = { .width = 80, .tty = tty };
    struct progress p;

    terminal.stream = open_memstream(&text, &size);
    progress_init(&p, &terminal, false);
    for (int i = 0; i <= 100; i++) {
        json_t *status = status_at(i);

        progress_show(&p, status, (i + 1) * NS_PER_S);
        if (i == 100)
            progress_end(&p, status);
        json_decref(status);
    }
    fclose(terminal.stream);
    return text;
}

static void test_a_log_gets_a_plain_line_every_twentieth(void **state)
{
    AUTO(free_pointer) char *text = shown(false);

    (void)state;
    assert_int_equal(count_lines(text), 21);
    assert_null(strchr(text, '\r'));
    assert_null(strchr(text, '\033'));
    assert_non_null(strstr(text, "Z s-1 running 50/100 jobs=50/100\n"));
    assert_non_null(strstr(text, "Z s-1 done 100/100"));
}

static void test_a_terminal_gets_a_block_within_its_width(void **state)
{
    AUTO(free_pointer) char *text = shown(true);
    size_t width = 0;

    (void)state;
    assert_non_null(strstr(text, "\033[2A"));
    assert_non_null(strstr(text, "####"));
    for (const char *at = text; *at != '\0'; at++) {
        if (*at == '\033')
            at += strcspn(at, "AKJ");
        else
            width = *at == '\n' || *at == '\r' ? 0 : width + 1;
        assert_true(width < 80);
    }
}

/* Nine stages do not fit into 80 columns; none is lost. */
static void test_stages_take_the_lines_they_need(void **state)
{
    char *text = NULL;
    size_t size = 0;
    struct terminal terminal = { .width = 80, .tty = true };
    struct progress p;
    AUTO(json_release) json_t *status = status_at(5);
    json_t *stages = json_array();

    (void)state;
    for (int i = 0; i < 9; i++)
        (void)json_array_append_new(
            stages, json_pack("{s:s, s:i, s:i, s:i}", "name", "some_stage",
                              "done", i, "total", 95, "running", 1));
    (void)json_object_set_new(status, "stages", stages);
    terminal.stream = open_memstream(&text, &size);
    progress_init(&p, &terminal, false);
    progress_show(&p, status, NS_PER_S);
    fclose(terminal.stream);
    assert_int_equal(count_lines(text), 7); /* head, bar, two a line */
    assert_non_null(strstr(text, "some_stage 8/95 (1 running)"));
    free(text);
}

/* What goes on only when somebody says so. */
static void test_a_pause_is_shown_with_its_remedy(void **state)
{
    char *text = NULL;
    size_t size = 0;
    struct terminal terminal = { .width = 80, .tty = true };
    struct progress p;
    AUTO(json_release) json_t *status = status_at(5);

    (void)state;
    (void)json_object_set_new(status, "paused", json_true());
    terminal.stream = open_memstream(&text, &size);
    progress_init(&p, &terminal, false);
    progress_show(&p, status, NS_PER_S);
    terminal.tty = false;
    progress_show(&p, status, 2 * NS_PER_S);
    fclose(terminal.stream);
    assert_non_null(strstr(text, "demo  s-1  paused"));
    assert_non_null(strstr(text, " paused: `sinter resume s-1` goes on"));
    assert_non_null(strstr(text, "Z s-1 paused 5/100"));
    free(text);
}

/* What is in the way is told once it is more than a start, and again with
 * every line. */
static void test_a_log_is_told_what_is_in_the_way(void **state)
{
    char *text = NULL;
    size_t size = 0;
    struct terminal terminal = { .width = 80 };
    struct progress p;
    AUTO(json_release) json_t *status = status_at(5);

    (void)state;
    (void)json_object_set_new(status, "obstacle", json_string("nobody"));
    terminal.stream = open_memstream(&text, &size);
    progress_init(&p, &terminal, false);
    for (int i = 1; i <= 10; i++)
        progress_show(&p, status, i * NS_PER_S);
    (void)json_object_set_new(status, "store_error", json_string("disk full"));
    for (int i = 11; i <= 60; i++)
        progress_show(&p, status, i * NS_PER_S);
    fclose(terminal.stream);
    assert_int_equal(count_lines(text), 3);
    assert_non_null(strstr(text, "jobs=5/100\n"));
    assert_non_null(strstr(text, "jobs=5/100 waits: nobody\n"));
    assert_non_null(strstr(text, "jobs=5/100 waits: disk full\n"));
    free(text);
}

static void test_best_is_said_with_its_error(void **state)
{
    AUTO(json_release)
    json_t *best = json_pack("{s:i, s:f, s:f, s:i, s:{s:f, s:i}}", "trial", 9,
                             "value", 0.78125, "error", 0.0123, "replicates", 3,
                             "values", "lambda", 0.5, "seed", 2);
    char text[100];

    (void)state;
    progress_best(best, false, text, sizeof text);
    assert_string_equal(text, "0.781 +-0.012 (mean of 3)  #9  lambda=0.5");
}

static void test_values_stand_on_one_line(void **state)
{
    AUTO(json_release)
    json_t *values = json_pack("{s:s, s:f, s:n, s:i}", "method", "ties",
                               "lambda", 0.5, "off", "seed", 3);
    char text[64];

    (void)state;
    progress_values(values, text, sizeof text);
    assert_string_equal(text, "method=ties lambda=0.5 seed=3");
    progress_values(values, text, 10);
    assert_int_equal(strlen(text), 9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_log_gets_a_plain_line_every_twentieth),
        cmocka_unit_test(test_a_terminal_gets_a_block_within_its_width),
        cmocka_unit_test(test_stages_take_the_lines_they_need),
        cmocka_unit_test(test_a_pause_is_shown_with_its_remedy),
        cmocka_unit_test(test_a_log_is_told_what_is_in_the_way),
        cmocka_unit_test(test_best_is_said_with_its_error),
        cmocka_unit_test(test_values_stand_on_one_line),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
