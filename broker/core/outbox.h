/* outbox.h -- what the scheduler wants done: records to be made durable and
 * messages to be sent, encoded. Pure; the loop carries it out. */
#ifndef SINTER_BROKER_CORE_OUTBOX_H
#define SINTER_BROKER_CORE_OUTBOX_H

#include "common/buf.h"
#include "common/json.h"
#include "common/wire.h"

enum {
    OUTBOX_NOTE = 240,  /* bytes of one */
    OUTBOX_NOTES = 256, /* of one turn; more are counted only */
};

/* Which of the broker's two sockets somebody is at. */
enum peer_side { PEER_WORKER, PEER_CLIENT, PEER_SIDES };

/* One connection, named by the link; a number is not used twice. */
struct peer {
    enum peer_side side;
    uint64_t id;
};

struct outbox_message {
    size_t at, size; /* in `bytes` */
    struct peer peer;
    bool early; /* says nothing that rests on the records: need not wait */
    bool read;  /* tells what is known: waits only while the store is well */
    bool work;  /* ASSIGN: the cause of more records */
    bool sent;  /* the loop's note */
};

struct outbox_record {
    size_t at, size;
};

/* A line for the log of who runs the broker; nothing rests on it. */
struct outbox_note {
    bool is_trouble;
    const char *event; /* a literal */
    char fields[OUTBOX_NOTE];
};

struct outbox {
    struct buf bytes;
    struct outbox_record *records;
    size_t record_count, record_room;
    struct outbox_message *messages;
    size_t message_count, message_room;
    size_t work_unsent;        /* messages; the loop counts them off */
    struct outbox_note *notes; /* NULL: none yet */
    size_t note_count, notes_dropped;
    size_t sent_bytes; /* of the messages that were sent; the loop's note */
};

void outbox_init(struct outbox *o);
void outbox_release(struct outbox *o);
/* Forget everything, keep the memory unless it has grown large. */
void outbox_clear(struct outbox *o);

/* Forget the first `appended` records and all messages that were sent; what
 * is left keeps its order. */
void outbox_compact(struct outbox *o, size_t appended);

/* TOO_BIG: nothing was added. */
MUST_CHECK struct status outbox_record(struct outbox *o,
                                       const struct wire_message *m);
MUST_CHECK struct status outbox_send(struct outbox *o, struct peer peer,
                                     const struct wire_message *m, bool early);

/* The reply to a request: `body` (may be NULL: "{}") on success, else the
 * story of the failure. An answer too big for one message becomes a failure
 * that says so. */
void outbox_answer(struct outbox *o, struct peer peer, uint64_t request,
                   const struct status *st, const json_t *body, bool early);
/* The same to one who only asked: what it is shown is durable, unless the
 * store is away. */
void outbox_answer_read(struct outbox *o, struct peer peer, uint64_t request,
                        const struct status *st, const json_t *body);
void outbox_error(struct outbox *o, struct peer peer, uint64_t request,
                  const struct status *st);

/* `format` makes fields as for log_event(). */
void outbox_note(struct outbox *o, bool is_trouble, const char *event,
                 const char *format, ...) PRINTF_LIKE(4, 5);

#endif
