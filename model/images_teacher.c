/* images_teacher.c -- the image task that is made from a seed. */
#include "model/images.h"

#include <math.h>

#include "common/memory.h"
#include "common/philox.h"

enum {
    PATTERNS = 6, /* of a class */
    SQUARE = 4,   /* pixels a side */
    SQUARES = 3,  /* a side of a pattern */
    MOVES = 3,    /* places a way where an image may begin */
    PIXELS = TEACHER_SIDE * TEACHER_SIDE,
};
static const float noise = 0.55F; /* against squares of deviation 1 */
static const float least_gain = 0.7F, gain_width = 0.6F;

/* Words of an image, in this order. */
enum { WORD_CLASS, WORD_PATTERN, WORD_DOWN, WORD_RIGHT, WORD_GAIN };

struct teacher {
    uint32_t seed;
    float squares[TEACHER_CLASSES * PATTERNS][SQUARES][SQUARES];
};

static void draw_patterns(struct teacher *t)
{
    struct philox_key key = { .seed = t->seed,
                              .stream = philox_hash("teacher.pattern") };
    uint64_t next = 0;

    for (size_t p = 0; p < COUNT_OF(t->squares); p++)
        for (size_t y = 0; y < SQUARES; y++)
            for (size_t x = 0; x < SQUARES; x++)
                t->squares[p][y][x] = philox_normal(key, next++);
}

/* Image `index` of all, the tests behind those for training. */
static uint8_t draw_image(const struct teacher *t, uint64_t index,
                          float *ret_pixels)
{
    struct philox_key key = { .seed = t->seed,
                              .stream = philox_hash("teacher.image"),
                              .tensor = index };
    struct philox_key grain = { .seed = t->seed,
                                .stream = philox_hash("teacher.noise"),
                                .tensor = index };
    uint32_t label = philox_below(key, WORD_CLASS, TEACHER_CLASSES);
    uint32_t pattern =
        label * PATTERNS + philox_below(key, WORD_PATTERN, PATTERNS);
    uint32_t down = philox_below(key, WORD_DOWN, MOVES);
    uint32_t right = philox_below(key, WORD_RIGHT, MOVES);
    float gain = least_gain + gain_width *
                                  (float)(philox_word(key, WORD_GAIN) >> 8) *
                                  0x1p-24F;

    for (uint32_t i = 0; i < PIXELS; i++) {
        uint32_t y = (i / TEACHER_SIDE + down) / SQUARE;
        uint32_t x = (i % TEACHER_SIDE + right) / SQUARE;

        ret_pixels[i] =
            gain * t->squares[pattern][y][x] + noise * philox_normal(grain, i);
    }
    return (uint8_t)label;
}

static struct images draw_images(const struct teacher *t, size_t first,
                                 size_t count)
{
    struct images im = {
        .count = count,
        .channels = 1,
        .height = TEACHER_SIDE,
        .width = TEACHER_SIDE,
        .classes = TEACHER_CLASSES,
        .pixels = xcalloc(count * PIXELS, sizeof(*im.pixels)),
        .labels = xcalloc(count, sizeof(*im.labels)),
    };

    for (size_t i = 0; i < count; i++)
        im.labels[i] = draw_image(t, first + i, im.pixels + i * PIXELS);
    return im;
}

static void measure(const struct images *im, double *ret_mean,
                    double *ret_deviation)
{
    size_t count = im->count * PIXELS;
    double sum = 0.0, squares = 0.0;

    for (size_t i = 0; i < count; i++) {
        sum += (double)im->pixels[i];
        squares += (double)im->pixels[i] * (double)im->pixels[i];
    }
    *ret_mean = sum / (double)count;
    *ret_deviation = sqrt(squares / (double)count - *ret_mean * *ret_mean);
}

void images_teacher(uint32_t seed, bool test, struct images *ret_images)
{
    struct teacher t = { .seed = seed };
    struct images im;
    double mean, deviation;

    draw_patterns(&t);
    im = draw_images(&t, 0, TEACHER_TRAIN);
    measure(&im, &mean, &deviation);
    if (test) {
        images_release(&im);
        im = draw_images(&t, TEACHER_TRAIN, TEACHER_TEST);
    }
    for (size_t i = 0; i < im.count * PIXELS; i++)
        im.pixels[i] = (float)(((double)im.pixels[i] - mean) / deviation);
    *ret_images = im;
}
