/* yaml.h -- YAML text as a tree with places, by the YAML 1.2 core rules (`no`
 * is a text, 010 is ten, 1e-5 is a number). The one door to libyaml.
 *
 * Anchors, aliases and `<<` are resolved: an aliased node is the same node
 * again, so the tree is walked like any other; its size counts each time
 * against LIMIT_SPEC_NODES. */
#ifndef SINTER_SWEEP_YAML_H
#define SINTER_SWEEP_YAML_H

#include "common/json.h"
#include "common/status.h"

#include <stdint.h>

/* Lines and columns from 1, columns and length in characters. */
struct yaml_place {
    uint32_t line, column, length;
};

enum yaml_type {
    YAML_NULL,
    YAML_BOOL,
    YAML_INTEGER,
    YAML_REAL, /* finite */
    YAML_TEXT,
    YAML_LIST,
    YAML_MAP,
};

struct yaml_node;

struct yaml_pair {
    const struct yaml_node *key; /* a scalar; its `text` is the name */
    struct yaml_node *value;
};

struct yaml_node {
    enum yaml_type type;
    struct yaml_place place; /* from its first to its last character, but not
                                beyond the end of its first line */
    bool quoted;             /* 'text', "text", or a block */
    bool flow;               /* a list or map in brackets */
    const char *text;        /* of a scalar, as written but without quotes */
    bool boolean;
    int64_t integer;          /* YAML_INTEGER */
    double real;              /* YAML_INTEGER too */
    struct yaml_node **items; /* of a list */
    struct yaml_pair *pairs;  /* of a map, in order of the file */
    size_t count;
    size_t nodes;    /* of the tree from here, aliases counted each time */
    uint32_t height; /* levels from here; 1: a scalar */
};

struct yaml; /* opaque: owns all nodes */

/* One document. INVALID or TOO_BIG with the place in `ret_place`. A key that
 * stands twice is STATUS_CORRUPT, so that it has a message of its own. */
MUST_CHECK struct status yaml_parse(const char *text, size_t size,
                                    struct yaml **ret_yaml,
                                    struct yaml_place *ret_place);
/* NULL is fine. Not named yaml_free: libyaml exports that name for itself. */
void yaml_tree_free(struct yaml *y);
struct yaml_node *yaml_root(const struct yaml *y);

/* NULL if `map` is no map or has no such key. */
struct yaml_node *yaml_get(const struct yaml_node *map, const char *name);
const struct yaml_pair *yaml_find(const struct yaml_node *map,
                                  const char *name);

/* New nodes of `y`. Scalars follow the rules of plain text. */
struct yaml_node *yaml_new_scalar(struct yaml *y, const char *text,
                                  struct yaml_place place);
struct yaml_node *yaml_new_text(struct yaml *y, const char *text,
                                struct yaml_place place);
struct yaml_node *yaml_new_map(struct yaml *y, struct yaml_place place);
/* Add or replace; `name` is copied. */
void yaml_set(struct yaml *y, struct yaml_node *map, const char *name,
              struct yaml_place place, struct yaml_node *value);

/* The tree as JSON, nothing interpreted. */
json_t *yaml_json(const struct yaml_node *node);
/* "a list", "a number" ... for messages. */
const char *yaml_type_name(const struct yaml_node *node);

/* Line `line` of the text, without its end; "" beyond the last. */
const char *yaml_line(const char *text, size_t size, uint32_t line,
                      size_t *ret_length);

#endif
