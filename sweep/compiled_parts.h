/* compiled_parts.h -- a compiled sweep as compiled_read.c makes it and
 * compiled.c uses it; for compiled*.c only. */
#ifndef SINTER_SWEEP_COMPILED_PARTS_H
#define SINTER_SWEEP_COMPILED_PARTS_H

#include "common/limits.h"
#include "common/map.h"
#include "sweep/compiled.h"
#include "sweep/expr.h"
#include "sweep/space.h"
#include "sweep/template.h"

enum {
    COMPILED_STAGES = LIMIT_STAGES + 1, /* one more to export */
    COMPILED_MOST_STAGES = COMPILED_STAGES + LIMIT_EVALUATORS,
};

/* The trial's value of `slot` must be this one. */
struct condition {
    int slot;
    char *text; /* canonical */
    size_t size;
};

struct variant {
    struct condition *conditions;
    size_t condition_count;
    struct template *params; /* with the places of "fuse" blank */
    bool fused;              /* there are some */
};

struct stage {
    const char *name; /* borrowed from the document, as all texts here */
    const char *kind;
    enum stage_sort sort;
    struct variant *variants; /* the first that fits is taken */
    size_t variant_count;
    int64_t memory_bytes, cpus, stall_ms, limit_ms;
    char *labels; /* "disk=ssd,zone=a"; owned; NULL: any */
};

/* An evaluator that is an expression over metrics. */
struct formula {
    const char *name;
    char *metric; /* "NAME.value" */
    struct expr *expr;
};

struct compiled {
    json_t *document;
    const char *name;
    struct space *space;
    struct stage stages[COMPILED_MOST_STAGES]; /* then the evaluators */
    size_t stage_count;                        /* without evaluators */
    size_t all_count;                          /* with evaluators */
    bool has_pairs; /* an evaluator names stages of two replicates */
    struct formula formulas[LIMIT_EVALUATORS];
    size_t formula_count;
    /* "copy.accuracy": what formulas may name, by slot; owned. */
    char **metrics;
    size_t metric_count;
    struct objective objective;
    struct sweep_limits limits;
};

/* Fill an empty one from `c->document`; on failure it is partly filled. */
MUST_CHECK struct status compiled_read(struct compiled *c);

/* What is the same in all trials. */
struct stage_job compiled_job(const struct compiled *c, size_t stage);
/* Hash of a lazy stage's model with the places of "fuse" blank; never 0. */
uint64_t compiled_family(const char *kind, const char *text, size_t size);

/* Calls `seen` for every stage the trial needs, lazy ones too, each once and
 * after those it depends on; those of the replicate that it is compared with
 * are seen when that is visited. `params` is canonical text, borrowed. `family`:
 * lazy stages with the same can be realised in one pass; of others 0. */
struct compiled_visitor {
    void (*seen)(void *self, size_t stage, const char *params, uint64_t family);
    void *self;
};
MUST_CHECK struct status compiled_visit(const struct compiled *c,
                                        const json_t *values,
                                        const struct compiled_visitor *visitor);

#endif
