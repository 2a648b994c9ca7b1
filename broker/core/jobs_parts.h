/* jobs_parts.h -- what jobs.c and jobs_end.c share. */
#ifndef SINTER_BROKER_CORE_JOBS_PARTS_H
#define SINTER_BROKER_CORE_JOBS_PARTS_H

#include "broker/core/state.h"

/* The only place where a job's state changes: all sums follow from here. */
void jobs_set_state(struct sched *s, struct job *job, enum job_state state);
/* Put a job that is in no queue and at no worker where it belongs. */
void jobs_place(struct sched *s, struct job *job);
/* Take a job that nobody runs out of the queue it is in. */
void jobs_displace(struct sched *s, struct job *job);
/* What it asks for, or more if that was known to be too little. */
void jobs_set_memory(struct job *job, int64_t asked);
/* What is needed only to run. */
void jobs_forget_params(struct sched *s, struct job *job);
void jobs_unlink_need(struct need *need);

#endif
