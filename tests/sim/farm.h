/* farm.h -- a farm without processes: the real scheduler, workers that do
 * what a test says, a clock that is a number, a log that is a list. */
#ifndef SINTER_TESTS_SIM_FARM_H
#define SINTER_TESTS_SIM_FARM_H

#include "broker/core/report.h"
#include "broker/core/sched.h"
#include "broker/core/sweeps.h"
#include "common/buf.h"

enum {
    FARM_WORKERS = 8,
    FARM_HELD = 1024,
    FARM_HEARTBEAT_MS = 2000,
    FARM_LEASE_MS = 30000
};

/* What a worker has been given and not been told to forget. */
struct farm_job {
    struct wire_token token;
    char label[96];
    char kind[64];
    uint64_t batch;    /* 0: given alone */
    bool finished;     /* its DONE is out, COMMITTED is not in */
    char holders[200]; /* ports of who has what it reads: " 7001 7002" */
};

struct farm_worker {
    bool connected;
    bool replaces; /* says so in HELLO */
    uint64_t peer, incarnation, slots;
    uint64_t cpus;
    int64_t memory_bytes;
    const char *kinds, *labels;
    const char *address; /* where it serves its cache; NULL: it does not */
    struct farm_job held[FARM_HELD];
    size_t held_count;
    uint64_t beats;
};

struct farm_record {
    char *data;
    size_t size;
};

/* A message that takes its time. */
struct farm_late {
    uint64_t peer;
    char *data;
    size_t size;
};

struct replica;

struct farm {
    struct sched *sched;
    struct replica *snapshot; /* maybe a restart begins with it; or NULL */
    struct outbox out;
    uint64_t epoch;
    int64_t now_ms;
    uint64_t next_peer;
    struct farm_worker workers[FARM_WORKERS];
    struct farm_record *log;
    size_t log_count;
    struct buf trace;
    struct wire_message *reply; /* last ANSWER or ACCEPTED, for reading */
    char *answer;               /* its body */
    uint64_t answer_code;
    bool silent;    /* no trace, for the random walk */
    uint64_t draws; /* of the random walk's faults: see farm_draw() */
    uint32_t seed;
    uint32_t drop_percent; /* messages to workers that never arrive, or late */
    struct farm_late *late;
    size_t late_count;
    int64_t crash_after; /* records of the next append that become durable;
                            then the broker is dead. -1: all, it lives */
    bool crashed;
};

/* A scheduler that knows nothing yet. */
struct sched *farm_new_sched(void);
struct farm *farm_new(void);
void farm_free(struct farm *f);

/* Submit a document; its id is in f->answer. The same `text` for the same
 * sweep again. */
void farm_submit(struct farm *f, const char *document);
/* {"sinter":1, "name":..., ...}: a grid of `x` from 1 to `points`, every
 * trial of which has a stage "base" (kind train) that does not depend on x
 * and an evaluator "e" that does; `extra` is put into the document. */
char *farm_document(const char *name, int points, const char *extra);
/* The same with a lazy stage between, in which x can be fused: all jobs of
 * "e" and of a second evaluator "f" are one family. */
char *farm_family(const char *name, int points, const char *extra);

/* Worker `w` connects (with what it holds). */
void farm_hello(struct farm *f, int w, uint64_t slots);
void farm_heartbeat(struct farm *f, int w);
/* Its job of that label ends well / badly. */
void farm_done(struct farm *f, int w, const char *label);
/* The same after so long. */
void farm_done_after(struct farm *f, int w, const char *label, int64_t wall_ms);
/* The same with this number as its metric `value`. */
void farm_done_with(struct farm *f, int w, const char *label, int value);
void farm_fail(struct farm *f, int w, const char *label, enum status_code code,
               bool crashed);
/* The job of that label, which it must hold. */
struct farm_job *farm_find(struct farm *f, int w, const char *label);
/* Any outcome, as it is. */
void farm_send_outcome(struct farm *f, int w, const struct wire_outcome *o);
/* It leaves and hands back all it holds. */
void farm_bye(struct farm *f, int w);
/* It drains: hands back this one and goes on with what it runs. */
void farm_hand_back(struct farm *f, int w, const char *label);
/* It says anything else. */
void farm_say(struct farm *f, int w, const struct wire_message *m);
/* Its cache has 1 GiB of that source or artifact, which it serves if it has an
 * address, or has it no more. */
void farm_tell_cache(struct farm *f, int w, const struct digest *source,
                     bool there);
/* It is gone and says nothing. */
void farm_kill(struct farm *f, int w);

/* Time passes, in steps of the scheduler's own deadlines; workers that live
 * send their heartbeats. */
void farm_advance(struct farm *f, int64_t ms);
/* The broker dies and another one reads the log; workers are still there. */
void farm_restart(struct farm *f);

/* Artifacts of results that are garbage and older; they may be forgotten. */
size_t farm_collect(struct farm *f, int64_t older_ms, bool forget);

/* A command or query; the body in f->answer, its code in f->answer_code. */
void farm_ask(struct farm *f, const char *verb, const char *arguments);
json_t *farm_status(struct farm *f, const char *sweep);
/* A number of the status: "done", "jobs.computed". */
int64_t farm_count(struct farm *f, const char *sweep, const char *path);

/* What happened since the last look is exactly this. */
void farm_expect(struct farm *f, const char *expected);
void farm_forget(struct farm *f);

/* What was late arrives, in any order. */
void farm_deliver_late(struct farm *f);

/* A number below `bound` that seed and order of calls decide. */
uint32_t farm_draw(struct farm *f, uint32_t bound);

/* What any worker would send as its outcome. */
void farm_outcome(struct farm *f, int w, const struct farm_job *job,
                  uint64_t code, bool crashed);
void farm_settle(struct farm *f); /* tick and carry out, until it is quiet */

#endif
