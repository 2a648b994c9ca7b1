/* merge_vocabulary.h -- the tokens of a model, read from the files beside it:
 * tokenizer.json, or the older vocab.json with added_tokens.json. */
#ifndef SINTER_JOBS_MERGE_VOCABULARY_H
#define SINTER_JOBS_MERGE_VOCABULARY_H

#include "common/map.h"
#include "jobs/merge/merge_files.h"

#include <stdint.h>

struct merge_vocabulary {
    bool loaded;
    char **texts;    /* by id; NULL where no token has it */
    size_t count;    /* highest id + 1 */
    struct map *ids; /* text -> id + 1 */
    json_t *added;   /* added_tokens of tokenizer.json; may be NULL */
};

/* `model` is for messages. INVALID if there is no tokenizer; CORRUPT. To be
 * released in any case. */
MUST_CHECK struct status merge_vocabulary_read(struct merge_vocabulary *v,
                                               const struct merge_files *files,
                                               const json_t *model);
void merge_vocabulary_release(struct merge_vocabulary *v);

/* -1: there is no such token. */
int32_t merge_vocabulary_id(const struct merge_vocabulary *v, const char *text);

#endif
