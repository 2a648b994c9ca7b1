#include "common/buf.h"

#include "common/memory.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_ROOM = 256 };

void buf_init(struct buf *b, size_t limit)
{
    *b = (struct buf){ .limit = limit };
}

void buf_release(struct buf *b)
{
    free(b->data);
    *b = (struct buf){ .limit = b->limit };
}

void buf_clear(struct buf *b)
{
    b->size = 0;
    if (b->data != NULL)
        b->data[0] = '\0';
}

struct status buf_reserve(struct buf *b, size_t more)
{
    size_t room = b->room == 0 ? FIRST_ROOM : b->room;

    if (more > b->limit - b->size)
        return FAIL(STATUS_TOO_BIG, "%zu bytes after %zu of %zu", more, b->size,
                    b->limit);
    while (room < b->size + more + 1)
        room *= 2;
    if (room != b->room) {
        b->data = xrealloc(b->data, room);
        b->room = room;
    }
    return SUCCESS;
}

struct status buf_add(struct buf *b, const void *data, size_t size)
{
    TRY_PLAIN(buf_reserve(b, size));
    if (size > 0)
        memcpy(b->data + b->size, data, size);
    b->size += size;
    b->data[b->size] = '\0';
    return SUCCESS;
}

struct status buf_add_text(struct buf *b, const char *text)
{
    return buf_add(b, text, strlen(text));
}

struct status buf_print(struct buf *b, const char *format, ...)
{
    va_list args;
    va_list again;
    int size;

    va_start(args, format);
    va_copy(again, args);
    size = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (size >= 0) {
        struct status st = buf_reserve(b, (size_t)size);

        if (status_failed(&st)) {
            va_end(again);
            return st;
        }
        (void)vsnprintf(b->data + b->size, (size_t)size + 1, format, again);
        b->size += (size_t)size;
    }
    va_end(again);
    return SUCCESS;
}

char *buf_take(struct buf *b)
{
    char *taken = b->data != NULL ? b->data : xstrdup("");

    *b = (struct buf){ .limit = b->limit };
    return taken;
}
