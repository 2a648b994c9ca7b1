#include "cli/outputs.h"

#include <stdlib.h>
#include <string.h>

#include "common/memory.h"

enum { MOST_KEPT = 1000 };

MUST_CHECK static struct status read_keep(const json_t *outputs,
                                          size_t *ret_count)
{
    const char *keep = json_text_or(outputs, "keep", "none");
    int64_t count = json_int_or(outputs, "count", 0);

    *ret_count = 0;
    if (strcmp(keep, "none") == 0)
        return SUCCESS;
    if (strcmp(keep, "best") == 0)
        count = 1;
    else if (strcmp(keep, "all") == 0)
        count = MOST_KEPT;
    else if (strcmp(keep, "top") != 0)
        return FAIL(STATUS_INVALID,
                    "outputs.keep is none, best, top N or "
                    "all, not \"%s\"",
                    keep);
    if (count < 1 || count > MOST_KEPT)
        return FAIL(STATUS_INVALID,
                    "outputs.keep: 1 to %d models are kept, "
                    "not %lld",
                    (int)MOST_KEPT, (long long)count);
    *ret_count = (size_t)count;
    return SUCCESS;
}

/* `to` with "${sweep}" and "${rank}" filled in; the caller frees. */
static char *fill_in(const char *to, const char *sweep, size_t rank)
{
    static const char sweep_word[] = "${sweep}";
    static const char rank_word[] = "${rank}";
    char *text = xstrdup("");

    while (*to != '\0') {
        char *longer = NULL;

        if (strncmp(to, sweep_word, sizeof sweep_word - 1) == 0) {
            longer = xasprintf("%s%s", text, sweep);
            to += sizeof sweep_word - 1;
        } else if (strncmp(to, rank_word, sizeof rank_word - 1) == 0) {
            longer = xasprintf("%s%zu", text, rank);
            to += sizeof rank_word - 1;
        } else {
            longer = xasprintf("%s%c", text, *to++);
        }
        free(text);
        text = longer;
    }
    return text;
}

static char *directory_of(const char *to, const char *name, size_t rank,
                          size_t count)
{
    AUTO(free_pointer) char *filled = NULL;

    if (to == NULL && count == 1)
        return xasprintf("%s-best", name);
    if (to == NULL)
        return xasprintf("%s-top-%zu", name, rank);
    if (strncmp(to, "file://", 7) == 0)
        to += 7;
    filled = fill_in(to, name, rank);
    if (count == 1 || strstr(to, "${rank}") != NULL)
        return xstrdup(filled);
    return xasprintf("%s/%zu", filled, rank);
}

struct status outputs_read(const json_t *document, struct outputs *ret_outputs)
{
    const json_t *outputs = json_object_get(document, "outputs");
    const char *to = json_text_or(outputs, "to", NULL);
    const char *name = json_text_or(document, "name", "sweep");
    struct outputs o = { .count = 0 };

    TRY_PLAIN(read_keep(outputs, &o.count));
    if (o.count > 0 && to != NULL && strstr(to, "://") != NULL &&
        strncmp(to, "file://", 7) != 0)
        return FAIL(STATUS_INVALID,
                    "outputs.to: `sinter run` writes to a "
                    "directory of this machine, not to %s",
                    to);
    o.shard_bytes = json_int_or(outputs, "shard_size", 0);
    o.directories = xcalloc(o.count + 1, sizeof *o.directories);
    for (size_t i = 0; i < o.count; i++)
        o.directories[i] = directory_of(to, name, i + 1, o.count);
    *ret_outputs = o;
    return SUCCESS;
}

void outputs_release(struct outputs *o)
{
    for (size_t i = 0; i < o->count; i++)
        free(o->directories[i]);
    free(o->directories);
    o->directories = NULL;
    o->count = 0;
}
