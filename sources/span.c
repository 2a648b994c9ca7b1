#include "sources/span.h"

#include <stdlib.h>
#include <string.h>

#include "common/limits.h"
#include "common/memory.h"

void spans_release(struct spans *s)
{
    free(s->items);
    *s = (struct spans){ NULL, 0, 0 };
}

static uint64_t end_of(const struct http_range *r)
{
    return r->first + r->size;
}

/* Replace items [from, to) by one. */
static void splice(struct spans *s, size_t from, size_t to,
                   struct http_range item)
{
    if (s->count == s->room) {
        s->room = s->room == 0 ? 16 : 2 * s->room;
        s->items = xrealloc(s->items, s->room * sizeof *s->items);
    }
    memmove(s->items + from + 1, s->items + to,
            (s->count - to) * sizeof *s->items);
    s->items[from] = item;
    s->count = s->count + 1 - (to - from);
}

void spans_add(struct spans *s, uint64_t first, uint64_t size)
{
    struct http_range item = { first, size };
    size_t from = s->count; /* most are added in order */
    size_t to = s->count;

    if (size == 0)
        return;
    while (from > 0 && end_of(&s->items[from - 1]) >= first)
        from--;
    while (to > from && s->items[to - 1].first > first + size)
        to--;
    if (to > from) {
        uint64_t end = end_of(&s->items[to - 1]);

        if (s->items[from].first < first)
            item.first = s->items[from].first;
        item.size = (end > first + size ? end : first + size) - item.first;
    }
    splice(s, from, to, item);
}

uint64_t spans_bytes(const struct spans *s)
{
    uint64_t bytes = 0;

    for (size_t i = 0; i < s->count; i++)
        bytes += s->items[i].size;
    return bytes;
}

void spans_close(struct spans *s, uint64_t gap)
{
    size_t kept = 0;

    for (size_t i = 1; i < s->count; i++) {
        struct http_range *last = &s->items[kept];

        if (s->items[i].first - end_of(last) <= gap)
            last->size = end_of(&s->items[i]) - last->first;
        else
            s->items[++kept] = s->items[i];
    }
    s->count = s->count > 0 ? kept + 1 : 0;
}

/* `have` is of use from the `*next`-th on. */
static void subtract_from(const struct http_range *item,
                          const struct spans *have, size_t *next,
                          struct spans *ret)
{
    uint64_t at = item->first;

    while (*next < have->count && end_of(&have->items[*next]) <= at)
        ++*next;
    for (size_t i = *next;
         i < have->count && have->items[i].first < end_of(item); i++) {
        if (have->items[i].first > at)
            spans_add(ret, at, have->items[i].first - at);
        at = end_of(&have->items[i]);
    }
    if (at < end_of(item))
        spans_add(ret, at, end_of(item) - at);
}

struct spans spans_without(const struct spans *all, const struct spans *have)
{
    struct spans left = { NULL, 0, 0 };
    size_t next = 0;

    for (size_t i = 0; i < all->count; i++)
        subtract_from(&all->items[i], have, &next, &left);
    return left;
}

json_t *spans_json(const struct spans *s)
{
    json_t *list = json_array();

    for (size_t i = 0; i < s->count; i++)
        (void)json_array_append_new(
            list, json_pack("[I, I]", (json_int_t)s->items[i].first,
                            (json_int_t)s->items[i].size));
    return list;
}

bool spans_read(struct spans *ret_spans, const json_t *json)
{
    const json_t *row;
    size_t i;

    if (!json_is_array(json) || json_array_size(json) > LIMIT_TENSORS)
        return false;
    json_array_foreach(json, i, row)
    {
        json_int_t first = json_integer_value(json_array_get(row, 0));
        json_int_t size = json_integer_value(json_array_get(row, 1));

        if (first < 0 || size <= 0 || first > INT64_MAX - size)
            return false;
        spans_add(ret_spans, (uint64_t)first, (uint64_t)size);
    }
    return true;
}
