#include "jobs/merge_input.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "jobs/merge/merge_match.h"
#include "jobs/merge_statistics.h"

/* Whose tensors; `model` is SIZE_MAX for the base. */
struct layers {
    const struct merge_config *config;
    size_t model;
    bool (*wanted)(void *self, const char *name); /* NULL: all are */
    void *self;
};

static bool is_in(const struct merge_source *source, const struct layers *l,
                  uint64_t layer)
{
    return source->model == l->model &&
           (source->end == 0 || (layer >= source->from && layer < source->end));
}

/* Of a merge by slices the layers that one of them takes, and what is in no
 * layer. */
static bool is_needed(void *self, const char *name)
{
    const struct layers *l = self;
    size_t at, end;
    int64_t layer = depth_layer(name, &at, &end);

    if (layer < 0 || (l->model == SIZE_MAX && !l->config->deltas))
        return true;
    for (size_t i = 0; i < merge_config_slices(l->config); i++) {
        struct merge_slice slice;

        merge_config_slice(l->config, i, &slice);
        if (l->config->deltas && is_in(&slice.base, l, (uint64_t)layer))
            return true;
        for (size_t k = 0; k < slice.count; k++) {
            if (is_in(&slice.sources[k], l, (uint64_t)layer))
                return true;
        }
    }
    return false;
}

/* Of a merge of whole models what the caller wants, and heads that may be
 * tied: they are compared with their embeddings. */
static bool is_wanted(void *self, const char *name)
{
    const struct layers *l = self;
    const char *head, *embedding;

    for (size_t i = 0; merge_tied_pair(i, &head, &embedding); i++) {
        if (strcmp(name, head) == 0 || strcmp(name, embedding) == 0)
            return true;
    }
    return l->wanted(l->self, name);
}

static struct status open_model(const struct layers *chosen, size_t number,
                                const json_t *model,
                                struct job_context *context,
                                struct recipe_model **ret_model)
{
    const struct merge_config *config = chosen->config;
    struct layers layers = *chosen;
    bool (*needed)(void *self, const char *name) = NULL;
    char label[128];

    layers.model = number;
    /* Of a slice tensors have other names, of other tokens all embeddings are
     * looked at. */
    if (config->slices != NULL)
        needed = is_needed;
    else if (chosen->wanted != NULL && config->tokenizer == NULL)
        needed = is_wanted;
    TRY(recipe_open_some(model, context, needed, &layers, ret_model), "%s",
        merge_model_label(model, label, sizeof label));
    return SUCCESS;
}

struct status merge_input_open_some(struct merge_input *in,
                                    const struct merge_config *config,
                                    bool (*wanted)(void *self,
                                                   const char *name),
                                    void *self, struct job_context *context)
{
    const struct layers layers = { .config = config,
                                   .wanted = wanted,
                                   .self = self };

    *in = (struct merge_input){ .base = NULL };
    if (config->base != NULL) {
        TRY_PLAIN(
            open_model(&layers, SIZE_MAX, config->base, context, &in->base));
        in->inputs.base = recipe_tensors(in->base);
        TRY_PLAIN(recipe_files(in->base, &in->base_files));
        in->inputs.base_files = &in->base_files;
    }
    for (size_t i = 0; i < config->count; i++) {
        TRY_PLAIN(
            open_model(&layers, i, config->models[i], context, &in->tasks[i]));
        in->inputs.tasks[i] = recipe_tensors(in->tasks[i]);
        TRY_PLAIN(recipe_files(in->tasks[i], &in->files[i]));
        in->inputs.files[i] = &in->files[i];
    }
    return SUCCESS;
}

struct status merge_input_open(struct merge_input *in,
                               const struct merge_config *config,
                               struct job_context *context)
{
    TRY_PLAIN(merge_input_open_some(in, config, NULL, NULL, context));
    if (config->statistics == NULL)
        return SUCCESS;
    TRY(merge_statistics_read(config->statistics, context, &in->statistics,
                              &in->statistics_size),
        "statistics");
    return SUCCESS;
}

void merge_input_know(const struct merge_input *in, struct merge *m)
{
    if (in->statistics != NULL)
        merge_know(m, in->statistics, in->statistics_size);
}

void merge_input_release(struct merge_input *in)
{
    free(in->statistics);
    recipe_close(in->base);
    merge_files_release(&in->base_files);
    for (size_t i = 0; i < LIMIT_MODELS; i++) {
        recipe_close(in->tasks[i]);
        merge_files_release(&in->files[i]);
    }
    *in = (struct merge_input){ .base = NULL };
}
