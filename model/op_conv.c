/* op_conv.c -- convolution of square kernels, as a matrix product for each
 * image: the columns of `patches` [channels x kernel^2][places of out] are
 * what the kernel sees at each place. saved: the patches of one image. */
#include "model/op.h"

#include <string.h>

#include "tensor/blas.h"
#include "tensor/elementwise.h"

/* Rows and columns of the image that comes out. */
struct extent {
    size_t height, width, places;
};

static struct extent extent_of(const struct op_shape *s)
{
    size_t pad = s->kernel / 2;
    struct extent e = {
        .height = (s->height + 2 * pad - s->kernel) / s->stride + 1,
        .width = (s->width + 2 * pad - s->kernel) / s->stride + 1,
    };

    e.places = e.height * e.width;
    return e;
}

static size_t depth_of(const struct op_shape *s)
{
    return s->channels * s->kernel * s->kernel;
}

static void sizes(const struct op_shape *s, struct op_sizes *ret_sizes)
{
    struct extent e = extent_of(s);

    ret_sizes->in[0] = s->rows * s->in;
    ret_sizes->in[1] = s->out / e.places * depth_of(s);
    ret_sizes->in[2] = s->rows * s->out;
    ret_sizes->out = s->rows * s->out;
    ret_sizes->saved = depth_of(s) * e.places;
}

/* The columns of out of which the kernel's column `dx` falls into the image:
 * from *ret_first up to, not with, the result. */
static size_t inside(const struct op_shape *s, size_t width, size_t dx,
                     size_t *ret_first)
{
    size_t pad = s->kernel / 2;
    size_t first = dx >= pad ? 0 : (pad - dx + s->stride - 1) / s->stride;
    size_t last = s->width + pad - dx; /* first one behind, unstrided */
    size_t end = (last + s->stride - 1) / s->stride;

    *ret_first = first;
    return end < width ? end : width;
}

/* One line of patches and where its numbers lie in the image: element `first`
 * at `at`, the others `stride` apart. */
struct line {
    size_t first, end, at;
};

/* False: the whole line lies outside the image. `k`: row of the patches, `y`:
 * line of out. */
static bool find_line(const struct op_shape *s, const struct extent *e,
                      size_t k, size_t y, struct line *ret_line)
{
    size_t pad = s->kernel / 2;
    size_t channel = k / (s->kernel * s->kernel);
    size_t dy = k / s->kernel % s->kernel, dx = k % s->kernel;
    size_t row = y * s->stride + dy; /* of the padded image */

    ret_line->end = inside(s, e->width, dx, &ret_line->first);
    if (row < pad || row >= s->height + pad || ret_line->first >= ret_line->end)
        return false;
    ret_line->at = (channel * s->height + row - pad) * s->width +
                   ret_line->first * s->stride + dx - pad;
    return true;
}

static void copy_line(const float *restrict from, float *restrict to,
                      size_t count, size_t stride)
{
    if (stride == 1)
        memcpy(to, from, count * sizeof(*to));
    else
        for (size_t i = 0; i < count; i++)
            to[i] = from[i * stride];
}

static void take_patches(const struct op_shape *s, const float *image,
                         float *patches)
{
    struct extent e = extent_of(s);
    size_t depth = depth_of(s);

    for (size_t k = 0; k < depth; k++)
        for (size_t y = 0; y < e.height; y++) {
            float *to = patches + k * e.places + y * e.width;
            struct line l;

            if (!find_line(s, &e, k, y, &l)) {
                memset(to, 0, e.width * sizeof(*to));
                continue;
            }
            for (size_t i = 0; i < l.first; i++)
                to[i] = 0.0F;
            copy_line(image + l.at, to + l.first, l.end - l.first, s->stride);
            for (size_t i = l.end; i < e.width; i++)
                to[i] = 0.0F;
        }
}

size_t op_conv_patches(const struct op_shape *s, const float *image,
                       float *ret_patches)
{
    take_patches(s, image, ret_patches);
    return extent_of(s).places;
}

/* image += patches, each number where it came from */
static void add_patches(const struct op_shape *s, const float *patches,
                        float *image)
{
    struct extent e = extent_of(s);
    size_t depth = depth_of(s);

    for (size_t k = 0; k < depth; k++)
        for (size_t y = 0; y < e.height; y++) {
            const float *from = patches + k * e.places + y * e.width;
            struct line l;

            if (!find_line(s, &e, k, y, &l))
                continue;
            for (size_t i = l.first; i < l.end; i++)
                image[l.at + (i - l.first) * s->stride] += from[i];
        }
}

static void forward(const struct op_call *c)
{
    const struct op_shape *s = &c->shape;
    struct extent e = extent_of(s);
    float keep = c->in[2] == NULL ? 0.0F : 1.0F;

    if (c->in[2] != NULL)
        memcpy(c->out, c->in[2], s->rows * s->out * sizeof(float));
    for (size_t t = 0; t < s->rows; t++) {
        take_patches(s, c->in[0] + t * s->in, c->saved);
        blas_nn(s->out / e.places, e.places, depth_of(s), c->in[1], c->saved,
                keep, c->out + t * s->out);
    }
}

/* dw = dy patches^T, d patches = w^T dy */
static void backward_image(const struct op_call *c, size_t t)
{
    const struct op_shape *s = &c->shape;
    struct extent e = extent_of(s);
    size_t channels = s->out / e.places;
    const float *dy = c->d_out + t * s->out;

    if (c->d_in[1] != NULL) {
        take_patches(s, c->in[0] + t * s->in, c->saved);
        blas_nt(channels, depth_of(s), e.places, dy, c->saved,
                c->fresh[1] && t == 0 ? 0.0F : 1.0F, c->d_in[1]);
    }
    if (c->d_in[0] != NULL) {
        float *dx = c->d_in[0] + t * s->in;

        blas_tn(depth_of(s), e.places, channels, c->in[1], dy, 0.0F, c->saved);
        if (c->fresh[0])
            memset(dx, 0, s->in * sizeof(*dx));
        add_patches(s, c->saved, dx);
    }
}

static void backward(const struct op_call *c)
{
    const struct op_shape *s = &c->shape;

    for (size_t t = 0; t < s->rows; t++)
        backward_image(c, t);
    if (c->d_in[2] == NULL)
        return;
    if (c->fresh[2])
        memcpy(c->d_in[2], c->d_out, s->rows * s->out * sizeof(float));
    else
        elementwise_add(c->d_in[2], c->d_out, c->d_in[2], s->rows * s->out);
}

const struct op op_conv = {
    .name = "conv",
    .optional = 1U << 2,
    .sizes = sizes,
    .forward = forward,
    .backward = backward,
};
