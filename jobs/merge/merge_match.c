#include "jobs/merge/merge_match.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"

enum { LABEL = 128 };

/* Heads that may be tied to an embedding and then be absent from a file. */
static const struct {
    const char *head, *embedding;
} ties[] = {
    { "lm_head.weight", "model.embed_tokens.weight" },
    { "lm_head.weight", "transformer.wte.weight" },
    { "lm_head.weight", "wte.weight" },
    { "lm_head.weight", "model.decoder.embed_tokens.weight" },
    { "embed_out.weight", "gpt_neox.embed_in.weight" },
};

/* Outside of layers these come before the first, all others behind the last. */
static const char *const before_layers[] = {
    "embed_tokens", "embed_in",   "embed_positions", "wte",
    "wpe",          "embeddings", "project_in",      "shared",
};

bool merge_tied_pair(size_t i, const char **ret_head,
                     const char **ret_embedding)
{
    if (i >= COUNT_OF(ties))
        return false;
    *ret_head = ties[i].head;
    *ret_embedding = ties[i].embedding;
    return true;
}

static const struct tensor *tied(const struct tensor_set *set, const char *name)
{
    for (size_t i = 0; i < COUNT_OF(ties); i++) {
        const struct tensor *t = NULL;

        if (strcmp(ties[i].head, name) == 0)
            t = tensor_find(set, ties[i].embedding);
        if (t != NULL)
            return t;
    }
    return NULL;
}

static bool is_before_layers(const char *name)
{
    for (size_t i = 0; i < COUNT_OF(before_layers); i++) {
        if (strstr(name, before_layers[i]) != NULL)
            return true;
    }
    return false;
}

/* The name with another number of its layer; the caller frees. */
static char *renumbered(const char *name, uint64_t layer)
{
    size_t at, end;

    if (depth_layer(name, &at, &end) < 0)
        return xstrdup(name);
    return xasprintf("%.*s%" PRIu64 "%s", (int)at, name, layer, name + end);
}

const struct tensor *merge_cell_in(const struct merge_cell *cell,
                                   const struct merge_source *source,
                                   const struct tensor_set *set)
{
    AUTO(free_pointer) char *own = NULL;
    const struct tensor *t;

    if (cell->layer >= 0)
        own = renumbered(cell->name, source->from + (uint64_t)cell->layer);
    t = tensor_find(set, own != NULL ? own : cell->name);
    return t != NULL ? t : tied(set, cell->name);
}

const struct tensor_set *merge_set_of(const struct merge_inputs *inputs,
                                      size_t model)
{
    return model == SIZE_MAX ? inputs->base : inputs->tasks[model];
}

const char *merge_label_of(const struct merge_config *c, size_t model,
                           char *text, size_t size)
{
    const json_t *json = c->base;

    if (model != SIZE_MAX || json == NULL)
        json = c->models[model == SIZE_MAX ? 0 : model];
    return merge_model_label(json, text, size);
}

struct merge_source merge_reference(const struct merge_config *c,
                                    const struct merge_slice *slice,
                                    const struct merge_inputs *inputs)
{
    if (c->deltas)
        return slice->base;
    if (c->slices == NULL && inputs->base != NULL)
        return (struct merge_source){ .model = SIZE_MAX };
    return slice->sources[0];
}

/* ---- the list ---------------------------------------------------------- */

static struct merge_cell *add_cell(struct merge_cells *cells, char *name,
                                   const struct tensor *reference)
{
    struct merge_cell *cell;

    if ((cells->count & (cells->count + 1)) == 0)
        cells->items = xrealloc(cells->items,
                                (2 * cells->count + 2) * sizeof *cells->items);
    cell = &cells->items[cells->count++];
    *cell = (struct merge_cell){ .name = name,
                                 .reference = reference,
                                 .layer = -1 };
    return cell;
}

static void add_whole(struct merge_cells *cells, const struct tensor_set *set)
{
    uint64_t layers = depth_layers(set);

    for (size_t i = 0; i < set->count; i++) {
        const struct tensor *t = &set->items[i];

        add_cell(cells, xstrdup(t->name), t)->depth =
            depth_place(t->name, layers).t;
    }
}

static struct status check_range(const struct merge_config *c, size_t slice,
                                 const struct merge_source *source,
                                 const struct tensor_set *set)
{
    uint64_t layers = depth_layers(set);
    char label[LABEL];

    if (source->end <= layers)
        return SUCCESS;
    return FAIL(STATUS_INVALID,
                "merge /slices/%zu: layer_range [%" PRIu64 ", %" PRIu64
                "] of %s ends beyond its %" PRIu64 " layers",
                slice, source->from, source->end,
                merge_label_of(c, source->model, label, sizeof label), layers);
}

static struct status check_ranges(const struct merge_config *c, size_t at,
                                  const struct merge_slice *slice,
                                  const struct merge_inputs *inputs)
{
    for (size_t i = 0; i < slice->count; i++) {
        const struct merge_source *source = &slice->sources[i];

        TRY_PLAIN(
            check_range(c, at, source, merge_set_of(inputs, source->model)));
    }
    if (!c->deltas)
        return SUCCESS;
    return check_range(c, at, &slice->base,
                       merge_set_of(inputs, slice->base.model));
}

/* Layers that are already in the result, and the slices in all. */
struct stack {
    const struct merge_config *c;
    uint64_t height;
    size_t slice, slices;
};

static void add_of_slice(struct merge_cells *cells, const struct stack *stack,
                         const struct merge_source *from,
                         const struct tensor *t)
{
    size_t at, end;
    int64_t layer = depth_layer(t->name, &at, &end);
    bool before = is_before_layers(t->name);
    struct merge_cell *cell;
    uint64_t own, length = from->end - from->from;

    if (layer < 0) {
        if (before ? stack->slice == 0 : stack->slice + 1 == stack->slices)
            add_cell(cells, xstrdup(t->name), t)->slice = stack->slice;
        return;
    }
    if ((uint64_t)layer < from->from || (uint64_t)layer >= from->end)
        return;
    own = (uint64_t)layer - from->from;
    cell = add_cell(cells, renumbered(t->name, stack->height + own), t);
    cell->slice = stack->slice;
    cell->layer = (int64_t)own;
    cell->depth = length > 1 ? (double)own / (double)(length - 1) : 1.0;
}

static struct status add_slice(struct merge_cells *cells, struct stack *stack,
                               const struct merge_inputs *inputs)
{
    struct merge_slice slice;
    struct merge_source from;
    const struct tensor_set *set;

    merge_config_slice(stack->c, stack->slice, &slice);
    TRY_PLAIN(check_ranges(stack->c, stack->slice, &slice, inputs));
    from = merge_reference(stack->c, &slice, inputs);
    set = merge_set_of(inputs, from.model);
    for (size_t i = 0; i < set->count; i++)
        add_of_slice(cells, stack, &from, &set->items[i]);
    stack->height += from.end - from.from;
    if (cells->count <= LIMIT_TENSORS)
        return SUCCESS;
    return FAIL(STATUS_TOO_BIG,
                "merge /slices/%zu: the result has more than %d tensors",
                stack->slice, LIMIT_TENSORS);
}

static int by_name(const void *a, const void *b)
{
    const struct merge_cell *x = a, *y = b;

    return strcmp(x->name, y->name);
}

struct status merge_cells_init(struct merge_cells *cells,
                               const struct merge_config *c,
                               const struct merge_inputs *inputs)
{
    struct stack stack = { .c = c, .slices = merge_config_slices(c) };

    *cells = (struct merge_cells){ .count = 0 };
    if (c->slices == NULL) {
        add_whole(cells,
                  inputs->base != NULL ? inputs->base : inputs->tasks[0]);
        return SUCCESS;
    }
    for (; stack.slice < stack.slices; stack.slice++)
        TRY_PLAIN(add_slice(cells, &stack, inputs));
    if (cells->count > 0)
        qsort(cells->items, cells->count, sizeof *cells->items, by_name);
    return SUCCESS;
}

void merge_cells_release(struct merge_cells *cells)
{
    for (size_t i = 0; i < cells->count; i++)
        free(cells->items[i].name);
    free(cells->items);
}
