/* Stories of one worker and its broker: what happens goes in, the trace of
 * what the worker does must come out. Times in the trace are milliseconds. */
#include <stdlib.h>
#include <string.h>

#include "support/test.h"

#include "common/clock.h"
#include "common/memory.h"
#include "common/wire.h"
#include "worker/core/session.h"

struct sim {
    struct session *session;
    int64_t now; /* ns */
    bool deaf;   /* nothing can be sent */
    bool quiet;  /* heartbeats are not traced */
    char trace[8192];
    size_t used;
};

enum { HEARTBEAT_MS = 2000, DRAIN_MS = 5000 };

__attribute__((format(printf, 2, 3))) static void note(struct sim *sim,
                                                       const char *format, ...)
{
    va_list args;

    va_start(args, format);
    sim->used += (size_t)vsnprintf(sim->trace + sim->used,
                                   sizeof sim->trace - sim->used, format, args);
    va_end(args);
    assert_true(sim->used < sizeof sim->trace);
}

static void note_tokens(struct sim *sim, const struct wire_tokens *t)
{
    for (size_t i = 0; i < t->count; i++)
        note(sim, " %d/%d", t->items[i].key.bytes[0], (int)t->items[i].attempt);
}

static void note_outcome(struct sim *sim, const struct wire_outcome *o)
{
    note(sim, " %d/%d=%s", o->token.key.bytes[0], (int)o->token.attempt,
         status_name((enum status_code)o->code));
    if (o->crashed)
        note(sim, "!");
    if (o->message.size > 0)
        note(sim, " \"%.*s\"", (int)o->message.size, o->message.data);
    if (o->result.size > 0)
        note(sim, " %.*s", (int)o->result.size, o->result.data);
    if (o->wall_ms > 0)
        note(sim, " after %d ms", (int)o->wall_ms);
}

static void note_message(struct sim *sim, const struct wire_message *m)
{
    switch ((int)m->type) {
    case WIRE_HELLO:
        note(sim, "hello slots=%d", (int)m->hello.slots);
        note_tokens(sim, &m->hello.running);
        break;
    case WIRE_HEARTBEAT:
        note(sim, "heartbeat %d held, %d free", (int)m->heartbeat.running_count,
             (int)m->heartbeat.free_slots);
        for (size_t i = 0; i < m->heartbeat.progress.count; i++) {
            const struct wire_progress *p = &m->heartbeat.progress.items[i];

            note(sim, ", %d at %d of %d %.*s", p->token.key.bytes[0],
                 (int)p->done, (int)p->total, (int)p->unit.size, p->unit.data);
        }
        break;
    case WIRE_DONE:
        note(sim, "done");
        for (size_t i = 0; i < m->done.outcomes.count; i++)
            note_outcome(sim, &m->done.outcomes.items[i]);
        break;
    case WIRE_BYE:
        note(sim, "bye \"%.*s\"", (int)m->bye.reason.size, m->bye.reason.data);
        note_tokens(sim, &m->bye.unstarted);
        break;
    case WIRE_LOG:
        note(sim, "log %d %.*s", m->log.token.key.bytes[0],
             (int)m->log.text.size - 1, m->log.text.data);
        break;
    default:
        note(sim, "message %d", (int)m->type);
        break;
    }
}

static void note_action(struct sim *sim, const struct session_action *a)
{
    static const char *const names[] = { "",     "",     "reopen", "start",
                                         "tell", "stop", "kill",   "exit" };

    if (sim->quiet && a->type == SESSION_SEND &&
        a->message->type == WIRE_HEARTBEAT)
        return;
    note(sim, "[%5d] ", (int)(sim->now / NS_PER_MS));
    if (a->type == SESSION_SEND) {
        note_message(sim, a->message);
        note(sim, sim->deaf ? " (lost)" : "");
    } else if (a->type == SESSION_REOPEN || a->type == SESSION_EXIT) {
        note(sim, "%s", names[a->type]);
    } else {
        note(sim, "%s slot %d", names[a->type], (int)a->slot);
    }
    if (a->type == SESSION_TELL)
        note(sim, " depot=%.*s", (int)a->message->welcome.depot.size,
             a->message->welcome.depot.data);
    if (a->type == SESSION_START)
        note(sim, " with %d depot=%.*s",
             a->message->slot_run.job.token.key.bytes[0],
             (int)a->message->slot_run.depot.size,
             a->message->slot_run.depot.data);
    note(sim, "\n");
}

static void settle(struct sim *sim)
{
    struct session_action a;

    while (session_next(sim->session, sim->now, &a)) {
        note_action(sim, &a);
        if (a.type == SESSION_SEND && sim->deaf)
            session_on_unsent(sim->session, sim->now);
    }
}

static struct sim *sim_new(uint64_t slots, int64_t memory)
{
    const struct session_config config = { .worker = "w",
                                           .slots = slots,
                                           .memory_bytes = memory,
                                           .labels = "",
                                           .kinds = "evaluate.noop",
                                           .version = "1",
                                           .drain_ms = DRAIN_MS };
    struct sim *sim = xnew(struct sim);

    sim->session = session_new(&config, 0);
    settle(sim);
    return sim;
}

static void sim_free(struct sim *sim)
{
    session_free(sim->session);
    free(sim);
}

/* The trace since the last call. */
static void expect(struct sim *sim, const char *trace)
{
    assert_string_equal(sim->trace, trace);
    sim->used = 0;
    sim->trace[0] = '\0';
}

/* Nothing happens but time. */
static void pass(struct sim *sim, int64_t ms)
{
    int64_t end = sim->now + ms * NS_PER_MS;
    int64_t at;

    while ((at = session_deadline(sim->session)) <= end) {
        assert_true(at > sim->now || !sim->deaf || sim->now == 0);
        sim->now = at > sim->now ? at : sim->now;
        settle(sim);
    }
    sim->now = end;
}

static struct wire_token token(int key, int attempt)
{
    return (struct wire_token){ .key = { { (uint8_t)key } },
                                .epoch = 1,
                                .attempt = (uint64_t)attempt };
}

static void tell(struct sim *sim, const struct wire_message *m)
{
    session_on_message(sim->session, sim->now, m);
    settle(sim);
}

static void welcome_dropping(struct sim *sim, struct wire_token *drop,
                             size_t count)
{
    const struct wire_message m = { .type = WIRE_WELCOME,
                                    .welcome = { .epoch = 1,
                                                 .heartbeat_ms = HEARTBEAT_MS,
                                                 .depot = wire_text("D"),
                                                 .drop = { drop, count } } };

    tell(sim, &m);
}

static void welcome(struct sim *sim)
{
    welcome_dropping(sim, NULL, 0);
}

static struct wire_assignment job(int key)
{
    return (struct wire_assignment){ .token = token(key, 1),
                                     .kind = wire_text("evaluate.noop"),
                                     .params = wire_text("{}"),
                                     .label = wire_text("job") };
}

static void assign_job(struct sim *sim, struct wire_assignment *a)
{
    const struct wire_message m = { .type = WIRE_ASSIGN,
                                    .assign = { { a, 1 } } };

    tell(sim, &m);
}

static void assign(struct sim *sim, int key)
{
    struct wire_assignment a = job(key);

    assign_job(sim, &a);
}

static void tokens(struct sim *sim, enum wire_type type, int key)
{
    struct wire_token t = token(key, 1);
    const struct wire_message m = { .type = type, .committed = { { &t, 1 } } };

    tell(sim, &m);
}

static void ack(struct sim *sim, uint64_t say_hello)
{
    const struct wire_message m = { .type = WIRE_HEARTBEAT_ACK,
                                    .heartbeat_ack = { 1, 1, say_hello } };

    tell(sim, &m);
}

static void finish(struct sim *sim, size_t slot)
{
    const struct wire_outcome o = { .code = STATUS_SUCCESS,
                                    .result = wire_text("{}") };

    session_on_slot_done(sim->session, sim->now, slot, &o);
    settle(sim);
}

static void die(struct sim *sim, size_t slot)
{
    const struct wire_outcome o = { .code = STATUS_LOST,
                                    .message = wire_text("slot died"),
                                    .crashed = 1 };

    session_on_slot_died(sim->session, sim->now, slot, &o);
    settle(sim);
}

static void progress(struct sim *sim, size_t slot, uint64_t done)
{
    const struct wire_progress p = { .done = done,
                                     .total = 10,
                                     .unit = wire_text("step") };

    session_on_slot_progress(sim->session, sim->now, slot, &p);
    settle(sim);
}

static void drain(struct sim *sim)
{
    session_on_drain(sim->session, sim->now, "SIGTERM");
    settle(sim);
}

static struct sim *welcomed(uint64_t slots)
{
    struct sim *sim = sim_new(slots, 0);

    welcome(sim);
    expect(sim, "[    0] hello slots=2\n");
    sim->quiet = true;
    return sim;
}

static void test_a_job_runs_and_is_kept_until_it_is_committed(void **state)
{
    struct sim *sim = welcomed(2);

    (void)state;
    assign(sim, 1);
    pass(sim, 30);
    finish(sim, 0);
    expect(sim, "[    0] start slot 0 with 1 depot=D\n"
                "[   30] done 1/1=success {} after 30 ms\n");
    assert_int_equal(session_count(sim->session).finished, 1);
    tokens(sim, WIRE_COMMITTED, 1);
    assert_int_equal(session_count(sim->session).finished, 0);
    sim_free(sim);
}

static void test_jobs_beyond_the_slots_wait_in_order(void **state)
{
    struct sim *sim = welcomed(2);

    (void)state;
    for (int i = 1; i <= 4; i++)
        assign(sim, i);
    assign(sim, 4); /* said twice */
    finish(sim, 1);
    pass(sim, 5); /* while work is left outcomes wait for company */
    expect(sim, "[    0] start slot 0 with 1 depot=D\n"
                "[    0] start slot 1 with 2 depot=D\n"
                "[    0] start slot 1 with 3 depot=D\n"
                "[    2] done 2/1=success {}\n");
    assert_int_equal(session_count(sim->session).queued, 1);
    sim_free(sim);
}

/* A suspect: the broker thinks the worker idle, but a job still ends. */
static void test_a_job_that_runs_alone_has_no_neighbours(void **state)
{
    struct sim *sim = welcomed(2);
    struct wire_assignment alone = job(2);

    (void)state;
    alone.solo = 1;
    assign(sim, 1);
    assign_job(sim, &alone);
    assign(sim, 3);
    expect(sim, "[    0] start slot 0 with 1 depot=D\n");
    finish(sim, 0);
    pass(sim, 5);
    expect(sim, "[    0] start slot 0 with 2 depot=D\n"
                "[    2] done 1/1=success {}\n");
    die(sim, 0);
    pass(sim, 5);
    expect(sim, "[    5] start slot 0 with 3 depot=D\n"
                "[    5] done 2/1=lost! \"slot died\" after 5 ms\n");
    sim_free(sim);
}

static void test_heartbeats_go_on_and_carry_progress(void **state)
{
    struct sim *sim = welcomed(2);

    (void)state;
    sim->quiet = false;
    assign(sim, 1);
    progress(sim, 0, 3);
    pass(sim, 2000);
    ack(sim, 0);
    pass(sim, 2000);
    expect(sim, "[    0] start slot 0 with 1 depot=D\n"
                "[ 2000] heartbeat 1 held, 1 free, 1 at 3 of 10 step\n"
                "[ 4000] heartbeat 1 held, 1 free\n");
    sim_free(sim);
}

static void test_hello_is_repeated_until_somebody_answers(void **state)
{
    struct sim *sim = sim_new(2, 0);

    (void)state;
    pass(sim, 2500);
    welcome(sim);
    sim->quiet = true;
    pass(sim, 5000);
    expect(sim, "[    0] hello slots=2\n"
                "[ 1000] hello slots=2\n"
                "[ 2000] hello slots=2\n");
    sim_free(sim);
}

static void test_a_silent_broker_is_left_and_told_all_that_is_held(void **state)
{
    struct sim *sim = welcomed(2);

    (void)state;
    assign(sim, 1);
    assign(sim, 2);
    assign(sim, 3);
    finish(sim, 0);
    pass(sim, 8000);
    expect(sim, "[    0] start slot 0 with 1 depot=D\n"
                "[    0] start slot 1 with 2 depot=D\n"
                "[    0] start slot 0 with 3 depot=D\n"
                "[    0] done 1/1=success {}\n"
                "[ 8000] reopen\n"
                "[ 8000] hello slots=2 1/1 2/1 3/1\n");
    pass(sim, 500);
    finish(sim, 1); /* while nobody listens */
    expect(sim, "");
    welcome(sim);
    expect(sim, "[ 8500] done 1/1=success {} 2/1=success {} after 8500 ms\n");
    sim_free(sim);
}

static void not_leader(struct sim *sim)
{
    const struct wire_message m = { .type = WIRE_NOT_LEADER };

    tell(sim, &m);
}

static void test_a_broker_that_does_not_lead_is_left_with_all_jobs(void **state)
{
    struct sim *sim = welcomed(2);

    (void)state;
    assign(sim, 1);
    assign(sim, 2);
    not_leader(sim);
    not_leader(sim); /* as the next one: not so fast */
    finish(sim, 0);
    pass(sim, 500);
    expect(sim, "[    0] start slot 0 with 1 depot=D\n"
                "[    0] start slot 1 with 2 depot=D\n"
                "[    0] reopen\n"
                "[    0] hello slots=2 1/1 2/1\n"
                "[  200] reopen\n"
                "[  200] hello slots=2 1/1 2/1\n");
    welcome(sim);
    not_leader(sim); /* a handover later on */
    pass(sim, 100);
    expect(sim, "[  500] done 1/1=success {}\n"
                "[  500] reopen\n"
                "[  500] hello slots=2 1/1 2/1\n");
    sim_free(sim);
}

static void test_of_several_brokers_the_next_is_tried_soon(void **state)
{
    struct session_config config = { .worker = "w",
                                     .brokers = 2,
                                     .slots = 2,
                                     .labels = "",
                                     .kinds = "",
                                     .version = "1",
                                     .drain_ms = DRAIN_MS };
    struct sim *sim = xnew(struct sim);

    (void)state;
    sim->session = session_new(&config, 0);
    sim->quiet = true;
    settle(sim);
    pass(sim, 2500);
    welcome(sim);
    pass(sim, 7900); /* one that has welcomed us is given its time */
    expect(sim, "[    0] hello slots=2\n"
                "[ 1000] reopen\n"
                "[ 1000] hello slots=2\n"
                "[ 2000] reopen\n"
                "[ 2000] hello slots=2\n");
    sim_free(sim);
}

static void test_a_depot_that_moved_is_told_to_running_jobs(void **state)
{
    const struct wire_message moved = {
        .type = WIRE_WELCOME, .welcome = { .depot = wire_text("E") }
    };
    struct sim *sim = welcomed(2);

    (void)state;
    assign(sim, 1);
    welcome(sim);
    tell(sim, &moved);
    assign(sim, 2);
    expect(sim, "[    0] start slot 0 with 1 depot=D\n"
                "[    0] tell slot 0 depot=E\n"
                "[    0] start slot 1 with 2 depot=E\n");
    sim_free(sim);
}

static void test_what_the_broker_drops_ends_without_an_outcome(void **state)
{
    struct sim *sim = welcomed(2);
    struct wire_token drop[] = { token(1, 1), token(3, 1), token(2, 1) };

    (void)state;
    assign(sim, 1);
    assign(sim, 2);
    assign(sim, 3);
    finish(sim, 1);
    expect(sim, "[    0] start slot 0 with 1 depot=D\n"
                "[    0] start slot 1 with 2 depot=D\n"
                "[    0] start slot 1 with 3 depot=D\n"
                "[    0] done 2/1=success {}\n");
    welcome_dropping(sim, drop, 3);
    expect(sim, "[    0] stop slot 0\n[    0] stop slot 1\n");
    finish(sim, 0);
    die(sim, 1);
    expect(sim, "");
    assert_int_equal(session_count(sim->session).running, 0);
    assert_int_equal(session_count(sim->session).finished, 0);
    sim_free(sim);
}

static void test_an_outcome_without_an_answer_is_sent_again(void **state)
{
    struct sim *sim = welcomed(2);

    (void)state;
    assign(sim, 1);
    finish(sim, 0);
    for (int i = 0; i < 3; i++) {
        pass(sim, 4000);
        ack(sim, 0);
    }
    tokens(sim, WIRE_STALE, 1);
    pass(sim, 7000);
    expect(sim, "[    0] start slot 0 with 1 depot=D\n"
                "[    0] done 1/1=success {}\n"
                "[10000] done 1/1=success {}\n");
    sim_free(sim);
}

static void test_a_link_that_takes_nothing_is_tried_again_soon(void **state)
{
    struct sim *sim = welcomed(2);

    (void)state;
    assign(sim, 1);
    sim->deaf = true;
    finish(sim, 0);
    pass(sim, 60);
    sim->deaf = false;
    pass(sim, 60);
    expect(sim, "[    0] start slot 0 with 1 depot=D\n"
                "[    0] done 1/1=success {} (lost)\n"
                "[   50] done 1/1=success {} (lost)\n"
                "[  100] done 1/1=success {}\n");
    sim_free(sim);
}

static void test_a_broker_with_another_view_gets_a_hello(void **state)
{
    struct sim *sim = welcomed(2);

    (void)state;
    assign(sim, 1);
    ack(sim, 1);
    expect(sim, "[    0] start slot 0 with 1 depot=D\n"
                "[    0] hello slots=2 1/1\n");
    sim_free(sim);
}

static void test_cancel_stops_the_slot_and_kills_it_if_it_will_not(void **state)
{
    struct sim *sim = welcomed(2);

    (void)state;
    assign(sim, 1);
    assign(sim, 2);
    tokens(sim, WIRE_CANCEL, 1);
    tokens(sim, WIRE_CANCEL, 2);
    pass(sim, 10);
    finish(sim, 0); /* it saw the signal */
    pass(sim, 2000);
    die(sim, 1);
    expect(sim, "[    0] start slot 0 with 1 depot=D\n"
                "[    0] start slot 1 with 2 depot=D\n"
                "[    0] stop slot 0\n"
                "[    0] stop slot 1\n"
                "[   10] done 1/1=cancelled \"cancelled\" after 10 ms\n"
                "[ 1000] kill slot 1\n"
                "[ 2010] done 2/1=cancelled \"cancelled\" after 2010 ms\n");
    assign(sim, 3);
    assign(sim, 4);
    expect(sim, "[ 2010] start slot 0 with 3 depot=D\n"
                "[ 2010] start slot 1 with 4 depot=D\n");
    sim_free(sim);
}

static void test_cancel_of_a_waiting_job_is_answered_at_once(void **state)
{
    struct sim *sim = welcomed(2);

    (void)state;
    for (int i = 1; i <= 3; i++)
        assign(sim, i);
    tokens(sim, WIRE_CANCEL, 3);
    expect(sim, "[    0] start slot 0 with 1 depot=D\n"
                "[    0] start slot 1 with 2 depot=D\n"
                "[    0] done 3/1=cancelled \"cancelled\"\n");
    sim_free(sim);
}

static void test_a_killed_slot_gets_no_job_until_it_has_died(void **state)
{
    struct sim *sim = welcomed(2);
    struct wire_assignment slow = job(1);

    (void)state;
    slow.limit_ms = 100;
    assign_job(sim, &slow);
    assign(sim, 2);
    assign(sim, 3);
    pass(sim, 150);
    expect(sim, "[    0] start slot 0 with 1 depot=D\n"
                "[    0] start slot 1 with 2 depot=D\n"
                "[  100] kill slot 0\n");
    die(sim, 0);
    expect(sim,
           "[  150] start slot 0 with 3 depot=D\n"
           "[  150] done 1/1=timed_out \"evaluate.noop ran longer than its "
           "limit of 0.1 s and was killed; raise the limit if that is "
           "normal\" after 150 ms\n");
    sim_free(sim);
}

static void test_a_job_without_progress_is_killed_one_with_is_not(void **state)
{
    struct sim *sim = welcomed(2);
    struct wire_assignment a = job(1);
    struct wire_assignment b = job(2);

    (void)state;
    a.stall_ms = b.stall_ms = 1000;
    assign_job(sim, &a);
    assign_job(sim, &b);
    pass(sim, 600);
    progress(sim, 1, 5);
    pass(sim, 600);
    die(sim, 0);
    expect(sim,
           "[    0] start slot 0 with 1 depot=D\n"
           "[    0] start slot 1 with 2 depot=D\n"
           "[ 1000] kill slot 0\n"
           "[ 1200] done 1/1=timed_out \"evaluate.noop made no progress for "
           "1.0 s and was killed\" after 1200 ms\n");
    session_on_slot_log(sim->session, sim->now, 1, wire_text("still here\n"));
    settle(sim);
    pass(sim, 900); /* a line counts as well */
    expect(sim, "[ 1200] log 2 still here\n");
    sim_free(sim);
}

static void test_a_result_that_comes_before_the_kill_counts(void **state)
{
    struct sim *sim = welcomed(2);
    struct wire_assignment slow = job(1);

    (void)state;
    slow.limit_ms = 100;
    assign_job(sim, &slow);
    pass(sim, 100);
    finish(sim, 0);
    die(sim, 0);
    expect(sim, "[    0] start slot 0 with 1 depot=D\n"
                "[  100] kill slot 0\n"
                "[  100] done 1/1=success {} after 100 ms\n");
    sim_free(sim);
}

static void test_a_crash_is_told_and_the_slot_goes_on(void **state)
{
    struct sim *sim = welcomed(2);

    (void)state;
    assign(sim, 1);
    pass(sim, 5);
    die(sim, 0);
    assign(sim, 2);
    expect(sim, "[    0] start slot 0 with 1 depot=D\n"
                "[    5] done 1/1=lost! \"slot died\" after 5 ms\n"
                "[    5] start slot 0 with 2 depot=D\n");
    sim_free(sim);
}

static void test_memory_decides_how_many_run(void **state)
{
    struct sim *sim = sim_new(2, 1000);
    struct wire_assignment large = job(1);
    struct wire_assignment small = job(2);

    (void)state;
    large.memory_bytes = 800;
    small.memory_bytes = 300;
    welcome(sim);
    assign_job(sim, &large);
    assign_job(sim, &small);
    expect(sim, "[    0] hello slots=2\n"
                "[    0] start slot 0 with 1 depot=D\n");
    finish(sim, 0);
    expect(sim, "[    0] start slot 0 with 2 depot=D\n"
                "[    0] done 1/1=success {}\n");
    sim_free(sim);
}

static void test_drain_hands_back_finishes_and_says_bye(void **state)
{
    struct sim *sim = welcomed(2);

    (void)state;
    for (int i = 1; i <= 4; i++)
        assign(sim, i);
    drain(sim);
    assign(sim, 5); /* was on its way */
    expect(sim, "[    0] start slot 0 with 1 depot=D\n"
                "[    0] start slot 1 with 2 depot=D\n"
                "[    0] bye \"SIGTERM\" 3/1 4/1\n"
                "[    0] bye \"SIGTERM\" 5/1\n");
    finish(sim, 0);
    finish(sim, 1);
    tokens(sim, WIRE_COMMITTED, 1);
    ack(sim, 1);
    tokens(sim, WIRE_COMMITTED, 2);
    expect(sim, "[    0] done 1/1=success {}\n"
                "[    0] done 2/1=success {}\n"
                "[    0] hello slots=2 2/1\n"
                "[    0] bye \"SIGTERM\"\n"
                "[    0] exit\n");
    sim_free(sim);
}

static void test_drain_ends_when_its_time_is_over(void **state)
{
    struct sim *sim = welcomed(2);

    (void)state;
    assign(sim, 1);
    drain(sim);
    ack(sim, 0);
    pass(sim, 4999);
    expect(sim, "[    0] start slot 0 with 1 depot=D\n"
                "[    0] bye \"SIGTERM\"\n");
    pass(sim, 1);
    expect(sim, "[ 5000] bye \"SIGTERM\" 1/1\n[ 5000] exit\n");
    sim_free(sim);
}

static void test_a_second_signal_ends_at_once(void **state)
{
    struct sim *sim = welcomed(2);

    (void)state;
    assign(sim, 1);
    drain(sim);
    drain(sim);
    expect(sim, "[    0] start slot 0 with 1 depot=D\n"
                "[    0] bye \"SIGTERM\"\n"
                "[    0] bye \"SIGTERM\" 1/1\n"
                "[    0] exit\n");
    sim_free(sim);
}

static void test_an_idle_worker_leaves_at_the_first_signal(void **state)
{
    struct sim *sim = welcomed(2);
    struct sim *alone = sim_new(2, 0);

    (void)state;
    drain(sim);
    expect(sim, "[    0] bye \"SIGTERM\"\n[    0] exit\n");
    drain(alone); /* never had a broker */
    expect(alone, "[    0] hello slots=2\n[    0] exit\n");
    sim_free(sim);
    sim_free(alone);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_job_runs_and_is_kept_until_it_is_committed),
        cmocka_unit_test(test_jobs_beyond_the_slots_wait_in_order),
        cmocka_unit_test(test_a_job_that_runs_alone_has_no_neighbours),
        cmocka_unit_test(test_heartbeats_go_on_and_carry_progress),
        cmocka_unit_test(test_hello_is_repeated_until_somebody_answers),
        cmocka_unit_test(
            test_a_silent_broker_is_left_and_told_all_that_is_held),
        cmocka_unit_test(
            test_a_broker_that_does_not_lead_is_left_with_all_jobs),
        cmocka_unit_test(test_of_several_brokers_the_next_is_tried_soon),
        cmocka_unit_test(test_a_depot_that_moved_is_told_to_running_jobs),
        cmocka_unit_test(test_what_the_broker_drops_ends_without_an_outcome),
        cmocka_unit_test(test_an_outcome_without_an_answer_is_sent_again),
        cmocka_unit_test(test_a_link_that_takes_nothing_is_tried_again_soon),
        cmocka_unit_test(test_a_broker_with_another_view_gets_a_hello),
        cmocka_unit_test(
            test_cancel_stops_the_slot_and_kills_it_if_it_will_not),
        cmocka_unit_test(test_cancel_of_a_waiting_job_is_answered_at_once),
        cmocka_unit_test(test_a_killed_slot_gets_no_job_until_it_has_died),
        cmocka_unit_test(test_a_job_without_progress_is_killed_one_with_is_not),
        cmocka_unit_test(test_a_result_that_comes_before_the_kill_counts),
        cmocka_unit_test(test_a_crash_is_told_and_the_slot_goes_on),
        cmocka_unit_test(test_memory_decides_how_many_run),
        cmocka_unit_test(test_drain_hands_back_finishes_and_says_bye),
        cmocka_unit_test(test_drain_ends_when_its_time_is_over),
        cmocka_unit_test(test_a_second_signal_ends_at_once),
        cmocka_unit_test(test_an_idle_worker_leaves_at_the_first_signal),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
