/* config.h -- the numbers that say how large a model is, read from and
 * written to a Hugging Face config.json. */
#ifndef SINTER_MODEL_CONFIG_H
#define SINTER_MODEL_CONFIG_H

#include "common/json.h"

#include <stdbool.h>
#include <stdint.h>

struct arch;

struct model_config {
    const struct arch *arch;
    uint32_t hidden, layers, inner, vocab;
    uint32_t heads, kv_heads, head_dim;
    uint32_t positions; /* longest sequence */
    float norm_eps;
    double rope_theta;
    bool tied; /* the head is the embedding */
};

/* INVALID names the key; an unknown architecture lists the known ones. */
MUST_CHECK struct status model_config_read(const json_t *json,
                                           struct model_config *ret_config);
/* A new object with the keys of config.json. `dtype` as "float32". */
json_t *model_config_write(const struct model_config *c, const char *dtype);

#endif
