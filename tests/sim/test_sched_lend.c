/* A source spreads over a farm whose workers serve each other: the real
 * scheduler, 64 workers, a second a step. A transfer takes ten of them. */
#include "support/test.h"

#include "broker/core/sched.h"
#include "broker/core/state.h"
#include "common/memory.h"

#include <stdlib.h>
#include <string.h>

enum {
    WORKERS = 64,
    ORIGIN_MOST = 8,
    TRANSFER = 10, /* steps */
    PATIENCE = 3,  /* steps until one sees that a holder gives nothing */
    STEPS_MOST = 200,
    ORIGIN = -1,
};

static const char url[] = "https://origin/model.safetensors";

struct hand { /* a worker */
    bool serves, lies;
    bool has_job, has_source;
    int from; /* worker that it fetches from, or ORIGIN */
    int next; /* who is asked if that gives nothing */
    int left; /* steps to go */
};

struct town {
    struct sched *sched;
    struct outbox out;
    int step;
    struct hand hands[WORKERS];
    int fetched; /* from the origin, in all */
    int most;    /* at the same time */
    bool honest; /* nobody lies */
};

static struct sched_time now(const struct town *t)
{
    return (struct sched_time){ .now = t->step * NS_PER_S + 1,
                                .wall_ms = t->step * INT64_C(1000) };
}

static int port_of(struct wire_bytes address)
{
    char text[64];

    (void)snprintf(text, sizeof text, "%.*s", (int)address.size, address.data);
    return (int)strtol(strrchr(text, ':') + 1, NULL, 10);
}

static void begin(struct hand *h, int from, int next)
{
    h->from = from;
    h->next = next;
    h->left = TRANSFER;
}

/* The first job of a worker makes it fetch; it never ends. */
static void take_assign(struct town *t, int w, const struct wire_assign *m)
{
    const struct wire_holders *holders = &m->jobs.items[0].holders;
    struct hand *h = &t->hands[w];
    int from[2] = { ORIGIN, ORIGIN };

    h->has_job = true;
    for (size_t i = 0; i < holders->count && i < 2; i++)
        from[i] = port_of(holders->items[i].address) - 1;
    begin(h, from[0], from[1]);
}

static void settle(struct town *t)
{
    sched_tick(t->sched, now(t), &t->out);
    for (size_t i = 0; i < t->out.message_count; i++) {
        const struct outbox_message *m = &t->out.messages[i];
        struct wire_decoded d;

        assert_ok(wire_decode(t->out.bytes.data + m->at, m->size, &d));
        if (d.message.type == WIRE_ASSIGN)
            take_assign(t, (int)m->peer.id - 1, &d.message.assign);
        wire_release(&d);
    }
    outbox_release(&t->out);
    outbox_init(&t->out);
}

static void say(struct town *t, enum peer_side side, uint64_t id,
                const struct wire_message *m)
{
    const struct peer peer = { .side = side, .id = id };

    assert_ok(sched_message(t->sched, peer, m, now(t), &t->out));
    settle(t);
}

static void say_hello(struct town *t, int w)
{
    struct wire_message m = { .type = WIRE_HELLO };
    char name[32];
    char address[32];

    (void)snprintf(name, sizeof name, "w%d", w);
    (void)snprintf(address, sizeof address, "http://h:%d", w + 1);
    m.hello.worker = wire_text(name);
    m.hello.incarnation = (uint64_t)w + 1;
    m.hello.least_major = m.hello.most_major = WIRE_MAJOR;
    m.hello.slots = 1;
    if (t->hands[w].serves)
        m.hello.address = wire_text(address);
    say(t, PEER_WORKER, (uint64_t)w + 1, &m);
}

static void tell_of_it(struct town *t, int w)
{
    struct wire_cached added = { .source = digest_of(url, strlen(url)),
                                 .bytes = UINT64_C(1) << 30,
                                 .served = t->hands[w].serves };
    struct wire_message m = { .type = WIRE_CACHE };

    m.cache.added.items = &added;
    m.cache.added.count = 1;
    say(t, PEER_WORKER, (uint64_t)w + 1, &m);
}

static void submit(struct town *t)
{
    AUTO(free_pointer)
    char *text = xasprintf(
        "{\"sinter\":1,\"name\":\"s\",\"parameters\":[{\"name\":\"x\","
        "\"from\":1,\"to\":%d,\"count\":%d,\"scale\":\"linear\"}],"
        "\"strategy\":{\"method\":\"grid\"},\"stages\":[],\"evaluate\":[{"
        "\"name\":\"e\",\"kind\":\"evaluate.noop\",\"variants\":[{\"params\":{"
        "\"x\":{\"$param\":\"x\"},\"model\":{\"$source\":{\"url\":\"%s\"}}}}],"
        "\"metrics\":[\"value\"]}]}",
        WORKERS, WORKERS, url);
    struct wire_message m = { .type = WIRE_SUBMIT };

    m.submit.request = 1;
    m.submit.idempotency = m.submit.compiled = wire_text(text);
    say(t, PEER_CLIENT, 1, &m);
}

static int count_at(const struct town *t, int from)
{
    int count = 0;

    for (int w = 0; w < WORKERS; w++)
        count += t->hands[w].has_job && !t->hands[w].has_source &&
                 t->hands[w].from == from;
    return count;
}

static bool gives(const struct town *t, int from)
{
    return from == ORIGIN ||
           (t->hands[from].has_source && !t->hands[from].lies);
}

static void step_of(struct town *t, int w)
{
    struct hand *h = &t->hands[w];

    if (!h->has_job || h->has_source)
        return;
    h->left--;
    if (!gives(t, h->from) && h->left == TRANSFER - PATIENCE) {
        begin(h, h->next, ORIGIN);
        return;
    }
    if (h->left > 0)
        return;
    assert_true(gives(t, h->from));
    t->fetched += h->from == ORIGIN;
    h->has_source = true;
    tell_of_it(t, w);
}

/* Until all have it; the steps that took. */
static int spread(struct town *t)
{
    int have = 0;

    for (; have < WORKERS; t->step++) {
        assert_true(t->step < STEPS_MOST);
        have = 0;
        for (int w = 0; w < WORKERS; w++) {
            step_of(t, w);
            have += t->hands[w].has_source;
            assert_true(!t->honest || count_at(t, w) <= LEND_MOST);
        }
        if (count_at(t, ORIGIN) > t->most)
            t->most = count_at(t, ORIGIN);
        settle(t);
        sched_check(t->sched);
    }
    return t->step;
}

static void found(struct town *t, bool serve)
{
    const struct sched_settings settings = { .heartbeat_ms = 3600000,
                                             .lease_ms = 86400000,
                                             .depot = "http://depot",
                                             .version = "test" };

    *t = (struct town){ .sched = sched_new(&settings), .honest = true };
    outbox_init(&t->out);
    sched_start(t->sched, 1, now(t), &t->out);
    t->sched->fetches = ORIGIN_MOST;
    settle(t);
    for (int w = 0; w < WORKERS; w++) {
        t->hands[w].serves = serve;
        say_hello(t, w);
    }
}

static void leave(struct town *t)
{
    outbox_release(&t->out);
    sched_free(t->sched);
}

static void test_without_serving_all_go_to_the_origin(void **state)
{
    struct town t;

    (void)state;
    found(&t, false);
    submit(&t);
    assert_in_range(spread(&t), WORKERS / ORIGIN_MOST * (TRANSFER - 1),
                    WORKERS / ORIGIN_MOST * (TRANSFER + 1));
    assert_int_equal(t.fetched, WORKERS);
    assert_int_equal(t.most, ORIGIN_MOST);
    leave(&t);
}

/* 8 have it after the first round, then 24, then all. */
static void test_with_serving_it_spreads_like_a_tree(void **state)
{
    struct town t;

    (void)state;
    found(&t, true);
    submit(&t);
    assert_in_range(spread(&t), 3 * TRANSFER, 4 * TRANSFER);
    assert_int_equal(t.fetched, ORIGIN_MOST);
    assert_int_equal(t.most, ORIGIN_MOST);
    leave(&t);
}

/* Those that go where nothing is lose time, and the origin is asked by these
 * few more. */
static void test_a_lie_about_what_is_served_costs_time_only(void **state)
{
    struct town t;

    (void)state;
    found(&t, true);
    t.honest = false;
    for (int w = 0; w < WORKERS; w += 8) {
        t.hands[w].lies = true;
        tell_of_it(&t, w);
    }
    submit(&t);
    assert_in_range(spread(&t), 3 * TRANSFER, 12 * TRANSFER);
    assert_true(t.fetched < WORKERS);
    leave(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_without_serving_all_go_to_the_origin),
        cmocka_unit_test(test_with_serving_it_spreads_like_a_tree),
        cmocka_unit_test(test_a_lie_about_what_is_served_costs_time_only),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
