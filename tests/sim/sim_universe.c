/* Schedules by the million, or one to be looked at:
 *
 *     sim_universe [--seeds N] [--from N] [--jobs N] [--coverage]
 *     sim_universe --seed N --trace
 *
 * Exit 1 if an invariant was broken, or with --coverage if some kind of fault
 * or of message never came about. */
#include "tests/sim/world/coverage.h"
#include "tests/sim/world/families.h"
#include "tests/sim/world/universe.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { JOBS_MOST = 64 };

static struct {
    uint64_t seeds, from, jobs;
    bool coverage, trace;
} options = { .seeds = 1000, .jobs = 1 };

/* What the processes tell each other. */
static struct shared {
    uint64_t next, failed, events;
    uint64_t coverage[JOBS_MOST][COVERAGE_ROWS];
} * shared;

/* An assertion of the program: say where. The text is made before. */
static char where[64];

static void on_abort(int number)
{
    (void)!write(STDERR_FILENO, where, sizeof where);
    (void)signal(number, SIG_DFL);
    (void)raise(number);
}

static bool run_one(uint64_t seed)
{
    struct universe_verdict v;

    (void)snprintf(where, sizeof where, "\nseed %" PRIu64 ": it dies\n", seed);
    v = universe_run(seed, NULL);
    __atomic_fetch_add(&shared->events, v.events, __ATOMIC_RELAXED);
    if (v.story[0] == '\0')
        return true;
    (void)printf("seed %" PRIu64 " (%s): %s\n", seed,
                 families[seed % family_count].name, v.story);
    (void)fflush(stdout);
    __atomic_fetch_add(&shared->failed, 1, __ATOMIC_RELAXED);
    return false;
}

static void work(size_t number)
{
    for (;;) {
        uint64_t at = __atomic_fetch_add(&shared->next, 1, __ATOMIC_RELAXED);

        if (at >= options.seeds)
            break;
        (void)run_one(options.from + at);
    }
    memcpy(shared->coverage[number], coverage_counts(),
           sizeof shared->coverage[number]);
}

/* A process for each job; false: one of them died. */
static bool work_all(void)
{
    bool well = true;

    if (options.jobs == 1) {
        work(0);
        return true;
    }
    (void)fflush(stdout);
    for (uint64_t i = 0; i < options.jobs; i++)
        if (fork() == 0) {
            work(i);
            _exit(0);
        }
    for (uint64_t i = 0; i < options.jobs; i++) {
        int how = 0;

        (void)wait(&how);
        well = well && how == 0;
    }
    for (uint64_t i = 0; i < options.jobs; i++)
        coverage_add(shared->coverage[i]);
    return well;
}

static uint64_t number_of(const char *text)
{
    return text == NULL ? 0 : strtoull(text, NULL, 10);
}

static bool parse(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;

        if (strcmp(argv[i], "--coverage") == 0) {
            options.coverage = true;
            continue;
        }
        if (strcmp(argv[i], "--trace") == 0) {
            options.trace = true;
            continue;
        }
        if (strcmp(argv[i], "--seeds") == 0)
            options.seeds = number_of(value);
        else if (strcmp(argv[i], "--from") == 0)
            options.from = number_of(value);
        else if (strcmp(argv[i], "--jobs") == 0)
            options.jobs = number_of(value);
        else if (strcmp(argv[i], "--seed") == 0) {
            options.from = number_of(value);
            options.seeds = 1;
        } else
            return false;
        i++;
    }
    return options.jobs > 0 && options.jobs <= JOBS_MOST;
}

int main(int argc, char **argv)
{
    bool well;
    size_t never = 0;

    if (!parse(argc, argv)) {
        (void)fputs("usage: sim_universe [--seeds N] [--from N] [--jobs N] "
                    "[--coverage] | --seed N [--trace]\n",
                    stderr);
        return EXIT_FAILURE;
    }
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE,
                  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        return EXIT_FAILURE;
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    (void)signal(SIGABRT, on_abort);
    (void)signal(SIGSEGV, on_abort);
    time_tells = options.trace;
    well = work_all();
    if (options.coverage)
        never = coverage_print(stdout);
    (void)printf("%" PRIu64 " schedules from seed %" PRIu64 ", %" PRIu64
                 " events, %" PRIu64 " broken, %zu kinds never seen\n",
                 options.seeds, options.from, shared->events, shared->failed,
                 never);
    return well && shared->failed == 0 && never == 0 ? EXIT_SUCCESS
                                                     : EXIT_FAILURE;
}
