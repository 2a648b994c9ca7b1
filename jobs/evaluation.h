/* evaluation.h -- a model on its way over data: losses and right answers. */
#ifndef SINTER_JOBS_EVALUATION_H
#define SINTER_JOBS_EVALUATION_H

#include "jobs/data.h"
#include "model/model.h"
#include "model/pass.h"

struct evaluation {
    struct job_context *context;
    const struct model *model; /* borrowed */
    struct data data;
    struct batch batch;
    struct pass *pass;
    uint64_t items; /* to be sent: all there are, unless lowered */
    uint64_t next;  /* item that was not sent yet */

    double loss;     /* sum over all predicted tokens */
    uint64_t tokens; /* predicted */
};

/* `data` and `window` as data_open() takes them. NO_MEMORY beyond the job's
 * budget. The model must outlive the evaluation. */
MUST_CHECK struct status evaluation_open(const struct model *model,
                                         const json_t *data, size_t window,
                                         struct job_context *context,
                                         struct evaluation *ret_evaluation);
void evaluation_release(struct evaluation *e);

/* Send all items, for their losses. FAILED if a loss is not finite. */
MUST_CHECK struct status evaluation_losses(struct evaluation *e);
/* The same for questions, of which only the first `limit` are sent (0: all):
 * "1" or "0" for each, the caller frees; INVALID for text. */
MUST_CHECK struct status evaluation_answers(struct evaluation *e,
                                            uint64_t limit, char **ret_digits,
                                            uint64_t *ret_right);
double evaluation_mean_loss(const struct evaluation *e);

#endif
