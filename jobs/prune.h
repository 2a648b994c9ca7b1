/* prune.h -- weights of a model that go by what they are (magnitude, chance),
 * tensor by tensor in bounded memory.
 *
 * A pass serves several points that differ only in their sparsity: elements
 * are counted once for all. What goes depends on the elements alone, not on
 * chunks, threads, files or other points. */
#ifndef SINTER_JOBS_PRUNE_H
#define SINTER_JOBS_PRUNE_H

#include "jobs/job_context.h"
#include "jobs/prune_mask.h"
#include "tensor/tensor.h"

enum prune_method {
    PRUNE_MAGNITUDE,
    PRUNE_RANDOM,
    PRUNE_WANDA,     /* magnitude times the norm of the input */
    PRUNE_SPARSEGPT, /* what others can make up for */
    PRUNE_METHODS
};

struct prune_config {
    enum prune_method method;
    struct prune_how how;
    uint32_t seed;                   /* of PRUNE_RANDOM */
    const json_t *include, *exclude; /* lists of parts of names, borrowed */
};

/* INVALID names the parameter. */
MUST_CHECK struct status prune_config_read(const json_t *params,
                                           struct prune_config *ret_config);
/* The same of a model that is made of what `params` has: INVALID if a job
 * would have had to see what the model is fed, and none did. */
MUST_CHECK struct status prune_config_read_lazy(
    const json_t *params, struct prune_config *ret_config);
/* By equal digests: parameters that differ in nothing but the sparsity. */
struct digest prune_family_of(const json_t *params);

/* Which tensors of a model lose weights. */
struct prune_target {
    bool chosen;
    struct prune_matrix matrix;
};
/* [set->count]; the caller frees. `config` is config.json: matrices of linear
 * layers and convolutions inside its sections, no embedding, head, norm or
 * bias. INVALID if it is not there, of an unknown architecture, does not go
 * with the tensors, or a filter names none. */
MUST_CHECK struct status prune_targets_of(const struct prune_config *c,
                                          const json_t *config,
                                          const struct tensor_set *set,
                                          struct prune_target **ret_targets);

struct prune_pass {
    const struct tensor_set *set;
    const struct prune_target *targets;
    const struct prune_config *points; /* the first says all but sparsity */
    size_t count;
    const uint8_t *const *masks; /* of the set: what went before; or NULL */
    float *const *norms;         /* of the set: what targets are fed (Wanda) */
    size_t threads;              /* that count what the model decides */
    void *self;                  /* of the two below */
    /* What is left of elements first ... first + count - 1, by the thread that
     * does the tensor, or the stretch. */
    struct status (*put)(void *self, size_t point, size_t tensor,
                         uint64_t first, const uint8_t *keep, size_t count);
    bool (*cancelled)(void *self);

    /* Of the scope GLOBAL: of each stretch for each point, and where those of
     * a tensor begin. */
    struct prune_cut *cuts;
    size_t *first_cuts;
    uint64_t *emptied; /* [set->count] outputs without a weight left, of the
                          first point */
};

/* Of those the job may use, as many as a quarter of its memory is enough for:
 * each counts ranks and fills buffers. */
size_t prune_threads(const struct job_context *context);
/* Counts what the whole model decides; to be released. CORRUPT names a NaN or
 * infinity. */
MUST_CHECK struct status prune_begin(struct prune_pass *p);
/* One chosen tensor; any thread. */
MUST_CHECK struct status prune_tensor(struct prune_pass *p, size_t tensor);
void prune_end(struct prune_pass *p);

/* The same by several threads: what it decides is counted by `threads`, then
 * its stretches may be done by any of them, in any order; by one, in order. */
struct prune_work; /* opaque */
MUST_CHECK struct status prune_work_new(struct prune_pass *p, size_t tensor,
                                        size_t threads,
                                        struct prune_work **ret_work);
size_t prune_work_stretches(const struct prune_work *w);
/* Its first element; that of the one behind the last is the end. */
uint64_t prune_work_first(const struct prune_work *w, size_t stretch);
MUST_CHECK struct status prune_work_do(struct prune_work *w, size_t stretch);
void prune_work_free(struct prune_work *w); /* NULL is fine */

/* Tells of emptied outputs. */
void prune_warn(const struct prune_pass *p, struct job_context *context);

#endif
