#include "jobs/data.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/file.h"
#include "common/memory.h"
#include "jobs/data_parts.h"
#include "jobs/model_input.h"
#include "model/shuffle.h"

static const struct data_form *const forms[] = {
    &data_form_tasks, &data_form_prose,   &data_form_teacher,
    &data_form_text,  &data_form_jsonl,   &data_form_tokens,
    &data_form_idx,   &data_form_cifar10, &data_form_cifar100,
};

/* Ends of names, of forms that have one. */
static const struct {
    const char *end, *form;
} ends[] = {
    { ".jsonl", "jsonl" },
    { ".npy", "tokens" },
    { ".bin", "tokens" },
};

const char *data_form_url(const json_t *value)
{
    const json_t *source = json_object_get(value, "file");

    if (json_object_get(value, "$source") != NULL)
        source = value;
    if (source == NULL)
        source = json_array_get(json_object_get(value, "files"), 0);
    return json_text_or(json_object_get(source, "$source"), "url", "");
}

static const char *format_by_end(const char *url)
{
    size_t size = strlen(url);

    for (size_t i = 0; i < COUNT_OF(ends); i++) {
        size_t end = strlen(ends[i].end);

        if (size > end && strcmp(url + size - end, ends[i].end) == 0)
            return ends[i].form;
    }
    return "text";
}

static void list_forms(bool builtin, char *text, size_t size)
{
    size_t used = 0;

    for (size_t i = 0; i < COUNT_OF(forms) && used < size; i++)
        if (forms[i]->builtin == builtin)
            used += (size_t)snprintf(text + used, size - used, "%s%s",
                                     used == 0 ? "" : ", ", forms[i]->name);
}

const struct data_form *data_form_of(const json_t *value, char *known,
                                     size_t size)
{
    bool builtin = json_object_get(value, "builtin") != NULL;
    bool chosen = json_object_get(value, "$job") != NULL ||
                  json_object_get(value, "$artifact") != NULL;
    const char *key = builtin ? "builtin" : "format";
    const char *name = format_by_end(data_form_url(value));

    if (chosen)
        return &data_form_selected;
    if (json_object_get(value, key) != NULL)
        name = json_text_or(value, key, "");
    for (size_t i = 0; i < COUNT_OF(forms); i++)
        if (forms[i]->builtin == builtin && strcmp(forms[i]->name, name) == 0)
            return forms[i];
    list_forms(builtin, known, size);
    return NULL;
}

static struct status open_form(const json_t *value, const struct data_use *use,
                               struct job_context *context, struct data *d)
{
    char known[128];

    d->form = data_form_of(value, known, sizeof(known));
    if (d->form == NULL)
        return FAIL(STATUS_INVALID, "unknown `builtin` or `format`; known: %s",
                    known);
    return d->form->open(value, use, context, d);
}

struct status data_open(const json_t *value, const struct data_use *use,
                        struct job_context *context, struct data *ret_data)
{
    struct data d = { .together = 1 };
    struct status s = open_form(value, use, context, &d);
    const char *url = data_form_url(value);

    if (status_failed(&s)) {
        data_release(&d);
        return status_wrap(s, "data");
    }
    if (url[0] != '\0')
        d.url = xstrdup(url);
    *ret_data = d;
    return SUCCESS;
}

void data_release(struct data *d)
{
    free(d->url);
    free(d->tokens.bytes);
    free(d->tokens.tokens);
    free(d->tokens.starts);
    free(d->tokens.first);
    free(d->tokens.choices);
    free(d->tokens.right);
    free(d->tokens.lengths);
    images_release(&d->images);
    d->url = NULL;
    d->tokens = (struct data_tokens){ .count = 0 };
}

bool data_has_images(const struct data *d)
{
    return d->images.count != 0;
}

static struct status check_images(const struct data *d, const struct model *m)
{
    const struct images *im = &d->images;

    if (images_pixels(im) != m->graph->pixels)
        return FAIL(STATUS_INVALID,
                    "images of %u x %u x %u (%zu numbers) do not fit the "
                    "model, which takes %zu",
                    im->channels, im->height, im->width, images_pixels(im),
                    m->graph->pixels);
    if (im->classes > m->config.vocab)
        return FAIL(STATUS_INVALID,
                    "the images have %u classes, the model has %u", im->classes,
                    m->config.vocab);
    return SUCCESS;
}

static struct status check_tokens(const struct data *d, const struct model *m)
{
    for (size_t i = 0; d->tokens.tokens != NULL && i < d->tokens.count; i++)
        if ((uint32_t)d->tokens.tokens[i] >= m->config.vocab)
            return FAIL(STATUS_INVALID,
                        "token %d, number %zu of the data, is outside the "
                        "model's vocabulary of %u: was another tokenizer used?",
                        d->tokens.tokens[i], i + 1, m->config.vocab);
    return SUCCESS;
}

struct status data_check(const struct data *d, const struct model *m)
{
    const char *url = d->url == NULL ? "the data" : d->url;

    if (data_has_images(d) != (m->graph->pixels != 0))
        return FAIL(STATUS_INVALID, "the data are %s, the model takes %s",
                    data_has_images(d) ? "images" : "text",
                    m->graph->pixels != 0 ? "images" : "text");
    TRY(data_has_images(d) ? check_images(d, m) : check_tokens(d, m), "%s",
        url);
    return SUCCESS;
}

struct pass_room data_room(const struct data *d, size_t count, bool gradients)
{
    return (struct pass_room){
        .rows = d->window * count,
        .longest = data_has_images(d) ? count : d->window,
        .gradients = gradients,
    };
}

struct status data_batch(struct data *d, size_t count, struct batch *ret_batch)
{
    bool counted = data_has_images(d) || d->tokens.starts != NULL;

    if (counted && count > d->items)
        return FAIL(STATUS_INVALID,
                    "a batch of %zu cannot be filled from %" PRIu64
                    " %s; lower `batch`",
                    count, d->items, data_has_images(d) ? "images" : "items");
    d->together = count;
    if (data_has_images(d))
        batch_init_images(ret_batch, count, images_pixels(&d->images));
    else
        batch_init(ret_batch, count, d->window * count);
    return SUCCESS;
}

struct status data_add(const struct data *d, uint64_t index, struct batch *b,
                       bool *ret_added)
{
    return d->form->add(d, d->items == 0 ? index : index % d->items, b,
                        ret_added);
}

struct status data_draw(const struct data *d, uint32_t seed, uint64_t index,
                        struct batch *b, bool *ret_added)
{
    return d->form->draw(d, seed, index, b, ret_added);
}

/* --- for the forms --------------------------------------------------------- */

uint64_t data_place(const struct data *d, uint32_t seed, uint64_t index)
{
    uint64_t each = d->items - d->items % d->together;

    return shuffle_place(seed, index / each, d->items, index % each);
}

struct status data_read(const json_t *source, size_t limit,
                        struct job_context *context, const char **ret_path,
                        char **ret_bytes, size_t *ret_size)
{
    const json_t *url = json_object_get(source, "$source");
    struct stat at;

    if (url == NULL)
        return FAIL(STATUS_INVALID,
                    "data is neither a source nor a map with `builtin`");
    TRY_PLAIN(context->fetch(context->self, url, ret_path));
    if (stat(*ret_path, &at) == 0 && S_ISREG(at.st_mode))
        TRY_PLAIN(model_input_fits((size_t)at.st_size, *ret_path, context));
    TRY_PLAIN(file_read(*ret_path, limit, ret_bytes, ret_size));
    if (*ret_size == 0)
        return FAIL(STATUS_INVALID, "%s is empty", *ret_path);
    return SUCCESS;
}
