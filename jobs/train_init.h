/* train_init.h -- the `init` of a training: a fresh model in words that mean
 * the same for every architecture. */
#ifndef SINTER_JOBS_TRAIN_INIT_H
#define SINTER_JOBS_TRAIN_INIT_H

#include "model/config.h"
#include "sweep/catalog.h"

extern const struct catalog_key train_init_keys[];

/* Writes out what defaults mean and refuses keys that mean nothing to the
 * architecture. False: `ret_problem`. */
bool train_init_normalise(json_t *init, struct catalog_problem *ret_problem);

/* INVALID as model_config_read() says it. */
MUST_CHECK struct status train_init_config(const json_t *init,
                                           struct model_config *ret_config);
/* config.json of such a model, with its tokenizer; the caller decrefs. */
json_t *train_init_json(const struct model_config *c);

#endif
