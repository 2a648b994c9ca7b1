/* fuzz_images.c -- bytes as IDX and CIFAR files. The first two bytes say where
 * images end and labels begin. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "model/images_files.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Every pixel is read, every label is in its range. */
static void walk(struct images *im)
{
    static const double middle[IMAGES_CHANNELS] = { 0.5, 0.5, 0.5, 0.5 };
    float *pixels = calloc(images_pixels(im), sizeof(*pixels));

    images_scale(im, middle, middle);
    for (size_t i = 0; pixels != NULL && i < im->count; i++) {
        images_take(im, i, pixels);
        if (im->labels[i] >= im->classes)
            abort();
    }
    free(pixels);
    images_release(im);
}

static void as_idx(const uint8_t *data, size_t size)
{
    size_t cut = (size_t)data[0] << 8 | data[1];
    struct images im;
    struct status st;

    data += 2;
    size -= 2;
    cut = cut < size ? cut : size;
    st = images_read_idx(
        &(struct images_file){ "images", data, cut },
        &(struct images_file){ "labels", data + cut, size - cut }, 10, &im);
    if (!status_failed(&st))
        walk(&im);
}

static void as_cifar(const uint8_t *data, size_t size, bool fine)
{
    struct images im = { .count = 0 };
    struct images_file file = { "cifar", data, size };
    struct status st = images_add_cifar(&im, &file, fine);

    if (!status_failed(&st))
        walk(&im);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    as_idx(data, size);
    as_cifar(data, size, false);
    as_cifar(data, size, true);
    return 0;
}
