/* select_hidden_kind.c -- the kind `select_hidden`: what a model makes of the
 * samples of a part before its head turns it into words. One pass of the
 * original model serves all that are compared with it, and embeddings. */
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "jobs/data.h"
#include "jobs/job_kind.h"
#include "jobs/select/embed.h"
#include "jobs/select_keys.h"
#include "jobs/select_rows.h"

static const struct catalog_key keys[] = {
    SELECT_POOL_KEYS,
    { .name = "model",
      .type = KEY_MODEL,
      .required = true,
      .help = "what the samples are sent through" },
    SELECT_PART_KEYS,
    { .name = NULL },
};

/* A block on its way to the file. */
struct hidden {
    struct select_work work;
    struct select_rows rows;
    struct select_column columns[SELECT_HIDDEN_COLUMNS];
    float *summed; /* [SELECT_BLOCK][width] */
};

static void release(struct hidden *h)
{
    select_rows_release(&h->rows);
    select_work_release(&h->work);
    free(h->summed);
}

static void name_columns(struct hidden *h)
{
    size_t width = h->work.input.model->config.hidden;
    const struct select_column columns[SELECT_HIDDEN_COLUMNS] =
        SELECT_HIDDEN_TABLE(width);

    memcpy(h->columns, columns, sizeof(columns));
    h->work.part.columns = h->columns;
    h->work.part.column_count = SELECT_HIDDEN_COLUMNS;
}

/* Beside the rows: what the instruction alone comes to. */
static void pool(void *self, size_t place, const float *states)
{
    struct hidden *h = self;
    size_t width = h->rows.width;
    struct select_sample s = select_work_get(&h->work, place);

    select_pool(states + s.instruction_first * width, s.instruction_count,
                width, h->summed + (place - h->rows.first) * width);
}

MUST_CHECK static struct status write_blocks(struct hidden *h)
{
    struct select_part *part = &h->work.part;
    size_t first, count;

    while (select_part_next(part, &first, &count)) {
        const void *columns[SELECT_COLUMNS];

        memset(h->summed, 0, SELECT_BLOCK * h->rows.width * sizeof(float));
        TRY_PLAIN(select_rows_fill(&h->rows, first, count));
        columns[SELECT_HIDDEN_ANSWER] = h->rows.answer;
        columns[SELECT_HIDDEN_PROMPT] = h->rows.prompt;
        columns[SELECT_HIDDEN_ROWS] = h->rows.count;
        columns[SELECT_HIDDEN_STATES] = h->rows.states;
        columns[SELECT_HIDDEN_SUMMED] = h->summed;
        TRY_PLAIN(select_part_add(part, columns));
    }
    return SUCCESS;
}

MUST_CHECK static struct status work(struct hidden *h, json_t **ret_result)
{
    char artifact[DIGEST_TEXT];
    AUTO(json_release) json_t *notes = NULL;

    TRY_PLAIN(select_work_open(&h->work, "model"));
    name_columns(h);
    h->rows.work = &h->work;
    h->rows.whole = true;
    TRY_PLAIN(select_rows_open(&h->rows));
    h->rows.pool = pool;
    h->rows.self = h;
    h->summed = xcalloc(SELECT_BLOCK * h->rows.width, sizeof(float));
    TRY_PLAIN(select_part_open(&h->work.part));
    TRY_PLAIN(write_blocks(h));
    notes = json_pack("{sI sI}", "vocabulary",
                      (json_int_t)h->work.input.model->config.vocab, "width",
                      (json_int_t)h->rows.width);
    TRY_PLAIN(select_part_finish(&h->work.part, notes, artifact));
    *ret_result = select_part_result(&h->work, artifact);
    return SUCCESS;
}

static struct status run(const json_t *params, struct job_context *context,
                         json_t **ret_result)
{
    AUTO(release)
    struct hidden h = { .work = { .params = params, .context = context } };

    TRY(work(&h, ret_result), "select");
    return SUCCESS;
}

extern const struct job_kind job_select_hidden;
const struct job_kind job_select_hidden = {
    .catalog = { .name = "select_hidden",
                 .summary = "what a model makes of samples before its head; "
                            "made by `select`",
                 .sort = STAGE_ARTIFACT,
                 .keys = keys },
    .run = run,
};
