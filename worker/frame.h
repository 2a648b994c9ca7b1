/* frame.h -- messages over the socket between a worker and its slot: a u32
 * length, little-endian, before each wire message. */
#ifndef SINTER_WORKER_FRAME_H
#define SINTER_WORKER_FRAME_H

#include "common/buf.h"
#include "common/wire.h"

#include <stdbool.h>

enum { FRAME_HEAD = 4 };

/* Append the framed message to `out`. */
MUST_CHECK struct status frame_add(struct buf *out,
                                   const struct wire_message *m);

/* Bytes read and not yet taken. */
struct frame_reader {
    int fd; /* borrowed */
    struct buf bytes;
    size_t used; /* of `bytes`, by frames already given */
    bool ended;  /* the peer closed */
};

void frame_reader_init(struct frame_reader *r, int fd);
void frame_reader_release(struct frame_reader *r);

/* Take what the socket has now (a blocking one: at least a byte). An end is
 * not a failure: `ended` is set. */
MUST_CHECK struct status frame_read(struct frame_reader *r);
/* The next whole message; ret_got is false if there is none yet. It points
 * into the reader and is valid until the next frame_read(); release it with
 * wire_release(). CORRUPT ends the conversation. */
MUST_CHECK struct status frame_next(struct frame_reader *r,
                                    struct wire_decoded *ret_decoded,
                                    bool *ret_got);

/* Leave the bytes of the messages given so far to the caller, who releases
 * them: those messages stay valid while more is read. */
MUST_CHECK struct status frame_hold(struct frame_reader *r,
                                    struct buf *ret_held);

#endif
