/* select_pass.h -- samples on their way through a model. */
#ifndef SINTER_JOBS_SELECT_PASS_H
#define SINTER_JOBS_SELECT_PASS_H

#include "jobs/model_input.h"
#include "jobs/select_part.h"
#include "model/batch.h"
#include "model/pass.h"

/* A part of a pool and a model for it. */
struct select_work {
    const json_t *params;
    struct job_context *context;
    struct model_input input;
    struct select_samples samples; /* those of the part are encoded */
    struct select_part part;
    size_t length; /* most tokens of a sequence */

    struct pass *pass;
    struct batch batch;
};

/* Opens `params`[`key`], `params`.data and the tokens of the part, whose
 * columns are given. NO_MEMORY with the numbers. */
MUST_CHECK struct status select_work_open(struct select_work *w,
                                          const char *key);
void select_work_release(struct select_work *w);
/* A pass without logits, or with losses. */
MUST_CHECK struct status select_work_pass(struct select_work *w, bool headless);

/* Sample at place `place` of those that are kept. */
struct select_sample select_work_get(const struct select_work *w, size_t place);

/* Sends sequences [first, first + count), those that are not empty, and calls
 * `take` with number and rows of each that went through. `add` puts one into
 * the batch; false: there is no room left. */
struct select_sender {
    bool (*add)(void *self, struct batch *b, size_t i);
    void (*take)(void *self, size_t i, size_t row, size_t rows);
    void *self;
};
MUST_CHECK struct status select_work_send(struct select_work *w,
                                          const struct select_sender *sender,
                                          size_t first, size_t count);

#endif
