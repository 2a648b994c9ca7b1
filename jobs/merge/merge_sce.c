#include "jobs/merge/merge_sce.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "jobs/merge/merge_sums.h"
#include "tensor/elementwise.h"
#include "tensor/isa.h"
#include "tensor/reduce.h"
#include "tensor/select.h"

/* Rounds: deviations twice for the thresholds, then squares. */
enum round { COUNT, NARROWED, SQUARES };

struct sce {
    size_t models;
    enum round round;
    struct select *select;      /* of deviations */
    uint64_t varied;            /* deviations that are not 0 */
    bool in_order;              /* some of equal ones are selected */
    struct select_cut *cuts;    /* [points]; as handed out, and ... */
    struct select_cut *left;    /* ... counting down */
    double *shares;             /* [points][models] */
    struct merge_sums *squares; /* the same */
};

static void *sce_new(size_t models, size_t points)
{
    struct sce *s = xnew(struct sce);

    s->models = models;
    s->select = select_new(SELECT_MAGNITUDE);
    s->cuts = xcalloc(points, sizeof *s->cuts);
    s->left = xcalloc(points, sizeof *s->left);
    s->shares = xcalloc(points * models, sizeof *s->shares);
    s->squares = merge_sums_new();
    return s;
}

static void sce_free(void *tally)
{
    struct sce *s = tally;

    select_free(s->select);
    free(s->cuts);
    free(s->left);
    free(s->shares);
    merge_sums_free(s->squares);
    free(s);
}

static bool selects(const struct merge_step *step, uint64_t elements)
{
    return step->values.number[MERGE_SELECT_TOPK][0] < 1.0 && elements > 1;
}

static enum merge_round sce_begin(void *tally, const struct merge_step *steps,
                                  size_t points, uint64_t elements, bool hints)
{
    struct sce *s = tally;

    (void)hints;
    s->round = SQUARES;
    s->varied = 0;
    s->in_order = false;
    select_clear(s->select);
    merge_sums_clear(s->squares, points * s->models);
    for (size_t p = 0; p < points; p++) {
        if (selects(&steps[p], elements))
            s->round = COUNT;
    }
    return MERGE_ROUND_FULL;
}

/* Elements of a chunk that are taken together. */
enum { PART = 512 };

ISA_CLONES
static void add_row(const float *restrict row, double *restrict sum,
                    size_t count)
{
    for (size_t i = 0; i < count; i++)
        sum[i] += (double)row[i];
}

ISA_CLONES
static void add_square(const float *restrict row, const double *restrict mean,
                       double *restrict sum, size_t count)
{
    for (size_t i = 0; i < count; i++)
        sum[i] += ((double)row[i] - mean[i]) * ((double)row[i] - mean[i]);
}

/* Standard deviations over the models: float32 holds those of any deltas,
 * which of the variances it would not. */
static void deviations(const struct merge_chunk *chunk, size_t models,
                       float *ret_row)
{
    for (size_t at = 0; at < chunk->count; at += PART) {
        size_t count = chunk->count - at < PART ? chunk->count - at : PART;
        double mean[PART] = { 0.0 };
        double square[PART] = { 0.0 };

        for (size_t i = 0; i < models; i++)
            add_row(chunk->delta + i * chunk->stride + at, mean, count);
        for (size_t e = 0; e < count; e++)
            mean[e] /= (double)models;
        for (size_t i = 0; i < models; i++)
            add_square(chunk->delta + i * chunk->stride + at, mean, square,
                       count);
        for (size_t e = 0; e < count; e++)
            ret_row[at + e] = (float)sqrt(square[e] / (double)models);
    }
}

/* The deltas of a chunk, and in chunk->row what is selected by if anything
 * is. */
static void load(const struct merge_step *steps, size_t points,
                 const struct merge_chunk *chunk)
{
    bool any = false;

    for (size_t i = 0; i < steps->models; i++)
        elementwise_subtract(chunk->task[i], chunk->base,
                             chunk->delta + i * chunk->stride, chunk->count);
    for (size_t p = 0; p < points; p++)
        any = any || selects(&steps[p], steps->elements);
    if (any)
        deviations(chunk, steps->models, chunk->row);
}

/* What a point selects of elements at ... at + count - 1, which has to be
 * asked in order: others are 0 in the row. NULL: all. */
static const float *select_part(struct sce *s, const struct merge_step *step,
                                const struct merge_chunk *chunk, size_t at,
                                size_t count, float *row)
{
    if (!selects(step, step->elements))
        return NULL;
    memcpy(row, chunk->row + at, count * sizeof *row);
    select_cut_apply(&s->left[step->point], row, count);
    return row;
}

static void count_squares(struct sce *s, const struct merge_step *step,
                          const struct merge_chunk *chunk, size_t at,
                          size_t count, double *ret_sums)
{
    float row[REDUCE_CHUNK], kept[REDUCE_CHUNK];
    const float *selected = select_part(s, step, chunk, at, count, row);

    for (size_t i = 0; i < step->models; i++) {
        const float *delta = chunk->delta + i * chunk->stride + at;

        for (size_t e = 0; selected != NULL && e < count; e++)
            kept[e] = selected[e] > 0.0F ? delta[e] : 0.0F;
        ret_sums[i] = reduce_chunk(
            REDUCE_SQUARES, selected != NULL ? kept : delta, NULL, count);
    }
}

static void sce_count(void *tally, const struct merge_step *steps,
                      size_t points, const struct merge_chunk *chunk)
{
    struct sce *s = tally;

    load(steps, points, chunk);
    if (s->round != SQUARES) {
        select_add(s->select, chunk->row, chunk->count);
        for (size_t e = 0; s->round == COUNT && e < chunk->count; e++)
            s->varied += chunk->row[e] > 0.0F;
        return;
    }
    for (size_t at = 0; at < chunk->count; at += REDUCE_CHUNK) {
        size_t left = chunk->count - at;
        size_t count = left < REDUCE_CHUNK ? left : REDUCE_CHUNK;
        double *sums =
            merge_sums_piece(s->squares, (chunk->first + at) / REDUCE_CHUNK);

        for (size_t p = 0; p < points; p++)
            count_squares(s, &steps[p], chunk, at, count, sums + p * s->models);
    }
}

static uint64_t kept(const struct sce *s, const struct merge_step *step)
{
    double share = step->values.number[MERGE_SELECT_TOPK][0];
    uint64_t keep = (uint64_t)(share * (double)s->varied);

    /* 1.0 for a point beside those that select */
    keep = keep < s->varied ? keep : s->varied;
    return keep == 0 && s->varied > 0 ? 1 : keep;
}

static uint64_t rank_of(const struct sce *s, const struct merge_step *step,
                        uint64_t elements)
{
    uint64_t keep = kept(s, step);

    return keep == 0 ? elements - 1 : select_cut_rank(elements, keep);
}

static void narrow(void *const *tallies, size_t threads,
                   const struct merge_step *steps, size_t points,
                   uint64_t elements)
{
    struct sce *first = tallies[0];
    uint64_t ranks[SELECT_RANKS];
    struct status failed;

    for (size_t t = 1; t < threads; t++) {
        const struct sce *s = tallies[t];

        select_merge(first->select, s->select);
        first->varied += s->varied;
    }
    for (size_t p = 0; p < points; p++)
        ranks[p] = rank_of(first, &steps[p], elements);
    failed = select_narrow(first->select, ranks, points);
    assert(!status_failed(&failed)); /* ranks come from the element count */
    for (size_t t = 1; t < threads; t++)
        select_follow(((struct sce *)tallies[t])->select, first->select);
}

/* The equal ones that are selected are the first by index: earlier threads
 * take theirs before later ones. */
static void hand_out(void *const *tallies, size_t threads,
                     const struct merge_step *step, size_t point,
                     uint64_t elements)
{
    struct sce *first = tallies[0];
    struct select_found found = select_result(first->select, point);
    uint64_t keep = kept(first, step);
    struct select_cut cut = { .threshold = HUGE_VALF };
    uint64_t later = 0;
    bool in_order;

    if (keep > 0)
        cut = select_cut_at(&found, elements, keep);
    in_order = keep > 0 && cut.equal < found.equal;
    for (size_t t = 1; in_order && t < threads; t++)
        later += select_equal(((struct sce *)tallies[t])->select, found.value);
    for (size_t t = 0; t < threads; t++) {
        struct sce *s = tallies[t];
        uint64_t here;

        s->cuts[point] = s->left[point] = cut;
        if (!in_order)
            continue;
        s->in_order = true;
        here =
            t == 0 ? found.equal - later : select_equal(s->select, found.value);
        cut.equal -= here < cut.equal ? here : cut.equal;
    }
}

static void settle_cuts(void *const *tallies, size_t threads,
                        const struct merge_step *steps, size_t points,
                        uint64_t elements)
{
    struct sce *first = tallies[0];

    for (size_t t = 1; t < threads; t++)
        select_merge(first->select, ((struct sce *)tallies[t])->select);
    for (size_t p = 0; p < points; p++)
        hand_out(tallies, threads, &steps[p], p, elements);
}

/* Squares become shares, in all tallies, and counting down starts again. */
static void settle_shares(void *const *tallies, size_t threads, size_t models,
                          size_t points)
{
    struct sce *first = tallies[0];

    for (size_t t = 1; t < threads; t++)
        merge_sums_join(first->squares, ((struct sce *)tallies[t])->squares);
    merge_sums_total(first->squares, first->shares);
    for (size_t p = 0; p < points; p++) {
        double *shares = first->shares + p * first->models;
        double sum = 0.0;

        for (size_t i = 0; i < models; i++)
            sum += shares[i];
        for (size_t i = 0; i < models; i++)
            shares[i] = sum > 0.0 ? shares[i] / sum : 1.0 / (double)models;
    }
    for (size_t t = 0; t < threads; t++) {
        struct sce *s = tallies[t];

        memmove(s->shares, first->shares,
                points * first->models * sizeof *s->shares);
        memcpy(s->left, s->cuts, points * sizeof *s->left);
    }
}

static enum merge_round sce_settle(void *const *tallies, size_t threads,
                                   struct merge_step *steps, size_t points,
                                   uint64_t elements)
{
    enum round round = ((struct sce *)tallies[0])->round;

    if (round == SQUARES) {
        settle_shares(tallies, threads, steps->models, points);
        return MERGE_ROUND_DONE;
    }
    if (round == COUNT)
        narrow(tallies, threads, steps, points, elements);
    else
        settle_cuts(tallies, threads, steps, points, elements);
    for (size_t t = 0; t < threads; t++)
        ((struct sce *)tallies[t])->round = round + 1;
    return MERGE_ROUND_FULL;
}

static bool sce_in_order(const void *tally)
{
    const struct sce *s = tally;

    return s->in_order;
}

const struct merge_survey merge_survey_sce = {
    .in_order = sce_in_order,
    .tally_new = sce_new,
    .tally_free = sce_free,
    .begin = sce_begin,
    .count = sce_count,
    .settle = sce_settle,
};

/* What has the sign of the sum, and the shares of those that have it. */
ISA_CLONES
static void add_elected(double share, const float *restrict row,
                        const double *restrict sum, double *restrict merged,
                        double *restrict shares, size_t count)
{
    for (size_t e = 0; e < count; e++) {
        double d = (double)row[e];
        double side = sum[e] >= 0.0 ? 1.0 : -1.0;
        double taken = d * side > 0.0 ? share : 0.0;

        merged[e] += taken * d;
        shares[e] += taken;
    }
}

ISA_CLONES
static void add_means(const float *restrict base, const double *restrict merged,
                      const double *restrict shares, float *restrict out,
                      size_t count)
{
    for (size_t e = 0; e < count; e++)
        out[e] = (float)((double)base[e] +
                         merged[e] / (shares[e] > 1e-6 ? shares[e] : 1e-6));
}

static void write_part(struct sce *s, const struct merge_step *step,
                       const struct merge_chunk *chunk, size_t at, size_t count,
                       float *out)
{
    const double *shares = s->shares + step->point * s->models;
    const float *rows = chunk->delta + at;
    double sum[PART] = { 0.0 };
    double merged[PART] = { 0.0 };
    double total[PART] = { 0.0 };
    float row[PART];
    const float *selected = select_part(s, step, chunk, at, count, row);

    for (size_t i = 0; i < step->models; i++)
        add_row(rows + i * chunk->stride, sum, count);
    for (size_t i = 0; i < step->models; i++)
        add_elected(shares[i], rows + i * chunk->stride, sum, merged, total,
                    count);
    add_means(chunk->base + at, merged, total, out + at, count);
    for (size_t e = 0; selected != NULL && e < count; e++) {
        if (!(selected[e] > 0.0F))
            out[at + e] = chunk->base[at + e];
    }
}

static void write_out(struct sce *s, const struct merge_step *step,
                      const struct merge_chunk *chunk, float *out)
{
    for (size_t at = 0; at < chunk->count; at += PART) {
        size_t left = chunk->count - at;

        write_part(s, step, chunk, at, left < PART ? left : PART, out);
    }
}

void merge_combine_sce_points(const struct merge_step *steps, size_t points,
                              const struct merge_chunk *chunk)
{
    load(steps, points, chunk);
    for (size_t p = 0; p < points; p++)
        write_out(chunk->tally, &steps[p], chunk, chunk->outs[p]);
}

void merge_combine_sce(const struct merge_step *step,
                       const struct merge_chunk *chunk)
{
    load(step, 1, chunk);
    write_out(chunk->tally, step, chunk, chunk->out);
}
