/* farm.h -- real programs for the benches: a broker over a store of its own,
 * workers of one slot, a client. They are taken from ../bin beside the bench.
 * What fails ends the bench with its reason. */
#ifndef SINTER_BENCH_FARM_H
#define SINTER_BENCH_FARM_H

#include <sys/types.h>

#include "common/dealer.h"
#include "common/json.h"
#include "common/status.h"

enum { FARM_WORKERS = 2, SCRATCH = 64 };

struct farm {
    char directory[SCRATCH];
    char *bin;
    pid_t redis, broker, workers[FARM_WORKERS];
    int worker_count;
    char *workers_at, *clients_at;
    struct dealer *client;
    char *keys; /* directory of key pairs named by their role; NULL: none */
};

void must(struct status st);

struct farm_settings {
    const char *fsync; /* of a redis-server; NULL: the store is SQLite */
    int workers;
    bool curve; /* keys at both sockets; no workers then */
    bool tcp;   /* workers come to 127.0.0.1, not to a unix socket */
};

struct farm farm_open(struct farm_settings set);
/* Only the store and the keys: broker and client are the caller's. */
struct farm farm_open_bare(struct farm_settings set);
char *farm_store(const struct farm *f); /* its URL; the caller frees */
/* "DIR/keys/NAME"; the caller frees. NULL without keys. */
char *farm_key(const struct farm *f, const char *name);
void farm_close(struct farm *f);

/* The body of the answer; the caller decrefs. */
json_t *farm_ask(struct farm *f, const char *verb, const char *arguments);
/* So many points whose jobs no sweep of another number has. */
void farm_submit(struct farm *f, int number, int points, char id[24]);
void farm_wait_for_end(struct farm *f, const char *id, int points);
/* Seconds from submit to the end of a sweep. */
double farm_run_sweep(struct farm *f, int number, int points);

/* Seconds until a new broker is ready, all that is in the store read. */
double farm_restart_broker(struct farm *f);

double farm_cpu_s(pid_t pid); /* used so far, all its threads */
double farm_rss_bytes(pid_t pid);

#endif
