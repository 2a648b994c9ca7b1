#include "jobs/merge/merge_pcb_score.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "tensor/elementary.h"
#include "tensor/elementary_vector.h"
#include "tensor/isa.h"

/* Elements go by in groups that stay in registers. */
enum {
    WIDTH = ELEMENTARY_WIDTH,
    VECTORS = ELEMENTARY_VECTORS,
    GROUP = ELEMENTARY_GROUP,
};

typedef float floats __attribute__((vector_size(WIDTH * sizeof(float))));
typedef int32_t masks __attribute__((vector_size(WIDTH * sizeof(int32_t))));
typedef elementary_doubles doubles;
typedef elementary_truths truths;

#define INLINE  ELEMENTARY_INLINE
#define EACH(v) ELEMENTARY_EACH(v)

struct merge_scoring *merge_scoring_new(size_t models)
{
    struct merge_scoring *s = xnew(struct merge_scoring);
    size_t room = models * MERGE_SCORES;

    s->models = models;
    s->signed_z = xcalloc(room, sizeof *s->signed_z);
    s->rivals = xcalloc(room, sizeof *s->rivals);
    s->scores = xcalloc(room, sizeof *s->scores);
    return s;
}

void merge_scoring_free(struct merge_scoring *s)
{
    free(s->signed_z);
    free(s->rivals);
    free(s->scores);
    free(s);
}

/* 1 / (high - low), or 0 where nothing lies between. */
static double inverse(float low, float high)
{
    return high > low ? 1.0 / ((double)high - (double)low) : 0.0;
}

INLINE void load(const float *x, floats *ret_x)
{
    EACH(v) memcpy(&ret_x[v], x + v * WIDTH, sizeof ret_x[v]);
}

/* As merge_vector.h has it, of vectors twice as wide. */
#define WIDEN(x)                                                \
    ((doubles){ (double)(x)[0], (double)(x)[1], (double)(x)[2], \
                (double)(x)[3], (double)(x)[4], (double)(x)[5], \
                (double)(x)[6], (double)(x)[7] })
_Static_assert(WIDTH == 8, "WIDEN names every element");
#define NARROW(vector) __builtin_convertvector((vector), floats)

/* a where the comparison holds, else b. */
#define CHOOSE(truth, a, b) \
    ((floats)(((masks)(a) & (truth)) | ((masks)(b) & ~(truth))))

/* The magnitude within the bounds. */
INLINE void clip(const floats *d, float low, float high, floats *ret_size)
{
    const floats least = (floats){ 0.0F } + low;
    const floats most = (floats){ 0.0F } + high;
    floats size = (floats)((masks)*d & INT32_MAX);

    size = CHOOSE(size < least, least, size);
    *ret_size = CHOOSE(size > most, most, size);
}

/* With the sign of d; 0 where that is 0, which has none. */
INLINE void sign(const floats *size, const floats *d, floats *ret_x)
{
    masks bits = (masks)*size | ((masks)*d & INT32_MIN);

    *ret_x = (floats)(bits & (masks)((*d < 0.0F) | (*d > 0.0F)));
}

/* What turns a model's magnitudes into z. */
struct range {
    float low, high;
    double scale;
};

INLINE void place(const floats *d, const struct range *range, doubles *ret_z)
{
    floats size;

    clip(d, range->low, range->high, &size);
    *ret_z = WIDEN(size);
    *ret_z = (*ret_z - (double)range->low) * range->scale;
}

/* z with the sign of d. */
INLINE void place_signed(const floats *d, const struct range *range,
                         doubles *ret_z)
{
    const floats one = (floats){ 0.0F } + 1.0F;
    const floats minus = (floats){ 0.0F } - 1.0F;
    floats signs;
    doubles z, factor;

    signs = CHOOSE(*d < 0.0F, minus, one);
    factor = WIDEN(signs);
    place(d, range, &z);
    *ret_z = z * factor;
}

/* Rows of one call, all multiples of GROUP elements. */
struct field {
    size_t models;
    struct range ranges[LIMIT_MODELS];
    const float *delta;
    size_t stride;
    float *scores; /* [models][MERGE_SCORES] */
};

INLINE void add_crowd(const struct field *f, size_t at, bool signs,
                      doubles *crowd)
{
    for (size_t i = 0; i < f->models; i++) {
        floats d[VECTORS];

        load(f->delta + i * f->stride + at, d);
        EACH(v)
        {
            doubles x;

            if (signs)
                place_signed(&d[v], &f->ranges[i], &x);
            else
                x = WIDEN(d[v]);
            crowd[v] += x;
        }
    }
}

INLINE void score_group(const struct field *f, size_t at, bool signs)
{
    doubles crowd[VECTORS] = { { 0.0 } };

    add_crowd(f, at, signs, crowd);
    for (size_t i = 0; i < f->models; i++) {
        floats d[VECTORS];
        doubles self[VECTORS], rivals[VECTORS];

        load(f->delta + i * f->stride + at, d);
        EACH(v)
        {
            doubles z;

            place(&d[v], &f->ranges[i], &z);
            self[v] = (double)f->models * (z * z);
            rivals[v] = WIDEN(d[v]);
            rivals[v] *= crowd[v];
        }
        elementary_exp_group(self, self);
        elementary_tanh_group(rivals, rivals);
        EACH(v)
        {
            floats score;

            self[v] *= rivals[v];
            score = NARROW(self[v]);
            memcpy(f->scores + i * MERGE_SCORES + at + v * WIDTH, &score,
                   sizeof score);
        }
    }
}

#define SCORE(name, signs)                                        \
    ISA_CLONES                                                    \
    static void score_##name(const struct field *f, size_t count) \
    {                                                             \
        for (size_t at = 0; at < count; at += GROUP)              \
            score_group(f, at, signs);                            \
    }
SCORE(deltas, false)
SCORE(signed, true)
#undef SCORE

/* Elements from `first` on, fewer than a group, with zeros behind them. */
struct rest {
    float delta[LIMIT_MODELS][GROUP];
};

static void copy_rest(struct rest *r, size_t models, const float *delta,
                      size_t stride, size_t count)
{
    memset(r, 0, models * sizeof r->delta[0]);
    for (size_t i = 0; i < models; i++)
        memcpy(r->delta[i], delta + i * stride, count * sizeof(float));
}

static void score_with_crowd(const struct field *f, bool signs, size_t count)
{
    void (*score)(const struct field *, size_t) =
        signs ? score_signed : score_deltas;
    size_t whole = count - count % GROUP;
    struct field part = *f;
    struct rest rest;

    score(f, whole);
    if (whole == count)
        return;
    copy_rest(&rest, f->models, f->delta + whole, f->stride, count - whole);
    part.delta = rest.delta[0];
    part.stride = GROUP;
    part.scores += whole;
    score(&part, GROUP);
}

/* ---- each against each ------------------------------------------------- */

ISA_CLONES
static void place_row(const float *d, struct range range,
                      double *restrict signed_z, size_t count)
{
    for (size_t e = 0; e < count; e++) {
        double size = fabs((double)d[e]);
        double low = (double)range.low;
        double high = (double)range.high;

        size = size < low ? low : size;
        size = ((size > high ? high : size) - low) * range.scale;
        signed_z[e] = d[e] < 0.0F ? -size : size;
    }
}

/* The magnitude of one whose sign does not count: zeros stand at `low`. */
ISA_CLONES
static void strength(const double *signed_z, double models,
                     double *restrict self, size_t count)
{
    for (size_t e = 0; e < count; e++)
        self[e] = models * (signed_z[e] * signed_z[e]);
}

ISA_CLONES
static void add(const double *x, double *restrict sum, size_t count)
{
    for (size_t e = 0; e < count; e++)
        sum[e] += x[e];
}

ISA_CLONES
static void multiply(const double *a, const double *b, double *restrict y,
                     size_t count)
{
    for (size_t e = 0; e < count; e++)
        y[e] = a[e] * b[e];
}

ISA_CLONES
static void multiply_to_float(const double *a, const double *b,
                              float *restrict y, size_t count)
{
    for (size_t e = 0; e < count; e++)
        y[e] = (float)(a[e] * b[e]);
}

static double *row(double *rows, size_t i)
{
    return rows + i * MERGE_SCORES;
}

/* Two models think the same of each other. */
static void fare_with_each(struct merge_scoring *s, size_t count)
{
    memset(s->rivals, 0, s->models * MERGE_SCORES * sizeof *s->rivals);
    for (size_t i = 0; i < s->models; i++) {
        for (size_t j = i; j < s->models; j++) {
            multiply(row(s->signed_z, i), row(s->signed_z, j), s->crowd, count);
            elementary_tanh(s->crowd, s->crowd, count);
            add(s->crowd, row(s->rivals, i), count);
            if (j != i)
                add(s->crowd, row(s->rivals, j), count);
        }
    }
}

static void score_each(struct merge_scoring *s, const struct field *f,
                       size_t count)
{
    for (size_t i = 0; i < s->models; i++)
        place_row(f->delta + i * f->stride, f->ranges[i], row(s->signed_z, i),
                  count);
    fare_with_each(s, count);
    for (size_t i = 0; i < s->models; i++) {
        strength(row(s->signed_z, i), (double)s->models, s->self, count);
        elementary_exp(s->self, s->self, count);
        multiply_to_float(s->self, row(s->rivals, i),
                          f->scores + i * MERGE_SCORES, count);
    }
}

/* ---- scores ------------------------------------------------------------ */

void merge_score(struct merge_scoring *s, enum merge_rivalry rivalry,
                 const struct merge_bounds *bounds, const float *delta,
                 size_t stride, size_t count)
{
    struct field f = { .models = s->models,
                       .delta = delta,
                       .stride = stride,
                       .scores = s->scores };

    for (size_t i = 0; i < s->models; i++)
        f.ranges[i] =
            (struct range){ bounds->low[i], bounds->high[i],
                            inverse(bounds->low[i], bounds->high[i]) };
    if (rivalry == MERGE_RIVALS_EACH)
        score_each(s, &f, count);
    else
        score_with_crowd(&f, rivalry == MERGE_RIVALS_SIGNED, count);
    for (size_t i = 0; i < s->models; i++) {
        if (!(bounds->high[i] > bounds->low[i]))
            memset(s->scores + i * MERGE_SCORES, 0, count * sizeof *s->scores);
    }
}

/* Bits as whole numbers of the order of the values: whole numbers have a
 * largest one that is found in any order. */
static inline int32_t ordered(int32_t bits)
{
    return bits < 0 ? bits ^ INT32_MAX : bits;
}

ISA_CLONES
static int32_t largest(const float *x, size_t count, int32_t top)
{
    for (size_t e = 0; e < count; e++) {
        int32_t bits;

        memcpy(&bits, x + e, sizeof bits);
        bits = ordered(bits);
        top = bits > top ? bits : top;
    }
    return top;
}

float merge_score_top(const float *scores, size_t count, float top)
{
    int32_t bits;

    memcpy(&bits, &top, sizeof bits);
    bits = ordered(largest(scores, count, ordered(bits)));
    memcpy(&top, &bits, sizeof top);
    return top;
}

/* ---- the merge --------------------------------------------------------- */

/* What a model's elements are held against. */
struct gate {
    float low, high; /* of magnitudes */
    float threshold; /* of scores */
    double scale, lambda;
};

/* Rows of one call, all multiples of GROUP elements. */
struct contest {
    size_t models;
    struct gate gates[LIMIT_MODELS];
    const float *delta, *scores, *base;
    size_t stride;
    float *out;
};

/* Adds a model's share and what it brings, its magnitude within the bounds
 * times that. */
INLINE void add_model(const struct gate *g, const float *delta,
                      const float *scores, doubles *sum, doubles *shares)
{
    const floats threshold = (floats){ 0.0F } + g->threshold;
    floats d[VECTORS], score[VECTORS];

    load(delta, d);
    load(scores, score);
    EACH(v)
    {
        doubles share, want;
        floats size;

        score[v] = CHOOSE(score[v] > threshold, score[v], threshold);
        share = WIDEN(score[v]);
        share = (share - (double)g->threshold) * g->scale;
        clip(&d[v], g->low, g->high, &size);
        sign(&size, &d[v], &size);
        want = WIDEN(size);
        sum[v] += g->lambda * (want * share);
        shares[v] += share;
    }
}

/* The merged vector is float32: where one model alone wins, what it wants is
 * met exactly, whatever its share. */
INLINE void finish(const doubles *sum, const doubles *shares, const float *base,
                   float *out)
{
    const doubles least = (doubles){ 0.0 } + 1e-12;

    EACH(v)
    {
        /* Shares are not negative: their bits are of the same order. */
        /* cppcheck-suppress shiftTooManyBitsSigned */
        truths below = ((truths)shares[v] - (truths)least) >> 63;
        doubles share =
            (doubles)(((truths)shares[v] & ~below) | ((truths)least & below));
        doubles merged = sum[v] / share;
        floats from, task;

        memcpy(&from, base + v * WIDTH, sizeof from);
        task = NARROW(merged);
        from += task;
        memcpy(out + v * WIDTH, &from, sizeof from);
    }
}

ISA_CLONES
static void write_groups(const struct contest *c, size_t count)
{
    for (size_t at = 0; at < count; at += GROUP) {
        doubles sum[VECTORS] = { { 0.0 } };
        doubles shares[VECTORS] = { { 0.0 } };

        for (size_t i = 0; i < c->models; i++)
            add_model(&c->gates[i], c->delta + i * c->stride + at,
                      c->scores + i * MERGE_SCORES + at, sum, shares);
        finish(sum, shares, c->base + at, c->out + at);
    }
}

static void write_rest(const struct contest *c, size_t first, size_t count)
{
    float base[GROUP] = { 0.0F };
    float out[GROUP];
    struct contest own = *c;
    struct rest rest;

    copy_rest(&rest, c->models, c->delta + first, c->stride, count);
    memcpy(base, c->base + first, count * sizeof *base);
    own.delta = rest.delta[0];
    own.stride = GROUP;
    own.scores += first;
    own.base = base;
    own.out = out;
    write_groups(&own, GROUP);
    memcpy(c->out + first, out, count * sizeof *out);
}

void merge_score_write(const struct merge_scoring *s,
                       const struct merge_ends *ends, const float *delta,
                       size_t stride, const float *base, float *out,
                       size_t count)
{
    struct contest c = { .models = s->models,
                         .delta = delta,
                         .scores = s->scores,
                         .base = base,
                         .stride = stride,
                         .out = out };
    size_t whole = count - count % GROUP;

    for (size_t i = 0; i < s->models; i++) {
        float threshold = ends->thresholds[i];

        c.gates[i] =
            (struct gate){ ends->bounds->low[i], ends->bounds->high[i],
                           threshold, inverse(threshold, ends->tops[i]),
                           ends->lambdas[i] };
    }
    write_groups(&c, whole);
    if (whole < count)
        write_rest(&c, whole, count - whole);
}
