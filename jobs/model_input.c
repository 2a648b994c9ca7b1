#include "jobs/model_input.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "jobs/prune_body.h"

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

static struct status parse_tokenizer(const struct merge_files *files,
                                     const struct merge_file *file,
                                     struct tokenizer **ret_tokenizer)
{
    AUTO(free_pointer) char *text = NULL;
    size_t size;

    TRY_PLAIN(
        merge_files_read(files, (size_t)(file - files->items), &text, &size));
    return tokenizer_parse(text, size, file->name, ret_tokenizer);
}

/* How other programs store one; NULL: none of them. */
static const char *find_unknown(const struct merge_files *files)
{
    static const char *const names[] = { "tokenizer.model", "vocab.json" };

    for (size_t i = 0; i < COUNT_OF(names); i++)
        if (merge_files_find(files, names[i]) != NULL)
            return names[i];
    return NULL;
}

struct status model_input_tokenizer(const struct recipe_model *m,
                                    uint32_t vocab,
                                    struct tokenizer **ret_tokenizer)
{
    AUTO(merge_files_release) struct merge_files files = { .config = NULL };
    const json_t *json = recipe_config(m);
    const struct merge_file *file;

    *ret_tokenizer = NULL;
    if (strcmp(json_text_or(json, "tokenizer_class", ""), tokenizer_class) == 0)
        return tokenizer_check(json);
    TRY_PLAIN(recipe_files(m, &files));
    file = merge_files_find(&files, "tokenizer.json");
    if (file == NULL && find_unknown(&files) != NULL) {
        *ret_tokenizer = tokenizer_unknown(find_unknown(&files));
        return SUCCESS;
    }
    if (file == NULL)
        return tokenizer_check(json);
    TRY_PLAIN(parse_tokenizer(&files, file, ret_tokenizer));
    if (tokenizer_size(*ret_tokenizer) > vocab)
        return FAIL(STATUS_INVALID,
                    "tokenizer.json has tokens up to %zu; the model's "
                    "vocabulary is %u",
                    tokenizer_size(*ret_tokenizer) - 1, vocab);
    return SUCCESS;
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
    if (config.classes == 0)
        TRY_PLAIN(
            model_input_tokenizer(in->recipe, config.vocab, &in->tokenizer));
    return model_load(&config, recipe_tensors(in->recipe), memory, &in->model);
}

/* Of the files that a model is made of first of all; NULL: of a job. */
static const char *url_of(const json_t *model)
{
    while (model != NULL && json_object_get(model, "$source") == NULL) {
        const json_t *params =
            json_object_get(json_object_get(model, "$recipe"), "params");

        model = json_object_get(params, "model");
    }
    return json_text_or(json_object_get(model, "$source"), "url", NULL);
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
        const char *url = url_of(value);

        model_input_release(&in);
        return url == NULL ? status_wrap(s, "model")
                           : status_wrap(s, "model %s", url);
    }
    log_extra(in.model, context);
    *ret_input = in;
    return SUCCESS;
}

/* Names of the head that a model with an own one has, and of the embedding
 * that is the head now. */
static struct status name_heads(struct model_input *in,
                                const struct model_config *untied)
{
    const struct graph *tied = in->model->graph;
    const struct graph_step *last =
        &tied->steps[tied->values[tied->logits].writer];
    const struct graph_parameter *embedding =
        graph_parameter_of(tied, last->in[1]);
    struct graph *g = untied->arch->build(untied);

    for (size_t i = 0; i < g->parameter_count; i++)
        if (graph_find(tied, g->parameters[i].name) == tied->parameter_count)
            in->head = xstrdup(g->parameters[i].name);
    graph_free(g);
    if (in->head == NULL || embedding == NULL)
        return FAIL(STATUS_INVALID, "the model has no head of its own");
    if (tensor_find(recipe_tensors(in->recipe), in->head) == NULL)
        in->head_of = xstrdup(model_input_name(in, embedding->name));
    return SUCCESS;
}

struct status model_input_untie(struct model_input *in,
                                enum model_memory memory)
{
    const struct tensor_set *set = recipe_tensors(in->recipe);
    struct model_config config = in->model->config;
    AUTO(free_pointer) struct tensor *items = NULL;
    struct tensor_set more;
    struct model *model;

    if (!config.tied || config.classes != 0)
        return SUCCESS;
    config.tied = false;
    TRY_PLAIN(name_heads(in, &config));
    items = xcalloc(set->count + 1, sizeof(*items));
    memcpy(items, set->items, set->count * sizeof(*items));
    more = (struct tensor_set){ set->count, items };
    if (in->head_of != NULL) {
        items[more.count] = *tensor_find(set, in->head_of);
        items[more.count++].name = in->head;
        qsort(items, more.count, sizeof(*items), tensor_by_name);
    }
    TRY_PLAIN(model_load(&config, &more, memory, &model));
    model_free(in->model);
    in->model = model;
    return SUCCESS;
}

const char *model_input_name(const struct model_input *in,
                             const char *parameter)
{
    const struct tensor *t = prune_find_tensor(
        recipe_tensors(in->recipe), in->model->config.arch, parameter);

    return t == NULL ? parameter : t->name;
}

void model_input_release(struct model_input *in)
{
    free(in->head);
    free(in->head_of);
    tokenizer_free(in->tokenizer);
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
