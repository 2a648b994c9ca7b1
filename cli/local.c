#include "cli/local.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/interrupt.h"
#include "cli/process.h"
#include "common/clock.h"
#include "common/file.h"
#include "common/json.h"
#include "common/machine.h"
#include "common/memory.h"

enum {
    MOST_ARGUMENTS = 64,
    MOST_WORKERS = 1024,
    READY_MS = 20 * 1000, /* a broker that replays a long store */
    POLL_MS = 10,
    YOUNG_MS = 2000,  /* died so early: something is wrong with it */
    YOUNG_DEATHS = 5, /* in a row, then we give up */
    WORKER_MS = 4000, /* from SIGTERM to SIGKILL */
    BROKER_MS = 8000,
    SMALL_FILE = 64 << 10,
    LOG_TAIL = 240,
};

/* One program that shall run. */
struct child {
    char name[32];
    char *argv[MOST_ARGUMENTS];
    size_t argc;
    bool named; /* its workers have a name in common: say that one died */
    char *log;
    char *extra;     /* environment; NULL: none */
    pid_t pid;       /* 0: not started */
    int64_t started; /* ns */
    int young_deaths;
};

struct local {
    char *state;             /* absolute */
    char *sockets;           /* private directory of the ipc:// endpoints */
    char *clients, *workers; /* endpoints */
    char *page;              /* http://HOST:PORT */
    char *store;
    const char *const *allowed;
    int lock;
    struct child broker;
    struct child *children; /* workers */
    size_t child_count;
};

static char *in_state(const struct local *l, const char *name)
{
    return xasprintf("%s/%s", l->state, name);
}

static void child_add(struct child *c, const char *argument)
{
    if (c->argc + 1 < MOST_ARGUMENTS)
        c->argv[c->argc++] = xstrdup(argument);
}

/* "--name" "value" */
static void child_option(struct child *c, const char *name, const char *value)
{
    child_add(c, name);
    child_add(c, value);
}

static void child_release(struct child *c)
{
    for (size_t i = 0; i < c->argc; i++)
        free(c->argv[i]);
    free(c->log);
    free(c->extra);
    memset(c, 0, sizeof *c);
}

MUST_CHECK static struct status child_start(struct child *c)
{
    TRY_PLAIN(process_start(c->argv, c->log, c->extra, &c->pid));
    c->started = clock_now();
    return SUCCESS;
}

/* The last words of a log, on one line. */
static void last_words(const char *log, char text[LOG_TAIL + 1])
{
    int fd = open(log, O_RDONLY | O_CLOEXEC);
    ssize_t size = 0;

    text[0] = '\0';
    if (fd < 0)
        return;
    (void)lseek(fd, 0, SEEK_SET);
    (void)lseek(fd, -(off_t)LOG_TAIL, SEEK_END);
    size = read(fd, text, LOG_TAIL);
    (void)close(fd);
    text[size < 0 ? 0 : size] = '\0';
    for (char *at = text; *at != '\0'; at++) {
        if (*at == '\n')
            *at = ' ';
    }
}

static struct status cannot_live(const struct child *c, const char *how)
{
    char words[LOG_TAIL + 1];

    last_words(c->log, words);
    return FAIL(STATUS_FAILED, "%s does not stay alive (%s): ...%s", c->name,
                how, words);
}

/* Start it again if it died. */
MUST_CHECK static struct status child_tend(struct child *c)
{
    char how[64];

    if (c->pid == 0 || !process_ended(c->pid, how, sizeof how))
        return SUCCESS;
    c->pid = 0;
    if (c->named)
        child_add(c, "--replaces");
    c->named = false; /* so is each that follows */
    if (clock_now() - c->started < YOUNG_MS * NS_PER_MS)
        c->young_deaths++;
    else
        c->young_deaths = 0;
    if (c->young_deaths >= YOUNG_DEATHS)
        return cannot_live(c, how);
    return child_start(c);
}

MUST_CHECK static struct status make_state(struct local *l, const char *state)
{
    static const char *const parts[] = { "", "/logs", "/depot", "/cache" };
    char full[PATH_MAX];
    AUTO(free_pointer) char *ignore = NULL;

    for (size_t i = 0; i < COUNT_OF(parts); i++) {
        AUTO(free_pointer) char *path = xasprintf("%s%s", state, parts[i]);

        TRY_PLAIN(file_make_directories(path));
    }
    if (realpath(state, full) == NULL)
        return FAIL(file_error(errno), "%s: %s", state, strerror(errno));
    l->state = xstrdup(full);
    ignore = in_state(l, ".gitignore");
    if (!file_exists(ignore))
        TRY_PLAIN(file_write(ignore, "*\n", 2));
    return SUCCESS;
}

/* Who wrote the lock file; "another command" if it does not say. */
static void read_holder(int fd, char *text, size_t size)
{
    ssize_t got = pread(fd, text, size - 1, 0);

    text[got < 0 ? 0 : got] = '\0';
    text[strcspn(text, "\n")] = '\0';
    if (text[0] == '\0')
        (void)snprintf(text, size, "another command");
}

static void write_holder(int fd, const char *purpose)
{
    char text[256];
    int size = snprintf(text, sizeof text, "sinter %.200s (process %d)\n",
                        purpose, (int)getpid());

    /* Only for people; the lock is what counts. */
    if (ftruncate(fd, 0) == 0 && size > 0)
        (void)!pwrite(fd, text, (size_t)size, 0);
}

MUST_CHECK static struct status take_lock(struct local *l, const char *purpose,
                                          int64_t wait_ms)
{
    AUTO(free_pointer) char *path = in_state(l, "lock");
    int64_t give_up = clock_now() + wait_ms * NS_PER_MS;
    char holder[256];

    l->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (l->lock < 0)
        return FAIL(file_error(errno), "%s: %s", path, strerror(errno));
    while (flock(l->lock, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK && errno != EINTR)
            return FAIL(file_error(errno), "%s: %s", path, strerror(errno));
        if (clock_now() > give_up || interrupt_seen()) {
            read_holder(l->lock, holder, sizeof holder);
            return FAIL(STATUS_UNAVAILABLE,
                        "%s is in use by: %s; wait for it, or work in "
                        "another directory (--home)",
                        l->state, holder);
        }
        clock_sleep_ms(POLL_MS);
    }
    write_holder(l->lock, purpose);
    return SUCCESS;
}

/* ipc:// paths hold at most 107 characters: a directory of our own, short. */
MUST_CHECK static struct status make_sockets(struct local *l)
{
    const char *run = getenv("XDG_RUNTIME_DIR");
    char *path = NULL;

    if (run == NULL || run[0] != '/' || strlen(run) > 60 ||
        access(run, W_OK) != 0)
        run = "/tmp";
    path = xasprintf("%s/sinter-XXXXXX", run);
    if (mkdtemp(path) == NULL) {
        struct status st =
            FAIL(file_error(errno), "%s: %s", path, strerror(errno));

        free(path);
        return st;
    }
    l->sockets = path;
    l->clients = xasprintf("ipc://%s/clients", path);
    l->workers = xasprintf("ipc://%s/workers", path);
    return SUCCESS;
}

/* What a broker that was killed left: its ready file and its sockets. */
static void remove_leftovers(const struct local *l)
{
    AUTO(free_pointer) char *ready = in_state(l, "broker.json");
    AUTO(json_release) json_t *old = NULL;
    struct status st = json_parse_file(ready, SMALL_FILE, &old);
    const char *clients = NULL;
    const char *at = NULL;

    if (status_failed(&st)) {
        (void)unlink(ready);
        return;
    }
    clients = json_text_or(old, "clients", "");
    at = strstr(clients, "/sinter-");
    if (strncmp(clients, "ipc:///", 7) == 0 && at != NULL) {
        AUTO(free_pointer) char *path = xstrdup(clients + strlen("ipc://"));
        char *end = strrchr(path, '/');

        *end = '\0';
        st = file_remove_tree(path);
    }
    (void)unlink(ready);
}

/* The store that was chosen at first is the store of this state. */
MUST_CHECK static struct status choose_store(struct local *l,
                                             const char *wanted)
{
    AUTO(free_pointer) char *path = in_state(l, "store");
    AUTO(free_pointer) char *text = NULL;
    size_t size = 0;

    if (wanted != NULL) {
        l->store = xstrdup(wanted);
        return SUCCESS;
    }
    if (file_exists(path)) {
        TRY_PLAIN(file_read(path, SMALL_FILE, &text, &size));
        l->store = xstrndup(text, strcspn(text, "\n"));
        return SUCCESS;
    }
    l->store = xasprintf("sqlite:%s/sinter.db", l->state);
    return SUCCESS;
}

/* A broker runs on it: from now on it is this state's. */
MUST_CHECK static struct status keep_store(const struct local *l,
                                           const char *wanted)
{
    AUTO(free_pointer) char *path = in_state(l, "store");

    if (wanted == NULL)
        return SUCCESS;
    TRY_PLAIN(file_write(path, wanted, strlen(wanted)));
    (void)chmod(path, 0600); /* a password may stand in it */
    return SUCCESS;
}

static void name_child(struct child *c, const struct local *l, const char *name)
{
    AUTO(free_pointer) char *log = xasprintf("logs/%s.log", name);

    (void)snprintf(c->name, sizeof c->name, "%s", name);
    c->log = in_state(l, log);
    (void)unlink(c->log); /* of the run before */
}

/* The store goes by the environment: an URL with a password is not for the
 * process list. */
MUST_CHECK static struct status describe_broker(struct local *l)
{
    struct child *c = &l->broker;
    AUTO(free_pointer) char *program = NULL;
    AUTO(free_pointer) char *depot = in_state(l, "depot");
    AUTO(free_pointer) char *ready = in_state(l, "broker.json");

    TRY_PLAIN(process_find("sinter-broker", &program));
    name_child(c, l, "broker");
    c->extra = xasprintf("SINTER_STORE=%s", l->store);
    child_add(c, program);
    child_option(c, "--depot", depot);
    child_option(c, "--workers", l->workers);
    child_option(c, "--clients", l->clients);
    child_option(c, "--http", "127.0.0.1:0");
    child_option(c, "--ready-file", ready);
    /* Whatever the environment says of a farm elsewhere. */
    child_add(c, "--key=");
    child_add(c, "--allow=");
    child_add(c, "--http-token-file=");
    child_add(c, "--die-with-parent");
    return SUCCESS;
}

/* From now on the broker comes back under the same address: workers were told
 * it, and downloads go on. */
static void pin_http(struct child *broker, const json_t *ready)
{
    const char *http = json_text_or(ready, "http", NULL);
    const char *host = http == NULL ? NULL : strstr(http, "://");

    for (size_t i = 0; i + 1 < broker->argc && http != NULL; i++) {
        if (strcmp(broker->argv[i], "--http") != 0)
            continue;
        free(broker->argv[i + 1]);
        broker->argv[i + 1] = xstrdup(host == NULL ? http : host + 3);
    }
}

MUST_CHECK static struct status wait_ready(struct local *l)
{
    AUTO(free_pointer) char *path = in_state(l, "broker.json");
    AUTO(json_release) json_t *ready = NULL;
    int64_t give_up = clock_now() + READY_MS * NS_PER_MS;
    char how[64];

    while (!file_exists(path)) {
        if (process_ended(l->broker.pid, how, sizeof how)) {
            l->broker.pid = 0;
            return cannot_live(&l->broker, how);
        }
        if (clock_now() > give_up)
            return FAIL(STATUS_TIMED_OUT,
                        "the broker is not ready after "
                        "%d s; see %s",
                        READY_MS / 1000, l->broker.log);
        if (interrupt_seen())
            return FAIL(STATUS_CANCELLED, "interrupted");
        clock_sleep_ms(POLL_MS);
    }
    TRY_PLAIN(json_parse_file(path, SMALL_FILE, &ready));
    pin_http(&l->broker, ready);
    l->page = xasprintf("http://%s", json_text_or(ready, "http", "?"));
    return SUCCESS;
}

MUST_CHECK static struct status start(struct local *l,
                                      const struct local_settings *settings)
{
    TRY_PLAIN(make_state(l, settings->state));
    TRY_PLAIN(take_lock(l, settings->purpose, settings->wait_ms));
    remove_leftovers(l);
    TRY_PLAIN(make_sockets(l));
    TRY_PLAIN(choose_store(l, settings->store));
    TRY_PLAIN(describe_broker(l));
    TRY_PLAIN(child_start(&l->broker));
    TRY_PLAIN(wait_ready(l));
    return keep_store(l, settings->store);
}

struct status local_start(const struct local_settings *settings,
                          struct local **ret_local)
{
    struct local *l = xnew(struct local);
    struct status st;

    l->lock = -1;
    l->allowed = settings->commands;
    st = start(l, settings);
    if (status_failed(&st)) {
        local_stop(l);
        return st;
    }
    *ret_local = l;
    return SUCCESS;
}

static void describe_worker(struct local *l, const char *program, size_t number,
                            size_t workers, size_t slots)
{
    struct child *c = &l->children[number];
    AUTO(free_pointer) char *cache = in_state(l, "cache");
    AUTO(free_pointer) char *name = xasprintf("local-%zu", number + 1);
    AUTO(free_pointer) char *file = xasprintf("worker-%zu", number + 1);
    AUTO(free_pointer) char *count = xasprintf("%zu", slots);
    const struct crew_machine m = local_machine();
    AUTO(free_pointer)
    char *keep = xasprintf("%" PRIu64, crew_keep(&m, workers));
    AUTO(free_pointer)
    char *memory = xasprintf("%" PRIu64, crew_memory(&m, workers));
    AUTO(free_pointer) char *cpus = xasprintf("%zu", crew_cpus(&m, workers));

    name_child(c, l, file);
    c->named = true;
    child_add(c, program);
    child_option(c, "--broker", l->workers);
    child_option(c, "--name", name);
    child_option(c, "--slots", count);
    child_option(c, "--cpus", cpus);
    child_option(c, "--cache", cache);
    child_option(c, "--memory", memory);
    child_option(c, "--keep", keep);
    child_option(c, "--drain", "1s");
    child_add(c, "--key=");
    child_add(c, "--broker-key=");
    child_add(c, "--http-token-file=");
    child_add(c, "--die-with-parent");
    for (const char *const *a = l->allowed; a != NULL && *a != NULL; a++)
        child_option(c, "--allow-command", *a);
}

void local_allow(struct local *l, const char *const *commands)
{
    l->allowed = commands;
}

struct status local_start_workers(struct local *l, size_t workers, size_t slots)
{
    AUTO(free_pointer) char *program = NULL;

    if (workers > MOST_WORKERS)
        return FAIL(STATUS_TOO_BIG, "%zu workers on one machine; at most %d",
                    workers, (int)MOST_WORKERS);
    TRY_PLAIN(process_find("sinter-worker", &program));
    l->children = xcalloc(workers, sizeof *l->children);
    for (size_t i = 0; i < workers; i++) {
        describe_worker(l, program, i, workers, slots);
        l->child_count++;
        TRY_PLAIN(child_start(&l->children[i]));
    }
    return SUCCESS;
}

const char *local_endpoint(const struct local *l)
{
    return l->clients;
}

const char *local_page(const struct local *l)
{
    return l->page;
}

struct status local_tend(struct local *l)
{
    TRY_PLAIN(child_tend(&l->broker));
    for (size_t i = 0; i < l->child_count; i++)
        TRY_PLAIN(child_tend(&l->children[i]));
    return SUCCESS;
}

static void stop_children(struct local *l)
{
    for (size_t i = 0; i < l->child_count; i++) {
        if (l->children[i].pid != 0)
            (void)kill(l->children[i].pid, SIGTERM); /* all at once */
    }
    for (size_t i = 0; i < l->child_count; i++) {
        if (l->children[i].pid != 0)
            process_stop(l->children[i].pid, WORKER_MS);
        child_release(&l->children[i]);
    }
    if (l->broker.pid != 0)
        process_stop(l->broker.pid, BROKER_MS);
    child_release(&l->broker);
}

void local_stop(struct local *l)
{
    struct status ignored = SUCCESS;

    if (l == NULL)
        return;
    stop_children(l);
    if (l->sockets != NULL) {
        AUTO(free_pointer) char *ready = in_state(l, "broker.json");

        (void)unlink(ready);
        ignored = file_remove_tree(l->sockets);
    }
    (void)ignored; /* a leftover in a private directory of the machine */
    if (l->lock >= 0)
        (void)close(l->lock);
    free(l->children);
    free(l->sockets);
    free(l->clients);
    free(l->workers);
    free(l->page);
    free(l->store);
    free(l->state);
    free(l);
}

char *local_find(const char *state)
{
    AUTO(free_pointer) char *path = xasprintf("%s/broker.json", state);
    AUTO(json_release) json_t *ready = NULL;
    struct status st = json_parse_file(path, SMALL_FILE, &ready);
    int64_t pid = 0;

    if (status_failed(&st))
        return NULL;
    pid = json_int_or(ready, "pid", 0);
    if (pid <= 0 || kill((pid_t)pid, 0) != 0)
        return NULL;
    return xstrdup(json_text_or(ready, "clients", ""));
}

struct crew_machine local_machine(void)
{
    return (struct crew_machine){ .processors = local_processors(),
                                  .memory = (uint64_t)machine_memory("") };
}

uint64_t local_keep(size_t workers)
{
    const struct crew_machine m = local_machine();

    return crew_keep(&m, workers);
}

size_t local_processors(void)
{
    return (size_t)machine_cpus("");
}
