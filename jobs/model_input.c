#include "jobs/model_input.h"

#include <inttypes.h>
#include <stdio.h>

#include "model/tokenizer.h"
#include "tensor/blas.h"

static void log_extra(const struct model *m, struct job_context *context)
{
    char line[512];

    for (char **name = m->extra; *name != NULL; name++) {
        (void)snprintf(line, sizeof(line),
                       "tensor \"%s\" is not part of the architecture; it "
                       "is left out",
                       *name);
        context->log(context->self, line);
    }
}

static struct status build(struct model_input *in, enum model_memory memory)
{
    const json_t *json = recipe_config(in->recipe);
    struct model_config config;

    if (json == NULL)
        return FAIL(STATUS_INVALID,
                    "there is no config.json; give the directory of the "
                    "model, not one file of it");
    TRY_PLAIN(model_config_read(json, &config));
    TRY_PLAIN(tokenizer_check(json));
    return model_load(&config, recipe_tensors(in->recipe), memory, &in->model);
}

struct status model_input_open(const json_t *params,
                               struct job_context *context,
                               enum model_memory memory,
                               struct model_input *ret_input)
{
    struct model_input in = { .recipe = NULL };
    json_t *value;
    struct status s;

    TRY_PLAIN(json_member_object(params, "model", &value));
    TRY(recipe_open(value, context, &in.recipe), "model");
    s = build(&in, memory);
    if (status_failed(&s)) {
        model_input_release(&in);
        return status_wrap(s, "model");
    }
    blas_set_threads(1); /* whatever the job may use: the same bits anywhere */
    log_extra(in.model, context);
    *ret_input = in;
    return SUCCESS;
}

void model_input_release(struct model_input *in)
{
    model_free(in->model);
    recipe_close(in->recipe);
    *in = (struct model_input){ .recipe = NULL };
}

struct status model_input_fits(size_t bytes, const char *what,
                               const struct job_context *context)
{
    if (context->memory_bytes > 0 && bytes > (uint64_t)context->memory_bytes)
        return FAIL(STATUS_NO_MEMORY,
                    "%s takes %zu bytes, the slot has %" PRId64
                    "; give the worker more --memory or fewer slots",
                    what, bytes, context->memory_bytes);
    return SUCCESS;
}
