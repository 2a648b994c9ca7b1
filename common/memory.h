/* memory.h -- allocation of small bookkeeping, which aborts when there is
 * none: the process is restarted and recovers from its store. Anything whose
 * size comes from outside is checked against limits.h first. */
#ifndef SINTER_COMMON_MEMORY_H
#define SINTER_COMMON_MEMORY_H

#include "common/macros.h"

#include <stddef.h>

void *xcalloc(size_t count, size_t size);
void *xrealloc(void *old, size_t size);
/* For what is large and used all over: at least 64-byte aligned, and in large
 * pages where the system has them, which are also fewer to ask for. NULL when
 * there is no memory; not cleared. */
void *alloc_large(size_t size);
void *xcalloc_large(size_t count, size_t size);
char *xstrdup(const char *text);
char *xstrndup(const char *text, size_t size);
char *xasprintf(const char *format, ...) PRINTF_LIKE(1, 2);

#define xnew(type) ((type *)xcalloc(1, sizeof(type)))

/* For AUTO(): free(*pointer). `pointer` is the address of any pointer. */
void free_pointer(void *pointer);

#endif
