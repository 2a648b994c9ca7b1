/* select_store.h -- what the jobs of a selection hand on to each other:
 * a directory with named arrays (model.safetensors) and notes for people and
 * for the selection's report (notes.json). */
#ifndef SINTER_JOBS_SELECT_STORE_H
#define SINTER_JOBS_SELECT_STORE_H

#include "jobs/job_context.h"
#include "tensor/safetensors.h"

enum { SELECT_ARRAYS = 16 }; /* of one directory */

/* To write one. Names and data are borrowed until it is put. */
struct select_store {
    struct tensor arrays[SELECT_ARRAYS];
    size_t count;
};
/* [rows][width]; width 1: [rows]. */
void select_store_add(struct select_store *s, const char *name,
                      enum dtype dtype, size_t rows, size_t width,
                      const void *data);
/* As an artifact, by way of the scratch directory. */
MUST_CHECK struct status select_store_put(struct select_store *s,
                                          const json_t *notes,
                                          struct job_context *context,
                                          char ret_artifact[DIGEST_TEXT]);

/* To read one. */
struct select_opened {
    struct st_model *file;
    json_t *notes;
};
/* `job`: {"$job"} or {"$artifact"}. */
MUST_CHECK struct status select_open(const json_t *job,
                                     struct job_context *context,
                                     struct select_opened *ret_opened);
void select_opened_release(struct select_opened *o);
/* A copy of an array, the caller frees; CORRUPT if it is another than that. */
MUST_CHECK struct status select_take(const struct select_opened *o,
                                     const char *name, enum dtype dtype,
                                     size_t width, void **ret_data,
                                     size_t *ret_rows);
/* The same of an array that must have so many rows. */
MUST_CHECK struct status select_take_rows(const struct select_opened *o,
                                          const char *name, enum dtype dtype,
                                          size_t width, size_t rows,
                                          void **ret_data);

#endif
