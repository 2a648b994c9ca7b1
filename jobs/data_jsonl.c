/* data_jsonl.c -- one JSON object a line. {"text"} are documents, joined to
 * one text with an empty line between them; {"prompt", "answer"} are items of
 * which the answer is to be predicted; {"question", "choices", "answer"} are as
 * many items as there are choices. */
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "jobs/data_parts.h"

enum { JSONL_LIMIT = 1 << 30 }; /* bytes of a file */

/* What is being read. */
struct reading {
    const char *path;
    const struct data_use *use;
    struct data *d;
    size_t line; /* from 1 */
    char *text;  /* documents so far */
    size_t size;
    size_t room; /* places of starts, first and lengths */
    size_t more; /* places of choices and right */
};

static struct status wrong_line(const struct reading *r, const char *what)
{
    return FAIL(STATUS_CORRUPT, "%s, line %zu: %s", r->path, r->line, what);
}

static struct status parse_line(const struct reading *r, const char *text,
                                size_t size, json_t **ret_json)
{
    char what[64];
    struct status st;

    (void)snprintf(what, sizeof(what), "line %zu", r->line);
    st = json_parse(text, size, what, ret_json);
    if (status_failed(&st))
        return status_wrap(st, "%s", r->path);
    return SUCCESS;
}

static struct status add_document(struct reading *r, const json_t *text)
{
    size_t size = json_string_length(text);
    size_t between = r->text == NULL ? 0 : 2;

    if (r->d->tokens.starts != NULL)
        return wrong_line(r, "a text among prompts and answers");
    r->text = xrealloc(r->text, r->size + between + size + 1);
    memcpy(r->text + r->size, "\n\n", between);
    memcpy(r->text + r->size + between, json_string_value(text), size);
    r->size += between + size;
    return SUCCESS;
}

static void add_token(struct data_tokens *t, int32_t token)
{
    t->tokens = xrealloc(t->tokens, (t->count + 1) * sizeof(*t->tokens));
    t->tokens[t->count++] = token;
}

static struct status add_text(struct reading *r, const json_t *text)
{
    struct data_tokens *t = &r->d->tokens;
    const char *bytes = json_string_value(text);
    size_t size = json_string_length(text);

    if (r->use->tokenizer != NULL)
        return tokenizer_add(r->use->tokenizer, bytes, size, &t->tokens,
                             &t->count);
    t->tokens = xrealloc(t->tokens, (t->count + size + 1) * sizeof(*t->tokens));
    for (size_t i = 0; i < size; i++)
        t->tokens[t->count++] = (unsigned char)bytes[i];
    return SUCCESS;
}

static void note_item(struct reading *r)
{
    struct data_tokens *t = &r->d->tokens;

    if (r->d->items + 2 > r->room) {
        r->room = r->room == 0 ? 64 : 2 * r->room;
        t->starts = xrealloc(t->starts, r->room * sizeof(*t->starts));
        t->first = xrealloc(t->first, r->room * sizeof(*t->first));
        t->lengths = xrealloc(t->lengths, r->room * sizeof(*t->lengths));
    }
    t->starts[r->d->items] = t->count;
}

static struct status check_size(const struct reading *r, size_t size)
{
    if (r->use->window != 0 && size > r->use->window)
        return FAIL(STATUS_INVALID,
                    "%s, line %zu: %zu tokens do not fit into sequences of "
                    "%zu; raise `length` or shorten it",
                    r->path, r->line, size, r->use->window);
    if (r->use->positions != 0 && size > r->use->positions)
        return FAIL(STATUS_INVALID,
                    "%s, line %zu: %zu tokens are more than the model's %zu "
                    "positions",
                    r->path, r->line, size, r->use->positions);
    return SUCCESS;
}

/* Question and answer are encoded by themselves; what the tokenizer puts in
 * front of a text belongs to the item, what it puts behind only if the answer
 * is whole. */
static struct status add_item(struct reading *r, const json_t *prompt,
                              const json_t *answer, bool whole)
{
    const struct tokenizer *tokenizer = r->use->tokenizer;
    struct data_tokens *t = &r->d->tokens;
    int32_t begin =
        tokenizer == NULL ? TOKEN_BEGIN : tokenizer_begin(tokenizer);
    int32_t end = tokenizer == NULL ? TOKEN_END : tokenizer_end(tokenizer);
    size_t from = t->count, size;

    if (r->text != NULL)
        return wrong_line(r, "a question among texts");
    if (json_string_length(answer) == 0)
        return wrong_line(r, "an answer is empty");
    note_item(r);
    if (begin >= 0)
        add_token(t, begin);
    TRY_PLAIN(add_text(r, prompt));
    if (t->count == from)
        return wrong_line(r, "nothing stands in front of the answer");
    t->first[r->d->items] = t->count - from;
    t->lengths[r->d->items] = json_string_length(answer);
    TRY_PLAIN(add_text(r, answer));
    if (end >= 0 && whole)
        add_token(t, end);
    size = t->count - from;
    t->starts[++r->d->items] = t->count;
    r->d->window = size > r->d->window ? size : r->d->window;
    return check_size(r, size);
}

/* A number from 0 on, or a letter from A on. */
static struct status right_choice(const struct reading *r, const json_t *answer,
                                  size_t count, size_t *ret_choice)
{
    const char *letter = json_string_value(answer);
    json_int_t value =
        json_is_integer(answer) ? json_integer_value(answer) : -1;

    if (letter != NULL && strlen(letter) == 1)
        value = letter[0] - 'A';
    if (value < 0 || (size_t)value >= count)
        return wrong_line(r, "\"answer\" is neither the number of a choice, "
                             "from 0, nor its letter, from A");
    *ret_choice = (size_t)value;
    return SUCCESS;
}

static void note_question(struct reading *r, size_t choice)
{
    struct data_tokens *t = &r->d->tokens;

    if (t->questions + 2 > r->more) {
        r->more = r->more == 0 ? 64 : 2 * r->more;
        t->choices = xrealloc(t->choices, r->more * sizeof(*t->choices));
        t->right = xrealloc(t->right, r->more * sizeof(*t->right));
    }
    t->choices[t->questions] = (size_t)r->d->items;
    t->right[t->questions] = (size_t)r->d->items + choice;
}

/* A blank stands between question and choice unless there is one. */
static struct status add_choice(struct reading *r, const json_t *question,
                                const json_t *choice)
{
    AUTO(json_release) json_t *with_blank = NULL;
    const char *text = json_string_value(choice);

    if (text == NULL || *text == '\0')
        return wrong_line(r, "a choice is no text, or empty");
    with_blank = json_sprintf("%s%s", *text == ' ' ? "" : " ", text);
    return add_item(r, question, with_blank, false);
}

static struct status add_question(struct reading *r, const json_t *one)
{
    const json_t *choices = json_object_get(one, "choices");
    size_t count = json_array_size(choices), right = 0;

    if (count < 2)
        return wrong_line(r, "a question with less than two choices");
    if (r->d->tokens.questions == 0 && r->d->items > 0)
        return wrong_line(r, "choices among answers");
    TRY_PLAIN(right_choice(r, json_object_get(one, "answer"), count, &right));
    note_question(r, right);
    for (size_t i = 0; i < count; i++)
        TRY_PLAIN(add_choice(r, json_object_get(one, "question"),
                             json_array_get(choices, i)));
    r->d->tokens.choices[++r->d->tokens.questions] = (size_t)r->d->items;
    return SUCCESS;
}

static struct status add_answer(struct reading *r, const json_t *prompt,
                                const json_t *answer)
{
    if (r->d->tokens.questions > 0)
        return wrong_line(r, "an answer among choices");
    return add_item(r, prompt, answer, true);
}

static struct status read_object(struct reading *r, const json_t *one)
{
    const json_t *text = json_object_get(one, "text");
    const json_t *prompt = json_object_get(one, "prompt");
    const json_t *answer = json_object_get(one, "answer");

    if (json_is_string(text))
        return add_document(r, text);
    if (json_is_string(prompt) && json_is_string(answer))
        return add_answer(r, prompt, answer);
    if (json_is_string(json_object_get(one, "question")) &&
        json_is_array(json_object_get(one, "choices")))
        return add_question(r, one);
    return wrong_line(r, "no \"text\", no \"prompt\" and \"answer\", no "
                         "\"question\", \"choices\" and \"answer\"");
}

static struct status read_line(struct reading *r, const char *text, size_t size)
{
    AUTO(json_release) json_t *one = NULL;

    r->line++;
    if (size == 0)
        return SUCCESS;
    TRY_PLAIN(parse_line(r, text, size, &one));
    return read_object(r, one);
}

static struct status read_lines(struct reading *r, const char *text,
                                size_t size)
{
    for (size_t at = 0; at < size;) {
        const char *end = memchr(text + at, '\n', size - at);
        size_t length = end == NULL ? size - at : (size_t)(end - text) - at;

        TRY_PLAIN(read_line(r, text + at, length));
        at += length + 1;
    }
    return SUCCESS;
}

static struct status settle(struct reading *r)
{
    struct data *d = r->d;

    if (d->tokens.starts != NULL) {
        d->form = &data_form_items;
        return SUCCESS;
    }
    if (r->size == 0)
        return FAIL(STATUS_INVALID, "%s has no text in it", r->path);
    d->tokens.bytes = r->text;
    d->tokens.count = r->size;
    r->text = NULL;
    return data_cut_text(r->use, d);
}

static struct status open_jsonl(const json_t *value, const struct data_use *use,
                                struct job_context *context, struct data *d)
{
    const json_t *file = json_object_get(value, "file");
    AUTO(free_pointer) char *text = NULL;
    struct reading r = { .use = use, .d = d };
    struct status st;
    size_t size;

    TRY_PLAIN(data_read(file == NULL ? value : file, JSONL_LIMIT, context,
                        &r.path, &text, &size));
    st = read_lines(&r, text, size);
    if (!status_failed(&st))
        st = settle(&r);
    free(r.text);
    return st;
}

const struct data_form data_form_jsonl = {
    .name = "jsonl",
    .keys = { "file" },
    .open = open_jsonl,
    .add = data_add_text,
    .draw = data_draw_text,
};

static struct status add(const struct data *d, uint64_t index, struct batch *b,
                         bool *ret_added)
{
    const struct data_tokens *t = &d->tokens;

    *ret_added =
        batch_add(b, t->tokens + t->starts[index],
                  t->starts[index + 1] - t->starts[index], t->first[index]);
    return SUCCESS;
}

static struct status draw(const struct data *d, uint32_t seed, uint64_t index,
                          struct batch *b, bool *ret_added)
{
    if (d->tokens.questions > 0)
        return FAIL(STATUS_INVALID,
                    "questions with choices are there to be measured; for "
                    "training write a \"prompt\" and an \"answer\"");
    return add(d, data_place(d, seed, index), b, ret_added);
}

const struct data_form data_form_items = {
    .name = "jsonl",
    .open = open_jsonl,
    .add = add,
    .draw = draw,
};
