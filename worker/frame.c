#include "worker/frame.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "common/limits.h"

enum { PIECE = 64 << 10 };

struct status frame_add(struct buf *out, const struct wire_message *m)
{
    const char blank[FRAME_HEAD] = { 0 };
    size_t at = out->size;
    struct status st;
    size_t size;

    TRY_PLAIN(buf_add(out, blank, sizeof blank));
    st = wire_encode(m, out);
    if (status_failed(&st)) {
        out->size = at;
        return st;
    }
    size = out->size - at - FRAME_HEAD;
    for (size_t i = 0; i < FRAME_HEAD; i++)
        out->data[at + i] = (char)(size >> 8 * i & 0xff);
    return SUCCESS;
}

void frame_reader_init(struct frame_reader *r, int fd)
{
    *r = (struct frame_reader){ .fd = fd };
    buf_init(&r->bytes, 2 * (size_t)LIMIT_MESSAGE + PIECE);
}

void frame_reader_release(struct frame_reader *r)
{
    buf_release(&r->bytes);
}

static void drop_used(struct frame_reader *r)
{
    size_t left = r->bytes.size - r->used;

    if (r->used == 0)
        return;
    if (left > 0)
        memmove(r->bytes.data, r->bytes.data + r->used, left);
    r->bytes.size = left;
    r->used = 0;
}

struct status frame_read(struct frame_reader *r)
{
    char piece[PIECE];
    ssize_t got;

    drop_used(r);
    do {
        got = read(r->fd, piece, sizeof piece);
    } while (got < 0 && errno == EINTR);
    if (got > 0)
        return buf_add(&r->bytes, piece, (size_t)got);
    if (got == 0 || errno == ECONNRESET)
        r->ended = true;
    else if (errno != EAGAIN)
        return FAIL(STATUS_UNAVAILABLE, "read the slot's socket: %s",
                    strerror(errno));
    return SUCCESS;
}

struct status frame_next(struct frame_reader *r,
                         struct wire_decoded *ret_decoded, bool *ret_got)
{
    size_t left = r->bytes.size - r->used;
    size_t size = 0;
    const char *at;

    *ret_got = false;
    if (left < FRAME_HEAD)
        return SUCCESS;
    at = r->bytes.data + r->used;
    for (size_t i = 0; i < FRAME_HEAD; i++)
        size |= (size_t)(unsigned char)at[i] << 8 * i;
    if (size > LIMIT_MESSAGE)
        return FAIL(STATUS_CORRUPT, "a frame of %zu bytes, at most %d go", size,
                    (int)LIMIT_MESSAGE);
    if (left < FRAME_HEAD + size)
        return SUCCESS;
    TRY(wire_decode(at + FRAME_HEAD, size, ret_decoded), "frame of a slot");
    r->used += FRAME_HEAD + size;
    *ret_got = true;
    return SUCCESS;
}

struct status frame_hold(struct frame_reader *r, struct buf *ret_held)
{
    struct buf held = r->bytes;
    size_t used = r->used;

    buf_init(&r->bytes, held.limit);
    r->used = 0;
    *ret_held = held;
    return buf_add(&r->bytes, held.data + used, held.size - used);
}
