/* merge_config.h -- resolved parameters of a merge as values. */
#ifndef SINTER_JOBS_MERGE_CONFIG_H
#define SINTER_JOBS_MERGE_CONFIG_H

#include "common/json.h"
#include "jobs/merge/depth.h"
#include "jobs/merge/merge_method.h"

/* Everything in it is borrowed from the parameters it was read from. */
struct merge_config {
    const struct merge_method *method;
    size_t count;       /* models that are merged */
    const json_t *base; /* NULL: the first model */
    const json_t *models[LIMIT_MODELS];
    /* KEY_DEPTH values; NULL: the default. [0] unless per model. */
    const json_t *numbers[MERGE_PARAMETERS][LIMIT_MODELS];
    bool normalize;
    enum merge_rescale rescale;
    bool has_dtype;
    enum dtype dtype; /* of float tensors written */
    /* Of a task's tensor with more rows than the base's, the first are taken;
     * else it is an error. */
    bool submatrix;
    uint32_t seed;
    /* Of each model's draws: a hash of what the model is, so that neither its
     * position nor its neighbours change its mask. */
    uint32_t streams[LIMIT_MODELS];
};

/* INVALID names key and method. */
MUST_CHECK struct status merge_config_read(const json_t *params,
                                           struct merge_config *ret_config);
/* The numbers of one tensor. INVALID if no filter fits a required one or a
 * value is out of range. */
MUST_CHECK struct status merge_config_values(const struct merge_config *c,
                                             struct depth_place place,
                                             struct merge_values *ret_values);

/* "math", its URL or what it is made of: for messages. Returns `text`. */
const char *merge_model_label(const json_t *model, char *text, size_t size);

#endif
