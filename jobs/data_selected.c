/* data_selected.c -- what `select` chose of some data, as items: the artifact
 * says of which data, and which samples in what order. */
#include <stdlib.h>
#include <string.h>

#include "common/file.h"
#include "common/limits.h"
#include "common/memory.h"
#include "jobs/data_parts.h"
#include "jobs/recipe.h"
#include "jobs/select/samples.h"

struct chosen {
    json_t *head;      /* selection.json */
    uint32_t *numbers; /* of samples */
    size_t count;
};

static void chosen_release(struct chosen *c)
{
    json_decref(c->head);
    free(c->numbers);
}

/* {"id": ...} a line. */
MUST_CHECK static struct status read_ids(const char *path, struct chosen *c)
{
    AUTO(free_pointer) char *text = NULL;
    size_t size, room = 0, line = 0;

    TRY_PLAIN(file_read(path, DATA_RECORDS_LIMIT, &text, &size));
    for (size_t at = 0; at < size;) {
        const char *end = memchr(text + at, '\n', size - at);
        size_t length = end == NULL ? size - at : (size_t)(end - text) - at;
        AUTO(json_release) json_t *one = NULL;
        int64_t id = 0;

        line++;
        TRY(json_parse(text + at, length, path, &one), "line %zu", line);
        TRY(json_member_int(one, "id", &id), "%s, line %zu", path, line);
        if (id < 0 || id > UINT32_MAX)
            return FAIL(STATUS_CORRUPT, "%s, line %zu: no number of a sample",
                        path, line);
        if (c->count == room) {
            room = room == 0 ? 256 : 2 * room;
            c->numbers = xrealloc(c->numbers, room * sizeof(*c->numbers));
        }
        c->numbers[c->count++] = (uint32_t)id;
        at += length + 1;
    }
    return SUCCESS;
}

MUST_CHECK static struct status read_chosen(const json_t *value,
                                            struct job_context *context,
                                            struct chosen *c)
{
    AUTO(free_pointer) char *head = NULL;
    AUTO(free_pointer) char *ids = NULL;
    AUTO(free_pointer) char *left_out = NULL;
    const char *directory;

    TRY_PLAIN(recipe_path(value, context, &directory));
    head = xasprintf("%s/selection.json", directory);
    ids = xasprintf("%s/selection.jsonl", directory);
    TRY_PLAIN(json_parse_file(head, LIMIT_COMPANION, &c->head));
    TRY_PLAIN(read_ids(ids, c));
    if (c->count > 0)
        return SUCCESS;
    left_out = json_shown_line(json_object_get(c->head, "reasons"));
    return FAIL(STATUS_INVALID,
                "the selection is empty: its budget is %lld of %lld samples; "
                "left out: %s",
                (long long)json_int_or(c->head, "budget", 0),
                (long long)json_int_or(c->head, "samples", 0), left_out);
}

/* ---- as items ------------------------------------------------------------------ */

static int by_number(const void *a, const void *b)
{
    size_t x = *(const size_t *)a, y = *(const size_t *)b;

    return (x > y) - (x < y);
}

/* One sample behind those that are there. */
MUST_CHECK static struct status add_sample(struct select_samples *s,
                                           const struct select_encoding *e,
                                           size_t number, struct data *d)
{
    const size_t *place =
        bsearch(&number, s->kept, s->kept_count, sizeof(*s->kept), by_number);
    struct data_tokens *t = &d->tokens;
    struct select_sample one;
    size_t size;

    if (place == NULL)
        return FAIL(STATUS_INVALID,
                    "sample %zu was selected, but the data has it no more",
                    number);
    TRY_PLAIN(select_samples_encode(s, e, (size_t)(place - s->kept), 1));
    one = select_samples_get(s, number);
    size = one.prompt + one.answer;
    if (one.invalid != NULL || size < 2)
        return SUCCESS; /* nothing of it can be predicted */
    t->tokens = xrealloc(t->tokens, (t->count + size) * sizeof(*t->tokens));
    memcpy(t->tokens + t->count, one.tokens, size * sizeof(*t->tokens));
    t->first[d->items] = s->answers ? one.prompt : 0;
    t->count += size;
    t->starts[++d->items] = t->count;
    d->window = size > d->window ? size : d->window;
    return SUCCESS;
}

static size_t length_of(const struct data_use *use)
{
    if (use->window != 0)
        return use->window;
    return use->positions != 0 && use->positions < DATA_ANY_LENGTH
               ? use->positions
               : (size_t)DATA_ANY_LENGTH;
}

static struct status open_selected(const json_t *value,
                                   const struct data_use *use,
                                   struct job_context *context, struct data *d)
{
    AUTO(chosen_release) struct chosen c = { .head = NULL };
    AUTO(select_samples_release) struct select_samples s = { .count = 0 };
    const struct select_encoding encoding = { use->tokenizer, length_of(use) };

    TRY_PLAIN(read_chosen(value, context, &c));
    TRY_PLAIN(
        select_samples_open(json_object_get(c.head, "data"), context, &s));
    d->tokens.starts = xcalloc(c.count + 1, sizeof(*d->tokens.starts));
    d->tokens.first = xcalloc(c.count + 1, sizeof(*d->tokens.first));
    for (size_t i = 0; i < c.count; i++)
        TRY_PLAIN(add_sample(&s, &encoding, c.numbers[i], d));
    d->form = &data_form_items;
    if (d->items == 0)
        return FAIL(STATUS_INVALID,
                    "none of the %zu selected samples has an answer within "
                    "%zu tokens",
                    c.count, encoding.length);
    return SUCCESS;
}

const struct data_form data_form_selected = {
    .name = "selected",
    .open = open_selected,
};
