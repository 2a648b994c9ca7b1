/* bench_peers.c -- jobs that do nothing through other queues: put, taken and
 * finished, in jobs a second. queue_peers.sh starts the servers and runs
 * `dispatch` beside.
 *
 *     peers beanstalkd PORT LABEL [JOBS]
 *     peers gearmand PORT LABEL [JOBS]
 *
 * One connection, 64 bytes a job; once with many requests under way, once with
 * one at a time. */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/bench.h"
#include "common/buf.h"
#include "common/clock.h"
#include "common/memory.h"

enum {
    PAYLOAD = 64,
    WINDOW = 256, /* requests under way */
    JOBS = 50000,
    INPUT = 1 << 18,
};

static void die(const char *what)
{
    perror(what);
    exit(EXIT_FAILURE);
}

struct stream {
    int fd;
    struct buf out;
    char in[INPUT];
    size_t from, to;
};

static void stream_open(struct stream *s, uint16_t port)
{
    struct sockaddr_in at = { .sin_family = AF_INET,
                              .sin_port = htons(port),
                              .sin_addr = { htonl(INADDR_LOOPBACK) } };
    const int one = 1;

    s->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (s->fd < 0 || connect(s->fd, (struct sockaddr *)&at, sizeof at) != 0)
        die("connect");
    (void)setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    buf_init(&s->out, SIZE_MAX);
    s->from = s->to = 0;
}

static void stream_close(struct stream *s)
{
    (void)close(s->fd);
    buf_release(&s->out);
}

static void say(struct stream *s, const void *data, size_t size)
{
    struct status st = buf_add(&s->out, data, size);

    if (status_failed(&st))
        die("memory");
}

static void flush(struct stream *s)
{
    for (size_t at = 0; at < s->out.size;) {
        ssize_t put = write(s->fd, s->out.data + at, s->out.size - at);

        if (put <= 0)
            die("write");
        at += (size_t)put;
    }
    s->out.size = 0;
}

/* At least so many bytes are there after it; they stay until taken. */
static const char *need(struct stream *s, size_t size)
{
    while (s->to - s->from < size) {
        ssize_t got;

        if (s->from > 0) {
            memmove(s->in, s->in + s->from, s->to - s->from);
            s->to -= s->from;
            s->from = 0;
        }
        got = read(s->fd, s->in + s->to, INPUT - s->to);
        if (got <= 0)
            die("read");
        s->to += (size_t)got;
    }
    return s->in + s->from;
}

/* A line without its end; good until the next call. */
static const char *line(struct stream *s)
{
    for (size_t i = 0;; i++) {
        char *at = s->in + s->from;

        (void)need(s, i + 2);
        at = s->in + s->from;
        if (at[i] != '\r')
            continue;
        at[i] = '\0';
        s->from += i + 2;
        return at;
    }
}

/* ---- what a peer can do: so many jobs put, or taken and finished -------- */

struct peer {
    const char *name;
    void (*begin)(struct stream *s); /* as a worker */
    void (*put)(struct stream *s, size_t count);
    void (*work)(struct stream *s, size_t count);
};

static void no_begin(struct stream *s)
{
    (void)s;
}

static void beanstalk_put(struct stream *s, size_t count)
{
    char request[PAYLOAD + 32];
    int size = snprintf(request, sizeof request, "put 0 0 600 %d\r\n%0*d\r\n",
                        PAYLOAD, PAYLOAD, 0);

    for (size_t i = 0; i < count; i++)
        say(s, request, (size_t)size);
    flush(s);
    for (size_t i = 0; i < count; i++)
        if (strncmp(line(s), "INSERTED", 8) != 0)
            die("beanstalkd refused a job");
}

static void beanstalk_work(struct stream *s, size_t count)
{
    for (size_t i = 0; i < count; i++)
        say(s, "reserve\r\n", 9);
    flush(s);
    for (size_t i = 0; i < count; i++) {
        unsigned long long id;
        char request[48];

        if (sscanf(line(s), "RESERVED %llu", &id) != 1)
            die("beanstalkd gave no job");
        (void)need(s, PAYLOAD + 2);
        s->from += PAYLOAD + 2;
        say(s, request,
            (size_t)snprintf(request, sizeof request, "delete %llu\r\n", id));
    }
    flush(s);
    for (size_t i = 0; i < count; i++)
        if (strcmp(line(s), "DELETED") != 0)
            die("beanstalkd did not delete");
}

enum {
    GEAR_CAN_DO = 1,
    GEAR_JOB_CREATED = 8,
    GEAR_GRAB_JOB = 9,
    GEAR_JOB_ASSIGN = 11,
    GEAR_WORK_COMPLETE = 13,
    GEAR_SUBMIT_JOB_BG = 18,
    GEAR_HEADER = 12,
};

static void gear_say(struct stream *s, uint32_t type, const char *body,
                     size_t size)
{
    uint32_t header[3] = { 0, htonl(type), htonl((uint32_t)size) };

    memcpy(header, "\0REQ", 4);
    say(s, header, sizeof header);
    if (size > 0)
        say(s, body, size);
}

/* The body of the answer, which must be of this type. */
static const char *gear_hear(struct stream *s, uint32_t type)
{
    uint32_t header[3];
    const char *body;

    memcpy(header, need(s, GEAR_HEADER), sizeof header);
    if (ntohl(header[1]) != type)
        die("gearmand said something else");
    body = need(s, GEAR_HEADER + ntohl(header[2])) + GEAR_HEADER;
    s->from += GEAR_HEADER + ntohl(header[2]);
    return body;
}

static void gear_begin(struct stream *s)
{
    gear_say(s, GEAR_CAN_DO, "noop", 4);
    flush(s);
}

static void gear_put(struct stream *s, size_t count)
{
    char body[6 + PAYLOAD] = "noop\0"; /* function, no unique id, payload */

    memset(body + 6, '0', PAYLOAD);
    for (size_t i = 0; i < count; i++)
        gear_say(s, GEAR_SUBMIT_JOB_BG, body, sizeof body);
    flush(s);
    for (size_t i = 0; i < count; i++)
        (void)gear_hear(s, GEAR_JOB_CREATED);
}

static void gear_work(struct stream *s, size_t count)
{
    for (size_t i = 0; i < count; i++)
        gear_say(s, GEAR_GRAB_JOB, NULL, 0);
    flush(s);
    for (size_t i = 0; i < count; i++) {
        const char *handle = gear_hear(s, GEAR_JOB_ASSIGN);

        gear_say(s, GEAR_WORK_COMPLETE, handle, strlen(handle) + 1);
    }
    flush(s);
}

static const struct peer peers[] = {
    { "beanstalkd", no_begin, beanstalk_put, beanstalk_work },
    { "gearmand", gear_begin, gear_put, gear_work },
};

static void run(const struct peer *peer, uint16_t port, const char *label,
                size_t jobs, size_t window)
{
    struct stream producer, worker;
    char name[96];
    int64_t began;
    double seconds;

    stream_open(&producer, port);
    stream_open(&worker, port);
    peer->begin(&worker);
    began = clock_now();
    for (size_t done = 0; done < jobs; done += window)
        peer->put(&producer, window);
    for (size_t done = 0; done < jobs; done += window)
        peer->work(&worker, window);
    seconds = (double)(clock_now() - began) / (double)NS_PER_S;
    (void)snprintf(name, sizeof name, "peers.%s.%s.%s", peer->name, label,
                   window == 1 ? "single" : "pipelined");
    bench_print(name, (double)jobs / seconds, "jobs/s", 0.0, NULL);
    stream_close(&producer);
    stream_close(&worker);
}

int main(int argc, char **argv)
{
    size_t jobs = argc > 4 ? strtoull(argv[4], NULL, 10) : JOBS;

    for (size_t i = 0; argc > 3 && i < COUNT_OF(peers); i++) {
        uint16_t port = (uint16_t)strtoul(argv[2], NULL, 10);

        if (strcmp(peers[i].name, argv[1]) != 0)
            continue;
        jobs = jobs / WINDOW * WINDOW;
        run(&peers[i], port, argv[3], jobs, WINDOW);
        run(&peers[i], port, argv[3], jobs / 10, 1);
        return EXIT_SUCCESS;
    }
    (void)fputs("usage: peers beanstalkd|gearmand PORT LABEL [JOBS]\n", stderr);
    return EXIT_FAILURE;
}
