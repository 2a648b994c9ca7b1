#include "common/option.h"

#include "common/limits.h"
#include "common/memory.h"

#include <assert.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { FRACTION_DIGITS = 6, HELP_COLUMNS = 80, HELP_LEFT_MOST = 30 };

struct unit {
    const char *name;
    int64_t size;
};

static const struct unit number_units[] = { { "", 1 } };

static const struct unit ms_units[] = {
    { "", 1000 },   { "ms", 1 },      { "s", 1000 },
    { "m", 60000 }, { "h", 3600000 }, { "d", 86400000 },
};

static const struct unit byte_units[] = {
    { "", 1 },
    { "B", 1 },
    { "KB", 1000 },
    { "MB", 1000000 },
    { "GB", 1000000000 },
    { "TB", INT64_C(1000000000000) },
    { "KiB", INT64_C(1) << 10 },
    { "MiB", INT64_C(1) << 20 },
    { "GiB", INT64_C(1) << 30 },
    { "TiB", INT64_C(1) << 40 },
};

/* Numbers with units. */

struct measure {
    const struct unit *units;
    size_t count;
    const char *what; /* for the story: what it is no ... */
    const char *hint; /* ... and what to write */
};

static const struct measure number_measure = { number_units,
                                               COUNT_OF(number_units), "number",
                                               "5, -3 or 10_000" };
static const struct measure ms_measure = { ms_units, COUNT_OF(ms_units),
                                           "duration",
                                           "100ms, 90s, 20m, 6h or 2d" };
static const struct measure byte_measure = { byte_units, COUNT_OF(byte_units),
                                             "size",
                                             "512, 64KiB, 1.5GB or 80GiB" };

/* Digits with '_' between them; -1 if there are none or they overflow. */
static int64_t read_digits(const char **at, int *ret_count)
{
    int64_t value = 0;
    int count = 0;

    while (isdigit((unsigned char)**at) ||
           (count > 0 && **at == '_' && isdigit((unsigned char)(*at)[1]))) {
        if (**at == '_') {
            ++*at;
            continue;
        }
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, **at - '0', &value))
            return -1;
        count++;
        ++*at;
    }
    *ret_count = count;
    return count > 0 ? value : -1;
}

/* `part` of 10^digits parts of a unit; only where it comes out even, but for
 * a remainder that no one would miss. */
static int64_t part_of(int64_t unit, int64_t part, int digits)
{
    int64_t whole = 1;

    for (int i = 0; i < digits; i++)
        whole *= 10;
    return unit * part / whole;
}

static int64_t find_unit(const struct measure *m, const char *name)
{
    for (size_t i = 0; i < m->count; i++)
        if (strcasecmp(m->units[i].name, name) == 0)
            return m->units[i].size;
    return 0;
}

static bool read_measure(const struct measure *m, const char *text,
                         int64_t *ret_value)
{
    bool is_negative = *text == '-' && m == &number_measure;
    const char *at = text + is_negative;
    int digits = 0;
    int64_t whole = read_digits(&at, &digits);
    int64_t part = 0;
    int64_t unit;

    digits = 0;
    if (*at == '.' && m != &number_measure) {
        at++;
        part = read_digits(&at, &digits);
    }
    unit = find_unit(m, at);
    if (whole < 0 || part < 0 || digits > FRACTION_DIGITS || unit == 0 ||
        __builtin_mul_overflow(whole, unit, &whole) ||
        __builtin_add_overflow(whole, part_of(unit, part, digits), &whole))
        return false;
    *ret_value = is_negative ? -whole : whole;
    return true;
}

MUST_CHECK static struct status measure(const struct measure *m,
                                        const char *text, int64_t *ret_value)
{
    if (!read_measure(m, text, ret_value))
        return FAIL(STATUS_INVALID, "\"%s\" is no %s; write %s", text, m->what,
                    m->hint);
    return SUCCESS;
}

struct status option_duration_ms(const char *text, int64_t *ret_ms)
{
    return measure(&ms_measure, text, ret_ms);
}

struct status option_bytes(const char *text, int64_t *ret_bytes)
{
    return measure(&byte_measure, text, ret_bytes);
}

/* Nearest word. */

static size_t least_of(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Damerau-Levenshtein distance in its optimal string alignment form: rows i-2,
 * i-1 and i of the usual table. */
static size_t edits(const char *a, size_t a_size, const char *b, size_t b_size)
{
    size_t rows[3][LIMIT_NAME + 1];
    size_t *before = rows[0];
    size_t *above = rows[1];
    size_t *row = rows[2];

    for (size_t j = 0; j <= b_size; j++)
        above[j] = j;
    for (size_t i = 1; i <= a_size; i++) {
        size_t *free_row = before;

        row[0] = i;
        for (size_t j = 1; j <= b_size; j++) {
            row[j] = least_of(above[j], row[j - 1]) + 1;
            row[j] = least_of(row[j], above[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = least_of(row[j], before[j - 2] + 1);
        }
        before = above;
        above = row;
        row = free_row;
    }
    return above[b_size];
}

const char *option_nearest(const char *text, const char *const *words)
{
    size_t size = strlen(text);
    size_t bound = size / 3 > 2 ? size / 3 : 2;
    size_t best = least_of(bound + 1, size); /* to be beaten */
    const char *nearest = NULL;

    if (size > LIMIT_NAME)
        return NULL;
    for (; *words != NULL; words++) {
        size_t word_size = strlen(*words);
        size_t distance = word_size <= LIMIT_NAME
                              ? edits(text, size, *words, word_size)
                              : best;

        if (distance < best) {
            best = distance;
            nearest = *words;
        }
    }
    return nearest;
}

/* Values. */

static void *member_of(const struct option *row, void *config)
{
    return (char *)config + row->offset;
}

MUST_CHECK static struct status set_number(const struct option *row,
                                           const struct measure *m,
                                           const char *text, int64_t *member)
{
    int64_t value = 0;

    TRY_PLAIN(measure(m, text, &value));
    if ((row->least != 0 || row->most != 0) &&
        (value < row->least || value > row->most))
        return FAIL(STATUS_INVALID, "%s is not within %lld and %lld%s", text,
                    (long long)row->least, (long long)row->most,
                    m == &ms_measure     ? " ms"
                    : m == &byte_measure ? " bytes"
                                         : "");
    *member = value;
    return SUCCESS;
}

MUST_CHECK static struct status set_switch(const char *text, bool *member)
{
    static const char *const words[] = {
        "0", "1", "false", "true", "no", "yes"
    };

    for (size_t i = 0; i < COUNT_OF(words); i++)
        if (strcasecmp(text, words[i]) == 0) {
            *member = i % 2 == 1;
            return SUCCESS;
        }
    return FAIL(STATUS_INVALID, "\"%s\" is neither yes nor no", text);
}

static void list_add(struct option_list *list, const char *item)
{
    list->items =
        xrealloc(list->items, (list->count + 1) * sizeof *list->items);
    list->items[list->count++] = item;
}

/* All words of a text, in one piece of memory with a copy of it. */
static void list_split(struct option_list *list, const char *text)
{
    size_t most = strlen(text) / 2 + 1;
    size_t table = most * sizeof *list->items;
    const char **items = xcalloc(1, table + strlen(text) + 1);
    char *copy = (char *)items + table;
    char *word;

    memcpy(copy, text, strlen(text) + 1);
    *list = (struct option_list){ items, 0 };
    while ((word = strsep(&copy, " \t")) != NULL)
        if (*word != '\0')
            items[list->count++] = word;
}

MUST_CHECK static struct status set_value(const struct option *row,
                                          const char *text, void *config)
{
    void *member = member_of(row, config);

    switch (row->type) {
    case OPTION_TEXT:
        *(const char **)member = text;
        return SUCCESS;
    case OPTION_NUMBER:
        return set_number(row, &number_measure, text, member);
    case OPTION_MS:
        return set_number(row, &ms_measure, text, member);
    case OPTION_BYTES:
        return set_number(row, &byte_measure, text, member);
    case OPTION_SWITCH:
        return set_switch(text, member);
    case OPTION_LIST:
        list_split(member, text);
        return SUCCESS;
    }
    return FAIL(STATUS_INVALID, "row of type %d", (int)row->type);
}

static void set_zero(const struct option *row, void *config)
{
    void *member = member_of(row, config);

    switch (row->type) {
    case OPTION_TEXT:
        *(const char **)member = NULL;
        break;
    case OPTION_SWITCH:
        *(bool *)member = false;
        break;
    case OPTION_LIST:
        *(struct option_list *)member = (struct option_list){ NULL, 0 };
        break;
    default:
        *(int64_t *)member = 0;
    }
}

/* Environment and defaults. */

enum { VARIABLE_SIZE = LIMIT_NAME + 8 };

static void name_variable(const struct option *row, char *name)
{
    (void)snprintf(name, VARIABLE_SIZE, "SINTER_%s", row->name);
    for (char *c = name; *c != '\0'; c++)
        *c = (char)(*c == '-' ? '_' : toupper((unsigned char)*c));
}

/* Questions are asked on the command line only; images set SINTER_VERSION to
 * something else. */
static bool is_question(const struct option *row)
{
    return strcmp(row->name, "help") == 0 || strcmp(row->name, "version") == 0;
}

MUST_CHECK static struct status set_otherwise(const struct option *row,
                                              void *config)
{
    char variable[VARIABLE_SIZE];
    const char *text;

    name_variable(row, variable);
    text = is_question(row) ? NULL : getenv(variable);
    if (text != NULL && *text != '\0') /* compose files set empty ones */
        TRY(set_value(row, text, config), "%s", variable);
    else if (row->otherwise != NULL)
        TRY(set_value(row, row->otherwise, config), "default of --%s",
            row->name);
    return SUCCESS;
}

/* The command line. */

struct parser {
    const struct option *table;
    size_t rows;
    bool *given; /* for each row: seen on the command line */
    int argc;
    char *const *argv;
    int at;
    void *config;
    struct option_list operands;
};

static const struct option *find_name(const struct parser *p, const char *name,
                                      size_t size)
{
    for (size_t i = 0; i < p->rows; i++)
        if (strncmp(p->table[i].name, name, size) == 0 &&
            p->table[i].name[size] == '\0')
            return &p->table[i];
    return NULL;
}

/* -j, or -j2: only a number may stand at the letter, or -output were a file
 * "utput". */
static const struct option *find_letter(const struct parser *p,
                                        const char *flag)
{
    bool has_number = isdigit((unsigned char)flag[2]);

    for (size_t i = 0; i < p->rows; i++)
        if (p->table[i].letter == flag[1] &&
            (flag[2] == '\0' ||
             (has_number && p->table[i].type != OPTION_SWITCH)))
            return &p->table[i];
    return NULL;
}

MUST_CHECK static struct status unknown(const struct parser *p,
                                        const char *flag, size_t size)
{
    const char **names = xcalloc(p->rows + 1, sizeof *names);
    char name[LIMIT_NAME + 1];
    const char *nearest;

    for (size_t i = 0; i < p->rows; i++)
        names[i] = p->table[i].name;
    (void)snprintf(name, sizeof name, "%.*s", (int)size,
                   flag + 1 + (flag[1] == '-'));
    nearest = option_nearest(name, names);
    free(names);
    if (nearest != NULL)
        return FAIL(STATUS_INVALID, "unknown option %s; did you mean --%s?",
                    flag, nearest);
    return FAIL(STATUS_INVALID, "unknown option %s; --help lists all", flag);
}

/* `value` is what stands behind "=", NULL if nothing does. */
MUST_CHECK static struct status take_flag(struct parser *p,
                                          const struct option *row,
                                          const char *value)
{
    bool was_given = p->given[row - p->table];

    p->given[row - p->table] = true;
    if (row->type == OPTION_SWITCH) {
        if (value != NULL)
            return FAIL(STATUS_INVALID, "--%s takes no value", row->name);
        *(bool *)member_of(row, p->config) = true;
        return SUCCESS;
    }
    if (value == NULL && p->at + 1 < p->argc)
        value = p->argv[++p->at];
    if (value == NULL)
        return FAIL(STATUS_INVALID, "--%s needs a value: --%s %s", row->name,
                    row->name, row->value != NULL ? row->value : "VALUE");
    if (row->type == OPTION_LIST) {
        struct option_list *list = member_of(row, p->config);

        assert(was_given || list->count == 0);
        list_add(list, value);
        return SUCCESS;
    }
    TRY(set_value(row, value, p->config), "--%s", row->name);
    return SUCCESS;
}

MUST_CHECK static struct status take_argument(struct parser *p)
{
    const char *argument = p->argv[p->at];
    size_t size = strcspn(argument, "=");
    const struct option *row;

    if (argument[0] != '-' || argument[1] == '\0') {
        list_add(&p->operands, argument);
        return SUCCESS;
    }
    if (argument[1] != '-') {
        row = find_letter(p, argument);
        return row != NULL ? take_flag(p, row, option_given(argument + 2))
                           : unknown(p, argument, strlen(argument));
    }
    row = find_name(p, argument + 2, size - 2);
    if (row == NULL)
        return unknown(p, argument, size - 2);
    return take_flag(p, row,
                     argument[size] == '=' ? argument + size + 1 : NULL);
}

MUST_CHECK static struct status parse(struct parser *p)
{
    for (p->at = 1; p->at < p->argc; p->at++) {
        if (strcmp(p->argv[p->at], "--") == 0) {
            while (++p->at < p->argc)
                list_add(&p->operands, p->argv[p->at]);
            break;
        }
        TRY_PLAIN(take_argument(p));
    }
    for (size_t i = 0; i < p->rows; i++)
        if (!p->given[i])
            TRY_PLAIN(set_otherwise(&p->table[i], p->config));
    return SUCCESS;
}

struct status option_parse(const struct option *table, int argc,
                           char *const *argv, void *ret_config,
                           struct option_list *ret_operands)
{
    struct parser p = {
        .table = table, .argc = argc, .argv = argv, .config = ret_config
    };
    struct status st;

    for (; table[p.rows].name != NULL; p.rows++)
        set_zero(&table[p.rows], ret_config);
    p.given = xcalloc(p.rows + 1, sizeof *p.given);
    st = parse(&p);
    free(p.given);
    if (status_failed(&st)) {
        option_release(table, ret_config);
        free(p.operands.items);
        return st;
    }
    *ret_operands = p.operands;
    return SUCCESS;
}

void option_release(const struct option *table, void *config)
{
    for (; table->name != NULL; table++)
        if (table->type == OPTION_LIST) {
            struct option_list *list = member_of(table, config);

            free(list->items);
            *list = (struct option_list){ NULL, 0 };
        }
}

const char *option_given(const char *text)
{
    return text == NULL || text[0] == '\0' ? NULL : text;
}

/* Help. */

static int left_part(const struct option *row, char *text, size_t size)
{
    char letter[8] = "    ";

    if (row->letter != 0)
        (void)snprintf(letter, sizeof letter, "-%c, ", row->letter);
    return snprintf(text, size, "  %s--%s%s%s", letter, row->name,
                    row->type == OPTION_SWITCH ? "" : " ",
                    row->type == OPTION_SWITCH ? ""
                    : row->value != NULL       ? row->value
                                               : "VALUE");
}

static void put_wrapped(const char *text, int indent, FILE *out)
{
    int column = indent;

    while (*text != '\0') {
        int size = (int)strcspn(text, " ");

        if (column > indent && column + 1 + size > HELP_COLUMNS) {
            (void)fprintf(out, "\n%*s", indent, "");
            column = indent;
        }
        column +=
            fprintf(out, "%s%.*s", column > indent ? " " : "", size, text);
        text += size;
        text += strspn(text, " ");
    }
    (void)fputc('\n', out);
}

static void put_row(const struct option *row, int indent, FILE *out)
{
    bool has_default = row->otherwise != NULL && row->otherwise[0] != '\0' &&
                       row->type != OPTION_SWITCH;
    char left[HELP_COLUMNS * 2];
    int size = left_part(row, left, sizeof left);
    char *text =
        xasprintf("%s%s%s%s", row->help, has_default ? " (default: " : "",
                  has_default ? row->otherwise : "", has_default ? ")" : "");

    (void)fputs(left, out);
    if (size + 2 > indent)
        (void)fprintf(out, "\n%*s", indent, "");
    else
        (void)fprintf(out, "%*s", indent - size, "");
    put_wrapped(text, indent, out);
    free(text);
}

void option_help(const struct option *table, FILE *out)
{
    char left[HELP_COLUMNS * 2];
    int indent = 0;

    for (const struct option *row = table; row->name != NULL; row++) {
        int size = left_part(row, left, sizeof left) + 2;

        if (size > indent && size <= HELP_LEFT_MOST)
            indent = size;
    }
    for (; table->name != NULL; table++)
        put_row(table, indent, out);
    (void)fputs("\nEach can be set in the environment: --some-name as "
                "SINTER_SOME_NAME.\n",
                out);
}
