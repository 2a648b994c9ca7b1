/* tokenizer.h -- text as tokens. The one there is takes bytes as they are. */
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
/* Bytes of the tokens, specials left out. Room for `count`; returns how many
 * were written. */
size_t tokenizer_decode(const int32_t *tokens, size_t count, char *ret_text);

#endif
