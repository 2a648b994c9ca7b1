/* compare_cka.c -- how alike what two models say of the same data is. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "jobs/compare.h"
#include "jobs/evaluation.h"
#include "jobs/job_kind.h"
#include "model/similarity.h"

static const char *const output_words[] = { "softmax", "logits", NULL };
static const char *const form_words[] = { "feature", "gram", "debiased", NULL };

static const struct catalog_key keys[] = {
    { .name = "models",
      .type = KEY_LIST,
      .keys = compare_row,
      .help = "what is compared; or `across: replicates`" },
    { .name = "data",
      .type = KEY_DATA,
      .required = true,
      .keys = data_keys,
      .help = "what both were trained on" },
    { .name = "limit",
      .type = KEY_INTEGER,
      .least = 4,
      .most = 1 << 20,
      .otherwise = "6464",
      .help = "only the first images, or windows of text" },
    { .name = "output",
      .type = KEY_WORD,
      .words = output_words,
      .otherwise = "\"softmax\"",
      .help = "what of the models is compared" },
    { .name = "form",
      .type = KEY_WORD,
      .words = form_words,
      .otherwise = "\"feature\"",
      .help = "feature and gram are two ways to one number; debiased leaves "
              "out what few items have in common by chance" },
    { .name = NULL },
};

static json_t *metrics(const json_t *body)
{
    (void)body;
    return json_pack("[ss]", "similarity", "rows");
}

struct outputs {
    struct compare pair;
    const json_t *params;
    struct job_context *context;
    float *rows[2]; /* [count][width] each */
    size_t count, width;
};

static void release(struct outputs *o)
{
    free(o->rows[0]);
    free(o->rows[1]);
    compare_release(&o->pair);
}

static enum cka_form form_of(const json_t *params)
{
    const char *word = json_text_or(params, "form", form_words[0]);

    for (size_t i = 0; form_words[i] != NULL; i++)
        if (strcmp(form_words[i], word) == 0)
            return (enum cka_form)i;
    return CKA_FEATURE;
}

static void softmax(const float *logits, size_t width, float *ret_shares)
{
    float most = logits[0];
    double sum = 0.0;

    for (size_t i = 1; i < width; i++)
        most = logits[i] > most ? logits[i] : most;
    for (size_t i = 0; i < width; i++)
        sum += exp((double)(logits[i] - most));
    for (size_t i = 0; i < width; i++)
        ret_shares[i] = (float)(exp((double)(logits[i] - most)) / sum);
}

/* Rows of a batch behind those there are. */
struct sink {
    const struct outputs *o;
    float *to;
    bool shares;
    size_t count;
};

static void take_rows(void *self, const float *logits, size_t rows)
{
    struct sink *s = self;
    size_t width = s->o->width, room = s->o->count - s->count;

    rows = rows < room ? rows : room;
    for (size_t i = 0; i < rows; i++, s->count++) {
        float *to = s->to + s->count * width;

        if (s->shares)
            softmax(logits + i * width, width, to);
        else
            memcpy(to, logits + i * width, width * sizeof(*to));
    }
}

static struct status take_room(struct outputs *o, const struct evaluation *e)
{
    struct cka_pair pair = { .rows = e->items };
    size_t bytes;

    if (!data_has_images(&e->data))
        pair.rows = e->items * e->data.window;
    o->count = pair.rows;
    o->width = e->model->config.vocab;
    pair.x_width = pair.y_width = o->width;
    bytes = cka_bytes(&pair, form_of(o->params)) +
            2 * sizeof(float) * o->count * o->width;
    TRY_PLAIN(model_input_fits(bytes, "comparison of outputs", o->context));
    for (size_t i = 0; i < 2; i++) {
        o->rows[i] = calloc(o->count * o->width, sizeof(float));
        if (o->rows[i] == NULL)
            return FAIL(STATUS_NO_MEMORY, "no memory for outputs: %zu bytes",
                        bytes);
    }
    return SUCCESS;
}

static struct status send(struct outputs *o, struct evaluation *e, size_t i)
{
    const char *output = json_text_or(o->params, "output", output_words[0]);
    struct sink sink = { .o = o,
                         .shares = strcmp(output, output_words[0]) == 0 };

    e->items =
        evaluation_limited(e, (uint64_t)json_int_or(o->params, "limit", 6464));
    if (i == 0)
        TRY_PLAIN(take_room(o, e));
    sink.to = o->rows[i];
    TRY_PLAIN(evaluation_outputs(e, take_rows, &sink));
    o->count = sink.count; /* of text, windows may be shorter */
    return SUCCESS;
}

static struct status send_through(struct outputs *o, size_t i)
{
    const struct model_input *in = i == 0 ? &o->pair.first : &o->pair.second;
    AUTO(evaluation_release) struct evaluation e = { .context = NULL };

    TRY_PLAIN(evaluation_open(in->model, in->tokenizer,
                              json_object_get(o->params, "data"), 0, o->context,
                              &e));
    return send(o, &e, i);
}

static struct status compute(struct outputs *o, double *ret_similarity)
{
    struct cka_pair pair;

    TRY_PLAIN(compare_open(o->params, o->context, &o->pair));
    for (size_t i = 0; i < 2; i++)
        TRY(send_through(o, i), "%s model", i == 0 ? "first" : "second");
    pair = (struct cka_pair){ o->count, o->rows[0], o->rows[1], o->width,
                              o->width };
    return cka(&pair, form_of(o->params), ret_similarity);
}

static struct status run(const json_t *params, struct job_context *context,
                         json_t **ret_result)
{
    struct outputs o = { .params = params, .context = context };
    double similarity = 0.0;
    struct status st = compute(&o, &similarity);

    release(&o);
    if (status_failed(&st))
        return status_wrap(st, "cka");
    *ret_result = json_pack("{s{sf sI}}", "metrics", "similarity", similarity,
                            "rows", (json_int_t)o.count);
    return SUCCESS;
}

extern const struct job_kind job_evaluate_cka;
const struct job_kind job_evaluate_cka = {
    .catalog = { .name = "evaluate.cka",
                 .summary = "how alike the outputs of two models are",
                 .example = "models: [./a, ./b]\n"
                            "data: {builtin: teacher10k, split: train}\n",
                 .sort = STAGE_VALUE,
                 .keys = keys,
                 .normalise = compare_normalise,
                 .metrics = metrics },
    .run = run,
};
