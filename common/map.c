#include "common/map.h"

#include "common/memory.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct entry {
    char *key;
    size_t size;
    uint64_t hash;
    void *value;
};

/* `slots` holds entry number + 1, 0: empty; a power of two, at most half
 * full, so a probe always ends. */
struct map {
    struct entry *entries;
    size_t count;
    size_t room;
    uint32_t *slots;
    size_t slot_count;
};

enum { FIRST_ROOM = 8 };

static uint64_t hash_of(const void *key, size_t size)
{
    const unsigned char *at = key;
    uint64_t h = UINT64_C(0xcbf29ce484222325);

    for (size_t i = 0; i < size; i++) {
        h ^= at[i];
        h *= UINT64_C(0x100000001b3);
    }
    return h ^ h >> 29;
}

struct map *map_new(void)
{
    return xnew(struct map);
}

void map_free(struct map *m)
{
    if (m == NULL)
        return;
    for (size_t i = 0; i < m->count; i++)
        free(m->entries[i].key);
    free(m->entries);
    free(m->slots);
    free(m);
}

size_t map_count(const struct map *m)
{
    return m->count;
}

/* The slot that holds the key, or the empty one where it would go. */
static size_t slot_of(const struct map *m, const void *key, size_t size,
                      uint64_t hash)
{
    size_t at = hash & (m->slot_count - 1);

    while (m->slots[at] != 0) {
        const struct entry *e = &m->entries[m->slots[at] - 1];

        if (e->hash == hash && e->size == size &&
            memcmp(e->key, key, size) == 0)
            return at;
        at = (at + 1) & (m->slot_count - 1);
    }
    return at;
}

static void rebuild_slots(struct map *m)
{
    memset(m->slots, 0, m->slot_count * sizeof *m->slots);
    for (size_t i = 0; i < m->count; i++) {
        const struct entry *e = &m->entries[i];

        m->slots[slot_of(m, e->key, e->size, e->hash)] = (uint32_t)i + 1;
    }
}

static void grow(struct map *m)
{
    m->room = m->room == 0 ? FIRST_ROOM : 2 * m->room;
    m->entries = xrealloc(m->entries, m->room * sizeof *m->entries);
    m->slot_count = 2 * m->room;
    m->slots = xrealloc(m->slots, m->slot_count * sizeof *m->slots);
    rebuild_slots(m);
}

void *map_get(const struct map *m, const void *key, size_t size)
{
    uint32_t found;

    if (m->count == 0)
        return NULL;
    found = m->slots[slot_of(m, key, size, hash_of(key, size))];
    return found == 0 ? NULL : m->entries[found - 1].value;
}

void *map_put(struct map *m, const void *key, size_t size, void *value)
{
    uint64_t hash = hash_of(key, size);
    struct entry *e;
    size_t slot;

    if (m->count == m->room)
        grow(m);
    slot = slot_of(m, key, size, hash);
    if (m->slots[slot] != 0) {
        void *old;

        e = &m->entries[m->slots[slot] - 1];
        old = e->value;
        e->value = value;
        return old;
    }
    e = &m->entries[m->count++];
    *e = (struct entry){
        .key = xcalloc(size + 1, 1), .size = size, .hash = hash, .value = value
    };
    if (size > 0) /* the empty key may come without an address */
        memcpy(e->key, key, size);
    m->slots[slot] = (uint32_t)m->count;
    return NULL;
}

/* Close the hole at `at`: entries behind it that probed past it move up. */
static void remove_slot(struct map *m, size_t at)
{
    size_t mask = m->slot_count - 1;

    for (size_t next = (at + 1) & mask; m->slots[next] != 0;
         next = (next + 1) & mask) {
        size_t home = m->entries[m->slots[next] - 1].hash & mask;

        if (((next - home) & mask) >= ((next - at) & mask)) {
            m->slots[at] = m->slots[next];
            at = next;
        }
    }
    m->slots[at] = 0;
}

void *map_remove(struct map *m, const void *key, size_t size)
{
    size_t slot;
    size_t hole;
    void *value;

    if (m->count == 0)
        return NULL;
    slot = slot_of(m, key, size, hash_of(key, size));
    if (m->slots[slot] == 0)
        return NULL;
    hole = m->slots[slot] - 1;
    value = m->entries[hole].value;
    remove_slot(m, slot);
    free(m->entries[hole].key);
    if (hole != m->count - 1) {
        const struct entry *last = &m->entries[m->count - 1];

        m->slots[slot_of(m, last->key, last->size, last->hash)] =
            (uint32_t)hole + 1;
        m->entries[hole] = *last;
    }
    m->count--;
    return value;
}

void *map_at(const struct map *m, size_t i, const void **ret_key,
             size_t *ret_size)
{
    const struct entry *e = &m->entries[i];

    if (ret_key != NULL)
        *ret_key = e->key;
    if (ret_size != NULL)
        *ret_size = e->size;
    return e->value;
}

void *map_get_text(const struct map *m, const char *key)
{
    return map_get(m, key, strlen(key));
}

void *map_put_text(struct map *m, const char *key, void *value)
{
    return map_put(m, key, strlen(key), value);
}

void *map_remove_text(struct map *m, const char *key)
{
    return map_remove(m, key, strlen(key));
}
