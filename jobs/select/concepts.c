#include "jobs/select/concepts.h"

#include <stdlib.h>
#include <string.h>

#include "common/map.h"
#include "common/memory.h"

struct concepts {
    const struct concept_stops *stops;
    struct map *numbers; /* phrase -> its entry of `texts`, plus one */
    char **texts;
    uint64_t *seen; /* which sample had it last */
    size_t count, room;
    uint64_t sample;
};

struct concepts *concepts_new(const struct concept_stops *stops)
{
    struct concepts *c = xnew(struct concepts);

    c->stops = stops;
    c->numbers = map_new();
    return c;
}

void concepts_free(struct concepts *c)
{
    if (c == NULL)
        return;
    for (size_t i = 0; i < c->count; i++)
        free(c->texts[i]);
    free(c->texts);
    free(c->seen);
    map_free(c->numbers);
    free(c);
}

size_t concepts_count(const struct concepts *c)
{
    return c->count;
}

const char *concepts_text(const struct concepts *c, uint32_t concept)
{
    return c->texts[concept];
}

static void make_room(struct concepts *c)
{
    if (c->count < c->room)
        return;
    c->room = c->room == 0 ? 256 : 2 * c->room;
    c->texts = xrealloc(c->texts, c->room * sizeof(*c->texts));
    c->seen = xrealloc(c->seen, c->room * sizeof(*c->seen));
}

uint32_t concepts_number(struct concepts *c, const char *phrase, size_t size)
{
    uintptr_t known = (uintptr_t)map_get(c->numbers, phrase, size);

    if (known != 0)
        return (uint32_t)(known - 1);
    make_room(c);
    c->texts[c->count] = xstrndup(phrase, size);
    c->seen[c->count] = 0;
    c->count++;
    /* The number itself is the value. */
    (void)map_put(c->numbers, phrase, size,
                  (void *)(uintptr_t)c->count); /* NOLINT */
    return (uint32_t)(c->count - 1);
}

/* --- phrases of a text --------------------------------------------------------
 */

enum letter { SPACE, WORD, OTHER };

static enum letter letter_of(char byte)
{
    unsigned char b = (unsigned char)byte;

    if (b == ' ' || (b >= '\t' && b <= '\r'))
        return SPACE;
    if ((b >= 'a' && b <= 'z') || (b >= 'A' && b <= 'Z') ||
        (b >= '0' && b <= '9') || b == '_' || b >= 0x80)
        return WORD;
    return OTHER;
}

static char lower_of(char byte)
{
    if (byte < 'A' || byte > 'Z')
        return byte;
    return (char)(byte - 'A' + 'a');
}

/* A phrase as it grows, and what was found so far. */
struct reader {
    struct concepts *concepts;
    char phrase[CONCEPTS_LENGTH];
    size_t size;
    bool too_long;
    uint32_t *found;
    size_t count, room;
};

static int compare_words(const void *a, const void *b)
{
    const char *const *x = a;
    const char *const *y = b;

    return strcmp(*x, *y);
}

static bool is_stop(const struct concept_stops *stops, const char *word)
{
    return bsearch(&word, stops->words, stops->count, sizeof(*stops->words),
                   compare_words) != NULL;
}

static void end_phrase(struct reader *r)
{
    struct concepts *c = r->concepts;
    uint32_t number;

    if (r->size > 0 && !r->too_long && r->count < CONCEPTS_PER_SAMPLE) {
        number = concepts_number(c, r->phrase, r->size);
        if (c->seen[number] != c->sample) {
            if (r->count == r->room) {
                r->room = r->room == 0 ? 16 : 2 * r->room;
                r->found = xrealloc(r->found, r->room * sizeof(*r->found));
            }
            r->found[r->count++] = number;
            c->seen[number] = c->sample;
        }
    }
    r->size = 0;
    r->too_long = false;
}

/* Words of this length and more are no stop words. */
enum { WORD_LENGTH = 32 };

static void add_word(struct reader *r, const char *word, size_t size)
{
    char lower[WORD_LENGTH] = { 0 };
    size_t gap = r->size > 0;

    for (size_t i = 0; i < size && i < sizeof(lower) - 1; i++)
        lower[i] = lower_of(word[i]);
    if (size < sizeof(lower) && is_stop(r->concepts->stops, lower)) {
        end_phrase(r);
        return;
    }
    if (r->too_long || r->size + gap + size > sizeof(r->phrase)) {
        r->too_long = true;
        return;
    }
    if (gap > 0)
        r->phrase[r->size++] = ' ';
    for (size_t i = 0; i < size; i++)
        r->phrase[r->size++] = lower_of(word[i]);
}

static void read_phrases(struct reader *r, const char *text, size_t size)
{
    size_t at = 0;

    while (at < size) {
        enum letter kind = letter_of(text[at]);
        size_t first = at;

        while (at < size && letter_of(text[at]) == kind)
            at++;
        if (kind == WORD)
            add_word(r, text + first, at - first);
        else if (kind == OTHER)
            end_phrase(r);
    }
    end_phrase(r);
}

/* --- sets ---------------------------------------------------------------------
 */

struct entry {
    const char *text;
    uint32_t number;
};

static int compare_entries(const void *a, const void *b)
{
    const struct entry *x = a;
    const struct entry *y = b;

    return strcmp(x->text, y->text);
}

size_t concepts_sort(const struct concepts *c, uint32_t *numbers, size_t count)
{
    AUTO(free_pointer)
    struct entry *entries = xcalloc(count + 1, sizeof(*entries));
    size_t kept = 0;

    for (size_t i = 0; i < count; i++)
        entries[i] = (struct entry){ c->texts[numbers[i]], numbers[i] };
    qsort(entries, count, sizeof(*entries), compare_entries);
    for (size_t i = 0; i < count; i++)
        if (kept == 0 || numbers[kept - 1] != entries[i].number)
            numbers[kept++] = entries[i].number;
    return kept;
}

size_t concepts_of(struct concepts *c, const char *text, size_t size,
                   uint32_t **ret_numbers)
{
    struct reader r = { .concepts = c };

    c->sample++;
    read_phrases(&r, text, size);
    *ret_numbers = r.found == NULL ? xcalloc(1, sizeof(*r.found)) : r.found;
    return concepts_sort(c, *ret_numbers, r.count);
}
