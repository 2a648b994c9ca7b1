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

void *xcalloc_large(size_t count, size_t size)
{
    enum { PAGE = 2 << 20 };
    size_t bytes = (count * size + PAGE - 1) / PAGE * PAGE;
    void *memory;

    if (count * size < PAGE)
        return xcalloc(count, size);
    memory = checked(aligned_alloc(PAGE, bytes), bytes);
    (void)madvise(memory, bytes, MADV_HUGEPAGE); /* a wish */
    memset(memory, 0, bytes);
    return memory;
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
