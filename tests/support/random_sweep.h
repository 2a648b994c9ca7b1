/* random_sweep.h -- compiled sweeps of every shape, by number: what the fast
 * and the slow way from a trial to its jobs are compared on. */
#ifndef SINTER_TESTS_SUPPORT_RANDOM_SWEEP_H
#define SINTER_TESTS_SUPPORT_RANDOM_SWEEP_H

#include <stdint.h>

#include "common/json.h"

/* The document (docs/compiled.md) of that number; the caller decrefs. Most
 * can be read; some have too few variants for some trials, or points that are
 * excluded. */
json_t *random_sweep(uint32_t number);
/* The same with an evaluator that compares stages of two replicates, and
 * without expressions that name the seed. */
json_t *random_sweep_of_pairs(uint32_t number);

#endif
