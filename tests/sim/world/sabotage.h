/* sabotage.h -- worlds in which one rule is broken on purpose: the oracle must
 * see it. That proves that each invariant can be found broken at all. */
#ifndef SINTER_TESTS_SIM_WORLD_SABOTAGE_H
#define SINTER_TESTS_SIM_WORLD_SABOTAGE_H

#include "tests/sim/world/oracle.h"

struct sabotage {
    enum invariant expects; /* must be found broken */
    const char *what;
    void (*begin)(void);
    const char *family; /* where it shows */
};

extern const struct sabotage sabotages[];
extern const size_t sabotage_count;

/* NULL: none. After the world was made. */
void sabotage_begin(const struct sabotage *s);

#endif
