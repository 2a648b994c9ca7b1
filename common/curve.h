/* curve.h -- CURVE key pairs in files, and lists of whom to let in.
 *
 * A line is "ROLE NAME PUBLIC" in a .pub file and "ROLE NAME PUBLIC SECRET" in
 * a .key file, keys as 64 hex digits; lines that begin with '#' are for
 * people. Nothing here prints a secret. */
#ifndef SINTER_COMMON_CURVE_H
#define SINTER_COMMON_CURVE_H

#include "common/limits.h"
#include "common/status.h"

#include <stddef.h>
#include <stdint.h>

enum curve_role {
    CURVE_BROKER,
    CURVE_WORKER,
    CURVE_CLIENT, /* asks and submits */
    CURVE_ADMIN,  /* a client that may also order about workers and all */
    CURVE_ROLES
};

enum { CURVE_BYTES = 32 };

struct curve_key {
    enum curve_role role;
    char name[LIMIT_NAME + 1];
    uint8_t open[CURVE_BYTES]; /* the public half */
    uint8_t secret[CURVE_BYTES];
};

const char *curve_role_name(enum curve_role role);
MUST_CHECK struct status curve_role_find(const char *name,
                                         enum curve_role *ret_role);

/* A new pair. INVALID: what cannot be the name of a file. */
MUST_CHECK struct status curve_make(enum curve_role role, const char *name,
                                    struct curve_key *ret_key);
/* DIR/NAME.key (0600) and DIR/NAME.pub, synced; the directory is made.
 * Neither is ever written over: INVALID. */
MUST_CHECK struct status curve_save(const struct curve_key *key,
                                    const char *directory);
/* DENIED when others than its owner could read it (a file of another owner
 * may be readable by our group, as Kubernetes mounts them). */
MUST_CHECK struct status curve_load_secret(const char *path,
                                           struct curve_key *ret_key);
/* `secret` stays zero. */
MUST_CHECK struct status curve_load_public(const char *path,
                                           struct curve_key *ret_key);
void curve_forget(struct curve_key *key);

/* Public keys of those who are let in. */
struct curve_ring; /* opaque */

/* All lines of a file, or of the .pub files of a directory, but for those of
 * brokers. INVALID: none, a secret among them, a key twice. */
MUST_CHECK struct status curve_ring_load(const char *path,
                                         struct curve_ring **ret_ring);
void curve_ring_free(struct curve_ring *ring); /* NULL is fine */
size_t curve_ring_count(const struct curve_ring *ring);
/* NULL: a stranger. */
const struct curve_key *curve_ring_find(const struct curve_ring *ring,
                                        const uint8_t open[CURVE_BYTES]);

#endif
