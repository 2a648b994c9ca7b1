#include "model/model.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

#include "common/memory.h"
#include "common/philox.h"

size_t model_size(const struct model_config *c)
{
    struct graph *g = c->arch->build(c);
    size_t size = graph_size(g);

    graph_free(g);
    return size;
}

/* Every parameter described, none with data. */
static struct model *describe(const struct model_config *c)
{
    struct model *m = xnew(struct model);

    m->config = *c;
    m->graph = c->arch->build(c);
    m->parameter_count = m->graph->parameter_count;
    m->parameters = xcalloc(m->parameter_count, sizeof(*m->parameters));
    m->extra = xcalloc(1, sizeof(*m->extra));
    for (size_t i = 0; i < m->parameter_count; i++) {
        const struct graph_parameter *p = &m->graph->parameters[i];

        m->parameters[i] = (struct model_parameter){
            .name = p->name, .role = p->role, .count = p->count, .at = m->size
        };
        m->size += p->count;
    }
    return m;
}

void model_free(struct model *m)
{
    if (m == NULL)
        return;
    for (char **e = m->extra; *e != NULL; e++)
        free(*e);
    for (size_t i = 0; i < m->parameter_count; i++) {
        free(m->parameters[i].keep);
        if (m->parameters[i].alone)
            free(m->parameters[i].own);
    }
    free(m->extra);
    free(m->parameters);
    free(m->block);
    graph_free(m->graph);
    free(m);
}

static void model_free_pointer(struct model **m)
{
    model_free(*m);
}

static struct status take_block(struct model *m, size_t floats)
{
    m->block = floats == 0 ? NULL : alloc_large(floats * sizeof(*m->block));
    if (floats != 0 && m->block == NULL)
        return FAIL(STATUS_NO_MEMORY,
                    "no memory for %zu parameters (%zu bytes)", floats,
                    floats * sizeof(*m->block));
    return SUCCESS;
}

/* Of normal draws; the width of uniform ones; or the value itself. */
static float scale_of(const struct graph *g, const struct graph_parameter *p)
{
    float fan_in = 1.0F / sqrtf((float)p->inputs);

    switch (p->init) {
    case INIT_EMBEDDING:
        return 0.1F;
    case INIT_FAN_IN:
    case INIT_UNIFORM:
        return fan_in;
    case INIT_RESIDUAL:
        return fan_in / sqrtf(2.0F * (float)g->layers);
    case INIT_HE:
        return sqrtf(2.0F) * fan_in;
    case INIT_ONES:
        return 1.0F;
    case INIT_ZEROS:
    case INIT_EQUAL:
        break;
    }
    return 0.0F;
}

void model_draw(struct model *m, size_t parameter, uint32_t seed)
{
    const struct graph_parameter *p = &m->graph->parameters[parameter];
    struct philox_key key = {
        .seed = seed,
        .stream = philox_hash("model.new"),
        .tensor = philox_hash64(p->name),
    };
    float *to = m->parameters[parameter].own;
    float by = scale_of(m->graph, p);

    for (size_t i = 0; i < p->count; i++)
        switch (p->init) {
        case INIT_ZEROS:
        case INIT_ONES:
            to[i] = by;
            break;
        case INIT_EQUAL:
            to[i] = 1.0F / sqrtf((float)p->equal);
            break;
        case INIT_UNIFORM:
            to[i] = by * ((float)(philox_word(key, i) >> 8) * 0x1p-23F - 1.0F);
            break;
        case INIT_EMBEDDING:
        case INIT_FAN_IN:
        case INIT_RESIDUAL:
        case INIT_HE:
            to[i] = by * philox_normal(key, i);
            break;
        }
}

struct status model_new(const struct model_config *c, uint32_t seed,
                        struct model **ret_model)
{
    AUTO(model_free_pointer) struct model *m = describe(c);

    TRY_PLAIN(take_block(m, m->size));
    assert(m->block != NULL); /* a model has parameters */
    for (size_t i = 0; i < m->parameter_count; i++) {
        m->parameters[i].own = m->block + m->parameters[i].at;
        m->parameters[i].data = m->parameters[i].own;
        model_draw(m, i, seed);
    }
    *ret_model = m;
    m = NULL;
    return SUCCESS;
}

struct tensor model_tensor(const struct model *m, size_t parameter)
{
    const struct graph_parameter *p = &m->graph->parameters[parameter];
    struct tensor t = {
        .name = p->name,
        .dtype = DTYPE_F32,
        .rank = p->rank,
        .count = p->count,
        .data = m->parameters[parameter].data,
    };

    for (uint32_t i = 0; i < p->rank; i++)
        t.shape[i] = p->shape[i];
    return t;
}

/* Some checkpoints leave out what stands in front of every name. */
static const struct tensor *find_tensor(const struct model *m,
                                        const struct tensor_set *tensors,
                                        const char *name)
{
    const char *prefix = m->config.arch->prefix;
    const struct tensor *t = tensor_find(tensors, name);

    if (t == NULL && prefix != NULL &&
        strncmp(name, prefix, strlen(prefix)) == 0)
        t = tensor_find(tensors, name + strlen(prefix));
    return t;
}

static struct status check_shape(const struct tensor *wanted,
                                 const struct tensor *found)
{
    char is[128], should[128];

    if (found == NULL)
        return FAIL(STATUS_INVALID,
                    "tensor \"%s\" is missing; config.json asks for it with "
                    "shape %s",
                    wanted->name,
                    tensor_shape_text(wanted, should, sizeof(should)));
    if (!tensor_same_shape(wanted, found))
        return FAIL(STATUS_INVALID,
                    "tensor \"%s\" is %s; config.json asks for %s",
                    wanted->name, tensor_shape_text(found, is, sizeof(is)),
                    tensor_shape_text(wanted, should, sizeof(should)));
    if (!dtype_is_float(found->dtype) || found->data == NULL)
        return FAIL(STATUS_INVALID, "tensor \"%s\" holds %s, not floats",
                    wanted->name, dtype_name(found->dtype));
    return SUCCESS;
}

static struct status check(const struct tensor *wanted,
                           const struct tensor *found)
{
    size_t bad;

    TRY_PLAIN(check_shape(wanted, found));
    bad = dtype_find_not_finite(found->dtype, found->data, found->count);
    if (bad < found->count)
        return FAIL(STATUS_CORRUPT,
                    "tensor \"%s\" has a NaN or infinity at element %zu%s%s",
                    wanted->name, bad, found->file == NULL ? "" : " of ",
                    found->file == NULL ? "" : found->file);
    return SUCCESS;
}

static bool may_borrow(const struct tensor *t, enum model_memory memory)
{
    return memory == MODEL_BORROW && t->dtype == DTYPE_F32 &&
           (uintptr_t)t->data % _Alignof(float) == 0;
}

/* Checks all, points borrowed ones to their data, and takes a block for the
 * others, which follow each other in it. */
static struct status place(struct model *m, const struct tensor_set *tensors,
                           enum model_memory memory)
{
    size_t own = 0;

    for (size_t i = 0; i < m->parameter_count; i++) {
        struct model_parameter *p = &m->parameters[i];
        const struct tensor *t = find_tensor(m, tensors, p->name);
        const struct tensor wanted = model_tensor(m, i);

        TRY_PLAIN(check(&wanted, t));
        if (may_borrow(t, memory))
            p->data = t->data;
        else
            own += p->count;
    }
    return take_block(m, own);
}

static void widen(struct model *m, const struct tensor_set *tensors)
{
    float *to = m->block;

    for (size_t i = 0; i < m->parameter_count; i++) {
        struct model_parameter *p = &m->parameters[i];
        const struct tensor *t = find_tensor(m, tensors, p->name);

        if (p->data != NULL)
            continue;
        dtype_to_f32(t->dtype, t->data, to, p->count);
        p->data = p->own = to;
        to += p->count;
    }
}

static bool ends_with(const char *text, const char *end)
{
    size_t size = strlen(text), tail = strlen(end);

    return size >= tail && strcmp(text + size - tail, end) == 0;
}

static bool is_known(const struct model *m, const char *name)
{
    const struct arch *a = m->config.arch;

    if (model_find(m, name) != NULL)
        return true;
    for (const char *const *end = a->ignored; *end != NULL; end++)
        if (ends_with(name, *end))
            return true;
    for (size_t i = 0; a->prefix != NULL && i < m->parameter_count; i++)
        if (strcmp(m->parameters[i].name + strlen(a->prefix), name) == 0)
            return true;
    /* A tied head that was stored all the same. */
    return m->config.tied && (strcmp(name, "lm_head.weight") == 0 ||
                              strcmp(name, "embed_out.weight") == 0);
}

static void list_extra(struct model *m, const struct tensor_set *tensors)
{
    size_t count = 0;

    for (size_t i = 0; i < tensors->count; i++) {
        if (is_known(m, tensors->items[i].name))
            continue;
        m->extra = xrealloc(m->extra, (count + 2) * sizeof(*m->extra));
        m->extra[count++] = xstrdup(tensors->items[i].name);
        m->extra[count] = NULL;
    }
}

struct status model_load(const struct model_config *c,
                         const struct tensor_set *tensors,
                         enum model_memory memory, struct model **ret_model)
{
    AUTO(model_free_pointer) struct model *m = describe(c);

    TRY_PLAIN(place(m, tensors, memory));
    widen(m, tensors);
    list_extra(m, tensors);
    *ret_model = m;
    m = NULL;
    return SUCCESS;
}

struct status model_outline(const struct model_config *c,
                            const struct tensor_set *tensors,
                            struct model **ret_model)
{
    AUTO(model_free_pointer) struct model *m = describe(c);

    for (size_t i = 0; i < m->parameter_count; i++) {
        const struct tensor wanted = model_tensor(m, i);

        TRY_PLAIN(check_shape(&wanted,
                              find_tensor(m, tensors, m->parameters[i].name)));
    }
    list_extra(m, tensors);
    *ret_model = m;
    m = NULL;
    return SUCCESS;
}

struct status model_load_section(struct model *m,
                                 const struct tensor_set *tensors,
                                 size_t section)
{
    for (size_t i = 0; i < m->parameter_count; i++) {
        const struct tensor wanted = model_tensor(m, i);
        const struct tensor *t = find_tensor(m, tensors, wanted.name);

        if (m->graph->parameters[i].section != section)
            continue;
        TRY_PLAIN(check(&wanted, t));
        TRY_PLAIN(model_own(m, i));
        dtype_to_f32(t->dtype, t->data, m->parameters[i].own, t->count);
    }
    return SUCCESS;
}

void model_drop_section(struct model *m, size_t section)
{
    for (size_t i = 0; i < m->parameter_count; i++) {
        struct model_parameter *p = &m->parameters[i];

        if (m->graph->parameters[i].section != section || !p->alone)
            continue;
        free_pointer(&p->own);
        p->data = NULL;
        p->alone = false;
    }
}

const struct model_parameter *model_find(const struct model *m,
                                         const char *name)
{
    size_t i = graph_find(m->graph, name);

    return i == m->parameter_count ? NULL : &m->parameters[i];
}

struct status model_own(struct model *m, size_t parameter)
{
    struct model_parameter *p = &m->parameters[parameter];

    if (p->own != NULL)
        return SUCCESS;
    p->own = alloc_large(p->count * sizeof(*p->own));
    if (p->own == NULL)
        return FAIL(STATUS_NO_MEMORY, "no memory for tensor \"%s\" (%zu bytes)",
                    p->name, p->count * sizeof(*p->own));
    p->alone = true;
    if (p->data != NULL)
        memcpy(p->own, p->data, p->count * sizeof(*p->own));
    else
        memset(p->own, 0, p->count * sizeof(*p->own));
    p->data = p->own;
    return SUCCESS;
}

struct status model_mask(struct model *m, size_t parameter, const uint8_t *keep)
{
    struct model_parameter *p = &m->parameters[parameter];

    TRY_PLAIN(model_own(m, parameter));
    if (p->keep == NULL)
        p->keep = malloc(p->count);
    if (p->keep == NULL)
        return FAIL(STATUS_NO_MEMORY, "no memory for the mask of \"%s\"",
                    p->name);
    for (size_t i = 0; i < p->count; i++) {
        p->keep[i] = keep == NULL ? p->own[i] != 0.0F : keep[i] != 0;
        if (p->keep[i] == 0)
            p->own[i] = 0.0F;
    }
    return SUCCESS;
}
