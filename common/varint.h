/* varint.h -- whole numbers as bytes, seven bits each, the low ones first;
 * the eighth says that more follow. Small numbers are short, and the bytes are
 * the same on every machine. */
#ifndef SINTER_COMMON_VARINT_H
#define SINTER_COMMON_VARINT_H

#include "common/buf.h"

#include <stdbool.h>
#include <stdint.h>

/* Appends; TOO_BIG by the buffer's limit. */
MUST_CHECK struct status varint_put(struct buf *bytes, uint64_t value);
/* Takes one from *at, which moves behind it. False if the bytes end within it
 * or it has more than 64 bits. */
bool varint_get(const char **at, const char *end, uint64_t *ret_value);

#endif
