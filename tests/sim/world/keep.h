/* keep.h -- the store of the simulated world: a log with a durable and a
 * volatile part, pieces of snapshots, and the leader's key, reached over
 * connections that may fail before or after a call was carried out. It keeps
 * the contract of broker/store.h as the Redis back end does: ids fence, what
 * is sent again is appended once, what was forgotten is written again from
 * the memory of the one who had written it. */
#ifndef SINTER_TESTS_SIM_WORLD_KEEP_H
#define SINTER_TESTS_SIM_WORLD_KEEP_H

#include "broker/store.h"
#include "tests/sim/world/process.h"

struct keep_weather {
    int64_t delay_most; /* ns, of a call, each way */
    unsigned slow;      /* permille of calls that take up to 3 s */
    unsigned refuse;    /* ... that are lost on the way there */
    unsigned unknown;   /* ... whose answer is lost */
    unsigned prefix;    /* ... appends of which only a part is done */
    unsigned full;      /* ... that find no space */
    bool everysec;      /* what is acknowledged is synced up to 1 s later */
    int64_t down_until; /* for all */
    int64_t cut_until;  /* for this process */
    const struct process *cut;
};

extern struct keep_weather keep_weather;

/* Rules that may be broken, to see whether it is noticed. */
struct keep_sabotage {
    bool no_fence;    /* older epochs may write */
    bool twice;       /* what is sent again is appended again */
    bool forgets;     /* an acknowledged record is not there on replay */
    bool never_trims; /* a snapshot frees nothing */
    /* May give another record. NULL: none does. */
    void (*alter)(struct store_record *r);
};

extern struct keep_sabotage keep_sabotage;

void keep_begin(void);
/* A handle of the running process. */
struct store keep_open(void);

/* The epoch that may write; its process, which NULL means none. */
uint64_t keep_writer(void);
const struct process *keep_writer_process(void);
/* May its end be forgotten, and its writer write it again? */
bool keep_may_lose(void);
/* The store dies and comes back without what it had not synced. */
void keep_lose(void);
/* Everything is deleted. */
void keep_flush(void);
/* What keep_lose() or keep_flush() took is there again. */
bool keep_is_whole(void);

/* Records behind the snapshot. */
size_t keep_tail(void);
/* Everything that a broker would read now; of the whole history with `all`.
 * No process is asked. */
MUST_CHECK struct status keep_read(const struct store_visitor *visitor,
                                   bool all);

#endif
