#include "tensor/select.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/macros.h"
#include "common/memory.h"
#include "support/reference.h"
#include "support/test.h"

enum { MOST = 1000, LARGE = 70000 };

static const size_t counts[] = { 1, 7, 64, 65, MOST };

/* What a row may look like. */
static void fill_random(float *x, size_t count)
{
    reference_fill(x, count, 21);
}

static void fill_ties(float *x, size_t count)
{
    reference_fill(x, count, 22);
    for (size_t i = 0; i < count; i++)
        x[i] = roundf(x[i] * 3.0F) / 3.0F;
}

static void fill_zeros(float *x, size_t count)
{
    reference_fill(x, count, 23);
    for (size_t i = 0; i < count; i++)
        x[i] = i % 3 == 0 ? x[i] : (i % 3 == 1 ? 0.0F : -0.0F);
}

static void fill_equal(float *x, size_t count)
{
    for (size_t i = 0; i < count; i++)
        x[i] = i % 2 == 0 ? 0.25F : -0.25F;
}

/* All in one bin of the first pass, and subnormals and infinities. */
static void fill_close(float *x, size_t count)
{
    for (size_t i = 0; i < count; i++)
        x[i] = 1.0F + (float)(i * 37 % 101) * 0x1p-23F;
}

static void fill_extreme(float *x, size_t count)
{
    for (size_t i = 0; i < count; i++)
        x[i] = ldexpf(i % 2 == 0 ? 1.0F : -1.0F, (int)(i * 7 % 280) - 149);
}

static void (*const fills[])(float *, size_t) = {
    fill_random, fill_ties, fill_zeros, fill_equal, fill_close, fill_extreme,
};

static struct select *two_passes(const float *x, size_t count, size_t piece,
                                 const uint64_t *ranks, size_t rank_count)
{
    struct select *s = select_new(SELECT_MAGNITUDE);

    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < count; i += piece)
            select_add(s, x + i, count - i < piece ? count - i : piece);
        assert_int_equal(select_count(s), count);
        if (pass == 0)
            assert_ok(select_narrow(s, ranks, rank_count));
    }
    return s;
}

static void check_found(struct select_found found, const float *sorted,
                        size_t count, uint64_t rank)
{
    uint64_t below = 0;
    uint64_t equal = 0;

    for (size_t i = 0; i < count; i++) {
        below += sorted[i] < sorted[rank];
        equal += sorted[i] == sorted[rank];
    }
    assert_true(found.value == sorted[rank]);
    assert_int_equal(found.below, below);
    assert_int_equal(found.equal, equal);
}

static void check_row(const float *x, size_t count)
{
    AUTO(free_pointer) float *sorted = reference_sorted_magnitudes(x, count);
    const uint64_t ranks[] = { 0, count / 2, count - 1, count / 10, count / 2 };
    static const size_t pieces[] = { 1, 33, MOST };

    for (size_t k = 0; k < COUNT_OF(pieces); k++) {
        struct select *s =
            two_passes(x, count, pieces[k], ranks, COUNT_OF(ranks));

        for (size_t i = 0; i < COUNT_OF(ranks); i++)
            check_found(select_result(s, i), sorted, count, ranks[i]);
        select_free(s);
    }
    for (size_t i = 0; i < COUNT_OF(ranks); i++)
        assert_true(select_magnitude(x, count, ranks[i]) == sorted[ranks[i]]);
}

static void test_ranks_are_those_of_a_sort(void **state)
{
    float x[MOST];

    (void)state;
    for (size_t f = 0; f < COUNT_OF(fills); f++) {
        for (size_t i = 0; i < COUNT_OF(counts); i++) {
            fills[f](x, counts[i]);
            check_row(x, counts[i]);
        }
    }
}

static void test_large_rows_take_the_same_way(void **state)
{
    static float x[LARGE];
    AUTO(free_pointer) float *sorted = NULL;
    static const uint64_t ranks[] = { 0, 1, 35000, 69998, 69999 };

    (void)state;
    fill_random(x, LARGE);
    sorted = reference_sorted_magnitudes(x, LARGE);
    for (size_t i = 0; i < COUNT_OF(ranks); i++)
        assert_true(select_magnitude(x, LARGE, ranks[i]) == sorted[ranks[i]]);
}

static void check_cut(const float *x, size_t count, size_t keep, size_t piece)
{
    float expected[MOST];
    float got[MOST];
    struct select_cut cut = select_largest(x, count, keep);

    memcpy(expected, x, count * sizeof *x);
    memcpy(got, x, count * sizeof *x);
    reference_keep_largest(expected, count, keep);
    for (size_t i = 0; i < count; i += piece)
        select_cut_apply(&cut, got + i, count - i < piece ? count - i : piece);
    for (size_t i = 0; i < count; i++)
        assert_true(got[i] == expected[i]);
    assert_int_equal(cut.equal, 0);
}

static void test_exactly_the_wanted_count_is_kept(void **state)
{
    float x[MOST];

    (void)state;
    for (size_t f = 0; f < COUNT_OF(fills); f++) {
        for (size_t i = 0; i < COUNT_OF(counts); i++) {
            size_t n = counts[i];

            fills[f](x, n);
            check_cut(x, n, 0, n);
            check_cut(x, n, n / 3, n);
            check_cut(x, n, n / 2, 1);
            check_cut(x, n, n - 1, 13);
            check_cut(x, n, n, n);
        }
    }
}

/* A farm: parts are counted by several, the first one decides. */
static void test_parts_counted_apart_are_one_row(void **state)
{
    enum { PARTS = 3, PART = MOST / PARTS };
    struct select *parts[PARTS];
    uint64_t rank = PARTS * PART / 2;
    uint64_t equal = 0;
    struct select_found found;
    AUTO(free_pointer) float *sorted = NULL;
    float x[MOST];

    (void)state;
    fill_ties(x, MOST);
    sorted = reference_sorted_magnitudes(x, (size_t)PARTS * PART);
    for (size_t i = 0; i < PARTS; i++) {
        parts[i] = select_new(SELECT_MAGNITUDE);
        select_add(parts[i], x + i * PART, PART);
        if (i > 0)
            select_merge(parts[0], parts[i]);
    }
    assert_ok(select_narrow(parts[0], &rank, 1));
    for (size_t i = 0; i < PARTS; i++) {
        if (i > 0)
            select_follow(parts[i], parts[0]);
        select_add(parts[i], x + i * PART, PART);
        equal += select_equal(parts[i], sorted[rank]);
    }
    for (size_t i = 1; i < PARTS; i++)
        select_merge(parts[0], parts[i]);
    found = select_result(parts[0], 0);
    check_found(found, sorted, (size_t)PARTS * PART, rank);
    assert_int_equal(equal, found.equal);
    for (size_t i = 0; i < PARTS; i++)
        select_free(parts[i]);
}

/* Bins narrowed to before are bins like others afterwards. */
static void test_cleared_memory_serves_another_row(void **state)
{
    AUTO(free_pointer) float *sorted = NULL;
    const uint64_t rank = 32;
    float x[65];

    (void)state;
    fill_random(x, COUNT_OF(x));
    sorted = reference_sorted_magnitudes(x, COUNT_OF(x));
    for (uint64_t before = 0; before < COUNT_OF(x); before++) {
        struct select *s = two_passes(x, COUNT_OF(x), 65, &before, 1);

        select_clear(s);
        select_add(s, x, COUNT_OF(x));
        assert_ok(select_narrow(s, &rank, 1));
        select_add(s, x, COUNT_OF(x));
        check_found(select_result(s, 0), sorted, COUNT_OF(x), rank);
        select_free(s);
    }
}

static int by_value(const void *a, const void *b)
{
    const float *x = a;
    const float *y = b;

    return (*x > *y) - (*x < *y);
}

static void test_values_are_ordered_with_their_sign(void **state)
{
    float x[MOST];
    uint64_t ranks[MOST / 20];

    (void)state;
    for (size_t f = 0; f < COUNT_OF(fills); f++) {
        struct select *s = select_new(SELECT_VALUE);

        fills[f](x, MOST);
        for (size_t i = 0; i < COUNT_OF(ranks); i++)
            ranks[i] = i * 20;
        select_add(s, x, MOST);
        assert_ok(select_narrow(s, ranks, COUNT_OF(ranks)));
        select_add(s, x, MOST);
        qsort(x, MOST, sizeof *x, by_value);
        for (size_t i = 0; i < COUNT_OF(ranks); i++)
            check_found(select_result(s, i), x, MOST, ranks[i]);
        select_free(s);
    }
}

static void test_ranks_that_are_not_there_are_refused(void **state)
{
    struct select *s = select_new(SELECT_MAGNITUDE);
    const uint64_t ranks[SELECT_RANKS + 1] = { 0 };
    const uint64_t beyond = 7;
    const float x[7] = { 0 };

    (void)state;
    assert_fails(select_narrow(s, ranks, 1), STATUS_INVALID, "of 0 elements");
    select_add(s, x, COUNT_OF(x));
    assert_fails(select_narrow(s, &beyond, 1), STATUS_INVALID, "rank 7 of 7");
    assert_fails(select_narrow(s, ranks, COUNT_OF(ranks)), STATUS_INVALID,
                 "at most");
    select_free(s);
    select_free(NULL);
}

static void test_nan_is_above_infinity(void **state)
{
    const float x[] = { INFINITY, NAN, -INFINITY, 1.0F };

    (void)state;
    assert_true(isnan(select_magnitude(x, COUNT_OF(x), 3)));
    assert_true(isinf(select_magnitude(x, COUNT_OF(x), 2)));
    assert_true(select_magnitude(x, COUNT_OF(x), 0) == 1.0F);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ranks_are_those_of_a_sort),
        cmocka_unit_test(test_large_rows_take_the_same_way),
        cmocka_unit_test(test_exactly_the_wanted_count_is_kept),
        cmocka_unit_test(test_parts_counted_apart_are_one_row),
        cmocka_unit_test(test_cleared_memory_serves_another_row),
        cmocka_unit_test(test_values_are_ordered_with_their_sign),
        cmocka_unit_test(test_ranks_that_are_not_there_are_refused),
        cmocka_unit_test(test_nan_is_above_infinity),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
