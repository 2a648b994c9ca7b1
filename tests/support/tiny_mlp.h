/* tiny_mlp.h -- a small network for the built-in images, trained in no time. */
#ifndef SINTER_TESTS_SUPPORT_TINY_MLP_H
#define SINTER_TESTS_SUPPORT_TINY_MLP_H

#include "model/model.h"
#include "support/fake_context.h"

/* 64-32-10, `steps` of 64 images of teacher10k; its parameters begin as
 * `seed` says and so does the order of the images. */
struct model *tiny_mlp(struct fake_context *f, uint32_t seed, int steps);
/* As a model directory ROOT/name; {"$source"} of it, the caller decrefs. */
json_t *tiny_mlp_write(struct fake_context *f, const struct model *m,
                       const char *name);

#endif
