/* source.h -- models and data from where they are published, and artifacts
 * from and to the depot, as local files kept in the cache (cache.h).
 *
 * A source is {"url", "sha256"?: {file: hex}, "version"?}. URLs (docs/sources.md):
 *   /path, file:///path               used in place
 *   https://host/dir/, .../x.bin      a model directory, or one file
 *   hf://org/name[@rev][/file]        of the hub
 *   s3://bucket/prefix                signed requests (SigV4)
 * Everything blocks; one store for each thread. A wait or a transfer ends with
 * CANCELLED when `cancelled` says so. */
#ifndef SINTER_SOURCES_SOURCE_H
#define SINTER_SOURCES_SOURCE_H

#include "common/digest.h"
#include "common/json.h"
#include "common/status.h"

#include <stdbool.h>
#include <stdint.h>

struct source_store; /* opaque */
struct source_pin;   /* opaque; its files stay while it is held */

struct source_settings {
    const char *directory;        /* of the cache; made when needed */
    uint64_t size_limit;          /* bytes of the cache; 0: none */
    const char *const *prefixes;  /* URLs must begin with one of these ... */
    size_t prefix_count;          /* ... 0: any URL */
    const char *token_file;       /* NULL: HF_TOKEN, for the hub only */
    const char *token_prefix;     /* URLs that get the token; NULL: the hub's */
    const char *depot_token_file; /* for the depot; NULL: none */
    const char *hub;              /* base URL; NULL: HF_ENDPOINT, or the Hub */
    int64_t connect_ms, stall_ms, give_up_ms; /* 0: those of http.h */
    bool (*cancelled)(void *self);            /* may be NULL, as `progress` */
    void (*progress)(void *self, uint64_t done, uint64_t total); /* bytes */
    void (*note)(void *self, const char *line); /* for people; may be NULL */
    void *self;
};

/* Texts are borrowed. Touches neither disk nor network. */
struct source_store *source_store_new(const struct source_settings *settings);
void source_store_free(struct source_store *s); /* NULL is fine; after pins */
/* Bytes of bodies received from the network since it was made. */
uint64_t source_bytes(const struct source_store *s);

/* A worker that serves its cache, and what it has: a source, by the SHA-256 of
 * its URL as it is written, or an artifact, by its digest. */
struct source_peer {
    struct digest name;
    const char *address; /* "http://HOST:PORT", no NUL behind */
    size_t address_size;
};

/* From now on these are asked first, in their order, for what can be proved: a
 * file whose digest is known beforehand. Copied. With a token made of that of
 * the depot. */
void source_set_peers(struct source_store *s, const struct source_peer *peers,
                      size_t count);
struct source_pulls {
    uint64_t bytes;  /* of files that came from other workers */
    uint64_t failed; /* times that one did not give a file */
};
struct source_pulls source_pulls(const struct source_store *s);

/* As a local file (a URL that ends like a file) or a model directory: shards,
 * config, tokenizer. DENIED by the prefixes, NOT_FOUND, CORRUPT for a digest
 * that differs: each names the URL. */
MUST_CHECK struct status source_fetch(struct source_store *s,
                                      const json_t *source,
                                      struct source_pin **ret_pin);

/* Which tensors of a model are needed; asked once for each name. */
struct source_choice {
    bool (*wanted)(void *self, const char *name);
    void *self;
};

/* The same, but only the bytes of the chosen tensors need be there: the result
 * opens with st_model_open() and has every tensor, and those not chosen may
 * read as zeros. Whole where ranges are not to be had or digests are to be
 * checked, and where nearly everything is chosen. The choices of several calls
 * share what they have fetched. */
MUST_CHECK struct status source_fetch_tensors(
    struct source_store *s, const json_t *source,
    const struct source_choice *choice, struct source_pin **ret_pin);

/* `depot` is the base URL the broker told. UNAVAILABLE after 5 s without an
 * answer: ask where it is now and try again. */
MUST_CHECK struct status source_open_artifact(struct source_store *s,
                                              const char *depot,
                                              const char *digest,
                                              struct source_pin **ret_pin);
/* Upload what the depot lacks of the directory's files, then their list,
 * whose digest is the artifact's name. `kept`: what is put is in the cache, too,
 * if it can be linked there; nobody may write to these files any more. */
MUST_CHECK struct status source_put_artifact(struct source_store *s,
                                             const char *depot,
                                             const char *path, bool kept,
                                             char ret_digest[DIGEST_TEXT]);

const char *source_path(const struct source_pin *pin);
void source_unpin(struct source_pin *pin); /* NULL is fine */

/* Held together until a job or a command ends. All zero: none. */
struct source_pins {
    struct source_pin *first;
};

/* Takes the pin; gives its path. */
const char *source_pins_add(struct source_pins *pins, struct source_pin *pin);
void source_pins_release(struct source_pins *pins);

/* What a person writes for a model, as a URL: a URL as it is, a path that
 * exists as file:///..., "org/name[@rev]" as hf://org/name[@rev]; any other
 * text as a path. The caller frees. */
char *source_url(const char *text);

#endif
