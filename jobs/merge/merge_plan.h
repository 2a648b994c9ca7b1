/* merge_plan.h -- which tensors of a merge meet which, and with what numbers:
 * what slices, filters, tied heads, other shapes and tokenizers come to. */
#ifndef SINTER_JOBS_MERGE_PLAN_H
#define SINTER_JOBS_MERGE_PLAN_H

#include "jobs/merge/merge_run.h"

struct merge_plan_own;
struct merge_tokens;

/* A tensor as the merge reads it. Rows are those of the first axis. */
struct merge_view {
    const struct tensor *tensor;
    /* Of each row of the result the row of `tensor` it is read from, or
     * -1 - k: row k of `fill`. NULL: the tensor's own first elements. */
    const int64_t *rows;
    const float *fill;
};

/* One tensor of the result. */
struct merge_entry {
    bool merged;            /* else copied byte for byte from `base` */
    struct merge_view base; /* of the first model if there is no base */
    size_t models;          /* that take part */
    struct merge_view *tasks;
    size_t *model;               /* tasks[i] is of config->models[model[i]] */
    const struct tensor **draws; /* NULL: our own */
    uint64_t hash;               /* of its name, for draws */
    size_t slice;                /* of the configuration; 0 without slices */
    double depth; /* 0 at the first layer and outside, 1 at the last */
};

struct merge_plan {
    const struct merge_config *configs; /* one for each point */
    size_t points;
    const struct merge_inputs *inputs;
    struct tensor_set layout;    /* of the result, equal for all points */
    struct tensor *tensors;      /* layout.items */
    struct merge_entry *entries; /* of the same order */
    uint64_t elements;           /* of all merged tensors */
    struct merge_plan_own *own;  /* names and row maps made for the plan */
};

MUST_CHECK struct status merge_plan_init(struct merge_plan *p,
                                         const struct merge_config *configs,
                                         size_t points,
                                         const struct merge_inputs *inputs);
void merge_plan_release(struct merge_plan *p);

/* What must be counted before the first chunk is written, the same for all
 * points; NULL: nothing. */
const struct merge_survey *merge_plan_survey(const struct merge_plan *p);

/* What the vocabularies of the models come to; NULL: nothing was changed. */
const struct merge_tokens *merge_plan_tokens(const struct merge_plan *p);

/* What is constant for one tensor, or for the model as a whole (SIZE_MAX), at
 * one point: all but threshold and scale, which the engine sets.
 * merge_plan_init() has checked that it can be had. */
void merge_plan_step(const struct merge_plan *p, size_t tensor, size_t point,
                     struct merge_step *ret_step);

/* CORRUPT; `model` 0 is the base, else the number among the entry's tasks
 * + 1. */
struct status merge_plan_not_finite(const struct merge_plan *p, size_t tensor,
                                    size_t model, uint64_t element);

#endif
