/* What a worker gives back when it is asked, what it tells of its cache, and
 * how many cpus its jobs take. */
#include <stdlib.h>
#include <string.h>

#include "support/test.h"

#include "common/clock.h"
#include "common/memory.h"
#include "worker/core/session.h"

enum { SLOTS = 2, CPUS = 4 };

struct sim {
    struct session *session;
    int64_t now;
    bool deaf;
    char trace[512]; /* "0:1 back(23) hello(1)": slot and job, jobs */
};

static void note(struct sim *sim, const char *format, ...) PRINTF_LIKE(2, 3);

static void note(struct sim *sim, const char *format, ...)
{
    size_t used = strlen(sim->trace);
    va_list args;

    va_start(args, format);
    (void)vsnprintf(sim->trace + used, sizeof sim->trace - used, format, args);
    va_end(args);
}

static void note_tokens(struct sim *sim, const char *what,
                        const struct wire_tokens *tokens)
{
    note(sim, "%s(", what);
    for (size_t i = 0; i < tokens->count; i++)
        note(sim, "%d", tokens->items[i].key.bytes[0]);
    note(sim, ") ");
}

static void note_hello(struct sim *sim, const struct wire_hello *m)
{
    note_tokens(sim, "hello", &m->running);
    for (size_t i = 0; i < m->cache.count; i++)
        note(sim, "has %d ", m->cache.items[i].source.bytes[0]);
}

static void note_cache(struct sim *sim, const struct wire_cache *m)
{
    for (size_t i = 0; i < m->added.count; i++)
        note(sim, "+%d ", m->added.items[i].source.bytes[0]);
    for (size_t i = 0; i < m->removed.count; i++)
        note(sim, "-%d ", m->removed.items[i].source.bytes[0]);
}

static void settle(struct sim *sim)
{
    struct session_action a;

    while (session_next(sim->session, sim->now, &a)) {
        if (a.type == SESSION_START)
            note(sim, "%zu:%d ", a.slot,
                 a.message->slot_run.job.token.key.bytes[0]);
        if (a.type == SESSION_SEND && a.message->type == WIRE_RETRACTED)
            note_tokens(sim, "back", &a.message->retracted.tokens);
        if (a.type == SESSION_SEND && a.message->type == WIRE_HELLO)
            note_hello(sim, &a.message->hello);
        if (a.type == SESSION_SEND && a.message->type == WIRE_CACHE)
            note_cache(sim, &a.message->cache);
        if (a.type == SESSION_SEND && sim->deaf)
            session_on_unsent(sim->session, sim->now);
    }
}

static void tell(struct sim *sim, const struct wire_message *m)
{
    session_on_message(sim->session, sim->now, m);
    settle(sim);
}

static struct sim *sim_new(void)
{
    const struct session_config config = { .worker = "w",
                                           .slots = SLOTS,
                                           .cpus = CPUS,
                                           .labels = "",
                                           .kinds = "",
                                           .version = "1",
                                           .drain_ms = 5000 };
    struct sim *sim = xnew(struct sim);

    sim->session = session_new(&config, 0);
    tell(sim, &(struct wire_message){ .type = WIRE_WELCOME });
    sim->trace[0] = '\0';
    return sim;
}

static void sim_free(struct sim *sim)
{
    session_free(sim->session);
    free(sim);
}

static void expect(struct sim *sim, const char *trace)
{
    assert_string_equal(sim->trace, trace);
    sim->trace[0] = '\0';
}

static struct wire_token token(int key)
{
    return (struct wire_token){ .key = { { (uint8_t)key } },
                                .epoch = 1,
                                .attempt = 1 };
}

/* Jobs `first` to `last`, of a batch (0: of none). */
static void assign(struct sim *sim, int first, int last, uint64_t batch,
                   uint64_t cpus)
{
    for (int i = first; i <= last; i++) {
        struct wire_assignment job = { .token = token(i),
                                       .kind = wire_text("k"),
                                       .params = wire_text("{}"),
                                       .batch = batch,
                                       .cpus = cpus };

        tell(sim, &(struct wire_message){ .type = WIRE_ASSIGN,
                                          .assign = { { &job, 1 } } });
    }
}

static void retract(struct sim *sim, int first, int last)
{
    struct wire_token tokens[16];
    size_t count = 0;

    for (int i = first; i <= last; i++)
        tokens[count++] = token(i);
    tell(sim, &(struct wire_message){ .type = WIRE_RETRACT,
                                      .retract = { { tokens, count } } });
}

static void finish(struct sim *sim, size_t slot)
{
    static const struct wire_outcome good = { .code = STATUS_SUCCESS };

    session_on_slot_done(sim->session, sim->now, slot, &good);
    settle(sim);
}

static void test_only_what_has_not_begun_is_given_back(void **state)
{
    struct sim *sim = sim_new();

    (void)state;
    assign(sim, 1, 5, 0, 0);
    retract(sim, 2, 4); /* 2 runs */
    expect(sim, "0:1 1:2 back(34) ");
    assert_int_equal(session_count(sim->session).queued, 1);
    retract(sim, 3, 4); /* said twice: they are gone, and so said before */
    expect(sim, "");
    finish(sim, 0);
    finish(sim, 1);
    expect(sim, "0:5 ");
    sim_free(sim);
}

static void test_a_batch_gives_back_what_waits_behind_its_slot(void **state)
{
    struct sim *sim = sim_new();

    (void)state;
    assign(sim, 1, 4, 7, 0);
    retract(sim, 1, 4);
    expect(sim, "0:1 back(234) ");
    finish(sim, 0);
    expect(sim, "");
    sim_free(sim);
}

/* What could not be sent is sent again, and no HELLO names it meanwhile. */
static void test_what_was_given_back_is_said_until_it_is_sent(void **state)
{
    struct sim *sim = sim_new();

    (void)state;
    assign(sim, 1, 4, 0, 0);
    sim->deaf = true;
    retract(sim, 3, 3);
    expect(sim, "0:1 1:2 back(3) ");
    sim->deaf = false;
    tell(sim, &(struct wire_message){ .type = WIRE_HEARTBEAT_ACK,
                                      .heartbeat_ack = { .say_hello = 1 } });
    expect(sim, "hello(124) ");
    sim->now += 100 * NS_PER_MS;
    settle(sim);
    expect(sim, "back(3) ");
    sim->now += 100 * NS_PER_MS;
    settle(sim);
    expect(sim, "");
    sim_free(sim);
}

static void find(struct sim *sim, const char *names)
{
    struct wire_cached items[8] = { 0 };
    size_t count = strlen(names);

    for (size_t i = 0; i < count; i++)
        items[i].source.bytes[0] = (uint8_t)(names[i] - '0');
    session_on_cache(sim->session, sim->now, items, count);
    settle(sim);
}

static void test_the_broker_is_told_what_the_cache_has(void **state)
{
    struct sim *sim = sim_new();

    (void)state;
    find(sim, "25");
    expect(sim, "+2 +5 ");
    find(sim, "25");
    expect(sim, "");
    find(sim, "1357");
    expect(sim, "+1 +3 +7 -2 ");
    sim->deaf = true;
    find(sim, "13");
    expect(sim, "-5 -7 ");
    sim->deaf = false;
    sim->now += 100 * NS_PER_MS;
    settle(sim);
    expect(sim, "-5 -7 "); /* it had not been sent */
    find(sim, "");
    expect(sim, "-1 -3 ");
    sim_free(sim);
}

static void test_hello_tells_all_of_the_cache(void **state)
{
    struct sim *sim = sim_new();

    (void)state;
    sim->deaf = true;
    find(sim, "46");
    expect(sim, "+4 +6 ");
    sim->deaf = false;
    tell(sim, &(struct wire_message){ .type = WIRE_HEARTBEAT_ACK,
                                      .heartbeat_ack = { .say_hello = 1 } });
    expect(sim, "hello() has 4 has 6 ");
    sim->now += 100 * NS_PER_MS;
    settle(sim);
    expect(sim, "");
    sim_free(sim);
}

/* Four cpus for two slots: three of them are worth both slots. */
static void test_cpus_decide_how_many_run(void **state)
{
    struct sim *sim = sim_new();

    (void)state;
    assign(sim, 1, 1, 0, 2);
    assign(sim, 2, 2, 0, 3);
    assign(sim, 3, 3, 0, 0);
    expect(sim, "0:1 "); /* nobody overtakes the one that waits */
    finish(sim, 0);
    expect(sim, "0:2 ");
    finish(sim, 0);
    expect(sim, "0:3 ");
    sim_free(sim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_only_what_has_not_begun_is_given_back),
        cmocka_unit_test(test_a_batch_gives_back_what_waits_behind_its_slot),
        cmocka_unit_test(test_what_was_given_back_is_said_until_it_is_sent),
        cmocka_unit_test(test_the_broker_is_told_what_the_cache_has),
        cmocka_unit_test(test_hello_tells_all_of_the_cache),
        cmocka_unit_test(test_cpus_decide_how_many_run),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
