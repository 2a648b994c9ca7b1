#include "jobs/merge/merge_run.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "jobs/merge/merge_pages.h"
#include "jobs/merge/merge_ring.h"
#include "tensor/reduce.h"

enum {
    CHUNK = REDUCE_CHUNK, /* 16 KiB of each input: all rows of a chunk stay in
                             the second-level cache */
    THREADS = 256,
    ALIGN = 64,
};

struct merge {
    struct merge_plan plan;
    const void *known; /* of a global survey; NULL: nothing */
    size_t known_size;
    struct merge_counts counts; /* of the last run */
    struct merge_ring *ring;    /* of the last stream: its writer may be slow */
};

/* ---- memory ------------------------------------------------------------ */

static enum merge_cut cut_of(const struct merge_plan *plan)
{
    const struct merge_config *config = plan->configs;
    struct merge_step step = { .method = config->method,
                               .rescale = config->rescale };

    memcpy(step.options, config->options, sizeof step.options);
    return step.method->cut == NULL ? MERGE_CUT_ANY : step.method->cut(&step);
}

/* Of the tensor that most take part in, and not fewer than a survey of the
 * whole model sees. */
size_t merge_most_models(const struct merge_plan *plan)
{
    size_t most = plan->configs->count;

    for (size_t i = 0; i < plan->layout.count; i++)
        most = plan->entries[i].models > most ? plan->entries[i].models : most;
    return most;
}

/* The longest row of a tensor that is merged row by row; 0: none is. */
static uint64_t longest_row(const struct merge_plan *plan,
                            const struct tensor **ret_tensor)
{
    uint64_t longest = 0;

    for (size_t i = 0; i < plan->layout.count; i++) {
        const struct tensor *t = &plan->layout.items[i];
        uint64_t columns = t->rank == 0 ? 1 : t->shape[t->rank - 1];

        if (cut_of(plan) != MERGE_CUT_ROWS || !plan->entries[i].merged ||
            columns <= longest)
            continue;
        longest = columns;
        *ret_tensor = t;
    }
    return longest;
}

/* Rows that cannot be read where they lie are widened into the worker's. */
static struct status take_rows(struct merge_worker *w, size_t models)
{
    const struct merge_work *work = w->work;
    bool draws = work->plan->configs->method->draws;
    /* base and row; of each model input, delta and draws; of each point out */
    size_t rows = 2 + (draws ? 3 : 2) * models + work->points;
    size_t bytes = rows * work->stride * sizeof *w->memory;
    float *at;

    w->memory = aligned_alloc(ALIGN, bytes);
    if (w->memory == NULL)
        return FAIL(STATUS_NO_MEMORY,
                    "merge: no %zu bytes for rows of %zu models, for each "
                    "thread",
                    bytes, models);
    at = w->memory;
    w->base = at;
    w->chunk.row = at + work->stride;
    w->chunk.delta = at + 2 * work->stride;
    w->chunk.stride = work->stride;
    w->out = w->chunk.delta + models * work->stride;
    at = w->out + work->points * work->stride;
    for (size_t i = 0; i < models; i++) {
        w->task[i] = at + i * work->stride;
        if (draws)
            w->draws[i] = at + (models + i) * work->stride;
    }
    return SUCCESS;
}

static uint64_t tally_bytes(const struct merge_work *work)
{
    uint64_t bytes = work->runtime->tallies;

    return bytes == 0 ? 0 : bytes / work->threads + 1;
}

static struct status take_workers(struct merge_work *work)
{
    size_t models = merge_most_models(work->plan);

    work->workers = xcalloc(work->threads, sizeof *work->workers);
    work->tallies = xcalloc(work->threads, sizeof *work->tallies);
    work->steps = xcalloc(work->points, sizeof *work->steps);
    for (size_t t = 0; t < work->threads; t++) {
        struct merge_worker *w = &work->workers[t];

        w->work = work;
        w->index = t;
        w->steps = xcalloc(work->points, sizeof *w->steps);
        TRY_PLAIN(take_rows(w, models));
        if (work->survey != NULL)
            w->tally = work->survey->tally_new(models, work->points);
        if (work->survey != NULL && work->survey->limit != NULL)
            work->survey->limit(w->tally, tally_bytes(work));
        work->tallies[t] = w->tally;
        w->chunk.tally = w->tally;
    }
    return SUCCESS;
}

static void work_release(struct merge_work *work, size_t threads)
{
    for (size_t t = 0; work->workers != NULL && t < threads; t++) {
        free(work->workers[t].memory);
        free(work->workers[t].steps);
        if (work->tallies[t] != NULL)
            work->survey->tally_free(work->tallies[t]);
    }
    free(work->workers);
    free(work->tallies);
    free(work->steps);
    merge_pages_free(work->pages);
}

/* ---- threads ----------------------------------------------------------- */

/* Threads wait here until it is known how many there are. */
struct gate {
    struct merge_work *work;
    size_t index;
    pthread_mutex_t *lock;
    pthread_cond_t *opened;
    const bool *open;
};

static void *wait_and_walk(void *arg)
{
    const struct gate *gate = arg;

    (void)pthread_mutex_lock(gate->lock);
    while (!*gate->open)
        (void)pthread_cond_wait(gate->opened, gate->lock);
    (void)pthread_mutex_unlock(gate->lock);
    gate->work->walk(&gate->work->workers[gate->index]);
    return NULL;
}

/* With as many threads as can be had: they change no byte. */
static void walk_together(struct merge_work *work)
{
    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    pthread_cond_t opened = PTHREAD_COND_INITIALIZER;
    pthread_t threads[THREADS];
    struct gate gates[THREADS];
    bool open = false;
    size_t count = 1;

    for (; count < work->threads; count++) {
        gates[count] = (struct gate){ work, count, &lock, &opened, &open };
        if (pthread_create(&threads[count], NULL, wait_and_walk,
                           &gates[count]) != 0)
            break;
    }
    work->threads = count;
    merge_barrier_init(&work->barrier, count);
    (void)pthread_mutex_lock(&lock);
    open = true;
    (void)pthread_cond_broadcast(&opened);
    (void)pthread_mutex_unlock(&lock);
    work->walk(&work->workers[0]);
    for (size_t t = 1; t < count; t++)
        (void)pthread_join(threads[t], NULL);
    merge_barrier_release(&work->barrier);
}

/* ---- what came of it --------------------------------------------------- */

static bool before(const struct merge_fault *a, const struct merge_fault *b)
{
    if (!a->met || !b->met)
        return a->met;
    if (a->tensor != b->tensor)
        return a->tensor < b->tensor;
    return a->model != b->model ? a->model < b->model : a->element < b->element;
}

static struct status outcome(const struct merge_work *work)
{
    struct merge_fault first = { .met = false };

    if (status_failed(&work->failure))
        return work->failure;
    if (atomic_load(&work->stopped))
        return FAIL(STATUS_CANCELLED, "merge cancelled");
    for (size_t t = 0; t < work->threads; t++) {
        if (before(&work->workers[t].fault, &first))
            first = work->workers[t].fault;
    }
    if (!first.met)
        return SUCCESS;
    return merge_plan_not_finite(work->plan, first.tensor, first.model,
                                 first.element);
}

static struct merge_counts counts_of(const struct merge_work *work)
{
    struct merge_counts counts = { .bytes_read = 0 };
    uint64_t most = 0;

    for (size_t t = 0; t < work->threads; t++) {
        const struct merge_worker *w = &work->workers[t];
        uint64_t rounds = w->rounds + w->tensor_rounds;

        counts.bytes_read += w->bytes_read;
        most = rounds > most ? rounds : most;
    }
    counts.rounds = most + 1;
    return counts;
}

/* ---- the interface ----------------------------------------------------- */

struct status merge_carry_out(struct merge *m, struct merge_work *work,
                              const struct merge_sink *sink)
{
    const struct tensor *longest;
    uint64_t row = longest_row(&m->plan, &longest);
    struct status s = SUCCESS;
    size_t threads;

    work->chunk = work->runtime->chunk == 0 ? CHUNK : work->runtime->chunk;
    assert(work->chunk % REDUCE_CHUNK == 0);
    work->stride = row > work->chunk ? (size_t)(row + ALIGN - 1) / ALIGN * ALIGN
                                     : work->chunk;
    threads = work->runtime->threads == 0        ? 1
              : work->runtime->threads > THREADS ? THREADS
                                                 : work->runtime->threads;
    work->threads = threads;
    if (work->runtime->drop_inputs)
        work->pages = merge_pages_new(m->plan.inputs, m->plan.configs->count);
    s = take_workers(work);
    if (!status_failed(&s) && sink != NULL)
        s = merge_ring_new(work, sink, &m->ring);
    work->ring = sink != NULL ? m->ring : NULL;
    if (!status_failed(&s)) {
        walk_together(work);
        s = outcome(work);
        m->counts = counts_of(work);
    }
    work_release(work, threads);
    return s;
}

struct merge_work merge_work_of(const struct merge *m,
                                const struct merge_runtime *runtime)
{
    const struct merge_config *config = m->plan.configs;
    struct merge_work work = {
        .plan = &m->plan,
        .runtime = runtime,
        .survey = merge_plan_survey(&m->plan),
        .cut = cut_of(&m->plan),
        .base = config->deltas,
        .points = m->plan.points,
        .known = m->known,
        .known_size = m->known_size,
        .walk = merge_walk,
        .failure = SUCCESS,
    };

    atomic_init(&work.claimed, 0);
    atomic_init(&work.stopped, false);
    atomic_init(&work.fault, SIZE_MAX);
    return work;
}

struct status merge_run(struct merge *m, const struct merge_runtime *runtime,
                        void *const *const *targets)
{
    struct merge_work work = merge_work_of(m, runtime);

    work.targets = targets;
    return merge_carry_out(m, &work, NULL);
}

struct status merge_stream(struct merge *m, const struct merge_runtime *runtime,
                           const struct merge_sink *sink)
{
    struct merge_work work = merge_work_of(m, runtime);

    assert(m->plan.points == 1);
    merge_ring_free(m->ring);
    m->ring = NULL;
    work.first = sink->first;
    return merge_carry_out(m, &work, sink);
}

static struct status check_rows(const struct merge_plan *plan)
{
    const struct tensor *tensor = NULL;
    char shape[64];

    if (longest_row(plan, &tensor) <= MERGE_ROW)
        return SUCCESS;
    return FAIL(STATUS_TOO_BIG,
                "tensor %s is %s; %s works on whole rows, of at most %d "
                "elements",
                tensor->name, tensor_shape_text(tensor, shape, sizeof shape),
                plan->configs->method->name, MERGE_ROW);
}

struct status merge_new(const struct merge_config *configs, size_t points,
                        const struct merge_inputs *inputs,
                        struct merge **ret_merge)
{
    struct merge *m = xnew(struct merge);
    struct status s;

    assert(points > 0 && points <= MERGE_POINTS);
    s = merge_plan_init(&m->plan, configs, points, inputs);
    if (!status_failed(&s))
        s = check_rows(&m->plan);
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
    merge_ring_free(m->ring);
    merge_plan_release(&m->plan);
    free(m);
}

const struct tensor_set *merge_layout(const struct merge *m)
{
    return &m->plan.layout;
}

const struct merge_plan *merge_plan_of(const struct merge *m)
{
    return &m->plan;
}

void merge_know(struct merge *m, const void *statistics, size_t size)
{
    m->known = statistics;
    m->known_size = size;
}

struct merge_counts merge_counts_of(const struct merge *m)
{
    return m->counts;
}
