/* merge_pcb.h -- parameter competition balancing, the part that writes. The
 * survey is merge_survey_pcb. Methods of merging, 1.6. */
#ifndef SINTER_JOBS_MERGE_PCB_H
#define SINTER_JOBS_MERGE_PCB_H

#include "jobs/merge/merge_method.h"

void merge_combine_pcb(const struct merge_step *step,
                       const struct merge_chunk *chunk);

#endif
