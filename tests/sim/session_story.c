#include "tests/sim/session_story.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "support/test.h"

#include "common/clock.h"
#include "common/memory.h"

__attribute__((format(printf, 2, 3))) static void note(struct story *s,
                                                       const char *format, ...)
{
    va_list args;

    va_start(args, format);
    s->used += (size_t)vsnprintf(s->trace + s->used, sizeof s->trace - s->used,
                                 format, args);
    va_end(args);
    assert_true(s->used < sizeof s->trace);
}

static void note_tokens(struct story *s, const struct wire_tokens *t)
{
    for (size_t i = 0; i < t->count; i++)
        note(s, " %d/%d", t->items[i].key.bytes[0], (int)t->items[i].attempt);
}

static void note_outcome(struct story *s, const struct wire_outcome *o)
{
    note(s, " %d/%d=%s", o->token.key.bytes[0], (int)o->token.attempt,
         status_name((enum status_code)o->code));
    if (o->crashed)
        note(s, "!");
    if (o->message.size > 0)
        note(s, " \"%.*s\"", (int)o->message.size, o->message.data);
    if (o->result.size > 0)
        note(s, " %.*s", (int)o->result.size, o->result.data);
    if (o->wall_ms > 0)
        note(s, " after %d ms", (int)o->wall_ms);
}

static void note_message(struct story *s, const struct wire_message *m)
{
    switch ((int)m->type) {
    case WIRE_HELLO:
        note(s, "hello slots=%d", (int)m->hello.slots);
        note_tokens(s, &m->hello.running);
        break;
    case WIRE_HEARTBEAT:
        note(s, "heartbeat %d held, %d free", (int)m->heartbeat.running_count,
             (int)m->heartbeat.free_slots);
        for (size_t i = 0; i < m->heartbeat.progress.count; i++) {
            const struct wire_progress *p = &m->heartbeat.progress.items[i];

            note(s, ", %d at %d of %d %.*s", p->token.key.bytes[0],
                 (int)p->done, (int)p->total, (int)p->unit.size, p->unit.data);
        }
        break;
    case WIRE_DONE:
        note(s, "done");
        for (size_t i = 0; i < m->done.outcomes.count; i++)
            note_outcome(s, &m->done.outcomes.items[i]);
        break;
    case WIRE_BYE:
        note(s, "bye \"%.*s\"", (int)m->bye.reason.size, m->bye.reason.data);
        note_tokens(s, &m->bye.unstarted);
        break;
    case WIRE_LOG:
        note(s, "log %d %.*s", m->log.token.key.bytes[0],
             (int)m->log.text.size - 1, m->log.text.data);
        break;
    default:
        note(s, "message %d", (int)m->type);
        break;
    }
}

static void note_action(struct story *s, const struct session_action *a)
{
    static const char *const names[] = { "",     "",     "reopen", "start",
                                         "tell", "stop", "kill",   "exit" };

    if (s->quiet && a->type == SESSION_SEND &&
        a->message->type == WIRE_HEARTBEAT)
        return;
    note(s, "[%5d] ", (int)(s->now / NS_PER_MS));
    if (a->type == SESSION_SEND) {
        note_message(s, a->message);
        note(s, s->deaf ? " (lost)" : "");
    } else if (a->type == SESSION_REOPEN || a->type == SESSION_EXIT) {
        note(s, "%s", names[a->type]);
    } else {
        note(s, "%s slot %d", names[a->type], (int)a->slot);
    }
    if (a->type == SESSION_TELL)
        note(s, " depot=%.*s", (int)a->message->welcome.depot.size,
             a->message->welcome.depot.data);
    if (a->type == SESSION_START)
        note(s, " with %d depot=%.*s",
             a->message->slot_run.job.token.key.bytes[0],
             (int)a->message->slot_run.depot.size,
             a->message->slot_run.depot.data);
    note(s, "\n");
}

void story_settle(struct story *s)
{
    struct session_action a;

    while (session_next(s->session, s->now, &a)) {
        note_action(s, &a);
        if (a.type == SESSION_SEND && s->deaf)
            session_on_unsent(s->session, s->now);
    }
}

struct story *story_new(uint64_t slots, int64_t memory)
{
    const struct session_config config = { .worker = "w",
                                           .slots = slots,
                                           .memory_bytes = memory,
                                           .labels = "",
                                           .kinds = "evaluate.noop",
                                           .version = "1",
                                           .drain_ms = STORY_DRAIN_MS };
    struct story *s = xnew(struct story);

    s->session = session_new(&config, 0);
    story_settle(s);
    return s;
}

void story_free(struct story *s)
{
    session_free(s->session);
    free(s);
}

void story_expect(struct story *s, const char *trace)
{
    assert_string_equal(s->trace, trace);
    s->used = 0;
    s->trace[0] = '\0';
}

void story_pass(struct story *s, int64_t ms)
{
    int64_t end = s->now + ms * NS_PER_MS;
    int64_t at;

    while ((at = session_deadline(s->session)) <= end) {
        assert_true(at > s->now || !s->deaf || s->now == 0);
        s->now = at > s->now ? at : s->now;
        story_settle(s);
    }
    s->now = end;
}

struct wire_token story_token(int key, int attempt)
{
    return (struct wire_token){ .key = { { (uint8_t)key } },
                                .epoch = 1,
                                .attempt = (uint64_t)attempt };
}

void story_tell(struct story *s, const struct wire_message *m)
{
    session_on_message(s->session, s->now, m);
    story_settle(s);
}

void story_welcome_dropping(struct story *s, struct wire_token *drop,
                            size_t count)
{
    const struct wire_message m = { .type = WIRE_WELCOME,
                                    .welcome = { .epoch = 1,
                                                 .heartbeat_ms =
                                                     STORY_HEARTBEAT_MS,
                                                 .depot = wire_text("D"),
                                                 .drop = { drop, count } } };

    story_tell(s, &m);
}

void story_welcome(struct story *s)
{
    story_welcome_dropping(s, NULL, 0);
}

struct wire_assignment story_job(int key)
{
    return (struct wire_assignment){ .token = story_token(key, 1),
                                     .kind = wire_text("evaluate.noop"),
                                     .params = wire_text("{}"),
                                     .label = wire_text("job") };
}

void story_assign_job(struct story *s, struct wire_assignment *a)
{
    const struct wire_message m = { .type = WIRE_ASSIGN,
                                    .assign = { { a, 1 } } };

    story_tell(s, &m);
}

void story_assign(struct story *s, int key)
{
    struct wire_assignment a = story_job(key);

    story_assign_job(s, &a);
}

void story_tokens(struct story *s, enum wire_type type, int key)
{
    struct wire_token t = story_token(key, 1);
    const struct wire_message m = { .type = type, .committed = { { &t, 1 } } };

    story_tell(s, &m);
}

void story_ack(struct story *s, uint64_t say_hello)
{
    const struct wire_message m = { .type = WIRE_HEARTBEAT_ACK,
                                    .heartbeat_ack = { 1, 1, say_hello } };

    story_tell(s, &m);
}

void story_finish(struct story *s, size_t slot)
{
    const struct wire_outcome o = { .code = STATUS_SUCCESS,
                                    .result = wire_text("{}") };

    session_on_slot_done(s->session, s->now, slot, &o);
    story_settle(s);
}

void story_die(struct story *s, size_t slot)
{
    const struct wire_outcome o = { .code = STATUS_LOST,
                                    .message = wire_text("slot died"),
                                    .crashed = 1 };

    session_on_slot_died(s->session, s->now, slot, &o);
    story_settle(s);
}

void story_progress(struct story *s, size_t slot, uint64_t done)
{
    const struct wire_progress p = { .done = done,
                                     .total = 10,
                                     .unit = wire_text("step") };

    session_on_slot_progress(s->session, s->now, slot, &p);
    story_settle(s);
}

void story_drain(struct story *s)
{
    session_on_drain(s->session, s->now, "SIGTERM");
    story_settle(s);
}

struct story *story_welcomed(uint64_t slots)
{
    struct story *s = story_new(slots, 0);

    story_welcome(s);
    story_expect(s, "[    0] hello slots=2\n");
    s->quiet = true;
    return s;
}
