#include "model/tokenizer_split.h"

#include <stdint.h>
#include <string.h>

#include "common/macros.h"
#include "model/unicode.h"

const struct split_rule split_gpt2 = {
    .regex = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+"
             "|\\s+(?!\\S)|\\s+",
};

#define LATER(numbers)                                                    \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|" numbers \
    "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

static const struct split_rule later[] = {
    { .regex = LATER("\\p{N}{1,3}"), .later = true, .digits = 3 },
    { .regex = LATER("\\p{N}"), .later = true, .digits = 1 },
};

const struct split_rule *split_find(const char *regex)
{
    if (strcmp(regex, split_gpt2.regex) == 0)
        return &split_gpt2;
    for (size_t i = 0; i < COUNT_OF(later); i++)
        if (strcmp(regex, later[i].regex) == 0)
            return &later[i];
    return NULL;
}

struct cursor {
    const unsigned char *text;
    size_t size;
};

/* What stands at a place; behind the end something of no sort. */
struct mark {
    uint32_t c;
    size_t size; /* bytes; 0: the end */
    enum unicode_sort sort;
};

static struct mark mark_at(const struct cursor *t, size_t at)
{
    struct mark m = { .sort = UNICODE_OTHER };

    if (at >= t->size)
        return m;
    m.c = unicode_next(t->text + at, t->size - at, &m.size);
    m.sort = unicode_sort(m.c);
    return m;
}

/* Where a run of one sort that begins at `at` ends; `most` 0: any number. */
static size_t run_end(const struct cursor *t, size_t at, enum unicode_sort sort,
                      unsigned most)
{
    for (unsigned n = 0; most == 0 || n < most; n++) {
        struct mark m = mark_at(t, at);

        if (m.size == 0 || m.sort != sort)
            break;
        at += m.size;
    }
    return at;
}

static bool is_line_end(uint32_t c)
{
    return c == '\r' || c == '\n';
}

/* 's, 't, 're, 've, 'm, 'll, 'd; where case does not matter an s may be a long
 * one. 0: none. */
static size_t contraction(const struct split_rule *r, const struct cursor *t)
{
    static const char *const endings[] = {
        "s", "t", "re", "ve", "m", "ll", "d"
    };
    static const unsigned char long_s[] = { 0xC5, 0xBF };

    if (t->text[0] != '\'')
        return 0;
    if (r->later && t->size > 2 && memcmp(t->text + 1, long_s, 2) == 0)
        return 3;
    for (size_t i = 0; i < COUNT_OF(endings); i++) {
        size_t size = strlen(endings[i]), same = 0;

        for (; same < size && same + 1 < t->size; same++) {
            unsigned char c = t->text[same + 1];

            if (r->later && c >= 'A' && c <= 'Z')
                c = (unsigned char)(c | 0x20);
            if (c != (unsigned char)endings[i][same])
                break;
        }
        if (same == size)
            return size + 1;
    }
    return 0;
}

/* Letters, with what may stand in front of them. */
static size_t word(const struct split_rule *r, const struct cursor *t,
                   const struct mark *first)
{
    bool before = r->later
                      ? first->sort != UNICODE_NUMBER && !is_line_end(first->c)
                      : first->c == ' ';
    size_t at = first->sort == UNICODE_LETTER || !before ? 0 : first->size;
    size_t end = run_end(t, at, UNICODE_LETTER, 0);

    return end == at ? 0 : end;
}

static size_t number(const struct split_rule *r, const struct cursor *t,
                     const struct mark *first)
{
    size_t at = r->digits == 0 && first->c == ' ' ? 1 : 0;
    size_t end = run_end(t, at, UNICODE_NUMBER, r->digits);

    return end == at ? 0 : end;
}

static size_t signs(const struct split_rule *r, const struct cursor *t,
                    const struct mark *first)
{
    size_t at = first->c == ' ' ? 1 : 0;
    size_t end = run_end(t, at, UNICODE_OTHER, 0);

    if (end == at)
        return 0;
    while (r->later && end < t->size && is_line_end(t->text[end]))
        end++;
    return end;
}

/* Blanks up to the last end of a line among them; else all but the last one,
 * which goes with what follows; else all. */
static size_t blanks(const struct split_rule *r, const struct cursor *t)
{
    size_t end = 0, line = 0, before_last = 0;

    for (;;) {
        struct mark m = mark_at(t, end);

        if (m.size == 0 || m.sort != UNICODE_SPACE)
            break;
        before_last = end;
        end += m.size;
        if (is_line_end(m.c))
            line = end;
    }
    if (r->later && line > 0)
        return line;
    return end == t->size || before_last == 0 ? end : before_last;
}

size_t split_next(const struct split_rule *rule, const char *text, size_t size)
{
    const struct cursor t = { (const unsigned char *)text, size };
    struct mark first = mark_at(&t, 0);
    size_t found = contraction(rule, &t);

    if (found == 0)
        found = word(rule, &t, &first);
    if (found == 0)
        found = number(rule, &t, &first);
    if (found == 0)
        found = signs(rule, &t, &first);
    return found != 0 ? found : blanks(rule, &t);
}
