/* store_redis.c -- the log as one Redis stream, whose ids are ours:
 * <epoch>-<sequence>. Redis refuses an id that is not above the last, so an
 * older broker cannot append behind a newer one's first entry, and an append
 * that is repeated because its reply was lost cannot stand there twice.
 *
 * Synchronous, with a time limit on every command: the loop waits for
 * durability anyway, and messages that come meanwhile form the next group. */
#include "broker/store.h"

#include <assert.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#include <hiredis/hiredis.h>

#include "common/file.h"
#include "common/limits.h"
#include "common/memory.h"

enum {
    CONNECT_MS = 1000,
    COMMAND_MS = 5000, /* an fsync may take long, but not for ever */
    PAGE = 1000,       /* records of one XRANGE */
    DEFAULT_PORT = 6379,
    ID_SIZE = 44,
    PASSWORD_MOST = 1024,
};

struct id {
    uint64_t epoch, sequence;
};

struct redis_store {
    redisContext *redis; /* NULL: not connected */
    char *host;          /* or the path of a socket */
    int port;            /* 0: `host` is a path */
    int64_t database;
    char *password; /* NULL: none */
    char *log_key, *epoch_key;
    uint64_t epoch;
    struct id durable; /* last one Redis has answered for */
};

static void disconnect(struct redis_store *s)
{
    if (s->redis != NULL)
        redisFree(s->redis);
    s->redis = NULL;
}

/* The connection is of no use after an error: replies could be mixed up. */
MUST_CHECK static struct status broken(struct redis_store *s)
{
    struct status st =
        FAIL(STATUS_UNAVAILABLE, "Redis at %s: %s", s->host,
             s->redis == NULL ? "not connected" : s->redis->errstr);

    disconnect(s);
    return st;
}

/* What an error reply means for the caller. */
static const struct {
    const char *begins;
    enum status_code code;
} errors[] = {
    { "NOAUTH", STATUS_DENIED },    { "WRONGPASS", STATUS_DENIED },
    { "NOPERM", STATUS_DENIED },    { "OOM", STATUS_NO_SPACE },
    { "MISCONF", STATUS_NO_SPACE },
};

MUST_CHECK static struct status refused(const struct redis_store *s,
                                        const char *text)
{
    enum status_code code = STATUS_UNAVAILABLE; /* LOADING, READONLY ... */

    for (size_t i = 0; i < COUNT_OF(errors); i++)
        if (strncmp(text, errors[i].begins, strlen(errors[i].begins)) == 0)
            code = errors[i].code;
    return FAIL(code, "Redis at %s: %s", s->host, text);
}

/* Takes `reply`; an error in it becomes a failure. */
MUST_CHECK static struct status take(struct redis_store *s, redisReply *reply,
                                     redisReply **ret_reply)
{
    struct status st;

    if (reply == NULL)
        return broken(s);
    if (reply->type != REDIS_REPLY_ERROR) {
        *ret_reply = reply;
        return SUCCESS;
    }
    st = refused(s, reply->str);
    freeReplyObject(reply);
    return st;
}

static void release_reply(redisReply **reply)
{
    if (*reply != NULL)
        freeReplyObject(*reply);
}

MUST_CHECK static struct status command(struct redis_store *s,
                                        redisReply **ret_reply,
                                        const char *format, ...)
{
    va_list args;
    redisReply *reply;

    if (s->redis == NULL)
        return broken(s);
    va_start(args, format);
    reply = redisvCommand(s->redis, format, args);
    va_end(args);
    return take(s, reply, ret_reply);
}

MUST_CHECK static struct status say_hello(struct redis_store *s)
{
    AUTO(release_reply) redisReply *reply = NULL;

    if (s->password != NULL) {
        TRY_PLAIN(command(s, &reply, "AUTH %s", s->password));
        release_reply(&reply);
        reply = NULL;
    }
    return command(s, &reply, "SELECT %lld", (long long)s->database);
}

MUST_CHECK static struct status connect_redis(struct redis_store *s)
{
    static const struct timeval connect = { .tv_usec = 0,
                                            .tv_sec = CONNECT_MS / 1000 };
    static const struct timeval per_command = { .tv_sec = COMMAND_MS / 1000 };
    struct status st;

    if (s->redis != NULL)
        return SUCCESS;
    s->redis = s->port == 0
                   ? redisConnectUnixWithTimeout(s->host, connect)
                   : redisConnectWithTimeout(s->host, s->port, connect);
    if (s->redis == NULL)
        return FAIL(STATUS_NO_MEMORY, "Redis at %s: no memory", s->host);
    if (s->redis->err != 0)
        return broken(s);
    (void)redisSetTimeout(s->redis, per_command);
    if (s->port != 0)
        (void)redisEnableKeepAlive(s->redis);
    st = say_hello(s);
    if (status_failed(&st))
        disconnect(s);
    return st;
}

static void format_id(char text[ID_SIZE], struct id id)
{
    (void)snprintf(text, ID_SIZE, "%" PRIu64 "-%" PRIu64, id.epoch,
                   id.sequence);
}

MUST_CHECK static struct status parse_id(const struct redis_store *s,
                                         const char *text, struct id *ret_id)
{
    char *end;
    uint64_t epoch = strtoull(text, &end, 10);

    if (end == text || *end != '-')
        return FAIL(STATUS_CORRUPT, "Redis at %s: stream %s has an id \"%s\"",
                    s->host, s->log_key, text);
    *ret_id =
        (struct id){ .epoch = epoch, .sequence = strtoull(end + 1, NULL, 10) };
    return SUCCESS;
}

static bool is_below(struct id a, struct id b)
{
    return a.epoch != b.epoch ? a.epoch < b.epoch : a.sequence < b.sequence;
}

/* The highest id the stream ever had, also of entries that were trimmed.
 * 0-0: there is no stream. */
MUST_CHECK static struct status last_id(struct redis_store *s,
                                        struct id *ret_id)
{
    AUTO(release_reply) redisReply *there = NULL;
    AUTO(release_reply) redisReply *info = NULL;

    *ret_id = (struct id){ 0 };
    TRY_PLAIN(command(s, &there, "EXISTS %s", s->log_key));
    if (there->integer == 0)
        return SUCCESS;
    TRY_PLAIN(command(s, &info, "XINFO STREAM %s", s->log_key));
    for (size_t i = 0; i + 1 < info->elements; i += 2)
        if (info->element[i]->str != NULL &&
            info->element[i + 1]->str != NULL &&
            strcmp(info->element[i]->str, "last-generated-id") == 0)
            return parse_id(s, info->element[i + 1]->str, ret_id);
    return FAIL(STATUS_CORRUPT,
                "Redis at %s: XINFO STREAM %s names no last "
                "id",
                s->host, s->log_key);
}

/* Above every epoch there was: the counter could have been lost with a
 * failover that kept the stream, or the other way round. */
MUST_CHECK static struct status choose_epoch(struct redis_store *s,
                                             uint64_t *ret_epoch)
{
    AUTO(release_reply) redisReply *counter = NULL;
    AUTO(release_reply) redisReply *set = NULL;
    struct id last;

    TRY_PLAIN(last_id(s, &last));
    TRY_PLAIN(command(s, &counter, "INCR %s", s->epoch_key));
    *ret_epoch = (uint64_t)counter->integer;
    if (*ret_epoch > last.epoch)
        return SUCCESS;
    *ret_epoch = last.epoch + 1;
    return command(s, &set, "SET %s %llu", s->epoch_key,
                   (unsigned long long)*ret_epoch);
}

static bool is_fenced(const redisReply *reply)
{
    return reply != NULL && reply->type == REDIS_REPLY_ERROR &&
           strstr(reply->str, "equal or smaller") != NULL;
}

MUST_CHECK static struct status begin(void *self, uint64_t *ret_epoch)
{
    struct redis_store *s = self;
    AUTO(release_reply) redisReply *reply = NULL;
    char id[ID_SIZE];

    TRY_PLAIN(connect_redis(s));
    TRY_PLAIN(choose_epoch(s, &s->epoch));
    s->durable = (struct id){ .epoch = s->epoch };
    format_id(id, s->durable);
    TRY(command(s, &reply, "XADD %s %s start %llu", s->log_key, id,
                (unsigned long long)s->epoch),
        "take over with epoch %llu", (unsigned long long)s->epoch);
    *ret_epoch = s->epoch;
    return SUCCESS;
}

/* An entry is [id, [name, value]]; the one of begin() is named "start". */
MUST_CHECK static struct status visit_entry(
    struct redis_store *s, const redisReply *entry,
    struct status (*visit)(void *visitor, const struct store_record *r),
    void *visitor, struct id *ret_id)
{
    struct store_record r = { 0 };
    const redisReply *fields;

    if (entry->type != REDIS_REPLY_ARRAY || entry->elements != 2 ||
        entry->element[1]->elements < 2)
        return FAIL(STATUS_CORRUPT,
                    "Redis at %s: stream %s has an entry "
                    "that this program did not write",
                    s->host, s->log_key);
    TRY_PLAIN(parse_id(s, entry->element[0]->str, ret_id));
    fields = entry->element[1];
    if (strcmp(fields->element[0]->str, "d") != 0)
        return SUCCESS;
    r.epoch = ret_id->epoch;
    r.sequence = ret_id->sequence;
    r.data.data = fields->element[1]->str;
    r.data.size = (size_t)fields->element[1]->len;
    TRY_PLAIN(visit(visitor, &r));
    return SUCCESS;
}

MUST_CHECK static struct status replay(
    void *self,
    struct status (*visit)(void *visitor, const struct store_record *r),
    void *visitor)
{
    struct redis_store *s = self;
    char from[ID_SIZE + 1] = "-";
    size_t count = PAGE;

    while (count == PAGE) {
        AUTO(release_reply) redisReply *page = NULL;
        struct id id = { 0 };

        TRY_PLAIN(connect_redis(s));
        TRY_PLAIN(command(s, &page, "XRANGE %s %s + COUNT %d", s->log_key, from,
                          PAGE));
        count = page->elements;
        for (size_t i = 0; i < count; i++)
            TRY_PLAIN(visit_entry(s, page->element[i], visit, visitor, &id));
        from[0] = '('; /* from there on, without it */
        format_id(from + 1, id);
    }
    return SUCCESS;
}

MUST_CHECK static struct status queue_append(struct redis_store *s,
                                             const struct store_record *r)
{
    char id[ID_SIZE];
    const char *argv[] = { "XADD", s->log_key, "NOMKSTREAM",
                           id,     "d",        r->data.data };
    size_t sizes[] = { 4, strlen(s->log_key), 10, 0, 1, r->data.size };

    format_id(id, (struct id){ .epoch = r->epoch, .sequence = r->sequence });
    sizes[3] = strlen(id);
    if (redisAppendCommandArgv(s->redis, COUNT_OF(argv), argv, sizes) !=
        REDIS_OK)
        return broken(s);
    return SUCCESS;
}

MUST_CHECK static struct status gone(const struct redis_store *s)
{
    return FAIL(STATUS_CORRUPT,
                "Redis at %s: stream %s is gone; somebody "
                "flushed or evicted it. Nothing is acknowledged any more; "
                "restore it from a backup, or start under another "
                "--namespace",
                s->host, s->log_key);
}

/* What Redis says of one XADD. */
MUST_CHECK static struct status check_append(const struct redis_store *s,
                                             const redisReply *reply,
                                             bool *ret_fenced)
{
    if (is_fenced(reply)) {
        *ret_fenced = true;
        return SUCCESS;
    }
    if (reply->type == REDIS_REPLY_ERROR)
        return refused(s, reply->str);
    return reply->type == REDIS_REPLY_NIL ? gone(s) : SUCCESS;
}

MUST_CHECK static struct status read_reply(struct redis_store *s,
                                           redisReply **ret_reply)
{
    void *any = NULL;

    if (redisGetReply(s->redis, &any) != REDIS_OK || any == NULL)
        return broken(s);
    *ret_reply = any;
    return SUCCESS;
}

/* MULTI and each XADD are answered OK or QUEUED; an error there makes EXEC
 * fail as a whole, and is the better story. */
MUST_CHECK static struct status read_queued(struct redis_store *s, size_t count,
                                            struct status *ret_refusal)
{
    *ret_refusal = SUCCESS;
    for (size_t i = 0; i < count + 1; i++) {
        AUTO(release_reply) redisReply *reply = NULL;

        TRY_PLAIN(read_reply(s, &reply));
        if (reply->type == REDIS_REPLY_ERROR && !status_failed(ret_refusal))
            *ret_refusal = refused(s, reply->str);
    }
    return SUCCESS;
}

MUST_CHECK static struct status read_appends(struct redis_store *s,
                                             size_t count, bool *ret_fenced)
{
    AUTO(release_reply) redisReply *reply = NULL;
    struct status refusal = SUCCESS;

    if (count > 1)
        TRY_PLAIN(read_queued(s, count, &refusal));
    TRY_PLAIN(read_reply(s, &reply));
    if (status_failed(&refusal))
        return refusal;
    if (count == 1)
        return check_append(s, reply, ret_fenced);
    if (reply->type == REDIS_REPLY_ERROR)
        return refused(s, reply->str);
    for (size_t i = 0; i < reply->elements; i++)
        TRY_PLAIN(check_append(s, reply->element[i], ret_fenced));
    return SUCCESS;
}

/* A group is one transaction: were one record refused (no memory, disk full)
 * and the next taken, the log would have a hole for ever. */
MUST_CHECK static struct status queue_appends(
    struct redis_store *s, const struct store_record *records, size_t count)
{
    if (count > 1 && redisAppendCommand(s->redis, "MULTI") != REDIS_OK)
        return broken(s);
    for (size_t i = 0; i < count; i++)
        TRY_PLAIN(queue_append(s, &records[i]));
    if (count > 1 && redisAppendCommand(s->redis, "EXEC") != REDIS_OK)
        return broken(s);
    return SUCCESS;
}

/* Redis would not take an id: an earlier attempt of ours has landed, or
 * another broker took over. */
MUST_CHECK static struct status tell_apart(struct redis_store *s,
                                           struct id wanted)
{
    struct id last;

    TRY_PLAIN(last_id(s, &last));
    if (last.epoch == wanted.epoch && !is_below(last, wanted))
        return SUCCESS;
    if (last.epoch > wanted.epoch)
        return FAIL(STATUS_STALE,
                    "Redis at %s: another broker took over "
                    "with epoch %" PRIu64 ", this one has %" PRIu64,
                    s->host, last.epoch, wanted.epoch);
    return FAIL(STATUS_UNAVAILABLE,
                "Redis at %s: stream %s ends at "
                "%" PRIu64 "-%" PRIu64 ", before what it was given",
                s->host, s->log_key, last.epoch, last.sequence);
}

/* After a reconnect the stream may be shorter than we were told: a failover
 * or a lost tail. Then nothing may be acknowledged. */
MUST_CHECK static struct status check_tail(struct redis_store *s)
{
    struct id last;

    TRY_PLAIN(last_id(s, &last));
    if (last.epoch == 0)
        return gone(s);
    if (is_below(last, s->durable))
        return FAIL(STATUS_CORRUPT,
                    "Redis at %s lost the end of stream %s: "
                    "it goes to %" PRIu64 "-%" PRIu64 ", %" PRIu64 "-%" PRIu64
                    " was acknowledged. Restart the broker to go on with "
                    "what is left",
                    s->host, s->log_key, last.epoch, last.sequence,
                    s->durable.epoch, s->durable.sequence);
    return SUCCESS;
}

MUST_CHECK static struct status reconnect(struct redis_store *s)
{
    struct status st;

    if (s->redis != NULL)
        return SUCCESS;
    TRY_PLAIN(connect_redis(s));
    st = check_tail(s);
    if (status_failed(&st))
        disconnect(s);
    return st;
}

MUST_CHECK static struct status append(void *self,
                                       const struct store_record *records,
                                       size_t count)
{
    struct redis_store *s = self;
    bool fenced = false;
    struct id last;

    if (count == 0)
        return SUCCESS;
    last = (struct id){ .epoch = records[count - 1].epoch,
                        .sequence = records[count - 1].sequence };
    TRY_PLAIN(reconnect(s));
    TRY_PLAIN(queue_appends(s, records, count));
    TRY_PLAIN(read_appends(s, count, &fenced));
    if (fenced)
        TRY_PLAIN(tell_apart(s, last));
    s->durable = last;
    return SUCCESS;
}

static void close_store(void *self)
{
    struct redis_store *s = self;

    disconnect(s);
    free(s->host);
    free(s->password);
    free(s->log_key);
    free(s->epoch_key);
    free(s);
}

/* ret_value: "" when Redis has no such setting or hides it from us. */
MUST_CHECK static struct status read_setting(struct redis_store *s,
                                             const char *name,
                                             char ret_value[64])
{
    AUTO(release_reply) redisReply *reply = NULL;
    struct status st = command(s, &reply, "CONFIG GET %s", name);

    ret_value[0] = '\0';
    if (st.code == STATUS_UNAVAILABLE && s->redis == NULL)
        return st;
    if (!status_failed(&st) && reply->elements == 2 &&
        reply->element[1]->str != NULL)
        (void)snprintf(ret_value, 64, "%s", reply->element[1]->str);
    return SUCCESS;
}

MUST_CHECK static struct status check_setting(struct redis_store *s,
                                              const char *name,
                                              const char *wanted,
                                              const char *why)
{
    char value[64];

    TRY_PLAIN(read_setting(s, name, value));
    if (strcmp(value, wanted) == 0)
        return SUCCESS;
    return FAIL(STATUS_DENIED,
                "Redis at %s has %s \"%s\": %s. Set \"%s %s\", "
                "or start with --accept-loss",
                s->host, name, value[0] == '\0' ? "(hidden)" : value, why, name,
                wanted);
}

MUST_CHECK static struct status check_settings(struct redis_store *s)
{
    TRY_PLAIN(check_setting(s, "appendonly", "yes",
                            "a restart of Redis would forget results that "
                            "were acknowledged"));
    return check_setting(s, "maxmemory-policy", "noeviction",
                         "Redis would throw away the log when its memory is "
                         "full");
}

MUST_CHECK static struct status read_password(struct redis_store *s,
                                              const char *path)
{
    size_t size = 0;

    free(s->password);
    s->password = NULL;
    TRY(file_read(path, PASSWORD_MOST, &s->password, &size),
        "the password of Redis");
    s->password[strcspn(s->password, "\r\n")] = '\0';
    return SUCCESS;
}

/* [:password@]host[:port][/db]; the user name before ':' is not used. */
MUST_CHECK static struct status parse_tcp(struct redis_store *s,
                                          const char *rest)
{
    const char *at = strrchr(rest, '@');
    const char *host = at == NULL ? rest : at + 1;
    const char *colon = host + strcspn(host, ":/");
    const char *slash = strchr(host, '/');

    if (at != NULL) {
        const char *secret = memchr(rest, ':', (size_t)(at - rest));

        if (secret == NULL)
            return FAIL(STATUS_INVALID, "a password in a Redis URL stands "
                                        "as redis://:password@host");
        s->password = xstrndup(secret + 1, (size_t)(at - secret - 1));
    }
    s->host = xstrndup(host, (size_t)(colon - host));
    s->port = *colon == ':' ? (int)strtol(colon + 1, NULL, 10) : DEFAULT_PORT;
    s->database = slash == NULL ? 0 : strtol(slash + 1, NULL, 10);
    if (s->host[0] == '\0' || s->port < 1 || s->port > USHRT_MAX)
        return FAIL(STATUS_INVALID,
                    "no host or a wrong port in the Redis "
                    "URL: it is redis://[:password@]HOST[:PORT][/DB]");
    return SUCCESS;
}

MUST_CHECK static struct status parse_url(struct redis_store *s,
                                          const char *url)
{
    static const char tcp[] = "redis://";
    static const char local[] = "redis+unix:";

    if (strncmp(url, tcp, strlen(tcp)) == 0)
        return parse_tcp(s, url + strlen(tcp));
    s->host = xstrdup(url + strlen(local));
    return SUCCESS;
}

MUST_CHECK static struct status set_up(struct redis_store *s, const char *url,
                                       const struct store_options *options)
{
    TRY_PLAIN(parse_url(s, url));
    if (options->password_file != NULL)
        TRY_PLAIN(read_password(s, options->password_file));
    TRY_PLAIN(connect_redis(s));
    if (options->accept_loss)
        return SUCCESS;
    return check_settings(s);
}

struct status store_redis_open(const char *url, const char *namespace,
                               const struct store_options *options,
                               struct store *ret_store)
{
    struct redis_store *s = xnew(struct redis_store);
    struct status st;

    /* The braces keep all keys of a farm on one node of a cluster. */
    s->log_key = xasprintf("sn:{%s}:wal", namespace);
    s->epoch_key = xasprintf("sn:{%s}:epoch", namespace);
    st = set_up(s, url, options);
    if (status_failed(&st)) {
        close_store(s);
        return st;
    }
    *ret_store = (struct store){ .self = s,
                                 .begin = begin,
                                 .replay = replay,
                                 .append = append,
                                 .close = close_store };
    return SUCCESS;
}
