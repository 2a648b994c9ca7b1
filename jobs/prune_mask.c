#include "jobs/prune_mask.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "tensor/isa.h"

/* ---- one row of scores, or all of a tensor ------------------------------- */

/* How many go, before ties are looked at. */
static uint64_t number_of(const struct prune_how *h, uint64_t count)
{
    double exact = (double)count * h->sparsity;
    double n = h->rule == PRUNE_ROUND ? rint(exact) : floor(exact);

    return n >= (double)count ? count : (uint64_t)n;
}

bool prune_rank(const struct prune_how *h, uint64_t count, uint64_t *ret_rank)
{
    uint64_t n = number_of(h, count);

    if (count == 0 || h->sparsity <= 0.0)
        return false;
    if (h->rule == PRUNE_LTE)
        *ret_rank = n < count ? n : count - 1;
    else
        *ret_rank = n - 1;
    return h->rule == PRUNE_LTE || n > 0;
}

struct prune_cut prune_cut_at(const struct prune_how *h, uint64_t count,
                              const struct select_found *found)
{
    bool all = h->rule == PRUNE_LTE || h->rule == PRUNE_TOPK_GT;

    return (struct prune_cut){
        .below = found->value,
        .equal = all ? UINT64_MAX : number_of(h, count) - found->below,
    };
}

ISA_CLONES
static size_t count_equal(const float *scores, size_t count, float value)
{
    uint32_t found = 0;

    for (size_t i = 0; i < count; i++)
        found += scores[i] == value;
    return found;
}

uint64_t prune_cut_ties(const struct prune_cut *cut, const float *scores,
                        size_t count)
{
    return count_equal(scores, count, cut->below);
}

ISA_CLONES
static size_t count_below(const float *scores, size_t count, float value)
{
    uint32_t found = 0;

    for (size_t i = 0; i < count; i++)
        found += scores[i] < value;
    return found;
}

ISA_CLONES
static void keep_from(const float *scores, size_t count, float least,
                      uint8_t *keep)
{
    for (size_t i = 0; i < count; i++)
        keep[i] = scores[i] >= least;
}

ISA_CLONES
static void keep_above(const float *scores, size_t count, float most,
                       uint8_t *keep)
{
    for (size_t i = 0; i < count; i++)
        keep[i] = scores[i] > most;
}

static void drop_first(const float *scores, size_t count, struct prune_cut cut,
                       uint8_t *keep)
{
    for (size_t i = 0; i < count; i++) {
        bool tie = scores[i] == cut.below && cut.equal > 0;

        cut.equal -= tie;
        keep[i] = scores[i] >= cut.below && !tie;
    }
}

void prune_cut_apply(struct prune_cut *cut, const float *scores, size_t count,
                     uint8_t *keep)
{
    enum { PIECE = 4096 };

    for (size_t at = 0; at < count; at += PIECE) {
        size_t size = count - at < PIECE ? count - at : PIECE;
        size_t equal = count_equal(scores + at, size, cut->below);

        if (cut->equal >= equal)
            keep_above(scores + at, size, cut->below, keep + at);
        else if (cut->equal == 0)
            keep_from(scores + at, size, cut->below, keep + at);
        else
            drop_first(scores + at, size, *cut, keep + at);
        if (cut->equal != UINT64_MAX)
            cut->equal -= equal < cut->equal ? equal : cut->equal;
    }
}

/* Files know no alignment. */
ISA_CLONES
static void zero_two(char *weights, const uint8_t *keep, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint16_t word;

        memcpy(&word, weights + i * sizeof(word), sizeof(word));
        word = keep[i] != 0 ? word : 0;
        memcpy(weights + i * sizeof(word), &word, sizeof(word));
    }
}

ISA_CLONES
static void zero_four(char *weights, const uint8_t *keep, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t word;

        memcpy(&word, weights + i * sizeof(word), sizeof(word));
        word = keep[i] != 0 ? word : 0;
        memcpy(weights + i * sizeof(word), &word, sizeof(word));
    }
}

void prune_zero(enum dtype dtype, void *weights, const uint8_t *keep,
                size_t count)
{
    size_t size = dtype_size(dtype);
    char *at = weights;

    if (size == 2)
        zero_two(at, keep, count);
    else if (size == 4)
        zero_four(at, keep, count);
    else
        for (size_t i = 0; i < count; i++)
            if (keep[i] == 0)
                memset(at + i * size, 0, size);
}

/* How many of sorted scores are smaller. */
static uint64_t rank_of(const float *sorted, size_t count, float value)
{
    size_t low = 0, high = count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (sorted[middle] < value)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* `sorted`: the scores in order, if somebody has sorted them. */
static void choose_vector(const struct prune_how *h, const float *scores,
                          const float *sorted, size_t count, uint8_t *keep)
{
    struct select_found found;
    struct prune_cut cut;
    uint64_t rank;

    memset(keep, 1, count);
    if (!prune_rank(h, count, &rank))
        return;
    if (sorted != NULL) {
        found.value = sorted[rank];
        found.below = rank_of(sorted, count, found.value);
    } else {
        found.value = select_magnitude(scores, count, rank);
        found.below = count_below(scores, count, found.value);
    }
    cut = prune_cut_at(h, count, &found);
    prune_cut_apply(&cut, scores, count, keep);
}

/* ---- N of M ---------------------------------------------------------------- */

/* The n lowest of a group go; of equal ones the first. `stride` from one to
 * the next. */
static void choose_group(const float *scores, size_t size, size_t stride,
                         size_t n, uint8_t *keep)
{
    for (size_t i = 0; i < size; i++)
        keep[i * stride] = 1;
    for (size_t gone = 0; gone < n && gone < size; gone++) {
        size_t least = size;

        for (size_t i = 0; i < size; i++)
            if (keep[i * stride] != 0 &&
                (least == size || scores[i * stride] < scores[least * stride]))
                least = i;
        keep[least * stride] = 0;
    }
}

/* Groups side by side, LANES at once: of element k of each, how many of its
 * group go before it. */
enum { LANES = 64, FEW_LANES = 8, MOST_RANKED = 32 };

ISA_CLONES
static void rank_groups(const float *scores, size_t size, size_t n,
                        uint8_t *keep)
{
    for (size_t k = 0; k < size; k++) {
        const float *own = scores + k * LANES;
        uint32_t before[LANES] = { 0 };

        for (size_t j = 0; j < k; j++)
            for (size_t l = 0; l < LANES; l++)
                before[l] += scores[j * LANES + l] <= own[l];
        for (size_t j = k + 1; j < size; j++)
            for (size_t l = 0; l < LANES; l++)
                before[l] += scores[j * LANES + l] < own[l];
        for (size_t l = 0; l < LANES; l++)
            keep[k * LANES + l] = before[l] >= n;
    }
}

/* `lanes` whole groups whose first elements are `step` apart, and whose
 * elements `stride`. */
static void choose_lanes(const struct prune_how *h, const float *scores,
                         size_t lanes, size_t step, size_t stride,
                         uint8_t *keep)
{
    float tile[MOST_RANKED * LANES];
    uint8_t kept[MOST_RANKED * LANES];

    if (lanes < LANES)
        memset(tile, 0, h->of * LANES * sizeof(*tile));
    for (size_t l = 0; l < lanes; l++)
        for (size_t k = 0; k < h->of; k++)
            tile[k * LANES + l] = scores[l * step + k * stride];
    rank_groups(tile, h->of, h->go, kept);
    for (size_t l = 0; l < lanes; l++)
        for (size_t k = 0; k < h->of; k++)
            keep[l * step + k * stride] = kept[k * LANES + l];
}

/* Whole groups, `count` of them `step` apart. */
static void choose_many(const struct prune_how *h, const float *scores,
                        size_t count, size_t step, size_t stride, uint8_t *keep)
{
    for (size_t i = 0; i < count; i += LANES) {
        size_t lanes = count - i < LANES ? count - i : LANES;
        bool ranked = lanes >= FEW_LANES && h->of <= MOST_RANKED;

        if (ranked)
            choose_lanes(h, scores + i * step, lanes, step, stride,
                         keep + i * step);
        for (size_t l = i; l < i + lanes && !ranked; l++)
            choose_group(scores + l * step, h->of, stride, h->go,
                         keep + l * step);
    }
}

/* A group at the end that is short loses as many, or all it has. */
static void choose_groups(const struct prune_how *h,
                          const struct prune_matrix *m, const float *scores,
                          uint8_t *keep)
{
    size_t whole = m->inputs / h->of, left = m->inputs % h->of;
    size_t stride = m->turned ? m->outputs : 1;

    for (size_t g = 0; g < whole && m->turned; g++)
        choose_many(h, scores + g * h->of * stride, m->outputs, 1, stride,
                    keep + g * h->of * stride);
    for (size_t o = 0; o < m->outputs; o++) {
        size_t first = m->turned ? o : o * m->inputs;
        size_t last = first + whole * h->of * stride;

        if (!m->turned)
            choose_many(h, scores + first, whole, h->of, 1, keep + first);
        if (left > 0)
            choose_group(scores + last, left, stride, h->go, keep + last);
    }
}

/* ---- rows ------------------------------------------------------------------ */

static void take_row(const struct prune_matrix *m, const float *scores,
                     size_t row, float *to)
{
    for (size_t i = 0; i < m->inputs; i++)
        to[i] = m->turned ? scores[i * m->outputs + row]
                          : scores[row * m->inputs + i];
}

static void put_row(const struct prune_matrix *m, const uint8_t *from,
                    size_t row, uint8_t *keep)
{
    for (size_t i = 0; i < m->inputs; i++)
        keep[m->turned ? i * m->outputs + row : row * m->inputs + i] = from[i];
}

static void choose_rows(const struct prune_how *h, const struct prune_matrix *m,
                        const float *scores, const float *sorted, uint8_t *keep)
{
    AUTO(free_pointer) float *row = xcalloc(m->inputs + 1, sizeof(*row));
    AUTO(free_pointer) uint8_t *kept = xcalloc(m->inputs + 1, 1);

    for (size_t o = 0; o < m->outputs; o++) {
        const float *order = sorted == NULL ? NULL : sorted + o * m->inputs;

        if (!m->turned) {
            choose_vector(h, scores + o * m->inputs, order, m->inputs,
                          keep + o * m->inputs);
            continue;
        }
        take_row(m, scores, o, row);
        choose_vector(h, row, order, m->inputs, kept);
        put_row(m, kept, o, keep);
    }
}

/* ---- rows, sorted ------------------------------------------------------------ */

enum { DIGIT_BITS = 11, DIGITS = 3, BINS = 1 << DIGIT_BITS };

static size_t digit_of(float score, unsigned digit)
{
    uint32_t key;

    memcpy(&key, &score, sizeof(key)); /* ordered as numbers of at least 0 */
    return key >> digit * DIGIT_BITS & (BINS - 1);
}

/* Digit by digit, from the lowest on: equal ones stay as they were. */
static void sort_scores(float *scores, float *spare, size_t count)
{
    uint32_t places[DIGITS][BINS] = { { 0 } };

    for (size_t i = 0; i < count; i++)
        for (unsigned d = 0; d < DIGITS; d++)
            places[d][digit_of(scores[i], d)]++;
    for (unsigned d = 0; d < DIGITS; d++) {
        const float *from = d % 2 == 0 ? scores : spare;
        float *to = d % 2 == 0 ? spare : scores;
        uint32_t next = 0;

        for (size_t bin = 0; bin < BINS; bin++) {
            uint32_t size = places[d][bin];

            places[d][bin] = next;
            next += size;
        }
        for (size_t i = 0; i < count; i++)
            to[places[d][digit_of(from[i], d)]++] = from[i];
    }
    memcpy(scores, spare, count * sizeof(*scores)); /* DIGITS is odd */
}

void prune_sort_rows(const struct prune_matrix *m, const float *scores,
                     float *ret_sorted)
{
    AUTO(free_pointer) float *spare = xcalloc(m->inputs + 1, sizeof(*spare));

    for (size_t o = 0; o < m->outputs; o++) {
        take_row(m, scores, o, ret_sorted + o * m->inputs);
        sort_scores(ret_sorted + o * m->inputs, spare, m->inputs);
    }
}

bool prune_by_sorted(const struct prune_how *h)
{
    return h->scope == PRUNE_ROW && h->of == 0 && !h->highest &&
           h->rule != PRUNE_ALPHA;
}

void prune_choose_sorted(const struct prune_how *h,
                         const struct prune_matrix *m, const float *scores,
                         const float *sorted, uint8_t *keep)
{
    choose_rows(h, m, scores, sorted, keep);
}

/* ---- a share of each row's scores ------------------------------------------ */

/* All rows, each sorted, and the sums of their scores up to each. */
struct sums {
    float *sorted;
    double *sums;
    size_t *gone; /* of each row, for the share tried last */
    size_t rows, columns;
};

static void sums_release(struct sums *s)
{
    free(s->sorted);
    free(s->sums);
    free(s->gone);
}

static int by_size(const void *a, const void *b)
{
    const float *x = a, *y = b;

    return *x < *y ? -1 : *x > *y;
}

static void sums_init(struct sums *s, const struct prune_matrix *m,
                      const float *scores)
{
    *s = (struct sums){
        .sorted = xcalloc(m->outputs * m->inputs + 1, sizeof(float)),
        .sums = xcalloc(m->outputs * m->inputs + 1, sizeof(double)),
        .gone = xcalloc(m->outputs + 1, sizeof(size_t)),
        .rows = m->outputs,
        .columns = m->inputs,
    };
    for (size_t r = 0; r < s->rows; r++) {
        float *row = s->sorted + r * s->columns;
        double sum = 0.0;

        take_row(m, scores, r, row);
        qsort(row, s->columns, sizeof(*row), by_size);
        for (size_t i = 0; i < s->columns; i++)
            s->sums[r * s->columns + i] = sum += (double)row[i];
    }
}

/* The share of all elements that go if each row gives up to `alpha` of its
 * sum. */
static double try_share(struct sums *s, double alpha)
{
    size_t all = 0;

    for (size_t r = 0; r < s->rows; r++) {
        const double *sums = s->sums + r * s->columns;
        double most = s->columns == 0 ? 0.0 : sums[s->columns - 1] * alpha;
        size_t gone = 0;

        while (gone < s->columns && sums[gone] <= most)
            gone++;
        s->gone[r] = gone;
        all += gone;
    }
    return (double)all / (double)(s->rows * s->columns);
}

static void find_share(struct sums *s, double sparsity)
{
    double low = 0.0, high = 0.8, alpha = 0.4;
    double found = try_share(s, alpha);

    while (fabs(found - sparsity) > 0.001 && high - low >= 0.001) {
        if (found > sparsity)
            high = alpha;
        else
            low = alpha;
        alpha = (low + high) / 2.0;
        found = try_share(s, alpha);
    }
}

static void choose_sums(const struct prune_how *h, const struct prune_matrix *m,
                        const float *scores, uint8_t *keep)
{
    AUTO(sums_release) struct sums s;
    AUTO(free_pointer) float *row = xcalloc(m->inputs + 1, sizeof(*row));
    AUTO(free_pointer) uint8_t *kept = xcalloc(m->inputs + 1, 1);

    memset(keep, 1, m->outputs * m->inputs);
    sums_init(&s, m, scores);
    if (h->sparsity <= 0.0 || m->outputs * m->inputs == 0)
        return;
    find_share(&s, h->sparsity);
    for (size_t r = 0; r < m->outputs; r++) {
        struct prune_cut cut = { .equal = s.gone[r] };

        if (s.gone[r] == 0)
            continue;
        take_row(m, scores, r, row);
        cut.below = s.sorted[r * s.columns + s.gone[r] - 1];
        cut.equal -= count_below(row, m->inputs, cut.below);
        prune_cut_apply(&cut, row, m->inputs, kept);
        put_row(m, kept, r, keep);
    }
}

/* ---- all of it --------------------------------------------------------------- */

/* The lowest would go if so many stayed. */
static void choose_highest(const struct prune_how *h,
                           const struct prune_matrix *m, const float *scores,
                           uint8_t *keep)
{
    struct prune_how others = *h;

    others.highest = false;
    others.sparsity = 1.0 - h->sparsity;
    prune_choose(&others, m, scores, keep);
    for (size_t i = 0; i < m->outputs * m->inputs; i++)
        keep[i] = keep[i] == 0;
}

void prune_choose(const struct prune_how *h, const struct prune_matrix *m,
                  const float *scores, uint8_t *keep)
{
    if (h->highest)
        choose_highest(h, m, scores, keep);
    else if (h->of > 0)
        choose_groups(h, m, scores, keep);
    else if (h->rule == PRUNE_ALPHA)
        choose_sums(h, m, scores, keep);
    else if (h->scope == PRUNE_ROW)
        choose_rows(h, m, scores, NULL, keep);
    else
        choose_vector(h, scores, NULL, m->outputs * m->inputs, keep);
}

size_t prune_emptied(const struct prune_matrix *m, const uint8_t *keep)
{
    size_t empty = 0;

    for (size_t o = 0; o < m->outputs; o++) {
        bool any = false;

        for (size_t i = 0; i < m->inputs && !any; i++)
            any = keep[m->turned ? i * m->outputs + o : o * m->inputs + i] != 0;
        empty += !any;
    }
    return empty;
}
