/* jsd.h -- how far two models disagree about a sample: the Jensen-Shannon
 * divergence of what they predict at each token, in natural units, 0 ... ln 2.
 *
 *     P = softmax(logits / tau),  Q = (P_o + P_p) / 2
 *     JSD = 1/2 KL(P_o || Q) + 1/2 KL(P_p || Q)        He et al., PASER, 3.3
 *
 * In log space and float64: probabilities that underflow give zero terms, and
 * equal rows give 0 exactly. A logit of -inf is a word that cannot come; NaN,
 * +inf, or no finite logit at all make a row invalid. */
#ifndef SINTER_JOBS_SELECT_JSD_H
#define SINTER_JOBS_SELECT_JSD_H

#include "jobs/select/crew.h"
#include "tensor/dtype.h"

/* What a sample's rows become. On the wire by name. */
enum jsd_form {
    JSD_MEAN_ANSWER,     /* the paper: mean over the tokens of the answer */
    JSD_SUM_INSTRUCTION, /* as released: sum over all rows it is given, which
                          * are those of the instruction alone */
    JSD_FORMS
};
const char *jsd_form_name(enum jsd_form value); /* "mean_answer" ... */
bool jsd_form_find(const char *name, enum jsd_form *ret_value);

/* One row of logits of each model, of a float type. False: invalid. */
bool jsd_row(enum dtype dtype, const void *original, const void *pruned,
             size_t vocabulary, double tau, double *ret_jsd);

/* `rows` [count] are JSDs, NaN if invalid. NaN if one is, or there is none. */
double jsd_reduce(enum jsd_form form, const double *rows, size_t count);

/* What makes logits of final hidden states: h W^T + bias. Borrowed. */
struct jsd_head {
    const float *unembedding; /* [vocabulary][width] */
    const float *bias;        /* [vocabulary]; NULL: none */
    size_t vocabulary, width;
};

struct jsd_pair {
    struct jsd_head original, pruned; /* widths may differ */
    double tau;                       /* > 0 */
};

/* INVALID: the vocabularies differ, or tau is not positive and finite. */
MUST_CHECK struct status jsd_check(const struct jsd_pair *pair);

/* `count` samples; the rows of sample i are starts[i] ... starts[i + 1] - 1 of
 * the hidden states [starts[count]][width of the model], which are those that
 * are to be compared (select_sample_rows()). Logits exist for a few rows at a
 * time. A sample's number depends neither on its neighbours nor on threads.
 * ret_jsd [count]: NaN for what is invalid. INVALID, NO_MEMORY, CANCELLED. */
MUST_CHECK struct status jsd_samples(const struct crew *crew,
                                     const struct jsd_pair *pair,
                                     const float *original, const float *pruned,
                                     const size_t *starts, size_t count,
                                     enum jsd_form form, double *ret_jsd);
/* Bytes that jsd_samples() takes beside its arguments. */
uint64_t jsd_memory(size_t vocabulary, uint64_t threads);

#endif
