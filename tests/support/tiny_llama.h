/* tiny_llama.h -- parameters of jobs that train and measure a model so small
 * that a test does not notice. */
#ifndef SINTER_TESTS_SUPPORT_TINY_LLAMA_H
#define SINTER_TESTS_SUPPORT_TINY_LLAMA_H

#include "support/fake_context.h"

/* JSON with ' for ", printf-made; the caller decrefs. */
json_t *tiny_json(const char *format, ...) PRINTF_LIKE(1, 2);

/* Resolved parameters of a `train` of a few steps; the caller decrefs. */
json_t *tiny_train(int steps);

/* Runs a kind; the caller decrefs the result. */
MUST_CHECK struct status tiny_run(struct fake_context *f, const char *kind,
                                  const json_t *params, json_t **ret_result);

/* Trains and gives {"$job": ..} of the result; the caller decrefs. */
json_t *tiny_model(struct fake_context *f, int steps);

/* The kind's normalise() refuses a body: the problem's path and a part of its
 * message. */
void tiny_refuses(const char *kind, const char *body, const char *path,
                  const char *message);

double tiny_metric(const json_t *result, const char *name);

#endif
