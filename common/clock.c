#include "common/clock.h"

#include <errno.h>
#include <time.h>

int64_t clock_now(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * NS_PER_S + t.tv_nsec;
}

int64_t clock_wall_ms(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / NS_PER_MS;
}

void clock_format(int64_t wall_ms, char *text, size_t size)
{
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm parts;

    (void)gmtime_r(&seconds, &parts);
    (void)strftime(text, size, "%Y-%m-%dT%H:%M:%SZ", &parts);
}

void clock_sleep_ms(int64_t ms)
{
    struct timespec t = { .tv_sec = (time_t)(ms / 1000),
                          .tv_nsec = (long)(ms % 1000 * NS_PER_MS) };

    (void)nanosleep(&t, NULL);
}

void clock_condition_init(pthread_cond_t *condition)
{
    pthread_condattr_t monotonic;

    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(condition, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
}

bool clock_condition_wait(pthread_cond_t *condition, pthread_mutex_t *lock,
                          int64_t ns)
{
    const struct timespec until = { .tv_sec = (time_t)(ns / NS_PER_S),
                                    .tv_nsec = (long)(ns % NS_PER_S) };

    if (ns == INT64_MAX)
        return pthread_cond_wait(condition, lock) == 0;
    return pthread_cond_timedwait(condition, lock, &until) != ETIMEDOUT;
}
