/* orphans.h -- processes that a dead slot left behind, such as the program of
 * an external evaluator: they become this process's children and are ended. */
#ifndef SINTER_WORKER_ORPHANS_H
#define SINTER_WORKER_ORPHANS_H

#include <stdbool.h>
#include <sys/types.h>

/* Be who gets them, instead of process 1. */
void orphans_adopt(void);
/* End those there are: the children `is_ours` does not know, each with its
 * process group. */
void orphans_kill(bool (*is_ours)(void *self, pid_t pid), void *self);
/* On SIGCHLD: forget those that have ended. Ours are left alone. */
void orphans_reap(bool (*is_ours)(void *self, pid_t pid), void *self);

#endif
