#include "tests/support/test.h"

#include "sweep/order.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_AXES = 5 };

struct shape {
    size_t count;
    struct order_axis axes[MOST_AXES];
};

static const struct shape shapes[] = {
    { 0, { { 0 } } },
    { 1, { { 1, true } } },
    { 1, { { 2, true } } },
    { 1, { { 17, true } } },
    { 1, { { 100, true } } },
    { 1, { { 7, false } } },
    { 2, { { 8, true }, { 8, true } } },
    { 2, { { 3, false }, { 16, true } } },
    { 3, { { 5, true }, { 4, false }, { 6, true } } },
    { 4, { { 2, true }, { 1, true }, { 9, true }, { 3, true } } },
    { 5, { { 2, true }, { 3, true }, { 2, false }, { 4, true }, { 5, true } } },
};

static void test_every_order_reaches_every_point_once(void **state)
{
    (void)state;
    for (size_t s = 0; s < COUNT_OF(shapes); s++) {
        struct order *o = NULL;
        uint64_t all = 1;
        char *seen;

        assert_ok(order_new(shapes[s].axes, shapes[s].count, &o));
        for (size_t k = 0; k < shapes[s].count; k++)
            all *= shapes[s].axes[k].size;
        assert_int_equal(order_count(o), all);
        seen = calloc(all, 1);
        for (uint64_t i = 0; i < all; i++) {
            uint32_t at[MOST_AXES];
            uint64_t number = 0;

            order_point(o, i, at);
            for (size_t k = 0; k < shapes[s].count; k++) {
                assert_true(at[k] < shapes[s].axes[k].size);
                number = number * shapes[s].axes[k].size + at[k];
            }
            assert_int_equal(seen[number], 0);
            seen[number] = 1;
        }
        free(seen);
        order_free(o);
    }
}

/* Of an axis of 65 values, the first 2^n + 1 cut it into equal parts. */
static void test_an_axis_is_halved_again_and_again(void **state)
{
    const struct order_axis axis = { 65, true };
    struct order *o = NULL;
    char seen[65] = { 0 };
    uint32_t done = 0;

    (void)state;
    assert_ok(order_new(&axis, 1, &o));
    for (uint32_t parts = 1; parts <= 64; parts *= 2) {
        for (; done < parts + 1; done++) {
            uint32_t at;

            order_point(o, done, &at);
            seen[at] = 1;
        }
        for (uint32_t i = 0; i <= 64; i += 64 / parts)
            assert_int_equal(seen[i], 1);
    }
    order_free(o);
}

/* Farthest any point of a 16 x 16 grid is from the first `count` points. */
static double reach(const struct order *o, uint64_t count)
{
    double worst = 0.0;

    for (int x = 0; x < 16; x++) {
        for (int y = 0; y < 16; y++) {
            double nearest = 1e9;

            for (uint64_t i = 0; i < count; i++) {
                uint32_t at[2];

                order_point(o, i, at);
                nearest =
                    fmin(nearest, hypot((double)at[0] - x, (double)at[1] - y));
            }
            worst = fmax(worst, nearest);
        }
    }
    return worst;
}

static void test_any_first_part_covers_the_plane(void **state)
{
    const struct order_axis axes[] = { { 16, true }, { 16, true } };
    struct order *o = NULL;

    (void)state;
    assert_ok(order_new(axes, 2, &o));
    for (uint64_t count = 4; count <= 256; count *= 2) {
        /* Twice what a perfect lattice of so many points leaves. */
        double perfect = 16.0 / sqrt((double)count) * 0.7071;
        double got = reach(o, count);

        if (got > 2.0 * perfect + 1.0)
            fail_msg("%d points reach %.2f, a lattice %.2f", (int)count, got,
                     perfect);
    }
    order_free(o);
}

static void test_a_grid_too_large_to_number_is_refused(void **state)
{
    struct order_axis axes[4];
    struct order *o = NULL;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(axes); i++)
        axes[i] = (struct order_axis){ 100000, false };
    assert_fails(order_new(axes, 4, &o), STATUS_TOO_BIG, "2^53");
    assert_ok(order_new(axes, 3, &o));
    assert_int_equal(order_count(o), UINT64_C(1000000000000000));
    order_free(o);
}

static void test_shuffle_is_a_permutation_that_depends_on_the_seed(void **state)
{
    (void)state;
    for (uint64_t count = 1; count < 70; count += 4) {
        char seen[70] = { 0 };

        for (uint64_t i = 0; i < count; i++) {
            uint64_t at = order_shuffle(7, count, i);

            assert_true(at < count);
            assert_int_equal(seen[at], 0);
            seen[at] = 1;
        }
    }
    assert_int_not_equal(order_shuffle(1, 1000, 5), order_shuffle(2, 1000, 5));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_order_reaches_every_point_once),
        cmocka_unit_test(test_an_axis_is_halved_again_and_again),
        cmocka_unit_test(test_any_first_part_covers_the_plane),
        cmocka_unit_test(test_a_grid_too_large_to_number_is_refused),
        cmocka_unit_test(
            test_shuffle_is_a_permutation_that_depends_on_the_seed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
