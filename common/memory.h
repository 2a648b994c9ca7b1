/* memory.h -- allocation of small bookkeeping, which aborts when there is
 * none: the process is restarted and recovers from its store. Anything whose
 * size comes from outside is checked against limits.h first. */
#ifndef SINTER_COMMON_MEMORY_H
#define SINTER_COMMON_MEMORY_H

#include "common/macros.h"

#include <stddef.h>

void *xcalloc(size_t count, size_t size);
void *xrealloc(void *old, size_t size);
/* The same for large tables that are read all over: in large pages where the
 * system has them. */
void *xcalloc_large(size_t count, size_t size);
char *xstrdup(const char *text);
char *xstrndup(const char *text, size_t size);
char *xasprintf(const char *format, ...) PRINTF_LIKE(1, 2);

#define xnew(type) ((type *)xcalloc(1, sizeof(type)))

/* For AUTO(): free(*pointer). `pointer` is the address of any pointer. */
void free_pointer(void *pointer);

#endif
