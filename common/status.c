#include "common/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define STATUS_ROW(name, text, retry) { text, retry },
static const struct {
    const char *name;
    enum status_retry retry;
} rows[] = { STATUS_CODES(STATUS_ROW) };
#undef STATUS_ROW

/* Cutting at a size may leave half a character, which no JSON text may hold:
 * drop an unfinished UTF-8 sequence at the end. */
static void drop_half_character(char *text)
{
    size_t size = strlen(text);
    size_t tail = 0; /* bytes behind the last lead byte */
    unsigned char lead;

    while (tail < 3 && tail < size &&
           ((unsigned char)text[size - 1 - tail] & 0xC0) == 0x80)
        tail++;
    if (tail == size)
        return;
    lead = (unsigned char)text[size - 1 - tail];
    if ((lead >= 0xF0 && tail < 3) || (lead >= 0xE0 && tail < 2) ||
        (lead >= 0xC0 && tail < 1))
        text[size - 1 - tail] = '\0';
}

struct status status_make(enum status_code code, const char *file, int line,
                          const char *format, ...)
{
    struct status s = { .code = code, .line = line, .file = file };
    va_list args;

    va_start(args, format);
    (void)vsnprintf(s.message, sizeof s.message, format, args);
    va_end(args);
    drop_half_character(s.message);
    return s;
}

struct status status_wrap(struct status inner, const char *format, ...)
{
    char outer[STATUS_MESSAGE_SIZE];
    size_t used;
    va_list args;

    va_start(args, format);
    (void)vsnprintf(outer, sizeof outer, format, args);
    va_end(args);
    used = strlen(outer);
    /* Cut by design: the outer story is short, the inner may be long. */
    for (const char *at = ": "; *at != '\0' && used + 1 < sizeof outer; at++)
        outer[used++] = *at;
    for (const char *at = inner.message; *at != '\0' && used + 1 < sizeof outer;
         at++)
        outer[used++] = *at;
    outer[used] = '\0';
    drop_half_character(outer);
    memcpy(inner.message, outer, strlen(outer) + 1);
    return inner;
}

const char *status_name(enum status_code code)
{
    return code < STATUS_COUNT ? rows[code].name : "unknown";
}

enum status_code status_find(const char *name)
{
    for (int code = 0; code < STATUS_COUNT; code++) {
        if (strcmp(rows[code].name, name) == 0)
            return (enum status_code)code;
    }
    return STATUS_FAILED;
}

enum status_retry status_retry(enum status_code code)
{
    return code < STATUS_COUNT ? rows[code].retry : RETRY_NEVER;
}
