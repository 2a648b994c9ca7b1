/* export.c -- a model written as a directory that any tool opens, with the
 * recipe it was made by. Equal inputs give equal bytes. */
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "jobs/job_kind.h"
#include "jobs/model_files.h"
#include "jobs/recipe.h"
#include "tensor/safetensors.h"

static const struct catalog_key keys[] = {
    { .name = "model",
      .type = KEY_MODEL,
      .required = true,
      .help = "what is written" },
    { .name = "shard_size",
      .type = KEY_BYTES,
      .help = "files are cut between tensors at this size" },
    { .name = "metadata",
      .type = KEY_ANY,
      .help = "texts for the header of each file" },
    { .name = NULL },
};

/* What the model is, and how to tell that it is the same one again. */
static struct status add_recipe(struct st_writer *w, const json_t *model,
                                const char *digest)
{
    AUTO(json_release)
    json_t *recipe = json_pack("{s:i, s:O, s:s}", "sinter_recipe", 1, "model",
                               model, "model_digest", digest);
    AUTO(free_pointer) char *text = json_pretty(recipe);

    return st_writer_add_file(w, "recipe.json", text, strlen(text));
}

static void writer_release(struct st_writer **w)
{
    st_writer_free(*w);
}

static void model_release(struct recipe_model **m)
{
    recipe_close(*m);
}

static struct status write_model(const struct st_writer_settings *settings,
                                 const struct recipe_model *m,
                                 const json_t *model, const char *digest,
                                 struct job_context *context)
{
    AUTO(writer_release) struct st_writer *w = NULL;

    TRY_PLAIN(st_writer_new(settings, recipe_tensors(m), &w));
    TRY_PLAIN(model_files_add(w, m, context));
    TRY_PLAIN(add_recipe(w, model, digest));
    return st_writer_finish(w);
}

static json_t *result_of(const struct recipe_model *m, const char *artifact,
                         const char *digest)
{
    const struct tensor_set *set = recipe_tensors(m);
    uint64_t bytes = 0;

    for (size_t i = 0; i < set->count; i++)
        bytes += tensor_bytes(&set->items[i]);
    return json_pack("{s:s, s:s, s:{s:I, s:I}}", "artifact", artifact,
                     "model_digest", digest, "metrics", "bytes",
                     (json_int_t)bytes, "tensors", (json_int_t)set->count);
}

/* Readers of the transformers family ask for the format's name. */
static json_t *metadata_of(const json_t *params)
{
    const json_t *given = json_object_get(params, "metadata");
    json_t *metadata = json_pack("{s:s}", "format", "pt");

    if (given != NULL)
        (void)json_object_update(metadata, (json_t *)(uintptr_t)given);
    return metadata;
}

static struct status run(const json_t *params, struct job_context *context,
                         json_t **ret_result)
{
    AUTO(model_release) struct recipe_model *m = NULL;
    AUTO(free_pointer)
    char *directory = xasprintf("%s/model", context->scratch);
    AUTO(json_release) json_t *metadata = metadata_of(params);
    const struct st_writer_settings settings = {
        .directory = directory,
        .shard_bytes = (uint64_t)json_int_or(params, "shard_size", 0),
        .metadata = metadata,
    };
    char artifact[DIGEST_TEXT];
    char text[DIGEST_TEXT];
    struct digest digest;
    json_t *model;

    TRY(json_member_object(params, "model", &model), "export");
    TRY(recipe_open(model, context, &m), "export");
    digest = recipe_digest(m);
    digest_to_text(&digest, text);
    TRY(write_model(&settings, m, model, text, context), "export");
    TRY(context->put_artifact(context->self, directory, artifact), "export");
    *ret_result = result_of(m, artifact, text);
    return SUCCESS;
}

extern const struct job_kind job_export;
const struct job_kind job_export = {
    .catalog = { .name = "export",
                 .summary = "writes a model as a directory of safetensors",
                 .example = "model: base\nshard_size: 5GiB\n",
                 .sort = STAGE_ARTIFACT,
                 .keys = keys },
    .run = run,
};
