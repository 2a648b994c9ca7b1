#include "sweep/regime.h"

enum regime regime_of(double lmc, double cka,
                      const struct regime_limits *limits)
{
    if (lmc < -limits->lmc)
        return REGIME_I;
    return cka < limits->cka ? REGIME_IIA : REGIME_IIB;
}

enum certainty regime_certainty(const struct estimate *lmc,
                                const struct estimate *cka,
                                const struct regime_limits *limits)
{
    enum regime label = regime_of(lmc->mean, cka->mean, limits);

    if (lmc->count < 2 || cka->count < 2)
        return CERTAINTY_UNKNOWN;
    for (int i = -1; i <= 1; i += 2) {
        for (int j = -1; j <= 1; j += 2) {
            if (regime_of(lmc->mean + i * lmc->error,
                          cka->mean + j * cka->error, limits) != label)
                return CERTAINTY_DOUBTFUL;
        }
    }
    return CERTAINTY_SURE;
}

static const struct {
    const char *name, *advice;
} rows[] = {
    [REGIME_I] = { "I", "raise" },
    [REGIME_IIA] = { "II-A", "lower" },
    [REGIME_IIB] = { "II-B", "keep" },
    [REGIME_NONE] = { "", "" },
};

const char *regime_name(enum regime r)
{
    return rows[r].name;
}

const char *regime_advice(enum regime r)
{
    return rows[r].advice;
}
