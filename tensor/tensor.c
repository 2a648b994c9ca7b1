#include "tensor/tensor.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int by_name(const void *name, const void *tensor)
{
    return strcmp(name, ((const struct tensor *)tensor)->name);
}

int tensor_by_name(const void *a, const void *b)
{
    return strcmp(((const struct tensor *)a)->name,
                  ((const struct tensor *)b)->name);
}

const struct tensor *tensor_find(const struct tensor_set *set, const char *name)
{
    if (set->count == 0)
        return NULL;
    return bsearch(name, set->items, set->count, sizeof *set->items, by_name);
}

bool tensor_same_shape(const struct tensor *a, const struct tensor *b)
{
    return a->rank == b->rank &&
           memcmp(a->shape, b->shape, a->rank * sizeof *a->shape) == 0;
}

const char *tensor_shape_text(const struct tensor *t, char *text, size_t size)
{
    size_t used = 0;

    (void)snprintf(text, size, "scalar");
    for (uint32_t i = 0; i < t->rank && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%" PRIu64,
                                 i == 0 ? "" : "x", t->shape[i]);
    return text;
}

uint64_t tensor_bytes(const struct tensor *t)
{
    return t->count * dtype_size(t->dtype);
}
