/* Labels of the three-regime model. */
#include "tests/golden/golden.h"

#include <stdio.h>

#include "sweep/regime.h"

struct status golden_regime(const char *directory, const json_t *entry,
                            struct verdict *v)
{
    const json_t *params = json_object_get(entry, "params");
    const struct regime_limits limits = {
        .lmc = json_real_or(params, "tau_l", -1.0),
        .cka = json_real_or(params, "tau_c", -1.0),
    };
    AUTO(golden_close) struct st_model *file = NULL;
    const struct tensor *lmc, *cka, *label;

    TRY_PLAIN(golden_open(directory, json_text_or(entry, "file", ""), &file));
    TRY_PLAIN(golden_need(st_model_tensors(file), "lmc", &lmc));
    TRY_PLAIN(golden_need(st_model_tensors(file), "cka", &cka));
    TRY_PLAIN(golden_need(st_model_tensors(file), "label", &label));
    for (size_t i = 0; i < label->count; i++)
        golden_compare(v, "label", i,
                       (double)regime_of(golden_element(lmc, i),
                                         golden_element(cka, i), &limits),
                       (double)golden_whole(label, i),
                       (struct tolerance){ .absolute = 0.0 });
    return SUCCESS;
}
