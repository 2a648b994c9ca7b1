#include "broker/core/resources.h"

#include "common/memory.h"
#include "common/slots.h"

#include <stdlib.h>
#include <string.h>

enum { UNKNOWN, LACKS, HAS };
enum { MEBIBYTE_SHIFT = 20 };

struct shape {
    uint32_t number; /* from 1 */
};

void resources_free_all(struct sched *s)
{
    for (size_t i = 0; s->shapes != NULL && i < map_count(s->shapes); i++)
        free(map_at(s->shapes, i, NULL, NULL));
    map_free(s->shapes);
}

void resources_forget(struct session *session)
{
    free(session->serves);
    session->serves = NULL;
    session->serves_count = 0;
}

static bool knows_kind(const struct session *session, const char *kind)
{
    if (session->kind_count == 0)
        return true;
    for (size_t i = 0; i < session->kind_count; i++)
        if (session->kind_list[i] == kind)
            return true;
    return false;
}

static bool has_word(const char *words, const char *word, size_t size)
{
    static const char between[] = " ,";
    const char *at = words == NULL ? "" : words;

    for (at += strspn(at, between); *at != '\0'; at += strspn(at, between)) {
        size_t length = strcspn(at, between);

        if (length == size && memcmp(at, word, size) == 0)
            return true;
        at += length;
    }
    return false;
}

/* The first label of the list that the worker has not; NULL: it has all. */
static const char *missing_label(const struct session *session,
                                 const char *labels, size_t *ret_size)
{
    const char *at = labels == NULL ? "" : labels;

    while (*at != '\0') {
        size_t size = strcspn(at, ",");

        *ret_size = size;
        if (!has_word(session->labels, at, size))
            return at;
        at += size + (at[size] == ',');
    }
    return NULL;
}

static bool has_labels(const struct session *session, const struct group *g)
{
    size_t size = 0;

    return missing_label(session, g->labels, &size) == NULL;
}

/* A worker that does not say how many cpus it has, has one for each slot. */
static uint64_t cpus_of(const struct session *session)
{
    return session->cpus > 0 ? session->cpus : session->slots;
}

static bool has_cpus(const struct session *session, const struct group *g)
{
    return g->cpus <= 0 || (uint64_t)g->cpus <= cpus_of(session);
}

static bool has_memory(const struct session *session, const struct group *g)
{
    return session->memory_bytes == 0 ||
           g->memory_bytes <= session->memory_bytes;
}

/* What shapes differ in, as the bytes of a key. */
struct asked {
    const char *kind, *labels; /* interned */
    int64_t memory_bytes, cpus;
};

static uint32_t shape_of(struct sched *s, const struct group *g)
{
    const struct asked asked = { g->kind, g->labels, g->memory_bytes, g->cpus };
    struct shape *shape;

    if (s->shapes == NULL)
        s->shapes = map_new();
    shape = map_get(s->shapes, &asked, sizeof asked);
    if (shape == NULL) {
        shape = xnew(struct shape);
        shape->number = (uint32_t)map_count(s->shapes) + 1;
        (void)map_put(s->shapes, &asked, sizeof asked, shape);
    }
    return shape->number;
}

bool resources_has(const struct session *session, const struct group *g)
{
    return knows_kind(session, g->kind) && has_labels(session, g) &&
           has_cpus(session, g) && has_memory(session, g);
}

bool resources_serve(struct session *session, struct group *g)
{
    if (g->shape == 0)
        g->shape = shape_of(session->sched, g);
    if (g->shape >= session->serves_count) {
        size_t count = map_count(session->sched->shapes) + 1;

        session->serves = xrealloc(session->serves, count);
        memset(session->serves + session->serves_count, UNKNOWN,
               count - session->serves_count);
        session->serves_count = count;
    }
    if (session->serves[g->shape] == UNKNOWN)
        session->serves[g->shape] = resources_has(session, g) ? HAS : LACKS;
    return session->serves[g->shape] == HAS;
}

uint64_t resources_slots(const struct session *session, int64_t cpus)
{
    return slots_for(cpus < 0 ? 0 : (uint64_t)cpus, session->slots,
                     session->cpus);
}

bool resources_fit(const struct session *session, const struct group *g)
{
    return session->memory_bytes == 0 || session->units == 0 ||
           session->memory_used + g->memory_bytes <= session->memory_bytes;
}

/* ---- what is missing --------------------------------------------------- */

/* Over all workers, as far as each comes. */
struct survey {
    bool kind, labels, cpus;
    const char *label; /* one that a worker of that kind lacks */
    size_t label_size;
    uint64_t most_cpus;
    int64_t most_memory;
};

/* True if it has everything. */
static bool look_at(struct survey *v, const struct session *w,
                    const struct group *g)
{
    size_t size = 0;
    const char *label;

    if (!knows_kind(w, g->kind))
        return false;
    v->kind = true;
    label = missing_label(w, g->labels, &size);
    if (label != NULL) {
        v->label = label;
        v->label_size = size;
        return false;
    }
    v->labels = true;
    if (cpus_of(w) > v->most_cpus)
        v->most_cpus = cpus_of(w);
    if (!has_cpus(w, g))
        return false;
    v->cpus = true;
    if (w->memory_bytes > v->most_memory)
        v->most_memory = w->memory_bytes;
    return has_memory(w, g);
}

static char *say(const struct survey *v, const struct group *g)
{
    if (!v->kind)
        return xasprintf("no connected worker can run %s", g->kind);
    if (!v->labels)
        return xasprintf("a %s job asks for a worker with the labels %s, and "
                         "none that can run it has %.*s",
                         g->kind, g->labels, (int)v->label_size, v->label);
    if (!v->cpus)
        return xasprintf("a %s job asks for %lld cpus, the largest worker%s "
                         "has %llu",
                         g->kind, (long long)g->cpus,
                         g->labels == NULL ? "" : " with its labels",
                         (unsigned long long)v->most_cpus);
    return xasprintf("a %s job asks for %lld MiB of memory, the largest "
                     "worker%s has %lld MiB",
                     g->kind, (long long)(g->memory_bytes >> MEBIBYTE_SHIFT),
                     g->labels == NULL && g->cpus <= 0 ? ""
                                                       : " that has the rest",
                     (long long)(v->most_memory >> MEBIBYTE_SHIFT));
}

char *resources_obstacle(const struct sched *s, const struct group *g)
{
    struct survey v = { 0 };
    bool closed = false;

    for (size_t i = 0; i < map_count(s->sessions); i++) {
        const struct session *w = map_at(s->sessions, i, NULL, NULL);

        if (!look_at(&v, w, g))
            continue;
        if (!w->cordoned && !w->draining)
            return NULL;
        closed = true;
    }
    if (closed)
        return xasprintf(
            "every worker that can run %s is cordoned or drains; "
            "`sinter workers --uncordon NAME` opens a cordoned one",
            g->kind);
    return say(&v, g);
}
