/* export.c -- a model written as a directory that any tool opens, with the
 * recipe it was made by. Equal inputs give equal bytes. An attempt that was cut
 * short is continued where the context keeps what it wrote. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/file.h"
#include "common/memory.h"
#include "jobs/job_kind.h"
#include "jobs/model_digest.h"
#include "jobs/stream_model.h"
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
    { .name = "checkpoint",
      .type = KEY_BYTES,
      .help = "a killed export loses at most so much; 256 MiB if not said" },
    { .name = NULL },
};

static json_t *result_of(const struct stream_outcome *outcome,
                         const char *artifact)
{
    return json_pack("{s:s, s:s, s:{s:I, s:I}}", "artifact", artifact,
                     "model_digest", outcome->digest, "metrics", "bytes",
                     (json_int_t)outcome->bytes, "tensors",
                     (json_int_t)outcome->tensors);
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

/* ---- an attempt before this one wrote all of it ------------------------ */

MUST_CHECK static struct status digest_tensors(const struct tensor_set *set,
                                               struct job_context *context,
                                               struct stream_outcome *o)
{
    struct model_digest *sum = model_digest_begin(set);
    bool cancelled = false;
    struct digest digest;

    for (size_t i = 0; i < set->count && !cancelled; i++) {
        const struct tensor *t = &set->items[i];

        model_digest_add(sum, i, t->data, (size_t)tensor_bytes(t));
        o->bytes += tensor_bytes(t);
        context->progress(context->self, i + 1, set->count, "tensor");
        cancelled = context->cancelled(context->self);
    }
    digest = model_digest_end(sum);
    if (cancelled)
        return FAIL(STATUS_CANCELLED, "cancelled while reading what is there");
    o->tensors = set->count;
    o->bytes_kept = o->bytes;
    digest_to_text(&digest, o->digest);
    return SUCCESS;
}

/* Is it the model its recipe says? Otherwise CORRUPT. */
MUST_CHECK static struct status read_finished(const char *directory,
                                              struct job_context *context,
                                              struct stream_outcome *ret)
{
    AUTO(free_pointer) char *path = xasprintf("%s/recipe.json", directory);
    AUTO(st_model_release) struct st_model *m = NULL;
    AUTO(json_release) json_t *recipe = NULL;

    *ret = (struct stream_outcome){ .bytes = 0 };
    TRY_PLAIN(json_parse_file(path, LIMIT_MESSAGE, &recipe));
    TRY_PLAIN(st_model_open(directory, &m));
    TRY_PLAIN(digest_tensors(st_model_tensors(m), context, ret));
    if (strcmp(json_text_or(recipe, "model_digest", ""), ret->digest) != 0)
        return FAIL(STATUS_CORRUPT, "%s is not what its recipe says",
                    directory);
    return SUCCESS;
}

/* ---- all of it --------------------------------------------------------- */

/* It was not stored then: the depot was away, or the slot died. */
MUST_CHECK static struct status have_model(const struct stream_wish *wish,
                                           struct job_context *context,
                                           struct stream_outcome *ret_outcome)
{
    AUTO(free_pointer) char *line = NULL;
    struct status st;

    if (!file_exists(wish->directory))
        return stream_model(wish, context, ret_outcome);
    st = read_finished(wish->directory, context, ret_outcome);
    if (status_failed(&st) && st.code != STATUS_CANCELLED) {
        TRY_PLAIN(file_remove_tree(wish->directory));
        return stream_model(wish, context, ret_outcome);
    }
    TRY_PLAIN(st);
    line = xasprintf("continuing export: all %" PRIu64 " tensors are there",
                     ret_outcome->tensors);
    context->log(context->self, line);
    return SUCCESS;
}

static const char *place_of(struct job_context *context)
{
    const char *keep =
        context->keep == NULL ? NULL : context->keep(context->self);

    return keep != NULL ? keep : context->scratch;
}

static struct status run(const json_t *params, struct job_context *context,
                         json_t **ret_result)
{
    AUTO(free_pointer)
    char *directory = xasprintf("%s/model", place_of(context));
    AUTO(json_release) json_t *metadata = metadata_of(params);
    struct stream_wish wish = {
        .directory = directory,
        .shard_bytes = (uint64_t)json_int_or(params, "shard_size", 0),
        .metadata = metadata,
        .checkpoint = (uint64_t)json_int_or(params, "checkpoint", 0),
    };
    struct stream_outcome outcome;
    char artifact[DIGEST_TEXT];
    json_t *model;

    TRY(json_member_object(params, "model", &model), "export");
    wish.model = model;
    TRY(have_model(&wish, context, &outcome), "export");
    TRY(context->put_artifact(context->self, directory, artifact), "export");
    *ret_result = result_of(&outcome, artifact);
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
