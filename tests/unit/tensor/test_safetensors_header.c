#include "tensor/safetensors.h"

#include <string.h>

#include "common/macros.h"
#include "common/memory.h"
#include "support/test.h"

/* A broken header, the bytes behind it, and what must be said of it. */
struct broken {
    const char *text;
    uint64_t data_size;
    const char *words;
};

#define T(name, dtype, shape, offsets)                       \
    "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":" shape \
    ",\"data_offsets\":" offsets "}"

static const struct broken broken[] = {
    { "", 0, "not a JSON object" },
    { "[]", 0, "not a JSON object" },
    { " {}", 0, "not a JSON object" },
    { "{\"a\":", 0, "m.safetensors: line 1" },
    { "{} x", 0, "m.safetensors: line 1" },
    { "{\"a\":1}", 0, "tensor \"a\" is not an object" },
    { "{" T("a", "F8_E4M3", "[1]", "[0,1]") "}", 1,
      "tensor \"a\" is of unknown dtype \"F8_E4M3\"" },
    { "{" T("a", "float32", "[1]", "[0,4]") "}", 4,
      "tensor \"a\" is of unknown dtype \"float32\"" },
    { "{\"a\":{\"shape\":[],\"data_offsets\":[0,1]}}", 1,
      "tensor \"a\" has no \"dtype\"" },
    { "{\"a\":{\"dtype\":4,\"shape\":[],\"data_offsets\":[0,1]}}", 1,
      "tensor \"a\" has no \"dtype\"" },
    { "{\"a\":{\"dtype\":\"U8\",\"data_offsets\":[0,1]}}", 1,
      "tensor \"a\" has no \"shape\"" },
    { "{" T("a", "U8", "{}", "[0,1]") "}", 1, "tensor \"a\" has no \"shape\"" },
    { "{" T("a", "U8", "[-1]", "[0,1]") "}", 1, "whole numbers" },
    { "{" T("a", "U8", "[1.0]", "[0,1]") "}", 1, "whole numbers" },
    { "{" T("a", "U8", "[\"1\"]", "[0,1]") "}", 1, "whole numbers" },
    { "{" T("a", "U8", "[true]", "[0,1]") "}", 1, "whole numbers" },
    { "{" T("a", "U8", "[1e0]", "[0,1]") "}", 1, "whole numbers" },
    { "{" T("a", "U8", "[99999999999999999999]", "[0,1]") "}", 1,
      "m.safetensors: line 1" },
    { "{" T("a", "U8", "[1,1,1,1,1,1,1,1,1]", "[0,1]") "}", 1,
      "tensor \"a\" has 9 dimensions" },
    { "{" T("a", "U8", "[4294967296,4294967296]", "[0,0]") "}", 0,
      "tensor \"a\" has a shape beyond" },
    { "{" T("a", "U8", "[4294967296,4294967297]", "[0,4294967296]") "}",
      4294967296, "tensor \"a\" has a shape beyond" },
    { "{" T("a", "F32", "[4611686018427387904]", "[0,0]") "}", 0,
      "tensor \"a\" has a shape beyond" },
    { "{\"a\":{\"dtype\":\"U8\",\"shape\":[1]}}", 1, "no \"data_offsets\"" },
    { "{" T("a", "U8", "[1]", "[0]") "}", 1, "no \"data_offsets\"" },
    { "{" T("a", "U8", "[1]", "[0,1,2]") "}", 1, "no \"data_offsets\"" },
    { "{" T("a", "U8", "[1]", "[0,1.0]") "}", 1, "no \"data_offsets\"" },
    { "{" T("a", "U8", "[1]", "[-1,0]") "}", 1, "no \"data_offsets\"" },
    { "{" T("a", "U8", "[1]", "[1,0]") "}", 1, "ends before it begins" },
    { "{" T("a", "F32", "[2,3]", "[0,20]") "}", 20,
      "tensor \"a\" of shape 2x3 and dtype F32 needs 24 bytes, its offsets "
      "hold 20" },
    { "{" T("a", "U8", "[2]", "[0,2]") "," T("b", "U8", "[2]", "[1,3]") "}", 3,
      "tensor \"b\" overlaps tensor \"a\"" },
    { "{" T("b", "U8", "[2]", "[0,2]") "," T("a", "U8", "[2]", "[0,2]") "}", 2,
      "tensor \"b\" overlaps tensor \"a\"" },
    { "{" T("a", "U8", "[4]", "[0,4]") "," T("b", "U8", "[0]", "[2,2]") "}", 4,
      "tensor \"b\" overlaps tensor \"a\"" },
    { "{" T("a", "U8", "[2]", "[0,2]") "," T("b", "U8", "[1]", "[3,4]") "}", 4,
      "a hole of 1 bytes before tensor \"b\"" },
    { "{" T("a", "U8", "[2]", "[1,3]") "}", 3,
      "a hole of 1 bytes before tensor \"a\"" },
    { "{" T("a", "U8", "[2]", "[0,2]") "}", 3,
      "the last 1 bytes belong to no tensor" },
    { "{}", 5, "the last 5 bytes belong to no tensor" },
    { "{" T("a", "U8", "[9]", "[0,9]") "}", 8,
      "tensor \"a\" ends at byte 9 of 8; the file is truncated" },
    { "{" T("a", "U8", "[1]", "[0,1]") "," T("a", "U8", "[1]", "[0,1]") "}", 1,
      "duplicate" },
    { "{" T("\xff", "U8", "[1]", "[0,1]") "}", 1, "byte 0xff" },
    { "{" T("\xc0\xaf", "U8", "[1]", "[0,1]") "}", 1, "byte 0xc0" },
    { "{" T("a\\u0000", "U8", "[1]", "[0,1]") "}", 1, "line 1" },
    { "{\"__metadata__\":3}", 0, "\"__metadata__\" is not an object" },
    { "{\"__metadata__\":{\"n\":1}}", 0, "\"n\" of \"__metadata__\"" },
};

static void test_each_fault_is_corrupt_and_named(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(broken); i++) {
        const struct broken *b = broken + i;
        struct st_header *h = NULL;

        assert_fails(st_header_parse(b->text, strlen(b->text),
                                     8 + strlen(b->text) + b->data_size,
                                     "m.safetensors", &h),
                     STATUS_CORRUPT, b->words);
        assert_fails(st_header_parse(b->text, strlen(b->text),
                                     8 + strlen(b->text) + b->data_size,
                                     "m.safetensors", &h),
                     STATUS_CORRUPT, "m.safetensors");
        assert_null(h);
    }
}

static const char good[] = "{" T("w.b", "F32", "[3]", "[16,28]") "," T(
    "e", "I64", "[0,7]",
    "[16,16]") ",\"__metadata__\":{\"format\":\"pt\"}"
               "," T("w.a", "F64", "[2,1]", "[0,16]") "," T(
                   "s", "BOOL", "[]", "[28,29]") "," T("\xc3\xa9",
                                                       "U"
                                                       "8",
                                                       "["
                                                       "1"
                                                       "]",
                                                       "["
                                                       "2"
                                                       "9"
                                                       ","
                                                       "3"
                                                       "0"
                                                       "]") "}   ";

static void check_good(const struct st_header *h)
{
    static const char *const names[] = { "e", "s", "w.a", "w.b", "\xc3\xa9" };
    static const uint64_t offsets[] = { 16, 28, 0, 16, 29 };
    const struct tensor_set *set = st_header_tensors(h);

    assert_int_equal(set->count, COUNT_OF(names));
    for (size_t i = 0; i < set->count; i++) {
        assert_string_equal(set->items[i].name, names[i]);
        assert_string_equal(set->items[i].file, "f");
        assert_int_equal(st_header_offset(h, i), offsets[i]);
        assert_null(set->items[i].data);
    }
    assert_int_equal(set->items[0].count, 0);
    assert_int_equal(set->items[0].rank, 2);
    assert_int_equal(set->items[1].count, 1);
    assert_int_equal(set->items[1].rank, 0);
    assert_int_equal(set->items[2].dtype, DTYPE_F64);
    assert_int_equal(set->items[2].shape[0], 2);
}

static void test_tensors_come_in_order_of_name(void **state)
{
    struct st_header *h = NULL;

    (void)state;
    assert_ok(
        st_header_parse(good, strlen(good), 8 + strlen(good) + 30, "f", &h));
    check_good(h);
    st_header_free(h);
}

static void test_size_of_the_file_may_be_unknown(void **state)
{
    struct st_header *h = NULL;

    (void)state;
    assert_ok(st_header_parse(good, strlen(good), UINT64_MAX, "f", &h));
    check_good(h);
    st_header_free(h);
    st_header_free(NULL);
}

static void test_empty_model_has_no_tensors(void **state)
{
    struct st_header *h = NULL;

    (void)state;
    assert_ok(st_header_parse("{}", 2, 10, "f", &h));
    assert_int_equal(st_header_tensors(h)->count, 0);
    st_header_free(h);
}

static void test_file_may_not_end_in_its_header(void **state)
{
    struct st_header *h = NULL;

    (void)state;
    for (uint64_t size = 0; size < 8 + strlen(good); size++)
        assert_fails(st_header_parse(good, strlen(good), size, "f", &h),
                     STATUS_CORRUPT, "f: the file ends in its header");
}

static void put(uint8_t first[8], uint64_t size)
{
    for (size_t i = 0; i < 8; i++)
        first[i] = (uint8_t)(size >> (8 * i));
}

static void test_length_is_checked_before_it_is_believed(void **state)
{
    const uint64_t most = LIMIT_HEADER;
    uint8_t first[8];
    uint64_t size = 0;

    (void)state;
    put(first, 0x123456);
    assert_ok(st_header_size(first, UINT64_MAX, "f", &size));
    assert_int_equal(size, 0x123456);
    assert_ok(st_header_size(first, 0x123456 + 8, "f", &size));
    assert_fails(st_header_size(first, 0x123456 + 7, "f", &size),
                 STATUS_CORRUPT, "f: a header of 1193046 bytes does not fit");
    assert_fails(st_header_size(first, 7, "f", &size), STATUS_CORRUPT,
                 "7 bytes are too few");
    put(first, most);
    assert_ok(st_header_size(first, UINT64_MAX, "f", &size));
    put(first, most + 1);
    assert_fails(st_header_size(first, UINT64_MAX, "f", &size), STATUS_TOO_BIG,
                 "at most");
    assert_fails(st_header_size(first, most * 2, "f", &size), STATUS_TOO_BIG,
                 "at most");
    put(first, UINT64_MAX);
    assert_fails(st_header_size(first, 100, "f", &size), STATUS_CORRUPT,
                 "does not fit");
    assert_fails(st_header_size(first, UINT64_MAX, "f", &size), STATUS_TOO_BIG,
                 "at most");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_fault_is_corrupt_and_named),
        cmocka_unit_test(test_tensors_come_in_order_of_name),
        cmocka_unit_test(test_size_of_the_file_may_be_unknown),
        cmocka_unit_test(test_empty_model_has_no_tensors),
        cmocka_unit_test(test_file_may_not_end_in_its_header),
        cmocka_unit_test(test_length_is_checked_before_it_is_believed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
