/* layout.h -- where the arrays of a pass lie in its one block of memory, known
 * before a byte of it is taken. */
#ifndef SINTER_MODEL_LAYOUT_H
#define SINTER_MODEL_LAYOUT_H

#include "model/config.h"
#include "model/graph.h"

struct pass_room {
    size_t rows;    /* most tokens or images of a batch */
    size_t longest; /* most tokens of a sequence; images: as rows */
    bool gradients;
    /* Backward makes what is inside a section again: one forward more for
     * memory of one section in place of all. */
    bool again;
    /* [parameters] which get a gradient; NULL: all but statistics. */
    const bool *trained;
    /* One section of the graph by itself: see pass_batch.stream. */
    bool alone;
    size_t section;
    /* Without logits and losses: for what pass_hidden() gives. No gradients. */
    bool headless;
};

/* Does a parameter get a gradient? */
bool room_trains(const struct pass_room *room, const struct graph *g,
                 size_t parameter);
/* Sections that are computed: [first, last). */
size_t room_first(const struct pass_room *room);
size_t room_last(const struct pass_room *room, const struct graph *g);
/* The step behind those of a section that are computed. */
size_t room_end(const struct pass_room *room, const struct graph *g,
                size_t section);

/* Offsets in floats; LAYOUT_NONE: not there. */
#define LAYOUT_NONE SIZE_MAX

struct layout {
    size_t *values, *slopes;             /* [value_count] */
    size_t *saved;                       /* [step_count] */
    size_t *gradients;                   /* [parameter_count] */
    size_t table;                        /* of op_rope */
    size_t gradients_at, gradients_size; /* of all trained parameters */
    size_t size;
};

void layout_init(struct layout *p, const struct graph *g,
                 const struct model_config *c, const struct pass_room *room);
void layout_release(struct layout *p);

#endif
