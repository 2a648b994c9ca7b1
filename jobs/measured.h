/* measured.h -- the model an evaluator looks at, on its way over the data. */
#ifndef SINTER_JOBS_MEASURED_H
#define SINTER_JOBS_MEASURED_H

#include "jobs/evaluation.h"
#include "jobs/model_input.h"

struct measured {
    struct model_input input;
    struct evaluation e;
};

/* `params`.model and `params`.data; `window` as data_open() takes it. The
 * caller releases, also what failed. */
MUST_CHECK struct status measured_open(struct measured *m, const json_t *params,
                                       size_t window,
                                       struct job_context *context);
void measured_release(struct measured *m);

#endif
