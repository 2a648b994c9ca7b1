/* stream_prune.c -- a pruned model on its way to files, a stretch at a time. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "jobs/parallel.h"
#include "jobs/prune_bits.h"
#include "jobs/prune_fed.h"
#include "jobs/recipe_mask.h"
#include "jobs/stream_parts.h"

struct pruned {
    struct streamed *stream;
    struct recipe_model *base;
    struct prune_config config;
    struct prune_target *targets;
    const uint8_t **masks; /* of the base */
    struct prune_fed fed;
    struct prune_pass pass;
    struct st_model *fitted; /* what a job has found out; NULL: nobody had to */
    /* One is written while the next is filled. */
    char *buffers[2];
    size_t sizes[2];
    size_t turn;
    uint64_t first; /* element of the one that is filled */
    uint64_t done;  /* bytes */
    pthread_t main; /* the one that may ask the context */
    atomic_bool stopped;
};

static void pruned_release(struct pruned *p)
{
    stream_close(p->stream); /* its threads may still read a buffer */
    prune_end(&p->pass);
    recipe_close(p->base);
    st_model_close(p->fitted);
    prune_fed_release(&p->fed);
    free(p->targets);
    free(p->masks);
    free(p->buffers[0]);
    free(p->buffers[1]);
}

MUST_CHECK static struct status take_buffer(struct pruned *p, size_t size,
                                            char **ret_buffer)
{
    p->turn = 1 - p->turn;
    if (p->sizes[p->turn] < size) {
        free(p->buffers[p->turn]);
        p->sizes[p->turn] = 0;
        p->buffers[p->turn] = alloc_large(size);
        if (p->buffers[p->turn] == NULL)
            return FAIL(STATUS_NO_MEMORY, "no %zu bytes for weights", size);
        p->sizes[p->turn] = size;
    }
    *ret_buffer = p->buffers[p->turn];
    return SUCCESS;
}

/* Of one tensor: what is filled by threads, and then written. */
struct window {
    struct pruned *pruned;
    struct prune_work *work;
    size_t hands;
    size_t stretch; /* the first of the window */
};

static void window_release(struct window *w)
{
    prune_work_free(w->work);
}

static struct status put(void *self, size_t point, size_t tensor,
                         uint64_t first, const uint8_t *keep, size_t count)
{
    struct pruned *p = self;
    const struct tensor *t = &recipe_tensors(p->base)->items[tensor];
    size_t element = dtype_size(t->dtype);
    char *to = p->buffers[p->turn] + (first - p->first) * element;

    (void)point; /* there is one */
    memcpy(to, (const char *)t->data + first * element, count * element);
    prune_zero(t->dtype, to, keep, count);
    return SUCCESS;
}

/* Others than the thread of the job look at what it has heard. */
static bool cancelled(void *self)
{
    struct pruned *p = self;
    const struct job_context *c = p->stream->context;

    if (pthread_equal(p->main, pthread_self()) != 0 && c->cancelled(c->self))
        atomic_store(&p->stopped, true);
    return atomic_load(&p->stopped);
}

static struct status fill(void *self, size_t hand, size_t piece)
{
    struct window *w = self;

    (void)hand;
    return prune_work_do(w->work, w->stretch + piece);
}

MUST_CHECK static struct status write_window(struct window *w, size_t tensor)
{
    struct pruned *p = w->pruned;
    struct streamed *s = p->stream;
    const struct tensor *t = &recipe_tensors(p->base)->items[tensor];
    size_t left = prune_work_stretches(w->work) - w->stretch;
    size_t count = left < w->hands ? left : w->hands;
    uint64_t end = prune_work_first(w->work, w->stretch + count);
    size_t size;
    char *to = NULL;

    p->first = prune_work_first(w->work, w->stretch);
    size = (size_t)(end - p->first) * dtype_size(t->dtype);
    TRY_PLAIN(take_buffer(p, size, &to));
    TRY_PLAIN(parallel_run(w->hands, count, fill, w));
    TRY_PLAIN(stream_write_add(s->out, tensor, to, size));
    w->stretch += count;
    p->done += size;
    s->context->progress(s->context->self, p->done, s->outcome->bytes, "byte");
    return SUCCESS;
}

MUST_CHECK static struct status write_tensor(struct pruned *p, size_t tensor)
{
    const struct tensor *t = &recipe_tensors(p->base)->items[tensor];
    AUTO(window_release) struct window w = { .pruned = p };

    if (!p->targets[tensor].chosen)
        return stream_copy_tensor(p->stream, p->base, tensor, &p->done);
    w.hands = p->pass.threads;
    TRY_PLAIN(prune_work_new(&p->pass, tensor, w.hands, &w.work));
    while (w.stretch < prune_work_stretches(w.work))
        TRY_PLAIN(write_window(&w, tensor));
    if (recipe_is_mapped(p->base))
        stream_drop_pages(t->data, (size_t)tensor_bytes(t));
    return SUCCESS;
}

MUST_CHECK static struct status open_base(struct pruned *p,
                                          const json_t *params)
{
    const struct tensor_set *set;
    json_t *model;

    TRY_PLAIN(prune_config_read_lazy(params, &p->config));
    TRY(json_member_object(params, "model", &model), "prune");
    TRY(recipe_open(model, p->stream->context, &p->base), "model");
    set = recipe_tensors(p->base);
    TRY_PLAIN(
        prune_targets_of(&p->config, recipe_config(p->base), set, &p->targets));
    TRY_PLAIN(
        prune_fed_open(params, p->stream->context, set, p->targets, &p->fed));
    p->masks = xcalloc(set->count + 1, sizeof(*p->masks));
    for (size_t i = 0; i < set->count; i++)
        p->masks[i] = recipe_mask(p->base, set->items[i].name);
    p->pass = (struct prune_pass){
        .set = set,
        .targets = p->targets,
        .points = &p->config,
        .count = 1,
        .masks = p->masks,
        .norms = p->fed.norms,
        .threads = prune_threads(p->stream->context),
        .self = p,
        .put = put,
        .cancelled = cancelled,
    };
    return SUCCESS;
}

/* ---- what was found out by a job before --------------------------------------- */

/* "NAME" or "NAME.mask" of the job; NULL: there is none. */
static const struct tensor *found(const struct pruned *p, const char *name,
                                  const char *suffix)
{
    AUTO(free_pointer) char *whole = xasprintf("%s%s", name, suffix);

    return tensor_find(st_model_tensors(p->fitted), whole);
}

/* A stretch at a time of what the job found, or of the base. */
MUST_CHECK static struct status write_masked(struct pruned *p, size_t tensor,
                                             const struct tensor *from,
                                             const uint8_t *bits)
{
    enum { STRETCH = 1 << 20 };
    size_t size = dtype_size(from->dtype);

    for (uint64_t at = 0; at < from->count; at += STRETCH) {
        uint64_t left = from->count - at;
        uint64_t count = left < STRETCH ? left : STRETCH;
        char *to = NULL;

        if (cancelled(p))
            return FAIL(STATUS_CANCELLED, "cancelled while writing tensors");
        TRY_PLAIN(take_buffer(p, (size_t)count * size, &to));
        prune_copy_bits(from, bits, at, count, to);
        TRY_PLAIN(
            stream_write_add(p->stream->out, tensor, to, (size_t)count * size));
        p->done += count * size;
        p->stream->context->progress(p->stream->context->self, p->done,
                                     p->stream->outcome->bytes, "byte");
    }
    return SUCCESS;
}

MUST_CHECK static struct status write_found(struct pruned *p, size_t tensor)
{
    const struct tensor *t = &recipe_tensors(p->base)->items[tensor];
    const struct tensor *own = found(p, t->name, "");
    const struct tensor *mask = found(p, t->name, ".mask");

    if (mask == NULL)
        return stream_copy_tensor(p->stream, p->base, tensor, &p->done);
    if (mask->dtype != DTYPE_U8 || mask->count != (t->count + 7) / 8 ||
        (own != NULL && (own->dtype != t->dtype || !tensor_same_shape(own, t))))
        return FAIL(STATUS_CORRUPT, "what was found of \"%s\" is not of it",
                    t->name);
    TRY_PLAIN(write_masked(p, tensor, own != NULL ? own : t, mask->data));
    if (own != NULL || recipe_is_mapped(p->base))
        stream_drop_pages(own != NULL ? own->data : t->data,
                          (size_t)tensor_bytes(t));
    return SUCCESS;
}

MUST_CHECK static struct status stream_fitted(struct pruned *p,
                                              const json_t *params,
                                              const json_t *fitted)
{
    struct streamed *s = p->stream;
    AUTO(merge_files_release) struct merge_files files = { .count = 0 };
    const char *path = NULL;
    json_t *model;

    TRY(json_member_object(params, "model", &model), "prune");
    TRY(recipe_open(model, s->context, &p->base), "model");
    TRY(recipe_path(fitted, s->context, &path), "prune");
    TRY_PLAIN(st_model_open(path, &p->fitted));
    TRY_PLAIN(recipe_files(p->base, &files));
    TRY_PLAIN(stream_begin(s, recipe_tensors(p->base)));
    p->done = s->outcome->bytes_kept;
    for (size_t i = stream_write_first(s->out);
         i < recipe_tensors(p->base)->count; i++)
        TRY_PLAIN(write_found(p, i));
    return stream_end(s, &files);
}

/* ---- all of it ------------------------------------------------------------------ */

MUST_CHECK static struct status stream_scored(struct pruned *p,
                                              const json_t *params)
{
    struct streamed *s = p->stream;
    AUTO(merge_files_release) struct merge_files files = { .count = 0 };
    size_t first;

    p->main = pthread_self();
    TRY_PLAIN(open_base(p, params));
    TRY_PLAIN(recipe_files(p->base, &files));
    TRY_PLAIN(stream_begin(s, p->pass.set));
    first = stream_write_first(s->out);
    TRY_PLAIN(prune_begin(&p->pass));
    p->done = s->outcome->bytes_kept;
    for (size_t i = first; i < p->pass.set->count; i++)
        TRY_PLAIN(write_tensor(p, i));
    prune_warn(&p->pass, s->context);
    return stream_end(s, &files);
}

struct status stream_prune(struct streamed *s, const json_t *params)
{
    AUTO(pruned_release) struct pruned p = { .stream = s };
    const json_t *fitted = json_object_get(params, "fitted");

    if (fitted != NULL)
        TRY_PLAIN(stream_fitted(&p, params, fitted));
    else
        TRY_PLAIN(stream_scored(&p, params));
    s->outcome->bytes_read = s->outcome->bytes - s->outcome->bytes_kept;
    s->context->facts.bytes_read += s->outcome->bytes_read;
    return SUCCESS;
}
