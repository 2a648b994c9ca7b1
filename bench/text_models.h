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

/* A GPT-2 of that shape with random parameters, and one random batch. */
struct text_run {
    const struct text_shape *shape;
    struct model *model;
    struct pass_batch batch;
    struct pass_room room;
};
/* Ends the program with the message of a failure. */
void text_stop_on(struct status s);

struct text_bench {
    const char *name;
    bool gradients;
    double products; /* for each one that forward makes */
    /* What `once` needs, made for a run; the model may be changed. */
    void *(*open)(const struct text_run *r);
    void (*once)(const struct text_run *r, void *self); /* a batch */
    void (*close)(void *self);
};
/* Runs the shapes that the arguments name, all if there are none, and prints
 * tokens a second and the share of the SGEMM rate of the same run. */
int text_bench_main(const struct text_bench *b, int argc, char **argv);

#endif
