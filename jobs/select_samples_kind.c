/* select_samples_kind.c -- the kind `select_samples`: what is to be known of
 * a pool's texts whatever model they are for: which occur again, which cannot
 * be selected, and what each is about. */
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/memory.h"
#include "jobs/job_kind.h"
#include "jobs/select/concepts.h"
#include "jobs/select_keys.h"

enum { EXCERPT = 120 }; /* bytes of an instruction, for people */

static const struct catalog_key keys[] = {
    SELECT_POOL_KEYS,
    { .name = NULL },
};

/* Arrays with an entry for each sample, or that grow. */
struct pool {
    struct select_samples samples;
    struct concepts *concepts;
    uint32_t *kept;          /* [kept] */
    uint32_t *line, *same;   /* [count] */
    uint64_t *begin;         /* [kept + 1] concepts */
    uint32_t *numbers;       /* concepts of all */
    uint64_t *excerpt_begin; /* [kept + 1] */
    struct buf excerpts, names;
};

static void release(struct pool *p)
{
    select_samples_release(&p->samples);
    concepts_free(p->concepts);
    free(p->kept);
    free(p->line);
    free(p->same);
    free(p->begin);
    free(p->numbers);
    free(p->excerpt_begin);
    buf_release(&p->excerpts);
    buf_release(&p->names);
}

static void prepare(struct pool *p)
{
    const struct select_samples *s = &p->samples;

    p->concepts = concepts_new(&concept_stops_english);
    p->kept = xcalloc(s->kept_count + 1, sizeof(*p->kept));
    p->line = xcalloc(s->count + 1, sizeof(*p->line));
    p->same = xcalloc(s->count + 1, sizeof(*p->same));
    p->begin = xcalloc(s->kept_count + 1, sizeof(*p->begin));
    p->excerpt_begin = xcalloc(s->kept_count + 1, sizeof(*p->excerpt_begin));
    for (size_t i = 0; i < s->count; i++) {
        struct select_sample one = select_samples_get(s, i);

        p->line[i] = (uint32_t)one.line;
        p->same[i] = (uint32_t)one.same_as;
    }
    for (size_t i = 0; i < s->kept_count; i++)
        p->kept[i] = (uint32_t)s->kept[i];
}

static void add_concepts(struct pool *p, size_t place,
                         const struct select_sample *s)
{
    AUTO(free_pointer)
    char *text = xasprintf("%s %s %s", s->instruction.bytes, s->input.bytes,
                           s->output.bytes);
    AUTO(free_pointer) uint32_t *found = NULL;
    size_t count = concepts_of(p->concepts, text, strlen(text), &found);
    uint64_t at = p->begin[place];

    p->begin[place + 1] = at + count;
    p->numbers = xrealloc(p->numbers, (at + count + 1) * sizeof(*found));
    if (count > 0)
        memcpy(p->numbers + at, found, count * sizeof(*found));
}

/* Whole characters of UTF-8. */
static size_t excerpt_size(const struct data_span *text)
{
    size_t size = text->size;

    if (size <= EXCERPT)
        return size;
    for (size = EXCERPT;
         size > 0 && ((unsigned char)text->bytes[size] & 0xC0) == 0x80;)
        size--;
    return size;
}

MUST_CHECK static struct status look(struct pool *p,
                                     struct job_context *context)
{
    const struct select_samples *s = &p->samples;

    for (size_t i = 0; i < s->kept_count; i++) {
        struct select_sample one = select_samples_get(s, s->kept[i]);

        if (i % 256 == 0 && context->cancelled(context->self))
            return FAIL(STATUS_CANCELLED, "cancelled at sample %zu", i + 1);
        context->progress(context->self, i + 1, s->kept_count, "sample");
        add_concepts(p, i, &one);
        TRY_PLAIN(buf_add(&p->excerpts, one.instruction.bytes,
                          excerpt_size(&one.instruction)));
        p->excerpt_begin[i + 1] = p->excerpts.size;
    }
    for (size_t i = 0; i < concepts_count(p->concepts); i++) {
        const char *name = concepts_text(p->concepts, (uint32_t)i);

        TRY_PLAIN(buf_add(&p->names, name, strlen(name) + 1));
    }
    return SUCCESS;
}

/* What is no duplicate and cannot be selected all the same. */
static json_t *notes_of(const struct select_samples *s)
{
    json_t *invalid = json_array();

    for (size_t i = 0; i < s->count; i++) {
        struct select_sample one = select_samples_get(s, i);

        if (one.invalid != NULL && one.same_as == i)
            (void)json_array_append_new(
                invalid, json_pack("[Is]", (json_int_t)i, one.invalid));
    }
    return json_pack("{sI sI so}", "samples", (json_int_t)s->count, "kept",
                     (json_int_t)s->kept_count, "invalid", invalid);
}

MUST_CHECK static struct status store(const struct pool *p,
                                      struct job_context *context,
                                      char ret_artifact[DIGEST_TEXT])
{
    const struct select_samples *s = &p->samples;
    AUTO(json_release) json_t *notes = notes_of(s);
    struct select_store out = { .count = 0 };

    select_store_add(&out, "kept", DTYPE_U32, s->kept_count, 1, p->kept);
    select_store_add(&out, "line", DTYPE_U32, s->count, 1, p->line);
    select_store_add(&out, "same", DTYPE_U32, s->count, 1, p->same);
    select_store_add(&out, "begin", DTYPE_U64, s->kept_count + 1, 1, p->begin);
    select_store_add(&out, "concepts", DTYPE_U32,
                     (size_t)p->begin[s->kept_count], 1, p->numbers);
    select_store_add(&out, "names", DTYPE_U8, p->names.size, 1, p->names.data);
    select_store_add(&out, "excerpt_begin", DTYPE_U64, s->kept_count + 1, 1,
                     p->excerpt_begin);
    select_store_add(&out, "excerpts", DTYPE_U8, p->excerpts.size, 1,
                     p->excerpts.data);
    return select_store_put(&out, notes, context, ret_artifact);
}

static struct status run(const json_t *params, struct job_context *context,
                         json_t **ret_result)
{
    AUTO(release) struct pool p = { .concepts = NULL };
    char artifact[DIGEST_TEXT];

    buf_init(&p.excerpts, SIZE_MAX);
    buf_init(&p.names, SIZE_MAX);
    TRY(select_samples_open(json_object_get(params, "data"), context,
                            &p.samples),
        "select");
    prepare(&p);
    TRY(look(&p, context), "select");
    TRY(store(&p, context, artifact), "select");
    *ret_result = json_pack("{ss s{sI sI sI}}", "artifact", artifact, "metrics",
                            "samples", (json_int_t)p.samples.count, "kept",
                            (json_int_t)p.samples.kept_count, "concepts",
                            (json_int_t)concepts_count(p.concepts));
    return SUCCESS;
}

extern const struct job_kind job_select_samples;
const struct job_kind job_select_samples = {
    .catalog = { .name = "select_samples",
                 .summary = "reads the texts of a pool of samples; made by "
                            "`select`",
                 .sort = STAGE_ARTIFACT,
                 .keys = keys },
    .run = run,
};
