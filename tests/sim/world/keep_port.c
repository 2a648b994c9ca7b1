/* keep_port.c -- struct store for a process of the simulated world: each call
 * takes its time, may be lost on the way there or back, and goes on without
 * its caller when that is killed. */
#include "tests/sim/world/keep_state.h"

#include "tests/sim/world/coverage.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

static int64_t delay(void)
{
    enum { SLOW_S = 3 };

    if (!time_chance(keep_weather.slow))
        return time_between(1000, keep_weather.delay_most);
    coverage_fault(FAULT_STORE_SLOW);
    return time_between(1000, SLOW_S * NS_PER_S);
}

static bool is_away(const struct keep_handle *h)
{
    return time_now() < keep_weather.down_until ||
           (h->process == keep_weather.cut &&
            time_now() < keep_weather.cut_until);
}

static void answer(void *self, uint64_t unused)
{
    struct keep_call *c = self;

    (void)unused;
    if (is_away(c->handle) || c->answer_lost)
        c->status = FAIL(STATUS_UNAVAILABLE, "the store is away");
    c->done = true;
    fiber_wake(c->handle->process, c);
}

static void reach(void *self, uint64_t unused)
{
    struct keep_call *c = self;
    bool lost = is_away(c->handle);

    (void)unused;
    if (!lost && time_chance(keep_weather.refuse)) {
        coverage_fault(FAULT_STORE_REFUSED);
        lost = true;
    }
    /* One who was killed may not have sent it. */
    if (c->handle->process->dead && time_draw(2) == 0)
        lost = true;
    if (lost) {
        c->status = FAIL(STATUS_UNAVAILABLE, "the store is away");
    } else {
        c->answer_lost = time_chance(keep_weather.unknown);
        if (c->answer_lost)
            coverage_fault(FAULT_STORE_UNKNOWN);
        c->status = c->deed(c->handle, c);
    }
    time_after(delay(), answer, c, 0);
}

/* The running fiber waits until it is answered. */
MUST_CHECK static struct status call(struct keep_call *c)
{
    const struct process *p = c->handle->process;

    if (p->dead)
        return FAIL(STATUS_STALE, "killed");
    time_after(delay(), reach, c, 0);
    while (!c->done && !p->dead)
        fiber_wait(c, TIME_NEVER);
    return p->dead ? FAIL(STATUS_STALE, "killed") : c->status;
}

static struct keep_call *call_new(void *self, keep_deed *deed)
{
    struct keep_call *c = time_alloc(sizeof *c);

    c->handle = self;
    c->deed = deed;
    return c;
}

MUST_CHECK static struct status begin(void *self, uint64_t *ret_epoch)
{
    struct keep_call *c = call_new(self, keep_do_begin);

    TRY_PLAIN(call(c));
    *ret_epoch = c->epoch;
    return SUCCESS;
}

MUST_CHECK static struct status replay(void *self,
                                       const struct store_visitor *visitor)
{
    struct keep_call *c = call_new(self, keep_do_read);

    TRY_PLAIN(call(c));
    for (size_t i = 0; i < c->count; i++)
        TRY_PLAIN(visitor->piece(visitor->self, c->pieces[i]->name,
                                 c->pieces[i]->data));
    for (size_t i = 0; i < c->log.count; i++)
        TRY_PLAIN(visitor->record(visitor->self, &c->log.items[i]->record));
    return SUCCESS;
}

static struct keep_entry *entry_new(const struct store_record *r)
{
    struct keep_entry *e = time_alloc(sizeof *e);

    e->record = *r;
    e->record.data.data = time_copy(r->data.data, r->data.size);
    return e;
}

MUST_CHECK static struct status append(void *self,
                                       const struct store_record *records,
                                       size_t count)
{
    struct keep_handle *h = self;
    struct keep_call *c = call_new(self, keep_do_append);

    assert(count == 0 || (records[0].epoch == h->epoch &&
                          records[0].sequence <= h->acknowledged + 1));
    c->entries = time_alloc((count + 1) * sizeof(struct keep_entry *));
    for (size_t i = 0; i < count; i++)
        if (records[i].sequence > h->acknowledged)
            c->entries[c->count++] = entry_new(&records[i]);
        else
            keep_note_covered(h, entry_new(&records[i]));
    TRY_PLAIN(call(c));
    if (count > 0 && h->acknowledged < records[count - 1].sequence)
        h->acknowledged = records[count - 1].sequence;
    return SUCCESS;
}

MUST_CHECK static struct status put(void *self, const char *name,
                                    struct wire_bytes data)
{
    struct keep_call *c = call_new(self, keep_do_put);

    TRY_PLAIN(store_check_piece(name, data.size));
    c->names = time_alloc(sizeof(const char *));
    c->names[0] = time_copy(name, strlen(name));
    c->data = (struct wire_bytes){ time_copy(data.data, data.size), data.size };
    return call(c);
}

MUST_CHECK static struct status publish(void *self, const char *const *names,
                                        size_t count, uint64_t epoch,
                                        uint64_t sequence)
{
    struct keep_handle *h = self;
    struct keep_call *c = call_new(self, keep_do_publish);
    struct store_record durable = { .epoch = h->epoch,
                                    .sequence = h->rebuilding
                                                    ? UINT64_MAX
                                                    : h->acknowledged };

    TRY_PLAIN(store_check_publish(
        names, count,
        (struct store_record){ .epoch = epoch, .sequence = sequence },
        durable));
    c->names = time_alloc((count + 1) * sizeof(const char *));
    for (size_t i = 0; i < count; i++)
        c->names[i] = time_copy(names[i], strlen(names[i]));
    c->count = count;
    c->epoch = epoch;
    c->sequence = sequence;
    return call(c);
}

MUST_CHECK static struct status rebuild(void *self)
{
    return call(call_new(self, keep_do_rebuild));
}

MUST_CHECK static struct status ask_key(void *self, keep_deed *deed,
                                        const struct store_holder *me,
                                        int64_t ttl_ms,
                                        struct store_holder *ret_holder,
                                        bool *ret_mine)
{
    struct keep_call *c = call_new(self, deed);

    c->me = *me;
    c->ttl_ms = ttl_ms;
    TRY_PLAIN(call(c));
    *ret_holder = c->holder;
    *ret_mine = c->mine;
    return SUCCESS;
}

MUST_CHECK static struct status acquire(void *self,
                                        const struct store_holder *me,
                                        int64_t ttl_ms,
                                        struct store_holder *ret_holder,
                                        bool *ret_mine)
{
    return ask_key(self, keep_do_acquire, me, ttl_ms, ret_holder, ret_mine);
}

MUST_CHECK static struct status extend(void *self,
                                       const struct store_holder *me,
                                       int64_t ttl_ms, bool *ret_mine)
{
    struct store_holder unused;

    return ask_key(self, keep_do_extend, me, ttl_ms, &unused, ret_mine);
}

MUST_CHECK static struct status release(void *self,
                                        const struct store_holder *me)
{
    struct store_holder unused;
    bool mine;

    return ask_key(self, keep_do_release, me, 0, &unused, &mine);
}

static void close_handle(void *self)
{
    (void)self;
}

struct store keep_open(void)
{
    struct keep_handle *h = time_alloc(sizeof *h);

    h->process = process_self();
    return (struct store){ .self = h,
                           .begin = begin,
                           .replay = replay,
                           .append = append,
                           .put = put,
                           .publish = publish,
                           .rebuild = rebuild,
                           .acquire = acquire,
                           .extend = extend,
                           .release = release,
                           .close = close_handle };
}
