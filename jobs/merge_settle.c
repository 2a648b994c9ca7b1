/* merge_settle.c -- the kind `merge_settle`: what all parts of a round of
 * counting come to. Nothing of the models is read but what tensors they
 * have. */
#include <stdlib.h>

#include "common/memory.h"
#include "jobs/job_kind.h"
#include "jobs/merge/merge_body.h"
#include "jobs/merge/merge_parts.h"
#include "jobs/merge_input.h"
#include "jobs/merge_statistics.h"

static const struct catalog_key counted_row[] = {
    { .name = "*", .type = KEY_MODEL, .help = "a merge_count" },
    { .name = NULL },
};

static const struct catalog_key keys[] = {
    { .name = "merge",
      .type = KEY_MAP,
      .required = true,
      .keys = merge_keys,
      .help = "the merge, as far as it matters to the round" },
    { .name = "counted",
      .type = KEY_LIST,
      .required = true,
      .keys = counted_row,
      .help = "all parts of the round, in order" },
    { .name = NULL },
};

/* All that was counted. */
struct parts {
    size_t count;
    char **bytes;
    struct merge_saved *saved;
};

static void parts_release(struct parts *p)
{
    for (size_t i = 0; i < p->count; i++)
        free(p->bytes[i]);
    free(p->bytes);
    free(p->saved);
}

MUST_CHECK static struct status read_parts(struct parts *p, const json_t *list,
                                           struct job_context *context)
{
    size_t count = json_array_size(list);

    if (count == 0 || count > MERGE_PARTS)
        return FAIL(STATUS_INVALID,
                    "merge_settle: %zu parts, 1 to %d are "
                    "settled",
                    count, MERGE_PARTS);
    p->bytes = xcalloc(count, sizeof *p->bytes);
    p->saved = xcalloc(count, sizeof *p->saved);
    for (size_t i = 0; i < count; i++) {
        size_t size = 0;

        if (context->cancelled(context->self))
            return FAIL(STATUS_CANCELLED, "cancelled while reading counts");
        TRY(merge_statistics_read(json_array_get(list, i), context,
                                  &p->bytes[i], &size),
            "part %zu", i + 1);
        p->saved[p->count++] = (struct merge_saved){ p->bytes[i], size };
    }
    return SUCCESS;
}

static bool is_nothing(void *self, const char *name)
{
    (void)self;
    (void)name;
    return false;
}

static void merge_release(struct merge **m)
{
    merge_free(*m);
}

static struct status run(const json_t *params, struct job_context *context,
                         json_t **ret_result)
{
    AUTO(merge_input_release) struct merge_input in = { .base = NULL };
    AUTO(merge_release) struct merge *m = NULL;
    AUTO(parts_release) struct parts parts = { .count = 0 };
    AUTO(buf_release) struct buf settled;
    struct merge_config config;
    json_t *merge;

    buf_init(&settled, MERGE_COUNTED);
    TRY(json_member_object(params, "merge", &merge), "merge_settle");
    TRY_PLAIN(merge_config_read(merge, &config));
    TRY_PLAIN(read_parts(&parts, json_object_get(params, "counted"), context));
    TRY_PLAIN(merge_input_open_some(&in, &config, is_nothing, NULL, context));
    TRY_PLAIN(merge_new(&config, 1, &in.inputs, &m));
    TRY_PLAIN(merge_settle_parts(m, parts.saved, parts.count, &settled));
    return merge_statistics_write(&settled, context, ret_result);
}

extern const struct job_kind job_merge_settle;
const struct job_kind job_merge_settle = {
    .catalog = { .name = "merge_settle",
                 .summary = "adds up what merge_count has counted; made by "
                            "`statistics` of a merge",
                 .sort = STAGE_ARTIFACT,
                 .keys = keys },
    .run = run,
};
