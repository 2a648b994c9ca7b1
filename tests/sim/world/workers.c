#include "tests/sim/world/workers.h"

#include "tests/sim/world/network.h"
#include "tests/sim/world/slots.h"
#include "worker/config.h"
#include "worker/loop.h"

#include <stdio.h>
#include <string.h>

static struct worker {
    struct process *process;
    struct worker_config config;
    char name[16];
    char address[32];
} workers[WORKERS_MOST];

static size_t count;

size_t workers_count(void)
{
    return count;
}

const char *workers_name(size_t number)
{
    return workers[number].name;
}

struct process *workers_at(size_t number)
{
    struct process *p = workers[number].process;

    return p == NULL || p->dead || p->ended ? NULL : p;
}

static void run(struct process *p)
{
    const struct worker *w = p->self;
    struct status st = worker_loop_run(&w->config, NULL);

    if (!p->dead)
        time_tell("%s ends: %s", p->name,
                  status_failed(&st) ? st.message : "well");
}

static void start_again(void *self, uint64_t number)
{
    (void)self;
    if (workers_at(number) == NULL)
        workers_start(number);
}

static void ended(struct process *p)
{
    const struct worker *w = p->self;

    time_after(time_between(10, 5000) * NS_PER_MS, start_again, NULL,
               (uint64_t)(w - workers));
}

void workers_start(size_t number)
{
    struct worker *w = &workers[number];

    time_tell("%s starts", w->name);
    w->process = process_start(w->name, run, w, ended);
}

void workers_kill(size_t number, bool quietly)
{
    struct process *p = workers_at(number);

    if (p == NULL)
        return;
    time_tell("%s is killed", p->name);
    network_killed(p, quietly);
    process_kill(p);
}

void workers_term(size_t number)
{
    const struct process *p = workers_at(number);

    if (p == NULL)
        return;
    time_tell("%s is to drain", p->name);
    slots_signal(p);
}

static void poisoned(struct process *p)
{
    time_tell("%s is taken down by its job", p->name);
    network_killed(p, time_draw(2) == 0);
    process_kill(p);
}

void workers_begin(size_t some, const char *brokers)
{
    count = some;
    slots_poisoned = poisoned;
    for (size_t i = 0; i < count; i++) {
        struct worker *w = &workers[i];
        int64_t slots = time_between(1, 3);

        *w = (struct worker){ .process = NULL };
        (void)snprintf(w->name, sizeof w->name, "worker-%zu", i);
        (void)snprintf(w->address, sizeof w->address, "http://w%zu:1", i);
        w->config = (struct worker_config){
            .broker = brokers,
            .name = w->name,
            .serve = i % 3 > 0 ? w->address : NULL,
            .slots = slots,
            .cpus = 4,
            .memory = WORKERS_MEMORY,
            .labels = i < 2 ? "disk=ssd zone=a" : "zone=b",
            .drain_ms = time_between(500, 8000),
        };
        time_after(time_between(0, 3000) * NS_PER_MS, start_again, NULL, i);
    }
}
