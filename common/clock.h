/* clock.h -- time for the edges of a process; cores get it as an argument. */
#ifndef SINTER_COMMON_CLOCK_H
#define SINTER_COMMON_CLOCK_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NS_PER_MS INT64_C(1000000)
#define NS_PER_S  INT64_C(1000000000)

/* Nanoseconds since an arbitrary point; never goes back. */
int64_t clock_now(void);
/* Milliseconds since 1970, UTC: only for people to read. */
int64_t clock_wall_ms(void);
/* "2026-11-22T14:03:11Z". `size` of at least 21. */
void clock_format(int64_t wall_ms, char *text, size_t size);
/* Sleep this long unless a signal comes first. */
void clock_sleep_ms(int64_t ms);

/* A condition whose waits end by clock_now(). */
void clock_condition_init(pthread_cond_t *condition);
/* Wait with the lock until signalled (or for no reason, as conditions do) or
 * until `ns` of clock_now(), INT64_MAX: for ever. False: it is that late. */
bool clock_condition_wait(pthread_cond_t *condition, pthread_mutex_t *lock,
                          int64_t ns);

#endif
