#include "sweep/expr.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/decimal.h"
#include "sweep/expr_parts.h"

void expr_free(struct expr *e)
{
    if (e == NULL)
        return;
    for (size_t i = 0; i < e->name_count; i++)
        free(e->names[i].text);
    free(e->names);
    free(e->nodes);
    free(e);
}

/* ---- names ------------------------------------------------------------ */

size_t expr_name_count(const struct expr *e)
{
    return e->name_count;
}

struct expr_name expr_name(const struct expr *e, size_t i)
{
    const struct name *n = &e->names[i];
    const struct node *other = &e->nodes[n->against];

    return (struct expr_name){
        .text = n->text,
        .place = n->place,
        .word = n->word,
        .against = n->against != NO_NODE && other->op == OP_NAME
                       ? e->names[other->name].text
                       : NULL,
        .quoted = n->quoted,
    };
}

/* Two bare words that are compared: neither is a value. */
static bool is_lost(const struct expr *e, const struct name *n)
{
    const struct node *other = &e->nodes[n->against];
    const struct name *beside;

    if (n->against == NO_NODE || other->op != OP_NAME)
        return false;
    beside = &e->names[other->name];
    return beside->slot == EXPR_UNBOUND && !beside->quoted;
}

struct status expr_bind_all(struct expr *e,
                            int (*find)(const void *self, const char *name),
                            const void *self)
{
    for (size_t i = 0; i < e->name_count; i++) {
        struct name *n = &e->names[i];

        n->slot = n->quoted ? EXPR_UNBOUND : find(self, n->text);
    }
    for (size_t i = 0; i < e->name_count; i++) {
        const struct name *n = &e->names[i];

        if (n->slot == EXPR_UNBOUND && !n->quoted &&
            (!n->word || is_lost(e, n)))
            return FAIL(STATUS_INVALID, "`%s` is not declared", n->text);
    }
    return SUCCESS;
}

/* ---- values ----------------------------------------------------------- */

static struct expr_value number_of(double number)
{
    return (struct expr_value){ .type = EXPR_NUMBER, .number = number };
}

static struct expr_value bool_of(bool value)
{
    return (struct expr_value){ .type = EXPR_BOOL,
                                .number = value ? 1.0 : 0.0 };
}

static struct expr_value absent(void)
{
    return (struct expr_value){ .type = EXPR_ABSENT };
}

static struct expr_value wrong(const struct node *n, const char *text)
{
    return (struct expr_value){ .type = EXPR_WRONG,
                                .text = text,
                                .column = n->place.column };
}

bool expr_is_true(struct expr_value v)
{
    return (v.type == EXPR_NUMBER || v.type == EXPR_BOOL) && !isnan(v.number) &&
           v.number != 0.0;
}

struct expr_value expr_value_of(const json_t *json)
{
    if (json_is_number(json))
        return number_of(json_number_value(json));
    if (json_is_boolean(json))
        return bool_of(json_is_true(json));
    if (json_is_string(json))
        return (struct expr_value){ .type = EXPR_TEXT,
                                    .text = json_string_value(json) };
    if (json == NULL || json_is_null(json))
        return absent();
    return (struct expr_value){ .type = EXPR_WRONG,
                                .text = "a list has no value here",
                                .column = 1 };
}

static bool is_numeric(struct expr_value v)
{
    return v.type == EXPR_NUMBER || v.type == EXPR_BOOL;
}

/* Functions that differ in the last bit between C libraries. */
static double rounded(double x)
{
    return decimal_round(x, DECIMAL_EXACT);
}

static double power(double a, double b)
{
    return b == 2.0 ? a * a : rounded(pow(a, b));
}

static double half_up(double x)
{
    return floor(x + 0.5);
}

static double calculate_one(enum op op, double x)
{
    switch (op) {
    case OP_NEGATE:
        return -x;
    case OP_ABS:
        return fabs(x);
    case OP_LOG:
        return rounded(log(x));
    case OP_EXP:
        return rounded(exp(x));
    case OP_SQRT:
        return sqrt(x);
    case OP_ROUND:
        return half_up(x);
    case OP_FLOOR:
        return floor(x);
    default:
        return ceil(x);
    }
}

static double calculate_two(enum op op, double a, double b)
{
    switch (op) {
    case OP_ADD:
        return a + b;
    case OP_SUBTRACT:
        return a - b;
    case OP_MULTIPLY:
        return a * b;
    case OP_DIVIDE:
        return a / b;
    case OP_POWER:
        return power(a, b);
    case OP_MIN:
        return isnan(a) || a < b ? a : b;
    default:
        return isnan(a) || a > b ? a : b;
    }
}

static bool order(enum op op, double a, double b)
{
    switch (op) {
    case OP_LESS:
        return a < b;
    case OP_LESS_EQUAL:
        return a <= b;
    case OP_MORE:
        return a > b;
    default:
        return a >= b;
    }
}

static struct expr_value eval(const struct expr *e, uint32_t at,
                              struct expr_scope scope);

static struct expr_value eval_name(const struct expr *e, const struct node *n,
                                   struct expr_scope scope)
{
    const struct name *name = &e->names[n->name];
    struct expr_value v;

    if (name->slot == EXPR_UNBOUND)
        return name->word ? (struct expr_value){ .type = EXPR_TEXT,
                                                 .text = name->text }
                          : absent();
    v = scope.value(scope.self, name->slot);
    if (v.type == EXPR_WRONG)
        v.column = n->place.column;
    return v;
}

/* Both sides must count for it; an absent or wrong one is passed on. */
static struct expr_value numeric(const struct node *n, struct expr_value v)
{
    if (v.type == EXPR_TEXT)
        return wrong(n, "a text stands where a number belongs");
    return v;
}

/* Three-valued: false and absent is false, true or absent is true. */
static struct expr_value eval_words(const struct expr *e, const struct node *n,
                                    struct expr_scope scope)
{
    bool decides = n->op == OP_OR;
    struct expr_value result = bool_of(!decides);

    for (uint32_t i = n->first; i != NO_NODE; i = e->nodes[i].next) {
        struct expr_value v = numeric(&e->nodes[i], eval(e, i, scope));

        if (v.type == EXPR_WRONG)
            return v;
        if (v.type == EXPR_ABSENT)
            result = absent();
        else if (expr_is_true(v) == decides)
            return bool_of(decides);
    }
    return result;
}

static struct expr_value equal(struct expr_value a, struct expr_value b)
{
    if (a.type == EXPR_WRONG || a.type == EXPR_ABSENT)
        return a;
    if (b.type == EXPR_WRONG || b.type == EXPR_ABSENT)
        return b;
    if (a.type == EXPR_TEXT || b.type == EXPR_TEXT)
        return bool_of(a.type == b.type && strcmp(a.text, b.text) == 0);
    return bool_of(a.number == b.number);
}

static struct expr_value eval_in(const struct expr *e, const struct node *n,
                                 struct expr_scope scope)
{
    struct expr_value left = eval(e, n->first, scope);
    bool found = false;

    if (left.type == EXPR_ABSENT || left.type == EXPR_WRONG)
        return left;
    for (uint32_t i = e->nodes[n->first].next; i != NO_NODE;
         i = e->nodes[i].next) {
        struct expr_value same = equal(left, eval(e, i, scope));

        if (same.type == EXPR_WRONG)
            return same;
        found = found || expr_is_true(same);
    }
    return bool_of(found == (n->op == OP_IN));
}

static struct expr_value eval_if(const struct expr *e, const struct node *n,
                                 struct expr_scope scope)
{
    uint32_t then = e->nodes[n->first].next;
    struct expr_value condition =
        numeric(&e->nodes[n->first], eval(e, n->first, scope));

    if (!is_numeric(condition))
        return condition;
    return eval(e, expr_is_true(condition) ? then : e->nodes[then].next, scope);
}

static struct expr_value eval_equal(const struct expr *e, const struct node *n,
                                    struct expr_scope scope)
{
    struct expr_value same = equal(eval(e, n->first, scope),
                                   eval(e, e->nodes[n->first].next, scope));

    if (same.type != EXPR_BOOL)
        return same;
    return bool_of(expr_is_true(same) == (n->op == OP_EQUAL));
}

static bool is_comparison(enum op op)
{
    return op == OP_LESS || op == OP_LESS_EQUAL || op == OP_MORE ||
           op == OP_MORE_EQUAL;
}

/* Operators whose operands are all numbers, from left to right. */
static struct expr_value eval_numbers(const struct expr *e,
                                      const struct node *n,
                                      struct expr_scope scope)
{
    uint32_t i = n->first;
    struct expr_value a = numeric(&e->nodes[i], eval(e, i, scope));
    bool alone = e->nodes[i].next == NO_NODE;

    if (!is_numeric(a))
        return a;
    if (alone && n->op == OP_NOT)
        return bool_of(!expr_is_true(a));
    if (alone && n->op != OP_MIN && n->op != OP_MAX)
        return number_of(calculate_one(n->op, a.number));
    for (i = e->nodes[i].next; i != NO_NODE; i = e->nodes[i].next) {
        struct expr_value b = numeric(&e->nodes[i], eval(e, i, scope));

        if (!is_numeric(b))
            return b;
        if (is_comparison(n->op))
            return bool_of(order(n->op, a.number, b.number));
        a = number_of(calculate_two(n->op, a.number, b.number));
    }
    return a;
}

/* Depth is bounded by the parser: 64 levels of brackets and signs and, for
 * chains of one operator, 1,024 nodes. */
static struct expr_value eval(const struct expr *e, uint32_t at,
                              struct expr_scope scope)
{
    const struct node *n = &e->nodes[at];

    switch (n->op) {
    case OP_LITERAL:
        return n->value;
    case OP_NAME:
        return eval_name(e, n, scope);
    case OP_OR:
    case OP_AND:
        return eval_words(e, n, scope);
    case OP_IN:
    case OP_NOT_IN:
        return eval_in(e, n, scope);
    case OP_EQUAL:
    case OP_UNEQUAL:
        return eval_equal(e, n, scope);
    case OP_IF:
        return eval_if(e, n, scope);
    default:
        return eval_numbers(e, n, scope);
    }
}

struct expr_value expr_eval(const struct expr *e, struct expr_scope scope)
{
    return eval(e, e->root, scope);
}
