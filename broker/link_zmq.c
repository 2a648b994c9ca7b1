/* link_zmq.c -- the broker's sockets as two ZeroMQ ROUTERs.
 *
 * ROUTER names each connection with five bytes of its own (a zero and a
 * counter); those are our peer numbers. A peer that insists on a name of its
 * own is not served: it could take another's place. */
#include "broker/link.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <zmq.h>

#include "broker/gate.h"
#include "broker/zap.h"
#include "common/limits.h"
#include "common/memory.h"

enum {
    ROUTING_ID = 5,
    BACKLOG = 4096,
    HANDSHAKE_MS = 5000,
    PING_EVERY_MS = 5000,
    PING_TIMEOUT_MS = 15000,
    UNHEARD_MS = 30000, /* what was sent and nobody received */
    KEEPALIVE_IDLE_S = 60,
    KEEPALIVE_EVERY_S = 10,
    KEEPALIVE_COUNT = 6,
    LINGER_MS = 1000, /* of the last replies, on a clean stop */
    OTHERS_MOST = 8,
    ENDPOINT_SIZE = 256,
    TURN = 64,        /* messages of one side before the other is looked at */
    HEARD_MOST = 256, /* of a peer, that libzmq holds while nobody looks */
    ZAP_ENFORCE_DOMAIN = 93, /* an option that zmq.h keeps for its drafts */
    CURVE_THREADS = 2,       /* encryption is done in those of libzmq */
};

struct zmq_link {
    void *context;
    void *sockets[PEER_SIDES];
    char endpoints[PEER_SIDES][ENDPOINT_SIZE];
    struct gate *gate;       /* NULL: plaintext */
    struct curve_ring *ring; /* of the gate as well */
    zmq_msg_t message;
    int side; /* looked at next */
    int left; /* messages before the other side's turn */
};

MUST_CHECK static struct status set_options(void *socket, enum peer_side side,
                                            int most_queued)
{
    static const int mandatory = 1;
    const int most_heard = most_queued < HEARD_MOST ? most_queued : HEARD_MOST;
    const struct {
        int option, value;
    } rows[] = {
        { ZMQ_ROUTER_MANDATORY, mandatory },
        { ZMQ_SNDHWM, most_queued },
        { ZMQ_RCVHWM, most_heard },
        { ZMQ_LINGER, LINGER_MS },
        { ZMQ_BACKLOG, BACKLOG },
        { ZMQ_HANDSHAKE_IVL, HANDSHAKE_MS },
        { ZMQ_TCP_MAXRT, UNHEARD_MS },
        { ZMQ_TCP_KEEPALIVE, 1 },
        { ZMQ_TCP_KEEPALIVE_IDLE, KEEPALIVE_IDLE_S },
        { ZMQ_TCP_KEEPALIVE_INTVL, KEEPALIVE_EVERY_S },
        { ZMQ_TCP_KEEPALIVE_CNT, KEEPALIVE_COUNT },
    };
    /* libzmq takes the memory of a message when its head has come. A little
     * room over our limit, so that a peer hears why. */
    int64_t most_bytes =
        side == PEER_WORKER ? LIMIT_ORDINARY : (int64_t)LIMIT_SUBMIT;

    most_bytes += most_bytes / 8;
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        if (zmq_setsockopt(socket, rows[i].option, &rows[i].value,
                           sizeof rows[i].value) != 0)
            return FAIL(STATUS_FAILED, "ZeroMQ refuses option %d: %s",
                        rows[i].option, zmq_strerror(zmq_errno()));
    if (zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &most_bytes,
                       sizeof most_bytes) != 0)
        return FAIL(STATUS_FAILED, "ZeroMQ refuses a message size: %s",
                    zmq_strerror(zmq_errno()));
    return SUCCESS;
}

/* Clients may be silent for long. Workers are not, and there are many of them:
 * libzmq walks all its timers whenever it ends one, which each ping does. */
MUST_CHECK static struct status set_pings(void *socket)
{
    const struct {
        int option, value;
    } rows[] = {
        { ZMQ_HEARTBEAT_IVL, PING_EVERY_MS },
        { ZMQ_HEARTBEAT_TIMEOUT, PING_TIMEOUT_MS },
        { ZMQ_HEARTBEAT_TTL, PING_TIMEOUT_MS },
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++)
        if (zmq_setsockopt(socket, rows[i].option, &rows[i].value,
                           sizeof rows[i].value) != 0)
            return FAIL(STATUS_FAILED, "ZeroMQ refuses to ping: %s",
                        zmq_strerror(zmq_errno()));
    return SUCCESS;
}

/* With a domain that must be asked for, a gate that is not there lets nobody
 * in. */
MUST_CHECK static struct status set_key(void *socket, enum peer_side side,
                                        const struct curve_key *key)
{
    static const int on = 1;
    const char *domain = zap_domains[side];

    if (key == NULL)
        return SUCCESS;
    if (zmq_setsockopt(socket, ZMQ_CURVE_SERVER, &on, sizeof on) != 0 ||
        zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, key->secret, CURVE_BYTES) !=
            0 ||
        zmq_setsockopt(socket, ZMQ_ZAP_DOMAIN, domain, strlen(domain)) != 0 ||
        zmq_setsockopt(socket, ZAP_ENFORCE_DOMAIN, &on, sizeof on) != 0)
        return FAIL(STATUS_FAILED, "this libzmq takes no CURVE key: %s",
                    zmq_strerror(zmq_errno()));
    return SUCCESS;
}

MUST_CHECK static struct status open_side(struct zmq_link *l,
                                          enum peer_side side,
                                          const struct link_settings *set)
{
    size_t size = ENDPOINT_SIZE;

    l->sockets[side] = zmq_socket(l->context, ZMQ_ROUTER);
    if (l->sockets[side] == NULL)
        return FAIL(STATUS_FAILED, "ZeroMQ gives no socket: %s",
                    zmq_strerror(zmq_errno()));
    TRY_PLAIN(set_options(l->sockets[side], side, (int)set->most_queued));
    if (side == PEER_CLIENT)
        TRY_PLAIN(set_pings(l->sockets[side]));
    TRY_PLAIN(set_key(l->sockets[side], side, set->key));
    if (zmq_bind(l->sockets[side], set->endpoints[side]) != 0)
        return FAIL(zmq_errno() == EACCES ? STATUS_DENIED : STATUS_UNAVAILABLE,
                    "cannot listen at %s: %s", set->endpoints[side],
                    zmq_strerror(zmq_errno()));
    if (zmq_getsockopt(l->sockets[side], ZMQ_LAST_ENDPOINT, l->endpoints[side],
                       &size) != 0)
        return FAIL(STATUS_FAILED, "ZeroMQ does not say where it listens");
    return SUCCESS;
}

MUST_CHECK static struct status wait_for(void *self, int64_t timeout_ms,
                                         struct pollfd *others,
                                         size_t other_count)
{
    struct zmq_link *l = self;
    zmq_pollitem_t items[PEER_SIDES + OTHERS_MOST + 1] = { 0 };
    int count = PEER_SIDES + (int)other_count;
    int result;

    assert(other_count <= OTHERS_MOST);
    for (int i = 0; i < PEER_SIDES; i++) {
        items[i].socket = l->sockets[i];
        items[i].events = ZMQ_POLLIN;
    }
    for (size_t i = 0; i < other_count; i++) {
        items[PEER_SIDES + i].fd = others[i].fd;
        items[PEER_SIDES + i].events = ZMQ_POLLIN;
    }
    if (l->gate != NULL) {
        items[count].socket = gate_socket(l->gate);
        items[count++].events = ZMQ_POLLIN;
    }
    result = zmq_poll(items, count, timeout_ms);
    if (result < 0 && zmq_errno() != EINTR)
        return FAIL(STATUS_FAILED, "wait for messages: %s",
                    zmq_strerror(zmq_errno()));
    for (size_t i = 0; i < other_count; i++)
        others[i].revents =
            (result > 0 && items[PEER_SIDES + i].revents != 0) ? POLLIN : 0;
    if (l->gate != NULL)
        gate_answer(l->gate, l->ring);
    return SUCCESS;
}

/* 0: no peer of ours. */
static uint64_t peer_of(const unsigned char *id, size_t size)
{
    uint64_t number = 0;

    if (size != ROUTING_ID || id[0] != 0)
        return 0;
    for (size_t i = 1; i < ROUTING_ID; i++)
        number = number << 8 | id[i];
    return number + 1;
}

static void id_of(uint64_t peer, unsigned char id[ROUTING_ID])
{
    uint64_t number = peer - 1;

    id[0] = 0;
    for (int i = ROUTING_ID - 1; i > 0; i--) {
        id[i] = (unsigned char)(number & 0xff);
        number >>= 8;
    }
}

static bool has_more(void *socket)
{
    int more = 0;
    size_t size = sizeof more;

    return zmq_getsockopt(socket, ZMQ_RCVMORE, &more, &size) == 0 && more != 0;
}

/* The rest of a message that has more frames than one: nobody of ours. */
static bool drop_rest(struct zmq_link *l, void *socket)
{
    bool any = false;

    while (has_more(socket) &&
           zmq_msg_recv(&l->message, socket, ZMQ_DONTWAIT) >= 0)
        any = true;
    return any;
}

/* What the sender of the message may do. False: it is let in no more. */
static bool find_role(struct zmq_link *l, int side, enum curve_role *ret_role)
{
    const char *user;
    const struct curve_key *key;
    uint8_t open[CURVE_BYTES];

    *ret_role = side == PEER_WORKER ? CURVE_WORKER : CURVE_ADMIN;
    if (l->gate == NULL)
        return true;
    user = zmq_msg_gets(&l->message, "User-Id");
    if (user == NULL || !zap_user_key(user, open))
        return false;
    key = curve_ring_find(l->ring, open);
    if (key == NULL || (side == PEER_WORKER) != (key->role == CURVE_WORKER))
        return false;
    *ret_role = key->role;
    return true;
}

/* One message of a side. `ret_peer` 0: it was none of ours. False: there is
 * none. */
MUST_CHECK static struct status receive_from(struct zmq_link *l, int side,
                                             uint64_t *ret_peer, bool *ret_any)
{
    void *socket = l->sockets[side];
    unsigned char id[256];
    int size = zmq_recv(socket, id, sizeof id, ZMQ_DONTWAIT);

    *ret_any = size >= 0;
    if (size < 0)
        return zmq_errno() == EAGAIN || zmq_errno() == EINTR
                   ? SUCCESS
                   : FAIL(STATUS_FAILED, "receive: %s",
                          zmq_strerror(zmq_errno()));
    *ret_peer = peer_of(id, (size_t)size);
    if (!has_more(socket) ||
        zmq_msg_recv(&l->message, socket, ZMQ_DONTWAIT) < 0 ||
        drop_rest(l, socket))
        *ret_peer = 0;
    return SUCCESS;
}

MUST_CHECK static struct status receive(void *self, struct link_message *ret,
                                        bool *ret_got)
{
    struct zmq_link *l = self;
    int empty = 0;

    *ret_got = false;
    while (empty < PEER_SIDES) {
        enum curve_role role;
        uint64_t peer = 0;
        bool any = false;

        TRY_PLAIN(receive_from(l, l->side, &peer, &any));
        if (any && peer != 0 && find_role(l, l->side, &role)) {
            *ret = (struct link_message){
                .from = { .side = (enum peer_side)l->side, .id = peer },
                .role = role,
                .data = zmq_msg_data(&l->message),
                .size = zmq_msg_size(&l->message),
            };
            *ret_got = true;
        }
        empty = any ? 0 : empty + 1;
        /* A flood at one socket must not starve the other. */
        if (!any || --l->left <= 0) {
            l->side = (l->side + 1) % PEER_SIDES;
            l->left = TURN;
        }
        if (*ret_got)
            break;
    }
    return SUCCESS;
}

MUST_CHECK static struct status sent(int result, struct peer to)
{
    if (result >= 0)
        return SUCCESS;
    if (zmq_errno() == EHOSTUNREACH)
        return FAIL(STATUS_NOT_FOUND, "peer %llu is gone",
                    (unsigned long long)to.id);
    if (zmq_errno() == EAGAIN || zmq_errno() == EINTR)
        return FAIL(STATUS_UNAVAILABLE, "peer %llu reads too slowly",
                    (unsigned long long)to.id);
    return FAIL(STATUS_FAILED, "send: %s", zmq_strerror(zmq_errno()));
}

MUST_CHECK static struct status send_to(void *self, struct peer to,
                                        const void *data, size_t size)
{
    struct zmq_link *l = self;
    void *socket = l->sockets[to.side];
    unsigned char id[ROUTING_ID];

    id_of(to.id, id);
    TRY_PLAIN(
        sent(zmq_send(socket, id, sizeof id, ZMQ_DONTWAIT | ZMQ_SNDMORE), to));
    return sent(zmq_send(socket, data, size, ZMQ_DONTWAIT), to);
}

static const char *endpoint(void *self, enum peer_side side)
{
    const struct zmq_link *l = self;

    return l->endpoints[side];
}

static void allow(void *self, struct curve_ring *ring)
{
    struct zmq_link *l = self;

    curve_ring_free(l->ring);
    l->ring = ring;
}

static void close_link(void *self)
{
    struct zmq_link *l = self;

    for (int i = 0; i < PEER_SIDES; i++)
        if (l->sockets[i] != NULL)
            (void)zmq_close(l->sockets[i]);
    gate_free(l->gate);
    if (l->context != NULL)
        (void)zmq_ctx_term(l->context);
    (void)zmq_msg_close(&l->message);
    curve_ring_free(l->ring);
    free(l);
}

/* Before that, a handshake could overrun its stack. */
MUST_CHECK static struct status check_version(void)
{
    int v[3];

    zmq_version(&v[0], &v[1], &v[2]);
    if (ZMQ_MAKE_VERSION(v[0], v[1], v[2]) < ZMQ_MAKE_VERSION(4, 3, 4))
        return FAIL(STATUS_FAILED,
                    "libzmq %d.%d.%d is too old to face a network: 4.3.4 or "
                    "later is needed",
                    v[0], v[1], v[2]);
    return SUCCESS;
}

/* The gate first: it must be there before anybody can connect. */
MUST_CHECK static struct status open_gate(struct zmq_link *l,
                                          const struct link_settings *set)
{
    TRY_PLAIN(check_version());
    if (set->key == NULL)
        return SUCCESS;
    (void)zmq_ctx_set(l->context, ZMQ_IO_THREADS, CURVE_THREADS);
    return gate_open(l->context, &l->gate);
}

struct status link_zmq_open(const struct link_settings *settings,
                            struct link *ret_link)
{
    struct zmq_link *l = xnew(struct zmq_link);
    struct status st;

    (void)zmq_msg_init(&l->message);
    l->ring = settings->ring;
    l->left = TURN;
    l->context = zmq_ctx_new();
    st = open_gate(l, settings);
    for (int i = 0; i < PEER_SIDES && !status_failed(&st); i++)
        st = open_side(l, (enum peer_side)i, settings);
    if (status_failed(&st)) {
        close_link(l);
        return st;
    }
    *ret_link = (struct link){ .self = l,
                               .wait = wait_for,
                               .receive = receive,
                               .send = send_to,
                               .endpoint = endpoint,
                               .allow = allow,
                               .close = close_link };
    return SUCCESS;
}
