#include "common/wire_guard.h"

#include "common/limits.h"

#include <stdbool.h>
#include <stdint.h>

/* How a value begins. */
struct head {
    uint8_t width;   /* bytes of the big-endian number behind the first byte */
    uint8_t values;  /* that follow for each of that number: array 1, map 2 */
    bool is_bytes;   /* so many bytes follow */
    bool is_refused; /* reserved, or an extension type */
};

/* First bytes 0xc0 to 0xdf; all others hold their number themselves. */
static const struct head heads[32] = {
    [0x00] = { 0 },                   /* nil */
    [0x01] = { .is_refused = true },  /* never used */
    [0x02] = { 0 },                   /* false */
    [0x03] = { 0 },                   /* true */
    [0x04] = { 1, .is_bytes = true }, /* bin 8, 16, 32 */
    [0x05] = { 2, .is_bytes = true },
    [0x06] = { 4, .is_bytes = true },
    [0x07] = { .is_refused = true }, /* ext 8, 16, 32 */
    [0x08] = { .is_refused = true },
    [0x09] = { .is_refused = true },
    [0x0a] = { 4, .values = 0 }, /* float 32, 64 */
    [0x0b] = { 8, .values = 0 },
    [0x0c] = { 1, .values = 0 }, /* uint 8 to 64 */
    [0x0d] = { 2, .values = 0 },
    [0x0e] = { 4, .values = 0 },
    [0x0f] = { 8, .values = 0 },
    [0x10] = { 1, .values = 0 }, /* int 8 to 64 */
    [0x11] = { 2, .values = 0 },
    [0x12] = { 4, .values = 0 },
    [0x13] = { 8, .values = 0 },
    [0x14] = { .is_refused = true }, /* fixext 1 to 16 */
    [0x15] = { .is_refused = true },
    [0x16] = { .is_refused = true },
    [0x17] = { .is_refused = true },
    [0x18] = { .is_refused = true },
    [0x19] = { 1, .is_bytes = true }, /* str 8, 16, 32 */
    [0x1a] = { 2, .is_bytes = true },
    [0x1b] = { 4, .is_bytes = true },
    [0x1c] = { 2, .values = 1 }, /* array 16, 32 */
    [0x1d] = { 4, .values = 1 },
    [0x1e] = { 2, .values = 2 }, /* map 16, 32 */
    [0x1f] = { 4, .values = 2 },
};

struct guard {
    const uint8_t *data;
    size_t size;
    size_t at;
    size_t nodes;
    size_t depth;                       /* containers we are inside of */
    uint64_t left[LIMIT_MESSAGE_DEPTH]; /* values still to come in each */
};

MUST_CHECK static struct status corrupt(const struct guard *g, const char *why)
{
    return FAIL(STATUS_CORRUPT, "byte %zu of %zu: %s", g->at, g->size, why);
}

static uint64_t big_endian(const uint8_t *data, size_t width)
{
    uint64_t number = 0;

    for (size_t i = 0; i < width; i++)
        number = number << 8 | data[i];
    return number;
}

/* Read the head at g->at and go behind it. */
MUST_CHECK static struct status read_head(struct guard *g, struct head *head,
                                          uint64_t *number)
{
    uint8_t first = g->data[g->at];

    *number = 0;
    *head = (struct head){ 0 };
    if (first >= 0xc0 && first < 0xe0) {
        *head = heads[first - 0xc0];
    } else if (first >= 0xa0 && first < 0xe0) {
        *head = (struct head){ .is_bytes = true }; /* fixstr */
        *number = first & 0x1f;
    } else if (first >= 0x80 && first < 0xe0) { /* fixmap, fixarray */
        *head = (struct head){ .values = first < 0x90 ? 2 : 1 };
        *number = first & 0x0f;
    }
    if (head->is_refused)
        return corrupt(g, "a type that no message has");
    if (head->width > g->size - g->at - 1)
        return corrupt(g, "cut off in a number");
    if (head->width > 0)
        *number = big_endian(g->data + g->at + 1, head->width);
    g->at += 1 + (size_t)head->width;
    return SUCCESS;
}

MUST_CHECK static struct status enter(struct guard *g, uint64_t count,
                                      unsigned values)
{
    if (count > LIMIT_BATCH)
        return corrupt(g, "a list of too many elements");
    if (count * values > g->size - g->at)
        return corrupt(g, "a list longer than the message");
    if (g->depth == LIMIT_MESSAGE_DEPTH)
        return corrupt(g, "nested too deep");
    g->left[g->depth++] = count * values;
    return SUCCESS;
}

/* One value, without what is inside of it. */
MUST_CHECK static struct status step(struct guard *g)
{
    struct head head;
    uint64_t number;

    if (g->at >= g->size)
        return corrupt(g, "cut off before a value");
    if (++g->nodes > LIMIT_MESSAGE_NODES)
        return corrupt(g, "too many values");
    TRY_PLAIN(read_head(g, &head, &number));
    if (head.values > 0)
        return enter(g, number, head.values);
    if (!head.is_bytes)
        return SUCCESS;
    if (number > g->size - g->at)
        return corrupt(g, "a text longer than the message");
    g->at += (size_t)number;
    return SUCCESS;
}

struct status wire_guard(const void *data, size_t size)
{
    struct guard g = { .data = data, .size = size };

    TRY_PLAIN(step(&g));
    while (g.depth > 0) {
        if (g.left[g.depth - 1] == 0) {
            g.depth--;
            continue;
        }
        g.left[g.depth - 1]--;
        TRY_PLAIN(step(&g));
    }
    if (g.at != size)
        return corrupt(&g, "bytes behind the end");
    return SUCCESS;
}
