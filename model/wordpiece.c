#include "model/wordpiece.h"

#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "common/limits.h"
#include "common/map.h"
#include "common/memory.h"
#include "model/unicode_fold.h"

enum {
    WORD_MOST = 100, /* characters; longer words are not known */
    CHARACTER = 4,   /* bytes of one */
    PREFIX = 2,      /* of ## */
};

struct wordpiece {
    struct map *ids; /* token -> id and one */
    size_t size;
    int32_t unknown, begin, end;
};

void wordpiece_free(struct wordpiece *w)
{
    if (w == NULL)
        return;
    map_free(w->ids);
    free(w);
}

size_t wordpiece_size(const struct wordpiece *w)
{
    return w->size;
}

/* --- the vocabulary ----------------------------------------------------------- */

static int32_t find(const struct wordpiece *w, const char *token, size_t size)
{
    return (int32_t)(uintptr_t)map_get(w->ids, token, size) - 1;
}

static void add(struct wordpiece *w, const char *token, size_t size, size_t id)
{
    (void)map_put(w->ids, token, size, (void *)(uintptr_t)(id + 1));
    w->size = id >= w->size ? id + 1 : w->size;
}

static struct status find_special(const struct wordpiece *w, const char *what,
                                  const char *token, int32_t *ret_id)
{
    *ret_id = find(w, token, strlen(token));
    if (*ret_id < 0)
        return FAIL(STATUS_INVALID, "%s: the vocabulary has no token \"%s\"",
                    what, token);
    return SUCCESS;
}

static struct status find_specials(struct wordpiece *w, const char *what)
{
    TRY_PLAIN(find_special(w, what, "[UNK]", &w->unknown));
    TRY_PLAIN(find_special(w, what, "[CLS]", &w->begin));
    return find_special(w, what, "[SEP]", &w->end);
}

static struct wordpiece *wordpiece_new(void)
{
    struct wordpiece *w = xnew(struct wordpiece);

    w->ids = map_new();
    return w;
}

static struct status finish(struct wordpiece *w, struct status st,
                            const char *what, struct wordpiece **ret_pieces)
{
    if (!status_failed(&st))
        st = find_specials(w, what);
    if (status_failed(&st))
        wordpiece_free(w);
    else
        *ret_pieces = w;
    return st;
}

static struct status read_list(struct wordpiece *w, const char *text,
                               size_t size, const char *what)
{
    size_t id = 0;

    for (size_t at = 0; at < size; id++) {
        const char *end = memchr(text + at, '\n', size - at);
        size_t length = end == NULL ? size - at : (size_t)(end - text) - at;
        size_t shown = length;

        if (id >= LIMIT_VOCAB)
            return FAIL(STATUS_TOO_BIG, "%s has more than %d tokens", what,
                        LIMIT_VOCAB);
        if (shown > 0 && text[at + shown - 1] == '\r')
            shown--;
        add(w, text + at, shown, id);
        at += length + 1;
    }
    return SUCCESS;
}

struct status wordpiece_parse_list(const char *text, size_t size,
                                   const char *what,
                                   struct wordpiece **ret_pieces)
{
    struct wordpiece *w = wordpiece_new();

    return finish(w, read_list(w, text, size, what), what, ret_pieces);
}

/* --- tokenizer.json ------------------------------------------------------------- */

static struct status refuse(const char *what, const char *part,
                            const char *wanted)
{
    return FAIL(STATUS_INVALID,
                "%s: \"%s\" is not %s, which is all that is known", what, part,
                wanted);
}

static bool is_type(const json_t *part, const char *type)
{
    return strcmp(json_text_or(part, "type", ""), type) == 0;
}

static struct status check_json(const json_t *json, const char *what)
{
    const json_t *model = json_object_get(json, "model");
    const json_t *normal = json_object_get(json, "normalizer");
    bool lower = json_bool_or(normal, "lowercase", true);

    if (!is_type(model, "WordPiece") ||
        strcmp(json_text_or(model, "continuing_subword_prefix", "##"), "##") !=
            0 ||
        json_int_or(model, "max_input_chars_per_word", WORD_MOST) != WORD_MOST)
        return refuse(what, "model",
                      "WordPiece with ## inside of words of at "
                      "most 100 characters");
    if (!is_type(normal, "BertNormalizer") || !lower ||
        !json_bool_or(normal, "clean_text", true) ||
        !json_bool_or(normal, "handle_chinese_chars", true) ||
        !json_bool_or(normal, "strip_accents", lower))
        return refuse(what, "normalizer",
                      "BertNormalizer without case and "
                      "accents");
    if (!is_type(json_object_get(json, "pre_tokenizer"), "BertPreTokenizer"))
        return refuse(what, "pre_tokenizer", "BertPreTokenizer");
    return SUCCESS;
}

static struct status read_json(struct wordpiece *w, json_t *json,
                               const char *what)
{
    json_t *vocab = json_object_get(json_object_get(json, "model"), "vocab");
    const char *token;
    json_t *id;

    TRY_PLAIN(check_json(json, what));
    json_object_foreach(vocab, token, id)
    {
        json_int_t value = json_integer_value(id);

        if (!json_is_integer(id) || value < 0 || value >= LIMIT_VOCAB)
            return FAIL(STATUS_CORRUPT,
                        "%s: token \"%.60s\" has no id below %d", what, token,
                        LIMIT_VOCAB);
        add(w, token, strlen(token), (size_t)value);
    }
    return SUCCESS;
}

struct status wordpiece_parse_json(const char *text, size_t size,
                                   const char *what,
                                   struct wordpiece **ret_pieces)
{
    AUTO(json_release) json_t *json = NULL;
    struct wordpiece *w;

    TRY_PLAIN(json_parse(text, size, what, &json));
    w = wordpiece_new();
    return finish(w, read_json(w, json, what), what, ret_pieces);
}

/* --- text ------------------------------------------------------------------------- */

/* The word that is being read, and the tokens so far. */
struct writing {
    const struct wordpiece *pieces;
    int32_t *tokens;
    size_t count, most;
    size_t characters; /* of the word; beyond WORD_MOST they are not kept */
    size_t size;
    char word[PREFIX + WORD_MOST * CHARACTER]; /* behind ## */
};

static void add_token(struct writing *w, int32_t token)
{
    if (w->count < w->most)
        w->tokens[w->count++] = token;
}

/* The longest piece of the word from `at` on: its id, and where it ends; -1 if
 * there is none. What stands in front of it is over, so ## has room there. */
static int32_t longest_piece(struct writing *w, size_t at, size_t *ret_end)
{
    char *from = w->word + PREFIX + at;

    if (at > 0) {
        from -= PREFIX;
        memcpy(from, "##", PREFIX);
    }
    for (size_t end = w->size; end > at; end--) {
        const char *stop = w->word + PREFIX + end;
        int32_t id;

        if (end < w->size && ((unsigned char)*stop & 0xC0) == 0x80)
            continue; /* inside of a character */
        id = find(w->pieces, from, (size_t)(stop - from));
        *ret_end = end;
        if (id >= 0)
            return id;
    }
    return -1;
}

static void end_word(struct writing *w)
{
    size_t before = w->count, at = 0;

    if (w->characters > WORD_MOST)
        add_token(w, w->pieces->unknown);
    else
        while (at < w->size) {
            int32_t id = longest_piece(w, at, &at);

            if (id < 0) { /* all of the word */
                w->count = before;
                add_token(w, w->pieces->unknown);
                break;
            }
            add_token(w, id);
        }
    w->characters = w->size = 0;
}

static void add_character(struct writing *w, uint32_t c)
{
    char *to = w->word + PREFIX + w->size;

    if (++w->characters > WORD_MOST)
        return;
    if (c < 0x80) {
        to[0] = (char)c;
        w->size += 1;
    } else if (c < 0x800) {
        to[0] = (char)(0xC0 | c >> 6);
        to[1] = (char)(0x80 | (c & 0x3F));
        w->size += 2;
    } else if (c < 0x10000) {
        to[0] = (char)(0xE0 | c >> 12);
        to[1] = (char)(0x80 | (c >> 6 & 0x3F));
        to[2] = (char)(0x80 | (c & 0x3F));
        w->size += 3;
    } else {
        to[0] = (char)(0xF0 | c >> 18);
        to[1] = (char)(0x80 | (c >> 12 & 0x3F));
        to[2] = (char)(0x80 | (c >> 6 & 0x3F));
        to[3] = (char)(0x80 | (c & 0x3F));
        w->size += 4;
    }
}

static bool is_ideograph(uint32_t c)
{
    static const struct unicode_range ranges[] = {
        { 0x3400, 0x4DBF },   { 0x4E00, 0x9FFF },   { 0xF900, 0xFAFF },
        { 0x20000, 0x2A6DF }, { 0x2A700, 0x2B73F }, { 0x2B740, 0x2B81F },
        { 0x2B820, 0x2CEAF }, { 0x2F800, 0x2FA1F },
    };

    for (size_t i = 0; i < COUNT_OF(ranges); i++)
        if (c >= ranges[i].first && c <= ranges[i].last)
            return true;
    return false;
}

static void take(struct writing *w, uint32_t c)
{
    uint32_t folded[UNICODE_FOLDED];
    size_t count;
    bool alone = is_ideograph(c);

    if (c == 0 || c == 0xFFFD || c > 0x10FFFF || unicode_is_control(c))
        return;
    if (unicode_sort(c) == UNICODE_SPACE) {
        end_word(w);
        return;
    }
    count = unicode_fold(c, folded);
    for (size_t i = 0; i < count; i++) {
        bool cut = alone || unicode_is_punctuation(folded[i]);

        if (cut)
            end_word(w);
        add_character(w, folded[i]);
        if (cut)
            end_word(w);
    }
}

size_t wordpiece_encode(const struct wordpiece *w, const char *text,
                        size_t size, size_t most, int32_t *ret_tokens)
{
    struct writing to = { .pieces = w, .tokens = ret_tokens, .most = most - 1 };

    add_token(&to, w->begin);
    for (size_t at = 0, step; at < size && to.count < to.most; at += step)
        take(&to,
             unicode_next((const unsigned char *)text + at, size - at, &step));
    end_word(&to);
    to.tokens[to.count++] = w->end;
    return to.count;
}
