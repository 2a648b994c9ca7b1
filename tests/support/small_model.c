#include "support/small_model.h"

#include "common/memory.h"
#include "common/philox.h"
#include "support/test.h"

static void *writable(const struct tensor *t)
{
    /* Test data is ours; only the view calls it const. */
    return (void *)(uintptr_t)t->data;
}

static void put(struct tensor *t, uint64_t element, float value)
{
    size_t size = dtype_size(t->dtype);

    dtype_from_f32(t->dtype, &value, (char *)writable(t) + element * size, 1);
}

static float get(const struct tensor *t, uint64_t element)
{
    float value;

    dtype_to_f32(t->dtype,
                 (const char *)t->data + element * dtype_size(t->dtype), &value,
                 1);
    return value;
}

/* Cubes of uniform draws: many small, few large, and no library function
 * that might round otherwise elsewhere. */
static double draw(struct philox_key key, uint64_t element)
{
    double u = (double)philox_word(key, element) * 0x1p-31 - 1.0;

    return u * u * u;
}

static void fill(struct tensor *t, uint32_t seed, double scale)
{
    const struct philox_key key = { seed, 0, philox_hash64(t->name) };
    unsigned char *bytes = writable(t);

    for (uint64_t i = 0; i < tensor_bytes(t); i++)
        bytes[i] = (unsigned char)i;
    for (uint64_t i = 0; dtype_is_float(t->dtype) && i < t->count; i++)
        put(t, i, (float)(scale * draw(key, i)));
}

struct small_model small_model_new(const struct small_row *rows, uint32_t seed,
                                   double scale)
{
    struct small_model m = { .items = NULL };

    while (rows[m.set.count].name != NULL)
        m.set.count++;
    m.items = xcalloc(m.set.count + 1, sizeof *m.items);
    m.set.items = m.items;
    for (size_t i = 0; i < m.set.count; i++) {
        struct tensor *t = &m.items[i];

        *t = (struct tensor){ .name = rows[i].name,
                              .dtype = rows[i].dtype,
                              .rank = rows[i].rank,
                              .count = 1,
                              .file = "memory" };
        for (uint32_t d = 0; d < t->rank; d++) {
            t->shape[d] = rows[i].shape[d];
            t->count *= t->shape[d];
        }
        t->data = xcalloc((size_t)tensor_bytes(t) + 1, 1);
        fill(t, seed, scale);
    }
    return m;
}

struct small_model small_model_near(const struct small_model *base,
                                    uint32_t seed, double scale)
{
    struct small_model m = { .set = base->set };

    m.items = xcalloc(m.set.count + 1, sizeof *m.items);
    m.set.items = m.items;
    for (size_t i = 0; i < m.set.count; i++) {
        struct tensor *t = &m.items[i];

        *t = base->items[i];
        t->data = xcalloc((size_t)tensor_bytes(t) + 1, 1);
        fill(t, seed, scale);
        for (uint64_t k = 0; dtype_is_float(t->dtype) && k < t->count; k++)
            put(t, k, get(&base->items[i], k) + get(t, k));
    }
    return m;
}

void small_model_release(struct small_model *m)
{
    for (size_t i = 0; i < m->set.count; i++)
        free(writable(&m->items[i]));
    free(m->items);
    m->set.count = 0;
    m->items = NULL;
}

static struct tensor *find(const struct small_model *m, const char *name)
{
    const struct tensor *t = tensor_find(&m->set, name);

    assert_non_null(t);
    return &m->items[t - m->set.items];
}

double small_model_get(const struct small_model *m, const char *name,
                       uint64_t element)
{
    return (double)get(find(m, name), element);
}

void small_model_set(struct small_model *m, const char *name, uint64_t element,
                     double value)
{
    put(find(m, name), element, (float)value);
}
