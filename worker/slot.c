#include "worker/slot.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/file.h"
#include "common/limits.h"
#include "common/machine.h"
#include "common/memory.h"
#include "worker/frame.h"
#include "worker/slot_log.h"
#include "worker/usage.h"

enum {
    CHILD_FD = 3,
    PIECE = 64 << 10,
    FLOOD = 64, /* pieces of log taken before a message that waits */
};

struct slot {
    char *const *argv;
    pid_t pid;  /* 0: no process */
    int socket; /* -1 without a process, as is `pipe` */
    int pipe;   /* what the process prints */
    struct frame_reader reader;
    struct buf out; /* frames the socket has not taken yet */
    struct slot_log log;
    bool busy;                         /* has a job */
    bool killed;                       /* by us */
    int64_t memory_limit;              /* of its job; 0: none */
    int64_t memory_over;               /* what it took when it was killed */
    int64_t oom_kills;                 /* of the machine, when it started */
    char kind[LIMIT_NAME];             /* of its job, for people */
    char why[256];                     /* it spoke nonsense; "" */
    char message[STATUS_MESSAGE_SIZE]; /* of the event given last */

    struct wire_decoded waiting; /* a message to give when the log is read */
    struct wire_decoded given;   /* the one given last */
    bool has_waiting, has_given;
    int flood;
};

struct slot *slot_new(char *const *argv)
{
    struct slot *s = xnew(struct slot);

    s->argv = argv;
    s->socket = s->pipe = -1;
    frame_reader_init(&s->reader, -1);
    buf_init(&s->out, 2 * (size_t)LIMIT_MESSAGE);
    slot_log_init(&s->log);
    return s;
}

static void let_go(struct wire_decoded *d, bool *has)
{
    if (*has)
        wire_release(d);
    *has = false;
}

/* Forget the process; it has been waited for. */
static void clear_process(struct slot *s)
{
    s->pid = 0;
    s->killed = false;
    s->memory_over = 0;
    file_close(&s->socket);
    file_close(&s->pipe);
    frame_reader_release(&s->reader);
    frame_reader_init(&s->reader, -1);
    buf_clear(&s->out);
    let_go(&s->waiting, &s->has_waiting);
}

/* Everything in its group ends; how it ended itself is in `ret_status`. */
static void bury(const struct slot *s, int *ret_status,
                 struct rusage *ret_usage)
{
    (void)kill(-s->pid, SIGKILL);
    while (wait4(s->pid, ret_status, 0, ret_usage) < 0 && errno == EINTR)
        continue;
}

void slot_free(struct slot *s)
{
    struct rusage usage;
    int status;

    if (s == NULL)
        return;
    if (s->pid != 0)
        bury(s, &status, &usage);
    clear_process(s);
    let_go(&s->given, &s->has_given);
    frame_reader_release(&s->reader);
    buf_release(&s->out);
    slot_log_release(&s->log);
    free(s);
}

/* The worker's arguments with the slot's own behind; the caller frees the
 * array only. */
static char **child_arguments(const struct slot *s)
{
    static char flag[] = "--slot-fd=3";
    size_t count = 0;
    char **argv;

    while (s->argv[count] != NULL)
        count++;
    argv = xcalloc(count + 2, sizeof *argv);
    memcpy(argv, s->argv, count * sizeof *argv);
    argv[count] = flag;
    return argv;
}

/* The environment with BLAS held to one thread; a job that asks for more
 * sets that itself. */
static char **child_environment(void)
{
    static char threads[] = "OPENBLAS_NUM_THREADS=1";
    static const char name[] = "OPENBLAS_NUM_THREADS=";
    size_t count = 0;
    size_t used = 0;
    char **env;

    while (environ[count] != NULL)
        count++;
    env = xcalloc(count + 2, sizeof *env);
    for (size_t i = 0; i < count; i++) {
        if (strncmp(environ[i], name, sizeof name - 1) != 0)
            env[used++] = environ[i];
    }
    env[used] = threads;
    return env;
}

/* The process group, signals and descriptors of the child. */
static int spawn(struct slot *s, int socket, int output)
{
    AUTO(free_pointer) char **argv = child_arguments(s);
    AUTO(free_pointer) char **env = child_environment();
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    sigset_t none;
    sigset_t all;
    int error;

    s->oom_kills = machine_oom_kills("");
    (void)sigemptyset(&none);
    (void)sigfillset(&all);
    (void)posix_spawn_file_actions_init(&files);
    (void)posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
    (void)posix_spawn_file_actions_adddup2(&files, output, 1);
    (void)posix_spawn_file_actions_adddup2(&files, output, 2);
    (void)posix_spawn_file_actions_adddup2(&files, socket, CHILD_FD);
    (void)posix_spawnattr_init(&attributes);
    (void)posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP |
                                                    POSIX_SPAWN_SETSIGMASK |
                                                    POSIX_SPAWN_SETSIGDEF);
    (void)posix_spawnattr_setpgroup(&attributes, 0);
    (void)posix_spawnattr_setsigmask(&attributes, &none);
    (void)posix_spawnattr_setsigdefault(&attributes, &all);
    error =
        posix_spawn(&s->pid, "/proc/self/exe", &files, &attributes, argv, env);
    (void)posix_spawn_file_actions_destroy(&files);
    (void)posix_spawnattr_destroy(&attributes);
    if (error != 0)
        s->pid = 0;
    return error;
}

/* A descriptor above those the child's are moved to. */
static int move_up(int fd)
{
    int up = fcntl(fd, F_DUPFD_CLOEXEC, CHILD_FD + 1);

    (void)close(fd);
    return up;
}

MUST_CHECK static struct status start_process(struct slot *s)
{
    AUTO(file_close) int theirs = -1;
    AUTO(file_close) int output = -1;
    int sockets[2];
    int pipes[2];
    int error;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) != 0)
        return FAIL(STATUS_UNAVAILABLE, "make a socket for a slot: %s",
                    strerror(errno));
    s->socket = sockets[0];
    theirs = move_up(sockets[1]);
    if (pipe2(pipes, O_CLOEXEC) != 0)
        return FAIL(STATUS_UNAVAILABLE, "make a pipe for a slot: %s",
                    strerror(errno));
    s->pipe = pipes[0];
    output = move_up(pipes[1]);
    (void)fcntl(s->socket, F_SETFL, O_NONBLOCK);
    (void)fcntl(s->pipe, F_SETFL, O_NONBLOCK);
    error = spawn(s, theirs, output);
    if (error != 0)
        return FAIL(STATUS_UNAVAILABLE, "start a slot process: %s",
                    strerror(error));
    s->reader.fd = s->socket;
    return SUCCESS;
}

static void flush(struct slot *s)
{
    ssize_t put;

    if (s->socket < 0 || s->out.size == 0)
        return;
    put =
        send(s->socket, s->out.data, s->out.size, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (put <= 0)
        return; /* full: POLLOUT comes; gone: its end is read soon */
    s->out.size -= (size_t)put;
    memmove(s->out.data, s->out.data + put, s->out.size);
}

struct status slot_run(struct slot *s, const struct wire_message *run)
{
    struct wire_bytes kind = run->slot_run.job.kind;

    if (s->pid == 0) {
        struct status st = start_process(s);

        if (status_failed(&st)) {
            clear_process(s);
            return st;
        }
    }
    TRY(frame_add(&s->out, run), "give a slot its job");
    slot_log_clear(&s->log);
    (void)snprintf(s->kind, sizeof s->kind, "%.*s", (int)kind.size,
                   kind.size == 0 ? "" : kind.data);
    s->why[0] = '\0';
    s->memory_limit = 0;
    s->busy = true;
    flush(s);
    return SUCCESS;
}

struct status slot_tell(struct slot *s, const struct wire_message *m)
{
    if (s->pid == 0)
        return SUCCESS;
    TRY_PLAIN(frame_add(&s->out, m));
    flush(s);
    return SUCCESS;
}

void slot_stop(const struct slot *s)
{
    if (s->pid != 0)
        (void)kill(-s->pid, SIGTERM);
}

void slot_kill(struct slot *s)
{
    if (s->pid == 0)
        return;
    s->killed = true;
    (void)kill(-s->pid, SIGKILL);
}

void slot_limit_memory(struct slot *s, int64_t bytes)
{
    s->memory_limit = bytes;
}

void slot_check_memory(struct slot *s)
{
    int64_t used;

    if (s->pid == 0 || !s->busy || s->memory_limit == 0 || s->killed)
        return;
    used = usage_memory(s->pid);
    if (used <= s->memory_limit)
        return;
    s->memory_over = used;
    slot_kill(s);
}

pid_t slot_pid(const struct slot *s)
{
    return s->pid;
}

void slot_poll(const struct slot *s, struct pollfd fds[SLOT_FDS])
{
    bool more = s->socket >= 0 && s->out.size > 0;

    fds[0] = (struct pollfd){ s->socket,
                              (short)(more ? POLLIN | POLLOUT : POLLIN), 0 };
    fds[1] = (struct pollfd){ s->pipe, POLLIN, 0 };
}

/* Give what the process printed; false: nothing now. */
static bool next_log(struct slot *s, struct slot_event *ret)
{
    char piece[PIECE];
    ssize_t got;

    while (s->pipe >= 0 && (!s->has_waiting || s->flood < FLOOD)) {
        got = read(s->pipe, piece, sizeof piece);
        if (got < 0)
            return false;
        if (got == 0) {
            file_close(&s->pipe);
            return false;
        }
        s->flood++;
        ret->type = SLOT_LOG;
        if (slot_log_add(&s->log, piece, (size_t)got)) {
            ret->text = slot_log_tail(&s->log);
            return true;
        }
    }
    return false;
}

/* Have a message waiting, if one has come. */
static void take_message(struct slot *s)
{
    struct status st = frame_next(&s->reader, &s->waiting, &s->has_waiting);

    if (!status_failed(&st) && !s->has_waiting && !s->reader.ended) {
        st = frame_read(&s->reader);
        if (!status_failed(&st))
            st = frame_next(&s->reader, &s->waiting, &s->has_waiting);
    }
    s->flood = 0;
    if (!status_failed(&st))
        return;
    (void)snprintf(s->why, sizeof s->why, "%.255s", st.message);
    s->reader.ended = true;
    slot_kill(s);
}

static bool give_message(struct slot *s, struct slot_event *ret)
{
    const struct wire_message *m = &s->waiting.message;

    s->given = s->waiting;
    s->has_given = true;
    s->has_waiting = false;
    if (m->type == WIRE_SLOT_PROGRESS) {
        ret->type = SLOT_PROGRESS;
        ret->progress.done = m->slot_progress.done;
        ret->progress.total = m->slot_progress.total;
        ret->progress.unit = m->slot_progress.unit;
        return true;
    }
    if (m->type != WIRE_SLOT_DONE || !s->busy)
        return false;
    s->busy = false;
    ret->type = SLOT_DONE;
    ret->outcome = m->slot_done.outcome;
    slot_log_end(&s->log);
    ret->outcome.log = slot_log_tail(&s->log);
    return true;
}

enum { MEBIBYTE_SHIFT = 20 };

/* Did the kernel kill it for want of memory? Where nobody counts such kills,
 * one that we did not send is taken for one. */
static bool was_starved(const struct slot *s, int number)
{
    int64_t kills;

    if (number != SIGKILL || s->killed)
        return false;
    kills = machine_oom_kills("");
    return kills < 0 || kills > s->oom_kills;
}

static void explain_memory(struct slot *s)
{
    if (s->memory_over > 0)
        (void)snprintf(s->message, sizeof s->message,
                       "%s took %lld MiB, more than the %lld MiB it may: it "
                       "asks for too little memory",
                       s->kind, (long long)(s->memory_over >> MEBIBYTE_SHIFT),
                       (long long)(s->memory_limit >> MEBIBYTE_SHIFT));
    else
        (void)snprintf(s->message, sizeof s->message,
                       "slot was killed in %s (signal 9) by the kernel for "
                       "want of memory: give the worker more memory or fewer "
                       "slots",
                       s->kind);
}

/* What became of the process, as people read it. */
static void explain(struct slot *s, int status, int number)
{
    size_t size = sizeof s->message;

    if (s->why[0] != '\0')
        (void)snprintf(s->message, size, "slot broke off in %s: %s", s->kind,
                       s->why);
    else if (number != 0)
        (void)snprintf(s->message, size, "slot died of signal %d (%s) in %s",
                       number, strsignal(number), s->kind);
    else
        (void)snprintf(s->message, size, "slot exited with status %d in %s",
                       WEXITSTATUS(status), s->kind);
}

/* wire_outcome.crashed */
enum { DIED = 1, STARVED = 3 };

static void judge_death(struct slot *s, int status, struct wire_outcome *o)
{
    int number = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    bool starved =
        s->memory_over > 0 || (s->why[0] == '\0' && was_starved(s, number));

    o->code = starved ? STATUS_NO_MEMORY : STATUS_LOST;
    o->crashed = starved ? STARVED : DIED;
    if (starved)
        explain_memory(s);
    else
        explain(s, status, number);
    o->message = wire_text(s->message);
}

static bool give_death(struct slot *s, struct slot_event *ret)
{
    struct rusage usage = { 0 };
    int status = 0;

    bury(s, &status, &usage);
    slot_log_end(&s->log);
    ret->type = SLOT_DIED;
    judge_death(s, status, &ret->outcome);
    ret->outcome.log = slot_log_tail(&s->log);
    ret->outcome.peak_bytes = (int64_t)usage.ru_maxrss * 1024;
    if (s->memory_over > ret->outcome.peak_bytes)
        ret->outcome.peak_bytes = s->memory_over;
    s->busy = false;
    clear_process(s);
    return true;
}

bool slot_next(struct slot *s, struct slot_event *ret_event)
{
    let_go(&s->given, &s->has_given);
    *ret_event = (struct slot_event){ 0 };
    if (s->pid == 0)
        return false;
    flush(s);
    for (;;) {
        if (!s->has_waiting)
            take_message(s);
        if (next_log(s, ret_event))
            return true;
        if (!s->has_waiting)
            break;
        if (give_message(s, ret_event))
            return true;
        let_go(&s->given, &s->has_given);
    }
    return s->reader.ended && give_death(s, ret_event);
}
