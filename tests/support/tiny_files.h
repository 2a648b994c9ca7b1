/* tiny_files.h -- models of tiny_models.h as directories of a fake context. */
#ifndef SINTER_TESTS_SUPPORT_TINY_FILES_H
#define SINTER_TESTS_SUPPORT_TINY_FILES_H

#include "support/fake_context.h"
#include "support/tiny_models.h"

struct tiny_files {
    struct model *model; /* what the numbers are before they are rounded */
    struct tensor_set set;
    struct tensor *items; /* set.items, in order of name */
};

/* Random parameters of the architecture `name`; the caller may change them
 * before they are written. */
void tiny_files_init(struct tiny_files *t, const char *name, enum dtype dtype,
                     uint32_t seed);
/* The same of a config.json, with ' for ". */
void tiny_files_of(struct tiny_files *t, const char *config, enum dtype dtype,
                   uint32_t seed);
void tiny_files_release(struct tiny_files *t);
void tiny_files_put(struct tiny_files *t, const char *name, uint64_t element,
                    float value);
/* The model directory ROOT/directory. */
void tiny_files_write(const struct tiny_files *t, struct fake_context *f,
                      const char *directory);

/* The same of a config.json, with ' for ", at once. */
void tiny_files_make(struct fake_context *f, const char *directory,
                     const char *config, enum dtype dtype);
/* Parameters, as JSON with ' for ", of a job whose `model` is ROOT/directory;
 * the caller decrefs. */
json_t *tiny_files_params(struct fake_context *f, const char *directory,
                          const char *params);

#endif
