/* process.h -- programs of this project as children of the CLI. */
#ifndef SINTER_CLI_PROCESS_H
#define SINTER_CLI_PROCESS_H

#include "common/status.h"

#include <stdint.h>
#include <sys/types.h>

/* `name` next to the running program, else on PATH; the caller frees.
 * NOT_FOUND says where it was looked for. */
MUST_CHECK struct status process_find(const char *name, char **ret_path);

/* Start argv[0] in a process group of its own (Ctrl-C reaches only us), both
 * outputs appended to `log`, `extra` ("NAME=value" or NULL) added to the
 * environment. It gets SIGTERM when the calling thread ends, however it ends.
 * What cannot be executed ends with exit code 127. */
MUST_CHECK struct status process_start(char *const *argv, const char *log,
                                       const char *extra, pid_t *ret_pid);

/* Has it ended? `ret_how` says how ("exit code 1", "killed by signal 9"). */
bool process_ended(pid_t pid, char *ret_how, size_t size);

/* SIGTERM, then after `patience_ms` SIGKILL; returns when it is gone. */
void process_stop(pid_t pid, int64_t patience_ms);

#endif
