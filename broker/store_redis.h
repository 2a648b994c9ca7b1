/* store_redis.h -- what the files of the Redis store share; nobody else needs
 * it. One connection, synchronous, with a time limit on every command: the
 * thread of broker/appender.c waits for durability anyway, and what comes
 * meanwhile forms the next group. */
#ifndef SINTER_BROKER_STORE_REDIS_H
#define SINTER_BROKER_STORE_REDIS_H

#include <hiredis/hiredis.h>
#include <pthread.h>

#include "broker/store_group.h"

/* All keys are "sn:{NAMESPACE}:NAME"; the braces keep those of a farm on one
 * node of a cluster. */
enum redis_key {
    REDIS_LOG,      /* stream; the ids are ours: <epoch>-<sequence> */
    REDIS_EPOCH,    /* the highest ever given out */
    REDIS_WRITER,   /* epoch of who may write anything but the stream */
    REDIS_PIECES,   /* hash: name -> bytes */
    REDIS_SNAPSHOT, /* hash: "names" by line, "position" as an id */
    REDIS_LEADER,   /* hash: name, address; expires */
    REDIS_EVENTS,   /* stream of progress, capped */
    REDIS_KEYS,
};

enum { REDIS_ID_SIZE = 44 };

struct redis_id {
    uint64_t epoch, sequence;
};

/* Groups that were acknowledged lately, oldest first. */
struct redis_tail {
    struct redis_kept {
        struct store_group group;
        int64_t at; /* ns */
    } * items;      /* a ring of `room` */
    size_t from, count, room;
    size_t bytes;
};

struct redis_store {
    redisContext *redis; /* NULL: not connected */
    bool checked;        /* that the log ends where it should, since then */
    char *host;          /* or the path of a socket */
    int port;            /* 0: `host` is a path */
    char *where;         /* both, for messages */
    int64_t database;
    char *user, *password; /* NULL: none */
    char *namespace;
    char *keys[REDIS_KEYS];
    bool accept_loss;
    char *caution; /* for struct store */

    uint64_t epoch;          /* 0: begin() did not run */
    uint64_t acknowledged;   /* last sequence append() has answered for */
    struct redis_id durable; /* last one Redis has, as far as is known */
    bool rebuilding;
    struct redis_id trim; /* what is below may go from the log; 0-0: nothing */
    struct redis_tail tail;

    /* The view's, which may have a thread of its own. */
    struct redis_view {
        redisContext *redis; /* never waited for; NULL: not connected */
        int64_t retry_at;
        pthread_mutex_t lock;
        char peer[64]; /* under the lock: where `redis` of above is connected
                          to, as a number or a path; "": nowhere */
    } view;
};

/* --- store_redis_link.c: the connection */

MUST_CHECK struct status redis_parse_url(struct redis_store *s,
                                         const char *url);
/* Connects unless it is; says who we are. */
MUST_CHECK struct status redis_connect(struct redis_store *s);
void redis_disconnect(struct redis_store *s);
/* The connection is of no use after an error: replies could be mixed up. */
MUST_CHECK struct status redis_broken(struct redis_store *s);
/* An error reply as a failure. */
MUST_CHECK struct status redis_refused(struct redis_store *s,
                                       const redisReply *reply);
/* Sends one command; an error reply is a failure. */
MUST_CHECK struct status redis_command(struct redis_store *s,
                                       redisReply **ret_reply,
                                       const char *format, ...);
/* The next reply of what was queued, errors included. */
MUST_CHECK struct status redis_read(struct redis_store *s,
                                    redisReply **ret_reply);
void redis_release(redisReply **reply); /* for AUTO() */

/* A command with arguments of any bytes. */
struct redis_words {
    const char *items[24];
    size_t sizes[24];
    int count;
};
void redis_add(struct redis_words *w, const char *data, size_t size);
void redis_add_text(struct redis_words *w, const char *text);
/* "EVAL script n key...", to which arguments are added. */
struct redis_words redis_script(const struct redis_store *s, const char *text,
                                const enum redis_key *keys, size_t count);
MUST_CHECK struct status redis_run(struct redis_store *s,
                                   const struct redis_words *w,
                                   redisReply **ret_reply);

void redis_format_id(char text[REDIS_ID_SIZE], struct redis_id id);
MUST_CHECK struct status redis_parse_id(const struct redis_store *s,
                                        const char *text,
                                        struct redis_id *ret_id);
bool redis_is_below(struct redis_id a, struct redis_id b);

/* --- store_redis_check.c: is this Redis safe to trust? */

MUST_CHECK struct status redis_check_settings(struct redis_store *s);

/* --- store_redis_tail.c: Redis comes back, perhaps with less */

/* Connected, and the log ends where it should. */
MUST_CHECK struct status redis_resume(struct redis_store *s);
/* Still there, and still ours? */
MUST_CHECK struct status redis_is_well(struct redis_store *s);
/* Takes the group. */
void redis_tail_add(struct redis_tail *tail, struct store_group g);
void redis_tail_clear(struct redis_tail *tail);
MUST_CHECK struct status redis_gone(struct redis_store *s);
/* Redis would not take an id: has another broker taken over? */
MUST_CHECK struct status redis_too_late(struct redis_store *s);
MUST_CHECK struct status redis_fenced(const struct redis_store *s,
                                      uint64_t epoch);

/* --- store_redis_append.c */

MUST_CHECK struct status redis_append(void *self,
                                      const struct store_record *records,
                                      size_t count);
/* XADD of groups, all or none; does not look at what is known. */
MUST_CHECK struct status redis_add_groups(struct redis_store *s,
                                          const struct store_group *groups,
                                          size_t count);

/* --- store_redis_snapshot.c */

MUST_CHECK struct status redis_begin(void *self, uint64_t *ret_epoch);
MUST_CHECK struct status redis_replay(void *self,
                                      const struct store_visitor *visitor);
MUST_CHECK struct status redis_put(void *self, const char *name,
                                   struct wire_bytes data);
MUST_CHECK struct status redis_publish(void *self, const char *const *names,
                                       size_t count, uint64_t epoch,
                                       uint64_t sequence);
MUST_CHECK struct status redis_tidy(void *self, bool *ret_more);
MUST_CHECK struct status redis_rebuild(void *self);

/* --- store_redis_leader.c */

MUST_CHECK struct status redis_acquire(void *self,
                                       const struct store_holder *me,
                                       int64_t ttl_ms,
                                       struct store_holder *ret_holder,
                                       bool *ret_mine);
MUST_CHECK struct status redis_extend(void *self, const struct store_holder *me,
                                      int64_t ttl_ms, bool *ret_mine);
MUST_CHECK struct status redis_release_leader(void *self,
                                              const struct store_holder *me);

/* --- store_redis_view.c */

bool redis_view(void *self, const char *sweep, const struct store_field *fields,
                size_t count);
void redis_view_close(struct redis_store *s);
/* Where the main connection goes to: a view needs no name service then, which
 * could keep it waiting. */
void redis_view_set_peer(struct redis_store *s);

#endif
