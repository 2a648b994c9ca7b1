/* Every row of the message table, with no line written for it here: what the
 * table says is filled, written, read, cut and compared.
 *
 * tests/golden/wire/NAME.bin has each message in bytes. Run this test with
 * SINTER_WRITE_GOLDEN=1 to make the missing files, and commit them. A file
 * that differs means that older peers and stores could not be read any more,
 * with one exception: when fields were appended to a row, rename the old file
 * to NAME.MAJOR.MINOR.bin and make a new one. All files must decode. */
#include "support/test.h"

#include "common/file.h"
#include "common/limits.h"
#include "common/memory.h"
#include "common/wire.h"
#include "common/wire_cursor.h"
#include "common/wire_table.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include <msgpack.h>

enum { LIST_LENGTH = 2, MOST_BLOCKS = 256, FLIPS = 400 };

/* Memory of a filled message. */
struct filled {
    struct wire_message message;
    void *blocks[MOST_BLOCKS];
    size_t count;
    uint64_t next; /* value */
};

static void *block(struct filled *f, size_t size)
{
    assert_true(f->count < MOST_BLOCKS);
    return f->blocks[f->count++] = xcalloc(1, size);
}

static void fill_record(struct filled *f, const struct wire_record *record,
                        char *into);

static void fill_list(struct filled *f, const struct wire_record *record,
                      void *into)
{
    struct wire_list list = { block(f, LIST_LENGTH * record->size),
                              LIST_LENGTH };
    char *item = list.items;

    for (size_t i = 0; i < LIST_LENGTH; i++, item += record->size)
        fill_record(f, record, item);
    memcpy(into, &list, sizeof list);
}

/* Each value differs from all others, and widths of numbers vary. */
static void fill_field(struct filled *f, const struct wire_field *field,
                       void *into)
{
    uint64_t n = ++f->next;
    char *text;

    switch (field->kind) {
    case WIRE_U64:
        *(uint64_t *)into = n << n % 8 * 8;
        break;
    case WIRE_I64:
        *(int64_t *)into = (n % 2 == 0 ? 1 : -1) * (int64_t)(n << n % 7 * 8);
        break;
    case WIRE_BYTES:
        text = block(f, 64);
        (void)snprintf(text, 64, "%s %d", field->name, (int)n);
        *(struct wire_bytes *)into = wire_text(text);
        break;
    case WIRE_DIGEST:
        memset(into, (int)n, DIGEST_SIZE);
        break;
    case WIRE_RECORD:
        fill_record(f, field->record, into);
        break;
    case WIRE_LIST:
        fill_list(f, field->record, into);
        break;
    }
}

static void fill_record(struct filled *f, const struct wire_record *record,
                        char *into)
{
    for (size_t i = 0; i < record->count; i++)
        fill_field(f, &record->fields[i], into + record->fields[i].offset);
}

static void fill(struct filled *f, enum wire_type type)
{
    memset(f, 0, sizeof *f);
    f->message.type = type;
    fill_record(f, wire_record_of(type), wire_payload(&f->message));
}

static void empty(struct filled *f)
{
    for (size_t i = 0; i < f->count; i++)
        free(f->blocks[i]);
}

static void check_same(const struct wire_record *record, const char *a,
                       const char *b);

static void check_same_list(const struct wire_record *record, const void *a,
                            const void *b)
{
    struct wire_list x = wire_list_get(a);
    struct wire_list y = wire_list_get(b);

    assert_int_equal(x.count, y.count);
    for (size_t i = 0; i < x.count; i++)
        check_same(record, (char *)x.items + i * record->size,
                   (char *)y.items + i * record->size);
}

static void check_same_field(const struct wire_field *field, const void *a,
                             const void *b)
{
    const struct wire_bytes *x = a;
    const struct wire_bytes *y = b;

    switch (field->kind) {
    case WIRE_U64:
    case WIRE_I64:
        assert_memory_equal(a, b, sizeof(uint64_t));
        break;
    case WIRE_BYTES:
        assert_int_equal(x->size, y->size);
        if (x->size > 0)
            assert_memory_equal(x->data, y->data, x->size);
        break;
    case WIRE_DIGEST:
        assert_memory_equal(a, b, DIGEST_SIZE);
        break;
    case WIRE_RECORD:
        check_same(field->record, a, b);
        break;
    case WIRE_LIST:
        check_same_list(field->record, a, b);
        break;
    }
}

static void check_same(const struct wire_record *record, const char *a,
                       const char *b)
{
    for (size_t i = 0; i < record->count; i++)
        check_same_field(&record->fields[i], a + record->fields[i].offset,
                         b + record->fields[i].offset);
}

static void check_same_message(struct wire_message *a, struct wire_message *b)
{
    assert_int_equal(a->type, b->type);
    check_same(wire_record_of(a->type), wire_payload(a), wire_payload(b));
}

/* In memory of exactly its size, for ASan to see any read beyond. */
static struct status decode_copy(const char *data, size_t size,
                                 struct wire_decoded *ret, char **ret_copy)
{
    char *copy = malloc(size > 0 ? size : 1);

    assert_non_null(copy);
    memcpy(copy, data, size);
    *ret_copy = copy;
    return wire_decode(copy, size, ret);
}

static void for_each_row(void (*check)(enum wire_type type,
                                       struct filled *filled,
                                       struct buf *encoded))
{
    int rows = 0;

    for (int type = 0; type < WIRE_TYPE_END; type++) {
        struct filled filled;
        struct buf encoded;

        if (wire_record_of((enum wire_type)type) == NULL)
            continue;
        fill(&filled, (enum wire_type)type);
        buf_init(&encoded, LIMIT_MESSAGE);
        assert_ok(wire_encode(&filled.message, &encoded));
        check((enum wire_type)type, &filled, &encoded);
        buf_release(&encoded);
        empty(&filled);
        rows++;
    }
    assert_true(rows > 20);
}

static void check_round_trip(enum wire_type type, struct filled *filled,
                             struct buf *encoded)
{
    struct wire_decoded decoded;

    (void)type;
    assert_ok(wire_decode(encoded->data, encoded->size, &decoded));
    check_same_message(&filled->message, &decoded.message);
    wire_release(&decoded);
}

/* msgpack-c reads what we write, and would write the same. */
static void check_oracle(enum wire_type type, struct filled *filled,
                         struct buf *encoded)
{
    msgpack_zone *zone = msgpack_zone_new(1 << 16);
    msgpack_sbuffer again;
    msgpack_packer packer;
    msgpack_object object;
    size_t at = WIRE_HEADER;

    (void)type;
    (void)filled;
    assert_int_equal(
        msgpack_unpack(encoded->data, encoded->size, &at, zone, &object),
        MSGPACK_UNPACK_SUCCESS);
    assert_int_equal(at, encoded->size);
    msgpack_sbuffer_init(&again);
    msgpack_packer_init(&packer, &again, msgpack_sbuffer_write);
    assert_int_equal(msgpack_pack_object(&packer, object), 0);
    assert_int_equal(again.size, encoded->size - WIRE_HEADER);
    assert_memory_equal(again.data, encoded->data + WIRE_HEADER, again.size);
    msgpack_sbuffer_destroy(&again);
    msgpack_zone_free(zone);
}

static void test_every_message_is_what_msgpack_would_write(void **state)
{
    (void)state;
    for_each_row(check_oracle);
}

static void test_numbers_are_as_short_as_msgpack_would_write_them(void **state)
{
    (void)state;
    for (int shift = 0; shift < 64; shift++)
        for (int near = -1; near <= 1; near++) {
            struct wire_message m = { .type = WIRE_RECORD_RESULT };
            struct filled none = { 0 };
            struct buf encoded;
            uint64_t n = (UINT64_C(1) << shift) + (uint64_t)near;

            m.record_result.token.epoch = n;
            m.record_result.wall_ms = (int64_t)n;
            m.record_result.at_ms = -(int64_t)(n & INT64_MAX);
            buf_init(&encoded, LIMIT_MESSAGE);
            assert_ok(wire_encode(&m, &encoded));
            check_oracle(m.type, &none, &encoded);
            buf_release(&encoded);
        }
}

static void test_every_message_reads_back_as_it_was_written(void **state)
{
    (void)state;
    for_each_row(check_round_trip);
}

static void check_every_cut(enum wire_type type, struct filled *filled,
                            struct buf *encoded)
{
    (void)type;
    (void)filled;
    for (size_t size = 0; size < encoded->size; size++) {
        struct wire_decoded decoded;
        char *copy;

        assert_fails(decode_copy(encoded->data, size, &decoded, &copy),
                     STATUS_CORRUPT, NULL);
        free(copy);
    }
}

static void test_every_message_cut_anywhere_is_corrupt(void **state)
{
    (void)state;
    for_each_row(check_every_cut);
}

/* A newer peer has appended a list and a number to the row. */
static void check_longer(enum wire_type type, struct filled *filled,
                         struct buf *encoded)
{
    static const char more[] = { (char)0x92, (char)0xc0, (char)0xa1, 'x', 7 };
    struct wire_decoded decoded;
    char *count = encoded->data + WIRE_HEADER;
    bool both;

    (void)type;
    assert_int_equal(*count & 0xf0, 0x90); /* up to 15 fields in a row */
    both = (*count & 0x0f) < 0x0e;
    *count = (char)(*count + (both ? 2 : 1));
    assert_ok(buf_add(encoded, more, both ? sizeof more : sizeof more - 1));
    assert_ok(wire_decode(encoded->data, encoded->size, &decoded));
    check_same_message(&filled->message, &decoded.message);
    wire_release(&decoded);
}

static void test_elements_of_a_newer_peer_are_ignored(void **state)
{
    (void)state;
    for_each_row(check_longer);
}

static void check_shorter(enum wire_type type, struct filled *filled,
                          struct buf *encoded)
{
    struct wire_message zero;
    struct wire_decoded decoded;

    (void)filled;
    memset(&zero, 0, sizeof zero);
    zero.type = type;
    encoded->data[WIRE_HEADER] = (char)0x90; /* array of none */
    assert_ok(wire_decode(encoded->data, WIRE_HEADER + 1, &decoded));
    check_same_message(&zero, &decoded.message);
    wire_release(&decoded);
}

static void test_elements_that_an_older_peer_lacks_are_zero(void **state)
{
    (void)state;
    for_each_row(check_shorter);
}

static uint64_t next_random(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + 1442695040888963407U;
    return *state >> 33;
}

/* Whatever still decodes must encode and decode to itself. */
static void check_garbage(enum wire_type type, struct filled *filled,
                          struct buf *encoded)
{
    uint64_t random = (uint64_t)type;

    (void)filled;
    for (int flip = 0; flip < FLIPS; flip++) {
        size_t at = next_random(&random) % encoded->size;
        char saved = encoded->data[at];
        struct wire_decoded decoded;
        struct wire_decoded again;
        struct status st;
        struct buf copy;
        char *exact;

        encoded->data[at] = (char)next_random(&random);
        st = decode_copy(encoded->data, encoded->size, &decoded, &exact);
        encoded->data[at] = saved;
        if (!status_failed(&st)) {
            buf_init(&copy, LIMIT_MESSAGE);
            assert_ok(wire_encode(&decoded.message, &copy));
            assert_ok(wire_decode(copy.data, copy.size, &again));
            check_same_message(&decoded.message, &again.message);
            wire_release(&again);
            buf_release(&copy);
            wire_release(&decoded);
        } else {
            assert_true(st.code == STATUS_CORRUPT || st.code == STATUS_INVALID);
        }
        free(exact);
    }
}

static void test_damaged_messages_are_refused_or_read_cleanly(void **state)
{
    (void)state;
    for_each_row(check_garbage);
}

static void check_golden(enum wire_type type, struct filled *filled,
                         struct buf *encoded)
{
    char *path = xasprintf(TEST_DATA "/golden/wire/%s.bin", wire_name(type));
    char *golden = NULL;
    size_t size = 0;

    (void)filled;
    if (getenv("SINTER_WRITE_GOLDEN") != NULL && !file_exists(path))
        assert_ok(file_write(path, encoded->data, encoded->size));
    assert_ok(file_read(path, LIMIT_MESSAGE, &golden, &size));
    if (size != encoded->size || memcmp(golden, encoded->data, size) != 0)
        fail_msg("%s is not what is written today", path);
    free(golden);
    free(path);
}

static void test_every_message_has_the_bytes_it_always_had(void **state)
{
    (void)state;
    for_each_row(check_golden);
}

static void test_every_golden_file_still_decodes(void **state)
{
    DIR *folder = opendir(TEST_DATA "/golden/wire");
    struct dirent *entry;

    (void)state;
    assert_non_null(folder);
    while ((entry = readdir(folder)) != NULL) {
        struct wire_decoded decoded;
        char *path;
        char *data;
        size_t size;

        if (entry->d_name[0] == '.')
            continue;
        path = xasprintf(TEST_DATA "/golden/wire/%s", entry->d_name);
        assert_ok(file_read(path, LIMIT_MESSAGE, &data, &size));
        assert_ok(wire_decode(data, size, &decoded));
        assert_int_equal(strcspn(entry->d_name, "."),
                         strlen(wire_name(decoded.message.type)));
        wire_release(&decoded);
        free(data);
        free(path);
    }
    (void)closedir(folder);
}

static void test_names_are_unique_and_numbers_without_one_have_none(
    void **state)
{
    (void)state;
    for (int a = 0; a < WIRE_TYPE_END; a++)
        for (int b = 0; b < a; b++)
            if (wire_name((enum wire_type)a) != NULL &&
                wire_name((enum wire_type)b) != NULL)
                assert_string_not_equal(wire_name((enum wire_type)a),
                                        wire_name((enum wire_type)b));
    assert_null(wire_name((enum wire_type)0));
    assert_null(wire_name(WIRE_TYPE_END));
    assert_null(wire_name((enum wire_type) - 1));
}

#define BODY(...) \
    (const char[]){ __VA_ARGS__ }, sizeof((const char[]){ __VA_ARGS__ })
#define B(x) ((char)(x))

/* Five bytes that announce gigabytes, and their like. */
static void test_bombs_are_refused_before_memory_is_taken(void **state)
{
    static const char all = B(0xff);
    const struct {
        const char *body;
        size_t size;
        const char *words;
    } rows[] = {
        { BODY(B(0xdd), all, all, all, all), "too many elements" },
        { BODY(B(0xdd), 0, 0, 0x10, 0), "longer than the message" },
        { BODY(B(0xdc), all, all), "too many elements" },
        { BODY(B(0xdf), all, all, all, all), "too many elements" },
        { BODY(B(0xde), 0, 3, 0), "longer than the message" },
        { BODY(B(0x91), B(0xc6), all, all, all, all), "text longer" },
        { BODY(B(0x91), B(0xdb), 0x7f, all, all, all), "text longer" },
        { BODY(B(0x91), B(0xa2), 'x'), "text longer" },
        { BODY(B(0x91), B(0xcf), 1, 2), "cut off in a number" },
        { BODY(B(0x91), B(0xc7), 0, 0), "a type that no message has" },
        { BODY(B(0x91), B(0xc1)), "a type that no message has" },
        { BODY(B(0x90), 0), "bytes behind the end" },
        { BODY(B(0x91), B(0x91), B(0x91), B(0x91), B(0x91), B(0x91), B(0x91),
               B(0x91), B(0x91), 0),
          "nested too deep" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        assert_fails(wire_cursor_check(rows[i].body, rows[i].size),
                     STATUS_CORRUPT, rows[i].words);
}

static void test_the_cursor_bounds_the_values_of_a_message(void **state)
{
    size_t lists = LIMIT_MESSAGE_NODES / LIMIT_BATCH + 1;
    size_t size = 3 + lists * (3 + LIMIT_BATCH);
    char *body = xcalloc(1, size); /* zeros are numbers */
    char *at = body;

    (void)state;
    *at++ = B(0xdc);
    *at++ = (char)(lists >> 8);
    *at++ = (char)lists;
    for (size_t i = 0; i < lists; i++, at += LIMIT_BATCH) {
        *at++ = B(0xdc);
        *at++ = (char)(LIMIT_BATCH >> 8);
        *at++ = (char)(LIMIT_BATCH & 255);
    }
    assert_fails(wire_cursor_check(body, size), STATUS_CORRUPT,
                 "too many values");
    free(body);
}

static void test_other_versions_flags_and_types_are_said(void **state)
{
    char data[] = { 'S', 'N', WIRE_MAJOR, WIRE_DRAIN, 0,  9,
                    9,   9,   B(0x91),    B(0xa1),    'x' };
    struct wire_decoded decoded;

    (void)state;
    /* A greater minor version is the same protocol; str is text as well. */
    assert_ok(wire_decode(data, sizeof data, &decoded));
    assert_true(wire_is(decoded.message.drain.reason, "x"));
    wire_release(&decoded);
    data[2] = WIRE_MAJOR + 1;
    assert_fails(wire_decode(data, sizeof data, &decoded), STATUS_INVALID,
                 "protocol 2.9");
    data[2] = WIRE_MAJOR;
    data[3] = 127;
    assert_fails(wire_decode(data, sizeof data, &decoded), STATUS_CORRUPT,
                 "unknown type 127");
    data[3] = B(200);
    assert_fails(wire_decode(data, sizeof data, &decoded), STATUS_CORRUPT,
                 "unknown type 200");
    data[3] = WIRE_DRAIN;
    data[4] = 1;
    assert_fails(wire_decode(data, sizeof data, &decoded), STATUS_CORRUPT,
                 "flags");
    data[4] = 0;
    data[0] = 'X';
    assert_fails(wire_decode(data, sizeof data, &decoded), STATUS_CORRUPT,
                 "no sinter message");
}

static void test_fields_of_another_type_are_named(void **state)
{
    char number[] = {
        'S', 'N', WIRE_MAJOR, WIRE_DRAIN, 0, 0, 0, 0, B(0x91), 5
    };
    char text[] = { 'S', 'N', WIRE_MAJOR, WIRE_QUERY, 0,  0,
                    0,   0,   B(0x91),    B(0xa1),    'x' };
    char negative[] = { 'S', 'N', WIRE_MAJOR, WIRE_QUERY, 0,
                        0,   0,   0,          B(0x91),    B(0xff) };
    char great[] = { 'S',     'N', WIRE_MAJOR, WIRE_RECORD_START, 0, 0, 0, 0,
                     B(0x92), 1,   B(0xcf),    B(0xff),           0, 0, 0, 0,
                     0,       0,   0 };
    char digest[] = { 'S', 'N',     WIRE_MAJOR, WIRE_LOG, 0, 0,   0,
                      0,   B(0x91), B(0x91),    B(0xc4),  2, 'a', 'b' };
    char record[] = { 'S', 'N', WIRE_MAJOR, WIRE_LOG, 0, 0, 0, 0, B(0x91), 1 };
    struct wire_decoded d;

    (void)state;
    assert_fails(wire_decode(number, sizeof number, &d), STATUS_CORRUPT,
                 "decode drain: reason is of another type");
    assert_fails(wire_decode(text, sizeof text, &d), STATUS_CORRUPT,
                 "decode query: request");
    assert_fails(wire_decode(negative, sizeof negative, &d), STATUS_CORRUPT,
                 "request");
    assert_fails(wire_decode(great, sizeof great, &d), STATUS_CORRUPT,
                 "wall_ms is too great");
    assert_fails(wire_decode(digest, sizeof digest, &d), STATUS_CORRUPT,
                 "key has 2 bytes, not 32");
    assert_fails(wire_decode(record, sizeof record, &d), STATUS_CORRUPT,
                 "token is of another type");
}

static void test_what_is_too_big_is_not_written_at_all(void **state)
{
    struct wire_message m = { .type = WIRE_SLOT_LOG };
    char *text = xcalloc(1, LIMIT_MESSAGE);
    struct wire_token *tokens = xcalloc(LIMIT_BATCH + 1, sizeof *tokens);
    struct wire_decoded decoded;
    struct buf out;

    (void)state;
    buf_init(&out, 4 * (size_t)LIMIT_MESSAGE);
    assert_ok(buf_add_text(&out, "before"));
    m.slot_log.text = (struct wire_bytes){ text, LIMIT_MESSAGE };
    assert_fails(wire_encode(&m, &out), STATUS_TOO_BIG, "slot_log");
    assert_int_equal(out.size, 6);
    m.slot_log.text.size = LIMIT_MESSAGE - WIRE_HEADER - 1 - 5;
    assert_ok(wire_encode(&m, &out));
    assert_int_equal(out.size - 6, LIMIT_MESSAGE);
    assert_ok(wire_decode(out.data + 6, out.size - 6, &decoded));
    wire_release(&decoded);

    m = (struct wire_message){ .type = WIRE_QUERY };
    m.query.arguments = (struct wire_bytes){ text, LIMIT_ORDINARY };
    buf_clear(&out);
    assert_fails(wire_encode(&m, &out), STATUS_TOO_BIG, "encode query");
    m.query.arguments.size = LIMIT_ORDINARY - WIRE_HEADER - 1 - 1 - 2 - 5 - 1;
    assert_ok(wire_encode(&m, &out));
    assert_int_equal(out.size, LIMIT_ORDINARY);
    assert_ok(wire_decode(out.data, out.size, &decoded));
    wire_release(&decoded);
    assert_ok(buf_add_text(&out, "x"));
    assert_fails(wire_decode(out.data, out.size, &decoded), STATUS_TOO_BIG,
                 "query of");

    m = (struct wire_message){ .type = WIRE_COMMITTED };
    m.committed.tokens = (struct wire_tokens){ tokens, LIMIT_BATCH + 1 };
    buf_clear(&out);
    assert_fails(wire_encode(&m, &out), STATUS_TOO_BIG, "in one list");
    m.committed.tokens.count = LIMIT_BATCH;
    assert_ok(wire_encode(&m, &out));
    assert_ok(wire_decode(out.data, out.size, &decoded));
    assert_int_equal(decoded.message.committed.tokens.count, LIMIT_BATCH);
    wire_release(&decoded);
    m.type = (enum wire_type)0;
    assert_fails(wire_encode(&m, &out), STATUS_INVALID, "no message type");
    buf_release(&out);
    free(tokens);
    free(text);
}

static void test_a_token_has_one_hash_everywhere(void **state)
{
    struct wire_token a = { .epoch = 3, .attempt = 1 };
    struct wire_token b;
    uint64_t seen[3];

    (void)state;
    for (size_t i = 0; i < DIGEST_SIZE; i++)
        a.key.bytes[i] = (uint8_t)(i * 7);
    /* Workers and brokers of different versions compare sums of these. */
    assert_int_equal(wire_token_hash(&a), UINT64_C(0x0315497b46f8c7f8));
    b = a;
    assert_true(wire_token_equal(&a, &b));
    b.attempt++;
    assert_false(wire_token_equal(&a, &b));
    seen[0] = wire_token_hash(&b);
    b.attempt--;
    b.epoch++;
    assert_false(wire_token_equal(&a, &b));
    seen[1] = wire_token_hash(&b);
    b.epoch--;
    b.key.bytes[31] ^= 1;
    assert_false(wire_token_equal(&a, &b));
    seen[2] = wire_token_hash(&b);
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < i; j++)
            assert_true(seen[i] != seen[j] && seen[i] != wire_token_hash(&a));
}

static void test_texts_go_in_and_out(void **state)
{
    char *copy = wire_take(wire_text("abc"));

    (void)state;
    assert_string_equal(copy, "abc");
    free(copy);
    copy = wire_take((struct wire_bytes){ NULL, 0 });
    assert_string_equal(copy, "");
    free(copy);
    assert_true(wire_is(wire_text("abc"), "abc"));
    assert_false(wire_is(wire_text("abc"), "abcd"));
    assert_true(wire_is((struct wire_bytes){ NULL, 0 }, ""));
    assert_int_equal(wire_text(NULL).size, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_message_is_what_msgpack_would_write),
        cmocka_unit_test(test_numbers_are_as_short_as_msgpack_would_write_them),
        cmocka_unit_test(test_every_message_reads_back_as_it_was_written),
        cmocka_unit_test(test_every_message_cut_anywhere_is_corrupt),
        cmocka_unit_test(test_elements_of_a_newer_peer_are_ignored),
        cmocka_unit_test(test_elements_that_an_older_peer_lacks_are_zero),
        cmocka_unit_test(test_damaged_messages_are_refused_or_read_cleanly),
        cmocka_unit_test(test_every_message_has_the_bytes_it_always_had),
        cmocka_unit_test(test_every_golden_file_still_decodes),
        cmocka_unit_test(
            test_names_are_unique_and_numbers_without_one_have_none),
        cmocka_unit_test(test_bombs_are_refused_before_memory_is_taken),
        cmocka_unit_test(test_the_cursor_bounds_the_values_of_a_message),
        cmocka_unit_test(test_other_versions_flags_and_types_are_said),
        cmocka_unit_test(test_fields_of_another_type_are_named),
        cmocka_unit_test(test_what_is_too_big_is_not_written_at_all),
        cmocka_unit_test(test_a_token_has_one_hash_everywhere),
        cmocka_unit_test(test_texts_go_in_and_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
