#include "model/images_files.h"

#include <stdlib.h>
#include <string.h>

#include "common/memory.h"

static struct status check_packed(const struct images_file *f)
{
    if (f->size >= 2 && f->bytes[0] == 0x1F && f->bytes[1] == 0x8B)
        return FAIL(STATUS_INVALID,
                    "%s is compressed with gzip; give it unpacked (gunzip)",
                    f->name);
    return SUCCESS;
}

static struct status check_label(const struct images_file *f, size_t at,
                                 uint32_t classes)
{
    if (f->bytes[at] >= classes)
        return FAIL(STATUS_CORRUPT,
                    "%s, byte %zu: label %u; there are %u classes", f->name, at,
                    f->bytes[at], classes);
    return SUCCESS;
}

/* --- IDX --------------------------------------------------------------------- */

enum { IDX_DIMENSIONS = 4, IDX_BYTES = 0x08 };

struct idx {
    size_t rank, data; /* where it begins */
    uint32_t shape[IDX_DIMENSIONS];
};

static uint32_t big_endian(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 |
           (uint32_t)at[2] << 8 | at[3];
}

static struct status read_magic(const struct images_file *f, size_t least,
                                size_t most, struct idx *ret_idx)
{
    TRY_PLAIN(check_packed(f));
    if (f->size < 4)
        return FAIL(STATUS_CORRUPT, "%s, byte %zu: ends inside its magic",
                    f->name, f->size);
    if (f->bytes[0] != 0 || f->bytes[1] != 0)
        return FAIL(STATUS_CORRUPT,
                    "%s, byte 0: %08x is not the magic of an IDX file", f->name,
                    big_endian(f->bytes));
    if (f->bytes[2] != IDX_BYTES)
        return FAIL(STATUS_CORRUPT,
                    "%s, byte 2: elements of type 0x%02x; known are bytes, "
                    "0x08",
                    f->name, f->bytes[2]);
    ret_idx->rank = f->bytes[3];
    if (ret_idx->rank < least || ret_idx->rank > most)
        return FAIL(STATUS_CORRUPT, "%s, byte 3: %zu dimensions; %s have %zu",
                    f->name, ret_idx->rank, least == 1 ? "labels" : "images",
                    least);
    return SUCCESS;
}

/* Sizes may be anything: they are multiplied only as far as the file goes. */
static struct status read_header(const struct images_file *f, size_t least,
                                 size_t most, struct idx *ret_idx)
{
    uint64_t bytes = 1;

    TRY_PLAIN(read_magic(f, least, most, ret_idx));
    ret_idx->data = 4 + 4 * ret_idx->rank;
    if (f->size < ret_idx->data)
        return FAIL(STATUS_CORRUPT, "%s, byte %zu: ends inside its sizes",
                    f->name, f->size);
    for (size_t i = 0; i < ret_idx->rank; i++) {
        uint32_t size = big_endian(f->bytes + 4 + 4 * i);

        if (size == 0 || (i > 0 && size > IMAGES_SIDE_MOST))
            return FAIL(STATUS_CORRUPT, "%s, byte %zu: a size of %u", f->name,
                        4 + 4 * i, size);
        ret_idx->shape[i] = size;
        bytes *= size; /* no overflow: it was at most the size of the file */
        if (bytes > f->size - ret_idx->data)
            return FAIL(STATUS_CORRUPT,
                        "%s, byte %zu: ends too early, its sizes say more",
                        f->name, f->size);
    }
    if (bytes != f->size - ret_idx->data)
        return FAIL(STATUS_CORRUPT, "%s, byte %zu: %zu bytes too many", f->name,
                    ret_idx->data + (size_t)bytes,
                    f->size - ret_idx->data - (size_t)bytes);
    return SUCCESS;
}

static struct status check_pair(const struct images_file *images,
                                const struct idx *x,
                                const struct images_file *labels,
                                const struct idx *y, uint32_t classes)
{
    if (x->rank == 4 && x->shape[1] > IMAGES_CHANNELS)
        return FAIL(STATUS_CORRUPT, "%s, byte 8: %u channels; at most %d",
                    images->name, x->shape[1], IMAGES_CHANNELS);
    if (x->shape[0] != y->shape[0])
        return FAIL(STATUS_CORRUPT, "%s has %u images, %s %u labels",
                    images->name, x->shape[0], labels->name, y->shape[0]);
    for (size_t i = 0; i < y->shape[0]; i++)
        TRY_PLAIN(check_label(labels, y->data + i, classes));
    return SUCCESS;
}

struct status images_read_idx(const struct images_file *images,
                              const struct images_file *labels,
                              uint32_t classes, struct images *ret_images)
{
    struct idx x, y;
    size_t size;

    TRY_PLAIN(read_header(images, 3, 4, &x));
    TRY_PLAIN(read_header(labels, 1, 1, &y));
    TRY_PLAIN(check_pair(images, &x, labels, &y, classes));
    size = images->size - x.data;
    *ret_images = (struct images){
        .count = x.shape[0],
        .channels = x.rank == 4 ? x.shape[1] : 1,
        .height = x.shape[x.rank - 2],
        .width = x.shape[x.rank - 1],
        .classes = classes,
        .bytes = xcalloc(size, 1),
        .labels = xcalloc(x.shape[0], 1),
    };
    memcpy(ret_images->bytes, images->bytes + x.data, size);
    memcpy(ret_images->labels, labels->bytes + y.data, y.shape[0]);
    return SUCCESS;
}

/* --- CIFAR ------------------------------------------------------------------- */

enum { CIFAR_SIDE = 32, CIFAR_CHANNELS = 3, CIFAR_PIXELS = 3072 };

static struct status check_records(const struct images_file *f, size_t labels,
                                   uint32_t classes)
{
    size_t record = labels + CIFAR_PIXELS;

    TRY_PLAIN(check_packed(f));
    if (f->size == 0 || f->size % record != 0)
        return FAIL(STATUS_CORRUPT,
                    "%s, byte %zu: ends inside a record, which has %zu bytes",
                    f->name, f->size, record);
    for (size_t at = labels - 1; at < f->size; at += record)
        TRY_PLAIN(check_label(f, at, classes));
    return SUCCESS;
}

/* CIFAR-100 has a coarse label in front of the fine one. */
struct status images_add_cifar(struct images *im,
                               const struct images_file *file, bool fine)
{
    size_t labels = fine ? 2 : 1, record = labels + CIFAR_PIXELS;
    uint32_t classes = fine ? 100 : 10;
    size_t count = file->size / record;

    TRY_PLAIN(check_records(file, labels, classes));
    im->channels = CIFAR_CHANNELS;
    im->height = im->width = CIFAR_SIDE;
    im->classes = classes;
    im->bytes = xrealloc(im->bytes, (im->count + count) * CIFAR_PIXELS);
    im->labels = xrealloc(im->labels, im->count + count);
    for (size_t i = 0; i < count; i++, im->count++) {
        const uint8_t *at = file->bytes + i * record;

        im->labels[im->count] = at[labels - 1];
        memcpy(im->bytes + im->count * CIFAR_PIXELS, at + labels, CIFAR_PIXELS);
    }
    return SUCCESS;
}

void images_scale(struct images *im, const double *mean,
                  const double *deviation)
{
    for (uint32_t c = 0; c < im->channels; c++) {
        im->zero[c] = (float)(255.0 * mean[c]);
        im->scale[c] = (float)(1.0 / (255.0 * deviation[c]));
    }
}
