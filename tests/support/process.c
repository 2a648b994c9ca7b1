#include "support/process.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/file.h"
#include "common/memory.h"

void scratch_make(char path[SCRATCH_SIZE])
{
    (void)snprintf(path, SCRATCH_SIZE, "/tmp/sinter-test-XXXXXX");
    if (mkdtemp(path) == NULL)
        abort();
}

void scratch_remove(const char *path)
{
    struct status st = file_remove_tree(path);

    if (status_failed(&st))
        (void)fprintf(stderr, "%s\n", st.message);
}

pid_t process_start(const char *const *argv, const char *output)
{
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
    if (result != 0) {
        (void)fprintf(stderr, "start %s: %s\n", argv[0], strerror(result));
        return -1;
    }
    return pid;
}

int process_end(pid_t pid, int signal)
{
    int status = 0;

    if (pid <= 0)
        return 0;
    if (signal != 0)
        (void)kill(pid, signal);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    return status;
}

bool process_stop(pid_t pid)
{
    int status = process_end(pid, SIGTERM);

    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

bool wait_for_file(const char *path, int64_t ms)
{
    enum { STEP_MS = 5 };

    for (int64_t waited = 0; waited < ms; waited += STEP_MS) {
        if (file_exists(path))
            return true;
        clock_sleep_ms(STEP_MS);
    }
    return false;
}

/* One PING over the socket. */
static bool answers(const char *path)
{
    static const char ping[] = "PING\r\n";
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    char reply[8] = "";
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool good;

    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    good =
        connect(fd, (const struct sockaddr *)&address, sizeof address) == 0 &&
        write(fd, ping, strlen(ping)) > 0 && read(fd, reply, 5) == 5 &&
        strncmp(reply, "+PONG", 5) == 0;
    (void)close(fd);
    return good;
}

pid_t redis_start(const char *directory, const char *fsync)
{
    enum { STEP_MS = 5, PATIENCE_MS = 20000 };
    AUTO(free_pointer) char *socket = xasprintf("%s/redis.sock", directory);
    AUTO(free_pointer) char *output = xasprintf("%s/redis.log", directory);
    const char *const argv[] = {
        "redis-server",
        "--port",
        "0",
        "--unixsocket",
        socket,
        "--dir",
        directory,
        "--appendonly",
        "yes",
        "--appendfsync",
        fsync,
        "--save",
        "",
        NULL,
    };
    pid_t pid;

    (void)unlink(socket);
    pid = process_start(argv, output);
    for (int waited = 0; waited < PATIENCE_MS && pid > 0; waited += STEP_MS) {
        if (answers(socket))
            return pid;
        clock_sleep_ms(STEP_MS);
    }
    (void)process_end(pid, SIGKILL);
    return -1;
}
