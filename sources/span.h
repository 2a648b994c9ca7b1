/* span.h -- sets of byte ranges of a file. */
#ifndef SINTER_SOURCES_SPAN_H
#define SINTER_SOURCES_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/http.h"
#include "common/json.h"

/* In order, none empty, none touching the next. */
struct spans {
    struct http_range *items;
    size_t count, room;
};

void spans_release(struct spans *s);
void spans_add(struct spans *s, uint64_t first, uint64_t size);
uint64_t spans_bytes(const struct spans *s);
/* Those at most `gap` bytes apart become one. */
void spans_close(struct spans *s, uint64_t gap);
/* What of `all` is not in `have`. */
struct spans spans_without(const struct spans *all, const struct spans *have);

/* [[first, size] ...]; false if `json` is not such a list. */
json_t *spans_json(const struct spans *s);
bool spans_read(struct spans *ret_spans, const json_t *json);

#endif
