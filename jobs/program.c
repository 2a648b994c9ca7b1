#include "jobs/program.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/file.h"
#include "common/memory.h"

enum {
    POLL_MS = 50,      /* how late a cancel may be seen */
    LINE_LIMIT = 4096, /* of standard error; longer ones are cut */
};

enum { OUT, ERR, TIMER, FDS };

/* A program that runs. */
struct running {
    struct job_context *context;
    const char *name;
    pid_t pid;
    bool ended;
    int exit_status; /* of waitpid(), once ended */
    int fds[FDS];    /* read ends and the timer; -1: closed */
    struct buf *out;
    char line[LINE_LIMIT];
    size_t line_size;
    char last_line[160]; /* of standard error, for the message */
};

/* Whatever the program left behind ends with it. */
static void finish(struct running *r)
{
    if (r->pid > 0)
        (void)kill(-r->pid, SIGKILL);
    if (r->pid > 0 && !r->ended)
        (void)waitpid(r->pid, &r->exit_status, 0);
    for (size_t i = 0; i < FDS; i++)
        file_close(&r->fds[i]);
}

static void end_line(struct running *r)
{
    r->line[r->line_size] = '\0';
    if (r->line_size > 0) {
        r->context->log(r->context->self, r->line);
        (void)snprintf(r->last_line, sizeof(r->last_line), ": %.150s", r->line);
    }
    r->line_size = 0;
}

static void take_lines(struct running *r, const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (text[i] == '\n')
            end_line(r);
        else if (r->line_size + 1 < sizeof(r->line) && text[i] != '\0')
            r->line[r->line_size++] = text[i];
    }
}

/* All that is there now. */
static struct status drain(struct running *r, int which)
{
    char text[16384];
    ssize_t n;

    while (r->fds[which] >= 0) {
        n = read(r->fds[which], text, sizeof(text));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return SUCCESS;
        if (n <= 0) {
            file_close(&r->fds[which]);
            return SUCCESS;
        }
        if (which == ERR)
            take_lines(r, text, (size_t)n);
        else
            TRY(buf_add(r->out, text, (size_t)n), "output of %s", r->name);
    }
    return SUCCESS;
}

static void look_for_end(struct running *r)
{
    if (!r->ended && waitpid(r->pid, &r->exit_status, WNOHANG) == r->pid)
        r->ended = true;
}

static struct status follow(struct running *r, int64_t timeout_ms)
{
    while (!r->ended) {
        struct pollfd fds[FDS];

        for (size_t i = 0; i < FDS; i++)
            fds[i] = (struct pollfd){ .fd = r->fds[i], .events = POLLIN };
        (void)poll(fds, FDS, POLL_MS);
        if (r->context->cancelled(r->context->self))
            return FAIL(STATUS_CANCELLED, "%s was cancelled", r->name);
        TRY_PLAIN(drain(r, OUT));
        TRY_PLAIN(drain(r, ERR));
        if (fds[TIMER].revents != 0)
            return FAIL(STATUS_TIMED_OUT,
                        "%s did not end within %" PRId64 " ms (key `timeout`)",
                        r->name, timeout_ms);
        look_for_end(r);
    }
    /* What it wrote between the last look and its end. */
    TRY_PLAIN(drain(r, OUT));
    TRY_PLAIN(drain(r, ERR));
    end_line(r);
    return SUCCESS;
}

static struct status judge(const struct running *r)
{
    if (WIFSIGNALED(r->exit_status))
        return FAIL(STATUS_FAILED, "%s was ended by signal %d%s", r->name,
                    WTERMSIG(r->exit_status), r->last_line);
    if (WEXITSTATUS(r->exit_status) != 0)
        return FAIL(STATUS_FAILED, "%s ended with %d%s", r->name,
                    WEXITSTATUS(r->exit_status), r->last_line);
    return SUCCESS;
}

/* Does one of the list set the name that `variable` sets? */
static bool is_set(const char *const *list, const char *variable)
{
    size_t name = strcspn(variable, "=") + 1;

    for (; *list != NULL; list++)
        if (strncmp(*list, variable, name) == 0)
            return true;
    return false;
}

/* Ours without SINTER_* and what is given, then the given ones. */
static char **build_environment(const char *const *given)
{
    size_t count = 0, more = 0, used = 0;
    char **all;

    while (environ[count] != NULL)
        count++;
    while (given[more] != NULL)
        more++;
    all = xcalloc(count + more + 1, sizeof(*all));
    for (size_t i = 0; i < count; i++)
        if (strncmp(environ[i], "SINTER_", 7) != 0 &&
            !is_set(given, environ[i]))
            all[used++] = xstrdup(environ[i]);
    for (size_t i = 0; i < more; i++)
        all[used++] = xstrdup(given[i]);
    return all;
}

static void free_environment(char ***all)
{
    for (char **e = *all; e != NULL && *e != NULL; e++)
        free(*e);
    free(*all);
}

/* Our copies of the program's ends. */
struct write_ends {
    int fds[2];
};

static void close_ends(struct write_ends *ends)
{
    file_close(&ends->fds[OUT]);
    file_close(&ends->fds[ERR]);
}

static struct status open_pipes(struct running *r, struct write_ends *to)
{
    for (int i = OUT; i <= ERR; i++) {
        int ends[2];

        if (pipe2(ends, O_CLOEXEC) != 0)
            return FAIL(STATUS_UNAVAILABLE, "pipe: %s", strerror(errno));
        r->fds[i] = ends[0];
        to->fds[i] = ends[1];
        if (fcntl(ends[0], F_SETFL, O_NONBLOCK) != 0)
            return FAIL(STATUS_UNAVAILABLE, "pipe: %s", strerror(errno));
    }
    return SUCCESS;
}

static int prepare_files(posix_spawn_file_actions_t *files,
                         const struct program *p, const struct write_ends *ends)
{
    int error = posix_spawn_file_actions_addchdir_np(files, p->directory);

    if (error == 0)
        error = posix_spawn_file_actions_addopen(files, 0, "/dev/null",
                                                 O_RDONLY, 0);
    if (error == 0)
        error = posix_spawn_file_actions_adddup2(files, ends->fds[OUT], 1);
    if (error == 0)
        error = posix_spawn_file_actions_adddup2(files, ends->fds[ERR], 2);
    if (error == 0)
        error = posix_spawn_file_actions_addclosefrom_np(files, 3);
    return error;
}

static int prepare_attributes(posix_spawnattr_t *attributes)
{
    sigset_t none, all;
    int error;

    (void)sigemptyset(&none);
    (void)sigfillset(&all);
    error = posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETPGROUP |
                                                     POSIX_SPAWN_SETSIGMASK |
                                                     POSIX_SPAWN_SETSIGDEF);
    if (error == 0)
        error = posix_spawnattr_setpgroup(attributes, 0);
    if (error == 0)
        error = posix_spawnattr_setsigmask(attributes, &none);
    if (error == 0)
        error = posix_spawnattr_setsigdefault(attributes, &all);
    return error;
}

static int spawn(const struct program *p, const struct write_ends *ends,
                 char **environment, pid_t *ret_pid)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    int error = posix_spawn_file_actions_init(&files);

    if (error != 0)
        return error;
    error = posix_spawnattr_init(&attributes);
    if (error == 0) {
        error = prepare_files(&files, p, ends);
        if (error == 0)
            error = prepare_attributes(&attributes);
        if (error == 0)
            error = posix_spawnp(ret_pid, p->command[0], &files, &attributes,
                                 p->command, environment);
        (void)posix_spawnattr_destroy(&attributes);
    }
    (void)posix_spawn_file_actions_destroy(&files);
    return error;
}

static struct status start(struct running *r, const struct program *p)
{
    AUTO(free_environment)
    char **environment = build_environment(p->environment);
    AUTO(close_ends) struct write_ends ends = { { -1, -1 } };
    int error;

    TRY_PLAIN(open_pipes(r, &ends));
    error = spawn(p, &ends, environment, &r->pid);
    if (error == ENOENT)
        return FAIL(STATUS_NOT_FOUND,
                    "there is no program %s on this worker; install it or "
                    "put it into the worker's PATH",
                    r->name);
    if (error != 0)
        return FAIL(STATUS_UNAVAILABLE, "start %s: %s", r->name,
                    strerror(error));
    return SUCCESS;
}

static struct status start_timer(struct running *r, int64_t timeout_ms)
{
    struct itimerspec at = {
        .it_value = { .tv_sec = (time_t)(timeout_ms / 1000),
                      .tv_nsec = (long)(timeout_ms % 1000) * 1000000 },
    };

    if (timeout_ms == 0)
        return SUCCESS;
    r->fds[TIMER] = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
    if (r->fds[TIMER] < 0 || timerfd_settime(r->fds[TIMER], 0, &at, NULL) != 0)
        return FAIL(STATUS_UNAVAILABLE, "timer: %s", strerror(errno));
    return SUCCESS;
}

struct status program_run(const struct program *p, struct job_context *context,
                          struct buf *out)
{
    AUTO(finish)
    struct running r = { .context = context,
                         .name = p->command[0],
                         .fds = { -1, -1, -1 },
                         .out = out };

    TRY_PLAIN(start_timer(&r, p->timeout_ms));
    TRY_PLAIN(start(&r, p));
    TRY_PLAIN(follow(&r, p->timeout_ms));
    return judge(&r);
}
