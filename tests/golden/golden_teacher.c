/* golden_teacher.c -- the three regimes on the images of the file: dense
 * networks trained with different batches, pruned to different densities,
 * retrained twice; what must hold of their errors, of the line between the
 * twins and of how alike their outputs are. Takes half a minute. */
#include "tests/golden/golden.h"

#include <math.h>

#include "jobs/prune_mask.h"
#include "model/shuffle.h"
#include "model/similarity.h"
#include "model/trainer.h"

enum {
    BATCHES = 3,
    DENSITIES = 3,
    TWINS = 2,
    RETRAIN_BATCH = 64,
    DENSE_STEPS = 2500,
    RETRAIN_STEPS = 1500,
    CHUNK = 500, /* images measured at once; divides both sets */
    POINTS = 11,
    COMPARED = 6464, /* outputs */
    CLASSES = 10,
};
static const size_t batches[BATCHES] = { 16, 64, 256 };
static const double densities[DENSITIES] = { 0.03, 0.08, 0.4 };

struct set {
    size_t count, width;
    float *pixels;
    int32_t *labels;
};

struct cell {
    double error, lmc, similarity;
};

struct study {
    struct st_model *file;
    struct set train, test;
    struct model_config config;
    struct cell cells[DENSITIES][BATCHES];
};

static void set_release(struct set *s)
{
    free(s->pixels);
    free(s->labels);
}

static void study_release(struct study *s)
{
    set_release(&s->train);
    set_release(&s->test);
    st_model_close(s->file);
}

static struct status take_set(const struct tensor_set *all, const char *x_name,
                              const char *y_name, struct set *s)
{
    const struct tensor *x, *y;

    TRY_PLAIN(golden_need(all, x_name, &x));
    TRY_PLAIN(golden_need(all, y_name, &y));
    s->count = x->shape[0];
    s->width = x->shape[1];
    s->pixels = golden_floats(x);
    s->labels = xcalloc(s->count, sizeof(*s->labels));
    for (size_t i = 0; i < s->count; i++)
        s->labels[i] = (int32_t)golden_whole(y, i);
    return SUCCESS;
}

/* --- training --------------------------------------------------------------- */

struct run {
    const struct set *set;
    size_t batch, steps;
    uint32_t seed;
    float *pixels;
    int32_t *labels;
    uint32_t starts[2];
};

static struct pass_batch draw(struct run *r, uint64_t step)
{
    size_t each = r->set->count / r->batch, width = r->set->width;

    for (size_t i = 0; i < r->batch; i++) {
        size_t at = (size_t)shuffle_place(r->seed, step / each, r->set->count,
                                          step % each * r->batch + i);

        memcpy(r->pixels + i * width, r->set->pixels + at * width,
               width * sizeof(*r->pixels));
        r->labels[i] = r->set->labels[at];
    }
    r->starts[1] = (uint32_t)r->batch;
    return (struct pass_batch){ .segments = 1,
                                .starts = r->starts,
                                .labels = r->labels,
                                .pixels = r->pixels };
}

static struct status run_steps(struct run *r, struct model *m)
{
    const struct trainer_settings settings = {
        .optim = { .row = optim_find("sgd"),
                   .rate = 0.1,
                   .decay = 2e-3,
                   .beta1 = 0.9 },
        .momentum = 0.1,
    };
    const struct pass_room room = { .rows = r->batch,
                                    .longest = r->batch,
                                    .gradients = true };
    AUTO(trainer_release) struct trainer *t = NULL;

    TRY_PLAIN(trainer_new(m, &room, &settings, &t));
    for (uint64_t i = 0; i < r->steps; i++) {
        double factor =
            i < r->steps / 2 ? 1.0 : (i < r->steps * 3 / 4 ? 0.1 : 0.01);
        struct pass_batch b = draw(r, i);
        struct trainer_report report;

        TRY_PLAIN(trainer_step(t, factor, &b, 1, &report));
    }
    return SUCCESS;
}

static struct status train(const struct set *set, size_t batch, size_t steps,
                           uint32_t seed, struct model *m)
{
    struct run r = { .set = set,
                     .batch = batch,
                     .steps = steps,
                     .seed = seed,
                     .pixels = xcalloc(batch * set->width, sizeof(float)),
                     .labels = xcalloc(batch, sizeof(int32_t)) };
    struct status st = run_steps(&r, m);

    free(r.pixels);
    free(r.labels);
    return st;
}

/* --- measuring --------------------------------------------------------------- */

static struct pass_batch chunk_of(const struct set *s, size_t first,
                                  const uint32_t starts[2])
{
    return (struct pass_batch){ .segments = 1,
                                .starts = starts,
                                .labels = s->labels + first,
                                .pixels = s->pixels + first * s->width };
}

static bool is_wrong(const float *logits, int32_t label)
{
    size_t best = 0;

    for (size_t i = 1; i < CLASSES; i++)
        if (logits[i] > logits[best])
            best = i;
    return (int32_t)best != label;
}

static void soften(const float *logits, float *ret_shares)
{
    double sum = 0.0;

    for (size_t i = 0; i < CLASSES; i++)
        sum += exp((double)logits[i]);
    for (size_t i = 0; i < CLASSES; i++)
        ret_shares[i] = (float)(exp((double)logits[i]) / sum);
}

/* Share of images of a wrong class; `anew`: with statistics of the set itself.
 * `ret_shares` [count][CLASSES] may be NULL. */
static struct status measure(struct model *m, const struct set *s, bool anew,
                             double *ret_error, float *ret_shares)
{
    static const uint32_t starts[2] = { 0, CHUNK };
    const struct pass_room room = { .rows = CHUNK, .longest = CHUNK };
    AUTO(pass_release) struct pass *p = NULL;
    uint64_t seen = 0;
    size_t wrong = 0;
    double loss;

    TRY_PLAIN(pass_new(m, &room, &p));
    for (size_t at = 0; anew && at < s->count; at += CHUNK) {
        const struct pass_batch b = chunk_of(s, at, starts);

        TRY_PLAIN(pass_estimate_statistics(p, m, &b, &seen));
    }
    for (size_t at = 0; at < s->count; at += CHUNK) {
        const struct pass_batch b = chunk_of(s, at, starts);

        TRY_PLAIN(pass_forward(p, &b, &loss));
        for (size_t i = 0; i < CHUNK; i++) {
            const float *logits = pass_logits(p) + i * CLASSES;

            wrong += is_wrong(logits, s->labels[at + i]);
            if (ret_shares != NULL)
                soften(logits, ret_shares + (at + i) * CLASSES);
        }
    }
    *ret_error = (double)wrong / (double)s->count;
    return SUCCESS;
}

static void mix(struct model *to, const struct model *a, const struct model *b,
                double t)
{
    for (size_t i = 0; i < to->parameter_count; i++)
        for (size_t k = 0; k < to->parameters[i].count; k++)
            to->parameters[i].own[k] =
                (float)((1.0 - t) * (double)a->parameters[i].data[k] +
                        t * (double)b->parameters[i].data[k]);
}

static void free_model(struct model **m)
{
    model_free(*m);
}

static struct status walk(const struct study *s, struct model *const twins[],
                          double *ret_lmc)
{
    AUTO(free_model) struct model *between = NULL;
    double curve[POINTS];
    size_t at;

    TRY_PLAIN(model_new(&s->config, 0, &between));
    for (size_t i = 0; i < POINTS; i++) {
        mix(between, twins[0], twins[1], (double)i / (POINTS - 1));
        TRY_PLAIN(measure(between, &s->train, true, &curve[i], NULL));
    }
    *ret_lmc = connectivity(curve, POINTS, &at);
    return SUCCESS;
}

static struct status compare(const struct study *s, struct model *const twins[],
                             double *ret_similarity)
{
    AUTO(free_pointer)
    float *x = xcalloc(s->train.count * CLASSES, sizeof(*x));
    AUTO(free_pointer)
    float *y = xcalloc(s->train.count * CLASSES, sizeof(*y));
    const struct cka_pair pair = { COMPARED, x, y, CLASSES, CLASSES };
    double error;

    TRY_PLAIN(measure(twins[0], &s->train, false, &error, x));
    TRY_PLAIN(measure(twins[1], &s->train, false, &error, y));
    return cka(&pair, CKA_FEATURE, ret_similarity);
}

/* --- the study ---------------------------------------------------------------- */

/* All matrices but the last, each by itself. */
static struct status prune(struct model *m, double density)
{
    const struct prune_how how = { .rule = PRUNE_EXACT,
                                   .sparsity = 1.0 - density };

    for (size_t i = 0; i < m->parameter_count; i++) {
        const struct model_parameter *p = &m->parameters[i];
        const struct graph_parameter *g = &m->graph->parameters[i];
        const struct prune_matrix matrix = { g->shape[0], g->shape[1], false };
        AUTO(free_pointer) uint8_t *keep = NULL;
        AUTO(free_pointer) float *sizes = NULL;

        if (p->role != ROLE_MATRIX)
            continue;
        keep = xcalloc(p->count, 1);
        sizes = xcalloc(p->count, sizeof(*sizes));
        for (size_t k = 0; k < p->count; k++)
            sizes[k] = fabsf(p->data[k]);
        prune_choose(&how, &matrix, sizes, keep);
        TRY_PLAIN(model_mask(m, i, keep));
    }
    return SUCCESS;
}

static struct status make_twin(const struct study *s, const struct model *dense,
                               double density, uint32_t seed,
                               struct model **ret_twin)
{
    TRY_PLAIN(model_new(&s->config, 0, ret_twin));
    mix(*ret_twin, dense, dense, 0.0);
    TRY_PLAIN(prune(*ret_twin, density));
    return train(&s->train, RETRAIN_BATCH, RETRAIN_STEPS, seed, *ret_twin);
}

static struct status fill_cell(const struct study *s, const struct model *dense,
                               double density, struct cell *ret_cell)
{
    AUTO(free_model) struct model *first = NULL;
    AUTO(free_model) struct model *second = NULL;
    struct model *twins[TWINS];
    double errors[TWINS];

    TRY_PLAIN(make_twin(s, dense, density, 101, &first));
    TRY_PLAIN(make_twin(s, dense, density, 102, &second));
    twins[0] = first;
    twins[1] = second;
    for (size_t i = 0; i < TWINS; i++)
        TRY_PLAIN(measure(twins[i], &s->test, false, &errors[i], NULL));
    ret_cell->error = (errors[0] + errors[1]) / TWINS;
    TRY_PLAIN(walk(s, twins, &ret_cell->lmc));
    return compare(s, twins, &ret_cell->similarity);
}

static struct status fill_row(struct study *s, size_t b)
{
    AUTO(free_model) struct model *dense = NULL;

    TRY_PLAIN(model_new(&s->config, 1, &dense));
    TRY_PLAIN(train(&s->train, batches[b], DENSE_STEPS, 1, dense));
    for (size_t d = 0; d < DENSITIES; d++) {
        struct cell *c = &s->cells[d][b];

        TRY_PLAIN(fill_cell(s, dense, densities[d], c));
        printf("  batch %3zu density %4.2f: error %.3f lmc %+.3f cka %.3f\n",
               batches[b], densities[d], c->error, c->lmc, c->similarity);
    }
    return SUCCESS;
}

static size_t best_batch(const struct study *s, size_t d)
{
    size_t best = 0;

    for (size_t b = 1; b < BATCHES; b++)
        if (s->cells[d][b].error < s->cells[d][best].error)
            best = b;
    return best;
}

/* params.must_hold, in its order. */
static struct status judge(const struct study *s)
{
    enum { SPARSE, MIDDLE, FULL };
    enum { HOT, WARM, COLD };
    const struct cell(*c)[BATCHES] = s->cells;
    const struct {
        bool holds;
        const char *text;
    } rules[] = {
        { c[SPARSE][HOT].error + 0.08 < c[SPARSE][COLD].error,
          "at 3 % hot wins" },
        { c[FULL][HOT].error > c[FULL][WARM].error + 0.008,
          "at 40 % hot loses" },
        { c[MIDDLE][COLD].lmc < -0.12, "cold twins of 8 % have a barrier" },
        { c[MIDDLE][HOT].lmc > -0.04, "hot twins of 8 % have none" },
        { fabs(c[FULL][WARM].lmc) < 0.01, "twins of 40 % are connected" },
        { c[SPARSE][HOT].similarity > c[SPARSE][COLD].similarity + 0.1,
          "hot twins of 3 % are more alike" },
        { best_batch(s, SPARSE) <= best_batch(s, MIDDLE) &&
              best_batch(s, MIDDLE) <= best_batch(s, FULL) &&
              best_batch(s, SPARSE) < best_batch(s, FULL),
          "the best batch grows with the density" },
    };

    for (size_t i = 0; i < COUNT_OF(rules); i++)
        if (!rules[i].holds)
            return FAIL(STATUS_FAILED, "does not hold: %s", rules[i].text);
    return SUCCESS;
}

static struct status open_study(struct study *s, const char *directory,
                                const json_t *entry)
{
    const json_t *params = json_object_get(entry, "params");
    AUTO(json_release)
    json_t *config = json_pack("{ss sO}", "model_type", "mlp", "sizes",
                               json_object_get(params, "sizes"));
    const struct tensor_set *all;

    TRY_PLAIN(model_config_read(config, &s->config));
    TRY_PLAIN(
        golden_open(directory, json_text_or(entry, "file", ""), &s->file));
    all = st_model_tensors(s->file);
    TRY_PLAIN(take_set(all, "train_x", "train_y", &s->train));
    return take_set(all, "test_x", "test_y", &s->test);
}

struct status golden_teacher(const char *directory, const json_t *entry,
                             struct verdict *v)
{
    AUTO(study_release) struct study s = { .file = NULL };

    (void)v;
    TRY_PLAIN(open_study(&s, directory, entry));
    for (size_t b = 0; b < BATCHES; b++)
        TRY_PLAIN(fill_row(&s, b));
    return judge(&s);
}
