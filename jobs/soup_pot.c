#include "jobs/soup_pot.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"

enum { CHUNK = 4096, ALIGN = 64 };

static uint64_t padded(uint64_t bytes)
{
    return (bytes + ALIGN - 1) / ALIGN * ALIGN;
}

static void name_tensors(struct soup_pot *p, const struct tensor_set *first,
                         const enum dtype *dtype)
{
    p->tensors = xcalloc(first->count + 1, sizeof *p->tensors);
    p->set = (struct tensor_set){ first->count, p->tensors };
    for (size_t i = 0; i < first->count; i++) {
        struct tensor *t = &p->tensors[i];

        *t = first->items[i];
        t->name = xstrdup(first->items[i].name);
        t->file = "a soup";
        t->data = NULL;
        if (dtype_is_float(t->dtype) && dtype != NULL)
            t->dtype = *dtype;
    }
}

struct status soup_pot_init(struct soup_pot *p, const struct tensor_set *first,
                            const enum dtype *dtype,
                            const struct job_context *context)
{
    uint64_t floats = 1, bytes = ALIGN;
    char *at;

    *p = (struct soup_pot){ .kept = 0 };
    name_tensors(p, first, dtype);
    for (size_t i = 0; i < p->set.count; i++) {
        bytes += padded(tensor_bytes(&p->tensors[i]));
        floats += dtype_is_float(p->tensors[i].dtype) ? p->tensors[i].count : 0;
    }
    if (context->memory_bytes > 0 &&
        bytes + floats * sizeof(double) > (uint64_t)context->memory_bytes)
        return FAIL(STATUS_NO_MEMORY,
                    "sum and average take %" PRIu64 " bytes, the slot has "
                    "%" PRId64 "; give the worker more --memory or fewer slots",
                    bytes + floats * sizeof(double), context->memory_bytes);
    p->sum = calloc((size_t)floats, sizeof *p->sum);
    p->memory = aligned_alloc(ALIGN, (size_t)bytes);
    if (p->sum == NULL || p->memory == NULL)
        return FAIL(STATUS_NO_MEMORY, "no %" PRIu64 " bytes for a soup",
                    bytes + floats * sizeof(double));
    at = p->memory;
    for (size_t i = 0; i < p->set.count; i++) {
        p->tensors[i].data = at;
        if (!dtype_is_float(p->tensors[i].dtype))
            memcpy(at, first->items[i].data,
                   (size_t)tensor_bytes(&p->tensors[i]));
        at += padded(tensor_bytes(&p->tensors[i]));
    }
    return SUCCESS;
}

void soup_pot_release(struct soup_pot *p)
{
    for (size_t i = 0; i < p->set.count; i++)
        free_pointer(&p->tensors[i].name);
    free(p->tensors);
    free(p->sum);
    free(p->memory);
    *p = (struct soup_pot){ .kept = 0 };
}

/* To float so that rounding that again to fewer digits gives what rounding
 * the double at once would: toward zero, with the last bit set if anything was
 * cut off. */
static float to_odd(double x)
{
    float f = (float)x;
    uint32_t bits;

    if (!isfinite(x) || (double)f == x)
        return f;
    memcpy(&bits, &f, sizeof bits);
    if (fabs((double)f) > fabs(x))
        bits--; /* of sign and magnitude: the next toward zero */
    bits |= 1;
    memcpy(&f, &bits, sizeof f);
    return f;
}

/* `count` averages of sums and, unless NULL, one more model. */
static void average(const double *sum, const float *x, double models,
                    enum dtype dtype, void *target, size_t count)
{
    float out[CHUNK];
    bool narrow = dtype == DTYPE_F16 || dtype == DTYPE_BF16;

    for (size_t i = 0; i < count; i++) {
        double all = x == NULL ? sum[i] : sum[i] + (double)x[i];

        all /= models;
        out[i] = narrow ? to_odd(all) : (float)all;
    }
    dtype_from_f32(dtype, out, target, count);
}

/* Where tensors lie in the sum: `at` goes on by `count` floats a tensor. */
struct walk {
    size_t tensor;
    uint64_t at;
};

static void average_tensor(struct soup_pot *p, const struct walk *w,
                           const struct tensor *t)
{
    struct tensor *to = &p->tensors[w->tensor];
    char *target = (char *)(uintptr_t)to->data;
    float x[CHUNK];

    for (uint64_t at = 0; at < to->count; at += CHUNK) {
        size_t count =
            to->count - at < CHUNK ? (size_t)(to->count - at) : CHUNK;

        if (t != NULL)
            dtype_to_f32(t->dtype,
                         (const char *)t->data + at * dtype_size(t->dtype), x,
                         count);
        average(p->sum + w->at + at, t == NULL ? NULL : x,
                (double)p->kept + (t == NULL ? 0.0 : 1.0), to->dtype,
                target + at * dtype_size(to->dtype), count);
    }
}

static struct status check_same(const struct soup_pot *p,
                                const struct tensor_set *set)
{
    for (size_t i = 0; i < p->set.count; i++) {
        const struct tensor *ours = &p->set.items[i];
        const struct tensor *t = tensor_find(set, ours->name);
        char was[32 * LIMIT_RANK], is[32 * LIMIT_RANK];

        if (t == NULL)
            return FAIL(STATUS_INVALID, "it has no tensor \"%s\"", ours->name);
        if (!tensor_same_shape(ours, t))
            return FAIL(STATUS_INVALID,
                        "tensor \"%s\" is %s, in the best model it is %s",
                        ours->name, tensor_shape_text(t, is, sizeof is),
                        tensor_shape_text(ours, was, sizeof was));
        if (dtype_is_float(t->dtype) != dtype_is_float(ours->dtype))
            return FAIL(STATUS_INVALID,
                        "tensor \"%s\" is %s, in the best model it is %s",
                        ours->name, dtype_name(t->dtype),
                        dtype_name(ours->dtype));
    }
    if (set->count != p->set.count)
        return FAIL(STATUS_INVALID,
                    "it has %zu tensors, the best model has %zu", set->count,
                    p->set.count);
    return SUCCESS;
}

struct status soup_pot_try(struct soup_pot *p, const struct tensor_set *set)
{
    struct walk w = { 0, 0 };

    TRY_PLAIN(check_same(p, set));
    for (; w.tensor < p->set.count; w.tensor++) {
        if (!dtype_is_float(p->tensors[w.tensor].dtype))
            continue;
        average_tensor(p, &w, &set->items[w.tensor]);
        w.at += p->tensors[w.tensor].count;
    }
    return SUCCESS;
}

static void add_tensor(double *sum, const struct tensor *t)
{
    float x[CHUNK];

    for (uint64_t at = 0; at < t->count; at += CHUNK) {
        size_t count = t->count - at < CHUNK ? (size_t)(t->count - at) : CHUNK;

        dtype_to_f32(t->dtype,
                     (const char *)t->data + at * dtype_size(t->dtype), x,
                     count);
        for (size_t i = 0; i < count; i++)
            sum[at + i] += (double)x[i];
    }
}

void soup_pot_keep(struct soup_pot *p, const struct tensor_set *set)
{
    double *sum = p->sum;

    assert(set->count == p->set.count);
    for (size_t i = 0; i < p->set.count; i++) {
        if (!dtype_is_float(p->tensors[i].dtype))
            continue;
        add_tensor(sum, &set->items[i]);
        sum += p->tensors[i].count;
    }
    p->kept++;
}

void soup_pot_serve(struct soup_pot *p)
{
    struct walk w = { 0, 0 };

    for (; w.tensor < p->set.count; w.tensor++) {
        if (!dtype_is_float(p->tensors[w.tensor].dtype))
            continue;
        average_tensor(p, &w, NULL);
        w.at += p->tensors[w.tensor].count;
    }
}
