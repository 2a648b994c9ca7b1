#include "support/test.h"

#include "common/digest.h"
#include "common/memory.h"
#include "model/images.h"
#include "model/shuffle.h"

#include <math.h>

enum { PIXELS = TEACHER_SIDE * TEACHER_SIDE };

static void test_an_epoch_takes_each_item_once(void **state)
{
    static const uint64_t counts[] = { 1, 2, 3, 5, 64, 65, 1000, 8000 };

    (void)state;
    for (size_t c = 0; c < COUNT_OF(counts); c++)
        for (uint32_t epoch = 0; epoch < 3; epoch++) {
            uint8_t *seen = xcalloc(counts[c], 1);

            for (uint64_t i = 0; i < counts[c]; i++) {
                uint64_t at = shuffle_place(7, epoch, counts[c], i);

                assert_true(at < counts[c]);
                assert_int_equal(seen[at], 0);
                seen[at] = 1;
            }
            free(seen);
        }
}

/* How many of 1000 stand where they stand in the other order; by chance it is
 * one. */
static size_t same_places(uint32_t seed, uint64_t epoch, uint32_t other_seed,
                          uint64_t other_epoch)
{
    size_t same = 0;

    for (uint64_t i = 0; i < 1000; i++)
        same += shuffle_place(seed, epoch, 1000, i) ==
                shuffle_place(other_seed, other_epoch, 1000, i);
    return same;
}

static void test_epochs_and_seeds_have_other_orders(void **state)
{
    (void)state;
    assert_int_equal(same_places(1, 0, 1, 0), 1000);
    assert_true(same_places(1, 0, 1, 1) < 10);
    assert_true(same_places(1, 0, 2, 0) < 10);
}

/* Neighbours do not stay neighbours, and each tenth of an epoch has its share
 * of each tenth of the items. */
static void test_an_order_is_mixed(void **state)
{
    size_t near = 0, shares[10][10] = { { 0 } };

    (void)state;
    for (uint64_t i = 0; i < 10000; i++) {
        uint64_t at = shuffle_place(3, 5, 10000, i);
        uint64_t next = shuffle_place(3, 5, 10000, (i + 1) % 10000);

        near += (at > next ? at - next : next - at) < 10;
        shares[i / 1000][at / 1000]++;
    }
    assert_true(near < 60); /* 19 by chance */
    for (size_t i = 0; i < 10; i++)
        for (size_t k = 0; k < 10; k++)
            assert_in_range(shares[i][k], 60, 140);
}

static void test_the_teacher_is_what_its_seed_says(void **state)
{
    struct images one, two, other;

    (void)state;
    images_teacher(0, false, &one);
    images_teacher(0, false, &two);
    images_teacher(1, false, &other);
    assert_int_equal(one.count, TEACHER_TRAIN);
    assert_int_equal(images_pixels(&one), PIXELS);
    assert_memory_equal(one.pixels, two.pixels,
                        one.count * PIXELS * sizeof(float));
    assert_memory_equal(one.labels, two.labels, one.count);
    assert_memory_not_equal(one.pixels, other.pixels, PIXELS * sizeof(float));
    images_release(&one);
    images_release(&two);
    images_release(&other);
}

static void moments(const struct images *im, double *ret_mean,
                    double *ret_variance)
{
    double sum = 0.0, squares = 0.0;

    for (size_t i = 0; i < im->count * PIXELS; i++) {
        sum += (double)im->pixels[i];
        squares += (double)im->pixels[i] * (double)im->pixels[i];
    }
    *ret_mean = sum / (double)(im->count * PIXELS);
    *ret_variance = squares / (double)(im->count * PIXELS);
}

/* Mean of the products of pixels `lag` places apart in a row. */
static double covariance(const struct images *im, size_t lag)
{
    double sum = 0.0;
    size_t count = 0;

    for (size_t i = 0; i < im->count * TEACHER_SIDE; i++)
        for (size_t x = 0; x + lag < TEACHER_SIDE; x++, count++)
            sum += (double)im->pixels[i * TEACHER_SIDE + x] *
                   (double)im->pixels[i * TEACHER_SIDE + x + lag];
    return sum / (double)count;
}

/* Against what golden/pruning/teacher10k.safetensors has: variances of its
 * squares and its noise show in these. */
static void test_the_teacher_has_the_distribution_of_the_golden_one(void **s)
{
    static const double golden[] = { 0.996, 0.594, 0.395, 0.216, 0.016 };
    struct images im;
    double mean, variance;

    (void)s;
    images_teacher(0, false, &im);
    moments(&im, &mean, &variance);
    assert_true(fabs(mean) < 1e-6 && fabs(variance - 1.0) < 1e-5);
    for (size_t lag = 1; lag < COUNT_OF(golden); lag++)
        assert_true(fabs(covariance(&im, lag) - golden[lag]) < 0.08);
    images_release(&im);
    images_teacher(0, true, &im);
    assert_int_equal(im.count, TEACHER_TEST);
    moments(&im, &mean, &variance);
    assert_true(fabs(mean) < 0.05 && fabs(variance - 1.0) < 0.05);
    images_release(&im);
}

static void test_all_classes_come_about_as_often(void **state)
{
    struct images im;
    size_t counts[TEACHER_CLASSES] = { 0 };

    (void)state;
    images_teacher(0, false, &im);
    for (size_t i = 0; i < im.count; i++)
        counts[im.labels[i]]++;
    for (size_t i = 0; i < TEACHER_CLASSES; i++)
        assert_in_range(counts[i], 700, 900);
    images_release(&im);
}

/* 2 x 6 x 5 bytes that say where they stand. */
static struct images small(void)
{
    struct images im = {
        .count = 1,
        .channels = 2,
        .height = 6,
        .width = 5,
        .classes = 2,
        .bytes = xcalloc(60, 1),
        .labels = xcalloc(1, 1),
        .zero = { 100.0F, 50.0F },
        .scale = { 0.5F, 0.25F },
    };

    for (size_t i = 0; i < 60; i++)
        im.bytes[i] = (uint8_t)(i + 1);
    return im;
}

static void test_bytes_become_numbers_of_their_channel(void **state)
{
    struct images im = small();
    float pixels[60];

    (void)state;
    images_take(&im, 0, pixels);
    assert_true(pixels[0] == (1.0F - 100.0F) * 0.5F);
    assert_true(pixels[59] == (60.0F - 50.0F) * 0.25F);
    images_release(&im);
}

/* Where the pixel of the first channel at (x, y) came from: 1 ... 30, or 0 for
 * black. */
static int origin(const float *pixels, int x, int y)
{
    return (int)lroundf(pixels[y * 5 + x] / 0.5F + 100.0F);
}

/* Rows stay rows, neighbours neighbours, and all 9 x 9 x 2 moves occur. */
static void test_varied_images_are_moved_or_mirrored(void **state)
{
    struct images im = small();
    bool seen[9][9][2] = { { { false } } };
    size_t count = 0;

    (void)state;
    for (uint64_t draw = 0; draw < 3000; draw++) {
        float pixels[60];
        int down = 99, right = 99;
        bool mirrored = false;

        images_vary(&im, 0, 1, draw, pixels);
        for (int y = 0; y < 6; y++)
            for (int x = 0; x + 1 < 5; x++) {
                int a = origin(pixels, x, y), b = origin(pixels, x + 1, y);

                if (a == 0 || b == 0)
                    continue;
                assert_int_equal(abs(a - b), 1);
                mirrored = a > b;
                down = (a - 1) / 5 - y;
                right = (a - 1) % 5 - (mirrored ? 4 - x : x);
            }
        if (down == 99)
            continue; /* all but one column is black */
        assert_in_range(down + 4, 0, 8);
        assert_in_range(right + 4, 0, 8);
        count += !seen[down + 4][right + 4][mirrored];
        seen[down + 4][right + 4][mirrored] = true;
    }
    assert_int_equal(count, 9 * 7 * 2); /* 4 to a side leaves one column */
    images_release(&im);
}

static void test_a_variation_is_a_function_of_seed_and_draw(void **state)
{
    struct images im = small();
    float one[60], two[60];
    size_t same = 0;

    (void)state;
    images_vary(&im, 0, 1, 5, one);
    images_vary(&im, 0, 1, 5, two);
    assert_memory_equal(one, two, sizeof(one));
    for (uint64_t draw = 0; draw < 100; draw++) {
        images_vary(&im, 0, 2, draw, two);
        same += memcmp(one, two, sizeof(one)) == 0;
    }
    assert_true(same < 10);
    images_release(&im);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_epoch_takes_each_item_once),
        cmocka_unit_test(test_epochs_and_seeds_have_other_orders),
        cmocka_unit_test(test_an_order_is_mixed),
        cmocka_unit_test(test_the_teacher_is_what_its_seed_says),
        cmocka_unit_test(
            test_the_teacher_has_the_distribution_of_the_golden_one),
        cmocka_unit_test(test_all_classes_come_about_as_often),
        cmocka_unit_test(test_bytes_become_numbers_of_their_channel),
        cmocka_unit_test(test_varied_images_are_moved_or_mirrored),
        cmocka_unit_test(test_a_variation_is_a_function_of_seed_and_draw),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
