#include "tests/sim/world/network.h"

#include "common/memory.h"
#include "tests/sim/world/coverage.h"
#include "tests/sim/world/system.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct network_weather network_weather;
struct network_spy network_spy;

enum { PARTS = 16 };

static struct {
    struct connection *first; /* those that stand */
    struct connection **all;  /* by number of the peer, less one */
    uint64_t count, room;
    struct router *routers[NETWORK_SEATS];

    struct part {
        const struct process *process;
        size_t seat;
        int64_t until;
    } parts[PARTS];

    size_t part;
} n;

void network_begin(void)
{
    free(n.all);
    memset(&n, 0, sizeof n);
    network_weather = (struct network_weather){ .delay_most = NS_PER_MS };
}

void message_add(struct message_list *list, struct message *m)
{
    if (list->first == NULL)
        list->end = &list->first;
    m->next = NULL;
    *list->end = m;
    list->end = &m->next;
    list->count++;
}

struct message *message_take(struct message_list *list)
{
    struct message *m = list->first;

    if (m == NULL)
        return NULL;
    list->first = m->next;
    list->count--;
    return m;
}

struct connection *network_first(void)
{
    return n.first;
}

const char *network_endpoint(size_t seat, enum peer_side side)
{
    static const char *const names[NETWORK_SEATS][PEER_SIDES] = {
        { "b0:w", "b0:c" }, { "b1:w", "b1:c" }, { "b2:w", "b2:c" }
    };

    return names[seat][side];
}

void network_part(const struct process *p, size_t seat, int64_t ns)
{
    n.parts[n.part++ % PARTS] = (struct part){ p, seat, time_now() + ns };
}

bool network_listens(const struct process *speaker, size_t seat)
{
    const struct router *r = seat < NETWORK_SEATS ? n.routers[seat] : NULL;

    for (size_t i = 0; i < PARTS; i++)
        if (n.parts[i].process == speaker && n.parts[i].seat == seat &&
            time_now() < n.parts[i].until)
            return false;
    return r != NULL && r->open && !r->process->stopped && !r->process->dead;
}

struct connection *network_connect(struct dealer *d, struct process *speaker,
                                   size_t seat, enum peer_side side)
{
    struct connection *c = time_alloc(sizeof *c);

    *c = (struct connection){ .dealer = d,
                              .speaker = speaker,
                              .router = n.routers[seat],
                              .peer = { side, ++n.count },
                              .dealer_sees = true,
                              .router_sees = true,
                              .next = n.first };
    c->ways[TO_ROUTER].cut = c->ways[TO_DEALER].cut = TIME_NEVER;
    n.first = c;
    if (n.count > n.room) {
        n.room = n.room == 0 ? 64 : 2 * n.room;
        n.all = xrealloc(n.all, n.room * sizeof(struct connection *));
    }
    n.all[n.count - 1] = c;
    time_tell("network: %s connects to b%zu as %llu", speaker->name, seat,
              (unsigned long long)c->peer.id);
    return c;
}

/* The next one of that direction arrives. */
static void arrive(void *self, uint64_t direction)
{
    struct connection *c = self;
    struct way *way = &c->ways[direction];
    struct message *m;

    if (time_now() < way->held) {
        time_at(way->held, arrive, c, direction);
        return;
    }
    m = message_take(&way->messages);
    if (m == NULL || time_now() >= way->cut)
        return;
    coverage_message(m->data, m->size);
    if (network_spy.arrived != NULL)
        network_spy.arrived(c, (enum direction)direction,
                            (struct wire_bytes){ m->data, m->size });
    if (direction == TO_DEALER) {
        dealer_arrived(c->dealer, c, m);
        return;
    }
    if (!c->router->open || c->router->process->dead)
        return;
    message_add(&c->router->inbox, m);
    fiber_wake(c->router->process, &system_news);
}

static int64_t delay(void)
{
    enum { SLOW = 20 };
    int64_t ns = time_between(1000, network_weather.delay_most);

    return time_chance(network_weather.slow) ? SLOW * ns : ns;
}

bool network_send(struct connection *c, enum direction to, const void *data,
                  size_t size)
{
    struct way *way = &c->ways[to];
    struct wire_bytes bytes = { data, size };
    int64_t at = time_now() + delay();
    struct message *m;

    if (network_spy.sent != NULL && !network_spy.sent(c, to, &bytes))
        return true;
    if (time_chance(network_weather.refuse)) {
        coverage_fault(to == TO_DEALER ? FAULT_ROUTER_FULL : FAULT_DEALER_FULL);
        return false;
    }
    if (c->broken)
        return true;
    m = time_alloc(sizeof *m + bytes.size + 1);
    m->from = c->peer;
    m->size = bytes.size;
    memcpy(m->data, bytes.data, bytes.size);
    if (way->last < at)
        way->last = at;
    message_add(&way->messages, m);
    time_at(way->last, arrive, c, to);
    return true;
}

static void router_hears(void *self, uint64_t unused)
{
    struct connection *c = self;

    (void)unused;
    c->router_sees = false;
}

static void dealer_hears(void *self, uint64_t unused)
{
    struct connection *c = self;

    (void)unused;
    if (!c->dealer_sees)
        return;
    c->dealer_sees = false;
    dealer_lost(c->dealer, c);
}

static void cut(struct way *way, int64_t at)
{
    if (at < way->cut)
        way->cut = at;
}

/* The last ones are lost. */
static void lose_some(struct message_list *list)
{
    size_t kept = time_draw(list->count + 1);
    struct message **at = &list->first;

    list->count = kept;
    for (; kept > 0; kept--)
        at = &(*at)->next;
    *at = NULL;
    list->end = at;
}

static void unlink_connection(const struct connection *c)
{
    struct connection **at = &n.first;

    while (*at != NULL && *at != c)
        at = &(*at)->next;
    if (*at != NULL)
        *at = c->next;
}

void network_break(struct connection *c, bool dealer, bool router)
{
    enum { LATE_S = 2, HEARS_MS = 50 };
    int64_t late = time_chance(network_weather.late)
                       ? time_between(0, LATE_S * NS_PER_S)
                       : time_between(0, network_weather.delay_most);

    time_tell("network: connection %llu of %s breaks",
              (unsigned long long)c->peer.id, c->speaker->name);
    unlink_connection(c);
    c->broken = true;
    lose_some(&c->ways[TO_ROUTER].messages);
    cut(&c->ways[TO_ROUTER], time_now() + late);
    cut(&c->ways[TO_DEALER], time_now());
    if (late > NS_PER_MS) /* it stood in some queue */
        c->ways[TO_ROUTER].held = time_now() + late - 1;
    if (dealer)
        time_after(time_between(0, HEARS_MS * NS_PER_MS), dealer_hears, c, 0);
    if (router)
        time_after(time_between(0, HEARS_MS * NS_PER_MS), router_hears, c, 0);
}

void network_leave(struct connection *c)
{
    c->dealer_sees = false;
    unlink_connection(c);
    cut(&c->ways[TO_DEALER], time_now());
    time_after(time_between(0, NS_PER_MS), router_hears, c, 0);
}

void network_hold(struct connection *c, enum direction to, int64_t ns)
{
    if (c->ways[to].held < time_now() + ns)
        c->ways[to].held = time_now() + ns;
}

void network_killed(const struct process *p, bool quietly)
{
    struct connection *next;

    for (struct connection *c = n.first; c != NULL; c = next) {
        next = c->next;
        if (c->speaker == p) {
            cut(&c->ways[TO_DEALER], time_now());
            network_break(c, false, !quietly);
        } else if (c->router->process == p) {
            cut(&c->ways[TO_ROUTER], time_now());
            network_break(c, !quietly, false);
        }
    }
    for (size_t i = 0; i < NETWORK_SEATS; i++)
        if (n.routers[i] != NULL && n.routers[i]->process == p)
            n.routers[i] = NULL;
}

/* ---- the broker's end ----------------------------------------------------- */

struct router *network_open_router(struct process *p, size_t seat)
{
    struct router *r = time_alloc(sizeof *r);

    *r = (struct router){ .process = p, .seat = seat, .open = true };
    if (!p->dead)
        n.routers[seat] = r;
    return r;
}

void network_close_router(struct router *r)
{
    struct connection *next;

    if (!r->open)
        return;
    r->open = false;
    if (r->process->dead)
        return;
    if (n.routers[r->seat] == r)
        n.routers[r->seat] = NULL;
    for (struct connection *c = n.first; c != NULL; c = next) {
        next = c->next;
        if (c->router != r)
            continue;
        /* What was said arrives, but may not be read before the connection
         * ends, and then it is gone. */
        unlink_connection(c);
        c->router_sees = false;
        cut(&c->ways[TO_ROUTER], time_now());
        if (time_draw(2) == 0)
            cut(&c->ways[TO_DEALER], time_now());
        time_at(c->ways[TO_DEALER].last + 1, dealer_hears, c, 0);
    }
}

MUST_CHECK static struct status wait_link(void *self, int64_t timeout_ms,
                                          struct pollfd *others,
                                          size_t other_count)
{
    struct router *r = self;
    int64_t until =
        timeout_ms < 0 ? TIME_NEVER : time_now() + timeout_ms * NS_PER_MS;

    if (r->rest != NULL && !r->process->dead)
        r->rest(r->process);
    for (size_t i = 0; i < other_count; i++)
        others[i].events = POLLIN;
    do {
        if (r->process->dead)
            return FAIL(STATUS_LOST, "killed");
        if (system_look(others, other_count) || r->inbox.count > 0)
            break;
        fiber_wait(&system_news, until);
    } while (time_now() < until);
    /* However busy it is, its threads run. */
    fiber_wait(&system_news, time_now() + time_between(1, 50) * 1000);
    return r->process->dead ? FAIL(STATUS_LOST, "killed") : SUCCESS;
}

MUST_CHECK static struct status receive(void *self, struct link_message *ret,
                                        bool *ret_got)
{
    struct router *r = self;
    struct message *m = message_take(&r->inbox);

    *ret_got = m != NULL;
    r->taken = m;
    if (m != NULL)
        n.all[m->from.id - 1]->heard = time_now();
    if (m != NULL)
        *ret = (struct link_message){ .from = m->from,
                                      .role = CURVE_ADMIN,
                                      .data = m->data,
                                      .size = m->size };
    return SUCCESS;
}

static struct connection *find(const struct router *r, struct peer to)
{
    struct connection *c =
        to.id > 0 && to.id <= n.count ? n.all[to.id - 1] : NULL;

    return c != NULL && c->router == r ? c : NULL;
}

MUST_CHECK static struct status send_link(void *self, struct peer to,
                                          const void *data, size_t size)
{
    const struct router *r = self;
    struct connection *c = find(r, to);

    if (r->process->dead)
        return SUCCESS;
    if (c == NULL || !c->router_sees) {
        /* It was said, though to nobody. */
        if (c != NULL && network_spy.sent != NULL)
            (void)network_spy.sent(c, TO_DEALER,
                                   &(struct wire_bytes){ data, size });
        return FAIL(STATUS_NOT_FOUND, "the connection is gone");
    }
    if (!network_send(c, TO_DEALER, data, size))
        return FAIL(STATUS_UNAVAILABLE, "too much is queued for this peer");
    return SUCCESS;
}

static const char *endpoint(void *self, enum peer_side side)
{
    const struct router *r = self;

    return network_endpoint(r->seat, side);
}

static void allow(void *self, struct curve_ring *ring)
{
    (void)self;
    curve_ring_free(ring);
}

static void close_link(void *self)
{
    network_close_router(self);
}

struct link network_link(struct router *r)
{
    return (struct link){ .self = r,
                          .wait = wait_link,
                          .receive = receive,
                          .send = send_link,
                          .endpoint = endpoint,
                          .allow = allow,
                          .close = close_link };
}
