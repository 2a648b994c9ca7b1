#include "tests/sim/world/process.h"

#include "common/memory.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>

#if defined(__SANITIZE_ADDRESS__)
#define HAS_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAS_ASAN 1
#endif
#endif

#ifdef HAS_ASAN
#include <sanitizer/common_interface_defs.h>
enum { STACK = 2 << 20 };
#else
enum { STACK = 512 << 10 };
#endif

enum { GUARD = 4096 };

struct stack {
    struct stack *next;
    char *base; /* behind a page that nobody may touch */
};

struct fiber {
    struct process *process;
    ucontext_t context;
    struct stack *stack;
    void *(*code)(void *self);
    void *self;
    const void *on; /* what it waits on */
    uint64_t waits; /* so far: a timer of an earlier one is void */
    bool due;       /* woken while the process was stopped */
    bool ended;
    void *shadow; /* the sanitizer's, while it waits */
};

/* Stacks stay from world to world. */
static struct {
    struct stack *free;
    ucontext_t context; /* of the world itself */
    struct fiber *running;
    void *shadow;
    const void *bottom;
    size_t size;
} fibers;

static struct stack *take_stack(void)
{
    struct stack *s = fibers.free;

    if (s != NULL) {
        fibers.free = s->next;
        return s;
    }
    s = xnew(struct stack);
    s->base = mmap(NULL, GUARD + STACK, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    assert(s->base != MAP_FAILED);
    (void)mprotect(s->base, GUARD, PROT_NONE);
    s->base += GUARD;
    return s;
}

static void give_stack(struct stack *s)
{
    s->next = fibers.free;
    fibers.free = s;
}

static void leave_to(const void *bottom, size_t size, void **shadow)
{
#ifdef HAS_ASAN
    __sanitizer_start_switch_fiber(shadow, bottom, size);
#else
    (void)bottom;
    (void)size;
    (void)shadow;
#endif
}

static void arrive(void *shadow, const void **bottom, size_t *size)
{
#ifdef HAS_ASAN
    __sanitizer_finish_switch_fiber(shadow, bottom, size);
#else
    (void)shadow;
    (void)bottom;
    (void)size;
#endif
}

/* Back to the world; for good if the fiber has ended. */
static void yield(struct fiber *f)
{
    leave_to(fibers.bottom, fibers.size, f->ended ? NULL : &f->shadow);
    (void)swapcontext(&f->context, &fibers.context);
    arrive(f->shadow, &fibers.bottom, &fibers.size);
}

static void run(void)
{
    struct fiber *f = fibers.running;

    arrive(NULL, &fibers.bottom, &fibers.size);
    (void)f->code(f->self);
    f->ended = true;
    fiber_wake(f->process, f);
    yield(f);
}

static void resume(struct fiber *f)
{
    f->waits++;
    f->on = NULL;
    fibers.running = f;
    leave_to(f->stack->base, STACK, &fibers.shadow);
    (void)swapcontext(&fibers.context, &f->context);
    arrive(fibers.shadow, NULL, NULL);
    fibers.running = NULL;
    if (f->ended)
        give_stack(f->stack);
}

/* A wait ends, unless it has already. */
static void go_on(void *self, uint64_t waits)
{
    struct fiber *f = self;

    if (f->ended || f->waits != waits)
        return;
    if (f->process->stopped)
        f->due = true;
    else
        resume(f);
}

static struct fiber *make(struct process *p, void *(*code)(void *self),
                          void *self)
{
    struct fiber *f = time_alloc(sizeof *f);

    assert(p->count < PROCESS_THREADS);
    *f = (struct fiber){ .process = p, .code = code, .self = self };
    f->stack = take_stack();
    (void)getcontext(&f->context);
    f->context.uc_stack.ss_sp = f->stack->base;
    f->context.uc_stack.ss_size = STACK;
    makecontext(&f->context, run, 0);
    p->threads[p->count++] = f;
    time_after(0, go_on, f, 0);
    return f;
}

struct fiber *fiber_new(void *(*code)(void *self), void *self)
{
    return make(process_self(), code, self);
}

void fiber_wait(const void *on, int64_t until)
{
    struct fiber *f = fibers.running;

    f->on = on;
    if (until != TIME_NEVER) /* who is dead waits for nothing */
        time_at(f->process->dead ? time_now() : until, go_on, f, f->waits);
    yield(f);
}

void fiber_wake(const struct process *p, const void *on)
{
    for (size_t i = 0; i < p->count; i++)
        if (!p->threads[i]->ended && p->threads[i]->on == on)
            time_after(0, go_on, p->threads[i], p->threads[i]->waits);
}

void fiber_join(struct fiber *f)
{
    while (!f->ended)
        fiber_wait(f, TIME_NEVER);
}

/* ---- processes ------------------------------------------------------------ */

struct code {
    struct process *process;
    void (*code)(struct process *p);
};

static void *live(void *self)
{
    const struct code *c = self;
    struct process *p = c->process;

    c->code(p);
    p->ended = true;
    if (p->on_end != NULL)
        p->on_end(p);
    return NULL;
}

struct process *process_start(const char *name, void (*code)(struct process *p),
                              void *self, void (*on_end)(struct process *p))
{
    enum { AHEAD_S = 1000, DRIFT = 100 };
    struct process *p = time_alloc(sizeof *p);
    struct code *c = time_alloc(sizeof *c);

    *p = (struct process){ .self = self, .on_end = on_end };
    (void)snprintf(p->name, sizeof p->name, "%s", name);
    p->clock = time_between(1, AHEAD_S * NS_PER_S);
    p->drift = time_between(-DRIFT, DRIFT);
    *c = (struct code){ p, code };
    (void)make(p, live, c);
    return p;
}

static void wake_all(struct process *p)
{
    for (size_t i = 0; i < p->count; i++)
        if (!p->threads[i]->ended)
            time_after(0, go_on, p->threads[i], p->threads[i]->waits);
}

void process_kill(struct process *p)
{
    if (p->dead || p->ended)
        return;
    p->dead = true;
    p->stopped = false;
    wake_all(p);
}

void process_stop(struct process *p)
{
    p->stopped = !p->dead && !p->ended;
}

void process_continue(struct process *p)
{
    if (!p->stopped)
        return;
    p->stopped = false;
    for (size_t i = 0; i < p->count; i++) {
        struct fiber *f = p->threads[i];

        if (f->due && !f->ended)
            time_after(0, go_on, f, f->waits);
        f->due = false;
    }
}

struct process *process_self(void)
{
    return fibers.running == NULL ? NULL : fibers.running->process;
}

int64_t process_clock(const struct process *p)
{
    int64_t now = time_now();

    return p->clock + now + now * p->drift / NS_PER_MS;
}

int64_t process_when(const struct process *p, int64_t clock)
{
    int64_t left = clock - process_clock(p);

    if (clock == INT64_MAX)
        return TIME_NEVER;
    if (left <= 0)
        return time_now();
    /* At least so late, however slow the clock is. */
    return time_now() + left + left / 5000 + 1;
}

int64_t process_wall_ms(const struct process *p)
{
    static const int64_t began_ms = INT64_C(1700000000000);

    return began_ms + time_now() / NS_PER_MS + p->wall;
}
