/* clock.h -- time for the edges of a process; cores get it as an argument. */
#ifndef SINTER_COMMON_CLOCK_H
#define SINTER_COMMON_CLOCK_H

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

#endif
