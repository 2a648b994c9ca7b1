/* program.h -- a program of somebody else's, run to its end.
 *
 * It gets a process group of its own, no input, no open files of ours, the
 * environment without SINTER_* but with what is given, and never survives the
 * call. */
#ifndef SINTER_JOBS_PROGRAM_H
#define SINTER_JOBS_PROGRAM_H

#include "common/buf.h"
#include "jobs/job_context.h"

struct program {
    char *const *command;           /* NULL-terminated; searched in PATH */
    const char *directory;          /* it runs in */
    const char *const *environment; /* "NAME=value", NULL-terminated */
    int64_t timeout_ms;             /* 0: none */
};

/* Standard output goes to `out` (its limit: TOO_BIG), lines of standard error
 * to the context's log. FAILED unless it ends with 0, with the last line it
 * wrote; TIMED_OUT, CANCELLED; NOT_FOUND if there is no such program. */
MUST_CHECK struct status program_run(const struct program *p,
                                     struct job_context *context,
                                     struct buf *out);

#endif
