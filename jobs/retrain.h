/* retrain.h -- a model that is retrained in part: what is trained of it, and
 * what is stored. For retrain.c and reconstruct.c. */
#ifndef SINTER_JOBS_RETRAIN_H
#define SINTER_JOBS_RETRAIN_H

#include "jobs/delta.h"
#include "jobs/model_input.h"
#include "jobs/training.h"

struct retrain {
    const json_t *params;
    struct job_context *context;
    struct model_input input;
    struct model *model; /* the input's */
    size_t size;         /* floats of the model without adapters */

    const struct adapter_row *row; /* of matrices; NULL: none */
    bool head;                     /* LoRA on the last matrix */
    struct delta delta;
    size_t trainable; /* numbers that are trained */
    bool *changed;    /* [parameters without adapters] */
    json_t *metrics;
};

/* --- retrain_subset.c -------------------------------------------------------- */

/* The words of `train`, as far as files can be wrong about them. */
bool retrain_check_words(const json_t *train, bool reconstruct,
                         struct catalog_problem *ret_problem);
/* Is any of `lora`, `mask_lora` ... or `head` among them? */
bool retrain_has_adapters(const json_t *train);

/* Takes from the words what is adapted: sets row and head. INVALID. */
MUST_CHECK struct status retrain_read_words(struct retrain *r);
/* Gives matrices of section `section` (SIZE_MAX: of all) their adapters.
 * INVALID as adapter_add(). */
MUST_CHECK struct status retrain_adapt(struct retrain *r, size_t section);
/* What the words mean of the model as it is now, adapters too; the caller
 * frees. INVALID: the architecture has none of it. */
MUST_CHECK struct status retrain_choose(const struct retrain *r,
                                        bool **ret_trained);
/* Adapters go into the delta, and then into the matrices. */
MUST_CHECK struct status retrain_merge(struct retrain *r);

/* --- reconstruct.c, reconstruct_state.c ---------------------------------------- */

extern const struct catalog_key reconstruct_keys[];

/* Block by block; the model then is as its delta says. */
MUST_CHECK struct status reconstruct_run(struct retrain *r);

struct reconstruct_sums {
    uint64_t blocks;      /* done */
    double before, after; /* errors, summed */
    uint64_t trainable;
};
/* What another attempt would go on from; nothing if nothing survives. */
void reconstruct_save(const struct retrain *r,
                      const struct reconstruct_sums *sums);
/* The blocks that an earlier attempt did. INVALID: they are no such. */
MUST_CHECK struct status reconstruct_resume(struct retrain *r,
                                            struct reconstruct_sums *ret_sums);

#endif
