#include "worker/usage.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEPTH_MOST = 16, TEXT = 8192 };

/* The whole of a small file of /proc; false: it is not there. */
static bool read_file(const char *path, char text[TEXT])
{
    FILE *f = fopen(path, "re");
    size_t size;

    if (f == NULL)
        return false;
    size = fread(text, 1, TEXT - 1, f);
    text[size] = '\0';
    (void)fclose(f);
    return size > 0;
}

static int64_t kibibytes(const char *text, const char *name)
{
    const char *line = strstr(text, name);

    return line == NULL ? 0 : strtoll(line + strlen(name), NULL, 10);
}

static int64_t own_memory(pid_t pid)
{
    enum { KIBIBYTE = 1024 };
    char path[64];
    char text[TEXT];

    (void)snprintf(path, sizeof path, "/proc/%ld/status", (long)pid);
    if (!read_file(path, text))
        return 0;
    return KIBIBYTE *
           (kibibytes(text, "\nRssAnon:") + kibibytes(text, "\nRssShmem:"));
}

static int64_t tree_memory(pid_t pid, int depth)
{
    int64_t total = own_memory(pid);
    char path[64];
    char text[TEXT];
    char *at = text;

    (void)snprintf(path, sizeof path, "/proc/%ld/task/%ld/children", (long)pid,
                   (long)pid);
    if (depth == DEPTH_MOST || !read_file(path, text))
        return total;
    for (;;) {
        char *end;
        long child = strtol(at, &end, 10);

        if (end == at)
            return total;
        total += tree_memory((pid_t)child, depth + 1);
        at = end;
    }
}

int64_t usage_memory(pid_t pid)
{
    return tree_memory(pid, 0);
}
