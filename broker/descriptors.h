/* descriptors.h -- how many files and sockets this process may have open: each
 * worker takes one, and a listener without any more is deaf and spins. */
#ifndef SINTER_BROKER_DESCRIPTORS_H
#define SINTER_BROKER_DESCRIPTORS_H

#include "common/status.h"

#include <stdint.h>

struct descriptors {
    uint64_t limit;
    uint64_t open;    /* when last looked at */
    uint64_t workers; /* that may connect */
    int64_t next;     /* ns: looked at again */
    bool alarm;       /* it was said that they run out */
};

/* Before any socket: raises the limit as far as it goes. `wanted`: workers; 0:
 * as many as it allows. INVALID: it does not allow so many. */
MUST_CHECK struct status descriptors_prepare(struct descriptors *d,
                                             uint64_t wanted);
/* The same, for a limit. */
MUST_CHECK struct status descriptors_share(struct descriptors *d,
                                           uint64_t wanted);

/* Every turn: counts them now and then. */
void descriptors_watch(struct descriptors *d, int64_t now);
/* Raises or ends the alarm. True: that is news. */
bool descriptors_judge(struct descriptors *d);

#endif
