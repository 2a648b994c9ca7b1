#include "broker/core/share.h"

#include "broker/core/dispatch.h"
#include "broker/core/state.h"
#include "broker/core/sweeps.h"

#include <assert.h>
#include <stddef.h>

enum { US_PER_MS = 1000, WORD_BITS = 64 };

/* A sweep that no worker could run for long makes up for no more than this. */
static const int64_t behind_most_us = INT64_C(60) * 1000 * 1000;

/* A worker may say what it likes; beyond this it says nonsense. */
static const int64_t most_ms = INT64_C(366) * 24 * 3600 * 1000;

static struct sweep *sweep_of(struct order_entry *e)
{
    return (struct sweep *)(void *)((char *)e - offsetof(struct sweep, turn));
}

static size_t band_of(const struct sweep *sweep)
{
    int64_t p = sweep->limits.priority;

    p = p < -SHARE_PRIORITY ? -SHARE_PRIORITY : p;
    p = p > SHARE_PRIORITY ? SHARE_PRIORITY : p;
    return (size_t)(p + SHARE_PRIORITY);
}

void share_release(struct share *share)
{
    for (size_t i = 0; i < SHARE_BANDS; i++)
        order_release(&share->bands[i].waiting);
}

static void insert(struct share *share, struct sweep *sweep)
{
    size_t band = sweep->band;

    order_add(&share->bands[band].waiting, &sweep->turn);
    share->occupied[band / WORD_BITS] |= UINT64_C(1) << band % WORD_BITS;
}

static void extract(struct share *share, struct sweep *sweep)
{
    size_t band = sweep->band;

    order_remove(&share->bands[band].waiting, &sweep->turn);
    if (share->bands[band].waiting.count == 0)
        share->occupied[band / WORD_BITS] &= ~(UINT64_C(1) << band % WORD_BITS);
}

void share_leave(struct sched *s, struct sweep *sweep)
{
    if (sweep->turn.place != 0)
        extract(&s->share, sweep);
}

/* How far it is ahead of its band it takes along to another. */
static void change_band(struct sched *s, struct sweep *sweep, size_t band)
{
    int64_t ahead = sweep->turn.key - s->share.bands[sweep->band].clock;

    share_leave(s, sweep);
    sweep->turn.key = s->share.bands[band].clock + (ahead > 0 ? ahead : 0);
    sweep->band = band;
}

static void enter(struct sched *s, struct sweep *sweep)
{
    const struct share_band *band = &s->share.bands[sweep->band];

    if (sweep->turn.key < band->clock)
        sweep->turn.key = band->clock;
    sweep->turn.tie = sweep->order;
    insert(&s->share, sweep);
}

void share_refresh(struct sched *s)
{
    for (size_t i = 0; i < s->live_count; i++) {
        struct sweep *sweep = s->live[i];
        size_t band = band_of(sweep);
        bool runs = dispatch_may_run_more(sweep);

        if (sweep->band != band)
            change_band(s, sweep, band);
        if (sweep->turn.place == 0 && runs)
            enter(s, sweep);
        if (runs && !sweep->runs)
            s->news++;
        sweep->runs = runs;
    }
}

/* If not, a worker may be left without work for that: it is news when the
 * sweep may run more again. */
static bool still_runs(struct sweep *sweep)
{
    sweep->runs = dispatch_may_run_more(sweep);
    return sweep->runs;
}

/* The first of the band that may run more; those that may not leave it. */
static struct sweep *first_of(struct sched *s, struct share_band *band)
{
    while (band->waiting.count > 0) {
        struct sweep *sweep = sweep_of(order_first(&band->waiting));

        if (still_runs(sweep))
            return sweep;
        extract(&s->share, sweep);
    }
    return NULL;
}

/* The first does not suit: any other may stand anywhere. */
static struct sweep *search(const struct share_band *band,
                            const struct sweep *first,
                            bool (*suits)(void *self, struct sweep *sweep),
                            void *self)
{
    struct sweep *best = NULL;

    for (size_t i = 0; i < band->waiting.count; i++) {
        struct sweep *sweep = sweep_of(band->waiting.items[i]);

        if (sweep != first && still_runs(sweep) &&
            (best == NULL || order_before(&sweep->turn, &best->turn)) &&
            suits(self, sweep))
            best = sweep;
    }
    return best;
}

struct sweep *share_next(struct sched *s,
                         bool (*suits)(void *self, struct sweep *sweep),
                         void *self)
{
    for (size_t word = SHARE_WORDS; word > 0; word--) {
        uint64_t left = s->share.occupied[word - 1];

        while (left != 0) {
            size_t bit = (size_t)(WORD_BITS - 1 - __builtin_clzll(left));
            struct share_band *band =
                &s->share.bands[(word - 1) * WORD_BITS + bit];
            struct sweep *sweep = first_of(s, band);

            left &= ~(UINT64_C(1) << bit);
            if (sweep != NULL && !suits(self, sweep))
                sweep = search(band, sweep, suits, self);
            if (sweep != NULL)
                return sweep;
        }
    }
    return NULL;
}

static void move(struct sched *s, struct sweep *sweep, int64_t turn)
{
    bool waits = sweep->turn.place != 0;

    if (waits)
        extract(&s->share, sweep);
    sweep->turn.key = turn;
    if (waits)
        insert(&s->share, sweep);
}

static void add(struct sched *s, struct sweep *sweep, int64_t us)
{
    move(s, sweep,
         sweep->turn.key + (int64_t)((double)us / sweeps_weight(sweep)));
}

double share_expected_ms(const struct group *g)
{
    return g->pace->run_ms >= 0.0 ? g->pace->run_ms : SHARE_ASSUMED_MS;
}

void share_serve(struct sched *s, struct sweep *sweep)
{
    struct share_band *band = &s->share.bands[sweep->band];
    int64_t least =
        band->clock - (int64_t)((double)behind_most_us / sweeps_weight(sweep));

    /* In no band, or long passed over as no worker could run it. */
    if (sweep->turn.key < least)
        move(s, sweep, least);
    if (sweep->turn.key > band->clock)
        band->clock = sweep->turn.key;
}

void share_charge(struct sched *s, struct job *job, uint64_t slots)
{
    job->charged_slots = slots;
    job->charged =
        (int64_t)(share_expected_ms(job->group) * US_PER_MS) * (int64_t)slots;
    add(s, job->group->sweep, job->charged);
}

void share_settle(struct sched *s, struct job *job, int64_t wall_ms)
{
    int64_t took;

    if (job->charged_slots == 0 || job->group == NULL)
        return;
    wall_ms = wall_ms < 0 ? 0 : wall_ms;
    wall_ms = wall_ms > most_ms ? most_ms : wall_ms;
    took = wall_ms * US_PER_MS * (int64_t)job->charged_slots;
    add(s, job->group->sweep, took - job->charged);
    job->charged = 0;
    job->charged_slots = 0;
}

void share_refund(struct sched *s, struct job *job)
{
    share_settle(s, job, 0);
}
