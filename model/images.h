/* images.h -- images with a class each, in memory. */
#ifndef SINTER_MODEL_IMAGES_H
#define SINTER_MODEL_IMAGES_H

#include "common/status.h"

#include <stddef.h>
#include <stdint.h>

enum { IMAGES_CHANNELS = 4 };

struct images {
    size_t count;
    uint32_t channels, height, width, classes;
    float *pixels;  /* [count][channels][height][width] */
    uint8_t *bytes; /* or these: a pixel is (byte - zero) * scale */
    float zero[IMAGES_CHANNELS], scale[IMAGES_CHANNELS];
    uint8_t *labels; /* [count] */
};
void images_release(struct images *im);
/* Floats of one image. */
size_t images_pixels(const struct images *im);

/* Image `i` as it is; room for images_pixels(). */
void images_take(const struct images *im, size_t i, float *ret_pixels);
/* The same, moved by up to 4 places each way over black, and mirrored or not:
 * a function of (seed, draw). */
void images_vary(const struct images *im, size_t i, uint32_t seed,
                 uint64_t draw, float *ret_pixels);

/* --- a task made from a seed ---------------------------------------------- */

/* 8 x 8 pixels, 10 classes of 6 patterns each. A pattern is 3 x 3 squares of
 * 4 x 4 pixels; an image is an 8 x 8 part of one, brighter or darker, with
 * noise. Pixels have mean 0 and variance 1 over the training images. */
enum {
    TEACHER_SIDE = 8,
    TEACHER_CLASSES = 10,
    TEACHER_TRAIN = 8000,
    TEACHER_TEST = 2000,
};
void images_teacher(uint32_t seed, bool test, struct images *ret_images);

#endif
