/* yaml_parts.h -- the tree as yaml.c builds and yaml_node.c keeps it; for
 * these two files only. */
#ifndef SINTER_SWEEP_YAML_PARTS_H
#define SINTER_SWEEP_YAML_PARTS_H

#include "sweep/yaml.h"

struct yaml *yaml_new(void);
void yaml_set_root(struct yaml *y, struct yaml_node *root);

struct yaml_node *yaml_new_node(struct yaml *y, enum yaml_type type,
                                struct yaml_place place);
/* A copy that lives as long as `y`. */
const char *yaml_keep(struct yaml *y, const char *text, size_t length);
/* Type and value of a scalar without quotes, by the core schema of YAML 1.2,
 * section 10.3.2. False: .inf, .nan, or a number too large. */
bool yaml_resolve_plain(struct yaml_node *node);
void yaml_add_pair(struct yaml_node *map, const struct yaml_node *key,
                   struct yaml_node *value);
void yaml_add_item(struct yaml_node *list, struct yaml_node *item);

/* Bytes of a byte order mark at the beginning; 0: none. */
size_t yaml_mark_size(const char *text, size_t size);

/* Bytes of the line end at `at`: \n, \r, \r\n and, as libyaml has it, NEL,
 * LS and PS; 0: none. */
size_t yaml_line_end(const char *text, size_t size, size_t at);

#endif
