#include "jobs/select_head.h"

#include <string.h>

#include "common/memory.h"

/* The step that makes the logits. */
static const struct graph_step *last_step(const struct graph *g)
{
    return &g->steps[g->values[g->logits].writer];
}

struct status select_head_of(const struct model *m, struct jsd_head *ret_head)
{
    const struct graph_step *s = last_step(m->graph);
    const struct graph_parameter *p = graph_parameter_of(m->graph, s->in[1]);

    if (p == NULL || p->turned || m->graph->pixels != 0)
        return FAIL(STATUS_INVALID, "the model has no head over words");
    *ret_head = (struct jsd_head){
        .unembedding = m->parameters[p - m->graph->parameters].data,
        .bias = s->in[2] < 0 ? m->parameters[-1 - s->in[2]].data : NULL,
        .vocabulary = m->config.vocab,
        .width = m->config.hidden,
    };
    return SUCCESS;
}

static bool is_nothing(void *self, const char *name)
{
    (void)self;
    (void)name;
    return false;
}

/* The tensors of one section, by their names in the files. */
struct wanted {
    const struct model *outline;
    size_t section;
};

static bool is_wanted(void *self, const char *name)
{
    const struct wanted *w = self;
    const struct graph *g = w->outline->graph;
    size_t size = strlen(name);

    for (size_t i = 0; i < g->parameter_count; i++) {
        const char *own = g->parameters[i].name;
        size_t end = strlen(own);

        if (g->parameters[i].section == w->section && size >= end &&
            strcmp(name + size - end, own) == 0)
            return true;
    }
    return false;
}

MUST_CHECK static struct status outline(const struct recipe_model *recipe,
                                        struct model **ret_model)
{
    const json_t *json = recipe_config(recipe);
    struct model_config config;

    if (json == NULL)
        return FAIL(STATUS_INVALID, "there is no config.json");
    TRY_PLAIN(model_config_read(json, &config));
    return model_outline(&config, recipe_tensors(recipe), ret_model);
}

static size_t section_of_head(const struct model *m)
{
    const struct graph_parameter *p =
        graph_parameter_of(m->graph, last_step(m->graph)->in[1]);

    return p == NULL ? 0 : p->section;
}

MUST_CHECK static struct status open_head(const json_t *model,
                                          struct job_context *context,
                                          struct select_head *h)
{
    struct wanted wanted = { .outline = NULL };

    TRY_PLAIN(recipe_open_some(model, context, is_nothing, NULL, &h->recipe));
    TRY_PLAIN(outline(h->recipe, &h->outline));
    wanted.outline = h->outline;
    wanted.section = section_of_head(h->outline);
    recipe_close(h->recipe);
    h->recipe = NULL;
    TRY_PLAIN(recipe_open_some(model, context, is_wanted, &wanted, &h->recipe));
    TRY_PLAIN(model_load_section(h->outline, recipe_tensors(h->recipe),
                                 wanted.section));
    return select_head_of(h->outline, &h->head);
}

struct status select_head_open(const json_t *model, struct job_context *context,
                               struct select_head *ret_head)
{
    struct select_head h = { .recipe = NULL };
    struct status s = open_head(model, context, &h);

    if (status_failed(&s))
        select_head_release(&h);
    else
        *ret_head = h;
    return s;
}

void select_head_release(struct select_head *h)
{
    model_free(h->outline);
    recipe_close(h->recipe);
}
