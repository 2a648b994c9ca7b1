/* merge_config.h -- parameters of a merge as values: the body of a stage, or
 * the resolved parameters of a job. Every fault that needs no model to be
 * seen is found here. */
#ifndef SINTER_JOBS_MERGE_CONFIG_H
#define SINTER_JOBS_MERGE_CONFIG_H

#include "common/json.h"
#include "jobs/merge/depth.h"
#include "jobs/merge/merge_method.h"
#include "sweep/catalog.h"

enum {
    MERGE_SLICES = 1024,  /* of one configuration */
    MERGE_EXCLUDES = 256, /* names not to be merged */
};

/* What becomes of a tensor that has another shape than the base's. */
enum merge_mismatch {
    MERGE_MISMATCH_ERROR,
    MERGE_MISMATCH_SUBMATRIX, /* rows that all have are merged */
    MERGE_MISMATCH_SKIP,      /* the model takes no part in that tensor */
};

/* Everything in it is borrowed from the parameters it was read from. */
struct merge_config {
    const struct merge_method *method;
    size_t count;       /* models that are read beside the base */
    const json_t *base; /* NULL: the first model */
    bool deltas;        /* differences from the base are merged */
    const json_t *models[LIMIT_MODELS];
    const json_t *own[LIMIT_MODELS]; /* parameters of whole models; or NULL */
    const json_t *slices;            /* list; NULL: whole models */
    const json_t *top;               /* parameters of all; may be NULL */
    enum merge_rescale rescale;
    int options[MERGE_OPTIONS];
    bool has_dtype;
    enum dtype dtype; /* of float tensors written */
    enum merge_mismatch mismatch;
    const json_t *statistics; /* {"$job"}: they are counted; NULL: not yet */
    const json_t *exclude;    /* parts of names of tensors that are copied */
    /* "base", "union" or a model; NULL: vocabularies are not looked at. */
    const json_t *tokenizer;
    const char *template; /* "auto", "none", a text; NULL: the base's */
    uint32_t seed;
    /* Of each model's draws: a hash of what the model is, so that neither its
     * position nor its neighbours change its mask. */
    uint32_t streams[LIMIT_MODELS];
};

/* Which layers of a model a slice takes. */
struct merge_source {
    size_t model;       /* among config->models */
    const json_t *own;  /* its parameters; may be NULL */
    uint64_t from, end; /* layers [from, end); 0, 0: all */
};

struct merge_slice {
    size_t count; /* sources that are merged */
    struct merge_source sources[LIMIT_MODELS];
    /* The base of the slice, if config->deltas. base.model is SIZE_MAX if it
     * is config->base. */
    struct merge_source base;
    const json_t *parameters; /* of the slice; may be NULL */
};

/* Is the body fit for work? `open`: scalars may be {"$param"}, which are
 * taken for their defaults. False: `ret_problem` has the place. */
bool merge_config_check(const json_t *body, bool open,
                        struct merge_config *ret_config,
                        struct catalog_problem *ret_problem);
/* The same for resolved parameters. INVALID names key and method. */
MUST_CHECK struct status merge_config_read(const json_t *params,
                                           struct merge_config *ret_config);

size_t merge_config_slices(const struct merge_config *c); /* at least 1 */
/* i < merge_config_slices(); without slices the whole models. */
void merge_config_slice(const struct merge_config *c, size_t i,
                        struct merge_slice *ret_slice);

/* All of a step that the configuration says of one tensor; models, elements
 * and shape are the caller's. INVALID if no filter fits a required number. */
MUST_CHECK struct status merge_config_step(const struct merge_config *c,
                                           const struct merge_slice *slice,
                                           struct depth_place place,
                                           struct merge_step *ret_step);
/* What must be counted before the first chunk is written; NULL: nothing. */
const struct merge_survey *merge_config_survey(const struct merge_config *c);
/* Does it count in all tensors as one row? */
bool merge_config_is_global(const struct merge_config *c);

/* "math", its URL or what it is made of: for messages. Returns `text`. */
const char *merge_model_label(const json_t *model, char *text, size_t size);

#endif
