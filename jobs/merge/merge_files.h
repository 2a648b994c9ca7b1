/* merge_files.h -- what lies beside the tensors of a model: config.json and
 * the files of its tokenizer, of a directory or of the result of a merge.
 *
 * Whoever writes a model directory writes `config` as config.json and each of
 * the items under its name. Inputs of a merge bring theirs along
 * (merge_inputs.files), so that a merge of merges has the right ones. */
#ifndef SINTER_JOBS_MERGE_FILES_H
#define SINTER_JOBS_MERGE_FILES_H

#include "common/json.h"

#include <stddef.h>

struct merge;

/* One file: where it lies, or its bytes. */
struct merge_file {
    const char *name; /* "tokenizer.json" */
    char *path;       /* NULL: in `bytes`. Owned */
    char *bytes;      /* owned */
    size_t size;      /* of bytes */
};

struct merge_files {
    json_t *config; /* of config.json; NULL: none. Owned */
    size_t count;
    struct merge_file *items; /* in a fixed order */
};

/* Of a model's directory. NULL, or a path that is no directory (the model is
 * one file): none. CORRUPT if config.json is not JSON. */
MUST_CHECK struct status merge_files_of_directory(
    const char *directory, struct merge_files *ret_files);
/* Of the result: the base's (without a base the first model's), with what the
 * merge changes: number of layers, vocabulary, dtype, tokenizer, template.
 * The inputs of the merge need their `files` for it. */
MUST_CHECK struct status merge_files_of(const struct merge *m,
                                        struct merge_files *ret_files);
/* The same again, for an owner of its own. */
struct merge_files merge_files_copy(const struct merge_files *f);
void merge_files_release(struct merge_files *f);
/* Have the bytes of all, for an owner who outlives the directories. TOO_BIG,
 * or what reading a file says. */
MUST_CHECK struct status merge_files_load(struct merge_files *f);

/* The i-th as bytes; the caller frees. TOO_BIG. */
MUST_CHECK struct status merge_files_read(const struct merge_files *f, size_t i,
                                          char **ret_bytes, size_t *ret_size);
/* The one of that name; NULL if absent. `f` may be NULL. */
const struct merge_file *merge_files_find(const struct merge_files *f,
                                          const char *name);

#endif
