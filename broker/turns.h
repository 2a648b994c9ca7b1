/* turns.h -- how long the turns of the loop take, and what in them does: while
 * one lasts nobody is heard and nothing is sent. */
#ifndef SINTER_BROKER_TURNS_H
#define SINTER_BROKER_TURNS_H

#include "broker/times.h"

enum turn_part {
    TURN_TAKE,   /* messages in, decoded and understood */
    TURN_DECIDE, /* expand, settle, dispatch */
    TURN_SEND,   /* what need not wait goes out, what is new to the store */
    TURN_ANSWER, /* HTTP and gc */
    TURN_SAVE,   /* snapshots taken, views written */
    TURN_PARTS,
};

struct turns {
    struct times whole, parts[TURN_PARTS];
    int64_t began, marked; /* ns */
};

/* A turn: begin, then a mark behind each part, then end. */
void turns_begin(struct turns *t, int64_t now);
void turns_mark(struct turns *t, enum turn_part part, int64_t now);
void turns_end(struct turns *t);

/* Lines for Prometheus. */
void turns_metrics(const struct turns *t, struct buf *out);

#endif
