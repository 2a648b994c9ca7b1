/* demand.h -- how many workers there should be, for whoever starts and stops
 * them (docs/autoscaling.md). Looked at about once a second; nothing else
 * depends on it. */
#ifndef SINTER_BROKER_CORE_DEMAND_H
#define SINTER_BROKER_CORE_DEMAND_H

#include <stdint.h>

struct sched;

/* Zeros are the defaults of the program's options. */
struct demand_settings {
    int64_t drain_ms; /* what waits now should be done within */
    int64_t hold_ms;  /* a lower figure must last before it is shown */
    int64_t least, most;
};

struct demand {
    struct demand_settings set;
    int64_t next; /* ns: looked at again */

    /* As it was when last looked at. */
    double backlog_s;  /* of slots: jobs that wait or are still to come */
    double running_s;  /* of slots: what is left of those at workers */
    double jobs;       /* that wait or are still to come */
    double slots;      /* of a worker; of the last ones if none is there */
    int64_t oldest_ms; /* the longest that a ready job has waited */
    uint64_t workers;  /* that take jobs */
    uint64_t busy;     /* of these, with jobs */
    uint64_t wanted;   /* by these figures alone */
    uint64_t desired;  /* what is shown */

    uint64_t peak; /* of `wanted` since it fell below `desired` */
    int64_t ends;  /* ns: then that is shown */
};

void demand_init(struct demand *d, const struct demand_settings *set);
/* At the tick. */
void demand_look(struct sched *s);

/* Its parts, for the tests: from the figures, and from the last answers. */
uint64_t demand_wanted(const struct demand *d);
uint64_t demand_steady(struct demand *d, int64_t now);

#endif
