/* golden.h -- what the cases of golden_pruning share. Each group of cases has
 * a file of its own; the table of all stands in golden_pruning.c. */
#ifndef SINTER_TESTS_GOLDEN_GOLDEN_H
#define SINTER_TESTS_GOLDEN_GOLDEN_H

#include "common/file.h"
#include "common/json.h"
#include "common/memory.h"
#include "tensor/safetensors.h"

/* What a case has seen so far. */
struct verdict {
    double worst; /* largest error in units of its tolerance; > 1 fails */
    char where[160];
};

struct tolerance {
    double absolute, relative;
};

/* Of a part of a case; `name` NULL: of the whole case. */
struct tolerance golden_tolerance(const json_t *entry, const char *name);
void golden_compare(struct verdict *v, const char *name, size_t i, double is,
                    double should, struct tolerance t);
void golden_compare_all(struct verdict *v, const struct tensor *expected,
                        const float *found, struct tolerance t);
/* Tensors of a file may begin at any byte. */
double golden_element(const struct tensor *t, size_t i);
int64_t golden_whole(const struct tensor *t, size_t i); /* of I64 or U8 */
/* A copy as float32; the caller frees. */
float *golden_floats(const struct tensor *t);

/* CORRUPT if there is none of that name. */
MUST_CHECK struct status golden_need(const struct tensor_set *set,
                                     const char *name,
                                     const struct tensor **ret_tensor);
MUST_CHECK struct status golden_open(const char *directory, const char *name,
                                     struct st_model **ret_model);
void golden_close(struct st_model **m); /* for AUTO() */

typedef struct status golden_run(const char *directory, const json_t *entry,
                                 struct verdict *v);
golden_run golden_text_model;            /* golden_models.c */
golden_run golden_mlp, golden_mlp_train; /* golden_images.c */
golden_run golden_preresnet;             /* golden_images.c */
golden_run golden_optim, golden_lora;    /* golden_optim.c */
golden_run golden_perp;                  /* golden_perp.c */
golden_run golden_cka, golden_lmc;       /* golden_compare.c */
golden_run golden_teacher;               /* golden_teacher.c */
golden_run golden_regime;                /* golden_regime.c */
golden_run golden_magnitude, golden_wanda, golden_antidote, golden_hessian,
    golden_sparsegpt; /* golden_prune.c */

#endif
