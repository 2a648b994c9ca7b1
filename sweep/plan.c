#include "sweep/plan.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/map.h"
#include "common/memory.h"
#include "sweep/compiled_parts.h"

struct counting {
    const struct compiled *c;
    struct plan *plan;
    struct map *runs;     /* stage and parameters seen */
    struct map *sources;  /* canonical texts seen */
    struct map *families; /* stage and family -> its number + 1 */
};

static void note_source(struct counting *n, json_t *source)
{
    AUTO(free_pointer) char *text = json_canonical(source);

    if (map_get_text(n->sources, text) != NULL)
        return;
    (void)map_put_text(n->sources, text, n);
    (void)json_array_append(n->plan->sources, source);
}

/* Depth is that of nested recipes, each no deeper than LIMIT_DEPTH. */
static void find_sources(struct counting *n, json_t *json)
{
    json_t *source = json_object_get(json, "$source");
    const char *name;
    json_t *member;

    if (source != NULL) {
        note_source(n, source);
        return;
    }
    json_object_foreach(json, name, member)
    {
        find_sources(n, member);
    }
    for (size_t i = 0; i < json_array_size(json); i++)
        find_sources(n, json_array_get(json, i));
}

/* Sources of the parameters themselves, not of recipes inside: those are
 * read in passes of their own. */
static void own_sources(const json_t *json, json_t *sources)
{
    json_t *source = json_object_get(json, "$source");
    const char *name;
    json_t *member;

    if (source != NULL)
        (void)json_array_append(sources, source);
    if (source != NULL || json_object_get(json, "$recipe") != NULL)
        return;
    json_object_foreach((json_t *)(uintptr_t)json, name, member)
    {
        own_sources(member, sources);
    }
    for (size_t i = 0; i < json_array_size(json); i++)
        own_sources(json_array_get(json, i), sources);
}

static struct plan_family *add_family(struct plan_stage *s,
                                      const json_t *params)
{
    struct plan_family *f;

    /* Room doubles at powers of two: the count tells it. */
    if ((s->family_count & (s->family_count - 1)) == 0) {
        size_t room = s->family_count == 0 ? 1 : 2 * s->family_count;

        s->families = xrealloc(s->families, room * sizeof *s->families);
    }
    f = &s->families[s->family_count++];
    *f = (struct plan_family){ .sources = json_array() };
    own_sources(params, f->sources);
    return f;
}

static void count_family(struct counting *n, size_t stage, uint64_t family,
                         const json_t *params)
{
    struct plan_stage *s = &n->plan->stages[stage];
    const uint64_t key[] = { stage, family };
    uintptr_t number = (uintptr_t)map_get(n->families, key, sizeof key);
    struct plan_family *f;

    if (number > 0) {
        f = &s->families[number - 1];
    } else {
        f = add_family(s, params);
        (void)map_put(n->families, key, sizeof key,
                      (void *)(uintptr_t)s->family_count);
    }
    f->points++;
}

static void count_stage(void *self, size_t stage, const char *params,
                        uint64_t family)
{
    struct counting *n = self;
    struct plan_stage *s = &n->plan->stages[stage];
    struct {
        uint64_t stage;
        struct digest params;
    } run = { stage, digest_of(params, strlen(params)) };
    json_t *json = NULL;
    struct status st;

    s->trials++;
    if (map_get(n->runs, &run, sizeof run) != NULL)
        return;
    (void)map_put(n->runs, &run, sizeof run, n);
    s->runs++;
    st = json_parse(params, strlen(params), "parameters", &json);
    if (!status_failed(&st))
        find_sources(n, json);
    if (json_object_size(json) > json_object_size(s->fullest)) {
        json_decref(s->fullest);
        s->fullest = json_incref(json);
    }
    if (s->sort == STAGE_LAZY)
        count_family(n, stage, family, json);
    json_decref(json);
}

MUST_CHECK static struct status count_trials(struct counting *n)
{
    const struct compiled_visitor visitor = { .seen = count_stage, .self = n };
    struct plan *p = n->plan;
    uint64_t all = compiled_trial_count(n->c);

    p->truncated = all > PLAN_TRIALS;
    for (uint64_t i = 0; i < all && i < PLAN_TRIALS; i++) {
        json_t *values = NULL;
        bool excluded = false;
        struct status st;

        TRY_PLAIN(compiled_trial(n->c, i, &values, &excluded));
        if (excluded)
            p->excluded++;
        else
            p->trials++;
        st = excluded ? SUCCESS : compiled_visit(n->c, values, &visitor);
        json_decref(values);
        TRY(st, "trial %llu", (unsigned long long)(i + 1));
    }
    if (p->truncated)
        p->trials = all - p->excluded;
    return SUCCESS;
}

static void name_stages(const struct compiled *c, struct plan *p)
{
    static_assert(COUNT_OF(p->stages) >= COMPILED_MOST_STAGES,
                  "a plan has room for all stages");
    p->stage_count = c->all_count;
    for (size_t i = 0; i < c->all_count; i++) {
        struct plan_stage *s = &p->stages[i];

        (void)snprintf(s->name, sizeof s->name, "%s", c->stages[i].name);
        (void)snprintf(s->kind, sizeof s->kind, "%s", c->stages[i].kind);
        s->sort = c->stages[i].sort;
    }
}

struct status plan_make(const struct compiled *c, struct plan *ret_plan)
{
    struct counting n = { .c = c,
                          .plan = ret_plan,
                          .runs = map_new(),
                          .sources = map_new(),
                          .families = map_new() };
    struct status st;

    *ret_plan = (struct plan){
        .points = compiled_trial_count(c) / compiled_replicates(c),
        .replicates = compiled_replicates(c),
        .sources = json_array(),
    };
    name_stages(c, ret_plan);
    st = count_trials(&n);
    map_free(n.runs);
    map_free(n.sources);
    map_free(n.families);
    if (status_failed(&st))
        plan_release(ret_plan);
    return st;
}

static void release_stage(struct plan_stage *s)
{
    for (size_t i = 0; i < s->family_count; i++)
        json_decref(s->families[i].sources);
    free(s->families);
    json_decref(s->fullest);
}

void plan_release(struct plan *p)
{
    for (size_t i = 0; i < p->stage_count; i++)
        release_stage(&p->stages[i]);
    p->stage_count = 0;
    json_decref(p->sources);
    p->sources = NULL;
}

static uint64_t divided(uint64_t a, uint64_t b)
{
    return (a + b - 1) / b;
}

uint64_t plan_passes(uint64_t points, uint64_t slots, uint64_t most)
{
    uint64_t passes = 0;

    /* What is left goes to the slots that are left. */
    for (uint64_t k = slots; k > 0 && points > 0; k--) {
        uint64_t share = divided(points, k);

        passes += divided(share, most);
        points -= share;
    }
    return passes;
}
