/* healing.h -- pruned models that are retrained, for tests of the kind
 * `retrain`: a base, what is asked, and what has to hold of every result. */
#ifndef SINTER_TESTS_SUPPORT_HEALING_H
#define SINTER_TESTS_SUPPORT_HEALING_H

#include "jobs/recipe.h"
#include "support/fake_context.h"

/* A model that was trained for `steps`, as the result of job `key`. */
void healing_base(struct fake_context *f, const char *key, const char *init,
                  const char *dtype, int steps);
/* The same, an OPT of two layers as job "base". */
void healing_opt(struct fake_context *f, const char *tied, const char *dtype);
/* Of these the caller decrefs what they return. */
json_t *healing_job(const char *key);
/* Magnitude pruning of job `key` to one half. */
json_t *healing_pruned(const char *key);
/* Takes the model. */
json_t *healing_params(json_t *model, const char *train, const char *more);
/* Takes the parameters. */
json_t *healing_run(struct fake_context *f, json_t *params, const char *key);
/* Takes the parameters. */
void healing_refused(struct fake_context *f, json_t *params, const char *words);
/* Killed at its ninth step, it says `words` and ends as if it had not been.
 * Takes the parameters. */
void healing_killed(struct fake_context *f, json_t *params, const char *words);
/* Takes the model. */
struct recipe_model *healing_open(struct fake_context *f, json_t *model);
/* Whoever has nothing but the job that retrained sees the very bytes it had. */
void healing_reads_as_computed(struct fake_context *f, const char *key,
                               const json_t *result);

#endif
