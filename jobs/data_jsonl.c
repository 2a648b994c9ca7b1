/* data_jsonl.c -- one JSON object a line. {"text"} are documents, joined to
 * one text with an empty line between them; {"prompt", "answer"} and
 * {"instruction", "input", "output"} are items of which the answer is to be
 * predicted; {"question", "choices", "answer"} are as
 * many items as there are choices. */
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "jobs/data_parts.h"
#include "jobs/data_records.h"

/* What is being read. */
struct reading {
    const char *path;
    const struct data_use *use;
    struct data *d;
    const struct data_record *record; /* the line */
    char *text;                       /* documents so far */
    size_t size;
    size_t room; /* places of starts, first and lengths */
    size_t more; /* places of choices and right */
};

static struct status wrong_line(const struct reading *r, const char *what)
{
    return data_record_wrong(r->record, what);
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
                    r->path, r->record->line, size, r->use->window);
    if (r->use->positions != 0 && size > r->use->positions)
        return FAIL(STATUS_INVALID,
                    "%s, line %zu: %zu tokens are more than the model's %zu "
                    "positions",
                    r->path, r->record->line, size, r->use->positions);
    return SUCCESS;
}

static struct status add_item(struct reading *r, const struct data_exchange *e)
{
    struct data_tokens *t = &r->d->tokens;
    struct data_places at;

    if (r->text != NULL)
        return wrong_line(r, "a question among texts");
    if (e->output.size == 0)
        return wrong_line(r, "an answer is empty");
    note_item(r);
    TRY_PLAIN(
        data_exchange_encode(e, r->use->tokenizer, &t->tokens, &t->count, &at));
    if (at.answer == 0)
        return wrong_line(r, "nothing stands in front of the answer");
    t->first[r->d->items] = at.answer;
    t->lengths[r->d->items] = e->output.size;
    t->starts[++r->d->items] = t->count;
    r->d->window = at.end > r->d->window ? at.end : r->d->window;
    return check_size(r, at.end);
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

static struct data_span span_of(const json_t *text)
{
    return (struct data_span){ json_string_value(text),
                               json_string_length(text) };
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
    return add_item(r, &(struct data_exchange){
                           .instruction = span_of(question),
                           .output = span_of(with_blank),
                           .unfinished = true,
                       });
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

static struct status add_answer(struct reading *r,
                                const struct data_exchange *e)
{
    if (r->d->tokens.questions > 0)
        return wrong_line(r, "an answer among choices");
    return add_item(r, e);
}

static struct status take(void *self, const struct data_record *record)
{
    struct reading *r = self;
    const json_t *one = record->object;
    struct data_exchange e;

    r->record = record;
    if (json_is_string(json_object_get(one, "text")))
        return add_document(r, json_object_get(one, "text"));
    if (data_record_exchange(record, &e))
        return add_answer(r, &e);
    if (json_is_string(json_object_get(one, "question")) &&
        json_is_array(json_object_get(one, "choices")))
        return add_question(r, one);
    if (json_is_number(json_object_get(one, "answer")) ||
        json_is_number(json_object_get(one, "output")))
        return wrong_line(r, "the answer is a number; write it as a text, in "
                             "quotes");
    return wrong_line(r, "no \"text\", no \"prompt\" and \"answer\", no "
                         "\"instruction\" and \"output\", no \"question\", "
                         "\"choices\" and \"answer\"");
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

    TRY_PLAIN(data_read(file == NULL ? value : file, DATA_RECORDS_LIMIT,
                        context, &r.path, &text, &size));
    st = data_records_read(r.path, text, size, take, &r);
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
