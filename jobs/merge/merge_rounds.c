/* merge_rounds.c -- how workers go through a merge together: what must be
 * counted first, round by round, then what is written. */
#include "jobs/merge/merge_work.h"

#include <string.h>

#include "jobs/merge/merge_pass.h"
#include "jobs/merge/merge_ring.h"

enum {
    /* Units that a worker takes at a time: so few that each could take TURNS
     * times. */
    TURNS = 8,
    BLOCK_LEAST = 16,
    BLOCK_MOST = 64,
    /* Units of a tensor up to which one worker counts and writes it alone:
     * the others would spend more time at the barriers. */
    WHOLE = 32,
    SAMPLES = 64, /* that a worker takes at a time: a chunk */
};

void merge_meet(struct merge_worker *w)
{
    if (w->work->threads > 1)
        merge_barrier_wait(&w->work->barrier);
}

/* ---- steps ------------------------------------------------------------- */

/* What survivors of a drop with one rate are multiplied with. */
static double scale_of(const struct merge_step *step, size_t i)
{
    double density = step->values.number[MERGE_DENSITY][i];

    if (!step->method->draws || step->rescale != MERGE_RESCALE_PAPER ||
        density <= 0.0)
        return 1.0;
    return 1.0 / density;
}

void merge_set_steps(struct merge_worker *w, size_t tensor)
{
    const struct merge_plan *plan = w->work->plan;

    for (size_t p = 0; p < w->work->points; p++) {
        struct merge_step *step = &w->steps[p];

        merge_plan_step(plan, tensor, p, step);
        for (size_t i = 0; i < step->models; i++) {
            step->scale[i] = scale_of(step, i);
            step->threshold[i] = merge_threshold(
                plan->inputs->draw_rule, step->values.number[MERGE_DENSITY][i]);
        }
    }
    w->stepped = tensor;
}

/* ---- shares ------------------------------------------------------------ */

/* Take the next block of this stretch; false: others have taken them all. A
 * worker is here only when all blocks before have been taken. */
static bool claim(struct merge_worker *w, uint64_t blocks, uint64_t *ret_block)
{
    uint_fast64_t at = atomic_load(&w->work->claimed);

    do {
        if (at >= w->blocks + blocks)
            return false;
    } while (!atomic_compare_exchange_weak(&w->work->claimed, &at, at + 1));
    *ret_block = at - w->blocks;
    return true;
}

static uint64_t block_of(const struct merge_worker *w, size_t tensor,
                         struct merge_part part)
{
    uint64_t unit = merge_unit(w->work, tensor);
    uint64_t turns = TURNS * w->work->threads;
    uint64_t units = (part.end - part.first) / unit / turns;

    if (units < BLOCK_LEAST)
        units = BLOCK_LEAST;
    return (units < BLOCK_MOST ? units : BLOCK_MOST) * unit;
}

/* The elements of block `number` of a part. */
static struct merge_part cut(struct merge_part part, uint64_t size,
                             uint64_t number)
{
    uint64_t first = part.first + number * size;
    uint64_t left = part.end - first;

    return (struct merge_part){ first, first + (left < size ? left : size) };
}

/* ---- surveys ----------------------------------------------------------- */

static bool failed(const struct merge_worker *w)
{
    return atomic_load(&w->work->stopped) ||
           atomic_load(&w->work->fault) != SIZE_MAX;
}

static enum merge_round begin(struct merge_worker *w, uint64_t elements)
{
    return w->work->survey->begin(w->tally, w->steps, w->work->points, elements,
                                  !w->work->runtime->no_hints);
}

/* What all workers counted; the same steps for all. Whatever was counted
 * after a failure is thrown away. */
static enum merge_round settle(struct merge_worker *w, uint64_t elements)
{
    struct merge_work *work = w->work;
    size_t bytes = work->points * sizeof *work->steps;

    merge_meet(w);
    if (work->survey->settle_share != NULL) {
        if (!failed(w))
            work->survey->settle_share(work->tallies, work->threads, elements,
                                       w->index, work->threads);
        merge_meet(w);
    }
    if (w->index == 0) {
        memcpy(work->steps, w->steps, bytes);
        work->round =
            failed(w)
                ? MERGE_ROUND_DONE
                : work->survey->settle(work->tallies, work->threads,
                                       work->steps, work->points, elements);
    }
    merge_meet(w);
    memcpy(w->steps, work->steps, bytes);
    return work->round;
}

static void count_part(struct merge_worker *w, size_t tensor,
                       enum merge_round round, struct merge_part part,
                       bool fresh)
{
    if (round == MERGE_ROUND_SAMPLE)
        merge_sample(w, tensor, part);
    else
        merge_count(w, tensor, part, fresh);
}

/* As they come: who is held up counts fewer. */
static void count_claims(struct merge_worker *w, size_t tensor,
                         enum merge_round round, bool fresh)
{
    struct merge_part all = { 0, w->work->plan->layout.items[tensor].count };
    uint64_t size = round == MERGE_ROUND_SAMPLE
                        ? (uint64_t)SAMPLES * MERGE_SAMPLE_OF
                        : block_of(w, tensor, all);
    uint64_t blocks = (all.end + size - 1) / size;
    uint64_t block;

    while (claim(w, blocks, &block)) {
        if (w->stepped != tensor)
            merge_set_steps(w, tensor);
        count_part(w, tensor, round, cut(all, size, block), fresh);
    }
    w->blocks += blocks;
}

static void count_share(struct merge_worker *w, size_t tensor,
                        enum merge_round round, bool fresh)
{
    struct merge_part part = merge_share(w, tensor);

    if (w->work->survey->any_chunks) {
        count_claims(w, tensor, round, fresh);
        return;
    }
    if (part.first == part.end)
        return;
    if (w->stepped != tensor)
        merge_set_steps(w, tensor);
    count_part(w, tensor, round, part, fresh);
}

static void stop(struct merge_worker *w, struct status failure)
{
    if (w->index == 0)
        w->work->failure = failure;
    atomic_store(&w->work->stopped, true);
}

bool merge_begin_known(struct merge_worker *w)
{
    struct merge_work *work = w->work;
    struct status s = SUCCESS;

    merge_set_steps(w, SIZE_MAX);
    (void)work->survey->begin(w->tally, w->steps, work->points,
                              work->plan->elements, false);
    w->stepped = SIZE_MAX;
    if (work->known != NULL)
        s = work->survey->load(w->tally, work->known, work->known_size);
    if (!status_failed(&s))
        return true;
    stop(w, s);
    return false;
}

static void survey_model(struct merge_worker *w)
{
    const struct merge_plan *plan = w->work->plan;
    enum merge_round round;

    if (w->work->known != NULL) {
        if (merge_begin_known(w) && !w->work->survey->complete(w->tally))
            stop(w, FAIL(STATUS_INVALID,
                         "the statistics of this merge lack a round; count "
                         "them anew"));
        return;
    }
    merge_set_steps(w, SIZE_MAX);
    round = begin(w, plan->elements);
    while (round != MERGE_ROUND_DONE) {
        for (size_t i = 0; i < plan->layout.count; i++) {
            if (plan->entries[i].merged)
                count_share(w, i, round, w->rounds == 0);
        }
        w->rounds += round == MERGE_ROUND_FULL;
        merge_set_steps(w, SIZE_MAX);
        round = settle(w, plan->elements);
    }
    w->stepped = SIZE_MAX;
}

/* Returns the full rounds; 0: its elements have not been looked at. */
static uint64_t survey_tensor(struct merge_worker *w, size_t tensor, bool alone)
{
    struct merge_work *work = w->work;
    uint64_t elements = work->plan->layout.items[tensor].count;
    enum merge_round round;
    uint64_t rounds = 0;

    merge_set_steps(w, tensor);
    round = begin(w, elements);
    while (round != MERGE_ROUND_DONE) {
        if (alone)
            count_part(w, tensor, round, (struct merge_part){ 0, elements },
                       rounds == 0);
        else
            count_share(w, tensor, round, rounds == 0);
        rounds += round == MERGE_ROUND_FULL;
        if (!alone)
            round = settle(w, elements);
        else if (failed(w))
            round = MERGE_ROUND_DONE;
        else
            round = merge_survey_settle(work->survey, &w->tally, 1, w->steps,
                                        work->points, elements);
    }
    if (rounds > w->tensor_rounds)
        w->tensor_rounds = rounds;
    return rounds;
}

/* ---- writing ----------------------------------------------------------- */

static void write_claims(struct merge_worker *w, size_t tensor,
                         struct merge_part part, bool fresh)
{
    uint64_t size = block_of(w, tensor, part);
    uint64_t blocks = (part.end - part.first + size - 1) / size;
    uint64_t block;

    while (claim(w, blocks, &block)) {
        if (w->work->plan->entries[tensor].merged && w->stepped != tensor)
            merge_set_steps(w, tensor);
        merge_write(w, tensor, cut(part, size, block), fresh);
    }
    w->blocks += blocks;
}

/* The part of it that this worker has counted. */
static void write_counted(struct merge_worker *w, size_t tensor,
                          struct merge_part part, bool fresh)
{
    struct merge_part own = merge_share(w, tensor);

    own.first = own.first > part.first ? own.first : part.first;
    own.end = own.end < part.end ? own.end : part.end;
    if (own.first < own.end)
        merge_write(w, tensor, own, fresh);
}

/* Where the next part of a tensor goes: all of it, or into a window. */
static struct merge_part take(struct merge_worker *w, size_t tensor,
                              uint64_t first, bool whole)
{
    if (w->work->ring != NULL)
        return merge_ring_take(w, tensor, first, whole);
    return (struct merge_part){ first,
                                w->work->plan->layout.items[tensor].count };
}

static bool is_whole(const struct merge_work *work, size_t tensor)
{
    const struct tensor *t = &work->plan->layout.items[tensor];

    return t->count <= WHOLE * work->chunk &&
           (work->ring == NULL ||
            tensor_bytes(t) <= merge_ring_window(work->ring));
}

static void survey_and_write_whole(struct merge_worker *w, size_t tensor)
{
    struct merge_part part = take(w, tensor, 0, true);
    uint64_t block;
    bool fresh;

    if (claim(w, 1, &block)) {
        fresh = survey_tensor(w, tensor, true) == 0;
        if (!merge_in_vain(w, tensor) && !w->fault.met)
            merge_write(w, tensor, part, fresh);
    }
    w->blocks++;
}

static void write_tensor(struct merge_worker *w, size_t tensor)
{
    const struct merge_survey *survey = w->work->survey;
    bool counted = false; /* by itself */
    bool fresh = w->rounds == 0;
    uint64_t count = w->work->plan->layout.items[tensor].count;
    struct merge_part part = { 0, 0 };

    if (w->work->plan->entries[tensor].merged && survey != NULL &&
        !survey->global) {
        if (is_whole(w->work, tensor)) {
            survey_and_write_whole(w, tensor);
            return;
        }
        fresh = survey_tensor(w, tensor, false) == 0;
        counted = !survey->anywhere &&
                  (survey->in_order == NULL || survey->in_order(w->tally));
    }
    do {
        part = take(w, tensor, part.end, false);
        if (counted)
            write_counted(w, tensor, part, fresh);
        else
            write_claims(w, tensor, part, fresh);
    } while (part.end < count);
}

/* Every worker walks all tensors, so that all meet at every barrier. */
void merge_walk(struct merge_worker *w)
{
    const struct merge_work *work = w->work;
    const struct merge_runtime *runtime = work->runtime;
    size_t count = work->plan->layout.count;

    w->stepped = SIZE_MAX;
    if (work->survey != NULL && work->survey->global &&
        work->plan->elements > 0)
        survey_model(w);
    for (size_t i = work->first; i < count; i++) {
        merge_poll(w);
        write_tensor(w, i);
        if (w->index == 0 && runtime->progress != NULL)
            runtime->progress(runtime->self, i + 1, count, "tensor");
    }
    if (work->ring != NULL)
        merge_ring_end(w);
}
