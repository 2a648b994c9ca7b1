/* prune_fit.h -- one section of a model pruned by what its matrices are fed. */
#ifndef SINTER_JOBS_PRUNE_FIT_H
#define SINTER_JOBS_PRUNE_FIT_H

#include "jobs/prune.h"
#include "jobs/prune_sparsegpt.h"
#include "model/pass.h"

enum { FIT_BLOCK = 128 /* columns that SparseGPT looks at together */ };
#define FIT_DAMPING 0.01

struct fit_config {
    struct prune_config prune;
    size_t block;   /* of SparseGPT */
    double damping; /* of its Hessian's diagonal */
    bool dense;     /* sections read what dense ones leave */
    bool looks;     /* nothing goes: what matrices are fed is what is asked */
};

/* What matrices that read the same value are fed. */
struct fit_inputs {
    int value;    /* operand of the graph */
    size_t step;  /* the first that reads it */
    size_t first; /* matrix that does */
    size_t inputs;
    struct prune_norms norms;     /* Wanda */
    struct prune_hessian hessian; /* SparseGPT ... */
    struct prune_factor factor;   /* ... once all was seen */
};

/* A matrix that loses weights. */
struct fit_matrix {
    size_t parameter;
    const struct tensor *tensor; /* of the base */
    struct prune_matrix shape;
    size_t from; /* of the inputs */
};

struct fit {
    const struct fit_config *config;
    struct model *model; /* its section is there */
    struct job_context *context;
    const struct tensor_set *seen; /* by a job before; NULL: by this one */
    size_t section;
    struct fit_matrix *matrices;
    struct fit_inputs *inputs;
    size_t matrix_count, input_count;
    float *patches; /* of a convolution */
    double loss;    /* of all its matrices */
};

/* Bytes that a section takes beside its parameters and its pass, with what is
 * found of it. */
size_t fit_bytes(const struct fit_config *c, const struct model *m,
                 const struct prune_target *targets,
                 const struct tensor_set *set, size_t section,
                 struct job_context *context);

/* `targets` of `set`. A section may have none. `seen`: what a job has left of
 * what they are fed (prune_fed.h), NULL: it will pass by. NO_MEMORY. To be
 * released. */
MUST_CHECK struct status fit_init(struct fit *f, const struct fit_config *c,
                                  struct model *m,
                                  const struct prune_target *targets,
                                  const struct tensor_set *set, size_t section,
                                  const struct tensor_set *seen,
                                  struct job_context *context);
void fit_release(struct fit *f);
/* For prune_walk_through(). */
struct status fit_look(void *self, const struct pass *pass, size_t rows,
                       size_t samples);
/* After all was seen: the factor of what a matrix is fed. */
MUST_CHECK struct status fit_need_factor(const struct fit *f,
                                         struct fit_inputs *in);
/* Matrix i, as what was seen says: its parameter becomes what is left, rounded
 * to the tensor's type. `keep` [count] holds what may be kept and then what
 * is. Matrices come in order. */
MUST_CHECK struct status fit_choose(struct fit *f, size_t i, uint8_t *keep);

#endif
