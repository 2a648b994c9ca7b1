/* store.h -- what must survive: a port with two back ends, one contract test.
 *
 * The store is a log and a snapshot. Records carry ids (epoch, sequence) that
 * only grow; the epoch is raised when a broker takes over, and from then on
 * nothing an older broker writes is accepted (STALE). A record is an encoded
 * wire message of a WIRE_RECORD_ type; the store does not look inside. The
 * snapshot is a list of named pieces that stand for all records up to one id;
 * those are gone from the log.
 *
 * UNAVAILABLE, NO_SPACE, TIMED_OUT, LOST: try the same call again later. */
#ifndef SINTER_BROKER_STORE_H
#define SINTER_BROKER_STORE_H

#include "common/status.h"
#include "common/wire.h"

#include <stddef.h>
#include <stdint.h>

enum {
    STORE_NAME_MOST = 64,       /* of a piece: letters, digits and -_. */
    STORE_PIECE_MOST = 1 << 20, /* bytes */
    STORE_PIECES_MOST = 1 << 16,
    STORE_HOLDER_MOST = 256, /* bytes of a name or an address */
};

struct store_record {
    uint64_t epoch, sequence;
    struct wire_bytes data;
};

/* Either may fail: the replay then ends with its status. */
struct store_visitor {
    void *self;
    MUST_CHECK struct status (*piece)(void *self, const char *name,
                                      struct wire_bytes data);
    MUST_CHECK struct status (*record)(void *self,
                                       const struct store_record *r);
};

/* Who leads, as it wrote itself down. */
struct store_holder {
    char name[STORE_HOLDER_MOST]; /* unlike that of any other process */
    char address[STORE_HOLDER_MOST];
};

/* Progress for people: docs/redis.md. */
struct store_field {
    const char *name, *value;
};

struct store {
    void *self;
    /* What could not be made sure of, for the log; NULL: nothing. */
    const char *caution;

    /* Take over: a new epoch above all before, made durable, older writers
     * fenced. Called once, before replay(). */
    MUST_CHECK struct status (*begin)(void *self, uint64_t *ret_epoch);
    /* The pieces in the order they were published in, then every record
     * behind them in order of id. CORRUPT names the id that makes no sense. */
    MUST_CHECK struct status (*replay)(void *self,
                                       const struct store_visitor *visitor);
    /* Durable when it returns: all or, on failure, possibly a prefix; the
     * same call again (same ids) appends only what is missing. Sequences of
     * an epoch start at 1 and have no gap. Records travel in groups
     * (store_group.h): many in one call are much cheaper than many calls.
     * None at all asks whether the store is well and still ours.
     * STALE: another broker took over, stop. NO_SPACE: the disk is full.
     * LOST: the store forgot what it had accepted, and the copy in memory
     * does not reach back far enough; rebuild() or an operator can help. */
    MUST_CHECK struct status (*append)(void *self,
                                       const struct store_record *records,
                                       size_t count);

    /* Keep a piece for the next publish(); the same name again replaces it.
     * INVALID: the published snapshot has other bytes of that name. */
    MUST_CHECK struct status (*put)(void *self, const char *name,
                                    struct wire_bytes data);
    /* At once: the snapshot is these pieces and stands for all records up to
     * the id, which must be durable; those leave the log, now or by tidy(),
     * other pieces are deleted. NOT_FOUND: the store lost a piece; put() all
     * of them again. */
    MUST_CHECK struct status (*publish)(void *self, const char *const *names,
                                        size_t count, uint64_t epoch,
                                        uint64_t sequence);
    /* A little of what publish() left in the way, so little that an append
     * need not wait for it long. ret_more: call it again. NULL: publish()
     * leaves nothing. */
    MUST_CHECK struct status (*tidy)(void *self, bool *ret_more);
    /* After LOST: the next publish() of all pieces, put() again, becomes the
     * whole store, and the log goes on behind its id, which may be ahead of
     * what is durable. What is left of the old log goes only then. */
    MUST_CHECK struct status (*rebuild)(void *self);

    /* Who leads is advice for finding each other; epochs protect. Free or
     * ours already: ours for `ttl_ms` from now (0: only to see whether
     * another has it). Otherwise ret_holder has it.
     * The three work before begin(). */
    MUST_CHECK struct status (*acquire)(void *self,
                                        const struct store_holder *me,
                                        int64_t ttl_ms,
                                        struct store_holder *ret_holder,
                                        bool *ret_mine);
    /* Does nothing unless it is still ours. */
    MUST_CHECK struct status (*extend)(void *self,
                                       const struct store_holder *me,
                                       int64_t ttl_ms, bool *ret_mine);
    MUST_CHECK struct status (*release)(void *self,
                                        const struct store_holder *me);

    /* Show the progress of a sweep to who looks into the store: never waits,
     * takes no part in anything else. False: it is lost, and what was shown
     * before may be. After begin(); the thread may be another than that of
     * all other calls. NULL: nobody looks. */
    bool (*view)(void *self, const char *sweep,
                 const struct store_field *fields, size_t count);

    void (*close)(void *self);
};

struct store_options {
    const char *user_file;     /* of Redis; NULL: in the URL, or the default */
    const char *password_file; /* of Redis; NULL: in the URL, or none */
    bool accept_loss; /* take a Redis that may forget what it was told */
};

/* "sqlite:PATH" or "redis://[[USER]:PASSWORD@]HOST[:PORT][/DB]" or
 * "redis+unix:PATH"; INVALID says which forms there are. `namespace` keeps
 * farms apart in one Redis. */
MUST_CHECK struct status store_open(const char *url, const char *namespace,
                                    const struct store_options *options,
                                    struct store *ret_store);
MUST_CHECK struct status store_sqlite_open(const char *path,
                                           struct store *ret_store);
/* DENIED: the settings of this Redis could lose what it accepted. */
MUST_CHECK struct status store_redis_open(const char *url,
                                          const char *namespace,
                                          const struct store_options *options,
                                          struct store *ret_store);

/* For the back ends, what all of them refuse: names and sizes that put() does
 * not take; a snapshot ahead of what is durable. */
MUST_CHECK struct status store_check_piece(const char *name, size_t size);
MUST_CHECK struct status store_check_publish(const char *const *names,
                                             size_t count,
                                             struct store_record position,
                                             struct store_record durable);

#endif
