#include "cli/process.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/interrupt.h"
#include "common/clock.h"
#include "common/memory.h"

static bool is_program(const char *path)
{
    return access(path, X_OK) == 0;
}

/* `name` in the directory of our own executable; NULL if it is not there. */
static char *beside_us(const char *name)
{
    char self[PATH_MAX];
    ssize_t size = readlink("/proc/self/exe", self, sizeof self - 1);
    char *slash = NULL;
    char *path = NULL;

    if (size <= 0)
        return NULL;
    self[size] = '\0';
    slash = strrchr(self, '/');
    path = xasprintf("%.*s/%s", (int)(slash - self), self, name);
    if (is_program(path))
        return path;
    free(path);
    return NULL;
}

static char *on_path(const char *name)
{
    const char *at = getenv("PATH");

    while (at != NULL && *at != '\0') {
        size_t size = strcspn(at, ":");
        char *path = xasprintf("%.*s/%s", (int)size, at, name);

        if (size > 0 && is_program(path))
            return path;
        free(path);
        at += size + (at[size] == ':' ? 1 : 0);
    }
    return NULL;
}

struct status process_find(const char *name, char **ret_path)
{
    char *path = beside_us(name);

    if (path == NULL)
        path = on_path(name);
    if (path == NULL)
        return FAIL(STATUS_FAILED,
                    "%s is neither beside this program nor on PATH", name);
    *ret_path = path;
    return SUCCESS;
}

/* The environment with `extra` in place of a variable of that name. */
static char **environment_with(const char *extra)
{
    size_t count = 0;
    size_t name = extra == NULL ? 0 : strcspn(extra, "=") + 1;
    size_t kept = 0;
    char **all = NULL;

    while (environ[count] != NULL)
        count++;
    all = xcalloc(count + 2, sizeof *all);
    for (size_t i = 0; i < count; i++) {
        if (extra == NULL || strncmp(environ[i], extra, name) != 0)
            all[kept++] = environ[i];
    }
    if (extra != NULL)
        all[kept] = xstrdup(extra);
    return all;
}

static void free_environment(char **all, const char *extra)
{
    size_t last = 0;

    while (extra != NULL && all[last + 1] != NULL)
        last++;
    if (extra != NULL)
        free(all[last]);
    free(all);
}

/* In the child, before exec: only async-signal-safe calls. Its parent may die
 * at any instant; the order to die with it holds across exec, so that no
 * moment is left uncovered. Never returns. */
static void become(char *const *argv, char *const *environment, const char *log,
                   pid_t parent)
{
    struct sigaction usual = { .sa_handler = SIG_DFL };
    sigset_t none;
    int in = -1;
    int out = -1;

    (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent)
        _exit(1);
    (void)setpgid(0, 0);
    (void)sigaction(SIGINT, &usual, NULL);
    (void)sigaction(SIGTERM, &usual, NULL);
    (void)sigaction(SIGPIPE, &usual, NULL);
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    in = open("/dev/null", O_RDONLY | O_CLOEXEC);
    out = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (in >= 0 && out >= 0 && dup2(in, STDIN_FILENO) >= 0 &&
        dup2(out, STDOUT_FILENO) >= 0 && dup2(out, STDERR_FILENO) >= 0)
        (void)execve(argv[0], argv, environment);
    _exit(127);
}

struct status process_start(char *const *argv, const char *log,
                            const char *extra, pid_t *ret_pid)
{
    char **all = environment_with(extra);
    pid_t parent = getpid();
    pid_t pid = fork();
    int error = errno;

    if (pid == 0)
        become(argv, all, log, parent);
    free_environment(all, extra);
    if (pid < 0)
        return FAIL(STATUS_FAILED, "cannot start %s: %s", argv[0],
                    strerror(error));
    *ret_pid = pid;
    return SUCCESS;
}

bool process_ended(pid_t pid, char *ret_how, size_t size)
{
    int how = 0;
    pid_t got = waitpid(pid, &how, WNOHANG);

    if (got == 0 || (got < 0 && errno == EINTR))
        return false;
    if (got == pid && WIFSIGNALED(how))
        (void)snprintf(ret_how, size, "killed by signal %d", WTERMSIG(how));
    else if (got == pid)
        (void)snprintf(ret_how, size, "exit code %d", WEXITSTATUS(how));
    else
        (void)snprintf(ret_how, size, "gone");
    return true;
}

void process_stop(pid_t pid, int64_t patience_ms)
{
    enum { POLL_MS = 5 };
    int64_t give_up = clock_now() + patience_ms * NS_PER_MS;
    int hurry = interrupt_count() + 1;
    char how[64];

    (void)kill(pid, SIGTERM);
    while (!process_ended(pid, how, sizeof how)) {
        if (clock_now() > give_up || interrupt_count() > hurry)
            (void)kill(pid, SIGKILL);
        clock_sleep_ms(POLL_MS);
    }
}
