#include "jobs/merge/merge_pcb.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "common/varint.h"
#include "jobs/merge/merge_pcb_score.h"
#include "jobs/merge/merge_statistic.h"
#include "jobs/merge/merge_trim.h"

/* Bounds first, then thresholds of the scores that follow from them. */
enum phase { BOUNDS, SCORES, DONE };
enum { BOUND_RANKS = 2 }; /* low and high */

/* Points with one clip and one drop. */
struct contest {
    size_t point;                                /* the first of them */
    struct merge_statistic *magnitudes, *scores; /* [models] */
    struct merge_bounds bounds;
    float top[LIMIT_MODELS]; /* of the scores */
};

/* Where a point finds its thresholds: the same place for all models. */
struct entry {
    size_t contest;
    size_t rank; /* among the scores */
};

struct pcb {
    enum merge_rivalry rivalry;
    size_t room, points;
    size_t models; /* of those there is room for, that take part */
    enum phase phase;
    uint64_t elements;
    bool hints;
    uint64_t bytes; /* for all statistics; 0: no limit */
    size_t contest_count;
    struct contest *contests; /* [points] */
    struct entry *entries;    /* [points] */
    struct merge_scoring *scoring;
};

static void *pcb_new(size_t models, size_t points)
{
    struct pcb *p = xnew(struct pcb);

    p->room = models;
    p->points = points;
    p->contests = xcalloc(points, sizeof *p->contests);
    p->entries = xcalloc(points, sizeof *p->entries);
    p->scoring = merge_scoring_new(models);
    for (size_t k = 0; k < points; k++) {
        struct contest *c = p->contests + k;

        c->magnitudes = xcalloc(models, sizeof *c->magnitudes);
        c->scores = xcalloc(models, sizeof *c->scores);
    }
    return p;
}

static void pcb_free(void *tally)
{
    struct pcb *p = tally;

    for (size_t k = 0; k < p->points; k++) {
        struct contest *c = p->contests + k;

        for (size_t i = 0; i < p->room; i++) {
            merge_statistic_release(&c->magnitudes[i]);
            merge_statistic_release(&c->scores[i]);
        }
        free(c->magnitudes);
        free(c->scores);
    }
    merge_scoring_free(p->scoring);
    free(p->contests);
    free(p->entries);
    free(p);
}

static void pcb_limit(void *tally, uint64_t bytes)
{
    struct pcb *p = tally;

    p->bytes = bytes;
}

/* Magnitudes and scores of all models in each contest. */
static void limit_statistics(struct pcb *p)
{
    size_t shares = 2 * p->contest_count * p->models;

    for (size_t k = 0; k < p->contest_count; k++) {
        for (size_t i = 0; i < p->models; i++) {
            merge_statistic_limit(&p->contests[k].magnitudes[i], p->bytes,
                                  shares);
            merge_statistic_limit(&p->contests[k].scores[i], p->bytes, shares);
        }
    }
}

static enum merge_rivalry rivalry_of(const struct merge_step *step)
{
    static const struct {
        const char *variant;
        enum merge_rivalry rivalry;
    } rows[] = {
        { "vision", MERGE_RIVALS_SIGNED },
        { "es", MERGE_RIVALS_EACH },
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        if (strcmp(step->method->variant, rows[i].variant) == 0)
            return rows[i].rivalry;
    }
    return MERGE_RIVALS_DELTAS;
}

static bool equal(double a, double b)
{
    return !(a < b) && !(a > b);
}

static bool same_contest(const struct merge_step *a, const struct merge_step *b)
{
    bool same = equal(a->values.number[MERGE_CLAMP_QUANTILE][0],
                      b->values.number[MERGE_CLAMP_QUANTILE][0]);

    for (size_t i = 0; a->method->draws && i < a->models; i++)
        same = same && equal(a->scale[i], b->scale[i]) &&
               equal((double)a->threshold[i], (double)b->threshold[i]);
    return same;
}

/* int(rank) of a row counted from 0, if it has so many. */
static uint64_t rank_at(double rank, uint64_t elements)
{
    uint64_t whole = rank > 0.0 ? (uint64_t)rank : 0;

    return whole < elements ? whole : elements - 1;
}

/* The first two ranks of the magnitudes, even if they are one. */
static void want_bounds(struct merge_statistic *s, double quantile,
                        uint64_t elements)
{
    double count = (double)elements;

    (void)merge_statistic_want(s, rank_at(count * quantile, elements));
    (void)merge_statistic_want(
        s, rank_at(count * (1.0 - quantile) - 1.0, elements));
}

static size_t find_contest(struct pcb *p, const struct merge_step *steps,
                           size_t point)
{
    size_t k = 0;

    while (k < p->contest_count &&
           !same_contest(&steps[p->contests[k].point], &steps[point]))
        k++;
    return k;
}

static void begin_contest(struct pcb *p, size_t k,
                          const struct merge_step *step, size_t point)
{
    struct contest *c = p->contests + k;

    c->point = point;
    p->contest_count = k + 1;
    for (size_t i = 0; i < p->models; i++) {
        c->top[i] = -INFINITY;
        merge_statistic_begin(&c->magnitudes[i], SELECT_MAGNITUDE, p->elements,
                              BOUND_RANKS, p->hints);
        merge_statistic_begin(&c->scores[i], SELECT_VALUE, p->elements,
                              p->points, p->hints);
        want_bounds(&c->magnitudes[i],
                    step->values.number[MERGE_CLAMP_QUANTILE][0], p->elements);
    }
}

static const struct merge_statistic *running(const struct pcb *p)
{
    const struct contest *c = p->contests;

    return p->phase == BOUNDS ? c->magnitudes : c->scores;
}

/* The same for all that a phase counts, but for those that are done. */
static enum merge_round next_round(const struct pcb *p)
{
    if (p->phase == DONE)
        return MERGE_ROUND_DONE;
    return merge_statistic_round(running(p)) == MERGE_ROUND_SAMPLE
               ? MERGE_ROUND_SAMPLE
               : MERGE_ROUND_FULL;
}

static enum merge_round pcb_begin(void *tally, const struct merge_step *steps,
                                  size_t points, uint64_t elements, bool hints)
{
    struct pcb *p = tally;

    p->rivalry = rivalry_of(steps);
    p->models = steps->models;
    p->scoring->models = steps->models;
    p->phase = BOUNDS;
    p->elements = elements;
    p->hints = hints;
    p->contest_count = 0;
    for (size_t k = 0; k < points; k++) {
        struct entry *entry = &p->entries[steps[k].point];
        double losers = 1.0 - steps[k].values.number[MERGE_RATIO][0];
        uint64_t rank = rank_at((double)elements * losers, elements);

        entry->contest = find_contest(p, steps, k);
        if (entry->contest == p->contest_count)
            begin_contest(p, entry->contest, &steps[k], k);
        for (size_t i = 0; i < p->models; i++)
            entry->rank = merge_statistic_want(
                &p->contests[entry->contest].scores[i], rank);
    }
    limit_statistics(p);
    return next_round(p);
}

/* All deltas, under the drop of one point. */
static void load(const struct pcb *p, const struct merge_step *step,
                 const struct merge_chunk *chunk)
{
    for (size_t i = 0; i < p->models; i++)
        merge_delta(step, chunk, i, chunk->delta + i * chunk->stride);
}

/* Scores take the place of the deltas they are made from. */
static void count_scores(struct pcb *p, struct contest *c,
                         const struct merge_chunk *chunk)
{
    for (size_t at = 0; at < chunk->count; at += MERGE_SCORES) {
        size_t left = chunk->count - at;
        size_t count = left < MERGE_SCORES ? left : MERGE_SCORES;

        merge_score(p->scoring, p->rivalry, &c->bounds, chunk->delta + at,
                    chunk->stride, count);
        for (size_t i = 0; i < p->models; i++)
            memcpy(chunk->delta + i * chunk->stride + at,
                   p->scoring->scores + i * MERGE_SCORES,
                   count * sizeof(float));
    }
    for (size_t i = 0; i < p->models; i++) {
        const float *scores = chunk->delta + i * chunk->stride;

        c->top[i] = merge_score_top(scores, chunk->count, c->top[i]);
        merge_statistic_add(&c->scores[i], scores, chunk->count);
    }
}

static void pcb_count(void *tally, const struct merge_step *steps,
                      size_t points, const struct merge_chunk *chunk)
{
    struct pcb *p = tally;

    (void)points;
    for (size_t k = 0; k < p->contest_count; k++) {
        struct contest *c = p->contests + k;

        load(p, &steps[c->point], chunk);
        if (p->phase == SCORES) {
            count_scores(p, c, chunk);
            continue;
        }
        for (size_t i = 0; i < p->models; i++)
            merge_statistic_add(&c->magnitudes[i],
                                chunk->delta + i * chunk->stride, chunk->count);
    }
}

static struct merge_statistic *statistic_of(struct pcb *p, size_t k, size_t i)
{
    struct contest *c = p->contests + k;

    return p->phase == BOUNDS ? &c->magnitudes[i] : &c->scores[i];
}

/* Ends a round for model i of a contest. */
static void settle(void *const *tallies, size_t threads, size_t k, size_t i)
{
    struct merge_statistic **parts = xcalloc(threads, sizeof(void *));
    struct pcb *first = tallies[0];

    for (size_t t = 0; t < threads; t++)
        parts[t] = statistic_of(tallies[t], k, i);
    merge_statistic_settle(parts, threads, first->elements);
    free(parts);
}

/* Each share has models of its own. */
static void pcb_settle_share(void *const *tallies, size_t threads,
                             uint64_t elements, size_t share, size_t shares)
{
    struct pcb *first = tallies[0];

    (void)elements;
    for (size_t at = share; at < first->contest_count * first->models;
         at += shares)
        settle(tallies, threads, at / first->models, at % first->models);
}

/* Of the first tally, from the bounds' order statistics. */
static void take_bounds(struct pcb *first, size_t k)
{
    struct contest *c = first->contests + k;

    for (size_t i = 0; i < first->models; i++) {
        const struct merge_statistic *s = &c->magnitudes[i];

        c->bounds.low[i] = s->values[0];
        c->bounds.high[i] = s->values[s->count - 1];
    }
}

static void take_tops(void *const *tallies, size_t threads, size_t k)
{
    struct contest *c = ((struct pcb *)tallies[0])->contests + k;

    for (size_t t = 1; t < threads; t++) {
        const struct pcb *p = tallies[t];

        for (size_t i = 0; i < p->models; i++)
            c->top[i] = fmaxf(c->top[i], p->contests[k].top[i]);
    }
}

/* The bounds are taken: their counters make room for those of the scores. */
static void begin_scores(struct pcb *p)
{
    for (size_t k = 0; k < p->contest_count; k++) {
        for (size_t i = 0; i < p->models; i++)
            merge_statistic_release(&p->contests[k].magnitudes[i]);
    }
}

/* Each part knows what the first one does. */
static void tell(void *const *tallies, size_t threads, enum phase phase)
{
    const struct pcb *first = tallies[0];

    for (size_t t = 0; t < threads; t++) {
        struct pcb *p = tallies[t];

        for (size_t k = 0; t > 0 && k < p->contest_count; k++) {
            p->contests[k].bounds = first->contests[k].bounds;
            memcpy(p->contests[k].top, first->contests[k].top,
                   sizeof p->contests[k].top);
        }
        if (p->phase == BOUNDS && phase == SCORES)
            begin_scores(p);
        p->phase = phase;
    }
}

static enum merge_round pcb_settle(void *const *tallies, size_t threads,
                                   struct merge_step *steps, size_t points,
                                   uint64_t elements)
{
    struct pcb *first = tallies[0];
    enum phase phase = first->phase;
    bool done = true;

    (void)steps;
    (void)points;
    (void)elements;
    for (size_t k = 0; k < first->contest_count; k++) {
        for (size_t i = 0; i < first->models; i++)
            done = done && statistic_of(first, k, i)->done;
        if (phase == BOUNDS && done)
            take_bounds(first, k);
        if (phase == SCORES)
            take_tops(tallies, threads, k);
    }
    if (done)
        phase = phase == BOUNDS ? SCORES : DONE;
    tell(tallies, threads, phase);
    return next_round(first);
}

/* What a point merges of at most MERGE_SCORES elements, whose scores are
 * there. */
static void write_point(const struct pcb *p, const struct merge_step *step,
                        const struct merge_chunk *chunk, size_t at,
                        size_t count, float *out)
{
    const struct entry *entry = &p->entries[step->point];
    const struct contest *c = p->contests + entry->contest;
    float thresholds[LIMIT_MODELS];

    for (size_t i = 0; i < p->models; i++)
        thresholds[i] = c->scores[i].values[entry->rank];
    merge_score_write(p->scoring,
                      &(struct merge_ends){ &c->bounds, thresholds, c->top,
                                            step->values.number[MERGE_LAMBDA] },
                      chunk->delta + at, chunk->stride, chunk->base + at,
                      out + at, count);
}

static void write_contest(const struct pcb *p, size_t k,
                          const struct merge_step *steps, size_t points,
                          const struct merge_chunk *chunk)
{
    for (size_t at = 0; at < chunk->count; at += MERGE_SCORES) {
        size_t left = chunk->count - at;
        size_t count = left < MERGE_SCORES ? left : MERGE_SCORES;

        merge_score(p->scoring, p->rivalry, &p->contests[k].bounds,
                    chunk->delta + at, chunk->stride, count);
        for (size_t q = 0; q < points; q++) {
            if (p->entries[steps[q].point].contest == k)
                write_point(p, &steps[q], chunk, at, count, chunk->outs[q]);
        }
    }
}

/* Any point of a contest stands for its drop. */
static const struct merge_step *member(const struct pcb *p, size_t k,
                                       const struct merge_step *steps,
                                       size_t points)
{
    for (size_t q = 0; q < points; q++) {
        if (p->entries[steps[q].point].contest == k)
            return &steps[q];
    }
    return NULL;
}

void merge_combine_pcb_points(const struct merge_step *steps, size_t points,
                              const struct merge_chunk *chunk)
{
    const struct pcb *p = chunk->tally;

    for (size_t k = 0; k < p->contest_count; k++) {
        const struct merge_step *step = member(p, k, steps, points);

        if (step == NULL)
            continue;
        load(p, step, chunk);
        write_contest(p, k, steps, points, chunk);
    }
}

void merge_combine_pcb(const struct merge_step *step,
                       const struct merge_chunk *chunk)
{
    struct merge_chunk own = *chunk;

    own.outs = &chunk->out;
    merge_combine_pcb_points(step, 1, &own);
}

MUST_CHECK static struct status save_contest(const struct pcb *p,
                                             const struct contest *c,
                                             struct buf *bytes)
{
    for (size_t i = 0; i < p->models; i++) {
        TRY_PLAIN(merge_statistic_put(bytes, c->bounds.low[i]));
        TRY_PLAIN(merge_statistic_put(bytes, c->bounds.high[i]));
        TRY_PLAIN(merge_statistic_put(bytes, c->top[i]));
        TRY_PLAIN(merge_statistic_save(&c->magnitudes[i], bytes));
        TRY_PLAIN(merge_statistic_save(&c->scores[i], bytes));
    }
    return SUCCESS;
}

static struct status pcb_save(const void *tally, struct buf *bytes)
{
    const struct pcb *p = tally;

    TRY_PLAIN(varint_put(bytes, p->rivalry));
    TRY_PLAIN(varint_put(bytes, p->models));
    TRY_PLAIN(varint_put(bytes, p->contest_count));
    TRY_PLAIN(varint_put(bytes, p->phase));
    for (size_t k = 0; k < p->contest_count; k++)
        TRY_PLAIN(save_contest(p, p->contests + k, bytes));
    return SUCCESS;
}

static bool load_contest(const struct pcb *p, struct contest *c,
                         const char **at, const char *end)
{
    for (size_t i = 0; i < p->models; i++) {
        if (!merge_statistic_get(at, end, &c->bounds.low[i]) ||
            !merge_statistic_get(at, end, &c->bounds.high[i]) ||
            !merge_statistic_get(at, end, &c->top[i]) ||
            !merge_statistic_load(&c->magnitudes[i], at, end) ||
            !merge_statistic_load(&c->scores[i], at, end))
            return false;
    }
    return true;
}

static bool load_all(struct pcb *p, const char *at, const char *end)
{
    uint64_t phase;

    if (!merge_statistic_is_next(&at, end, p->rivalry) ||
        !merge_statistic_is_next(&at, end, p->models) ||
        !merge_statistic_is_next(&at, end, p->contest_count) ||
        !varint_get(&at, end, &phase) || phase > DONE)
        return false;
    p->phase = (enum phase)phase;
    for (size_t k = 0; k < p->contest_count; k++) {
        if (!load_contest(p, p->contests + k, &at, end))
            return false;
    }
    return at == end;
}

static struct status pcb_load(void *tally, const void *bytes, size_t size)
{
    const char *text = bytes;

    if (load_all(tally, text, text + size))
        return SUCCESS;
    return FAIL(STATUS_INVALID,
                "%zu bytes are not the statistics of this merge", size);
}

static size_t fit_model(void *const *tallies, size_t count, size_t k, size_t i,
                        uint64_t elements)
{
    struct merge_statistic **parts = xcalloc(count, sizeof(void *));
    size_t fit;

    for (size_t t = 0; t < count; t++)
        parts[t] = statistic_of(tallies[t], k, i);
    fit = merge_statistic_fit(parts, count, elements);
    free(parts);
    return fit;
}

/* Bounds as they were saved: by their bits. */
static bool same_round(const struct pcb *a, const struct pcb *b)
{
    bool same = a->phase == b->phase && a->phase != DONE;

    for (size_t k = 0; k < a->contest_count; k++) {
        const struct merge_bounds *x = &a->contests[k].bounds;
        const struct merge_bounds *y = &b->contests[k].bounds;

        /* NOLINTNEXTLINE(bugprone-suspicious-memory-comparison) */
        same = same && memcmp(x, y, sizeof *x) == 0;
    }
    return same;
}

static size_t pcb_fit(void *const *tallies, size_t count, uint64_t elements)
{
    const struct pcb *first = tallies[0];
    size_t fit = count;

    for (size_t t = 0; t < count; t++) {
        if (!same_round(first, tallies[t]))
            return t;
    }
    for (size_t at = 0;
         fit == count && at < first->contest_count * first->models; at++)
        fit = fit_model(tallies, count, at / first->models, at % first->models,
                        elements);
    return fit;
}

static bool pcb_complete(const void *tally)
{
    const struct pcb *p = tally;

    return p->phase == DONE;
}

const struct merge_survey merge_survey_pcb = {
    .global = true,
    .any_chunks = true,
    .tally_new = pcb_new,
    .tally_free = pcb_free,
    .limit = pcb_limit,
    .begin = pcb_begin,
    .count = pcb_count,
    .settle_share = pcb_settle_share,
    .settle = pcb_settle,
    .save = pcb_save,
    .load = pcb_load,
    .fit = pcb_fit,
    .complete = pcb_complete,
};

const struct merge_survey merge_survey_pcb_tensors = {
    .anywhere = true,
    .any_chunks = true,
    .tally_new = pcb_new,
    .tally_free = pcb_free,
    .limit = pcb_limit,
    .begin = pcb_begin,
    .count = pcb_count,
    .settle_share = pcb_settle_share,
    .settle = pcb_settle,
};
