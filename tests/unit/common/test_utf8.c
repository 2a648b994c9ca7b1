#include "support/test.h"

#include "common/macros.h"
#include "common/utf8.h"

static const struct {
    const char *bytes;
    size_t left, size;
} rows[] = {
    { "a", 1, 1 },
    { "", 1, 1 }, /* NUL */
    { "\xc2\x80", 2, 2 },
    { "\xe0\xa0\x80", 3, 3 },
    { "\xed\x9f\xbf", 3, 3 },
    { "\xf4\x8f\xbf\xbf", 4, 4 },
    { "\xc2\x80", 1, 0 },         /* cut */
    { "\x80", 1, 0 },             /* no beginning */
    { "\xc2z", 2, 0 },            /* no continuation */
    { "\xc1\xbf", 2, 0 },         /* overlong */
    { "\xe0\x9f\xbf", 3, 0 },     /* overlong */
    { "\xf0\x8f\xbf\xbf", 4, 0 }, /* overlong */
    { "\xed\xa0\x80", 3, 0 },     /* surrogate */
    { "\xf4\x90\x80\x80", 4, 0 }, /* beyond U+10FFFF */
    { "\xf5\x80\x80\x80", 4, 0 },
};

static void test_sequences_are_well_formed_or_none(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const unsigned char *at = (const unsigned char *)rows[i].bytes;

        assert_int_equal(utf8_sequence(at, rows[i].left), rows[i].size);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sequences_are_well_formed_or_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
