/* report.h -- what people ask of the scheduler, as JSON. Reads, never
 * changes; the shapes are in docs/protocol.md. Each result is the caller's to
 * decref. */
#ifndef SINTER_BROKER_CORE_REPORT_H
#define SINTER_BROKER_CORE_REPORT_H

#include "broker/core/sched.h"
#include "common/json.h"

struct sweep;

/* Borrowed; sweeps.h says which texts name one. */
MUST_CHECK struct status report_find(const struct sched *s, const char *text,
                                     const struct sweep **ret_sweep);

json_t *report_status(const struct sched *s, const struct sweep *sweep);
json_t *report_sweeps(const struct sched *s);
json_t *report_workers(const struct sched *s);
/* {"url"}: what workers are told, for clients that fetch artifacts. */
json_t *report_depot(const struct sched *s);
/* How many workers there should be, and why (docs/autoscaling.md). */
json_t *report_scaling(const struct demand *d);
json_t *report_spec(const struct sweep *sweep);

/* Trials from index `from` on, at most `limit`, and where to go on. */
json_t *report_trials(const struct sched *s, const struct sweep *sweep,
                      uint64_t from, uint64_t limit);
/* `number` as people count, from 1. */
MUST_CHECK struct status report_trial(const struct sched *s,
                                      const struct sweep *sweep,
                                      uint64_t number, json_t **ret_trial);
/* `stage`: NULL for all. */
MUST_CHECK struct status report_logs(const struct sched *s,
                                     const struct sweep *sweep, uint64_t number,
                                     const char *stage, json_t **ret_logs);

/* A sweep in a few numbers, for who follows many of them; texts are borrowed
 * as long as the sweep lives. */
struct report_progress {
    const char *id, *name, *state;           /* "paused", or as in the status */
    uint64_t total, done, failed, cancelled; /* trials */
    uint64_t running;                        /* jobs at workers */
    bool has_best;
    double best;
    uint64_t best_trial; /* as people count, from 1 */
    double rate;         /* trials a second */
};

/* Sweeps are numbered from 0, in order of submission. */
size_t report_count(const struct sched *s);
struct report_progress report_progress(const struct sched *s, size_t number);

/* For the status: why the first failed trial failed; JSON null if none. */
json_t *report_first_failure(const struct sched *s, const struct sweep *sweep);

#endif
