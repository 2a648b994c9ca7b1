/* shards.h -- model files from where they are published, and artifacts from
 * and to the depot, as local files kept in the cache.
 *
 * file:// sources are used in place. Everything blocks; one per slot. A wait
 * or a transfer ends with CANCELLED when `cancelled` says so. */
#ifndef SINTER_WORKER_SHARDS_H
#define SINTER_WORKER_SHARDS_H

#include "common/digest.h"
#include "common/json.h"
#include "common/status.h"

#include <stdbool.h>
#include <stdint.h>

struct shards;     /* opaque */
struct shards_pin; /* opaque; its files stay while it is held */

struct shards_settings {
    const char *directory;         /* of the cache; made when needed */
    uint64_t size_limit;           /* bytes; 0: none */
    const char *const *prefixes;   /* URLs must begin with one of these ... */
    size_t prefix_count;           /* ... 0: any URL */
    const char *token_file;        /* NULL: none */
    const char *token_prefix;      /* URLs that get the token */
    bool (*cancelled)(void *self); /* may be NULL, as `progress` */
    void (*progress)(void *self, uint64_t done, uint64_t total); /* bytes */
    void *self;
};

/* Texts are borrowed. Touches neither disk nor network. */
struct shards *shards_new(const struct shards_settings *settings);
void shards_free(struct shards *s); /* NULL is fine; after all pins */

/* A {"url", "sha256"?: {file: hex}, "version"?} as a local file (a URL that
 * ends like a file) or a model directory: shards, config, tokenizer. DENIED
 * by the prefixes, NOT_FOUND, CORRUPT for a digest that differs: each names
 * the URL. */
MUST_CHECK struct status shards_fetch(struct shards *s, const json_t *source,
                                      struct shards_pin **ret_pin);

/* `depot` is the base URL the broker told. UNAVAILABLE after 5 s without an
 * answer: ask where it is now and try again. */
MUST_CHECK struct status shards_open_artifact(struct shards *s,
                                              const char *depot,
                                              const char *digest,
                                              struct shards_pin **ret_pin);
/* Upload what the depot lacks of the directory's files, then their list,
 * whose digest is the artifact's name. */
MUST_CHECK struct status shards_put_artifact(struct shards *s,
                                             const char *depot,
                                             const char *path,
                                             char ret_digest[DIGEST_TEXT]);

const char *shards_path(const struct shards_pin *pin);
void shards_unpin(struct shards_pin *pin); /* NULL is fine */

#endif
