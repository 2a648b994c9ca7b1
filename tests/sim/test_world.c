/* What is promised in time and order where nothing goes wrong, or one thing:
 * the simulated world tells one story, and its clock says how long it took. */
#include "support/test.h"

#include "client/sinter.h"
#include "common/map.h"
#include "common/memory.h"
#include "tests/sim/world/brokers.h"
#include "tests/sim/world/keep.h"
#include "tests/sim/world/oracle.h"
#include "tests/sim/world/slots.h"
#include "tests/sim/world/universe.h"
#include "tests/sim/world/workers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TYPE_AT = 3 /* in a message */ };

/* One sweep of jobs without inputs, and who asks for it. */
static struct {
    unsigned points;
    const char *brokers;
    struct process *process;
    bool ask; /* its status, again and again */
    int64_t slowest_answer;
    unsigned answers, away; /* of these told that the store is */
} client;

static void ask(struct sinter *s, const char *id)
{
    AUTO(json_release) json_t *arguments = json_pack("{s:s}", "sweep", id);
    AUTO(json_release) json_t *answer = NULL;
    int64_t began = time_now();
    struct status st = sinter_query(s, "status", arguments, &answer);

    if (process_self()->dead)
        return;
    if (status_failed(&st))
        oracle_break(INVARIANT_I7, "status: %s", st.message);
    client.answers++;
    client.away += json_is_string(json_object_get(answer, "store_error"));
    if (client.slowest_answer < time_now() - began)
        client.slowest_answer = time_now() - began;
}

static void run_client(struct process *p)
{
    const struct sinter_settings settings = { .endpoint = client.brokers,
                                              .timeout_ms = 20000 };
    AUTO(free_pointer)
    char *text = xasprintf(
        "{\"sinter\":1,\"name\":\"long\",\"parameters\":[{\"name\":\"x\","
        "\"from\":1,\"to\":%u,\"count\":%u,\"scale\":\"linear\"}],"
        "\"strategy\":{\"method\":\"grid\"},\"stages\":[],\"evaluate\":["
        "{\"name\":\"e\",\"kind\":\"evaluate.noop\",\"stall_ms\":9000,"
        "\"limit_ms\":15000,\"variants\":[{\"params\":{\"x\":{\"$param\":"
        "\"x\"}}}],\"metrics\":[\"value\"]}]}",
        client.points, client.points);
    struct sinter *s = NULL;
    char id[SINTER_ID];
    bool duplicate;
    struct status st = sinter_connect(&settings, &s);

    if (!status_failed(&st))
        st = sinter_submit(s, text, strlen(text), "one", id, &duplicate);
    if (status_failed(&st) && !p->dead)
        oracle_break(INVARIANT_I7, "submit: %s", st.message);
    while (!p->dead && !status_failed(&st)) {
        if (client.ask)
            ask(s, id);
        clock_sleep_ms(100);
    }
    sinter_close(s);
}

static void start_broker(void *self, uint64_t seat)
{
    (void)self;
    brokers_start(seat, brokers_settings.seats > 1);
}

/* A farm of brokers that wait for the key, the first of which leads. */
static void begin_farm(uint64_t seed, size_t seats, unsigned points)
{
    static const char *const workers[] = { "b0:w", "b0:w,b1:w",
                                           "b0:w,b1:w,b2:w" };
    static const char *const clients[] = { "b0:c", "b0:c,b1:c",
                                           "b0:c,b1:c,b2:c" };

    universe_begin(seed);
    brokers_settings = (struct brokers_settings){
        .seats = seats, .heartbeat_ms = 2000, .lease_ms = 30000, .ttl_ms = 5000
    };
    keep_weather = (struct keep_weather){ .delay_most = 2 * NS_PER_MS };
    network_weather = (struct network_weather){ .delay_most = 2 * NS_PER_MS };
    for (size_t i = 0; i < seats; i++)
        time_after((int64_t)i * 100 * NS_PER_MS, start_broker, NULL, i);
    workers_begin(4, workers[seats - 1]);
    memset(&client, 0, sizeof client);
    client.points = points;
    client.brokers = clients[seats - 1];
}

static void pass_ms(int64_t ms)
{
    time_pass(time_now() + ms * NS_PER_MS);
}

static void end_farm(void)
{
    assert_string_equal(oracle_story(), "");
    process_kill(client.process);
    universe_end();
}

/* ---- a handover ----------------------------------------------------------- */

static struct {
    const struct process *old;
    int64_t ordered;
    int64_t welcome[WORKERS_MOST]; /* by the successor, ns after the order */
    int64_t job;                   /* the first that it gave */
    struct map *given;             /* keys, by any broker */
    unsigned twice;
} h;

static void note_jobs(const struct wire_assignments *jobs)
{
    static char given;

    for (size_t i = 0; i < jobs->count; i++)
        h.twice += map_put(h.given, &jobs->items[i].token.key, DIGEST_SIZE,
                           &given) != NULL;
}

static bool watch_handover(const struct connection *c, enum direction to,
                           struct wire_bytes *bytes)
{
    bool keep = oracle_sent(c, to, bytes);
    bool successor = h.ordered > 0 && c->router->process != h.old;
    struct wire_decoded d;

    if (to != TO_DEALER || c->peer.side != PEER_WORKER)
        return keep;
    if (bytes->data[TYPE_AT] == WIRE_ASSIGN) {
        struct status st = wire_decode(bytes->data, bytes->size, &d);

        if (status_failed(&st))
            return keep;
        note_jobs(&d.message.assign.jobs);
        wire_release(&d);
        if (successor && h.job == 0)
            h.job = time_now() - h.ordered;
    }
    for (size_t i = 0; i < workers_count() && successor; i++)
        if (bytes->data[TYPE_AT] == WIRE_WELCOME &&
            workers_at(i) == c->speaker && h.welcome[i] == 0)
            h.welcome[i] = time_now() - h.ordered;
    return keep;
}

static size_t leading_seat(void)
{
    size_t seat = 0;

    while (seat < NETWORK_SEATS && (brokers_at(seat) == NULL ||
                                    brokers_at(seat) != keep_writer_process()))
        seat++;
    assert_true(seat < NETWORK_SEATS);
    return seat;
}

/* The one that leads is told to leave; the longest that anything took. */
static int64_t hand_over(void)
{
    size_t seat = leading_seat();
    int64_t longest;

    h.old = brokers_at(seat);
    h.ordered = time_now();
    h.job = 0;
    memset(h.welcome, 0, sizeof h.welcome);
    brokers_term(seat);
    pass_ms(3000);
    assert_ptr_not_equal(keep_writer_process(), h.old);
    longest = h.job;
    assert_true(h.job > 0);
    for (size_t i = 0; i < workers_count(); i++) {
        assert_true(h.welcome[i] > 0);
        longest = longest < h.welcome[i] ? h.welcome[i] : longest;
    }
    brokers_start(seat, true);
    pass_ms(2000);
    return longest;
}

static uint64_t farms = 20;

/* Of the order, until the successor has every worker back and gives jobs; no
 * job that runs is given to another. */
static void test_a_handover_takes_less_than_a_second(void **state)
{
    enum { POINTS = 20000 };
    int64_t longest = 0;

    (void)state;
    for (uint64_t seed = 0; seed < farms; seed++) {
        begin_farm(seed, 2 + seed % 2, POINTS);
        slots_weather = (struct slots_weather){ .longest_ms = 200 };
        memset(&h, 0, sizeof h);
        h.given = map_new();
        network_spy.sent = watch_handover;
        client.process = process_start("client", run_client, NULL, NULL);
        pass_ms(6000);
        for (int i = 0; i < 3; i++) {
            int64_t took = hand_over();

            longest = longest < took ? took : longest;
        }
        assert_int_equal(h.twice, 0);
        network_spy.sent = NULL;
        end_farm();
        map_free(h.given);
    }
    print_message("handover: %lld ms at most\n",
                  (long long)(longest / NS_PER_MS));
    assert_true(longest < NS_PER_S);
}

/* ---- jobs before records -------------------------------------------------- */

static struct {
    struct map *done; /* tokens of outcomes that were sent */
    size_t recorded;  /* the first so many of them are on record */
    size_t waiting, most_waiting;
    unsigned given; /* messages with jobs */
} e;

static void note_outcomes(const struct wire_outcomes *outcomes)
{
    static char sent;

    for (size_t i = 0; i < outcomes->count; i++)
        (void)map_put(e.done, &outcomes->items[i].token,
                      sizeof(struct wire_token), &sent);
}

/* Outcomes that were sent and are not on record. */
static size_t count_waiting(void)
{
    size_t waiting = 0;

    for (size_t i = e.recorded; i < map_count(e.done); i++) {
        struct wire_token token;
        const void *key;
        size_t size;

        (void)map_at(e.done, i, &key, &size);
        memcpy(&token, key, sizeof token);
        waiting += !oracle_has_verdict(&token);
        e.recorded += waiting == 0;
    }
    return waiting;
}

static bool watch_jobs(const struct connection *c, enum direction to,
                       struct wire_bytes *bytes)
{
    enum { ONE_IN = 16 };
    bool keep = oracle_sent(c, to, bytes);
    struct wire_decoded d;

    if (to == TO_ROUTER && bytes->data[TYPE_AT] == WIRE_DONE) {
        struct status st = wire_decode(bytes->data, bytes->size, &d);

        if (status_failed(&st))
            return keep;
        note_outcomes(&d.message.done.outcomes);
        wire_release(&d);
    }
    if (to == TO_DEALER && bytes->data[TYPE_AT] == WIRE_ASSIGN &&
        e.given++ % ONE_IN == 0) {
        e.waiting = count_waiting();
        if (e.most_waiting < e.waiting)
            e.most_waiting = e.waiting;
    }
    return keep;
}

static void begin_jobs(uint64_t seed, unsigned points)
{
    begin_farm(seed, 1, points);
    slots_weather = (struct slots_weather){ .longest_ms = 4 };
    memset(&e, 0, sizeof e);
    e.done = map_new();
    network_spy.sent = watch_jobs;
    client.process = process_start("client", run_client, NULL, NULL);
}

static void end_jobs(void)
{
    network_spy.sent = NULL;
    end_farm();
    map_free(e.done);
}

/* The store takes its time: slots do not wait for it, unless as many records
 * do as one group may have. */
static void test_jobs_are_given_before_records_are_durable(void **state)
{
    /* 12 slots have 129 jobs each, and a group that becomes durable lets as
     * many be given again. */
    enum { RECORDS_MOST = 1024, UNDER_WAY = 2 * 12 * 129 };

    (void)state;
    begin_jobs(1, 30000);
    pass_ms(4000);
    keep_weather.delay_most = 1500 * NS_PER_MS;
    pass_ms(15000);
    print_message("%zu outcomes waited at most\n", e.most_waiting);
    assert_true(e.most_waiting > RECORDS_MOST / 2);
    assert_true(e.most_waiting < RECORDS_MOST + UNDER_WAY);
    end_jobs();
}

/* While the store is away nothing is given that others wait behind, and who
 * asks is answered, with a word of it. */
static void test_no_job_is_given_early_while_the_store_is_away(void **state)
{
    unsigned given;

    (void)state;
    begin_jobs(2, 30000);
    pass_ms(4000);
    assert_true(e.given > 0);
    keep_weather.down_until = time_now() + 12 * NS_PER_S;
    pass_ms(3000);
    given = e.given;
    client.ask = true;
    pass_ms(6000);
    client.ask = false;
    assert_int_equal(e.given, given);
    assert_true(client.answers > 20);
    assert_int_equal(client.away, client.answers);
    assert_true(client.slowest_answer < 100 * NS_PER_MS);
    pass_ms(15000);
    assert_true(e.given > given);
    end_jobs();
}

/* What is shown is durable: the oracle looks at each answer. */
static void test_an_answer_waits_for_what_it_shows(void **state)
{
    (void)state;
    begin_jobs(3, 30000);
    keep_weather.delay_most = 200 * NS_PER_MS;
    client.ask = true;
    pass_ms(10000);
    assert_true(client.answers > 10);
    assert_int_equal(client.away, 0);
    /* It waits, and not for long: for the group before and its own. */
    assert_true(client.slowest_answer > 50 * NS_PER_MS);
    assert_true(client.slowest_answer < 1500 * NS_PER_MS);
    end_jobs();
}

/* test_sim_world [farms that are handed over] */
int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_handover_takes_less_than_a_second),
        cmocka_unit_test(test_jobs_are_given_before_records_are_durable),
        cmocka_unit_test(test_no_job_is_given_early_while_the_store_is_away),
        cmocka_unit_test(test_an_answer_waits_for_what_it_shows),
    };

    if (argc > 1)
        farms = strtoull(argv[1], NULL, 10);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
