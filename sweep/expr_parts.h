/* expr_parts.h -- an expression as expr_parse.c makes and expr.c uses it; for
 * these two files only. */
#ifndef SINTER_SWEEP_EXPR_PARTS_H
#define SINTER_SWEEP_EXPR_PARTS_H

#include "sweep/expr.h"

enum { NO_NODE = 0 }; /* node 0 is never anybody's child */

enum op {
    OP_LITERAL,
    OP_NAME,
    OP_OR,
    OP_AND,
    OP_NOT,
    OP_EQUAL,
    OP_UNEQUAL,
    OP_LESS,
    OP_LESS_EQUAL,
    OP_MORE,
    OP_MORE_EQUAL,
    OP_IN,
    OP_NOT_IN,
    OP_ADD,
    OP_SUBTRACT,
    OP_MULTIPLY,
    OP_DIVIDE,
    OP_NEGATE,
    OP_POWER,
    OP_IF,
    OP_MIN,
    OP_MAX,
    OP_ABS,
    OP_LOG,
    OP_EXP,
    OP_SQRT,
    OP_ROUND,
    OP_FLOOR,
    OP_CEIL,
};

struct node {
    enum op op;
    uint32_t first, next; /* first child, next sibling; NO_NODE: none */
    struct expr_place place;
    struct expr_value value; /* OP_LITERAL */
    uint32_t name;           /* OP_NAME: index into names */
};

struct name {
    char *text;
    struct expr_place place;
    bool word, quoted;
    int slot;
    uint32_t against; /* node it is compared with */
};

struct expr {
    struct node *nodes;
    uint32_t node_count;
    struct name *names;
    size_t name_count;
    uint32_t root;
};

#endif
