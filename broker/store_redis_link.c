#include "broker/store_redis.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#include "common/memory.h"

enum {
    CONNECT_MS = 1000,
    HELLO_MS = 1000,   /* a Redis that hangs is found out soon ... */
    COMMAND_MS = 5000, /* ... but an fsync may take long */
    DEFAULT_PORT = 6379,
};

void redis_disconnect(struct redis_store *s)
{
    if (s->redis != NULL)
        redisFree(s->redis);
    s->redis = NULL;
    s->checked = false;
    redis_view_set_peer(s);
}

/* What went wrong with the connection. */
static const char *trouble_of(const struct redis_store *s)
{
    if (s->redis == NULL)
        return "not connected";
    if (s->redis->err == REDIS_ERR_IO && errno == EAGAIN)
        return "it does not answer"; /* the time limit of the socket */
    return s->redis->errstr;
}

struct status redis_broken(struct redis_store *s)
{
    struct status st =
        FAIL(STATUS_UNAVAILABLE, "Redis at %s: %s", s->where, trouble_of(s));

    redis_disconnect(s);
    return st;
}

/* What an error reply means for the caller. */
static const struct {
    const char *begins;
    enum status_code code;
    bool reconnect; /* to another server, perhaps */
    const char *advice;
} errors[] = {
    { "NOAUTH", STATUS_DENIED, false,
      "it wants a password: --redis-password-file, --redis-user-file" },
    { "WRONGPASS", STATUS_DENIED, false,
      "look at --redis-user-file and --redis-password-file" },
    { "NOPERM", STATUS_DENIED, false,
      "the ACL user needs ~sn:* and the commands in docs/redis.md" },
    { "OOM", STATUS_NO_SPACE, false,
      "its memory is full: raise maxmemory (CONFIG SET maxmemory BYTES)" },
    { "MISCONF", STATUS_NO_SPACE, false,
      "it cannot write to its disk: free some space there; writes go on by "
      "themselves" },
    { "LOADING", STATUS_UNAVAILABLE, false,
      "it reads its data after a restart; this will pass" },
    { "READONLY", STATUS_UNAVAILABLE, true,
      "it is a replica: wait for the failover, or give --store the master" },
    { "MASTERDOWN", STATUS_UNAVAILABLE, true,
      "it is a replica without a master: wait for the failover" },
    { "NOREPLICAS", STATUS_UNAVAILABLE, false,
      "its min-replicas-to-write is not met: look at the replicas" },
    { "BUSY", STATUS_UNAVAILABLE, false,
      "a script of somebody runs in it: wait, or SCRIPT KILL" },
    { "CLUSTERDOWN", STATUS_UNAVAILABLE, false, "the cluster is incomplete" },
    { "MOVED", STATUS_INVALID, false,
      "this farm's keys are on another node: give --store that one" },
};

struct status redis_refused(struct redis_store *s, const redisReply *reply)
{
    for (size_t i = 0; i < COUNT_OF(errors); i++)
        if (strncmp(reply->str, errors[i].begins, strlen(errors[i].begins)) ==
            0) {
            if (errors[i].reconnect)
                redis_disconnect(s);
            return FAIL(errors[i].code, "Redis at %s: %s (%.120s)", s->where,
                        errors[i].advice, reply->str);
        }
    return FAIL(STATUS_UNAVAILABLE, "Redis at %s: %.200s", s->where,
                reply->str);
}

void redis_release(redisReply **reply)
{
    if (*reply != NULL)
        freeReplyObject(*reply);
    *reply = NULL;
}

/* Takes `reply`; an error in it becomes a failure. */
MUST_CHECK static struct status take(struct redis_store *s, redisReply *reply,
                                     redisReply **ret_reply)
{
    struct status st;

    if (reply == NULL)
        return redis_broken(s);
    if (reply->type != REDIS_REPLY_ERROR) {
        *ret_reply = reply;
        return SUCCESS;
    }
    st = redis_refused(s, reply);
    freeReplyObject(reply);
    return st;
}

struct status redis_command(struct redis_store *s, redisReply **ret_reply,
                            const char *format, ...)
{
    va_list args;
    redisReply *reply;

    if (s->redis == NULL)
        return redis_broken(s);
    va_start(args, format);
    reply = redisvCommand(s->redis, format, args);
    va_end(args);
    return take(s, reply, ret_reply);
}

struct status redis_read(struct redis_store *s, redisReply **ret_reply)
{
    void *any = NULL;

    if (redisGetReply(s->redis, &any) != REDIS_OK || any == NULL)
        return redis_broken(s);
    *ret_reply = any;
    return SUCCESS;
}

void redis_add(struct redis_words *w, const char *data, size_t size)
{
    assert(w->count < (int)COUNT_OF(w->items));
    w->items[w->count] = data;
    w->sizes[w->count++] = size;
}

void redis_add_text(struct redis_words *w, const char *text)
{
    redis_add(w, text, strlen(text));
}

struct redis_words redis_script(const struct redis_store *s, const char *text,
                                const enum redis_key *keys, size_t count)
{
    static const char *const numbers[] = { "0", "1", "2", "3", "4", "5" };
    struct redis_words w = { .count = 0 };

    redis_add_text(&w, "EVAL");
    redis_add_text(&w, text);
    redis_add_text(&w, numbers[count]);
    for (size_t i = 0; i < count; i++)
        redis_add_text(&w, s->keys[keys[i]]);
    return w;
}

struct status redis_run(struct redis_store *s, const struct redis_words *w,
                        redisReply **ret_reply)
{
    const char *argv[COUNT_OF(w->items)];

    if (s->redis == NULL)
        return redis_broken(s);
    memcpy(argv, w->items, sizeof argv);
    return take(s, redisCommandArgv(s->redis, w->count, argv, w->sizes),
                ret_reply);
}

MUST_CHECK static struct status say_hello(struct redis_store *s)
{
    AUTO(redis_release) redisReply *reply = NULL;

    if (s->password != NULL) {
        if (s->user != NULL)
            TRY_PLAIN(
                redis_command(s, &reply, "AUTH %s %s", s->user, s->password));
        else
            TRY_PLAIN(redis_command(s, &reply, "AUTH %s", s->password));
        redis_release(&reply);
    }
    return redis_command(s, &reply, "SELECT %lld", (long long)s->database);
}

struct status redis_connect(struct redis_store *s)
{
    static const struct timeval connect = { .tv_usec = 0,
                                            .tv_sec = CONNECT_MS / 1000 };
    static const struct timeval hello = { .tv_sec = HELLO_MS / 1000 };
    static const struct timeval per_command = { .tv_sec = COMMAND_MS / 1000 };
    struct status st;

    if (s->redis != NULL)
        return SUCCESS;
    s->redis = s->port == 0
                   ? redisConnectUnixWithTimeout(s->host, connect)
                   : redisConnectWithTimeout(s->host, s->port, connect);
    if (s->redis == NULL)
        return FAIL(STATUS_NO_MEMORY, "Redis at %s: no memory", s->where);
    if (s->redis->err != 0)
        return redis_broken(s);
    (void)redisSetTimeout(s->redis, hello);
    if (s->port != 0)
        (void)redisEnableKeepAlive(s->redis);
    st = say_hello(s);
    if (status_failed(&st)) {
        redis_disconnect(s);
        return st;
    }
    (void)redisSetTimeout(s->redis, per_command);
    redis_view_set_peer(s);
    return SUCCESS;
}

void redis_format_id(char text[REDIS_ID_SIZE], struct redis_id id)
{
    (void)snprintf(text, REDIS_ID_SIZE, "%" PRIu64 "-%" PRIu64, id.epoch,
                   id.sequence);
}

/* Digits and nothing else, up to `end`. */
static bool parse_number(const char *text, const char *end, uint64_t *ret_value)
{
    char *stop = NULL;

    if (text == end || *text < '0' || *text > '9')
        return false;
    errno = 0;
    *ret_value = strtoull(text, &stop, 10);
    return stop == end && errno == 0;
}

struct status redis_parse_id(const struct redis_store *s, const char *text,
                             struct redis_id *ret_id)
{
    const char *dash = text == NULL ? NULL : strchr(text, '-');

    if (dash == NULL || !parse_number(text, dash, &ret_id->epoch) ||
        !parse_number(dash + 1, dash + 1 + strlen(dash + 1), &ret_id->sequence))
        return FAIL(STATUS_CORRUPT, "Redis at %s: \"%.60s\" is no id of %s",
                    s->where, text == NULL ? "" : text, s->keys[REDIS_LOG]);
    return SUCCESS;
}

bool redis_is_below(struct redis_id a, struct redis_id b)
{
    return a.epoch != b.epoch ? a.epoch < b.epoch : a.sequence < b.sequence;
}

/* [[user]:password@] before `at`. */
MUST_CHECK static struct status parse_login(struct redis_store *s,
                                            const char *text, const char *at)
{
    const char *colon = memchr(text, ':', (size_t)(at - text));

    if (colon == NULL)
        return FAIL(STATUS_INVALID, "a password in a Redis URL stands as "
                                    "redis://:password@host, with a user as "
                                    "redis://user:password@host");
    if (colon > text)
        s->user = xstrndup(text, (size_t)(colon - text));
    s->password = xstrndup(colon + 1, (size_t)(at - colon - 1));
    return SUCCESS;
}

/* [[user]:password@]host[:port][/db] */
MUST_CHECK static struct status parse_tcp(struct redis_store *s,
                                          const char *rest)
{
    const char *at = strrchr(rest, '@');
    const char *host = at == NULL ? rest : at + 1;
    const char *colon = host + strcspn(host, ":/");
    const char *slash = strchr(host, '/');

    if (at != NULL)
        TRY_PLAIN(parse_login(s, rest, at));
    s->host = xstrndup(host, (size_t)(colon - host));
    s->port = *colon == ':' ? (int)strtol(colon + 1, NULL, 10) : DEFAULT_PORT;
    s->database = slash == NULL ? 0 : strtol(slash + 1, NULL, 10);
    if (s->host[0] == '\0' || s->port < 1 || s->port > USHRT_MAX)
        return FAIL(STATUS_INVALID,
                    "no host or a wrong port in the Redis "
                    "URL: it is redis://[[USER]:PASSWORD@]HOST[:PORT][/DB]");
    s->where = xasprintf("%s:%d", s->host, s->port);
    return SUCCESS;
}

struct status redis_parse_url(struct redis_store *s, const char *url)
{
    static const char tcp[] = "redis://";
    static const char local[] = "redis+unix:";

    if (strncmp(url, tcp, strlen(tcp)) == 0)
        return parse_tcp(s, url + strlen(tcp));
    s->host = xstrdup(url + strlen(local));
    s->where = xstrdup(s->host);
    return SUCCESS;
}
