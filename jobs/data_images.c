/* data_images.c -- images, from a seed or from files. */
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "jobs/data_parts.h"
#include "model/images_files.h"

enum { FILE_LIMIT = 1 << 30 }; /* bytes of one file */

static struct status add(const struct data *d, uint64_t index, struct batch *b,
                         bool *ret_added)
{
    float *to = batch_add_image(b, d->images.labels[index]);

    *ret_added = to != NULL;
    if (to != NULL)
        images_take(&d->images, (size_t)index, to);
    return SUCCESS;
}

static struct status draw(const struct data *d, uint32_t seed, uint64_t index,
                          struct batch *b, bool *ret_added)
{
    size_t i = (size_t)data_place(d, seed, index);
    float *to = batch_add_image(b, d->images.labels[i]);

    *ret_added = to != NULL;
    if (to != NULL && d->vary)
        images_vary(&d->images, i, seed, index, to);
    else if (to != NULL)
        images_take(&d->images, i, to);
    return SUCCESS;
}

/* What is said of images, however they came to be. */
static struct status settle(const json_t *value, struct data *d)
{
    int64_t items = json_int_or(value, "items", 0);

    d->window = 1;
    d->items = d->images.count;
    if (items > 0 && (uint64_t)items < d->items)
        d->items = (uint64_t)items;
    d->vary = json_bool_or(value, "augment", false);
    return SUCCESS;
}

static struct status open_teacher(const json_t *value,
                                  const struct data_use *use,
                                  struct job_context *context, struct data *d)
{
    const char *split = json_text_or(value, "split", "train");

    (void)use;
    (void)context;
    images_teacher((uint32_t)json_int_or(value, "seed", 0),
                   strcmp(split, "test") == 0, &d->images);
    return settle(value, d);
}

const struct data_form data_form_teacher = {
    .name = "teacher10k",
    .builtin = true,
    .keys = { "split", "items", "seed", "augment" },
    .open = open_teacher,
    .add = add,
    .draw = draw,
};

/* --- files --------------------------------------------------------------- */

struct opened {
    const char *path; /* as messages name it */
    char *bytes;
    size_t size;
};

static void opened_release(struct opened *o)
{
    free(o->bytes);
    free_pointer(&o->path);
}

static struct status open_file(const json_t *source,
                               struct job_context *context, struct opened *o)
{
    const char *path;

    TRY_PLAIN(
        data_read(source, FILE_LIMIT, context, &path, &o->bytes, &o->size));
    o->path = xstrdup(path);
    return SUCCESS;
}

static struct images_file file_of(const struct opened *o)
{
    return (struct images_file){ o->path, (const uint8_t *)o->bytes, o->size };
}

/* One number for all channels, or one for each. */
static struct status read_channels(const json_t *value, const char *key,
                                   uint32_t channels, double otherwise,
                                   double *ret_numbers)
{
    const json_t *list = json_object_get(value, key);
    size_t count = json_array_size(list);

    if (count > 1 && count != channels)
        return FAIL(STATUS_INVALID,
                    "`%s` has %zu numbers; the images have %u channels", key,
                    count, channels);
    for (size_t i = 0; i < channels; i++)
        ret_numbers[i] =
            count == 0
                ? otherwise
                : json_number_value(json_array_get(list, count == 1 ? 0 : i));
    return SUCCESS;
}

static struct status scale(const json_t *value, struct images *im)
{
    double mean[IMAGES_CHANNELS] = { 0.0 };
    double deviation[IMAGES_CHANNELS] = { 0.0 };

    TRY_PLAIN(read_channels(value, "mean", im->channels, 0.5, mean));
    TRY_PLAIN(read_channels(value, "std", im->channels, 0.5, deviation));
    for (size_t i = 0; i < im->channels; i++)
        if (!(deviation[i] > 0.0))
            return FAIL(STATUS_INVALID, "`std` has to be above 0");
    images_scale(im, mean, deviation);
    return SUCCESS;
}

static struct status open_idx(const json_t *value, const struct data_use *use,
                              struct job_context *context, struct data *d)
{
    AUTO(opened_release) struct opened x = { .size = 0 };
    AUTO(opened_release) struct opened y = { .size = 0 };
    struct images_file images, labels;

    (void)use;
    TRY_PLAIN(open_file(json_object_get(value, "file"), context, &x));
    TRY_PLAIN(open_file(json_object_get(value, "labels"), context, &y));
    images = file_of(&x);
    labels = file_of(&y);
    TRY_PLAIN(images_read_idx(&images, &labels,
                              (uint32_t)json_int_or(value, "classes", 10),
                              &d->images));
    TRY_PLAIN(scale(value, &d->images));
    return settle(value, d);
}

static struct status add_cifar(const json_t *source,
                               struct job_context *context, struct data *d)
{
    AUTO(opened_release) struct opened one = { .size = 0 };
    struct images_file file;

    TRY_PLAIN(open_file(source, context, &one));
    file = file_of(&one);
    return images_add_cifar(&d->images, &file, d->form == &data_form_cifar100);
}

static struct status open_cifar(const json_t *value, const struct data_use *use,
                                struct job_context *context, struct data *d)
{
    const json_t *files = json_object_get(value, "files");

    (void)use;
    if (files == NULL)
        TRY_PLAIN(add_cifar(json_object_get(value, "file"), context, d));
    for (size_t i = 0; i < json_array_size(files); i++)
        TRY_PLAIN(add_cifar(json_array_get(files, i), context, d));
    TRY_PLAIN(scale(value, &d->images));
    return settle(value, d);
}

const struct data_form data_form_idx = {
    .name = "idx",
    .keys = { "file", "labels", "classes", "mean", "std", "items", "augment" },
    .open = open_idx,
    .add = add,
    .draw = draw,
};

#define CIFAR_KEYS                                         \
    {                                                      \
        "file", "files", "mean", "std", "items", "augment" \
    }

const struct data_form data_form_cifar10 = {
    .name = "cifar10",
    .keys = CIFAR_KEYS,
    .open = open_cifar,
    .add = add,
    .draw = draw,
};

const struct data_form data_form_cifar100 = {
    .name = "cifar100",
    .keys = CIFAR_KEYS,
    .open = open_cifar,
    .add = add,
    .draw = draw,
};
