#include "common/wire.h"

#include "common/limits.h"
#include "common/memory.h"
#include "common/wire_cursor.h"
#include "common/wire_table.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

enum { AT_MAJOR = 2, AT_TYPE = 3, AT_FLAGS = 4, AT_MINOR = 5 };

/* ---- writing ------------------------------------------------------------ */

/* What stands before a value: its kind, and a number in so many bytes. */
enum { HEAD_MOST = 9 };

/* Where the next byte goes is handed from one function to the next and not
 * kept here: bytes that are written might be it, as far as a compiler knows. */
struct writer {
    struct buf *out;
    unsigned char *end;    /* of the memory there is; the NUL goes behind */
    struct status failure; /* of the first piece that did not fit */
};

static unsigned char *use_room(struct writer *w)
{
    struct buf *b = w->out;
    size_t room = b->room - 1 < b->limit ? b->room - 1 : b->limit;

    w->end = (unsigned char *)b->data + room;
    return (unsigned char *)b->data + b->size;
}

static unsigned char *grow(struct writer *w, const unsigned char *at,
                           size_t size)
{
    struct buf *b = w->out;

    b->size = (size_t)(at - (unsigned char *)b->data);
    w->failure = buf_reserve(b, size);
    return status_failed(&w->failure) ? NULL : use_room(w);
}

/* Where `size` bytes may be written that come behind `at`; NULL: nowhere. All
 * that put something return the byte behind it, or NULL. */
static inline unsigned char *make_room(struct writer *w, unsigned char *at,
                                       size_t size)
{
    return (size_t)(w->end - at) >= size ? at : grow(w, at, size);
}

/* `first` and the number in `width` bytes, big end first. */
static inline unsigned char *put_head(struct writer *w, unsigned char *at,
                                      unsigned first, uint64_t number,
                                      unsigned width)
{
    uint64_t bytes = width == 0 ? 0 : htobe64(number << (64 - 8 * width));

    at = make_room(w, at, HEAD_MOST);
    if (at == NULL)
        return NULL;
    at[0] = (unsigned char)first;
    memcpy(at + 1, &bytes, sizeof bytes);
    return at + 1 + width;
}

static inline unsigned char *put_unsigned(struct writer *w, unsigned char *at,
                                          uint64_t n)
{
    if (n < 0x80)
        return put_head(w, at, (unsigned)n, 0, 0);
    if (n <= UINT8_MAX)
        return put_head(w, at, 0xcc, n, 1);
    if (n <= UINT16_MAX)
        return put_head(w, at, 0xcd, n, 2);
    if (n <= UINT32_MAX)
        return put_head(w, at, 0xce, n, 4);
    return put_head(w, at, 0xcf, n, 8);
}

static unsigned char *put_signed(struct writer *w, unsigned char *at, int64_t n)
{
    if (n >= 0)
        return put_unsigned(w, at, (uint64_t)n);
    if (n >= -32)
        return put_head(w, at, 0xe0 | ((unsigned)n & 0x1f), 0, 0);
    if (n >= INT8_MIN)
        return put_head(w, at, 0xd0, (uint64_t)n, 1);
    if (n >= INT16_MIN)
        return put_head(w, at, 0xd1, (uint64_t)n, 2);
    if (n >= INT32_MIN)
        return put_head(w, at, 0xd2, (uint64_t)n, 4);
    return put_head(w, at, 0xd3, (uint64_t)n, 8);
}

static unsigned char *put_array(struct writer *w, unsigned char *at,
                                size_t count)
{
    if (count < 16)
        return put_head(w, at, 0x90 | (unsigned)count, 0, 0);
    return put_head(w, at, 0xdc, count, 2); /* at most LIMIT_BATCH */
}

static unsigned char *put_bytes(struct writer *w, unsigned char *at,
                                const void *data, size_t size)
{
    if (size > LIMIT_MESSAGE) {
        w->failure = FAIL(STATUS_TOO_BIG, "%zu bytes in one field", size);
        return NULL;
    }
    at = make_room(w, at, HEAD_MOST + size);
    if (at == NULL)
        return NULL;
    at = size <= UINT8_MAX    ? put_head(w, at, 0xc4, size, 1)
         : size <= UINT16_MAX ? put_head(w, at, 0xc5, size, 2)
                              : put_head(w, at, 0xc6, size, 4);
    if (size > 0)
        memcpy(at, data, size);
    return at + size;
}

static unsigned char *put_record(struct writer *w, unsigned char *at,
                                 const struct wire_record *record,
                                 const char *data);

static unsigned char *put_list(struct writer *w, unsigned char *at,
                               const struct wire_record *record,
                               const void *member)
{
    struct wire_list list = wire_list_get(member);
    const char *item = list.items;

    if (list.count > LIMIT_BATCH) {
        w->failure = FAIL(STATUS_TOO_BIG, "%zu in one list, at most %d",
                          list.count, LIMIT_BATCH);
        return NULL;
    }
    at = put_array(w, at, list.count);
    for (size_t i = 0; at != NULL && i < list.count; i++, item += record->size)
        at = put_record(w, at, record, item);
    return at;
}

static unsigned char *put_field(struct writer *w, unsigned char *at,
                                const struct wire_field *field,
                                const void *member)
{
    const struct wire_bytes *bytes = member;

    switch (field->kind) {
    case WIRE_U64:
        return put_unsigned(w, at, *(const uint64_t *)member);
    case WIRE_I64:
        return put_signed(w, at, *(const int64_t *)member);
    case WIRE_BYTES:
        return put_bytes(w, at, bytes->data, bytes->size);
    case WIRE_DIGEST:
        return put_bytes(w, at, member, DIGEST_SIZE);
    case WIRE_RECORD:
        return put_record(w, at, field->record, member);
    case WIRE_LIST:
        return put_list(w, at, field->record, member);
    }
    return NULL;
}

/* How deep this goes is a matter of the table, not of what is written. */
static unsigned char *put_record(struct writer *w, unsigned char *at,
                                 const struct wire_record *record,
                                 const char *data)
{
    at = put_array(w, at, record->count);
    for (size_t i = 0; at != NULL && i < record->count; i++)
        at = put_field(w, at, &record->fields[i],
                       data + record->fields[i].offset);
    return at;
}

MUST_CHECK static struct status put_message(const struct wire_message *m,
                                            const struct wire_record *record,
                                            struct buf *out)
{
    const char header[WIRE_HEADER] = { 'S',           'N', WIRE_MAJOR,
                                       (char)m->type, 0,   WIRE_MINOR };
    struct writer w; /* no zeros for a message that is never read */
    unsigned char *at;

    w.out = out;
    w.failure.code = STATUS_SUCCESS;
    TRY_PLAIN(buf_add(out, header, sizeof header));
    at = put_record(&w, use_room(&w), record, (const char *)m + WIRE_PAYLOAD);
    if (at == NULL)
        return w.failure;
    out->size = (size_t)(at - (unsigned char *)out->data);
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
    if (!status_failed(&st) && out->size - before > record->most)
        st = FAIL(STATUS_TOO_BIG, "%zu bytes, at most %zu", out->size - before,
                  record->most);
    if (status_failed(&st)) {
        out->size = before;
        if (out->data != NULL)
            out->data[before] = '\0';
        return status_wrap(st, "encode %s", record->name);
    }
    return SUCCESS;
}

/* ---- reading ------------------------------------------------------------ */

/* Memory of one list of a decoded message. */
struct block {
    struct block *next;
};

struct reader {
    struct wire_cursor at;
    struct block *blocks;
    const char *field; /* being read, for the story */
    const char *why;   /* the field is wrong, though the values are well */
    uint64_t bytes;    /* so many are no digest */
};

static bool get_record(struct reader *r, const struct wire_record *record,
                       char *into);

static bool mistyped(struct reader *r)
{
    r->why = "is of another type";
    return false;
}

static bool get_number(struct reader *r, enum wire_kind kind,
                       const struct wire_value *v, void *into)
{
    bool is_negative = v->shape == WIRE_IS_SIGNED && (v->number >> 63) != 0;

    if (v->shape != WIRE_IS_SIGNED && v->shape != WIRE_IS_UNSIGNED)
        return mistyped(r);
    if (kind == WIRE_U64 && is_negative)
        return mistyped(r);
    if (kind == WIRE_I64 && !is_negative && v->number > INT64_MAX) {
        r->why = "is too great";
        return false;
    }
    memcpy(into, &v->number, sizeof v->number);
    return true;
}

/* An empty text is a null pointer. */
static bool get_bytes(struct reader *r, const struct wire_value *v,
                      struct wire_bytes *into)
{
    if (v->shape != WIRE_IS_TEXT)
        return mistyped(r);
    *into = (struct wire_bytes){ v->number == 0 ? NULL : v->data,
                                 (size_t)v->number };
    return true;
}

static bool get_digest(struct reader *r, const struct wire_value *v,
                       struct digest *into)
{
    if (v->shape != WIRE_IS_TEXT)
        return mistyped(r);
    if (v->number != DIGEST_SIZE) {
        r->bytes = v->number;
        return false;
    }
    memcpy(into->bytes, v->data, DIGEST_SIZE);
    return true;
}

/* The cursor has bounded the sum of all counts. */
static void *new_items(struct reader *r, size_t size)
{
    enum { ALIGNED = 16 };
    struct block *block = xcalloc(1, ALIGNED + size);

    block->next = r->blocks;
    r->blocks = block;
    return (char *)block + ALIGNED;
}

static bool get_list(struct reader *r, const struct wire_record *record,
                     const struct wire_value *v, void *into)
{
    struct wire_list list = { NULL, (size_t)v->number };
    char *item;

    if (v->shape != WIRE_IS_LIST)
        return mistyped(r);
    if (list.count == 0)
        return true;
    list.items = new_items(r, list.count * record->size);
    item = list.items;
    memcpy(into, &list, sizeof list);
    r->at.depth++;
    for (size_t i = 0; i < list.count; i++, item += record->size)
        if (!get_record(r, record, item))
            return false;
    r->at.depth--;
    return true;
}

static bool get_fields(struct reader *r, const struct wire_record *record,
                       const struct wire_value *v, char *into);

static bool get_field(struct reader *r, const struct wire_field *field,
                      const struct wire_value *v, void *into)
{
    switch (field->kind) {
    case WIRE_U64:
    case WIRE_I64:
        return get_number(r, field->kind, v, into);
    case WIRE_BYTES:
        return get_bytes(r, v, into);
    case WIRE_DIGEST:
        return get_digest(r, v, into);
    case WIRE_RECORD:
        return get_fields(r, field->record, v, into);
    case WIRE_LIST:
        return get_list(r, field->record, v, into);
    }
    return mistyped(r);
}

/* Elements beyond the table are a newer peer's, missing ones an older's. */
static bool get_fields(struct reader *r, const struct wire_record *record,
                       const struct wire_value *v, char *into)
{
    if (v->shape != WIRE_IS_LIST)
        return mistyped(r);
    r->at.depth++;
    for (size_t i = 0; i < v->number; i++) {
        struct wire_value element;

        r->field = i < record->count ? record->fields[i].name : record->name;
        if (!wire_cursor_next(&r->at, &element))
            return false;
        if (i < record->count ? !get_field(r, &record->fields[i], &element,
                                           into + record->fields[i].offset)
                              : !wire_cursor_skip(&r->at, &element))
            return false;
    }
    r->at.depth--;
    return true;
}

static bool get_record(struct reader *r, const struct wire_record *record,
                       char *into)
{
    struct wire_value v;

    r->field = record->name;
    return wire_cursor_next(&r->at, &v) && get_fields(r, record, &v, into);
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
    if (data[AT_FLAGS] != 0)
        return FAIL(STATUS_CORRUPT, "message with unknown flags %d",
                    data[AT_FLAGS]);
    *ret = wire_record_of((enum wire_type)data[AT_TYPE]);
    if (*ret == NULL)
        return FAIL(STATUS_CORRUPT, "message of unknown type %d",
                    data[AT_TYPE]);
    if (size > (*ret)->most)
        return FAIL(STATUS_TOO_BIG, "%s of %zu bytes, at most %zu",
                    (*ret)->name, size, (*ret)->most);
    return SUCCESS;
}

static void free_blocks(struct block *blocks)
{
    while (blocks != NULL) {
        struct block *next = blocks->next;

        free(blocks);
        blocks = next;
    }
}

MUST_CHECK static struct status story_of(const struct reader *r,
                                         const struct wire_record *record)
{
    if (r->at.why != NULL)
        return FAIL(STATUS_CORRUPT, "decode %s: byte %zu of %zu: %s",
                    record->name, r->at.at, r->at.size, r->at.why);
    if (r->why == NULL)
        return FAIL(STATUS_CORRUPT, "decode %s: %s has %llu bytes, not %d",
                    record->name, r->field, (unsigned long long)r->bytes,
                    DIGEST_SIZE);
    return FAIL(STATUS_CORRUPT, "decode %s: %s %s", record->name, r->field,
                r->why);
}

struct status wire_decode(const void *data, size_t size,
                          struct wire_decoded *ret_decoded)
{
    const struct wire_record *record = NULL;
    struct reader r = { .why = NULL };
    bool well;

    TRY_PLAIN(check_header(data, size, &record));
    r.at.data = (const uint8_t *)data + WIRE_HEADER;
    r.at.size = size - WIRE_HEADER;
    memset(&ret_decoded->message, 0, sizeof ret_decoded->message);
    ret_decoded->message.type =
        (enum wire_type)((const uint8_t *)data)[AT_TYPE];
    well = get_record(&r, record, wire_payload(&ret_decoded->message));
    if (well && r.at.at != r.at.size)
        r.at.why = "bytes behind the end";
    if (!well || r.at.why != NULL) {
        free_blocks(r.blocks);
        return story_of(&r, record);
    }
    ret_decoded->lists = r.blocks;
    return SUCCESS;
}

void wire_release(struct wire_decoded *decoded)
{
    free_blocks(decoded->lists);
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
