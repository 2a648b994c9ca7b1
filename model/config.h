/* config.h -- the numbers that say how large a model is, read from and
 * written to a Hugging Face config.json. */
#ifndef SINTER_MODEL_CONFIG_H
#define SINTER_MODEL_CONFIG_H

#include "common/json.h"

#include <stdbool.h>
#include <stdint.h>

struct arch;
struct op;

enum { CONFIG_SIZES = 16 };

/* An architecture uses what its read() sets; the rest is 0. */
struct model_config {
    const struct arch *arch;
    uint32_t hidden, layers, inner, vocab;
    uint32_t heads, kv_heads, head_dim;
    uint32_t positions; /* longest sequence */
    uint32_t rotary;    /* numbers of a head that are turned */
    uint32_t window;    /* tokens a token sees; 0: all */
    uint32_t kinds;     /* of tokens, in encoders */
    float norm_eps;
    double rope_theta;
    bool tied;           /* the head is the embedding */
    bool attention_bias; /* of queries, keys and values */
    bool output_bias;    /* of what the attention gives */
    bool mlp_bias;
    bool parallel;          /* both branches of a layer read the same stream */
    const struct op *curve; /* of the feed-forward layer */

    /* Images. mlp: widths from pixels to classes; preresnet: channels of the
     * stages, and blocks of each. */
    uint32_t channels, height, width, classes;
    uint32_t size_count;
    uint32_t sizes[CONFIG_SIZES];
    uint32_t blocks[CONFIG_SIZES];
};

/* INVALID names the key; an unknown architecture lists the known ones. */
MUST_CHECK struct status model_config_read(const json_t *json,
                                           struct model_config *ret_config);
/* A new object with the keys of config.json. `dtype` as "float32". */
json_t *model_config_write(const struct model_config *c, const char *dtype);

/* --- for the architectures' read() and write() ---------------------------- */

/* A whole number from 1 to `most`; `otherwise` if absent. */
MUST_CHECK struct status config_number(const json_t *json, const char *key,
                                       int64_t otherwise, int64_t most,
                                       uint32_t *ret_value);
/* A norm's epsilon, above 0 and below 1. */
MUST_CHECK struct status config_epsilon(const json_t *json, const char *key,
                                        double otherwise, float *ret_value);
/* The name of a curve as `key` gives it; INVALID lists the known ones. */
MUST_CHECK struct status config_curve(const json_t *json, const char *key,
                                      const char *otherwise,
                                      const struct op **ret_curve);
const char *config_curve_name(const struct op *curve);
/* INVALID if `key` says anything but `value`, which is what it means if it is
 * absent. */
MUST_CHECK struct status config_must_be(const json_t *json, const char *key,
                                        bool value);
/* Up to CONFIG_SIZES whole numbers from 1 to `most`. */
MUST_CHECK struct status config_list(const json_t *json, const char *key,
                                     int64_t most, uint32_t *ret_count,
                                     uint32_t *ret_values);
/* heads, kv_heads and head_dim from hidden and the counts there are; INVALID
 * if they do not divide. `kv_key` NULL: as many as heads. */
MUST_CHECK struct status config_heads(const json_t *json, const char *key,
                                      const char *kv_key,
                                      struct model_config *c);
/* 1e-05, not 9.999999747378752e-06. */
double config_decimal(float value);

#endif
