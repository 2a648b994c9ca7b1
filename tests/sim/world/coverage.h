/* coverage.h -- what has happened in all worlds of this program: each kind of
 * fault and each kind of message, counted, so that a schedule family that
 * brings nothing about any more is noticed. */
#ifndef SINTER_TESTS_SIM_WORLD_COVERAGE_H
#define SINTER_TESTS_SIM_WORLD_COVERAGE_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define FAULTS(X)                                                      \
    X(BROKER_KILL, "broker killed")                                    \
    X(BROKER_PAUSE, "broker stopped for a while")                      \
    X(BROKER_TERM, "broker asked to leave (handover)")                 \
    X(BROKER_USURP, "second broker starts without waiting")            \
    X(TAKEOVER, "a standby took over")                                 \
    X(FENCED, "an older broker was refused by the store")              \
    X(WORKER_KILL, "worker killed")                                    \
    X(WORKER_PAUSE, "worker stopped for a while")                      \
    X(WORKER_TERM, "worker drained")                                   \
    X(CLIENT_KILL, "client killed")                                    \
    X(BREAK, "connection breaks, both ends hear")                      \
    X(HALF_OPEN_ROUTER, "connection breaks, the broker hears nothing") \
    X(HALF_OPEN_DEALER, "connection breaks, the peer hears nothing")   \
    X(HOLD, "one direction stands still")                              \
    X(PARTITION, "a peer cannot reach a broker")                       \
    X(ROUTER_FULL, "router drops a message")                           \
    X(DEALER_FULL, "dealer takes no message")                          \
    X(STORE_DOWN, "store away")                                        \
    X(STORE_CUT, "store away for one broker")                          \
    X(STORE_REFUSED, "call lost on the way to the store")              \
    X(STORE_UNKNOWN, "answer of the store lost")                       \
    X(STORE_PREFIX, "a part of an append was carried out")             \
    X(STORE_FULL, "store has no space")                                \
    X(STORE_SLOW, "call takes seconds")                                \
    X(STORE_LOSS, "store forgets what was not synced")                 \
    X(STORE_FLUSH, "store emptied")                                    \
    X(STORE_PIECES, "store forgets pieces of a snapshot")              \
    X(SNAPSHOT, "snapshot published")                                  \
    X(REBUILD, "store written anew from memory")                       \
    X(WALL_JUMP, "time of day jumps")                                  \
    X(JOB_RETRY, "job fails for now")                                  \
    X(JOB_FAIL, "job fails for good")                                  \
    X(JOB_CRASH, "slot crashes")                                       \
    X(JOB_HANG, "job hangs")                                           \
    X(JOB_MEMORY, "job is killed for want of memory")                  \
    X(JOB_POISON, "job takes its worker down")                         \
    X(JOB_STUBBORN, "job does not end when asked")

#define FAULT_ENUM(name, text) FAULT_##name,
enum fault { FAULTS(FAULT_ENUM) FAULT_COUNT };
#undef FAULT_ENUM

void coverage_fault(enum fault fault);
void coverage_message(const void *data, size_t size);
/* The records in a piece of a snapshot. */
void coverage_piece(const char *data, size_t size);

/* As a table. Returns how many kinds never came about. */
size_t coverage_print(FILE *out);
void coverage_add(const uint64_t *others); /* of another process */
enum { COVERAGE_ROWS = FAULT_COUNT + 128 };
const uint64_t *coverage_counts(void);

#endif
