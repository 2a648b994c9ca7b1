/* slot.h -- one slot as its worker sees it: a child process in a process
 * group of its own that runs one job at a time.
 *
 * The process is this program again (--slot-fd), started by posix_spawn when
 * a job needs it and after each death. What the job prints goes through a
 * pipe; its last lines are kept here, so they outlive a crash. One thread
 * owns it; nothing here blocks but the wait for a process already dead. */
#ifndef SINTER_WORKER_SLOT_H
#define SINTER_WORKER_SLOT_H

#include "common/wire.h"

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct slot; /* opaque */

/* `argv` is the worker's own command line, NULL-terminated and borrowed; the
 * child gets it with --slot-fd added, so both read the same settings. */
struct slot *slot_new(char *const *argv);
/* Kills its process; NULL is fine. */
void slot_free(struct slot *s);

/* Give it a job. It must have none. */
MUST_CHECK struct status slot_run(struct slot *s,
                                  const struct wire_message *run);
/* Another message for the job it has. */
MUST_CHECK struct status slot_tell(struct slot *s,
                                   const struct wire_message *m);
/* SIGTERM, SIGKILL to its process group; nothing if it has no process. */
void slot_stop(const struct slot *s);
void slot_kill(struct slot *s);
/* 0: none now. */
pid_t slot_pid(const struct slot *s);
/* Its job may take so much memory, mapped files aside; 0: any. Until the next
 * job. */
void slot_limit_memory(struct slot *s, int64_t bytes);
/* Look whether it does: if it takes more, it is killed. Now and then. */
void slot_check_memory(struct slot *s);

enum { SLOT_FDS = 2 };
/* What to poll; fd -1 where there is nothing. */
void slot_poll(const struct slot *s, struct pollfd fds[SLOT_FDS]);

struct slot_event {
    enum slot_event_type {
        SLOT_PROGRESS, /* outcome.token is not set; `progress` is */
        SLOT_LOG,      /* `text`: the job's last lines, all of them */
        SLOT_DONE,     /* `outcome` of its job */
        SLOT_DIED,     /* no process any more; `outcome` of the job it had */
    } type;
    struct wire_progress progress;
    struct wire_bytes text;
    struct wire_outcome outcome;
};

/* What happened since; false: nothing more now. Contents are valid until the
 * next call for this slot. A job's last lines come before its end. */
bool slot_next(struct slot *s, struct slot_event *ret_event);

#endif
