#include "jobs/data_records.h"

#include <stdlib.h>
#include <string.h>

#include "common/memory.h"

/* --- lines ------------------------------------------------------------------ */

struct status data_record_wrong(const struct data_record *r, const char *what)
{
    return FAIL(STATUS_CORRUPT, "%s, line %zu: %s", r->path, r->line, what);
}

static struct status parse_line(const struct data_record *r, const char *text,
                                size_t size, json_t **ret_json)
{
    char what[64];
    const char *column;
    struct status st;

    (void)snprintf(what, sizeof(what), "line %zu", r->line);
    st = json_parse(text, size, what, ret_json);
    column = strstr(st.message, "column ");
    if (status_failed(&st) && column != NULL) /* it knows one line only */
        return FAIL(st.code, "%s: %s, %s", r->path, what, column);
    if (status_failed(&st))
        return status_wrap(st, "%s", r->path);
    return SUCCESS;
}

static bool is_blank(const char *line, size_t size)
{
    static const char blanks[] = " \t\r";

    while (size > 0 && memchr(blanks, line[size - 1], sizeof(blanks) - 1))
        size--;
    return size == 0;
}

/* How files begin that are no lines of JSON, and what to do about it. */
static const struct {
    const char *bytes, *what;
} foreign[] = {
    { "\x1f\x8b", "is compressed: unpack it with gunzip" },
    { "\xff\xfe", "is UTF-16: write it as UTF-8" },
    { "\xfe\xff", "is UTF-16: write it as UTF-8" },
    { "[", "is one JSON array: write an object a line (jq -c '.[]')" },
};

/* Behind the mark of UTF-8, which some editors put in front. */
static struct status find_begin(const char *path, const char *text, size_t size,
                                size_t *ret_at)
{
    *ret_at = size >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    for (size_t i = 0; i < COUNT_OF(foreign); i++)
        if (size - *ret_at >= strlen(foreign[i].bytes) &&
            memcmp(text + *ret_at, foreign[i].bytes,
                   strlen(foreign[i].bytes)) == 0)
            return FAIL(STATUS_CORRUPT, "%s %s", path, foreign[i].what);
    return SUCCESS;
}

struct status data_records_read(
    const char *path, const char *text, size_t size,
    struct status (*take)(void *self, const struct data_record *r), void *self)
{
    struct data_record r = { .path = path };
    size_t begin;

    TRY_PLAIN(find_begin(path, text, size, &begin));
    for (size_t at = begin, length; at < size; at += length + 1) {
        const char *end = memchr(text + at, '\n', size - at);
        AUTO(json_release) json_t *one = NULL;

        length = end == NULL ? size - at : (size_t)(end - text) - at;
        r.line++;
        if (is_blank(text + at, length))
            continue;
        TRY_PLAIN(parse_line(&r, text + at, length, &one));
        r.object = one;
        TRY_PLAIN(take(self, &r));
    }
    return SUCCESS;
}

/* --- prompts and answers ------------------------------------------------------ */

static bool member(const struct data_record *r, const char *name,
                   struct data_span *ret_span)
{
    const json_t *text = json_object_get(r->object, name);

    if (!json_is_string(text))
        return false;
    *ret_span =
        (struct data_span){ json_string_value(text), json_string_length(text) };
    return true;
}

bool data_record_exchange(const struct data_record *r,
                          struct data_exchange *ret_exchange)
{
    struct data_exchange *e = ret_exchange;

    *e = (struct data_exchange){ .input = { "", 0 } };
    if (member(r, "prompt", &e->instruction))
        return member(r, "answer", &e->output);
    if (!member(r, "instruction", &e->instruction) ||
        !member(r, "output", &e->output))
        return false;
    e->lines = true;
    return member(r, "input", &e->input) ||
           json_object_get(r->object, "input") == NULL ||
           json_is_null(json_object_get(r->object, "input"));
}

/* --- tokens ------------------------------------------------------------------- */

/* A sequence that grows. */
struct sequence {
    const struct tokenizer *tokenizer;
    int32_t **tokens;
    size_t *count;
};

static void add_token(const struct sequence *s, int32_t token)
{
    *s->tokens = xrealloc(*s->tokens, (*s->count + 1) * sizeof(**s->tokens));
    (*s->tokens)[(*s->count)++] = token;
}

static struct status add_text(const struct sequence *s, struct data_span text)
{
    if (text.size == 0)
        return SUCCESS;
    if (s->tokenizer != NULL)
        return tokenizer_add(s->tokenizer, text.bytes, text.size, s->tokens,
                             s->count);
    *s->tokens =
        xrealloc(*s->tokens, (*s->count + text.size) * sizeof(**s->tokens));
    for (size_t i = 0; i < text.size; i++)
        (*s->tokens)[(*s->count)++] = (unsigned char)text.bytes[i];
    return SUCCESS;
}

static struct status add_input(const struct sequence *s,
                               const struct data_exchange *e)
{
    static const struct data_span newline = { "\n", 1 };

    if (!e->lines)
        return SUCCESS;
    TRY_PLAIN(add_text(s, newline));
    if (e->input.size == 0)
        return SUCCESS;
    TRY_PLAIN(add_text(s, e->input));
    return add_text(s, newline);
}

struct status data_exchange_encode(const struct data_exchange *e,
                                   const struct tokenizer *tokenizer,
                                   int32_t **tokens, size_t *count,
                                   struct data_places *ret_places)
{
    const struct sequence s = { tokenizer, tokens, count };
    int32_t begin =
        tokenizer == NULL ? TOKEN_BEGIN : tokenizer_begin(tokenizer);
    int32_t end = tokenizer == NULL ? TOKEN_END : tokenizer_end(tokenizer);
    size_t from = *count;

    if (begin >= 0)
        add_token(&s, begin);
    ret_places->instruction = *count - from;
    TRY_PLAIN(add_text(&s, e->instruction));
    ret_places->instruction_end = *count - from;
    TRY_PLAIN(add_input(&s, e));
    ret_places->answer = *count - from;
    TRY_PLAIN(add_text(&s, e->output));
    if (end >= 0 && !e->unfinished)
        add_token(&s, end);
    ret_places->end = *count - from;
    return SUCCESS;
}
