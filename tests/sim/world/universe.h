/* universe.h -- one schedule: a world is made of a seed, goes wrong for a
 * while, is left in peace, and is judged. The same seed is the same story.
 *
 * The seed also picks the family of what goes wrong: seed % family_count. */
#ifndef SINTER_TESTS_SIM_WORLD_UNIVERSE_H
#define SINTER_TESTS_SIM_WORLD_UNIVERSE_H

#include "tests/sim/world/oracle.h"

/* Rules that are broken on purpose: sabotage.c has the table. */
struct sabotage;

struct universe_verdict {
    uint64_t broken[INVARIANT_COUNT];
    char story[500]; /* of the first; "": all is well */
    uint64_t events;
    int64_t ends; /* ns of the world's time */
};

struct universe_verdict universe_run(uint64_t seed,
                                     const struct sabotage *sabotage);

/* A world in which nothing goes wrong, and nobody is yet; for a test that
 * tells one story. All processes find their way out of it at the end. */
void universe_begin(uint64_t seed);
void universe_end(void);

#endif
