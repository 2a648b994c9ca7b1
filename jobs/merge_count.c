/* merge_count.c -- the kind `merge_count`: one part of one round of what a
 * merge has to know of the whole model. Only the tensors of the part are
 * read. */
#include <stdlib.h>

#include "common/memory.h"
#include "jobs/job_kind.h"
#include "jobs/merge/merge_body.h"
#include "jobs/merge/merge_parts.h"
#include "jobs/merge_input.h"
#include "jobs/merge_statistics.h"

static const struct catalog_key keys[] = {
    { .name = "merge",
      .type = KEY_MAP,
      .required = true,
      .keys = merge_keys,
      .help = "the merge, as far as it matters to the round" },
    { .name = "part",
      .type = KEY_INTEGER,
      .required = true,
      .least = 0,
      .most = MERGE_PARTS - 1,
      .help = "which part of the elements, from 0" },
    { .name = "parts",
      .type = KEY_INTEGER,
      .required = true,
      .least = 1,
      .most = MERGE_PARTS,
      .help = "of so many" },
    { .name = "after",
      .type = KEY_MODEL,
      .help = "the merge_settle of the round before" },
    { .name = NULL },
};

/* A merge with its inputs. */
struct opened {
    struct merge_input in;
    struct merge *merge;
};

static void opened_release(struct opened *o)
{
    merge_free(o->merge);
    merge_input_release(&o->in);
}

struct part {
    struct opened headers; /* what there is, with nothing read */
    uint64_t part, parts;
};

static void part_release(struct part *p)
{
    opened_release(&p->headers);
}

static bool is_in_part(void *self, const char *name)
{
    const struct part *p = self;
    const struct tensor_set *layout = merge_layout(p->headers.merge);
    const struct tensor *t = tensor_find(layout, name);

    return t != NULL &&
           merge_part_has(p->headers.merge, (size_t)(t - layout->items),
                          p->part, p->parts);
}

static bool is_nothing(void *self, const char *name)
{
    (void)self;
    (void)name;
    return false;
}

MUST_CHECK static struct status open_some(
    struct opened *o, const struct merge_config *config,
    bool (*wanted)(void *self, const char *name), void *self,
    struct job_context *context)
{
    TRY_PLAIN(merge_input_open_some(&o->in, config, wanted, self, context));
    return merge_new(config, 1, &o->in.inputs, &o->merge);
}

MUST_CHECK static struct status count(const struct part *part,
                                      const struct merge_config *config,
                                      struct merge_saved after,
                                      struct job_context *context,
                                      struct buf *ret_counted)
{
    AUTO(opened_release) struct opened o = { .merge = NULL };
    struct part *chooser = (struct part *)(uintptr_t)part;
    const struct merge_runtime runtime = { .self = context->self,
                                           .cancelled = context->cancelled,
                                           .progress = context->progress };
    struct status s;

    TRY_PLAIN(open_some(&o, config, is_in_part, chooser, context));
    s = merge_count_part(o.merge, &runtime, after, part->part, part->parts,
                         ret_counted);
    context->facts.bytes_read += merge_counts_of(o.merge).bytes_read;
    return s;
}

static struct status run(const json_t *params, struct job_context *context,
                         json_t **ret_result)
{
    AUTO(part_release) struct part part = { .part = 0 };
    AUTO(free_pointer) char *after = NULL;
    AUTO(buf_release) struct buf counted;
    const json_t *job = json_object_get(params, "after");
    struct merge_config config;
    json_t *merge;
    size_t size = 0;

    buf_init(&counted, MERGE_COUNTED);
    part.part = (uint64_t)json_int_or(params, "part", 0);
    part.parts = (uint64_t)json_int_or(params, "parts", 1);
    if (part.part >= part.parts)
        return FAIL(STATUS_INVALID, "there is no such part, they count from 0");
    TRY(json_member_object(params, "merge", &merge), "merge_count");
    TRY_PLAIN(merge_config_read(merge, &config));
    if (job != NULL)
        TRY_PLAIN(merge_statistics_read(job, context, &after, &size));
    TRY_PLAIN(open_some(&part.headers, &config, is_nothing, NULL, context));
    TRY_PLAIN(count(&part, &config, (struct merge_saved){ after, size },
                    context, &counted));
    return merge_statistics_write(&counted, context, ret_result);
}

extern const struct job_kind job_merge_count;
const struct job_kind job_merge_count = {
    .catalog = { .name = "merge_count",
                 .summary = "counts a part of a model for a merge; made by "
                            "`statistics` of a merge",
                 .sort = STAGE_ARTIFACT,
                 .keys = keys },
    .run = run,
};
