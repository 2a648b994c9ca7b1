#include "broker/store_redis.h"

#include <stdlib.h>
#include <string.h>

#include "common/memory.h"

enum { VALUE_SIZE = 64 };

/* A setting, and where else it may be read when CONFIG is forbidden. */
struct setting {
    const char *name;
    const char *info;         /* "name:" in INFO; NULL: not there */
    const char *good_in_info; /* what that says when all is well */
    const char *bad;          /* NULL: all but `good` */
    const char *good;
    const char *why; /* not */
};

static const struct setting settings[] = {
    { "appendonly", "aof_enabled:", "1", NULL, "yes",
      "a restart of Redis would forget results that were acknowledged" },
    { "appendfsync", NULL, NULL, "no", "always",
      "a power failure would lose half a minute of acknowledged results" },
    { "maxmemory-policy", "maxmemory_policy:", "noeviction", NULL, "noeviction",
      "Redis would throw away the log when its memory is full" },
};

/* ret_value: "" when Redis hides it from us. */
MUST_CHECK static struct status read_config(struct redis_store *s,
                                            const char *name,
                                            char ret_value[VALUE_SIZE])
{
    AUTO(redis_release) redisReply *reply = NULL;
    struct status st = redis_command(s, &reply, "CONFIG GET %s", name);

    ret_value[0] = '\0';
    if (status_failed(&st) && s->redis == NULL)
        return st;
    if (!status_failed(&st) && reply->elements == 2 &&
        reply->element[1]->str != NULL)
        (void)snprintf(ret_value, VALUE_SIZE, "%s", reply->element[1]->str);
    return SUCCESS;
}

/* The value behind "name:" in the text of INFO. */
static void find_info(const char *info, const char *name,
                      char ret_value[VALUE_SIZE])
{
    const char *at = name == NULL ? NULL : strstr(info, name);

    ret_value[0] = '\0';
    if (at == NULL)
        return;
    at += strlen(name);
    (void)snprintf(ret_value, VALUE_SIZE, "%.*s", (int)strcspn(at, "\r\n"), at);
}

MUST_CHECK static struct status unsafe(const struct redis_store *s,
                                       const struct setting *t,
                                       const char *value)
{
    return FAIL(STATUS_DENIED,
                "Redis at %s has %s \"%s\": %s. Set \"%s %s\", or start with "
                "--accept-loss",
                s->where, t->name, value, t->why, t->name, t->good);
}

/* ret_hidden: neither CONFIG nor INFO tell. */
MUST_CHECK static struct status check_setting(struct redis_store *s,
                                              const struct setting *t,
                                              const char *info,
                                              bool *ret_hidden)
{
    char value[VALUE_SIZE];

    *ret_hidden = false;
    TRY_PLAIN(read_config(s, t->name, value));
    if (value[0] != '\0') {
        if (t->bad != NULL ? strcmp(value, t->bad) != 0
                           : strcmp(value, t->good) == 0)
            return SUCCESS;
        return unsafe(s, t, value);
    }
    find_info(info, t->info, value);
    if (value[0] != '\0' && strcmp(value, t->good_in_info) != 0)
        return unsafe(s, t, value);
    *ret_hidden = value[0] == '\0';
    return SUCCESS;
}

/* XADD NOMKSTREAM and XTRIM MINID are of 6.2. */
MUST_CHECK static struct status check_version(const struct redis_store *s,
                                              const char *info)
{
    enum { MAJOR = 6, MINOR = 2 };
    char value[VALUE_SIZE];
    char *dot = NULL;
    long major;
    long minor;

    find_info(info, "redis_version:", value);
    major = strtol(value, &dot, 10);
    minor = *dot == '.' ? strtol(dot + 1, NULL, 10) : 0;
    if (value[0] == '\0' || major > MAJOR || (major == MAJOR && minor >= MINOR))
        return SUCCESS;
    return FAIL(STATUS_DENIED,
                "Redis at %s is version %s: 6.2 is the oldest "
                "that can be used",
                s->where, value);
}

/* ret_text: "" when Redis hides it from us; the caller frees. */
MUST_CHECK static struct status read_info(struct redis_store *s,
                                          char **ret_text)
{
    AUTO(redis_release) redisReply *reply = NULL;
    struct status st = redis_command(s, &reply, "INFO");

    if (status_failed(&st) && s->redis == NULL)
        return st;
    *ret_text =
        xstrdup(status_failed(&st) || reply->str == NULL ? "" : reply->str);
    return SUCCESS;
}

struct status redis_check_settings(struct redis_store *s)
{
    AUTO(free_pointer) char *info = NULL;

    TRY_PLAIN(read_info(s, &info));
    TRY_PLAIN(check_version(s, info));
    for (size_t i = 0; i < COUNT_OF(settings) && !s->accept_loss; i++) {
        char *before = s->caution;
        bool hidden = false;

        TRY_PLAIN(check_setting(s, &settings[i], info, &hidden));
        if (!hidden)
            continue;
        s->caution =
            before == NULL
                ? xasprintf("Redis at %s hides its settings: make "
                            "sure that it has %s %s",
                            s->where, settings[i].name, settings[i].good)
                : xasprintf("%s, %s %s", before, settings[i].name,
                            settings[i].good);
        free(before);
    }
    return SUCCESS;
}
