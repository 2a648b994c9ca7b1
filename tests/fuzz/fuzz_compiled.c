/* A compiled sweep as a hostile client might send it. */
#include <stdlib.h>

#include "sweep/compiled.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_trial(const struct compiled *c, uint64_t trial)
{
    struct stage_jobs jobs;
    json_t *values = NULL;
    json_t *out = NULL;
    bool excluded;
    struct status st = compiled_trial(c, trial, &values, &excluded);

    if (status_failed(&st))
        return;
    st = compiled_stages(c, values, &jobs);
    if (!status_failed(&st))
        stage_jobs_release(&jobs);
    st = compiled_model(c, values, &out);
    json_decref(out);
    out = NULL;
    st = compiled_export_document(c, values, 1, &out);
    json_decref(out);
    out = NULL;
    st = compiled_metrics(c, values, &out);
    json_decref(out);
    json_decref(values);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct compiled *c = NULL;
    struct status st = compiled_parse((const char *)data, size, &c);
    uint64_t count;

    if (status_failed(&st))
        return 0;
    count = compiled_trial_count(c);
    try_trial(c, 0);
    try_trial(c, count / 2);
    try_trial(c, count - 1);
    try_trial(c, count);
    compiled_free(c);
    return 0;
}
