/* The real sinter-worker with its real slots; only the broker is made here. */
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <zmq.h>

#include "support/nginx.h"
#include "support/test.h"

#include "common/clock.h"
#include "common/file.h"
#include "common/limits.h"
#include "common/machine.h"
#include "common/memory.h"
#include "common/wire.h"

enum { WAIT_MS = 30 * 1000, HEARTBEAT_MS = 200, MOST_IDENTITY = 64 };

struct farm {
    char directory[64];
    char endpoint[128];
    char cache[96];
    void *context;
    void *router;
    pid_t worker;
    bool silent;                  /* answers nothing by itself */
    bool forgot;                  /* asks who sends a heartbeat */
    char identity[MOST_IDENTITY]; /* of the worker's connection */
    size_t identity_size;
    char data[LIMIT_MESSAGE]; /* of the message expected last */
    struct wire_decoded decoded;
    bool has_decoded;
};

static void open_router(struct farm *f)
{
    int none = 0; /* an answer to a killed worker would be kept for ever */

    f->router = zmq_socket(f->context, ZMQ_ROUTER);
    (void)zmq_setsockopt(f->router, ZMQ_LINGER, &none, sizeof none);
    assert_int_equal(zmq_bind(f->router, f->endpoint), 0);
}

static struct farm *farm_new(void)
{
    struct farm *f = xnew(struct farm);

    (void)snprintf(f->directory, sizeof f->directory,
                   "/tmp/sinter-test-XXXXXX");
    assert_non_null(mkdtemp(f->directory));
    (void)snprintf(f->cache, sizeof f->cache, "%s/cache", f->directory);
    (void)snprintf(f->endpoint, sizeof f->endpoint, "ipc://%s/broker",
                   f->directory);
    f->context = zmq_ctx_new();
    open_router(f);
    return f;
}

static pid_t spawn(const char *const *argv, posix_spawn_file_actions_t *files)
{
    pid_t pid;

    assert_int_equal(posix_spawn(&pid, WORKER_PROGRAM, files, NULL,
                                 (char *const *)(uintptr_t)argv, environ),
                     0);
    return pid;
}

static void start_worker(struct farm *f, const char *slots, const char *drain)
{
    const char *const argv[] = {
        "sinter-worker",
        "--broker",
        f->endpoint,
        "--slots",
        slots,
        "--cache",
        f->cache,
        "--drain",
        drain,
        "--name",
        "tested",
        "--log",
        "error",
        "--allow-command",
        "sleep",
        "--allow-command",
        "env",
        "--die-with-parent",
        NULL,
    };

    f->worker = spawn(argv, NULL);
}

static void forget_message(struct farm *f)
{
    if (f->has_decoded)
        wire_release(&f->decoded);
    f->has_decoded = false;
}

static int exit_status(struct farm *f)
{
    int status = -1;

    assert_int_equal(waitpid(f->worker, &status, 0), f->worker);
    f->worker = 0;
    return status;
}

static void farm_free(struct farm *f)
{
    if (f->worker != 0) {
        (void)kill(f->worker, SIGKILL);
        (void)exit_status(f);
    }
    forget_message(f);
    (void)zmq_close(f->router);
    (void)zmq_ctx_term(f->context);
    assert_ok(file_remove_tree(f->directory));
    free(f);
}

static void say(struct farm *f, const struct wire_message *m)
{
    struct buf out;

    buf_init(&out, LIMIT_MESSAGE);
    assert_ok(wire_encode(m, &out));
    (void)zmq_send(f->router, f->identity, f->identity_size, ZMQ_SNDMORE);
    assert_int_equal(zmq_send(f->router, out.data, out.size, 0), out.size);
    buf_release(&out);
}

/* The next message of any type; heartbeats are answered. */
static const struct wire_message *receive(struct farm *f, int64_t end)
{
    zmq_pollitem_t item = { .socket = f->router, .events = ZMQ_POLLIN };
    int64_t left = (end - clock_now()) / NS_PER_MS;
    int size;

    forget_message(f);
    if (left < 0 || zmq_poll(&item, 1, (long)left) < 1)
        return NULL;
    size = zmq_recv(f->router, f->identity, sizeof f->identity, 0);
    assert_true(size > 0);
    f->identity_size = (size_t)size;
    size = zmq_recv(f->router, f->data, sizeof f->data, 0);
    assert_true(size > 0);
    assert_ok(wire_decode(f->data, (size_t)size, &f->decoded));
    f->has_decoded = true;
    if (f->decoded.message.type == WIRE_HEARTBEAT && !f->silent)
        say(f, &(struct wire_message){
                   .type = WIRE_HEARTBEAT_ACK,
                   .heartbeat_ack = { .say_hello = f->forgot } });
    return &f->decoded.message;
}

static const struct wire_message *expect(struct farm *f, enum wire_type type)
{
    int64_t end = clock_now() + WAIT_MS * NS_PER_MS;
    const struct wire_message *m;

    do {
        m = receive(f, end);
        if (m == NULL)
            fail_msg("no %s came", wire_name(type));
    } while (m->type != type);
    return m;
}

static void welcome_to(struct farm *f, const char *depot)
{
    say(f, &(struct wire_message){ .type = WIRE_WELCOME,
                                   .welcome = { .epoch = 1,
                                                .session = 1,
                                                .heartbeat_ms = HEARTBEAT_MS,
                                                .lease_ms = 10 * HEARTBEAT_MS,
                                                .depot = wire_text(depot) } });
}

static void welcome(struct farm *f)
{
    welcome_to(f, "http://127.0.0.1:9"); /* nobody is there */
}

static struct farm *farm_with_worker(const char *slots)
{
    struct farm *f = farm_new();

    start_worker(f, slots, "20s");
    (void)expect(f, WIRE_HELLO);
    welcome(f);
    return f;
}

static struct wire_token token(int key)
{
    return (struct wire_token){ .key = { { (uint8_t)key } },
                                .epoch = 1,
                                .attempt = 1 };
}

static void assign_kind(struct farm *f, int key, const char *kind,
                        const char *params, int64_t stall_ms, int64_t limit_ms)
{
    struct wire_assignment job = { .token = token(key),
                                   .kind = wire_text(kind),
                                   .params = wire_text(params),
                                   .label = wire_text("test"),
                                   .stall_ms = stall_ms,
                                   .limit_ms = limit_ms };

    say(f, &(struct wire_message){ .type = WIRE_ASSIGN,
                                   .assign = { { &job, 1 } } });
}

static void assign(struct farm *f, int key, const char *params,
                   int64_t stall_ms, int64_t limit_ms)
{
    assign_kind(f, key, "evaluate.noop", params, stall_ms, limit_ms);
}

static void tell_token(struct farm *f, enum wire_type type, int key)
{
    struct wire_token t = token(key);

    say(f, &(struct wire_message){ .type = type, .committed = { { &t, 1 } } });
}

/* The next outcome, which must be the only one in its DONE. */
static const struct wire_outcome *expect_outcome(struct farm *f, int key,
                                                 enum status_code code)
{
    const struct wire_message *m = expect(f, WIRE_DONE);
    const struct wire_outcome *o = &m->done.outcomes.items[0];

    assert_int_equal(m->done.outcomes.count, 1);
    assert_int_equal(o->token.key.bytes[0], key);
    if (o->code != code)
        fail_msg("%s: %.*s", status_name((enum status_code)o->code),
                 (int)o->message.size, o->message.data);
    return o;
}

static void expect_words(struct wire_bytes bytes, const char *words)
{
    AUTO(free_pointer) char *text = wire_take(bytes);

    if (strstr(text, words) == NULL)
        fail_msg("\"%s\" is not in \"%s\"", words, text);
}

/* Finish the job and have it committed. */
static void run_one(struct farm *f, int key)
{
    assign(f, key, "{\"value\":5}", 0, 0);
    expect_words(expect_outcome(f, key, STATUS_SUCCESS)->result, "\"value\":5");
    tell_token(f, WIRE_COMMITTED, key);
}

/* The parent of a process; 0 if there is none. */
static pid_t parent_of(pid_t pid)
{
    AUTO(free_pointer) char *path = xasprintf("/proc/%ld/stat", (long)pid);
    FILE *f = fopen(path, "re");
    char line[512] = "";
    const char *at;

    if (f == NULL)
        return 0;
    at = fgets(line, sizeof line, f);
    (void)fclose(f);
    if (at != NULL)
        at = strrchr(line, ')'); /* "pid (name) state parent" */
    return at == NULL || at[2] == 'Z' ? 0 : (pid_t)strtol(at + 4, NULL, 10);
}

/* A child of the process, once it has one. */
static pid_t child_of(pid_t parent)
{
    int64_t end = clock_now() + WAIT_MS * NS_PER_MS;

    while (clock_now() < end) {
        DIR *d = opendir("/proc");
        const struct dirent *item;
        pid_t found = 0;

        while (found == 0 && (item = readdir(d)) != NULL) {
            pid_t pid = (pid_t)strtol(item->d_name, NULL, 10);

            if (pid > 0 && parent_of(pid) == parent)
                found = pid;
        }
        (void)closedir(d);
        if (found != 0)
            return found;
        clock_sleep_ms(10);
    }
    fail_msg("process %d has no child", (int)parent);
    return 0;
}

static pid_t slot_of(const struct farm *f)
{
    return child_of(f->worker);
}

static void wait_until_gone(pid_t pid)
{
    int64_t end = clock_now() + WAIT_MS * NS_PER_MS;

    while (parent_of(pid) != 0) {
        assert_true(clock_now() < end);
        clock_sleep_ms(10);
    }
}

/* The job in hand has reported, so its slot is up and in it. */
static void wait_for_progress(struct farm *f)
{
    int64_t end = clock_now() + WAIT_MS * NS_PER_MS;

    while (expect(f, WIRE_HEARTBEAT)->heartbeat.progress.count == 0)
        assert_true(clock_now() < end);
}

static const char endless[] = "{\"sleep\":60000}";

static void test_a_job_runs_and_is_done_once(void **state)
{
    struct farm *f = farm_with_worker("1");
    const struct wire_outcome *o;

    (void)state;
    assign(f, 1, "{\"value\":2.5,\"sleep\":20}", 0, 0);
    o = expect_outcome(f, 1, STATUS_SUCCESS);
    expect_words(o->result, "{\"metrics\":{\"value\":2.5}}");
    assert_true(o->wall_ms >= 20);
    assert_true(o->peak_bytes > 0);
    tell_token(f, WIRE_COMMITTED, 1);
    assign(f, 2, "{\"fail\":\"corrupt\"}", 0, 0);
    o = expect_outcome(f, 2, STATUS_CORRUPT);
    expect_words(o->message, "noop was told to fail");
    tell_token(f, WIRE_COMMITTED, 2);
    while (expect(f, WIRE_HEARTBEAT)->heartbeat.running_count != 0)
        continue;
    farm_free(f);
}

static void test_hello_says_who_it_is(void **state)
{
    struct farm *f = farm_new();
    const struct wire_hello *hello;

    (void)state;
    start_worker(f, "3", "1s");
    hello = &expect(f, WIRE_HELLO)->hello;
    expect_words(hello->worker, "tested");
    expect_words(hello->kinds, "evaluate.noop");
    assert_int_equal(hello->slots, 3);
    assert_true(hello->cpus >= 1);
    assert_true(hello->memory_bytes > 0);
    assert_int_equal(hello->running.count, 0);
    farm_free(f);
}

static void test_two_slots_run_two_jobs_at_once(void **state)
{
    struct farm *f = farm_with_worker("2");
    int64_t start = clock_now();

    (void)state;
    assign(f, 1, "{\"sleep\":1500}", 0, 0);
    assign(f, 2, "{\"sleep\":1500}", 0, 0);
    (void)expect(f, WIRE_DONE);
    while (expect(f, WIRE_HEARTBEAT)->heartbeat.free_slots != 2)
        continue;
    assert_true(clock_now() - start < 2800 * NS_PER_MS);
    farm_free(f);
}

/* Of a slot that somebody killed: where the kernel's count of kills for memory
 * cannot be read, it may have been the kernel. */
static enum status_code killed_code(void)
{
    return machine_oom_kills("") < 0 ? STATUS_NO_MEMORY : STATUS_LOST;
}

static void test_a_killed_slot_is_a_crash_and_the_next_job_runs(void **state)
{
    struct farm *f = farm_with_worker("1");
    const struct wire_outcome *o;

    (void)state;
    assign(f, 1, endless, 0, 0);
    wait_for_progress(f);
    (void)kill(slot_of(f), SIGKILL);
    o = expect_outcome(f, 1, killed_code());
    assert_int_equal(o->crashed, killed_code() == STATUS_LOST ? 1 : 3);
    expect_words(o->message, "evaluate.noop");
    tell_token(f, WIRE_COMMITTED, 1);
    assign(f, 2, endless, 0, 0);
    wait_for_progress(f);
    (void)kill(slot_of(f), SIGALRM);
    o = expect_outcome(f, 2, STATUS_LOST);
    expect_words(o->message, "signal 14 (Alarm clock) in evaluate.noop");
    run_one(f, 3);
    farm_free(f);
}

static void test_cancel_ends_the_job_and_spares_the_slot(void **state)
{
    struct farm *f = farm_with_worker("1");
    pid_t slot;

    (void)state;
    assign(f, 1, endless, 0, 0);
    wait_for_progress(f);
    slot = slot_of(f);
    tell_token(f, WIRE_CANCEL, 1);
    (void)expect_outcome(f, 1, STATUS_CANCELLED);
    tell_token(f, WIRE_STALE, 1);
    run_one(f, 2);
    assert_int_equal(slot_of(f), slot);
    farm_free(f);
}

static void test_cancel_ends_a_job_that_does_not_listen(void **state)
{
    struct farm *f = farm_with_worker("1");

    (void)state;
    assign(f, 1, endless, 0, 0);
    wait_for_progress(f);
    (void)kill(slot_of(f), SIGSTOP);
    tell_token(f, WIRE_CANCEL, 1);
    (void)expect_outcome(f, 1, STATUS_CANCELLED);
    tell_token(f, WIRE_STALE, 1);
    run_one(f, 2);
    farm_free(f);
}

/* A file where the cache was; a slot that starts may make it again meanwhile. */
static void put_file_for_cache(const struct farm *f)
{
    enum { TRIES = 100, PAUSE_MS = 10 };
    struct status st = SUCCESS;

    for (int i = 0; i < TRIES; i++) {
        st = file_remove_tree(f->cache);
        if (!status_failed(&st))
            st = file_write(f->cache, "", 0);
        if (!status_failed(&st))
            return;
        clock_sleep_ms(PAUSE_MS);
    }
    assert_ok(st);
}

/* Not the job's fault: somebody else may do it. */
static void test_a_disk_that_cannot_be_written_is_said(void **state)
{
    struct farm *f = farm_with_worker("1");

    (void)state;
    put_file_for_cache(f);
    assign(f, 1, "{}", 0, 0);
    expect_words(expect_outcome(f, 1, STATUS_UNAVAILABLE)->message, f->cache);
    farm_free(f);
}

static void test_limits_end_jobs_with_a_sentence(void **state)
{
    struct farm *f = farm_with_worker("1");

    (void)state;
    assign(f, 1, endless, 600, 0);
    wait_for_progress(f);
    (void)kill(slot_of(f), SIGSTOP);
    expect_words(expect_outcome(f, 1, STATUS_TIMED_OUT)->message,
                 "made no progress for 0.6 s");
    tell_token(f, WIRE_COMMITTED, 1);
    assign(f, 2, endless, 0, 500);
    expect_words(expect_outcome(f, 2, STATUS_TIMED_OUT)->message,
                 "longer than its limit of 0.5 s");
    tell_token(f, WIRE_COMMITTED, 2);
    run_one(f, 3);
    farm_free(f);
}

static bool holds(const struct wire_tokens *tokens, int key)
{
    for (size_t i = 0; i < tokens->count; i++) {
        if (tokens->items[i].key.bytes[0] == key)
            return true;
    }
    return false;
}

static void test_a_silent_broker_gets_a_new_hello_with_all_it_held(void **state)
{
    struct farm *f = farm_with_worker("2");
    const struct wire_hello *hello;

    (void)state;
    assign(f, 1, endless, 0, 0);
    wait_for_progress(f);
    assign(f, 2, "{\"value\":1}", 0, 0);
    (void)expect_outcome(f, 2, STATUS_SUCCESS);
    f->silent = true;
    hello = &expect(f, WIRE_HELLO)->hello;
    assert_int_equal(hello->running.count, 2);
    assert_true(holds(&hello->running, 1));
    assert_true(holds(&hello->running, 2));
    f->silent = false;
    welcome(f); /* to the new connection */
    (void)expect_outcome(f, 2, STATUS_SUCCESS);
    tell_token(f, WIRE_COMMITTED, 2);
    tell_token(f, WIRE_CANCEL, 1);
    (void)expect_outcome(f, 1, STATUS_CANCELLED);
    farm_free(f);
}

static void test_a_broker_that_restarts_finds_the_worker_again(void **state)
{
    struct farm *f = farm_with_worker("1");

    (void)state;
    assign(f, 1, endless, 0, 0);
    wait_for_progress(f);
    (void)zmq_close(f->router);
    clock_sleep_ms(300);
    open_router(f);
    f->forgot = true;
    assert_true(holds(&expect(f, WIRE_HELLO)->hello.running, 1));
    f->forgot = false;
    welcome(f);
    tell_token(f, WIRE_CANCEL, 1);
    (void)expect_outcome(f, 1, STATUS_CANCELLED);
    farm_free(f);
}

static void test_drain_finishes_what_runs_and_hands_back_the_rest(void **state)
{
    struct farm *f = farm_with_worker("1");
    const struct wire_bye *bye;

    (void)state;
    assign(f, 1, "{\"value\":7,\"sleep\":1000}", 0, 0);
    assign(f, 2, endless, 0, 0);
    assign(f, 3, endless, 0, 0);
    wait_for_progress(f);
    (void)kill(f->worker, SIGTERM);
    bye = &expect(f, WIRE_BYE)->bye;
    assert_int_equal(bye->unstarted.count, 2);
    assert_true(holds(&bye->unstarted, 2) && holds(&bye->unstarted, 3));
    expect_words(expect_outcome(f, 1, STATUS_SUCCESS)->result, "\"value\":7");
    tell_token(f, WIRE_COMMITTED, 1);
    bye = &expect(f, WIRE_BYE)->bye;
    assert_int_equal(bye->unstarted.count, 0);
    assert_int_equal(exit_status(f), 0);
    farm_free(f);
}

static void test_a_second_signal_does_not_wait(void **state)
{
    struct farm *f = farm_with_worker("1");
    pid_t slot;

    (void)state;
    assign(f, 1, endless, 0, 0);
    wait_for_progress(f);
    slot = slot_of(f);
    (void)kill(f->worker, SIGTERM);
    (void)expect(f, WIRE_BYE);
    (void)kill(f->worker, SIGTERM);
    assert_true(holds(&expect(f, WIRE_BYE)->bye.unstarted, 1));
    assert_int_equal(exit_status(f), 0);
    assert_int_equal(parent_of(slot), 0);
    farm_free(f);
}

static void test_slots_die_with_their_worker(void **state)
{
    struct farm *f = farm_with_worker("1");
    pid_t slot;

    (void)state;
    assign(f, 1, endless, 0, 0);
    wait_for_progress(f);
    slot = slot_of(f);
    (void)kill(f->worker, SIGKILL);
    (void)exit_status(f);
    wait_until_gone(slot);
    farm_free(f);
}

static void test_an_artifact_finds_a_depot_that_moved(void **state)
{
    static const char params[] =
        "{\"init\":{\"architecture\":\"llama\",\"hidden\":16,"
        "\"layers\":1,\"heads\":2},\"data\":{\"builtin\":\"tasks\","
        "\"mix\":{\"sort\":1}},"
        "\"steps\":2,\"batch\":2,\"length\":32,\"seed\":0}";
    struct farm *f = farm_with_worker("1");
    struct nginx nginx;

    (void)state;
    nginx_start(&nginx, f->directory, 0);
    assign_kind(f, 1, "train", params, 0, 0);
    clock_sleep_ms(500); /* it is in there, or will be: both are right */
    welcome_to(f, nginx.url);
    expect_words(expect_outcome(f, 1, STATUS_SUCCESS)->result, "\"artifact\":");
    assert_true(nginx_requests(&nginx, "PUT", "/depot/") >= 3);
    nginx_stop(&nginx);
    farm_free(f);
}

static void test_programs_of_a_dead_slot_are_ended(void **state)
{
    static const char params[] = "{\"command\":[\"sleep\",\"60\"],"
                                 "\"read\":{\"stdout\":\"(x)\"}}";
    struct farm *f = farm_with_worker("1");
    pid_t program;

    (void)state;
    assign_kind(f, 1, "evaluate.command", params, 0, 0);
    program = child_of(slot_of(f));
    (void)kill(parent_of(program), SIGKILL);
    assert_int_equal(expect_outcome(f, 1, killed_code())->crashed,
                     killed_code() == STATUS_LOST ? 1 : 3);
    wait_until_gone(program);
    farm_free(f);
}

static int run_program(const char *argument)
{
    const char *const argv[] = { "sinter-worker", argument, NULL };
    posix_spawn_file_actions_t files;
    int status = -1;
    pid_t pid;

    (void)posix_spawn_file_actions_init(&files);
    (void)posix_spawn_file_actions_addopen(&files, 1, "/dev/null", 1, 0);
    (void)posix_spawn_file_actions_adddup2(&files, 1, 2);
    pid = spawn(argv, &files);
    (void)posix_spawn_file_actions_destroy(&files);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WEXITSTATUS(status);
}

static void test_the_command_line_is_checked(void **state)
{
    (void)state;
    assert_int_equal(run_program("--version"), 0);
    assert_int_equal(run_program("--help"), 0);
    assert_int_equal(run_program("--slotz"), 2);
    assert_int_equal(run_program("operand"), 2);
    assert_int_equal(run_program("--slots=5000"), 2);
    assert_int_equal(run_program("--log=loud"), 2);
    assert_int_equal(run_program("--cache=/sys/kernel/sinter"), 1);
}

/* What a job that asks for so many cpus is told that it has. */
static void expect_cpus(struct farm *f, int key, uint64_t asked, uint64_t told)
{
    struct wire_assignment job = {
        .token = token(key),
        .kind = wire_text("evaluate.command"),
        .params = wire_text("{\"command\":[\"env\"],\"read\":{\"stdout\":"
                            "\"^SINTER_CPUS=([0-9]+)$\"}}"),
        .label = wire_text("test"),
        .cpus = asked,
    };
    AUTO(free_pointer)
    char *wanted = xasprintf("\"value\":%llu}", (unsigned long long)told);

    say(f, &(struct wire_message){ .type = WIRE_ASSIGN,
                                   .assign = { { &job, 1 } } });
    expect_words(expect_outcome(f, key, STATUS_SUCCESS)->result, wanted);
}

/* As many as it asks for, as far as the machine has them; else one. */
static void test_a_job_has_the_threads_it_asks_cpus_for(void **state)
{
    struct farm *f = farm_with_worker("2");
    uint64_t cpus = machine_cpus("");

    (void)state;
    expect_cpus(f, 1, 0, 1);
    expect_cpus(f, 2, 2, cpus < 2 ? 1 : 2);
    expect_cpus(f, 3, cpus + 5, cpus);
    farm_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_command_line_is_checked),
        cmocka_unit_test(test_hello_says_who_it_is),
        cmocka_unit_test(test_a_job_runs_and_is_done_once),
        cmocka_unit_test(test_two_slots_run_two_jobs_at_once),
        cmocka_unit_test(test_a_killed_slot_is_a_crash_and_the_next_job_runs),
        cmocka_unit_test(test_cancel_ends_the_job_and_spares_the_slot),
        cmocka_unit_test(test_cancel_ends_a_job_that_does_not_listen),
        cmocka_unit_test(test_a_disk_that_cannot_be_written_is_said),
        cmocka_unit_test(test_limits_end_jobs_with_a_sentence),
        cmocka_unit_test(
            test_a_silent_broker_gets_a_new_hello_with_all_it_held),
        cmocka_unit_test(test_a_broker_that_restarts_finds_the_worker_again),
        cmocka_unit_test(test_drain_finishes_what_runs_and_hands_back_the_rest),
        cmocka_unit_test(test_a_second_signal_does_not_wait),
        cmocka_unit_test(test_slots_die_with_their_worker),
        cmocka_unit_test(test_an_artifact_finds_a_depot_that_moved),
        cmocka_unit_test(test_programs_of_a_dead_slot_are_ended),
        cmocka_unit_test(test_a_job_has_the_threads_it_asks_cpus_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
