/* local.h -- a farm on this machine for as long as a command runs: a broker
 * on the SQLite store and workers, as ordinary child processes that die with
 * us and are started again when they die.
 *
 * All that must last is in the state directory (.sinter): sinter.db, depot/,
 * cache/, logs/, lock, broker.json while a broker runs, store when another
 * store than SQLite was chosen. */
#ifndef SINTER_CLI_LOCAL_H
#define SINTER_CLI_LOCAL_H

#include "cli/crew.h"
#include "common/status.h"

#include <stddef.h>
#include <stdint.h>

struct local; /* opaque */

struct local_settings {
    const char *state;   /* directory, made if absent */
    const char *store;   /* URL; NULL: what was used before, else SQLite */
    const char *purpose; /* "run quickstart.yaml": told to who must wait */
    int64_t wait_ms;     /* for another command that holds the state */
    /* Programs that external evaluators may start; NULL-terminated. */
    const char *const *commands;
};

/* Take the lock and start the broker; returns when it is ready.
 * UNAVAILABLE names who holds the state. */
MUST_CHECK struct status local_start(const struct local_settings *settings,
                                     struct local **ret_local);
/* Before workers are started: programs they may start, borrowed like those of
 * the settings. */
void local_allow(struct local *l, const char *const *commands);
/* May be called once, with at least one worker. */
MUST_CHECK struct status local_start_workers(struct local *l, size_t workers,
                                             size_t slots);
/* Where clients connect; valid until stop. */
const char *local_endpoint(const struct local *l);
/* "http://HOST:PORT", where a browser finds the page; valid as long. */
const char *local_page(const struct local *l);
/* Start again what died; call it often. FAILED when a program cannot live:
 * its last words are in the message. */
MUST_CHECK struct status local_tend(struct local *l);
/* Ends all, workers first; NULL is fine. */
void local_stop(struct local *l);

/* The endpoint of a broker that another command runs on this state; NULL if
 * there is none. The caller frees. */
char *local_find(const char *state);

/* Processors this process may use: the default number of workers. */
size_t local_processors(void);
/* What this machine grants us. */
struct crew_machine local_machine(void);
/* Bytes that each of so many workers may keep merged models in: they share
 * this machine's memory. */
uint64_t local_keep(size_t workers);

#endif
