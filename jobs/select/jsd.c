#include "jobs/select/jsd.h"

#include <math.h>
#include <stdlib.h>

#include "common/memory.h"
#include "jobs/select/choice.h"
#include "tensor/blas.h"
#include "tensor/elementary.h"

static const double ln2 = 0.693147180559945309417;

static const char *const form_names[JSD_FORMS] = {
    [JSD_MEAN_ANSWER] = "mean_answer",
    [JSD_SUM_INSTRUCTION] = "sum_instruction",
};

CHOICE(jsd_form, form_names)

/* --- one row ----------------------------------------------------------------
 */

/* Words at a time: what is computed of them stays in the nearest cache. */
enum { PIECE = 1024 };

/* e^-64 is 2e-28: words that are rarer count as impossible, which moves a
 * divergence by less than 1e-20 for any vocabulary there is. */
static const double rare = 64.0;

/* A row of one model: what is read in pieces, and its normalisation. */
struct side {
    enum dtype dtype;
    const char *logits;
    double most;      /* the largest logit */
    double logarithm; /* ln sum e^((x - most) / tau) */
    double total;     /* the sum itself */
    float x[PIECE];
    double below[PIECE];  /* (most - x) / tau */
    double weight[PIECE]; /* e^-below */
};

static void read_piece(struct side *s, size_t first, size_t count)
{
    dtype_to_f32(s->dtype, s->logits + first * dtype_size(s->dtype), s->x,
                 count);
}

/* False: NaN or +inf in it, or nothing finite. */
static bool find_most(struct side *s, size_t vocabulary)
{
    float most = -INFINITY;

    for (size_t first = 0; first < vocabulary; first += PIECE) {
        size_t count = vocabulary - first < PIECE ? vocabulary - first : PIECE;

        read_piece(s, first, count);
        for (size_t i = 0; i < count; i++) {
            if (isnan(s->x[i]))
                return false;
            most = s->x[i] > most ? s->x[i] : most;
        }
    }
    s->most = (double)most;
    return isfinite(most);
}

static void weigh_piece(struct side *s, size_t first, size_t count, double tau)
{
    double bounded[PIECE];

    read_piece(s, first, count);
    for (size_t i = 0; i < count; i++) {
        s->below[i] = (s->most - (double)s->x[i]) / tau;
        bounded[i] = s->below[i] < rare ? s->below[i] : rare;
    }
    elementary_exp(bounded, s->weight, count);
    for (size_t i = 0; i < count; i++)
        s->weight[i] = s->below[i] < rare ? 1.0 / s->weight[i] : 0.0;
}

static void normalise(struct side *s, size_t vocabulary, double tau)
{
    s->total = 0.0;
    for (size_t first = 0; first < vocabulary; first += PIECE) {
        size_t count = vocabulary - first < PIECE ? vocabulary - first : PIECE;

        weigh_piece(s, first, count, tau);
        for (size_t i = 0; i < count; i++)
            s->total += s->weight[i];
    }
    /* The largest logit alone weighs 1. */
    /* cppcheck-suppress invalidFunctionArg */
    s->logarithm = log(s->total);
}

/* p ln(p / m) + q ln(q / m) for m = (p + q) / 2 and q <= p: with r = q / p,
 * ln(p / m) = -ln((1 + r) / 2) =: -u and ln(q / m) = ln q - ln p - u. Equal
 * probabilities give 0 exactly. */
static double term(double p, double q, double step)
{
    double u;

    if (p <= 0.0)
        return 0.0;
    u = log1p((q / p - 1.0) / 2.0);
    return q > 0.0 ? q * (step - u) - p * u : -p * u;
}

static double compare_piece(const struct side *o, const struct side *p,
                            size_t count)
{
    double sum = 0.0;

    for (size_t i = 0; i < count; i++) {
        double a = o->weight[i] / o->total;
        double b = p->weight[i] / p->total;
        double step = (o->below[i] + o->logarithm) -
                      (p->below[i] + p->logarithm); /* ln b - ln a */

        sum += a >= b ? term(a, b, step) : term(b, a, -step);
    }
    return sum;
}

static bool compare(struct side *o, struct side *p, size_t vocabulary,
                    double tau, double *ret_jsd)
{
    double sum = 0.0;

    *ret_jsd = (double)NAN;
    if (!find_most(o, vocabulary) || !find_most(p, vocabulary))
        return false;
    normalise(o, vocabulary, tau);
    normalise(p, vocabulary, tau);
    for (size_t first = 0; first < vocabulary; first += PIECE) {
        size_t count = vocabulary - first < PIECE ? vocabulary - first : PIECE;

        weigh_piece(o, first, count, tau);
        weigh_piece(p, first, count, tau);
        sum += compare_piece(o, p, count);
    }
    *ret_jsd = fmin(fmax(sum / 2.0, 0.0), ln2);
    return true;
}

bool jsd_row(enum dtype dtype, const void *original, const void *pruned,
             size_t vocabulary, double tau, double *ret_jsd)
{
    struct side o, p;

    o.dtype = dtype;
    o.logits = original;
    p.dtype = dtype;
    p.logits = pruned;
    return compare(&o, &p, vocabulary, tau, ret_jsd);
}

/* --- a sample ---------------------------------------------------------------
 */

double jsd_reduce(enum jsd_form form, const double *rows, size_t count)
{
    double sum = 0.0;

    if (count == 0)
        return (double)NAN;
    for (size_t i = 0; i < count; i++)
        sum += rows[i];
    return form == JSD_MEAN_ANSWER ? sum / (double)count : sum;
}

/* --- from hidden states -------------------------------------------------------
 */

struct status jsd_check(const struct jsd_pair *pair)
{
    if (pair->original.vocabulary != pair->pruned.vocabulary)
        return FAIL(STATUS_INVALID,
                    "the original model has %zu words and the pruned one %zu: "
                    "their predictions cannot be compared",
                    pair->original.vocabulary, pair->pruned.vocabulary);
    if (!(pair->tau > 0.0) || !isfinite(pair->tau))
        return FAIL(STATUS_INVALID, "tau is %g: it must be above 0", pair->tau);
    return SUCCESS;
}

/* Logits of so many rows of both models are at hand at a time. The number is
 * a function of the vocabulary alone: the bits of a product may depend on it. */
enum { TILE_LOGITS = 1 << 22, TILE_ROWS = 64 };

static size_t tile_rows(size_t vocabulary)
{
    size_t rows = TILE_LOGITS / (vocabulary == 0 ? 1 : vocabulary);

    if (rows > TILE_ROWS)
        return TILE_ROWS;
    return rows == 0 ? 1 : rows;
}

struct samples {
    const struct jsd_pair *pair;
    const float *original, *pruned;
    const size_t *starts;
    enum jsd_form form;
    size_t rows;   /* of a tile */
    float *logits; /* [hands][2][rows][vocabulary] */
    double *jsd;
};

static void make_logits(const struct jsd_head *head, const float *hidden,
                        size_t rows, float *logits)
{
    blas_nt(rows, head->vocabulary, head->width, hidden, head->unembedding,
            0.0F, logits);
    if (head->bias == NULL)
        return;
    for (size_t i = 0; i < rows; i++)
        for (size_t v = 0; v < head->vocabulary; v++)
            logits[i * head->vocabulary + v] += head->bias[v];
}

/* The sum over the rows of a sample. */
static double sum_rows(const struct samples *s, float *logits, size_t first,
                       size_t end)
{
    const struct jsd_pair *pair = s->pair;
    size_t vocabulary = pair->original.vocabulary;
    float *other = logits + s->rows * vocabulary;
    double sum = 0.0;

    for (size_t at = first; at < end; at += s->rows) {
        size_t rows = end - at < s->rows ? end - at : s->rows;

        make_logits(&pair->original, s->original + at * pair->original.width,
                    rows, logits);
        make_logits(&pair->pruned, s->pruned + at * pair->pruned.width, rows,
                    other);
        for (size_t i = 0; i < rows; i++) {
            double jsd;

            (void)jsd_row(DTYPE_F32, logits + i * vocabulary,
                          other + i * vocabulary, vocabulary, pair->tau, &jsd);
            sum += jsd;
        }
    }
    return sum;
}

static void compare_samples(void *self, size_t hand, size_t first, size_t count)
{
    const struct samples *s = self;
    float *logits =
        s->logits + hand * 2 * s->rows * s->pair->original.vocabulary;

    for (size_t i = first; i < first + count; i++) {
        size_t rows = s->starts[i + 1] - s->starts[i];

        s->jsd[i] = (double)NAN;
        if (rows == 0)
            continue;
        s->jsd[i] = sum_rows(s, logits, s->starts[i], s->starts[i + 1]);
        if (s->form == JSD_MEAN_ANSWER)
            s->jsd[i] /= (double)rows;
    }
}

struct status jsd_samples(const struct crew *crew, const struct jsd_pair *pair,
                          const float *original, const float *pruned,
                          const size_t *starts, size_t count,
                          enum jsd_form form, double *ret_jsd)
{
    AUTO(free_pointer) void *logits = NULL;
    size_t vocabulary = pair->original.vocabulary;
    struct samples s = { .pair = pair,
                         .original = original,
                         .pruned = pruned,
                         .starts = starts,
                         .form = form,
                         .rows = tile_rows(vocabulary),
                         .jsd = ret_jsd };

    TRY_PLAIN(jsd_check(pair));
    TRY_PLAIN(crew_room(crew_size(crew) * 2 * s.rows,
                        vocabulary * sizeof(float), "logits", &logits));
    s.logits = logits;
    return crew_run(crew, count, 1, compare_samples, &s);
}

uint64_t jsd_memory(size_t vocabulary, uint64_t threads)
{
    const struct crew c = { .threads = threads };

    return (uint64_t)crew_size(&c) * 2 * tile_rows(vocabulary) * vocabulary *
           sizeof(float);
}
