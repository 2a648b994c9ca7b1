/* crowd.h -- a set of workers, by their numbers: a bit each. All zero: none. */
#ifndef SINTER_BROKER_CORE_CROWD_H
#define SINTER_BROKER_CORE_CROWD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct crowd {
    uint64_t *words;
    size_t size;
    size_t count;
};

bool crowd_has(const struct crowd *c, size_t number);
void crowd_put(struct crowd *c, size_t number);
void crowd_drop(struct crowd *c, size_t number);
/* The next one in it from that number on, behind the last the first again. It
 * must not be empty. */
size_t crowd_next(const struct crowd *c, size_t number);
/* The least number that is not in it. */
size_t crowd_vacancy(const struct crowd *c);
void crowd_release(struct crowd *c);

#endif
