/* oracle.h -- what must be true of the simulated world whatever happens in it:
 * the invariants I1 to I9 and two of the protocol. It sees what the store
 * keeps, what is said over the network, and at the end what the broker knows.
 *
 * Nothing that is found stops the world: it is told and counted, so that a
 * world that was sabotaged can be asked whether it was noticed. */
#ifndef SINTER_TESTS_SIM_WORLD_ORACLE_H
#define SINTER_TESTS_SIM_WORLD_ORACLE_H

#include "broker/core/sched.h"
#include "broker/store.h"
#include "tests/sim/world/network.h"

#define INVARIANTS(X)                                                        \
    X(I1, "a trial of an accepted sweep ends exactly once")                  \
    X(I2, "a result is the first one, of the newest run, and never another") \
    X(I3, "what was acknowledged or shown is durable, and stays")            \
    X(I4, "counters are the sums of what they count")                        \
    X(I5, "a run of a job is given to one worker, and runs are numbered")    \
    X(I6, "no sweep that could run starves")                                 \
    X(I7, "when nothing fails any more, all work ends in time")              \
    X(I8, "what was needed for a while is given back")                       \
    X(I9, "nobody is blamed for a death who was not alone")                  \
    X(VIEWS, "worker and broker agree on who runs what")                     \
    X(FENCE, "who was taken over writes nothing and says nothing")

#define INVARIANT_ENUM(name, text) INVARIANT_##name,
enum invariant { INVARIANTS(INVARIANT_ENUM) INVARIANT_COUNT };
#undef INVARIANT_ENUM

const char *invariant_name(enum invariant i);

void oracle_begin(void);
void oracle_end(void);
/* How often each was broken in this world; the story of the first. */
const uint64_t *oracle_broken(void);
uint64_t oracle_broken_sum(void);
const char *oracle_story(void);

void oracle_break(enum invariant i, const char *format, ...) PRINTF_LIKE(2, 3);

/* ---- what the store keeps (oracle_log.c) ---------------------------------- */

/* A record is in the log; `writer`: the epoch that may write. */
void oracle_logged(const struct store_record *r, uint64_t writer);
/* All of the log, anew: the store has forgotten something. */
void oracle_forget_log(void);

/* Is that on record? */
bool oracle_has_verdict(const struct wire_token *t);
bool oracle_is_done(const struct digest *key);
bool oracle_has_sweep(const char *id);
bool oracle_has_command(const char *verb, const char *subject);

/* ---- what is said (oracle_wire.c) ----------------------------------------- */

bool oracle_sent(const struct connection *c, enum direction to,
                 struct wire_bytes *bytes);
/* Nothing fails from then on: worker and broker must come to agree. */
void oracle_calm(int64_t at);
/* Somebody took over the store, with all others' consent or not. */
void oracle_taken_over(bool by_force);

/* What a client is shown of a sweep, by that broker, is durable as well. */
void oracle_check_read(const struct process *broker, const json_t *status);

/* A client was told that; subject: a sweep's id or a worker's name. */
void oracle_told_sweep(const char *id);
void oracle_told_command(const char *verb, const char *subject);
/* Is all that anybody was told still on record? */
void oracle_check_told(void);

/* ---- what a worker runs --------------------------------------------------- */

/* A slot of that worker has begun, or is rid of, a job. */
void oracle_slot(const struct process *worker, const struct wire_token *t,
                 bool begun);
/* Does another job run there, that nobody has asked to end? */
bool oracle_runs_beside(const struct wire_token *t);
/* When a job of that sweep (by its name) ran last; 0: none did. */
int64_t oracle_ran_last(const char *sweep);
/* Who was given that run; NULL: nobody. */
const struct process *oracle_holder(const struct wire_token *t);
bool oracle_is_newest(const struct wire_token *t);

/* ---- the end (oracle_end.c) ----------------------------------------------- */

/* All has ended: what the broker says of sweeps and trials. */
void oracle_check_broker(const struct sched *s);
/* Every sweep that could run something has been given something lately. */
void oracle_check_starving(const struct sched *s, int64_t since,
                           int64_t patience);
/* Brokers that would begin now, by the snapshot and (with `whole`) by all
 * records there ever were, know what this one does. */
void oracle_check_heirs(const struct sched *s, bool whole);

#endif
