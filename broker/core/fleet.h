/* fleet.h -- workers: who is there, what each runs, who went silent. */
#ifndef SINTER_BROKER_CORE_FLEET_H
#define SINTER_BROKER_CORE_FLEET_H

#include "broker/core/state.h"

struct session *fleet_find(const struct sched *s, struct peer peer);
void fleet_free_all(struct sched *s);

/* Messages of workers. */
MUST_CHECK struct status fleet_hello(struct sched *s, struct peer peer,
                                     const struct wire_hello *m);
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
