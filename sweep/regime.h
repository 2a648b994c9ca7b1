/* regime.h -- the regimes of a model that was pruned and trained again, by how
 * two such runs from the same start relate to each other. Pure.
 *
 *   I     they are not connected: on the straight line between them the
 *         error rises (LMC below minus a threshold)
 *   II-A  they are connected, but their outputs differ (CKA below another)
 *   II-B  they are connected and alike
 *
 * Published borders were drawn by eye; the thresholds are read off those
 * figures, that of CKA depends on the data. */
#ifndef SINTER_SWEEP_REGIME_H
#define SINTER_SWEEP_REGIME_H

#include "common/estimate.h"

enum regime { REGIME_I, REGIME_IIA, REGIME_IIB, REGIME_NONE };

struct regime_limits {
    double lmc;     /* I: below minus this */
    double cka;     /* II-B: from here on */
    double too_hot; /* error of a dense model that has diverged */
};

enum regime regime_of(double lmc, double cka,
                      const struct regime_limits *limits);

/* Does a standard error up or down leave the label what it is? From one
 * measurement nobody knows. */
enum certainty { CERTAINTY_UNKNOWN, CERTAINTY_DOUBTFUL, CERTAINTY_SURE };
enum certainty regime_certainty(const struct estimate *lmc,
                                const struct estimate *cka,
                                const struct regime_limits *limits);

const char *regime_name(enum regime r);   /* "II-A"; "" for none */
const char *regime_advice(enum regime r); /* for the temperature */

#endif
