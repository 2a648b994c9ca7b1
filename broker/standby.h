/* standby.h -- a broker that does not lead, or no more: whoever speaks to it
 * is told who does. */
#ifndef SINTER_BROKER_STANDBY_H
#define SINTER_BROKER_STANDBY_H

#include "broker/loop.h"

/* Until the leader's key is ours (ret_leads), or told to stop. Needs the
 * loop's link, hatch, keeper and descriptors. */
MUST_CHECK struct status standby_wait(struct loop *l, bool *ret_leads);

/* Give the lead away: everybody who is connected is told who has it, for
 * which we wait so long. */
MUST_CHECK struct status standby_depart(struct loop *l, int64_t patience_ms);

#endif
