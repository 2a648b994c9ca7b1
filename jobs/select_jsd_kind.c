/* select_jsd_kind.c -- the kind `select_jsd`: how far a pruned model's
 * predictions for the samples of a part are from those of the original, whose
 * hidden states are there already. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "jobs/job_kind.h"
#include "jobs/select_head.h"
#include "jobs/select_keys.h"
#include "jobs/select_rows.h"

static const struct catalog_key keys[] = {
    SELECT_POOL_KEYS,
    { .name = "original",
      .type = KEY_MODEL,
      .required = true,
      .help = "the model before pruning: its head" },
    { .name = "pruned",
      .type = KEY_MODEL,
      .required = true,
      .help = "what it is compared with" },
    { .name = "hidden",
      .type = KEY_MODEL,
      .required = true,
      .help = "the select_hidden of the part" },
    { .name = "tau",
      .type = KEY_NUMBER,
      .least = 1e-6,
      .most = 1e6,
      .otherwise = "1",
      .help = "temperature of both softmaxes" },
    SELECT_FORM_KEY,
    SELECT_PART_KEYS,
    { .name = NULL },
};

const struct select_column select_damage_columns[SELECT_DAMAGE_COLUMNS] = {
    [SELECT_ANSWER] = { "answer", DTYPE_U32, 1, false },
    [SELECT_DAMAGE] = { "damage", DTYPE_F64, 1, false },
    [SELECT_PROMPT] = { "prompt", DTYPE_U32, 1, false },
};

struct damage {
    struct select_work work; /* with the pruned model */
    struct select_rows rows;
    struct select_head original;
    struct select_opened hidden;
    struct jsd_pair pair;
    float *states; /* of the original */
};

static void release(struct damage *d)
{
    select_rows_release(&d->rows);
    select_head_release(&d->original);
    select_opened_release(&d->hidden);
    select_work_release(&d->work);
    free(d->states);
}

/* How a model is called in a message. */
static const char *name_of(const json_t *model, char *text, size_t size)
{
    const char *url =
        json_text_or(json_object_get(model, "$source"), "url", NULL);
    const char *job = json_text_or(model, "$job", NULL);
    const char *kind =
        json_text_or(json_object_get(model, "$recipe"), "kind", "model");

    if (url != NULL)
        (void)snprintf(text, size, "%.200s", url);
    else if (job != NULL)
        (void)snprintf(text, size, "result of the job %.8s", job);
    else
        (void)snprintf(text, size, "%.60s", kind);
    return text;
}

MUST_CHECK static struct status check_alike(const struct damage *d)
{
    const json_t *params = d->work.params;
    const struct jsd_pair *p = &d->pair;
    char original[256], pruned[256];

    if (p->original.vocabulary == p->pruned.vocabulary)
        return jsd_check(p);
    return FAIL(
        STATUS_INVALID,
        "the models cannot be compared: the original (%s) has a vocabulary of "
        "%zu, the pruned one (%s) of %zu",
        name_of(json_object_get(params, "original"), original,
                sizeof(original)),
        p->original.vocabulary,
        name_of(json_object_get(params, "pruned"), pruned, sizeof(pruned)),
        p->pruned.vocabulary);
}

MUST_CHECK static struct status open_pair(struct damage *d)
{
    const json_t *params = d->work.params;
    struct job_context *context = d->work.context;

    TRY(select_head_open(json_object_get(params, "original"), context,
                         &d->original),
        "original");
    TRY(select_head_of(d->work.input.model, &d->pair.pruned), "pruned");
    d->pair.original = d->original.head;
    d->pair.tau = json_real_or(params, "tau", 1.0);
    TRY_PLAIN(check_alike(d));
    TRY(select_open(json_object_get(params, "hidden"), context, &d->hidden),
        "hidden");
    return model_input_fits(
        (size_t)jsd_memory(d->pair.original.vocabulary, context->threads),
        "a divergence", context);
}

/* A column of the original's part. */
MUST_CHECK static struct status block_of(const struct damage *d, size_t first,
                                         size_t column,
                                         const struct tensor **ret_tensor)
{
    const struct select_column columns[SELECT_HIDDEN_COLUMNS] =
        SELECT_HIDDEN_TABLE(d->pair.original.width);

    return select_part_block(&d->hidden, first, &columns[column], ret_tensor);
}

/* Both tokenizers cut the samples of a block in the same way? */
MUST_CHECK static struct status check_tokens(const struct damage *d,
                                             size_t first, size_t count)
{
    const struct tensor *prompt, *answer;
    size_t size = count * sizeof(uint32_t);

    TRY_PLAIN(block_of(d, first, SELECT_HIDDEN_PROMPT, &prompt));
    TRY_PLAIN(block_of(d, first, SELECT_HIDDEN_ANSWER, &answer));
    if (prompt->count == count && answer->count == count &&
        memcmp(prompt->data, d->rows.prompt, size) == 0 &&
        memcmp(answer->data, d->rows.answer, size) == 0)
        return SUCCESS;
    return FAIL(STATUS_INVALID,
                "the models cannot be compared: their tokenizers cut the "
                "samples from number %zu on in different ways",
                first + 1);
}

/* The original's states of a block, those rows that the pruned model has. */
MUST_CHECK static struct status read_states(struct damage *d, size_t first,
                                            size_t count)
{
    size_t line = d->pair.original.width * sizeof(float), at = 0;
    const struct tensor *rows, *states;

    TRY_PLAIN(check_tokens(d, first, count));
    TRY_PLAIN(block_of(d, first, SELECT_HIDDEN_ROWS, &rows));
    TRY_PLAIN(block_of(d, first, SELECT_HIDDEN_STATES, &states));
    for (size_t i = 0; i < count; i++) {
        struct select_sample s = select_work_get(&d->work, first + i);
        size_t from, wanted = select_rows_of(&d->rows, &s, &from);
        uint32_t there;

        memcpy(&there, (const char *)rows->data + i * sizeof(there),
               sizeof(there));
        if (from + wanted > there || at + there > states->shape[0])
            return FAIL(STATUS_CORRUPT,
                        "hidden states of sample %zu are not all there",
                        first + i + 1);
        memcpy(d->states + d->rows.starts[i] * d->pair.original.width,
               (const char *)states->data + (at + from) * line, wanted * line);
        at += there;
    }
    return SUCCESS;
}

MUST_CHECK static struct status write_blocks(struct damage *d)
{
    struct select_part *part = &d->work.part;
    const struct crew crew = { .threads = d->work.context->threads,
                               .cancelled = d->work.context->cancelled,
                               .self = d->work.context->self };
    size_t first, count;

    while (select_part_next(part, &first, &count)) {
        const void *columns[SELECT_COLUMNS];
        double damage[SELECT_BLOCK];

        TRY_PLAIN(select_rows_fill(&d->rows, first, count));
        TRY_PLAIN(read_states(d, first, count));
        TRY_PLAIN(jsd_samples(&crew, &d->pair, d->states, d->rows.states,
                              d->rows.starts, count, d->rows.form, damage));
        columns[SELECT_ANSWER] = d->rows.answer;
        columns[SELECT_DAMAGE] = damage;
        columns[SELECT_PROMPT] = d->rows.prompt;
        TRY_PLAIN(select_part_add(part, columns));
    }
    return SUCCESS;
}

MUST_CHECK static struct status work(struct damage *d, json_t **ret_result)
{
    char artifact[DIGEST_TEXT];
    AUTO(json_release) json_t *notes = NULL;

    TRY_PLAIN(select_work_open(&d->work, "pruned"));
    TRY_PLAIN(open_pair(d));
    d->work.part.columns = select_damage_columns;
    d->work.part.column_count = SELECT_DAMAGE_COLUMNS;
    d->rows.work = &d->work;
    TRY_PLAIN(select_rows_open(&d->rows));
    d->states = xcalloc_large(
        select_rows_most(&d->work.part) * d->pair.original.width + 1,
        sizeof(float));
    TRY_PLAIN(select_part_open(&d->work.part));
    TRY_PLAIN(write_blocks(d));
    notes = json_pack("{ss sf}", "jsd", jsd_form_name(d->rows.form), "tau",
                      d->pair.tau);
    TRY_PLAIN(select_part_finish(&d->work.part, notes, artifact));
    *ret_result = select_part_result(&d->work, artifact);
    return SUCCESS;
}

static struct status run(const json_t *params, struct job_context *context,
                         json_t **ret_result)
{
    AUTO(release)
    struct damage d = { .work = { .params = params, .context = context } };

    TRY(work(&d, ret_result), "select");
    return SUCCESS;
}

extern const struct job_kind job_select_jsd;
const struct job_kind job_select_jsd = {
    .catalog = { .name = "select_jsd",
                 .summary = "how far a pruned model is from the original on "
                            "samples; made by `select`",
                 .sort = STAGE_ARTIFACT,
                 .keys = keys },
    .run = run,
};
