#include "tensor/tensor.h"

#include <string.h>

#include "common/macros.h"
#include "support/test.h"

static const struct tensor items[] = {
    { .name = "a",
      .dtype = DTYPE_F32,
      .rank = 2,
      .shape = { 3, 5 },
      .count = 15 },
    { .name = "a.b",
      .dtype = DTYPE_BF16,
      .rank = 2,
      .shape = { 5, 3 },
      .count = 15 },
    { .name = "b", .dtype = DTYPE_I64, .rank = 0, .count = 1 },
};

static void test_tensors_are_found_by_whole_name(void **state)
{
    const struct tensor_set set = { COUNT_OF(items), items };
    const struct tensor_set none = { 0, NULL };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(items); i++)
        assert_ptr_equal(tensor_find(&set, items[i].name), items + i);
    assert_null(tensor_find(&set, "a."));
    assert_null(tensor_find(&set, ""));
    assert_null(tensor_find(&none, "a"));
}

static void test_shapes_are_compared_and_written(void **state)
{
    char text[32];

    (void)state;
    assert_false(tensor_same_shape(items, items + 1));
    assert_false(tensor_same_shape(items, items + 2));
    assert_true(tensor_same_shape(items + 2, items + 2));
    assert_string_equal(tensor_shape_text(items, text, sizeof text), "3x5");
    assert_string_equal(tensor_shape_text(items + 2, text, sizeof text),
                        "scalar");
    assert_string_equal(tensor_shape_text(items, text, 3), "3x");
}

static void test_bytes_follow_the_dtype(void **state)
{
    (void)state;
    assert_int_equal(tensor_bytes(items), 60);
    assert_int_equal(tensor_bytes(items + 1), 30);
    assert_int_equal(tensor_bytes(items + 2), 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tensors_are_found_by_whole_name),
        cmocka_unit_test(test_shapes_are_compared_and_written),
        cmocka_unit_test(test_bytes_follow_the_dtype),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
