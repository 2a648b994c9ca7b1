/* prune_body.h -- the body of the kind `prune` in a sweep file. */
#ifndef SINTER_JOBS_PRUNE_BODY_H
#define SINTER_JOBS_PRUNE_BODY_H

#include "model/arch.h"
#include "sweep/catalog.h"
#include "tensor/tensor.h"

/* Of the kind `prune`: jobs/prune_kind.c. */
extern const struct catalog_key prune_keys[];

/* In the order of their enums (prune.h, prune_mask.h); NULL-terminated. */
extern const char *const prune_method_words[];
extern const char *const prune_rule_words[];
extern const char *const prune_scope_words[];

/* "unstructured" (0 of 0) or "2:4": so many of so many go. False: neither. */
bool prune_read_pattern(const char *text, size_t *ret_go, size_t *ret_of);

/* A checkpoint may leave out what stands in front of every name. NULL: it is
 * not there. */
const struct tensor *prune_find_tensor(const struct tensor_set *set,
                                       const struct arch *arch,
                                       const char *name);

#endif
