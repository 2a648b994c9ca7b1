#include "tests/sim/world/system.h"

#include "common/log.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

enum { FIRST = 1 << 20, EVENTS = 4096 };

const char system_news = 0;

static struct {
    struct event {
        struct process *process;
        uint64_t counted;
        bool open;
    } events[EVENTS];

    int count;
} s;

void system_begin(void)
{
    s.count = 0;
}

static struct event *find(int descriptor)
{
    int i = descriptor - FIRST;

    return i >= 0 && i < s.count ? &s.events[i] : NULL;
}

int system_event(struct process *p)
{
    assert(s.count < EVENTS);
    s.events[s.count] = (struct event){ .process = p, .open = true };
    return FIRST + s.count++;
}

void system_count(int descriptor)
{
    struct event *e = find(descriptor);

    assert(e != NULL && e->open);
    e->counted++;
    fiber_wake(e->process, &system_news);
}

bool system_is_readable(int descriptor)
{
    const struct event *e = find(descriptor);

    return e != NULL && e->open && e->counted > 0;
}

uint64_t system_take(int descriptor)
{
    struct event *e = find(descriptor);
    uint64_t counted = e->counted;

    e->counted = 0;
    return counted;
}

bool system_look(struct pollfd *items, size_t count)
{
    bool dead = process_self()->dead;
    bool any = dead;

    for (size_t i = 0; i < count; i++) {
        bool ready = items[i].fd >= 0 && (items[i].events & POLLIN) != 0 &&
                     (dead || system_is_readable(items[i].fd));

        items[i].revents = ready ? POLLIN : 0;
        any = any || ready;
    }
    return any;
}

/* The time of one that is dead flies, so that it comes to its end. */
static void fly(struct process *p, int64_t ns)
{
    p->clock += ns > 0 ? ns : 0;
    fiber_wait(NULL, time_now());
}

/* ---- the C library -------------------------------------------------------- */

/* --wrap of the linker names them so. */
/* NOLINTBEGIN(readability-identifier-naming) */
int __wrap_eventfd(unsigned count, int flags);
ssize_t __wrap_read(int fd, void *to, size_t size);
ssize_t __wrap_write(int fd, const void *from, size_t size);
int __wrap_close(int fd);
int __wrap_poll(struct pollfd *items, nfds_t count, int timeout_ms);
int __wrap___poll_chk(struct pollfd *items, nfds_t count, int timeout_ms,
                      size_t size);
ssize_t __wrap_getrandom(void *to, size_t size, unsigned flags);
int __wrap_pthread_create(pthread_t *ret_thread, const pthread_attr_t *how,
                          void *(*code)(void *self), void *self);
int __wrap_pthread_join(pthread_t thread, void **ret_result);
int __wrap_pthread_cond_signal(pthread_cond_t *condition);
int __wrap_pthread_cond_broadcast(pthread_cond_t *condition);
ssize_t __real_read(int fd, void *to, size_t size);
ssize_t __real_write(int fd, const void *from, size_t size);
int __real_close(int fd);

int __wrap_eventfd(unsigned count, int flags)
{
    (void)count;
    (void)flags;
    return system_event(process_self());
}

ssize_t __wrap_read(int fd, void *to, size_t size)
{
    struct event *e = find(fd);

    if (e == NULL)
        return __real_read(fd, to, size);
    assert(size == sizeof e->counted);
    if (e->counted == 0) {
        errno = EAGAIN;
        return -1;
    }
    memcpy(to, &e->counted, size);
    e->counted = 0;
    return (ssize_t)size;
}

ssize_t __wrap_write(int fd, const void *from, size_t size)
{
    if (find(fd) == NULL)
        return __real_write(fd, from, size);
    system_count(fd);
    return (ssize_t)size;
}

int __wrap_close(int fd)
{
    struct event *e = find(fd);

    if (e == NULL)
        return __real_close(fd);
    e->open = false;
    return 0;
}

int __wrap_poll(struct pollfd *items, nfds_t count, int timeout_ms)
{
    struct process *p = process_self();
    int64_t until =
        timeout_ms < 0 ? TIME_NEVER : time_now() + timeout_ms * NS_PER_MS;
    int ready = 0;

    if (p->dead)
        fly(p, timeout_ms * NS_PER_MS);
    while (!system_look(items, count) && time_now() < until)
        fiber_wait(&system_news, until);
    for (nfds_t i = 0; i < count; i++)
        ready += items[i].revents != 0;
    return ready;
}

int __wrap___poll_chk(struct pollfd *items, nfds_t count, int timeout_ms,
                      size_t size)
{
    (void)size;
    return __wrap_poll(items, count, timeout_ms);
}

ssize_t __wrap_getrandom(void *to, size_t size, unsigned flags)
{
    uint64_t word = time_draw(UINT64_MAX);

    (void)flags;
    assert(size <= sizeof word);
    memcpy(to, &word, size);
    return (ssize_t)size;
}

int __wrap_pthread_create(pthread_t *ret_thread, const pthread_attr_t *how,
                          void *(*code)(void *self), void *self)
{
    (void)how;
    *ret_thread = (pthread_t)fiber_new(code, self);
    return 0;
}

int __wrap_pthread_join(pthread_t thread, void **ret_result)
{
    (void)ret_result;
    fiber_join((struct fiber *)thread);
    return 0;
}

int __wrap_pthread_cond_signal(pthread_cond_t *condition)
{
    fiber_wake(process_self(), condition);
    return 0;
}

int __wrap_pthread_cond_broadcast(pthread_cond_t *condition)
{
    return __wrap_pthread_cond_signal(condition);
}
/* NOLINTEND(readability-identifier-naming) */

/* ---- common/clock.h ------------------------------------------------------- */

int64_t clock_now(void)
{
    const struct process *p = process_self();

    return p == NULL ? time_now() : process_clock(p);
}

int64_t clock_wall_ms(void)
{
    static const struct process nobody;
    const struct process *p = process_self();

    return process_wall_ms(p == NULL ? &nobody : p);
}

void clock_format(int64_t wall_ms, char *text, size_t size)
{
    (void)snprintf(text, size, "%lld", (long long)wall_ms);
}

void clock_sleep_ms(int64_t ms)
{
    struct process *p = process_self();
    int64_t until = time_now() + ms * NS_PER_MS;

    while (!p->dead && time_now() < until)
        fiber_wait(NULL, until);
    if (p->dead)
        fly(p, ms * NS_PER_MS);
}

void clock_condition_init(pthread_cond_t *condition)
{
    (void)pthread_cond_init(condition, NULL);
}

/* A fiber that waits holds no lock: none is ever waited for. */
bool clock_condition_wait(pthread_cond_t *condition, pthread_mutex_t *lock,
                          int64_t ns)
{
    struct process *p = process_self();

    (void)pthread_mutex_unlock(lock);
    if (p->dead)
        fly(p, ns == INT64_MAX ? 0 : ns - process_clock(p));
    else
        fiber_wait(condition, process_when(p, ns));
    (void)pthread_mutex_lock(lock);
    return !p->dead && process_clock(p) < ns;
}

/* ---- common/log.h --------------------------------------------------------- */

void log_start(const char *program, enum log_level least,
               enum log_format format)
{
    (void)program;
    (void)least;
    (void)format;
}

bool log_shows(enum log_level level)
{
    (void)level;
    return time_tells;
}

void log_event(enum log_level level, const char *event, const char *format, ...)
{
    const struct process *p = process_self();
    char fields[400];
    va_list args;

    (void)level;
    if (!time_tells || p == NULL || p->dead)
        return;
    va_start(args, format);
    (void)vsnprintf(fields, sizeof fields, format, args);
    va_end(args);
    time_tell("%s: %s %s", p->name, event, fields);
}

void log_failure(const char *event, const struct status *st)
{
    log_event(LOG_ERROR, event, "%s: %s", status_name(st->code), st->message);
}

struct status log_level_find(const char *name, enum log_level *ret_level)
{
    *ret_level = LOG_INFO;
    return FAIL(STATUS_INVALID, "\"%s\" is not asked for here", name);
}

struct status log_format_find(const char *name, enum log_format *ret_format)
{
    *ret_format = LOG_LOGFMT;
    return FAIL(STATUS_INVALID, "\"%s\" is not asked for here", name);
}
