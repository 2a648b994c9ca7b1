/* buf.h -- a growing row of bytes with a stated maximum. */
#ifndef SINTER_COMMON_BUF_H
#define SINTER_COMMON_BUF_H

#include "common/status.h"

#include <stddef.h>

struct buf {
    char *data;   /* NUL-terminated beyond `size` once anything was added */
    size_t size;  /* bytes used */
    size_t room;  /* bytes held */
    size_t limit; /* the most it may ever hold */
};

/* The memory is the caller's; nothing is allocated yet. */
void buf_init(struct buf *b, size_t limit);
void buf_release(struct buf *b);
/* Forget the contents, keep the memory. */
void buf_clear(struct buf *b);

/* TOO_BIG when the limit would be passed; the contents are then unchanged. */
MUST_CHECK struct status buf_add(struct buf *b, const void *data, size_t size);
MUST_CHECK struct status buf_add_text(struct buf *b, const char *text);
MUST_CHECK struct status buf_print(struct buf *b, const char *format, ...)
    PRINTF_LIKE(2, 3);

/* Room for so many bytes more, and a NUL behind them. */
MUST_CHECK struct status buf_reserve(struct buf *b, size_t more);

/* The bytes, now the caller's to free(); never NULL. The buffer is empty. */
char *buf_take(struct buf *b);

#endif
