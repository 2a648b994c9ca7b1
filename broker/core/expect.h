/* expect.h -- what jobs will be asked for soon is fetched for many of them side
 * by side: one after the other, each would wait for memory four times (for the
 * slot of its key, the job, its use and its need). */
#ifndef SINTER_BROKER_CORE_EXPECT_H
#define SINTER_BROKER_CORE_EXPECT_H

#include "broker/core/state.h"

enum { EXPECT_MOST = 32 };

/* Their jobs will have results soon. At most EXPECT_MOST. */
void expect_outcomes(const struct sched *s, const struct wire_outcome *outcomes,
                     size_t count);

#endif
