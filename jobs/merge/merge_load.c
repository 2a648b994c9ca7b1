#include "jobs/merge/merge_load.h"

#include <string.h>

#include "jobs/merge/merge_pages.h"
#include "jobs/merge/merge_wide.h"

/* ---- what is not finite ------------------------------------------------ */

static bool before(const struct merge_fault *a, const struct merge_fault *b)
{
    if (a->tensor != b->tensor)
        return a->tensor < b->tensor;
    return a->model != b->model ? a->model < b->model : a->element < b->element;
}

static void report(struct merge_worker *w, struct merge_fault fault)
{
    size_t first = atomic_load(&w->work->fault);

    if (!w->fault.met || before(&fault, &w->fault))
        w->fault = fault;
    while (fault.tensor < first &&
           !atomic_compare_exchange_weak(&w->work->fault, &first, fault.tensor))
        ;
}

/* ---- views ------------------------------------------------------------- */

static const char *element_of(const struct tensor *t, uint64_t element)
{
    return (const char *)t->data + element * dtype_size(t->dtype);
}

/* Have what lies there fetched. */
static void fetch(const char *from, const char *end)
{
    enum { LINE = 64, SECOND_LEVEL = 2 };

    for (; from < end; from += LINE)
        __builtin_prefetch(from, 0, SECOND_LEVEL);
}

/* Meanwhile what comes behind is fetched, which most likely is next: turns of
 * the tensors are too short for the machine to see that by itself. A few lines
 * at a time, or widening waits until there is room for more on their way. */
static void read_tensor(struct merge_worker *w, const struct tensor *t,
                        uint64_t first, size_t count, float *row)
{
    enum { STEP = 128 };
    size_t size = dtype_size(t->dtype);
    const char *from = element_of(t, first);
    const char *next = from + count * size;
    const char *end = (const char *)t->data + t->count * size;

    w->bytes_read += count * size;
    for (size_t at = 0; at < count; at += STEP) {
        size_t length = count - at < STEP ? count - at : STEP;
        size_t bytes = length * size;
        size_t left = (size_t)(end - next);

        fetch(next, next + (bytes < left ? bytes : left));
        dtype_to_f32(t->dtype, from, row + at, length);
        from += bytes;
        next += bytes < left ? bytes : left;
    }
}

/* Rows from `row` on that follow each other in the source as well, up to
 * `most`; rows of fill do not. */
static uint64_t run_of(const int64_t *rows, uint64_t row, uint64_t most)
{
    uint64_t run = 1;

    while (rows[row] >= 0 && run < most &&
           rows[row + run] == rows[row] + (int64_t)run)
        run++;
    return run;
}

/* `length` elements make a row of the first axis. */
static void read_rows(struct merge_worker *w, const struct merge_view *view,
                      uint64_t length, struct merge_range range, float *row)
{
    uint64_t at = range.first;
    uint64_t end = range.first + range.count;

    while (at < end) {
        uint64_t number = at / length;
        uint64_t last = (end - 1) / length;
        uint64_t run = run_of(view->rows, number, last - number + 1);
        uint64_t stop = (number + run) * length;
        int64_t from = view->rows[number];
        size_t count = (size_t)((stop < end ? stop : end) - at);
        uint64_t skip = at - number * length;

        if (from >= 0)
            read_tensor(w, view->tensor, (uint64_t)from * length + skip, count,
                        row);
        else
            memcpy(row, view->fill + (uint64_t)(-1 - from) * length + skip,
                   count * sizeof *row);
        row += count;
        at += count;
    }
}

static uint64_t row_length(const struct merge_worker *w, size_t tensor)
{
    const struct tensor *t = &w->work->plan->layout.items[tensor];

    return t->rank == 0 ? 1 : t->count / t->shape[0];
}

/* What a call of merge_load() is about. */
struct load {
    struct merge_worker *worker;
    size_t tensor;
    const struct merge_range *ranges;
    size_t count;
};

/* A view as float32: where it lies if it can be read there, else in `row`. */
static const float *widen(const struct load *l, const struct merge_view *view,
                          float *row)
{
    const struct tensor *t = view->tensor;
    struct merge_worker *w = l->worker;
    const char *there;
    float *at = row;

    there = view->rows != NULL ? NULL : element_of(t, l->ranges->first);
    if (there != NULL && l->count == 1 && t->dtype == DTYPE_F32 &&
        (uintptr_t)there % sizeof(float) == 0) {
        w->bytes_read += l->ranges->count * sizeof(float);
        return (const float *)(const void *)there;
    }
    for (size_t i = 0; i < l->count; i++) {
        struct merge_range range = l->ranges[i];

        if (view->rows != NULL)
            read_rows(w, view, row_length(w, l->tensor), range, at);
        else
            read_tensor(w, t, range.first, range.count, at);
        at += range.count;
    }
    return row;
}

static bool is_plain_bf16(const struct merge_view *view)
{
    return view->rows == NULL && view->tensor->dtype == DTYPE_BF16;
}

/* Many points are worth a row of float32. */
static bool is_narrow(const struct load *l, const struct merge_entry *entry)
{
    const struct merge_work *work = l->worker->work;
    bool narrow = work->plan->configs->method->narrow && work->base &&
                  work->points < MERGE_WIDE_POINTS && l->count == 1 &&
                  is_plain_bf16(&entry->base);

    for (size_t i = 0; narrow && i < entry->models; i++)
        narrow = is_plain_bf16(&entry->tasks[i]);
    return narrow;
}

static const void *take_narrow(const struct load *l,
                               const struct merge_view *view)
{
    l->worker->bytes_read += l->ranges->count * dtype_size(view->tensor->dtype);
    return element_of(view->tensor, l->ranges->first);
}

/* Of a float64 input also what float32 cannot hold. Chunks that are seen for
 * the first time are one range. Elements of two bytes are looked at where they
 * lie: that is half as much. */
static void inspect(const struct load *l, const struct merge_view *view,
                    size_t model, const float *row)
{
    struct merge_worker *w = l->worker;
    const struct tensor *t = view->tensor;
    uint64_t first = w->chunk.first;
    size_t count = w->chunk.count;
    size_t at;

    if (view->rows == NULL && dtype_size(t->dtype) < sizeof *row)
        at = dtype_find_not_finite(t->dtype, element_of(t, first), count);
    else
        at = dtype_find_not_finite(DTYPE_F32, row, count);
    if (at < count)
        report(w, (struct merge_fault){ true, l->tensor, model, first + at });
}

/* ---- draws ------------------------------------------------------------- */

/* Whether nothing of model i drops at any point. */
static bool keeps_all(const struct merge_worker *w, size_t i)
{
    const struct merge_use *use =
        merge_method_use(w->steps->method, MERGE_EPSILON);
    size_t own = use != NULL && use->per_model ? i : 0;

    for (size_t p = 0; p < w->work->points; p++) {
        const struct merge_values *v = &w->steps[p].values;

        if (v->number[MERGE_DENSITY][i] - v->number[MERGE_EPSILON][own] < 1.0)
            return false;
    }
    return true;
}

static void draw(const struct load *l, const struct merge_entry *entry,
                 size_t i)
{
    struct merge_worker *w = l->worker;
    const struct merge_plan *plan = w->work->plan;
    const struct philox_key key = { plan->configs->seed,
                                    plan->configs->streams[entry->model[i]],
                                    entry->hash };
    float *at = w->draws[i];

    w->chunk.draws[i] = NULL;
    if (!plan->configs->method->draws || keeps_all(w, i))
        return;
    w->chunk.draws[i] = at;
    for (size_t r = 0; r < l->count; r++) {
        struct merge_range range = l->ranges[r];

        if (plan->inputs->draws == NULL) {
            merge_draw(key, range.first, range.count, at);
        } else {
            dtype_to_f32(DTYPE_F32, element_of(entry->draws[i], range.first),
                         at, range.count);
            merge_draw_given(at, plan->inputs->draw_rule, range.count, at);
        }
        at += range.count;
    }
}

void merge_load(struct merge_worker *w, size_t tensor,
                const struct merge_range *ranges, size_t count, bool fresh)
{
    const struct merge_entry *entry = &w->work->plan->entries[tensor];
    const struct load l = { w, tensor, ranges, count };
    struct merge_chunk *chunk = &w->chunk;

    chunk->first = ranges->first;
    chunk->count = 0;
    for (size_t i = 0; i < count; i++)
        chunk->count += ranges[i].count;
    chunk->rule = w->work->plan->inputs->draw_rule;
    chunk->narrow = is_narrow(&l, entry);
    chunk->base = NULL;
    if (chunk->narrow)
        chunk->narrow_base = take_narrow(&l, &entry->base);
    else if (w->work->base)
        chunk->base = widen(&l, &entry->base, w->base);
    if (w->work->base && fresh)
        inspect(&l, &entry->base, 0, chunk->base);
    for (size_t i = 0; i < entry->models; i++) {
        draw(&l, entry, i);
        if (chunk->narrow)
            chunk->narrow_task[i] = take_narrow(&l, &entry->tasks[i]);
        else
            chunk->task[i] = widen(&l, &entry->tasks[i], w->task[i]);
        if (fresh)
            inspect(&l, &entry->tasks[i], i + 1, chunk->task[i]);
    }
}

/* ---- pages ------------------------------------------------------------- */

static void drop_view(const struct merge_pages *pages,
                      const struct merge_view *view, uint64_t length,
                      uint64_t first, uint64_t end)
{
    uint64_t low = first;
    uint64_t high = end;

    if (view->rows != NULL) {
        low = UINT64_MAX;
        high = 0;
        for (uint64_t row = first / length; row <= (end - 1) / length; row++) {
            uint64_t from = (uint64_t)view->rows[row] * length;

            if (view->rows[row] < 0)
                continue;
            low = from < low ? from : low;
            high = from + length > high ? from + length : high;
        }
    }
    if (low < high)
        merge_pages_drop(pages, element_of(view->tensor, low),
                         (high - low) * dtype_size(view->tensor->dtype));
}

void merge_load_drop(const struct merge_worker *w, size_t tensor,
                     uint64_t first, uint64_t end)
{
    const struct merge_entry *entry = &w->work->plan->entries[tensor];
    const struct merge_pages *pages = w->work->pages;
    uint64_t length = row_length(w, tensor);

    if (pages == NULL || first >= end)
        return;
    if (w->work->base || !entry->merged)
        drop_view(pages, &entry->base, length, first, end);
    for (size_t i = 0; entry->merged && i < entry->models; i++)
        drop_view(pages, &entry->tasks[i], length, first, end);
}
