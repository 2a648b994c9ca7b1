#include "jobs/prune_open.h"

#include <stdlib.h>

#include "jobs/model_input.h"
#include "jobs/prune_body.h"
#include "jobs/stream_parts.h"
#include "tensor/safetensors.h"

void prune_open_release(struct prune_open *o)
{
    delta_release(&o->delta);
    prune_walk_release(&o->walk);
    st_model_close(o->seen);
    model_free(o->model);
    recipe_close(o->base);
    free(o->targets);
}

/* ---- what is there, and its memory --------------------------------------------- */

static const struct tensor *tensor_of(const struct prune_open *o,
                                      size_t parameter)
{
    return prune_find_tensor(o->set, o->model->config.arch,
                             o->model->parameters[parameter].name);
}

static void count_sections(struct prune_open *o)
{
    for (size_t i = 0; i < o->model->parameter_count; i++) {
        size_t section = o->model->graph->parameters[i].section;

        if (o->targets[tensor_of(o, i) - o->set->items].chosen &&
            section >= o->sections)
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
        size_t bytes =
            fit_bytes(&o->config, o->model, o->targets, o->set, s, o->context);

        if (o->seen == NULL)
            bytes += prune_walk_bytes(&o->walk, s);
        for (size_t i = 0; i < g->parameter_count; i++)
            if (g->parameters[i].section == s)
                bytes += g->parameters[i].count * sizeof(float);
        most = bytes > most ? bytes : most;
    }
    return model_input_fits(most + (size_t)prune_state_room(o->context),
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

MUST_CHECK static struct status open_seen(struct prune_open *o,
                                          const json_t *inputs)
{
    const char *path = NULL;

    TRY(recipe_path(inputs, o->context, &path), "inputs");
    TRY(st_model_open(path, &o->seen), "inputs");
    return SUCCESS;
}

struct status prune_open(struct prune_open *o, const char *kind)
{
    const json_t *inputs = json_object_get(o->params, "inputs");

    TRY_PLAIN(open_model(o));
    if (inputs != NULL)
        TRY_PLAIN(open_seen(o, inputs));
    else
        TRY_PLAIN(open_walk(o));
    TRY_PLAIN(check_memory(o));
    TRY_PLAIN(delta_init(&o->delta, kind, json_object_get(o->params, "model"),
                         o->context));
    return prune_state_resume(o);
}

/* ---- section by section ---------------------------------------------------------- */

MUST_CHECK static struct status enter(struct prune_open *o, size_t section)
{
    TRY_PLAIN(model_load_section(o->model, o->set, section));
    return o->seen != NULL ? SUCCESS : prune_walk_enter(&o->walk, section);
}

/* Mapped pages are read again if the delta is: not before the model's end. */
static void leave(struct prune_open *o, size_t section)
{
    if (o->seen == NULL)
        prune_walk_leave(&o->walk);
    model_drop_section(o->model, section);
    for (size_t i = 0;
         i < o->model->parameter_count && recipe_is_mapped(o->base); i++) {
        const struct tensor *t = tensor_of(o, i);

        if (o->model->graph->parameters[i].section == section)
            stream_drop_pages(t->data, (size_t)tensor_bytes(t));
    }
}

/* What the next one reads is left by the dense section, or by the pruned. */
MUST_CHECK static struct status walk_section(struct prune_open *o,
                                             size_t section)
{
    AUTO(fit_release) struct fit fit = { .inputs = NULL };
    bool last = section + 1 == o->sections, left = last || o->seen != NULL;

    TRY_PLAIN(fit_init(&fit, &o->config, o->model, o->targets, o->set, section,
                       o->seen == NULL ? NULL : st_model_tensors(o->seen),
                       o->context));
    if (fit.matrix_count > 0 && o->seen == NULL) {
        TRY_PLAIN(prune_walk_through(&o->walk, section,
                                     o->config.dense && !last, fit_look, &fit));
        left = left || o->config.dense;
    }
    if (fit.matrix_count > 0)
        TRY_PLAIN(o->found(o, &fit));
    return left ? SUCCESS
                : prune_walk_through(&o->walk, section, true, NULL, NULL);
}

struct status prune_open_walk(struct prune_open *o)
{
    for (size_t s = o->first; s < o->sections; s++) {
        TRY_PLAIN(enter(o, s));
        TRY_PLAIN(walk_section(o, s));
        leave(o, s);
        if (s + 1 < o->sections)
            TRY_PLAIN(prune_state_note(o, s + 1));
    }
    return SUCCESS;
}
