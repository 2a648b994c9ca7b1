/* wordpiece.h -- text as pieces of words, without case and accents, as BERT's
 * uncased encoders take it.
 *
 * Source: Devlin, Chang, Lee, Toutanova, "BERT", 2019: words are cut at blanks,
 * punctuation and ideographs; a word is the longest pieces of the vocabulary
 * one behind the other, those inside of it begin with ##. */
#ifndef SINTER_MODEL_WORDPIECE_H
#define SINTER_MODEL_WORDPIECE_H

#include "common/status.h"

#include <stddef.h>
#include <stdint.h>

struct wordpiece; /* opaque */

/* vocab.txt: a token a line, numbered from 0. Bytes come from outside; CORRUPT
 * and INVALID begin with `what`. */
MUST_CHECK struct status wordpiece_parse_list(const char *text, size_t size,
                                              const char *what,
                                              struct wordpiece **ret_pieces);
/* tokenizer.json. INVALID names what else than this it asks for. */
MUST_CHECK struct status wordpiece_parse_json(const char *text, size_t size,
                                              const char *what,
                                              struct wordpiece **ret_pieces);
void wordpiece_free(struct wordpiece *w); /* NULL is fine */

/* Tokens there are, the highest id and one. */
size_t wordpiece_size(const struct wordpiece *w);
/* [CLS], the text and [SEP], at most `most` >= 2 tokens of them. Returns how
 * many; 2: there is nothing in the text. */
size_t wordpiece_encode(const struct wordpiece *w, const char *text,
                        size_t size, size_t most, int32_t *ret_tokens);

#endif
