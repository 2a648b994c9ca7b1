/* roster.h -- the addresses of the brokers of one farm, of which one leads,
 * and which of them to try next. Pure. */
#ifndef SINTER_COMMON_ROSTER_H
#define SINTER_COMMON_ROSTER_H

#include <stdbool.h>
#include <stddef.h>

struct roster {
    char **items;
    size_t count;
    size_t at;  /* the one tried now, or before `told` was */
    char *now;  /* tried now, though it is no item; NULL: the item is */
    char *told; /* to be tried next; NULL: the next item is */
};

/* "A,B": the first is tried first. An empty text is one empty address, which
 * whoever connects refuses. */
void roster_init(struct roster *r, const char *text);
void roster_release(struct roster *r);

/* Until the next call of roster_next(). */
const char *roster_current(const struct roster *r);
void roster_next(struct roster *r);
/* The current one says that `address` leads. Believed when it is an item, or
 * when `trusted` who says so may send us anywhere. False: it is not, or not
 * known, and the next item is tried. */
bool roster_told(struct roster *r, const char *address, size_t size,
                 bool trusted);

#endif
