#include "broker/core/keys.h"

#include "common/memory.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_SLOTS = 64 };

/* At most three of four slots are used, so a probe always ends. */
static size_t most_used(const struct keys *k)
{
    return k->slot_count / 4 * 3;
}

static uint32_t tag_of(const struct digest *key)
{
    uint32_t tag;

    memcpy(&tag, key->bytes, sizeof tag);
    return tag;
}

void keys_release(struct keys *k)
{
    free(k->slots);
    k->slots = NULL;
    k->slot_count = 0;
    k->count = 0;
}

/* The slot that holds the key, or the empty one where it would go. */
static size_t slot_of(const struct keys *k, const struct digest *key)
{
    uint32_t tag = tag_of(key);
    size_t at = tag & (k->slot_count - 1);

    while (k->slots[at].value != 0) {
        if (k->slots[at].tag == tag &&
            digest_equal(k->key_of(k->self, k->slots[at].value), key))
            return at;
        at = (at + 1) & (k->slot_count - 1);
    }
    return at;
}

static void resize(struct keys *k, size_t slot_count)
{
    struct key_slot *old = k->slots;
    size_t old_count = k->slot_count;

    k->slots = xcalloc_large(slot_count, sizeof *k->slots);
    k->slot_count = slot_count;
    for (size_t i = 0; i < old_count; i++) {
        size_t at;

        if (old[i].value == 0)
            continue;
        at = old[i].tag & (slot_count - 1);
        while (k->slots[at].value != 0)
            at = (at + 1) & (slot_count - 1);
        k->slots[at] = old[i];
    }
    free(old);
}

void keys_reserve(struct keys *k, size_t count)
{
    size_t slots = k->slot_count == 0 ? FIRST_SLOTS : k->slot_count;

    while (slots / 4 * 3 < count)
        slots *= 2;
    if (slots != k->slot_count)
        resize(k, slots);
}

void keys_prefetch(const struct keys *k, const struct digest *key)
{
    if (k->slot_count > 0)
        __builtin_prefetch(&k->slots[tag_of(key) & (k->slot_count - 1)]);
}

uint32_t keys_get(const struct keys *k, const struct digest *key)
{
    return k->slot_count == 0 ? 0 : k->slots[slot_of(k, key)].value;
}

void keys_put(struct keys *k, const struct digest *key, uint32_t value)
{
    struct key_slot *slot;

    if (k->slot_count == 0 || k->count == most_used(k))
        keys_reserve(k, k->count + 1);
    slot = &k->slots[slot_of(k, key)];
    k->count += slot->value == 0;
    *slot = (struct key_slot){ .tag = tag_of(key), .value = value };
}

/* Those behind the hole that probed past it move up. */
void keys_remove(struct keys *k, const struct digest *key)
{
    size_t mask = k->slot_count - 1;
    size_t hole = k->slot_count == 0 ? 0 : slot_of(k, key);

    if (k->slot_count == 0 || k->slots[hole].value == 0)
        return;
    k->count--;
    for (size_t next = (hole + 1) & mask; k->slots[next].value != 0;
         next = (next + 1) & mask) {
        size_t home = k->slots[next].tag & mask;

        if (((next - home) & mask) >= ((next - hole) & mask)) {
            k->slots[hole] = k->slots[next];
            hole = next;
        }
    }
    k->slots[hole].value = 0;
}
