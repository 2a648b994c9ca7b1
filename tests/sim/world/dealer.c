/* dealer.c -- common/dealer.h in the simulated world. */
#include "common/dealer.h"

#include "common/roster.h"
#include "tests/sim/world/network.h"
#include "tests/sim/world/system.h"

#include <stdlib.h>
#include <string.h>

enum { AGAIN_FIRST_MS = 100, AGAIN_MOST_MS = 5000 };

struct dealer {
    struct process *process;
    struct roster roster;
    struct connection *connection; /* NULL: none stands */
    struct message_list inbox;
    bool lost;        /* and that was not told yet */
    uint64_t opened;  /* so many times */
    int64_t again_ms; /* to the next try */
};

static void lose(struct dealer *d)
{
    d->lost = true;
    fiber_wake(d->process, &system_news);
}

static void try_to_connect(void *self, uint64_t opened)
{
    struct dealer *d = self;
    const char *at;

    if (d->opened != opened || d->process->dead || d->connection != NULL)
        return;
    at = roster_current(&d->roster);
    if (network_listens(d->process, (size_t)(at[1] - '0'))) {
        d->connection = network_connect(
            d, d->process, (size_t)(at[1] - '0'),
            strcmp(at + 2, ":w") == 0 ? PEER_WORKER : PEER_CLIENT);
        d->again_ms = AGAIN_FIRST_MS;
        return;
    }
    lose(d);
    time_after(time_between(1, d->again_ms) * NS_PER_MS, try_to_connect, d,
               opened);
    d->again_ms =
        2 * d->again_ms < AGAIN_MOST_MS ? 2 * d->again_ms : AGAIN_MOST_MS;
}

static void start(struct dealer *d)
{
    d->again_ms = AGAIN_FIRST_MS;
    time_after(time_between(1, NS_PER_MS), try_to_connect, d, ++d->opened);
}

struct status dealer_open(const char *endpoint, struct dealer **ret_dealer)
{
    struct dealer *d = time_alloc(sizeof *d);

    d->process = process_self();
    roster_init(&d->roster, endpoint);
    *ret_dealer = d;
    start(d);
    return SUCCESS;
}

struct status dealer_open_safely(const char *endpoint,
                                 const struct dealer_safety *safety,
                                 struct dealer **ret_dealer)
{
    (void)safety;
    return dealer_open(endpoint, ret_dealer);
}

static void let_go(struct dealer *d)
{
    if (d->connection != NULL && !d->process->dead)
        network_leave(d->connection);
    d->connection = NULL;
    d->opened++;
}

/* What was sent lingers: it arrives. */
void dealer_close(struct dealer *d)
{
    if (d == NULL)
        return;
    let_go(d);
    roster_release(&d->roster);
}

struct status dealer_reopen(struct dealer *d)
{
    struct connection *c = d->connection;

    if (c != NULL && !d->process->dead && time_chance(500)) {
        c->dealer_sees = false;
        network_break(c, false, true);
        d->connection = NULL;
    }
    let_go(d);
    d->inbox = (struct message_list){ .first = NULL };
    d->lost = false;
    roster_next(&d->roster);
    start(d);
    return SUCCESS;
}

bool dealer_redirect(struct dealer *d, const char *endpoint, size_t size)
{
    return roster_told(&d->roster, endpoint, size, false);
}

bool dealer_was_lost(struct dealer *d)
{
    bool lost = d->lost;

    d->lost = false;
    return lost;
}

const char *dealer_endpoint(const struct dealer *d)
{
    return roster_current(&d->roster);
}

size_t dealer_endpoint_count(const struct dealer *d)
{
    return d->roster.count;
}

const char *dealer_obstacle(struct dealer *d, bool *ret_final)
{
    (void)d;
    if (ret_final != NULL)
        *ret_final = false;
    return NULL;
}

int dealer_descriptor(const struct dealer *d)
{
    (void)d;
    return -1;
}

struct status dealer_send(struct dealer *d, const void *data, size_t size)
{
    if (d->process->dead)
        return SUCCESS;
    if (d->connection == NULL ||
        !network_send(d->connection, TO_ROUTER, data, size))
        return FAIL(STATUS_UNAVAILABLE, "send to %s: nobody there",
                    dealer_endpoint(d));
    return SUCCESS;
}

struct status dealer_wait(struct dealer *d, int64_t timeout_ms,
                          struct pollfd *others, size_t other_count,
                          const void **ret_data, size_t *ret_size)
{
    const struct process *p = d->process;
    int64_t until =
        timeout_ms < 0 ? TIME_NEVER : time_now() + timeout_ms * NS_PER_MS;
    bool before = d->lost;
    const struct message *m;

    *ret_data = NULL;
    *ret_size = 0;
    while (!p->dead && !system_look(others, other_count) &&
           d->inbox.count == 0 && time_now() < until && (before || !d->lost))
        fiber_wait(&system_news, until);
    if (p->dead)
        return FAIL(STATUS_LOST, "killed");
    m = message_take(&d->inbox);
    if (m != NULL) {
        *ret_data = m->data;
        *ret_size = m->size;
    }
    return SUCCESS;
}

/* ---- the network's side --------------------------------------------------- */

void dealer_arrived(struct dealer *d, const struct connection *c,
                    struct message *m)
{
    if (d->connection != c || d->process->dead)
        return;
    message_add(&d->inbox, m);
    fiber_wake(d->process, &system_news);
}

/* It connects again by itself. What was not read is gone, as with libzmq. */
void dealer_lost(struct dealer *d, const struct connection *c)
{
    if (d->connection != c || d->process->dead)
        return;
    d->connection = NULL;
    d->inbox = (struct message_list){ .first = NULL };
    lose(d);
    start(d);
}
