/* job_context.h -- what a running job may ask of the slot it runs in.
 *
 * A port: the slot fills it in the worker, tests fill it with directories.
 * Everything given is valid until the job ends. */
#ifndef SINTER_JOBS_JOB_CONTEXT_H
#define SINTER_JOBS_JOB_CONTEXT_H

#include "common/digest.h"
#include "common/json.h"
#include "common/status.h"

#include <stdint.h>

/* Where the merged model that a job reads came from. On the wire and in the
 * store: append only. */
enum job_model {
    JOB_MODEL_NONE,     /* it reads none */
    JOB_MODEL_REALISED, /* this job read the inputs */
    JOB_MODEL_SHARED,   /* made in the pass of a sibling */
    JOB_MODEL_CACHED,   /* an earlier job used it as well */
};

struct job_facts {
    uint64_t bytes_read;    /* of models, by the merges made */
    uint64_t bytes_fetched; /* from the network, into the cache */
    enum job_model model;   /* the first, if it reads several */
};

struct job_context {
    void *self;

    /* Polled by long loops at least every 100 ms; then return CANCELLED. */
    bool (*cancelled)(void *self);
    /* Cheap; call it often. `unit` is a literal: "step", "item". */
    void (*progress)(void *self, uint64_t done, uint64_t total,
                     const char *unit);
    /* One line for `sinter logs`; no newline. */
    void (*log)(void *self, const char *line);

    /* A {"url": ..., "sha256": {file: hex}?, "version": ...} of the spec, as
     * a local file or model directory (its shards, config.json and tokenizer
     * files). Fetched if not cached, verified, pinned until the job ends. */
    MUST_CHECK struct status (*fetch)(void *self, const json_t *source,
                                      const char **ret_path);
    /* The same, for at least the bytes of the tensors that `wanted` names;
     * the others are there with their shapes and may read as zeros. NULL:
     * use fetch(). */
    MUST_CHECK struct status (*fetch_tensors)(void *self, const json_t *source,
                                              bool (*wanted)(void *chooser,
                                                             const char *name),
                                              void *chooser,
                                              const char **ret_path);
    /* The result object of an input job, by the 64 hex digits of its key. */
    MUST_CHECK struct status (*input)(void *self, const char *key,
                                      const json_t **ret_result);
    /* A directory artifact of the depot, as a local directory. */
    MUST_CHECK struct status (*open_artifact)(void *self, const char *digest,
                                              const char **ret_path);
    /* Store a directory; its digest is the name for open_artifact(). Equal
     * contents give equal digests. */
    MUST_CHECK struct status (*put_artifact)(void *self, const char *path,
                                             char ret_digest[DIGEST_TEXT]);

    /* A directory of this computation, as its last attempt on this machine
     * left it when it was cut short: a crash, a cancel, an outage. Gone when
     * the job succeeds or fails for good. NULL, or may give NULL: nothing
     * survives, use `scratch`. */
    const char *(*keep)(void *self);
    /* Is it time to leave in keep() what another attempt would go on from?
     * Cheap. NULL: never. */
    bool (*save_due)(void *self);
    const char *scratch;  /* empty directory of this job, removed after */
    uint64_t threads;     /* kernels may use so many */
    int64_t memory_bytes; /* budget beside mapped inputs */
    /* Programs an external command may be (worker setting --allow-command):
     * base names, NULL-terminated; NULL: none. */
    const char *const *allowed_commands;
    const char *token; /* "EPOCH/ATTEMPT", given to external commands */

    /* Parameters of the jobs this slot will most likely be given next, in
     * that order, as an array; borrowed. A hint: models they read may be made
     * in the same pass. NULL, or may give NULL: none. */
    const json_t *(*siblings)(void *self);

    /* Realised models kept by the slot between jobs; owned by jobs/recipe.c. */
    struct recipe_cache *cache;

    struct job_facts facts; /* what the job cost so far */
};

#endif
