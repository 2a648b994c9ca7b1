/* merge_run.h -- merges carried out: shapes checked, inputs read in chunks
 * straight from where they lie, elements written where the caller says.
 *
 * The bytes written depend on the configuration and the inputs alone, not on
 * threads, chunks, machine, or the other points of the run.
 *
 * Memory of its own does not grow with the elements of the model. In bytes,
 * for m models and p points:
 *     each thread   4 r (2 + 3 m + p) + 7000 p, where r is 4096, or the
 *                   longest row of methods that need whole rows
 *     a survey      its tallies, one for each thread (merge_survey.h): those
 *                   of order statistics as runtime->tallies says, but no less
 *                   than 64 KB for each statistic and thread
 *     a stream      the window, at least 3 times the bytes of r elements
 *     each tensor   its entry in the plan, about 3 KB */
#ifndef SINTER_JOBS_MERGE_RUN_H
#define SINTER_JOBS_MERGE_RUN_H

#include "jobs/merge/merge_config.h"
#include "jobs/merge/merge_draw.h"

enum {
    MERGE_POINTS = 64,   /* in one pass */
    MERGE_ROW = 4 << 20, /* elements of a row, where whole rows are needed */
};

struct merge_files; /* merge_files.h */

struct merge_inputs {
    const struct tensor_set *base; /* of config->base; NULL without one */
    const struct tensor_set *tasks[LIMIT_MODELS];
    /* What lies beside the tensors; NULL: nothing is known of it. */
    const struct merge_files *base_files;
    const struct merge_files *files[LIMIT_MODELS];
    /* Draws to use instead of our own: same names and shapes as the tasks,
     * F32. NULL: our own. For tests against other programs. */
    const struct tensor_set *const *draws;
    enum merge_draw_rule draw_rule;
};

struct merge_runtime {
    uint64_t threads; /* 0: one */
    size_t chunk;     /* elements at a time, multiple of REDUCE_CHUNK; 0: as
                         fits the cache */
    uint64_t window;  /* bytes of a stream's buffers; 0: 32 MiB */
    uint64_t tallies; /* bytes of a survey's tallies; 0: as many as help */
    /* All inputs are mapped files, read-only: pages are given back behind the
     * pass, so that the resident size does not grow with the model. Memory
     * that is no file would be lost. */
    bool drop_inputs;
    bool no_hints; /* never sample (merge_survey.h) */
    void *self;    /* of the functions below; each may be NULL */
    bool (*cancelled)(void *self);
    void (*progress)(void *self, uint64_t done, uint64_t total,
                     const char *unit);
};

/* Where a stream goes: each tensor from `first` on, in order of the layout,
 * in pieces of any size, an empty tensor in one of 0 bytes. Always called by
 * the thread that called merge_stream(). The buffer is the writer's until the
 * next call returns, so that it may be written while the next one is made; the
 * last one until the merge is freed. */
struct merge_sink {
    void *self;
    struct status (*write)(void *self, size_t tensor, const void *data,
                           size_t size);
    size_t first; /* tensors before are there already */
};

struct merge_counts {
    uint64_t bytes_read; /* of inputs, in all rounds */
    uint64_t rounds;     /* passes over the inputs, samples not among them */
};

struct merge; /* opaque */

/* Checks that the inputs fit together. `configs` (one for each point: equal
 * but for fusable numbers) and `inputs` with all they point to must outlive
 * the merge. INVALID names the tensor, both shapes and both models. */
MUST_CHECK struct status merge_new(const struct merge_config *configs,
                                   size_t points,
                                   const struct merge_inputs *inputs,
                                   struct merge **ret_merge);
void merge_free(struct merge *m); /* NULL is fine */

struct merge_plan; /* merge_plan.h */
const struct merge_plan *merge_plan_of(const struct merge *m);

/* Names, dtypes and shapes that come out, equal for all points; data is
 * NULL. */
const struct tensor_set *merge_layout(const struct merge *m);
/* Statistics of the whole model that were counted before (merge_parts.h); the
 * caller's, as long as the merge lives. Of a merge of one point. A run is then
 * INVALID if they are of another merge. */
void merge_know(struct merge *m, const void *statistics, size_t size);

/* Of the last run or stream. */
struct merge_counts merge_counts_of(const struct merge *m);

/* Write all tensors: targets[p][i] has room for the i-th of the layout at
 * point p. CORRUPT names model, tensor and element that is NaN or infinite;
 * CANCELLED. */
MUST_CHECK struct status merge_run(struct merge *m,
                                   const struct merge_runtime *runtime,
                                   void *const *const *targets);
/* The same for the only point, in bounded memory; also the failures of the
 * sink. */
MUST_CHECK struct status merge_stream(struct merge *m,
                                      const struct merge_runtime *runtime,
                                      const struct merge_sink *sink);

#endif
