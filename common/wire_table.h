/* wire_table.h -- the table of messages as data, for the codec, its tests and
 * the manual. Everyone else needs wire.h only. */
#ifndef SINTER_COMMON_WIRE_TABLE_H
#define SINTER_COMMON_WIRE_TABLE_H

#include "common/wire.h"

enum wire_kind {
    WIRE_U64,
    WIRE_I64,
    WIRE_BYTES,  /* written as bin; bin and str are read */
    WIRE_DIGEST, /* bin of DIGEST_SIZE */
    WIRE_RECORD, /* a struct in place: array of its fields */
    WIRE_LIST,   /* struct { items; count; }: array of records */
};

struct wire_field {
    const char *name;
    size_t offset; /* in its struct */
    enum wire_kind kind;
    const struct wire_record *record; /* of RECORD and LIST, else NULL */
};

struct wire_record {
    const char *name;
    size_t size; /* of the struct */
    const struct wire_field *fields;
    size_t count;
    size_t most; /* bytes of such a message, with its header */
};

/* The members of a message in the order they are on the wire; NULL for a
 * number that is no message. Offsets count from wire_payload(). */
const struct wire_record *wire_record_of(enum wire_type type);

/* All members of the union of struct wire_message begin here. */
enum { WIRE_PAYLOAD = offsetof(struct wire_message, hello) };

static inline void *wire_payload(struct wire_message *m)
{
    return (char *)m + WIRE_PAYLOAD;
}

/* Every list struct of wire.h, read as this one. */
struct wire_list {
    void *items;
    size_t count;
};

struct wire_list wire_list_get(const void *member);

#endif
