#include "jobs/stream_model.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "common/memory.h"
#include "jobs/merge_input.h"
#include "jobs/model_files.h"
#include "jobs/stream_parts.h"

enum {
    PAGE = 4096,
    COPY = 8 << 20, /* bytes copied at a time */
    WINDOW_LEAST = 1 << 20,
    WINDOW_MOST = 32 << 20,
    WINDOW_SHARE = 4, /* of the memory */
};

void stream_close(struct streamed *s)
{
    stream_write_free(s->out);
    s->out = NULL;
}

/* ---- before and after the tensors -------------------------------------- */

static void tell_kept(const struct streamed *s)
{
    struct job_context *context = s->context;
    size_t kept = stream_write_first(s->out);
    AUTO(free_pointer) char *line = NULL;

    if (kept > 0)
        line = xasprintf("continuing export: %zu of %" PRIu64 " tensors are "
                         "there",
                         kept, s->outcome->tensors);
    else if (s->outcome->anew != NULL)
        line = xasprintf("all is computed: %s", s->outcome->anew);
    if (line != NULL)
        context->log(context->self, line);
}

struct status stream_begin(struct streamed *s, const struct tensor_set *layout)
{
    const struct stream_wish *wish = s->wish;
    const struct st_writer_settings settings = {
        .directory = wish->directory,
        .shard_bytes = wish->shard_bytes,
        .metadata = wish->metadata,
        .recipe = &s->recipe,
    };
    struct stream_outcome *o = s->outcome;

    TRY_PLAIN(stream_write_new(&settings, layout, wish->checkpoint, s->context,
                               &s->out));
    o->anew = st_writer_anew(stream_write_writer(s->out));
    o->tensors = layout->count;
    for (size_t i = 0; i < layout->count; i++) {
        uint64_t bytes = tensor_bytes(&layout->items[i]);

        o->bytes += bytes;
        o->bytes_kept += i < stream_write_first(s->out) ? bytes : 0;
    }
    tell_kept(s);
    return SUCCESS;
}

/* What the model is, and how to tell that it is the same one again. */
MUST_CHECK static struct status add_recipe(const struct streamed *s)
{
    AUTO(json_release)
    json_t *recipe =
        json_pack("{s:i, s:O, s:s}", "sinter_recipe", 1, "model",
                  s->wish->model, "model_digest", s->outcome->digest);
    AUTO(free_pointer) char *text = json_pretty(recipe);

    return st_writer_add_file(stream_write_writer(s->out), "recipe.json", text,
                              strlen(text));
}

struct status stream_end(struct streamed *s, const struct merge_files *files)
{
    struct st_writer *w = stream_write_writer(s->out);
    struct digest digest;

    TRY_PLAIN(stream_write_end(s->out, &digest));
    digest_to_text(&digest, s->outcome->digest);
    TRY_PLAIN(model_files_beside(w, files));
    TRY_PLAIN(add_recipe(s));
    return st_writer_finish(w);
}

/* ---- a merge ----------------------------------------------------------- */

static uint64_t window_of(const struct job_context *context)
{
    uint64_t window = (uint64_t)context->memory_bytes / WINDOW_SHARE;

    if (context->memory_bytes <= 0 || window > WINDOW_MOST)
        return WINDOW_MOST;
    return window < WINDOW_LEAST ? WINDOW_LEAST : window;
}

/* Without a budget as many as it takes. */
static uint64_t tallies_of(const struct job_context *context)
{
    return context->memory_bytes <= 0
               ? 0
               : (uint64_t)context->memory_bytes / WINDOW_SHARE;
}

/* Pages of a model in memory must not be given back: they are gone then. */
static bool are_mapped(const struct merge_input *in)
{
    bool all = in->base == NULL || recipe_is_mapped(in->base);

    for (size_t i = 0; i < LIMIT_MODELS && in->tasks[i] != NULL; i++)
        all = all && recipe_is_mapped(in->tasks[i]);
    return all;
}

static void merge_release(struct merge **m)
{
    merge_free(*m);
}

static bool merge_cancelled(void *self)
{
    const struct streamed *s = self;

    return s->context->cancelled(s->context->self);
}

/* Of all bytes, whatever the merge counts. */
static void merge_progress(void *self, uint64_t done, uint64_t total,
                           const char *unit)
{
    const struct streamed *s = self;
    const struct stream_outcome *o = s->outcome;
    double share = total == 0 ? 1.0 : (double)done / (double)total;
    uint64_t bytes = (uint64_t)((double)(o->bytes - o->bytes_kept) * share);

    (void)unit;
    s->context->progress(s->context->self, o->bytes_kept + bytes, o->bytes,
                         "byte");
}

MUST_CHECK static struct status stream_tensors(struct streamed *s,
                                               struct merge *m,
                                               const struct merge_input *in)
{
    struct job_context *context = s->context;
    const struct merge_runtime runtime = {
        .threads = context->threads,
        .window = window_of(context),
        .tallies = tallies_of(context),
        .drop_inputs = are_mapped(in),
        .self = s,
        .cancelled = merge_cancelled,
        .progress = merge_progress,
    };
    const struct merge_sink sink = { .self = s->out,
                                     .write = stream_write_add,
                                     .first = stream_write_first(s->out) };

    TRY_PLAIN(merge_stream(m, &runtime, &sink));
    s->outcome->bytes_read = merge_counts_of(m).bytes_read;
    context->facts.bytes_read += s->outcome->bytes_read;
    return SUCCESS;
}

MUST_CHECK static struct status write_merge(struct streamed *s, struct merge *m,
                                            const struct merge_input *in)
{
    AUTO(merge_files_release) struct merge_files files = { .count = 0 };

    TRY_PLAIN(merge_files_of(m, &files));
    TRY_PLAIN(stream_begin(s, merge_layout(m)));
    TRY_PLAIN(stream_tensors(s, m, in));
    return stream_end(s, &files);
}

MUST_CHECK static struct status stream_merge(struct streamed *s,
                                             const json_t *params)
{
    AUTO(merge_input_release) struct merge_input in = { .base = NULL };
    AUTO(merge_release) struct merge *m = NULL;
    struct merge_config config;
    struct status st;

    TRY_PLAIN(merge_config_read(params, &config));
    TRY_PLAIN(merge_input_open(&in, &config, s->context));
    TRY_PLAIN(merge_new(&config, 1, &in.inputs, &m));
    merge_input_know(&in, m);
    st = write_merge(s, m, &in);
    stream_close(s); /* its threads may still read a window */
    return st;
}

/* ---- any other model --------------------------------------------------- */

static void model_release(struct recipe_model **m)
{
    recipe_close(*m);
}

void stream_drop_pages(const char *data, size_t size)
{
    uintptr_t from = ((uintptr_t)data + PAGE - 1) / PAGE * PAGE;
    uintptr_t to = ((uintptr_t)data + size) / PAGE * PAGE;

    if (from < to)
        (void)madvise((void *)from, to - from, MADV_DONTNEED);
}

struct status stream_copy_tensor(struct streamed *s,
                                 const struct recipe_model *m, size_t tensor,
                                 uint64_t *done)
{
    struct job_context *context = s->context;
    const struct tensor *t = &recipe_tensors(m)->items[tensor];
    size_t bytes = (size_t)tensor_bytes(t);

    for (size_t at = 0; at < bytes; at += COPY) {
        const char *data = (const char *)t->data + at;
        size_t size = bytes - at < COPY ? bytes - at : COPY;

        if (context->cancelled(context->self))
            return FAIL(STATUS_CANCELLED, "cancelled while writing tensors");
        TRY_PLAIN(stream_write_add(s->out, tensor, data, size));
        if (at > 0 && recipe_is_mapped(m))
            stream_drop_pages(data - COPY, COPY);
        *done += size;
        context->progress(context->self, *done, s->outcome->bytes, "byte");
    }
    return SUCCESS;
}

MUST_CHECK static struct status copy_model(struct streamed *s,
                                           const struct recipe_model *m)
{
    AUTO(merge_files_release) struct merge_files files = { .count = 0 };
    uint64_t done;

    TRY_PLAIN(recipe_files(m, &files));
    TRY_PLAIN(stream_begin(s, recipe_tensors(m)));
    done = s->outcome->bytes_kept;
    for (size_t i = stream_write_first(s->out); i < recipe_tensors(m)->count;
         i++)
        TRY_PLAIN(stream_copy_tensor(s, m, i, &done));
    s->outcome->bytes_read = s->outcome->bytes - s->outcome->bytes_kept;
    return stream_end(s, &files);
}

MUST_CHECK static struct status stream_copy(struct streamed *s)
{
    AUTO(model_release) struct recipe_model *m = NULL;
    struct status st;

    TRY_PLAIN(recipe_open(s->wish->model, s->context, &m));
    st = copy_model(s, m);
    stream_close(s); /* its threads may still read the model */
    return st;
}

/* ---- all of it --------------------------------------------------------- */

/* Lazy models that are made piece by piece; others are realised, then copied. */
static const struct way {
    const char *kind;
    struct status (*stream)(struct streamed *s, const json_t *params);
} ways[] = {
    { "merge", stream_merge },
    { "prune", stream_prune },
};

static struct status stream_any(struct streamed *s)
{
    const json_t *recipe = json_object_get(s->wish->model, "$recipe");
    const json_t *params = json_object_get(recipe, "params");
    const char *kind = json_text_or(recipe, "kind", "");

    for (size_t i = 0; i < COUNT_OF(ways) && params != NULL; i++) {
        if (strcmp(ways[i].kind, kind) == 0)
            return ways[i].stream(s, params);
    }
    return stream_copy(s);
}

static struct digest digest_of_json(const json_t *json)
{
    AUTO(free_pointer) char *text = json_canonical(json);

    return digest_of(text, strlen(text));
}

struct status stream_model(const struct stream_wish *wish,
                           struct job_context *context,
                           struct stream_outcome *ret_outcome)
{
    struct streamed s = { .wish = wish,
                          .context = context,
                          .outcome = ret_outcome };

    *ret_outcome = (struct stream_outcome){ .bytes = 0 };
    s.recipe =
        digest_of_json(wish->identity != NULL ? wish->identity : wish->model);
    return stream_any(&s);
}
