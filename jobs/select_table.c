#include "jobs/select_table.h"

#include <string.h>

#include "common/macros.h"

/* Members of a sample; the place stands in front of them. */
static const char *const columns[] = {
    "id",   "line",  "reason", "cluster", "jsd", "ifd",
    "cost", "score", "pair",   "of",      "why",
};

struct status select_table_begin(struct buf *table)
{
    TRY_PLAIN(buf_add_text(table, "place"));
    for (size_t i = 0; i < COUNT_OF(columns); i++)
        TRY_PLAIN(buf_print(table, ",%s", columns[i]));
    return buf_add_text(table, "\n");
}

/* In quotes, those in it twice. */
MUST_CHECK static struct status add_text(struct buf *table, const char *text)
{
    TRY_PLAIN(buf_add_text(table, "\""));
    for (; *text != '\0'; text++)
        TRY_PLAIN(
            buf_add(table, *text == '"' ? "\"\"" : text, *text == '"' ? 2 : 1));
    return buf_add_text(table, "\"");
}

/* Two concepts. */
MUST_CHECK static struct status add_pair(struct buf *table, const json_t *pair)
{
    const char *a = json_string_value(json_array_get(pair, 0));
    const char *b = json_string_value(json_array_get(pair, 1));
    AUTO(buf_release) struct buf both;

    buf_init(&both, SIZE_MAX);
    TRY_PLAIN(
        buf_print(&both, "%s / %s", a == NULL ? "" : a, b == NULL ? "" : b));
    return add_text(table, both.data);
}

MUST_CHECK static struct status add_value(struct buf *table,
                                          const json_t *value)
{
    if (json_is_integer(value))
        return buf_print(table, "%lld", (long long)json_integer_value(value));
    if (json_is_real(value))
        return buf_print(table, "%.17g", json_real_value(value));
    if (json_is_array(value))
        return add_pair(table, value);
    return json_is_string(value) ? add_text(table, json_string_value(value))
                                 : SUCCESS;
}

struct status select_table_add(struct buf *table, const json_t *sample,
                               size_t place)
{
    if (place > 0)
        TRY_PLAIN(buf_print(table, "%zu", place));
    for (size_t i = 0; i < COUNT_OF(columns); i++) {
        TRY_PLAIN(buf_add_text(table, ","));
        TRY_PLAIN(add_value(table, json_object_get(sample, columns[i])));
    }
    return buf_add_text(table, "\n");
}
