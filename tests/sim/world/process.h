/* process.h -- processes of the simulated world, whose threads are fibers:
 * they run one at a time, and another runs only when one waits. So a process
 * is the program's own code, killed or stopped wherever it waits.
 *
 * One that is killed does not stop at once: all that it asks of the world
 * fails from then on and has no effect, until its code has found its way out.
 * Nobody can tell the difference, and no memory is lost. */
#ifndef SINTER_TESTS_SIM_WORLD_PROCESS_H
#define SINTER_TESTS_SIM_WORLD_PROCESS_H

#include "tests/sim/world/time.h"

struct fiber; /* opaque */

enum { PROCESS_THREADS = 8 };

struct process {
    char name[24];
    bool dead;    /* killed */
    bool stopped; /* SIGSTOP: its time passes, nothing of it runs */
    bool ended;   /* its code is at its end */
    void *self;
    int64_t clock; /* ns that its clock is ahead */
    int64_t drift; /* ns per ms that it is too fast */
    int64_t wall;  /* ms that it is ahead of the world */
    void (*on_end)(struct process *p);
    struct fiber *threads[PROCESS_THREADS];
    size_t count;
};

/* `on_end` may be NULL; the process stays to be looked at. */
struct process *process_start(const char *name, void (*code)(struct process *p),
                              void *self, void (*on_end)(struct process *p));
void process_kill(struct process *p);
void process_stop(struct process *p);
void process_continue(struct process *p);

/* The one that runs now; NULL: none does, the world is at work itself. */
struct process *process_self(void);

/* Its clocks, and when one of them will show a time. */
int64_t process_clock(const struct process *p);
int64_t process_when(const struct process *p, int64_t clock);
int64_t process_wall_ms(const struct process *p);

/* A thread of the running process. */
struct fiber *fiber_new(void *(*code)(void *self), void *self);
void fiber_join(struct fiber *f);
/* The running one waits on that, until woken or until then. */
void fiber_wait(const void *on, int64_t until);
/* All of the process that wait on that go on, when nothing else runs. */
void fiber_wake(const struct process *p, const void *on);

#endif
