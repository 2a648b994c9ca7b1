/* tiny_tokenizer.h -- the bytes of GPT-2 and its first merges: ids below 263
 * are those of the real one. */
#ifndef SINTER_TESTS_SUPPORT_TINY_TOKENIZER_H
#define SINTER_TESTS_SUPPORT_TINY_TOKENIZER_H

#include "common/json.h"

enum { TINY_TOKENIZER_SIZE = 263 };

/* tokenizer.json; the caller decrefs. */
json_t *tiny_tokenizer(void);

#endif
