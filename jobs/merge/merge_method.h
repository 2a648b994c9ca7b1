/* merge_method.h -- what a merge method must provide: one row of a table for
 * each method and variant. A row says what the method takes, what it has to
 * know before it can write the first element, and how it writes a chunk.
 *
 * Chunks come as float32; a method never sees dtypes, files or threads. Its
 * functions must give the same bits for any cut of a tensor into chunks that
 * are multiples of REDUCE_CHUNK, and for any number of threads. */
#ifndef SINTER_JOBS_MERGE_METHOD_H
#define SINTER_JOBS_MERGE_METHOD_H

#include "common/limits.h"

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
    bool fusable;     /* points that differ only here could share one read */
    double least, most;
    double otherwise;
};

/* What is done to survivors of a random drop. */
enum merge_rescale {
    MERGE_RESCALE_NONE,
    MERGE_RESCALE_PAPER, /* / density */
    MERGE_RESCALE_L1,    /* x L1 of the tensor before / after the drop */
};

/* Default of `normalize`, if the method knows it. */
enum merge_normalize { MERGE_NO_NORMALIZE, MERGE_RAW, MERGE_NORMALIZED };

struct merge_step;
struct merge_chunk;
struct merge_survey; /* merge_survey.h */

struct merge_method {
    const char *name;    /* merge_method of the file */
    const char *variant; /* `variant` of the file; the first row of a name is
                            its default. NULL: the only one */
    const char *summary; /* one line */
    const char *formula; /* and where it stands */
    bool base;           /* merges task vectors: base_model is needed, and the
                            base is not one of the models */
    bool draws;          /* drops at random: takes seed and rescale */
    size_t least_models;
    enum merge_normalize normalize;
    const struct merge_use *uses;
    /* What must be counted before the first chunk can be written; NULL:
     * nothing (the rescale rule `l1` adds a survey of its own). */
    const struct merge_survey *survey;
    /* Write chunk->out. */
    void (*combine)(const struct merge_step *step,
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

/* Numbers of one tensor, resolved from filters and gradients. */
struct merge_values {
    double weight[LIMIT_MODELS];
    double density[LIMIT_MODELS];
    double lambda[LIMIT_MODELS]; /* [0] where it is not per model */
    double trim_density, ratio, clamp_quantile;
};

/* Everything that is constant while a tensor is counted or written. */
struct merge_step {
    const struct merge_method *method;
    size_t models;
    bool normalize;
    enum merge_rescale rescale;
    struct merge_values values;
    /* What survivors of a drop are multiplied with. */
    double scale[LIMIT_MODELS];
};

/* Elements first ... first + count - 1 of a tensor. */
struct merge_chunk {
    uint64_t first;
    size_t count;
    const float *base; /* NULL unless method->base */
    const float *task[LIMIT_MODELS];
    /* Of a model: all ones where the element is kept, 0 where it was dropped
     * at random; NULL: nothing drops. */
    const uint32_t *keep[LIMIT_MODELS];
    float *out;
    float *delta; /* scratch: model i has stride floats at i * stride */
    float *row;   /* scratch: stride floats */
    size_t stride;
    void *tally; /* of this thread, as the survey settled it; NULL: none */
};

#endif
