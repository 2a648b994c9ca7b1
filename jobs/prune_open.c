#include "jobs/prune_open.h"

#include <stdlib.h>

#include "jobs/model_input.h"
#include "jobs/prune_body.h"
#include "tensor/blas.h"

void prune_open_release(struct prune_open *o)
{
    prune_walk_release(&o->walk);
    model_free(o->model);
    recipe_close(o->base);
    free(o->targets);
}

static void count_sections(struct prune_open *o)
{
    for (size_t i = 0; i < o->model->parameter_count; i++) {
        const struct tensor *t = prune_find_tensor(
            o->set, o->model->config.arch, o->model->parameters[i].name);
        size_t section = o->model->graph->parameters[i].section;

        if (o->targets[t - o->set->items].chosen && section >= o->sections)
            o->sections = section + 1;
    }
}

MUST_CHECK static struct status open_model(struct prune_open *o)
{
    struct model_config config;
    json_t *model;

    TRY(json_member_object(o->params, "model", &model), "prune");
    TRY(recipe_open(model, o->context, &o->base), "model");
    o->set = recipe_tensors(o->base);
    TRY_PLAIN(prune_targets_of(&o->config.prune, recipe_config(o->base), o->set,
                               &o->targets));
    TRY_PLAIN(model_config_read(recipe_config(o->base), &config));
    TRY(model_outline(&config, o->set, &o->model), "model");
    count_sections(o);
    return SUCCESS;
}

MUST_CHECK static struct status check_memory(const struct prune_open *o)
{
    const struct graph *g = o->model->graph;
    size_t most = 0;

    for (size_t s = 0; s < o->sections; s++) {
        size_t bytes = fit_bytes(&o->config, o->model, o->targets, o->set, s);

        for (size_t i = 0; i < g->parameter_count; i++)
            if (g->parameters[i].section == s)
                bytes += g->parameters[i].count * sizeof(float);
        most = bytes > most ? bytes : most;
    }
    return model_input_fits(most + prune_walk_bytes(&o->walk, o->sections),
                            "pruning one section of the model", o->context);
}

MUST_CHECK static struct status open_walk(struct prune_open *o)
{
    struct tokenizer *tokenizer = NULL;
    struct status st = SUCCESS;

    if (o->model->graph->pixels == 0)
        st = model_input_tokenizer(o->base, o->model->config.vocab, &tokenizer);
    if (!status_failed(&st))
        st =
            prune_walk_open(&o->walk, json_object_get(o->params, "calibration"),
                            tokenizer, o->model, o->sections, o->context);
    tokenizer_free(tokenizer);
    return st;
}

struct status prune_open(struct prune_open *o)
{
    TRY_PLAIN(open_model(o));
    blas_set_threads(1); /* whatever the job may use: the same bits anywhere */
    TRY_PLAIN(open_walk(o));
    return check_memory(o);
}

struct status prune_open_enter(struct prune_open *o, size_t section)
{
    TRY_PLAIN(model_load_section(o->model, o->set, section));
    return prune_walk_enter(&o->walk, section);
}

void prune_open_leave(struct prune_open *o, size_t section)
{
    prune_walk_leave(&o->walk);
    model_drop_section(o->model, section);
}
