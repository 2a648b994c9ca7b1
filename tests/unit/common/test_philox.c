#include "support/test.h"

#include "common/philox.h"

#include <math.h>
#include <string.h>

/* The known-answer vectors published with Random123 for philox4x32-10. */
static const struct {
    uint32_t counter[4];
    uint32_t key[2];
    uint32_t out[4];
} known[] = {
    { { 0, 0, 0, 0 },
      { 0, 0 },
      { 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8 } },
    { { 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff },
      { 0xffffffff, 0xffffffff },
      { 0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd } },
    { { 0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344 },
      { 0xa4093822, 0x299f31d0 },
      { 0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1 } },
};

static void test_known_answers(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(known); i++) {
        uint32_t out[4];

        philox4x32_10(known[i].counter, known[i].key, out);
        assert_memory_equal(out, known[i].out, sizeof out);
    }
}

/* The convention of philox.h: element 0 of the zero key is the first vector. */
static void test_elements_follow_the_stated_convention(void **state)
{
    const struct philox_key zero = { 0, 0, 0 };
    const struct philox_key key = { 3, 5, UINT64_C(0x1122334455667788) };
    const uint32_t counter[4] = { 7, 0, 0x55667788, 0x11223344 };
    const uint32_t words[2] = { 3, 5 };
    uint32_t out[4];

    (void)state;
    for (uint64_t i = 0; i < 4; i++)
        assert_int_equal(philox_word(zero, i), known[0].out[i]);
    philox4x32_10(counter, words, out);
    for (uint64_t i = 0; i < 4; i++)
        assert_int_equal(philox_word(key, 28 + i), out[i]);
    for (uint64_t i = 0; i < 8; i++)
        assert_true(philox_pair(key, i) ==
                    ((uint64_t)philox_word(key, 2 * i) << 32 |
                     philox_word(key, 2 * i + 1)));
}

static void test_uniform_draws_do_not_depend_on_where_one_begins(void **state)
{
    const struct philox_key key = { 1, 2, 3 };
    float all[103];
    float part[63];

    (void)state;
    philox_uniform(key, 0, 103, all);
    philox_uniform(key, 40, 63, part);
    assert_memory_equal(all + 40, part, sizeof part);
    for (uint64_t i = 0; i < 103; i++) {
        float u = (float)(philox_word(key, i) >> 8) * 0x1p-24F;

        assert_true(all[i] >= 0.0F && all[i] < 1.0F);
        assert_memory_equal(&u, &all[i], sizeof u);
    }
    philox_uniform(key, 0, 0, all);
}

static void test_draws_have_the_moments_they_should(void **state)
{
    enum { DRAWS = 1 << 16 };
    const struct philox_key key = { 42, 0, 0 };
    double sum = 0.0;
    double squares = 0.0;
    unsigned seen[6] = { 0 };

    (void)state;
    for (uint64_t i = 0; i < DRAWS; i++) {
        double x = (double)philox_normal(key, i);
        uint32_t below = philox_below(key, i, 6);

        assert_true(isfinite(x) && below < 6);
        sum += x;
        squares += x * x;
        seen[below]++;
    }
    assert_true(fabs(sum / DRAWS) < 0.02);
    assert_true(fabs(squares / DRAWS - 1.0) < 0.03);
    for (int i = 0; i < 6; i++)
        assert_true(abs((int)seen[i] - DRAWS / 6) < DRAWS / 60);
}

static void test_keys_and_names_give_other_streams(void **state)
{
    const struct philox_key a = { 1, 2, 3 };
    const struct philox_key b = { 2, 2, 3 };
    const struct philox_key c = { 1, 3, 3 };
    const struct philox_key d = { 1, 2, 4 };

    (void)state;
    assert_int_not_equal(philox_word(a, 9), philox_word(b, 9));
    assert_int_not_equal(philox_word(a, 9), philox_word(c, 9));
    assert_int_not_equal(philox_word(a, 9), philox_word(d, 9));
    assert_int_not_equal(philox_word(a, 9), philox_word(a, 10));
    /* FNV-1a, 64 bits, as published. */
    assert_int_equal(philox_hash64(""), UINT64_C(0xcbf29ce484222325));
    assert_int_equal(philox_hash64("a"), UINT64_C(0xaf63dc4c8601ec8c));
    assert_int_not_equal(philox_hash("mask"), philox_hash("init"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_answers),
        cmocka_unit_test(test_elements_follow_the_stated_convention),
        cmocka_unit_test(test_uniform_draws_do_not_depend_on_where_one_begins),
        cmocka_unit_test(test_draws_have_the_moments_they_should),
        cmocka_unit_test(test_keys_and_names_give_other_streams),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
