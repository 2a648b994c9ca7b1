/* compare.h -- two models of one architecture, for evaluators with `models`. */
#ifndef SINTER_JOBS_COMPARE_H
#define SINTER_JOBS_COMPARE_H

#include "jobs/model_input.h"
#include "sweep/catalog.h"

/* The row behind a key `models`. */
extern const struct catalog_key compare_row[];

/* normalise() of kinds that compare: `models` are two, `data` what they were
 * trained on. */
bool compare_normalise(json_t *body, struct catalog_problem *ret_problem);

struct compare {
    struct model_input first, second;
};

/* Opens both of `params`.models. INVALID names what differs between them. */
MUST_CHECK struct status compare_open(const json_t *params,
                                      struct job_context *context,
                                      struct compare *ret_pair);
void compare_release(struct compare *pair);

#endif
