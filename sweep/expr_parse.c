#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "sweep/expr_parts.h"

enum {
    MOST_NODES = 1024,
    MOST_NESTING = 64,
};

struct parser {
    const char *text;
    uint32_t at;
    uint32_t nesting;
    struct expr *e;
    struct expr_place place; /* of the failure */
};

static void skip_blanks(struct parser *p)
{
    while (isspace((unsigned char)p->text[p->at]))
        p->at++;
}

/* The failure is under `length` bytes at `at`. */
static struct expr_place place_of(uint32_t at, uint32_t length)
{
    return (struct expr_place){ .column = at + 1,
                                .length = length == 0 ? 1 : length };
}

MUST_CHECK static struct status new_node(struct parser *p, enum op op,
                                         uint32_t at, uint32_t *ret_node)
{
    struct expr *e = p->e;

    p->place = place_of(at, p->at - at);
    if (e->node_count == MOST_NODES)
        return FAIL(STATUS_TOO_BIG, "the expression has more than %d parts",
                    MOST_NODES);
    if ((e->node_count & (e->node_count - 1)) == 0)
        e->nodes =
            xrealloc(e->nodes, 2 * (size_t)e->node_count * sizeof *e->nodes);
    e->nodes[e->node_count] = (struct node){ .op = op, .place = p->place };
    *ret_node = e->node_count++;
    return SUCCESS;
}

static bool starts(struct parser *p, const char *token)
{
    skip_blanks(p);
    return strncmp(p->text + p->at, token, strlen(token)) == 0;
}

static bool take(struct parser *p, const char *token)
{
    if (!starts(p, token))
        return false;
    p->at += (uint32_t)strlen(token);
    return true;
}

static bool is_name_start(char c)
{
    return isalpha((unsigned char)c) || c == '_';
}

static bool is_name_part(char c)
{
    return isalnum((unsigned char)c) || c == '_';
}

static bool take_word(struct parser *p, const char *word)
{
    if (!starts(p, word) || is_name_part(p->text[p->at + strlen(word)]))
        return false;
    p->at += (uint32_t)strlen(word);
    return true;
}

MUST_CHECK static struct status refuse_at(struct parser *p, uint32_t at,
                                          uint32_t length, const char *message)
{
    p->place = place_of(at, length);
    return FAIL(STATUS_INVALID, "%s", message);
}

/* One token at `at`, for the caret. */
static uint32_t token_length(const struct parser *p, uint32_t at)
{
    uint32_t end = at;

    while (is_name_part(p->text[end]) || p->text[end] == '.')
        end++;
    return end > at ? end - at : 1;
}

MUST_CHECK static struct status expected(struct parser *p, const char *what)
{
    skip_blanks(p);
    p->place = place_of(p->at, token_length(p, p->at));
    if (p->text[p->at] == '\0')
        return FAIL(STATUS_INVALID, "the expression ends where %s belongs",
                    what);
    return FAIL(STATUS_INVALID, "%s belongs here, not `%.*s`", what,
                (int)p->place.length, p->text + p->at);
}

static void add_child(struct expr *e, uint32_t parent, uint32_t child)
{
    uint32_t *link = &e->nodes[parent].first;

    while (*link != NO_NODE)
        link = &e->nodes[*link].next;
    *link = child;
}

static void span(struct expr *e, uint32_t node, uint32_t from, uint32_t to)
{
    e->nodes[node].place = place_of(from, to - from);
}

MUST_CHECK static struct status parse_or(struct parser *p, uint32_t *ret_node);

MUST_CHECK static struct status parse_number(struct parser *p,
                                             uint32_t *ret_node)
{
    uint32_t from = p->at;
    char *end;
    double number;

    /* strtod alone would take "0x1p3", "inf" and "nan". */
    if (p->text[from] == '0' &&
        tolower((unsigned char)p->text[from + 1]) == 'x')
        return refuse_at(p, from, 2, "numbers are decimal here");
    number = strtod(p->text + from, &end);
    p->at = (uint32_t)(end - p->text);
    if (is_name_start(*end))
        return refuse_at(p, from, p->at - from + token_length(p, p->at),
                         "this is neither a number nor a name");
    TRY_PLAIN(new_node(p, OP_LITERAL, from, ret_node));
    p->e->nodes[*ret_node].value =
        (struct expr_value){ .type = EXPR_NUMBER, .number = number };
    return SUCCESS;
}

MUST_CHECK static struct status add_name(struct parser *p, uint32_t from,
                                         const char *start, uint32_t length,
                                         bool quoted, uint32_t *ret_node)
{
    struct expr *e = p->e;

    TRY_PLAIN(new_node(p, OP_NAME, from, ret_node));
    e->names = xrealloc(e->names, (e->name_count + 1) * sizeof *e->names);
    e->names[e->name_count] = (struct name){
        .text = xstrndup(start, length),
        .place = place_of(from, p->at - from),
        .word = quoted,
        .quoted = quoted,
        .slot = EXPR_UNBOUND,
    };
    e->nodes[*ret_node].name = (uint32_t)e->name_count++;
    return SUCCESS;
}

MUST_CHECK static struct status parse_quoted(struct parser *p,
                                             uint32_t *ret_node)
{
    uint32_t from = p->at;
    const char *start = p->text + from + 1;
    const char *end = strchr(start, p->text[from]);

    if (end == NULL)
        return refuse_at(p, from, 1, "this quote is never closed");
    p->at = (uint32_t)(end + 1 - p->text);
    return add_name(p, from, start, (uint32_t)(end - start), true, ret_node);
}

struct function {
    const char *name;
    enum op op;
    unsigned least, most; /* arguments */
};

static const struct function functions[] = {
    { "if", OP_IF, 3, 3 },       { "min", OP_MIN, 1, 64 },
    { "max", OP_MAX, 1, 64 },    { "abs", OP_ABS, 1, 1 },
    { "log", OP_LOG, 1, 1 },     { "exp", OP_EXP, 1, 1 },
    { "sqrt", OP_SQRT, 1, 1 },   { "round", OP_ROUND, 1, 1 },
    { "floor", OP_FLOOR, 1, 1 }, { "ceil", OP_CEIL, 1, 1 },
};

static const struct function *find_function(const char *name, size_t length)
{
    for (size_t i = 0; i < COUNT_OF(functions); i++) {
        if (strlen(functions[i].name) == length &&
            strncmp(functions[i].name, name, length) == 0)
            return &functions[i];
    }
    return NULL;
}

MUST_CHECK static struct status parse_items(struct parser *p, uint32_t parent,
                                            const char *end,
                                            unsigned *ret_count)
{
    unsigned count = 0;

    if (!take(p, end)) {
        do {
            uint32_t item = NO_NODE;

            TRY_PLAIN(parse_or(p, &item));
            add_child(p->e, parent, item);
            count++;
        } while (take(p, ","));
        if (!take(p, end))
            return expected(p, *end == ')' ? "`,` or `)`" : "`,` or `]`");
    }
    *ret_count = count;
    return SUCCESS;
}

MUST_CHECK static struct status parse_call(struct parser *p, uint32_t from,
                                           uint32_t length, uint32_t *ret_node)
{
    const struct function *f = find_function(p->text + from, length);
    uint32_t node = NO_NODE;
    unsigned count = 0;

    p->place = place_of(from, length);
    if (f == NULL)
        return FAIL(STATUS_INVALID,
                    "there is no function `%.*s`; known: if min max abs log "
                    "exp sqrt round floor ceil",
                    (int)length, p->text + from);
    TRY_PLAIN(new_node(p, f->op, from, &node));
    TRY_PLAIN(parse_items(p, node, ")", &count));
    p->place = place_of(from, p->at - from);
    if (count < f->least || count > f->most)
        return FAIL(STATUS_INVALID, "%s() takes %s, not %u", f->name,
                    f->least == 3  ? "3 values: condition, then, else"
                    : f->most == 1 ? "1 value"
                                   : "1 to 64 values",
                    count);
    span(p->e, node, from, p->at);
    *ret_node = node;
    return SUCCESS;
}

static uint32_t name_end(const struct parser *p, uint32_t at)
{
    while (is_name_part(p->text[at]) ||
           (p->text[at] == '.' && is_name_part(p->text[at + 1])))
        at++;
    return at;
}

static const char *const reserved[] = { "and", "or", "not", "in" };

MUST_CHECK static struct status parse_name(struct parser *p, uint32_t *ret_node)
{
    uint32_t from = p->at;
    uint32_t length = name_end(p, from) - from;
    const char *name = p->text + from;
    bool is_true = length == 4 && strncmp(name, "true", 4) == 0;

    for (size_t i = 0; i < COUNT_OF(reserved); i++) {
        if (strlen(reserved[i]) == length &&
            strncmp(reserved[i], name, length) == 0)
            return expected(p, "a value");
    }
    p->at += length;
    if (is_true || (length == 5 && strncmp(name, "false", 5) == 0)) {
        TRY_PLAIN(new_node(p, OP_LITERAL, from, ret_node));
        p->e->nodes[*ret_node].value =
            (struct expr_value){ .type = EXPR_BOOL,
                                 .number = is_true ? 1.0 : 0.0 };
        return SUCCESS;
    }
    if (take(p, "("))
        return parse_call(p, from, length, ret_node);
    return add_name(p, from, name, length, false, ret_node);
}

MUST_CHECK static struct status parse_value(struct parser *p,
                                            uint32_t *ret_node)
{
    char c;

    skip_blanks(p);
    c = p->text[p->at];
    if (take(p, "(")) {
        TRY_PLAIN(parse_or(p, ret_node));
        return take(p, ")") ? SUCCESS : expected(p, "`)`");
    }
    if (isdigit((unsigned char)c) ||
        (c == '.' && isdigit((unsigned char)p->text[p->at + 1])))
        return parse_number(p, ret_node);
    if (c == '\'' || c == '"')
        return parse_quoted(p, ret_node);
    if (c == '$')
        return refuse_at(p, p->at, 1 + token_length(p, p->at + 1),
                         "expressions name values without $");
    return is_name_start(c) ? parse_name(p, ret_node) : expected(p, "a value");
}

MUST_CHECK static struct status parse_unary(struct parser *p,
                                            uint32_t *ret_node);

MUST_CHECK static struct status parse_power(struct parser *p,
                                            uint32_t *ret_node)
{
    uint32_t left = NO_NODE;
    uint32_t right = NO_NODE;
    uint32_t from;

    skip_blanks(p);
    from = p->at;
    TRY_PLAIN(parse_value(p, &left));
    if (starts(p, "**"))
        return refuse_at(p, p->at, 2, "write ^ for a power");
    if (take(p, "^")) {
        TRY_PLAIN(parse_unary(p, &right));
        TRY_PLAIN(new_node(p, OP_POWER, from, ret_node));
        add_child(p->e, *ret_node, left);
        add_child(p->e, *ret_node, right);
        return SUCCESS;
    }
    *ret_node = left;
    return SUCCESS;
}

/* Counts nesting for every way into a deeper level but operators of one
 * level, which loop. */
MUST_CHECK static struct status parse_unary(struct parser *p,
                                            uint32_t *ret_node)
{
    uint32_t inner = NO_NODE;
    uint32_t from;

    skip_blanks(p);
    from = p->at;
    if (p->nesting == MOST_NESTING)
        return refuse_at(p, from, 1, "the expression is nested too deeply");
    p->nesting++;
    if (take(p, "-")) {
        TRY_PLAIN(parse_unary(p, &inner));
        TRY_PLAIN(new_node(p, OP_NEGATE, from, ret_node));
        add_child(p->e, *ret_node, inner);
    } else {
        (void)take(p, "+");
        TRY_PLAIN(parse_power(p, ret_node));
    }
    p->nesting--;
    return SUCCESS;
}

struct binary {
    const char *token;
    enum op op;
};

static const struct binary sums[] = { { "+", OP_ADD }, { "-", OP_SUBTRACT } };
static const struct binary products[] = { { "*", OP_MULTIPLY },
                                          { "/", OP_DIVIDE } };

/* left (token right)*, left associative. */
MUST_CHECK static struct status parse_row(
    struct parser *p, const struct binary *tokens, size_t count,
    struct status (*side)(struct parser *, uint32_t *), uint32_t *ret_node)
{
    uint32_t from;

    skip_blanks(p);
    from = p->at;
    TRY_PLAIN(side(p, ret_node));
    for (;;) {
        uint32_t left = *ret_node;
        uint32_t right = NO_NODE;
        size_t i = 0;

        while (i < count && !take(p, tokens[i].token))
            i++;
        if (i == count)
            return SUCCESS;
        TRY_PLAIN(side(p, &right));
        TRY_PLAIN(new_node(p, tokens[i].op, from, ret_node));
        add_child(p->e, *ret_node, left);
        add_child(p->e, *ret_node, right);
    }
}

MUST_CHECK static struct status parse_product(struct parser *p,
                                              uint32_t *ret_node)
{
    return parse_row(p, products, COUNT_OF(products), parse_unary, ret_node);
}

MUST_CHECK static struct status parse_sum(struct parser *p, uint32_t *ret_node)
{
    return parse_row(p, sums, COUNT_OF(sums), parse_product, ret_node);
}

/* Longer tokens first. */
static const struct binary comparisons[] = {
    { "==", OP_EQUAL },      { "!=", OP_UNEQUAL }, { "<=", OP_LESS_EQUAL },
    { ">=", OP_MORE_EQUAL }, { "<", OP_LESS },     { ">", OP_MORE },
};

static const struct binary *take_comparison(struct parser *p)
{
    for (size_t i = 0; i < COUNT_OF(comparisons); i++) {
        if (take(p, comparisons[i].token))
            return &comparisons[i];
    }
    return NULL;
}

static void may_be_word(struct expr *e, uint32_t node, uint32_t against)
{
    if (e->nodes[node].op != OP_NAME)
        return;
    e->names[e->nodes[node].name].word = true;
    e->names[e->nodes[node].name].against = against;
}

MUST_CHECK static struct status parse_in(struct parser *p, enum op op,
                                         uint32_t from, uint32_t left,
                                         uint32_t *ret_node)
{
    unsigned count = 0;

    if (!take(p, "["))
        return expected(p, "a list such as [a, b]");
    TRY_PLAIN(new_node(p, op, from, ret_node));
    add_child(p->e, *ret_node, left);
    TRY_PLAIN(parse_items(p, *ret_node, "]", &count));
    span(p->e, *ret_node, from, p->at);
    for (uint32_t i = p->e->nodes[left].next; i != NO_NODE;
         i = p->e->nodes[i].next)
        may_be_word(p->e, i, left);
    return SUCCESS;
}

MUST_CHECK static struct status parse_comparison(struct parser *p,
                                                 uint32_t *ret_node)
{
    const struct binary *found;
    uint32_t left = NO_NODE;
    uint32_t right = NO_NODE;
    uint32_t from;

    skip_blanks(p);
    from = p->at;
    TRY_PLAIN(parse_sum(p, &left));
    *ret_node = left;
    if (take_word(p, "in"))
        return parse_in(p, OP_IN, from, left, ret_node);
    if (take_word(p, "not"))
        return take_word(p, "in") ? parse_in(p, OP_NOT_IN, from, left, ret_node)
                                  : expected(p, "`in`");
    found = take_comparison(p);
    if (found == NULL && starts(p, "="))
        return refuse_at(p, p->at, 1, "write == to compare");
    if (found == NULL)
        return SUCCESS;
    TRY_PLAIN(parse_sum(p, &right));
    TRY_PLAIN(new_node(p, found->op, from, ret_node));
    add_child(p->e, *ret_node, left);
    add_child(p->e, *ret_node, right);
    if (found->op == OP_EQUAL || found->op == OP_UNEQUAL) {
        may_be_word(p->e, left, right);
        may_be_word(p->e, right, left);
    }
    skip_blanks(p);
    from = p->at;
    if (take_comparison(p) != NULL)
        return refuse_at(p, from, p->at - from,
                         "comparisons do not chain: write a < b and b < c");
    return SUCCESS;
}

MUST_CHECK static struct status parse_not(struct parser *p, uint32_t *ret_node)
{
    uint32_t inner = NO_NODE;
    uint32_t from;
    uint32_t nots = 0;

    skip_blanks(p);
    from = p->at;
    while (take_word(p, "not"))
        nots++;
    TRY_PLAIN(parse_comparison(p, &inner));
    *ret_node = inner;
    if (nots > 0) {
        /* not not x is x as a boolean: one or two nodes say it all. */
        for (nots = nots % 2 == 1 ? 1 : 2; nots > 0; nots--) {
            TRY_PLAIN(new_node(p, OP_NOT, from, ret_node));
            add_child(p->e, *ret_node, inner);
            inner = *ret_node;
        }
    }
    return SUCCESS;
}

/* a and b and c is one node with three children. */
MUST_CHECK static struct status parse_words(
    struct parser *p, const char *word, enum op op,
    struct status (*side)(struct parser *, uint32_t *), uint32_t *ret_node)
{
    uint32_t first = NO_NODE;
    uint32_t next = NO_NODE;
    uint32_t from;

    skip_blanks(p);
    from = p->at;
    TRY_PLAIN(side(p, &first));
    *ret_node = first;
    if (!take_word(p, word))
        return SUCCESS;
    TRY_PLAIN(new_node(p, op, from, ret_node));
    add_child(p->e, *ret_node, first);
    do {
        TRY_PLAIN(side(p, &next));
        add_child(p->e, *ret_node, next);
    } while (take_word(p, word));
    return SUCCESS;
}

MUST_CHECK static struct status parse_and(struct parser *p, uint32_t *ret_node)
{
    return parse_words(p, "and", OP_AND, parse_not, ret_node);
}

MUST_CHECK static struct status parse_or(struct parser *p, uint32_t *ret_node)
{
    return parse_words(p, "or", OP_OR, parse_and, ret_node);
}

MUST_CHECK static struct status parse_all(struct parser *p)
{
    TRY_PLAIN(parse_or(p, &p->e->root));
    skip_blanks(p);
    if (p->text[p->at] == '\0')
        return SUCCESS;
    if (starts(p, "&&") || starts(p, "||"))
        return refuse_at(p, p->at, 2, "write `and` and `or`");
    return expected(p, "an operator");
}

static struct expr *new_expr(void)
{
    struct expr *e = xnew(struct expr);

    e->nodes = xcalloc(1, sizeof *e->nodes);
    e->node_count = 1; /* node 0 stands for none */
    return e;
}

struct status expr_parse(const char *text, struct expr **ret_expr,
                         struct expr_place *ret_place)
{
    struct parser p = { .text = text, .e = new_expr() };
    struct status st = parse_all(&p);

    if (status_failed(&st)) {
        if (ret_place != NULL)
            *ret_place = p.place;
        expr_free(p.e);
        return st;
    }
    *ret_expr = p.e;
    return SUCCESS;
}
