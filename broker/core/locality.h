/* locality.h -- where the bytes are that jobs read.
 *
 * A source is named by the SHA-256 of its URL, an artifact of the depot by its
 * digest. Workers tell which ones lie in their caches; a job that ended well
 * proves as much of what it read and made. Jobs that read the same are of one
 * `place`, and jobs of one place in a sweep are a group. Within its sweep a
 * group that reads what the worker has goes first. Else the worker waits a
 * little for one that has it, and not too many workers fetch from one origin
 * at the same time; the depot is none.
 *
 * Workers that serve their caches give each other what they have, a few at a
 * time (lend.h). A worker that can be served fetches from there, and waits for
 * it to be its turn, as long as that goes on: the origin is asked by the first
 * few, and by those that have nobody else.
 *
 * All of it is a hint that costs nothing to be wrong about but time. */
#ifndef SINTER_BROKER_CORE_LOCALITY_H
#define SINTER_BROKER_CORE_LOCALITY_H

#include "common/digest.h"
#include "common/wire.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct group;
struct job;
struct place;
struct sched;
struct session;
struct sweep;

enum {
    LOCALITY_FETCHES = 8,  /* workers that fetch from one origin at a time */
    LOCALITY_HOLDERS = 64, /* told with one job, of all that it reads */
};

void locality_free_all(struct sched *s);

/* The remote sources that parameters name; NULL: there are none. Whoever
 * points to a place lets go of it. */
struct place *locality_place(struct sched *s, const char *params, size_t size);
struct place *locality_join(struct place *place); /* NULL is fine */
void locality_let_go(struct place **place);       /* the same; NULL then */
/* All inputs of the job are done: to its place are added the artifacts that
 * they made, unless that would divide its sweep into too many groups. */
void locality_add_inputs(struct sched *s, const struct sweep *sweep,
                         struct job *job);

/* A worker came or is gone: it has a place among the holders. */
void locality_enter(struct sched *s, struct session *session);
void locality_leave(struct sched *s, struct session *session);
/* What it said of its cache; HELLO says all of it. */
void locality_told(struct sched *s, struct session *session,
                   const struct wire_cached_list *added,
                   const struct wire_evicted_list *removed, bool all);

/* Bytes the worker would have to fetch for jobs of that place; NULL: 0. */
uint64_t locality_missing(const struct session *session,
                          const struct place *place);
/* May the worker be given jobs of the group now, or is it better to wait?
 * Notes since when, and when it is to be asked again. */
bool locality_may_give(struct sched *s, const struct session *session,
                       struct group *g);
/* It was given one: it fetches what it has not. */
void locality_given(struct session *session, const struct place *place);
/* Who serves what it fetches so, for a job of that place. */
size_t locality_holders(const struct session *session,
                        const struct place *place,
                        struct wire_holder items[LOCALITY_HOLDERS]);
/* A job of that place left it; it has read everything if that went well. */
void locality_left(struct session *session, const struct place *place,
                   bool well);
/* A job of the worker ended well with that result: what it made is there. */
void locality_made(struct session *session, const char *result, size_t size);

/* Aborts if loans do not add up. */
void locality_check(const struct sched *s);

#endif
