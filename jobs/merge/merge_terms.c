#include "jobs/merge/merge_terms.h"

#include <string.h>

#include "tensor/dtype.h"

/* Fewer elements than a group, in rows of their own. */
struct rest {
    float base[MERGE_GROUP];
    float task[LIMIT_MODELS][MERGE_GROUP], delta[LIMIT_MODELS][MERGE_GROUP];
    float draws[LIMIT_MODELS][MERGE_GROUP];
    float out[MERGE_POINTS][MERGE_GROUP];
};

static void copy_input(const float *row, const void *narrow, size_t first,
                       size_t count, float *ret_row)
{
    if (narrow != NULL)
        dtype_to_f32(DTYPE_BF16,
                     (const char *)narrow + first * dtype_size(DTYPE_BF16),
                     ret_row, count);
    else if (row != NULL)
        memcpy(ret_row, row + first, count * sizeof *row);
}

static void copy_rest(struct rest *r, size_t models,
                      const struct merge_chunk *chunk, size_t first,
                      struct merge_chunk *ret_part)
{
    size_t count = chunk->count - first;
    size_t size = count * sizeof(float);

    *ret_part = (struct merge_chunk){ .base = r->base,
                                      .delta = r->delta[0],
                                      .stride = MERGE_GROUP };
    copy_input(chunk->base, chunk->narrow ? chunk->narrow_base : NULL, first,
               count, r->base);
    for (size_t i = 0; i < models; i++) {
        copy_input(chunk->task[i], chunk->narrow ? chunk->narrow_task[i] : NULL,
                   first, count, r->task[i]);
        memcpy(r->delta[i], chunk->delta + i * chunk->stride + first, size);
        ret_part->task[i] = r->task[i];
        if (chunk->draws[i] == NULL)
            continue;
        memcpy(r->draws[i], chunk->draws[i] + first, size);
        ret_part->draws[i] = r->draws[i];
    }
}

/* Elements that are not there are zero in all models, which no sum and no
 * sign takes notice of. */
static void run_rest(merge_kernel *kernel, struct merge_terms *t,
                     const struct merge_chunk *chunk, size_t first)
{
    size_t size = (chunk->count - first) * sizeof(float);
    float *outs[MERGE_POINTS] = { NULL };
    struct merge_chunk part;
    struct rest r;

    memset(&r, 0, sizeof r);
    copy_rest(&r, t->models, chunk, first, &part);
    for (size_t k = 0; k < t->ends; k++) {
        outs[k] = t->end[k].out;
        t->end[k].out = r.out[k];
    }
    kernel(t, &part, MERGE_GROUP);
    for (size_t k = 0; k < t->ends; k++) {
        t->end[k].out = outs[k];
        if (outs[k] != NULL)
            memcpy(outs[k] + first, r.out[k], size);
    }
}

void merge_kernel_run(const struct merge_kernels *kernels,
                      struct merge_terms *t, const struct merge_chunk *chunk)
{
    size_t whole = chunk->count - chunk->count % MERGE_GROUP;

    (chunk->narrow ? kernels->bf16 : kernels->f32)(t, chunk, whole);
    if (whole < chunk->count)
        run_rest(kernels->f32, t, chunk, whole);
}

/* As numbers, of which none is NaN and either zero will do. */
static bool same_terms(const struct merge_terms *a, const struct merge_terms *b)
{
    if (a->zero < b->zero || a->zero > b->zero)
        return false;
    for (size_t i = 0; i < a->models; i++) {
        if (a->weight[i] < b->weight[i] || a->weight[i] > b->weight[i] ||
            a->scale[i] < b->scale[i] || a->scale[i] > b->scale[i] ||
            a->drawn[i] < b->drawn[i] || a->drawn[i] > b->drawn[i] ||
            a->kept[i].least != b->kept[i].least ||
            a->kept[i].first != b->kept[i].first)
            return false;
    }
    return true;
}

void merge_terms_share(struct merge_terms *terms, size_t points)
{
    for (size_t p = 1; p < points; p++) {
        size_t q = 0;

        while (q < p &&
               (terms[q].ends == 0 || !same_terms(terms + q, terms + p)))
            q++;
        if (q == p)
            continue;
        terms[q].end[terms[q].ends++] = terms[p].end[0];
        terms[p].ends = 0;
    }
}
