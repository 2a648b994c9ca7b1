/* pass.h -- a batch through a model, forward and backward.
 *
 * All arrays of a pass lie in one block whose size is known before the first
 * batch; forward and backward allocate nothing. Without gradients, the
 * sections of the model share their arrays. One thread; equal batches give
 * equal bytes. */
#ifndef SINTER_MODEL_PASS_H
#define SINTER_MODEL_PASS_H

#include "model/layout.h"
#include "model/model.h"

/* Sequences one behind the other, without padding, or images. Borrowed.
 *
 * A pass of one section (pass_room.alone) behind the first takes `stream`,
 * what the section before it left, in place of tokens or pixels. With `target`
 * its loss is the mean square of what it leaves minus the target. */
struct pass_batch {
    size_t segments;        /* sequences, at least 1; images: 1 */
    const uint32_t *starts; /* [segments + 1], first 0 */
    const int32_t *tokens;  /* of text */
    const int32_t *labels;  /* what should follow; OP_NO_LABEL: any */
    const float *pixels;    /* of images, [starts[1]][graph's pixels] */
    const float *stream;    /* [rows][width] */
    const float *target;    /* [rows][width]; NULL: the loss is 0 */
};

struct pass; /* opaque */

/* Bytes a pass takes, parameters' gradients included, the model not. */
size_t pass_bytes(const struct model_config *c, const struct pass_room *room);
size_t pass_bytes_of(const struct model *m, const struct pass_room *room);
/* Sets room->again if the pass takes more than `budget` bytes without. False:
 * it does so even then. */
bool pass_fit(const struct model *m, size_t budget, struct pass_room *room);
/* The model is borrowed, room->trained copied. INVALID if `longest` passes
 * the model's positions; NO_MEMORY. */
MUST_CHECK struct status pass_new(const struct model *m,
                                  const struct pass_room *room,
                                  struct pass **ret_pass);
void pass_free(struct pass *p);     /* NULL is fine */
void pass_release(struct pass **p); /* the same, for AUTO() */

/* Norms over the batch measure it (the default of a pass with gradients), or
 * use what the model's statistics say. */
void pass_measure_batches(struct pass *p, bool measure);

/* Mean loss over the labelled rows, 0 if there are none. INVALID names a token
 * outside the vocabulary or a sequence that is too long. */
MUST_CHECK struct status pass_forward(struct pass *p,
                                      const struct pass_batch *batch,
                                      double *ret_loss);
/* [rows][vocab] and [rows], valid until the next forward or backward. */
const float *pass_logits(const struct pass *p);
const float *pass_losses(const struct pass *p);
/* What the logits are made of, [rows][hidden]; the same. */
const float *pass_hidden(const struct pass *p);
/* The residual stream behind `layers` layers; only with gradients or behind
 * the one section of the pass. */
const float *pass_stream(const struct pass *p, size_t layers);
/* What an operand of the graph held in the last forward through the one
 * section of the pass: values stay as they were left. */
const float *pass_operand(const struct pass *p, int in);
/* Where the first NaN or infinity arises, "gate projection of layer 3", when
 * the last batch goes forward once more. False: nowhere. */
bool pass_not_finite(struct pass *p, char *text, size_t size);

/* Adds the gradient of the last forward's mean loss. */
void pass_backward(struct pass *p);
/* Of all trained parameters, in the order of the model. */
float *pass_gradients(struct pass *p);
size_t pass_gradients_size(const struct pass *p); /* floats */
/* NULL if it is not trained. */
float *pass_gradient(const struct pass *p, size_t parameter);
void pass_clear_gradients(struct pass *p);

/* Forward through all or the one section, and the running means and variances
 * of `m`, the pass's model, become those of all batches since `seen` was 0;
 * it counts their rows. Statistics are estimated anew by calling it for all
 * batches of some data. INVALID, NO_MEMORY. */
MUST_CHECK struct status pass_estimate_statistics(
    struct pass *p, struct model *m, const struct pass_batch *batch,
    uint64_t *seen);
/* What the last forward's batch said goes into the running means and
 * variances of `m`, the pass's model: x += momentum (batch - x).
 * NO_MEMORY. */
MUST_CHECK struct status pass_note_statistics(const struct pass *p,
                                              struct model *m, double momentum);

#endif
