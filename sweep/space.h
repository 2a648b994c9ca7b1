/* space.h -- the points of a sweep: parameters, cases, derived values,
 * constraints, replicates and strategy of a compiled document. Pure; trial i
 * is a function of the document and i. */
#ifndef SINTER_SWEEP_SPACE_H
#define SINTER_SWEEP_SPACE_H

#include "common/json.h"
#include "common/status.h"
#include "sweep/expr.h"

#include <stdint.h>

struct space; /* opaque, immutable */

/* `document` must outlive the space. INVALID or TOO_BIG say what is wrong
 * with it. */
MUST_CHECK struct status space_new(const json_t *document,
                                   struct space **ret_space);
void space_free(struct space *s); /* NULL is fine */

/* Points in the order of the strategy; trials are points times replicates. */
uint64_t space_points(const struct space *s);
/* Those that `strategy.trials` cuts off included. */
uint64_t space_points_limit(const struct space *s);
uint64_t space_replicates(const struct space *s);

/* Names of all values a trial can have, "case" and "seed" among them. */
size_t space_name_count(const struct space *s);
const char *space_name(const struct space *s, size_t slot);
int space_find(const struct space *s, const char *name); /* or EXPR_UNBOUND */

enum space_verdict {
    SPACE_TAKEN,
    SPACE_FORBIDDEN, /* by a constraint */
    SPACE_REPEATED,  /* differs from another point in an inactive parameter */
    SPACE_WRONG,     /* an expression met a text or gave no finite number */
};

struct space_trial {
    json_t *values; /* the caller decrefs */
    enum space_verdict verdict;
    char reason[160]; /* SPACE_FORBIDDEN, SPACE_WRONG */
};

void space_trial(const struct space *s, uint64_t trial,
                 struct space_trial *ret_trial);

/* ---- the same without JSON and without allocation --------------------- */

/* One value of a trial; all is borrowed. */
struct space_value {
    struct expr_value value; /* EXPR_WRONG for lists and maps */
    const char *text;        /* canonical; NULL: absent */
    const char *inner;       /* as it stands inside the quotes of a text */
    uint32_t size, inner_size;
    const json_t *json; /* NULL: absent, or computed: see `value` */
};

struct space_point; /* opaque: the memory of one trial, used again and again */
struct space_point *space_point_new(void);
void space_point_free(struct space_point *p); /* NULL is fine */

enum space_verdict space_place(const struct space *s, uint64_t trial,
                               struct space_point *p);
/* By slot; until the next space_place(). */
const struct space_value *space_values(const struct space_point *p);

/* ---- replicates in pairs ---------------------------------------------- */

/* INVALID says why the replicates of a point cannot be compared with each
 * other: there is one only, two have the same seed, or an expression names
 * the seed, so that they differ in more than that. */
MUST_CHECK struct status space_check_pairs(const struct space *s);

/* Replicate r of n goes with r + 1, the last one with the first, so that two
 * are one pair; the one with the lower number comes first. */
struct space_twin {
    int slot;                /* of the seed */
    struct space_value seed; /* of the other one; the rest is the same */
    bool comes_first;        /* the other one does */
};
/* Of a space whose pairs were checked. */
struct space_twin space_twin(const struct space *s, uint64_t replicate);
/* The number of the replicate with this seed; space_replicates(): none. */
uint64_t space_replicate_of(const struct space *s, const json_t *seed);

/* Numbers of a {from, to, count, scale} axis: ends included, rounded to 12
 * digits so that 0.05 ... 0.8 in 16 steps are what people expect. */
double space_between(double from, double to, uint32_t count, bool log_scale,
                     uint32_t i);
/* To so many significant digits. */
double space_round(double x, int digits);

#endif
