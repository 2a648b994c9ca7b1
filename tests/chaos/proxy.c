/* proxy.c -- a TCP proxy that misbehaves on command.
 *
 *     proxy LISTEN_PORT TARGET_PORT        both on 127.0.0.1; 0: any port
 *
 * Prints the port it listens on, then obeys lines of standard input until
 * its end. They hold for all connections, those to come included:
 *
 *     pass            forward everything at once (as at the start)
 *     delay MS        everything arrives so much later
 *     drip BYTES      at most so many bytes in 10 ms, each way
 *     hold up|down|both    nothing arrives, nobody is told (half-open)
 *     lose up|down|both    bytes are taken and thrown away
 *     refuse          new connections are closed at once
 *     cut             close all connections
 *     reset BYTES     each connection is reset after so many more bytes,
 *                     in the middle of whatever they were
 *
 * Up is from the client to the target. Each obeyed line is answered "ok". */
#include "common/clock.h"
#include "common/macros.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    CONNECTIONS_MOST = 512,
    CHUNK = 16 << 10,
    CHUNKS_MOST = 64, /* under way in one direction; then it is not read */
    TURN_MS = 10,
};

enum direction { UP, DOWN, DIRECTIONS };

/* Bytes under way, due at a time. */
struct chunk {
    int64_t due;
    size_t from, size;
    char *bytes;
};

struct lane {
    struct chunk chunks[CHUNKS_MOST]; /* a ring */
    size_t first, count;
    bool ended; /* its reader has seen the end */
};

struct connection {
    int ends[DIRECTIONS]; /* the end that a direction reads from */
    struct lane lanes[DIRECTIONS];
    uint64_t passed; /* bytes since the reset was ordered */
};

static struct {
    int64_t delay_ms;
    size_t drip;
    bool hold[DIRECTIONS], lose[DIRECTIONS], refuse, reset;
    uint64_t reset_after;
} orders;

static struct connection *connections[CONNECTIONS_MOST];
static size_t connection_count;
static struct sockaddr_in target = { .sin_family = AF_INET };

static void die(const char *what)
{
    perror(what);
    exit(EXIT_FAILURE);
}

static struct lane *lane_of(struct connection *c, enum direction d)
{
    return &c->lanes[d];
}

static void drop_chunk(struct lane *lane)
{
    free(lane->chunks[lane->first].bytes);
    lane->first = (lane->first + 1) % CHUNKS_MOST;
    lane->count--;
}

static void close_connection(size_t at, bool reset)
{
    const struct linger linger = { .l_onoff = 1 };
    struct connection *c = connections[at];

    for (int d = 0; d < DIRECTIONS; d++) {
        if (reset)
            (void)setsockopt(c->ends[d], SOL_SOCKET, SO_LINGER, &linger,
                             sizeof linger);
        (void)close(c->ends[d]);
        while (c->lanes[d].count > 0)
            drop_chunk(&c->lanes[d]);
    }
    free(c);
    connections[at] = connections[--connection_count];
}

static void prepare(int fd)
{
    const int one = 1;

    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (fcntl(fd, F_SETFL, O_NONBLOCK) != 0)
        die("fcntl");
}

static void take_connection(int listener)
{
    int client = accept(listener, NULL, NULL);
    int server;
    struct connection *c;

    if (client < 0)
        return;
    server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (server < 0)
        die("socket");
    if (orders.refuse || connection_count == CONNECTIONS_MOST ||
        connect(server, (struct sockaddr *)&target, sizeof target) != 0) {
        (void)close(client);
        (void)close(server);
        return;
    }
    prepare(client);
    prepare(server);
    c = calloc(1, sizeof *c);
    if (c == NULL)
        die("calloc");
    c->ends[UP] = client;
    c->ends[DOWN] = server;
    connections[connection_count++] = c;
}

/* False: the connection is to be reset. */
static bool read_lane(struct connection *c, enum direction d)
{
    struct lane *lane = lane_of(c, d);
    struct chunk *chunk;
    char bytes[CHUNK];
    ssize_t got = read(c->ends[d], bytes, sizeof bytes);

    if (got < 0)
        return errno == EAGAIN || errno == EINTR;
    lane->ended = got == 0;
    if (got == 0 || orders.lose[d])
        return true;
    c->passed += (uint64_t)got;
    if (orders.reset && c->passed > orders.reset_after)
        return false;
    chunk = &lane->chunks[(lane->first + lane->count++) % CHUNKS_MOST];
    *chunk = (struct chunk){ .due = clock_now() + orders.delay_ms * NS_PER_MS,
                             .size = (size_t)got,
                             .bytes = malloc((size_t)got) };
    if (chunk->bytes == NULL)
        die("malloc");
    memcpy(chunk->bytes, bytes, (size_t)got);
    return true;
}

/* What is due goes on its way; false: the other side is gone. */
static bool write_lane(struct connection *c, enum direction d)
{
    struct lane *lane = lane_of(c, d);
    size_t left = orders.drip > 0 ? orders.drip : SIZE_MAX;

    while (lane->count > 0 && left > 0 && !orders.hold[d]) {
        struct chunk *chunk = &lane->chunks[lane->first];
        size_t size = chunk->size - chunk->from;
        ssize_t put;

        if (chunk->due > clock_now())
            return true;
        size = size < left ? size : left;
        put = send(c->ends[1 - d], chunk->bytes + chunk->from, size,
                   MSG_NOSIGNAL);
        if (put < 0)
            return errno == EAGAIN || errno == EINTR;
        left -= (size_t)put;
        chunk->from += (size_t)put;
        if (chunk->from == chunk->size)
            drop_chunk(lane);
    }
    if (lane->ended && lane->count == 0)
        (void)shutdown(c->ends[1 - d], SHUT_WR);
    return true;
}

static bool both_ended(const struct connection *c)
{
    return c->lanes[UP].ended && c->lanes[DOWN].ended &&
           c->lanes[UP].count == 0 && c->lanes[DOWN].count == 0;
}

/* ---- orders ----------------------------------------------------------- */

static void set_both(bool flags[DIRECTIONS], const char *which)
{
    flags[UP] = strcmp(which, "down") != 0;
    flags[DOWN] = strcmp(which, "up") != 0;
}

static void order_pass(const char *argument)
{
    (void)argument;
    memset(&orders, 0, sizeof orders);
}

static void order_delay(const char *argument)
{
    orders.delay_ms = strtoll(argument, NULL, 10);
}

static void order_drip(const char *argument)
{
    orders.drip = strtoull(argument, NULL, 10);
}

static void order_hold(const char *argument)
{
    set_both(orders.hold, argument);
}

static void order_lose(const char *argument)
{
    set_both(orders.lose, argument);
}

static void order_refuse(const char *argument)
{
    (void)argument;
    orders.refuse = true;
}

static void order_cut(const char *argument)
{
    (void)argument;
    while (connection_count > 0)
        close_connection(connection_count - 1, false);
}

static void order_reset(const char *argument)
{
    orders.reset = true;
    orders.reset_after = strtoull(argument, NULL, 10);
    for (size_t i = 0; i < connection_count; i++)
        connections[i]->passed = 0;
}

static const struct order {
    const char *word;
    void (*obey)(const char *argument);
} order_table[] = {
    { "pass", order_pass }, { "delay", order_delay },
    { "drip", order_drip }, { "hold", order_hold },
    { "lose", order_lose }, { "refuse", order_refuse },
    { "cut", order_cut },   { "reset", order_reset },
};

static void obey(char *line)
{
    char *rest = NULL;
    const char *word = strtok_r(line, " \n", &rest);
    const char *argument = strtok_r(NULL, " \n", &rest);

    for (size_t i = 0; word != NULL && i < COUNT_OF(order_table); i++) {
        if (strcmp(order_table[i].word, word) != 0)
            continue;
        order_table[i].obey(argument == NULL ? "" : argument);
        (void)puts("ok");
        (void)fflush(stdout);
        return;
    }
    (void)fprintf(stderr, "proxy: no order \"%s\"\n", word == NULL ? "" : word);
    exit(EXIT_FAILURE);
}

/* Lines may come several at a time: stdio would hide what it has read. */
static void obey_input(void)
{
    static char input[512];
    static size_t held;
    ssize_t got = read(STDIN_FILENO, input + held, sizeof input - held - 1);
    char *end;

    if (got <= 0)
        exit(EXIT_SUCCESS);
    held += (size_t)got;
    input[held] = '\0';
    while ((end = strchr(input, '\n')) != NULL) {
        *end = '\0';
        obey(input);
        held -= (size_t)(end + 1 - input);
        memmove(input, end + 1, held + 1);
    }
}

/* ---- the loop ---------------------------------------------------------- */

static bool is_read(const struct connection *c, enum direction d)
{
    return !c->lanes[d].ended && c->lanes[d].count < CHUNKS_MOST &&
           !orders.hold[d];
}

static bool has_work(const struct connection *c)
{
    return c->lanes[UP].count > 0 || c->lanes[DOWN].count > 0;
}

/* How long to wait at most; fills `polled`, two for each connection. */
static int prepare_poll(struct pollfd *polled)
{
    int wait_ms = -1;

    for (size_t i = 0; i < connection_count; i++) {
        struct connection *c = connections[i];

        for (int d = 0; d < DIRECTIONS; d++)
            polled[2 * i + (size_t)d] = (struct pollfd){
                .fd = is_read(c, (enum direction)d) ? c->ends[d] : -1,
                .events = POLLIN,
            };
        if (has_work(c))
            wait_ms = TURN_MS;
    }
    return wait_ms;
}

static void serve(size_t at, const struct pollfd *polled)
{
    struct connection *c = connections[at];
    bool good = true;

    for (int d = 0; d < DIRECTIONS && good; d++)
        if (polled[d].revents != 0)
            good = read_lane(c, (enum direction)d);
    for (int d = 0; d < DIRECTIONS && good; d++)
        good = write_lane(c, (enum direction)d);
    if (!good || both_ended(c))
        close_connection(at, !good);
}

static int listen_at(uint16_t port)
{
    struct sockaddr_in at = { .sin_family = AF_INET,
                              .sin_port = htons(port),
                              .sin_addr = { htonl(INADDR_LOOPBACK) } };
    socklen_t size = sizeof at;
    const int one = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        die("socket");
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&at, sizeof at) != 0 ||
        listen(fd, CONNECTIONS_MOST) != 0 ||
        getsockname(fd, (struct sockaddr *)&at, &size) != 0)
        die("listen");
    (void)printf("%u\n", (unsigned)ntohs(at.sin_port));
    (void)fflush(stdout);
    return fd;
}

int main(int argc, char **argv)
{
    struct pollfd polled[2 + 2 * CONNECTIONS_MOST];
    int listener;

    if (argc != 3) {
        (void)fputs("usage: proxy LISTEN_PORT TARGET_PORT\n", stderr);
        return EXIT_FAILURE;
    }
    target.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    target.sin_port = htons((uint16_t)strtoul(argv[2], NULL, 10));
    listener = listen_at((uint16_t)strtoul(argv[1], NULL, 10));
    polled[0] = (struct pollfd){ .fd = STDIN_FILENO, .events = POLLIN };
    polled[1] = (struct pollfd){ .fd = listener, .events = POLLIN };
    for (;;) {
        int wait_ms = prepare_poll(polled + 2);

        if (poll(polled, 2 + 2 * connection_count, wait_ms) < 0 &&
            errno != EINTR)
            die("poll");
        /* From the end: a connection that closes is replaced by the last. */
        for (size_t i = connection_count; i > 0; i--)
            serve(i - 1, polled + 2 * i);
        if (polled[1].revents != 0)
            take_connection(listener);
        if (polled[0].revents != 0)
            obey_input();
    }
}
