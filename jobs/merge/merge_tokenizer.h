/* merge_tokenizer.h -- vocabularies that meet in a merge: which tokens the
 * result has, and of each model the rows of its embeddings that are theirs.
 *
 * A token keeps the row of every model that knows it. A model that does not
 * takes the row of the entry's reference (the base, without one the first
 * model), and where that does not know it either, the mean of those who do.
 * A row that nobody has is the mean of all rows of the reference. */
#ifndef SINTER_JOBS_MERGE_TOKENIZER_H
#define SINTER_JOBS_MERGE_TOKENIZER_H

#include "jobs/merge/merge_plan.h"

struct merge_tokens; /* opaque */

/* Reads the tokenizers of the inputs' files as config->tokenizer asks. NULL
 * if it does not, or if all of them are equal: rows stay where they are.
 * INVALID if a model has none; CORRUPT; TOO_BIG. */
MUST_CHECK struct status merge_tokens_new(const struct merge_config *c,
                                          const struct merge_inputs *inputs,
                                          struct merge_tokens **ret_tokens);
void merge_tokens_free(struct merge_tokens *t); /* NULL is fine */

uint64_t merge_tokens_count(const struct merge_tokens *t);
/* Has a tensor of that name a row for each token? */
bool merge_tokens_has_rows(const char *name);
/* Maps the views of an entry with such rows; `base` is the number of the
 * model that entry->base is of (SIZE_MAX: the configuration's base). The maps
 * are the tokens'. TOO_BIG if the models share too few tokens. */
MUST_CHECK struct status merge_tokens_map(struct merge_tokens *t,
                                          struct merge_entry *entry,
                                          size_t base, bool with_base);

/* Tokens that the tokenizer of the result has more than the base's, in order
 * of id: [{"id", "content", "special"...}] as in tokenizer.json. Borrowed. */
const json_t *merge_tokens_added(const struct merge_tokens *t);

#endif
