/* passes.h -- how often a plan's merges read their models, on workers of this
 * machine, with and without sharing. */
#ifndef SINTER_CLI_PASSES_H
#define SINTER_CLI_PASSES_H

#include "cli/model_survey.h"
#include "sweep/plan.h"

/* What merges run on. */
struct passes_farm {
    uint64_t slots;
    uint64_t keep; /* bytes each slot may keep merged models in */
};

struct passes {
    uint64_t points; /* merges */
    uint64_t passes; /* over the inputs, if each method needs one round */
    /* Bytes of models read, as far as their sizes are known. */
    uint64_t bytes, bytes_alone;
};

/* What `sinter run` would start. */
struct passes_farm passes_farm_here(void);
/* Of a lazy stage; all 0 for others. */
struct passes passes_of(const struct plan_stage *s,
                        const struct model_survey *survey,
                        const struct passes_farm *farm);

#endif
