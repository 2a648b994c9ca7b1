/* file.h -- whole files, read with a limit and written to be whole or absent. */
#ifndef SINTER_COMMON_FILE_H
#define SINTER_COMMON_FILE_H

#include "common/status.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

/* The bytes and a NUL behind them; the caller frees. */
MUST_CHECK struct status file_read(const char *path, size_t limit,
                                   char **ret_text, size_t *ret_size);
/* Written beside, synced, renamed: a reader sees the old or the new file. */
MUST_CHECK struct status file_write(const char *path, const void *data,
                                    size_t size);
/* mkdir -p with mode 0755. */
MUST_CHECK struct status file_make_directories(const char *path);
/* rm -r; an absent path is success. */
MUST_CHECK struct status file_remove_tree(const char *path);
/* Calls `visit` with the path of each thing in a directory whose name does not
 * begin with a dot; an absent directory holds nothing. */
void file_each(const char *directory,
               void (*visit)(void *self, const char *path), void *self);
/* fsync of a directory, so that a rename in it survives a power loss. */
MUST_CHECK struct status file_sync_directory(const char *path);
bool file_exists(const char *path);
/* Is a file with a secret in it kept as one? DENIED when others than its owner
 * could read it (one of another owner may be readable by our group, as
 * Kubernetes mounts them). */
MUST_CHECK struct status file_check_secret(const char *path);
/* Is the open file still the one of that name? Whoever locks a file asks so
 * afterwards: it may have been removed between open() and the lock. */
bool file_is_at(int fd, const char *path);

/* Closes it unless it is -1, which it is then. */
void file_close(int *fd);

/* The status code an errno deserves: NO_SPACE, DENIED, NOT_FOUND ... */
enum status_code file_error(int error);
#define FAIL_ERRNO(verb, path) \
    FAIL(file_error(errno), "%s %s: %s", (verb), (path), strerror(errno))

#endif
