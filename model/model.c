#include "model/model.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

#include "common/memory.h"
#include "common/philox.h"

static bool present(const struct model_config *c,
                    const struct arch_parameter *row)
{
    return row->tied == 0 || !c->tied;
}

static uint32_t copies(const struct model_config *c,
                       const struct arch_parameter *row)
{
    return row->of_layer ? c->layers : 1;
}

static size_t count_of(const struct model_config *c,
                       const struct arch_parameter *row)
{
    size_t columns = arch_width(c, row->columns);

    return arch_width(c, row->rows) * (columns == 0 ? 1 : columns);
}

size_t model_size(const struct model_config *c)
{
    const struct arch_parameter *rows = c->arch->parameters;
    size_t size = 0;

    for (size_t i = 1; rows[i].name != NULL; i++)
        if (present(c, &rows[i]))
            size += count_of(c, &rows[i]) * copies(c, &rows[i]);
    return size;
}

static size_t count_tensors(const struct model_config *c)
{
    const struct arch_parameter *rows = c->arch->parameters;
    size_t count = 0;

    for (size_t i = 1; rows[i].name != NULL; i++)
        if (present(c, &rows[i]))
            count += copies(c, &rows[i]);
    return count;
}

static struct model_parameter describe(const struct model_config *c,
                                       const struct arch_parameter *row,
                                       uint32_t layer, size_t at)
{
    struct model_parameter p = {
        .row = row,
        .rows = arch_width(c, row->rows),
        .columns = arch_width(c, row->columns),
        .count = count_of(c, row),
        .at = at,
    };

    if (row->of_layer)
        (void)snprintf(p.name, sizeof(p.name), "%s.%u.%s", c->arch->prefix,
                       layer, row->name);
    else
        (void)snprintf(p.name, sizeof(p.name), "%s", row->name);
    return p;
}

/* Every parameter described, none with data. The order is that of the rows,
 * each with all its layers: model_parameter() relies on it. */
static struct model *describe_all(const struct model_config *c)
{
    const struct arch_parameter *rows = c->arch->parameters;
    struct model *m = xnew(struct model);
    size_t n = 0;

    m->config = *c;
    m->parameter_count = count_tensors(c);
    m->parameters = xcalloc(m->parameter_count, sizeof(*m->parameters));
    m->extra = xcalloc(1, sizeof(*m->extra));
    for (size_t i = 1; rows[i].name != NULL; i++)
        for (uint32_t l = 0; present(c, &rows[i]) && l < copies(c, &rows[i]);
             l++) {
            m->parameters[n] = describe(c, &rows[i], l, m->size);
            m->size += m->parameters[n++].count;
        }
    return m;
}

void model_free(struct model *m)
{
    if (m == NULL)
        return;
    for (char **e = m->extra; *e != NULL; e++)
        free(*e);
    free(m->extra);
    free(m->parameters);
    free(m->block);
    free(m);
}

static void model_free_pointer(struct model **m)
{
    model_free(*m);
}

static struct status take_block(struct model *m, size_t floats)
{
    m->block = floats == 0 ? NULL : malloc(floats * sizeof(*m->block));
    if (floats != 0 && m->block == NULL)
        return FAIL(STATUS_NO_MEMORY,
                    "no memory for %zu parameters (%zu bytes)", floats,
                    floats * sizeof(*m->block));
    return SUCCESS;
}

static float deviation(const struct model *m, const struct model_parameter *p)
{
    float fan_in = 1.0F / sqrtf((float)p->columns);

    switch (p->row->init) {
    case INIT_EMBEDDING:
        return 0.1F;
    case INIT_FAN_IN:
        return fan_in;
    case INIT_RESIDUAL:
        return fan_in / sqrtf(2.0F * (float)m->config.layers);
    case INIT_ONES:
        break;
    }
    return 0.0F;
}

static void fill(const struct model *m, const struct model_parameter *p,
                 uint32_t seed)
{
    struct philox_key key = {
        .seed = seed,
        .stream = philox_hash("model.new"),
        .tensor = philox_hash64(p->name),
    };
    float *to = m->block + p->at;
    float by = deviation(m, p);

    for (size_t i = 0; i < p->count; i++)
        to[i] = p->row->init == INIT_ONES ? 1.0F : by * philox_normal(key, i);
}

struct status model_new(const struct model_config *c, uint32_t seed,
                        struct model **ret_model)
{
    AUTO(model_free_pointer) struct model *m = describe_all(c);

    TRY_PLAIN(take_block(m, m->size));
    assert(m->block != NULL); /* a model has parameters */
    for (size_t i = 0; i < m->parameter_count; i++) {
        m->parameters[i].data = m->block + m->parameters[i].at;
        fill(m, &m->parameters[i], seed);
    }
    *ret_model = m;
    m = NULL;
    return SUCCESS;
}

struct tensor model_tensor(const struct model_parameter *p)
{
    struct tensor t = {
        .name = p->name,
        .dtype = DTYPE_F32,
        .rank = p->columns == 0 ? 1 : 2,
        .shape = { p->rows, p->columns },
        .count = p->count,
    };

    return t;
}

static struct status check(const struct model_parameter *p,
                           const struct tensor *found)
{
    struct tensor wanted = model_tensor(p);
    char is[128], should[128];
    size_t bad;

    if (found == NULL)
        return FAIL(STATUS_INVALID,
                    "tensor \"%s\" is missing; config.json asks for it with "
                    "shape %s",
                    p->name,
                    tensor_shape_text(&wanted, should, sizeof(should)));
    if (!tensor_same_shape(&wanted, found))
        return FAIL(STATUS_INVALID,
                    "tensor \"%s\" is %s; config.json asks for %s", p->name,
                    tensor_shape_text(found, is, sizeof(is)),
                    tensor_shape_text(&wanted, should, sizeof(should)));
    if (!dtype_is_float(found->dtype) || found->data == NULL)
        return FAIL(STATUS_INVALID, "tensor \"%s\" holds %s, not floats",
                    p->name, dtype_name(found->dtype));
    bad = dtype_find_not_finite(found->dtype, found->data, found->count);
    if (bad < found->count)
        return FAIL(STATUS_CORRUPT,
                    "tensor \"%s\" has a NaN or infinity at element %zu%s%s",
                    p->name, bad, found->file == NULL ? "" : " of ",
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
        const struct tensor *t = tensor_find(tensors, p->name);

        TRY_PLAIN(check(p, t));
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
        const struct tensor *t = tensor_find(tensors, p->name);

        if (p->data != NULL)
            continue;
        dtype_to_f32(t->dtype, t->data, to, p->count);
        p->data = to;
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
    for (size_t i = 1; a->parameters[i].name != NULL; i++)
        if (a->parameters[i].tied != 0 &&
            strcmp(a->parameters[i].name, name) == 0)
            return true; /* a tied head that was stored all the same */
    return false;
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
    AUTO(model_free_pointer) struct model *m = describe_all(c);

    TRY_PLAIN(place(m, tensors, memory));
    widen(m, tensors);
    list_extra(m, tensors);
    *ret_model = m;
    m = NULL;
    return SUCCESS;
}

const struct model_parameter *model_parameter(const struct model *m, int row,
                                              uint32_t layer)
{
    const struct arch_parameter *wanted = &m->config.arch->parameters[row];

    if (!present(&m->config, wanted))
        wanted = &m->config.arch->parameters[wanted->tied];
    for (size_t i = 0; i < m->parameter_count; i++)
        if (m->parameters[i].row == wanted)
            return &m->parameters[i + (wanted->of_layer ? layer : 0)];
    abort(); /* every row that is present has parameters */
}

const struct model_parameter *model_find(const struct model *m,
                                         const char *name)
{
    for (size_t i = 0; i < m->parameter_count; i++)
        if (strcmp(m->parameters[i].name, name) == 0)
            return &m->parameters[i];
    return NULL;
}
