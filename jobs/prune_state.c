/* prune_state.c -- sections that are done, on the disk: what was found of them
 * in directories part-N, written behind section N, and what another attempt
 * goes on from as the state of a training (training_state.c): the activations
 * that the next section reads, and sums. A state is written behind its parts,
 * so that those up to it are whole. */
#include "jobs/prune_open.h"

#include <stdlib.h>
#include <string.h>

#include "common/file.h"
#include "common/memory.h"
#include "jobs/training.h"
#include "tensor/safetensors.h"

enum {
    MOST_HELD = 64 << 20, /* bytes */
    SHARE = 8,            /* of the memory at most */
};

uint64_t prune_state_room(const struct job_context *context)
{
    uint64_t share = (uint64_t)context->memory_bytes / SHARE;

    return context->memory_bytes > 0 && share < MOST_HELD ? share : MOST_HELD;
}

/* What is not kept goes with the job. */
static const char *directory_of(const struct job_context *context)
{
    const char *keep =
        context->keep == NULL ? NULL : context->keep(context->self);

    return keep != NULL ? keep : context->scratch;
}

/* ---- to write ------------------------------------------------------------------ */

static void save(struct prune_open *o, uint64_t done)
{
    struct tensor items[] = {
        training_number("sections", DTYPE_U64, &done),
        training_number("loss", DTYPE_F64, &o->sums.loss),
        training_number("weights", DTYPE_U64, &o->sums.weights),
        training_number("gone", DTYPE_U64, &o->sums.gone),
        training_number("emptied", DTYPE_U64, &o->sums.emptied),
        { .name = NULL },
    };
    size_t count = COUNT_OF(items) - 1;

    if (o->seen == NULL)
        items[count++] = prune_walk_stream(&o->walk, (size_t)done, "stream");
    training_store(o->context, done, items, count);
}

struct status prune_state_note(struct prune_open *o, size_t done)
{
    struct job_context *c = o->context;
    bool due = c->save_due != NULL && c->save_due(c->self);
    AUTO(free_pointer) char *path = NULL;

    if (!due && o->delta.held <= prune_state_room(c))
        return SUCCESS;
    path = xasprintf("%s/part-%zu", directory_of(c), done);
    TRY(delta_spill(&o->delta, path), "what was found of %zu sections", done);
    if (due)
        save(o, done);
    return SUCCESS;
}

/* ---- to go on -------------------------------------------------------------------- */

/* Parts of sections up to `done` are recalled, others removed. */
struct parts {
    struct delta *delta;
    uint64_t done;
    struct status status;
};

static void take_part(void *self, const char *path)
{
    struct parts *p = self;
    const char *name = strrchr(path, '/');
    const char *sign = "/part-";
    uint64_t number;
    char *end;

    if (name == NULL || strncmp(name, sign, strlen(sign)) != 0 ||
        status_failed(&p->status))
        return;
    number = strtoull(name + strlen(sign), &end, 10);
    p->status = *end == '\0' && number <= p->done ? delta_recall(p->delta, path)
                                                  : file_remove_tree(path);
}

MUST_CHECK static struct status take_parts(struct prune_open *o, uint64_t done)
{
    struct parts p = { .delta = &o->delta, .done = done, .status = SUCCESS };

    file_each(directory_of(o->context), take_part, &p);
    return p.status;
}

MUST_CHECK static struct status take_state(struct prune_open *o,
                                           const struct tensor_set *set)
{
    const struct tensor *stream = tensor_find(set, "stream");
    struct prune_sums sums = { .weights = 0 };
    uint64_t done = 0;

    TRY_PLAIN(training_take_number(set, "sections", DTYPE_U64, &done));
    TRY_PLAIN(training_take_number(set, "loss", DTYPE_F64, &sums.loss));
    TRY_PLAIN(training_take_number(set, "weights", DTYPE_U64, &sums.weights));
    TRY_PLAIN(training_take_number(set, "gone", DTYPE_U64, &sums.gone));
    TRY_PLAIN(training_take_number(set, "emptied", DTYPE_U64, &sums.emptied));
    if (done < 1 || done >= o->sections ||
        (stream == NULL) != (o->seen != NULL))
        return FAIL(STATUS_INVALID, "the state is of another job");
    TRY_PLAIN(take_parts(o, done));
    if (stream != NULL)
        TRY_PLAIN(prune_walk_resume(&o->walk, (size_t)done, stream));
    o->sums = sums;
    o->first = (size_t)done;
    return SUCCESS;
}

struct status prune_state_resume(struct prune_open *o)
{
    AUTO(free_pointer) char *path = training_latest(o->context);
    AUTO(st_model_release) struct st_model *file = NULL;
    struct status st;
    char line[256];

    if (path == NULL)
        return take_parts(o, 0);
    st = st_model_open(path, &file);
    if (!status_failed(&st))
        st = take_state(o, st_model_tensors(file));
    if (status_failed(&st))
        (void)snprintf(line, sizeof(line), "begins anew: %.200s", st.message);
    else
        (void)snprintf(line, sizeof(line), "goes on behind section %zu of %zu",
                       o->first, o->sections);
    o->context->log(o->context->self, line);
    if (!status_failed(&st))
        return SUCCESS;
    delta_forget(&o->delta);
    return take_parts(o, 0);
}
