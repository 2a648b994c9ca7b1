/* keys.h -- from the key of a job to a number that says where the job is:
 * open addressing, eight bytes a slot. Keys are SHA-256, so their own bits are
 * the hash; the keys themselves are where the number leads to. */
#ifndef SINTER_BROKER_CORE_KEYS_H
#define SINTER_BROKER_CORE_KEYS_H

#include "common/digest.h"

#include <stddef.h>
#include <stdint.h>

struct key_slot {
    uint32_t tag;   /* first bits of the key: choose the slot, and say whether
                       a look at the whole key is worth it */
    uint32_t value; /* 0: empty */
};

struct keys {
    /* The key that a number leads to. */
    const struct digest *(*key_of)(const void *self, uint32_t value);
    const void *self;
    struct key_slot *slots;
    size_t slot_count; /* a power of two */
    size_t count;      /* of both tables */
    /* The table before, whose keys move a few at a time, so that nobody waits
     * for all of them at once. NULL: all have moved. */
    struct key_slot *old;
    size_t old_count;
    size_t moved; /* its first slots are empty */
    struct key_slot
        *next; /* of twice the slots, empty; NULL: not needed soon */
};

void keys_release(struct keys *k);
/* 0: absent. */
uint32_t keys_get(const struct keys *k, const struct digest *key);
/* Add or replace; `value` is not 0 and leads to the key already. */
void keys_put(struct keys *k, const struct digest *key, uint32_t value);
/* While the number still leads to the key. */
void keys_remove(struct keys *k, const struct digest *key);
/* The key will be looked up soon. */
void keys_prefetch(const struct keys *k, const struct digest *key);
/* The same as keys_get(), most likely: what it leads to is not looked at. */
uint32_t keys_guess(const struct keys *k, const struct digest *key);

#endif
