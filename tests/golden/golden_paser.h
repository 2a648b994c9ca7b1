/* golden_paser.h -- what the cases of golden_paser share. */
#ifndef SINTER_TESTS_GOLDEN_GOLDEN_PASER_H
#define SINTER_TESTS_GOLDEN_GOLDEN_PASER_H

#include "tests/golden/golden.h"

/* One case of the manifest, opened. */
struct paser_case {
    const json_t *entry;    /* of the manifest */
    json_t *json;           /* its file */
    struct st_model *model; /* its tensors; NULL: it has none */
    const char *name;
};

typedef struct status paser_run(const struct paser_case *c, struct verdict *v);
paser_run paser_jsd, paser_diffusion, paser_diffusion_knn, paser_cluster;
paser_run paser_budget, paser_ies, paser_ccg, paser_concepts, paser_e2e;

const json_t *paser_expected(const struct paser_case *c, const char *name);
const json_t *paser_param(const struct paser_case *c, const char *name);
/* Of the manifest, or else of the case; 0 if it is in neither. */
double paser_tolerance(const struct paser_case *c, const char *name);
/* A number, or "nan", "inf", "-inf". */
double paser_number(const json_t *json);
/* A row of them; the caller frees. */
double *paser_numbers(const json_t *array);

/* Fails the case with that story. */
void paser_expect(struct verdict *v, bool right, const char *format, ...)
    PRINTF_LIKE(3, 4);
/* Also NaN where NaN is expected. */
void paser_compare(struct verdict *v, const char *name, size_t i, double is,
                   double should, double absolute, double relative);
void paser_compare_labels(struct verdict *v, const json_t *expected,
                          const uint32_t *labels, size_t n);
/* CORRUPT unless it is an array of so many. */
MUST_CHECK struct status paser_sized(const json_t *array, const char *name,
                                     size_t count);
/* CORRUPT unless it is an array of texts. */
MUST_CHECK struct status paser_texts(const json_t *array, const char *name);
/* A tensor of two dimensions as floats; the caller frees. */
MUST_CHECK struct status paser_rows(const struct paser_case *c,
                                    const char *name, size_t *ret_n,
                                    size_t *ret_width, float **ret_rows);

#endif
