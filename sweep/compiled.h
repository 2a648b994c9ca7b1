/* compiled.h -- a sweep as the broker takes it: space, strategy and stage
 * templates, with no job kind in sight. Pure.
 *
 * It is a JSON document (docs/compiled.md). A point is never stored: trial i
 * is a function of the document and i. In templates
 *     {"$param": "lambda"}       is the trial's value of lambda,
 *     {"$text": ["a", {...}]}    the parts joined to one text,
 *     {"$stage": "base"}         the model or data of another stage,
 *     {"$source": {...}}         a source, already complete.
 * In the parameters of a job (after compiled_stages) there are left
 *     {"$job": "<64 hex>"}       the artifact of the job with that key,
 *     {"$recipe": {"kind": "merge", "params": {...}}}   a lazy model,
 *     {"$source": {...}}. */
#ifndef SINTER_SWEEP_COMPILED_H
#define SINTER_SWEEP_COMPILED_H

#include "common/digest.h"
#include "common/json.h"
#include "sweep/catalog.h"

#include <stdint.h>

/* Part of every key: raised when the numbers of any kind change. */
enum { SWEEP_NUMERICS = 2 };

struct compiled; /* opaque, immutable */
struct space;

/* Checks the document whole: a hostile client gets INVALID or TOO_BIG. */
MUST_CHECK struct status compiled_parse(const char *json, size_t size,
                                        struct compiled **ret_compiled);
void compiled_free(struct compiled *c); /* NULL is fine */

const char *compiled_name(const struct compiled *c);
const json_t *compiled_document(const struct compiled *c); /* borrowed */

/* Trials are numbered 0 ... count-1 (people see #1 ...): points in the order
 * of the strategy, replicates of a point next to each other. Some may be
 * excluded by constraints. */
uint64_t compiled_trial_count(const struct compiled *c);
/* How far they could go on: what `strategy.trials` cuts off is there, and
 * trial i is the same wherever the cut is. Trials from compiled_trial_count()
 * on are asked for like the others. */
uint64_t compiled_trial_limit(const struct compiled *c);
uint64_t compiled_replicates(const struct compiled *c);
/* The trial's values by name, with "case" and "seed"; the caller decrefs. */
MUST_CHECK struct status compiled_trial(const struct compiled *c,
                                        uint64_t trial, json_t **ret_values,
                                        bool *ret_excluded);
/* Stages, then evaluators that are jobs; lazy stages count but are no jobs. */
size_t compiled_stage_count(const struct compiled *c);
/* The space behind it, for the reason why a trial is excluded. */
const struct space *compiled_space(const struct compiled *c);

/* One scheduled job of a trial. */
struct stage_job {
    const char *stage; /* "base", or the evaluator's name; borrowed */
    const char *kind;  /* borrowed */
    enum stage_sort sort;
    uint32_t index; /* of the stage, 0 ... compiled_stage_count()-1 */
    struct digest key;
    char *params; /* canonical JSON text */
    size_t params_size;
    struct digest *inputs; /* keys of the jobs it needs, no key twice */
    size_t input_count;
    /* What a worker must have for it; no key depends on that. */
    int64_t memory_bytes; /* 0: unknown */
    int64_t cpus;         /* 0: one slot, whatever it has */
    const char *labels;   /* "disk=ssd,zone=a", sorted; NULL: any; borrowed */
    int64_t stall_ms, limit_ms;
    /* Jobs of one family read lazy models that differ only in places of
     * "fuse", so that one pass over the inputs makes the models of all, or
     * differ so themselves and read the same inputs. A hint: a hash. 0: it
     * does neither. */
    uint64_t family;
};

struct stage_jobs {
    struct stage_job *items; /* in dependency order; evaluators last */
    size_t count;
};

/* The jobs of a trial whose values compiled_trial() gave: its evaluators, all
 * scheduled stages they need, directly or through others, and the last stage
 * if that is scheduled, even where no evaluator needs it. A stage that nothing
 * needs is not run. INVALID when no variant of a needed stage fits. */
MUST_CHECK struct status compiled_stages(const struct compiled *c,
                                         const json_t *values,
                                         struct stage_jobs *ret_jobs);
void stage_jobs_release(struct stage_jobs *jobs);

/* SHA-256 over "sinter-key-1", kind, SWEEP_NUMERICS, canonical params, each
 * ended by a NUL. Input keys are inside the parameters. */
struct digest compiled_key(const char *kind, const char *canonical_params);

/* What is measured. `results` maps evaluator name to its job's result object;
 * the answer maps "evaluator.metric" to a number, expressions (evaluate.x.expr)
 * included; metrics that are missing or not finite are left out. */
MUST_CHECK struct status compiled_metrics(const struct compiled *c,
                                          const json_t *results,
                                          json_t **ret_metrics);

/* The model a trial ends with (for export): a {"$recipe"}, {"$job"} or
 * {"$source"}; the caller decrefs. */
MUST_CHECK struct status compiled_model(const struct compiled *c,
                                        const json_t *values,
                                        json_t **ret_model);

/* A document that turns the model of a trial into files: parameters fixed to
 * `values`, no evaluators, one more stage of kind "export" whose `model` is
 * the last stage and whose `shard_size` is `shard_bytes` (0: not said). It is
 * "hidden" and called NAME-export. INVALID without a model. */
MUST_CHECK struct status compiled_export_document(const struct compiled *c,
                                                  const json_t *values,
                                                  int64_t shard_bytes,
                                                  json_t **ret_document);

/* A document that computes jobs of a trial again: those stages and evaluators
 * whose names are in the array `names`, each by a new job of the kind
 * "evaluate.verify" (jobs/verify.c), whose key holds the nonce. Of a lazy
 * stage it is the digest of its model. It is "hidden" and called
 * NAME-verify; the caller decrefs. */
json_t *compiled_verify_document(const struct compiled *c, const json_t *values,
                                 const json_t *names, const char *nonce);

struct objective {
    const char *metric; /* "mean.value"; NULL: none was asked */
    bool maximize;
    size_t pairs; /* replicates it compares; 0: none */
};
struct objective compiled_objective(const struct compiled *c);

#define SWEEP_LEAST_WEIGHT 0.01
#define SWEEP_MOST_WEIGHT  100.0

struct sweep_limits {
    int64_t priority;   /* -100 ... 100 */
    double weight;      /* of its share among equals; 1 */
    uint64_t failures;  /* trials that may fail before the sweep stops;
                              UINT64_MAX: any */
    uint64_t trials;    /* at most so many run; UINT64_MAX: all */
    int64_t time_ms;    /* of the sweep; 0: any */
    uint64_t parallel;  /* jobs at once; 0: any */
    uint64_t retries;   /* after a failure that may pass */
    int64_t backoff_ms; /* before the first retry; doubles */
};
struct sweep_limits compiled_limits(const struct compiled *c);

#endif
