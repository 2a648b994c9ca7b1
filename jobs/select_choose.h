/* select_choose.h -- the last step of a selection: from what is known of each
 * sample to the ids, with a reason for each. */
#ifndef SINTER_JOBS_SELECT_CHOOSE_H
#define SINTER_JOBS_SELECT_CHOOSE_H

#include "jobs/job_context.h"
#include "jobs/select/pick.h"
#include "jobs/select_stages.h"
#include "jobs/select_store.h"

/* All arrays are by place among the kept samples. */
struct selection {
    const json_t *params;
    struct job_context *context;
    const struct select_method *method;

    struct select_opened pool; /* select_samples */
    size_t count, kept_count;
    uint32_t *kept;        /* numbers of samples */
    uint32_t *line, *same; /* [count] */
    uint64_t *begin;       /* of concepts; NULL: not looked at */
    uint32_t *concepts;

    json_t *cluster_notes; /* NULL: no clusters */
    uint32_t *labels;
    float *plane;

    json_t *damage_notes;
    double *damage;
    uint32_t *prompt, *answer;

    struct pick pick;
};

MUST_CHECK struct status select_choose(const json_t *params,
                                       struct job_context *context,
                                       json_t **ret_result);

/* --- select_report.c ---------------------------------------------------------- */

/* The files of the artifact: selection.json, selection.jsonl, rejected.jsonl,
 * both as the table selection.csv and, with clusters, plane.json. */
MUST_CHECK struct status select_report(const struct selection *s,
                                       const char *directory);
/* Numbers of the result. */
json_t *select_report_metrics(const struct selection *s);

#endif
