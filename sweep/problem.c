#include "sweep/problem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/option.h"

#define PROBLEM_ROW(name, code, warning, meaning) \
    [PROBLEM_##name] = { code, warning, meaning },
const struct problem_row problem_rows[PROBLEM_COUNT] = { PROBLEM_CODES(
    PROBLEM_ROW) };
#undef PROBLEM_ROW

static bool is_within(char c, unsigned char least, unsigned char most)
{
    return (unsigned char)c >= least && (unsigned char)c <= most;
}

/* Bytes of the UTF-8 character at `text`, by table 3-7 of the Unicode
 * standard; 0: it is broken. */
static size_t whole_character(const char *text)
{
    static const struct {
        unsigned char first, last; /* of the first byte */
        unsigned char least, most; /* of the second byte */
        size_t size;
    } forms[] = {
        { 0x01, 0x7F, 0x00, 0xFF, 1 }, { 0xC2, 0xDF, 0x80, 0xBF, 2 },
        { 0xE0, 0xE0, 0xA0, 0xBF, 3 }, { 0xE1, 0xEC, 0x80, 0xBF, 3 },
        { 0xED, 0xED, 0x80, 0x9F, 3 }, { 0xEE, 0xEF, 0x80, 0xBF, 3 },
        { 0xF0, 0xF0, 0x90, 0xBF, 4 }, { 0xF1, 0xF3, 0x80, 0xBF, 4 },
        { 0xF4, 0xF4, 0x80, 0x8F, 4 },
    };

    for (size_t i = 0; i < COUNT_OF(forms); i++) {
        size_t size = forms[i].size;

        if (!is_within(text[0], forms[i].first, forms[i].last))
            continue;
        if (size > 1 && !is_within(text[1], forms[i].least, forms[i].most))
            return 0;
        for (size_t k = 2; k < size; k++) {
            if (!is_within(text[k], 0x80, 0xBF))
                return 0;
        }
        return size;
    }
    return 0;
}

void problem_mend(char *text)
{
    while (*text != '\0') {
        size_t size = whole_character(text);

        if (size == 0)
            *text = '?';
        text += size == 0 ? 1 : size;
    }
}

static bool is_same(const struct spec_problem *p, const char *code,
                    struct yaml_place place)
{
    return strcmp(p->code, code) == 0 && p->line == place.line &&
           p->column == place.column;
}

/* Where suggestions of problems go that are not kept. */
static struct spec_problem *nowhere(struct spec_problems *problems)
{
    return &problems->items[SPEC_PROBLEMS];
}

struct spec_problem *problem_add(struct spec_problems *problems,
                                 enum problem_code code,
                                 struct yaml_place place, const char *format,
                                 ...)
{
    const struct problem_row *row = &problem_rows[code];
    struct spec_problem *p = &problems->items[problems->count];
    va_list args;

    if (problems->count == SPEC_PROBLEMS)
        p = nowhere(problems);
    for (size_t i = 0; i < problems->count; i++) {
        if (is_same(&problems->items[i], row->code, place))
            return nowhere(problems);
    }
    problems->errors += row->warning ? 0 : 1;
    if (problems->count == SPEC_PROBLEMS)
        problems->more++;
    else
        problems->count++;
    *p = (struct spec_problem){ .warning = row->warning,
                                .line = place.line,
                                .column = place.column,
                                .length = place.length };
    (void)snprintf(p->code, sizeof p->code, "%s", row->code);
    va_start(args, format);
    (void)vsnprintf(p->message, sizeof p->message, format, args);
    va_end(args);
    problem_mend(p->message);
    return p;
}

static int by_place(const void *a, const void *b)
{
    const struct spec_problem *x = a;
    const struct spec_problem *y = b;

    if (x->line != y->line)
        return x->line < y->line ? -1 : 1;
    if (x->column != y->column)
        return x->column < y->column ? -1 : 1;
    return strcmp(x->code, y->code);
}

void problem_sort(struct spec_problems *problems)
{
    qsort(problems->items, problems->count, sizeof problems->items[0],
          by_place);
}

bool problem_is_error(const struct spec_problems *problems)
{
    return problems->errors > 0;
}

void problem_suggest(struct spec_problem *p, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    (void)vsnprintf(p->suggestion, sizeof p->suggestion, format, args);
    va_end(args);
    problem_mend(p->suggestion);
}

void problem_note(struct spec_problem *p, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    (void)vsnprintf(p->note, sizeof p->note, format, args);
    va_end(args);
    problem_mend(p->note);
}

void problem_nearest(struct spec_problem *p, const char *text,
                     const char *const *words)
{
    const char *nearest = option_nearest(text, words);

    if (nearest != NULL)
        problem_suggest(p, "did you mean `%s`?", nearest);
}

void problem_known(struct spec_problem *p, const char *const *words)
{
    size_t used;

    if (words[0] == NULL)
        return;
    used = (size_t)snprintf(p->note, sizeof p->note, "known: ");

    for (size_t i = 0; words[i] != NULL; i++) {
        size_t room = sizeof p->note - used;
        int size = snprintf(p->note + used, room, "%s%s", i == 0 ? "" : ", ",
                            words[i]);

        if (size < 0 || (size_t)size + 6 >= room) {
            (void)snprintf(p->note + used, room, ", ...");
            break;
        }
        used += (size_t)size;
    }
    problem_mend(p->note);
}
