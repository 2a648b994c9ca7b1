/* prune_fit_kind.c -- the kind `prune_fit`: a model pruned by what it is fed,
 * section by section, as a delta of the model (delta.h). Made by the methods
 * wanda and sparsegpt of `prune`. */
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "jobs/delta.h"
#include "jobs/job_kind.h"
#include "jobs/prune_body.h"
#include "jobs/prune_open.h"
#include "jobs/recipe_mask.h"

struct fitting {
    struct prune_open open;
    struct delta delta;
    double loss;
    uint64_t weights, gone, emptied;
};

static void release(struct fitting *f)
{
    prune_open_release(&f->open);
    delta_release(&f->delta);
}

/* ---- what is asked ----------------------------------------------------------- */

MUST_CHECK static struct status read_config(const json_t *params,
                                            struct fit_config *ret_config)
{
    struct fit_config c = {
        .block = (size_t)json_int_or(params, "block", FIT_BLOCK),
        .damping = json_real_or(params, "damping", 0.01),
        .dense = strcmp(json_text_or(params, "flow", ""), "dense") == 0,
    };

    TRY_PLAIN(prune_config_read(params, &c.prune));
    if (c.prune.method != PRUNE_WANDA && c.prune.method != PRUNE_SPARSEGPT)
        return FAIL(STATUS_INVALID, "prune_fit: the method needs no data");
    if (c.prune.method == PRUNE_SPARSEGPT)
        c.prune.how.scope = PRUNE_LAYER; /* of a block */
    if (c.block < 1)
        return FAIL(STATUS_INVALID, "prune: `block` is 0");
    if (c.prune.method == PRUNE_SPARSEGPT && c.prune.how.of > 0 &&
        c.block % c.prune.how.of != 0)
        return FAIL(STATUS_INVALID,
                    "prune: blocks of %zu inputs cut the groups of %zu; make "
                    "`block` a multiple of it",
                    c.block, c.prune.how.of);
    *ret_config = c;
    return SUCCESS;
}

/* ---- one section ---------------------------------------------------------------- */

static void allow(const struct fitting *f, const struct tensor *t,
                  uint8_t *keep)
{
    const uint8_t *mask = recipe_mask(f->open.base, t->name);

    for (size_t i = 0; i < t->count; i++)
        keep[i] = mask == NULL || (mask[i / 8] >> i % 8 & 1) != 0;
}

static void note_weights(struct fitting *f, const struct fit_matrix *m,
                         const uint8_t *keep)
{
    f->weights += m->tensor->count;
    for (size_t i = 0; i < m->tensor->count; i++)
        f->gone += keep[i] == 0;
    f->emptied += prune_emptied(&m->shape, keep);
}

/* What changed goes into the delta: of Wanda nothing but the mask. */
MUST_CHECK static struct status store(struct fitting *f,
                                      const struct fit_matrix *m,
                                      const uint8_t *keep)
{
    const struct tensor *t = m->tensor;
    AUTO(free_pointer) void *bytes = NULL;

    note_weights(f, m, keep);
    delta_add_mask(&f->delta, t->name, keep, (size_t)t->count);
    if (f->open.config.prune.method == PRUNE_WANDA)
        return SUCCESS;
    bytes = alloc_large((size_t)tensor_bytes(t) + 1);
    if (bytes == NULL)
        return FAIL(STATUS_NO_MEMORY, "no memory for \"%s\"", t->name);
    dtype_from_f32(t->dtype, f->open.model->parameters[m->parameter].own, bytes,
                   (size_t)t->count);
    delta_add_tensor(&f->delta, t, bytes);
    return SUCCESS;
}

MUST_CHECK static struct status prune_section(struct fitting *f,
                                              struct fit *fit)
{
    for (size_t i = 0; i < fit->matrix_count; i++) {
        const struct fit_matrix *m = &fit->matrices[i];
        AUTO(free_pointer)
        uint8_t *keep = alloc_large((size_t)m->tensor->count + 1);

        if (f->open.context->cancelled(f->open.context->self))
            return FAIL(STATUS_CANCELLED, "cancelled at \"%s\"",
                        m->tensor->name);
        if (keep == NULL)
            return FAIL(STATUS_NO_MEMORY, "no memory for a mask of \"%s\"",
                        m->tensor->name);
        allow(f, m->tensor, keep);
        TRY(fit_choose(fit, i, keep), "\"%s\"", m->tensor->name);
        TRY_PLAIN(store(f, m, keep));
    }
    f->loss += fit->loss;
    return SUCCESS;
}

/* What the next one reads is left by the dense section, or by the pruned. */
MUST_CHECK static struct status walk_section(struct fitting *f, size_t section)
{
    struct prune_open *o = &f->open;
    AUTO(fit_release) struct fit fit = { .inputs = NULL };
    bool dense = f->open.config.dense;

    TRY_PLAIN(fit_init(&fit, &o->config, o->model, o->targets, o->set, section,
                       o->context));
    if (fit.matrix_count > 0) {
        TRY_PLAIN(prune_walk_through(&o->walk, section, dense, fit_look, &fit));
        TRY_PLAIN(prune_section(f, &fit));
    }
    if (section + 1 == o->sections || (dense && fit.matrix_count > 0))
        return SUCCESS;
    return prune_walk_through(&o->walk, section, true, NULL, NULL);
}

MUST_CHECK static struct status walk(struct fitting *f)
{
    for (size_t s = 0; s < f->open.sections; s++) {
        TRY_PLAIN(prune_open_enter(&f->open, s));
        TRY_PLAIN(walk_section(f, s));
        prune_open_leave(&f->open, s);
    }
    return SUCCESS;
}

/* ---- all of it ------------------------------------------------------------------- */

static json_t *result_of(const struct fitting *f, const char *artifact)
{
    json_t *result = json_pack(
        "{s:s, s:{s:f, s:I}}", "artifact", artifact, "metrics", "sparsity",
        f->weights == 0 ? 0.0 : (double)f->gone / (double)f->weights, "emptied",
        (json_int_t)f->emptied);

    if (f->open.config.prune.method == PRUNE_SPARSEGPT)
        (void)json_object_set_new(json_object_get(result, "metrics"), "loss",
                                  json_real(f->loss));
    return result;
}

static void warn(const struct fitting *f)
{
    char line[128];

    if (f->emptied == 0)
        return;
    (void)snprintf(line, sizeof(line),
                   "warning: %llu outputs of matrices have no weight left",
                   (unsigned long long)f->emptied);
    f->open.context->log(f->open.context->self, line);
}

static struct status run(const json_t *params, struct job_context *context,
                         json_t **ret_result)
{
    AUTO(release)
    struct fitting f = { .open = { .params = params, .context = context } };
    char artifact[DIGEST_TEXT];

    TRY_PLAIN(read_config(params, &f.open.config));
    TRY_PLAIN(prune_open(&f.open));
    TRY_PLAIN(delta_init(&f.delta, "prune", json_object_get(params, "model"),
                         context));
    TRY_PLAIN(walk(&f));
    warn(&f);
    TRY_PLAIN(delta_store(&f.delta, context, artifact));
    *ret_result = result_of(&f, artifact);
    return SUCCESS;
}

extern const struct job_kind job_prune_fit;
const struct job_kind job_prune_fit = {
    .catalog = { .name = "prune_fit",
                 .summary = "finds what wanda and sparsegpt prune; made by "
                            "`prune`",
                 .sort = STAGE_ARTIFACT,
                 .keys = prune_keys },
    .run = run,
};
