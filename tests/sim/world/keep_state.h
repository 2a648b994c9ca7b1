/* keep_state.h -- what keep.c (the store) and keep_port.c (its handles) share;
 * nobody else includes it. */
#ifndef SINTER_TESTS_SIM_WORLD_KEEP_STATE_H
#define SINTER_TESTS_SIM_WORLD_KEEP_STATE_H

#include "tests/sim/world/keep.h"

enum { KEEP_RETAIN_S = 60 }; /* a broker can write again what is younger */

struct keep_entry {
    struct store_record record;
    int64_t at;
};

/* Grows; the memory is the world's. */
struct keep_log {
    struct keep_entry **items;
    size_t count, room;
};

struct keep_piece {
    struct keep_piece *next;
    char name[STORE_NAME_MOST + 1];
    struct wire_bytes data;
    bool listed; /* in the published snapshot */
    size_t place;
};

/* One connection of a broker. */
struct keep_handle {
    struct process *process;
    uint64_t epoch, acknowledged;
    uint64_t told;          /* the oracle knows of these */
    struct keep_log own;    /* what it wrote in its epoch */
    struct keep_piece *new; /* put() since rebuild() */
    bool rebuilding;
};

struct keep_call;
/* What the store does with a call. */
typedef struct status keep_deed(struct keep_handle *h, struct keep_call *c);

/* A call on its way; what it says is a copy. */
struct keep_call {
    keep_deed *deed;
    struct keep_handle *handle;
    struct status status;
    bool done;
    bool answer_lost;
    struct keep_entry **entries;
    size_t count;
    const char **names;
    struct wire_bytes data;
    uint64_t epoch, sequence;
    struct store_holder me, holder;
    int64_t ttl_ms;
    bool mine;
    struct keep_log log; /* what was read */
    struct keep_piece **pieces;
};

/* A record that only the snapshot has, from which the store was rebuilt. */
void keep_note_covered(struct keep_handle *h, struct keep_entry *e);

void keep_log_add(struct keep_log *log, struct keep_entry *e);

MUST_CHECK keep_deed keep_do_begin, keep_do_read, keep_do_append, keep_do_put,
    keep_do_publish, keep_do_rebuild, keep_do_acquire, keep_do_extend,
    keep_do_release;

#endif
