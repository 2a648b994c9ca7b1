/* text_models.h -- models of text that bench/train and bench/forward run. */
#ifndef SINTER_BENCH_TEXT_MODELS_H
#define SINTER_BENCH_TEXT_MODELS_H

#include "model/pass.h"

struct text_shape {
    const char *name;
    int hidden, layers, heads, vocab;
    int length, sequences; /* of a batch */
    int rounds;            /* batches that are measured at a time */
};
extern const struct text_shape text_shapes[]; /* ends with a NULL name */

/* A GPT-2 of that shape with random parameters, and one random batch. */
struct text_run {
    const struct text_shape *shape;
    struct model *model;
    struct pass_batch batch;
    struct pass_room room;
};
/* Ends the program if there is no memory. */
struct text_run text_run_new(const struct text_shape *s, bool gradients);
void text_run_free(struct text_run *r);
size_t text_tokens(const struct text_run *r); /* of the batch */
/* Of products with matrices, forward, for each token. */
double text_flops(const struct text_run *r);

/* Floating point operations a second of a product of 512 x 512 matrices. */
double text_sgemm_rate(void);
/* Shapes whose name is among the arguments; all if there are none. */
bool text_wanted(const struct text_shape *s, int argc, char **argv);
/* "NAME: tokens a second", the share of the SGEMM rate of the same run. */
void text_print(const char *what, const struct text_run *r, double seconds,
                double flops, double sgemm);

#endif
