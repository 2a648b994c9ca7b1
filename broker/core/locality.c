#include "broker/core/locality.h"

#include "broker/core/state.h"
#include "common/memory.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum {
    SOURCES_OF_PLACE = 64,
    SOURCES_MOST = 1 << 16, /* known at a time, besides those of jobs */
    WAIT_MOST_MS = 500,     /* for a worker that has the bytes */
    WORD_BITS = 64,
};

/* A fetch is taken to run at 100 MB/s; a quarter of it is worth waiting. */
static const uint64_t bytes_per_ms = 100000;
/* Nobody has told yet how large it is. */
static const uint64_t assumed_bytes = UINT64_C(1) << 30;

/* Workers, a bit each. */
struct crowd {
    uint64_t *words;
    size_t size;
    size_t count;
};

struct source {
    struct digest name;
    uint64_t bytes; /* 0: nobody has told */
    struct crowd holders, fetching;
};

/* A set of sources, in the order of their names. */
struct place {
    size_t count;
    struct source *sources[];
};

struct locality {
    struct map *sources; /* name -> struct source */
    struct map *places;  /* names -> struct place */
    struct crowd taken;  /* numbers of workers that are in use */
};

static bool has(const struct crowd *c, size_t bit)
{
    return bit / WORD_BITS < c->size &&
           (c->words[bit / WORD_BITS] >> bit % WORD_BITS & 1) != 0;
}

static void put(struct crowd *c, size_t bit)
{
    size_t word = bit / WORD_BITS;

    if (has(c, bit))
        return;
    if (word >= c->size) {
        c->words = xrealloc(c->words, (word + 1) * sizeof *c->words);
        memset(c->words + c->size, 0, (word + 1 - c->size) * sizeof *c->words);
        c->size = word + 1;
    }
    c->words[word] |= UINT64_C(1) << bit % WORD_BITS;
    c->count++;
}

static void drop(struct crowd *c, size_t bit)
{
    if (!has(c, bit))
        return;
    c->words[bit / WORD_BITS] &= ~(UINT64_C(1) << bit % WORD_BITS);
    c->count--;
}

static struct locality *locality_of(struct sched *s)
{
    if (s->locality == NULL) {
        s->locality = xnew(struct locality);
        s->locality->sources = map_new();
        s->locality->places = map_new();
    }
    return s->locality;
}

void locality_free_all(struct sched *s)
{
    struct locality *l = s->locality;

    if (l == NULL)
        return;
    for (size_t i = 0; i < map_count(l->sources); i++) {
        struct source *source = map_at(l->sources, i, NULL, NULL);

        free(source->holders.words);
        free(source->fetching.words);
        free(source);
    }
    for (size_t i = 0; i < map_count(l->places); i++)
        free(map_at(l->places, i, NULL, NULL));
    map_free(l->sources);
    map_free(l->places);
    free(l->taken.words);
    free(l);
    s->locality = NULL;
}

/* ---- what jobs read ---------------------------------------------------- */

static struct source *find_source(struct locality *l, const struct digest *name,
                                  bool make)
{
    struct source *source = map_get(l->sources, name->bytes, DIGEST_SIZE);

    if (source == NULL && make) {
        source = xnew(struct source);
        source->name = *name;
        (void)map_put(l->sources, name->bytes, DIGEST_SIZE, source);
    }
    return source;
}

/* The end of a JSON text that begins behind `at`; NULL: there is none. */
static const char *end_of_text(const char *at, const char *end)
{
    while (at < end && *at != '"')
        at += *at == '\\' ? 2 : 1;
    return at < end ? at : NULL;
}

/* The value of "url" of the object that begins at `at`, as it is written. */
static const char *find_url(const char *at, const char *end, size_t *ret_size)
{
    static const char name[] = "\"url\":\"";
    int depth = 0;

    for (; at < end; at++) {
        if (depth == 1 && (size_t)(end - at) > sizeof name - 1 &&
            memcmp(at, name, sizeof name - 1) == 0) {
            const char *text = at + sizeof name - 1;
            const char *close = end_of_text(text, end);

            *ret_size = close == NULL ? 0 : (size_t)(close - text);
            return close == NULL ? NULL : text;
        }
        if (*at == '"') {
            at = end_of_text(at + 1, end);
            if (at == NULL)
                return NULL;
        }
        depth += (*at == '{') - (*at == '}');
        if (depth == 0)
            return NULL;
    }
    return NULL;
}

/* Files of the machine are not fetched; what is escaped, nobody names so. */
static bool is_remote(const char *url, size_t size)
{
    static const char file[] = "file://";

    return memmem(url, size, "://", 3) != NULL &&
           memchr(url, '\\', size) == NULL &&
           (size < sizeof file - 1 || memcmp(url, file, sizeof file - 1) != 0);
}

static int by_name(const void *a, const void *b)
{
    return memcmp(a, b, DIGEST_SIZE);
}

/* Distinct names, in order. */
static size_t find_names(const char *params, size_t size,
                         struct digest names[SOURCES_OF_PLACE])
{
    static const char mark[] = "\"$source\":{";
    const char *end = params + size;
    const char *at = params;
    size_t count = 0;
    size_t kept = 0;

    while (count < SOURCES_OF_PLACE &&
           (at = memmem(at, (size_t)(end - at), mark, sizeof mark - 1)) !=
               NULL) {
        size_t length = 0;
        const char *url;

        at += sizeof mark - 2; /* at its brace */
        url = find_url(at, end, &length);
        if (url != NULL && is_remote(url, length))
            names[count++] = digest_of(url, length);
    }
    if (count == 0)
        return 0;
    qsort(names, count, sizeof names[0], by_name);
    for (size_t i = 0; i < count; i++)
        if (i == 0 || !digest_equal(&names[i], &names[kept - 1]))
            names[kept++] = names[i];
    return kept;
}

struct place *locality_place(struct sched *s, const char *params, size_t size)
{
    struct digest names[SOURCES_OF_PLACE];
    size_t count = find_names(params, size, names);
    struct locality *l;
    struct place *place;

    if (count == 0)
        return NULL;
    l = locality_of(s);
    place = map_get(l->places, names, count * sizeof names[0]);
    if (place != NULL)
        return place;
    place = xcalloc(1, sizeof *place + count * sizeof(struct source *));
    place->count = count;
    for (size_t i = 0; i < count; i++)
        place->sources[i] = find_source(l, &names[i], true);
    (void)map_put(l->places, names, count * sizeof names[0], place);
    return place;
}

/* ---- who has it --------------------------------------------------------- */

void locality_enter(struct sched *s, struct session *session)
{
    struct locality *l = locality_of(s);
    size_t number = 0;

    while (has(&l->taken, number))
        number++;
    put(&l->taken, number);
    session->holder = number;
}

static void forget_all(struct locality *l, const struct session *session)
{
    for (size_t i = 0; i < map_count(l->sources); i++) {
        struct source *source = map_at(l->sources, i, NULL, NULL);

        drop(&source->holders, session->holder);
        drop(&source->fetching, session->holder);
    }
}

void locality_leave(struct sched *s, struct session *session)
{
    forget_all(s->locality, session);
    drop(&s->locality->taken, session->holder);
    s->news++; /* others may fetch what it was fetching */
}

void locality_told(struct sched *s, struct session *session,
                   const struct wire_cached_list *added,
                   const struct wire_evicted_list *removed, bool all)
{
    struct locality *l = s->locality;

    if (all)
        forget_all(l, session);
    for (size_t i = 0; i < added->count; i++) {
        bool room = map_count(l->sources) < SOURCES_MOST;
        struct source *source = find_source(l, &added->items[i].source, room);

        if (source == NULL)
            continue;
        if (added->items[i].bytes > 0)
            source->bytes = added->items[i].bytes;
        put(&source->holders, session->holder);
        drop(&source->fetching, session->holder);
    }
    for (size_t i = 0; i < removed->count; i++) {
        struct source *source =
            find_source(l, &removed->items[i].source, false);

        if (source != NULL)
            drop(&source->holders, session->holder);
    }
    s->news++;
}

static uint64_t bytes_of(const struct source *source)
{
    return source->bytes > 0 ? source->bytes : assumed_bytes;
}

/* What is on its way there needs no second fetch. */
static bool lacks(const struct session *session, const struct source *source)
{
    return !has(&source->holders, session->holder) &&
           !has(&source->fetching, session->holder);
}

uint64_t locality_missing(const struct session *session,
                          const struct place *place)
{
    uint64_t bytes = 0;

    for (size_t i = 0; place != NULL && i < place->count; i++)
        if (lacks(session, place->sources[i]))
            bytes += bytes_of(place->sources[i]);
    return bytes;
}

/* Is there somebody who has what this worker lacks, and is there one source
 * too many fetch already? */
static bool is_elsewhere(const struct session *session,
                         const struct place *place, bool *ret_crowded)
{
    bool elsewhere = true;

    *ret_crowded = false;
    for (size_t i = 0; i < place->count; i++) {
        const struct source *source = place->sources[i];

        if (!lacks(session, source))
            continue;
        elsewhere = elsewhere && source->holders.count > 0;
        if (source->fetching.count >= session->sched->fetches)
            *ret_crowded = true;
    }
    return elsewhere;
}

bool locality_may_give(struct sched *s, const struct session *session,
                       struct group *g)
{
    uint64_t missing = locality_missing(session, g->place);
    bool crowded = false;
    int64_t wait_ms;

    if (missing == 0)
        return true;
    if (!is_elsewhere(session, g->place, &crowded))
        return !crowded;
    if (crowded)
        return false;
    wait_ms = (int64_t)(missing / bytes_per_ms / 4);
    wait_ms = wait_ms > WAIT_MOST_MS ? WAIT_MOST_MS : wait_ms;
    if (g->passed_at == 0)
        g->passed_at = s->t.now;
    if (s->t.now >= g->passed_at + wait_ms * NS_PER_MS)
        return true;
    if (g->passed_at + wait_ms * NS_PER_MS < s->look_again)
        s->look_again = g->passed_at + wait_ms * NS_PER_MS;
    return false;
}

void locality_given(struct sched *s, struct session *session,
                    const struct place *place)
{
    (void)s;
    for (size_t i = 0; place != NULL && i < place->count; i++)
        if (!has(&place->sources[i]->holders, session->holder))
            put(&place->sources[i]->fetching, session->holder);
}

void locality_left(struct session *session, const struct place *place,
                   bool well)
{
    for (size_t i = 0; place != NULL && i < place->count; i++) {
        struct source *source = place->sources[i];

        if (has(&source->fetching, session->holder))
            session->sched->news++;
        drop(&source->fetching, session->holder);
        if (well)
            put(&source->holders, session->holder);
    }
}
