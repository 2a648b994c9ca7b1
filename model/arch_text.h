/* arch_text.h -- what decoders of text have in common: an embedding, layers
 * that add to one stream, a norm and a head. An architecture says how things
 * are called, and what stands in a layer. */
#ifndef SINTER_MODEL_ARCH_TEXT_H
#define SINTER_MODEL_ARCH_TEXT_H

#include "model/arch_rows.h"

struct arch_text;

/* Rows of arch.init. */
#define ARCH_TEXT_INIT                                                        \
    { "hidden", "128" }, { "layers", "4" }, { "heads", "4" },                 \
        { "intermediate", NULL }, { "vocab", "258" }, { "positions", "512" }, \
    {                                                                         \
        "tied", "true"                                                        \
    }

/* The layer that is being built. */
struct text_layer {
    struct graph *g;
    const struct model_config *c;
    const struct arch_text *names;
    size_t index;
};

struct arch_text {
    const char *table;  /* the embedding */
    const char *places; /* learned positions; NULL: none */
    size_t first_place; /* row of `places` that the first token gets */
    const char *layers; /* stands in front of ".N.NAME" */
    const char *norm;   /* behind the layers */
    const char *head;   /* of models whose head is not the embedding */
    bool turned;        /* matrices of layers lie [in][out] */
    int (*normalise)(struct graph *g, const struct model_config *c,
                     const char *label, int x, const char *name);
    /* A layer's steps; `x` is the stream, and so is what it returns. */
    int (*layer)(const struct text_layer *l, int x);
};

struct graph *arch_text_build(const struct model_config *c,
                              const struct arch_text *names);

/* --- for layer() ---------------------------------------------------------- */

/* Of "LAYERS.N.NAME". */
int text_norm(const struct text_layer *l, const char *label, const char *name,
              int x);
/* A linear layer of "LAYERS.N.NAME" that gives `out` numbers; with `r` it ends
 * a branch, which is added to `r`. */
int text_linear(const struct text_layer *l, const char *label, const char *name,
                size_t out, int x, int r);
/* The same without a bias. */
int text_linear_plain(const struct text_layer *l, const char *label,
                      const char *name, size_t out, int x, int r);
/* Reads `x`, adds to `r`: up "first", curve, down "last". */
int text_feed(const struct text_layer *l, const char *first, const char *last,
              int x, int r);

#endif
