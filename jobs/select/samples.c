#include "jobs/select/samples.h"

#include <stdlib.h>
#include <string.h>

#include "common/map.h"
#include "common/memory.h"
#include "jobs/data_parts.h"

enum { TEXTS = 3 }; /* instruction, input, output */

struct select_record {
    size_t line;
    size_t at[TEXTS], size[TEXTS]; /* in the texts of the pool */
    bool lines;                    /* see data_exchange */
    const char *invalid;
    size_t same_as;
    bool encoded;
    size_t token; /* where its tokens begin */
    struct data_places places;
};

const char select_template[] = "lines.1";

void select_samples_release(struct select_samples *s)
{
    free(s->kept);
    free(s->records);
    free(s->texts);
    free(s->tokens);
    *s = (struct select_samples){ .count = 0 };
}

/* --- reading ----------------------------------------------------------------- */

struct reading {
    struct select_samples *pool;
    size_t room;       /* records */
    struct map *known; /* digest of three texts -> number and one */
    struct digest_stream *all, *one;
};

static size_t keep_text(struct select_samples *s, struct data_span text)
{
    size_t at = s->texts_size;

    if (at + text.size + 1 > s->texts_room) {
        s->texts_room = 2 * (at + text.size + 1);
        s->texts = xrealloc(s->texts, s->texts_room);
    }
    memcpy(s->texts + at, text.bytes, text.size);
    s->texts[at + text.size] = '\0';
    s->texts_size += text.size + 1;
    return at;
}

static struct digest digest_record(struct reading *r,
                                   const struct select_record *record)
{
    struct digest d;

    digest_add(r->one, &record->lines, sizeof(record->lines));
    for (size_t i = 0; i < TEXTS; i++) {
        uint64_t size = record->size[i];

        digest_add(r->one, &size, sizeof(size));
        digest_add(r->one, r->pool->texts + record->at[i], record->size[i]);
    }
    d = digest_stop(r->one);
    digest_again(r->one);
    digest_add(r->all, d.bytes, sizeof(d.bytes));
    return d;
}

/* The first of equal ones is what counts. */
static void find_same(struct reading *r, struct select_record *record)
{
    size_t number = r->pool->count;
    struct digest d = digest_record(r, record);
    uintptr_t before = (uintptr_t)map_get(r->known, d.bytes, sizeof(d.bytes));

    record->same_as = before == 0 ? number : before - 1;
    if (before == 0)
        (void)map_put(r->known, d.bytes, sizeof(d.bytes),
                      (void *)(uintptr_t)(number + 1));
}

static void add_record(struct reading *r, const struct data_exchange *e,
                       size_t line)
{
    struct select_samples *s = r->pool;
    const struct data_span texts[TEXTS] = { e->instruction, e->input,
                                            e->output };
    struct select_record *record;

    if (s->count == r->room) {
        r->room = r->room == 0 ? 256 : 2 * r->room;
        s->records = xrealloc(s->records, r->room * sizeof(*s->records));
    }
    record = &s->records[s->count];
    *record = (struct select_record){ .line = line, .lines = e->lines };
    for (size_t i = 0; i < TEXTS; i++) {
        record->at[i] = keep_text(s, texts[i]);
        record->size[i] = texts[i].size;
    }
    if (e->output.size == 0)
        record->invalid = "its answer is empty";
    find_same(r, record);
    s->count++;
}

/* The first keys of an object, to show beside those that are wanted. */
static void list_keys(const json_t *object, char *ret_text, size_t size)
{
    const char *key;
    json_t *value;
    size_t used = 0;

    ret_text[0] = '\0';
    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        int n = snprintf(ret_text + used, size - used, "%s \"%s\"%s",
                         used == 0 ? "; it has" : ",", key,
                         json_is_string(value) ? "" : " (no text)");

        if (n < 0 || (size_t)n >= size - used) {
            ret_text[used] = '\0';
            return;
        }
        used += (size_t)n;
    }
}

static struct status take(void *self, const struct data_record *record)
{
    struct data_exchange e;
    char keys[256], what[512];

    if (!data_record_exchange(record, &e)) {
        list_keys(record->object, keys, sizeof(keys));
        (void)snprintf(what, sizeof(what),
                       "no \"instruction\" and \"output\" and no \"prompt\" "
                       "and \"answer\": it cannot be selected%s",
                       keys);
        return data_record_wrong(record, what);
    }
    add_record(self, &e, record->line);
    return SUCCESS;
}

static struct status read_file(struct reading *r, const json_t *value,
                               struct job_context *context)
{
    const json_t *file = json_object_get(value, "file");
    AUTO(free_pointer) char *text = NULL;
    const char *path;
    size_t size;

    TRY_PLAIN(data_read(file == NULL ? value : file, DATA_RECORDS_LIMIT,
                        context, &path, &text, &size));
    r->pool->answers = true;
    TRY_PLAIN(data_records_read(path, text, size, take, r));
    if (r->pool->count == 0)
        return FAIL(STATUS_INVALID, "%s has no samples in it", path);
    return SUCCESS;
}

static struct status read_items(struct reading *r, const struct data *d)
{
    if (d->items == 0)
        return FAIL(STATUS_INVALID,
                    "tasks without end are no pool to select from; give them "
                    "`items`");
    r->pool->answers = d->answers;
    r->pool->built_in = true;
    for (uint64_t i = 0; i < d->items; i++) {
        struct task_item item;

        TRY_PLAIN(tasks_item(&d->mix, i, &item));
        add_record(
            r,
            &(struct data_exchange){
                .instruction = { item.text, item.answer },
                .input = { "", 0 },
                .output = { item.text + item.answer, item.size - item.answer },
            },
            0);
    }
    return SUCCESS;
}

static struct status read_tasks(struct reading *r, const json_t *value,
                                struct job_context *context)
{
    const struct data_use use = { .window = 0 };
    struct data d;
    struct status st;

    TRY_PLAIN(data_open(value, &use, context, &d));
    st = read_items(r, &d);
    data_release(&d);
    return st;
}

static struct status read_pool(struct reading *r, const json_t *value,
                               struct job_context *context)
{
    char known[128];
    const struct data_form *form = data_form_of(value, known, sizeof(known));

    if (form == &data_form_tasks)
        return read_tasks(r, value, context);
    if (form == &data_form_jsonl)
        return read_file(r, value, context);
    return FAIL(STATUS_INVALID,
                "only instructions with answers can be selected: a .jsonl of "
                "{\"instruction\", \"input\", \"output\"} or {\"prompt\", "
                "\"answer\"}, or the built-in tasks");
}

static struct status settle(struct select_samples *s)
{
    s->kept = xcalloc(s->count + 1, sizeof(*s->kept));
    for (size_t i = 0; i < s->count; i++)
        if (s->records[i].invalid == NULL && s->records[i].same_as == i)
            s->kept[s->kept_count++] = i;
    if (s->kept_count == 0)
        return FAIL(STATUS_INVALID,
                    "of %zu samples none can be selected: their answers are "
                    "empty",
                    s->count);
    return SUCCESS;
}

struct status select_samples_open(const json_t *value,
                                  struct job_context *context,
                                  struct select_samples *ret_samples)
{
    struct select_samples pool = { .count = 0 };
    struct reading r = {
        .pool = &pool,
        .known = map_new(),
        .all = digest_begin(),
        .one = digest_begin(),
    };
    struct status st;

    digest_add(r.all, select_template, sizeof(select_template));
    st = read_pool(&r, value, context);
    if (!status_failed(&st))
        st = settle(&pool);
    pool.digest = digest_end(r.all);
    (void)digest_end(r.one);
    map_free(r.known);
    if (status_failed(&st)) {
        select_samples_release(&pool);
        return status_wrap(st, "data");
    }
    *ret_samples = pool;
    return SUCCESS;
}

/* --- tokens ------------------------------------------------------------------ */

static struct data_span text_of(const struct select_samples *s,
                                const struct select_record *r, size_t i)
{
    return (struct data_span){ s->texts + r->at[i], r->size[i] };
}

static void cut(size_t *place, size_t most)
{
    *place = *place < most ? *place : most;
}

static struct status encode(struct select_samples *s,
                            const struct select_encoding *e,
                            struct select_record *r)
{
    const struct data_exchange exchange = {
        .instruction = text_of(s, r, 0),
        .input = text_of(s, r, 1),
        .output = text_of(s, r, 2),
        .lines = r->lines,
    };
    struct data_places *p = &r->places;

    r->token = s->tokens_count;
    TRY(data_exchange_encode(&exchange, e->tokenizer, &s->tokens,
                             &s->tokens_count, p),
        "line %zu", r->line);
    if (p->answer == 0)
        r->invalid = "nothing stands in front of its answer";
    else if (p->answer >= e->length)
        r->invalid = "its answer lies beyond the longest sequence";
    cut(&p->instruction_end, e->length);
    cut(&p->instruction, p->instruction_end);
    cut(&p->answer, e->length);
    cut(&p->end, e->length);
    s->tokens_count = r->token + p->end;
    r->encoded = true;
    return SUCCESS;
}

struct status select_samples_encode(struct select_samples *s,
                                    const struct select_encoding *e,
                                    size_t first, size_t count)
{
    if (s->built_in && e->tokenizer != NULL)
        return FAIL(STATUS_INVALID,
                    "the built-in tasks are bytes; the model has a tokenizer "
                    "of its own");
    for (size_t i = s->encoded_first; i < s->encoded_end; i++)
        s->records[s->kept[i]].encoded = false;
    s->tokens_count = 0;
    s->encoded_first = first;
    s->encoded_end = first + count;
    for (size_t i = first; i < first + count; i++)
        TRY(encode(s, e, &s->records[s->kept[i]]), "data");
    return SUCCESS;
}

struct select_sample select_samples_get(const struct select_samples *s,
                                        size_t number)
{
    const struct select_record *r = &s->records[number];
    struct select_sample sample = {
        .line = r->line,
        .instruction = text_of(s, r, 0),
        .input = text_of(s, r, 1),
        .output = text_of(s, r, 2),
        .invalid = r->invalid,
        .same_as = r->same_as,
    };

    if (!r->encoded)
        return sample;
    sample.tokens = s->tokens + r->token;
    sample.prompt = r->places.answer;
    sample.answer = r->places.end - r->places.answer;
    sample.instruction_first = r->places.instruction;
    sample.instruction_count =
        r->places.instruction_end - r->places.instruction;
    return sample;
}
