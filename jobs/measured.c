#include "jobs/measured.h"

struct status measured_open(struct measured *m, const json_t *params,
                            size_t window, struct job_context *context)
{
    TRY_PLAIN(model_input_open(params, context, MODEL_BORROW, &m->input));
    return evaluation_open(m->input.model, m->input.tokenizer,
                           json_object_get(params, "data"), window, context,
                           &m->e);
}

void measured_release(struct measured *m)
{
    evaluation_release(&m->e);
    model_input_release(&m->input);
}
