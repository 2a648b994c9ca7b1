/* process.h -- real programs for tests: started, waited for, killed, in a
 * directory of their own that is removed at the end. */
#ifndef SINTER_TESTS_SUPPORT_PROCESS_H
#define SINTER_TESTS_SUPPORT_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { SCRATCH_SIZE = 64 };

/* A new private directory under /tmp, short enough for unix sockets. */
void scratch_make(char path[SCRATCH_SIZE]);
void scratch_remove(const char *path);

/* argv[0] is looked up in PATH unless it has a '/'. Output goes to
 * `output` (appended); the process dies with the test. */
pid_t process_start(const char *const *argv, const char *output);
/* Signal (0: none) and wait. The exit status as waitpid() gives it. */
int process_end(pid_t pid, int signal);
/* SIGTERM and wait; did it end by itself, with 0? */
bool process_stop(pid_t pid);

/* True once `path` exists; false after `ms`. */
bool wait_for_file(const char *path, int64_t ms);

/* A redis-server with AOF on DIR/redis.sock; answers when it returns. */
pid_t redis_start(const char *directory, const char *fsync);

#endif
