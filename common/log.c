#include "common/log.h"

#include "common/clock.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { LINE_SIZE = 1024 };

static const char *const level_names[] = { "debug", "info", "warn", "error" };
static const char *log_program = "sinter";
static enum log_level log_least = LOG_INFO;

void log_start(const char *program, enum log_level least)
{
    log_program = program;
    log_least = least;
}

/* One write() a line, so that lines of several processes do not mix. */
static void put_line(enum log_level level, const char *event,
                     const char *fields)
{
    char line[LINE_SIZE];
    char when[32];
    int size;

    clock_format(clock_wall_ms(), when, sizeof when);
    size = snprintf(line, sizeof line, "%s %s %s[%ld] \"%s\"%s%s\n", when,
                    level_names[level], log_program, (long)getpid(), event,
                    fields[0] == '\0' ? "" : " ", fields);
    if (size >= LINE_SIZE) {
        size = LINE_SIZE;
        line[LINE_SIZE - 1] = '\n';
    }
    if (size > 0 && write(STDERR_FILENO, line, (size_t)size) < 0)
        return; /* nowhere left to complain */
}

void log_event(enum log_level level, const char *event, const char *format, ...)
{
    char fields[LINE_SIZE];
    va_list args;

    if (level < log_least)
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
