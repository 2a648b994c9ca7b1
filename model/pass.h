/* pass.h -- a batch through a model, forward and backward.
 *
 * All arrays of a pass lie in one block whose size is known before the first
 * batch; forward and backward allocate nothing. Without gradients, the
 * sections of the model share their arrays. One thread; equal batches give
 * equal bytes. */
#ifndef SINTER_MODEL_PASS_H
#define SINTER_MODEL_PASS_H

#include "model/model.h"

/* Sequences one behind the other, without padding. Borrowed arrays. */
struct pass_batch {
    size_t segments;        /* sequences, at least 1 */
    const uint32_t *starts; /* [segments + 1], first 0 */
    const int32_t *tokens;
    const int32_t *labels; /* what should follow; OP_NO_LABEL: any */
};

struct pass_room {
    size_t rows;    /* most tokens of a batch */
    size_t longest; /* most tokens of a sequence */
    bool gradients;
};

struct pass; /* opaque */

/* Bytes a pass takes, parameters' gradients included, the model not. */
size_t pass_bytes(const struct model_config *c, const struct pass_room *room);
/* The model is borrowed. INVALID if `longest` passes the model's positions;
 * NO_MEMORY. */
MUST_CHECK struct status pass_new(const struct model *m,
                                  const struct pass_room *room,
                                  struct pass **ret_pass);
void pass_free(struct pass *p); /* NULL is fine */

/* Mean loss over the labelled rows, 0 if there are none. INVALID names a token
 * outside the vocabulary or a sequence that is too long. */
MUST_CHECK struct status pass_forward(struct pass *p,
                                      const struct pass_batch *batch,
                                      double *ret_loss);
/* [rows][vocab] and [rows], valid until the next forward. */
const float *pass_logits(const struct pass *p);
const float *pass_losses(const struct pass *p);
/* The residual stream behind `layers` layers; only with gradients. */
const float *pass_stream(const struct pass *p, size_t layers);
/* Where the first NaN or infinity arose: "gate projection of layer 3" of the
 * last forward; only with gradients. False: nowhere. */
bool pass_not_finite(const struct pass *p, char *text, size_t size);

/* Adds the gradient of the last forward's mean loss. */
void pass_backward(struct pass *p);
/* Of all parameters, laid out as the model's block. */
float *pass_gradients(struct pass *p);
void pass_clear_gradients(struct pass *p);

#endif
