/* store_group.h -- records as they lie in a store: a group of them in one
 * entry of the stream or one row of the table.
 *
 *     byte 1 (the format), varint count, count x (varint size, bytes)
 *
 * An entry has the id of its last record; sequences have no gap, so the others
 * follow. Stores of before hold one record an entry, as it is. */
#ifndef SINTER_BROKER_STORE_GROUP_H
#define SINTER_BROKER_STORE_GROUP_H

#include "broker/store.h"

enum {
    STORE_GROUP_RECORDS = 4096,
    STORE_GROUP_BYTES = 512 << 10, /* unless one record is larger */
};

struct store_group {
    uint64_t epoch, first, last; /* sequences */
    char *data;                  /* owned */
    size_t size;
};

/* As many of the `count` > 0 records as one group takes, none above `last`. */
struct store_group store_group_pack(const struct store_record *records,
                                    size_t count, uint64_t last);
void store_group_release(struct store_group *g);

/* What is read is checked and handed to a visitor: each record once, in
 * order. */
struct store_reader {
    const struct store_visitor *visitor;
    uint64_t epoch, sequence; /* of the last record seen or in the snapshot */
    bool accept_holes;
};

/* One entry that ends with the given id. CORRUPT: it is damaged, or records
 * are missing before it; nothing behind it may be read. */
MUST_CHECK struct status store_reader_group(struct store_reader *r,
                                            uint64_t epoch, uint64_t sequence,
                                            struct wire_bytes data);
/* One record that is an entry of its own. */
MUST_CHECK struct status store_reader_record(struct store_reader *r,
                                             const struct store_record *record);

#endif
