/* jobs.h -- jobs by key: what state each is in and who needs it. */
#ifndef SINTER_BROKER_CORE_JOBS_H
#define SINTER_BROKER_CORE_JOBS_H

#include "broker/core/state.h"

struct job *jobs_find(const struct sched *s, const struct digest *key);
/* The job of that key, made if need be. */
struct job *jobs_touch(struct sched *s, const struct digest *key);
void jobs_free_all(struct sched *s);

/* What the job is, as a trial of a sweep describes it. Its inputs must have
 * been touched. A failure that sweep's order forgives is forgotten. */
void jobs_describe(struct sched *s, struct job *job,
                   const struct stage_job *stage);
/* Back to a job that was never tried. */
void jobs_forgive(struct sched *s, struct job *job);

/* Sweep counts the job from now on; `trial` is the one that brought it. */
struct use *jobs_use(struct sched *s, struct job *job, struct sweep *sweep,
                     uint32_t stage, uint64_t trial);
void jobs_drop_use(struct sched *s, struct use *use); /* frees it */

/* Somebody keeps a pointer to the job, or no longer. A job without any may be
 * gone after jobs_sweep(), which the end of a tick calls. */
void jobs_hold(struct job *job);
void jobs_let_go(struct sched *s, struct job *job);
void jobs_sweep(struct sched *s);

/* What is on record of a job that is done; of others all is zero. */
struct ledger_row jobs_row(const struct sched *s, const struct job *job);
/* What it found; empty unless it is done. Borrowed, for good. */
struct wire_bytes jobs_result_text(const struct sched *s,
                                   const struct job *job);

/* A live sweep counts the result of a row of the ledger among its own. */
bool jobs_is_counted(const struct sched *s, const struct sweep *sweep,
                     uint32_t row);
void jobs_count_row(struct sched *s, struct sweep *sweep, uint32_t row);

/* `need` has trial, job and use: the job is queued unless it is done. */
void jobs_need(struct sched *s, struct need *need);
/* The sweep was paused, resumed or has another priority: its ready jobs are
 * queued in the name of whoever comes first now. */
void jobs_stand(struct sched *s, const struct sweep *sweep);
/* The sweep will be freed: no job remembers a queue of it. */
void jobs_forget_groups(struct sched *s, const struct sweep *sweep);
/* The trial is over. A job that nobody needs leaves its queue, or goes on
 * running. Nothing happens to a need that was met. */
void jobs_unneed(struct sched *s, struct need *need);

/* Give the job to a session, as one of a unit or (NULL) alone, or take it
 * away (then it must be put back by jobs_requeue or end). */
void jobs_assign(struct sched *s, struct job *job, struct session *session,
                 struct unit *unit, uint64_t epoch, uint64_t attempt);
void jobs_take_away(struct job *job);
/* A job that left its worker without an end: wait, queue or rest. `due`: not
 * before (ns); 0: at once. */
void jobs_requeue(struct sched *s, struct job *job, int64_t due);
/* Queue what was put off until now. */
void jobs_wake(struct sched *s);

/* Apply a record, live or replayed. */
void jobs_result(struct sched *s, const struct wire_record_result *r);
/* The same for a job at hand that is not done. */
void jobs_take_result(struct sched *s, struct job *job,
                      const struct wire_record_result *r);
void jobs_failure(struct sched *s, const struct wire_record_failure *r);

struct wire_token jobs_token(const struct job *job);
/* "quickstart #12 copy"; returns `text`. */
enum { JOBS_LABEL = 192 };
char *jobs_label(const struct job *job, char text[JOBS_LABEL]);

#endif
