/* A compiled sweep as a hostile client might send it. Both ways to the jobs of
 * a trial must agree. */
#include <stdlib.h>
#include <string.h>

#include "sweep/compiled.h"
#include "sweep/expansion.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool agreed)
{
    if (!agreed)
        abort();
}

static void compare(const struct stage_jobs *slow,
                    const struct expansion_trial *fast)
{
    must(slow->count == fast->count);
    for (size_t i = 0; i < slow->count; i++) {
        const struct stage_job *a = &slow->items[i];
        const struct stage_job *b = &fast->jobs[i];

        must(a->params_size == b->params_size &&
             memcmp(a->params, b->params, a->params_size) == 0);
        must(digest_equal(&a->key, &b->key) && a->family == b->family);
        must(a->input_count == b->input_count);
    }
}

static void try_both(const struct compiled *c, const json_t *values,
                     bool excluded, uint64_t trial)
{
    struct expansion *e = expansion_new(c);
    struct expansion_scratch *scratch = expansion_scratch_new();
    struct stage_jobs slow = { 0 };
    struct expansion_trial fast;
    struct status st = compiled_stages(c, values, &slow);
    struct status other = expansion_trial(e, trial, scratch, &fast);

    must(excluded ? fast.excluded : st.code == other.code);
    if (!excluded && !status_failed(&st))
        compare(&slow, &fast);
    if (!status_failed(&st))
        stage_jobs_release(&slow);
    expansion_scratch_free(scratch);
    expansion_free(e);
}

static void try_trial(const struct compiled *c, uint64_t trial)
{
    json_t *values = NULL;
    json_t *out = NULL;
    bool excluded;
    struct status st = compiled_trial(c, trial, &values, &excluded);

    if (status_failed(&st))
        return;
    try_both(c, values, excluded, trial);
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
