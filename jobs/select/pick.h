/* pick.h -- the walk that makes a selection, and a reason for each sample that
 * is not in it.
 *
 * paser: cluster after cluster, best score first, accepted while the concept
 * graph stays consistent and the cluster's budget lasts; one graph for all.
 * The others are what it is compared with. Everything here is a function of
 * the arguments: milliseconds, so all points of a sweep can share the rest. */
#ifndef SINTER_JOBS_SELECT_PICK_H
#define SINTER_JOBS_SELECT_PICK_H

#include "jobs/select/budget.h"
#include "jobs/select/concepts.h"
#include "jobs/select/consistency.h"
#include "jobs/select/crew.h"
#include "jobs/select/priority.h"

/* On the wire by name. */
enum pick_method {
    PICK_PASER,        /* budgets by degradation */
    PICK_UNIFORM,      /* the same with equal budgets */
    PICK_PROPORTIONAL, /* the same with budgets by size */
    PICK_RANDOM,       /* drawn with the seed; smaller budgets are beginnings
                        * of larger ones */
    PICK_TOPJSD,       /* largest jsd first, no clusters */
    PICK_LONGEST,      /* most tokens first */
    PICK_IFD,          /* largest `ifd` first; 1 and more are refused */
    PICK_FULL,         /* all, in their order */
    PICK_METHODS
};
const char *pick_method_name(enum pick_method value);
bool pick_method_find(const char *name, enum pick_method *ret_value);
/* Does the method read the clusters of struct pick_samples? */
bool pick_needs_clusters(enum pick_method method);

/* On the wire by name. */
enum pick_order {
    PICK_CANONICAL,   /* clusters by label */
    PICK_DEGRADATION, /* the most degraded first; equal: the lower label */
    PICK_ORDERS
};
const char *pick_order_name(enum pick_order value);
bool pick_order_find(const char *name, enum pick_order *ret_value);

/* What the samples are; borrowed. Arrays a method does not need are NULL. */
struct pick_samples {
    size_t n;
    const double *jsd;      /* [n] NaN: invalid */
    const double *ifd;      /* [n] NaN: invalid */
    const uint32_t *labels; /* [n] below clusters */
    size_t clusters;
    const uint32_t *x_tokens, *y_tokens; /* [n] |x|, |y| */
    /* concepts[begin[i]] ... concepts[begin[i + 1] - 1] are those of sample i,
     * as concepts_of() gives them; NULL: no check of conflicts. */
    const uint32_t *concepts;
    const uint64_t *begin; /* [n + 1] */
};

struct pick_how {
    enum pick_method method;
    struct budget_how budget;
    enum priority_cost cost;
    bool conflicts;  /* check the concept graph: paser, uniform, proportional */
    bool singletons; /* of the graph */
    enum pick_order order;
    uint32_t seed;
};

enum pick_reason {
    PICK_SELECTED,
    PICK_BUDGET,   /* others came first */
    PICK_CONFLICT, /* `a` and `b` are known and not joined */
    PICK_INVALID,  /* its number is NaN: no answer, logits not finite */
    PICK_SCORE,    /* ifd of 1 or more: the instruction does not help */
    PICK_REASONS
};
const char *pick_reason_name(enum pick_reason reason);

/* One for each sample, in the data's order. */
struct pick_sample {
    enum pick_reason reason;
    double score;  /* what it was ranked by; NaN: nothing */
    double cost;   /* priority_cost_of(); 0: not used */
    uint32_t a, b; /* PICK_CONFLICT: first pair of concepts ... */
    size_t pairs;  /* ... of so many */
};

struct pick_cluster {
    size_t size;        /* samples */
    size_t valid;       /* with a finite jsd */
    double degradation; /* mean jsd, CDS; NaN: none is valid */
    size_t budget;      /* n_k */
    size_t taken;
    size_t conflicts; /* refused for one */
};

struct pick {
    size_t n, clusters;            /* clusters 0: the method has none */
    size_t count;                  /* selected */
    uint32_t *selected;            /* [count] in the order they were taken */
    struct pick_sample *samples;   /* [n] */
    struct pick_cluster *by_label; /* [clusters] */
    size_t budget;                 /* B */
    size_t reasons[PICK_REASONS];  /* how many of each */
    size_t unspent;                /* B - count */
    bool zero_total;               /* of the budget */
    size_t nodes, edges;           /* of the final concept graph */
};

/* INVALID names the cluster or array that is not what it should be; TOO_BIG:
 * the concept graph; NO_MEMORY; CANCELLED (crew may be NULL). */
MUST_CHECK struct status pick_make(const struct crew *crew,
                                   const struct pick_samples *samples,
                                   const struct pick_how *how,
                                   struct pick *ret_pick);
void pick_release(struct pick *p);
uint64_t pick_memory(size_t n, size_t clusters);

#endif
