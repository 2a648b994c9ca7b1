/* order.h -- things in the order of (key, tie), the smallest first. An entry
 * is part of what it orders and is in at most one order; all zero: in none. */
#ifndef SINTER_BROKER_CORE_ORDER_H
#define SINTER_BROKER_CORE_ORDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct order_entry {
    int64_t key;
    uint64_t tie;
    size_t place; /* from 1; 0: in no order */
};

struct order {
    struct order_entry **items;
    size_t count, room;
};

void order_release(struct order *o);
void order_add(struct order *o, struct order_entry *e);
void order_remove(struct order *o, struct order_entry *e);
struct order_entry *order_first(const struct order *o); /* NULL: empty */
bool order_before(const struct order_entry *a, const struct order_entry *b);

#endif
