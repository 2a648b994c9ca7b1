/* common/dealer against a real ROUTER, as the broker has one. */
#include "support/test.h"

#include "common/clock.h"
#include "common/dealer.h"
#include "common/file.h"
#include "common/memory.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include <zmq.h>

enum { PATIENCE_MS = 5000 };

struct router {
    void *context;
    void *socket;
};

static struct router open_router(const char *endpoint)
{
    const int none = 0;
    struct router r;

    r.context = zmq_ctx_new();
    r.socket = zmq_socket(r.context, ZMQ_ROUTER);
    assert_non_null(r.socket);
    (void)zmq_setsockopt(r.socket, ZMQ_LINGER, &none, sizeof none);
    /* A ROUTER drops what is above its mark. */
    (void)zmq_setsockopt(r.socket, ZMQ_SNDHWM, &none, sizeof none);
    assert_int_equal(zmq_bind(r.socket, endpoint), 0);
    return r;
}

static void close_router(const struct router *r)
{
    (void)zmq_close(r->socket);
    (void)zmq_ctx_term(r->context);
}

/* Sends one message of one part back to where it came from. */
static void echo(const struct router *r, const char *expected)
{
    char id[64];
    char text[64];
    int id_size = zmq_recv(r->socket, id, sizeof id, 0);
    int size = zmq_recv(r->socket, text, sizeof text, 0);

    assert_true(id_size > 0);
    assert_int_equal(size, strlen(expected));
    assert_memory_equal(text, expected, (size_t)size);
    assert_int_equal(zmq_send(r->socket, id, (size_t)id_size, ZMQ_SNDMORE),
                     id_size);
    assert_int_equal(zmq_send(r->socket, text, (size_t)size, 0), size);
}

/* Until the connection stands, a send is refused. */
static void send_soon(struct dealer *d, const char *text)
{
    int64_t end = clock_now() + PATIENCE_MS * NS_PER_MS;
    struct status st;

    do {
        st = dealer_send(d, text, strlen(text));
        if (status_failed(&st)) {
            assert_int_equal(st.code, STATUS_UNAVAILABLE);
            clock_sleep_ms(5);
        }
    } while (status_failed(&st) && clock_now() < end);
    assert_ok(st);
}

static void expect(struct dealer *d, const char *text)
{
    const void *data;
    size_t size;

    assert_ok(dealer_wait(d, PATIENCE_MS, NULL, 0, &data, &size));
    assert_non_null(data);
    assert_int_equal(size, strlen(text));
    assert_memory_equal(data, text, size);
}

static void check_talk(const char *endpoint)
{
    struct router r = open_router(endpoint);
    struct dealer *d;

    assert_ok(dealer_open(endpoint, &d));
    send_soon(d, "one");
    echo(&r, "one");
    expect(d, "one");
    assert_ok(dealer_reopen(d));
    send_soon(d, "two");
    echo(&r, "two");
    expect(d, "two");
    dealer_close(d);
    close_router(&r);
}

/* `folder` must stay short: paths of sockets are. */
static char folder[] = "/tmp/sinter-zmq-XXXXXX";
static char ipc[64];

static int start(void **state)
{
    (void)state;
    if (mkdtemp(folder) == NULL)
        return -1;
    (void)snprintf(ipc, sizeof ipc, "ipc://%s/socket", folder);
    return 0;
}

static int stop(void **state)
{
    struct status st = file_remove_tree(folder);

    (void)state;
    return status_failed(&st);
}

static void test_messages_go_to_and_fro_and_after_a_reopen(void **state)
{
    (void)state;
    check_talk(ipc);
}

static void test_nothing_is_queued_for_nobody(void **state)
{
    const void *data;
    size_t size;
    struct dealer *d;
    int64_t begin;

    (void)state;
    assert_ok(dealer_open(ipc, &d));
    assert_fails(dealer_send(d, "x", 1), STATUS_UNAVAILABLE, "nobody there");
    begin = clock_now();
    assert_ok(dealer_wait(d, 150, NULL, 0, &data, &size));
    assert_null(data);
    assert_true(clock_now() - begin >= 140 * NS_PER_MS);
    assert_true(clock_now() - begin < 2 * NS_PER_S);
    dealer_close(d);
    assert_true(clock_now() - begin < 3 * NS_PER_S);
    dealer_close(NULL);
}

static void test_a_late_or_lost_peer_is_found_again(void **state)
{
    struct dealer *d;
    struct router r;

    (void)state;
    assert_ok(dealer_open(ipc, &d));
    clock_sleep_ms(150);
    for (int i = 0; i < 2; i++) {
        r = open_router(ipc);
        send_soon(d, "hello");
        echo(&r, "hello");
        expect(d, "hello");
        close_router(&r);
        clock_sleep_ms(50);
    }
    dealer_close(d);
}

/* Whatever libzmq's thread is about to tell of a connection when it is given
 * up, the next one is made. */
static void test_connections_are_given_up_at_any_moment(void **state)
{
    enum { TIMES = 3000 };
    struct dealer *d;
    struct router r;

    (void)state;
    assert_ok(dealer_open(ipc, &d));
    for (int i = 0; i < TIMES; i++) {
        assert_ok(dealer_reopen(d));
        (void)usleep((useconds_t)(i % 100) * 10);
    }
    r = open_router(ipc);
    send_soon(d, "hello");
    echo(&r, "hello");
    expect(d, "hello");
    dealer_close(d);
    close_router(&r);
}

/* A wait that ends though nothing came. */
static void expect_nothing(struct dealer *d)
{
    const int64_t began = clock_now();
    const void *data;
    size_t size;

    assert_ok(dealer_wait(d, PATIENCE_MS, NULL, 0, &data, &size));
    assert_null(data);
    assert_true(clock_now() - began < PATIENCE_MS * NS_PER_MS);
}

static void test_a_lost_peer_is_told_at_once(void **state)
{
    struct router r = open_router(ipc);
    struct dealer *d;

    (void)state;
    assert_ok(dealer_open(ipc, &d));
    send_soon(d, "hello");
    echo(&r, "hello");
    expect(d, "hello");
    assert_false(dealer_was_lost(d));
    close_router(&r);
    expect_nothing(d);
    assert_true(dealer_was_lost(d));
    assert_false(dealer_was_lost(d));
    expect_nothing(d); /* nobody is there */
    assert_true(dealer_was_lost(d));
    r = open_router(ipc);
    send_soon(d, "again");
    (void)dealer_was_lost(d); /* it tried in vain meanwhile */
    echo(&r, "again");
    expect(d, "again");
    assert_false(dealer_was_lost(d));
    dealer_close(d);
    close_router(&r);
}

static void test_other_descriptors_end_the_wait(void **state)
{
    struct dealer *d;
    struct pollfd others[2];
    const void *data;
    size_t size;
    int pair[2];

    (void)state;
    assert_int_equal(pipe(pair), 0);
    assert_ok(dealer_open(ipc, &d));
    others[0] = (struct pollfd){ .fd = pair[0], .events = POLLIN };
    others[1] = (struct pollfd){ .fd = -1, .events = POLLIN };
    assert_ok(dealer_wait(d, 20, others, 2, &data, &size));
    assert_int_equal(others[0].revents, 0);
    assert_int_equal(write(pair[1], "x", 1), 1);
    assert_ok(dealer_wait(d, -1, others, 2, &data, &size));
    assert_null(data);
    assert_int_equal(others[0].revents, POLLIN);
    (void)close(pair[1]);
    assert_int_equal(read(pair[0], &(char){ 0 }, 1), 1);
    assert_ok(dealer_wait(d, -1, others, 2, &data, &size));
    assert_int_equal(others[0].revents, POLLHUP);
    dealer_close(d);
    (void)close(pair[0]);
}

static void on_alarm(int number)
{
    (void)number;
}

static void test_a_signal_ends_the_wait(void **state)
{
    struct sigaction action = { .sa_handler = on_alarm };
    struct itimerval soon = { .it_value.tv_usec = 50 * 1000 };
    struct dealer *d;
    const void *data;
    size_t size;

    (void)state;
    assert_int_equal(sigaction(SIGALRM, &action, NULL), 0);
    assert_ok(dealer_open(ipc, &d));
    assert_int_equal(setitimer(ITIMER_REAL, &soon, NULL), 0);
    assert_ok(dealer_wait(d, PATIENCE_MS * 10, NULL, 0, &data, &size));
    assert_null(data);
    dealer_close(d);
}

/* The socket's descriptor tells of changes only: none may be slept over. */
static void test_no_message_of_a_flood_is_slept_over(void **state)
{
    enum { FLOOD = 900 };
    struct router r = open_router(ipc);
    struct dealer *d;
    char id[64];
    char text[64];
    int id_size;

    (void)state;
    assert_ok(dealer_open(ipc, &d));
    send_soon(d, "go");
    id_size = zmq_recv(r.socket, id, sizeof id, 0);
    assert_int_equal(zmq_recv(r.socket, text, sizeof text, 0), 2);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < FLOOD; i++) {
            int size = snprintf(text, sizeof text, "%d", i);

            (void)zmq_send(r.socket, id, (size_t)id_size, ZMQ_SNDMORE);
            (void)zmq_send(r.socket, text, (size_t)size, 0);
        }
        for (int i = 0; i < FLOOD; i++) {
            (void)snprintf(text, sizeof text, "%d", i);
            expect(d, text);
        }
    }
    dealer_close(d);
    close_router(&r);
}

static void test_parts_behind_the_first_are_dropped(void **state)
{
    struct router r = open_router(ipc);
    struct dealer *d;
    char id[64];
    char text[64];
    int id_size;

    (void)state;
    assert_ok(dealer_open(ipc, &d));
    send_soon(d, "go");
    id_size = zmq_recv(r.socket, id, sizeof id, 0);
    assert_int_equal(zmq_recv(r.socket, text, sizeof text, 0), 2);
    for (int i = 0; i < 2; i++) {
        (void)zmq_send(r.socket, id, (size_t)id_size, ZMQ_SNDMORE);
        (void)zmq_send(r.socket, "first", 5, ZMQ_SNDMORE);
        (void)zmq_send(r.socket, "second", 6, ZMQ_SNDMORE);
        (void)zmq_send(r.socket, "third", 5, 0);
    }
    expect(d, "first");
    expect(d, "first");
    dealer_close(d);
    close_router(&r);
}

static void test_of_several_endpoints_each_is_found(void **state)
{
    struct router first = open_router(ipc);
    AUTO(free_pointer) char *other = xasprintf("%s-2", ipc);
    AUTO(free_pointer) char *both = xasprintf("%s,%s", ipc, other);
    struct router second = open_router(other);
    struct dealer *d;

    (void)state;
    assert_ok(dealer_open(both, &d));
    assert_int_equal(dealer_endpoint_count(d), 2);
    send_soon(d, "one");
    echo(&first, "one");
    expect(d, "one");
    assert_ok(dealer_reopen(d));
    assert_string_equal(dealer_endpoint(d), other);
    send_soon(d, "two");
    echo(&second, "two");
    expect(d, "two");
    /* Without keys nobody can send us elsewhere. */
    assert_false(dealer_redirect(d, "ipc:///elsewhere", 16));
    assert_true(dealer_redirect(d, other, strlen(other)));
    assert_ok(dealer_reopen(d));
    send_soon(d, "three");
    echo(&second, "three");
    expect(d, "three");
    dealer_close(d);
    close_router(&first);
    close_router(&second);
}

static void test_what_is_no_endpoint_is_said(void **state)
{
    struct dealer *d;

    (void)state;
    assert_fails(dealer_open("nonsense", &d), STATUS_INVALID,
                 "connect to nonsense");
    assert_fails(dealer_open("tcp://127.0.0.1", &d), STATUS_INVALID, NULL);
    assert_fails(dealer_open("carrier://pigeon", &d), STATUS_INVALID,
                 "carrier://pigeon");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_messages_go_to_and_fro_and_after_a_reopen),
        cmocka_unit_test(test_nothing_is_queued_for_nobody),
        cmocka_unit_test(test_a_late_or_lost_peer_is_found_again),
        cmocka_unit_test(test_connections_are_given_up_at_any_moment),
        cmocka_unit_test(test_a_lost_peer_is_told_at_once),
        cmocka_unit_test(test_other_descriptors_end_the_wait),
        cmocka_unit_test(test_a_signal_ends_the_wait),
        cmocka_unit_test(test_no_message_of_a_flood_is_slept_over),
        cmocka_unit_test(test_parts_behind_the_first_are_dropped),
        cmocka_unit_test(test_of_several_endpoints_each_is_found),
        cmocka_unit_test(test_what_is_no_endpoint_is_said),
    };

    return cmocka_run_group_tests(tests, start, stop);
}
