/* reconstruct_state.c -- blocks that are done, on the disk: parameters that
 * changed ("param.NAME"), the adapters of the delta ("delta.NAME", and
 * "adapters" as JSON), and sums. */
#include "jobs/retrain.h"

#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "tensor/safetensors.h"

struct collection {
    struct tensor *items;
    size_t count;
};

static void release(struct collection *c)
{
    for (size_t i = 0; i < c->count; i++)
        free((void *)(uintptr_t)c->items[i].name);
    free(c->items);
}

/* Takes the name. */
static void collect(struct collection *c, char *name, struct tensor t)
{
    c->items = xrealloc(c->items, (c->count + 1) * sizeof(*c->items));
    t.name = name;
    c->items[c->count++] = t;
}

static void collect_all(struct collection *c, const struct retrain *r,
                        const struct reconstruct_sums *sums)
{
    for (size_t i = 0; i < r->model->parameter_count; i++)
        if (r->changed[i])
            collect(c, xasprintf("param.%s", r->model->parameters[i].name),
                    model_tensor(r->model, i));
    for (size_t i = 0; i < r->delta.count; i++)
        collect(c, xasprintf("delta.%s", r->delta.tensors[i].name),
                r->delta.tensors[i]);
    collect(c, xstrdup("sum.before"),
            training_number("", DTYPE_F64, &sums->before));
    collect(c, xstrdup("sum.after"),
            training_number("", DTYPE_F64, &sums->after));
    collect(c, xstrdup("sum.blocks"),
            training_number("", DTYPE_U64, &sums->blocks));
    collect(c, xstrdup("sum.trainable"),
            training_number("", DTYPE_U64, &sums->trainable));
}

void reconstruct_save(const struct retrain *r,
                      const struct reconstruct_sums *sums)
{
    AUTO(release) struct collection c = { .count = 0 };
    AUTO(free_pointer)
    char *text = json_canonical(json_object_get(r->delta.head, "adapters"));
    const size_t size = strlen(text);
    const struct tensor adapted = { .dtype = DTYPE_U8,
                                    .rank = 1,
                                    .shape = { size },
                                    .count = size,
                                    .data = text };

    collect_all(&c, r, sums);
    collect(&c, xstrdup("adapters"), adapted);
    training_store(r->context, sums->blocks, c.items, c.count);
}

static struct status take_sums(const struct tensor_set *set,
                               struct reconstruct_sums *sums)
{
    TRY_PLAIN(
        training_take_number(set, "sum.before", DTYPE_F64, &sums->before));
    TRY_PLAIN(training_take_number(set, "sum.after", DTYPE_F64, &sums->after));
    TRY_PLAIN(
        training_take_number(set, "sum.blocks", DTYPE_U64, &sums->blocks));
    return training_take_number(set, "sum.trainable", DTYPE_U64,
                                &sums->trainable);
}

static struct status take_adapters(struct retrain *r,
                                   const struct tensor_set *set)
{
    const struct tensor *text = tensor_find(set, "adapters");
    json_t *adapted;

    if (text == NULL)
        return FAIL(STATUS_INVALID, "the state has no \"adapters\"");
    TRY_PLAIN(json_parse(text->data, (size_t)text->count, "state", &adapted));
    (void)json_object_set_new(r->delta.head, "adapters", adapted);
    return SUCCESS;
}

/* NULL: it is not of this sort. */
static const char *behind(const char *name, const char *sort)
{
    size_t size = strlen(sort);

    return strncmp(name, sort, size) == 0 ? name + size : NULL;
}

static struct status take_parameter(struct retrain *r, const char *name,
                                    const struct tensor *t)
{
    size_t at = graph_find(r->model->graph, name);
    struct tensor wanted;

    if (at == r->model->parameter_count)
        return FAIL(STATUS_INVALID, "the model has no \"%s\"", name);
    wanted = model_tensor(r->model, at);
    if (t->dtype != DTYPE_F32 || !tensor_same_shape(t, &wanted))
        return FAIL(STATUS_INVALID, "\"%s\" has another shape", name);
    TRY_PLAIN(model_own(r->model, at));
    memcpy(r->model->parameters[at].own, t->data, (size_t)tensor_bytes(t));
    r->changed[at] = true;
    return SUCCESS;
}

static struct status take_all(struct retrain *r, const struct tensor_set *set)
{
    for (size_t i = 0; i < set->count; i++) {
        struct tensor t = set->items[i];
        const char *parameter = behind(t.name, "param.");
        const char *part = behind(t.name, "delta.");

        if (parameter != NULL)
            TRY_PLAIN(take_parameter(r, parameter, &t));
        if (part == NULL)
            continue;
        t.name = part;
        delta_add_tensor(&r->delta, &t, t.data);
    }
    return SUCCESS;
}

struct status reconstruct_resume(struct retrain *r,
                                 struct reconstruct_sums *ret_sums)
{
    AUTO(free_pointer) char *path = training_latest(r->context);
    struct st_model *file = NULL;
    struct status s;
    char line[128];

    if (path == NULL)
        return SUCCESS;
    TRY_PLAIN(st_model_open(path, &file));
    s = take_sums(st_model_tensors(file), ret_sums);
    if (!status_failed(&s))
        s = take_adapters(r, st_model_tensors(file));
    if (!status_failed(&s))
        s = take_all(r, st_model_tensors(file));
    st_model_close(file);
    if (status_failed(&s))
        return s;
    (void)snprintf(line, sizeof(line), "goes on behind block %llu",
                   (unsigned long long)ret_sums->blocks);
    r->context->log(r->context->self, line);
    return SUCCESS;
}
