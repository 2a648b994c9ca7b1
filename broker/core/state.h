/* state.h -- what the scheduler remembers. For the files of broker/core/
 * only; everyone else has sched.h and report.h.
 *
 *     sweep --- trial (active ones only) --- need --- job --- session
 *       |                                             |
 *       '------------------- use --------------------'
 *
 * A job is there once per key. A `need` says an unfinished trial waits for an
 * unfinished job; a `use` says a live sweep counts the job among its own. */
#ifndef SINTER_BROKER_CORE_STATE_H
#define SINTER_BROKER_CORE_STATE_H

#include "broker/core/bucket.h"
#include "broker/core/demand.h"
#include "broker/core/heap.h"
#include "broker/core/lend.h"
#include "broker/core/locality.h"
#include "broker/core/ring.h"
#include "broker/core/sched.h"
#include "broker/core/share.h"
#include "broker/core/table.h"
#include "common/clock.h"
#include "common/digest.h"
#include "common/estimate.h"
#include "common/json.h"
#include "common/map.h"
#include "sweep/expansion.h"

enum job_state {
    JOB_IDLE,    /* no trial needs it (any more, or yet) */
    JOB_WAITING, /* for its inputs */
    JOB_BACKOFF, /* failed, until `rank` (ns) */
    JOB_READY,   /* in the queue of `group` */
    JOB_RUNNING, /* at `session` */
    JOB_DONE,
    JOB_FAILED,
    JOB_STATES,
};

/* wire_record_failure.crashed. A run whose worker vanished has no verdict: its
 * result may still come, and counts if nobody else was given the job. */
enum {
    NO_CRASH = 0,
    CRASH_SLOT = 1,   /* the slot died */
    CRASH_LEASE = 2,  /* the worker vanished; it held nothing else */
    CRASH_MEMORY = 3, /* killed for want of memory */
    CRASH_BESIDE = 4, /* the worker vanished, others ran beside it: no blame */
};

enum trial_state {
    TRIAL_WAITING, /* not looked at yet */
    TRIAL_ACTIVE,  /* has a struct trial */
    TRIAL_DONE,
    TRIAL_FAILED,
    TRIAL_CANCELLED,
    TRIAL_EXCLUDED, /* by a constraint */
    TRIAL_STATES,
};

enum sweep_state {
    SWEEP_RUNNING,
    SWEEP_DONE,
    SWEEP_FAILED,
    SWEEP_CANCELLED,
    SWEEP_STATES,
};

/* How long jobs take that ask the same. */
struct pace {
    const char *kind; /* interned */
    double run_ms;    /* moving mean; < 0: none ran yet */
    uint32_t ended;   /* runs it is made of, up to what a slot is sent */
};

/* Jobs of one sweep that ask the same of a worker and read the same. */
struct group {
    struct sweep *sweep;
    const char *kind;       /* interned */
    const char *labels;     /* interned: "disk=ssd,zone=a"; NULL: any worker */
    int64_t cpus;           /* 0: one slot */
    int64_t memory_bytes;   /* 0: unknown */
    uint32_t shape;         /* of what it asks for (resources.c); 0: not set */
    struct heap ready;      /* by number of the first trial that wants it */
    struct place *place;    /* remote sources it reads (locality.h); or NULL */
    int64_t passed_at;      /* ns: since then a worker waits for one that has
                             these; 0: none does */
    struct pace *pace;      /* of the sweep's groups that ask the same */
    size_t at;              /* in sweep->groups */
    struct session *keeper; /* makes room for its first job; NULL: none does */
    uint64_t idle;          /* slots that could run it, at `idle_round` ... */
    uint64_t idle_round;    /* ... of sched.rounds, when ... */
    uint64_t idle_given;    /* ... so many units had been given in it */
};

/* Ready jobs of a sweep that one pass over inputs can serve (family.h). */
struct family {
    uint64_t number; /* stage_job.family */
    struct sweep *sweep;
    struct job *first, *last; /* in order of rank */
    size_t ready;
};

/* Jobs given together to one slot. */
struct unit {
    uint64_t number;      /* of the scheduler, on the wire: "batch" */
    size_t left;          /* of its jobs, at the worker */
    int64_t memory_bytes; /* of the largest */
    uint64_t slots;       /* of its worker's, as the widest takes */
    bool blamed;          /* for the loss of its worker */
};

struct use {
    struct job *job;
    struct sweep *sweep;
    struct use *job_next;
    struct use *sweep_prev, *sweep_next;
    uint32_t stage;  /* in sweep->stages */
    uint32_t wanted; /* active trials that need the job */
    uint64_t trial;  /* lowest that wanted it */
};

struct need {
    struct trial *trial;
    struct job *job;          /* holds it */
    struct use *use;          /* NULL: the job was done already */
    uint32_t stage;           /* in sweep->stages */
    bool open;                /* the job is not done: in its list */
    struct need *prev, *next; /* of the job */
};

enum { TRIAL_NEEDS = 2 }; /* that fit in a block of the pool */

struct trial {
    struct sweep *sweep;
    uint64_t index;
    struct trial *prev, *next; /* of the sweep */
    size_t pending;            /* needs that are open */
    size_t need_count, need_room;
    struct need needs[];
};

enum { JOB_TEXT = 96 }; /* bytes of parameters that fit in a job */

/* What each job that ends well is asked for comes first: that is four lines of
 * the cache (expect.h). */
struct job {
    struct digest key;
    uint32_t at;      /* in table.live */
    uint32_t row;     /* DONE: of the ledger, and 1 */
    uint32_t holders; /* needs and jobs that point here: it must stay */
    enum job_state state;
    bool leaving; /* in the list of table.leaving */
    bool settled; /* the newest token has its verdict on record */
    bool suspect; /* was at a worker that vanished: runs alone (suspects.h) */
    bool retracting; /* while RUNNING: its worker was asked for it */
    uint32_t input_count;
    struct job *leaving_next;

    uint64_t epoch, attempt; /* newest token given out; 0, 0: none */
    const char *kind;   /* interned; NULL: known by a token or result only */
    const char *worker; /* interned: who ran it last; NULL: nobody */
    char *params;       /* NULL unless it may still run; `text` if it fits */
    struct job **inputs;
    struct use *uses;
    struct need *needs;

    struct session *session; /* while RUNNING */
    struct job *prev, *next; /* of the session, oldest assignment first */
    struct unit *unit;       /* while RUNNING; NULL: given alone */
    struct group *group;     /* queue it is in (READY) or was taken from */
    struct place *place;     /* what it reads of elsewhere; NULL: nothing */
    int64_t expected;        /* us of worker time, while RUNNING */
    int64_t charged;         /* the same, to its sweep; until it has ended */

    uint64_t slots;         /* of its worker's, if given alone */
    uint64_t charged_slots; /* 0: nothing is to be put right */
    int64_t memory_bytes;
    char *message; /* why not; NULL: no trouble so far */
    char *log;     /* last lines; NULL: none */
    struct job **dependents;
    uint32_t dependent_count;
    uint32_t pending; /* inputs that are not done */
    uint64_t order;   /* number of the record that ended it */

    const char *labels; /* interned; NULL: any worker */
    int64_t cpus;       /* 0: one slot */
    int64_t stall_ms, limit_ms;
    size_t params_size;
    size_t heap_at;
    int64_t rank;
    uint64_t tie;

    uint64_t family;    /* 0: it has none */
    struct family *kin; /* while READY */
    struct job *kin_prev, *kin_next;
    int64_t ready_at;    /* ns, READY: since when */
    int64_t assigned_at; /* ns */
    uint64_t progress_done, progress_total;

    uint64_t mark; /* sched.mark of the last HELLO that listed it */
    uint32_t failures, crashes;
    int64_t memory_floor; /* bytes it needs at least, since it was killed for
                             want of memory; 0: never was */
    uint64_t code;        /* enum status_code of the last failure */
    int64_t at_ms;        /* when that was */
    char text[JOB_TEXT];
};

/* One stage of a sweep, as people count it. */
struct stage {
    const char *name, *kind; /* interned */
    uint64_t jobs[JOB_STATES];
};

enum { RATE_RING = 64 };

struct sweep {
    char id[24];
    char *idempotency;
    struct compiled *compiled;
    struct expansion *expansion; /* while it is live; NULL: not yet needed */
    struct sweep_limits limits;
    enum sweep_state state;
    bool paused;       /* while RUNNING: nothing of it is given out */
    int64_t paused_ms; /* since when, 1970 */
    char *reason;      /* of its end; NULL: none */
    uint64_t order;    /* number of its record */
    uint32_t opening;  /* of sched.openings: marks the rows it has counted */
    uint8_t *also;     /* rows it has counted under another's mark, a bit each;
                          NULL: none */
    size_t also_bytes;
    uint64_t forgiven; /* failures on record before this do not count */
    int64_t submitted_ms, ended_ms;
    int64_t started_ms; /* submitted or retried: where limits.time begins */
    int64_t ends_at;    /* ns; INT64_MAX: no limit of time */

    uint8_t *trials; /* enum trial_state */
    uint64_t trial_count;
    uint64_t cursor; /* first that may be WAITING */
    uint64_t walked; /* so far had been looked before it was opened again */
    uint64_t taken;  /* looked at and not excluded */
    uint64_t tally[TRIAL_STATES];
    struct trial *active;

    struct group **groups; /* first those that may have ready jobs */
    size_t group_count, open;
    struct group *last_group; /* that was looked for; NULL: none */
    struct map *group_map;    /* what it asks for and reads -> group */
    struct map *paces;        /* what it asks for -> struct pace */
    size_t ready;             /* jobs in the queues of its groups */
    struct map *families;     /* number -> struct family; NULL: none so far */
    struct order_entry turn;  /* in its band (share.h); us */
    size_t band;
    bool runs;     /* it could give out jobs when share.c last looked */
    double weight; /* of its share; 0: 1 */

    struct use *uses;
    uint64_t jobs[JOB_STATES]; /* of its uses; frozen when it ends */
    uint64_t known, computed;
    struct stage *stages;
    size_t stage_count;
    uint32_t *stage_at; /* by stage_job.index: number in `stages`, and 1; 0:
                           not there yet. NULL: none so far */

    bool has_best;
    uint64_t best_trial;  /* best replicate of the best point */
    struct estimate best; /* of that point */
    double *scores;       /* objective by trial; NULL: one replicate only */

    int64_t ring[RATE_RING]; /* when the last trials ended, ns */
    size_t ring_count;
};

struct token_list {
    struct wire_token *items;
    size_t count, room;
};

struct session {
    struct peer peer;
    uint64_t number;
    char *name, *labels, *kinds, *version;
    uint64_t incarnation;
    struct session *namesake; /* another one of that name; or NULL */
    struct bucket hellos;
    uint64_t slots, cpus;
    int64_t memory_bytes;   /* 0: unknown */
    int64_t memory_used;    /* asked for by its jobs */
    const char **kind_list; /* interned */
    size_t kind_count;      /* 0: any */
    struct sched *sched;
    struct ring place;      /* in one of the lists of dispatch.c */
    struct ring speaks;     /* has been spoken with in this tick */
    size_t holder;          /* its number for locality.c */
    char *address;          /* where it serves its cache; NULL: it does not */
    struct lending lending; /* to others: lend.h */
    uint8_t *serves;        /* by shape: resources.c */
    size_t serves_count;
    bool hasty;    /* its last HELLO was not listened to */
    bool told;     /* locality.c knows something of its cache */
    bool cordoned; /* gets nothing new */
    bool connected, suspect, draining;
    bool owed;        /* outcomes of it were not taken for want of room */
    struct job *solo; /* a suspect that it runs alone; NULL: none */
    bool reserved;    /* gets nothing until it is idle, then a suspect */
    int64_t seen_at, seen_wall_ms, lease_ends, changed_at;
    unsigned differs; /* heartbeats in a row whose view was not ours */
    struct job *first, *last;
    size_t running;
    size_t units;           /* they were given in */
    uint64_t load;          /* slots that these take, some only later */
    uint64_t retracting;    /* jobs it was asked for */
    int64_t expected;       /* of its jobs, us of worker time */
    struct group *kept_for; /* gets nothing else until that fits; or NULL */
    uint64_t running_sum;
    struct token_list committed, stale, cancel, retract; /* to be sent at
                                                            the tick */
    struct job **batch; /* to be assigned at the tick */
    size_t batch_count, batch_room;
};

/* A worker whose lease ran out. */
struct gone {
    const char *name; /* interned */
    int64_t at;       /* ns */
};

/* A client that wants to hear of the end of a sweep. */
struct waiter {
    struct peer peer;
    uint64_t request;
    struct sweep *sweep;
    int64_t until;
};

struct sched {
    struct sched_settings settings;
    char *depot, *version;
    uint64_t epoch;
    uint64_t order; /* records so far */
    uint64_t ties;
    uint64_t mark;
    struct share share;
    struct map *shapes;   /* what jobs ask for -> its number; may be NULL */
    struct ring hungry;   /* sessions that may have room for a job */
    struct ring parked;   /* idle ones that nothing in the queues suited */
    struct ring speaking; /* sessions that may have to be told something */
    uint64_t queued;      /* jobs at workers that no slot can have begun */
    int64_t next_retract; /* ns: no worker is asked for jobs before */
    uint64_t news;        /* raised when idle workers may find work again */
    uint64_t news_seen;   /* by the last dispatch_run() */
    struct locality *locality; /* NULL: nobody has asked yet */
    uint64_t fetches;          /* workers that fetch from one origin */
    int64_t look_again; /* ns: then a worker has waited for a better one */
    struct map *fenced; /* names of workers that are cordoned or drained */
    uint64_t units;     /* ever */
    uint64_t rounds;    /* of dispatch_run() */
    uint64_t given;     /* units, in this round */
    uint64_t sessions_ever;
    struct sched_time t;
    struct outbox *out; /* of the running call; NULL while replaying */

    struct map *names; /* text -> the interned text */
    struct table *jobs;
    uint32_t openings; /* sweeps submitted or opened again, ever */
    struct expansion_scratch *scratch;
    struct buf loading;  /* a piece of a snapshot that is continued */
    size_t pieces_known; /* pieces with full segments that were loaded */
    uint64_t job_count[JOB_STATES];
    struct heap backoff;
    struct heap suspects; /* READY ones; in no queue of a group */
    bool isolating;       /* there are some, or were when one ran alone */

    struct sweep **sweeps; /* in order of submission */
    size_t sweep_count, sweep_room;
    struct map *sweeps_by_id;
    struct sweep **live; /* RUNNING ones, in order of submission */
    size_t live_count;
    bool expand_more;

    struct map *sessions;    /* peer id -> struct session */
    struct map *named;       /* name -> the last one of that name that came */
    struct bucket newcomers; /* workers nobody knew */
    int64_t memory_most;     /* of a worker that ever was here */
    struct map *known;       /* name -> incarnation of workers, by the log */
    size_t rotor;            /* where the next round of dispatch begins */
    struct collect *collect; /* the one that marks; NULL: none */
    uint32_t *forgotten;     /* rows of the ledger that are results no more */
    size_t forgotten_count, forgotten_room;
    struct gone *gone; /* workers that vanished of late */
    size_t gone_count, gone_room;
    int64_t next_scan;     /* of leases */
    int64_t recovery_ends; /* no assignments before; 0: over */

    struct waiter *waiters;
    size_t waiter_count, waiter_room;

    char *store_error;
    int64_t held_until;     /* ns: the store was away until then; 0: never */
    uint64_t backlog_bytes; /* that wait for the store */
    bool full;              /* no more may */
    struct demand demand;
    struct sched_stats stats;
};

/* The one copy of a text; lives as long as the scheduler. */
const char *sched_intern(struct sched *s, const char *text, size_t size);
/* A copy with every byte that is not UTF-8, or NUL, replaced. */
char *sched_clean(struct wire_bytes bytes);
/* Count a record and put it out. */
MUST_CHECK struct status sched_record(struct sched *s,
                                      const struct wire_message *m);

#endif
