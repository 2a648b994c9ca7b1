#include "model/tokenizer.h"

const char tokenizer_class[] = "ByteTokenizer";

struct status tokenizer_check(const json_t *config)
{
    const char *name = json_text_or(config, "tokenizer_class", tokenizer_class);
    int64_t vocab = json_int_or(config, "vocab_size", 0);

    if (strcmp(name, tokenizer_class) != 0)
        return FAIL(STATUS_INVALID,
                    "the model's tokenizer \"%.60s\" (config.json, "
                    "\"tokenizer_class\") is not known; known is: %s",
                    name, tokenizer_class);
    if (vocab < TOKENIZER_VOCAB)
        return FAIL(STATUS_INVALID,
                    "the model's vocabulary of %lld (config.json, "
                    "\"vocab_size\") is too small for bytes; it takes %d",
                    (long long)vocab, TOKENIZER_VOCAB);
    return SUCCESS;
}

size_t tokenizer_encode(const void *text, size_t size, bool whole,
                        int32_t *ret_tokens)
{
    const unsigned char *bytes = text;
    size_t count = 0;

    ret_tokens[count++] = TOKEN_BEGIN;
    for (size_t i = 0; i < size; i++)
        ret_tokens[count++] = bytes[i];
    if (whole)
        ret_tokens[count++] = TOKEN_END;
    return count;
}
