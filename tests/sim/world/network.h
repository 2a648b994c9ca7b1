/* network.h -- connections of the simulated world: dealers (workers, clients)
 * to the routers of brokers, which sit at seats. Within a connection and a
 * direction messages keep their order and none is lost while it stands; it
 * may break with whatever is under way, each end hears of that in its own
 * time or never, and what was under way may still come when the next
 * connection speaks already.
 *
 * dealer.c stands in for common/dealer.c; a router is a struct link. */
#ifndef SINTER_TESTS_SIM_WORLD_NETWORK_H
#define SINTER_TESTS_SIM_WORLD_NETWORK_H

#include "broker/link.h"
#include "tests/sim/world/process.h"

enum { NETWORK_SEATS = 3 };

enum direction { TO_ROUTER, TO_DEALER };

struct message {
    struct message *next;
    struct peer from; /* at a router */
    size_t size;
    char data[];
};

/* First in, first out. */
struct message_list {
    struct message *first, **end;
    size_t count;
};

struct router {
    struct process *process;
    size_t seat;
    bool open;
    struct message_list inbox;
    struct message *taken; /* the one given last */
    /* When the loop waits with nothing left to do. May be NULL. */
    void (*rest)(struct process *p);
};

struct dealer; /* as common/dealer.h has it */

struct connection {
    struct dealer *dealer;
    struct process *speaker; /* the dealer's */
    struct router *router;
    struct peer peer;
    bool dealer_sees, router_sees; /* thinks that it stands */
    bool broken;                   /* what is sent from now on is lost */
    int64_t heard;                 /* when the broker took in its last word */

    struct way {
        struct message_list messages; /* under way */
        int64_t last;                 /* arrival of the one sent last */
        int64_t held;                 /* nothing arrives before */
        int64_t cut;                  /* nothing arrives after */
    } ways[2];

    struct connection *next;
};

/* How the network behaves now; draws decide on each message. */
struct network_weather {
    int64_t delay_most; /* ns, of one message */
    unsigned slow;      /* permille of messages that take 20 times that */
    unsigned refuse;    /* permille of sends that find a queue full */
    unsigned late;      /* permille of breaks after which messages of the
                              old connection come up to 2 s late */
};

extern struct network_weather network_weather;

/* All of what a message says and does in the world: for the oracle, which may
 * say that it is to be dropped, and for sabotage. NULL: none. */
struct network_spy {
    /* May give other bytes. False: the message is lost. */
    bool (*sent)(const struct connection *c, enum direction to,
                 struct wire_bytes *bytes);
    void (*arrived)(const struct connection *c, enum direction to,
                    struct wire_bytes bytes);
};

extern struct network_spy network_spy;

void network_begin(void);

/* The router of a broker's seat; at most one is open. */
struct router *network_open_router(struct process *p, size_t seat);
void network_close_router(struct router *r);
struct link network_link(struct router *r);
/* "b0:w", "b0:c" */
const char *network_endpoint(size_t seat, enum peer_side side);

/* Connections that stand; NULL ends the list. */
struct connection *network_first(void);
struct connection *network_connect(struct dealer *d, struct process *speaker,
                                   size_t seat, enum peer_side side);
/* Is a broker there that takes connections? */
bool network_listens(const struct process *speaker, size_t seat);

/* False: it cannot be queued. */
bool network_send(struct connection *c, enum direction to, const void *data,
                  size_t size);

/* It breaks: each end learns of it, or not. */
void network_break(struct connection *c, bool dealer_hears, bool router_hears);
/* The dealer lets go of it. */
void network_leave(struct connection *c);
/* Its process is no more. */
void network_killed(const struct process *p, bool quietly);
/* Nothing of that direction arrives for so long. */
void network_hold(struct connection *c, enum direction to, int64_t ns);
/* No new connection of that process to the seat for so long. */
void network_part(const struct process *p, size_t seat, int64_t ns);

void message_add(struct message_list *list, struct message *m);
struct message *message_take(struct message_list *list); /* NULL: none */

/* dealer.c: of that connection; it stands no more. */
void dealer_arrived(struct dealer *d, const struct connection *c,
                    struct message *m);
void dealer_lost(struct dealer *d, const struct connection *c);

#endif
