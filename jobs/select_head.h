/* select_head.h -- the matrix that makes logits of hidden states, of a model
 * of which nothing else is needed. */
#ifndef SINTER_JOBS_SELECT_HEAD_H
#define SINTER_JOBS_SELECT_HEAD_H

#include "jobs/recipe.h"
#include "jobs/select/jsd.h"
#include "model/model.h"

struct select_head {
    struct recipe_model *recipe;
    struct model *outline; /* with the section of the matrix */
    struct jsd_head head;
};

/* Of a remote model no more than the head is fetched. */
MUST_CHECK struct status select_head_open(const json_t *model,
                                          struct job_context *context,
                                          struct select_head *ret_head);
void select_head_release(struct select_head *h);
/* Of a model that is open. INVALID if it has none. */
MUST_CHECK struct status select_head_of(const struct model *m,
                                        struct jsd_head *ret_head);

#endif
