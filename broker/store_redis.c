/* store_redis.c -- the log as one Redis stream, whose ids are ours:
 * <epoch>-<sequence>. Redis refuses an id that is not above the last, so an
 * older broker cannot append behind a newer one's first entry, and an append
 * that is repeated because its reply was lost cannot stand there twice.
 *
 * store_redis.h says which file does what. */
#include "broker/store_redis.h"

#include <stdlib.h>
#include <string.h>

#include "common/file.h"
#include "common/memory.h"

enum { SECRET_MOST = 1024 };

static const char *const key_names[REDIS_KEYS] = {
    [REDIS_LOG] = "wal",           [REDIS_EPOCH] = "epoch",
    [REDIS_WRITER] = "cur",        [REDIS_PIECES] = "pieces",
    [REDIS_SNAPSHOT] = "snapshot", [REDIS_LEADER] = "leader",
    [REDIS_EVENTS] = "events",
};

static void close_store(void *self)
{
    struct redis_store *s = self;

    redis_view_close(s);
    redis_disconnect(s);
    redis_tail_clear(&s->tail);
    for (size_t i = 0; i < REDIS_KEYS; i++)
        free(s->keys[i]);
    free(s->host);
    free(s->where);
    free(s->user);
    free(s->password);
    free(s->namespace);
    free(s->caution);
    (void)pthread_mutex_destroy(&s->view.lock);
    free(s);
}

/* The first line of a file. */
MUST_CHECK static struct status read_line(const char *path, const char *what,
                                          char **ret_text)
{
    size_t size = 0;

    if (path == NULL)
        return SUCCESS;
    free(*ret_text);
    *ret_text = NULL;
    TRY(file_read(path, SECRET_MOST, ret_text, &size), "the %s of Redis", what);
    (*ret_text)[strcspn(*ret_text, "\r\n")] = '\0';
    if ((*ret_text)[0] == '\0')
        return FAIL(STATUS_INVALID,
                    "%s: the first line is empty; it is the %s "
                    "of Redis",
                    path, what);
    return SUCCESS;
}

MUST_CHECK static struct status set_up(struct redis_store *s, const char *url,
                                       const struct store_options *options)
{
    TRY_PLAIN(redis_parse_url(s, url));
    TRY_PLAIN(read_line(options->password_file, "password", &s->password));
    TRY_PLAIN(read_line(options->user_file, "user", &s->user));
    if (s->user != NULL && s->password == NULL)
        return FAIL(STATUS_INVALID,
                    "--redis-user-file needs --redis-password-file");
    TRY_PLAIN(redis_connect(s));
    return redis_check_settings(s);
}

struct status store_redis_open(const char *url, const char *namespace,
                               const struct store_options *options,
                               struct store *ret_store)
{
    struct redis_store *s = xnew(struct redis_store);
    struct status st;

    (void)pthread_mutex_init(&s->view.lock, NULL);
    s->accept_loss = options->accept_loss;
    s->namespace = xstrdup(namespace);
    for (size_t i = 0; i < REDIS_KEYS; i++)
        s->keys[i] = xasprintf("sn:{%s}:%s", namespace, key_names[i]);
    st = set_up(s, url, options);
    if (status_failed(&st)) {
        close_store(s);
        return st;
    }
    *ret_store = (struct store){ .self = s,
                                 .caution = s->caution,
                                 .begin = redis_begin,
                                 .replay = redis_replay,
                                 .append = redis_append,
                                 .put = redis_put,
                                 .publish = redis_publish,
                                 .tidy = redis_tidy,
                                 .rebuild = redis_rebuild,
                                 .acquire = redis_acquire,
                                 .extend = redis_extend,
                                 .release = redis_release_leader,
                                 .view = redis_view,
                                 .close = close_store };
    return SUCCESS;
}
