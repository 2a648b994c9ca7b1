/* wire_guard.h -- what is checked before msgpack-c may see a message.
 *
 * msgpack-c reserves memory for as many elements as an array header announces,
 * and five bytes can announce four billion. */
#ifndef SINTER_COMMON_WIRE_GUARD_H
#define SINTER_COMMON_WIRE_GUARD_H

#include "common/status.h"

#include <stddef.h>

/* CORRUPT unless `data` is exactly one MessagePack value whose announced
 * lengths fit in the bytes left, with at most LIMIT_BATCH elements in each
 * array or map, LIMIT_MESSAGE_DEPTH levels, LIMIT_MESSAGE_NODES values and no
 * extension types. Takes no memory. */
MUST_CHECK struct status wire_guard(const void *data, size_t size);

#endif
