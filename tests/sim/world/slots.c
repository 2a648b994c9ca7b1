#include "tests/sim/world/slots.h"

#include "tests/sim/world/coverage.h"
#include "tests/sim/world/oracle.h"
#include "tests/sim/world/system.h"
#include "worker/health.h"
#include "worker/holdings.h"
#include "worker/orphans.h"
#include "worker/serve.h"
#include "worker/signals.h"
#include "worker/slot.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct slots_weather slots_weather;
void (*slots_poisoned)(struct process *worker);

enum {
    TEXT = 160,
    BOOT_MS = 5,
    LATE_MS = 2000,
    SOURCES = SLOTS_SOURCES,
    WORKERS = 64
};

/* What a slot says, in the order it comes. */
struct report {
    struct report *next;
    struct slot_event event;
    char text[TEXT];
};

struct slot {
    struct process *process;
    int fd;
    bool busy, started; /* it has a job; it has a process */
    uint64_t runs;      /* so far: what belongs to an earlier one is void */
    struct wire_token token;
    bool stubborn;
    struct report *first, **end;
};

static struct {
    uint64_t seed;

    struct mail {
        const struct process *process;
        int fd;
        int terms;
    } mails[WORKERS]; /* signals */

    size_t count;
} all;

void slots_begin(uint64_t seed)
{
    memset(&all, 0, sizeof all);
    all.seed = seed;
    slots_weather = (struct slots_weather){ .longest_ms = 2000 };
}

/* ---- jobs ----------------------------------------------------------------- */

/* A number below `bound` that key and seed decide. */
static uint64_t chance(const struct digest *key, uint64_t what, uint64_t bound)
{
    uint64_t z;

    memcpy(&z, key->bytes + 8, sizeof z);
    z = (z ^ all.seed * 31 ^ what << 48) * UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 29) * UINT64_C(0xbf58476d1ce4e5b9);
    return (z ^ z >> 32) % bound;
}

enum job_nature slots_nature(const struct digest *key)
{
    const struct slots_weather *w = &slots_weather;
    const unsigned shares[] = {
        [JOB_WELL] = 0,           [JOB_TRIES] = w->retry,
        [JOB_FAILS] = w->fail,    [JOB_CRASHES] = w->crash,
        [JOB_HANGS] = w->hang,    [JOB_STARVES] = w->memory,
        [JOB_POISONS] = w->poison
    };
    uint64_t draw = chance(key, 1, 1000);

    for (size_t i = 0; i < COUNT_OF(shares); i++) {
        if (draw < shares[i])
            return (enum job_nature)i;
        draw -= shares[i];
    }
    return JOB_WELL;
}

static int64_t duration_ms(const struct digest *key)
{
    int64_t most = chance(key, 2, 4) == 0 ? slots_weather.longest_ms
                                          : slots_weather.longest_ms / 8;

    return 1 + (int64_t)chance(key, 3, (uint64_t)most + 1);
}

/* ---- what a slot says ----------------------------------------------------- */

static struct report *report_new(enum slot_event_type type)
{
    struct report *r = time_alloc(sizeof *r);

    r->event.type = type;
    return r;
}

static void put(struct slot *s, struct report *r)
{
    if (s->first == NULL)
        s->end = &s->first;
    *s->end = r;
    s->end = &r->next;
    if (!s->process->dead && !s->process->ended)
        system_count(s->fd);
}

/* Everybody who runs a job gets the same, but for who it was. */
static void write_result(const struct slot *s, struct report *r)
{
    char artifact[DIGEST_TEXT];

    digest_to_text(&s->token.key, artifact);
    (void)snprintf(r->text, TEXT,
                   "{\"artifact\":\"%s\",\"metrics\":{\"value\":%d},"
                   "\"by\":\"%" PRIu64 ".%" PRIu64 "\"}",
                   artifact, s->token.key.bytes[0], s->token.epoch,
                   s->token.attempt);
    r->event.outcome.result = wire_text(r->text);
}

static void finish(struct slot *s, enum slot_event_type type,
                   enum status_code code, uint64_t crashed)
{
    struct report *r = report_new(type);

    s->busy = false;
    s->runs++;
    r->event.outcome =
        (struct wire_outcome){ .code = code, .crashed = crashed };
    if (code == STATUS_SUCCESS) {
        write_result(s, r);
    } else {
        (void)snprintf(r->text, TEXT, "no luck: %s", status_name(code));
        r->event.outcome.message = wire_text(r->text);
    }
    if (type == SLOT_DIED)
        s->started = false;
    oracle_slot(s->process, &s->token, false);
    put(s, r);
}

static bool is_over(const struct slot *s, uint64_t run)
{
    return !s->busy || s->runs != run || s->process->dead || s->process->ended;
}

/* It has been tried so often in all: what a job does the first times. */
static bool is_young(const struct slot *s, uint64_t most)
{
    return s->token.epoch + s->token.attempt < 2 + most;
}

static void end_well(struct slot *s)
{
    finish(s, SLOT_DONE, STATUS_SUCCESS, 0);
}

static void end_crashed(struct slot *s)
{
    if (chance(&s->token.key, 4, 2) == 0 && !is_young(s, 2)) {
        end_well(s);
        return;
    }
    coverage_fault(FAULT_JOB_CRASH);
    finish(s, SLOT_DIED, STATUS_LOST, 1);
}

static void end_by_nature(void *self, uint64_t run)
{
    struct slot *s = self;

    if (is_over(s, run))
        return;
    switch (slots_nature(&s->token.key)) {
    case JOB_WELL:
        end_well(s);
        return;
    case JOB_TRIES:
        if (!is_young(s, 2)) {
            end_well(s);
            return;
        }
        coverage_fault(FAULT_JOB_RETRY);
        finish(s, SLOT_DONE, STATUS_UNAVAILABLE, 0);
        return;
    case JOB_FAILS:
        coverage_fault(FAULT_JOB_FAIL);
        finish(s, SLOT_DONE, STATUS_INVALID, 0);
        return;
    case JOB_CRASHES:
        end_crashed(s);
        return;
    case JOB_HANGS:
        coverage_fault(FAULT_JOB_HANG);
        if (chance(&s->token.key, 5, 2) == 0 && !is_young(s, 1))
            end_well(s);
        return;
    case JOB_STARVES:
        coverage_fault(FAULT_JOB_MEMORY);
        finish(s, SLOT_DIED, STATUS_NO_MEMORY, 3);
        return;
    case JOB_POISONS:
        coverage_fault(FAULT_JOB_POISON);
        slots_poisoned(s->process);
        return;
    }
}

static void say_something(void *self, uint64_t run)
{
    struct slot *s = self;
    struct report *r;

    if (is_over(s, run))
        return;
    r = report_new(time_draw(2) == 0 ? SLOT_LOG : SLOT_PROGRESS);
    (void)snprintf(r->text, TEXT, "step");
    r->event.text = wire_text(r->text);
    r->event.progress =
        (struct wire_progress){ .done = 1, .total = 2, .unit = r->event.text };
    put(s, r);
}

/* ---- worker/slot.h -------------------------------------------------------- */

struct slot *slot_new(char *const *argv)
{
    struct slot *s = time_alloc(sizeof *s);

    (void)argv;
    s->process = process_self();
    s->fd = system_event(s->process);
    return s;
}

void slot_free(struct slot *s)
{
    (void)s;
}

struct status slot_run(struct slot *s, const struct wire_message *run)
{
    int64_t ms;

    if (s->process->dead)
        return SUCCESS;
    coverage_message("SN\001\100", 4);
    s->token = run->slot_run.job.token;
    s->busy = s->started = true;
    s->runs++;
    s->stubborn = chance(&s->token.key, 6, 1000) < slots_weather.stubborn;
    oracle_slot(s->process, &s->token, true);
    ms = duration_ms(&s->token.key);
    time_after((BOOT_MS + ms) * NS_PER_MS, end_by_nature, s, s->runs);
    time_after((BOOT_MS + ms / 2) * NS_PER_MS, say_something, s, s->runs);
    return SUCCESS;
}

struct status slot_tell(struct slot *s, const struct wire_message *m)
{
    (void)s;
    (void)m;
    return SUCCESS;
}

static void end_stopped(void *self, uint64_t run)
{
    struct slot *s = self;

    if (!is_over(s, run))
        finish(s, SLOT_DONE, STATUS_CANCELLED, 0);
}

void slot_stop(const struct slot *s)
{
    if (!s->busy || s->process->dead)
        return;
    if (s->stubborn)
        coverage_fault(FAULT_JOB_STUBBORN);
    else
        time_after(time_between(0, LATE_MS * NS_PER_MS), end_stopped,
                   (void *)(uintptr_t)s, s->runs);
}

static void die(void *self, uint64_t run)
{
    struct slot *s = self;

    if (s->runs == run && s->busy)
        finish(s, SLOT_DIED, STATUS_LOST, 1);
    else if (s->started)
        finish(s, SLOT_DIED, STATUS_LOST, 0);
}

void slot_kill(struct slot *s)
{
    if (s->started && !s->process->dead)
        time_after(time_between(0, 10 * NS_PER_MS), die, s, s->runs);
}

pid_t slot_pid(const struct slot *s)
{
    (void)s;
    return 0;
}

void slot_limit_memory(struct slot *s, int64_t bytes)
{
    (void)s;
    (void)bytes;
}

void slot_check_memory(struct slot *s)
{
    (void)s;
}

void slot_poll(const struct slot *s, struct pollfd fds[SLOT_FDS])
{
    fds[0] = (struct pollfd){ .fd = s->fd, .events = POLLIN };
    fds[1] = (struct pollfd){ .fd = -1 };
}

bool slot_next(struct slot *s, struct slot_event *ret_event)
{
    struct report *r = s->first;

    if (r == NULL) {
        (void)system_take(s->fd);
        return false;
    }
    s->first = r->next;
    *ret_event = r->event;
    return true;
}

/* ---- worker/signals.h ----------------------------------------------------- */

struct status signals_open(int *ret_fd)
{
    struct mail *m = &all.mails[all.count++ % WORKERS];

    *m = (struct mail){ process_self(), system_event(process_self()), 0 };
    *ret_fd = m->fd;
    return SUCCESS;
}

void signals_close(int fd)
{
    (void)fd;
}

int signals_next(int fd)
{
    for (size_t i = 0; i < WORKERS; i++) {
        struct mail *m = &all.mails[i];

        if (m->process == NULL || m->fd != fd || m->terms == 0)
            continue;
        m->terms--;
        return SIGTERM;
    }
    (void)system_take(fd);
    return 0;
}

void slots_signal(const struct process *worker)
{
    for (size_t i = 0; i < WORKERS; i++) {
        struct mail *m = &all.mails[i];

        if (m->process != worker)
            continue;
        m->terms++;
        system_count(m->fd);
    }
}

/* ---- worker/orphans.h, worker/health.h, worker/holdings.h, worker/serve.h -- */

void health_mark(const char *cache, const char *name, const char *obstacle)
{
    (void)cache;
    (void)name;
    (void)obstacle;
}

void health_end(const char *cache, const char *name)
{
    (void)cache;
    (void)name;
}

void orphans_adopt(void)
{
}

void orphans_kill(bool (*is_ours)(void *self, pid_t pid), void *self)
{
    (void)is_ours;
    (void)self;
}

void orphans_reap(bool (*is_ours)(void *self, pid_t pid), void *self)
{
    (void)is_ours;
    (void)self;
}

static int by_name(const void *a, const void *b)
{
    return memcmp(a, b, DIGEST_SIZE);
}

/* Some sources come and go. */
void holdings_look(const char *cache, bool is_served, struct session *session,
                   int64_t now)
{
    struct wire_cached sources[SOURCES];

    (void)cache;
    for (int i = 0; i < SOURCES; i++) {
        char url[sizeof SLOTS_SOURCE];

        (void)snprintf(url, sizeof url, SLOTS_SOURCE, i);
        sources[i] =
            (struct wire_cached){ .source = digest_of(url, strlen(url)),
                                  .bytes = 1,
                                  .served = is_served && i % 2 == 0 };
    }
    qsort(sources, SOURCES, sizeof *sources, by_name);
    session_on_cache(session, now, sources, time_draw(SOURCES + 1));
}

/* Nobody is served: the broker hears of who would. */
struct status serve_start(const struct serve_settings *settings,
                          struct serve **ret_serve)
{
    *ret_serve = (struct serve *)(uintptr_t)settings->address;
    return SUCCESS;
}

const char *serve_url(const struct serve *s)
{
    return (const char *)s;
}

void serve_stop(struct serve *s)
{
    (void)s;
}
