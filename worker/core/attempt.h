/* attempt.h -- one run of a job on this worker, from its assignment until the
 * broker has committed (or refused) its outcome. Pure; owned by session.c. */
#ifndef SINTER_WORKER_CORE_ATTEMPT_H
#define SINTER_WORKER_CORE_ATTEMPT_H

#include "common/buf.h"
#include "common/status.h"
#include "common/wire.h"

#include <stdbool.h>
#include <stdint.h>

enum attempt_state {
    ATTEMPT_QUEUED,   /* assigned, no slot yet */
    ATTEMPT_RUNNING,  /* in a slot */
    ATTEMPT_FINISHED, /* outcome kept until COMMITTED or STALE */
};

/* Why we ended a run ourselves. */
enum attempt_end {
    ATTEMPT_GOES_ON,
    ATTEMPT_CANCELLED, /* the broker asked: the outcome says so */
    ATTEMPT_TIMED_OUT, /* the outcome carries `why` */
    ATTEMPT_DROPPED,   /* nobody wants an outcome */
};

/* A message copied out of the buffer it was decoded from. */
struct kept {
    struct buf bytes;
    struct wire_decoded decoded;
};

struct attempt {
    struct attempt *next, *before; /* in one of the session's lists */
    enum attempt_state state;
    struct wire_token token;
    struct kept run;  /* WIRE_SLOT_RUN: the assignment */
    struct kept done; /* WIRE_DONE with one outcome, when FINISHED */

    struct digest model; /* of the text of the lazy model it reads first; all
                            zero: it reads none */
    size_t lane;     /* when QUEUED: slot its batch began in; SIZE_MAX: none */
    size_t slot;     /* when RUNNING */
    int64_t started; /* ns */
    int64_t moved;   /* ns, last sign of progress */
    struct wire_progress progress; /* its unit points to `unit` */
    char unit[16];
    bool told;      /* the broker has seen `progress` */
    struct buf log; /* last lines it wrote */
    bool log_told;  /* the broker has seen them */

    enum attempt_end end;
    char why[256];
    int64_t kill_at; /* ns, when a stopped slot is killed; 0: not stopped */

    int64_t logged; /* ns, when a LOG was sent last */

    int64_t sent;   /* ns, when DONE was sent last; 0: must be sent */
    uint64_t batch; /* number of the DONE it was sent in */
};

/* In the order they were added. */
struct attempt_list {
    struct attempt *first, *last;
    size_t count;
};

void attempt_list_add(struct attempt_list *list, struct attempt *a);
void attempt_list_remove(struct attempt_list *list, struct attempt *a);

/* TOO_BIG when the assignment cannot be passed on to a slot. */
MUST_CHECK struct status attempt_new(const struct wire_assignment *job,
                                     struct attempt **ret_attempt);
void attempt_free(struct attempt *a); /* NULL is fine */

/* The assignment; it points into the attempt. */
const struct wire_assignment *attempt_job(const struct attempt *a);

void attempt_set_progress(struct attempt *a, const struct wire_progress *p);
/* `text`: all its last lines; of more than LIMIT_LOG_TAIL bytes the end. */
void attempt_set_log(struct attempt *a, struct wire_bytes text);

/* Keep a copy of the outcome under the attempt's own token; state becomes
 * FINISHED. An outcome too big for a message becomes a failure that says so. */
void attempt_finish(struct attempt *a, const struct wire_outcome *outcome);
const struct wire_outcome *attempt_outcome(const struct attempt *a);
/* Bytes the outcome takes in a DONE, about. */
size_t attempt_outcome_size(const struct attempt *a);

#endif
