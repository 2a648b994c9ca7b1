/* tokenizer.h -- text as tokens: bytes as they are, or byte-pair encoding as a
 * tokenizer.json says it. */
#ifndef SINTER_MODEL_TOKENIZER_H
#define SINTER_MODEL_TOKENIZER_H

#include "common/json.h"

#include <stddef.h>
#include <stdint.h>

enum {
    TOKEN_BEGIN = 256, /* in front of every sequence */
    TOKEN_END = 257,   /* behind a whole text */
    TOKENIZER_VOCAB = 258,
};

/* INVALID if config.json names another tokenizer ("tokenizer_class") or its
 * vocabulary is too small for bytes. */
MUST_CHECK struct status tokenizer_check(const json_t *config);
/* As config.json names it. */
extern const char tokenizer_class[];

/* The beginning, `size` bytes and, if `whole`, the end. Room for size + 2
 * tokens; returns how many were written. */
size_t tokenizer_encode(const void *text, size_t size, bool whole,
                        int32_t *ret_tokens);

/* --- tokenizer.json --------------------------------------------------------- */

struct tokenizer; /* opaque */

/* Bytes come from outside. Byte-level BPE that cuts text as GPT-2, Llama 3 or
 * Qwen 2 do; INVALID names what else it asks for, CORRUPT what is broken.
 * `what` begins the messages. */
MUST_CHECK struct status tokenizer_parse(const char *text, size_t size,
                                         const char *what,
                                         struct tokenizer **ret_tokenizer);
/* One that no text can be made tokens by: the model has `what` in place of a
 * tokenizer.json. A literal. */
struct tokenizer *tokenizer_unknown(const char *what);
void tokenizer_free(struct tokenizer *t); /* NULL is fine */

/* Tokens there are, the highest id and one. */
size_t tokenizer_size(const struct tokenizer *t);
/* What it puts in front of a text and behind it; -1: nothing. */
int32_t tokenizer_begin(const struct tokenizer *t);
int32_t tokenizer_end(const struct tokenizer *t);
/* The text without those, behind the tokens there are: *tokens is grown.
 * INVALID: text that would have to be normalised, a tokenizer that is not
 * known. */
MUST_CHECK struct status tokenizer_add(const struct tokenizer *t,
                                       const char *text, size_t size,
                                       int32_t **tokens, size_t *count);

#endif
