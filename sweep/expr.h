/* expr.h -- the small expression language of derive, constraints, when and
 * evaluate. Pure and total: every expression has a value for every input, the
 * same on every machine.
 *
 *   or < and < not < comparison, in < + - < * / < unary - < ^
 *   numbers, names (dotted: copy.accuracy), true, false, 'text', "text";
 *   [a, b] on the right of `in` and `not in`;
 *   min max abs log exp sqrt round floor ceil, if(a, b, c).
 *
 * A bare word beside ==, != or in a list may be a text: method == ties. Which
 * names are values and which are words is settled by expr_bind_all(). */
#ifndef SINTER_SWEEP_EXPR_H
#define SINTER_SWEEP_EXPR_H

#include "common/json.h"
#include "common/status.h"

#include <stdint.h>

enum expr_type {
    EXPR_ABSENT, /* a name without a value, or something made from one */
    EXPR_NUMBER,
    EXPR_BOOL, /* `number` is 0 or 1 */
    EXPR_TEXT,
    EXPR_WRONG, /* a text where a number belongs: `text` says it */
};

struct expr_value {
    enum expr_type type;
    double number;    /* may be infinite or NaN: 1 / 0 is infinite */
    const char *text; /* borrowed */
    uint32_t column;  /* EXPR_WRONG: where, from 1 */
};

struct expr_place {
    uint32_t column; /* bytes from 1 */
    uint32_t length;
};

struct expr; /* opaque, immutable after expr_bind_all() */

/* INVALID (or TOO_BIG) with the place in `ret_place`, which may be NULL. */
MUST_CHECK struct status expr_parse(const char *text, struct expr **ret_expr,
                                    struct expr_place *ret_place);
void expr_free(struct expr *e); /* NULL is fine */

/* Names in order of appearance; the same name may appear again. */
struct expr_name {
    const char *text;
    struct expr_place place;
    bool word;           /* stands where a text may stand */
    const char *against; /* the name it is compared with; NULL: none */
    bool quoted;         /* a 'text', which is never a name */
};
size_t expr_name_count(const struct expr *e);
struct expr_name expr_name(const struct expr *e, size_t i);

enum { EXPR_UNBOUND = -1 };
/* Names become slots through `find`; the slot is handed to the lookup.
 * EXPR_UNBOUND, the state after expr_parse(): a text where `word` is set, and
 * else absent. INVALID names the first one that is unknown and no word. */
MUST_CHECK struct status expr_bind_all(struct expr *e,
                                       int (*find)(const void *self,
                                                   const char *name),
                                       const void *self);

struct expr_scope {
    struct expr_value (*value)(const void *self, int slot);
    const void *self;
};
struct expr_value expr_eval(const struct expr *e, struct expr_scope scope);

/* Number and boolean count as true when not 0 (NaN: false). */
bool expr_is_true(struct expr_value v);
/* What a value of a trial is in an expression; lists and maps are WRONG. */
struct expr_value expr_value_of(const json_t *json);

#endif
