#include "bench/farm.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include "common/clock.h"
#include "common/curve.h"
#include "common/file.h"
#include "common/limits.h"
#include "common/memory.h"
#include "common/wire.h"

enum { PATIENCE_MS = 60 * 1000 };

/* A bench that cannot run says why and is over. */
_Noreturn static void die(struct status st)
{
    (void)fprintf(stderr, "bench: %s\n", st.message);
    exit(EXIT_FAILURE);
}

void must(struct status st)
{
    if (status_failed(&st))
        die(st);
}

static pid_t start(const struct farm *f, const char *const *argv)
{
    AUTO(free_pointer) char *output = xasprintf("%s/log", f->directory);
    posix_spawn_file_actions_t actions;
    pid_t pid = -1;
    int result;

    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, output,
                                           O_WRONLY | O_CREAT | O_APPEND, 0644);
    (void)posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO,
                                           STDERR_FILENO);
    result = posix_spawnp(&pid, argv[0], &actions, NULL,
                          (char *const *)(uintptr_t)argv, environ);
    (void)posix_spawn_file_actions_destroy(&actions);
    if (result != 0)
        must(FAIL(STATUS_NOT_FOUND, "start %s: %s", argv[0], strerror(result)));
    return pid;
}

static void stop(pid_t pid)
{
    if (pid <= 0)
        return;
    (void)kill(pid, SIGTERM);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        continue;
}

static void wait_for(const char *path)
{
    for (int waited = 0; waited < PATIENCE_MS && !file_exists(path); waited++)
        clock_sleep_ms(1);
}

/* With the settings that docs/redis.md has for many jobs a second. */
static void start_redis(struct farm *f, const char *fsync)
{
    AUTO(free_pointer) char *socket = xasprintf("%s/redis", f->directory);
    const char *const argv[] = {
        "redis-server",
        "--port",
        "0",
        "--unixsocket",
        socket,
        "--dir",
        f->directory,
        "--appendonly",
        "yes",
        "--appendfsync",
        fsync,
        "--save",
        "",
        "--auto-aof-rewrite-min-size",
        "1gb",
        "--auto-aof-rewrite-percentage",
        "400",
        "--rdbcompression",
        "no",
        NULL,
    };

    f->redis = start(f, argv);
    wait_for(socket);
}

char *farm_key(const struct farm *f, const char *name)
{
    return f->keys == NULL ? NULL : xasprintf("%s/%s", f->keys, name);
}

static void make_keys(struct farm *f)
{
    f->keys = xasprintf("%s/keys", f->directory);
    for (int i = 0; i < CURVE_ROLES; i++) {
        struct curve_key key;

        must(curve_make((enum curve_role)i, curve_role_name((enum curve_role)i),
                        &key));
        must(curve_save(&key, f->keys));
    }
}

static void dial(struct farm *f)
{
    AUTO(free_pointer) char *key = farm_key(f, "admin.key");
    AUTO(free_pointer) char *broker_key = farm_key(f, "broker.pub");
    const struct dealer_safety safety = { .key = key,
                                          .broker_key = broker_key };

    must(dealer_open_safely(f->clients_at, &safety, &f->client));
}

char *farm_store(const struct farm *f)
{
    return f->redis == 0 ? xasprintf("sqlite:%s/db", f->directory)
                         : xasprintf("redis+unix:%s/redis", f->directory);
}

static void start_broker(struct farm *f)
{
    AUTO(free_pointer) char *store = farm_store(f);
    AUTO(free_pointer) char *program = xasprintf("%s/sinter-broker", f->bin);
    AUTO(free_pointer) char *depot = xasprintf("%s/depot", f->directory);
    AUTO(free_pointer) char *ready = xasprintf("%s/ready", f->directory);
    AUTO(free_pointer) char *key = farm_key(f, "broker.key");
    const char *const argv[] = {
        program,       "--store",
        store,         "--depot",
        depot,         "--workers",
        f->workers_at, "--clients",
        f->clients_at, "--http",
        "127.0.0.1:0", "--ready-file",
        ready,         "--die-with-parent",
        "--key",       key == NULL ? "" : key,
        "--allow",     key == NULL ? "" : f->keys,
        NULL,
    };

    f->broker = start(f, argv);
    wait_for(ready);
}

static void start_worker(struct farm *f, int i)
{
    AUTO(free_pointer) char *program = xasprintf("%s/sinter-worker", f->bin);
    AUTO(free_pointer) char *cache = xasprintf("%s/cache", f->directory);
    AUTO(free_pointer) char *name = xasprintf("w%d", i);
    const char *const argv[] = {
        program, "--broker",          f->workers_at, "--name",
        name,    "--slots",           "1",           "--cache",
        cache,   "--die-with-parent", NULL,
    };

    f->workers[i] = start(f, argv);
}

static void send_message(struct farm *f, const struct wire_message *m)
{
    struct buf out;
    struct status st;

    buf_init(&out, LIMIT_MESSAGE);
    must(wire_encode(m, &out));
    for (int waited = 0; waited < PATIENCE_MS; waited++) {
        st = dealer_send(f->client, out.data, out.size);
        if (st.code != STATUS_UNAVAILABLE)
            break;
        clock_sleep_ms(1); /* the connection is being made */
    }
    must(st);
    buf_release(&out);
}

static void receive(struct farm *f, struct wire_decoded *ret)
{
    const void *data = NULL;
    size_t size = 0;

    must(dealer_wait(f->client, PATIENCE_MS, NULL, 0, &data, &size));
    if (data == NULL)
        must(FAIL(STATUS_TIMED_OUT, "the broker does not answer"));
    must(wire_decode(data, size, ret));
}

json_t *farm_ask(struct farm *f, const char *verb, const char *arguments)
{
    struct wire_message m = { .type = WIRE_QUERY };
    struct wire_decoded d;
    json_t *body = NULL;

    m.query.verb = wire_text(verb);
    m.query.arguments = wire_text(arguments);
    send_message(f, &m);
    receive(f, &d);
    if (d.message.type != WIRE_ANSWER || d.message.answer.code != 0)
        must(FAIL(STATUS_FAILED, "%s was refused", verb));
    must(json_parse(d.message.answer.body.data, d.message.answer.body.size,
                    "answer", &body));
    wire_release(&d);
    return body;
}

static void wait_for_workers(struct farm *f)
{
    size_t count = 0;

    for (int i = 0; count < (size_t)f->worker_count && i < PATIENCE_MS / 10;
         i++) {
        json_t *body = farm_ask(f, "workers", "{}");

        count = json_array_size(json_object_get(body, "workers"));
        json_decref(body);
        clock_sleep_ms(10);
    }
}

struct farm farm_open_bare(struct farm_settings set)
{
    struct farm f = { 0 };
    char self[LIMIT_PATH] = "";
    ssize_t size = readlink("/proc/self/exe", self, sizeof self - 1);

    (void)snprintf(f.directory, SCRATCH, "/tmp/sinter-bench-XXXXXX");
    if (size <= 0 || mkdtemp(f.directory) == NULL)
        must(FAIL(STATUS_FAILED, "no scratch directory"));
    *strrchr(self, '/') = '\0';
    f.bin = xasprintf("%s/../bin", self);
    f.workers_at = xasprintf("ipc://%s/workers", f.directory);
    f.clients_at = xasprintf("ipc://%s/clients", f.directory);
    if (set.curve)
        make_keys(&f);
    if (set.fsync != NULL)
        start_redis(&f, set.fsync);
    return f;
}

/* Nobody has it now. */
static uint16_t free_port(void)
{
    struct sockaddr_in at = { .sin_family = AF_INET,
                              .sin_addr = { htonl(INADDR_LOOPBACK) } };
    socklen_t size = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (bind(fd, (struct sockaddr *)&at, size) != 0 ||
        getsockname(fd, (struct sockaddr *)&at, &size) != 0)
        die(FAIL(STATUS_FAILED, "no port: %s", strerror(errno)));
    (void)close(fd);
    return ntohs(at.sin_port);
}

struct farm farm_open(struct farm_settings set)
{
    struct farm f = farm_open_bare(set);

    if (set.tcp) {
        free(f.workers_at);
        f.workers_at = xasprintf("tcp://127.0.0.1:%d", (int)free_port());
    }
    start_broker(&f);
    dial(&f);
    for (int i = 0; i < set.workers; i++)
        start_worker(&f, i);
    f.worker_count = set.workers;
    wait_for_workers(&f);
    return f;
}

void farm_close(struct farm *f)
{
    dealer_close(f->client);
    for (int i = 0; i < f->worker_count; i++)
        stop(f->workers[i]);
    stop(f->broker);
    stop(f->redis);
    must(file_remove_tree(f->directory));
    free(f->bin);
    free(f->workers_at);
    free(f->clients_at);
    free(f->keys);
}

/* Many points are a grid of rows of a thousand. Only jobs that really run have
 * to know what their parameters mean. */
static char *document_of(int number, int points)
{
    enum { ROW = 1000, ONE_ROW = 100000 };
    int rows = points <= ONE_ROW ? 1 : points / ROW;

    return xasprintf(
        "{\"sinter\":1,\"name\":\"bench-%d\",\"parameters\":[{\"name\":"
        "\"x\",\"from\":1,\"to\":%d,\"count\":%d,\"scale\":\"linear\"}"
        "%s%.0d%s%.0d%s],\"strategy\":{\"method\":\"grid\"},\"evaluate\":[{"
        "\"name\":\"e\",\"kind\":\"evaluate.noop\",\"variants\":[{"
        "\"params\":{\"value\":{\"$param\":\"x\"},\"sleep\":0,\"of\":%d%s}"
        "}],\"metrics\":[\"value\"]}]}",
        number, points / rows, points / rows,
        rows == 1 ? "" : ",{\"name\":\"y\",\"from\":1,\"to\":",
        rows == 1 ? 0 : rows,
        rows == 1 ? "" : ",\"count\":", rows == 1 ? 0 : rows,
        rows == 1 ? "" : ",\"scale\":\"linear\"}", number,
        rows == 1 ? "" : ",\"row\":{\"$param\":\"y\"}");
}

void farm_submit(struct farm *f, int number, int points, char id[24])
{
    AUTO(free_pointer) char *document = document_of(number, points);
    struct wire_message m = { .type = WIRE_SUBMIT };
    struct wire_decoded d;

    m.submit.idempotency = wire_text(document);
    m.submit.compiled = wire_text(document);
    send_message(f, &m);
    receive(f, &d);
    if (d.message.type != WIRE_ACCEPTED)
        must(FAIL(STATUS_FAILED, "the sweep was refused: %.*s",
                  (int)d.message.error.message.size,
                  d.message.error.message.data));
    (void)snprintf(id, 24, "%.*s", (int)d.message.accepted.sweep.size,
                   d.message.accepted.sweep.data);
    wire_release(&d);
}

void farm_wait_for_end(struct farm *f, const char *id, int points)
{
    AUTO(free_pointer)
    char *a = xasprintf("{\"sweep\":\"%s\",\"wait_ms\":50000}", id);
    bool over = false;

    while (!over) {
        json_t *status = farm_ask(f, "status", a);

        over = strcmp(json_text_or(status, "state", ""), "running") != 0;
        if (over && json_int_or(status, "done", 0) != points)
            must(FAIL(STATUS_FAILED, "not all of %d jobs ended well", points));
        json_decref(status);
    }
}

/* Seconds from submit to the end of a sweep. */
double farm_run_sweep(struct farm *f, int number, int points)
{
    int64_t began = clock_now();
    char id[24];

    farm_submit(f, number, points, id);
    farm_wait_for_end(f, id, points);
    return (double)(clock_now() - began) / (double)NS_PER_S;
}

/* ---- what the broker costs --------------------------------------------- */

static char *read_proc(pid_t pid, const char *name)
{
    enum { ROOM = 4096 };
    AUTO(free_pointer) char *path = xasprintf("/proc/%d/%s", (int)pid, name);
    char *text = xcalloc(ROOM, 1);
    FILE *file = fopen(path, "re");

    if (file == NULL)
        die(FAIL(STATUS_NOT_FOUND, "%s: %s", path, strerror(errno)));
    (void)!fread(text, 1, ROOM - 1, file);
    (void)fclose(file);
    return text;
}

double farm_cpu_s(pid_t pid)
{
    enum { BEFORE = 11 }; /* fields between the name and user time */
    AUTO(free_pointer) char *text = read_proc(pid, "stat");
    char *at = strrchr(text, ')');
    double ticks;

    for (int i = 0; at != NULL && i <= BEFORE; i++)
        at = strchr(at + 1, ' ');
    if (at == NULL)
        die(FAIL(STATUS_CORRUPT, "/proc/%d/stat", (int)pid));
    ticks = (double)strtoul(at, &at, 10); /* in programs, then in the kernel */
    ticks += (double)strtoul(at, NULL, 10);
    return ticks / (double)sysconf(_SC_CLK_TCK);
}

double farm_restart_broker(struct farm *f)
{
    AUTO(free_pointer) char *ready = xasprintf("%s/ready", f->directory);
    int64_t began;

    stop(f->broker);
    (void)unlink(ready);
    began = clock_now();
    start_broker(f);
    return (double)(clock_now() - began) / (double)NS_PER_S;
}

double farm_rss_bytes(pid_t pid)
{
    AUTO(free_pointer) char *text = read_proc(pid, "statm");
    const char *at = strchr(text, ' ');

    return at == NULL
               ? 0.0
               : (double)strtoul(at, NULL, 10) * (double)sysconf(_SC_PAGESIZE);
}
