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

/* Passes over `x` after a glance at `sample`. */
static struct select *guess(enum select_order order, const float *x,
                            size_t count, const float *sample,
                            size_t sample_count, const uint64_t *ranks,
                            size_t rank_count, size_t *ret_passes)
{
    struct select *s = select_new(order);
    size_t passes = 0;

    select_add(s, sample, sample_count);
    assert_ok(select_guess(s, ranks, rank_count, count));
    do {
        select_add(s, x, count / 3);
        select_add(s, x + count / 3, count - count / 3);
        assert_int_equal(select_count(s), count);
        assert_true(++passes <= 4);
    } while (!select_settle(s));
    *ret_passes = passes;
    return s;
}

static void check_guess(const float *x, size_t count, const float *sample,
                        size_t sample_count)
{
    AUTO(free_pointer) float *sorted = reference_sorted_magnitudes(x, count);
    const uint64_t ranks[] = { 0, count / 2, count - 1, count / 5,
                               count - 1 - count / 5 };
    size_t passes;

    for (size_t n = 1; n <= COUNT_OF(ranks); n++) {
        struct select *s = guess(SELECT_MAGNITUDE, x, count, sample,
                                 sample_count, ranks, n, &passes);

        for (size_t i = 0; i < n; i++)
            check_found(select_result(s, i), sorted, count, ranks[i]);
        select_free(s);
    }
}

static size_t every(const float *x, size_t count, size_t step, float *sample)
{
    size_t taken = 0;

    for (size_t i = 0; i < count; i += step)
        sample[taken++] = x[i];
    return taken;
}

/* Good samples, bad ones and none: what is found is that of a sort. */
static void test_guesses_change_nothing(void **state)
{
    static const size_t sizes[] = { 1, 7, 65, MOST };
    static const float others[] = { 0.0F, 1e-30F, 1e30F, -0.25F };
    float x[MOST], sample[MOST];

    (void)state;
    for (size_t f = 0; f < COUNT_OF(fills); f++) {
        for (size_t k = 0; k < COUNT_OF(sizes); k++) {
            size_t n = sizes[k];

            fills[f](x, n);
            check_guess(x, n, x, n);
            check_guess(x, n, sample, every(x, n, 8, sample));
            check_guess(x, n, x, 0);
            check_guess(x, n, x, 1);
            for (size_t o = 0; o < COUNT_OF(others); o++)
                check_guess(x, n, others + o, 1);
        }
    }
}

static int by_magnitude(const void *a, const void *b)
{
    const float *x = a;
    const float *y = b;

    return (fabsf(*x) > fabsf(*y)) - (fabsf(*x) < fabsf(*y));
}

/* Many elements, so that windows are narrow, and samples that mislead: of the
 * smallest, of the largest, of all but the wanted ones. */
static void test_misleading_samples_cost_passes_only(void **state)
{
    enum { PART = LARGE / 10 };
    static float x[LARGE], sorted[LARGE];

    (void)state;
    fill_random(x, LARGE);
    memcpy(sorted, x, sizeof x);
    qsort(sorted, LARGE, sizeof *sorted, by_magnitude);
    check_guess(x, LARGE, sorted, PART);
    check_guess(x, LARGE, sorted + LARGE - PART, PART);
    check_guess(x, LARGE, sorted + LARGE / 2 + 100, PART);
    check_guess(sorted, LARGE, x, PART);
    for (size_t i = 0; i < LARGE; i++)
        x[i] = i % 10 == 0 ? x[i] : 0.0F; /* a random drop */
    check_guess(x, LARGE, x, PART);
    check_guess(x, LARGE, sorted, PART);
}

static void test_one_pass_is_enough_after_a_good_guess(void **state)
{
    static float x[LARGE], sample[LARGE];
    AUTO(free_pointer) float *sorted = NULL;
    const uint64_t rank = LARGE / 4 * 3;
    size_t passes, taken;
    struct select *s;

    (void)state;
    fill_random(x, LARGE);
    sorted = reference_sorted_magnitudes(x, LARGE);
    taken = every(x, LARGE, 2, sample);
    s = guess(SELECT_MAGNITUDE, x, LARGE, sample, taken, &rank, 1, &passes);
    assert_int_equal(passes, 1);
    check_found(select_result(s, 0), sorted, LARGE, rank);
    select_free(s);
}

/* More than are kept: of the whole row, and near the ranks of a sample that
 * says nothing. */
static void test_what_is_not_kept_is_counted(void **state)
{
    enum { MANY = SELECT_KEPT + SELECT_KEPT / 2 };
    const uint64_t rank = MANY / 3;
    float *x = xcalloc(MANY, sizeof *x);
    float *sorted = xcalloc(MANY, sizeof *sorted);
    struct select *s;
    size_t passes;

    (void)state;
    for (int ties = 0; ties < 2; ties++) {
        fill_random(x, MANY);
        for (size_t i = 0; ties == 1 && i < MANY; i++)
            x[i] = roundf(x[i] * 50.0F) / 50.0F;
        memcpy(sorted, x, MANY * sizeof *x);
        qsort(sorted, MANY, sizeof *sorted, by_magnitude);
        for (size_t i = 0; i < MANY; i++)
            sorted[i] = fabsf(sorted[i]);
        s = two_passes(x, MANY, 999, &rank, 1);
        check_found(select_result(s, 0), sorted, MANY, rank);
        select_free(s);
        s = guess(SELECT_MAGNITUDE, x, MANY, x, 1, &rank, 1, &passes);
        check_found(select_result(s, 0), sorted, MANY, rank);
        select_free(s);
    }
    free(x);
    free(sorted);
}

/* Two parts with so many bytes each, after a glance that says nothing. */
static void check_limited(const float *x, size_t count, const float *sorted,
                          const uint64_t *ranks, size_t rank_count,
                          uint64_t bytes)
{
    struct select *parts[] = { select_new(SELECT_MAGNITUDE),
                               select_new(SELECT_MAGNITUDE) };
    bool done = false;

    for (size_t i = 0; i < COUNT_OF(parts); i++)
        select_limit(parts[i], bytes);
    select_add(parts[0], x, 1);
    assert_ok(select_guess(parts[0], ranks, rank_count, count));
    for (int passes = 0; !done; passes++) {
        assert_true(passes < 16);
        select_follow(parts[1], parts[0]);
        select_add(parts[0], x, count / 3);
        select_add(parts[1], x + count / 3, count - count / 3);
        select_merge(parts[0], parts[1]);
        done = select_settle(parts[0]);
        for (size_t i = 0; i < COUNT_OF(parts); i++)
            assert_true(select_bytes(parts[i]) <= bytes);
    }
    for (size_t i = 0; i < rank_count; i++)
        check_found(select_result(parts[0], i), sorted, count, ranks[i]);
    for (size_t i = 0; i < COUNT_OF(parts); i++)
        select_free(parts[i]);
}

static void test_little_memory_changes_nothing(void **state)
{
    static const uint64_t bytes[] = { SELECT_BYTES, 200000, 1 << 20, 8 << 20 };
    static float x[LARGE];
    uint64_t ranks[SELECT_RANKS];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(ranks); i++)
        ranks[i] = i * (LARGE / SELECT_RANKS);
    for (int ties = 0; ties < 2; ties++) {
        AUTO(free_pointer) float *sorted = NULL;

        fill_random(x, LARGE);
        for (size_t i = 0; ties == 1 && i < LARGE; i++)
            x[i] = roundf(x[i] * 50.0F) / 50.0F;
        sorted = reference_sorted_magnitudes(x, LARGE);
        for (size_t i = 0; i < COUNT_OF(bytes); i++) {
            check_limited(x, LARGE, sorted, ranks + 20, 2, bytes[i]);
            check_limited(x, LARGE, sorted, ranks, COUNT_OF(ranks), bytes[i]);
        }
    }
}

/* What was taken before the limit is given back. */
static void test_a_limit_holds_for_the_next_row(void **state)
{
    enum { MANY = SELECT_KEPT + 1 };
    float *x = xcalloc(MANY, sizeof *x);
    struct select *s = select_new(SELECT_MAGNITUDE);

    (void)state;
    select_add(s, x, SELECT_KEPT);
    select_add(s, x, 1);
    assert_true(select_bytes(s) > (1 << 20));
    select_limit(s, SELECT_BYTES);
    assert_int_equal(select_count(s), 0);
    select_add(s, x, MANY);
    assert_true(select_bytes(s) <= SELECT_BYTES);
    select_free(s);
    free(x);
}

static void test_values_are_guessed_too(void **state)
{
    float x[MOST], sample[MOST];
    uint64_t ranks[SELECT_RANKS];
    size_t passes;

    (void)state;
    for (size_t f = 0; f < COUNT_OF(fills); f++) {
        struct select *s;

        fills[f](x, MOST);
        for (size_t i = 0; i < COUNT_OF(ranks); i++)
            ranks[i] = i * (MOST / SELECT_RANKS);
        s = guess(SELECT_VALUE, x, MOST, sample, every(x, MOST, 4, sample),
                  ranks, f % 2 == 0 ? 3 : COUNT_OF(ranks), &passes);
        qsort(x, MOST, sizeof *x, by_value);
        for (size_t i = 0; i < (f % 2 == 0 ? 3 : COUNT_OF(ranks)); i++)
            check_found(select_result(s, i), x, MOST, ranks[i]);
        select_free(s);
    }
}

enum { PARTS = 3, PART = LARGE / PARTS };

/* Ends a pass of all parts; true: the first one has the results. */
static bool settle_parts(struct select **parts)
{
    for (size_t i = 1; i < PARTS; i++)
        select_merge(parts[0], parts[i]);
    if (select_settle(parts[0]))
        return true;
    for (size_t i = 1; i < PARTS; i++)
        select_follow(parts[i], parts[0]);
    return false;
}

static void check_parts(const float *x, const float *sample,
                        size_t sample_count)
{
    static const uint64_t ranks[] = { PARTS * PART / 3, PARTS * PART - 9 };
    AUTO(free_pointer)
    float *sorted = reference_sorted_magnitudes(x, (size_t)PARTS * PART);
    uint64_t equal = 0;
    struct select *parts[PARTS];

    for (size_t i = 0; i < PARTS; i++)
        parts[i] = select_new(SELECT_MAGNITUDE);
    select_add(parts[2], sample, sample_count);
    select_merge(parts[0], parts[2]);
    assert_ok(
        select_guess(parts[0], ranks, COUNT_OF(ranks), (size_t)PARTS * PART));
    for (size_t i = 1; i < PARTS; i++)
        select_follow(parts[i], parts[0]);
    do {
        for (size_t i = 0; i < PARTS; i++)
            select_add(parts[i], x + i * PART, PART);
    } while (!settle_parts(parts));
    for (size_t i = 0; i < COUNT_OF(ranks); i++)
        check_found(select_result(parts[0], i), sorted, (size_t)PARTS * PART,
                    ranks[i]);
    for (size_t i = 1; i < PARTS; i++)
        equal += select_equal(parts[i], sorted[ranks[0]]);
    assert_true(equal <= select_result(parts[0], 0).equal);
    for (size_t i = 0; i < PARTS; i++)
        select_free(parts[i]);
}

static void test_parts_are_guessed_as_one_row(void **state)
{
    static float x[LARGE];

    (void)state;
    fill_random(x, LARGE);
    check_parts(x, x, 5000);
    check_parts(x, x, 0);
    for (size_t i = 0; i < LARGE; i++)
        x[i] = roundf(x[i] * 50.0F) / 50.0F;
    check_parts(x, x, 700);
}

/* Every part is counted on a machine of its own and travels as bytes. */
static struct select *over_the_wire(struct select *part)
{
    struct select *s = select_new(select_order_of(part));
    struct buf bytes;
    const char *at;

    buf_init(&bytes, 1 << 20);
    assert_ok(select_save(part, &bytes));
    for (size_t cut = 1; cut < bytes.size && cut < 300; cut++) {
        at = bytes.data;
        assert_fails(select_load(s, &at, bytes.data + bytes.size - cut),
                     STATUS_INVALID, "no order statistics");
    }
    at = bytes.data;
    assert_ok(select_load(s, &at, bytes.data + bytes.size));
    assert_ptr_equal(at, bytes.data + bytes.size);
    buf_release(&bytes);
    return s;
}

static void test_saved_parts_are_the_same_parts(void **state)
{
    static float x[LARGE];
    static const uint64_t ranks[] = { PARTS * PART / 3, PARTS * PART - 9 };
    AUTO(free_pointer) float *sorted = NULL;
    struct select *all = select_new(SELECT_MAGNITUDE);
    struct select *parts[PARTS];

    (void)state;
    fill_random(x, LARGE);
    sorted = reference_sorted_magnitudes(x, (size_t)PARTS * PART);
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < PARTS; i++) {
            struct select *part = select_new(SELECT_MAGNITUDE);

            if (pass > 0)
                select_follow(part, all);
            select_add(part, x + i * PART, PART);
            parts[i] = over_the_wire(part);
            select_free(part);
        }
        if (pass > 0)
            select_follow(all, parts[0]);
        for (size_t i = 0; i < PARTS; i++) {
            select_merge(all, parts[i]);
            select_free(parts[i]);
        }
        if (pass == 0)
            assert_ok(select_narrow(all, ranks, COUNT_OF(ranks)));
    }
    assert_true(select_settle(all));
    for (size_t i = 0; i < COUNT_OF(ranks); i++)
        check_found(select_result(all, i), sorted, (size_t)PARTS * PART,
                    ranks[i]);
    select_free(all);
}

static void test_bytes_of_another_order_are_refused(void **state)
{
    struct select *magnitude = select_new(SELECT_MAGNITUDE);
    struct select *value = select_new(SELECT_VALUE);
    struct buf bytes;
    const char *at;

    (void)state;
    buf_init(&bytes, 1 << 20);
    assert_ok(select_save(magnitude, &bytes));
    at = bytes.data;
    assert_fails(select_load(value, &at, bytes.data + bytes.size),
                 STATUS_INVALID, "no order statistics");
    buf_release(&bytes);
    select_free(magnitude);
    select_free(value);
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
    assert_fails(select_guess(s, &beyond, 1, 7), STATUS_INVALID, "rank 7 of 7");
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
        cmocka_unit_test(test_guesses_change_nothing),
        cmocka_unit_test(test_misleading_samples_cost_passes_only),
        cmocka_unit_test(test_one_pass_is_enough_after_a_good_guess),
        cmocka_unit_test(test_what_is_not_kept_is_counted),
        cmocka_unit_test(test_little_memory_changes_nothing),
        cmocka_unit_test(test_a_limit_holds_for_the_next_row),
        cmocka_unit_test(test_values_are_guessed_too),
        cmocka_unit_test(test_parts_are_guessed_as_one_row),
        cmocka_unit_test(test_saved_parts_are_the_same_parts),
        cmocka_unit_test(test_bytes_of_another_order_are_refused),
        cmocka_unit_test(test_ranks_that_are_not_there_are_refused),
        cmocka_unit_test(test_nan_is_above_infinity),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
