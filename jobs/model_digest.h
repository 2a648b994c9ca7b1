/* model_digest.h -- SHA-256 over name, dtype, shape and bytes of all tensors in
 * order of name: equal for equal models, however they are cut into files. */
#ifndef SINTER_JOBS_MODEL_DIGEST_H
#define SINTER_JOBS_MODEL_DIGEST_H

#include "common/digest.h"
#include "tensor/tensor.h"

struct model_digest; /* opaque */

/* `layout` must outlive it; data of its tensors is not looked at. */
struct model_digest *model_digest_begin(const struct tensor_set *layout);
/* The next bytes; `tensor` never falls. */
void model_digest_add(struct model_digest *d, size_t tensor, const void *data,
                      size_t size);
struct digest model_digest_end(struct model_digest *d); /* frees `d` */

/* Of tensors that are there. */
struct digest model_digest_of(const struct tensor_set *set);

#endif
