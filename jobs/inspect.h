/* inspect.h -- what models are made of, and how fine-tunes differ from their
 * base: counts, norms, sign conflicts, angles and quantiles of task vectors.
 *
 * Tensors are streamed in chunks: memory is a few buffers and counters for
 * each thread and model, whatever their size. Sums are float64 in the order of
 * tensor/reduce.h, quantiles are exact, and tensors are added up in order of
 * name; so the numbers are the same for any number of threads. */
#ifndef SINTER_JOBS_INSPECT_H
#define SINTER_JOBS_INSPECT_H

#include "common/status.h"
#include "tensor/tensor.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { INSPECT_MODELS = 16 }; /* beside the base */

/* Larger differences are rare in a fine-tune of the right base. */
#define INSPECT_LARGE 0.01F

struct inspect_runtime {
    uint64_t threads; /* 0: one */
    void *self;
    bool (*cancelled)(void *self); /* NULL: never */
};

/* The elements of one tensor, or of several. */
struct inspect_counts {
    uint64_t elements, zeros;
    uint64_t not_finite; /* NaN and infinities; left out of what follows */
    uint64_t first_bad;  /* element of a tensor; UINT64_MAX: none */
    double least, most;  /* of float elements; least > most: there are none */
    double squares;      /* sum over float elements */
};

void inspect_counts_init(struct inspect_counts *c);
/* `first_bad` of several tensors means nothing. */
void inspect_counts_add(struct inspect_counts *sum,
                        const struct inspect_counts *c);

/* One row for each tensor of the set. CANCELLED. */
MUST_CHECK struct status inspect_set(const struct tensor_set *set,
                                     const struct inspect_runtime *runtime,
                                     struct inspect_counts *ret_counts);

/* Why a tensor of the base is not compared with a model's. */
enum inspect_match {
    INSPECT_COMPARED,
    INSPECT_MISSING,    /* the model has none of that name */
    INSPECT_SHAPE,      /* it has another shape */
    INSPECT_NO_FLOAT,   /* one of them holds integers */
    INSPECT_NOT_FINITE, /* one of them holds a NaN or an infinity */
};

/* A task vector in one tensor, or in several. */
struct inspect_delta {
    uint64_t elements, zeros;
    uint64_t large; /* |d| > INSPECT_LARGE */
    double squares;
};

/* All task vectors beside each other. */
struct inspect_crowd {
    uint64_t elements;
    uint64_t moved;     /* elements that two models or more changed */
    uint64_t conflicts; /* of those, pulled up by one and down by another */
    double squares;     /* of the base */
};

enum { INSPECT_QUANTILES = 5 };
/* 0.5 0.9 0.99 0.999 1. Of D magnitudes, sorted and counted from 0, the one
 * at (int64)(D * q), the last for 1. */
extern const double inspect_quantiles[INSPECT_QUANTILES];

/* Tables go by tensor of the base, then by model. */
struct inspect_diff {
    const struct tensor_set *base;
    size_t models;
    enum inspect_match *matches;
    struct inspect_delta *deltas;
    struct inspect_crowd *crowds; /* one for each tensor */
    /* Dot products of all tensors: row i, column j at i * models + j. */
    double dots[INSPECT_MODELS * INSPECT_MODELS];
    double quantiles[INSPECT_MODELS][INSPECT_QUANTILES]; /* of |d| */
};

/* `counts` and `base_counts` are inspect_set() of the same sets: what is not
 * finite there is not compared. At most INSPECT_MODELS models. CANCELLED. */
MUST_CHECK struct status inspect_compare(
    const struct tensor_set *base, const struct inspect_counts *base_counts,
    const struct tensor_set *const *models,
    const struct inspect_counts *const *counts, size_t count,
    const struct inspect_runtime *runtime, struct inspect_diff *ret_diff);
void inspect_diff_release(struct inspect_diff *d);

void inspect_delta_add(struct inspect_delta *sum,
                       const struct inspect_delta *d);
void inspect_crowd_add(struct inspect_crowd *sum,
                       const struct inspect_crowd *c);
/* Cosine of task vectors i and j; 0 if one of them is zero. */
double inspect_cosine(const struct inspect_diff *d, size_t i, size_t j);

/* Where a tensor stands by its name: "model.layers.7.mlp.up_proj.weight" is
 * "mlp.up_proj" of layer 7 of "model.layers". Outside of layers the layer is
 * -1, the group is the name without its ".weight" and the kind is "". */
enum { INSPECT_NAME = 128 };
struct inspect_place {
    char group[INSPECT_NAME]; /* cut if longer, as is the kind */
    char kind[INSPECT_NAME];
    int64_t layer;
};
struct inspect_place inspect_place(const char *tensor);

#endif
