#include "jobs/merge/merge_pass.h"

#include <string.h>

#include "jobs/merge/merge_load.h"
#include "tensor/reduce.h"

enum {
    RANGES = REDUCE_CHUNK / MERGE_SAMPLE,
    DROP = 1 << 18, /* elements; a call for fewer costs more than it saves */
};

static const struct tensor *target_of(const struct merge_work *work,
                                      size_t tensor)
{
    return &work->plan->layout.items[tensor];
}

uint64_t merge_unit(const struct merge_work *work, size_t tensor)
{
    const struct tensor *t = target_of(work, tensor);
    uint64_t columns = t->rank == 0 ? 1 : t->shape[t->rank - 1];

    if (work->cut == MERGE_CUT_ANY || !work->plan->entries[tensor].merged)
        return work->chunk;
    return columns >= work->chunk ? columns : work->chunk / columns * columns;
}

struct merge_part merge_share(const struct merge_worker *w, size_t tensor)
{
    uint64_t unit = merge_unit(w->work, tensor);
    uint64_t count = target_of(w->work, tensor)->count;
    uint64_t units = (count + unit - 1) / unit;
    uint64_t threads = w->work->threads;
    uint64_t turn = tensor % threads; /* who has one more than others */
    uint64_t first = (units * w->index + turn) / threads * unit;
    uint64_t end = (units * (w->index + 1) + turn) / threads * unit;

    return (struct merge_part){ first < count ? first : count,
                                end < count ? end : count };
}

void merge_poll(const struct merge_worker *w)
{
    const struct merge_runtime *runtime = w->work->runtime;

    if (w->index == 0 && runtime->cancelled != NULL &&
        !atomic_load(&w->work->stopped) && runtime->cancelled(runtime->self))
        atomic_store(&w->work->stopped, true);
}

/* The next chunk of a part; an empty one: there is none, or it is in vain. */
static struct merge_range next(struct merge_worker *w, size_t tensor,
                               struct merge_part *part)
{
    uint64_t unit = merge_unit(w->work, tensor);
    uint64_t left = part->end - part->first;
    struct merge_range range = { part->first,
                                 (size_t)(left < unit ? left : unit) };

    merge_poll(w);
    if (merge_in_vain(w, tensor))
        range.count = 0;
    part->first += range.count;
    return range;
}

static void count_chunk(const struct merge_worker *w)
{
    const struct merge_work *work = w->work;

    work->survey->count(w->tally, w->steps, work->points, &w->chunk);
}

/* Give pages back now and then, and at the end of a part. */
static void drop(const struct merge_worker *w, size_t tensor, uint64_t *behind,
                 uint64_t at, bool last)
{
    if (!last && at - *behind < DROP)
        return;
    merge_load_drop(w, tensor, *behind, at);
    *behind = at;
}

void merge_count(struct merge_worker *w, size_t tensor, struct merge_part part,
                 bool fresh)
{
    uint64_t behind = part.first;
    struct merge_range range;

    while ((range = next(w, tensor, &part)).count > 0) {
        merge_load(w, tensor, &range, 1, fresh);
        count_chunk(w);
        drop(w, tensor, &behind, part.first, false);
    }
    drop(w, tensor, &behind, part.first, true);
}

/* What is looked at of a piece: all threads, chunks and runs draw the same. */
static struct merge_range sample_of(const struct merge_worker *w, size_t tensor,
                                    uint64_t first)
{
    const struct philox_key key = { 0, philox_hash("sample"),
                                    w->work->plan->entries[tensor].hash };
    uint64_t left = target_of(w->work, tensor)->count - first;
    uint64_t size = left < MERGE_SAMPLE_OF ? left : MERGE_SAMPLE_OF;
    uint32_t places;

    if (size <= MERGE_SAMPLE)
        return (struct merge_range){ first, (size_t)size };
    places = (uint32_t)(size - MERGE_SAMPLE) / 4 + 1;
    return (struct merge_range){
        first +
            UINT64_C(4) * philox_below(key, first / MERGE_SAMPLE_OF, places),
        MERGE_SAMPLE
    };
}

void merge_sample(struct merge_worker *w, size_t tensor, struct merge_part part)
{
    uint64_t at =
        (part.first + MERGE_SAMPLE_OF - 1) / MERGE_SAMPLE_OF * MERGE_SAMPLE_OF;
    struct merge_range ranges[RANGES];

    while (at < part.end && !merge_in_vain(w, tensor)) {
        size_t count = 0;

        merge_poll(w);
        for (; at < part.end && count < RANGES; at += MERGE_SAMPLE_OF)
            ranges[count++] = sample_of(w, tensor, at);
        merge_load(w, tensor, ranges, count, false);
        count_chunk(w);
        merge_load_drop(w, tensor, ranges[0].first,
                        at < part.end ? at : part.end);
    }
}

/* Where an element goes. */
static char *place(const struct merge_worker *w, size_t tensor, size_t point,
                   uint64_t element)
{
    void *const *const *targets = w->work->targets;
    size_t size = dtype_size(target_of(w->work, tensor)->dtype);

    if (targets == NULL)
        return w->span + (element - w->span_first) * size;
    return (char *)targets[point][tensor] + element * size;
}

/* The row a point is merged into: where it goes if it can be made there. */
static float *row_of(const struct merge_worker *w, size_t tensor, size_t point)
{
    char *at = place(w, tensor, point, w->chunk.first);

    if (target_of(w->work, tensor)->dtype == DTYPE_F32 &&
        (uintptr_t)at % sizeof(float) == 0)
        return (float *)(void *)at;
    return w->out + point * w->work->stride;
}

static void combine(struct merge_worker *w, size_t tensor)
{
    const struct merge_work *work = w->work;
    const struct merge_method *method = w->steps->method;
    const struct tensor *target = target_of(work, tensor);
    struct merge_chunk *chunk = &w->chunk;

    chunk->outs = w->outs;
    chunk->in_place = true;
    for (size_t p = 0; p < work->points; p++) {
        w->outs[p] = row_of(w, tensor, p);
        chunk->in_place &=
            (char *)w->outs[p] == place(w, tensor, p, chunk->first);
    }
    if (method->combine_points != NULL && work->points > 1)
        method->combine_points(w->steps, work->points, chunk);
    for (size_t p = 0; p < work->points; p++) {
        char *at = place(w, tensor, p, chunk->first);

        chunk->out = w->outs[p];
        if (method->combine_points == NULL || work->points == 1)
            method->combine(&w->steps[p], chunk);
        if ((char *)chunk->out != at)
            dtype_from_f32(target->dtype, chunk->out, at, chunk->count);
    }
}

static void copy(struct merge_worker *w, size_t tensor, struct merge_part part)
{
    const struct tensor *from = w->work->plan->entries[tensor].base.tensor;
    size_t size = dtype_size(from->dtype);
    size_t bytes = (size_t)(part.end - part.first) * size;

    w->bytes_read += bytes;
    for (size_t p = 0; bytes > 0 && p < w->work->points; p++)
        memcpy(place(w, tensor, p, part.first),
               (const char *)from->data + part.first * size, bytes);
}

void merge_write(struct merge_worker *w, size_t tensor, struct merge_part part,
                 bool fresh)
{
    uint64_t behind = part.first;
    struct merge_range range;

    if (!w->work->plan->entries[tensor].merged) {
        if (!merge_in_vain(w, tensor))
            copy(w, tensor, part);
        part.first = part.end;
    }
    while ((range = next(w, tensor, &part)).count > 0) {
        merge_load(w, tensor, &range, 1, fresh);
        combine(w, tensor);
        drop(w, tensor, &behind, part.first, false);
    }
    drop(w, tensor, &behind, part.first, true);
}
