#include "common/memory.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/mman.h>

static void *checked(void *memory, size_t size)
{
    if (memory == NULL && size > 0) {
        (void)fprintf(stderr, "out of memory: %zu bytes\n", size);
        abort();
    }
    return memory;
}

void *xcalloc(size_t count, size_t size)
{
    return checked(calloc(count, size), count * size);
}

void *alloc_large(size_t size)
{
    enum { LINE = 64, PAGE = 2 << 20 };
    size_t unit = size < PAGE ? LINE : PAGE;
    size_t bytes = (size + unit - 1) / unit * unit;
    void *memory = bytes < size ? NULL : aligned_alloc(unit, bytes);

    if (memory != NULL && unit == PAGE)
        (void)madvise(memory, bytes, MADV_HUGEPAGE); /* a wish */
    return memory;
}

void *xcalloc_large(size_t count, size_t size)
{
    size_t bytes = count * size;

    return bytes == 0 ? NULL
                      : memset(checked(alloc_large(bytes), bytes), 0, bytes);
}

void *xrealloc(void *old, size_t size)
{
    return checked(realloc(old, size), size);
}

char *xstrndup(const char *text, size_t size)
{
    size_t length = strnlen(text, size);
    char *copy = xcalloc(length + 1, 1);

    memcpy(copy, text, length);
    return copy;
}

char *xstrdup(const char *text)
{
    return xstrndup(text, strlen(text));
}

char *xasprintf(const char *format, ...)
{
    va_list args;
    char *text = NULL;
    int size;

    va_start(args, format);
    size = vasprintf(&text, format, args);
    va_end(args);
    return checked(size < 0 ? NULL : text, 1);
}

void free_pointer(void *pointer)
{
    void *held;

    memcpy(&held, pointer, sizeof held);
    free(held);
}
