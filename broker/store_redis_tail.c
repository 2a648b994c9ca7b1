/* store_redis_tail.c -- Redis was away and is back. It may have what was sent
 * last though nobody heard so, it may have lost what it had accepted (a
 * failover, a power failure), it may be empty. */
#include "broker/store_redis.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/memory.h"

enum {
    KEEP_S = 60,
    KEEP_BYTES = 64 << 20,
    ROOM_FIRST = 64,
    GROUPS_MOST = 16, /* sent again at a time */
};

static struct redis_kept *at(const struct redis_tail *tail, size_t i)
{
    return &tail->items[(tail->from + i) % tail->room];
}

static void drop_first(struct redis_tail *tail)
{
    struct redis_kept *k = at(tail, 0);

    tail->bytes -= k->group.size;
    store_group_release(&k->group);
    tail->from = (tail->from + 1) % tail->room;
    tail->count--;
}

void redis_tail_clear(struct redis_tail *tail)
{
    while (tail->count > 0)
        drop_first(tail);
    free(tail->items);
    *tail = (struct redis_tail){ 0 };
}

static void make_room(struct redis_tail *tail)
{
    size_t room = tail->room == 0 ? (size_t)ROOM_FIRST : 2 * tail->room;
    struct redis_kept *items;

    if (tail->count < tail->room)
        return;
    items = xcalloc(room, sizeof *items);
    for (size_t i = 0; i < tail->count; i++)
        items[i] = *at(tail, i);
    free(tail->items);
    tail->items = items;
    tail->from = 0;
    tail->room = room;
}

void redis_tail_add(struct redis_tail *tail, struct store_group g)
{
    int64_t now = clock_now();

    while (tail->count > 0 && (tail->bytes + g.size > KEEP_BYTES ||
                               now - at(tail, 0)->at > KEEP_S * NS_PER_S))
        drop_first(tail);
    make_room(tail);
    tail->count++;
    *at(tail, tail->count - 1) = (struct redis_kept){ .group = g, .at = now };
    tail->bytes += g.size;
}

struct status redis_gone(struct redis_store *s)
{
    redis_disconnect(s); /* look again, and closely, before the next append */
    return FAIL(STATUS_LOST,
                "Redis at %s: stream %s is gone: somebody flushed or evicted "
                "it. Nothing is acknowledged any more. Restore Redis from a "
                "backup, or let the broker write it anew from memory "
                "(`sinter rebuild`); do not restart the broker before",
                s->where, s->keys[REDIS_LOG]);
}

struct status redis_fenced(const struct redis_store *s, uint64_t epoch)
{
    return FAIL(STATUS_STALE,
                "Redis at %s: another broker took over with epoch %" PRIu64
                ", this one has %" PRIu64,
                s->where, epoch, s->epoch);
}

/* The highest id the stream ever had, also of entries that were trimmed. If
 * that is not of a later epoch, we are the writer again. */
static const char resume_script[] =
    "if redis.replicate_commands then redis.replicate_commands() end "
    "if redis.call('EXISTS', KEYS[1]) == 0 then return false end "
    "local info, last = redis.call('XINFO', 'STREAM', KEYS[1]), '' "
    "for i = 1, #info, 2 do "
    "  if info[i] == 'last-generated-id' then last = info[i + 1] end "
    "end "
    "local epoch, mine = tonumber(string.match(last, '^%d+')), "
    "  tonumber(ARGV[1]) "
    "if epoch and epoch <= mine then "
    "  if redis.call('GET', KEYS[3]) ~= ARGV[1] then "
    "    redis.call('SET', KEYS[3], ARGV[1]) "
    "  end "
    "  if tonumber(redis.call('GET', KEYS[2]) or '0') < mine then "
    "    redis.call('SET', KEYS[2], ARGV[1]) "
    "  end "
    "end "
    "return last";

/* ret_there: false if there is no stream. */
MUST_CHECK static struct status ask_end(struct redis_store *s,
                                        struct redis_id *ret_last,
                                        bool *ret_there)
{
    static const enum redis_key keys[] = { REDIS_LOG, REDIS_EPOCH,
                                           REDIS_WRITER };
    AUTO(redis_release) redisReply *reply = NULL;
    AUTO(free_pointer) char *epoch = xasprintf("%" PRIu64, s->epoch);
    struct redis_words w = redis_script(s, resume_script, keys, COUNT_OF(keys));

    redis_add_text(&w, epoch);
    TRY_PLAIN(redis_run(s, &w, &reply));
    *ret_there = reply->type != REDIS_REPLY_NIL;
    if (!*ret_there)
        return SUCCESS;
    return redis_parse_id(s, reply->str, ret_last);
}

struct status redis_too_late(struct redis_store *s)
{
    struct redis_id last = { 0 };
    bool there = false;

    TRY_PLAIN(ask_end(s, &last, &there));
    if (there && last.epoch > s->epoch)
        return redis_fenced(s, last.epoch);
    redis_disconnect(s); /* redis_resume() finds out where we are */
    return FAIL(STATUS_UNAVAILABLE,
                "Redis at %s: stream %s goes to %" PRIu64 "-%" PRIu64
                ", which was not expected",
                s->where, s->keys[REDIS_LOG], last.epoch, last.sequence);
}

/* Pieces that are not part of the snapshot may be older than what we think we
 * have put: publish() then asks for them again. */
static const char forget_script[] =
    "local keep = {} "
    "for name in string.gmatch(redis.call('HGET', KEYS[2], 'names') or '', "
    "  '[^\\n]+') do keep[name] = true end "
    "for _, name in ipairs(redis.call('HKEYS', KEYS[1])) do "
    "  if not keep[name] then redis.call('HDEL', KEYS[1], name) end "
    "end "
    "return 'OK'";

MUST_CHECK static struct status forget_pieces(struct redis_store *s)
{
    static const enum redis_key keys[] = { REDIS_PIECES, REDIS_SNAPSHOT };
    AUTO(redis_release) redisReply *reply = NULL;
    struct redis_words w = redis_script(s, forget_script, keys, COUNT_OF(keys));

    return redis_run(s, &w, &reply);
}

MUST_CHECK static struct status lost(const struct redis_store *s,
                                     struct redis_id last)
{
    return FAIL(
        STATUS_LOST,
        "Redis at %s lost the end of stream %s: it goes to %" PRIu64 "-%" PRIu64
        ", %" PRIu64 "-%" PRIu64
        " was acknowledged, and memory holds the last %zu groups only. "
        "Nothing is acknowledged any more. Restore a later copy, or let "
        "the broker write it anew from memory (`sinter rebuild`)",
        s->where, s->keys[REDIS_LOG], last.epoch, last.sequence, s->epoch,
        s->acknowledged, s->tail.count);
}

/* The entry that begin() had written. */
MUST_CHECK static struct status write_start(struct redis_store *s)
{
    AUTO(redis_release) redisReply *reply = NULL;
    char id[REDIS_ID_SIZE];

    redis_format_id(id, (struct redis_id){ .epoch = s->epoch });
    return redis_command(s, &reply, "XADD %s NOMKSTREAM %s start %llu",
                         s->keys[REDIS_LOG], id, (unsigned long long)s->epoch);
}

/* Append from memory what the log lacks behind `last`. */
MUST_CHECK static struct status heal(struct redis_store *s,
                                     struct redis_id last)
{
    const struct redis_tail *tail = &s->tail;
    uint64_t have = last.epoch == s->epoch ? last.sequence : 0;
    size_t i = 0;

    if (s->acknowledged > have &&
        (tail->count == 0 || at(tail, 0)->group.first > have + 1))
        return lost(s, last);
    TRY_PLAIN(forget_pieces(s));
    if (last.epoch < s->epoch)
        TRY_PLAIN(write_start(s));
    while (i < tail->count && at(tail, i)->group.last <= have)
        i++;
    while (i < tail->count) {
        struct store_group groups[GROUPS_MOST];
        size_t count = 0;

        while (count < GROUPS_MOST && i < tail->count)
            groups[count++] = at(tail, i++)->group;
        TRY_PLAIN(redis_add_groups(s, groups, count));
    }
    s->durable =
        (struct redis_id){ .epoch = s->epoch, .sequence = s->acknowledged };
    return SUCCESS;
}

MUST_CHECK static struct status check_end(struct redis_store *s)
{
    struct redis_id known = { .epoch = s->epoch, .sequence = s->acknowledged };
    struct redis_id last = { 0 };
    bool there = false;

    TRY_PLAIN(ask_end(s, &last, &there));
    if (!there)
        return redis_gone(s);
    if (last.epoch > s->epoch)
        return redis_fenced(s, last.epoch);
    if (redis_is_below(last, known))
        return heal(s, last);
    s->durable = last; /* with what we thought had not arrived */
    return SUCCESS;
}

struct status redis_resume(struct redis_store *s)
{
    struct status st;

    TRY_PLAIN(redis_connect(s));
    if (s->checked || s->epoch == 0)
        return SUCCESS;
    st = check_end(s);
    if (status_failed(&st))
        redis_disconnect(s);
    else
        s->checked = true;
    return st;
}

static const char well_script[] =
    "return {redis.call('EXISTS', KEYS[1]), redis.call('GET', KEYS[2]) or ''}";

struct status redis_is_well(struct redis_store *s)
{
    static const enum redis_key keys[] = { REDIS_LOG, REDIS_WRITER };
    AUTO(redis_release) redisReply *reply = NULL;
    struct redis_words w = redis_script(s, well_script, keys, COUNT_OF(keys));
    uint64_t epoch;

    TRY_PLAIN(redis_resume(s));
    TRY_PLAIN(redis_run(s, &w, &reply));
    if (reply->elements != 2 || reply->element[0]->integer == 0 ||
        reply->element[1]->str == NULL)
        return redis_gone(s);
    epoch = strtoull(reply->element[1]->str, NULL, 10);
    return epoch > s->epoch ? redis_fenced(s, epoch) : SUCCESS;
}
