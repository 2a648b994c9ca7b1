/* merge_method.h -- what a merge method must provide: one row of a table for
 * each method and variant. A row says what the method takes, what it has to
 * know before it can write the first element, and how it writes a chunk.
 *
 * Several points -- merges of the same models by the same method that differ
 * in fusable numbers only -- are computed in one pass over the inputs. Each
 * has a step of its own; a chunk is loaded once for all.
 *
 * Chunks come as float32; a method never sees dtypes, files or threads. Its
 * functions must give the same bits for any cut of a tensor into chunks that
 * are multiples of REDUCE_CHUNK (or whole rows), for any number of threads,
 * and for any set of other points computed with it. */
#ifndef SINTER_JOBS_MERGE_METHOD_H
#define SINTER_JOBS_MERGE_METHOD_H

#include "common/limits.h"
#include "jobs/merge/merge_draw.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Numbers a method may take, by their names in the file. */
enum merge_parameter {
    MERGE_WEIGHT,
    MERGE_DENSITY,
    MERGE_LAMBDA,
    MERGE_TRIM_DENSITY,
    MERGE_RATIO,
    MERGE_CLAMP_QUANTILE,
    MERGE_T,           /* slerp, nearswap */
    MERGE_GAMMA,       /* breadcrumbs: share of the largest removed */
    MERGE_EPSILON,     /* della */
    MERGE_SELECT_TOPK, /* sce */
    MERGE_SCALE,       /* passthrough */
    MERGE_PARAMETERS
};

struct merge_parameter_row {
    const char *name;
    const char *help;
};
extern const struct merge_parameter_row merge_parameters[MERGE_PARAMETERS];

/* How a method takes a number. A list of them ends with `most` == 0. */
struct merge_use {
    enum merge_parameter parameter;
    bool per_model;   /* each model's own; may stand at the top for all */
    bool required;    /* there is no default */
    bool above_least; /* `least` itself is out of range */
    bool plain;       /* one number for the whole model, not over depth */
    bool fusable;     /* points that differ only here share one read */
    double least, most;
    double otherwise;
};

/* Words a method may take, by their names in the file. Of a yes or no the
 * words are "false" and "true", and the file's value is a boolean. */
enum merge_option {
    MERGE_ELECT,            /* `elect`: mean, sum, max (ties/original) */
    MERGE_SCOPE,            /* `scope`: model, tensor (pcb) */
    MERGE_FILTER_WISE,      /* model_stock */
    MERGE_NUSLERP_FLATTEN,  /* nuslerp */
    MERGE_NUSLERP_ROW_WISE, /* nuslerp */
    MERGE_REMOVE_FIRST,     /* breadcrumbs/authors */
    MERGE_OPTIONS
};

struct merge_option_row {
    const char *name;
    const char *const *words; /* NULL-terminated; the value is the index */
    const char *help;
};
extern const struct merge_option_row merge_options[MERGE_OPTIONS];

/* How a method takes a word; a list of them ends with option MERGE_OPTIONS. */
struct merge_choice {
    enum merge_option option;
    int otherwise; /* index of the default word */
};

/* What is done to survivors of a random drop. */
enum merge_rescale {
    MERGE_RESCALE_NONE,
    MERGE_RESCALE_PAPER, /* / (each element's own) keep probability */
    MERGE_RESCALE_L1,    /* x L1 of the tensor before / after the drop */
};

/* Default of `normalize`, if the method knows it. */
enum merge_normalize { MERGE_NO_NORMALIZE, MERGE_RAW, MERGE_NORMALIZED };

/* How tensors may be cut into chunks. */
enum merge_cut {
    MERGE_CUT_ANY,  /* at multiples of REDUCE_CHUNK */
    MERGE_CUT_ROWS, /* between rows of the last axis; a vector is one row */
};

struct merge_step;
struct merge_chunk;
struct merge_survey; /* merge_survey.h */

struct merge_method {
    const char *name;    /* merge_method of the file */
    const char *variant; /* `variant` of the file; the first row of a name is
                            its default. NULL: the only one */
    const char *summary; /* one line */
    const char *formula; /* and where it stands */
    bool narrow; /* reads bfloat16 inputs where they lie: chunk->narrow */
    bool base;   /* merges task vectors: base_model is needed, and the
                            base is not one of the models */
    bool base_is_model; /* base_model is one of the two that are merged and
                            the first of the tasks (slerp, nearswap) */
    bool base_optional; /* task vectors if there is a base, else weights */
    bool draws;         /* drops at random: takes seed */
    bool rescales;      /* takes rescale and rescale_rule ... */
    bool l1;            /* ... which may be MERGE_RESCALE_L1 */
    enum merge_rescale rescale; /* its default */
    size_t least_models;
    size_t most_models; /* 0: LIMIT_MODELS */
    enum merge_normalize normalize;
    const struct merge_use *uses;
    const struct merge_choice *choices; /* NULL: none */
    /* Why model i's numbers do not go together, as a sentence; NULL: they do.
     * May be NULL. */
    const char *(*misfit)(const struct merge_step *step, size_t i);
    /* How tensors are cut; NULL: MERGE_CUT_ANY. Both look at method, options,
     * rescale and normalize of the step alone. */
    enum merge_cut (*cut)(const struct merge_step *step);
    /* What must be counted before the first chunk can be written; NULL or a
     * NULL result: nothing. `counts` says it in words. */
    const char *counts;
    const struct merge_survey *(*survey)(const struct merge_step *step);
    /* Write chunk->out for one point. */
    void (*combine)(const struct merge_step *step,
                    const struct merge_chunk *chunk);
    /* Write chunk->outs[p] for steps[p], sharing work. The same bits as
     * combine() for each. NULL: combine() is called for each point. */
    void (*combine_points)(const struct merge_step *steps, size_t points,
                           const struct merge_chunk *chunk);
};

/* Ends with a NULL name. */
extern const struct merge_method merge_methods[];
/* `variant` NULL: the default one. NULL if there is none. */
const struct merge_method *merge_method_find(const char *name,
                                             const char *variant);
/* The use of a parameter; NULL if the method does not know it. */
const struct merge_use *merge_method_use(const struct merge_method *method,
                                         enum merge_parameter parameter);
/* The choice of an option; NULL if the method does not know it. */
const struct merge_choice *merge_method_choice(const struct merge_method *m,
                                               enum merge_option option);

/* Numbers of one tensor at one point, resolved from filters and gradients.
 * Those that are not per model stand at [0]. */
struct merge_values {
    double number[MERGE_PARAMETERS][LIMIT_MODELS];
};

/* Everything that is constant while a tensor is counted or written, at one
 * point. */
struct merge_step {
    const struct merge_method *method;
    size_t point;  /* of the run, from 0 */
    size_t models; /* of this tensor: chunk->task[0 ... models - 1] */
    bool normalize;
    enum merge_rescale rescale;
    int options[MERGE_OPTIONS];
    uint64_t elements, columns; /* of the tensor; columns: last axis, of a
                                   vector all, of a scalar 1 */
    uint32_t rank;
    struct merge_values values;
    /* Of a drop with one rate for the whole tensor: kept where
     * chunk->draws[i][e] >= threshold[i], and then multiplied with scale[i].
     * chunk->draws[i] NULL: nothing drops. */
    float threshold[LIMIT_MODELS];
    double scale[LIMIT_MODELS];
};

/* Elements first ... first + count - 1 of a tensor. */
struct merge_chunk {
    uint64_t first;
    size_t count;
    const float *base; /* NULL unless task vectors are merged */
    const float *task[LIMIT_MODELS];
    /* Instead of those, of methods that can: bfloat16 at any address. */
    bool narrow;
    const void *narrow_base, *narrow_task[LIMIT_MODELS];
    /* One uniform draw for each element, the same for all points; NULL: this
     * model's elements are all kept at all points. Draws are such that an
     * element with keep probability q is kept where
     * draw >= merge_threshold(rule, q) (merge_draw.h). */
    const float *draws[LIMIT_MODELS];
    enum merge_draw_rule rule;
    float *out;         /* of the point, for combine() */
    float *const *outs; /* of all points, for combine_points() */
    bool in_place;      /* those are where elements stay, nobody's next read */
    float *delta;       /* scratch: model i has stride floats at i * stride */
    float *row;         /* scratch: stride floats */
    size_t stride;
    void *tally; /* of this thread, as the survey settled it; NULL: none */
};

#endif
