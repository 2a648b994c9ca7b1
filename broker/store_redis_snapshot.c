/* store_redis_snapshot.c -- everything but the append: each is one script that
 * compares the epoch before it writes, for ids protect the stream only. */
#include "broker/store_redis.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"

enum {
    PAGE_FIRST = 16, /* entries of one XRANGE; each may be a large group */
    PAGE_MOST = 128,
    WAIT_MS = 1000, /* for a replica */
};

/* Entries of the log that are deleted in one go: some 0.5 ms. */
#define TRIM_MOST "100"

/* Above every epoch there was: the counter could have been lost with a
 * failover that kept the stream, or the other way round. */
static const char begin_script[] =
    "if redis.replicate_commands then redis.replicate_commands() end "
    "local epoch = redis.call('INCR', KEYS[2]) "
    "if redis.call('EXISTS', KEYS[1]) == 1 then "
    "  local info = redis.call('XINFO', 'STREAM', KEYS[1]) "
    "  for i = 1, #info, 2 do "
    "    if info[i] == 'last-generated-id' then "
    "      local last = tonumber(string.match(info[i + 1], '^%d+')) "
    "      if epoch <= last then epoch = last + 1 end "
    "    end "
    "  end "
    "end "
    "local text = string.format('%.0f', epoch) "
    "redis.call('SET', KEYS[2], text) "
    "redis.call('XADD', KEYS[1], text .. '-0', 'start', text) "
    "redis.call('SET', KEYS[3], text) "
    "return text";

/* A failover must not bring back a log that knows nothing of this epoch. That
 * no replica answers in time is no reason not to start. */
MUST_CHECK static struct status wait_for_replica(struct redis_store *s)
{
    AUTO(redis_release) redisReply *info = NULL;
    AUTO(redis_release) redisReply *reply = NULL;
    struct status st = redis_command(s, &info, "INFO replication");

    if (status_failed(&st)) /* an ACL may forbid it */
        return s->redis == NULL ? st : SUCCESS;
    if (info->str == NULL || strstr(info->str, "connected_slaves:") == NULL ||
        strstr(info->str, "connected_slaves:0") != NULL)
        return SUCCESS;
    st = redis_command(s, &reply, "WAIT 1 %d", WAIT_MS);
    return s->redis == NULL ? st : SUCCESS;
}

struct status redis_begin(void *self, uint64_t *ret_epoch)
{
    static const enum redis_key keys[] = { REDIS_LOG, REDIS_EPOCH,
                                           REDIS_WRITER };
    struct redis_store *s = self;
    AUTO(redis_release) redisReply *reply = NULL;
    struct redis_words w;

    TRY_PLAIN(redis_connect(s));
    w = redis_script(s, begin_script, keys, COUNT_OF(keys));
    TRY(redis_run(s, &w, &reply), "take over");
    s->epoch = reply->str == NULL ? 0 : strtoull(reply->str, NULL, 10);
    s->durable = (struct redis_id){ .epoch = s->epoch };
    s->acknowledged = 0;
    s->checked = true;
    *ret_epoch = s->epoch;
    return wait_for_replica(s);
}

MUST_CHECK static struct status visit_piece(struct redis_store *s,
                                            const struct store_visitor *visitor,
                                            const char *name, size_t size)
{
    AUTO(redis_release) redisReply *reply = NULL;
    AUTO(free_pointer) char *text = xstrndup(name, size);

    TRY_PLAIN(
        redis_command(s, &reply, "HGET %s %s", s->keys[REDIS_PIECES], text));
    if (reply->type != REDIS_REPLY_STRING)
        return FAIL(STATUS_CORRUPT,
                    "Redis at %s: piece %.80s of the snapshot is missing from "
                    "%s",
                    s->where, text, s->keys[REDIS_PIECES]);
    return visitor->piece(
        visitor->self, text,
        (struct wire_bytes){ .data = reply->str, .size = (size_t)reply->len });
}

/* ret_position: 0-0 if there is no snapshot. */
MUST_CHECK static struct status visit_pieces(
    struct redis_store *s, const struct store_visitor *visitor,
    struct redis_id *ret_position)
{
    AUTO(redis_release) redisReply *reply = NULL;
    const char *names;

    *ret_position = (struct redis_id){ 0 };
    TRY_PLAIN(redis_command(s, &reply, "HMGET %s position names",
                            s->keys[REDIS_SNAPSHOT]));
    if (reply->elements != 2 || reply->element[0]->str == NULL ||
        reply->element[1]->str == NULL)
        return SUCCESS;
    TRY(redis_parse_id(s, reply->element[0]->str, ret_position),
        "position of the snapshot");
    names = reply->element[1]->str;
    while (*names != '\0') {
        size_t size = strcspn(names, "\n");

        TRY_PLAIN(visit_piece(s, visitor, names, size));
        names += size + (names[size] == '\n');
    }
    return SUCCESS;
}

/* An entry is [id, [name, value]]: "g" a group, "d" a single record of before,
 * "start" of begin(). */
MUST_CHECK static struct status visit_entry(struct redis_store *s,
                                            struct store_reader *reader,
                                            const redisReply *entry,
                                            const struct redis_id *id)
{
    const redisReply *fields = entry->element[1];
    struct wire_bytes data;

    if (fields->type != REDIS_REPLY_ARRAY || fields->elements < 2 ||
        fields->element[0]->str == NULL || fields->element[1]->str == NULL)
        return FAIL(STATUS_CORRUPT,
                    "Redis at %s: entry %" PRIu64 "-%" PRIu64
                    " of %s is not one that this program wrote",
                    s->where, id->epoch, id->sequence, s->keys[REDIS_LOG]);
    data.data = fields->element[1]->str;
    data.size = (size_t)fields->element[1]->len;
    if (strcmp(fields->element[0]->str, "g") == 0)
        return store_reader_group(reader, id->epoch, id->sequence, data);
    if (strcmp(fields->element[0]->str, "d") == 0)
        return store_reader_record(
            reader, &(struct store_record){ .epoch = id->epoch,
                                            .sequence = id->sequence,
                                            .data = data });
    return SUCCESS;
}

/* ret_id: of the last entry, as it was. */
MUST_CHECK static struct status visit_page(struct redis_store *s,
                                           struct store_reader *reader,
                                           const redisReply *page,
                                           struct redis_id *ret_id)
{
    for (size_t i = 0; i < page->elements; i++) {
        const redisReply *entry = page->element[i];

        if (entry->type != REDIS_REPLY_ARRAY || entry->elements != 2)
            return FAIL(STATUS_CORRUPT, "Redis at %s: no entries in %s",
                        s->where, s->keys[REDIS_LOG]);
        TRY_PLAIN(redis_parse_id(s, entry->element[0]->str, ret_id));
        TRY(visit_entry(s, reader, entry, ret_id), "Redis at %s", s->where);
    }
    return SUCCESS;
}

MUST_CHECK static struct status visit_log(struct redis_store *s,
                                          struct store_reader *reader)
{
    char from[REDIS_ID_SIZE + 1] = "(";
    struct redis_id id = { .epoch = reader->epoch,
                           .sequence = reader->sequence };
    size_t asked = PAGE_FIRST;
    size_t got;

    redis_format_id(from + 1, id);
    do {
        AUTO(redis_release) redisReply *page = NULL;

        TRY_PLAIN(redis_command(s, &page, "XRANGE %s %s + COUNT %d",
                                s->keys[REDIS_LOG], from, (int)asked));
        TRY_PLAIN(visit_page(s, reader, page, &id));
        redis_format_id(from + 1, id);
        got = page->elements;
    } while (got == asked && (asked = PAGE_MOST) > 0);
    return SUCCESS;
}

struct status redis_replay(void *self, const struct store_visitor *visitor)
{
    struct redis_store *s = self;
    struct store_reader reader = { .visitor = visitor,
                                   .accept_holes = s->accept_loss };
    struct redis_id position;

    TRY_PLAIN(redis_resume(s));
    TRY_PLAIN(visit_pieces(s, visitor, &position));
    reader.epoch = position.epoch;
    reader.sequence = position.sequence;
    return visit_log(s, &reader);
}

/* In front of a script: KEYS[1] is REDIS_WRITER, ARGV[1] our epoch. */
#define FENCE                                    \
    "local writer = redis.call('GET', KEYS[1]) " \
    "if not writer then return {'GONE'} end "    \
    "if writer ~= ARGV[1] then return {'FENCED', writer} end "

/* ARGV: epoch, name, bytes, "new" while rebuilding: then a piece of the old
 * snapshot is most likely the same, and else of no use. */
static const char put_script[] =
    FENCE "local names = redis.call('HGET', KEYS[3], 'names') "
          "if ARGV[4] == '' and names and string.find('\\n' .. names .. '\\n', "
          "  '\\n' .. ARGV[2] .. '\\n', 1, true) then "
          "  local same = redis.call('HGET', KEYS[2], ARGV[2]) == ARGV[3] "
          "  return {same and 'OK' or 'SEALED'} "
          "end "
          "redis.call('HSET', KEYS[2], ARGV[2], ARGV[3]) "
          "return {'OK'}";

/* ARGV: epoch, position, names, "new" while rebuilding: then the stream is
 * made, or led on to the position. */
static const char publish_script[] =
    FENCE "local keep = {} "
          "for name in string.gmatch(ARGV[3], '[^\\n]+') do "
          "  if redis.call('HEXISTS', KEYS[2], name) == 0 then "
          "    return {'MISSING', name} "
          "  end "
          "  keep[name] = true "
          "end "
          "if ARGV[4] == 'new' then "
          "  redis.pcall('XADD', KEYS[4], ARGV[2], 'start', ARGV[1]) "
          "end "
          "if redis.call('EXISTS', KEYS[4]) == 0 then return {'GONE'} end "
          "redis.call('HSET', KEYS[3], 'position', ARGV[2], 'names', ARGV[3]) "
          "for _, name in ipairs(redis.call('HKEYS', KEYS[2])) do "
          "  if not keep[name] then redis.call('HDEL', KEYS[2], name) end "
          "end "
          "return {'OK'}";

/* ARGV: epoch, the id behind the position, how many entries at most. Whole
 * nodes of the stream go, so that a few small entries may stay: they are below
 * the position, and go next time. */
static const char tidy_script[] =
    FENCE "local gone = redis.call('XTRIM', KEYS[2], 'MINID', '~', ARGV[2], "
          "  'LIMIT', ARGV[3]) "
          "return {'OK', gone > 0 and 'MORE' or 'END'}";

/* The answer of a script with FENCE. */
MUST_CHECK static struct status check_answer(struct redis_store *s,
                                             const redisReply *reply,
                                             const char *name)
{
    const char *word = reply->elements > 0 ? reply->element[0]->str : "";
    const char *more = reply->elements > 1 ? reply->element[1]->str : "";

    if (word != NULL && more != NULL) {
        if (strcmp(word, "OK") == 0)
            return SUCCESS;
        if (strcmp(word, "GONE") == 0)
            return redis_gone(s);
        if (strcmp(word, "FENCED") == 0)
            return redis_fenced(s, strtoull(more, NULL, 10));
        if (strcmp(word, "SEALED") == 0)
            return FAIL(STATUS_INVALID,
                        "the published snapshot has other bytes of piece %s",
                        name);
        if (strcmp(word, "MISSING") == 0)
            return FAIL(STATUS_NOT_FOUND,
                        "Redis at %s: piece %.80s is not there (any more)",
                        s->where, more);
    }
    return FAIL(STATUS_CORRUPT, "Redis at %s: a script gave a strange answer",
                s->where);
}

/* Ready to write pieces; while rebuilding the log may be anything. */
MUST_CHECK static struct status ready(struct redis_store *s)
{
    return s->rebuilding ? redis_connect(s) : redis_resume(s);
}

struct status redis_put(void *self, const char *name, struct wire_bytes data)
{
    static const enum redis_key keys[] = { REDIS_WRITER, REDIS_PIECES,
                                           REDIS_SNAPSHOT };
    struct redis_store *s = self;
    AUTO(redis_release) redisReply *reply = NULL;
    AUTO(free_pointer) char *epoch = xasprintf("%" PRIu64, s->epoch);
    struct redis_words w = redis_script(s, put_script, keys, COUNT_OF(keys));

    TRY_PLAIN(store_check_piece(name, data.size));
    TRY_PLAIN(ready(s));
    redis_add_text(&w, epoch);
    redis_add_text(&w, name);
    redis_add(&w, data.data, data.size);
    redis_add_text(&w, s->rebuilding ? "new" : "");
    TRY_PLAIN(redis_run(s, &w, &reply));
    return check_answer(s, reply, name);
}

MUST_CHECK static struct status publish(struct redis_store *s,
                                        const char *names, struct redis_id id)
{
    static const enum redis_key keys[] = { REDIS_WRITER, REDIS_PIECES,
                                           REDIS_SNAPSHOT, REDIS_LOG };
    AUTO(redis_release) redisReply *reply = NULL;
    AUTO(free_pointer) char *epoch = xasprintf("%" PRIu64, s->epoch);
    struct redis_words w =
        redis_script(s, publish_script, keys, COUNT_OF(keys));
    char position[REDIS_ID_SIZE];

    redis_format_id(position, id);
    redis_add_text(&w, epoch);
    redis_add_text(&w, position);
    redis_add_text(&w, names);
    redis_add_text(&w, s->rebuilding ? "new" : "");
    TRY_PLAIN(redis_run(s, &w, &reply));
    return check_answer(s, reply, names);
}

/* The names by line; the caller frees. */
static char *join(const char *const *names, size_t count)
{
    struct buf text;

    buf_init(&text, (size_t)STORE_PIECES_MOST * (STORE_NAME_MOST + 1));
    for (size_t i = 0; i < count; i++) {
        struct status st =
            buf_print(&text, "%s%s", i == 0 ? "" : "\n", names[i]);

        assert(!status_failed(&st)); /* they were counted and measured */
    }
    return buf_take(&text);
}

struct status redis_publish(void *self, const char *const *names, size_t count,
                            uint64_t epoch, uint64_t sequence)
{
    struct redis_store *s = self;
    struct store_record id = { .epoch = epoch, .sequence = sequence };
    struct store_record durable = { .epoch = s->epoch,
                                    .sequence = s->acknowledged };
    AUTO(free_pointer) char *text = NULL;

    TRY_PLAIN(
        store_check_publish(names, count, id, s->rebuilding ? id : durable));
    text = join(names, count);
    TRY_PLAIN(ready(s));
    TRY_PLAIN(publish(
        s, text, (struct redis_id){ .epoch = epoch, .sequence = sequence }));
    s->trim = (struct redis_id){ .epoch = epoch, .sequence = sequence + 1 };
    if (!s->rebuilding)
        return SUCCESS;
    s->rebuilding = false;
    s->acknowledged = sequence;
    s->durable = (struct redis_id){ .epoch = epoch, .sequence = sequence };
    redis_tail_clear(&s->tail);
    s->checked = true;
    return SUCCESS;
}

struct status redis_tidy(void *self, bool *ret_more)
{
    static const enum redis_key keys[] = { REDIS_WRITER, REDIS_LOG };
    struct redis_store *s = self;
    AUTO(redis_release) redisReply *reply = NULL;
    AUTO(free_pointer) char *epoch = xasprintf("%" PRIu64, s->epoch);
    struct redis_words w = redis_script(s, tidy_script, keys, COUNT_OF(keys));
    char behind[REDIS_ID_SIZE];

    *ret_more = false;
    if (s->trim.epoch == 0)
        return SUCCESS;
    TRY_PLAIN(ready(s));
    redis_format_id(behind, s->trim);
    redis_add_text(&w, epoch);
    redis_add_text(&w, behind);
    redis_add_text(&w, TRIM_MOST);
    TRY_PLAIN(redis_run(s, &w, &reply));
    TRY_PLAIN(check_answer(s, reply, ""));
    *ret_more = strcmp(reply->element[1]->str, "MORE") == 0;
    if (!*ret_more)
        s->trim = (struct redis_id){ 0 };
    return SUCCESS;
}

/* Only if nobody with a later epoch has been there. */
static const char rebuild_script[] =
    "local mine = tonumber(ARGV[1]) "
    "for i = 1, 2 do "
    "  local there = redis.call('GET', KEYS[i]) "
    "  if there and tonumber(there) > mine then return {'FENCED', there} end "
    "end "
    "redis.call('SET', KEYS[1], ARGV[1]) "
    "redis.call('SET', KEYS[2], ARGV[1]) "
    "return {'OK'}";

struct status redis_rebuild(void *self)
{
    static const enum redis_key keys[] = { REDIS_WRITER, REDIS_EPOCH };
    struct redis_store *s = self;
    AUTO(redis_release) redisReply *reply = NULL;
    AUTO(free_pointer) char *epoch = xasprintf("%" PRIu64, s->epoch);
    struct redis_words w =
        redis_script(s, rebuild_script, keys, COUNT_OF(keys));

    TRY_PLAIN(redis_connect(s));
    redis_add_text(&w, epoch);
    TRY_PLAIN(redis_run(s, &w, &reply));
    TRY_PLAIN(check_answer(s, reply, ""));
    s->rebuilding = true;
    return SUCCESS;
}
