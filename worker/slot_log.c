#include "worker/slot_log.h"

#include <stdbool.h>
#include <string.h>

#include "common/limits.h"
#include "common/utf8.h"

enum {
    LONGEST_LINE = 4096, /* longer ones are cut in two */
    LONGEST_ADD = 64 << 10,
};

void slot_log_init(struct slot_log *l)
{
    buf_init(&l->raw, LONGEST_LINE + LONGEST_ADD);
    buf_init(&l->line, LONGEST_LINE + 2);
    buf_init(&l->tail, LIMIT_LOG_TAIL);
}

void slot_log_release(struct slot_log *l)
{
    buf_release(&l->raw);
    buf_release(&l->line);
    buf_release(&l->tail);
}

void slot_log_clear(struct slot_log *l)
{
    buf_clear(&l->raw);
    buf_clear(&l->line);
    buf_clear(&l->tail);
}

static void add(struct buf *b, const char *data, size_t size)
{
    struct status st = buf_add(b, data, size);

    if (status_failed(&st)) /* cannot be: pieces are smaller than the room */
        buf_clear(b);
}

static void add_clean(struct buf *out, const char *data, size_t size)
{
    size_t i = 0;

    while (i < size) {
        unsigned char c = (unsigned char)data[i];
        size_t good = utf8_sequence((const unsigned char *)data + i, size - i);

        if (good == 0 || (c < 0x20 && c != '\t') || c == 0x7f) {
            add(out, "?", 1);
            i++;
        } else {
            add(out, data + i, good);
            i += good;
        }
    }
    add(out, "\n", 1);
}

static void keep_tail(struct buf *tail, const char *data, size_t size)
{
    size_t drop;
    const char *end;

    if (tail->size + size > tail->limit) {
        drop = tail->size + size - tail->limit;
        end = memchr(tail->data + drop - 1, '\n', tail->size - drop + 1);
        drop = end == NULL ? tail->size : (size_t)(end - tail->data) + 1;
        memmove(tail->data, tail->data + drop, tail->size - drop);
        tail->size -= drop;
    }
    add(tail, data, size);
}

static void keep_line(struct slot_log *l, size_t from, size_t end)
{
    buf_clear(&l->line);
    add_clean(&l->line, l->raw.data + from, end - from);
    keep_tail(&l->tail, l->line.data, l->line.size);
}

bool slot_log_add(struct slot_log *l, const char *data, size_t size)
{
    size_t from = 0;

    add(&l->raw, data, size);
    for (size_t i = 0; i < l->raw.size; i++) {
        char c = l->raw.data[i];

        if (c != '\n' && c != '\r' && i - from < LONGEST_LINE)
            continue;
        if (i > from || (c == '\n' && (i == 0 || l->raw.data[i - 1] != '\r')))
            keep_line(l, from, i);
        from = c == '\n' || c == '\r' ? i + 1 : i;
    }
    if (from == 0)
        return false;
    memmove(l->raw.data, l->raw.data + from, l->raw.size - from);
    l->raw.size -= from;
    return true;
}

void slot_log_end(struct slot_log *l)
{
    if (l->raw.size > 0)
        keep_line(l, 0, l->raw.size);
    buf_clear(&l->raw);
}

struct wire_bytes slot_log_tail(const struct slot_log *l)
{
    return (struct wire_bytes){ l->tail.data, l->tail.size };
}
