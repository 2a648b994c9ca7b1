#include "worker/orphans.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/macros.h"

enum { MOST_CHILDREN = 4096 };

void orphans_adopt(void)
{
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
}

/* Our children, by the kernel's list of them. */
static size_t list_children(pid_t *children, size_t most)
{
    char text[MOST_CHILDREN * 8];
    char path[64];
    size_t count = 0;
    size_t size;
    char *at = text;
    FILE *f;

    (void)snprintf(path, sizeof path, "/proc/self/task/%ld/children",
                   (long)getpid());
    f = fopen(path, "re");
    if (f == NULL)
        return 0;
    size = fread(text, 1, sizeof text - 1, f);
    (void)fclose(f);
    text[size] = '\0';
    while (count < most) {
        char *end;
        long pid = strtol(at, &end, 10);

        if (end == at)
            break;
        children[count++] = (pid_t)pid;
        at = end;
    }
    return count;
}

void orphans_kill(bool (*is_ours)(void *self, pid_t pid), void *self)
{
    pid_t children[MOST_CHILDREN];
    size_t count = list_children(children, COUNT_OF(children));

    for (size_t i = 0; i < count; i++) {
        pid_t pid = children[i];

        if (is_ours(self, pid))
            continue;
        if (getpgid(pid) == pid)
            (void)kill(-pid, SIGKILL);
        (void)kill(pid, SIGKILL);
    }
}

void orphans_reap(bool (*is_ours)(void *self, pid_t pid), void *self)
{
    pid_t children[MOST_CHILDREN];
    size_t count = list_children(children, COUNT_OF(children));

    for (size_t i = 0; i < count; i++) {
        if (!is_ours(self, children[i]))
            (void)waitpid(children[i], NULL, WNOHANG);
    }
}
