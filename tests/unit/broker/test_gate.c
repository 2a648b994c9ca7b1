/* Real ROUTERs with keys, against DEALERs that have the right ones, or not. */
#include "broker/link.h"
#include "common/clock.h"
#include "common/dealer.h"
#include "common/memory.h"
#include "support/process.h"
#include "support/test.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BROKER, WORKER, CLIENT, ADMIN, STRANGER, KEYS };

struct farm {
    char directory[SCRATCH_SIZE];
    char *endpoints[PEER_SIDES];
    struct curve_key keys[KEYS];
    char *secrets[KEYS], *open[KEYS];
    struct link link;
};

static void make_keys(struct farm *f)
{
    static const struct {
        const char *name;
        enum curve_role role;
    } rows[KEYS] = {
        [BROKER] = { "broker", CURVE_BROKER },
        [WORKER] = { "worker", CURVE_WORKER },
        [CLIENT] = { "client", CURVE_CLIENT },
        [ADMIN] = { "admin", CURVE_ADMIN },
        [STRANGER] = { "stranger", CURVE_WORKER },
    };

    for (int i = 0; i < KEYS; i++) {
        /* The stranger's is not in the list of the others. */
        AUTO(free_pointer)
        char *directory =
            xasprintf("%s/%s", f->directory, i == STRANGER ? "other" : "keys");

        assert_ok(curve_make(rows[i].role, rows[i].name, &f->keys[i]));
        assert_ok(curve_save(&f->keys[i], directory));
        f->secrets[i] = xasprintf("%s/%s.key", directory, rows[i].name);
        f->open[i] = xasprintf("%s/%s.pub", directory, rows[i].name);
    }
}

static struct curve_ring *ring_of(const struct farm *f, const char *name)
{
    AUTO(free_pointer) char *path = xasprintf("%s/%s", f->directory, name);
    struct curve_ring *ring = NULL;

    assert_ok(curve_ring_load(path, &ring));
    return ring;
}

static int set_up(void **state)
{
    struct farm *f = xnew(struct farm);
    struct link_settings settings = { .most_queued = 100 };

    scratch_make(f->directory);
    make_keys(f);
    for (int i = 0; i < PEER_SIDES; i++) {
        f->endpoints[i] = xasprintf("ipc://%s/%d", f->directory, i);
        settings.endpoints[i] = f->endpoints[i];
    }
    settings.key = &f->keys[BROKER];
    settings.ring = ring_of(f, "keys");
    assert_ok(link_zmq_open(&settings, &f->link));
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct farm *f = *state;

    f->link.close(f->link.self);
    scratch_remove(f->directory);
    for (int i = 0; i < PEER_SIDES; i++)
        free(f->endpoints[i]);
    for (int i = 0; i < KEYS; i++) {
        free(f->secrets[i]);
        free(f->open[i]);
    }
    free(f);
    return 0;
}

static struct dealer *dial(const struct farm *f, int key, int broker,
                           enum peer_side side)
{
    const struct dealer_safety safety = { .key = f->secrets[key],
                                          .broker_key = f->open[broker] };
    struct dealer *d = NULL;

    assert_ok(dealer_open_safely(f->endpoints[side], &safety, &d));
    return d;
}

/* One step of the broker's loop; true: a message came. */
static bool step(struct farm *f, struct link_message *m)
{
    bool got = false;

    assert_ok(f->link.wait(f->link.self, 10, NULL, 0));
    assert_ok(f->link.receive(f->link.self, m, &got));
    return got;
}

/* Say it until it arrives. */
static struct link_message say(struct farm *f, struct dealer *d,
                               const char *text)
{
    struct link_message m = { 0 };
    struct status st = FAIL(STATUS_UNAVAILABLE, "not tried");

    for (int i = 0; i < 500; i++) {
        if (status_failed(&st))
            st = dealer_send(d, text, strlen(text));
        if (step(f, &m)) {
            assert_int_equal(m.size, strlen(text));
            assert_memory_equal(m.data, text, m.size);
            return m;
        }
    }
    fail_msg("\"%s\" does not arrive: %s", text,
             dealer_obstacle(d, NULL) != NULL ? dealer_obstacle(d, NULL) : "?");
    return m;
}

/* Turn until the dealer has been told off; nothing of it may arrive. */
static void assert_refused(struct farm *f, struct dealer *d, const char *words)
{
    struct link_message m;
    const char *why = NULL;
    struct status st;

    for (int i = 0; i < 500 && why == NULL; i++) {
        st = dealer_send(d, "let me in", 9);
        assert_int_equal(st.code, STATUS_UNAVAILABLE);
        assert_false(step(f, &m));
        why = dealer_obstacle(d, NULL);
    }
    assert_non_null(why);
    assert_non_null(strstr(why, words));
}

static void test_each_role_gets_in_where_it_belongs(void **state)
{
    static const struct {
        int key;
        enum peer_side side;
        enum curve_role role;
    } rows[] = {
        { WORKER, PEER_WORKER, CURVE_WORKER },
        { CLIENT, PEER_CLIENT, CURVE_CLIENT },
        { ADMIN, PEER_CLIENT, CURVE_ADMIN },
    };
    struct farm *f = *state;

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct dealer *d = dial(f, rows[i].key, BROKER, rows[i].side);
        struct link_message m = say(f, d, "hello");
        const void *data = NULL;
        size_t size = 0;

        assert_int_equal(m.role, rows[i].role);
        assert_int_equal(m.from.side, rows[i].side);
        assert_ok(f->link.send(f->link.self, m.from, "welcome", 7));
        assert_ok(dealer_wait(d, 5000, NULL, 0, &data, &size));
        assert_int_equal(size, 7);
        assert_null(dealer_obstacle(d, NULL));
        dealer_close(d);
    }
}

static void test_others_do_not(void **state)
{
    static const struct {
        int key, broker;
        enum peer_side side;
        const char *words;
    } rows[] = {
        { STRANGER, BROKER, PEER_WORKER, "--allow" },
        { STRANGER, BROKER, PEER_CLIENT, "--allow" },
        { WORKER, BROKER, PEER_CLIENT, "--allow" },
        { CLIENT, BROKER, PEER_WORKER, "--allow" },
        { ADMIN, BROKER, PEER_WORKER, "--allow" },
    };
    struct farm *f = *state;

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct dealer *d = dial(f, rows[i].key, rows[i].broker, rows[i].side);

        assert_refused(f, d, rows[i].words);
        dealer_close(d);
    }
}

static void test_without_keys_nobody_gets_in(void **state)
{
    struct farm *f = *state;
    struct dealer *d = NULL;

    assert_ok(dealer_open(f->endpoints[PEER_CLIENT], &d));
    assert_refused(f, d, "--key and --broker-key");
    dealer_close(d);
}

static void test_worker_does_not_speak_to_a_false_broker(void **state)
{
    struct farm *f = *state;
    AUTO(free_pointer)
    char *false_key = xasprintf("%s/false/broker.pub", f->directory);
    AUTO(free_pointer) char *directory = xasprintf("%s/false", f->directory);
    struct dealer_safety safety = { .key = f->secrets[WORKER],
                                    .broker_key = false_key };
    struct curve_key key;
    struct dealer *d = NULL;

    assert_ok(curve_make(CURVE_BROKER, "broker", &key));
    assert_ok(curve_save(&key, directory));
    assert_ok(dealer_open_safely(f->endpoints[PEER_WORKER], &safety, &d));
    assert_refused(f, d, "--broker-key");
    dealer_close(d);
    safety.broker_key = f->open[ADMIN];
    assert_fails(dealer_open_safely(f->endpoints[PEER_WORKER], &safety, &d),
                 STATUS_INVALID, "the key of");
    safety.broker_key = NULL;
    assert_fails(dealer_open_safely(f->endpoints[PEER_WORKER], &safety, &d),
                 STATUS_INVALID, "go together");
}

static void test_a_network_is_not_trusted_unless_told(void **state)
{
    struct dealer_safety safety = { .key = NULL };
    struct dealer *d = NULL;

    (void)state;
    assert_fails(dealer_open_safely("tcp://10.1.2.3:7420", &safety, &d),
                 STATUS_DENIED, "--plaintext");
    safety.plaintext = true;
    assert_ok(dealer_open_safely("tcp://10.1.2.3:7420", &safety, &d));
    dealer_close(d);
}

/* Also one that is connected already. */
static void test_who_is_struck_off_is_not_heard_any_more(void **state)
{
    struct farm *f = *state;
    AUTO(free_pointer) char *list = xasprintf("%s/list", f->directory);
    struct dealer *out = dial(f, WORKER, BROKER, PEER_WORKER);
    struct dealer *in = dial(f, CLIENT, BROKER, PEER_CLIENT);
    struct link_message m;

    (void)say(f, out, "I am here");
    (void)say(f, in, "me too");
    assert_int_equal(unlink(f->open[WORKER]), 0);
    f->link.allow(f->link.self, ring_of(f, "keys"));
    assert_ok(dealer_send(out, "still here", 10));
    (void)say(f, in, "still let in");
    for (int i = 0; i < 20; i++)
        assert_false(step(f, &m));
    dealer_close(out);
    out = dial(f, WORKER, BROKER, PEER_WORKER);
    assert_refused(f, out, "--allow");
    assert_ok(curve_save(&f->keys[WORKER], list));
    f->link.allow(f->link.self, ring_of(f, "list"));
    assert_ok(dealer_reopen(out));
    (void)say(f, out, "back again");
    dealer_close(out);
    dealer_close(in);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_each_role_gets_in_where_it_belongs,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_others_do_not, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_without_keys_nobody_gets_in,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            test_worker_does_not_speak_to_a_false_broker, set_up, tear_down),
        cmocka_unit_test(test_a_network_is_not_trusted_unless_told),
        cmocka_unit_test_setup_teardown(
            test_who_is_struck_off_is_not_heard_any_more, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
