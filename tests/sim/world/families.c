#include "tests/sim/world/families.h"

#include "common/macros.h"
#include "tests/sim/world/brokers.h"
#include "tests/sim/world/coverage.h"
#include "tests/sim/world/oracle.h"
#include "tests/sim/world/workers.h"

#define MS NS_PER_MS

const struct family families[] = {
    { .name = "calm",
      .seats = 1,
      .network = { .delay_most = 2 * MS },
      .store = { .delay_most = MS },
      .slots = { .longest_ms = 1500 },
      .clients = { .orders = 150,
                   .pause_ms = 4000,
                   .shapes = 8,
                   .points = 20 } },
    { .name = "lossy",
      .seats = 1,
      .every_ms = 900,
      .weights = { [BREAK] = 5,
                   [HALF_OPEN] = 3,
                   [HOLD] = 3,
                   [PARTITION] = 2,
                   [PAUSE_WORKER] = 2,
                   [KILL_CLIENT] = 1 },
      .network = { .delay_most = 40 * MS,
                   .slow = 20,
                   .refuse = 10,
                   .late = 300 },
      .store = { .delay_most = 3 * MS },
      .slots = { .longest_ms = 3000, .retry = 40, .stubborn = 100 },
      .clients = { .orders = 250,
                   .pause_ms = 4000,
                   .shapes = 8,
                   .points = 12 } },
    { .name = "broker",
      .seats = 1,
      .every_ms = 2500,
      .weights = { [KILL_BROKER] = 5,
                   [PAUSE_BROKER] = 2,
                   [TERM_BROKER] = 2,
                   [BREAK] = 2,
                   [KILL_WORKER] = 1,
                   [JUMP] = 1 },
      .network = { .delay_most = 10 * MS, .late = 200 },
      .store = { .delay_most = 20 * MS, .unknown = 20, .refuse = 20 },
      .slots = { .longest_ms = 3000, .retry = 40, .fail = 30, .crash = 30 },
      .clients = { .orders = 300,
                   .pause_ms = 4000,
                   .shapes = 8,
                   .points = 12 } },
    { .name = "store",
      .seats = 1,
      .every_ms = 2500,
      .weights = { [STORE_DOWN] = 4,
                   [STORE_LOSE] = 4,
                   [BREAK] = 2,
                   [KILL_WORKER] = 1 },
      .network = { .delay_most = 5 * MS },
      .store = { .delay_most = 30 * MS,
                 .slow = 10,
                 .refuse = 20,
                 .unknown = 40,
                 .prefix = 40,
                 .full = 20,
                 .everysec = true },
      .slots = { .longest_ms = 2500, .retry = 40, .fail = 20 },
      .clients = { .orders = 300,
                   .pause_ms = 4000,
                   .shapes = 8,
                   .points = 12 } },
    { .name = "standby",
      .seats = 2,
      .every_ms = 4000,
      .weights = { [KILL_BROKER] = 4,
                   [PAUSE_BROKER] = 5,
                   [TERM_BROKER] = 4,
                   [STORE_CUT] = 3,
                   [PARTITION] = 2,
                   [BREAK] = 2,
                   [HOLD] = 1,
                   [KILL_WORKER] = 1,
                   [USURP] = 1,
                   [STORE_DOWN] = 1 },
      .network = { .delay_most = 10 * MS, .late = 200 },
      .store = { .delay_most = 10 * MS, .unknown = 10, .prefix = 10 },
      .slots = { .longest_ms = 3000, .retry = 30, .fail = 20 },
      .clients = { .orders = 250,
                   .pause_ms = 4000,
                   .shapes = 8,
                   .points = 12 } },
    { .name = "slots",
      .seats = 1,
      .every_ms = 6000,
      .weights = { [TERM_WORKER] = 3, [BREAK] = 1 },
      .network = { .delay_most = 5 * MS },
      .store = { .delay_most = 3 * MS },
      .slots = { .longest_ms = 3000,
                 .retry = 80,
                 .fail = 60,
                 .crash = 100,
                 .hang = 60,
                 .memory = 60,
                 .poison = 25,
                 .stubborn = 200 },
      .clients = { .orders = 300,
                   .pause_ms = 4000,
                   .shapes = 8,
                   .points = 10 } },
    { .name = "orders",
      .seats = 2,
      .every_ms = 5000,
      .weights = { [KILL_BROKER] = 3,
                   [TERM_BROKER] = 2,
                   [KILL_CLIENT] = 3,
                   [TERM_WORKER] = 2,
                   [BREAK] = 3,
                   [STORE_DOWN] = 1 },
      .network = { .delay_most = 20 * MS },
      .store = { .delay_most = 10 * MS, .unknown = 20, .refuse = 10 },
      .slots = { .longest_ms = 2500, .retry = 40, .fail = 80, .stubborn = 100 },
      .clients = { .orders = 800,
                   .pause_ms = 700,
                   .shapes = 6,
                   .points = 12 } },
    { .name = "all",
      .seats = 3,
      .every_ms = 1800,
      .weights = { [KILL_BROKER] = 2,
                   [PAUSE_BROKER] = 2,
                   [TERM_BROKER] = 1,
                   [USURP] = 1,
                   [KILL_WORKER] = 3,
                   [PAUSE_WORKER] = 3,
                   [TERM_WORKER] = 1,
                   [KILL_CLIENT] = 1,
                   [BREAK] = 3,
                   [HALF_OPEN] = 2,
                   [HOLD] = 2,
                   [PARTITION] = 2,
                   [STORE_DOWN] = 1,
                   [STORE_CUT] = 2,
                   [JUMP] = 1 },
      .network = { .delay_most = 30 * MS,
                   .slow = 10,
                   .refuse = 5,
                   .late = 200 },
      .store = { .delay_most = 20 * MS,
                 .slow = 5,
                 .refuse = 10,
                 .unknown = 20,
                 .prefix = 20,
                 .full = 5 },
      .slots = { .longest_ms = 4000,
                 .retry = 50,
                 .fail = 30,
                 .crash = 40,
                 .hang = 20,
                 .memory = 20,
                 .poison = 5,
                 .stubborn = 100 },
      .clients = { .orders = 350,
                   .pause_ms = 3000,
                   .shapes = 10,
                   .points = 10 } },
    { .name = "flush",
      .seats = 1,
      .every_ms = 5000,
      .weights = { [STORE_FLUSH] = 2,
                   [BREAK] = 2,
                   [KILL_WORKER] = 1,
                   [STORE_DOWN] = 1 },
      .network = { .delay_most = 5 * MS },
      .store = { .delay_most = 5 * MS, .unknown = 10 },
      .slots = { .longest_ms = 2500, .retry = 40, .fail = 20 },
      .clients = { .orders = 250, .pause_ms = 4000, .shapes = 8, .points = 12 },
      .rebuild = true },
};

const size_t family_count = COUNT_OF(families);

/* ---- accidents ------------------------------------------------------------ */

static size_t any_seat(void)
{
    return (size_t)time_draw(brokers_settings.seats);
}

static size_t any_worker(void)
{
    return (size_t)time_draw(workers_count());
}

/* What it does not survive is promised to nobody. */
static bool brokers_may_fail(void)
{
    return keep_is_whole();
}

static void kill_broker(void)
{
    size_t seat = any_seat();

    if (brokers_at(seat) == NULL || !brokers_may_fail())
        return;
    coverage_fault(FAULT_BROKER_KILL);
    brokers_kill(seat, time_draw(3) == 0);
}

static void go_on(void *self, uint64_t unused)
{
    (void)unused;
    process_continue(self);
}

static void pause_process(struct process *p, int64_t most_ms)
{
    time_tell("%s is stopped", p->name);
    process_stop(p);
    time_after(time_between(10, most_ms) * NS_PER_MS, go_on, p, 0);
}

static void pause_broker(void)
{
    enum { MOST_MS = 20000 };
    struct process *p = brokers_at(any_seat());

    if (p == NULL || p->stopped || !brokers_may_fail())
        return;
    coverage_fault(FAULT_BROKER_PAUSE);
    pause_process(p, MOST_MS);
}

static void term_broker(void)
{
    size_t seat = any_seat();
    const struct process *p = brokers_at(seat);

    if (p == NULL || p->stopped || !brokers_may_fail())
        return;
    coverage_fault(FAULT_BROKER_TERM);
    brokers_term(seat);
}

/* One that does not wait for the key, where nobody sits. */
static void usurp(void)
{
    size_t seat = any_seat();

    if (brokers_at(seat) != NULL || !brokers_may_fail())
        return;
    coverage_fault(FAULT_BROKER_USURP);
    brokers_start(seat, false);
}

static void kill_worker(void)
{
    size_t victim = any_worker();

    coverage_fault(FAULT_WORKER_KILL);
    workers_kill(victim, time_draw(2) == 0);
}

static void pause_worker(void)
{
    enum { MOST_MS = 15000 };
    struct process *p = workers_at(any_worker());

    if (p == NULL || p->stopped)
        return;
    coverage_fault(FAULT_WORKER_PAUSE);
    pause_process(p, MOST_MS);
}

static void term_worker(void)
{
    coverage_fault(FAULT_WORKER_TERM);
    workers_term(any_worker());
}

static void kill_client(void)
{
    coverage_fault(FAULT_CLIENT_KILL);
    clients_kill((size_t)time_draw(CLIENTS_MOST));
}

static struct connection *any_connection(void)
{
    struct connection *c = network_first();
    size_t count = 0;

    for (; c != NULL; c = c->next)
        count++;
    if (count == 0)
        return NULL;
    c = network_first();
    for (size_t i = time_draw(count); i > 0; i--)
        c = c->next;
    return c;
}

static void break_connection(void)
{
    struct connection *c = any_connection();

    if (c == NULL)
        return;
    coverage_fault(FAULT_BREAK);
    network_break(c, true, true);
}

static void half_open(void)
{
    struct connection *c = any_connection();
    bool router = time_draw(2) == 0;

    if (c == NULL)
        return;
    coverage_fault(router ? FAULT_HALF_OPEN_DEALER : FAULT_HALF_OPEN_ROUTER);
    network_break(c, !router, router);
}

static void hold(void)
{
    enum { MOST_MS = 12000 };
    struct connection *c = any_connection();
    enum direction direction;

    if (c == NULL)
        return;
    coverage_fault(FAULT_HOLD);
    direction = (enum direction)time_draw(2);
    network_hold(c, direction, time_between(1, MOST_MS) * NS_PER_MS);
}

static void partition(void)
{
    enum { MOST_MS = 20000 };
    struct connection *c = any_connection();
    bool there;

    if (c == NULL)
        return;
    coverage_fault(FAULT_PARTITION);
    network_part(c->speaker, c->router->seat,
                 time_between(1, MOST_MS) * NS_PER_MS);
    there = time_draw(2) == 0;
    network_break(c, there, time_draw(2) == 0);
}

static void store_down(void)
{
    enum { MOST_MS = 8000 };

    coverage_fault(FAULT_STORE_DOWN);
    keep_weather.down_until = time_now() + time_between(1, MOST_MS) * NS_PER_MS;
    time_tell("store: away");
}

static void store_cut(void)
{
    enum { MOST_MS = 20000 };

    coverage_fault(FAULT_STORE_CUT);
    keep_weather.cut = brokers_at(any_seat());
    keep_weather.cut_until = time_now() + time_between(1, MOST_MS) * NS_PER_MS;
    time_tell("store: cut off from one broker");
}

static void store_lose(void)
{
    if (!keep_may_lose())
        return;
    coverage_fault(FAULT_STORE_LOSS);
    keep_lose();
    store_down();
}

static void store_flush(void)
{
    const struct process *p = keep_writer_process();

    if (p == NULL || p->dead || p->ended || !brokers_may_fail())
        return;
    coverage_fault(FAULT_STORE_FLUSH);
    keep_flush();
}

static void jump(void)
{
    enum { MOST_MS = 3600 * 1000 };
    struct process *p = brokers_at(any_seat());

    if (p == NULL)
        return;
    coverage_fault(FAULT_WALL_JUMP);
    p->wall += time_between(-MOST_MS, MOST_MS);
}

void family_accident(const struct family *f)
{
    static void (*const happen[ACCIDENTS])(void) = {
        [KILL_BROKER] = kill_broker,
        [PAUSE_BROKER] = pause_broker,
        [TERM_BROKER] = term_broker,
        [USURP] = usurp,
        [KILL_WORKER] = kill_worker,
        [PAUSE_WORKER] = pause_worker,
        [TERM_WORKER] = term_worker,
        [KILL_CLIENT] = kill_client,
        [BREAK] = break_connection,
        [HALF_OPEN] = half_open,
        [HOLD] = hold,
        [PARTITION] = partition,
        [STORE_DOWN] = store_down,
        [STORE_CUT] = store_cut,
        [STORE_LOSE] = store_lose,
        [STORE_FLUSH] = store_flush,
        [JUMP] = jump,
    };
    unsigned sum = 0;
    uint64_t draw;
    int i = 0;

    for (int k = 0; k < ACCIDENTS; k++)
        sum += f->weights[k];
    draw = time_draw(sum);
    while (draw >= f->weights[i])
        draw -= f->weights[i++];
    happen[i]();
}

void families_heal(void)
{
    struct keep_weather now = { .delay_most = MS,
                                .everysec = keep_weather.everysec,
                                .cut = keep_weather.cut };

    time_tell("everything is well from now on");
    network_weather = (struct network_weather){ .delay_most = 2 * MS };
    keep_weather = now; /* nobody is cut off any more: cut_until */
}
