#include "common/machine.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "common/file.h"
#include "common/limits.h"
#include "common/memory.h"

enum { MOST_TEXT = 64 << 10 };

/* The text of a small file of the kernel's; NULL if there is none. These
 * report a size of 0, so they are read as a stream. */
static char *read_text(const char *root, const char *path)
{
    AUTO(free_pointer) char *full = xasprintf("%s%s", root, path);
    FILE *f = fopen(full, "re");
    char *text;
    size_t size;

    if (f == NULL)
        return NULL;
    text = xcalloc(MOST_TEXT, 1);
    size = fread(text, 1, MOST_TEXT - 1, f);
    text[size] = '\0';
    (void)fclose(f);
    return text;
}

/* -1 if the text does not begin with a number ("max"). */
static int64_t number_of(const char *text)
{
    char *end;
    long long value;

    if (text == NULL)
        return -1;
    value = strtoll(text, &end, 10);
    return end == text ? -1 : value;
}

/* The group of the controller ("" for version 2) below its mount; the caller
 * frees. "/" where nothing is said. */
static char *group_of(const char *root, const char *controller)
{
    AUTO(free_pointer) char *text = read_text(root, "/proc/self/cgroup");
    AUTO(free_pointer) char *want = xasprintf(":%s:", controller);
    char *line = text;

    while (line != NULL && *line != '\0') {
        size_t size = strcspn(line, "\n");
        char *found = strstr(line, want);

        if (found != NULL && found < line + size) {
            found += strlen(want);
            return xstrndup(found, (size_t)(line + size - found));
        }
        line += size + (line[size] == '\n');
    }
    return xstrdup("/");
}

/* The least positive value that `read` finds from the group up to the root. A
 * container sees its own group as the root, whatever /proc says. */
static int64_t least_upwards(const char *root, const char *mount, char *group,
                             int64_t (*read)(const char *root,
                                             const char *directory))
{
    int64_t least = 0;

    for (;;) {
        AUTO(free_pointer) char *directory = xasprintf("%s%s", mount, group);
        int64_t value = read(root, directory);
        char *slash = strrchr(group, '/');

        if (value > 0 && (least == 0 || value < least))
            least = value;
        if (slash == NULL || group[0] == '\0')
            return least;
        *slash = '\0';
    }
}

static int64_t file_number(const char *root, const char *directory,
                           const char *name)
{
    AUTO(free_pointer) char *path = xasprintf("%s/%s", directory, name);
    AUTO(free_pointer) char *text = read_text(root, path);

    return number_of(text);
}

/* Cores, rounded up: version 2 says "quota period", version 1 has two files. */
static int64_t quota_v2(const char *root, const char *directory)
{
    AUTO(free_pointer) char *path = xasprintf("%s/cpu.max", directory);
    AUTO(free_pointer) char *text = read_text(root, path);
    int64_t quota = number_of(text);
    const char *blank = text == NULL ? NULL : strchr(text, ' ');
    int64_t period = number_of(blank);

    return quota <= 0 || period <= 0 ? 0 : (quota + period - 1) / period;
}

static int64_t quota_v1(const char *root, const char *directory)
{
    int64_t quota = file_number(root, directory, "cpu.cfs_quota_us");
    int64_t period = file_number(root, directory, "cpu.cfs_period_us");

    return quota <= 0 || period <= 0 ? 0 : (quota + period - 1) / period;
}

static int64_t memory_v2(const char *root, const char *directory)
{
    return file_number(root, directory, "memory.max");
}

static int64_t memory_v1(const char *root, const char *directory)
{
    return file_number(root, directory, "memory.limit_in_bytes");
}

static int64_t granted(const char *root, const char *controller,
                       const char *mount,
                       int64_t (*v1)(const char *, const char *),
                       int64_t (*v2)(const char *, const char *))
{
    AUTO(free_pointer) char *unified = group_of(root, "");
    AUTO(free_pointer) char *own = group_of(root, controller);
    int64_t least = least_upwards(root, "/sys/fs/cgroup", unified, v2);

    return least > 0 ? least : least_upwards(root, mount, own, v1);
}

uint64_t machine_cpus(const char *root)
{
    int64_t cpus = 1;
    int64_t quota =
        granted(root, "cpu,cpuacct", "/sys/fs/cgroup/cpu", quota_v1, quota_v2);
    cpu_set_t set;

    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof set, &set) == 0)
        cpus = CPU_COUNT(&set);
    if (quota > 0 && quota < cpus)
        cpus = quota;
    return cpus < LIMIT_SLOTS ? (uint64_t)cpus : LIMIT_SLOTS;
}

int64_t machine_memory(const char *root)
{
    int64_t limit =
        granted(root, "memory", "/sys/fs/cgroup/memory", memory_v1, memory_v2);
    AUTO(free_pointer) char *text = read_text(root, "/proc/meminfo");
    const char *line = text == NULL ? NULL : strstr(text, "MemTotal:");
    int64_t kibibytes =
        line == NULL ? 0 : number_of(line + strlen("MemTotal:"));
    int64_t total = kibibytes > 0 ? kibibytes * 1024 : 0;

    return limit > 0 && (total == 0 || limit < total) ? limit : total;
}

/* The number behind "oom_kill " at the start of a line; -1: none. */
static int64_t kills_in(const char *root, const char *path)
{
    static const char name[] = "oom_kill ";
    AUTO(free_pointer) char *text = read_text(root, path);
    const char *line = text;

    while (line != NULL && strncmp(line, name, sizeof name - 1) != 0) {
        line = strchr(line, '\n');
        line = line == NULL ? NULL : line + 1;
    }
    return line == NULL ? -1 : number_of(line + sizeof name - 1);
}

int64_t machine_oom_kills(const char *root)
{
    AUTO(free_pointer) char *unified = group_of(root, "");
    AUTO(free_pointer) char *own = group_of(root, "memory");
    AUTO(free_pointer)
    char *v2 = xasprintf("/sys/fs/cgroup%s/memory.events", unified);
    AUTO(free_pointer)
    char *v1 = xasprintf("/sys/fs/cgroup/memory%s/memory.oom_control", own);
    /* A container sees its own group as the root, whatever /proc says. */
    const char *const places[] = {
        v2,
        "/sys/fs/cgroup/memory.events",
        v1,
        "/sys/fs/cgroup/memory/memory.oom_control",
        "/proc/vmstat",
    };
    int64_t kills = -1;

    for (size_t i = 0; i < COUNT_OF(places) && kills < 0; i++)
        kills = kills_in(root, places[i]);
    return kills;
}

struct status machine_descriptors(uint64_t *ret_limit)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return FAIL(STATUS_FAILED, "getrlimit: %s", strerror(errno));
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        return FAIL(STATUS_FAILED, "setrlimit: %s", strerror(errno));
    *ret_limit = limit.rlim_cur;
    return SUCCESS;
}
