/* trainer.h -- steps of training: batches through a pass, gradients masked,
 * clipped and given to an optimiser, and a state that can be stored and gone
 * on from to the same bytes. */
#ifndef SINTER_MODEL_TRAINER_H
#define SINTER_MODEL_TRAINER_H

#include "model/optim.h"
#include "model/pass.h"

struct trainer_settings {
    struct optim optim;
    double clip; /* longest gradient; 0: any */
    /* SAM: how far up the gradient the second one is taken; 0: none.
     * Source: Foret et al., "Sharpness-aware minimization", 2021. */
    double rho;
    double momentum; /* of running statistics, 0.1 */
};

struct trainer; /* opaque */

/* Bytes of gradients, moments and activations, the model's own not. */
size_t trainer_bytes(const struct model *m, const struct pass_room *room,
                     const struct trainer_settings *s);
/* The model is borrowed, and what is trained of it becomes its own. Room:
 * `gradients` and, if given, `trained`. INVALID, NO_MEMORY. */
MUST_CHECK struct status trainer_new(struct model *m,
                                     const struct pass_room *room,
                                     const struct trainer_settings *s,
                                     struct trainer **ret_trainer);
void trainer_free(struct trainer *t);     /* NULL is fine */
void trainer_release(struct trainer **t); /* the same, for AUTO() */

struct trainer_report {
    double loss; /* mean of the batches' */
    double norm; /* of the gradient before it was clipped */
};
/* One step with the mean gradient of `count` batches and `factor` times the
 * rate. What is pruned stays exactly 0. FAILED names step and place of the
 * first NaN or infinity; the parameters are then as before the step. */
MUST_CHECK struct status trainer_step(struct trainer *t, double factor,
                                      const struct pass_batch *batches,
                                      size_t count,
                                      struct trainer_report *ret_report);
uint64_t trainer_steps(const struct trainer *t);

/* Everything that changes, as named tensors, sorted: parameters that are
 * trained, statistics, moments ("optim.0.NAME") and the count of steps
 * ("optim.steps"). The caller frees the items; data is borrowed until the
 * next step. */
void trainer_state(struct trainer *t, struct tensor **ret_items,
                   size_t *ret_count);
/* INVALID names a tensor that is missing or of another shape. */
MUST_CHECK struct status trainer_restore(struct trainer *t,
                                         const struct tensor_set *state);

#endif
