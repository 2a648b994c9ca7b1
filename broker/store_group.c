#include "broker/store_group.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "common/varint.h"

enum { FORMAT = 1, HEAD_MOST = 16, VARINT_MOST = 10 };

static void add(struct buf *b, const void *data, size_t size)
{
    struct status st = buf_add(b, data, size);

    assert(!status_failed(&st)); /* buffers are made for what goes in */
}

static void add_number(struct buf *b, uint64_t value)
{
    struct status st = varint_put(b, value);

    assert(!status_failed(&st));
}

/* How many fit; ret_room: bytes that surely hold them. */
static size_t measure(const struct store_record *records, size_t count,
                      uint64_t last, size_t *ret_room)
{
    size_t room = HEAD_MOST;
    size_t taken = 0;

    for (; taken < count && taken < STORE_GROUP_RECORDS; taken++) {
        size_t more = VARINT_MOST + records[taken].data.size;

        if (taken > 0 &&
            (room + more > STORE_GROUP_BYTES || records[taken].sequence > last))
            break;
        room += more;
    }
    *ret_room = room;
    return taken;
}

struct store_group store_group_pack(const struct store_record *records,
                                    size_t count, uint64_t last)
{
    static const char format = FORMAT;
    size_t room = 0;
    size_t taken = measure(records, count, last, &room);
    struct store_group g = { .epoch = records[0].epoch,
                             .first = records[0].sequence,
                             .last = records[0].sequence + taken - 1 };
    struct buf out;

    buf_init(&out, room);
    add(&out, &format, 1);
    add_number(&out, taken);
    for (size_t i = 0; i < taken; i++) {
        add_number(&out, records[i].data.size);
        add(&out, records[i].data.data, records[i].data.size);
    }
    g.size = out.size;
    g.data = buf_take(&out);
    return g;
}

void store_group_release(struct store_group *g)
{
    free(g->data);
    *g = (struct store_group){ 0 };
}

/* Do the records from `first` on follow what is known? */
MUST_CHECK static struct status check_order(const struct store_reader *r,
                                            uint64_t epoch, uint64_t first)
{
    uint64_t next = epoch == r->epoch ? r->sequence + 1 : 1;

    if (epoch < r->epoch || first <= next || r->accept_holes)
        return SUCCESS;
    return FAIL(STATUS_CORRUPT,
                "records %" PRIu64 "-%" PRIu64 " to %" PRIu64 "-%" PRIu64
                " are missing from the log",
                epoch, next, epoch, first - 1);
}

static bool is_known(const struct store_reader *r, uint64_t epoch,
                     uint64_t sequence)
{
    return epoch < r->epoch || (epoch == r->epoch && sequence <= r->sequence);
}

MUST_CHECK static struct status visit(struct store_reader *r,
                                      const struct store_record *record)
{
    if (is_known(r, record->epoch, record->sequence))
        return SUCCESS;
    TRY_PLAIN(r->visitor->record(r->visitor->self, record));
    r->epoch = record->epoch;
    r->sequence = record->sequence;
    return SUCCESS;
}

struct status store_reader_record(struct store_reader *r,
                                  const struct store_record *record)
{
    TRY_PLAIN(check_order(r, record->epoch, record->sequence));
    return visit(r, record);
}

MUST_CHECK static struct status damaged(uint64_t epoch, uint64_t sequence,
                                        const char *how)
{
    return FAIL(STATUS_CORRUPT, "group %" PRIu64 "-%" PRIu64 " of the log %s",
                epoch, sequence, how);
}

struct status store_reader_group(struct store_reader *r, uint64_t epoch,
                                 uint64_t sequence, struct wire_bytes data)
{
    const char *at = data.data;
    const char *end;
    uint64_t count;

    if (data.size == 0 || *at++ != FORMAT)
        return damaged(epoch, sequence, "has a format that is not known here");
    end = data.data + data.size;
    if (!varint_get(&at, end, &count) || count == 0 ||
        count > STORE_GROUP_RECORDS || count > sequence)
        return damaged(epoch, sequence, "has an impossible number of records");
    TRY_PLAIN(check_order(r, epoch, sequence - count + 1));
    for (uint64_t i = 0; i < count; i++) {
        struct store_record record = { .epoch = epoch,
                                       .sequence = sequence - count + 1 + i };
        uint64_t size;

        if (!varint_get(&at, end, &size) || size > (size_t)(end - at))
            return damaged(epoch, sequence, "is cut short");
        record.data.data = at;
        record.data.size = (size_t)size;
        at += size;
        TRY_PLAIN(visit(r, &record));
    }
    if (at != end)
        return damaged(epoch, sequence, "has bytes behind its records");
    return SUCCESS;
}
