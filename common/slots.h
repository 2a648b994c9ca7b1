/* slots.h -- how many of its slots a worker gives to a job that asks for so
 * many cpus: broker and worker must agree. */
#ifndef SINTER_COMMON_SLOTS_H
#define SINTER_COMMON_SLOTS_H

#include <stdint.h>

/* `asked`: 0 is one slot, whatever it has. `cpus` of the worker; 0: one for
 * each slot. */
static inline uint64_t slots_for(uint64_t asked, uint64_t slots, uint64_t cpus)
{
    uint64_t all = cpus > 0 ? cpus : slots;

    if (asked <= 1)
        return 1;
    return asked >= all ? slots : (asked * slots + all - 1) / all;
}

#endif
