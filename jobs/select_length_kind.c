/* select_length_kind.c -- the kind `select_length`: how many tokens the samples
 * of a part have, for a model whose tokenizer cuts them. Nothing is sent
 * through it. */
#include "common/memory.h"
#include "jobs/job_kind.h"
#include "jobs/select_keys.h"
#include "jobs/select_rows.h"

static const struct catalog_key keys[] = {
    SELECT_POOL_KEYS,
    { .name = "model",
      .type = KEY_MODEL,
      .required = true,
      .help = "whose tokens they are" },
    SELECT_PART_KEYS,
    { .name = NULL },
};

MUST_CHECK static struct status write_blocks(struct select_work *w)
{
    size_t first, count;

    while (select_part_next(&w->part, &first, &count)) {
        uint32_t prompt[SELECT_BLOCK], answer[SELECT_BLOCK];
        double tokens[SELECT_BLOCK];
        const void *columns[SELECT_COLUMNS] = {
            [SELECT_ANSWER] = answer,
            [SELECT_DAMAGE] = tokens,
            [SELECT_PROMPT] = prompt,
        };

        for (size_t i = 0; i < count; i++) {
            struct select_sample s = select_work_get(w, first + i);

            prompt[i] = (uint32_t)s.prompt;
            answer[i] = (uint32_t)s.answer;
            tokens[i] = (double)s.prompt + (double)s.answer;
        }
        TRY_PLAIN(select_part_add(&w->part, columns));
    }
    return SUCCESS;
}

MUST_CHECK static struct status work(struct select_work *w, json_t **ret_result)
{
    AUTO(json_release) json_t *notes = json_object();
    char artifact[DIGEST_TEXT];

    TRY_PLAIN(select_work_open(w, "model"));
    w->part.columns = select_damage_columns;
    w->part.column_count = SELECT_DAMAGE_COLUMNS;
    TRY_PLAIN(select_part_open(&w->part));
    TRY_PLAIN(write_blocks(w));
    TRY_PLAIN(select_part_finish(&w->part, notes, artifact));
    *ret_result = select_part_result(w, artifact);
    return SUCCESS;
}

static struct status run(const json_t *params, struct job_context *context,
                         json_t **ret_result)
{
    AUTO(select_work_release)
    struct select_work w = { .params = params, .context = context };

    TRY(work(&w, ret_result), "select");
    return SUCCESS;
}

extern const struct job_kind job_select_length;
const struct job_kind job_select_length = {
    .catalog = { .name = "select_length",
                 .summary = "how many tokens samples have; made by `select`",
                 .sort = STAGE_ARTIFACT,
                 .keys = keys },
    .run = run,
};
