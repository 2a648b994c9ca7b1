/* tokenizer_bpe.h -- pairs of tokens that become one, and words put together
 * by them. */
#ifndef SINTER_MODEL_TOKENIZER_BPE_H
#define SINTER_MODEL_TOKENIZER_BPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tokenizer_merges; /* opaque */

/* For at most `count` merges. */
struct tokenizer_merges *bpe_merges_new(size_t count);
void bpe_merges_free(struct tokenizer_merges *m); /* NULL is fine */
/* A pair that is there already keeps its rank. */
void bpe_merges_add(struct tokenizer_merges *m, int32_t left, int32_t right,
                    uint32_t rank, int32_t token);
/* A word of `size` > 0 bytes, `bytes` being the tokens of single ones: the
 * merge of the lowest rank is done first, of equal ones the leftmost. Room for
 * `size` tokens; returns how many were written. Takes time that grows little
 * faster than the word. */
size_t bpe_encode(const struct tokenizer_merges *m, const int32_t *bytes,
                  const char *text, size_t size, int32_t *ret_tokens);

#endif
