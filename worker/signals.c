#include "worker/signals.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

static const int watched[] = { SIGTERM, SIGINT, SIGCHLD };

/* Where the handler writes; -1: nobody listens. */
static volatile sig_atomic_t told = -1;

static void on_signal(int number)
{
    int held = errno;
    char byte = (char)number;
    ssize_t put = write((int)told, &byte, 1);

    (void)put; /* full: the same signals are in it already */
    errno = held;
}

struct status signals_open(int *ret_fd)
{
    struct sigaction action = { .sa_handler = on_signal,
                                .sa_flags = SA_RESTART };
    int ends[2];

    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0)
        return FAIL(STATUS_UNAVAILABLE, "make a pipe for signals: %s",
                    strerror(errno));
    told = ends[1];
    for (size_t i = 0; i < COUNT_OF(watched); i++)
        (void)sigaction(watched[i], &action, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
    *ret_fd = ends[0];
    return SUCCESS;
}

void signals_close(int fd)
{
    if (fd < 0)
        return;
    for (size_t i = 0; i < COUNT_OF(watched); i++)
        (void)signal(watched[i], SIG_DFL);
    (void)close((int)told);
    told = -1;
    (void)close(fd);
}

int signals_next(int fd)
{
    char byte;

    return read(fd, &byte, 1) == 1 ? (int)byte : 0;
}
