#include "support/test.h"

#include "common/limits.h"
#include "common/memory.h"
#include "common/option.h"

#include <stdlib.h>
#include <string.h>

struct config {
    const char *store;
    int64_t slots;
    int64_t lease_ms;
    int64_t cache;
    bool quiet;
    bool version;
    struct option_list labels;
    int64_t any;
};

#define AT(member) offsetof(struct config, member)
static const struct option table[] = {
    { "store", 's', OPTION_TEXT, AT(store), "sqlite:sinter.db", 0, 0, "URL",
      "where accepted facts are kept" },
    { "slots", 0, OPTION_NUMBER, AT(slots), "2", 0, LIMIT_SLOTS, "N",
      "jobs at a time" },
    { "lease", 0, OPTION_MS, AT(lease_ms), "30s", 100, 86400000, "TIME",
      "how long a silent worker keeps its job, before it is given to another "
      "one that is still there" },
    { "cache-size", 0, OPTION_BYTES, AT(cache), "20GiB", 0, 0, "BYTES",
      "room for shards" },
    { "quiet", 'q', OPTION_SWITCH, AT(quiet), NULL, 0, 0, NULL, "say less" },
    { "label", 0, OPTION_LIST, AT(labels), NULL, 0, 0, "NAME",
      "may be given several times" },
    { "any", 'a', OPTION_NUMBER, AT(any), NULL, 0, 0, NULL, "any number" },
    { "version", 0, OPTION_SWITCH, AT(version), NULL, 0, 0, NULL,
      "print the version" },
    { 0 },
};

enum { MOST_ARGUMENTS = 12 };

/* Parses up to a NULL. */
static struct status parse(struct config *c, struct option_list *operands,
                           const char *first, ...)
{
    char *argv[MOST_ARGUMENTS];
    char name[] = "program";
    va_list args;
    int argc = 1;

    argv[0] = name;
    va_start(args, first);
    for (const char *a = first; a != NULL; a = va_arg(args, const char *))
        argv[argc++] = (char *)(uintptr_t)a;
    va_end(args);
    return option_parse(table, argc, argv, c, operands);
}

static void release(struct config *c, struct option_list *operands)
{
    option_release(table, c);
    free(operands->items);
}

static void test_defaults_are_what_the_table_says(void **state)
{
    struct option_list rest;
    struct config c;

    (void)state;
    memset(&c, 0xff, sizeof c);
    assert_ok(parse(&c, &rest, NULL));
    assert_string_equal(c.store, "sqlite:sinter.db");
    assert_int_equal(c.slots, 2);
    assert_int_equal(c.lease_ms, 30000);
    assert_int_equal(c.cache, INT64_C(20) << 30);
    assert_false(c.quiet || c.version);
    assert_int_equal(c.labels.count, 0);
    assert_int_equal(c.any, 0);
    assert_int_equal(rest.count, 0);
    release(&c, &rest);
}

static void test_flags_are_read_in_all_their_forms(void **state)
{
    struct option_list rest;
    struct config c;

    (void)state;
    assert_ok(parse(&c, &rest, "one", "-s", "redis:", "--slots=1_000", "-q",
                    "--lease", "2m", "-", "--", "--slots", "-q", NULL));
    assert_string_equal(c.store, "redis:");
    assert_int_equal(c.slots, 1000);
    assert_int_equal(c.lease_ms, 120000);
    assert_true(c.quiet);
    assert_int_equal(rest.count, 4);
    assert_string_equal(rest.items[0], "one");
    assert_string_equal(rest.items[1], "-");
    assert_string_equal(rest.items[2], "--slots");
    assert_string_equal(rest.items[3], "-q");
    release(&c, &rest);
    assert_ok(parse(&c, &rest, "--any", "-5", "--store=", "--any=-7",
                    "--cache-size=512", NULL));
    assert_int_equal(c.any, -7); /* the last one counts */
    assert_string_equal(c.store, "");
    assert_int_equal(c.cache, 512);
    release(&c, &rest);
    assert_ok(parse(&c, &rest, "-a7", NULL));
    assert_int_equal(c.any, 7);
    release(&c, &rest);
}

static void test_a_list_collects(void **state)
{
    struct option_list rest;
    struct config c;

    (void)state;
    assert_ok(parse(&c, &rest, "--label", "a b", "--label=c", NULL));
    assert_int_equal(c.labels.count, 2);
    assert_string_equal(c.labels.items[0], "a b");
    assert_string_equal(c.labels.items[1], "c");
    release(&c, &rest);
    setenv("SINTER_LABEL", "  x yy\tz ", 1);
    assert_ok(parse(&c, &rest, NULL));
    assert_int_equal(c.labels.count, 3);
    assert_string_equal(c.labels.items[1], "yy");
    release(&c, &rest);
    assert_ok(parse(&c, &rest, "--label", "only", NULL));
    assert_int_equal(c.labels.count, 1);
    release(&c, &rest);
    unsetenv("SINTER_LABEL");
}

static void test_the_environment_stands_between_flag_and_default(void **state)
{
    struct option_list rest;
    struct config c;

    (void)state;
    setenv("SINTER_CACHE_SIZE", "1.5KiB", 1);
    setenv("SINTER_QUIET", "yes", 1);
    setenv("SINTER_SLOTS", "7", 1);
    setenv("SINTER_STORE", "", 1);     /* counts as not set */
    setenv("SINTER_VERSION", "v1", 1); /* is not ours */
    assert_ok(parse(&c, &rest, "--slots", "9", NULL));
    assert_int_equal(c.cache, 1536);
    assert_true(c.quiet);
    assert_int_equal(c.slots, 9);
    assert_string_equal(c.store, "sqlite:sinter.db");
    assert_false(c.version);
    release(&c, &rest);
    setenv("SINTER_QUIET", "0", 1);
    assert_ok(parse(&c, &rest, NULL));
    assert_false(c.quiet);
    release(&c, &rest);
    setenv("SINTER_QUIET", "maybe", 1);
    assert_fails(parse(&c, &rest, NULL), STATUS_INVALID,
                 "SINTER_QUIET: \"maybe\"");
    unsetenv("SINTER_QUIET");
    setenv("SINTER_SLOTS", "many", 1);
    assert_fails(parse(&c, &rest, NULL), STATUS_INVALID,
                 "SINTER_SLOTS: \"many\" is no number");
    unsetenv("SINTER_SLOTS");
    unsetenv("SINTER_CACHE_SIZE");
    unsetenv("SINTER_STORE");
    unsetenv("SINTER_VERSION");
}

static void test_wrong_flags_are_said_with_a_way_out(void **state)
{
    static const struct {
        const char *argument;
        const char *words;
    } rows[] = {
        { "--sluts", "unknown option --sluts; did you mean --slots?" },
        { "--solts=3", "did you mean --slots?" },
        { "--nothing-like-it", "--help lists all" },
        { "--lea", "unknown option --lea" },
        { "-x", "unknown option -x" },
        { "-qq", "unknown option -qq" },
        { "-q1", "unknown option -q1" },
        { "-store", "unknown option -store; did you mean --store?" },
        { "--slots", "--slots needs a value: --slots N" },
        { "--any", "--any needs a value: --any VALUE" },
        { "-s", "--store needs a value: --store URL" },
        { "--quiet=yes", "--quiet takes no value" },
        { "--slots=3x", "--slots: \"3x\" is no number; write 5" },
        { "--slots=-1", "--slots: -1 is not within 0 and 1024" },
        { "--slots=1025", "not within 0 and 1024" },
        { "--lease=1ms", "--lease: 1ms is not within 100 and 86400000 ms" },
        { "--lease=soon", "is no duration; write 100ms" },
        { "--cache-size=12XB", "is no size; write 512" },
    };
    struct option_list rest;
    struct config c;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct status st =
            parse(&c, &rest, "--label", "x", rows[i].argument, NULL);

        assert_int_equal(st.code, STATUS_INVALID);
        if (strstr(st.message, rows[i].words) == NULL)
            fail_msg("%s: %s", rows[i].argument, st.message);
    }
}

static void test_durations(void **state)
{
    static const struct {
        const char *text;
        int64_t ms;
    } good[] = { { "90s", 90000 },    { "20m", 1200000 }, { "6h", 21600000 },
                 { "2d", 172800000 }, { "100ms", 100 },   { "5", 5000 },
                 { "1.5h", 5400000 }, { "0", 0 },         { "0.25", 250 },
                 { "1_000ms", 1000 }, { "10S", 10000 } };
    static const char *const bad[] = { "",
                                       "s",
                                       "-5s",
                                       "5x",
                                       "5 s",
                                       "1h30m",
                                       ".5s",
                                       "5.s",
                                       "1.5.5s",
                                       "_5",
                                       "5_",
                                       "99999999999999999999s",
                                       "106751991168d" };
    int64_t ms;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        assert_ok(option_duration_ms(good[i].text, &ms));
        assert_int_equal(ms, good[i].ms);
    }
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_fails(option_duration_ms(bad[i], &ms), STATUS_INVALID,
                     "is no duration");
}

static void test_sizes(void **state)
{
    static const struct {
        const char *text;
        int64_t bytes;
    } good[] = { { "512", 512 },
                 { "64KiB", 65536 },
                 { "80GiB", INT64_C(80) << 30 },
                 { "1GB", 1000000000 },
                 { "1.5MB", 1500000 },
                 { "2TiB", INT64_C(2) << 40 },
                 { "7b", 7 },
                 { "3tb", INT64_C(3000000000000) },
                 { "0.999999TiB", INT64_C(1099510528264) } };
    static const char *const bad[] = { "",    "GiB",         "-1",
                                       "1XB", "1.0000001GB", "8388608TiB",
                                       "1 GB" };
    int64_t bytes;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        assert_ok(option_bytes(good[i].text, &bytes));
        assert_int_equal(bytes, good[i].bytes);
    }
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_fails(option_bytes(bad[i], &bytes), STATUS_INVALID,
                     "is no size");
}

static void test_the_nearest_word_is_within_a_few_edits(void **state)
{
    static const char *const words[] = { "lambda", "density", "drop_rate",
                                         "ls",     "status",  NULL };
    char text[2 * LIMIT_NAME];

    (void)state;
    assert_string_equal(option_nearest("lamdba", words), "lambda");
    assert_string_equal(option_nearest("lambda", words), "lambda");
    assert_string_equal(option_nearest("desnity", words), "density");
    assert_string_equal(option_nearest("dneisty", words), "density");
    assert_string_equal(option_nearest("droprate", words), "drop_rate");
    assert_string_equal(option_nearest("sttaus", words), "status");
    assert_string_equal(option_nearest("l", (const char *const[]){ "l", NULL }),
                        "l");
    assert_null(option_nearest("xy", words)); /* all of it would change */
    assert_null(option_nearest("temperature", words));
    assert_null(option_nearest("", words));
    memset(text, 'a', sizeof text);
    text[sizeof text - 1] = '\0';
    assert_null(option_nearest(text, words));
}

static void test_help_fits_in_80_columns_and_names_every_row(void **state)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    (void)state;
    option_help(table, out);
    (void)fclose(out);
    for (const char *line = text; *line != '\0';) {
        size_t length = strcspn(line, "\n");

        assert_true(length <= 80);
        assert_true(length == 0 || line[length - 1] != ' ');
        line += length + 1;
    }
    for (const struct option *row = table; row->name != NULL; row++) {
        char *flag = xasprintf("--%s", row->name);

        assert_non_null(strstr(text, flag));
        free(flag);
    }
    assert_non_null(strstr(text, "  -s, --store URL         where accepted "
                                 "facts are kept (default:\n"
                                 "                          "
                                 "sqlite:sinter.db)\n"));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults_are_what_the_table_says),
        cmocka_unit_test(test_flags_are_read_in_all_their_forms),
        cmocka_unit_test(test_a_list_collects),
        cmocka_unit_test(test_the_environment_stands_between_flag_and_default),
        cmocka_unit_test(test_wrong_flags_are_said_with_a_way_out),
        cmocka_unit_test(test_durations),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_the_nearest_word_is_within_a_few_edits),
        cmocka_unit_test(test_help_fits_in_80_columns_and_names_every_row),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
