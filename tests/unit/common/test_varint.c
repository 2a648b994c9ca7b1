#include "common/varint.h"

#include "common/macros.h"
#include "support/test.h"

static const uint64_t values[] = {
    0, 1, 127, 128, 300, 16383, 16384, UINT32_MAX, UINT64_MAX - 1, UINT64_MAX,
};

static void test_numbers_come_back(void **state)
{
    struct buf bytes;
    const char *at;

    (void)state;
    buf_init(&bytes, 1000);
    for (size_t i = 0; i < COUNT_OF(values); i++)
        assert_ok(varint_put(&bytes, values[i]));
    at = bytes.data;
    for (size_t i = 0; i < COUNT_OF(values); i++) {
        uint64_t value;

        assert_true(varint_get(&at, bytes.data + bytes.size, &value));
        assert_true(value == values[i]);
    }
    assert_ptr_equal(at, bytes.data + bytes.size);
    buf_release(&bytes);
}

static void test_small_numbers_are_short(void **state)
{
    struct buf bytes;

    (void)state;
    buf_init(&bytes, 100);
    assert_ok(varint_put(&bytes, 127));
    assert_int_equal(bytes.size, 1);
    assert_ok(varint_put(&bytes, 128));
    assert_int_equal(bytes.size, 3);
    assert_memory_equal(bytes.data, "\x7f\x80\x01", 3);
    buf_release(&bytes);
}

static void test_what_is_cut_off_or_too_large_is_refused(void **state)
{
    static const char endless[] =
        "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01";
    static const char over[] = "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02";
    const char *at = endless;
    uint64_t value;

    (void)state;
    assert_false(varint_get(&at, endless, &value));
    at = endless;
    assert_false(varint_get(&at, endless + 3, &value));
    at = endless;
    assert_false(varint_get(&at, endless + sizeof endless - 1, &value));
    at = over;
    assert_false(varint_get(&at, over + sizeof over - 1, &value));
}

static void test_the_limit_of_the_buffer_holds(void **state)
{
    struct buf bytes;

    (void)state;
    buf_init(&bytes, 2);
    assert_fails(varint_put(&bytes, UINT64_MAX), STATUS_TOO_BIG, "of 2");
    assert_int_equal(bytes.size, 0);
    buf_release(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers_come_back),
        cmocka_unit_test(test_small_numbers_are_short),
        cmocka_unit_test(test_what_is_cut_off_or_too_large_is_refused),
        cmocka_unit_test(test_the_limit_of_the_buffer_holds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
