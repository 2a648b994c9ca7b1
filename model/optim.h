/* optim.h -- AdamW with decoupled decay, gradient clipping and the shapes of
 * the learning rate. Pure; the arrays are the caller's. */
#ifndef SINTER_MODEL_OPTIM_H
#define SINTER_MODEL_OPTIM_H

#include "common/status.h"

#include <stddef.h>
#include <stdint.h>

/* Source: Loshchilov, Hutter, "Decoupled weight decay regularization", 2019,
 * in the order of torch.optim.AdamW: decay, moments, step. */
struct adamw {
    double rate, beta1, beta2, eps, decay;
    uint64_t steps; /* done so far */
    size_t count;
    float *first, *second; /* moments, [count] each */
};

/* `rate` ... `decay` are the caller's to set. NO_MEMORY. */
MUST_CHECK struct status adamw_init(struct adamw *a, size_t count);
void adamw_release(struct adamw *a);
/* One step with `factor` times the rate. */
void adamw_step(struct adamw *a, double factor, float *parameters,
                const float *gradients);

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
