/* subset.h -- which parameters are meant: words of sweep files. */
#ifndef SINTER_MODEL_SUBSET_H
#define SINTER_MODEL_SUBSET_H

#include "model/graph.h"

#include "common/status.h"

struct subset_word {
    const char *word;
    const char *help; /* "what norms multiply with and add" */
    bool (*has)(const struct graph *g, const struct graph_parameter *p);
};
extern const struct subset_word subset_words[]; /* ends with a NULL word */

/* Adds to `chosen` [parameters] what a word means, or "name:PATTERN", where
 * '*' stands for any characters of a tensor's name. INVALID if it is no word
 * or the architecture has none of it. */
MUST_CHECK struct status subset_add(const struct graph *g, const char *word,
                                    bool *chosen);
/* Numbers in the chosen parameters. */
size_t subset_size(const struct graph *g, const bool *chosen);

#endif
