/* compiled_stages.c -- the jobs of one trial: parameters written from the
 * templates, keys, what waits for what, and which share their inputs. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/memory.h"
#include "sweep/compiled_parts.h"

/* Keys of jobs, each once. */
struct keys {
    struct digest *items;
    size_t count;
};

/* A stage as this trial needs it. */
struct resolved {
    bool done;
    const struct variant *variant;
    char *model;       /* what stands for it in a consumer's parameters */
    char *blanked;     /* of a lazy one: the same with places of "fuse" blank */
    struct keys needs; /* what a consumer waits for */
};

/* The trial itself, and the replicate that it is compared with. */
enum { OWN, TWIN, SIDES };

struct side {
    const char **texts;    /* canonical values by slot */
    const json_t **values; /* the same, borrowed */
    struct resolved *stages;
};

struct resolver {
    const struct compiled *c;
    struct side sides[SIDES]; /* TWIN: all NULL where nothing is compared */
    struct side *at;          /* whose stage is being written */
    bool twin_comes_first;
    struct stage_jobs *jobs;                /* NULL: only the model is wanted */
    const struct compiled_visitor *visitor; /* NULL: none */
    struct keys *collect; /* of the stage whose template is being written */
};

static void add_key(struct keys *k, const struct digest *key)
{
    for (size_t i = 0; i < k->count; i++) {
        if (digest_equal(&k->items[i], key))
            return;
    }
    k->items = xrealloc(k->items, (k->count + 1) * sizeof *k->items);
    k->items[k->count++] = *key;
}

/* The same values with another seed. */
MUST_CHECK static struct status open_twin(struct resolver *r,
                                          const json_t *values)
{
    const struct space *space = r->c->space;
    size_t names = space_name_count(space);
    uint64_t replicate =
        space_replicate_of(space, json_object_get(values, "seed"));
    struct side *own = &r->sides[OWN];
    struct side *side = &r->sides[TWIN];
    struct space_twin twin;

    if (replicate == space_replicates(space))
        return FAIL(STATUS_INVALID, "no replicate has the seed of this trial");
    twin = space_twin(space, replicate);
    *side = (struct side){
        .texts = xcalloc(names, sizeof(char *)),
        .values = xcalloc(names, sizeof(json_t *)),
        .stages = xcalloc(r->c->all_count, sizeof(struct resolved)),
    };
    memcpy(side->texts, own->texts, names * sizeof(char *));
    memcpy(side->values, own->values, names * sizeof(json_t *));
    side->texts[twin.slot] = twin.seed.text;
    side->values[twin.slot] = twin.seed.json;
    r->twin_comes_first = twin.comes_first;
    return SUCCESS;
}

/* Is to be closed even where it fails. */
MUST_CHECK static struct status open_resolver(struct resolver *r,
                                              const struct compiled *c,
                                              const json_t *values,
                                              struct stage_jobs *jobs)
{
    size_t names = space_name_count(c->space);
    struct side *own = &r->sides[OWN];

    *r = (struct resolver){
        .c = c,
        .jobs = jobs,
        .sides[OWN] = { .texts = xcalloc(names, sizeof(char *)),
                        .values = xcalloc(names, sizeof(json_t *)),
                        .stages =
                            xcalloc(c->all_count, sizeof(struct resolved)) },
    };
    r->at = own;
    for (size_t i = 0; i < names; i++) {
        own->values[i] = json_object_get(values, space_name(c->space, i));
        if (own->values[i] != NULL && !json_is_null(own->values[i]))
            own->texts[i] = json_canonical(own->values[i]);
    }
    return c->has_pairs ? open_twin(r, values) : SUCCESS;
}

static void close_side(const struct resolver *r, struct side *side)
{
    for (size_t i = 0; side->stages != NULL && i < r->c->all_count; i++) {
        free(side->stages[i].model);
        free(side->stages[i].blanked);
        free(side->stages[i].needs.items);
    }
    free(side->stages);
    free(side->texts);
    free(side->values);
}

static void close_resolver(struct resolver *r)
{
    for (size_t i = 0; i < space_name_count(r->c->space); i++)
        free_pointer(&r->sides[OWN].texts[i]);
    for (size_t i = 0; i < SIDES; i++)
        close_side(r, &r->sides[i]);
}

/* Where the stage of a reference stands, seen from `r->at`. */
static struct side *side_of(struct resolver *r, struct template_ref ref)
{
    bool is_first = ref.whose == WHOSE_LOWER;

    if (ref.whose == WHOSE_OWN)
        return r->at;
    return &r->sides[is_first == r->twin_comes_first ? TWIN : OWN];
}

static struct resolved *resolved_of(struct resolver *r, struct template_ref ref)
{
    return &side_of(r, ref)->stages[ref.stage];
}

static bool fits(const struct resolver *r, const struct variant *v)
{
    for (size_t i = 0; i < v->condition_count; i++) {
        const char *text = r->at->texts[v->conditions[i].slot];

        if (text == NULL || strcmp(text, v->conditions[i].text) != 0)
            return false;
    }
    return true;
}

MUST_CHECK static struct status find_variant(const struct resolver *r,
                                             const struct stage *s,
                                             const struct variant **ret)
{
    for (size_t i = 0; i < s->variant_count; i++) {
        if (fits(r, &s->variants[i])) {
            *ret = &s->variants[i];
            return SUCCESS;
        }
    }
    return FAIL(STATUS_INVALID, "stage %s has no variant for these values",
                s->name);
}

static struct status write_stage(void *self, struct template_ref ref,
                                 struct buf *out);

/* Stages it names have been resolved. */
static struct status write_blanked(void *self, struct template_ref ref,
                                   struct buf *out)
{
    const struct resolved *done = resolved_of(self, ref);

    return buf_add_text(out,
                        done->blanked != NULL ? done->blanked : done->model);
}

/* The text of a variant: exact, with the places of "fuse" blank, or with
 * those blank in the lazy stages it names as well. */
enum depth { EXACT, OWN_BLANK, ALL_BLANK };

MUST_CHECK static struct status write_variant(struct resolver *r,
                                              const struct variant *v,
                                              enum depth depth, char **ret_text)
{
    const struct template_values values = {
        .texts = r->at->texts,
        .values = r->at->values,
        .stage = depth == ALL_BLANK ? write_blanked : write_stage,
        .self = r,
        .blanked = depth != EXACT,
    };
    struct buf out;
    struct status st;

    buf_init(&out, LIMIT_PARAMS);
    st = template_write(v->params, &values, &out);
    if (status_failed(&st)) {
        buf_release(&out);
        return st;
    }
    *ret_text = buf_take(&out);
    return SUCCESS;
}

/* The stage's parameters, and the keys of the jobs they name. */
MUST_CHECK static struct status write_params(struct resolver *r, size_t stage,
                                             struct keys *ret_needs,
                                             char **ret_params)
{
    const struct stage *s = &r->c->stages[stage];
    struct resolved *out = &r->at->stages[stage];
    struct keys *outer = r->collect;
    struct status st;

    TRY_PLAIN(find_variant(r, s, &out->variant));
    r->collect = ret_needs;
    st = write_variant(r, out->variant, EXACT, ret_params);
    r->collect = outer;
    TRY(st, "parameters of stage %s", s->name);
    return SUCCESS;
}

/* ---- families: see stage_job ------------------------------------------- */

__extension__ typedef unsigned __int128 wide;

static uint64_t fold(uint64_t a, uint64_t b)
{
    wide product = (wide)a * b;

    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* Good enough for a hint; the hashes are kept nowhere. */
static uint64_t hash_bytes(uint64_t hash, const char *bytes, size_t size)
{
    static const uint64_t odd = UINT64_C(0x9E3779B97F4A7C15);
    uint64_t words[2];

    hash = fold(hash ^ size, odd);
    for (; size >= sizeof words; size -= sizeof words) {
        memcpy(words, bytes, sizeof words);
        hash = fold(hash ^ words[0], odd ^ words[1]);
        bytes += sizeof words;
    }
    memset(words, 0, sizeof words);
    memcpy(words, bytes, size);
    return fold(hash ^ words[0], odd ^ words[1]);
}

uint64_t compiled_family(const char *kind, const char *text, size_t size)
{
    uint64_t hash = hash_bytes(1, kind, strlen(kind));

    return hash_bytes(hash, text, size) | 1; /* 0 says: none */
}

static uint64_t hash_of(const char *kind, const char *text)
{
    return compiled_family(kind, text, strlen(text));
}

static char *blanked_text(struct resolver *r, size_t stage, enum depth depth);

/* Of a job: the same for all kinds that read the same lazy models; or for
 * those of its own kind that differ where its stage says. */
static uint64_t family_of(struct resolver *r, size_t stage, const char *params)
{
    const struct variant *v = r->at->stages[stage].variant;
    uint64_t family = 0;

    for (size_t i = 0; i < template_stage_count(v->params); i++) {
        struct template_ref ref = template_stage(v->params, i);
        const char *blanked = resolved_of(r, ref)->blanked;

        if (blanked != NULL)
            family =
                family * 31 + hash_of(r->c->stages[ref.stage].kind, blanked);
    }
    if (v->fused) {
        AUTO(free_pointer) char *text = blanked_text(r, stage, ALL_BLANK);

        family = family * 31 + hash_of(r->c->stages[stage].kind,
                                       text != NULL ? text : params);
    }
    return family;
}

static char *recipe_text(const char *kind, const char *params)
{
    return xasprintf("{\"$recipe\":{\"kind\":\"%s\",\"params\":%s}}", kind,
                     params);
}

/* NULL if it grows too big: a family of its own, then. The caller frees. */
static char *blanked_text(struct resolver *r, size_t stage, enum depth depth)
{
    struct keys none = { 0 };
    struct keys *outer = r->collect;
    char *text = NULL;
    struct status st;

    r->collect = &none;
    st = write_variant(r, r->at->stages[stage].variant, depth, &text);
    r->collect = outer;
    free(none.items);
    return status_failed(&st) ? NULL : text;
}

static void tell_visitor(struct resolver *r, size_t stage, const char *params)
{
    const struct stage *s = &r->c->stages[stage];
    uint64_t family = 0;

    if (r->visitor == NULL || r->at != &r->sides[OWN])
        return;
    if (s->sort == STAGE_LAZY) {
        AUTO(free_pointer) char *text = blanked_text(r, stage, OWN_BLANK);

        family = hash_of(s->kind, text != NULL ? text : params);
    }
    r->visitor->seen(r->visitor->self, stage, params, family);
}

struct stage_job compiled_job(const struct compiled *c, size_t stage)
{
    const struct stage *s = &c->stages[stage];

    return (struct stage_job){
        .stage = s->name,
        .kind = s->kind,
        .sort = s->sort,
        .index = (uint32_t)stage,
        .memory_bytes = s->memory_bytes,
        .cpus = s->cpus,
        .labels = s->labels,
        .stall_ms = s->stall_ms,
        .limit_ms = s->limit_ms,
    };
}

/* Two replicates share what does not depend on the seed: it is listed once. */
static bool is_listed(const struct resolver *r, size_t stage,
                      const struct digest *key)
{
    if (!r->c->has_pairs || r->c->stages[stage].sort != STAGE_ARTIFACT)
        return false;
    for (size_t i = 0; i < r->jobs->count; i++) {
        if (digest_equal(&r->jobs->items[i].key, key))
            return true;
    }
    return false;
}

/* Takes `params` and the items of `needs`. */
static void add_job(struct resolver *r, size_t stage, const struct digest *key,
                    char *params, struct keys needs)
{
    uint64_t family = family_of(r, stage, params);
    struct stage_jobs *jobs = r->jobs;
    struct stage_job *job;

    if (jobs == NULL || is_listed(r, stage, key)) {
        free(params);
        free(needs.items);
        return;
    }
    jobs->items =
        xrealloc(jobs->items, (jobs->count + 1) * sizeof *jobs->items);
    job = &jobs->items[jobs->count++];
    *job = compiled_job(r->c, stage);
    job->key = *key;
    job->params = params;
    job->params_size = strlen(params);
    job->inputs = needs.items;
    job->input_count = needs.count;
    job->family = family;
}

/* Takes `params` and `needs`. */
static void become_lazy(struct resolver *r, size_t stage, char *params,
                        struct keys needs)
{
    const char *kind = r->c->stages[stage].kind;
    struct resolved *out = &r->at->stages[stage];
    AUTO(free_pointer) char *blanked = blanked_text(r, stage, ALL_BLANK);

    out->model = recipe_text(kind, params);
    out->blanked = recipe_text(kind, blanked != NULL ? blanked : params);
    out->needs = needs;
    free(params);
}

/* Takes `params` and `needs`. */
static void become_job(struct resolver *r, size_t stage, char *params,
                       struct keys needs)
{
    struct digest key = compiled_key(r->c->stages[stage].kind, params);
    struct resolved *out = &r->at->stages[stage];
    char hex[DIGEST_TEXT];

    digest_to_text(&key, hex);
    out->model = xasprintf("{\"$job\":\"%s\"}", hex);
    add_key(&out->needs, &key);
    add_job(r, stage, &key, params, needs);
}

/* Once a trial; consumers find it in `r->at->stages`. Recursion ends because
 * the stages have no cycle. */
MUST_CHECK static struct status resolve(struct resolver *r, size_t stage)
{
    struct resolved *out = &r->at->stages[stage];
    struct keys needs = { 0 };
    char *params = NULL;
    struct status st;

    if (out->done)
        return SUCCESS;
    st = write_params(r, stage, &needs, &params);
    if (status_failed(&st)) {
        free(needs.items);
        return st;
    }
    assert(params != NULL);
    tell_visitor(r, stage, params);
    if (r->c->stages[stage].sort == STAGE_LAZY)
        become_lazy(r, stage, params, needs);
    else
        become_job(r, stage, params, needs);
    out->done = true;
    return SUCCESS;
}

MUST_CHECK static struct status resolve_ref(struct resolver *r,
                                            struct template_ref ref)
{
    struct side *outer = r->at;
    struct status st;

    r->at = side_of(r, ref);
    st = resolve(r, (size_t)ref.stage);
    r->at = outer;
    return st;
}

static struct status write_stage(void *self, struct template_ref ref,
                                 struct buf *out)
{
    struct resolver *r = self;
    const struct resolved *done = resolved_of(r, ref);

    TRY_PLAIN(resolve_ref(r, ref));
    for (size_t i = 0; i < done->needs.count; i++)
        add_key(r->collect, &done->needs.items[i]);
    return buf_add_text(out, done->model);
}

/* What evaluators need of one side. */
MUST_CHECK static struct status resolve_side(struct resolver *r,
                                             const struct side *side)
{
    const struct compiled *c = r->c;

    for (size_t i = c->stage_count; i < c->all_count; i++) {
        const struct variant *v = NULL;

        TRY_PLAIN(find_variant(r, &c->stages[i], &v));
        for (size_t j = 0; j < template_stage_count(v->params); j++) {
            struct template_ref ref = template_stage(v->params, j);

            if (side_of(r, ref) == side)
                TRY_PLAIN(resolve_ref(r, ref));
        }
    }
    return SUCCESS;
}

/* The trial's own stages come first. */
MUST_CHECK static struct status resolve_all(struct resolver *r)
{
    const struct compiled *c = r->c;

    if (c->stage_count > 0 && c->stages[c->stage_count - 1].sort != STAGE_LAZY)
        TRY_PLAIN(resolve(r, c->stage_count - 1));
    TRY_PLAIN(resolve_side(r, &r->sides[OWN]));
    if (c->has_pairs)
        TRY_PLAIN(resolve_side(r, &r->sides[TWIN]));
    for (size_t i = c->stage_count; i < c->all_count; i++)
        TRY_PLAIN(resolve(r, i));
    return SUCCESS;
}

struct status compiled_stages(const struct compiled *c, const json_t *values,
                              struct stage_jobs *ret_jobs)
{
    struct stage_jobs jobs = { 0 };
    struct resolver r;
    struct status st;

    st = open_resolver(&r, c, values, &jobs);
    if (!status_failed(&st))
        st = resolve_all(&r);
    close_resolver(&r);
    if (status_failed(&st)) {
        stage_jobs_release(&jobs);
        return st;
    }
    *ret_jobs = jobs;
    return SUCCESS;
}

struct status compiled_visit(const struct compiled *c, const json_t *values,
                             const struct compiled_visitor *visitor)
{
    struct resolver r;
    struct status st;

    st = open_resolver(&r, c, values, NULL);
    r.visitor = visitor;
    if (!status_failed(&st))
        st = resolve_all(&r);
    close_resolver(&r);
    return st;
}

void stage_jobs_release(struct stage_jobs *jobs)
{
    for (size_t i = 0; i < jobs->count; i++) {
        free(jobs->items[i].params);
        free(jobs->items[i].inputs);
    }
    free(jobs->items);
    *jobs = (struct stage_jobs){ 0 };
}

struct status compiled_model(const struct compiled *c, const json_t *values,
                             json_t **ret_model)
{
    struct resolver r;
    struct status st;

    if (c->stage_count == 0)
        return FAIL(STATUS_INVALID, "%s has no stage that makes a model",
                    c->name);
    st = open_resolver(&r, c, values, NULL);
    if (!status_failed(&st))
        st = resolve(&r, c->stage_count - 1);
    if (!status_failed(&st)) {
        const char *text = r.sides[OWN].stages[c->stage_count - 1].model;

        st = json_parse(text, strlen(text), "model", ret_model);
    }
    close_resolver(&r);
    return st;
}
