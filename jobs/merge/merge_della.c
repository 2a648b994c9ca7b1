#include "jobs/merge/merge_della.h"

#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "jobs/merge/merge_kernel.h"
#include "jobs/merge/merge_rank.h"
#include "jobs/merge/merge_sums.h"
#include "tensor/isa.h"
#include "tensor/reduce.h"

struct della {
    size_t models;
    /* L1 norms of rows: of each model before the drop, then of what each
     * point keeps of each model. */
    struct merge_sums *sums;
    double *totals;
    struct merge_ranked ranked;
};

static void *della_new(size_t models, size_t points)
{
    struct della *d = xnew(struct della);

    d->models = models;
    d->ranked.models = models;
    d->sums = merge_sums_new();
    d->totals = xcalloc((points + 1) * models, sizeof *d->totals);
    return d;
}

static void della_free(void *tally)
{
    struct della *d = tally;

    merge_sums_free(d->sums);
    free(d->totals);
    merge_ranked_release(&d->ranked);
    free(d);
}

static enum merge_round della_begin(void *tally, const struct merge_step *steps,
                                    size_t points, uint64_t elements,
                                    bool hints)
{
    struct della *d = tally;

    (void)elements;
    (void)hints;
    if (steps->rescale != MERGE_RESCALE_L1)
        return MERGE_ROUND_DONE;
    merge_sums_clear(d->sums, (points + 1) * d->models);
    return MERGE_ROUND_FULL;
}

/* How a model's elements drop at one point. */
struct drop {
    double least;  /* keep probability of rank 0 */
    double spread; /* more of the highest rank ... */
    double ranks;  /* ... which is this */
    bool own;      /* divide by the keep probability ... */
    double scale;  /* ... or multiply with this */
    enum merge_draw_rule rule;
};

static struct drop drop_of(const struct merge_step *step, size_t i,
                           enum merge_draw_rule rule)
{
    double density = step->values.number[MERGE_DENSITY][i];
    double epsilon = step->values.number[MERGE_EPSILON][i];
    bool alone = step->columns == 1;

    return (struct drop){
        .least = alone ? density : density - epsilon,
        .spread = alone ? 0.0 : 2.0 * epsilon,
        .ranks = alone ? 1.0 : (double)(step->columns - 1),
        .own = step->rescale == MERGE_RESCALE_PAPER,
        .scale = step->rescale == MERGE_RESCALE_L1 ? step->scale[i] : 1.0,
        .rule = rule,
    };
}

/* A draw against merge_threshold() of the keep probability, without rounding
 * that to the next float: no float lies between the two. */
ISA_CLONES
static void drop_some(const struct drop *drop, const float *restrict draws,
                      const uint32_t *restrict ranks,
                      const float *restrict delta, size_t count,
                      float *restrict kept)
{
    bool below = drop->rule == MERGE_KEEP_BELOW_DENSITY;
    double least = drop->least;
    double spread = drop->spread;
    double highest = drop->ranks;
    double scale = drop->scale;
    bool own = drop->own;

    for (size_t at = 0; at < count; at++) {
        double keep = least + (double)ranks[at] / highest * spread;
        double draw = (double)draws[at];
        double value = (double)delta[at];
        bool stays = below ? draw > -keep : draw >= 1.0 - keep;

        value = own ? value / keep : value * scale;
        kept[at] = stays ? (float)value : 0.0F;
    }
}

/* What a point keeps of model i, of elements at ... at + count - 1. */
static float *keep(const struct merge_ranked *ranked,
                   const struct merge_step *step,
                   const struct merge_chunk *chunk, size_t i, size_t at,
                   size_t count)
{
    const struct drop drop = drop_of(step, i, chunk->rule);
    double density = step->values.number[MERGE_DENSITY][i];
    const float *delta = chunk->delta + i * chunk->stride + at;
    float *kept = ranked->kept + i * ranked->room + at;

    if (density >= 1.0 || chunk->draws[i] == NULL)
        memcpy(kept, delta, count * sizeof *kept);
    else if (density <= 0.0)
        memset(kept, 0, count * sizeof *kept);
    else
        drop_some(&drop, chunk->draws[i] + at,
                  ranked->ranks + i * ranked->room + at, delta, count, kept);
    return kept;
}

/* Each row is a piece of its own. */
static void della_count(void *tally, const struct merge_step *steps,
                        size_t points, const struct merge_chunk *chunk)
{
    struct della *d = tally;
    size_t columns = (size_t)steps->columns;

    merge_ranked_load(&d->ranked, steps, chunk);
    for (size_t at = 0; at < chunk->count; at += columns) {
        double *sums = merge_sums_piece(d->sums, (chunk->first + at) / columns);

        for (size_t i = 0; i < steps->models; i++) {
            sums[i] = reduce_l1(chunk->delta + i * chunk->stride + at, columns);
            for (size_t p = 0; p < points; p++)
                sums[(p + 1) * d->models + i] = reduce_l1(
                    keep(&d->ranked, &steps[p], chunk, i, at, columns),
                    columns);
        }
    }
}

static enum merge_round della_settle(void *const *tallies, size_t threads,
                                     struct merge_step *steps, size_t points,
                                     uint64_t elements)
{
    static const double nothing = 1e-7; /* as mergekit has it */
    struct della *first = tallies[0];

    (void)elements;
    for (size_t t = 1; t < threads; t++)
        merge_sums_join(first->sums, ((struct della *)tallies[t])->sums);
    merge_sums_total(first->sums, first->totals);
    for (size_t p = 0; p < points; p++) {
        for (size_t i = 0; i < steps[p].models; i++) {
            double before = first->totals[i];
            double after = first->totals[(p + 1) * first->models + i];

            if (before >= nothing && after >= nothing)
                steps[p].scale[i] = before / after;
        }
    }
    return MERGE_ROUND_DONE;
}

const struct merge_survey merge_survey_della = {
    .anywhere = true,
    .tally_new = della_new,
    .tally_free = della_free,
    .begin = della_begin,
    .count = della_count,
    .settle = della_settle,
};

typedef void merge_rule(const struct merge_step *step,
                        const struct merge_chunk *chunk);

static void combine(merge_rule *rule, const struct merge_step *steps,
                    size_t points, const struct merge_chunk *chunk)
{
    struct della *d = chunk->tally;
    struct merge_chunk own = *chunk;

    merge_ranked_load(&d->ranked, steps, chunk);
    own.delta = d->ranked.kept;
    own.stride = d->ranked.room;
    for (size_t p = 0; p < points; p++) {
        for (size_t i = 0; i < steps->models; i++)
            (void)keep(&d->ranked, &steps[p], chunk, i, 0, chunk->count);
        own.out = chunk->outs[p];
        rule(&steps[p], &own);
    }
}

void merge_combine_della_linear_points(const struct merge_step *steps,
                                       size_t points,
                                       const struct merge_chunk *chunk)
{
    combine(merge_sum_deltas, steps, points, chunk);
}

void merge_combine_della_points(const struct merge_step *steps, size_t points,
                                const struct merge_chunk *chunk)
{
    combine(merge_elect_deltas, steps, points, chunk);
}

static void combine_one(merge_rule *rule, const struct merge_step *step,
                        const struct merge_chunk *chunk)
{
    struct merge_chunk own = *chunk;

    own.outs = &chunk->out;
    combine(rule, step, 1, &own);
}

void merge_combine_della_linear(const struct merge_step *step,
                                const struct merge_chunk *chunk)
{
    combine_one(merge_sum_deltas, step, chunk);
}

void merge_combine_della(const struct merge_step *step,
                         const struct merge_chunk *chunk)
{
    combine_one(merge_elect_deltas, step, chunk);
}

const char *merge_della_misfit(const struct merge_step *step, size_t i)
{
    double density = step->values.number[MERGE_DENSITY][i];
    double epsilon = step->values.number[MERGE_EPSILON][i];

    if (density <= 0.0 || density >= 1.0 ||
        (density - epsilon > 0.0 && density + epsilon < 1.0))
        return NULL;
    return "density - epsilon and density + epsilon must lie inside of (0, 1); "
           "take a smaller epsilon, or a density of 0 or 1";
}
