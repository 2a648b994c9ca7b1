/* concepts.h -- what a text is about: candidate phrases (after Rose et al.,
 * RAKE, 2010).
 *
 * ASCII lower-case; tokens are runs of [A-Za-z0-9_] and bytes from 0x80 on, or
 * runs of other bytes that are no space. Stop words and tokens of the second
 * kind end a phrase; a phrase is its words with single spaces. */
#ifndef SINTER_JOBS_SELECT_CONCEPTS_H
#define SINTER_JOBS_SELECT_CONCEPTS_H

#include "common/digest.h"
#include "common/status.h"

#include <stddef.h>
#include <stdint.h>

enum {
    CONCEPTS_PER_SAMPLE = 4096, /* further phrases of a text are left out */
    CONCEPTS_LENGTH = 512,      /* bytes of one; longer ones are left out */
};

/* Words that are no concepts. Our own list, sorted; its version is part of its
 * hash, which keys hold. */
struct concept_stops {
    const char *const *words; /* sorted by strcmp, lower-case */
    size_t count;
};
extern const struct concept_stops concept_stops_english;
struct digest concept_stops_digest(const struct concept_stops *stops);

/* Phrases and their numbers, shared by all samples of a run. */
struct concepts; /* opaque */

struct concepts *concepts_new(const struct concept_stops *stops);
void concepts_free(struct concepts *c); /* NULL is fine */
size_t concepts_count(const struct concepts *c);
const char *concepts_text(const struct concepts *c, uint32_t concept);
/* Of one phrase, made if it is new. */
uint32_t concepts_number(struct concepts *c, const char *phrase, size_t size);

/* The concepts of a sample: numbers, in the order of their texts (strcmp), none
 * twice; the caller frees *ret_numbers. */
size_t concepts_of(struct concepts *c, const char *text, size_t size,
                   uint32_t **ret_numbers);
/* The same for a set that is given, in any order and with repetitions; returns
 * how many are left. */
size_t concepts_sort(const struct concepts *c, uint32_t *numbers, size_t count);

#endif
