/* arch.h -- an architecture as data: its parameters, its arrays and the steps
 * that fill them. One file and one row of `archs` each.
 *
 * A model is a front section, `layers` equal layers and a back section. The
 * slots of a section are the arrays its steps write. Slot ARCH_OUT of a section
 * is what ARCH_IN means in the next one; the last slot the back section
 * writes must be the losses, the one before them the logits. */
#ifndef SINTER_MODEL_ARCH_H
#define SINTER_MODEL_ARCH_H

#include "model/config.h"
#include "model/op.h"

enum {
    ARCH_IN = 1,     /* ARCH_OUT of the section before */
    ARCH_OUT = 2,    /* the residual stream behind this section */
    ARCH_LOGITS = 3, /* back section */
    ARCH_LOSSES = 4, /* back section, one a token */
    ARCH_OWN = 5,    /* first slot an architecture names itself */
    ARCH_SLOTS = 32,
    ARCH_STEPS = 32,      /* of a section */
    ARCH_PARAMETERS = 32, /* rows */
};

/* Numbers of the configuration that arrays are wide by. */
enum arch_width {
    WIDTH_NONE,
    WIDTH_ONE,
    WIDTH_HIDDEN,
    WIDTH_QUERY, /* heads x head_dim */
    WIDTH_KEY,   /* kv_heads x head_dim */
    WIDTH_INNER,
    WIDTH_VOCAB,
};

enum arch_init {
    INIT_ONES,
    INIT_EMBEDDING, /* normal, 0.02 */
    INIT_FAN_IN,    /* normal, 1 / sqrt(columns) */
    INIT_RESIDUAL,  /* the same / sqrt(2 layers): ends a residual branch */
};

struct arch_parameter {
    const char *name; /* of a layer's: behind "prefix.N." */
    bool of_layer;
    enum arch_width rows;
    enum arch_width columns; /* WIDTH_NONE: a vector */
    enum arch_init init;
    int tied; /* the row that stands in if config.tied; 0: none */
};

enum arch_index { INDEX_NONE, INDEX_TOKENS, INDEX_LABELS };

struct arch_step {
    const struct op *op;
    int in[OP_INPUTS]; /* a slot, or WEIGHT(row of parameters); 0: none */
    int out;           /* a slot */
    enum arch_index index;
};
#define WEIGHT(row) (-(row))

struct arch {
    const char *model_type; /* as in config.json */
    const char *hf_class;   /* as in config.json's "architectures" */
    const char *prefix;     /* "model.layers" */
    /* From row 1; ends with a NULL name. */
    const struct arch_parameter *parameters;
    const char *const *ignored;    /* ends of tensor names that may be there */
    const char *const *slot_names; /* by slot */
    const enum arch_width *slot_widths;
    /* Each ends with a NULL op. */
    const struct arch_step *front, *layer, *back;

    MUST_CHECK struct status (*read)(const json_t *json,
                                     struct model_config *config);
    json_t *(*write)(const struct model_config *c);
};

extern const struct arch arch_llama;
extern const struct arch *const archs[];              /* NULL-terminated */
const struct arch *arch_find(const char *model_type); /* NULL if unknown */

size_t arch_width(const struct model_config *c, enum arch_width width);

/* For read(): a whole number from 1 to `most`; `otherwise` if absent. */
MUST_CHECK struct status arch_number(const json_t *json, const char *key,
                                     int64_t otherwise, int64_t most,
                                     uint32_t *ret_value);

#endif
