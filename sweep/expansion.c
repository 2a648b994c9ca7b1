#include "sweep/expansion.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "sweep/expansion_parts.h"

enum { MOST_DESKS = 8 }; /* variants of a stage that keep their texts apart */

static const char job_head[] = "{\"$job\":\"";
static const char recipe_tail[] = "}}";

/* Where texts of a stage are written. The text of the last trial stays: a
 * text that is the same again has the key it had, and one that begins as all
 * did so far is hashed from there on. */
struct desk {
    struct text text, last;
    struct text model; /* of a job: what stands for it elsewhere */
    struct digest key;
    struct digest_stream *start; /* after the first `shared` bytes; NULL: of
                                    a lazy stage */
    size_t shared;
    bool is_used, is_shared; /* one text was seen, two */

    struct text blanked, last_blanked; /* of a lazy stage, or a fused job */
    uint64_t family;                   /* of `blanked` */
};

struct rendered_variant {
    const struct variant *variant;
    struct script exact, blanked;
};

struct rendered_stage {
    const struct stage *stage;
    struct rendered_variant *variants;
    struct desk *desks;
    size_t desk_count;
    struct text head;     /* {"$recipe":{"kind":"merge","params": */
    struct stage_job job; /* what is the same for all trials */

    /* Of the trial that has this number. */
    uint64_t stamp;
    const struct rendered_variant *taken;
    struct desk *desk;
    struct digest *inputs; /* jobs it waits for; room for all */
    size_t input_count;
    bool is_blanked; /* `desk->blanked` is of this trial */
};

/* The trial itself, and the replicate that it is compared with. */
enum { OWN, TWIN, SIDES };

struct expansion {
    const struct compiled *compiled;
    struct rendered_stage *sides[SIDES]; /* TWIN: NULL where nothing is */
    size_t count;
    struct digest_stream *hash;
    uint64_t stamp;
};

struct expansion_scratch {
    struct space_point *point;
    struct space_value *twin; /* values of the other replicate */
    size_t twin_room;
    struct stage_job *jobs;
    size_t room;
};

/* One call. */
struct work {
    struct expansion *e;
    const struct space_value *values[SIDES];
    int at; /* the side whose stage is being written */
    bool twin_comes_first;
    struct stage_job *jobs;
    size_t job_count;
    bool blanked; /* what stands for a lazy stage, see find_model() */
};

/* ---- made once -------------------------------------------------------- */

static void start_key(struct digest_stream *hash, const char *kind)
{
    static const char tag[] = "sinter-key-1";
    char numerics[16];

    digest_again(hash);
    (void)snprintf(numerics, sizeof numerics, "%d", SWEEP_NUMERICS);
    digest_add(hash, tag, sizeof tag);
    digest_add(hash, kind, strlen(kind) + 1);
    digest_add(hash, numerics, strlen(numerics) + 1);
}

static void prepare(const struct compiled *c, size_t i,
                    struct rendered_stage *r)
{
    const struct stage *s = &c->stages[i];
    AUTO(free_pointer)
    char *head =
        xasprintf("{\"$recipe\":{\"kind\":\"%s\",\"params\":", s->kind);

    r->stage = s;
    r->job = compiled_job(c, i);
    r->desk_count =
        s->variant_count < MOST_DESKS ? s->variant_count : MOST_DESKS;
    r->desks = xcalloc(r->desk_count, sizeof *r->desks);
    r->inputs = xcalloc(SIDES * c->stage_count + 1, sizeof *r->inputs);
    r->variants = xcalloc(s->variant_count, sizeof *r->variants);
    if (s->sort == STAGE_LAZY)
        text_add(&r->head, head, strlen(head));
    for (size_t j = 0; j < r->desk_count && s->sort != STAGE_LAZY; j++) {
        r->desks[j].start = digest_begin();
        start_key(r->desks[j].start, s->kind);
    }
    for (size_t j = 0; j < s->variant_count; j++) {
        struct rendered_variant *v = &r->variants[j];

        v->variant = &s->variants[j];
        script_make(&v->exact, v->variant->params, false);
        if (s->sort == STAGE_LAZY || v->variant->fused)
            script_make(&v->blanked, v->variant->params, true);
    }
}

struct expansion *expansion_new(const struct compiled *c)
{
    struct expansion *e = xnew(struct expansion);

    e->compiled = c;
    e->count = c->all_count;
    e->hash = digest_begin();
    for (int side = OWN; side <= (c->has_pairs ? TWIN : OWN); side++) {
        e->sides[side] = xcalloc(e->count + 1, sizeof *e->sides[side]);
        for (size_t i = 0; i < e->count; i++)
            prepare(c, i, &e->sides[side][i]);
    }
    return e;
}

static void release_desk(struct desk *d)
{
    text_release(&d->text);
    text_release(&d->last);
    text_release(&d->model);
    text_release(&d->blanked);
    text_release(&d->last_blanked);
    free(d->start);
}

static void release_stage(struct rendered_stage *r)
{
    for (size_t i = 0; i < r->desk_count; i++)
        release_desk(&r->desks[i]);
    for (size_t i = 0; i < r->stage->variant_count; i++) {
        script_release(&r->variants[i].exact);
        script_release(&r->variants[i].blanked);
    }
    text_release(&r->head);
    free(r->desks);
    free(r->inputs);
    free(r->variants);
}

void expansion_free(struct expansion *e)
{
    if (e == NULL)
        return;
    for (int side = OWN; side < SIDES; side++) {
        for (size_t i = 0; e->sides[side] != NULL && i < e->count; i++)
            release_stage(&e->sides[side][i]);
        free(e->sides[side]);
    }
    (void)digest_end(e->hash);
    free(e);
}

struct expansion_scratch *expansion_scratch_new(void)
{
    struct expansion_scratch *s = xnew(struct expansion_scratch);

    s->point = space_point_new();
    return s;
}

void expansion_scratch_free(struct expansion_scratch *s)
{
    if (s == NULL)
        return;
    space_point_free(s->point);
    free(s->twin);
    free(s->jobs);
    free(s);
}

/* ---- texts and keys --------------------------------------------------- */

static bool fits(const struct work *w, const struct variant *v)
{
    for (size_t i = 0; i < v->condition_count; i++) {
        const struct condition *c = &v->conditions[i];
        const struct space_value *value = &w->values[w->at][c->slot];

        if (value->text == NULL || value->size != c->size ||
            memcmp(value->text, c->text, c->size) != 0)
            return false;
    }
    return true;
}

/* NULL: none. */
static const struct rendered_variant *find_variant(const struct work *w,
                                                   struct rendered_stage *r)
{
    for (size_t i = 0; i < r->stage->variant_count; i++) {
        if (!fits(w, r->variants[i].variant))
            continue;
        r->taken = &r->variants[i];
        r->desk = &r->desks[i % r->desk_count];
        return r->taken;
    }
    return NULL;
}

static bool is_lazy(const struct rendered_stage *r)
{
    return r->stage->sort == STAGE_LAZY;
}

/* Where the stage of a reference stands, seen from `w->at`. */
static int side_of(const struct work *w, struct template_ref ref)
{
    bool is_first = ref.whose == WHOSE_LOWER;

    if (ref.whose == WHOSE_OWN)
        return w->at;
    return is_first == w->twin_comes_first ? TWIN : OWN;
}

static struct rendered_stage *rendered_of(const struct work *w,
                                          struct template_ref ref)
{
    return &w->e->sides[side_of(w, ref)][ref.stage];
}

static const struct text *blanked_of(struct work *w, struct template_ref ref);

/* What stands for a stage in the parameters of another. It was resolved. */
static const struct text *find_model(const void *self, struct template_ref ref)
{
    struct work *w = (struct work *)(uintptr_t)self;
    const struct rendered_stage *r = rendered_of(w, ref);

    if (!is_lazy(r))
        return &r->desk->model;
    return w->blanked ? blanked_of(w, ref) : &r->desk->text;
}

static bool write_script(struct work *w, const struct rendered_stage *r,
                         const struct script *s, struct text *out)
{
    const struct script_scope scope = { w->values[w->at], find_model, w };

    out->size = 0;
    text_add(out, r->head.bytes, r->head.size);
    if (!script_write(s, &scope, LIMIT_PARAMS + r->head.size, out))
        return false;
    if (is_lazy(r))
        text_add(out, recipe_tail, sizeof recipe_tail - 1);
    text_add(out, "", 1);
    out->size--;
    return true;
}

static bool same_text(const struct text *a, const struct text *b)
{
    return a->size == b->size && memcmp(a->bytes, b->bytes, a->size) == 0;
}

static void swap_texts(struct text *a, struct text *b)
{
    struct text other = *a;

    *a = *b;
    *b = other;
}

static size_t common_size(const struct text *a, const struct text *b)
{
    size_t least = a->size < b->size ? a->size : b->size;
    size_t i = 0;

    while (i < least && a->bytes[i] == b->bytes[i])
        i++;
    return i;
}

/* The first `shared` bytes of all texts so far are hashed once. */
static void share_start(struct desk *d, const char *kind)
{
    if (!d->is_used) {
        d->is_used = true;
        return;
    }
    if (d->is_shared && d->text.size >= d->shared &&
        memcmp(d->text.bytes, d->last.bytes, d->shared) == 0)
        return;
    d->is_shared = true;
    d->shared = common_size(&d->text, &d->last);
    start_key(d->start, kind);
    digest_add(d->start, d->text.bytes, d->shared);
}

static void write_model(struct desk *d)
{
    char hex[DIGEST_TEXT];

    digest_to_text(&d->key, hex);
    d->model.size = 0;
    text_add(&d->model, job_head, sizeof job_head - 1);
    text_add(&d->model, hex, sizeof hex - 1);
    text_add(&d->model, "\"}", 2);
}

static void find_key(struct expansion *e, const struct rendered_stage *r)
{
    struct desk *d = r->desk;

    if (d->is_used && same_text(&d->text, &d->last))
        return;
    share_start(d, r->stage->kind);
    digest_copy(e->hash, d->start);
    digest_add(e->hash, d->text.bytes + d->shared,
               d->text.size + 1 - d->shared);
    d->key = digest_stop(e->hash);
    if (r->stage->sort == STAGE_ARTIFACT) /* others may name it */
        write_model(d);
}

/* ---- families --------------------------------------------------------- */

/* What find_model() gives for a lazy stage while `blanked` is set, or the
 * blanked text of a fused job, and its family. The exact text if it grows too big: a family of its own, then. */
static const struct text *blanked_of(struct work *w, struct template_ref ref)
{
    struct rendered_stage *r = rendered_of(w, ref);
    struct desk *d = r->desk;
    bool outer = w->blanked;
    int outer_side = w->at;

    if (r->is_blanked)
        return &d->blanked;
    r->is_blanked = true;
    swap_texts(&d->blanked, &d->last_blanked);
    w->blanked = true;
    w->at = side_of(w, ref);
    if (!write_script(w, r, &r->taken->blanked, &d->blanked)) {
        d->blanked.size = 0;
        text_add(&d->blanked, d->text.bytes, d->text.size);
    }
    w->blanked = outer;
    w->at = outer_side;
    if (d->family == 0 || !same_text(&d->blanked, &d->last_blanked))
        d->family =
            compiled_family(r->stage->kind, d->blanked.bytes, d->blanked.size);
    return &d->blanked;
}

static uint64_t family_of(struct work *w, const struct rendered_stage *job)
{
    const struct variant *v = job->taken->variant;
    const struct template_ref own = { .stage =
                                          (int)(job - w->e->sides[w->at]) };
    uint64_t family = 0;

    for (size_t i = 0; i < template_stage_count(v->params); i++) {
        struct template_ref ref = template_stage(v->params, i);
        const struct rendered_stage *r = rendered_of(w, ref);

        if (!is_lazy(r))
            continue;
        (void)blanked_of(w, ref);
        family = family * 31 + r->desk->family;
    }
    if (!v->fused)
        return family;
    (void)blanked_of(w, own);
    return family * 31 + job->desk->family;
}

/* ---- the jobs of a trial ---------------------------------------------- */

static void add_input(struct rendered_stage *r, const struct digest *key)
{
    for (size_t i = 0; i < r->input_count; i++) {
        if (digest_equal(&r->inputs[i], key))
            return;
    }
    r->inputs[r->input_count++] = *key;
}

static bool resolve(struct work *w, struct template_ref ref);

static bool resolve_inputs(struct work *w, struct rendered_stage *r,
                           const struct template *params)
{
    r->input_count = 0;
    for (size_t i = 0; i < template_stage_count(params); i++) {
        struct template_ref ref = template_stage(params, i);
        const struct rendered_stage *input = rendered_of(w, ref);

        if (!resolve(w, ref))
            return false;
        if (!is_lazy(input))
            add_input(r, &input->desk->key);
        for (size_t j = 0; is_lazy(input) && j < input->input_count; j++)
            add_input(r, &input->inputs[j]);
    }
    return true;
}

/* Two replicates share what does not depend on the seed: it is listed once. */
static bool is_listed(const struct work *w, const struct rendered_stage *r)
{
    if (!w->e->compiled->has_pairs || r->stage->sort != STAGE_ARTIFACT)
        return false;
    for (size_t i = 0; i < w->job_count; i++) {
        if (digest_equal(&w->jobs[i].key, &r->desk->key))
            return true;
    }
    return false;
}

static void add_job(struct work *w, struct rendered_stage *r)
{
    struct stage_job *job;

    find_key(w->e, r);
    if (is_listed(w, r))
        return;
    job = &w->jobs[w->job_count++];
    *job = r->job;
    job->key = r->desk->key;
    job->params = r->desk->text.bytes;
    job->params_size = r->desk->text.size;
    job->inputs = r->inputs;
    job->input_count = r->input_count;
    job->family = family_of(w, r);
}

/* Once a trial, in the order of compiled_stages(). Recursion ends because the
 * stages have no cycle. */
static bool resolve_here(struct work *w, struct rendered_stage *r)
{
    if (r->stamp == w->e->stamp)
        return true;
    if (find_variant(w, r) == NULL ||
        !resolve_inputs(w, r, r->taken->variant->params))
        return false;
    swap_texts(&r->desk->text, &r->desk->last);
    if (!write_script(w, r, &r->taken->exact, &r->desk->text)) {
        /* `last` is the one that the key belongs to. */
        swap_texts(&r->desk->text, &r->desk->last);
        return false;
    }
    r->is_blanked = false;
    r->stamp = w->e->stamp;
    if (!is_lazy(r))
        add_job(w, r);
    return true;
}

static bool resolve(struct work *w, struct template_ref ref)
{
    int outer = w->at;
    bool good;

    w->at = side_of(w, ref);
    good = resolve_here(w, &w->e->sides[w->at][ref.stage]);
    w->at = outer;
    return good;
}

/* What evaluators need of one side. */
static bool resolve_side(struct work *w, int side)
{
    const struct compiled *c = w->e->compiled;

    for (size_t i = c->stage_count; i < c->all_count; i++) {
        const struct rendered_variant *v =
            find_variant(w, &w->e->sides[OWN][i]);

        for (size_t j = 0;
             v != NULL && j < template_stage_count(v->variant->params); j++) {
            struct template_ref ref = template_stage(v->variant->params, j);

            if (side_of(w, ref) == side && !resolve(w, ref))
                return false;
        }
        if (v == NULL)
            return false;
    }
    return true;
}

/* The trial's own stages come first. */
static bool resolve_all(struct work *w)
{
    struct rendered_stage *own = w->e->sides[OWN];
    const struct compiled *c = w->e->compiled;

    if (c->stage_count > 0 &&
        c->stages[c->stage_count - 1].sort != STAGE_LAZY &&
        !resolve_here(w, &own[c->stage_count - 1]))
        return false;
    if (!resolve_side(w, OWN) || (c->has_pairs && !resolve_side(w, TWIN)))
        return false;
    for (size_t i = c->stage_count; i < c->all_count; i++) {
        if (!resolve_here(w, &own[i]))
            return false;
    }
    return true;
}

/* The same values with another seed. */
static void place_twin(struct work *w, uint64_t trial,
                       struct expansion_scratch *scratch)
{
    const struct space *s = w->e->compiled->space;
    size_t names = space_name_count(s);
    struct space_twin twin = space_twin(s, trial % space_replicates(s));

    if (scratch->twin_room < names) {
        scratch->twin_room = names;
        scratch->twin = xrealloc(scratch->twin, names * sizeof *scratch->twin);
    }
    memcpy(scratch->twin, w->values[OWN], names * sizeof *scratch->twin);
    scratch->twin[twin.slot] = twin.seed;
    w->values[TWIN] = scratch->twin;
    w->twin_comes_first = twin.comes_first;
}

/* The slow way knows the words. */
static struct status why_not(const struct compiled *c, uint64_t trial)
{
    AUTO(json_release) json_t *values = NULL;
    struct stage_jobs jobs = { 0 };
    bool excluded = false;

    TRY_PLAIN(compiled_trial(c, trial, &values, &excluded));
    TRY_PLAIN(compiled_stages(c, values, &jobs));
    stage_jobs_release(&jobs);
    return FAIL(STATUS_FAILED, "the jobs of trial %llu are not to be had",
                (unsigned long long)trial);
}

struct status expansion_trial(struct expansion *e, uint64_t trial,
                              struct expansion_scratch *scratch,
                              struct expansion_trial *ret_trial)
{
    struct work w = { .e = e };

    *ret_trial = (struct expansion_trial){ 0 };
    if (trial >= compiled_trial_limit(e->compiled))
        return why_not(e->compiled, trial);
    if (space_place(e->compiled->space, trial, scratch->point) != SPACE_TAKEN) {
        ret_trial->excluded = true;
        return SUCCESS;
    }
    if (scratch->room < SIDES * e->count) {
        scratch->room = SIDES * e->count;
        scratch->jobs =
            xrealloc(scratch->jobs, scratch->room * sizeof *scratch->jobs);
    }
    w.values[OWN] = space_values(scratch->point);
    if (e->compiled->has_pairs)
        place_twin(&w, trial, scratch);
    w.jobs = scratch->jobs;
    e->stamp++;
    if (!resolve_all(&w))
        return why_not(e->compiled, trial);
    ret_trial->jobs = w.jobs;
    ret_trial->count = w.job_count;
    return SUCCESS;
}
