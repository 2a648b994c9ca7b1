#include "common/wire_cursor.h"

#include "common/limits.h"

#include <assert.h>

/* How a value begins. */
struct head {
    uint8_t shape;
    uint8_t width;   /* bytes of the big-endian number behind the first byte */
    bool is_refused; /* reserved, or an extension type */
};

/* First bytes 0xc0 to 0xdf; all others hold their number themselves. */
static const struct head heads[32] = {
    [0x00] = { WIRE_IS_OTHER, 0, false }, /* nil */
    [0x01] = { .is_refused = true },      /* never used */
    [0x02] = { WIRE_IS_OTHER, 0, false }, /* false */
    [0x03] = { WIRE_IS_OTHER, 0, false }, /* true */
    [0x04] = { WIRE_IS_TEXT, 1, false },  /* bin 8, 16, 32 */
    [0x05] = { WIRE_IS_TEXT, 2, false },
    [0x06] = { WIRE_IS_TEXT, 4, false },
    [0x07] = { .is_refused = true }, /* ext 8, 16, 32 */
    [0x08] = { .is_refused = true },
    [0x09] = { .is_refused = true },
    [0x0a] = { WIRE_IS_OTHER, 4, false }, /* float 32, 64 */
    [0x0b] = { WIRE_IS_OTHER, 8, false },
    [0x0c] = { WIRE_IS_UNSIGNED, 1, false }, /* uint 8 to 64 */
    [0x0d] = { WIRE_IS_UNSIGNED, 2, false },
    [0x0e] = { WIRE_IS_UNSIGNED, 4, false },
    [0x0f] = { WIRE_IS_UNSIGNED, 8, false },
    [0x10] = { WIRE_IS_SIGNED, 1, false }, /* int 8 to 64 */
    [0x11] = { WIRE_IS_SIGNED, 2, false },
    [0x12] = { WIRE_IS_SIGNED, 4, false },
    [0x13] = { WIRE_IS_SIGNED, 8, false },
    [0x14] = { .is_refused = true }, /* fixext 1 to 16 */
    [0x15] = { .is_refused = true },
    [0x16] = { .is_refused = true },
    [0x17] = { .is_refused = true },
    [0x18] = { .is_refused = true },
    [0x19] = { WIRE_IS_TEXT, 1, false }, /* str 8, 16, 32 */
    [0x1a] = { WIRE_IS_TEXT, 2, false },
    [0x1b] = { WIRE_IS_TEXT, 4, false },
    [0x1c] = { WIRE_IS_LIST, 2, false }, /* array 16, 32 */
    [0x1d] = { WIRE_IS_LIST, 4, false },
    [0x1e] = { WIRE_IS_MAP, 2, false }, /* map 16, 32 */
    [0x1f] = { WIRE_IS_MAP, 4, false },
};

static bool refuse(struct wire_cursor *c, const char *why)
{
    c->why = why;
    return false;
}

static uint64_t big_endian(const uint8_t *data, size_t width)
{
    uint64_t number = 0;

    for (size_t i = 0; i < width; i++)
        number = number << 8 | data[i];
    return number;
}

/* Of 1, 2, 4 or 8 bytes in two's complement. */
static uint64_t sign_extend(uint64_t number, size_t width)
{
    uint64_t sign;

    assert(width > 0 && width <= sizeof number);
    sign = UINT64_C(1) << (8 * width - 1);
    return (number ^ sign) - sign;
}

/* Shape and number of the value at c->at, which goes behind them. */
static bool read_head(struct wire_cursor *c, struct wire_value *v)
{
    uint8_t first = c->data[c->at++];
    const struct head *head;

    if (first < 0x80) {
        *v = (struct wire_value){ WIRE_IS_UNSIGNED, first, NULL };
    } else if (first >= 0xe0) {
        *v = (struct wire_value){ WIRE_IS_SIGNED, sign_extend(first, 1), NULL };
    } else if (first < 0x90) {
        *v = (struct wire_value){ WIRE_IS_MAP, first & 0x0f, NULL };
    } else if (first < 0xa0) {
        *v = (struct wire_value){ WIRE_IS_LIST, first & 0x0f, NULL };
    } else if (first < 0xc0) {
        *v = (struct wire_value){ WIRE_IS_TEXT, first & 0x1f, NULL };
    } else {
        head = &heads[first - 0xc0];
        if (head->is_refused)
            return refuse(c, "a type that no message has");
        if (head->width > c->size - c->at)
            return refuse(c, "cut off in a number");
        v->shape = (enum wire_shape)head->shape;
        v->number = big_endian(c->data + c->at, head->width);
        v->data = NULL;
        c->at += head->width;
        if (head->shape == WIRE_IS_SIGNED)
            v->number = sign_extend(v->number, head->width);
    }
    return true;
}

static bool enter(struct wire_cursor *c, struct wire_value *v)
{
    if (v->number > LIMIT_BATCH)
        return refuse(c, "a list of too many elements");
    if (v->shape == WIRE_IS_MAP)
        v->number *= 2;
    if (v->number > c->size - c->at)
        return refuse(c, "a list longer than the message");
    if (c->depth >= LIMIT_MESSAGE_DEPTH)
        return refuse(c, "nested too deep");
    return true;
}

bool wire_cursor_next(struct wire_cursor *c, struct wire_value *ret_value)
{
    if (c->at >= c->size)
        return refuse(c, "cut off before a value");
    if (++c->nodes > LIMIT_MESSAGE_NODES)
        return refuse(c, "too many values");
    if (!read_head(c, ret_value))
        return false;
    if (ret_value->shape == WIRE_IS_LIST || ret_value->shape == WIRE_IS_MAP)
        return enter(c, ret_value);
    if (ret_value->shape != WIRE_IS_TEXT)
        return true;
    if (ret_value->number > c->size - c->at)
        return refuse(c, "a text longer than the message");
    ret_value->data = (const char *)c->data + c->at;
    c->at += (size_t)ret_value->number;
    return true;
}

bool wire_cursor_skip(struct wire_cursor *c, const struct wire_value *value)
{
    uint64_t left[LIMIT_MESSAGE_DEPTH + 1] = { 0 }; /* to come, by depth */
    size_t outside = c->depth;
    struct wire_value v = *value;

    for (;;) {
        if (v.shape == WIRE_IS_LIST || v.shape == WIRE_IS_MAP)
            left[++c->depth] = v.number;
        while (c->depth > outside && left[c->depth] == 0)
            c->depth--;
        if (c->depth == outside)
            return true;
        left[c->depth]--;
        if (!wire_cursor_next(c, &v))
            return false;
    }
}

struct status wire_cursor_check(const void *data, size_t size)
{
    struct wire_cursor c = { .data = data, .size = size };
    struct wire_value v;

    if (wire_cursor_next(&c, &v) && wire_cursor_skip(&c, &v) && c.at != size)
        c.why = "bytes behind the end";
    if (c.why != NULL)
        return FAIL(STATUS_CORRUPT, "byte %zu of %zu: %s", c.at, size, c.why);
    return SUCCESS;
}
