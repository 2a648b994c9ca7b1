#include "broker/queries.h"

#include "broker/core/report.h"
#include "broker/core/why.h"

enum { TRIALS_MOST = 1000 }; /* of one answer */

MUST_CHECK static struct status sweep_of(const struct sched *s,
                                         const json_t *arguments,
                                         const struct sweep **ret_sweep)
{
    const char *text = NULL;

    TRY_PLAIN(json_member_text(arguments, "sweep", &text));
    return report_find(s, text, ret_sweep);
}

MUST_CHECK static struct status answer_status(const struct sched *s,
                                              const json_t *arguments,
                                              json_t **ret_body)
{
    const struct sweep *sweep = NULL;

    TRY_PLAIN(sweep_of(s, arguments, &sweep));
    *ret_body = report_status(s, sweep);
    return SUCCESS;
}

MUST_CHECK static struct status answer_sweeps(const struct sched *s,
                                              const json_t *arguments,
                                              json_t **ret_body)
{
    (void)arguments;
    *ret_body = report_sweeps(s);
    return SUCCESS;
}

MUST_CHECK static struct status answer_spec(const struct sched *s,
                                            const json_t *arguments,
                                            json_t **ret_body)
{
    const struct sweep *sweep = NULL;

    TRY_PLAIN(sweep_of(s, arguments, &sweep));
    *ret_body = report_spec(sweep);
    return SUCCESS;
}

MUST_CHECK static struct status answer_trials(const struct sched *s,
                                              const json_t *arguments,
                                              json_t **ret_body)
{
    int64_t from = json_int_or(arguments, "from", 0);
    int64_t limit = json_int_or(arguments, "limit", TRIALS_MOST);
    const struct sweep *sweep = NULL;

    if (from < 0 || limit < 1)
        return FAIL(STATUS_INVALID,
                    "\"from\" is 0 or more, \"limit\" 1 to "
                    "%d",
                    TRIALS_MOST);
    TRY_PLAIN(sweep_of(s, arguments, &sweep));
    *ret_body = report_trials(s, sweep, (uint64_t)from,
                              limit > TRIALS_MOST ? (uint64_t)TRIALS_MOST
                                                  : (uint64_t)limit);
    return SUCCESS;
}

MUST_CHECK static struct status number_of(const json_t *arguments,
                                          uint64_t *ret_number)
{
    int64_t number = 0;

    TRY_PLAIN(json_member_int(arguments, "trial", &number));
    *ret_number = number < 0 ? 0 : (uint64_t)number;
    return SUCCESS;
}

MUST_CHECK static struct status answer_trial(const struct sched *s,
                                             const json_t *arguments,
                                             json_t **ret_body)
{
    const struct sweep *sweep = NULL;
    uint64_t number = 0;

    TRY_PLAIN(sweep_of(s, arguments, &sweep));
    TRY_PLAIN(number_of(arguments, &number));
    return report_trial(s, sweep, number, ret_body);
}

MUST_CHECK static struct status answer_logs(const struct sched *s,
                                            const json_t *arguments,
                                            json_t **ret_body)
{
    const struct sweep *sweep = NULL;
    uint64_t number = 0;

    TRY_PLAIN(sweep_of(s, arguments, &sweep));
    TRY_PLAIN(number_of(arguments, &number));
    return report_logs(s, sweep, number, json_text_or(arguments, "stage", NULL),
                       ret_body);
}

MUST_CHECK static struct status answer_workers(const struct sched *s,
                                               const json_t *arguments,
                                               json_t **ret_body)
{
    (void)arguments;
    *ret_body = report_workers(s);
    return SUCCESS;
}

MUST_CHECK static struct status answer_depot(const struct sched *s,
                                             const json_t *arguments,
                                             json_t **ret_body)
{
    (void)arguments;
    *ret_body = report_depot(s);
    return SUCCESS;
}

/* A trial if one is named, else the sweep; else the worker. */
MUST_CHECK static struct status answer_why(const struct sched *s,
                                           const json_t *arguments,
                                           json_t **ret_body)
{
    const char *worker = json_text_or(arguments, "worker", NULL);
    const struct sweep *sweep = NULL;
    uint64_t number = 0;

    if (worker != NULL)
        return why_worker(s, worker, ret_body);
    TRY_PLAIN(sweep_of(s, arguments, &sweep));
    if (json_object_get(arguments, "trial") == NULL) {
        *ret_body = why_sweep(s, sweep);
        return SUCCESS;
    }
    TRY_PLAIN(number_of(arguments, &number));
    return why_trial(s, sweep, number, ret_body);
}

MUST_CHECK static struct status answer_scaling(const struct sched *s,
                                               const json_t *arguments,
                                               json_t **ret_body)
{
    (void)arguments;
    *ret_body = report_scaling(sched_demand(s));
    return SUCCESS;
}

const struct query queries[] = {
    { "status", "one sweep, in numbers", answer_status },
    { "sweeps", "all sweeps, oldest first", answer_sweeps },
    { "spec", "the compiled document of a sweep", answer_spec },
    { "trials", "trials from a cursor on, with values and metrics",
      answer_trials },
    { "trial", "one trial, with its jobs and its model", answer_trial },
    { "logs", "what the jobs of a trial wrote", answer_logs },
    { "workers", "who is connected, and what each does", answer_workers },
    { "scaling", "how many workers there should be, and why", answer_scaling },
    { "depot", "where artifacts are served", answer_depot },
    { "why", "why a sweep, a trial or a worker waits, failed or was stopped",
      answer_why },
    { 0 },
};

const struct query *query_find(struct wire_bytes verb)
{
    for (const struct query *q = queries; q->verb != NULL; q++)
        if (wire_is(verb, q->verb))
            return q;
    return NULL;
}
