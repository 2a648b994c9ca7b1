/* fake_context.h -- a slot for one job, made of directories: what runs a kind
 * in a test. Artifacts live until fake_context_free(). */
#ifndef SINTER_TESTS_SUPPORT_FAKE_CONTEXT_H
#define SINTER_TESTS_SUPPORT_FAKE_CONTEXT_H

#include "jobs/job_context.h"
#include "tensor/tensor.h"

struct fake_context {
    struct job_context context; /* give &fake->context to the job */
    char root[64];              /* holds scratch/, artifacts/, anything else */
    char scratch[96];
    char keep[96];        /* "ROOT/keep"; there after fake_context_keeps() */
    json_t *inputs;       /* key -> result object */
    uint64_t polls;       /* of cancelled() so far */
    uint64_t cancel_at;   /* say yes from that poll on; 0: never */
    uint64_t done, total; /* of the last progress */
    uint64_t fetches;
    char log[4096];  /* lines, each ended by a newline */
    char path[1024]; /* of the last fetch or artifact */
};

struct fake_context *fake_context_new(void);
/* Removes the directory; NULL is fine. */
void fake_context_free(struct fake_context *f);

/* What the job leaves in f->keep survives it, until the test removes it. */
void fake_context_keeps(struct fake_context *f);
/* {"$job": key} then means this artifact. */
void fake_context_set_job(struct fake_context *f, const char *key,
                          const char *artifact);
/* "ROOT/name"; valid until the next call but seven. */
const char *fake_context_path(struct fake_context *f, const char *name);
/* {"$source": {"url": "ROOT/name"}}; the caller decrefs. */
json_t *fake_context_source(struct fake_context *f, const char *name);
/* A model directory ROOT/name of these tensors; `config` may be NULL. */
void fake_context_write_model(struct fake_context *f, const char *name,
                              const struct tensor_set *set, const char *config);

#endif
