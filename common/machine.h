/* machine.h -- what this process may use of the machine it is on: the least of
 * what the hardware has and the control groups grant. */
#ifndef SINTER_COMMON_MACHINE_H
#define SINTER_COMMON_MACHINE_H

#include "common/status.h"

#include <stdint.h>

/* At least 1. `root` stands before /proc and /sys: "" but in tests. */
uint64_t machine_cpus(const char *root);
/* Bytes; 0: not known. */
int64_t machine_memory(const char *root);
/* Processes that the kernel has killed for want of memory so far, in this
 * control group or, where that does not say, on the machine; -1: not known. */
int64_t machine_oom_kills(const char *root);
/* Raises the limit of open descriptors as far as the system allows. */
MUST_CHECK struct status machine_descriptors(uint64_t *ret_limit);

#endif
