#include "broker/store_group.h"
#include "common/memory.h"
#include "support/test.h"

#include <stdlib.h>
#include <string.h>

/* "3:a 4:bc " */
struct seen {
    char text[256];
    size_t count;
};

static struct status see(void *self, const struct store_record *r)
{
    struct seen *seen = self;
    size_t size = strlen(seen->text);

    seen->count++;
    (void)snprintf(seen->text + size, sizeof seen->text - size, "%llu:%.*s ",
                   (unsigned long long)r->sequence, (int)r->data.size,
                   r->data.data);
    return SUCCESS;
}

static struct wire_bytes bytes(const char *data, size_t size)
{
    return (struct wire_bytes){ .data = data, .size = size };
}

static void test_format_is_pinned(void **state)
{
    static const char expected[] = "\x01\x03\x01"
                                   "a\x00\x02"
                                   "bc";
    const struct store_record records[] = {
        { .epoch = 7, .sequence = 1, .data = wire_text("a") },
        { .epoch = 7, .sequence = 2, .data = wire_text("") },
        { .epoch = 7, .sequence = 3, .data = wire_text("bc") },
    };
    struct store_group g = store_group_pack(records, 3, UINT64_MAX);
    struct seen seen = { .count = 0 };
    const struct store_visitor v = { .self = &seen, .record = see };
    struct store_reader r = { .visitor = &v };

    (void)state;
    assert_int_equal(g.size, sizeof expected - 1);
    assert_memory_equal(g.data, expected, g.size);
    assert_int_equal(g.epoch, 7);
    assert_int_equal(g.first, 1);
    assert_int_equal(g.last, 3);
    assert_ok(store_reader_group(&r, 7, 3, bytes(g.data, g.size)));
    assert_string_equal(seen.text, "1:a 2: 3:bc ");
    store_group_release(&g);
}

static void test_group_ends_at_its_limits(void **state)
{
    enum { MANY = STORE_GROUP_RECORDS + 10, BIG = STORE_GROUP_BYTES / 2 };
    AUTO(free_pointer) struct store_record *r = xcalloc(MANY, sizeof *r);
    AUTO(free_pointer) char *big = xcalloc(4 * (size_t)BIG, 1);
    struct store_group g;

    (void)state;
    for (uint64_t i = 0; i < MANY; i++)
        r[i] = (struct store_record){ .epoch = 1, .sequence = i + 1 };
    g = store_group_pack(r, MANY, UINT64_MAX);
    assert_int_equal(g.last, STORE_GROUP_RECORDS);
    store_group_release(&g);
    g = store_group_pack(r, MANY, 5);
    assert_int_equal(g.last, 5);
    store_group_release(&g);
    r[1].data = bytes(big, BIG);
    r[3].data = bytes(big, BIG);
    g = store_group_pack(r, MANY, UINT64_MAX);
    assert_int_equal(g.last, 3);
    assert_true(g.size <= STORE_GROUP_BYTES);
    store_group_release(&g);
    r[0].data = bytes(big, 4 * (size_t)BIG); /* alone, but it goes */
    g = store_group_pack(r, MANY, UINT64_MAX);
    assert_int_equal(g.last, 1);
    store_group_release(&g);
}

static void test_known_records_are_passed_over(void **state)
{
    static const char data[] = "\x01\x03\x01"
                               "a\x01"
                               "b\x01"
                               "c";
    struct seen seen = { .count = 0 };
    const struct store_visitor v = { .self = &seen, .record = see };
    struct store_reader r = { .visitor = &v, .epoch = 2, .sequence = 4 };

    (void)state;
    assert_ok(store_reader_group(&r, 1, 9, bytes(data, sizeof data - 1)));
    assert_ok(store_reader_group(&r, 2, 5, bytes(data, sizeof data - 1)));
    assert_ok(store_reader_group(&r, 2, 6, bytes(data, sizeof data - 1)));
    assert_ok(store_reader_group(&r, 2, 9, bytes(data, sizeof data - 1)));
    assert_string_equal(seen.text, "5:c 6:c 7:a 8:b 9:c ");
}

static void test_damage_is_told_with_the_id(void **state)
{
    static const struct {
        const char *data;
        size_t size;
        const char *words;
    } rows[] = {
        { "", 0, "format" },
        { "\x02\x01\x00", 3, "format" },
        { "SN", 2, "format" },
        { "\x01", 1, "number of records" },
        { "\x01\x00", 2, "number of records" },
        { "\x01\x04\x00\x00\x00\x00", 6, "number of records" },
        { "\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f", 11,
          "number of records" },
        { "\x01\x81\x20", 3, "number of records" }, /* 4097 */
        { "\x01\x01", 2, "cut short" },
        { "\x01\x01\x05zzzz", 7, "cut short" },
        { "\x01\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01zz", 14,
          "cut short" },
        { "\x01\x02\x01zz", 5, "cut short" },
        { "\x01\x01\x01zz", 5, "bytes behind" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct seen seen = { .count = 0 };
        const struct store_visitor v = { .self = &seen, .record = see };
        struct store_reader r = { .visitor = &v, .accept_holes = true };

        assert_fails(
            store_reader_group(&r, 5, 3, bytes(rows[i].data, rows[i].size)),
            STATUS_CORRUPT, "group 5-3");
        assert_fails(
            store_reader_group(&r, 6, 3, bytes(rows[i].data, rows[i].size)),
            STATUS_CORRUPT, rows[i].words);
    }
}

static void test_hole_is_told(void **state)
{
    static const char data[] = "\x01\x01\x01z";
    struct seen seen = { .count = 0 };
    const struct store_visitor v = { .self = &seen, .record = see };
    struct store_reader r = { .visitor = &v, .epoch = 3, .sequence = 4 };

    (void)state;
    assert_fails(store_reader_group(&r, 3, 7, bytes(data, sizeof data - 1)),
                 STATUS_CORRUPT, "records 3-5 to 3-6 are missing");
    assert_fails(store_reader_record(
                     &r, &(struct store_record){ .epoch = 4, .sequence = 2 }),
                 STATUS_CORRUPT, "records 4-1 to 4-1 are missing");
    assert_int_equal(seen.count, 0);
    r.accept_holes = true;
    assert_ok(store_reader_group(&r, 3, 7, bytes(data, sizeof data - 1)));
    assert_string_equal(seen.text, "7:z ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_format_is_pinned),
        cmocka_unit_test(test_group_ends_at_its_limits),
        cmocka_unit_test(test_known_records_are_passed_over),
        cmocka_unit_test(test_damage_is_told_with_the_id),
        cmocka_unit_test(test_hole_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
