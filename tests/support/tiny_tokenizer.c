#include "support/tiny_tokenizer.h"

static bool prints(int b)
{
    return (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
}

static void add_letter(json_t *vocab, int c)
{
    char text[3] = { (char)c };

    if (c >= 0x80) {
        text[0] = (char)(0xC0 | c >> 6);
        text[1] = (char)(0x80 | (c & 0x3F));
    }
    (void)json_object_set_new(
        vocab, text, json_integer((json_int_t)json_object_size(vocab)));
}

static void add_merge(json_t *model, const char *left, const char *right)
{
    json_t *vocab = json_object_get(model, "vocab");
    char both[32];

    (void)snprintf(both, sizeof(both), "%s%s", left, right);
    (void)json_object_set_new(
        vocab, both, json_integer((json_int_t)json_object_size(vocab)));
    (void)snprintf(both, sizeof(both), "%s %s", left, right);
    (void)json_array_append_new(json_object_get(model, "merges"),
                                json_string(both));
}

json_t *tiny_tokenizer(void)
{
    json_t *model = json_pack("{ss s{} s[]}", "type", "BPE", "vocab", "merges");
    json_t *vocab = json_object_get(model, "vocab");
    int next = 0x100;

    for (int b = 0; b < 256; b++)
        if (prints(b))
            add_letter(vocab, b);
    for (int b = 0; b < 256; b++)
        if (!prints(b))
            add_letter(vocab, next++);
    add_merge(model, "\u0120", "t");
    add_merge(model, "\u0120", "a");
    add_merge(model, "h", "e");
    add_merge(model, "i", "n");
    add_merge(model, "r", "e");
    add_merge(model, "o", "n");
    add_merge(model, "\u0120t", "he");
    return json_pack("{ss so s{ss sb sb} sn sn s[]}", "version", "1.0", "model",
                     model, "pre_tokenizer", "type", "ByteLevel",
                     "add_prefix_space", 0, "use_regex", 1, "normalizer",
                     "post_processor", "added_tokens");
}
