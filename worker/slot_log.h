/* slot_log.h -- what a job printed: bytes in, its last lines out, clean. Pure.
 */
#ifndef SINTER_WORKER_SLOT_LOG_H
#define SINTER_WORKER_SLOT_LOG_H

#include "common/buf.h"
#include "common/wire.h"

#include <stdbool.h>
#include <stddef.h>

struct slot_log {
    struct buf raw;  /* a line that has not ended */
    struct buf line; /* one cleaned */
    struct buf tail; /* at most LIMIT_LOG_TAIL bytes, whole lines */
};

void slot_log_init(struct slot_log *l);
void slot_log_release(struct slot_log *l);
/* A new job: nothing is kept. */
void slot_log_clear(struct slot_log *l);

/* Add what came through the pipe, 64 KiB at most; true if a line has ended.
 * Lines are kept as UTF-8 without control characters (a '?' stands for each
 * bad byte; carriage returns end lines). */
bool slot_log_add(struct slot_log *l, const char *data, size_t size);
/* What came last is a line, though it has no newline. */
void slot_log_end(struct slot_log *l);
/* The last lines of the job. */
struct wire_bytes slot_log_tail(const struct slot_log *l);

#endif
