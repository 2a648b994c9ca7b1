/* rights.h -- which orders take more than the right to ask and to submit. */
#ifndef SINTER_BROKER_CORE_RIGHTS_H
#define SINTER_BROKER_CORE_RIGHTS_H

#include "common/curve.h"
#include "common/status.h"
#include "common/wire.h"

/* May a peer of this role send that? Read-only questions are not asked about.
 * DENIED says who may. */
MUST_CHECK struct status rights_check(enum curve_role role,
                                      const struct wire_message *m);

#endif
