/* wire.h -- every message there is, as one table (wire.c).
 *
 * On the wire a message is one ZeroMQ frame (a slot's socket puts a length
 * before it): 8 bytes of header, then one MessagePack array of the message's
 * fields in the order of its row.
 *
 *     'S' 'N' major type flags minor 0 0
 *
 * Flags are 0 (a set one is refused), minor and the last two are not looked
 * at. Texts and bytes are written as bin, read as bin or str; a record is an
 * array of its fields, a list an array of records. common/wire_table.c has
 * the rows.
 *
 * Rules for the next editor: fields are only ever added at the end of a row;
 * a reader ignores extra elements and leaves missing ones zero. A change that
 * cannot be made so raises WIRE_MAJOR. tests/golden/wire/ holds each message
 * of each version in bytes.
 *
 * The same codec writes the records of the store, so there is one format. */
#ifndef SINTER_COMMON_WIRE_H
#define SINTER_COMMON_WIRE_H

#include "common/buf.h"
#include "common/digest.h"
#include "common/status.h"

#include <stddef.h>
#include <stdint.h>

enum { WIRE_MAJOR = 1, WIRE_MINOR = 0, WIRE_HEADER = 8 };

/* A run of bytes; text is UTF-8 without NUL inside. Decoded ones point into
 * the message that was decoded and are followed by no NUL. */
struct wire_bytes {
    const char *data;
    size_t size;
};

/* Which run of which job. Runs of one job are ordered by (epoch, attempt);
 * only the newest may commit. */
struct wire_token {
    struct digest key;
    uint64_t epoch;   /* the broker's, raised at each start */
    uint64_t attempt; /* of the job, from 1 */
};

struct wire_tokens {
    struct wire_token *items;
    size_t count;
};

/* One finished input of an assigned job. */
struct wire_input {
    struct digest key;
    struct wire_bytes result; /* JSON, as its job returned it */
};

struct wire_inputs {
    struct wire_input *items;
    size_t count;
};

/* A worker that has what the job reads and serves it: a source or an artifact,
 * named as in struct wire_cached. */
struct wire_holder {
    struct digest source;
    struct wire_bytes address; /* "http://HOST:PORT" */
};

struct wire_holders {
    struct wire_holder *items;
    size_t count;
};

struct wire_assignment {
    struct wire_token token;
    struct wire_bytes kind;   /* "train", "evaluate.accuracy" ... */
    struct wire_bytes params; /* canonical JSON */
    struct wire_bytes label;  /* for people: "quickstart #12 eval copy" */
    int64_t stall_ms;         /* no progress for so long: killed; 0: never */
    int64_t limit_ms;         /* ran so long: killed; 0: never */
    int64_t memory_bytes;     /* asked for; 0: unknown */
    struct wire_inputs inputs;
    /* Jobs of one number, given by one epoch, should run in one slot, one
     * after the other: they can share a read of their inputs. 0: none. */
    uint64_t batch;
    uint64_t solo; /* 1: nothing else runs on the worker meanwhile */
    uint64_t cpus; /* asked for; 0: those of one slot */
    struct wire_holders holders; /* of one source in the order to be asked */
};

struct wire_assignments {
    struct wire_assignment *items;
    size_t count;
};

/* A job that the slot will most likely be given next. */
struct wire_sibling {
    struct wire_bytes params;
};

struct wire_siblings {
    struct wire_sibling *items;
    size_t count;
};

/* How one run of a job ended. */
struct wire_outcome {
    struct wire_token token;
    uint64_t code;             /* enum status_code; SUCCESS: result is set */
    struct wire_bytes message; /* why not; empty on success */
    struct wire_bytes result;  /* JSON object; empty on failure */
    struct wire_bytes log;     /* last lines the job wrote */
    int64_t wall_ms;
    int64_t peak_bytes;    /* resident, of the slot */
    uint64_t crashed;      /* 1: the slot died, nobody gave a verdict; 3: it
                              was killed for want of memory */
    int64_t bytes_read;    /* of models, by merges made for it */
    int64_t bytes_fetched; /* from the network */
    uint64_t model;        /* enum job_model: where its merge came from */
    int64_t bytes_pulled;  /* of those fetched, from other workers */
    uint64_t pulls_failed; /* holders that did not give what they should have */
};

struct wire_outcomes {
    struct wire_outcome *items;
    size_t count;
};

/* What lies in a worker's cache: a source by the SHA-256 of its URL, as jobs
 * name it, an artifact by its digest; and its bytes there. */
struct wire_cached {
    struct digest source;
    uint64_t bytes;
    uint64_t served; /* 1: whole, and provable to whoever fetches it there */
};

struct wire_cached_list {
    struct wire_cached *items;
    size_t count;
};

struct wire_evicted {
    struct digest source;
};

struct wire_evicted_list {
    struct wire_evicted *items;
    size_t count;
};

struct wire_progress {
    struct wire_token token;
    uint64_t done, total;   /* 0 of 0: unknown */
    struct wire_bytes unit; /* "step", "item", "byte" */
};

struct wire_progresses {
    struct wire_progress *items;
    size_t count;
};

/* Numbers are on the wire: append only. */
enum wire_type {
    /* worker to broker */
    WIRE_HELLO = 1,
    WIRE_HEARTBEAT = 2,
    WIRE_DONE = 3,
    WIRE_BYE = 4,
    WIRE_LOG = 5,
    WIRE_RETRACTED = 6,
    WIRE_CACHE = 7,
    /* broker to worker */
    WIRE_WELCOME = 16,
    WIRE_ASSIGN = 17,
    WIRE_COMMITTED = 18,
    WIRE_STALE = 19,
    WIRE_CANCEL = 20,
    WIRE_HEARTBEAT_ACK = 21,
    WIRE_DRAIN = 22,
    WIRE_RETRACT = 23,
    /* client to broker */
    WIRE_SUBMIT = 32,
    WIRE_QUERY = 33,
    /* broker to client */
    WIRE_ACCEPTED = 48,
    WIRE_ANSWER = 49,
    /* broker to anyone */
    WIRE_NOT_LEADER = 60,
    WIRE_BUSY = 61,
    WIRE_ERROR = 62,
    /* worker to slot and back, over their own socket pair */
    WIRE_SLOT_RUN = 64,
    WIRE_SLOT_PROGRESS = 65,
    WIRE_SLOT_DONE = 66,
    WIRE_SLOT_LOG = 67,
    /* records of the store */
    WIRE_RECORD_START = 96,
    WIRE_RECORD_SWEEP = 97,
    WIRE_RECORD_RESULT = 98,
    WIRE_RECORD_FAILURE = 99,
    WIRE_RECORD_COMMAND = 100,
    WIRE_RECORD_JOB = 101,
    WIRE_RECORD_PART = 102,
    WIRE_TYPE_END = 128,
};

struct wire_message {
    enum wire_type type;

    union {
        /* First message of a connection, again after each reconnect. */
        struct wire_hello {
            struct wire_bytes worker; /* name, for people; unique per farm */
            uint64_t incarnation;     /* random, new at each process start */
            uint64_t least_major, most_major;
            uint64_t slots;
            uint64_t cpus;
            int64_t memory_bytes;
            struct wire_bytes labels;   /* "zone=a gpu=0" */
            struct wire_bytes kinds;    /* names with blanks between */
            struct wire_bytes version;  /* of the program */
            struct wire_tokens running; /* in slots or spooled results */
            struct wire_cached_list cache;
            uint64_t replaces; /* 1: earlier processes of that name are dead,
                                  as who started this one saw */
            struct wire_bytes address; /* where it serves its cache to other
                                          workers; empty: it does not */
        } hello;

        /* Renews all leases when (count, sum) equal the broker's view. */
        struct wire_heartbeat {
            uint64_t sequence;
            uint64_t running_count;
            uint64_t running_sum; /* xor of wire_token_hash() */
            uint64_t free_slots;
            struct wire_progresses progress;
        } heartbeat;

        struct wire_done {
            struct wire_outcomes outcomes;
        } done;

        struct wire_bye {
            struct wire_bytes reason;
            struct wire_tokens unstarted; /* handed back, nobody's fault */
        } bye;

        struct wire_log {
            struct wire_token token;
            struct wire_bytes text;
        } log;

        /* What changed in its cache since HELLO or the last of these. */
        struct wire_cache {
            struct wire_cached_list added;
            struct wire_evicted_list removed;
        } cache;

        struct wire_welcome {
            uint64_t epoch;
            uint64_t session;
            int64_t heartbeat_ms;
            int64_t lease_ms;
            struct wire_bytes depot; /* base URL of the artifact store */
            struct wire_tokens drop; /* running there, wanted no more */
        } welcome;

        struct wire_assign {
            struct wire_assignments jobs;
        } assign;

        struct wire_token_list {
            struct wire_tokens tokens;
        } committed, stale, cancel;
        /* Taken back, if no slot has begun them: RETRACTED says which. */
        struct wire_token_list retract, retracted;

        struct wire_heartbeat_ack {
            uint64_t sequence;
            uint64_t epoch;
            uint64_t say_hello; /* 1: views differ, send HELLO again */
        } heartbeat_ack;

        struct wire_drain {
            struct wire_bytes reason;
        } drain;

        struct wire_submit {
            uint64_t request;              /* echoed in the reply */
            struct wire_bytes idempotency; /* same text: same sweep */
            struct wire_bytes compiled;    /* JSON, sweep/compiled.h */
            uint64_t takes_busy;           /* 1: it knows BUSY; 0: ERROR */
        } submit;

        /* One question or command: broker/queries.c has the table. */
        struct wire_query {
            uint64_t request;
            struct wire_bytes verb;      /* "status", "cancel" ... */
            struct wire_bytes arguments; /* JSON object */
            uint64_t takes_busy;         /* as in submit */
        } query;

        struct wire_accepted {
            uint64_t request;
            struct wire_bytes sweep; /* its id: "s-7f3a91" */
            uint64_t duplicate;      /* 1: was there already */
        } accepted;

        struct wire_answer {
            uint64_t request;
            uint64_t code; /* enum status_code */
            struct wire_bytes message;
            struct wire_bytes body; /* JSON document on success */
        } answer;

        struct wire_error {
            uint64_t request; /* 0: not an answer to one */
            uint64_t code;
            struct wire_bytes message;
        } error;

        /* The answer to a request that would change something: not now.
         * Nothing was done; the same request may be sent again. */
        struct wire_busy {
            uint64_t request;
            int64_t retry_after_ms;   /* no sooner */
            struct wire_bytes reason; /* for people */
        } busy;

        /* The answer to whatever was said: another broker leads. */
        struct wire_not_leader {
            struct wire_bytes address; /* of its side that was spoken to here;
                                          empty: not known */
            uint64_t epoch;            /* 0: not known */
        } not_leader;

        struct wire_slot_run {
            struct wire_assignment job;
            struct wire_bytes depot;
            struct wire_siblings siblings; /* in the order they will run */
        } slot_run;

        struct wire_slot_progress {
            uint64_t done, total;
            struct wire_bytes unit;
        } slot_progress;

        struct wire_slot_done {
            struct wire_outcome outcome;
        } slot_done;

        struct wire_slot_log {
            struct wire_bytes text;
        } slot_log;

        /* A broker took over. */
        struct wire_record_start {
            uint64_t epoch;
            int64_t wall_ms;
            struct wire_bytes version;
        } record_start;

        struct wire_record_sweep {
            struct wire_bytes id;
            struct wire_bytes idempotency;
            struct wire_bytes compiled;
            int64_t wall_ms;
        } record_sweep;

        /* A key has its one result. */
        struct wire_record_result {
            struct wire_token token;
            struct wire_bytes kind;
            struct wire_bytes result;
            struct wire_bytes log;
            struct wire_bytes worker;
            int64_t wall_ms; /* run time */
            int64_t at_ms;   /* when, 1970 */
            int64_t peak_bytes;
            int64_t bytes_read; /* these three as in wire_outcome */
            int64_t bytes_fetched;
            uint64_t model;
        } record_result;

        struct wire_record_failure {
            struct wire_token token;
            uint64_t code;
            uint64_t crashed;  /* enum in broker/core/state.h */
            uint64_t terminal; /* 1: no retry follows */
            struct wire_bytes message;
            struct wire_bytes log;
            struct wire_bytes worker;
            int64_t at_ms;
            int64_t memory_floor; /* the next run needs so much; 0: as asked */
        } record_failure;

        /* cancel, retry, pause ... of a sweep, in the order accepted. */
        struct wire_record_command {
            struct wire_bytes verb;
            struct wire_bytes arguments; /* JSON */
            int64_t at_ms;
        } record_command;

        /* Only in snapshots: a job that failed, for good or so far. */
        struct wire_record_job {
            struct wire_token token;
            struct wire_bytes kind;
            uint64_t failures, crashes;
            uint64_t suspect, settled, terminal; /* 1: so it is */
            int64_t memory_floor;
            uint64_t code;
            struct wire_bytes message;
            struct wire_bytes log;
            struct wire_bytes worker;
            int64_t at_ms;
        } record_job;

        /* Only in snapshots: a long row of a sweep, or some of it. */
        struct wire_record_part {
            struct wire_bytes sweep;
            struct wire_bytes what; /* broker/core/snapshot_sweep.c */
            uint64_t from;
            struct wire_bytes data;
        } record_part;
    };
};

/* Append the message to `out`. TOO_BIG beyond what a message of its type
 * may have (wire_table.h); INVALID for
 * text that is not UTF-8 where a name is wanted is not checked here. */
MUST_CHECK struct status wire_encode(const struct wire_message *m,
                                     struct buf *out);

/* A decoded message; it points into `data`, which must outlive it. */
struct wire_decoded {
    struct wire_message message;
    void *lists; /* memory of its lists */
};

/* CORRUPT for anything that is no message of ours: every announced length and
 * count is checked against the bytes left before memory is taken, nesting
 * against LIMIT_MESSAGE_DEPTH, counts against LIMIT_BATCH. INVALID for
 * another major version. */
MUST_CHECK struct status wire_decode(const void *data, size_t size,
                                     struct wire_decoded *ret_decoded);
void wire_release(struct wire_decoded *decoded);

/* NULL for a number that is no message. For logs, tests, the manual. */
const char *wire_name(enum wire_type type);

uint64_t wire_token_hash(const struct wire_token *t);
bool wire_token_equal(const struct wire_token *a, const struct wire_token *b);

/* A borrowed view of a C text; "" for NULL. */
struct wire_bytes wire_text(const char *text);
/* A copy with a NUL behind; the caller frees. */
char *wire_take(struct wire_bytes bytes);
bool wire_is(struct wire_bytes bytes, const char *text);

#endif
