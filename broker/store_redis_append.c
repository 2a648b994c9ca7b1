#include "broker/store_redis.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

/* Groups of one transaction: up to 8 MiB on the way to Redis at a time. */
enum { GROUPS_MOST = 16 };

MUST_CHECK static struct status queue_group(struct redis_store *s,
                                            const struct store_group *g)
{
    char id[REDIS_ID_SIZE];
    struct redis_words w = { .count = 0 };

    redis_format_id(
        id, (struct redis_id){ .epoch = g->epoch, .sequence = g->last });
    redis_add_text(&w, "XADD");
    redis_add_text(&w, s->keys[REDIS_LOG]);
    redis_add_text(&w, "NOMKSTREAM");
    redis_add_text(&w, id);
    redis_add_text(&w, "g");
    redis_add(&w, g->data, g->size);
    if (redisAppendCommandArgv(s->redis, w.count, w.items, w.sizes) != REDIS_OK)
        return redis_broken(s);
    return SUCCESS;
}

/* Several groups are one transaction: were one refused (no memory, disk full)
 * and the next taken, the log would have a hole for ever. */
MUST_CHECK static struct status queue_groups(struct redis_store *s,
                                             const struct store_group *groups,
                                             size_t count)
{
    if (count > 1 && redisAppendCommand(s->redis, "MULTI") != REDIS_OK)
        return redis_broken(s);
    for (size_t i = 0; i < count; i++)
        TRY_PLAIN(queue_group(s, &groups[i]));
    if (count > 1 && redisAppendCommand(s->redis, "EXEC") != REDIS_OK)
        return redis_broken(s);
    return SUCCESS;
}

static bool is_too_late(const redisReply *reply)
{
    return strstr(reply->str, "equal or smaller") != NULL;
}

/* What Redis says of one XADD. */
MUST_CHECK static struct status check_reply(struct redis_store *s,
                                            const redisReply *reply)
{
    if (reply->type == REDIS_REPLY_ERROR)
        return is_too_late(reply) ? redis_too_late(s) : redis_refused(s, reply);
    return reply->type == REDIS_REPLY_NIL ? redis_gone(s) : SUCCESS;
}

/* MULTI and each XADD are answered OK or QUEUED; an error there makes EXEC
 * fail as a whole, and is the better story. */
MUST_CHECK static struct status read_queued(struct redis_store *s, size_t count,
                                            struct status *ret_refusal)
{
    *ret_refusal = SUCCESS;
    for (size_t i = 0; i < count + 1; i++) {
        AUTO(redis_release) redisReply *reply = NULL;

        TRY_PLAIN(redis_read(s, &reply));
        if (reply->type == REDIS_REPLY_ERROR && !status_failed(ret_refusal))
            *ret_refusal = redis_refused(s, reply);
        if (s->redis == NULL) /* it wants us to go elsewhere */
            return *ret_refusal;
    }
    return SUCCESS;
}

MUST_CHECK static struct status read_transaction(struct redis_store *s,
                                                 size_t count)
{
    AUTO(redis_release) redisReply *reply = NULL;
    struct status refusal;

    TRY_PLAIN(read_queued(s, count, &refusal));
    TRY_PLAIN(redis_read(s, &reply));
    if (status_failed(&refusal))
        return refusal;
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != count)
        return reply->type == REDIS_REPLY_ERROR ? redis_refused(s, reply)
                                                : redis_broken(s);
    for (size_t i = 0; i < count; i++)
        TRY_PLAIN(check_reply(s, reply->element[i]));
    return SUCCESS;
}

struct status redis_add_groups(struct redis_store *s,
                               const struct store_group *groups, size_t count)
{
    AUTO(redis_release) redisReply *reply = NULL;

    if (count == 0)
        return SUCCESS;
    TRY_PLAIN(queue_groups(s, groups, count));
    if (count > 1)
        return read_transaction(s, count);
    TRY_PLAIN(redis_read(s, &reply));
    return check_reply(s, reply);
}

/* Packs the first records: what Redis has already in groups of its own, for
 * those are not sent. ret_known: how many of the groups these are. */
static size_t pack(const struct redis_store *s,
                   const struct store_record *records, size_t count,
                   struct store_group groups[GROUPS_MOST], size_t *ret_known)
{
    size_t made = 0;

    *ret_known = 0;
    while (made < GROUPS_MOST && count > 0) {
        bool known = records[0].sequence <= s->durable.sequence;
        struct store_group g = store_group_pack(
            records, count, known ? s->durable.sequence : UINT64_MAX);
        size_t taken = (size_t)(g.last - g.first + 1);

        *ret_known += known;
        groups[made++] = g;
        records += taken;
        count -= taken;
    }
    return made;
}

/* Some of the records, from the first on. */
MUST_CHECK static struct status append_some(struct redis_store *s,
                                            const struct store_record *records,
                                            size_t count)
{
    struct store_group groups[GROUPS_MOST];
    size_t known = 0;
    size_t made = pack(s, records, count, groups, &known);
    struct status st = redis_add_groups(s, groups + known, made - known);

    for (size_t i = 0; i < made; i++)
        if (status_failed(&st))
            store_group_release(&groups[i]);
        else {
            s->acknowledged = groups[i].last;
            redis_tail_add(&s->tail, groups[i]);
        }
    if (!status_failed(&st) && s->durable.sequence < s->acknowledged)
        s->durable.sequence = s->acknowledged;
    return st;
}

struct status redis_append(void *self, const struct store_record *records,
                           size_t count)
{
    struct redis_store *s = self;
    uint64_t last;

    if (count == 0)
        return redis_is_well(s);
    assert(records[0].epoch == s->epoch &&
           records[0].sequence <= s->acknowledged + 1);
    last = records[count - 1].sequence;
    while (s->acknowledged < last) {
        size_t known = (size_t)(s->acknowledged + 1 - records[0].sequence);

        TRY_PLAIN(redis_resume(s));
        TRY_PLAIN(append_some(s, records + known, count - known));
    }
    return SUCCESS;
}
