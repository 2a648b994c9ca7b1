/* verify.h -- what a trial gave, beside what it gives now. Pure. */
#ifndef SINTER_CLI_VERIFY_H
#define SINTER_CLI_VERIFY_H

#include "common/json.h"

/* Names of what can be computed again, as a new array: stages and evaluators
 * of the trial that are done, and its last stage if that is lazy. `trial` and
 * `spec` as the broker answers; `only` NULL: all, else that one (an empty
 * array if it is not there). */
json_t *verify_names(const json_t *trial, const json_t *spec, const char *only);

/* The digest of the trial's model if `export` (the document of a hidden
 * sweep) fixes the same stages and values as `document` (that of a
 * verification) and `files` (its only trial) is done; else NULL. Borrowed. */
const char *verify_known_digest(const json_t *document, const json_t *export,
                                const json_t *files);

/* One row for each thing compared: {"stage", "what", "was", "is", "verdict"},
 * verdict "same", "differs", or "new" where nothing was known ("was" null).
 * `again`: the trial of the verification; `digest` NULL: not known. */
json_t *verify_compare(const json_t *trial, const json_t *again,
                       const char *digest);

#endif
