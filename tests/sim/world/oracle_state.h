/* oracle_state.h -- what the files of the oracle share; nobody else includes
 * it. */
#ifndef SINTER_TESTS_SIM_WORLD_ORACLE_STATE_H
#define SINTER_TESTS_SIM_WORLD_ORACLE_STATE_H

#include "common/map.h"
#include "tests/sim/world/oracle.h"

void oracle_log_begin(void);
void oracle_log_end(void);
void oracle_wire_begin(void);
void oracle_wire_end(void);

/* "epoch.attempt of 12ab", valid until the next but three calls. */
const char *oracle_token(const struct wire_token *t);

#endif
