/* fleet.h -- workers: who is there, what each runs, who went silent. */
#ifndef SINTER_BROKER_CORE_FLEET_H
#define SINTER_BROKER_CORE_FLEET_H

#include "broker/core/state.h"

enum { FLEET_IN_FLIGHT = 2 }; /* heartbeats an assignment may be under way */

struct session *fleet_find(const struct sched *s, struct peer peer);
void fleet_free_all(struct sched *s);

/* The first of those of that name, the others follow as `namesake`; NULL:
 * there is none. */
struct session *fleet_named(const struct sched *s, const char *name);

/* Messages of workers; HELLO is in hello.h. */
MUST_CHECK struct status fleet_heartbeat(struct sched *s, struct peer peer,
                                         const struct wire_heartbeat *m);
MUST_CHECK struct status fleet_bye(struct sched *s, struct peer peer,
                                   const struct wire_bye *m);
/* It gives back jobs it was asked for (retract.h). */
MUST_CHECK struct status fleet_retracted(struct sched *s, struct peer peer,
                                         const struct wire_token_list *m);
MUST_CHECK struct status fleet_cache(struct sched *s, struct peer peer,
                                     const struct wire_cache *m);
/* Workers of that name get nothing new until they are uncordoned, whoever
 * comes or comes again under it; drain: and are asked for what they have not
 * begun. For the commands; nothing is put on record here. */
void fleet_cordon(struct sched *s, const char *name, bool on);
void fleet_drain(struct sched *s, const char *name);
bool fleet_is_cordoned(const struct sched *s, const char *name);

/* It lives: any message renews its leases. */
void fleet_seen(struct sched *s, struct session *session);
/* Ask a worker we do not know to introduce itself. */
void fleet_ask_hello(struct sched *s, struct peer peer, uint64_t sequence);

/* The job is wanted no more: taken away, and the worker told. The caller
 * puts it where it belongs. */
void fleet_cancel(struct sched *s, struct job *job);

/* Its jobs go to others. If there is somebody to blame, those that were in
 * slots are judged; the rest had only been queued. One whose last heartbeat
 * told of other jobs than we know of may have run those as well. */
void fleet_release(struct sched *s, struct session *session, bool blame);
/* It is dead: as if its lease had run out. */
void fleet_lose(struct sched *s, struct session *session);
/* It holds nothing any more. */
void fleet_remove(struct sched *s, struct session *session);
/* On record: a worker came or went. */
void fleet_record(struct sched *s, const char *name, uint64_t incarnation,
                  bool joined);
/* A worker of the log, or one that was started in its place, has spoken. */
void fleet_heard_of(struct sched *s, const char *name);

/* While the store is away nothing goes out that rests on it: assignments wait,
 * and will then be under way for a while. */
bool fleet_is_held_back(const struct sched *s);
/* ns */
int64_t fleet_heartbeats(const struct sched *s, int64_t count);

/* There may be something to be said to it at the end of the tick. */
void fleet_speak(struct session *session);
/* At the tick: silence, and what is to be said to each worker. */
void fleet_scan(struct sched *s);
void fleet_flush(struct sched *s);

/* Apply the record of a worker that came or went: until those of the log have
 * spoken again, a new broker gives no jobs away. */
MUST_CHECK struct status fleet_apply(struct sched *s, const json_t *arguments,
                                     int64_t at_ms);

void token_list_add(struct token_list *list, struct wire_token token);

#endif
