/* training.h -- the steps that `train` and `retrain` share: batches of data,
 * the optimiser as a sweep file gives it, and going on where a slot that was
 * killed had come to. */
#ifndef SINTER_JOBS_TRAINING_H
#define SINTER_JOBS_TRAINING_H

#include "jobs/data.h"
#include "model/trainer.h"

/* --- for sweep files ------------------------------------------------------ */

extern const struct catalog_key training_optimizer_keys[];

/* Rows of a kind's table of keys. */
#define TRAINING_KEYS(required_)                                             \
    { .name = "data",                                                        \
      .type = KEY_DATA,                                                      \
      .required = (required_),                                               \
      .keys = data_keys,                                                     \
      .help = "what it learns from" },                                       \
        { .name = "steps",                                                   \
          .type = KEY_INTEGER,                                               \
          .least = 1,                                                        \
          .most = 1e9,                                                       \
          .help = "of the optimiser; 300" },                                 \
        { .name = "epochs",                                                  \
          .type = KEY_NUMBER,                                                \
          .least = 0.001,                                                    \
          .most = 1e6,                                                       \
          .help = "instead of steps: times the data is seen" },              \
        { .name = "batch",                                                   \
          .type = KEY_INTEGER,                                               \
          .least = 1,                                                        \
          .most = 65536,                                                     \
          .otherwise = "32",                                                 \
          .help = "sequences or images of a pass" },                         \
        { .name = "accumulate",                                              \
          .type = KEY_INTEGER,                                               \
          .least = 1,                                                        \
          .most = 4096,                                                      \
          .otherwise = "1",                                                  \
          .help = "passes of a step, whose gradients are averaged" },        \
        { .name = "length",                                                  \
          .type = KEY_INTEGER,                                               \
          .least = 2,                                                        \
          .most = LIMIT_SEQUENCE,                                            \
          .help = "most tokens of a sequence; as long as items are" },       \
        { .name = "optimizer",                                               \
          .type = KEY_MAP,                                                   \
          .keys = training_optimizer_keys,                                   \
          .otherwise = "{}",                                                 \
          .help = "how parameters move" },                                   \
        { .name = "clip",                                                    \
          .type = KEY_NUMBER,                                                \
          .least = 0.0,                                                      \
          .most = 1e9,                                                       \
          .help = "longest gradient, 0: any; 1 for adamw, any for sgd" },    \
    {                                                                        \
        .name = "seed", .type = KEY_INTEGER, .least = 0, .most = UINT32_MAX, \
        .otherwise = "0",                                                    \
        .help = "of random parameters and of the order of the data"          \
    }

/* Faults of `optimizer`, `steps` and `data`, and what defaults mean; `decay`
 * is adamw's default weight decay. False: `ret_problem`. */
bool training_normalise(json_t *body, double decay,
                        struct catalog_problem *ret_problem);
/* What only the values of a trial tell: a schedule that does not fit. */
bool training_check(const json_t *params, struct catalog_problem *ret_problem);

/* --- the job -------------------------------------------------------------- */

struct training {
    /* Given. */
    const json_t *params;
    struct job_context *context;
    struct model *model;               /* borrowed */
    const struct tokenizer *tokenizer; /* of the model; NULL: bytes */
    const bool *trained;               /* [parameters]; NULL: all */
    double decay;                      /* as for training_normalise() */

    struct data data;
    struct batch *batches; /* [accumulate] */
    struct pass_batch *views;
    struct trainer *trainer;
    struct schedule schedule;

    uint32_t seed;
    uint64_t steps, batch, accumulate;
    uint64_t done;   /* steps */
    uint64_t tokens; /* seen so far; images: images */
    double recent;   /* running mean of the loss */
};

/* The rates of a job: what `optimizer` says for `steps` steps. INVALID. */
MUST_CHECK struct status training_schedule(const json_t *params, uint64_t steps,
                                           struct schedule *ret_schedule);
MUST_CHECK struct status training_settings(const json_t *params, double decay,
                                           struct trainer_settings *ret);

/* The data, and numbers that stand in the parameters; training_open() does it
 * first. */
MUST_CHECK struct status training_open_data(struct training *t);
/* Opens the data and makes the trainer. NO_MEMORY before anything is begun if
 * the slot cannot hold it, even when values are made again in backward. */
MUST_CHECK struct status training_open(struct training *t);
void training_release(struct training *t);
/* All steps, from where an earlier attempt came to. FAILED names step and
 * place of a loss that is lost. */
MUST_CHECK struct status training_run(struct training *t);
/* FAILED: of a pass whose loss is lost, where, and what helps. */
MUST_CHECK struct status training_lost(struct pass *p, double loss);
/* Mean loss of up to `count` batches the training does not see, of the model
 * as it is now. */
MUST_CHECK struct status training_measure(struct training *t, uint64_t count,
                                          double *ret_loss);
/* The trainer's arrays are no longer needed; data is still there. */
void training_end(struct training *t);

/* --- what another attempt goes on from: training_state.c -------------------- */

/* Everything the trainer says, and what else changes. Nothing if nothing
 * survives. */
void training_save(struct training *t);
/* Goes on from the latest; one that does not fit is not looked at. */
MUST_CHECK struct status training_resume(struct training *t);

/* Tensors as state `number`, in place of all others; they are sorted. Nothing
 * if nothing survives. A disk that is full is logged: it stops nothing but the
 * next attempt's head start. */
void training_store(struct job_context *context, uint64_t number,
                    struct tensor *items, size_t count);
/* The state of the highest number, a model directory; NULL: none. The caller
 * frees. */
char *training_latest(struct job_context *context);
/* A number of 8 bytes as a tensor, and back. INVALID if it is none. */
struct tensor training_number(const char *name, enum dtype dtype,
                              const void *data);
MUST_CHECK struct status training_take_number(const struct tensor_set *set,
                                              const char *name,
                                              enum dtype dtype,
                                              void *ret_value);

#endif
