/* time.h -- the one clock and the one chance of a simulated world, what will
 * happen on it, and the memory that goes with it.
 *
 * There is one world at a time, in one thread. Its times are ns since it
 * began; processes see them through clocks of their own (process.h). */
#ifndef SINTER_TESTS_SIM_WORLD_TIME_H
#define SINTER_TESTS_SIM_WORLD_TIME_H

#include "common/clock.h"
#include "common/macros.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TIME_NEVER INT64_MAX

/* All that is drawn follows from the seed. */
void time_begin(uint64_t seed);
/* Frees all that time_alloc() gave. */
void time_end(void);

int64_t time_now(void);

/* A number below `bound` > 0; from `least` to `most`; true so often. */
uint64_t time_draw(uint64_t bound);
int64_t time_between(int64_t least, int64_t most);
bool time_chance(unsigned permille);

/* Zeroed, until the world ends. */
void *time_alloc(size_t size);
char *time_copy(const void *data, size_t size); /* a NUL is added */

/* Events of one instant happen in the order they were asked for. */
void time_at(int64_t at, void (*happen)(void *self, uint64_t number),
             void *self, uint64_t number);
void time_after(int64_t ns, void (*happen)(void *self, uint64_t number),
                void *self, uint64_t number);
/* Let all happen until then. */
void time_pass(int64_t until);
/* How many events have happened. */
uint64_t time_events(void);

/* A line of the story, if it is told. */
extern bool time_tells;
void time_tell(const char *format, ...) PRINTF_LIKE(1, 2);

#endif
