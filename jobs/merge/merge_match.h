/* merge_match.h -- the tensors a merge writes, and what each of them is called
 * in the models it is read from. */
#ifndef SINTER_JOBS_MERGE_MATCH_H
#define SINTER_JOBS_MERGE_MATCH_H

#include "jobs/merge/merge_config.h"
#include "jobs/merge/merge_run.h"

/* A tensor of the result. */
struct merge_cell {
    char *name;                     /* owned */
    const struct tensor *reference; /* what it is like */
    size_t slice;                   /* of the configuration */
    int64_t layer; /* of the slice; -1: outside of layers, or no slices */
    double depth;
};

struct merge_cells {
    size_t count;
    struct merge_cell *items; /* in order of name */
};

/* INVALID if a slice asks for layers that a model has not. */
MUST_CHECK struct status merge_cells_init(struct merge_cells *cells,
                                          const struct merge_config *c,
                                          const struct merge_inputs *inputs);
void merge_cells_release(struct merge_cells *cells);

/* The source that says what the tensors of a slice are: its base, or its
 * first. model SIZE_MAX is the configuration's base. */
struct merge_source merge_reference(const struct merge_config *c,
                                    const struct merge_slice *slice,
                                    const struct merge_inputs *inputs);
/* Of a model by its number; SIZE_MAX: the base. */
const struct tensor_set *merge_set_of(const struct merge_inputs *inputs,
                                      size_t model);
const char *merge_label_of(const struct merge_config *c, size_t model,
                           char *text, size_t size);

/* The cell's tensor in a source, by its name there or, for a head that is tied
 * to an embedding, the embedding; NULL: missing. */
const struct tensor *merge_cell_in(const struct merge_cell *cell,
                                   const struct merge_source *source,
                                   const struct tensor_set *set);
/* Heads that may be tied: the i-th pair, false beyond the last. */
bool merge_tied_pair(size_t i, const char **ret_head,
                     const char **ret_embedding);

#endif
