/* fuzz_wordpiece.c -- a vocab.txt or, if it begins with a brace, a
 * tokenizer.json; then a NUL, then a text. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "model/wordpiece.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Never more than there is room for, and nothing beyond the vocabulary. */
static void encode(const struct wordpiece *w, const char *text, size_t size,
                   size_t most)
{
    int32_t tokens[64];
    size_t count = wordpiece_encode(w, text, size, most, tokens);

    if (count < 2 || count > most)
        abort();
    for (size_t i = 0; i < count; i++)
        if (tokens[i] < 0 || (size_t)tokens[i] >= wordpiece_size(w))
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    const char *cut_at = size == 0 ? NULL : memchr(text, 0, size);
    size_t head = cut_at == NULL ? size : (size_t)(cut_at - text);
    struct wordpiece *w;
    struct status st;

    if (size > 0 && text[0] == '{')
        st = wordpiece_parse_json(text, head, "input", &w);
    else
        st = wordpiece_parse_list(text, head, "input", &w);
    if (status_failed(&st))
        return 0;
    encode(w, text, size, 2);
    encode(w, text, size, 64);
    wordpiece_free(w);
    return 0;
}
