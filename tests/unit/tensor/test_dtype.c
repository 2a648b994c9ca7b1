#include "tensor/dtype.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/macros.h"
#include "common/memory.h"
#include "support/reference.h"
#include "support/test.h"

static uint32_t bits_of(float x)
{
    uint32_t bits;

    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static float float_of(uint32_t bits)
{
    float x;

    memcpy(&x, &bits, sizeof x);
    return x;
}

static void test_every_type_finds_itself_by_name(void **state)
{
    (void)state;
    for (int d = 0; d < DTYPE_COUNT; d++) {
        const char *name = dtype_name((enum dtype)d);
        enum dtype found = DTYPE_COUNT;

        assert_true(dtype_find(name, strlen(name), &found));
        assert_int_equal(found, d);
        assert_true(dtype_size((enum dtype)d) >= 1);
    }
}

static void test_config_spelling_is_known_and_others_are_not(void **state)
{
    enum dtype found = DTYPE_COUNT;

    (void)state;
    assert_true(dtype_find("bfloat16", 8, &found));
    assert_int_equal(found, DTYPE_BF16);
    assert_true(dtype_find("float16", 7, &found));
    assert_int_equal(found, DTYPE_F16);
    assert_true(dtype_find("float32", 7, &found));
    assert_int_equal(found, DTYPE_F32);
    assert_false(dtype_find("F8_E4M3", 7, &found));
    assert_false(dtype_find("bf16", 4, &found));
    assert_false(dtype_find("F32 ", 4, &found));
    assert_false(dtype_find("", 0, &found));
}

struct half {
    enum dtype dtype;
    const struct reference_format *format;
    uint16_t quiet;
};

static const struct half halves[] = {
    { DTYPE_F16, &reference_f16, 0x0200 },
    { DTYPE_BF16, &reference_bf16, 0x0040 },
};

static void check_value(const struct half *h, uint16_t bits)
{
    double expected = reference_widen(h->format, bits);
    uint16_t back;
    float wide;

    dtype_to_f32(h->dtype, &bits, &wide, 1);
    dtype_from_f32(h->dtype, &wide, &back, 1);
    if (isnan(expected)) {
        assert_true(isnan(wide));
        assert_int_equal(back, bits | h->quiet);
        return;
    }
    assert_true((double)wide == expected);
    assert_int_equal(signbit(wide) != 0, signbit(expected) != 0);
    assert_int_equal(back, bits);
}

static void test_all_values_widen_exactly_and_come_back(void **state)
{
    (void)state;
    for (size_t k = 0; k < COUNT_OF(halves); k++) {
        for (uint32_t bits = 0; bits <= UINT16_MAX; bits++)
            check_value(halves + k, (uint16_t)bits);
    }
}

static void check_rounding(const struct half *h, float x)
{
    uint16_t got;

    dtype_from_f32(h->dtype, &x, &got, 1);
    if (got != reference_narrow(h->format, (double)x))
        fail_msg("%s of %a is %04x, not %04x", dtype_name(h->dtype), (double)x,
                 got, reference_narrow(h->format, (double)x));
}

/* At, just below and just above the middle of each pair of neighbours, and
 * of the largest value and what would come after it. */
static void test_rounding_is_to_nearest_even(void **state)
{
    (void)state;
    for (size_t k = 0; k < COUNT_OF(halves); k++) {
        const struct half *h = halves + k;
        uint32_t cut = 23U - (uint32_t)h->format->mantissa;
        uint32_t sign = 1U << 15;

        for (uint32_t bits = 0; bits < UINT16_MAX; bits++) {
            double low = reference_widen(h->format, bits);
            double high = reference_widen(h->format, bits + 1);
            float middle = (float)(low + (high - low) / 2.0);

            if (isnan(low) || isinf(low) || bits + 1 == sign)
                continue;
            if (isinf(high)) /* the step is that of the last pair */
                middle = float_of(bits_of((float)low) + (1U << (cut - 1)));
            check_rounding(h, middle);
            check_rounding(h, nextafterf(middle, -INFINITY));
            check_rounding(h, nextafterf(middle, INFINITY));
        }
    }
}

static void test_any_float_rounds_as_the_formula_says(void **state)
{
    static const float special[] = {
        0.0F,      -0.0F,    INFINITY,   -INFINITY, 0x1p-149F,    -0x1p-149F,
        0x1p-126F, 65504.0F, 65519.996F, 65520.0F,  65536.0F,     3.4028235e38F,
        0x1p-24F,  0x1p-25F, 0x1.1p-25F, 0x1p-14F,  0x1.ffcp-15F, 0x1.fffp-15F,
    };
    uint32_t seed = 1;

    (void)state;
    for (size_t k = 0; k < COUNT_OF(halves); k++) {
        for (size_t i = 0; i < COUNT_OF(special); i++)
            check_rounding(halves + k, special[i]);
        for (int i = 0; i < 200000; i++) {
            float x;

            seed = seed * 1664525U + 1013904223U;
            x = float_of(seed ^ seed >> 15);
            if (!isnan(x))
                check_rounding(halves + k, x);
        }
    }
}

static void test_nan_stays_nan_even_if_its_payload_is_cut(void **state)
{
    static const uint32_t nans[] = { 0x7f800001, 0xff800001, 0x7fc00000,
                                     0x7fffffff, 0xffffffff };

    (void)state;
    for (size_t k = 0; k < COUNT_OF(halves); k++) {
        for (size_t i = 0; i < COUNT_OF(nans); i++) {
            float x = float_of(nans[i]);
            uint16_t got;

            dtype_from_f32(halves[k].dtype, &x, &got, 1);
            assert_true(isnan(reference_widen(halves[k].format, got)));
            assert_int_equal(got >> 15, nans[i] >> 31);
            assert_int_equal(got & halves[k].quiet, halves[k].quiet);
        }
    }
}

static void test_float64_is_rounded_once_and_holds_all_float32(void **state)
{
    static const double wide[] = { 0.1,        1.0 + 0x1p-24, 1.0 + 0x1.8p-23,
                                   1e300,      -1e300,        0x1p-150,
                                   0x1.8p-149, -0.0 };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(wide); i++) {
        float got;
        double back;

        dtype_to_f32(DTYPE_F64, wide + i, &got, 1);
        assert_int_equal(bits_of(got), bits_of((float)wide[i]));
        dtype_from_f32(DTYPE_F64, &got, &back, 1);
        assert_memory_equal(&back, &(double){ (double)got }, sizeof back);
    }
}

/* Rows of any length at any address give what single elements give. */
static void check_row(enum dtype d, const float *x, size_t count)
{
    size_t size = dtype_size(d);
    AUTO(free_pointer) unsigned char *narrow = xcalloc(count + 1, size);
    AUTO(free_pointer) float *back = xcalloc(count + 1, sizeof *back);

    dtype_from_f32(d, x, narrow + 1, count);
    for (size_t i = 0; i < count; i++) {
        unsigned char one[8];
        float again;

        dtype_from_f32(d, x + i, one, 1);
        assert_memory_equal(narrow + 1 + i * size, one, size);
        dtype_to_f32(d, one, &again, 1);
        back[i] = again;
    }
    {
        AUTO(free_pointer) float *row = xcalloc(count + 1, sizeof *row);

        dtype_to_f32(d, narrow + 1, row, count);
        assert_memory_equal(row, back, count * sizeof *row);
    }
}

static void test_rows_of_odd_size_and_place(void **state)
{
    static const enum dtype floats[] = { DTYPE_F64, DTYPE_F32, DTYPE_F16,
                                         DTYPE_BF16 };
    static const size_t counts[] = { 0, 1, 7, 64, 65, 1000 };
    float x[1000];

    (void)state;
    reference_fill(x, COUNT_OF(x), 3);
    x[5] = INFINITY;
    x[6] = NAN;
    for (size_t k = 0; k < COUNT_OF(floats); k++) {
        for (size_t i = 0; i < COUNT_OF(counts); i++)
            check_row(floats[k], x, counts[i]);
    }
}

static void check_find(enum dtype d, float bad)
{
    enum { COUNT = 4100 }; /* more than one block of the search */
    AUTO(free_pointer) unsigned char *data = xcalloc(COUNT, dtype_size(d));
    static const size_t places[] = { 0, 1, 63, 64, 4095, 4096, 4099 };

    assert_int_equal(dtype_find_not_finite(d, data, COUNT), COUNT);
    assert_int_equal(dtype_find_not_finite(d, data, 0), 0);
    for (size_t i = COUNT_OF(places); i-- > 0;) {
        dtype_from_f32(d, &bad, data + places[i] * dtype_size(d), 1);
        assert_int_equal(dtype_find_not_finite(d, data, COUNT), places[i]);
    }
}

static void test_what_is_not_finite_is_found_where_it_is(void **state)
{
    static const float bad[] = { NAN, INFINITY, -INFINITY };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        check_find(DTYPE_F64, bad[i]);
        check_find(DTYPE_F32, bad[i]);
        check_find(DTYPE_F16, bad[i]);
        check_find(DTYPE_BF16, bad[i]);
    }
}

static void test_largest_values_are_finite(void **state)
{
    const uint16_t f16 = 0xfbff;
    const uint16_t bf16 = 0xff7f;
    const float f32 = -3.4028235e38F;

    (void)state;
    assert_int_equal(dtype_find_not_finite(DTYPE_F16, &f16, 1), 1);
    assert_int_equal(dtype_find_not_finite(DTYPE_BF16, &bf16, 1), 1);
    assert_int_equal(dtype_find_not_finite(DTYPE_F32, &f32, 1), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_type_finds_itself_by_name),
        cmocka_unit_test(test_config_spelling_is_known_and_others_are_not),
        cmocka_unit_test(test_all_values_widen_exactly_and_come_back),
        cmocka_unit_test(test_rounding_is_to_nearest_even),
        cmocka_unit_test(test_any_float_rounds_as_the_formula_says),
        cmocka_unit_test(test_nan_stays_nan_even_if_its_payload_is_cut),
        cmocka_unit_test(test_float64_is_rounded_once_and_holds_all_float32),
        cmocka_unit_test(test_rows_of_odd_size_and_place),
        cmocka_unit_test(test_what_is_not_finite_is_found_where_it_is),
        cmocka_unit_test(test_largest_values_are_finite),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
