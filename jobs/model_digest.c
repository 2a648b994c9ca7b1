#include "jobs/model_digest.h"

#include <stdlib.h>
#include <string.h>

#include "common/memory.h"

struct model_digest {
    const struct tensor_set *layout;
    struct digest_stream *stream;
    size_t heads; /* tensors whose name, dtype and shape were added */
};

struct model_digest *model_digest_begin(const struct tensor_set *layout)
{
    struct model_digest *d = xnew(struct model_digest);

    d->layout = layout;
    d->stream = digest_begin();
    return d;
}

/* Up to and with tensor `end` - 1: those without elements have no bytes. */
static void add_heads(struct model_digest *d, size_t end)
{
    for (; d->heads < end; d->heads++) {
        const struct tensor *t = &d->layout->items[d->heads];
        const char *dtype = dtype_name(t->dtype);
        char shape[32 * LIMIT_RANK];

        (void)tensor_shape_text(t, shape, sizeof shape);
        digest_add(d->stream, t->name, strlen(t->name) + 1);
        digest_add(d->stream, dtype, strlen(dtype) + 1);
        digest_add(d->stream, shape, strlen(shape) + 1);
    }
}

void model_digest_add(struct model_digest *d, size_t tensor, const void *data,
                      size_t size)
{
    add_heads(d, tensor + 1);
    digest_add(d->stream, data, size);
}

struct digest model_digest_end(struct model_digest *d)
{
    struct digest digest;

    add_heads(d, d->layout->count);
    digest = digest_end(d->stream);
    free(d);
    return digest;
}

struct digest model_digest_of(const struct tensor_set *set)
{
    struct model_digest *d = model_digest_begin(set);

    for (size_t i = 0; i < set->count; i++)
        model_digest_add(d, i, set->items[i].data,
                         (size_t)tensor_bytes(&set->items[i]));
    return model_digest_end(d);
}
