/* space_parts.h -- what space_read.c makes and space.c and space_point.c use;
 * for these files only. */
#ifndef SINTER_SWEEP_SPACE_PARTS_H
#define SINTER_SWEEP_SPACE_PARTS_H

#include "common/limits.h"
#include "common/map.h"
#include "sweep/order.h"
#include "sweep/space.h"

enum {
    MOST_EXPRESSIONS = 256,
    MOST_CHOICES = 1000 * 1000, /* values of all parameters together */
    MOST_AXES = 2048,           /* of all cases together */
    /* case, seed, parameters, what cases set, derived values */
    MOST_SLOTS = 2 + 2 * LIMIT_PARAMETERS + MOST_EXPRESSIONS,
    MOST_TRIALS_BITS = 53,
    ENDLESS_BITS = 62,
    SPACE_AXIS_DIGITS = 12, /* of a number between two ends */
};
#define MOST_TRIALS    (UINT64_C(1) << MOST_TRIALS_BITS)
#define ENDLESS_POINTS (UINT64_C(1) << ENDLESS_BITS)

/* A value that is known beforehand, with its texts. */
struct choice {
    const json_t *json; /* borrowed */
    char *text;         /* canonical; NULL: null */
    uint32_t size;      /* of the text */
    uint32_t
        inner_size; /* of a list or map: what follows it, escaped; else 0 */
};

/* One parameter: a list of values, or an interval to draw from. */
struct axis {
    int slot;
    int room;       /* index of the case it exists in; -1: all */
    json_t *values; /* owned; NULL: interval */
    struct choice *choices;
    size_t choice_count; /* 0: interval */
    bool ordered;
    double min, max;
    bool log_scale, integer;
    struct expr *when; /* NULL: always */
    uint64_t hash;     /* of its name: which random numbers it draws */
};

struct fixed {
    int slot;
    struct choice choice;
};

/* A value that depends on others: computed after them. */
struct derived {
    int slot;
    struct expr *expr;
};

/* What is computed for a point, in an order in which everything that a `when`
 * or `derive` names comes before it. One of the two is not NULL. */
struct step {
    const struct axis *axis; /* with a `when` */
    const struct derived *derived;
};

/* A case with what varies in it; a sweep without cases has one room. */
struct room {
    const char *name; /* NULL: no cases */
    struct choice name_choice;
    struct fixed *fixed;
    size_t fixed_count;
    const struct axis **axes; /* not those whose `when` is false throughout */
    size_t axis_count;
    struct step *steps;
    size_t step_count;
    struct order *order; /* NULL: has an interval, endless */
    uint64_t points;
};

/* Points [start, next start) are dealt in turn to the rooms of more than
 * `round` points. */
struct stretch {
    uint64_t start;
    uint64_t round;  /* first one of the stretch */
    uint64_t active; /* rooms that still have points */
};

struct space {
    const json_t *document;
    const char *names[MOST_SLOTS];
    size_t name_count;
    struct map *slots; /* name -> slot + 1 */
    int case_slot, seed_slot;

    struct axis *axes;
    size_t axis_count;
    size_t choice_count; /* of all axes */
    struct room *rooms;
    size_t room_count;
    struct derived *derived;
    size_t derived_count;
    struct expr **constraints;
    const char **constraint_texts;
    size_t constraint_count;

    /* Slots in an order in which everything a `when` or `derive` names comes
     * before it. */
    int *sequence;
    size_t sequence_count;

    struct stretch *stretches;
    size_t stretch_count;
    uint64_t points;       /* as many as `strategy.trials` says, or all */
    uint64_t points_limit; /* all, as far as trials can be numbered */
    uint64_t replicates;
    json_t **seeds; /* owned */
    struct choice *seed_choices;
    /* Of one replicate that is compared with a trial of another sweep; NULL:
     * none. */
    json_t *twin_seed;
    struct choice twin_choice;
    bool twin_comes_first;
    bool random;
    uint32_t seed;
};

/* "pair" of the member "replicates", when the seeds were read. */
MUST_CHECK struct status space_read_pair(struct space *s,
                                         const json_t *replicates);

/* What a choice is in a trial; borrows it. */
void space_set_choice(struct space_value *v, const struct choice *c);
/* Borrows the value. */
struct choice choice_of(const json_t *value);

/* Fill an empty space from its document; on failure it is partly filled. */
MUST_CHECK struct status space_read(struct space *s);

/* A whole number is an integer, so that it is written without a point and may
 * stand where an integer belongs. */
json_t *space_json_number(double x);

/* Why space_place() did not say SPACE_TAKEN: "what: why", or "what". */
struct space_reason {
    const char *what; /* NULL: no reason */
    const char *why;  /* may be "" */
};
struct space_reason space_point_reason(const struct space_point *p);

#endif
