/* expansion.h -- the jobs of trial i without a tree of JSON: what
 * compiled_trial() and compiled_stages() give, byte for byte, at the pace at
 * which a broker hands out work. Pure.
 *
 * Parameters are rendered from templates that were cut into texts and holes
 * once, into memory that the caller keeps from trial to trial: no allocation
 * per trial once that memory has grown to its size. */
#ifndef SINTER_SWEEP_EXPANSION_H
#define SINTER_SWEEP_EXPANSION_H

#include "sweep/compiled.h"

/* Some KB for a sweep of a few stages: made when the sweep gets its first
 * trial, freed when it ends. */
struct expansion;
/* `c` must outlive it. */
struct expansion *expansion_new(const struct compiled *c);
void expansion_free(struct expansion *e); /* NULL is fine */

/* One serves any number of expansions. */
struct expansion_scratch;
struct expansion_scratch *expansion_scratch_new(void);
void expansion_scratch_free(struct expansion_scratch *s); /* NULL is fine */

/* All in it is borrowed until the next call with this expansion or this
 * scratch. */
struct expansion_trial {
    const struct stage_job *jobs; /* in dependency order; evaluators last */
    size_t count;
    bool excluded; /* then there are no jobs */
};

/* Trial 0 ... compiled_trial_limit()-1. Fails as compiled_trial() and
 * compiled_stages() do: NOT_FOUND; INVALID when no variant of a needed stage
 * fits; TOO_BIG. */
MUST_CHECK struct status expansion_trial(struct expansion *e, uint64_t trial,
                                         struct expansion_scratch *scratch,
                                         struct expansion_trial *ret_trial);

#endif
