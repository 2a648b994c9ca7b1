/* phase.h -- the map of a sweep over temperature and load (`report.phase`):
 * errors, how pairs of replicates relate, regimes, and what follows. Pure. */
#ifndef SINTER_CLI_PHASE_H
#define SINTER_CLI_PHASE_H

#include "common/json.h"
#include "common/status.h"
#include "sweep/regime.h"

#include <stdbool.h>
#include <stddef.h>

/* In the order of `maps`. */
enum phase_map { PHASE_ERROR, PHASE_LMC, PHASE_CKA, PHASE_MAPS };

struct phase_cell {
    struct estimate maps[PHASE_MAPS]; /* count 0: nothing was measured */
    double above_best;  /* error minus the least of its column; NaN: none */
    enum regime regime; /* REGIME_NONE: not measured, or too hot */
    enum certainty certainty;
    size_t failed; /* trials */
};

struct phase_row {
    json_t *value; /* the temperature; borrowed */
    struct estimate dense;
    bool too_hot; /* the dense model diverged */
};

/* Of one load. */
struct phase_column {
    json_t *value;   /* borrowed */
    size_t best;     /* row of the least error; phase.rows: none */
    size_t by_dense; /* row that the dense error would choose, or none */
    size_t by_pairs; /* row that LMC, then CKA would choose, or none */
    double dense_rank, lmc_rank, cka_rank; /* Spearman, with the accuracy */
};

struct phase {
    const char *x, *y; /* names of the parameters; borrowed from the spec */
    const char *maps[PHASE_MAPS], *dense; /* metrics; NULL: none */
    struct regime_limits limits;
    json_t *xs, *ys; /* arrays of values in order, the hot end first */
    size_t columns, rows;
    struct phase_cell *cells; /* row by row */
    struct phase_row *row;
    struct phase_column *column;
    size_t start; /* row of the temperature to start from */
};

/* `spec`: a compiled document with `report.phase`; `trials` as the verb
 * "trials" gives them. Both must outlive it. INVALID when the sweep has no
 * such map, or one too large. */
MUST_CHECK struct status phase_make(const json_t *spec, const json_t *trials,
                                    struct phase *ret_phase);
void phase_release(struct phase *p);

const struct phase_cell *phase_cell(const struct phase *p, size_t row,
                                    size_t column);
/* "I", "II-A?", "too hot"; "" where nothing can be said. */
void phase_label(const struct phase *p, size_t row, size_t column,
                 char text[16]);
/* Which way to turn the temperature from where it starts: "raise", "lower",
 * "keep"; "" where nothing can be said. */
const char *phase_advice(const struct phase *p, size_t column);

#endif
