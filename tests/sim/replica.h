/* replica.h -- two brokers that never were: one that has read the whole log,
 * one that has read a snapshot and what came after it. They know the same. */
#ifndef SINTER_TESTS_SIM_REPLICA_H
#define SINTER_TESTS_SIM_REPLICA_H

#include "tests/sim/farm.h"

struct replica_piece {
    char name[64];
    char *data;
    size_t size;
};

/* A snapshot as a store keeps it. */
struct replica {
    struct replica_piece *pieces;
    size_t count;
    size_t log_count; /* records of the farm's log that it stands for */
};

void replica_release(struct replica *r);
/* Of the farm as it is. */
void replica_take(struct replica *r, struct farm *f);
/* Load it, and the tail of the farm's log. */
void replica_load(const struct replica *r, const struct farm *f,
                  struct sched *into);
/* A farm that read the whole log and one that loaded the snapshot tell the
 * same of every sweep, trial and job. */
void replica_check(const struct replica *r, const struct farm *f);

#endif
