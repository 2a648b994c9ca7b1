#include "broker/descriptors.h"

#include <dirent.h>
#include <sys/stat.h>

#include "common/clock.h"
#include "common/limits.h"
#include "common/log.h"
#include "common/machine.h"

enum {
    LOOK_S = 10,
    /* Workers may take five of six: clients, HTTP, the store and files the
     * rest. */
    WORKERS_OF = 6,
    WORKERS = 5,
    ALARM_PERCENT = 80,
    WELL_PERCENT = 70,
};

static const char open_ones[] = "/proc/self/fd";

struct status descriptors_share(struct descriptors *d, uint64_t wanted)
{
    uint64_t most = d->limit / WORKERS_OF * WORKERS;

    if (most > LIMIT_WORKERS)
        most = LIMIT_WORKERS;
    if (wanted > most)
        return FAIL(
            STATUS_INVALID,
            "--max-workers %llu needs %llu descriptors, and this "
            "process may have %llu: raise the limit (ulimit -Hn, "
            "LimitNOFILE of systemd, ulimits of Compose) or ask for %llu "
            "workers at most",
            (unsigned long long)wanted,
            (unsigned long long)((wanted * WORKERS_OF + WORKERS - 1) / WORKERS),
            (unsigned long long)d->limit, (unsigned long long)most);
    d->workers = wanted > 0 ? wanted : most;
    return SUCCESS;
}

struct status descriptors_prepare(struct descriptors *d, uint64_t wanted)
{
    *d = (struct descriptors){ .limit = 0 };
    TRY_PLAIN(machine_descriptors(&d->limit));
    return descriptors_share(d, wanted);
}

/* Newer kernels tell the number as the size of the directory. */
static uint64_t count_open(void)
{
    struct stat info;
    uint64_t count = 0;
    DIR *folder;

    if (stat(open_ones, &info) == 0 && info.st_size > 0)
        return (uint64_t)info.st_size;
    folder = opendir(open_ones);
    if (folder == NULL)
        return 0;
    while (readdir(folder) != NULL)
        count++;
    (void)closedir(folder);
    return count;
}

bool descriptors_judge(struct descriptors *d)
{
    uint64_t percent = d->limit == 0 ? 0 : 100 * d->open / d->limit;
    bool before = d->alarm;

    d->alarm = percent >= (before ? WELL_PERCENT : ALARM_PERCENT);
    return d->alarm != before;
}

void descriptors_watch(struct descriptors *d, int64_t now)
{
    if (now < d->next)
        return;
    d->next = now + LOOK_S * NS_PER_S;
    d->open = count_open();
    if (!descriptors_judge(d))
        return;
    log_event(d->alarm ? LOG_WARN : LOG_INFO,
              d->alarm ? "descriptors run out: soon nobody can connect"
                       : "there are descriptors enough again",
              "open=%llu limit=%llu", (unsigned long long)d->open,
              (unsigned long long)d->limit);
}
