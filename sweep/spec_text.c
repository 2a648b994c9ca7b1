#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "sweep/spec_parts.h"

/* Written in commands and paths; the job or the broker fills them in. */
static const char *const runtime_names[] = {
    "model_dir", "model", "out", "sweep", "trial", "token", "scratch",
};

bool spec_is_runtime_name(const char *name)
{
    for (size_t i = 0; i < COUNT_OF(runtime_names); i++) {
        if (strcmp(runtime_names[i], name) == 0)
            return true;
    }
    return false;
}

static bool is_name_start(char c)
{
    return isalpha((unsigned char)c) || c == '_';
}

/* Bytes of a name with dots: stages.prune-2.model. */
static size_t name_length(const char *text)
{
    size_t length = 0;

    if (!is_name_start(*text))
        return 0;
    while (isalnum((unsigned char)text[length]) || text[length] == '_' ||
           text[length] == '-' ||
           (text[length] == '.' && (isalnum((unsigned char)text[length + 1]) ||
                                    text[length + 1] == '_')))
        length++;
    return length;
}

char *spec_whole_reference(const struct yaml_node *node)
{
    const char *text = node->text;
    bool braces;
    size_t length;

    if (node->type != YAML_TEXT || text[0] != '$')
        return NULL;
    braces = text[1] == '{';
    text += braces ? 2 : 1;
    length = name_length(text);
    if (length == 0 || strcmp(text + length, braces ? "}" : "") != 0)
        return NULL;
    return xstrndup(text, length);
}

static void add_part(struct text_parts *parts, const char *text, size_t length,
                     bool is_name)
{
    struct text_part *last =
        parts->count == 0 ? NULL : &parts->items[parts->count - 1];
    char *joined;

    if (length == 0)
        return;
    if (last != NULL && !last->is_name && !is_name) {
        joined = xasprintf("%s%.*s", last->text, (int)length, text);
        free(last->text);
        last->text = joined;
        return;
    }
    parts->items =
        xrealloc(parts->items, (parts->count + 1) * sizeof *parts->items);
    parts->items[parts->count++] =
        (struct text_part){ .text = xstrndup(text, length),
                            .is_name = is_name };
}

void spec_text_release(struct text_parts *parts)
{
    for (size_t i = 0; i < parts->count; i++)
        free(parts->items[i].text);
    free(parts->items);
    *parts = (struct text_parts){ 0 };
}

/* One `$` at `text`: the bytes it takes, 0 for a mistake. A dollar before
 * anything that is no name stands for itself, as at the end of a regular
 * expression. */
static size_t take_dollar(struct spec *s, const struct yaml_node *node,
                          const char *text, struct text_parts *parts)
{
    size_t length = name_length(text + (text[1] == '{' ? 2 : 1));

    if (text[1] == '$') {
        add_part(parts, "$", 1, false);
        return 2;
    }
    if (text[1] == '{') {
        if (length == 0 || text[2 + length] != '}') {
            struct spec_problem *p =
                problem_add(s->problems, PROBLEM_BAD_REFERENCE, node->place,
                            "${ must be followed by a name and }");

            problem_suggest(p, "write $$ for a dollar that is meant");
            return 0;
        }
        add_part(parts, text + 2, length, true);
        return length + 3;
    }
    if (length > 0) {
        struct spec_problem *p = problem_add(
            s->problems, PROBLEM_BAD_REFERENCE, node->place,
            "$%.*s stands inside a longer text", (int)length, text + 1);

        problem_suggest(p, "write ${%.*s}, or $$%.*s for a dollar", (int)length,
                        text + 1, (int)length, text + 1);
        return 0;
    }
    add_part(parts, "$", 1, false);
    return 1;
}

bool spec_text_parts(struct spec *s, const struct yaml_node *node,
                     struct text_parts *ret_parts)
{
    const char *text = node->text;

    *ret_parts = (struct text_parts){ 0 };
    while (*text != '\0') {
        size_t plain = strcspn(text, "$");
        size_t taken;

        add_part(ret_parts, text, plain, false);
        text += plain;
        if (*text == '\0')
            break;
        taken = take_dollar(s, node, text, ret_parts);
        if (taken == 0) {
            spec_text_release(ret_parts);
            return false;
        }
        text += taken;
    }
    return true;
}

static json_t *plain_text(const char *text)
{
    AUTO(free_pointer) char *out = xstrdup(text);
    char *to = out;

    for (const char *from = text; *from != '\0'; from++) {
        if (from[0] == '$' && from[1] == '$')
            from++;
        *to++ = *from;
    }
    *to = '\0';
    return json_string(out);
}

json_t *spec_plain_json(const struct yaml_node *node)
{
    json_t *json;

    if (node->type == YAML_TEXT)
        return plain_text(node->text);
    if (node->type == YAML_LIST) {
        json = json_array();
        for (size_t i = 0; i < node->count; i++)
            (void)json_array_append_new(json, spec_plain_json(node->items[i]));
        return json;
    }
    if (node->type != YAML_MAP)
        return yaml_json(node);
    json = json_object();
    for (size_t i = 0; i < node->count; i++)
        (void)json_object_set_new(json, node->pairs[i].key->text,
                                  spec_plain_json(node->pairs[i].value));
    return json;
}
