#include "broker/store_redis.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"

/* ARGV: name, address, milliseconds. */
static const char acquire_script[] =
    "local name = redis.call('HGET', KEYS[1], 'name') "
    "if name and name ~= ARGV[1] then "
    "  return {name, redis.call('HGET', KEYS[1], 'address') or ''} "
    "end "
    "redis.call('HSET', KEYS[1], 'name', ARGV[1], 'address', ARGV[2]) "
    "redis.call('PEXPIRE', KEYS[1], ARGV[3]) "
    "return {ARGV[1], ARGV[2]}";

static const char extend_script[] =
    "if redis.call('HGET', KEYS[1], 'name') ~= ARGV[1] then return 0 end "
    "return redis.call('PEXPIRE', KEYS[1], ARGV[2])";

static const char release_script[] =
    "if redis.call('HGET', KEYS[1], 'name') ~= ARGV[1] then return 0 end "
    "return redis.call('DEL', KEYS[1])";

static const enum redis_key keys[] = { REDIS_LEADER };

static void copy(char to[STORE_HOLDER_MOST], const redisReply *from)
{
    (void)snprintf(to, STORE_HOLDER_MOST, "%s",
                   from->str == NULL ? "" : from->str);
}

struct status redis_acquire(void *self, const struct store_holder *me,
                            int64_t ttl_ms, struct store_holder *ret_holder,
                            bool *ret_mine)
{
    struct redis_store *s = self;
    AUTO(redis_release) redisReply *reply = NULL;
    AUTO(free_pointer) char *ttl = xasprintf("%" PRId64, ttl_ms);
    struct redis_words w =
        redis_script(s, acquire_script, keys, COUNT_OF(keys));

    TRY_PLAIN(redis_connect(s));
    redis_add_text(&w, me->name);
    redis_add_text(&w, me->address);
    redis_add_text(&w, ttl);
    TRY_PLAIN(redis_run(s, &w, &reply));
    if (reply->elements != 2)
        return FAIL(STATUS_CORRUPT, "Redis at %s: %s is no leader", s->where,
                    s->keys[REDIS_LEADER]);
    copy(ret_holder->name, reply->element[0]);
    copy(ret_holder->address, reply->element[1]);
    *ret_mine = strcmp(ret_holder->name, me->name) == 0;
    return SUCCESS;
}

struct status redis_extend(void *self, const struct store_holder *me,
                           int64_t ttl_ms, bool *ret_mine)
{
    struct redis_store *s = self;
    AUTO(redis_release) redisReply *reply = NULL;
    AUTO(free_pointer) char *ttl = xasprintf("%" PRId64, ttl_ms);
    struct redis_words w = redis_script(s, extend_script, keys, COUNT_OF(keys));

    TRY_PLAIN(redis_connect(s));
    redis_add_text(&w, me->name);
    redis_add_text(&w, ttl);
    TRY_PLAIN(redis_run(s, &w, &reply));
    *ret_mine = reply->integer == 1;
    return SUCCESS;
}

struct status redis_release_leader(void *self, const struct store_holder *me)
{
    struct redis_store *s = self;
    AUTO(redis_release) redisReply *reply = NULL;
    struct redis_words w =
        redis_script(s, release_script, keys, COUNT_OF(keys));

    TRY_PLAIN(redis_connect(s));
    redis_add_text(&w, me->name);
    return redis_run(s, &w, &reply);
}
