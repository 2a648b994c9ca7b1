/* wire_cursor.h -- the values of a MessagePack text one after the other,
 * nothing taken on trust and no memory taken: an announced length must fit in
 * the bytes left, a list has at most LIMIT_BATCH elements, values nest at
 * most LIMIT_MESSAGE_DEPTH deep and are at most LIMIT_MESSAGE_NODES in number.
 * Extension types are refused. For the codec and its tests. */
#ifndef SINTER_COMMON_WIRE_CURSOR_H
#define SINTER_COMMON_WIRE_CURSOR_H

#include "common/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum wire_shape {
    WIRE_IS_OTHER, /* nil, a truth value, a float: none of ours */
    WIRE_IS_UNSIGNED,
    WIRE_IS_SIGNED,
    WIRE_IS_TEXT, /* str or bin */
    WIRE_IS_LIST, /* its elements follow */
    WIRE_IS_MAP,
};

struct wire_value {
    enum wire_shape shape;
    uint64_t number;  /* of SIGNED: its 64 bits; of TEXT: size; of LIST:
                         elements; of MAP: keys and values together */
    const char *data; /* of TEXT */
};

struct wire_cursor {
    const uint8_t *data;
    size_t size, at;
    size_t nodes;    /* values so far */
    size_t depth;    /* lists we are inside of: kept by who reads them */
    const char *why; /* not to be read on; NULL: well so far */
};

/* The next value; false: c->why says what is wrong. Of a list or map only the
 * head is passed: its elements are the next values. */
bool wire_cursor_next(struct wire_cursor *c, struct wire_value *ret_value);
/* Pass all elements of a list or map whose head was just read; nothing for
 * other values. */
bool wire_cursor_skip(struct wire_cursor *c, const struct wire_value *value);

/* CORRUPT unless `data` is exactly one value that keeps the rules above. */
MUST_CHECK struct status wire_cursor_check(const void *data, size_t size);

#endif
