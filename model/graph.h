/* graph.h -- a model as data: its parameters, the arrays that are computed
 * and the steps that fill them. An architecture (model/arch.h) builds one from
 * a configuration; everything else walks it.
 *
 * Steps stand in the order of forward and belong to sections: one in front of
 * the layers, one a layer, one behind them. A section reads its own values and
 * the stream, the one value of the section before it that lives on.
 *
 * An operand is a value (> 0), a parameter (< 0, see GRAPH_PARAMETER) or
 * nothing (0). */
#ifndef SINTER_MODEL_GRAPH_H
#define SINTER_MODEL_GRAPH_H

#include "common/macros.h"
#include "model/op.h"

enum graph_role {
    ROLE_MATRIX, /* of a linear layer or a convolution inside a section */
    ROLE_BIAS,
    ROLE_NORM,  /* the gain of a norm */
    ROLE_SHIFT, /* what a norm adds */
    ROLE_EMBEDDING,
    ROLE_PLACES, /* learned positions */
    ROLE_HEAD,
    ROLE_STATISTIC, /* running mean or variance: measured, not trained */
    ROLE_ADAPTER,   /* A or B of a product of low rank */
};

enum graph_init {
    INIT_ZEROS,
    INIT_ONES,
    INIT_EMBEDDING, /* normal, 0.1 */
    INIT_FAN_IN,    /* normal, 1 / sqrt(inputs) */
    INIT_RESIDUAL,  /* the same / sqrt(2 layers): ends a residual branch */
    INIT_HE,        /* normal, sqrt(2 / inputs) */
    INIT_UNIFORM,   /* uniform, +- 1 / sqrt(inputs) */
    INIT_EQUAL,     /* 1 / sqrt(rank) */
};

struct graph_parameter {
    char name[128]; /* as in the checkpoint */
    enum graph_role role;
    enum graph_init init;
    uint32_t rank;
    size_t shape[4];
    size_t count;
    size_t inputs;  /* that add up to one output */
    size_t equal;   /* rank, for INIT_EQUAL */
    bool turned;    /* a matrix that lies [in][out] */
    size_t section; /* where it is used first */
};
#define GRAPH_PARAMETER(index) (-1 - (int)(index))

struct graph_value {
    const char *label; /* for messages: "gate projection" */
    size_t section;
    size_t width;  /* floats a row */
    size_t fixed;  /* floats in all, whatever the batch: a made weight */
    size_t writer; /* the step */
};

enum graph_index { INDEX_NONE, INDEX_TOKENS, INDEX_LABELS };

struct graph_step {
    const struct op *op;
    struct op_shape shape; /* but for what the batch says */
    int in[OP_INPUTS];
    int out;
    enum graph_index index;
    size_t section;
};

struct graph {
    size_t parameter_count, value_count, step_count;
    struct graph_parameter *parameters;
    struct graph_value *values; /* from 1; 1 is the input of images */
    struct graph_step *steps;
    size_t sections;
    size_t *first_step; /* [sections + 1] */
    int *streams;       /* [sections]: what each leaves, 0 for the last */
    size_t pixels;      /* floats of an image; 0: the input are tokens */
    size_t layers;      /* for INIT_RESIDUAL */
    int logits, losses; /* values */
};

enum { GRAPH_INPUT = 1 };

struct graph *graph_new(size_t layers, size_t pixels);
void graph_free(struct graph *g);     /* NULL is fine */
void graph_release(struct graph **g); /* the same, for AUTO() */

/* --- for architectures ---------------------------------------------------- */

/* Each returns an operand. `columns` 0: a vector. */
int graph_parameter(struct graph *g, enum graph_role role, enum graph_init init,
                    size_t rows, size_t columns, const char *format, ...)
    PRINTF_LIKE(6, 7);
/* The matrix lies [in][out]. */
void graph_turned(struct graph *g, int parameter);
/* [out][in][kernel][kernel] */
int graph_kernel(struct graph *g, size_t out, size_t in, size_t kernel,
                 const char *format, ...) PRINTF_LIKE(5, 6);
/* Sets in, shape.in and shape.out; what else the shape says is `step`'s. */
int graph_step(struct graph *g, const char *label, size_t width,
               const struct graph_step *step);
/* The section ends with the stream `value`; what comes belongs to the next. */
void graph_end_section(struct graph *g, int value);
/* The last section: cross entropy of the logits. */
void graph_finish(struct graph *g, int logits);

size_t graph_width(const struct graph *g, int value);

/* --- for who walks it ----------------------------------------------------- */

/* The parameter an operand is; NULL if it is none. */
const struct graph_parameter *graph_parameter_of(const struct graph *g,
                                                 int operand);
/* The shape of a step for a batch; `starts` and what is like it are the
 * caller's. */
struct op_shape graph_shape(const struct graph *g, const struct graph_step *s,
                            size_t rows);
/* "gate projection of layer 3" */
void graph_place(const struct graph *g, int value, char *text, size_t size);
/* Floats of all parameters. */
size_t graph_size(const struct graph *g);
/* Its number in `parameters`; parameter_count if there is none. */
size_t graph_find(const struct graph *g, const char *name);

#endif
