/* crew.h -- the workers of a run on this machine, and what each may use: they
 * share its processors and its memory. Pure. */
#ifndef SINTER_CLI_CREW_H
#define SINTER_CLI_CREW_H

#include "common/json.h"
#include "common/status.h"

#include <stddef.h>
#include <stdint.h>

/* What the machine grants us. */
struct crew_machine {
    size_t processors;
    uint64_t memory; /* bytes; 0: not known */
};

struct crew {
    size_t workers; /* 0, of one that is wanted: as many as are good */
    size_t slots;   /* of each */
};

/* For each of so many workers: processors (at least 1), bytes of memory, and
 * how many of these may hold merged models. */
size_t crew_cpus(const struct crew_machine *m, size_t workers);
uint64_t crew_memory(const struct crew_machine *m, size_t workers);
uint64_t crew_keep(const struct crew_machine *m, size_t workers);

/* So that no more jobs run at once than there are processors and memory for,
 * and none asks for more than its worker has. */
MUST_CHECK struct status crew_choose(const struct crew_machine *m,
                                     const json_t *document,
                                     const struct crew *wanted,
                                     struct crew *ret_crew);

#endif
