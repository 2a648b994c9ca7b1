#include "broker/core/outbox.h"

#include "common/limits.h"
#include "common/memory.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Above this the memory of one busy moment is given back. */
enum { KEEP_BYTES = 4 << 20 };

void outbox_init(struct outbox *o)
{
    *o = (struct outbox){ 0 };
    /* What may pile up is bounded by what workers and clients may have
     * outstanding, not here. */
    buf_init(&o->bytes, SIZE_MAX / 2);
}

void outbox_release(struct outbox *o)
{
    buf_release(&o->bytes);
    free(o->records);
    free(o->messages);
    free(o->notes);
}

void outbox_clear(struct outbox *o)
{
    if (o->bytes.room > KEEP_BYTES) {
        outbox_release(o);
        outbox_init(o);
    }
    buf_clear(&o->bytes);
    o->record_count = 0;
    o->message_count = 0;
    o->work_unsent = 0;
    o->sent_bytes = 0;
    o->note_count = o->notes_dropped = 0;
}

/* Move `size` bytes at `at` behind what is kept so far. */
static size_t keep(struct outbox *o, struct buf *kept, size_t at, size_t size)
{
    size_t to = kept->size;
    struct status st = buf_add(kept, o->bytes.data + at, size);

    assert(!status_failed(&st));
    return to;
}

void outbox_compact(struct outbox *o, size_t appended)
{
    struct buf kept;
    size_t records = 0;
    size_t messages = 0;

    buf_init(&kept, SIZE_MAX / 2);
    for (size_t i = appended; i < o->record_count; i++) {
        struct outbox_record r = o->records[i];

        r.at = keep(o, &kept, r.at, r.size);
        o->records[records++] = r;
    }
    for (size_t i = 0; i < o->message_count; i++) {
        struct outbox_message m = o->messages[i];

        if (m.sent)
            continue;
        m.at = keep(o, &kept, m.at, m.size);
        o->messages[messages++] = m;
    }
    buf_release(&o->bytes);
    o->bytes = kept;
    o->record_count = records;
    o->message_count = messages;
    o->sent_bytes = 0;
}

MUST_CHECK static struct status encode(struct outbox *o,
                                       const struct wire_message *m,
                                       size_t *ret_at, size_t *ret_size)
{
    size_t at = o->bytes.size;
    struct status st = wire_encode(m, &o->bytes);

    if (!status_failed(&st) && o->bytes.size - at > LIMIT_MESSAGE)
        st = FAIL(STATUS_TOO_BIG, "a %s message of %zu bytes, at most %d",
                  wire_name(m->type), o->bytes.size - at, LIMIT_MESSAGE);
    if (status_failed(&st)) {
        o->bytes.size = at;
        return st;
    }
    *ret_at = at;
    *ret_size = o->bytes.size - at;
    return SUCCESS;
}

struct status outbox_record(struct outbox *o, const struct wire_message *m)
{
    struct outbox_record r;

    TRY_PLAIN(encode(o, m, &r.at, &r.size));
    if (o->record_count == o->record_room) {
        o->record_room = o->record_room == 0 ? 64 : 2 * o->record_room;
        o->records = xrealloc(o->records, o->record_room * sizeof r);
    }
    o->records[o->record_count++] = r;
    return SUCCESS;
}

struct status outbox_send(struct outbox *o, struct peer peer,
                          const struct wire_message *m, bool early)
{
    struct outbox_message to = { .peer = peer,
                                 .early = early,
                                 .work = m->type == WIRE_ASSIGN };

    TRY_PLAIN(encode(o, m, &to.at, &to.size));
    if (o->message_count == o->message_room) {
        o->message_room = o->message_room == 0 ? 64 : 2 * o->message_room;
        o->messages = xrealloc(o->messages, o->message_room * sizeof to);
    }
    o->messages[o->message_count++] = to;
    o->work_unsent += to.work;
    return SUCCESS;
}

/* Small ones always fit. */
static void send_small(struct outbox *o, struct peer peer,
                       const struct wire_message *m, bool early)
{
    struct status st = outbox_send(o, peer, m, early);

    assert(!status_failed(&st));
}

static void answer_failure(struct outbox *o, struct peer peer, uint64_t request,
                           const struct status *st, bool early)
{
    struct wire_message m = { .type = WIRE_ANSWER };

    m.answer.request = request;
    m.answer.code = st->code;
    m.answer.message = wire_text(st->message);
    send_small(o, peer, &m, early);
}

void outbox_answer(struct outbox *o, struct peer peer, uint64_t request,
                   const struct status *st, const json_t *body, bool early)
{
    struct wire_message m = { .type = WIRE_ANSWER };
    AUTO(free_pointer) char *text = NULL;
    struct status sent;

    if (status_failed(st)) {
        answer_failure(o, peer, request, st, early);
        return;
    }
    text = body == NULL ? xstrdup("{}") : json_shown_line(body);
    m.answer.request = request;
    m.answer.body = wire_text(text);
    sent = outbox_send(o, peer, &m, early);
    if (status_failed(&sent)) {
        sent = FAIL(STATUS_TOO_BIG,
                    "the answer has %zu bytes: ask for less "
                    "at a time (\"limit\")",
                    strlen(text));
        answer_failure(o, peer, request, &sent, early);
    }
}

void outbox_answer_read(struct outbox *o, struct peer peer, uint64_t request,
                        const struct status *st, const json_t *body)
{
    outbox_answer(o, peer, request, st, body, false);
    o->messages[o->message_count - 1].read = true;
}

void outbox_error(struct outbox *o, struct peer peer, uint64_t request,
                  const struct status *st)
{
    struct wire_message m = { .type = WIRE_ERROR };

    m.error.request = request;
    m.error.code = st->code;
    m.error.message = wire_text(st->message);
    send_small(o, peer, &m, true);
}

void outbox_note(struct outbox *o, bool is_trouble, const char *event,
                 const char *format, ...)
{
    struct outbox_note *note;
    va_list args;

    if (o->note_count == OUTBOX_NOTES) {
        o->notes_dropped++;
        return;
    }
    if (o->notes == NULL)
        o->notes = xcalloc(OUTBOX_NOTES, sizeof *o->notes);
    note = &o->notes[o->note_count++];
    note->is_trouble = is_trouble;
    note->event = event;
    va_start(args, format);
    (void)vsnprintf(note->fields, sizeof note->fields, format, args);
    va_end(args);
}
