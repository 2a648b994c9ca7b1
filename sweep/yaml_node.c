#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "sweep/yaml_parts.h"

enum { ARENA_PIECE = 64 };

/* Nodes live in pieces that never move. */
struct piece {
    struct piece *next;
    size_t used;
    struct yaml_node nodes[ARENA_PIECE];
};

struct yaml {
    struct piece *pieces;
    char **texts; /* owned copies */
    size_t text_count;
    struct yaml_node *root;
};

struct yaml *yaml_new(void)
{
    return xnew(struct yaml);
}

void yaml_set_root(struct yaml *y, struct yaml_node *root)
{
    y->root = root;
}

void yaml_tree_free(struct yaml *y)
{
    if (y == NULL)
        return;
    while (y->pieces != NULL) {
        struct piece *piece = y->pieces;

        for (size_t i = 0; i < piece->used; i++) {
            free(piece->nodes[i].items);
            free(piece->nodes[i].pairs);
        }
        y->pieces = piece->next;
        free(piece);
    }
    for (size_t i = 0; i < y->text_count; i++)
        free(y->texts[i]);
    free(y->texts);
    free(y);
}

struct yaml_node *yaml_root(const struct yaml *y)
{
    return y->root;
}

size_t yaml_mark_size(const char *text, size_t size)
{
    static const char mark[] = "\xEF\xBB\xBF";
    size_t length = strlen(mark);

    return size >= length && memcmp(text, mark, length) == 0 ? length : 0;
}

size_t yaml_line_end(const char *text, size_t size, size_t at)
{
    const unsigned char *p = (const unsigned char *)text + at;
    size_t left = size - at;

    if (*p == '\n')
        return 1;
    if (*p == '\r')
        return left > 1 && p[1] == '\n' ? 2 : 1;
    if (left > 1 && p[0] == 0xC2 && p[1] == 0x85)
        return 2;
    if (left > 2 && p[0] == 0xE2 && p[1] == 0x80 &&
        (p[2] == 0xA8 || p[2] == 0xA9))
        return 3;
    return 0;
}

const char *yaml_line(const char *text, size_t size, uint32_t line,
                      size_t *ret_length)
{
    size_t from = yaml_mark_size(text, size);
    uint32_t number = 1;
    size_t to;

    for (size_t at = from; at < size && number < line;) {
        size_t end = yaml_line_end(text, size, at);

        at += end == 0 ? 1 : end;
        if (end > 0) {
            number++;
            from = at;
        }
    }
    *ret_length = 0;
    if (number < line || from >= size)
        return "";
    for (to = from; to < size && yaml_line_end(text, size, to) == 0;)
        to++;
    *ret_length = to - from;
    return text + from;
}

/* ---- nodes ------------------------------------------------------------ */

struct yaml_node *yaml_new_node(struct yaml *y, enum yaml_type type,
                                struct yaml_place place)
{
    struct yaml_node *node;

    if (y->pieces == NULL || y->pieces->used == ARENA_PIECE) {
        struct piece *piece = xnew(struct piece);

        piece->next = y->pieces;
        y->pieces = piece;
    }
    node = &y->pieces->nodes[y->pieces->used++];
    *node = (struct yaml_node){
        .type = type, .place = place, .nodes = 1, .height = 1
    };
    return node;
}

const char *yaml_keep(struct yaml *y, const char *text, size_t length)
{
    if ((y->text_count & (y->text_count - 1)) == 0)
        y->texts =
            xrealloc(y->texts, (y->text_count == 0 ? 1 : 2 * y->text_count) *
                                   sizeof(char *));
    y->texts[y->text_count] = xcalloc(length + 1, 1);
    memcpy(y->texts[y->text_count], text, length);
    return y->texts[y->text_count++];
}

static bool is_one_of(const char *text, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(text, words[i]) == 0)
            return true;
    }
    return false;
}

static const char *skip_digits(const char *p)
{
    while (isdigit((unsigned char)*p))
        p++;
    return p;
}

static bool is_decimal_integer(const char *text)
{
    const char *digits = *text == '-' || *text == '+' ? text + 1 : text;
    const char *end = skip_digits(digits);

    return end > digits && *end == '\0';
}

/* [-+]? ( . digits | digits ( . digits? )? ) ( [eE] [-+]? digits )? */
static bool is_decimal_real(const char *text)
{
    const char *p = *text == '-' || *text == '+' ? text + 1 : text;
    const char *whole = skip_digits(p);
    const char *end = whole;

    if (*whole == '.')
        end = skip_digits(whole + 1);
    if (end - p < 1 || (end - p == 1 && *p == '.'))
        return false;
    if (*end == 'e' || *end == 'E') {
        const char *exponent = end + 1;

        if (*exponent == '-' || *exponent == '+')
            exponent++;
        end = skip_digits(exponent);
        if (end == exponent)
            return false;
    }
    return *end == '\0';
}

/* 0o17, 0x1F: the base, or 0. */
static int other_base(const char *text)
{
    const char *digits = text + 2;
    size_t length;

    if (text[0] != '0' || (text[1] != 'o' && text[1] != 'x'))
        return 0;
    length =
        strspn(digits, text[1] == 'o' ? "01234567" : "0123456789abcdefABCDEF");
    if (length == 0 || digits[length] != '\0')
        return 0;
    return text[1] == 'o' ? 8 : 16;
}

static bool read_integer(const char *text, int base, int64_t *ret_value)
{
    char *end;
    long long value;

    errno = 0;
    value = strtoll(base == 10 ? text : text + 2, &end, base);
    *ret_value = value;
    return errno == 0;
}

bool yaml_resolve_plain(struct yaml_node *node)
{
    static const char *const nulls[] = { "", "~", "null", "Null", "NULL" };
    static const char *const trues[] = { "true", "True", "TRUE" };
    static const char *const falses[] = { "false", "False", "FALSE" };
    static const char *const endless[] = {
        ".inf",  ".Inf",  ".INF",  "+.inf", "+.Inf", "+.INF",
        "-.inf", "-.Inf", "-.INF", ".nan",  ".NaN",  ".NAN",
    };
    const char *text = node->text;
    int base = is_decimal_integer(text) ? 10 : other_base(text);

    if (is_one_of(text, endless, COUNT_OF(endless)))
        return false;
    if (is_one_of(text, nulls, COUNT_OF(nulls))) {
        node->type = YAML_NULL;
    } else if (is_one_of(text, trues, COUNT_OF(trues))) {
        node->type = YAML_BOOL;
        node->boolean = true;
    } else if (is_one_of(text, falses, COUNT_OF(falses))) {
        node->type = YAML_BOOL;
    } else if (base != 0 && read_integer(text, base, &node->integer)) {
        node->type = YAML_INTEGER;
        node->real = (double)node->integer;
    } else if (base == 10 || is_decimal_real(text)) {
        node->type = YAML_REAL;
        node->real = strtod(text, NULL);
        return isfinite(node->real);
    }
    return true;
}

struct yaml_node *yaml_new_text(struct yaml *y, const char *text,
                                struct yaml_place place)
{
    struct yaml_node *node = yaml_new_node(y, YAML_TEXT, place);

    node->text = yaml_keep(y, text, strlen(text));
    node->quoted = true;
    return node;
}

struct yaml_node *yaml_new_scalar(struct yaml *y, const char *text,
                                  struct yaml_place place)
{
    struct yaml_node *node = yaml_new_text(y, text, place);

    node->quoted = false;
    (void)yaml_resolve_plain(node);
    return node;
}

struct yaml_node *yaml_new_map(struct yaml *y, struct yaml_place place)
{
    return yaml_new_node(y, YAML_MAP, place);
}

/* Grows by doubling at powers of two. */
static void *grown(void *array, size_t count, size_t item)
{
    if ((count & (count - 1)) != 0)
        return array;
    return xrealloc(array, (count == 0 ? 1 : 2 * count) * item);
}

static void add_to(struct yaml_node *parent, const struct yaml_node *child)
{
    parent->nodes += child->nodes;
    if (child->height + 1 > parent->height)
        parent->height = child->height + 1;
}

void yaml_add_pair(struct yaml_node *map, const struct yaml_node *key,
                   struct yaml_node *value)
{
    map->pairs = grown(map->pairs, map->count, sizeof *map->pairs);
    map->pairs[map->count++] = (struct yaml_pair){ key, value };
    add_to(map, key);
    add_to(map, value);
}

void yaml_add_item(struct yaml_node *list, struct yaml_node *item)
{
    list->items = grown(list->items, list->count, sizeof(struct yaml_node *));
    list->items[list->count++] = item;
    add_to(list, item);
}

void yaml_set(struct yaml *y, struct yaml_node *map, const char *name,
              struct yaml_place place, struct yaml_node *value)
{
    for (size_t i = 0; i < map->count; i++) {
        if (strcmp(map->pairs[i].key->text, name) == 0) {
            map->pairs[i].value = value;
            return;
        }
    }
    yaml_add_pair(map, yaml_new_text(y, name, place), value);
}

const struct yaml_pair *yaml_find(const struct yaml_node *map, const char *name)
{
    if (map == NULL || map->type != YAML_MAP)
        return NULL;
    for (size_t i = 0; i < map->count; i++) {
        if (strcmp(map->pairs[i].key->text, name) == 0)
            return &map->pairs[i];
    }
    return NULL;
}

struct yaml_node *yaml_get(const struct yaml_node *map, const char *name)
{
    const struct yaml_pair *pair = yaml_find(map, name);

    return pair == NULL ? NULL : pair->value;
}

/* ---- out -------------------------------------------------------------- */

static json_t *list_json(const struct yaml_node *node)
{
    json_t *list = json_array();

    for (size_t i = 0; i < node->count; i++)
        (void)json_array_append_new(list, yaml_json(node->items[i]));
    return list;
}

static json_t *map_json(const struct yaml_node *node)
{
    json_t *map = json_object();

    for (size_t i = 0; i < node->count; i++)
        (void)json_object_set_new(map, node->pairs[i].key->text,
                                  yaml_json(node->pairs[i].value));
    return map;
}

json_t *yaml_json(const struct yaml_node *node)
{
    switch (node->type) {
    case YAML_BOOL:
        return json_boolean(node->boolean);
    case YAML_INTEGER:
        return json_integer((json_int_t)node->integer);
    case YAML_REAL:
        return json_real(node->real);
    case YAML_TEXT:
        return json_string(node->text);
    case YAML_LIST:
        return list_json(node);
    case YAML_MAP:
        return map_json(node);
    default:
        return json_null();
    }
}

const char *yaml_type_name(const struct yaml_node *node)
{
    static const char *const names[] = {
        [YAML_NULL] = "nothing",       [YAML_BOOL] = "a boolean",
        [YAML_INTEGER] = "an integer", [YAML_REAL] = "a number",
        [YAML_TEXT] = "a text",        [YAML_LIST] = "a list",
        [YAML_MAP] = "a map",
    };

    return names[node->type];
}
