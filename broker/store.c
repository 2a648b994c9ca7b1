#include "broker/store.h"

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
    return FAIL(STATUS_INVALID,
                "\"%s\" is no store: it is sqlite:PATH, "
                "redis://[:password@]HOST[:PORT][/DB] or redis+unix:PATH",
                url);
}
