#include "jobs/merge/merge_tokenizer.h"

#include <stdlib.h>
#include <string.h>

#include "common/map.h"
#include "common/memory.h"
#include "jobs/merge/merge_vocabulary.h"

enum {
    VOCABULARIES = LIMIT_MODELS + 1, /* the base's and the models' */
    FILL_BYTES = 128 << 20, /* of rows made for models that lack a token */
};

struct merge_tokens {
    const struct merge_config *config;
    struct merge_vocabulary vocabularies[VOCABULARIES]; /* [0]: of the base */
    size_t count;                                       /* of the result */
    /* Of each token of the result the id in a vocabulary, or -1. */
    int32_t *ids[VOCABULARIES];
    json_t *added;
    void **kept; /* maps and rows of the views */
    size_t kept_count;
};

/* ---- the vocabularies --------------------------------------------------- */

static struct status read_all(struct merge_tokens *t,
                              const struct merge_inputs *inputs)
{
    const struct merge_config *c = t->config;

    if (c->base != NULL)
        TRY_PLAIN(merge_vocabulary_read(&t->vocabularies[0], inputs->base_files,
                                        c->base));
    for (size_t i = 0; i < c->count; i++)
        TRY_PLAIN(merge_vocabulary_read(&t->vocabularies[i + 1],
                                        inputs->files[i], c->models[i]));
    return SUCCESS;
}

/* ---- the vocabulary of the result -------------------------------------- */

/* Of the configuration's base; without one the first model's. */
static size_t first_of(const struct merge_tokens *t)
{
    return t->vocabularies[0].loaded ? 0 : 1;
}

static size_t number_of(const struct merge_tokens *t, const json_t *model)
{
    const struct merge_config *c = t->config;

    if (json_equal(model, c->base))
        return 0;
    for (size_t i = 0; i < c->count; i++) {
        if (json_equal(model, c->models[i]))
            return i + 1;
    }
    return first_of(t);
}

/* A token that is new to the result's vocabulary, as it stands in
 * tokenizer.json; what was a common token there is one here too. */
static void add_token(struct merge_tokens *t,
                      const struct merge_vocabulary *from, size_t id,
                      size_t new_id)
{
    json_t *token = NULL;

    for (size_t i = 0; i < json_array_size(from->added); i++) {
        const json_t *item = json_array_get(from->added, i);

        if (json_int_or(item, "id", -1) == (int64_t)id)
            token = json_deep_copy(item);
    }
    if (token == NULL)
        token = json_pack("{s:s, s:b, s:b, s:b, s:b, s:b}", "content",
                          from->texts[id], "single_word", 0, "lstrip", 0,
                          "rstrip", 0, "normalized", 0, "special", 0);
    (void)json_object_set_new(token, "id", json_integer((json_int_t)new_id));
    (void)json_array_append_new(t->added, token);
}

static struct status grow(struct merge_tokens *t, size_t *room,
                          const char ***texts)
{
    if (t->count == LIMIT_VOCAB)
        return FAIL(STATUS_TOO_BIG,
                    "the union of the vocabularies has more than %d tokens",
                    LIMIT_VOCAB);
    if (t->count == *room) {
        *room *= 2;
        *texts = xrealloc(*texts, *room * sizeof **texts);
    }
    return SUCCESS;
}

/* Tokens of the others behind those of the first, in order of model and id. */
static struct status unite(struct merge_tokens *t, size_t *room,
                           const char ***texts)
{
    struct map *known = map_new();
    struct status s = SUCCESS;

    for (size_t i = 0; i < t->count; i++) {
        if ((*texts)[i] != NULL)
            (void)map_put_text(known, (*texts)[i], t);
    }
    for (size_t v = 0; v < VOCABULARIES; v++) {
        const struct merge_vocabulary *from = &t->vocabularies[v];

        for (size_t id = 0; id < from->count && !status_failed(&s); id++) {
            if (from->texts[id] == NULL ||
                map_put_text(known, from->texts[id], t) != NULL)
                continue;
            s = grow(t, room, texts);
            if (status_failed(&s))
                break;
            add_token(t, from, id, t->count);
            (*texts)[t->count++] = from->texts[id];
        }
    }
    map_free(known);
    return s;
}

/* Where no token has an id, models that have none there either agree. */
static void number_tokens(struct merge_tokens *t, const char *const *texts)
{
    for (size_t v = 0; v < VOCABULARIES; v++) {
        const struct merge_vocabulary *own = &t->vocabularies[v];

        if (!own->loaded)
            continue;
        t->ids[v] = xcalloc(t->count + 1, sizeof *t->ids[v]);
        for (size_t i = 0; i < t->count; i++) {
            bool hole = i < own->count && own->texts[i] == NULL;

            t->ids[v][i] = texts[i] != NULL ? merge_vocabulary_id(own, texts[i])
                           : hole           ? (int32_t)i
                                            : -1;
        }
    }
}

/* Has every vocabulary the same tokens at the same places as the result? */
static bool are_equal(const struct merge_tokens *t)
{
    for (size_t v = 0; v < VOCABULARIES; v++) {
        const struct merge_vocabulary *own = &t->vocabularies[v];

        if (own->loaded && own->count != t->count)
            return false;
        for (size_t i = 0; own->loaded && i < t->count; i++) {
            if (t->ids[v][i] != (int32_t)i)
                return false;
        }
    }
    return true;
}

/* Whose tokens come first, with their ids. */
static size_t source_of(const struct merge_tokens *t, bool all)
{
    const char *word = json_string_value(t->config->tokenizer);

    return all || (word != NULL && strcmp(word, "base") == 0)
               ? first_of(t)
               : number_of(t, t->config->tokenizer);
}

static struct status settle(struct merge_tokens *t)
{
    const char *word = json_string_value(t->config->tokenizer);
    bool all = word != NULL && strcmp(word, "union") == 0;
    const struct merge_vocabulary *from = &t->vocabularies[source_of(t, all)];
    size_t room = from->count + 1;
    const char **texts = xcalloc(room, sizeof *texts);
    struct status s = SUCCESS;

    for (size_t i = 0; i < from->count; i++)
        texts[i] = from->texts[i];
    t->count = from->count;
    t->added = json_array();
    if (all)
        s = unite(t, &room, &texts);
    if (!status_failed(&s))
        number_tokens(t, texts);
    free(texts);
    return s;
}

struct status merge_tokens_new(const struct merge_config *c,
                               const struct merge_inputs *inputs,
                               struct merge_tokens **ret_tokens)
{
    struct merge_tokens *t;
    struct status s;

    *ret_tokens = NULL;
    if (c->tokenizer == NULL)
        return SUCCESS;
    t = xnew(struct merge_tokens);
    t->config = c;
    s = read_all(t, inputs);
    if (!status_failed(&s))
        s = settle(t);
    if (status_failed(&s) || are_equal(t)) {
        merge_tokens_free(t);
        return s;
    }
    *ret_tokens = t;
    return SUCCESS;
}

void merge_tokens_free(struct merge_tokens *t)
{
    if (t == NULL)
        return;
    for (size_t v = 0; v < VOCABULARIES; v++) {
        merge_vocabulary_release(&t->vocabularies[v]);
        free(t->ids[v]);
    }
    for (size_t i = 0; i < t->kept_count; i++)
        free(t->kept[i]);
    free(t->kept);
    json_decref(t->added);
    free(t);
}

uint64_t merge_tokens_count(const struct merge_tokens *t)
{
    return t->count;
}

const json_t *merge_tokens_added(const struct merge_tokens *t)
{
    return t->added;
}

/* ---- rows -------------------------------------------------------------- */

bool merge_tokens_has_rows(const char *name)
{
    static const char *const names[] = {
        "embed_tokens.weight", "wte.weight",
        "embed_in.weight",     "lm_head.weight",
        "lm_head.bias",        "embed_out.weight",
        "shared.weight",       "word_embeddings.weight",
    };
    size_t size = strlen(name);

    for (size_t i = 0; i < COUNT_OF(names); i++) {
        size_t own = strlen(names[i]);

        if (size >= own && strcmp(name + size - own, names[i]) == 0 &&
            (size == own || name[size - own - 1] == '.'))
            return true;
    }
    return false;
}

/* One view of an entry while its rows are numbered. */
struct column {
    const struct tensor *tensor;
    const int32_t *ids;
    int64_t *rows;
};

struct rows {
    struct column columns[VOCABULARIES]; /* the reference first */
    size_t count;
    size_t width; /* elements of a row */
    float *fill;
    size_t fills;
    double *mean; /* of all rows of the reference; NULL: not needed yet */
    float *row;   /* scratch */
};

static void *keep(struct merge_tokens *t, void *memory)
{
    t->kept = xrealloc(t->kept, (t->kept_count + 1) * sizeof *t->kept);
    t->kept[t->kept_count++] = memory;
    return memory;
}

/* The model's own row of a token, or -1. */
static int64_t row_of(const struct column *c, size_t token)
{
    int64_t id = c->ids[token];

    return id >= 0 && (uint64_t)id < c->tensor->shape[0] ? id : -1;
}

static void read_row(const struct rows *r, const struct column *c, int64_t row,
                     float *out)
{
    size_t bytes = r->width * dtype_size(c->tensor->dtype);

    dtype_to_f32(c->tensor->dtype,
                 (const char *)c->tensor->data + (size_t)row * bytes, out,
                 r->width);
}

static void mean_of_reference(struct rows *r)
{
    const struct column *c = &r->columns[0];
    uint64_t count = c->tensor->shape[0];

    r->mean = xcalloc(r->width + 1, sizeof *r->mean);
    for (uint64_t i = 0; i < count; i++) {
        read_row(r, c, (int64_t)i, r->row);
        for (size_t k = 0; k < r->width; k++)
            r->mean[k] += (double)r->row[k];
    }
    for (size_t k = 0; k < r->width && count > 0; k++)
        r->mean[k] /= (double)count;
}

/* Of those who have it; false: nobody does. */
static bool mean_of_models(const struct rows *r, size_t token, float *out)
{
    double *sum = xcalloc(r->width + 1, sizeof *sum);
    size_t count = 0;

    for (size_t i = 0; i < r->count; i++) {
        int64_t row = row_of(&r->columns[i], token);

        if (row < 0)
            continue;
        read_row(r, &r->columns[i], row, r->row);
        for (size_t k = 0; k < r->width; k++)
            sum[k] += (double)r->row[k];
        count++;
    }
    for (size_t k = 0; k < r->width && count > 0; k++)
        out[k] = (float)(sum[k] / (double)count);
    free(sum);
    return count > 0;
}

static void fill_row(struct rows *r, size_t token, float *out)
{
    int64_t own = row_of(&r->columns[0], token);

    if (own >= 0) {
        read_row(r, &r->columns[0], own, out);
        return;
    }
    if (mean_of_models(r, token, out))
        return;
    if (r->mean == NULL)
        mean_of_reference(r);
    for (size_t k = 0; k < r->width; k++)
        out[k] = (float)r->mean[k];
}

static bool is_lacked(const struct rows *r, size_t token)
{
    for (size_t i = 0; i < r->count; i++) {
        if (row_of(&r->columns[i], token) < 0)
            return true;
    }
    return false;
}

static void number_rows(struct rows *r, size_t tokens)
{
    size_t next = 0;

    for (size_t token = 0; token < tokens; token++) {
        bool lacked = is_lacked(r, token);

        for (size_t i = 0; i < r->count; i++) {
            int64_t own = row_of(&r->columns[i], token);

            r->columns[i].rows[token] = own >= 0 ? own : -1 - (int64_t)next;
        }
        if (lacked)
            fill_row(r, token, r->fill + next++ * r->width);
    }
}

static struct status take_room(struct merge_tokens *t, struct rows *r,
                               const char *name)
{
    for (size_t token = 0; token < t->count; token++)
        r->fills += is_lacked(r, token);
    if (r->width > 0 && r->fills > FILL_BYTES / sizeof(float) / r->width)
        return FAIL(STATUS_TOO_BIG,
                    "%zu tokens are not known to all models, too many to make "
                    "rows of %s for; merge models whose tokenizers are alike",
                    r->fills, name);
    r->fill = keep(t, xcalloc(r->fills * r->width + 1, sizeof(float)));
    r->row = xcalloc(r->width + 1, sizeof(float));
    for (size_t i = 0; i < r->count; i++)
        r->columns[i].rows = keep(t, xcalloc(t->count + 1, sizeof(int64_t)));
    return SUCCESS;
}

static void add_column(const struct merge_tokens *t, struct rows *r,
                       const struct merge_view *view, size_t model)
{
    size_t v = model == SIZE_MAX ? 0 : model + 1;

    r->columns[r->count++] =
        (struct column){ .tensor = view->tensor, .ids = t->ids[v] };
}

static void set_view(const struct rows *r, size_t i, struct merge_view *view)
{
    view->rows = r->columns[i].rows;
    view->fill = r->fill;
}

struct status merge_tokens_map(struct merge_tokens *t,
                               struct merge_entry *entry, size_t base,
                               bool with_base)
{
    const struct tensor *first = entry->base.tensor;
    struct rows r = { .count = 0 };
    struct status s;

    r.width =
        (size_t)(first->shape[0] > 0 ? first->count / first->shape[0] : 0);
    if (with_base)
        add_column(t, &r, &entry->base, base);
    for (size_t i = 0; i < entry->models; i++)
        add_column(t, &r, &entry->tasks[i], entry->model[i]);
    s = take_room(t, &r, first->name);
    if (!status_failed(&s)) {
        number_rows(&r, t->count);
        if (with_base)
            set_view(&r, 0, &entry->base);
        for (size_t i = 0; i < entry->models; i++)
            set_view(&r, i + with_base, &entry->tasks[i]);
    }
    free(r.mean);
    free(r.row);
    return s;
}
