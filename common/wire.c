#include "common/wire.h"

#include "common/limits.h"
#include "common/memory.h"
#include "common/wire_guard.h"
#include "common/wire_table.h"

#include <stdlib.h>
#include <string.h>

#include <msgpack.h>

/* Blocks of up to 1,032 bytes come from malloc's quickest lists. */
enum { SMALL_MESSAGE = 256, SMALL_ZONE = 1000 };

enum { AT_MAJOR = 2, AT_TYPE = 3, AT_FLAGS = 4, AT_MINOR = 5 };

struct writer {
    msgpack_packer packer;
    struct buf *out;
    struct status failure; /* of the first piece that did not fit */
};

static int write_piece(void *self, const char *data, size_t size)
{
    struct writer *w = self;
    struct buf *b = w->out;

    /* Most pieces are a byte or two: buf_add() for each would be half of the
     * time. */
    if (size < b->room - b->size && size <= b->limit - b->size) {
        memcpy(b->data + b->size, data, size);
        b->size += size;
        return 0;
    }
    w->failure = buf_add(b, data, size);
    return status_failed(&w->failure) ? -1 : 0;
}

static bool put_record(struct writer *w, const struct wire_record *record,
                       const char *data);

static bool put_bytes(struct writer *w, const void *data, size_t size)
{
    if (size > LIMIT_MESSAGE) {
        w->failure = FAIL(STATUS_TOO_BIG, "%zu bytes in one field", size);
        return false;
    }
    if (msgpack_pack_bin(&w->packer, size) != 0)
        return false;
    return size == 0 || msgpack_pack_bin_body(&w->packer, data, size) == 0;
}

static bool put_list(struct writer *w, const struct wire_record *record,
                     const void *member)
{
    struct wire_list list = wire_list_get(member);
    const char *item = list.items;

    if (list.count > LIMIT_BATCH) {
        w->failure = FAIL(STATUS_TOO_BIG, "%zu in one list, at most %d",
                          list.count, LIMIT_BATCH);
        return false;
    }
    if (msgpack_pack_array(&w->packer, list.count) != 0)
        return false;
    for (size_t i = 0; i < list.count; i++, item += record->size)
        if (!put_record(w, record, item))
            return false;
    return true;
}

static bool put_field(struct writer *w, const struct wire_field *field,
                      const void *member)
{
    const struct wire_bytes *bytes = member;

    switch (field->kind) {
    case WIRE_U64:
        return msgpack_pack_uint64(&w->packer, *(const uint64_t *)member) == 0;
    case WIRE_I64:
        return msgpack_pack_int64(&w->packer, *(const int64_t *)member) == 0;
    case WIRE_BYTES:
        return put_bytes(w, bytes->data, bytes->size);
    case WIRE_DIGEST:
        return put_bytes(w, member, DIGEST_SIZE);
    case WIRE_RECORD:
        return put_record(w, field->record, member);
    case WIRE_LIST:
        return put_list(w, field->record, member);
    }
    return false;
}

/* How deep this goes is a matter of the table, not of what is written. */
static bool put_record(struct writer *w, const struct wire_record *record,
                       const char *data)
{
    if (msgpack_pack_array(&w->packer, record->count) != 0)
        return false;
    for (size_t i = 0; i < record->count; i++)
        if (!put_field(w, &record->fields[i], data + record->fields[i].offset))
            return false;
    return true;
}

MUST_CHECK static struct status put_message(const struct wire_message *m,
                                            const struct wire_record *record,
                                            struct buf *out)
{
    const char header[WIRE_HEADER] = { 'S',           'N', WIRE_MAJOR,
                                       (char)m->type, 0,   WIRE_MINOR };
    struct writer w = { .out = out, .failure = SUCCESS };

    TRY_PLAIN(buf_add(out, header, sizeof header));
    msgpack_packer_init(&w.packer, &w, write_piece);
    if (!put_record(&w, record, (const char *)m + WIRE_PAYLOAD))
        return w.failure;
    return buf_add(out, "", 0); /* the NUL behind */
}

struct status wire_encode(const struct wire_message *m, struct buf *out)
{
    const struct wire_record *record = wire_record_of(m->type);
    size_t before = out->size;
    struct status st;

    if (record == NULL)
        return FAIL(STATUS_INVALID, "%d is no message type", (int)m->type);
    st = put_message(m, record, out);
    if (!status_failed(&st) && out->size - before > LIMIT_MESSAGE)
        st = FAIL(STATUS_TOO_BIG, "%zu bytes, at most %d", out->size - before,
                  LIMIT_MESSAGE);
    if (status_failed(&st)) {
        out->size = before;
        if (out->data != NULL)
            out->data[before] = '\0';
        return status_wrap(st, "encode %s", record->name);
    }
    return SUCCESS;
}

struct reader {
    msgpack_zone *zone;
    const char *field; /* being read, for the story */
};

MUST_CHECK static struct status get_record(struct reader *r,
                                           const struct wire_record *record,
                                           const msgpack_object *from,
                                           char *into);

MUST_CHECK static struct status mistyped(const struct reader *r)
{
    return FAIL(STATUS_CORRUPT, "%s is of another type", r->field);
}

MUST_CHECK static struct status get_number(const struct reader *r,
                                           enum wire_kind kind,
                                           const msgpack_object *from,
                                           void *into)
{
    bool is_negative = from->type == MSGPACK_OBJECT_NEGATIVE_INTEGER;

    if (!is_negative && from->type != MSGPACK_OBJECT_POSITIVE_INTEGER)
        return mistyped(r);
    if (kind == WIRE_U64) {
        if (is_negative)
            return mistyped(r);
        *(uint64_t *)into = from->via.u64;
        return SUCCESS;
    }
    if (!is_negative && from->via.u64 > INT64_MAX)
        return FAIL(STATUS_CORRUPT, "%s is too great", r->field);
    *(int64_t *)into = from->via.i64;
    return SUCCESS;
}

/* msgpack-c gives an empty text a null pointer; so do we. */
MUST_CHECK static struct status get_bytes(const struct reader *r,
                                          const msgpack_object *from,
                                          struct wire_bytes *into)
{
    if (from->type == MSGPACK_OBJECT_BIN)
        *into = (struct wire_bytes){ from->via.bin.ptr, from->via.bin.size };
    else if (from->type == MSGPACK_OBJECT_STR)
        *into = (struct wire_bytes){ from->via.str.ptr, from->via.str.size };
    else
        return mistyped(r);
    return SUCCESS;
}

MUST_CHECK static struct status get_digest(const struct reader *r,
                                           const msgpack_object *from,
                                           struct digest *into)
{
    struct wire_bytes bytes = { NULL, 0 };

    TRY_PLAIN(get_bytes(r, from, &bytes));
    if (bytes.size != DIGEST_SIZE)
        return FAIL(STATUS_CORRUPT, "%s has %zu bytes, not %d", r->field,
                    bytes.size, DIGEST_SIZE);
    memcpy(into->bytes, bytes.data, DIGEST_SIZE);
    return SUCCESS;
}

MUST_CHECK static struct status get_list(struct reader *r,
                                         const struct wire_record *record,
                                         const msgpack_object *from, void *into)
{
    struct wire_list list = { NULL, 0 };
    char *item;

    if (from->type != MSGPACK_OBJECT_ARRAY)
        return mistyped(r);
    list.count = from->via.array.size;
    if (list.count == 0)
        return SUCCESS;
    /* wire_guard() has bounded the sum of all counts. */
    list.items = msgpack_zone_malloc(r->zone, list.count * record->size);
    if (list.items == NULL)
        return FAIL(STATUS_NO_MEMORY, "%s: %zu elements", r->field, list.count);
    memset(list.items, 0, list.count * record->size);
    item = list.items;
    for (size_t i = 0; i < list.count; i++, item += record->size)
        TRY_PLAIN(get_record(r, record, &from->via.array.ptr[i], item));
    memcpy(into, &list, sizeof list);
    return SUCCESS;
}

MUST_CHECK static struct status get_field(struct reader *r,
                                          const struct wire_field *field,
                                          const msgpack_object *from,
                                          void *into)
{
    r->field = field->name;
    switch (field->kind) {
    case WIRE_U64:
    case WIRE_I64:
        return get_number(r, field->kind, from, into);
    case WIRE_BYTES:
        return get_bytes(r, from, into);
    case WIRE_DIGEST:
        return get_digest(r, from, into);
    case WIRE_RECORD:
        return get_record(r, field->record, from, into);
    case WIRE_LIST:
        return get_list(r, field->record, from, into);
    }
    return mistyped(r);
}

/* Elements beyond the table are a newer peer's, missing ones an older's. */
MUST_CHECK static struct status get_record(struct reader *r,
                                           const struct wire_record *record,
                                           const msgpack_object *from,
                                           char *into)
{
    size_t count;

    if (from->type != MSGPACK_OBJECT_ARRAY)
        return mistyped(r);
    count = from->via.array.size;
    for (size_t i = 0; i < count && i < record->count; i++)
        TRY_PLAIN(get_field(r, &record->fields[i], &from->via.array.ptr[i],
                            into + record->fields[i].offset));
    return SUCCESS;
}

MUST_CHECK static struct status check_header(const uint8_t *data, size_t size,
                                             const struct wire_record **ret)
{
    if (size < WIRE_HEADER || data[0] != 'S' || data[1] != 'N')
        return FAIL(STATUS_CORRUPT, "%zu bytes that are no sinter message",
                    size);
    if (data[AT_MAJOR] != WIRE_MAJOR)
        return FAIL(STATUS_INVALID,
                    "message of protocol %d.%d, this program speaks %d.%d; "
                    "run the same version of sinter everywhere",
                    data[AT_MAJOR], data[AT_MINOR], WIRE_MAJOR, WIRE_MINOR);
    if (size > LIMIT_MESSAGE)
        return FAIL(STATUS_CORRUPT, "message of %zu bytes, at most %d", size,
                    LIMIT_MESSAGE);
    if (data[AT_FLAGS] != 0)
        return FAIL(STATUS_CORRUPT, "message with unknown flags %d",
                    data[AT_FLAGS]);
    *ret = wire_record_of((enum wire_type)data[AT_TYPE]);
    if (*ret == NULL)
        return FAIL(STATUS_CORRUPT, "message of unknown type %d",
                    data[AT_TYPE]);
    return SUCCESS;
}

MUST_CHECK static struct status unpack(msgpack_zone *zone, const char *body,
                                       size_t size, msgpack_object *ret)
{
    size_t at = 0;
    msgpack_unpack_return got;

    TRY_PLAIN(wire_guard(body, size));
    got = msgpack_unpack(body, size, &at, zone, ret);
    if (got == MSGPACK_UNPACK_NOMEM_ERROR)
        return FAIL(STATUS_NO_MEMORY, "%zu bytes", size);
    if (got != MSGPACK_UNPACK_SUCCESS)
        return FAIL(STATUS_CORRUPT, "not MessagePack at byte %zu", at);
    return SUCCESS;
}

MUST_CHECK static struct status get_message(struct reader *r,
                                            const struct wire_record *record,
                                            const char *body, size_t size,
                                            struct wire_message *m)
{
    msgpack_object object;

    r->field = record->name;
    TRY(unpack(r->zone, body, size, &object), "decode %s", record->name);
    TRY(get_record(r, record, &object, wire_payload(m)), "decode %s",
        record->name);
    return SUCCESS;
}

struct status wire_decode(const void *data, size_t size,
                          struct wire_decoded *ret_decoded)
{
    const struct wire_record *record = NULL;
    struct wire_decoded decoded;
    struct reader r;
    struct status st;

    TRY_PLAIN(check_header(data, size, &record));
    memset(&decoded, 0, sizeof decoded);
    decoded.message.type = (enum wire_type)((const uint8_t *)data)[AT_TYPE];
    r.zone = msgpack_zone_new(size < SMALL_MESSAGE ? SMALL_ZONE
                                                   : MSGPACK_ZONE_CHUNK_SIZE);
    if (r.zone == NULL)
        return FAIL(STATUS_NO_MEMORY, "decode %s", record->name);
    st = get_message(&r, record, (const char *)data + WIRE_HEADER,
                     size - WIRE_HEADER, &decoded.message);
    if (status_failed(&st)) {
        msgpack_zone_free(r.zone);
        return st;
    }
    decoded.lists = r.zone;
    *ret_decoded = decoded;
    return SUCCESS;
}

void wire_release(struct wire_decoded *decoded)
{
    msgpack_zone_free(decoded->lists);
    decoded->lists = NULL;
}

/* The same on every machine: bytes are read in one order. */
static uint64_t little_endian(const uint8_t *bytes)
{
    uint64_t word = 0;

    for (int i = 7; i >= 0; i--)
        word = word << 8 | bytes[i];
    return word;
}

/* The finisher of SplitMix64: Steele, Lea, Flood, "Fast splittable
 * pseudorandom number generators", OOPSLA 2014. */
static uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

uint64_t wire_token_hash(const struct wire_token *t)
{
    const uint64_t step = UINT64_C(0x9e3779b97f4a7c15);
    uint64_t h = step;

    for (size_t i = 0; i < DIGEST_SIZE; i += sizeof h)
        h = mix(h + little_endian(t->key.bytes + i)) + step;
    h = mix(h + t->epoch) + step;
    return mix(h + t->attempt);
}

bool wire_token_equal(const struct wire_token *a, const struct wire_token *b)
{
    return digest_equal(&a->key, &b->key) && a->epoch == b->epoch &&
           a->attempt == b->attempt;
}

struct wire_bytes wire_text(const char *text)
{
    return text != NULL ? (struct wire_bytes){ text, strlen(text) }
                        : (struct wire_bytes){ "", 0 };
}

char *wire_take(struct wire_bytes bytes)
{
    return bytes.size > 0 ? xstrndup(bytes.data, bytes.size) : xstrdup("");
}

bool wire_is(struct wire_bytes bytes, const char *text)
{
    size_t size = strlen(text);

    return bytes.size == size &&
           (size == 0 || memcmp(bytes.data, text, size) == 0);
}
