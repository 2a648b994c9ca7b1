/* arch.h -- an architecture: how config.json is read, and the graph that is
 * built from it. One file and one row of `archs` each. */
#ifndef SINTER_MODEL_ARCH_H
#define SINTER_MODEL_ARCH_H

#include "model/config.h"
#include "model/graph.h"

/* A word of a fresh model (`init` of a training) that means something to an
 * architecture, and its default as JSON; NULL: none, or another word's. */
struct arch_init {
    const char *key, *otherwise;
};

struct arch {
    const char *model_type; /* as in config.json */
    const char *hf_class;   /* as in config.json's "architectures" */
    /* Some checkpoints leave it out in front of every name; NULL: none. */
    const char *prefix;
    /* Ends of tensor names that may be there and mean nothing. */
    const char *const *ignored;
    const struct arch_init *init; /* ends with a NULL key */
    /* Feed-forward width of a fresh model in widths of its stream; 0: of
     * images. */
    unsigned inner;

    /* INVALID names the key. What it accepts, build() can build. */
    MUST_CHECK struct status (*read)(const json_t *json,
                                     struct model_config *config);
    json_t *(*write)(const struct model_config *c);
    struct graph *(*build)(const struct model_config *c);
};

extern const struct arch *const archs[];              /* NULL-terminated */
const struct arch *arch_find(const char *model_type); /* NULL if unknown */

/* --- for build(): steps that more than one architecture has --------------- */

/* x w^T + b + r; `b` and `r` may be 0. The weight [out][in]. */
int arch_linear(struct graph *g, const char *label, int x, int w, int b, int r);
/* The same with the weight [in][out]. */
int arch_linear_turned(struct graph *g, const char *label, int x, int w, int b,
                       int r);
int arch_curve(struct graph *g, const char *label, const struct op *curve,
               int x);
/* Gain and shift "NAME.weight" and "NAME.bias". */
int arch_layernorm(struct graph *g, const struct model_config *c,
                   const char *label, int x, const char *name);
int arch_rmsnorm(struct graph *g, const struct model_config *c,
                 const char *label, int x, const char *name);
/* NAME.weight, .bias, .running_mean and .running_var of `channels`. */
int arch_batch_norm(struct graph *g, const struct model_config *c, int x,
                    size_t channels, const char *name);
int arch_rope(struct graph *g, const struct model_config *c, const char *label,
              int x);
int arch_attention(struct graph *g, const struct model_config *c, int q, int k,
                   int v);
/* The same of queries, keys and values that lie side by side in `all`. */
int arch_joint_attention(struct graph *g, const struct model_config *c,
                         int all);
/* `run` of each `pitch` columns from `offset` on. */
int arch_part(struct graph *g, const char *label, int x, size_t offset,
              size_t run, size_t pitch);

#endif
