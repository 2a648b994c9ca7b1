/* embed_tfidf.c -- words and pairs of neighbours, hashed: no model at all.
 *
 * Words are runs of letters, digits, _ and bytes from 0x80 on, or runs of what
 * else is no blank; A to Z are a to z. A term adds +1 or -1 to its bucket;
 * numbers are then weighted by ln((1 + n) / (1 + df)) + 1, df of n texts having
 * something in that bucket. */
#include "jobs/select/embed.h"

#include <math.h>
#include <string.h>

#include "common/memory.h"

static bool is_blank(unsigned char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_letter(unsigned char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
           (c >= 'a' && c <= 'z') || c == '_' || c >= 0x80;
}

/* FNV-1a of the bytes, behind `before`. */
static uint64_t hash_word(struct data_span word, uint64_t before)
{
    for (size_t i = 0; i < word.size; i++) {
        unsigned char c = (unsigned char)word.bytes[i];

        before ^= c >= 'A' && c <= 'Z' ? (unsigned)(c - 'A' + 'a') : c;
        before *= UINT64_C(0x100000001b3);
    }
    return before;
}

static const uint64_t nothing = UINT64_C(0xcbf29ce484222325);

/* Its last bits are alike for terms that differ in the last byte only. */
static void add_term(uint64_t hash, float *row)
{
    hash ^= hash >> 33;
    hash *= UINT64_C(0xff51afd7ed558ccd);
    hash ^= hash >> 33;
    row[hash % SELECT_TFIDF_WIDTH] += hash >> 63 == 0 ? 1.0F : -1.0F;
}

/* The word at `at` or behind it; false: there is none. */
static bool next_word(struct data_span text, size_t *at, struct data_span *word)
{
    const unsigned char *bytes = (const unsigned char *)text.bytes;
    size_t from;

    while (*at < text.size && is_blank(bytes[*at]))
        (*at)++;
    from = *at;
    while (*at < text.size && !is_blank(bytes[*at]) &&
           is_letter(bytes[*at]) == is_letter(bytes[from]))
        (*at)++;
    *word = (struct data_span){ text.bytes + from, *at - from };
    return word->size > 0;
}

static void count_terms(struct data_span text, float *row)
{
    struct data_span before = { .size = 0 }, word;
    size_t at = 0;

    while (next_word(text, &at, &word)) {
        add_term(hash_word(word, nothing), row);
        if (before.size > 0)
            add_term(hash_word(word, hash_word((struct data_span){ " ", 1 },
                                               hash_word(before, nothing))),
                     row);
        before = word;
    }
}

static void weigh(float *row, const double *weights)
{
    double squares = 0.0, by;

    for (size_t b = 0; b < SELECT_TFIDF_WIDTH; b++) {
        double x = (double)row[b] * weights[b];

        squares += x * x;
    }
    by = squares > 0.0 ? 1.0 / sqrt(squares) : 0.0;
    for (size_t b = 0; b < SELECT_TFIDF_WIDTH; b++)
        row[b] = (float)((double)row[b] * weights[b] * by);
}

void select_tfidf(const struct select_samples *s, float *ret_rows)
{
    AUTO(free_pointer)
    double *weights = xcalloc(SELECT_TFIDF_WIDTH, sizeof(*weights));

    memset(ret_rows, 0, s->kept_count * SELECT_TFIDF_WIDTH * sizeof(*ret_rows));
    for (size_t i = 0; i < s->kept_count; i++) {
        float *row = ret_rows + i * SELECT_TFIDF_WIDTH;

        count_terms(select_samples_get(s, s->kept[i]).instruction, row);
        for (size_t b = 0; b < SELECT_TFIDF_WIDTH; b++)
            weights[b] += row[b] != 0.0F ? 1.0 : 0.0;
    }
    for (size_t b = 0; b < SELECT_TFIDF_WIDTH; b++)
        weights[b] =
            log((1.0 + (double)s->kept_count) / (1.0 + weights[b])) + 1.0;
    for (size_t i = 0; i < s->kept_count; i++)
        weigh(ret_rows + i * SELECT_TFIDF_WIDTH, weights);
}
