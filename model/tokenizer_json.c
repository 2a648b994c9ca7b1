/* tokenizer_json.c -- a tokenizer.json read, and text cut and encoded by it. */
#include <stdlib.h>
#include <string.h>

#include "common/limits.h"
#include "common/memory.h"
#include "model/tokenizer.h"
#include "model/tokenizer_bpe.h"
#include "model/tokenizer_split.h"
#include "model/unicode.h"

enum { BYTES = 256 };

/* A token that is found in the text before anything else. */
struct added {
    const char *text; /* of the JSON */
    size_t size;
    int32_t token;
};

struct tokenizer {
    const char *what;
    json_t *json;        /* its strings are borrowed */
    const json_t *vocab; /* of it */
    const struct split_rule *rule;
    bool blank_first; /* a text begins with a blank */
    bool composed;    /* text has to be in normal form C */
    bool whole;       /* pieces in the vocabulary are not put together */
    int32_t begin, end;
    size_t size; /* highest id and one */
    int32_t bytes[BYTES];
    char letters[BYTES][3]; /* a byte as the vocabulary writes it */
    struct tokenizer_merges *merges;
    size_t added_count;
    struct added *added;    /* longer ones first */
    bool begins_one[BYTES]; /* of the added tokens */
};

struct tokenizer *tokenizer_unknown(const char *what)
{
    struct tokenizer *t = xnew(struct tokenizer);

    t->what = what;
    t->begin = t->end = -1;
    return t;
}

void tokenizer_free(struct tokenizer *t)
{
    if (t == NULL)
        return;
    bpe_merges_free(t->merges);
    free(t->added);
    json_decref(t->json);
    free(t);
}

size_t tokenizer_size(const struct tokenizer *t)
{
    return t->size;
}

int32_t tokenizer_begin(const struct tokenizer *t)
{
    return t->begin;
}

int32_t tokenizer_end(const struct tokenizer *t)
{
    return t->end;
}

/* --- the vocabulary ---------------------------------------------------------- */

/* Bytes that print stand for themselves, the others for letters from U+0100
 * on, in their order. */
static void write_letters(struct tokenizer *t)
{
    unsigned next = 0x100;

    for (unsigned b = 0; b < BYTES; b++) {
        bool prints =
            (b >= 0x21 && b <= 0x7E) || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;
        unsigned c = prints ? b : next++;

        if (c < 0x80) {
            t->letters[b][0] = (char)c;
            continue;
        }
        t->letters[b][0] = (char)(0xC0 | c >> 6);
        t->letters[b][1] = (char)(0x80 | (c & 0x3F));
    }
}

static struct status token_id(const struct tokenizer *t, const json_t *id,
                              const char *text, int32_t *ret_token)
{
    json_int_t value = json_integer_value(id);

    if (!json_is_integer(id) || value < 0 || value >= LIMIT_VOCAB)
        return FAIL(STATUS_CORRUPT, "%s: token \"%.60s\" has no id below %d",
                    t->what, text, LIMIT_VOCAB);
    *ret_token = (int32_t)value;
    return SUCCESS;
}

static struct status read_vocab(struct tokenizer *t, const json_t *model)
{
    const char *text;
    json_t *id;

    t->vocab = json_object_get(model, "vocab");
    if (!json_is_object(t->vocab))
        return FAIL(STATUS_CORRUPT, "%s: \"model\" has no \"vocab\"", t->what);
    json_object_foreach((json_t *)(uintptr_t)t->vocab, text, id)
    {
        int32_t token = 0;

        TRY_PLAIN(token_id(t, id, text, &token));
        if ((size_t)token >= t->size)
            t->size = (size_t)token + 1;
    }
    write_letters(t);
    for (size_t b = 0; b < BYTES; b++) {
        const json_t *own = json_object_get(t->vocab, t->letters[b]);

        if (own == NULL)
            return FAIL(STATUS_INVALID,
                        "%s: the vocabulary has no token for byte 0x%02zx: it "
                        "is not byte-level",
                        t->what, b);
        t->bytes[b] = (int32_t)json_integer_value(own);
    }
    return SUCCESS;
}

/* "left right", or ["left", "right"]. */
static bool halves_of(const json_t *merge, char **ret_left, char **ret_right)
{
    const char *text = json_string_value(merge);
    const char *blank = text == NULL ? NULL : strchr(text, ' ');

    if (blank != NULL && strchr(blank + 1, ' ') == NULL) {
        *ret_left = xstrndup(text, (size_t)(blank - text));
        *ret_right = xstrdup(blank + 1);
        return true;
    }
    if (json_array_size(merge) != 2 ||
        !json_is_string(json_array_get(merge, 0)) ||
        !json_is_string(json_array_get(merge, 1)))
        return false;
    *ret_left = xstrdup(json_string_value(json_array_get(merge, 0)));
    *ret_right = xstrdup(json_string_value(json_array_get(merge, 1)));
    return true;
}

static struct status add_merge(struct tokenizer *t, const json_t *merge,
                               size_t rank)
{
    AUTO(free_pointer) char *left = NULL;
    AUTO(free_pointer) char *right = NULL;
    AUTO(free_pointer) char *both = NULL;
    const json_t *a, *b, *c;

    if (!halves_of(merge, &left, &right))
        return FAIL(STATUS_CORRUPT, "%s: merge %zu is no pair", t->what,
                    rank + 1);
    both = xasprintf("%s%s", left, right);
    a = json_object_get(t->vocab, left);
    b = json_object_get(t->vocab, right);
    c = json_object_get(t->vocab, both);
    if (a == NULL || b == NULL || c == NULL)
        return FAIL(STATUS_CORRUPT,
                    "%s: merge %zu has a token that the vocabulary has not: "
                    "\"%.40s\" and \"%.40s\"",
                    t->what, rank + 1, left, right);
    bpe_merges_add(t->merges, (int32_t)json_integer_value(a),
                   (int32_t)json_integer_value(b), (uint32_t)rank,
                   (int32_t)json_integer_value(c));
    return SUCCESS;
}

/* --- what a model of tokens asks for ------------------------------------------ */

/* Absent, null, false and "" are what we do anyway. */
static bool is_off(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);

    return value == NULL || json_is_null(value) || json_is_false(value) ||
           (json_is_string(value) && json_string_length(value) == 0);
}

static struct status read_model(struct tokenizer *t)
{
    static const char *const refused[] = { "dropout",
                                           "continuing_subword_prefix",
                                           "end_of_word_suffix",
                                           "byte_fallback" };
    const json_t *model = json_object_get(t->json, "model");
    const json_t *merges = json_object_get(model, "merges");

    if (strcmp(json_text_or(model, "type", "BPE"), "BPE") != 0)
        return FAIL(STATUS_INVALID,
                    "%s: a model of the type \"%.40s\" is not known; known is: "
                    "BPE",
                    t->what, json_text_or(model, "type", ""));
    for (size_t i = 0; i < COUNT_OF(refused); i++)
        if (!is_off(model, refused[i]))
            return FAIL(STATUS_INVALID, "%s: \"%s\" of the model is not known",
                        t->what, refused[i]);
    t->whole = json_bool_or(model, "ignore_merges", false);
    TRY_PLAIN(read_vocab(t, model));
    if (!json_is_array(merges))
        return FAIL(STATUS_CORRUPT, "%s: \"model\" has no \"merges\"", t->what);
    t->merges = bpe_merges_new(json_array_size(merges));
    for (size_t i = 0; i < json_array_size(merges); i++)
        TRY_PLAIN(add_merge(t, json_array_get(merges, i), i));
    return SUCCESS;
}

static struct status refuse_step(const struct tokenizer *t, const char *part,
                                 const json_t *step)
{
    return FAIL(STATUS_INVALID,
                "%s: \"%s\" has a step \"%.40s\" that is not known, or not in "
                "this form",
                t->what, part, json_text_or(step, "type", "?"));
}

/* The expression of a Split; NULL: not one we know. */
static const struct split_rule *rule_of(const json_t *step)
{
    const char *regex =
        json_text_or(json_object_get(step, "pattern"), "Regex", "");

    if (strcmp(json_text_or(step, "behavior", ""), "Isolated") != 0 ||
        !is_off(step, "invert"))
        return NULL;
    return split_find(regex);
}

/* The parts of a Sequence under `key`, or the one thing itself. */
static size_t steps_of(const json_t *one, const char *key,
                       const json_t **ret_list)
{
    *ret_list = json_object_get(one, key);
    if (one == NULL || json_is_null(one))
        return 0;
    return strcmp(json_text_or(one, "type", ""), "Sequence") == 0
               ? json_array_size(*ret_list)
               : 1;
}

static const json_t *step_at(const json_t *one, const json_t *list, size_t i)
{
    return strcmp(json_text_or(one, "type", ""), "Sequence") == 0
               ? json_array_get(list, i)
               : one;
}

static struct status read_splitting(struct tokenizer *t)
{
    const json_t *one = json_object_get(t->json, "pre_tokenizer"), *list;
    size_t count = steps_of(one, "pretokenizers", &list);
    bool levels = false;

    for (size_t i = 0; i < count; i++) {
        const json_t *step = step_at(one, list, i);
        const char *type = json_text_or(step, "type", "");

        if (strcmp(type, "Split") == 0 && t->rule == NULL && !levels &&
            rule_of(step) != NULL) {
            t->rule = rule_of(step);
        } else if (strcmp(type, "ByteLevel") == 0 && !levels) {
            levels = true;
            t->blank_first = json_bool_or(step, "add_prefix_space", true);
            if (json_bool_or(step, "use_regex", true) == (t->rule != NULL))
                return refuse_step(t, "pre_tokenizer", step);
        } else {
            return refuse_step(t, "pre_tokenizer", step);
        }
    }
    if (!levels)
        return FAIL(STATUS_INVALID,
                    "%s: \"pre_tokenizer\" has no step ByteLevel; other "
                    "tokenizers are not known",
                    t->what);
    if (t->rule == NULL)
        t->rule = &split_gpt2;
    return SUCCESS;
}

static struct status read_normalizer(struct tokenizer *t)
{
    const json_t *one = json_object_get(t->json, "normalizer"), *list;
    size_t count = steps_of(one, "normalizers", &list);

    for (size_t i = 0; i < count; i++) {
        const json_t *step = step_at(one, list, i);

        if (strcmp(json_text_or(step, "type", ""), "NFC") != 0)
            return refuse_step(t, "normalizer", step);
        t->composed = true;
    }
    return SUCCESS;
}

/* --- tokens beside the text ---------------------------------------------------- */

static int longer_first(const void *a, const void *b)
{
    const struct added *x = a, *y = b;

    if (x->size != y->size)
        return x->size < y->size ? 1 : -1;
    return strcmp(x->text, y->text);
}

static struct status read_added(struct tokenizer *t)
{
    const json_t *list = json_object_get(t->json, "added_tokens");
    size_t count = json_array_size(list);

    t->added = xcalloc(count + 1, sizeof(*t->added));
    for (size_t i = 0; i < count; i++) {
        const json_t *one = json_array_get(list, i);
        struct added *to = &t->added[t->added_count];

        to->text = json_text_or(one, "content", "");
        to->size = strlen(to->text);
        TRY_PLAIN(
            token_id(t, json_object_get(one, "id"), to->text, &to->token));
        if (!is_off(one, "lstrip") || !is_off(one, "rstrip") ||
            !is_off(one, "single_word"))
            return FAIL(STATUS_INVALID,
                        "%s: the added token \"%.40s\" takes blanks or whole "
                        "words, which is not known",
                        t->what, to->text);
        if ((size_t)to->token >= t->size)
            t->size = (size_t)to->token + 1;
        t->begins_one[(unsigned char)to->text[0]] = to->size > 0;
        t->added_count += to->size > 0;
    }
    qsort(t->added, t->added_count, sizeof(*t->added), longer_first);
    return SUCCESS;
}

static struct status find_added(const struct tokenizer *t, const char *text,
                                int32_t *ret_token)
{
    for (size_t i = 0; i < t->added_count; i++)
        if (strcmp(t->added[i].text, text) == 0) {
            *ret_token = t->added[i].token;
            return SUCCESS;
        }
    return FAIL(STATUS_CORRUPT, "%s: there is no added token \"%.40s\"",
                t->what, text);
}

/* [{"SpecialToken": {"id": "<s>"}}, {"Sequence": {"id": "A"}}, ...]: at most
 * one in front of the text and one behind it. */
static struct status read_template(struct tokenizer *t, const json_t *step)
{
    const json_t *single = json_object_get(step, "single");
    bool behind = false;

    for (size_t i = 0; i < json_array_size(single); i++) {
        const json_t *part = json_array_get(single, i);
        const json_t *special = json_object_get(part, "SpecialToken");
        int32_t *to = behind ? &t->end : &t->begin;

        if (special == NULL && !behind &&
            json_object_get(part, "Sequence") != NULL) {
            behind = true;
            continue;
        }
        if (special == NULL || *to >= 0)
            return refuse_step(t, "post_processor", step);
        TRY_PLAIN(find_added(t, json_text_or(special, "id", ""), to));
    }
    return SUCCESS;
}

static struct status read_ends(struct tokenizer *t)
{
    const json_t *one = json_object_get(t->json, "post_processor"), *list;
    size_t count = steps_of(one, "processors", &list);

    for (size_t i = 0; i < count; i++) {
        const json_t *step = step_at(one, list, i);
        const char *type = json_text_or(step, "type", "");

        if (strcmp(type, "TemplateProcessing") == 0)
            TRY_PLAIN(read_template(t, step));
        else if (strcmp(type, "ByteLevel") != 0)
            return refuse_step(t, "post_processor", step);
    }
    return SUCCESS;
}

static struct status read_all(struct tokenizer *t)
{
    TRY_PLAIN(read_model(t));
    TRY_PLAIN(read_splitting(t));
    TRY_PLAIN(read_normalizer(t));
    TRY_PLAIN(read_added(t));
    return read_ends(t);
}

struct status tokenizer_parse(const char *text, size_t size, const char *what,
                              struct tokenizer **ret_tokenizer)
{
    struct tokenizer *t;
    json_t *json;
    struct status st;

    TRY_PLAIN(json_parse(text, size, what, &json));
    t = xnew(struct tokenizer);
    t->json = json;
    t->what = what;
    t->begin = t->end = -1;
    st = read_all(t);
    t->what = "tokenizer";
    if (status_failed(&st))
        tokenizer_free(t);
    else
        *ret_tokenizer = t;
    return st;
}

/* --- text ------------------------------------------------------------------------ */

/* Tokens on their way out; room is made for a piece at a time. */
struct token_list {
    int32_t *items;
    size_t count, room;
};

static int32_t *room_for(struct token_list *l, size_t more)
{
    if (l->count + more > l->room) {
        l->room = 2 * (l->count + more);
        l->items = xrealloc(l->items, l->room * sizeof(*l->items));
    }
    return l->items + l->count;
}

/* The token that a piece is as it stands; -1: none. */
static int32_t whole_piece(const struct tokenizer *t, const char *text,
                           size_t size)
{
    AUTO(free_pointer) char *name = xcalloc(2 * size + 1, 1);
    const json_t *token;
    size_t used = 0;

    for (size_t i = 0; i < size; i++)
        for (const char *c = t->letters[(unsigned char)text[i]]; *c != '\0';
             c++)
            name[used++] = *c;
    token = json_object_get(t->vocab, name);
    return token == NULL ? -1 : (int32_t)json_integer_value(token);
}

static void add_piece(const struct tokenizer *t, const char *text, size_t size,
                      struct token_list *l)
{
    int32_t *to = room_for(l, size);
    int32_t token = t->whole ? whole_piece(t, text, size) : -1;

    if (token >= 0) {
        *to = token;
        l->count++;
        return;
    }
    l->count += bpe_encode(t->merges, t->bytes, text, size, to);
}

/* Text without added tokens in it. */
static void add_plain(const struct tokenizer *t, const char *text, size_t size,
                      struct token_list *l)
{
    size_t at = 0;

    if (t->blank_first && size > 0 && text[0] != ' ') {
        AUTO(free_pointer) char *first = xcalloc(size + 1, 1);

        first[0] = ' ';
        memcpy(first + 1, text, size);
        at = split_next(t->rule, first, size + 1);
        add_piece(t, first, at, l);
        at--;
    }
    while (at < size) {
        size_t piece = split_next(t->rule, text + at, size - at);

        add_piece(t, text + at, piece, l);
        at += piece;
    }
}

static const struct added *added_at(const struct tokenizer *t, const char *text,
                                    size_t left)
{
    if (!t->begins_one[(unsigned char)*text])
        return NULL;
    for (size_t i = 0; i < t->added_count; i++)
        if (t->added[i].size <= left &&
            memcmp(t->added[i].text, text, t->added[i].size) == 0)
            return &t->added[i];
    return NULL;
}

static struct status check_composed(const char *text, size_t size)
{
    for (size_t at = 0, step; at < size; at += step) {
        uint32_t c =
            unicode_next((const unsigned char *)text + at, size - at, &step);

        if (!unicode_is_composed(c))
            return FAIL(STATUS_INVALID,
                        "the tokenizer wants text in Unicode's normal form C; "
                        "U+%04X at byte %zu may not be: write the file in it",
                        c, at);
    }
    return SUCCESS;
}

struct status tokenizer_add(const struct tokenizer *t, const char *text,
                            size_t size, int32_t **tokens, size_t *count)
{
    struct token_list l = { *tokens, *count, *count };
    size_t from = 0;

    if (t->json == NULL)
        return FAIL(STATUS_INVALID,
                    "the model's tokenizer is %s, which is not known; give it "
                    "a tokenizer.json, or data that are tokens",
                    t->what);
    if (t->composed)
        TRY_PLAIN(check_composed(text, size));
    for (size_t at = 0; at < size;) {
        const struct added *a = added_at(t, text + at, size - at);

        if (a == NULL) {
            at++;
            continue;
        }
        add_plain(t, text + from, at - from, &l);
        *room_for(&l, 1) = a->token;
        l.count++;
        at += a->size;
        from = at;
    }
    add_plain(t, text + from, size - from, &l);
    *tokens = l.items;
    *count = l.count;
    return SUCCESS;
}
