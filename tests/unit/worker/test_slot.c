/* The parent's side of a slot. This program is its own child: started with
 * --slot-fd it does what the job's parameters say. */
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/test.h"

#include "common/clock.h"
#include "common/limits.h"
#include "common/memory.h"
#include "worker/frame.h"
#include "worker/slot.h"

enum { CHILD_FD = 3, WAIT_MS = 20 * 1000, EATEN = 64 << 20 };

/* The child. */

static void tell(const struct wire_message *m)
{
    struct buf out;

    buf_init(&out, LIMIT_MESSAGE);
    assert_ok(frame_add(&out, m));
    assert_int_equal(write(CHILD_FD, out.data, out.size), out.size);
    buf_release(&out);
}

static void tell_done(const char *result)
{
    tell(&(struct wire_message){
        .type = WIRE_SLOT_DONE,
        .slot_done = { { .result = wire_text(result) } } });
}

static void act(const char *what)
{
    static const char nonsense[64] = { 4 };

    (void)printf("doing %s\n", what);
    (void)fflush(stdout);
    if (strcmp(what, "fine") == 0)
        tell_done("{\"ok\":1}");
    if (strcmp(what, "progress") == 0)
        tell(&(struct wire_message){
            .type = WIRE_SLOT_PROGRESS,
            .slot_progress = { 3, 4, wire_text("step") } });
    if (strcmp(what, "alarm") == 0)
        (void)raise(SIGALRM);
    if (strcmp(what, "exit") == 0)
        _exit(7);
    if (strcmp(what, "eat") == 0) {
        AUTO(free_pointer) char *held = xcalloc(EATEN, 1);

        memset(held, 1, EATEN);
        for (;;)
            (void)pause();
    }
    if (strcmp(what, "nonsense") == 0)
        assert_true(write(CHILD_FD, nonsense, sizeof nonsense) > 0);
    if (strcmp(what, "unfinished") == 0) {
        (void)dprintf(STDERR_FILENO, "last words");
        (void)raise(SIGKILL);
    }
}

static int be_a_slot(void)
{
    struct frame_reader r;
    struct wire_decoded d;
    bool got = false;

    if (strcmp(getenv("OPENBLAS_NUM_THREADS"), "1") != 0 ||
        getpgid(0) != getpid())
        return 3;
    frame_reader_init(&r, CHILD_FD);
    while (!r.ended) {
        assert_ok(frame_next(&r, &d, &got));
        if (!got) {
            assert_ok(frame_read(&r));
            continue;
        }
        AUTO(free_pointer)
        char *what = wire_take(d.message.slot_run.job.params);
        wire_release(&d);
        act(what);
    }
    frame_reader_release(&r);
    return 0;
}

/* The tests. */

static char own_name[] = "test_slot";
static char *const own_argv[] = { own_name, NULL };

static void run(struct slot *s, const char *what)
{
    assert_ok(slot_run(
        s, &(struct wire_message){
               .type = WIRE_SLOT_RUN,
               .slot_run = { .job = { .kind = wire_text("test.kind"),
                                      .params = wire_text(what) } } }));
}

/* The next event of this type; others are passed over. */
static struct slot_event wait_for(struct slot *s, enum slot_event_type type)
{
    int64_t end = clock_now() + WAIT_MS * NS_PER_MS;
    struct slot_event e;

    for (;;) {
        struct pollfd fds[SLOT_FDS];

        while (slot_next(s, &e)) {
            if (e.type == type)
                return e;
        }
        assert_true(clock_now() < end);
        slot_poll(s, fds);
        (void)poll(fds, SLOT_FDS, 100);
    }
}

static void expect(struct wire_bytes bytes, const char *text)
{
    char *copy = wire_take(bytes);

    assert_string_equal(copy, text);
    free(copy);
}

static void test_it_starts_runs_and_runs_again(void **state)
{
    struct slot *s = slot_new(own_argv);
    struct slot_event e;
    pid_t pid;

    (void)state;
    assert_int_equal(slot_pid(s), 0);
    run(s, "fine");
    pid = slot_pid(s);
    e = wait_for(s, SLOT_DONE);
    expect(e.outcome.result, "{\"ok\":1}");
    expect(e.outcome.log, "doing fine\n");
    run(s, "fine");
    e = wait_for(s, SLOT_DONE);
    expect(e.outcome.log, "doing fine\n"); /* of this job only */
    assert_int_equal(slot_pid(s), pid);
    slot_free(s);
    assert_int_equal(kill(pid, 0), -1);
}

static void test_progress_and_lines_come_through(void **state)
{
    struct slot *s = slot_new(own_argv);
    struct slot_event e;

    (void)state;
    run(s, "progress");
    e = wait_for(s, SLOT_LOG);
    expect(e.text, "doing progress\n");
    e = wait_for(s, SLOT_PROGRESS);
    assert_int_equal(e.progress.done, 3);
    expect(e.progress.unit, "step");
    slot_free(s);
}

static void expect_death(const char *what, enum status_code code,
                         const char *words, const char *log)
{
    struct slot *s = slot_new(own_argv);
    struct slot_event e;
    char *message;

    run(s, what);
    e = wait_for(s, SLOT_DIED);
    message = wire_take(e.outcome.message);
    if (strstr(message, words) == NULL)
        fail_msg("\"%s\" is not in \"%s\"", words, message);
    free(message);
    assert_int_equal(e.outcome.code, code);
    assert_int_equal(e.outcome.crashed, 1);
    assert_true(e.outcome.peak_bytes > 0);
    expect(e.outcome.log, log);
    assert_int_equal(slot_pid(s), 0);
    run(s, "fine"); /* in a new process */
    e = wait_for(s, SLOT_DONE);
    expect(e.outcome.result, "{\"ok\":1}");
    slot_free(s);
}

static void test_each_death_is_explained_and_keeps_its_log(void **state)
{
    (void)state;
    expect_death("alarm", STATUS_LOST,
                 "slot died of signal 14 (Alarm clock) in test.kind",
                 "doing alarm\n");
    expect_death("exit", STATUS_LOST, "exited with status 7 in test.kind",
                 "doing exit\n");
    expect_death("unfinished", STATUS_LOST,
                 "slot died of signal 9 (Killed) in test.kind",
                 "doing unfinished\nlast words\n");
    expect_death("nonsense", STATUS_LOST, "slot broke off in test.kind",
                 "doing nonsense\n");
}

static void test_our_own_kill_is_not_taken_for_want_of_memory(void **state)
{
    struct slot *s = slot_new(own_argv);
    struct slot_event e;

    (void)state;
    run(s, "progress");
    (void)wait_for(s, SLOT_PROGRESS);
    slot_kill(s);
    e = wait_for(s, SLOT_DIED);
    assert_int_equal(e.outcome.code, STATUS_LOST);
    slot_free(s);
}

/* What the worker does every half second. */
static struct slot_event wait_for_memory(struct slot *s)
{
    int64_t end = clock_now() + WAIT_MS * NS_PER_MS;
    struct slot_event e;

    for (;;) {
        while (slot_next(s, &e)) {
            if (e.type == SLOT_DIED)
                return e;
        }
        assert_true(clock_now() < end);
        slot_check_memory(s);
        clock_sleep_ms(5);
    }
}

static void test_a_job_that_takes_more_than_it_may_is_killed(void **state)
{
    struct slot *s = slot_new(own_argv);
    struct slot_event e;
    char *message;

    (void)state;
    run(s, "eat");
    slot_limit_memory(s, EATEN / 2);
    e = wait_for_memory(s);
    message = wire_take(e.outcome.message);
    assert_non_null(strstr(message, "more than the 32 MiB it may"));
    free(message);
    assert_int_equal(e.outcome.code, STATUS_NO_MEMORY);
    assert_int_equal(e.outcome.crashed, 3);
    assert_true(e.outcome.peak_bytes > EATEN / 2);
    /* The limit was that job's. */
    run(s, "fine");
    slot_check_memory(s);
    (void)wait_for(s, SLOT_DONE);
    slot_free(s);
}

static void test_a_large_job_is_taken_in_pieces(void **state)
{
    struct slot *s = slot_new(own_argv);
    AUTO(free_pointer) char *large = xcalloc(LIMIT_PARAMS, 1);
    struct slot_event e;

    (void)state;
    memset(large, 'x', LIMIT_PARAMS - 1);
    for (int i = 0; i < 3; i++)
        run(s, large);
    run(s, "fine");
    e = wait_for(s, SLOT_DONE);
    expect(e.outcome.result, "{\"ok\":1}");
    slot_free(s);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_it_starts_runs_and_runs_again),
        cmocka_unit_test(test_progress_and_lines_come_through),
        cmocka_unit_test(test_each_death_is_explained_and_keeps_its_log),
        cmocka_unit_test(test_our_own_kill_is_not_taken_for_want_of_memory),
        cmocka_unit_test(test_a_job_that_takes_more_than_it_may_is_killed),
        cmocka_unit_test(test_a_large_job_is_taken_in_pieces),
    };

    if (argc > 1 && strcmp(argv[argc - 1], "--slot-fd=3") == 0)
        return be_a_slot();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
