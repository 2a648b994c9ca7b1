/* tokenizer_split.h -- a text cut into what a byte-pair tokenizer looks at by
 * itself: words with their blank, numbers, signs. */
#ifndef SINTER_MODEL_TOKENIZER_SPLIT_H
#define SINTER_MODEL_TOKENIZER_SPLIT_H

#include <stdbool.h>
#include <stddef.h>

/* A way to cut, known by the regular expression that tokenizer.json has. */
struct split_rule {
    const char *regex;
    bool later;      /* as since Llama 3: a word takes any sign in front of it,
                        signs take the ends of lines behind them */
    unsigned digits; /* most of one piece; 0: all, and a blank before them */
};
extern const struct split_rule split_gpt2;

/* NULL if none has that expression. */
const struct split_rule *split_find(const char *regex);
/* Bytes of the first piece of a text that is not empty. */
size_t split_next(const struct split_rule *rule, const char *text, size_t size);

#endif
