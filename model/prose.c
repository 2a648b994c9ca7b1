#include "model/prose.h"

#include <stdbool.h>

#include "common/philox.h"

enum {
    TOPICS = 32,
    TOPIC_WORDS_LOG = 5, /* nouns that a topic has for itself */
    SENTENCES_LEAST = 3,
    SENTENCES_MOST = 10,
    WORD_MOST = 24, /* bytes, with a NUL */
};

/* Words of each class: 2^log of them, of which number n is 2^k times rarer
 * than the first if it is about 2^k. */
static const struct word_class {
    const char *name; /* of its stream: never changes */
    unsigned log;
    char sign; /* in patterns */
} classes[] = {
    { "prose.noun", 11, 'N' },     { "prose.noun", 11, 'P' },
    { "prose.verb", 9, 'V' },      { "prose.verb", 9, 'W' },
    { "prose.adjective", 9, 'A' }, { "prose.name", 8, 'X' },
};

/* N a noun, P more of them; V a verb of one, W of more; A an adjective, X a
 * name. Other words stand as they are. */
static const char *const patterns[] = {
    "the N V the A N",     "X V a N of P",        "the P of X W",
    "X and X W the A P",   "the A N V when P W",  "no N V without P",
    "X V where the P W",   "if P W, X V the N",   "the N that X V is A",
    "P are A and the N V", "all P W but one N V", "a N of X V the P",
    "X is a A N",          "the P that W are A",  "X V, and so the N V",
    "there is a N for X",
};

/* Draws of one thing, one after the other. */
struct draw {
    struct philox_key key;
    uint64_t next;
};

static uint32_t below(struct draw *d, uint32_t bound)
{
    return philox_below(d->key, d->next++, bound);
}

/* The first is the likeliest; each power of two is as likely as another. */
static uint32_t rare(struct draw *d, unsigned log)
{
    uint32_t power = 1U << below(d, log);

    return power - 1 + below(d, power);
}

/* Word `number` of a class; frequent ones are short. */
static void spell(uint32_t seed, const char *stream, uint32_t number,
                  char ret_word[WORD_MOST])
{
    static const char *const onsets[] = { "b", "d", "f",  "g",  "h",  "k",
                                          "l", "m", "n",  "p",  "r",  "s",
                                          "t", "w", "sh", "tr", "pl", "" };
    static const char *const nuclei[] = { "a", "e", "i", "o", "u", "ai" };
    static const char *const codas[] = { "", "", "", "n", "r", "l", "s", "nd" };
    struct draw d = {
        .key = { .seed = seed, .stream = philox_hash(stream), .tensor = number }
    };
    unsigned syllables = number < 8 ? 1 : number < 256 ? 2 : 3;
    size_t used = 0;

    for (unsigned i = 0; i < syllables; i++) {
        /* One after the other: arguments have no order. */
        const char *onset = onsets[below(&d, COUNT_OF(onsets))];
        const char *nucleus = nuclei[below(&d, COUNT_OF(nuclei))];

        used += (size_t)snprintf(
            ret_word + used, WORD_MOST - used, "%s%s%s", onset, nucleus,
            i + 1 < syllables ? "" : codas[below(&d, COUNT_OF(codas))]);
    }
}

static const struct word_class *class_of(char sign)
{
    for (size_t i = 0; i < COUNT_OF(classes); i++)
        if (classes[i].sign == sign)
            return &classes[i];
    return NULL;
}

/* A word of the class; every other noun is one of the topic's own. */
static void choose(struct draw *d, const struct word_class *c, uint32_t topic,
                   char ret_word[WORD_MOST])
{
    bool noun = c->sign == 'N' || c->sign == 'P';
    uint32_t number;
    size_t size;

    if (noun && below(d, 2) == 0)
        number = (1U << c->log) + (topic << TOPIC_WORDS_LOG) +
                 rare(d, TOPIC_WORDS_LOG);
    else
        number = rare(d, c->log);
    spell(d->key.seed, c->name, number, ret_word);
    size = strlen(ret_word);
    if ((c->sign == 'P' || c->sign == 'V') && size + 1 < WORD_MOST)
        memcpy(ret_word + size, "s", 2);
    if (c->sign == 'X')
        ret_word[0] = (char)(ret_word[0] - 'a' + 'A');
}

/* At `at`, which has room for it; the end of it. */
static char *sentence(struct draw *d, uint32_t topic, char *at)
{
    const char *pattern = patterns[below(d, COUNT_OF(patterns))];
    char *first = at;

    for (; *pattern != '\0'; pattern++) {
        const struct word_class *c = class_of(*pattern);

        if (c == NULL) {
            *at++ = *pattern;
            continue;
        }
        choose(d, c, topic, at);
        at += strlen(at);
    }
    if (*first >= 'a' && *first <= 'z')
        *first = (char)(*first - 'a' + 'A');
    *at++ = '.';
    return at;
}

size_t prose_document(uint32_t seed, enum task_split split, uint64_t number,
                      char ret_text[PROSE_MOST])
{
    struct draw d = {
        .key = { .seed = seed,
                 .stream = philox_hash(split == SPLIT_TEST ? "prose.test"
                                                           : "prose.train"),
                 .tensor = number },
    };
    uint32_t topic = below(&d, TOPICS);
    uint32_t count =
        SENTENCES_LEAST + below(&d, SENTENCES_MOST - SENTENCES_LEAST + 1);
    char *at = ret_text;

    for (uint32_t i = 0; i < count; i++) {
        if (i > 0)
            *at++ = ' ';
        at = sentence(&d, topic, at);
    }
    *at = '\0';
    return (size_t)(at - ret_text);
}
