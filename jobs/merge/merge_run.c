#include "jobs/merge/merge_run.h"

#include <assert.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "jobs/merge/merge_plan.h"
#include "jobs/merge/merge_survey.h"
#include "tensor/reduce.h"

enum {
    CHUNK = REDUCE_CHUNK, /* 16 KiB of each input: all rows of a chunk stay in
                             the second-level cache */
    THREADS = 256,
    WHOLE_CHUNKS = 8, /* tensors of fewer chunks are not worth sharing */
    ALIGN = 64,
};

/* A NaN or infinity; the first in order of tensor, model, element is told,
 * whichever thread met it. */
struct fault {
    bool met;
    size_t tensor;
    size_t model; /* 0: the base, else number + 1 */
    uint64_t element;
};

struct run;

struct worker {
    struct run *run;
    size_t index;
    void *tally; /* NULL without a survey */
    float *memory;
    float *base, *task[LIMIT_MODELS], *out;
    uint32_t *keep[LIMIT_MODELS];
    struct merge_chunk chunk;
    struct fault fault;
};

/* What all threads of one merge_run() share. */
struct run {
    const struct merge_plan *plan;
    const struct merge_runtime *runtime;
    void *const *targets;
    size_t threads, stride;
    const struct merge_survey *survey;
    struct worker *workers;
    void **tallies; /* of the workers */
    pthread_barrier_t barrier;
    /* Written by worker 0 between two barriers. */
    struct merge_step step;
    bool again;
    atomic_bool cancelled;
    atomic_size_t stop; /* work on later tensors is in vain */
};

struct merge {
    struct merge_plan plan;
};

/* Rows that cannot be read where they lie are widened into the worker's. */
static void set_rows(struct worker *w, size_t models, size_t stride)
{
    /* base, out, row; and of each model input, delta and mask */
    size_t rows = 3 + 3 * models;
    float *at;

    w->memory = aligned_alloc(ALIGN, rows * stride * sizeof *w->memory);
    if (w->memory == NULL)
        abort();
    at = w->memory;
    w->base = at;
    w->out = at + stride;
    w->chunk.row = at + 2 * stride;
    w->chunk.delta = at + 3 * stride;
    w->chunk.stride = stride;
    at += (3 + models) * stride;
    for (size_t i = 0; i < models; i++) {
        w->task[i] = at + 2 * i * stride;
        w->keep[i] = (uint32_t *)(void *)(at + (2 * i + 1) * stride);
    }
}

static bool before(const struct fault *a, const struct fault *b)
{
    if (!a->met || !b->met)
        return a->met;
    if (a->tensor != b->tensor)
        return a->tensor < b->tensor;
    return a->model != b->model ? a->model < b->model : a->element < b->element;
}

static void report(struct worker *w, struct fault fault)
{
    size_t stop = atomic_load(&w->run->stop);

    if (before(&fault, &w->fault))
        w->fault = fault;
    while (fault.tensor < stop &&
           !atomic_compare_exchange_weak(&w->run->stop, &stop, fault.tensor))
        ;
}

static bool in_vain(const struct worker *w, size_t tensor)
{
    return atomic_load(&w->run->cancelled) ||
           tensor > atomic_load(&w->run->stop);
}

/* Elements as float32, where they lie if they can be read there. */
static const float *widen(struct worker *w, const struct tensor *t,
                          const struct merge_chunk *chunk, float *row)
{
    size_t size = dtype_size(t->dtype);
    const char *data = (const char *)t->data + chunk->first * size;

    (void)w;
    if (t->dtype == DTYPE_F32 && (uintptr_t)data % sizeof(float) == 0)
        return (const float *)(const void *)data;
    dtype_to_f32(t->dtype, data, row, chunk->count);
    return row;
}

/* Of a float64 input also what float32 cannot hold. */
static void inspect(struct worker *w, size_t tensor, size_t model,
                    const float *row, const struct merge_chunk *chunk)
{
    size_t at = dtype_find_not_finite(DTYPE_F32, row, chunk->count);

    if (at < chunk->count)
        report(w, (struct fault){ true, tensor, model, chunk->first + at });
}

static void draw(struct worker *w, const struct merge_entry *entry, size_t i,
                 const struct merge_step *step)
{
    const struct merge_plan *plan = w->run->plan;
    struct merge_chunk *chunk = &w->chunk;
    const struct philox_key key = { plan->config->seed,
                                    plan->config->streams[i], entry->hash };
    double density = step->values.density[i];
    const float *given;

    chunk->keep[i] = NULL;
    if (!step->method->draws || density >= 1.0)
        return;
    chunk->keep[i] = w->keep[i];
    if (plan->inputs->draws == NULL) {
        merge_draw(key, density, chunk->first, chunk->count, w->keep[i]);
        return;
    }
    given = widen(w, entry->draws[i], chunk, w->task[i]);
    merge_draw_given(given, plan->inputs->draw_rule, density, chunk->count,
                     w->keep[i]);
}

/* `fresh`: seen for the first time, so not known to be finite. */
static void load(struct worker *w, const struct merge_entry *entry,
                 size_t tensor, const struct merge_step *step, bool fresh)
{
    struct merge_chunk *chunk = &w->chunk;

    if (step->method->base)
        chunk->base = widen(w, entry->base, chunk, w->base);
    if (step->method->base && fresh)
        inspect(w, tensor, 0, chunk->base, chunk);
    for (size_t i = 0; i < step->models; i++) {
        draw(w, entry, i, step);
        chunk->task[i] = widen(w, entry->tasks[i], chunk, w->task[i]);
        if (fresh)
            inspect(w, tensor, i + 1, chunk->task[i], chunk);
    }
}

static void write_chunk(struct worker *w, const struct tensor *target,
                        void *memory, const struct merge_step *step)
{
    struct merge_chunk *chunk = &w->chunk;
    char *at = (char *)memory + chunk->first * dtype_size(target->dtype);
    bool direct =
        target->dtype == DTYPE_F32 && (uintptr_t)at % sizeof(float) == 0;

    chunk->out = direct ? (float *)(void *)at : w->out;
    step->method->combine(step, chunk);
    if (!direct)
        dtype_from_f32(target->dtype, w->out, at, chunk->count);
}

/* The chunks of a tensor that are this worker's: a run of them, in the order
 * of the workers. Small tensors belong to one worker. */
static void my_share(const struct worker *w, size_t tensor, uint64_t count,
                     uint64_t *ret_first, uint64_t *ret_end)
{
    uint64_t stride = w->run->stride;
    uint64_t chunks = (count + stride - 1) / stride;
    uint64_t threads = w->run->threads;
    uint64_t first = chunks * w->index / threads * stride;
    uint64_t end = chunks * (w->index + 1) / threads * stride;

    if (chunks < WHOLE_CHUNKS) {
        first = 0;
        end = tensor % threads == w->index ? count : 0;
    }
    *ret_first = first;
    *ret_end = end < count ? end : count;
}

static void poll(struct worker *w)
{
    const struct merge_runtime *runtime = w->run->runtime;

    if (w->index == 0 && runtime->cancelled != NULL &&
        runtime->cancelled(runtime->self))
        atomic_store(&w->run->cancelled, true);
}

/* One pass over a tensor: count it for the survey, or write it. */
static void pass(struct worker *w, size_t tensor, const struct merge_step *step,
                 bool write, bool fresh)
{
    const struct merge_entry *entry = &w->run->plan->entries[tensor];
    const struct tensor *target = &w->run->plan->layout.items[tensor];
    struct merge_chunk *chunk = &w->chunk;
    uint64_t first, end;

    my_share(w, tensor, target->count, &first, &end);
    for (; first < end && !in_vain(w, tensor); first += w->run->stride) {
        uint64_t left = end - first;

        poll(w);
        chunk->first = first;
        chunk->count = left < w->run->stride ? (size_t)left : w->run->stride;
        load(w, entry, tensor, step, fresh);
        if (write)
            write_chunk(w, target, w->run->targets[tensor], step);
        else
            w->run->survey->count(w->tally, step, chunk);
    }
}

static void meet(struct worker *w)
{
    if (w->run->threads > 1)
        (void)pthread_barrier_wait(&w->run->barrier);
}

static void begin_survey(struct worker *w, const struct merge_step *step,
                         uint64_t elements)
{
    w->run->survey->begin(w->tally, step, elements);
}

/* True: once more. Whatever was counted after a cancel is thrown away. */
static bool settle_survey(struct worker *w, struct merge_step *step,
                          uint64_t elements)
{
    struct run *run = w->run;

    meet(w);
    if (w->index == 0) {
        bool stopped =
            atomic_load(&run->cancelled) || atomic_load(&run->stop) != SIZE_MAX;

        run->step = *step;
        run->again = !stopped && run->survey->settle(run->tallies, run->threads,
                                                     &run->step, elements);
    }
    meet(w);
    *step = run->step;
    return run->again;
}

static void survey_tensor(struct worker *w, size_t tensor,
                          struct merge_step *step)
{
    uint64_t elements = w->run->plan->layout.items[tensor].count;
    bool fresh = true;

    begin_survey(w, step, elements);
    do {
        pass(w, tensor, step, false, fresh);
        fresh = false;
    } while (settle_survey(w, step, elements));
}

static void survey_model(struct worker *w)
{
    const struct merge_plan *plan = w->run->plan;
    struct merge_step step;
    bool fresh = true;

    merge_plan_step(plan, SIZE_MAX, &step);
    begin_survey(w, &step, plan->elements);
    do {
        for (size_t i = 0; i < plan->layout.count; i++) {
            struct merge_step own;

            if (!plan->entries[i].merged)
                continue;
            merge_plan_step(plan, i, &own);
            pass(w, i, &own, false, fresh);
        }
        fresh = false;
    } while (settle_survey(w, &step, plan->elements));
}

static void copy_tensor(struct worker *w, size_t tensor)
{
    const struct tensor *from = w->run->plan->entries[tensor].base;

    if (tensor % w->run->threads == w->index && from->count > 0)
        memcpy(w->run->targets[tensor], from->data, tensor_bytes(from));
}

static void run_tensor(struct worker *w, size_t tensor)
{
    const struct merge_survey *survey = w->run->survey;
    struct merge_step step;

    if (!w->run->plan->entries[tensor].merged) {
        copy_tensor(w, tensor);
        return;
    }
    merge_plan_step(w->run->plan, tensor, &step);
    if (survey != NULL && !survey->global)
        survey_tensor(w, tensor, &step);
    pass(w, tensor, &step, true, survey == NULL);
}

/* Every worker walks all tensors, so that all meet at every barrier. */
static void *work(void *arg)
{
    struct worker *w = arg;
    struct run *run = w->run;
    const struct merge_runtime *runtime = run->runtime;
    size_t count = run->plan->layout.count;

    if (run->survey != NULL && run->survey->global && run->plan->elements > 0)
        survey_model(w);
    for (size_t i = 0; i < count; i++) {
        run_tensor(w, i);
        if (w->index == 0 && runtime->progress != NULL)
            runtime->progress(runtime->self, i + 1, count, "tensor");
    }
    return NULL;
}

static void run_init(struct run *run, size_t models)
{
    run->workers = xcalloc(run->threads, sizeof *run->workers);
    run->tallies = xcalloc(run->threads, sizeof *run->tallies);
    for (size_t t = 0; t < run->threads; t++) {
        struct worker *w = &run->workers[t];

        w->run = run;
        w->index = t;
        set_rows(w, models, run->stride);
        if (run->survey != NULL)
            w->tally = run->survey->tally_new(models);
        run->tallies[t] = w->tally;
        w->chunk.tally = w->tally;
    }
}

static void run_release(struct run *run)
{
    for (size_t t = 0; t < run->threads; t++) {
        free(run->workers[t].memory);
        if (run->survey != NULL)
            run->survey->tally_free(run->tallies[t]);
    }
    free(run->workers);
    free(run->tallies);
}

static struct status run_threads(struct run *run)
{
    pthread_t threads[THREADS];

    if (pthread_barrier_init(&run->barrier, NULL, (unsigned)run->threads) != 0)
        return FAIL(STATUS_NO_MEMORY, "merge: no barrier for %zu threads",
                    run->threads);
    for (size_t t = 1; t < run->threads; t++) {
        /* The others would wait for it at the barrier for ever. */
        if (pthread_create(&threads[t], NULL, work, &run->workers[t]) != 0)
            abort();
    }
    (void)work(&run->workers[0]);
    for (size_t t = 1; t < run->threads; t++)
        (void)pthread_join(threads[t], NULL);
    (void)pthread_barrier_destroy(&run->barrier);
    return SUCCESS;
}

static struct status outcome(const struct run *run)
{
    struct fault first = { .met = false };
    const struct tensor *tensor;

    if (atomic_load(&run->cancelled))
        return FAIL(STATUS_CANCELLED, "merge cancelled");
    for (size_t t = 0; t < run->threads; t++) {
        if (before(&run->workers[t].fault, &first))
            first = run->workers[t].fault;
    }
    if (!first.met)
        return SUCCESS;
    tensor = &run->plan->layout.items[first.tensor];
    return merge_plan_not_finite(run->plan, tensor->name, first.model,
                                 first.element);
}

struct status merge_run(struct merge *m, const struct merge_runtime *runtime,
                        void *const *targets)
{
    const struct merge_config *config = m->plan.config;
    struct run run = { .plan = &m->plan,
                       .runtime = runtime,
                       .targets = targets,
                       .threads = runtime->threads == 0 ? 1 : runtime->threads,
                       .stride = runtime->chunk == 0 ? CHUNK : runtime->chunk,
                       .survey = config->method->survey };
    struct status s = SUCCESS;

    assert(run.stride % REDUCE_CHUNK == 0);
    run.threads = run.threads < THREADS ? run.threads : THREADS;
    if (config->method->draws && config->rescale == MERGE_RESCALE_L1)
        run.survey = &merge_survey_l1;
    atomic_init(&run.cancelled, false);
    atomic_init(&run.stop, SIZE_MAX);
    run_init(&run, config->count);
    if (run.threads == 1)
        (void)work(&run.workers[0]);
    else
        s = run_threads(&run);
    if (!status_failed(&s))
        s = outcome(&run);
    run_release(&run);
    return s;
}

struct status merge_new(const struct merge_config *config,
                        const struct merge_inputs *inputs,
                        struct merge **ret_merge)
{
    struct merge *m = xnew(struct merge);
    struct status s = merge_plan_init(&m->plan, config, inputs);

    if (status_failed(&s)) {
        merge_free(m);
        return s;
    }
    *ret_merge = m;
    return SUCCESS;
}

void merge_free(struct merge *m)
{
    if (m == NULL)
        return;
    merge_plan_release(&m->plan);
    free(m);
}

const struct tensor_set *merge_layout(const struct merge *m)
{
    return &m->plan.layout;
}
