#include "jobs/prune_cuts.h"

#include <stdlib.h>

#include "common/memory.h"
#include "jobs/parallel.h"

bool prune_by_cuts(const struct prune_pass *p)
{
    const struct prune_how *h = &p->points->how;

    return h->of == 0 && h->scope != PRUNE_ROW && h->rule != PRUNE_ALPHA;
}

/* ---- stretches -------------------------------------------------------------- */

void prune_stretches_init(struct prune_stretches *s, const struct prune_pass *p,
                          size_t from, size_t to)
{
    *s = (struct prune_stretches){ .count = 0 };
    for (size_t i = from; i < to; i++) {
        uint64_t all = p->set->items[i].count;
        uint64_t size = p->targets[i].chosen ? prune_stretch(p, i) : 0;

        for (uint64_t at = 0; at < all && size > 0; at += size) {
            s->items = xrealloc(s->items, (s->count + 1) * sizeof(*s->items));
            s->items[s->count++] =
                (struct prune_stretch_of){ i, at,
                                           all - at < size ? all : at + size };
        }
    }
}

void prune_stretches_release(struct prune_stretches *s)
{
    free(s->items);
}

/* ---- counting --------------------------------------------------------------- */

struct counting {
    const struct prune_pass *pass;
    const struct prune_stretches *stretches;
    size_t hands;
    struct select *parts[PARALLEL_MOST]; /* one a hand */
    const struct prune_cut *cuts;        /* where ties are counted ... */
    uint64_t *ties;                      /* ... [stretches][points] */
};

static void counting_release(struct counting *c)
{
    for (size_t i = 0; i < c->hands; i++)
        select_free(c->parts[i]);
    free(c->ties);
}

/* `see` is given the scores of a stretch. */
MUST_CHECK static struct status read_stretch(
    struct counting *c, size_t stretch,
    void (*see)(struct counting *c, size_t hand, size_t stretch,
                const float *scores, size_t count),
    size_t hand)
{
    const struct prune_stretch_of *s = &c->stretches->items[stretch];
    AUTO(prune_scores_release) struct prune_scores r = { .scores = NULL };

    TRY_PLAIN(prune_scores_init(&r, c->pass, s->tensor));
    for (uint64_t at = s->first; at < s->end; at += r.chunk) {
        size_t size = prune_scores_size(&r, at, s->end);

        TRY_PLAIN(prune_scores_read(&r, at, size));
        see(c, hand, stretch, r.scores, size);
    }
    return SUCCESS;
}

static void add_scores(struct counting *c, size_t hand, size_t stretch,
                       const float *scores, size_t count)
{
    (void)stretch;
    select_add(c->parts[hand], scores, count);
}

static struct status count_stretch(void *self, size_t hand, size_t piece)
{
    return read_stretch(self, piece, add_scores, hand);
}

/* All of them once, in the first part. */
MUST_CHECK static struct status count_all(struct counting *c)
{
    TRY_PLAIN(parallel_run(c->hands, c->stretches->count, count_stretch, c));
    for (size_t i = 1; i < c->hands; i++)
        select_merge(c->parts[0], c->parts[i]);
    return SUCCESS;
}

MUST_CHECK static struct status find_ranks(struct counting *c,
                                           const uint64_t *ranks, size_t count)
{
    bool done = false;

    TRY_PLAIN(count_all(c));
    TRY_PLAIN(select_finish(c->parts[0], ranks, count, &done));
    while (!done) {
        for (size_t i = 1; i < c->hands; i++)
            select_follow(c->parts[i], c->parts[0]);
        TRY_PLAIN(count_all(c));
        done = select_settle(c->parts[0]);
    }
    return SUCCESS;
}

/* Nothing goes: no score is below 0. */
static const struct prune_cut no_cut = { .below = 0.0F, .equal = 0 };

struct status prune_cuts_find(const struct prune_pass *p,
                              const struct prune_stretches *s, size_t threads,
                              struct prune_cut *ret_cuts)
{
    AUTO(counting_release)
    struct counting c = { .pass = p,
                          .stretches = s,
                          .hands = parallel_hands(threads, s->count) };
    uint64_t ranks[SELECT_RANKS], count = 0;
    size_t of[SELECT_RANKS], wanted = 0;

    for (size_t i = 0; i < s->count; i++)
        count += s->items[i].end - s->items[i].first;
    for (size_t i = 0; i < p->count; i++) {
        ret_cuts[i] = no_cut;
        of[wanted] = i;
        wanted += prune_rank(&p->points[i].how, count, &ranks[wanted]);
    }
    for (size_t i = 0; i < c.hands; i++)
        c.parts[i] = wanted == 0 ? NULL : select_new(SELECT_MAGNITUDE);
    if (wanted > 0)
        TRY_PLAIN(find_ranks(&c, ranks, wanted));
    for (size_t i = 0; i < wanted; i++) {
        const struct select_found found = select_result(c.parts[0], i);
        struct prune_cut *cut = &ret_cuts[of[i]];

        *cut = prune_cut_at(&p->points[of[i]].how, count, &found);
        if (cut->equal >= found.equal)
            cut->equal = UINT64_MAX;
    }
    return SUCCESS;
}

/* ---- ties ------------------------------------------------------------------- */

static void add_ties(struct counting *c, size_t hand, size_t stretch,
                     const float *scores, size_t count)
{
    const size_t points = c->pass->count;

    (void)hand;
    for (size_t i = 0; i < points; i++)
        if (c->cuts[i].equal > 0 && c->cuts[i].equal < UINT64_MAX)
            c->ties[stretch * points + i] +=
                prune_cut_ties(&c->cuts[i], scores, count);
}

static struct status tie_stretch(void *self, size_t hand, size_t piece)
{
    return read_stretch(self, piece, add_ties, hand);
}

static bool some_are_cut(const struct prune_cut *cuts, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (cuts[i].equal > 0 && cuts[i].equal < UINT64_MAX)
            return true;
    return false;
}

struct status prune_cuts_spread(const struct prune_pass *p,
                                const struct prune_stretches *s, size_t threads,
                                const struct prune_cut *cuts,
                                struct prune_cut **ret_cuts)
{
    AUTO(counting_release)
    struct counting c = {
        .pass = p,
        .stretches = s,
        .hands = parallel_hands(threads, s->count),
        .cuts = cuts,
        .ties = xcalloc(s->count * p->count + 1, sizeof(*c.ties)),
    };
    struct prune_cut *spread;

    if (some_are_cut(cuts, p->count))
        TRY_PLAIN(parallel_run(c.hands, s->count, tie_stretch, &c));
    spread = xcalloc(s->count * p->count + 1, sizeof(*spread));
    for (size_t i = 0; i < p->count; i++) {
        struct prune_cut cut = cuts[i];

        for (size_t k = 0; k < s->count; k++) {
            uint64_t ties = c.ties[k * p->count + i];

            spread[k * p->count + i] = cut;
            if (cut.equal != UINT64_MAX)
                cut.equal -= ties < cut.equal ? ties : cut.equal;
        }
    }
    *ret_cuts = spread;
    return SUCCESS;
}
