/* select_embed_kind.c -- the kind `select_embed`: all samples as points, of
 * what the parts made of them or of their texts alone. */
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "jobs/job_kind.h"
#include "jobs/model_input.h"
#include "jobs/select/embed.h"
#include "jobs/select_keys.h"

static const char *const embed_words[] = { "hidden", "tfidf", "encoder", NULL };

static const struct catalog_key keys[] = {
    { .name = "embed",
      .type = KEY_WORD,
      .required = true,
      .words = embed_words,
      .help = "what points are made of" },
    { .name = "parts",
      .type = KEY_LIST,
      .keys = select_job_row,
      .help = "select_hidden or select_encode, in order" },
    { .name = "data",
      .type = KEY_DATA,
      .keys = data_keys,
      .help = "tfidf: the texts" },
    { .name = "version",
      .type = KEY_TEXT,
      .help = "of what is computed; another one gives other numbers" },
    { .name = NULL },
};

struct points {
    const json_t *params;
    struct job_context *context;
    float *rows; /* [count][width] */
    size_t count, width;
};

static void release(struct points *p)
{
    free(p->rows);
}

MUST_CHECK static struct status of_texts(struct points *p)
{
    AUTO(select_samples_release) struct select_samples s = { .count = 0 };

    TRY_PLAIN(select_samples_open(json_object_get(p->params, "data"),
                                  p->context, &s));
    p->count = s.kept_count;
    p->width = SELECT_TFIDF_WIDTH;
    TRY_PLAIN(model_input_fits(p->count * p->width * sizeof(*p->rows),
                               "texts as points", p->context));
    p->rows = xcalloc_large(p->count * p->width + 1, sizeof(*p->rows));
    select_tfidf(&s, p->rows);
    return SUCCESS;
}

/* The width of a part's column that is not empty; 0: all are. */
MUST_CHECK static struct status find_width(struct points *p, const json_t *list)
{
    for (size_t i = 0; i < json_array_size(list) && p->width == 0; i++) {
        AUTO(select_opened_release) struct select_opened o = { .file = NULL };
        const struct tensor_set *set;

        TRY_PLAIN(select_open(json_array_get(list, i), p->context, &o));
        set = st_model_tensors(o.file);
        for (size_t k = 0; k < set->count && p->width == 0; k++) {
            const char *dot = strchr(set->items[k].name, '.');

            if (dot != NULL && strcmp(dot, ".summed") == 0)
                p->width = (size_t)set->items[k].shape[1];
        }
    }
    return SUCCESS;
}

MUST_CHECK static struct status of_parts(struct points *p, bool centre)
{
    const json_t *list = json_object_get(p->params, "parts");
    struct select_column column = { "summed", DTYPE_F32, 1, false };
    void *rows = NULL;

    TRY_PLAIN(find_width(p, list));
    column.width = p->width;
    TRY_PLAIN(select_parts_take(list, p->context, &column, &rows, &p->count));
    p->rows = rows;
    if (centre)
        select_centre(p->rows, p->count, p->width);
    return SUCCESS;
}

static struct status run(const json_t *params, struct job_context *context,
                         json_t **ret_result)
{
    const char *embed = json_text_or(params, "embed", "");
    AUTO(release) struct points p = { .params = params, .context = context };
    AUTO(json_release) json_t *notes = NULL;
    struct select_store out = { .count = 0 };
    char artifact[DIGEST_TEXT];

    if (strcmp(embed, "tfidf") == 0)
        TRY(of_texts(&p), "select: embed");
    else
        TRY(of_parts(&p, strcmp(embed, "hidden") == 0), "select: embed");
    notes = json_pack("{ss sI sI}", "embed", embed, "samples",
                      (json_int_t)p.count, "width", (json_int_t)p.width);
    select_store_add(&out, "points", DTYPE_F32, p.count, p.width, p.rows);
    TRY(select_store_put(&out, notes, context, artifact), "select: embed");
    *ret_result =
        json_pack("{ss s{sI sI}}", "artifact", artifact, "metrics", "samples",
                  (json_int_t)p.count, "width", (json_int_t)p.width);
    return SUCCESS;
}

extern const struct job_kind job_select_embed;
const struct job_kind job_select_embed = {
    .catalog = { .name = "select_embed",
                 .summary = "all samples as points; made by `select`",
                 .sort = STAGE_ARTIFACT,
                 .keys = keys },
    .run = run,
};
