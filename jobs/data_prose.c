/* data_prose.c -- the built-in text: windows of documents without end, or of
 * so many documents joined to one text. */
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/memory.h"
#include "common/philox.h"
#include "jobs/data_parts.h"
#include "jobs/model_input.h"
#include "model/prose.h"

static const char gap[] = "\n\n"; /* between documents */

static size_t document(const struct data *d, uint64_t number,
                       char text[PROSE_MOST + sizeof(gap)])
{
    size_t size = prose_document(d->mix.seed, d->mix.split, number, text);

    memcpy(text + size, gap, sizeof(gap));
    return size + sizeof(gap) - 1;
}

static struct status join(uint64_t documents, struct job_context *context,
                          struct data *d)
{
    char text[PROSE_MOST + sizeof(gap)];
    struct buf joined;
    struct status st;

    TRY_PLAIN(model_input_fits((size_t)documents * PROSE_MOST,
                               "the built-in text", context));
    buf_init(&joined, (size_t)documents * sizeof(text));
    st = SUCCESS;
    for (uint64_t i = 0; i < documents && !status_failed(&st); i++)
        st = buf_add(&joined, text, document(d, i, text));
    d->tokens.bytes = joined.data;
    d->tokens.count = joined.size - (sizeof(gap) - 1);
    return st;
}

static struct status open_prose(const json_t *value, const struct data_use *use,
                                struct job_context *context, struct data *d)
{
    const char *split = json_text_or(value, "split", "train");
    uint64_t documents = (uint64_t)json_int_or(value, "items", 0);

    d->mix.split = strcmp(split, "test") == 0 ? SPLIT_TEST : SPLIT_TRAIN;
    d->mix.seed = (uint32_t)json_int_or(value, "seed", 0);
    d->tokenizer = use->tokenizer;
    if (documents > 0) {
        TRY_PLAIN(join(documents, context, d));
        return data_cut_text(use, d);
    }
    d->tokens.begin = use->tokenizer == NULL ? TOKEN_BEGIN : -1;
    return data_set_window(use, d);
}

/* ---- without end -------------------------------------------------------- */

struct tokens {
    int32_t *items;
    size_t count;
};

static struct status add_document(const struct data *d, uint64_t number,
                                  struct tokens *t)
{
    char text[PROSE_MOST + sizeof(gap)];
    size_t size = document(d, number, text);

    if (d->tokenizer != NULL)
        return tokenizer_add(d->tokenizer, text, size, &t->items, &t->count);
    t->items = xrealloc(t->items, (t->count + size) * sizeof(*t->items));
    for (size_t i = 0; i < size; i++)
        t->items[t->count++] = (unsigned char)text[i];
    return SUCCESS;
}

/* From any place of any document on. */
static struct status fill(const struct data *d, struct philox_key key,
                          struct tokens *t, struct batch *b, bool *ret_added)
{
    uint64_t number = philox_pair(key, 0) >> 16; /* rows of them do not meet */
    size_t begin = d->tokens.begin >= 0 ? 1 : 0, at;
    int32_t *first;

    TRY_PLAIN(add_document(d, number++, t));
    at = philox_below(key, 2, (uint32_t)t->count);
    while (t->count - at + begin < d->window)
        TRY_PLAIN(add_document(d, number++, t));
    /* There is a token in front of it, or room for one. */
    first = xcalloc(d->window, sizeof(*first));
    if (begin > 0)
        first[0] = d->tokens.begin;
    memcpy(first + begin, t->items + at, (d->window - begin) * sizeof(*first));
    *ret_added = batch_add(b, first, d->window, 0);
    free(first);
    return SUCCESS;
}

static struct status draw(const struct data *d, uint32_t seed, uint64_t index,
                          struct batch *b, bool *ret_added)
{
    struct philox_key key = { .seed = seed,
                              .stream = philox_hash("data.draw"),
                              .tensor = index };
    struct tokens t = { .count = 0 };
    struct status st;

    if (d->items > 0)
        return data_draw_text(d, seed, index, b, ret_added);
    st = fill(d, key, &t, b, ret_added);
    free(t.items);
    return st;
}

static struct status add(const struct data *d, uint64_t index, struct batch *b,
                         bool *ret_added)
{
    return d->items > 0 ? data_add_text(d, index, b, ret_added)
                        : draw(d, 0, index, b, ret_added);
}

const struct data_form data_form_prose = {
    .name = "text",
    .builtin = true,
    .keys = { "split", "items", "seed" },
    .open = open_prose,
    .add = add,
    .draw = draw,
};
