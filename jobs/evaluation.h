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
    uint64_t tokens; /* predicted; images: looked at */
};

/* `data`, `window` and `tokenizer` as data_open() takes them. NO_MEMORY beyond
 * the job's budget. The model must outlive the evaluation. */
MUST_CHECK struct status evaluation_open(const struct model *model,
                                         const struct tokenizer *tokenizer,
                                         const json_t *data, size_t window,
                                         struct job_context *context,
                                         struct evaluation *ret_evaluation);
void evaluation_release(struct evaluation *e);

/* Send all items, for their losses. FAILED if a loss is not finite. */
MUST_CHECK struct status evaluation_losses(struct evaluation *e);
/* The same for questions with choices, of which only the first `limit` are
 * asked: "1" or "0" for each, by the likelihood of a choice and by that of a
 * byte of it; the caller frees both. */
struct evaluation_choices {
    char *digits, *byte_digits;
    uint64_t questions, right, byte_right;
};
MUST_CHECK struct status evaluation_choose(
    struct evaluation *e, uint64_t limit, struct evaluation_choices *ret_found);
/* The same for questions or images, of which only the first `limit` are sent
 * (0: all): "1" or "0" for each, the caller frees; INVALID for text. */
MUST_CHECK struct status evaluation_answers(struct evaluation *e,
                                            uint64_t limit, char **ret_digits,
                                            uint64_t *ret_right);
/* All items, for their logits: [rows][vocab] of a batch at a time. */
MUST_CHECK struct status evaluation_outputs(
    struct evaluation *e,
    void (*take)(void *self, const float *logits, size_t rows), void *self);
/* How many items `limit` (0: none) leaves. */
uint64_t evaluation_limited(const struct evaluation *e, uint64_t limit);
/* Running statistics of `m`, the evaluation's model, become those of all
 * items. */
MUST_CHECK struct status evaluation_statistics(struct evaluation *e,
                                               struct model *m);
/* From the first item again. */
void evaluation_rewind(struct evaluation *e);
double evaluation_mean_loss(const struct evaluation *e);

#endif
