/* A random walk of one worker: slots, broker and link do what they may in any
 * order. At any time what is held is what was assigned and not settled; with
 * all faults healed everything is answered. */
#include <stdlib.h>

#include "support/test.h"

#include "common/clock.h"
#include "common/wire.h"
#include "worker/core/session.h"

enum { WALK_JOBS = 300, WALK_SLOTS = 3 };

struct walk {
    struct session *session;
    int64_t now; /* ns */
    uint32_t chance;
    bool in_slot[WALK_SLOTS];
    uint64_t batch[WALK_SLOTS]; /* of what runs, if in_slot */
    bool settled[WALK_JOBS];
    bool answered[WALK_JOBS]; /* a DONE with it was sent */
    bool begun[WALK_JOBS];    /* a slot was given it */
    bool back[WALK_JOBS];     /* a RETRACTED with it was sent */
    int assigned;
    bool left;
};

static struct session *start(void)
{
    const struct session_config config = { .worker = "w",
                                           .slots = WALK_SLOTS,
                                           .labels = "",
                                           .kinds = "evaluate.noop",
                                           .version = "1",
                                           .drain_ms = 5000 };

    return session_new(&config, 0);
}

static uint32_t draw(struct walk *w, uint32_t below)
{
    w->chance = w->chance * 1664525U + 1013904223U;
    return (w->chance >> 8) % below;
}

static int number_of(const struct wire_token *t)
{
    return t->key.bytes[0] + 256 * t->key.bytes[1];
}

/* Some alone, others in runs of up to seven. */
static uint64_t batch_of(int i)
{
    return i % 11 < 4 ? 0 : 1 + (uint64_t)i / 11;
}

/* No batch is in two slots at once; siblings are of the batch. */
static void check_batch(struct walk *w, size_t slot,
                        const struct wire_slot_run *run)
{
    w->batch[slot] = run->job.batch;
    assert_int_equal(run->job.batch, batch_of(number_of(&run->job.token)));
    for (size_t i = 0; i < WALK_SLOTS && run->job.batch != 0; i++)
        assert_true(i == slot || !w->in_slot[i] ||
                    w->batch[i] != run->job.batch);
    assert_true(run->siblings.count < 7);
    assert_true(run->siblings.count == 0 || run->job.batch != 0);
}

/* Only what no slot has begun is given back. */
static void note_back(struct walk *w, const struct wire_tokens *tokens)
{
    for (size_t i = 0; i < tokens->count; i++) {
        int number = number_of(&tokens->items[i]);

        assert_false(w->begun[number] || w->answered[number]);
        w->back[number] = true;
    }
}

static void walk_actions(struct walk *w)
{
    struct session_action a;

    while (session_next(w->session, w->now, &a)) {
        if (a.type == SESSION_SEND && draw(w, 4) == 0) {
            session_on_unsent(w->session, w->now);
        } else if (a.type == SESSION_SEND && a.message->type == WIRE_DONE) {
            for (size_t i = 0; i < a.message->done.outcomes.count; i++)
                w->answered[number_of(
                    &a.message->done.outcomes.items[i].token)] = true;
        } else if (a.type == SESSION_SEND &&
                   a.message->type == WIRE_RETRACTED) {
            note_back(w, &a.message->retracted.tokens);
        } else if (a.type == SESSION_START) {
            assert_false(w->in_slot[a.slot]);
            w->in_slot[a.slot] = true;
            w->begun[number_of(&a.message->slot_run.job.token)] = true;
            assert_false(w->back[number_of(&a.message->slot_run.job.token)]);
            check_batch(w, a.slot, &a.message->slot_run);
        } else if (a.type == SESSION_KILL || a.type == SESSION_STOP) {
            assert_true(a.slot < WALK_SLOTS);
        }
    }
}

static struct wire_token walk_token(int i)
{
    return (struct wire_token){
        .key = { { (uint8_t)(i % 256), (uint8_t)(i / 256) } },
        .epoch = 1,
        .attempt = 1,
    };
}

static void walk_settle(struct walk *w, int i, enum wire_type type)
{
    struct wire_token t = walk_token(i);
    const struct wire_message m = { .type = type, .committed = { { &t, 1 } } };

    session_on_message(w->session, w->now, &m);
}

static void walk_slot(struct walk *w, size_t slot, bool dies)
{
    const struct wire_outcome o = { .code = dies ? STATUS_LOST : STATUS_SUCCESS,
                                    .result = wire_text("{}") };

    if (dies)
        session_on_slot_died(w->session, w->now, slot, &o);
    else if (w->in_slot[slot])
        session_on_slot_done(w->session, w->now, slot, &o);
    w->in_slot[slot] = false;
}

static void walk_welcome(struct walk *w)
{
    const struct wire_message m = { .type = WIRE_WELCOME,
                                    .welcome = { .heartbeat_ms = 2000 } };

    session_on_message(w->session, w->now, &m);
}

static void walk_step(struct walk *w)
{
    int some = w->assigned == 0 ? 0 : (int)draw(w, (uint32_t)w->assigned);

    switch (draw(w, 9)) {
    case 0:
        if (w->assigned < WALK_JOBS) {
            struct wire_assignment a = { .token = walk_token(w->assigned),
                                         .kind = wire_text("evaluate.noop"),
                                         .params = wire_text("{}"),
                                         .label = wire_text("job"),
                                         .batch = batch_of(w->assigned),
                                         .cpus = draw(w, 4),
                                         .stall_ms = 500 + draw(w, 2000) };
            const struct wire_message m = { .type = WIRE_ASSIGN,
                                            .assign = { { &a, 1 } } };

            w->assigned++;
            session_on_message(w->session, w->now, &m);
        }
        break;
    case 1:
        walk_slot(w, draw(w, WALK_SLOTS), false);
        break;
    case 2:
        walk_slot(w, draw(w, WALK_SLOTS), true);
        break;
    case 3:
        if (w->answered[some])
            walk_settle(w, some, WIRE_COMMITTED);
        break;
    case 4:
        if (draw(w, 4) == 0 && w->assigned > 0)
            walk_settle(w, some, WIRE_CANCEL);
        break;
    case 5:
        walk_welcome(w);
        break;
    case 6:
        if (w->assigned > 0) /* most likely of those that came last */
            walk_settle(w, w->assigned - 1 - some % 8 % w->assigned,
                        WIRE_RETRACT);
        break;
    default:
        w->now += draw(w, 400) * NS_PER_MS;
        break;
    }
    walk_actions(w);
}

static void test_whatever_happens_every_job_is_answered(void **state)
{
    (void)state;
    for (uint32_t seed = 1; seed <= 20; seed++) {
        struct walk w = { .session = start(), .chance = seed };

        for (int i = 0; i < 4000; i++)
            walk_step(&w);
        for (int i = 0; i < 20000; i++) { /* all is well again */
            walk_welcome(&w);
            walk_slot(&w, (size_t)i % WALK_SLOTS, false);
            walk_actions(&w);
            walk_slot(&w, (size_t)i % WALK_SLOTS, true);
            walk_actions(&w);
            w.now += 100 * NS_PER_MS;
        }
        for (int i = 0; i < w.assigned; i++) {
            assert_true(w.answered[i] != w.back[i]);
            walk_settle(&w, i, WIRE_COMMITTED);
        }
        assert_int_equal(session_count(w.session).queued, 0);
        assert_int_equal(session_count(w.session).running, 0);
        assert_int_equal(session_count(w.session).finished, 0);
        session_free(w.session);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whatever_happens_every_job_is_answered),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
