#include "sweep/plan.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "common/map.h"
#include "common/memory.h"
#include "sweep/compiled_parts.h"

struct counting {
    const struct compiled *c;
    struct plan *plan;
    struct map *runs;    /* stage and parameters seen */
    struct map *sources; /* canonical texts seen */
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

static void count_stage(void *self, size_t stage, const char *params)
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
    struct counting n = {
        .c = c, .plan = ret_plan, .runs = map_new(), .sources = map_new()
    };
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
    if (status_failed(&st))
        plan_release(ret_plan);
    return st;
}

void plan_release(struct plan *p)
{
    json_decref(p->sources);
    p->sources = NULL;
}
