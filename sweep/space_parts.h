/* space_parts.h -- what space_read.c makes and space.c uses; for these two
 * files only. */
#ifndef SINTER_SWEEP_SPACE_PARTS_H
#define SINTER_SWEEP_SPACE_PARTS_H

#include "common/limits.h"
#include "common/map.h"
#include "sweep/order.h"
#include "sweep/space.h"

enum {
    MOST_EXPRESSIONS = 256,
    MOST_AXES = 2048, /* of all cases together */
    /* case, seed, parameters, what cases set, derived values */
    MOST_SLOTS = 2 + 2 * LIMIT_PARAMETERS + MOST_EXPRESSIONS,
    MOST_TRIALS_BITS = 53,
    ENDLESS_BITS = 62,
};
#define MOST_TRIALS    (UINT64_C(1) << MOST_TRIALS_BITS)
#define ENDLESS_POINTS (UINT64_C(1) << ENDLESS_BITS)

/* One parameter: a list of values, or an interval to draw from. */
struct axis {
    int slot;
    int room;       /* index of the case it exists in; -1: all */
    json_t *values; /* owned; NULL: interval */
    bool ordered;
    double min, max;
    bool log_scale, integer;
    struct expr *when; /* NULL: always */
    uint64_t hash;     /* of its name: which random numbers it draws */
};

struct fixed {
    int slot;
    json_t *value; /* borrowed from the document */
};

/* A case with what varies in it; a sweep without cases has one room. */
struct room {
    const char *name; /* NULL: no cases */
    json_t *name_json;
    struct fixed *fixed;
    size_t fixed_count;
    const struct axis **axes; /* not those whose `when` is false throughout */
    size_t axis_count;
    struct order *order; /* NULL: has an interval, endless */
    uint64_t points;
};

/* A value that depends on others: computed after them. */
struct derived {
    int slot;
    struct expr *expr;
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
    uint64_t points, replicates;
    json_t **seeds; /* owned */
    bool random;
    uint32_t seed;
};

/* Fill an empty space from its document; on failure it is partly filled. */
MUST_CHECK struct status space_read(struct space *s);

/* A whole number is an integer, so that it is written without a point and may
 * stand where an integer belongs. */
json_t *space_json_number(double x);

#endif
