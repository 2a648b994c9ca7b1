/* data_text.c -- a text as one long row of tokens, and windows of it. */
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "common/philox.h"
#include "jobs/data_parts.h"

enum { TEXT_LIMIT = 1 << 30 }; /* bytes of a text */

/* Tokens of the text itself in a window. */
static size_t window_tokens(const struct data *d)
{
    return d->window - (d->tokens.begin >= 0 ? 1 : 0);
}

/* A window of one text that begins at token `at`; of its tokens those from
 * number `first` on are to be predicted. */
MUST_CHECK static struct status add_window(const struct data *d, size_t at,
                                           size_t first, struct batch *b,
                                           bool *ret_added)
{
    const struct data_tokens *t = &d->tokens;
    size_t size = t->count - at, count = 0;
    int32_t *tokens;

    size = size < window_tokens(d) ? size : window_tokens(d);
    tokens = xcalloc(size + 1, sizeof(*tokens));
    if (t->begin >= 0)
        tokens[count++] = t->begin;
    for (size_t i = 0; i < size; i++)
        tokens[count++] = t->bytes != NULL ? (unsigned char)t->bytes[at + i]
                                           : t->tokens[at + i];
    *ret_added = batch_add(b, tokens, count, first);
    free(tokens);
    return SUCCESS;
}

static size_t default_window(const struct data_use *use)
{
    if (use->window != 0)
        return use->window;
    return use->positions != 0 && use->positions < DATA_ANY_LENGTH
               ? use->positions
               : DATA_ANY_LENGTH;
}

struct status data_set_window(const struct data_use *use, struct data *d)
{
    d->window = default_window(use);
    if (d->window < 2)
        return FAIL(STATUS_INVALID,
                    "sequences of %zu tokens have nothing to predict; give "
                    "them at least 2",
                    d->window);
    return SUCCESS;
}

/* The last token of a window is not repeated in the next. */
struct status data_cut_windows(const struct data_use *use, struct data *d)
{
    TRY_PLAIN(data_set_window(use, d));
    return data_stride(d, 0, false);
}

struct status data_stride(struct data *d, size_t stride, bool whole)
{
    size_t window = window_tokens(d), beyond;

    if (data_has_images(d) || d->tokens.count == 0 || d->tokens.starts != NULL)
        return FAIL(STATUS_INVALID, "only a text has windows");
    if (stride > window)
        return FAIL(STATUS_INVALID,
                    "a stride of %zu leaves out tokens: windows have %zu",
                    stride, window);
    d->stride = stride == 0 ? window : stride;
    beyond = d->tokens.count > window ? d->tokens.count - window : 0;
    d->items = 1 + (beyond + (whole ? 0 : d->stride - 1)) / d->stride;
    if (whole && d->tokens.count < window)
        return FAIL(STATUS_INVALID,
                    "the text has %zu tokens, less than one window of %zu",
                    d->tokens.count, window);
    return SUCCESS;
}

/* A tokenizer's own beginning stands once, in front of the text. */
static struct status encode(const struct tokenizer *tokenizer,
                            struct data_tokens *t)
{
    char *text = t->bytes;
    size_t size = t->count;
    struct status st;

    t->bytes = NULL;
    t->count = 0;
    if (tokenizer_begin(tokenizer) >= 0) {
        t->tokens = xcalloc(1, sizeof(*t->tokens));
        t->tokens[t->count++] = tokenizer_begin(tokenizer);
    }
    st = tokenizer_add(tokenizer, text, size, &t->tokens, &t->count);
    free(text);
    return st;
}

struct status data_cut_text(const struct data_use *use, struct data *d)
{
    d->tokens.begin = use->tokenizer == NULL ? TOKEN_BEGIN : -1;
    if (use->tokenizer != NULL)
        TRY_PLAIN(encode(use->tokenizer, &d->tokens));
    return data_cut_windows(use, d);
}

/* The end of the text is kept for measuring, from the beginning of a line on;
 * this leaves one of both parts. */
static struct status hold_out(const json_t *value, const char *path,
                              struct data_tokens *t)
{
    double share = json_real_or(value, "held_out", 0.0);
    bool test = strcmp(json_text_or(value, "split", "train"), "test") == 0;
    size_t at = (size_t)((1.0 - share) * (double)t->count);
    const char *line;

    if (share == 0.0)
        return SUCCESS;
    line = memchr(t->bytes + at, '\n', t->count - at);
    at = line == NULL ? t->count : (size_t)(line + 1 - t->bytes);
    if (at == 0 || at == t->count)
        return FAIL(STATUS_INVALID,
                    "%s: holding out %g of it leaves nothing of one part, as "
                    "parts are whole lines",
                    path, share);
    if (test)
        memmove(t->bytes, t->bytes + at, t->count - at);
    t->count = test ? t->count - at : at;
    t->bytes[t->count] = '\0';
    return SUCCESS;
}

static struct status open_text(const json_t *value, const struct data_use *use,
                               struct job_context *context, struct data *d)
{
    const json_t *file = json_object_get(value, "file");
    const char *path;

    TRY_PLAIN(data_read(file == NULL ? value : file, TEXT_LIMIT, context, &path,
                        &d->tokens.bytes, &d->tokens.count));
    TRY_PLAIN(hold_out(value, path, &d->tokens));
    return data_cut_text(use, d);
}

struct status data_add_text(const struct data *d, uint64_t index,
                            struct batch *b, bool *ret_added)
{
    size_t known =
        index == 0 || d->stride == window_tokens(d) ? 0 : d->window - d->stride;

    return add_window(d, (size_t)index * d->stride, known, b, ret_added);
}

struct status data_draw_text(const struct data *d, uint32_t seed,
                             uint64_t index, struct batch *b, bool *ret_added)
{
    struct philox_key key = { .seed = seed,
                              .stream = philox_hash("data.draw"),
                              .tensor = index };
    uint64_t places = 1, word;

    if (d->tokens.count > window_tokens(d))
        places = d->tokens.count - window_tokens(d) + 1;
    word = (uint64_t)philox_word(key, 0) << 32 | philox_word(key, 1);
    return add_window(d, (size_t)(word % places), 0, b, ret_added);
}

const struct data_form data_form_text = {
    .name = "text",
    .keys = { "file", "held_out", "split" },
    .open = open_text,
    .add = data_add_text,
    .draw = data_draw_text,
};
