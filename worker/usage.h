/* usage.h -- what a process and all that it started take of the machine. */
#ifndef SINTER_WORKER_USAGE_H
#define SINTER_WORKER_USAGE_H

#include <stdint.h>
#include <sys/types.h>

/* Bytes resident that are no file's (mapped models do not count); 0: there is
 * no such process, or the kernel does not say. */
int64_t usage_memory(pid_t pid);

#endif
