#include "broker/core/suspects.h"

#include "broker/core/dispatch.h"
#include "broker/core/resources.h"
#include "common/map.h"
#include "common/memory.h"

#include <string.h>

enum {
    SHARE = 5,        /* of the workers: the part that suspects may have, and
                          that may vanish at once before it is an outage */
    OUTAGE_LEAST = 2, /* one worker alone is never an outage */
    SILENT_AFTER = 3, /* heartbeats */
};

static struct session *session_at(const struct sched *s, size_t i)
{
    return map_at(s->sessions, i, NULL, NULL);
}

/* Could the worker be given the suspect, now or when it is idle? */
static bool may_serve(const struct session *w, const struct job *job)
{
    return dispatch_is_open(w) && w->solo == NULL &&
           resources_has(w, job->group);
}

static bool may_run(const struct job *job)
{
    return dispatch_gives(job->group->sweep);
}

static size_t count_solo(const struct sched *s)
{
    size_t count = 0;

    for (size_t i = 0; i < map_count(s->sessions); i++)
        count += session_at(s, i)->solo != NULL;
    return count;
}

static size_t most_solo(const struct sched *s)
{
    size_t share = map_count(s->sessions) / SHARE;

    return share > 0 ? share : 1;
}

static struct session *idle_worker(const struct sched *s, const struct job *job)
{
    for (size_t i = 0; i < map_count(s->sessions); i++) {
        struct session *w = session_at(s, i);

        if (w->units == 0 && w->first == NULL && may_serve(w, job))
            return w;
    }
    return NULL;
}

/* The first suspect that an idle worker can take; NULL: none. */
static struct job *next_suspect(const struct sched *s,
                                struct session **ret_worker)
{
    for (size_t i = 0; i < s->suspects.count; i++) {
        struct job *job = s->suspects.items[i];

        *ret_worker = may_run(job) ? idle_worker(s, job) : NULL;
        if (*ret_worker != NULL)
            return job;
    }
    return NULL;
}

/* One that gets nothing new until it is idle: the one with the least to do. */
static void reserve(struct sched *s)
{
    struct session *best = NULL;

    for (size_t k = 0; k < s->suspects.count && best == NULL; k++)
        for (size_t i = 0; i < map_count(s->sessions); i++) {
            struct session *w = session_at(s, i);

            if (may_run(s->suspects.items[k]) &&
                may_serve(w, s->suspects.items[k]) &&
                (best == NULL || w->running < best->running))
                best = w;
        }
    if (best != NULL)
        best->reserved = true;
}

/* True if one is kept free and can still be used. */
static bool has_reserved(const struct sched *s)
{
    for (size_t i = 0; i < map_count(s->sessions); i++) {
        const struct session *w = session_at(s, i);

        if (w->reserved && dispatch_is_open(w))
            return true;
    }
    return false;
}

static void release_reserved(struct sched *s)
{
    for (size_t i = 0; i < map_count(s->sessions); i++)
        session_at(s, i)->reserved = false;
}

void suspects_run(struct sched *s)
{
    size_t room = most_solo(s);
    struct session *w = NULL;
    struct job *job;
    size_t solo;

    s->isolating = s->isolating || s->suspects.count > 0;
    if (!s->isolating)
        return;
    solo = count_solo(s);
    if (s->suspects.count == 0 && solo == 0) {
        release_reserved(s);
        s->isolating = false;
        return;
    }
    while (solo < room && (job = next_suspect(s, &w)) != NULL) {
        dispatch_give_alone(s, w, job);
        w->reserved = false;
        solo++;
    }
    if (s->suspects.count == 0 || solo >= room)
        release_reserved(s);
    else if (!has_reserved(s))
        reserve(s);
}

void suspects_note_gone(struct sched *s, const struct session *session)
{
    int64_t lease = s->settings.lease_ms * NS_PER_MS;
    size_t kept = 0;

    for (size_t i = 0; i < s->gone_count; i++)
        if (s->t.now - s->gone[i].at < lease)
            s->gone[kept++] = s->gone[i];
    s->gone_count = kept;
    if (s->gone_count == s->gone_room) {
        s->gone_room = s->gone_room == 0 ? 8 : 2 * s->gone_room;
        s->gone = xrealloc(s->gone, s->gone_room * sizeof *s->gone);
    }
    s->gone[s->gone_count++] = (struct gone){
        .name = sched_intern(s, session->name, strlen(session->name)),
        .at = s->t.now,
    };
}

static bool is_silent(const struct sched *s, const struct session *w)
{
    return s->t.now - w->seen_at >
           SILENT_AFTER * s->settings.heartbeat_ms * NS_PER_MS;
}

bool suspects_outage(const struct sched *s)
{
    int64_t lease = s->settings.lease_ms * NS_PER_MS;
    struct map *names = map_new(); /* of the farm: to what lives of it */
    static char lives, silent;
    size_t away = 0;
    size_t all;

    for (size_t i = 0; i < s->gone_count; i++)
        if (s->t.now - s->gone[i].at < lease)
            (void)map_put_text(names, s->gone[i].name, &silent);
    for (size_t i = 0; i < map_count(s->sessions); i++) {
        const struct session *w = session_at(s, i);

        if (!is_silent(s, w))
            (void)map_put_text(names, w->name, &lives);
        else if (map_get_text(names, w->name) == NULL)
            (void)map_put_text(names, w->name, &silent);
    }
    all = map_count(names);
    for (size_t i = 0; i < all; i++)
        away += map_at(names, i, NULL, NULL) == &silent;
    map_free(names);
    return away >= OUTAGE_LEAST && away * SHARE > all;
}
