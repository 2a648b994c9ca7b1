/* select_ifd_kind.c -- the kind `select_ifd`: how much an instruction helps a
 * model to its answer,
 *
 *     IFD(x, y) = loss(y | x) / loss(y)
 *
 * with mean losses of the answer's tokens. Source: Li et al., "From quantity
 * to quality", 2023. */
#include <math.h>
#include <string.h>

#include "common/memory.h"
#include "jobs/job_kind.h"
#include "jobs/select_keys.h"
#include "jobs/select_rows.h"

static const struct catalog_key keys[] = {
    SELECT_POOL_KEYS,
    { .name = "model",
      .type = KEY_MODEL,
      .required = true,
      .help = "whose losses they are" },
    SELECT_PART_KEYS,
    { .name = NULL },
};

enum { GIVEN, ALONE, WAYS }; /* behind its instruction, or without it */

struct ratios {
    struct select_work work;
    size_t first;
    double losses[SELECT_BLOCK][WAYS]; /* NaN: none */
};

static void release(struct ratios *r)
{
    select_work_release(&r->work);
}

/* What the tokenizer puts in front of a text, and the answer. */
static bool add_alone(struct batch *b, const struct select_sample *s)
{
    size_t front = s->instruction_first;
    AUTO(free_pointer)
    int32_t *tokens = xcalloc(front + s->answer, sizeof(*tokens));

    memcpy(tokens, s->tokens, front * sizeof(*tokens));
    memcpy(tokens + front, s->tokens + s->prompt, s->answer * sizeof(*tokens));
    return batch_add(b, tokens, front + s->answer, front);
}

static bool add(void *self, struct batch *b, size_t i)
{
    const struct ratios *r = self;
    struct select_sample s = select_work_get(&r->work, i / WAYS);

    if (s.invalid != NULL || s.answer == 0)
        return true;
    if (i % WAYS == ALONE)
        return add_alone(b, &s);
    return batch_add(b, s.tokens, s.prompt + s.answer, s.prompt);
}

static void take(void *self, size_t i, size_t row, size_t rows)
{
    struct ratios *r = self;
    const float *losses = pass_losses(r->work.pass) + row;
    const int32_t *labels = r->work.batch.labels + row;
    double sum = 0.0;
    size_t count = 0;

    for (size_t k = 0; k < rows; k++) {
        if (labels[k] == OP_NO_LABEL)
            continue;
        sum += (double)losses[k];
        count++;
    }
    r->losses[i / WAYS - r->first][i % WAYS] =
        count == 0 ? (double)NAN : sum / (double)count;
}

/* The losses of a block become its ratios. */
static void divide(const struct ratios *r, size_t count, double *ret_ratios)
{
    for (size_t i = 0; i < count; i++) {
        double given = r->losses[i][GIVEN], alone = r->losses[i][ALONE];

        ret_ratios[i] =
            isfinite(given) && alone > 0.0 ? given / alone : (double)NAN;
    }
}

MUST_CHECK static struct status write_blocks(struct ratios *r)
{
    const struct select_sender sender = { add, take, r };
    size_t first, count;

    while (select_part_next(&r->work.part, &first, &count)) {
        uint32_t prompt[SELECT_BLOCK], answer[SELECT_BLOCK];
        double ratios[SELECT_BLOCK];
        const void *columns[SELECT_COLUMNS] = {
            [SELECT_ANSWER] = answer,
            [SELECT_DAMAGE] = ratios,
            [SELECT_PROMPT] = prompt,
        };

        r->first = first;
        for (size_t i = 0; i < count; i++) {
            struct select_sample s = select_work_get(&r->work, first + i);

            prompt[i] = (uint32_t)s.prompt;
            answer[i] = (uint32_t)s.answer;
            r->losses[i][GIVEN] = r->losses[i][ALONE] = (double)NAN;
        }
        TRY_PLAIN(
            select_work_send(&r->work, &sender, WAYS * first, WAYS * count));
        divide(r, count, ratios);
        TRY_PLAIN(select_part_add(&r->work.part, columns));
    }
    return SUCCESS;
}

MUST_CHECK static struct status work(struct ratios *r, json_t **ret_result)
{
    AUTO(json_release) json_t *notes = json_object();
    char artifact[DIGEST_TEXT];

    TRY_PLAIN(select_work_open(&r->work, "model"));
    r->work.part.columns = select_damage_columns;
    r->work.part.column_count = SELECT_DAMAGE_COLUMNS;
    TRY_PLAIN(select_work_pass(&r->work, false));
    TRY_PLAIN(select_part_open(&r->work.part));
    TRY_PLAIN(write_blocks(r));
    TRY_PLAIN(select_part_finish(&r->work.part, notes, artifact));
    *ret_result = select_part_result(&r->work, artifact);
    return SUCCESS;
}

static struct status run(const json_t *params, struct job_context *context,
                         json_t **ret_result)
{
    AUTO(release)
    struct ratios r = { .work = { .params = params, .context = context } };

    TRY(work(&r, ret_result), "select");
    return SUCCESS;
}

extern const struct job_kind job_select_ifd;
const struct job_kind job_select_ifd = {
    .catalog = { .name = "select_ifd",
                 .summary = "how much instructions help a model; made by "
                            "`select`",
                 .sort = STAGE_ARTIFACT,
                 .keys = keys },
    .run = run,
};
