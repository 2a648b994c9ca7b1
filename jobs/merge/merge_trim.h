/* merge_trim.h -- trims by magnitude. Thresholds of all points are counted
 * together: order statistics of each model's deltas, after the drop if the
 * method drops, of each tensor or of the model as one row. */
#ifndef SINTER_JOBS_MERGE_TRIM_H
#define SINTER_JOBS_MERGE_TRIM_H

#include "jobs/merge/merge_survey.h"

/* Of each tensor exactly int(density x elements) stay, at least one; of equal
 * ones the first. */
extern const struct merge_survey merge_survey_largest;
/* Of each tensor those above number int((1 - density) x elements). */
extern const struct merge_survey merge_survey_above;
/* Of the model those not below number elements - int(density x elements);
 * then the sign that most elements elect. */
extern const struct merge_survey merge_survey_original;
/* Of the model those not below number int((1 - density) x elements), the
 * density being `trim_density` if the method drops; and the sign. */
extern const struct merge_survey merge_survey_mergelm;

/* What stays of a chunk: magnitudes whose bits, as a number, are not below
 * `least`, and the first so many of `least` - 1. */
struct merge_kept {
    uint32_t least;
    uint64_t first;
};

/* Of model i at a point. Chunks come in order, each once for each point;
 * chunk->row is overwritten. */
struct merge_kept merge_trim_kept(const struct merge_step *step,
                                  const struct merge_chunk *chunk, size_t i);
/* The sign most elements of a point elect, -1, 0 or 1. */
int merge_trim_majority(const void *tally, size_t point);

/* What the drop left of model i's delta, times scale: the float32 difference
 * from the base, 0 where dropped. */
void merge_delta(const struct merge_step *step, const struct merge_chunk *chunk,
                 size_t i, float *delta);

#endif
