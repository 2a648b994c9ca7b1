#include "sweep/yaml.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include <yaml.h>

#include "common/limits.h"
#include "common/map.h"
#include "common/memory.h"
#include "sweep/yaml_parts.h"

struct builder {
    struct yaml *y;
    struct yaml_node *root;
    yaml_parser_t parser;
    const char *text;
    size_t size;
    struct map *anchors;     /* name -> node */
    size_t nodes;            /* made and aliased so far */
    struct yaml_place place; /* of the failure */
    size_t *lines;           /* where each line begins */
    size_t line_count;
    struct yaml_node *open[LIMIT_DEPTH + 1]; /* not yet closed, for aliases */
    size_t depth;
};

static bool is_continuation(char c)
{
    return ((unsigned char)c & 0xC0) == 0x80;
}

static uint32_t characters(const char *text, size_t length)
{
    uint32_t count = 0;

    for (size_t i = 0; i < length; i++)
        count += is_continuation(text[i]) ? 0 : 1;
    return count;
}

static void index_lines(struct builder *b)
{
    b->lines = xcalloc(b->size + 2, sizeof *b->lines);
    b->line_count = 1;
    for (size_t at = 0; at < b->size;) {
        size_t end = yaml_line_end(b->text, b->size, at);

        at += end == 0 ? 1 : end;
        if (end > 0)
            b->lines[b->line_count++] = at;
    }
    b->lines[b->line_count] = b->size;
}

/* Characters of a line without blanks at its end. */
static uint32_t line_width(const struct builder *b, size_t line)
{
    const char *text = b->text + (line < b->line_count ? b->lines[line] : 0);
    size_t length =
        line < b->line_count ? b->lines[line + 1] - b->lines[line] : 0;

    while (length > 0 && (isspace((unsigned char)text[length - 1]) ||
                          yaml_line_end(text, length, length - 1) > 0))
        length--;
    return characters(text, length);
}

static struct yaml_place place_of(const struct builder *b, yaml_mark_t start,
                                  yaml_mark_t end)
{
    struct yaml_place place = { .line = (uint32_t)start.line + 1,
                                .column = (uint32_t)start.column + 1 };

    if (end.line == start.line) {
        place.length = (uint32_t)(end.column - start.column);
    } else {
        uint32_t width = line_width(b, start.line);

        place.length = width < place.column ? 0 : width - (place.column - 1);
    }
    if (place.length == 0)
        place.length = 1;
    return place;
}

/* ---- events ----------------------------------------------------------- */

MUST_CHECK static struct status refuse(struct builder *b,
                                       struct yaml_place place,
                                       enum status_code code,
                                       const char *message)
{
    b->place = place;
    return FAIL(code, "%s", message);
}

/* A reader error knows a byte offset only. */
static struct yaml_place place_of_offset(const struct builder *b, size_t offset)
{
    struct yaml_place place = { .line = 1, .column = 1, .length = 1 };
    size_t line = 0;

    if (offset > b->size)
        offset = b->size;
    while (line + 1 < b->line_count && b->lines[line + 1] <= offset)
        line++;
    place.line = (uint32_t)line + 1;
    place.column =
        1 + characters(b->text + b->lines[line], offset - b->lines[line]);
    return place;
}

MUST_CHECK static struct status parser_failure(struct builder *b)
{
    const yaml_parser_t *p = &b->parser;

    if (p->error == YAML_READER_ERROR) {
        b->place = place_of_offset(b, p->problem_offset);
        return FAIL(STATUS_INVALID, "%s%s", p->problem,
                    strstr(p->problem, "UTF-8") == NULL
                        ? ""
                        : ": save the file as UTF-8");
    }
    b->place = place_of(b, p->problem_mark, p->problem_mark);
    if (p->context == NULL)
        return FAIL(STATUS_INVALID, "%s",
                    p->problem == NULL ? "cannot be read" : p->problem);
    return FAIL(STATUS_INVALID, "%s, %s (line %zu)", p->problem, p->context,
                p->context_mark.line + 1);
}

MUST_CHECK static struct status next_event(struct builder *b,
                                           yaml_event_t *ret_event)
{
    if (yaml_parser_parse(&b->parser, ret_event) == 0)
        return parser_failure(b);
    return SUCCESS;
}

MUST_CHECK static struct status count_nodes(struct builder *b, size_t more,
                                            struct yaml_place place)
{
    b->nodes += more;
    if (b->nodes > LIMIT_SPEC_NODES) {
        b->place = place;
        return FAIL(STATUS_TOO_BIG, "the file has more than %d nodes",
                    LIMIT_SPEC_NODES);
    }
    return SUCCESS;
}

MUST_CHECK static struct status check_tag(struct builder *b,
                                          const yaml_char_t *tag,
                                          struct yaml_place place,
                                          bool *ret_text)
{
    const char *text = (const char *)tag;

    *ret_text = text != NULL && strcmp(text, YAML_STR_TAG) == 0;
    if (text == NULL || *ret_text)
        return SUCCESS;
    b->place = place;
    return FAIL(STATUS_INVALID, "the tag %.40s has no meaning here", text);
}

static void note_anchor(struct builder *b, const yaml_char_t *anchor,
                        struct yaml_node *node)
{
    if (anchor != NULL)
        (void)map_put_text(b->anchors, (const char *)anchor, node);
}

MUST_CHECK static struct status build_scalar(struct builder *b,
                                             const yaml_event_t *event,
                                             struct yaml_node **ret)
{
    struct yaml_place place = place_of(b, event->start_mark, event->end_mark);
    const char *value = (const char *)event->data.scalar.value;
    size_t length = event->data.scalar.length;
    struct yaml_node *node;
    bool is_text = false;

    TRY_PLAIN(check_tag(b, event->data.scalar.tag, place, &is_text));
    TRY_PLAIN(count_nodes(b, 1, place));
    if (memchr(value, '\0', length) != NULL)
        return refuse(b, place, STATUS_INVALID,
                      "a text cannot hold a zero byte");
    node = yaml_new_node(b->y, YAML_TEXT, place);
    node->text = yaml_keep(b->y, value, length);
    node->quoted =
        is_text || event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    if (!node->quoted && !yaml_resolve_plain(node))
        return refuse(b, place, STATUS_INVALID, "this is not a finite number");
    note_anchor(b, event->data.scalar.anchor, node);
    *ret = node;
    return SUCCESS;
}

MUST_CHECK static struct status build_alias(struct builder *b,
                                            const yaml_event_t *event,
                                            struct yaml_node **ret)
{
    struct yaml_place place = place_of(b, event->start_mark, event->end_mark);
    const char *name = (const char *)event->data.alias.anchor;
    struct yaml_node *node = map_get_text(b->anchors, name);

    b->place = place;
    if (node == NULL)
        return FAIL(STATUS_INVALID, "no anchor is called &%.60s", name);
    for (size_t i = 0; i < b->depth; i++) {
        if (b->open[i] == node)
            return FAIL(STATUS_INVALID, "*%.60s stands inside itself", name);
    }
    if (b->depth + node->height > LIMIT_DEPTH)
        return FAIL(STATUS_TOO_BIG, "nested deeper than %d", LIMIT_DEPTH);
    TRY_PLAIN(count_nodes(b, node->nodes, place));
    *ret = node;
    return SUCCESS;
}

MUST_CHECK static struct status build(struct builder *b,
                                      const yaml_event_t *event,
                                      struct yaml_node **ret);

MUST_CHECK static struct status open_node(struct builder *b,
                                          const yaml_event_t *event,
                                          enum yaml_type type,
                                          struct yaml_node **ret)
{
    struct yaml_place place = place_of(b, event->start_mark, event->end_mark);
    bool is_map = type == YAML_MAP;
    bool unused = false;

    TRY_PLAIN(check_tag(b,
                        is_map ? event->data.mapping_start.tag
                               : event->data.sequence_start.tag,
                        place, &unused));
    TRY_PLAIN(count_nodes(b, 1, place));
    if (b->depth == LIMIT_DEPTH)
        return refuse(b, place, STATUS_TOO_BIG, "nested too deeply");
    *ret = yaml_new_node(b->y, type, place);
    (*ret)->flow =
        is_map ? event->data.mapping_start.style == YAML_FLOW_MAPPING_STYLE
               : event->data.sequence_start.style == YAML_FLOW_SEQUENCE_STYLE;
    note_anchor(b,
                is_map ? event->data.mapping_start.anchor
                       : event->data.sequence_start.anchor,
                *ret);
    b->open[b->depth++] = *ret;
    return SUCCESS;
}

/* A node in brackets is as long as they are; others keep their first line. */
static void close_node(struct builder *b, struct yaml_node *node,
                       const yaml_event_t *end)
{
    yaml_mark_t start = { .line = node->place.line - 1,
                          .column = node->place.column - 1 };

    if (node->flow)
        node->place = place_of(b, start, end->end_mark);
    else if (node->type == YAML_MAP && node->count > 0)
        node->place = node->pairs[0].key->place;
    b->depth--;
}

MUST_CHECK static struct status build_list(struct builder *b,
                                           const yaml_event_t *start,
                                           struct yaml_node **ret)
{
    struct yaml_node *list = NULL;
    yaml_event_t event;
    struct status st = open_node(b, start, YAML_LIST, &list);

    while (!status_failed(&st)) {
        struct yaml_node *item = NULL;
        bool at_end;

        TRY_PLAIN(next_event(b, &event));
        at_end = event.type == YAML_SEQUENCE_END_EVENT;
        if (at_end)
            close_node(b, list, &event);
        else
            st = build(b, &event, &item);
        yaml_event_delete(&event);
        if (at_end)
            break;
        if (!status_failed(&st)) {
            yaml_add_item(list, item);
        }
    }
    *ret = list;
    return st;
}

MUST_CHECK static struct status build_key(struct builder *b,
                                          const yaml_event_t *event,
                                          struct map *names,
                                          struct yaml_node **ret)
{
    TRY_PLAIN(build(b, event, ret));
    if ((*ret)->text == NULL)
        return refuse(b, (*ret)->place, STATUS_INVALID,
                      "a key must be a word, not a list or map");
    if (map_get_text(names, (*ret)->text) != NULL &&
        strcmp((*ret)->text, "<<") != 0) {
        const struct yaml_node *first = map_get_text(names, (*ret)->text);

        b->place = (*ret)->place;
        return FAIL(STATUS_CORRUPT,
                    "\"%.60s\" stands twice in this map; first at line %u",
                    (*ret)->text, first->place.line);
    }
    (void)map_put_text(names, (*ret)->text, *ret);
    return SUCCESS;
}

/* Pairs of `from` whose key `map` does not have. */
MUST_CHECK static struct status merge_map(struct builder *b, struct map *names,
                                          struct yaml_node *map,
                                          const struct yaml_node *from,
                                          struct yaml_place place)
{
    if (from->type != YAML_MAP)
        return refuse(b, place, STATUS_INVALID,
                      "<< takes a map or a list of maps, as in <<: *name");
    for (size_t i = 0; i < from->count; i++) {
        const struct yaml_pair *pair = &from->pairs[i];

        if (map_get_text(names, pair->key->text) != NULL)
            continue;
        (void)map_put_text(names, pair->key->text, pair->value);
        TRY_PLAIN(count_nodes(b, pair->value->nodes + 1, place));
        yaml_add_pair(map, pair->key, pair->value);
    }
    return SUCCESS;
}

/* What the map itself says wins over what << brings, wherever it stands. */
MUST_CHECK static struct status apply_merges(struct builder *b,
                                             struct map *names,
                                             struct yaml_node *map)
{
    struct yaml_pair *own = map->pairs;
    size_t count = map->count;

    map->pairs = NULL;
    map->count = 0;
    map->nodes = 1;
    for (size_t i = 0; i < count; i++) {
        if (strcmp(own[i].key->text, "<<") != 0 || own[i].key->quoted)
            yaml_add_pair(map, own[i].key, own[i].value);
    }
    for (size_t i = 0; i < count; i++) {
        const struct yaml_node *from = own[i].value;
        struct status st = SUCCESS;

        if (strcmp(own[i].key->text, "<<") != 0 || own[i].key->quoted)
            continue;
        for (size_t j = 0; from->type == YAML_LIST && j < from->count; j++) {
            if (!status_failed(&st))
                st =
                    merge_map(b, names, map, from->items[j], own[i].key->place);
        }
        if (from->type != YAML_LIST)
            st = merge_map(b, names, map, from, own[i].key->place);
        if (status_failed(&st)) {
            free(own);
            return st;
        }
    }
    free(own);
    return SUCCESS;
}

MUST_CHECK static struct status build_pairs(struct builder *b,
                                            struct map *names,
                                            struct yaml_node *map)
{
    for (;;) {
        struct yaml_node *key = NULL;
        struct yaml_node *value = NULL;
        yaml_event_t event;
        struct status st;

        TRY_PLAIN(next_event(b, &event));
        if (event.type == YAML_MAPPING_END_EVENT) {
            close_node(b, map, &event);
            yaml_event_delete(&event);
            return SUCCESS;
        }
        st = build_key(b, &event, names, &key);
        yaml_event_delete(&event);
        if (status_failed(&st))
            return st;
        TRY_PLAIN(next_event(b, &event));
        st = build(b, &event, &value);
        yaml_event_delete(&event);
        if (status_failed(&st))
            return st;
        yaml_add_pair(map, key, value);
    }
}

MUST_CHECK static struct status build_map(struct builder *b,
                                          const yaml_event_t *start,
                                          struct yaml_node **ret)
{
    struct map *names = map_new();
    struct yaml_node *map = NULL;
    struct status st = open_node(b, start, YAML_MAP, &map);

    if (!status_failed(&st))
        st = build_pairs(b, names, map);
    if (!status_failed(&st) && map_get_text(names, "<<") != NULL)
        st = apply_merges(b, names, map);
    map_free(names);
    *ret = map;
    return st;
}

/* Recursion ends at LIMIT_DEPTH (open_node()). */
MUST_CHECK static struct status build(struct builder *b,
                                      const yaml_event_t *event,
                                      struct yaml_node **ret)
{
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        return build_scalar(b, event, ret);
    case YAML_ALIAS_EVENT:
        return build_alias(b, event, ret);
    case YAML_SEQUENCE_START_EVENT:
        return build_list(b, event, ret);
    case YAML_MAPPING_START_EVENT:
        return build_map(b, event, ret);
    default:
        return refuse(b, place_of(b, event->start_mark, event->end_mark),
                      STATUS_INVALID, "something else belongs here");
    }
}

/* STREAM-START DOCUMENT-START node DOCUMENT-END STREAM-END. */
MUST_CHECK static struct status build_document(struct builder *b)
{
    yaml_event_t event;
    struct status st = SUCCESS;
    bool done = false;

    while (!done && !status_failed(&st)) {
        TRY_PLAIN(next_event(b, &event));
        if (event.type == YAML_STREAM_END_EVENT)
            done = true;
        else if (event.type == YAML_DOCUMENT_START_EVENT && b->root != NULL)
            st = refuse(b, place_of(b, event.start_mark, event.start_mark),
                        STATUS_INVALID,
                        "a second document begins here; one file is one "
                        "document");
        else if (event.type != YAML_STREAM_START_EVENT &&
                 event.type != YAML_DOCUMENT_START_EVENT &&
                 event.type != YAML_DOCUMENT_END_EVENT)
            st = build(b, &event, &b->root);
        yaml_event_delete(&event);
    }
    if (!status_failed(&st) && b->root == NULL)
        return refuse(b, (struct yaml_place){ 1, 1, 1 }, STATUS_NOT_FOUND,
                      "the file is empty");
    return st;
}

struct status yaml_parse(const char *text, size_t size, struct yaml **ret_yaml,
                         struct yaml_place *ret_place)
{
    size_t mark = yaml_mark_size(text, size);
    struct builder b = { .text = text + mark, .size = size - mark };
    struct status st;

    *ret_place = (struct yaml_place){ 1, 1, 1 };
    if (size > LIMIT_SPEC)
        return FAIL(STATUS_TOO_BIG, "the file has %zu bytes, at most %d", size,
                    LIMIT_SPEC);
    if (yaml_parser_initialize(&b.parser) == 0)
        return FAIL(STATUS_NO_MEMORY, "libyaml has no memory");
    b.y = yaml_new();
    b.anchors = map_new();
    index_lines(&b);
    yaml_parser_set_encoding(&b.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&b.parser, (const unsigned char *)b.text,
                                 b.size);
    st = build_document(&b);
    yaml_parser_delete(&b.parser);
    map_free(b.anchors);
    free(b.lines);
    if (status_failed(&st)) {
        *ret_place = b.place;
        yaml_tree_free(b.y);
        return st;
    }
    yaml_set_root(b.y, b.root);
    *ret_yaml = b.y;
    return SUCCESS;
}
