/* merge_work.h -- what the parts of the merge engine share: merge_run.c
 * starts threads, merge_rounds.c walks the tensors, merge_pass.c works on a
 * stretch of one, merge_load.c reads it, merge_ring.c hands it out. */
#ifndef SINTER_JOBS_MERGE_WORK_H
#define SINTER_JOBS_MERGE_WORK_H

#include "jobs/merge/merge_barrier.h"
#include "jobs/merge/merge_plan.h"
#include "jobs/merge/merge_survey.h"

#include <stdatomic.h>

/* A NaN or infinity; the first in order of tensor, model, element is told,
 * whichever thread met it. */
struct merge_fault {
    bool met;
    size_t tensor;
    size_t model; /* 0: the base, else number + 1 */
    uint64_t element;
};

/* Elements of a tensor that follow each other. */
struct merge_range {
    uint64_t first;
    size_t count;
};

struct merge_pages; /* merge_pages.h */
struct merge_ring;  /* merge_ring.h */
struct merge_work;

struct merge_worker {
    struct merge_work *work;
    size_t index;
    void *tally;              /* NULL without a survey */
    struct merge_step *steps; /* one for each point ... */
    size_t stepped;           /* ... of this tensor; SIZE_MAX: not set */
    struct merge_chunk chunk;

    float *memory; /* the rows below, each of work->stride floats */
    float *base, *task[LIMIT_MODELS], *draws[LIMIT_MODELS];
    float *out;                /* one row for each point */
    float *outs[MERGE_POINTS]; /* those, or where the chunk ends up */

    uint64_t blocks; /* given out before those of this stretch */
    /* Of a stream: where the buffer is filled to, and the elements there. */
    size_t window, used;
    char *span;
    uint64_t span_first;

    struct merge_fault fault;
    uint64_t bytes_read;
    uint64_t rounds;        /* over the model, before the first was written */
    uint64_t tensor_rounds; /* the most over a tensor before it was written */
};

/* What all threads of one merge_run() share. */
struct merge_work {
    const struct merge_plan *plan;
    const struct merge_runtime *runtime;
    const struct merge_survey *survey; /* NULL: none */
    /* Of a global survey: what was counted before; NULL: nothing was. */
    const void *known;
    size_t known_size;
    void (*walk)(struct merge_worker *w); /* what each worker does ... */
    void *walk_self;                      /* ... with this */
    enum merge_cut cut;
    bool base;                 /* chunks have one */
    struct merge_pages *pages; /* of inputs that are given back; or NULL */
    size_t threads, points;
    size_t chunk;  /* elements at a time, where rows are not longer */
    size_t stride; /* the most elements at a time */
    void *const *const *targets; /* NULL: a stream ... */
    struct merge_ring *ring;     /* ... through this */
    size_t first;                /* tensors before are not written */

    struct merge_worker *workers;
    void **tallies; /* of the workers */
    struct merge_barrier barrier;
    /* Written by worker 0 between two barriers. */
    struct merge_step *steps;
    enum merge_round round;
    struct status failure; /* of the sink, once `stopped` */

    atomic_uint_fast64_t claimed; /* blocks that somebody has taken */
    atomic_bool stopped;          /* by a cancel or a failure */
    atomic_size_t fault;          /* work on later tensors is in vain */
};

/* Wait for all workers. */
void merge_meet(struct merge_worker *w);

/* True if work on this tensor is in vain. */
static inline bool merge_in_vain(const struct merge_worker *w, size_t tensor)
{
    return atomic_load(&w->work->stopped) ||
           tensor > atomic_load(&w->work->fault);
}

/* Count what has to be counted, and write. */
void merge_walk(struct merge_worker *w);
/* The steps of all points, for one tensor or (SIZE_MAX) the model. */
void merge_set_steps(struct merge_worker *w, size_t tensor);
/* A tally of the worker's begun anew, with what is known; false: it is not
 * known of such a merge, and the work is stopped. */
bool merge_begin_known(struct merge_worker *w);

/* A run of this merge, and how it is carried out: merge_run.c. */
struct merge_work merge_work_of(const struct merge *m,
                                const struct merge_runtime *runtime);
MUST_CHECK struct status merge_carry_out(struct merge *m,
                                         struct merge_work *work,
                                         const struct merge_sink *sink);
/* Room that a tally needs. */
size_t merge_most_models(const struct merge_plan *plan);

#endif
