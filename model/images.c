#include "model/images.h"

#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "common/philox.h"

enum { MARGIN = 4 }; /* pixels an image is moved by, at most */

void images_release(struct images *im)
{
    free(im->pixels);
    free(im->bytes);
    free(im->labels);
    *im = (struct images){ .count = 0 };
}

size_t images_pixels(const struct images *im)
{
    return (size_t)im->channels * im->height * im->width;
}

/* Row `y` of a channel. */
static void take_row(const struct images *im, size_t i, uint32_t channel,
                     uint32_t y, float *ret_pixels)
{
    size_t at =
        i * images_pixels(im) + ((size_t)channel * im->height + y) * im->width;

    if (im->pixels != NULL) {
        memcpy(ret_pixels, im->pixels + at, im->width * sizeof(*ret_pixels));
        return;
    }
    for (uint32_t x = 0; x < im->width; x++)
        ret_pixels[x] =
            ((float)im->bytes[at + x] - im->zero[channel]) * im->scale[channel];
}

void images_take(const struct images *im, size_t i, float *ret_pixels)
{
    for (uint32_t c = 0; c < im->channels; c++)
        for (uint32_t y = 0; y < im->height; y++)
            take_row(im, i, c, y,
                     ret_pixels + ((size_t)c * im->height + y) * im->width);
}

/* How an image is moved. */
struct variation {
    int down, right; /* -MARGIN ... MARGIN */
    bool mirrored;
};

static struct variation draw_variation(uint32_t seed, uint64_t draw)
{
    struct philox_key key = { .seed = seed,
                              .stream = philox_hash("images.vary"),
                              .tensor = draw };

    return (struct variation){
        .down = (int)philox_below(key, 0, 2 * MARGIN + 1) - MARGIN,
        .right = (int)philox_below(key, 1, 2 * MARGIN + 1) - MARGIN,
        .mirrored = philox_below(key, 2, 2) == 1,
    };
}

static void vary_channel(const struct images *im, const float *from,
                         float black, const struct variation *v, float *to)
{
    int height = (int)im->height, width = (int)im->width;

    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            int fy = y + v->down;
            int fx = (v->mirrored ? width - 1 - x : x) + v->right;
            bool inside = fy >= 0 && fy < height && fx >= 0 && fx < width;

            to[y * width + x] = inside ? from[fy * width + fx] : black;
        }
}

void images_vary(const struct images *im, size_t i, uint32_t seed,
                 uint64_t draw, float *ret_pixels)
{
    const struct variation v = draw_variation(seed, draw);
    size_t plane = (size_t)im->height * im->width;
    AUTO(free_pointer)
    float *from = xcalloc(images_pixels(im), sizeof(*from));

    images_take(im, i, from);
    for (uint32_t c = 0; c < im->channels; c++)
        vary_channel(im, from + c * plane,
                     im->pixels != NULL ? 0.0F : -im->zero[c] * im->scale[c],
                     &v, ret_pixels + c * plane);
}
