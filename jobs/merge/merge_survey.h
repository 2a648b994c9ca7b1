/* merge_survey.h -- what a method counts in its inputs before it writes.
 *
 * Threads count their own chunks into tallies of their own; then one of them
 * settles all tallies and either stores the result in the step or asks for
 * another round over the same elements. */
#ifndef SINTER_JOBS_MERGE_SURVEY_H
#define SINTER_JOBS_MERGE_SURVEY_H

#include "jobs/merge/merge_method.h"

struct merge_survey {
    bool global; /* over all elements of the model as one row; else each
                    tensor by itself */
    void *(*tally_new)(size_t models);
    void (*tally_free)(void *tally);
    /* Before the first round. `elements` of the whole scope. */
    void (*begin)(void *tally, const struct merge_step *step,
                  uint64_t elements);
    /* Called for chunks of this thread, in order. */
    void (*count)(void *tally, const struct merge_step *step,
                  const struct merge_chunk *chunk);
    /* The chunks of tallies[i] come before those of tallies[i + 1]. Results
     * are left in the tallies, which combine() finds in its chunks, or in the
     * step. True: another round over the same elements is needed. */
    bool (*settle)(void *const *tallies, size_t threads,
                   struct merge_step *step, uint64_t elements);
};

/* Ratio of the L1 norms of each delta before and after the drop, into
 * step->scale. */
extern const struct merge_survey merge_survey_l1;
/* What merge_trim() keeps: of each tensor exactly int(density x elements) of
 * the largest deltas, at least one ... */
extern const struct merge_survey merge_survey_trim;
/* ... or of the whole model all that are not below magnitude number
 * int(rate x elements), counted from 1. */
extern const struct merge_survey merge_survey_global;
/* Bounds and thresholds of merge_combine_pcb(). */
extern const struct merge_survey merge_survey_pcb;

/* The deltas of a chunk without what the survey's thresholds cut, into
 * chunk->delta. Chunks come in order. */
void merge_trim(const struct merge_step *step, const struct merge_chunk *chunk);
/* Of the global survey: the sign most elements elect, -1, 0 or 1. */
int merge_majority(const void *tally);

#endif
