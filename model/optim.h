/* optim.h -- how parameters move: optimisers, gradient clipping and the shapes
 * of the learning rate. Pure; the arrays are the caller's. */
#ifndef SINTER_MODEL_OPTIM_H
#define SINTER_MODEL_OPTIM_H

#include "common/status.h"

#include <stddef.h>
#include <stdint.h>

enum { OPTIM_MOMENTS = 2 };

struct optim {
    const struct optim_row *row;
    double rate, decay;
    double beta1, beta2; /* sgd: beta1 is the momentum */
    double eps;
};

/* One run of an optimiser's kernel over some elements. */
struct optim_call {
    double rate;   /* of this step */
    uint64_t step; /* 1, 2, ... */
    float *parameters;
    const float *gradients;
    float *moments[OPTIM_MOMENTS]; /* 0 before the first step */
    size_t count;
};

/* A row each. What stays 0 with gradients of 0, stays exactly 0.
 *
 * adamw: Loshchilov, Hutter, "Decoupled weight decay regularization", 2019,
 * in the order of torch.optim.AdamW: decay, moments, step.
 * sgd: v = momentum v + g + decay p; p -= rate v. */
struct optim_row {
    const char *name;
    size_t moments; /* arrays it needs */
    void (*step)(const struct optim *o, const struct optim_call *c);
};
extern const struct optim_row optimisers[]; /* ends with a NULL name */
const struct optim_row *optim_find(const char *name); /* NULL: none */

/* Length of the whole gradient before it is cut to `limit`; 0: no limit. */
double optim_clip(float *gradients, size_t count, double limit);

enum { SCHEDULE_MILESTONES = 16 };

struct schedule {
    const struct schedule_row *row;
    uint64_t steps, warmup;
    uint64_t milestones[SCHEDULE_MILESTONES]; /* ascending; 0 ends them */
    double gamma;
};

/* A shape of the learning rate. `factor` is asked behind the warm-up. */
struct schedule_row {
    const char *name;
    double (*factor)(const struct schedule *s, uint64_t step);
};
extern const struct schedule_row schedules[]; /* ends with a NULL name */
const struct schedule_row *schedule_find(const char *name); /* NULL: none */

/* Multiplier of the rate for step 0, 1, ...: during the warm-up step / warmup,
 * so the first step moves nothing if there is one. */
double schedule_factor(const struct schedule *s, uint64_t step);

#endif
