/* store.h -- what must survive: a port with two back ends, one contract test.
 *
 * The store is a log. Records carry ids (epoch, sequence) that only grow; the
 * epoch is raised when a broker takes over, and from then on nothing an older
 * broker appends is accepted (STALE). A record is an encoded wire message of
 * a WIRE_RECORD_ type; the store does not look inside. */
#ifndef SINTER_BROKER_STORE_H
#define SINTER_BROKER_STORE_H

#include "common/status.h"
#include "common/wire.h"

#include <stddef.h>
#include <stdint.h>

struct store_record {
    uint64_t epoch, sequence;
    struct wire_bytes data;
};

struct store {
    void *self;

    /* Take over: a new epoch above all before, made durable, older writers
     * fenced. Called once, before replay(). */
    MUST_CHECK struct status (*begin)(void *self, uint64_t *ret_epoch);
    /* Every record in order of id. `visit` may fail: the replay then ends
     * with its status. */
    MUST_CHECK struct status (*replay)(
        void *self,
        struct status (*visit)(void *visitor, const struct store_record *r),
        void *visitor);
    /* Durable when it returns: all or, on failure, possibly a prefix; the
     * same call again (same ids) appends only what is missing. Sequences of
     * an epoch start at 1 and have no gap. UNAVAILABLE: try again later.
     * STALE: another broker took over, stop. NO_SPACE: the disk is full. */
    MUST_CHECK struct status (*append)(void *self,
                                       const struct store_record *records,
                                       size_t count);
    void (*close)(void *self);
};

struct store_options {
    const char *password_file; /* of Redis; NULL: in the URL, or none */
    bool accept_loss; /* take a Redis that may forget what it was told */
};

/* "sqlite:PATH" or "redis://[:password@]HOST[:PORT][/DB]" or
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

#endif
