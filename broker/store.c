#include "broker/store.h"

#include <inttypes.h>
#include <string.h>

static bool begins(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

struct status store_open(const char *url, const char *namespace,
                         const struct store_options *options,
                         struct store *ret_store)
{
    static const char sqlite[] = "sqlite:";

    if (begins(url, sqlite))
        return store_sqlite_open(url + strlen(sqlite), ret_store);
    if (begins(url, "redis://") || begins(url, "redis+unix:"))
        return store_redis_open(url, namespace, options, ret_store);
    if (begins(url, "rediss://"))
        return FAIL(STATUS_INVALID,
                    "TLS to Redis is not in this build: the hiredis it uses "
                    "has none. Put Redis on this machine (redis+unix:PATH), in "
                    "a network of its own, or behind a TLS tunnel such as "
                    "stunnel, and take redis://");
    return FAIL(STATUS_INVALID,
                "\"%s\" is no store: it is sqlite:PATH, "
                "redis://[[USER]:PASSWORD@]HOST[:PORT][/DB] or redis+unix:PATH",
                url);
}

struct status store_check_piece(const char *name, size_t size)
{
    size_t length = strlen(name);

    if (length == 0 || length > STORE_NAME_MOST ||
        strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                     "0123456789-_.") != length)
        return FAIL(STATUS_INVALID,
                    "\"%.80s\" is no name of a piece: up to %d letters, digits "
                    "and -_.",
                    name, STORE_NAME_MOST);
    if (size > STORE_PIECE_MOST)
        return FAIL(STATUS_TOO_BIG, "piece %s has %zu bytes, more than %d",
                    name, size, STORE_PIECE_MOST);
    return SUCCESS;
}

struct status store_check_publish(const char *const *names, size_t count,
                                  struct store_record position,
                                  struct store_record durable)
{
    if (count > STORE_PIECES_MOST)
        return FAIL(STATUS_TOO_BIG, "%zu pieces, more than %d", count,
                    STORE_PIECES_MOST);
    for (size_t i = 0; i < count; i++)
        TRY_PLAIN(store_check_piece(names[i], 0));
    if (position.epoch > durable.epoch ||
        (position.epoch == durable.epoch &&
         position.sequence > durable.sequence))
        return FAIL(STATUS_INVALID,
                    "a snapshot of all up to %" PRIu64 "-%" PRIu64
                    ", but only %" PRIu64 "-%" PRIu64 " is durable",
                    position.epoch, position.sequence, durable.epoch,
                    durable.sequence);
    return SUCCESS;
}
