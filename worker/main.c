/* sinter-worker: runs jobs for a broker. The same program, started by itself
 * with --slot-fd, is one of its slots. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "common/log.h"
#include "worker/config.h"
#include "worker/health.h"
#include "worker/loop.h"
#include "worker/scratch.h"
#include "worker/slot_child.h"

enum { EXIT_USAGE = 2 };

/* A worker that cannot write would fail every job it is given, and take them
 * from those that can. */
MUST_CHECK static struct status try_cache(const struct worker_config *c)
{
    struct scratch *scratch = NULL;

    TRY(scratch_new(c->cache, &scratch), "--cache %s", c->cache);
    scratch_free(scratch);
    return SUCCESS;
}

MUST_CHECK static struct status run_worker(const struct worker_config *c,
                                           char *const *argv)
{
    pid_t parent = getppid();

    if (c->die_with_parent) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            return SUCCESS; /* gone while we asked */
    }
    log_event(LOG_INFO, "start", "worker=%s slots=%lld broker=%s version=%s",
              c->name, (long long)c->slots, c->broker, SINTER_VERSION);
    TRY_PLAIN(try_cache(c));
    return worker_loop_run(c, argv);
}

/* Without --name: of the worker that is process 1 of this container, which may
 * share its cache with others; where there is none, any of that cache. */
static int look(const struct worker_config *c)
{
    char first[sizeof c->own_name];
    const char *name = c->name;
    struct status st;

    if (name == c->own_name) {
        (void)snprintf(first, sizeof first, "%.*s-1",
                       (int)(strrchr(name, '-') - name), name);
        name = health_has(c->cache, first) ? first : NULL;
    }
    st = health_check(c->cache, name, c->welcome);
    if (status_failed(&st))
        (void)fprintf(stderr, "sinter-worker: %s\n", st.message);
    return status_failed(&st) ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int run(struct worker_config *c, char *const *argv)
{
    struct status st = SUCCESS;

    log_start(c->slot_fd >= 0 ? "sinter-slot" : "sinter-worker", c->level,
              c->format);
    if (c->help)
        worker_config_help(stdout);
    else if (c->version)
        (void)printf("sinter-worker %s\n", SINTER_VERSION);
    else if (c->health)
        return look(c);
    else if (c->slot_fd >= 0)
        st = slot_child_run(c);
    else
        st = run_worker(c, argv);
    if (status_failed(&st))
        log_failure("stopped", &st);
    return status_failed(&st) ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    struct worker_config config;
    struct status st = worker_config_load(&config, argc, argv);
    int code;

    log_start("sinter-worker", LOG_INFO, LOG_LOGFMT);
    if (status_failed(&st)) {
        (void)fprintf(stderr, "sinter-worker: %s\n", st.message);
        return EXIT_USAGE;
    }
    code = run(&config, argv);
    worker_config_release(&config);
    return code;
}
