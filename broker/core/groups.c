#include "broker/core/groups.h"

#include "common/memory.h"

#include <stdlib.h>

/* What groups differ in, as the bytes of a key. */
struct group_key {
    const char *kind, *labels; /* interned */
    int64_t cpus, memory_bytes;
    const struct place *place;
};

static struct group_key key_of(const struct job *job)
{
    return (struct group_key){ job->kind, job->labels, job->cpus,
                               job->memory_bytes, job->place };
}

static bool is_of(const struct group *g, const struct job *job)
{
    return g->kind == job->kind && g->labels == job->labels &&
           g->cpus == job->cpus && g->memory_bytes == job->memory_bytes &&
           g->place == job->place;
}

/* One for all places: how long a job takes does not depend on whose bytes it
 * reads, as far as is known. */
static struct pace *pace_of(struct sweep *sweep, const struct job *job)
{
    struct group_key key = key_of(job);
    struct pace *pace;

    key.place = NULL;
    if (sweep->paces == NULL)
        sweep->paces = map_new();
    pace = map_get(sweep->paces, &key, sizeof key);
    if (pace != NULL)
        return pace;
    pace = xnew(struct pace);
    pace->kind = job->kind;
    pace->run_ms = -1.0;
    (void)map_put(sweep->paces, &key, sizeof key, pace);
    return pace;
}

static struct group *add(struct sweep *sweep, const struct job *job)
{
    struct group *g = xnew(struct group);

    *g = (struct group){ .sweep = sweep,
                         .kind = job->kind,
                         .labels = job->labels,
                         .cpus = job->cpus,
                         .memory_bytes = job->memory_bytes,
                         .place = locality_join(job->place),
                         .pace = pace_of(sweep, job),
                         .at = sweep->group_count };
    sweep->groups = xrealloc(sweep->groups,
                             (sweep->group_count + 1) * sizeof(struct group *));
    sweep->groups[sweep->group_count++] = g;
    return g;
}

struct group *groups_find(struct sweep *sweep, const struct job *job)
{
    struct group_key key;
    struct group *g = sweep->last_group;

    if (g != NULL && is_of(g, job))
        return g;
    key = key_of(job);
    if (sweep->group_map == NULL)
        sweep->group_map = map_new();
    g = map_get(sweep->group_map, &key, sizeof key);
    if (g == NULL) {
        g = add(sweep, job);
        (void)map_put(sweep->group_map, &key, sizeof key, g);
    }
    sweep->last_group = g;
    return g;
}

static void swap(struct sweep *sweep, size_t a, size_t b)
{
    struct group *g = sweep->groups[a];

    sweep->groups[a] = sweep->groups[b];
    sweep->groups[b] = g;
    sweep->groups[a]->at = a;
    sweep->groups[b]->at = b;
}

void groups_fill(struct sched *s, struct group *g)
{
    if (g->ready.count > 0)
        return;
    s->news++;
    g->passed_at = 0;
    if (g->at >= g->sweep->open)
        swap(g->sweep, g->at, g->sweep->open++);
}

struct group *groups_open_at(struct sweep *sweep, size_t i)
{
    struct group *g = sweep->groups[i];

    if (g->ready.count > 0)
        return g;
    swap(sweep, i, --sweep->open);
    return NULL;
}

void groups_free_all(struct sweep *sweep)
{
    for (size_t i = 0; i < sweep->group_count; i++) {
        heap_release(&sweep->groups[i]->ready);
        locality_let_go(&sweep->groups[i]->place);
        free(sweep->groups[i]);
    }
    for (size_t i = 0; sweep->paces != NULL && i < map_count(sweep->paces); i++)
        free(map_at(sweep->paces, i, NULL, NULL));
    free(sweep->groups);
    map_free(sweep->group_map);
    map_free(sweep->paces);
}
