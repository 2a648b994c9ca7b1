/* tiny_models.h -- one small model of every architecture and variant, and
 * batches for them: what holds for one is tried on all. */
#ifndef SINTER_TESTS_SUPPORT_TINY_MODELS_H
#define SINTER_TESTS_SUPPORT_TINY_MODELS_H

#include "model/pass.h"

struct tiny_model {
    const char *name;
    const char *config; /* config.json, ' for " */
};
extern const struct tiny_model tiny_models[]; /* ends with a NULL name */

struct model_config tiny_config(const struct tiny_model *t);
struct model_config tiny_config_of(const char *name);

/* Three sequences of 5, 8 and 11 tokens, or 12 images. Different for each
 * `number`. */
struct tiny_batch {
    uint32_t starts[4];
    int32_t tokens[24], labels[24];
    float *pixels;
    struct pass_batch view;
};
void tiny_batch_init(struct tiny_batch *b, const struct model *m, int number);
void tiny_batch_release(struct tiny_batch *b);
/* Room for such batches. */
struct pass_room tiny_room(const struct model *m, bool gradients);

#endif
