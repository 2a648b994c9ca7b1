#include "cli/crew.h"

#include <inttypes.h>

#include "common/macros.h"

uint64_t crew_memory(const struct crew_machine *m, size_t workers)
{
    return m->memory / (workers == 0 ? 1 : workers);
}

uint64_t crew_keep(const struct crew_machine *m, size_t workers)
{
    enum { SHARE = 2 }; /* the other half is for what the jobs compute */

    return crew_memory(m, workers) / SHARE;
}

size_t crew_cpus(const struct crew_machine *m, size_t workers)
{
    size_t share = m->processors / (workers == 0 ? 1 : workers);

    return share == 0 ? 1 : share;
}

/* That a job of the document asks for at the most, and not less than `least`.
 */
static uint64_t most_of(const json_t *document, const char *what, int64_t least,
                        const char **ret_name)
{
    static const char *const parts[] = { "stages", "evaluate" };
    int64_t most = least;

    for (size_t i = 0; i < COUNT_OF(parts); i++) {
        const json_t *stages = json_object_get(document, parts[i]);

        for (size_t k = 0; k < json_array_size(stages); k++) {
            const json_t *stage = json_array_get(stages, k);
            int64_t asked = json_int_or(stage, what, 0);

            if (asked > most)
                *ret_name = json_text_or(stage, "name", "?");
            most = asked > most ? asked : most;
        }
    }
    return (uint64_t)most;
}

/* Of a machine whose memory is not known anything may fit. */
static bool fits_memory(const struct crew_machine *m, uint64_t memory,
                        size_t workers)
{
    return m->memory == 0 || memory <= crew_memory(m, workers);
}

MUST_CHECK static struct status check(const struct crew_machine *m,
                                      const struct crew *c, size_t cpus,
                                      uint64_t memory)
{
    if (cpus > crew_cpus(m, c->workers))
        return FAIL(STATUS_INVALID,
                    "a job asks for %zu cpus, and of %zu workers on %zu "
                    "processors each has %zu: take --workers %zu",
                    cpus, c->workers, m->processors, crew_cpus(m, c->workers),
                    m->processors / cpus);
    if (!fits_memory(m, memory, c->workers))
        return FAIL(STATUS_INVALID,
                    "a job asks for %" PRIu64 " MiB of memory, and of %zu "
                    "workers each has %" PRIu64 ": take --workers %" PRIu64,
                    memory >> 20, c->workers, crew_memory(m, c->workers) >> 20,
                    m->memory / memory);
    return SUCCESS;
}

struct status crew_choose(const struct crew_machine *m, const json_t *document,
                          const struct crew *wanted, struct crew *ret_crew)
{
    const char *name = "a job";
    size_t cpus = (size_t)most_of(document, "cpus", 1, &name);
    uint64_t memory = most_of(document, "memory", 0, &name);
    struct crew c = *wanted;

    if (cpus > m->processors)
        return FAIL(STATUS_INVALID,
                    "resources: cpus: a job asks for %zu, and this machine "
                    "grants %zu",
                    cpus, m->processors);
    if (!fits_memory(m, memory, 1))
        return FAIL(STATUS_INVALID,
                    "%s asks for %" PRIu64
                    " MiB of memory, and this machine grants %" PRIu64,
                    name, memory >> 20, m->memory >> 20);
    if (c.workers == 0) {
        c.workers = m->processors / cpus;
        c.slots *= cpus;
        while (c.workers > 1 && !fits_memory(m, memory, c.workers))
            c.workers--;
    }
    TRY_PLAIN(check(m, &c, cpus, memory));
    *ret_crew = c;
    return SUCCESS;
}
