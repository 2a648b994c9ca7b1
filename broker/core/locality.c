#include "broker/core/locality.h"

#include "broker/core/crowd.h"
#include "broker/core/jobs.h"
#include "broker/core/reads.h"
#include "broker/core/state.h"
#include "common/memory.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum {
    SOURCES_MOST = 1 << 16,  /* known at a time, besides those of jobs */
    OPEN_MOST = 64,          /* groups with ready jobs, GROUPS_MOST in all: a */
    GROUPS_MOST = 4096,      /* sweep with more is not divided by artifacts */
    WAIT_MOST_MS = 500,      /* for a worker that has the bytes */
    PATIENCE_MS = 10 * 1000, /* with lenders that have no room, and ... */
    PATIENCE_FETCHES = 2,    /* ... so many times what a fetch takes ... */
    PATIENCE_MOST_MS = 600 * 1000, /* ... since one of them moved */
    HOLDERS_EACH = 3,              /* told of a source, */
};

/* A fetch is taken to run at 100 MB/s; a quarter of it is worth waiting. */
static const uint64_t bytes_per_ms = 100000;
/* Nobody has told yet how large it is. */
static const uint64_t assumed_bytes = UINT64_C(1) << 30;

/* A server that sources are fetched from. */
struct origin {
    size_t sources;  /* known of it */
    uint64_t busy;   /* workers that fetch from it */
    uint32_t *parts; /* sources that each worker fetches */
    size_t room;
    char name[READS_ORIGIN];
};

struct source {
    struct digest name;
    struct origin *origin; /* NULL: an artifact, or no job has named it yet */
    uint64_t bytes;        /* 0: nobody has told */
    size_t places;         /* that it is of */
    struct crowd holders, fetching;
    struct loans loans; /* some fetch it from others */
};

/* A set of sources, in the order of their names. */
struct place {
    struct locality *locality;
    size_t users; /* jobs and groups that point here */
    size_t count;
    struct source *sources[];
};

struct locality {
    struct map *sources;      /* name -> struct source */
    struct map *places;       /* names -> struct place */
    struct map *origins;      /* name -> struct origin */
    struct crowd taken;       /* numbers of workers that are in use */
    struct session **workers; /* by these */
    size_t room;
};

static struct locality *locality_of(struct sched *s)
{
    if (s->locality == NULL) {
        s->locality = xnew(struct locality);
        s->locality->sources = map_new();
        s->locality->places = map_new();
        s->locality->origins = map_new();
    }
    return s->locality;
}

static void free_source(struct source *source)
{
    crowd_release(&source->holders);
    crowd_release(&source->fetching);
    loans_release(&source->loans);
    free(source);
}

static void free_origin(struct origin *o)
{
    free(o->parts);
    free(o);
}

void locality_free_all(struct sched *s)
{
    struct locality *l = s->locality;

    if (l == NULL)
        return;
    for (size_t i = 0; i < map_count(l->sources); i++)
        free_source(map_at(l->sources, i, NULL, NULL));
    for (size_t i = 0; i < map_count(l->origins); i++)
        free_origin(map_at(l->origins, i, NULL, NULL));
    for (size_t i = 0; i < map_count(l->places); i++)
        free(map_at(l->places, i, NULL, NULL));
    map_free(l->sources);
    map_free(l->origins);
    map_free(l->places);
    crowd_release(&l->taken);
    free(l->workers);
    free(l);
    s->locality = NULL;
}

/* ---- origins ------------------------------------------------------------ */

static struct origin *find_origin(struct locality *l, const struct read *read)
{
    char name[READS_ORIGIN];
    struct origin *o;

    reads_origin(read->url, read->url_size, name);
    o = map_get_text(l->origins, name);
    if (o == NULL) {
        o = xnew(struct origin);
        memcpy(o->name, name, sizeof name);
        (void)map_put_text(l->origins, name, o);
    }
    return o;
}

static uint32_t *part_of(struct origin *o, size_t worker)
{
    if (worker >= o->room) {
        size_t room = 2 * worker + 16;

        o->parts = xrealloc(o->parts, room * sizeof *o->parts);
        memset(o->parts + o->room, 0, (room - o->room) * sizeof *o->parts);
        o->room = room;
    }
    return &o->parts[worker];
}

static bool is_fetching_from(const struct origin *o, size_t worker)
{
    return worker < o->room && o->parts[worker] > 0;
}

static void put_holder(struct source *source, struct session *session)
{
    crowd_put(&source->holders, session->holder);
    session->told = true;
}

/* A worker that lets it have the source; NULL: none now. */
static struct session *lender_for(const struct source *source,
                                  const struct session *session)
{
    const struct locality *l = session->sched->locality;

    return lend_is_for(session, &source->loans)
               ? lend_find(&source->loans, session, l->workers)
               : NULL;
}

static void ask_origin(struct source *source, size_t worker)
{
    if (source->origin != NULL && (*part_of(source->origin, worker))++ == 0)
        source->origin->busy++;
}

static void begin_fetch(struct source *source, struct session *session)
{
    size_t worker = session->holder;
    struct session *lender;

    if (crowd_has(&source->fetching, worker))
        return;
    session->told = true;
    crowd_put(&source->fetching, worker);
    lender = lender_for(source, session);
    if (lender != NULL)
        lend_begin(&source->loans, lender, session, session->sched->t.now);
    else
        ask_origin(source, worker);
}

static void end_fetch(struct source *source, size_t worker)
{
    if (!crowd_has(&source->fetching, worker))
        return;
    crowd_drop(&source->fetching, worker);
    if (lend_end(&source->loans, worker))
        return;
    if (source->origin != NULL && --*part_of(source->origin, worker) == 0)
        source->origin->busy--;
}

static void leave_origin(struct locality *l, struct origin *o)
{
    if (o == NULL || --o->sources > 0)
        return;
    (void)map_remove_text(l->origins, o->name);
    free_origin(o);
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

/* Who has what no job names is worth knowing, while there is room. */
static void forget_if_idle(struct locality *l, struct source *source)
{
    bool is_known = source->holders.count > 0 || source->fetching.count > 0;

    if (source->places > 0 ||
        (is_known && map_count(l->sources) < SOURCES_MOST / 2))
        return;
    for (size_t i = 0; source->fetching.count > 0; i++)
        end_fetch(source, i);
    (void)map_remove(l->sources, source->name.bytes, DIGEST_SIZE);
    leave_origin(l, source->origin);
    free_source(source);
}

/* The source that a job names; one that only workers have told of so far has
 * no origin yet, and nobody fetches it. */
static struct source *named_source(struct locality *l, const struct read *read)
{
    struct source *source = find_source(l, &read->name, true);

    if (source->origin == NULL && read->url != NULL &&
        source->fetching.count == 0) {
        source->origin = find_origin(l, read);
        source->origin->sources++;
    }
    source->places++;
    return source;
}

/* Takes reads in the order of their names. */
static struct place *find_place(struct locality *l, const struct read *reads,
                                size_t count)
{
    struct digest names[READS_MOST] = { 0 };
    struct place *place;

    for (size_t i = 0; i < count; i++)
        names[i] = reads[i].name;
    place = map_get(l->places, names, count * sizeof names[0]);
    if (place == NULL) {
        place = xcalloc(1, sizeof *place + count * sizeof(struct source *));
        place->locality = l;
        place->count = count;
        for (size_t i = 0; i < count; i++)
            place->sources[i] = named_source(l, &reads[i]);
        (void)map_put(l->places, names, count * sizeof names[0], place);
    }
    place->users++;
    return place;
}

struct place *locality_place(struct sched *s, const char *params, size_t size)
{
    struct read reads[READS_MOST];
    size_t count = reads_sources(params, size, reads, 0);

    if (count == 0)
        return NULL;
    return find_place(locality_of(s), reads, reads_sort(reads, count));
}

struct place *locality_join(struct place *place)
{
    if (place != NULL)
        place->users++;
    return place;
}

/* Nobody reads it any more. */
static void drop_place(struct place *p)
{
    struct digest names[READS_MOST] = { 0 };

    for (size_t i = 0; i < p->count; i++)
        names[i] = p->sources[i]->name;
    (void)map_remove(p->locality->places, names, p->count * sizeof names[0]);
    for (size_t i = 0; i < p->count; i++) {
        p->sources[i]->places--;
        forget_if_idle(p->locality, p->sources[i]);
    }
    free(p);
}

void locality_let_go(struct place **place)
{
    struct place *p = *place;

    *place = NULL;
    if (p != NULL && --p->users == 0)
        drop_place(p);
}

/* Where every trial makes what it reads, there would be as many queues as
 * jobs. */
static bool is_divided_enough(const struct sweep *sweep)
{
    return sweep->open >= OPEN_MOST || sweep->group_count >= GROUPS_MOST;
}

void locality_add_inputs(struct sched *s, const struct sweep *sweep,
                         struct job *job)
{
    struct read reads[READS_MOST];
    struct place *place;
    size_t count = 0;

    if (is_divided_enough(sweep))
        return;
    for (size_t i = 0; i < job->input_count && count < READS_MOST; i++) {
        struct wire_bytes result = jobs_result_text(s, job->inputs[i]);

        reads[count].url = NULL;
        count += reads_artifact(result.data, result.size, &reads[count].name)
                     ? 1
                     : 0;
    }
    if (count == 0)
        return;
    count = reads_sources(job->params, job->params_size, reads, count);
    place = find_place(locality_of(s), reads, reads_sort(reads, count));
    locality_let_go(&job->place);
    job->place = place;
}

/* ---- who has it --------------------------------------------------------- */

void locality_enter(struct sched *s, struct session *session)
{
    struct locality *l = locality_of(s);
    size_t number = crowd_vacancy(&l->taken);

    if (number >= l->room) {
        l->room = 2 * number + 16;
        l->workers = xrealloc(l->workers, l->room * sizeof(struct session *));
    }
    l->workers[number] = session;
    crowd_put(&l->taken, number);
    session->holder = number;
}

/* Whom it let have the source goes to the origin. */
static void stop_lending(struct source *source, const struct session *session)
{
    size_t to;

    crowd_drop(&source->loans.lenders, session->holder);
    while (lend_by(&source->loans, session, &to)) {
        (void)lend_end(&source->loans, to);
        ask_origin(source, to);
    }
}

/* From the last: one that is removed changes places with it. */
static void forget_all(struct locality *l, struct session *session)
{
    if (!session->told)
        return;
    session->told = false;
    for (size_t i = map_count(l->sources); i > 0; i--) {
        struct source *source = map_at(l->sources, i - 1, NULL, NULL);

        crowd_drop(&source->holders, session->holder);
        stop_lending(source, session);
        end_fetch(source, session->holder);
        forget_if_idle(l, source);
    }
}

void locality_leave(struct sched *s, struct session *session)
{
    forget_all(s->locality, session);
    crowd_drop(&s->locality->taken, session->holder);
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
        put_holder(source, session);
        end_fetch(source, session->holder);
        if (added->items[i].served != 0)
            lend_offer(&source->loans, session, s->t.now);
        else
            stop_lending(source, session);
    }
    for (size_t i = 0; i < removed->count; i++) {
        struct source *source =
            find_source(l, &removed->items[i].source, false);

        if (source == NULL)
            continue;
        crowd_drop(&source->holders, session->holder);
        stop_lending(source, session);
        forget_if_idle(l, source);
    }
    s->news++;
}

static uint64_t bytes_of(const struct source *source)
{
    if (source->bytes > 0)
        return source->bytes;
    return source->origin == NULL ? 1 : assumed_bytes; /* not waited for */
}

/* What is on its way there needs no second fetch. */
static bool lacks(const struct session *session, const struct source *source)
{
    return !crowd_has(&source->holders, session->holder) &&
           !crowd_has(&source->fetching, session->holder);
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

/* Do too many fetch from there already? */
static bool is_crowded(const struct session *session, const struct origin *o)
{
    return o != NULL && o->busy >= session->sched->fetches &&
           !is_fetching_from(o, session->holder);
}

/* While the source goes from worker to worker, whoever can wait for that leaves
 * the origin alone. Notes when that is over, unless it moves on. */
static bool is_spreading(const struct session *session,
                         const struct source *source)
{
    struct sched *s = session->sched;
    int64_t patience_ms =
        PATIENCE_MS +
        PATIENCE_FETCHES * (int64_t)(bytes_of(source) / bytes_per_ms);
    int64_t until;

    if (patience_ms > PATIENCE_MOST_MS)
        patience_ms = PATIENCE_MOST_MS;
    until = source->loans.moved_at + patience_ms * NS_PER_MS;
    if (source->origin == NULL || !lend_is_for(session, &source->loans) ||
        s->t.now >= until)
        return false;
    if (until < s->look_again)
        s->look_again = until;
    return true;
}

/* Could the worker begin to fetch it now? */
static bool is_to_be_had(const struct session *session,
                         const struct source *source)
{
    if (lender_for(source, session) != NULL)
        return true;
    return !is_crowded(session, source->origin) &&
           !is_spreading(session, source);
}

/* Is there somebody who has what this worker lacks, and is it to be had only
 * where too many fetch already? */
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
        if (!is_to_be_had(session, source))
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

void locality_given(struct session *session, const struct place *place)
{
    for (size_t i = 0; place != NULL && i < place->count; i++)
        if (!crowd_has(&place->sources[i]->holders, session->holder))
            begin_fetch(place->sources[i], session);
}

void locality_left(struct session *session, const struct place *place,
                   bool well)
{
    for (size_t i = 0; place != NULL && i < place->count; i++) {
        struct source *source = place->sources[i];

        if (crowd_has(&source->fetching, session->holder))
            session->sched->news++;
        end_fetch(source, session->holder);
        if (well)
            put_holder(source, session);
    }
}

void locality_made(struct session *session, const char *result, size_t size)
{
    struct locality *l = session->sched->locality;
    struct digest name;
    struct source *source;

    if (!reads_artifact(result, size, &name))
        return;
    source = find_source(l, &name, map_count(l->sources) < SOURCES_MOST);
    if (source != NULL)
        put_holder(source, session);
}

/* Behind the one that lends it, others that have it. */
static size_t holders_of(const struct source *source,
                         const struct session *session,
                         struct wire_holder *items, size_t most)
{
    const struct locality *l = session->sched->locality;
    const struct loans *loans = &source->loans;
    const struct session *lender = lend_of(loans, session->holder);
    size_t count = 0;
    size_t at;

    if (lender == NULL || most == 0)
        return 0;
    items[count++] =
        (struct wire_holder){ source->name, wire_text(lender->address) };
    at = lender->holder;
    for (size_t seen = 1; seen < loans->lenders.count && count < most; seen++) {
        const struct session *other;

        at = crowd_next(&loans->lenders, at + 1);
        other = l->workers[at];
        if (other != lender && other != session && lend_is_open(other))
            items[count++] =
                (struct wire_holder){ source->name, wire_text(other->address) };
    }
    return count;
}

size_t locality_holders(const struct session *session,
                        const struct place *place,
                        struct wire_holder items[LOCALITY_HOLDERS])
{
    size_t count = 0;

    for (size_t i = 0; place != NULL && i < place->count; i++) {
        size_t left = LOCALITY_HOLDERS - count;

        count += holders_of(place->sources[i], session, items + count,
                            left < HOLDERS_EACH ? left : HOLDERS_EACH);
    }
    return count;
}

void locality_check(const struct sched *s)
{
    const struct locality *l = s->locality;
    size_t loans = 0;
    size_t lent = 0;

    for (size_t i = 0; l != NULL && i < map_count(l->sources); i++) {
        const struct source *source = map_at(l->sources, i, NULL, NULL);

        loans += source->loans.count;
        for (size_t k = 0; k < source->loans.count; k++) {
            const struct loan *loan = &source->loans.items[k];

            assert(crowd_has(&source->fetching, loan->to));
            assert(l->workers[loan->from->holder] == loan->from);
            assert(loan->from->holder != loan->to);
        }
    }
    for (size_t i = 0; l != NULL && i < l->room; i++)
        for (size_t k = 0; crowd_has(&l->taken, i) && k < LEND_MOST; k++)
            lent += l->workers[i]->lending.rows[k].sources;
    assert(loans == lent);
}
