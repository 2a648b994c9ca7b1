#include "common/log.h"

#include "common/clock.h"
#include "common/macros.h"
#include "common/utf8.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    LINE_SIZE = 1024,
    CLOSERS = 8,      /* kept free for what ends a value and a line */
    FIELD_LEAST = 24, /* room without which a field is not begun */
};

static const char *const level_names[] = { "debug", "info", "warn", "error" };
static const char *const format_names[] = { "logfmt", "json" };

static struct {
    const char *program;
    enum log_level least;
    enum log_format format;
} settings = { .program = "sinter", .least = LOG_INFO };

void log_start(const char *program, enum log_level least,
               enum log_format format)
{
    settings.program = program;
    settings.least = least;
    settings.format = format;
}

bool log_shows(enum log_level level)
{
    return level >= settings.least;
}

struct status log_level_find(const char *name, enum log_level *ret_level)
{
    for (size_t i = 0; i < COUNT_OF(level_names); i++) {
        *ret_level = (enum log_level)i;
        if (strcmp(level_names[i], name) == 0)
            return SUCCESS;
    }
    return FAIL(STATUS_INVALID, "--log %s: write debug, info, warn or error",
                name);
}

struct status log_format_find(const char *name, enum log_format *ret_format)
{
    for (size_t i = 0; i < COUNT_OF(format_names); i++) {
        *ret_format = (enum log_format)i;
        if (strcmp(format_names[i], name) == 0)
            return SUCCESS;
    }
    return FAIL(STATUS_INVALID, "--log-format %s: write logfmt or json", name);
}

struct line {
    char text[LINE_SIZE];
    size_t size;
};

/* All of it or, when the line is full, nothing. */
static void put(struct line *l, const char *text, size_t size)
{
    if (size > LINE_SIZE - CLOSERS - l->size)
        return;
    memcpy(l->text + l->size, text, size);
    l->size += size;
}

/* Into the space that put() leaves. */
static void close_with(struct line *l, char c)
{
    if (l->size < LINE_SIZE)
        l->text[l->size++] = c;
}

/* What is no text becomes '?'. */
static void put_escaped(struct line *l, const char *text, size_t size)
{
    size_t step;

    for (size_t i = 0; i < size; i += step) {
        unsigned char c = (unsigned char)text[i];
        char pair[] = { '\\', 'n' };

        if (c != '\n')
            pair[1] = text[i];
        step = utf8_sequence((const unsigned char *)text + i, size - i);
        if (step == 0 || (c < ' ' && c != '\n'))
            put(l, "?", step = 1);
        else if (c == '"' || c == '\\' || c == '\n')
            put(l, pair, 2);
        else
            put(l, text + i, step);
    }
}

struct field {
    const char *key, *value;
    size_t key_size, value_size;
    bool quoted;
};

static bool is_number(const struct field *f)
{
    size_t digits = f->value[0] == '-' ? 1 : 0;

    return !f->quoted && f->value_size > digits && f->value_size < 16 &&
           strspn(f->value + digits, "0123456789") >= f->value_size - digits &&
           (f->value[digits] != '0' || f->value_size == digits + 1);
}

static void put_quoted(struct line *l, const char *text, size_t size)
{
    put(l, "\"", 1);
    put_escaped(l, text, size);
    close_with(l, '"');
}

static void put_field(struct line *l, const struct field *f)
{
    bool json = settings.format == LOG_JSON;
    bool bare = json ? is_number(f) : !f->quoted;

    /* Neither a key without a value nor half a line of closing quotes. */
    if (f->key_size + FIELD_LEAST > LINE_SIZE - l->size)
        return;
    if (l->size > 1)
        put(l, json ? "," : " ", 1);
    if (json)
        put_quoted(l, f->key, f->key_size);
    else
        put(l, f->key, f->key_size);
    put(l, json ? ":" : "=", 1);
    if (bare)
        put_escaped(l, f->value, f->value_size);
    else
        put_quoted(l, f->value, f->value_size);
}

static void put_text(struct line *l, const char *key, const char *value,
                     bool quoted)
{
    put_field(l, &(struct field){ .key = key,
                                  .value = value,
                                  .key_size = strlen(key),
                                  .value_size = strlen(value),
                                  .quoted = quoted });
}

/* A quoted value ends at the quote before the next field, or at the last one:
 * messages have quotes of their own. */
static size_t quoted_size(const char *value)
{
    size_t last = strlen(value);

    for (const char *quote = strchr(value, '"'); quote != NULL;
         quote = strchr(quote + 1, '"')) {
        size_t key = quote[1] == ' ' ? strspn(quote + 2, "abcdefghijklmnopqrst"
                                                         "uvwxyz_")
                                     : 0;

        last = (size_t)(quote - value);
        if (key > 0 && quote[2 + key] == '=')
            break;
    }
    return last;
}

/* The next field of the text; false: there is none. */
static bool next_field(const char **text, struct field *f)
{
    *text += strspn(*text, " ");
    f->key = *text;
    f->key_size = strcspn(*text, "=");
    if (f->key[f->key_size] == '\0')
        return false;
    f->value = f->key + f->key_size + 1;
    f->quoted = f->value[0] == '"';
    f->value += f->quoted;
    f->value_size = f->quoted ? quoted_size(f->value) : strcspn(f->value, " ");
    *text = f->value + f->value_size;
    if (f->quoted && **text == '"')
        (*text)++;
    return true;
}

/* One write() a line, so that lines of several processes do not mix. */
static void put_line(enum log_level level, const char *event,
                     const char *fields)
{
    struct line l = { .size = 0 };
    struct field field;
    char when[32], pid[32];

    clock_format(clock_wall_ms(), when, sizeof when);
    (void)snprintf(pid, sizeof pid, "%ld", (long)getpid());
    if (settings.format == LOG_JSON)
        put(&l, "{", 1);
    put_text(&l, "time", when, false);
    put_text(&l, "level", level_names[level], false);
    put_text(&l, "from", settings.program, false);
    put_text(&l, "pid", pid, false);
    put_text(&l, "event", event, true);
    while (next_field(&fields, &field))
        put_field(&l, &field);
    if (settings.format == LOG_JSON)
        close_with(&l, '}');
    close_with(&l, '\n');
    if (write(STDERR_FILENO, l.text, l.size) < 0)
        return; /* nowhere left to complain */
}

void log_event(enum log_level level, const char *event, const char *format, ...)
{
    char fields[LINE_SIZE];
    va_list args;

    if (!log_shows(level))
        return;
    va_start(args, format);
    (void)vsnprintf(fields, sizeof fields, format, args);
    va_end(args);
    put_line(level, event, fields);
}

void log_failure(const char *event, const struct status *st)
{
    log_event(LOG_ERROR, event, "code=%s error=\"%s\" at=%s:%d",
              status_name(st->code), st->message, st->file, st->line);
}
