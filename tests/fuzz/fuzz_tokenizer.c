/* fuzz_tokenizer.c -- a tokenizer.json, then a NUL, then a text; without one
 * the text is cut by each rule. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "model/tokenizer.h"
#include "model/tokenizer_split.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Pieces are never empty and end with the text. */
static void cut(const struct split_rule *rule, const char *text, size_t size)
{
    for (size_t at = 0; at < size;) {
        size_t piece = split_next(rule, text + at, size - at);

        if (piece == 0 || piece > size - at)
            abort();
        at += piece;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char later[] =
        "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|"
        "\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|"
        "\\s+(?!\\S)|\\s+";
    const char *text = (const char *)data;
    const char *cut_at = size == 0 ? NULL : memchr(text, 0, size);
    size_t head = cut_at == NULL ? size : (size_t)(cut_at - text);
    struct tokenizer *t;
    struct status st;
    int32_t *tokens = NULL;
    size_t count = 0;

    cut(&split_gpt2, text, size);
    cut(split_find(later), text, size);
    st = tokenizer_parse(text, head, "input", &t);
    if (status_failed(&st))
        return 0;
    st = tokenizer_add(t, text, size, &tokens, &count);
    for (size_t i = 0; !status_failed(&st) && i < count; i++)
        if (tokens[i] < 0 || (size_t)tokens[i] >= tokenizer_size(t))
            abort();
    free(tokens);
    tokenizer_free(t);
    return 0;
}
