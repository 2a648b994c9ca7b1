#include "support/test.h"

#include <math.h>
#include <stdlib.h>

#include "common/memory.h"
#include "common/philox.h"
#include "jobs/merge/merge_angle.h"
#include "jobs/merge/merge_rank.h"
#include "jobs/merge/merge_sums.h"

/* In [0, 1). */
static double draw(uint32_t stream, uint64_t i)
{
    const struct philox_key key = { 1, stream, 7 };

    return (double)philox_word(key, i) * 0x1p-32;
}

/* ---- angles ------------------------------------------------------------ */

static void test_angles_are_those_of_libm(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 20000; i++) {
        double c = 2.0 * draw(1, i) - 1.0;
        double near = 1.0 - pow(10.0, -16.0 * draw(2, i));

        assert_true(fabs(merge_angle(c) - acos(c)) < 2e-15);
        assert_true(fabs(merge_angle(near) - acos(near)) < 2e-15);
        assert_true(fabs(merge_angle(-near) - acos(-near)) < 2e-15);
    }
}

static void test_sines_are_those_of_libm(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 20000; i++) {
        double x = 20.0 * draw(1, i) - 10.0;
        double far = 2e6 * draw(2, i) - 1e6;

        assert_true(fabs(merge_sine(x) - sin(x)) < 1e-15);
        assert_true(fabs(merge_sine(far) - sin(far)) < 1e-15 * (1 + fabs(far)));
    }
}

static void test_angles_at_the_ends(void **state)
{
    (void)state;
    assert_true(merge_angle(1.0) == 0.0);
    assert_true(merge_angle(1.5) == 0.0);
    assert_true(merge_angle(-1.0) == acos(-1.0));
    assert_true(merge_angle(-1.5) == acos(-1.0));
    assert_true(merge_sine(0.0) == 0.0);
    assert_true(merge_sine(acos(0.0)) == 1.0);
}

/* ---- sums -------------------------------------------------------------- */

enum { WIDTH = 3 };

static double piece(uint64_t number, size_t i)
{
    return draw((uint32_t)i, number) * pow(10.0, (double)(number % 17));
}

static void add_run(struct merge_sums *s, uint64_t first, uint64_t end)
{
    for (uint64_t p = first; p < end; p++) {
        double *sums = merge_sums_piece(s, p);

        for (size_t i = 0; i < WIDTH; i++)
            sums[i] = piece(p, i);
    }
}

/* Cut `count` pieces into runs at multiples of `step`. */
static void sum_in_runs(uint64_t count, uint64_t step, double *ret_sums)
{
    struct merge_sums *all = merge_sums_new();
    struct merge_sums *part = merge_sums_new();

    merge_sums_clear(all, WIDTH);
    for (uint64_t at = 0; at < count; at += step) {
        merge_sums_clear(part, WIDTH);
        add_run(part, at, at + step < count ? at + step : count);
        merge_sums_join(all, part);
    }
    merge_sums_total(all, ret_sums);
    merge_sums_free(all);
    merge_sums_free(part);
}

static void test_sums_do_not_depend_on_who_made_them(void **state)
{
    (void)state;
    for (uint64_t count = 0; count < 300; count += 1 + count / 7) {
        double whole[WIDTH], runs[WIDTH];

        sum_in_runs(count, count + 1, whole);
        for (uint64_t step = 1; step <= count; step += 1 + step / 3) {
            sum_in_runs(count, step, runs);
            assert_memory_equal(whole, runs, sizeof whole);
        }
    }
}

static void test_sums_are_sums(void **state)
{
    double sums[WIDTH];
    double plain = 0.0;

    (void)state;
    sum_in_runs(0, 1, sums);
    assert_true(sums[0] == 0.0 && sums[2] == 0.0);
    sum_in_runs(1000, 100, sums);
    for (uint64_t p = 0; p < 1000; p++)
        plain += piece(p, 1);
    assert_true(fabs(sums[1] - plain) < 1e-12 * plain);
}

static void test_a_cleared_sum_may_be_wider(void **state)
{
    struct merge_sums *s = merge_sums_new();
    double sums[100];

    (void)state;
    merge_sums_clear(s, 1);
    merge_sums_piece(s, 0)[0] = 5.0;
    merge_sums_clear(s, COUNT_OF(sums));
    merge_sums_piece(s, 0)[99] = 2.0;
    merge_sums_total(s, sums);
    assert_true(sums[0] == 0.0 && sums[99] == 2.0);
    merge_sums_free(s);
}

/* ---- ranks ------------------------------------------------------------- */

static int is_before(const float *x, size_t a, size_t b)
{
    float left = fabsf(x[a]);
    float right = fabsf(x[b]);

    return left < right || (left == right && a < b);
}

static void check_ranks(const float *x, size_t count)
{
    uint32_t *ranks = xcalloc(count, sizeof *ranks);
    uint64_t *scratch = xcalloc(2 * count, sizeof *scratch);

    merge_rank(x, count, ranks, scratch);
    for (size_t i = 0; i < count; i++) {
        uint32_t want = 0;

        for (size_t j = 0; j < count; j++)
            want += is_before(x, j, i) ? 1 : 0;
        assert_int_equal(ranks[i], want);
    }
    free(ranks);
    free(scratch);
}

static void test_ranks_of_rows_short_and_long(void **state)
{
    static const size_t counts[] = { 1, 2, 63, 64, 65, 300, 1500 };
    float x[1500];

    (void)state;
    for (size_t k = 0; k < COUNT_OF(counts); k++) {
        for (size_t i = 0; i < counts[k]; i++)
            x[i] = (float)ldexp(draw(3, i) - 0.5, (int)(40.0 * draw(4, i)));
        check_ranks(x, counts[k]);
    }
}

static void test_equal_magnitudes_rank_by_index(void **state)
{
    float x[200];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(x); i++)
        x[i] = (float)(i % 3) * (i % 2 == 0 ? 1.0F : -1.0F);
    check_ranks(x, COUNT_OF(x));
    for (size_t i = 0; i < COUNT_OF(x); i++)
        x[i] = i % 2 == 0 ? 0.0F : -0.0F;
    check_ranks(x, COUNT_OF(x));
    check_ranks(x, 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_angles_are_those_of_libm),
        cmocka_unit_test(test_sines_are_those_of_libm),
        cmocka_unit_test(test_angles_at_the_ends),
        cmocka_unit_test(test_sums_do_not_depend_on_who_made_them),
        cmocka_unit_test(test_sums_are_sums),
        cmocka_unit_test(test_a_cleared_sum_may_be_wider),
        cmocka_unit_test(test_ranks_of_rows_short_and_long),
        cmocka_unit_test(test_equal_magnitudes_rank_by_index),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
