/* select_encode_kind.c -- the kind `select_encode`: instructions of a part of
 * the samples as points, by an encoder made for it. */
#include <stdlib.h>

#include "common/memory.h"
#include "jobs/job_kind.h"
#include "jobs/model_input.h"
#include "jobs/recipe.h"
#include "jobs/select/embed.h"
#include "jobs/select_keys.h"

static const struct catalog_key keys[] = {
    SELECT_POOL_KEYS,
    { .name = "model",
      .type = KEY_MODEL,
      .required = true,
      .help = "a BERT encoder" },
    SELECT_PART_KEYS,
    { .name = NULL },
};

struct encoding {
    struct select_samples samples;
    struct select_part part;
    struct select_column column;
    struct select_minilm *minilm;
    float *rows; /* [SELECT_BLOCK][width] */
};

static void release(struct encoding *e)
{
    free(e->rows);
    select_minilm_close(e->minilm);
    select_part_release(&e->part);
    select_samples_release(&e->samples);
}

MUST_CHECK static struct status open_encoder(struct encoding *e)
{
    const char *directory;

    TRY(recipe_path(json_object_get(e->part.params, "model"), e->part.context,
                    &directory),
        "embed");
    TRY(select_minilm_open(directory, &e->minilm), "embed");
    e->column = (struct select_column){ "summed", DTYPE_F32,
                                        select_minilm_width(e->minilm), false };
    e->part.columns = &e->column;
    e->part.column_count = 1;
    e->rows = xcalloc(SELECT_BLOCK * e->column.width, sizeof(*e->rows));
    return SUCCESS;
}

MUST_CHECK static struct status write_blocks(struct encoding *e)
{
    size_t first, count;

    while (select_part_next(&e->part, &first, &count)) {
        const void *columns[SELECT_COLUMNS] = { e->rows };

        TRY_PLAIN(select_minilm_embed(e->minilm, &e->samples, first, count,
                                      e->part.context, e->rows));
        TRY_PLAIN(select_part_add(&e->part, columns));
    }
    return SUCCESS;
}

MUST_CHECK static struct status work(struct encoding *e, json_t **ret_result)
{
    AUTO(json_release) json_t *notes = json_object();
    char artifact[DIGEST_TEXT];

    TRY_PLAIN(select_samples_open(json_object_get(e->part.params, "data"),
                                  e->part.context, &e->samples));
    TRY_PLAIN(select_part_range(&e->part, e->samples.kept_count));
    TRY_PLAIN(open_encoder(e));
    TRY_PLAIN(select_part_open(&e->part));
    TRY_PLAIN(write_blocks(e));
    TRY_PLAIN(select_part_finish(&e->part, notes, artifact));
    *ret_result =
        json_pack("{ss s{sI}}", "artifact", artifact, "metrics", "samples",
                  (json_int_t)(e->part.end - e->part.first));
    return SUCCESS;
}

static struct status run(const json_t *params, struct job_context *context,
                         json_t **ret_result)
{
    AUTO(release)
    struct encoding e = { .part = { .params = params, .context = context } };

    TRY(work(&e, ret_result), "select");
    return SUCCESS;
}

extern const struct job_kind job_select_encode;
const struct job_kind job_select_encode = {
    .catalog = { .name = "select_encode",
                 .summary = "samples as points, by an encoder; made by "
                            "`select`",
                 .sort = STAGE_ARTIFACT,
                 .keys = keys },
    .run = run,
};
