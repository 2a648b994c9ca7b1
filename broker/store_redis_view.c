/* store_redis_view.c -- progress for people, over a connection of its own that
 * is never waited for: what cannot be sent now is sent with the next view, and
 * what piles up is dropped. */
#include "broker/store_redis.h"

#include <inttypes.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/clock.h"
#include "common/memory.h"

enum {
    UNSENT_MOST = 1 << 20, /* bytes; then the connection is given up */
    RETRY_MS = 2000,
    FIELDS_MOST = 32,
    DIGITS = 24,
};

/* Like all that is not an append, only by who may write. KEYS: writer, hash,
 * events. ARGV: epoch, sweep, then fields. */
static const char script[] =
    "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end "
    "redis.call('HSET', KEYS[2], unpack(ARGV, 3)) "
    "redis.call('EXPIRE', KEYS[2], 2592000) "
    "redis.call('XADD', KEYS[3], 'MAXLEN', '~', '10000', '*', 'sweep', "
    "  unpack(ARGV, 2)) "
    "return 1";

void redis_view_close(struct redis_store *s)
{
    if (s->view.redis != NULL)
        redisFree(s->view.redis);
    s->view.redis = NULL;
}

void redis_view_set_peer(struct redis_store *s)
{
    struct sockaddr_storage address;
    socklen_t size = sizeof address;
    char peer[sizeof s->view.peer] = "";

    if (s->redis != NULL && s->port != 0 &&
        getpeername(s->redis->fd, (struct sockaddr *)&address, &size) == 0)
        (void)getnameinfo((const struct sockaddr *)&address, size, peer,
                          sizeof peer, NULL, 0, NI_NUMERICHOST);
    else if (s->redis != NULL)
        (void)snprintf(peer, sizeof peer, "unix");
    (void)pthread_mutex_lock(&s->view.lock);
    memcpy(s->view.peer, peer, sizeof peer);
    (void)pthread_mutex_unlock(&s->view.lock);
}

static bool queue_login(struct redis_store *s)
{
    redisContext *v = s->view.redis;
    int result = REDIS_OK;

    if (s->password != NULL)
        result = s->user != NULL
                     ? redisAppendCommand(v, "AUTH %s %s", s->user, s->password)
                     : redisAppendCommand(v, "AUTH %s", s->password);
    return result == REDIS_OK &&
           redisAppendCommand(v, "SELECT %lld", (long long)s->database) ==
               REDIS_OK;
}

/* Only beside a main connection: its trouble is enough. */
static bool open_view(struct redis_store *s)
{
    struct redis_view *v = &s->view;
    int64_t now = clock_now();
    char peer[sizeof v->peer];

    if (v->redis != NULL)
        return true;
    (void)pthread_mutex_lock(&v->lock);
    memcpy(peer, v->peer, sizeof peer);
    (void)pthread_mutex_unlock(&v->lock);
    if (peer[0] == '\0' || now < v->retry_at)
        return false;
    v->retry_at = now + RETRY_MS * NS_PER_MS;
    v->redis = s->port == 0 ? redisConnectUnixNonBlock(s->host)
                            : redisConnectNonBlock(peer, s->port);
    return v->redis != NULL && v->redis->err == 0 && queue_login(s);
}

/* Send what goes, read what is there. False: the connection is of no use. */
static bool pump(redisContext *v)
{
    void *reply = NULL;
    int done = 0;

    if (redisBufferWrite(v, &done) != REDIS_OK ||
        redisBufferRead(v) != REDIS_OK)
        return false;
    while (redisGetReplyFromReader(v, &reply) == REDIS_OK && reply != NULL)
        freeReplyObject(reply); /* whatever it says */
    return v->err == 0 && sdslen(v->obuf) < UNSENT_MOST;
}

static bool queue_view(struct redis_store *s, const char *sweep,
                       const struct store_field *fields, size_t count)
{
    AUTO(free_pointer)
    char *hash = xasprintf("sn:{%s}:view:%s", s->namespace, sweep);
    const char *argv[2 * FIELDS_MOST + 8] = {
        "EVAL", script, "3", s->keys[REDIS_WRITER], hash, s->keys[REDIS_EVENTS],
    };
    char epoch[DIGITS];
    int argc = 6;

    (void)snprintf(epoch, sizeof epoch, "%" PRIu64, s->epoch);
    argv[argc++] = epoch;
    argv[argc++] = sweep;
    for (size_t i = 0; i < count && i < FIELDS_MOST; i++) {
        argv[argc++] = fields[i].name;
        argv[argc++] = fields[i].value;
    }
    return redisAppendCommandArgv(s->view.redis, argc, argv, NULL) == REDIS_OK;
}

bool redis_view(void *self, const char *sweep, const struct store_field *fields,
                size_t count)
{
    struct redis_store *s = self;
    bool good = open_view(s) && queue_view(s, sweep, fields, count) &&
                pump(s->view.redis);

    if (!good)
        redis_view_close(s);
    return good;
}
