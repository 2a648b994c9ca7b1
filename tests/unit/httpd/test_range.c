#include "httpd/range.h"
#include "support/test.h"

static const struct {
    const char *header;
    uint64_t size;
    int sort;
    uint64_t first, length;
} cases[] = {
    { NULL, 10, RANGE_WHOLE, 0, 10 },
    { "bytes=0-0", 10, RANGE_PART, 0, 1 },
    { "bytes=3-5", 10, RANGE_PART, 3, 3 },
    { "bytes=3-", 10, RANGE_PART, 3, 7 },
    { "bytes=3-99", 10, RANGE_PART, 3, 7 },
    { "bytes=-4", 10, RANGE_PART, 6, 4 },
    { "bytes=-40", 10, RANGE_PART, 0, 10 },
    { "bytes=10-", 10, RANGE_BEYOND, 0, 0 },
    { "bytes=-0", 10, RANGE_BEYOND, 0, 0 },
    { "bytes=0-", 0, RANGE_BEYOND, 0, 0 },
    { "bytes=-5", 0, RANGE_BEYOND, 0, 0 },
    { "bytes=5-3", 10, RANGE_WHOLE, 0, 10 },
    { "bytes=0-1,3-4", 10, RANGE_WHOLE, 0, 10 },
    { "bytes=", 10, RANGE_WHOLE, 0, 10 },
    { "bytes=-", 10, RANGE_WHOLE, 0, 10 },
    { "bytes=x-3", 10, RANGE_WHOLE, 0, 10 },
    { "lines=1-2", 10, RANGE_WHOLE, 0, 10 },
    { "bytes=99999999999999999999-", 10, RANGE_WHOLE, 0, 10 },
};

static void test_ranges_as_in_rfc_9110(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct httpd_range r =
            httpd_range_parse(cases[i].header, cases[i].size);

        if ((int)r.sort != cases[i].sort || r.first != cases[i].first ||
            r.size != cases[i].length)
            fail_msg("%s of %llu", cases[i].header,
                     (unsigned long long)cases[i].size);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ranges_as_in_rfc_9110),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
