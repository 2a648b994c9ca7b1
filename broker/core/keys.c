#include "broker/core/keys.h"

#include "common/memory.h"

#include <stdlib.h>
#include <string.h>

enum {
    FIRST_SLOTS = 64,
    MOVE_SLOTS = 32,
    /* The next table is made when 5 of 8 slots are used, and a page of it
     * touched with every 32nd key from there to 6 of 8: of two new slots for
     * an old one, 32 keys are due 512, which is a page. */
    TOUCH_KEYS = 32,
    TOUCH_SLOTS = 512,
};

/* A slot of the old table whose key has moved: it was not the end of a run. */
static const uint32_t has_moved = UINT32_MAX;

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
    free(k->old);
    free(k->next);
    k->slots = NULL;
    k->old = NULL;
    k->next = NULL;
    k->slot_count = 0;
    k->count = 0;
}

/* The slot that holds the key, or the empty one where it would go. */
static struct key_slot *find(const struct keys *k, struct key_slot *slots,
                             size_t slot_count, const struct digest *key)
{
    uint32_t tag = tag_of(key);
    size_t at = tag & (slot_count - 1);

    while (slots[at].value != 0) {
        if (slots[at].tag == tag && slots[at].value != has_moved &&
            digest_equal(k->key_of(k->self, slots[at].value), key))
            break;
        at = (at + 1) & (slot_count - 1);
    }
    return &slots[at];
}

static struct key_slot *find_old(const struct keys *k, const struct digest *key)
{
    struct key_slot *slot =
        k->old == NULL ? NULL : find(k, k->old, k->old_count, key);

    return slot == NULL || slot->value == 0 ? NULL : slot;
}

/* One that is not there. */
static void insert(struct keys *k, struct key_slot slot)
{
    size_t at = slot.tag & (k->slot_count - 1);

    while (k->slots[at].value != 0)
        at = (at + 1) & (k->slot_count - 1);
    k->slots[at] = slot;
}

static void move_some(struct keys *k, size_t slots)
{
    for (; slots > 0 && k->moved < k->old_count; slots--, k->moved++) {
        struct key_slot *slot = &k->old[k->moved];

        if (slot->value == 0 || slot->value == has_moved)
            continue;
        insert(k, *slot);
        slot->value = has_moved;
    }
    if (k->old == NULL || k->moved < k->old_count)
        return;
    free(k->old);
    k->old = NULL;
}

/* The kernel gives memory a page at a time, when it is first written to, and
 * takes microseconds each time: were it all done when the table is first used,
 * at random places, nothing else would get done for a while. */
static void prepare(struct keys *k)
{
    size_t most = most_used(k);
    size_t from = most - k->slot_count / 8;

    if (k->count < from || k->slot_count < TOUCH_SLOTS)
        return;
    if (k->next == NULL)
        k->next = xcalloc(2 * k->slot_count, sizeof *k->next);
    if (k->count % TOUCH_KEYS == 0 && k->count < most)
        ((volatile struct key_slot *)
             k->next)[(k->count - from) / TOUCH_KEYS * TOUCH_SLOTS]
            .value = 0;
}

static void resize(struct keys *k, size_t slot_count)
{
    move_some(k, SIZE_MAX);
    k->old = k->slots;
    k->old_count = k->slot_count;
    k->moved = 0;
    if (slot_count != 2 * k->slot_count) {
        free(k->next);
        k->next = NULL;
    }
    k->slots =
        k->next != NULL ? k->next : xcalloc(slot_count, sizeof *k->slots);
    k->next = NULL;
    k->slot_count = slot_count;
}

/* Room for so many in all. */
static void reserve(struct keys *k, size_t count)
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

uint32_t keys_guess(const struct keys *k, const struct digest *key)
{
    const struct key_slot *slot;

    if (k->slot_count == 0)
        return 0;
    slot = &k->slots[tag_of(key) & (k->slot_count - 1)];
    return slot->tag == tag_of(key) ? slot->value : 0;
}

uint32_t keys_get(const struct keys *k, const struct digest *key)
{
    const struct key_slot *slot;

    if (k->slot_count == 0)
        return 0;
    slot = find(k, k->slots, k->slot_count, key);
    if (slot->value != 0)
        return slot->value;
    slot = find_old(k, key);
    return slot == NULL ? 0 : slot->value;
}

void keys_put(struct keys *k, const struct digest *key, uint32_t value)
{
    struct key_slot *slot;

    if (k->slot_count == 0 || k->count == most_used(k))
        reserve(k, k->count + 1);
    move_some(k, MOVE_SLOTS);
    slot = find_old(k, key);
    if (slot == NULL)
        slot = find(k, k->slots, k->slot_count, key);
    if (slot->value == 0) {
        k->count++;
        prepare(k);
    }
    *slot = (struct key_slot){ .tag = tag_of(key), .value = value };
}

/* Those behind the hole that probed past it move up. */
static void close_hole(struct keys *k, size_t hole)
{
    size_t mask = k->slot_count - 1;

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

void keys_remove(struct keys *k, const struct digest *key)
{
    struct key_slot *old = find_old(k, key);
    struct key_slot *slot;

    if (k->slot_count == 0)
        return;
    slot = find(k, k->slots, k->slot_count, key);
    k->count -= old != NULL || slot->value != 0;
    if (old != NULL)
        old->value = has_moved;
    else if (slot->value != 0)
        close_hole(k, (size_t)(slot - k->slots));
}
