/* prune_fit_kind.c -- the kind `prune_fit`: a model pruned by what it is fed,
 * section by section, as a delta of the model (delta.h). Made by the methods
 * wanda and sparsegpt of `prune`. */
#include <string.h>

#include "common/memory.h"
#include "jobs/job_kind.h"
#include "jobs/prune_bits.h"
#include "jobs/prune_body.h"
#include "jobs/prune_open.h"
#include "jobs/recipe_mask.h"

/* ---- what is asked ----------------------------------------------------------- */

MUST_CHECK static struct status read_config(const json_t *params,
                                            struct fit_config *ret_config)
{
    struct fit_config c = {
        .block = (size_t)json_int_or(params, "block", FIT_BLOCK),
        .damping = json_real_or(params, "damping", FIT_DAMPING),
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

static bool check(const json_t *params, struct catalog_problem *problem)
{
    struct fit_config config;
    struct status st = read_config(params, &config);

    return !status_failed(&st) ||
           catalog_refuse(problem, "", "", "%s", st.message);
}

/* ---- one section ---------------------------------------------------------------- */

static void allow(const struct prune_open *o, const struct tensor *t,
                  uint8_t *keep)
{
    const uint8_t *mask = recipe_mask(o->base, t->name);

    if (mask == NULL)
        memset(keep, 1, (size_t)t->count);
    else
        prune_take_bits(mask, 0, (size_t)t->count, keep);
}

static void note_weights(struct prune_sums *s, const struct fit_matrix *m,
                         const uint8_t *keep)
{
    s->weights += m->tensor->count;
    for (size_t i = 0; i < m->tensor->count; i++)
        s->gone += keep[i] == 0;
    s->emptied += prune_emptied(&m->shape, keep);
}

/* What changed goes into the delta: of Wanda nothing but the mask. */
MUST_CHECK static struct status store(struct prune_open *o,
                                      const struct fit_matrix *m,
                                      const uint8_t *keep)
{
    const struct tensor *t = m->tensor;
    AUTO(free_pointer) void *bytes = NULL;

    note_weights(&o->sums, m, keep);
    delta_add_mask(&o->delta, t->name, keep, (size_t)t->count);
    if (o->config.prune.method == PRUNE_WANDA)
        return SUCCESS;
    bytes = alloc_large((size_t)tensor_bytes(t) + 1);
    if (bytes == NULL)
        return FAIL(STATUS_NO_MEMORY, "no memory for \"%s\"", t->name);
    dtype_from_f32(t->dtype, o->model->parameters[m->parameter].own, bytes,
                   (size_t)t->count);
    delta_add_tensor(&o->delta, t, bytes);
    return SUCCESS;
}

static struct status found(struct prune_open *o, struct fit *fit)
{
    for (size_t i = 0; i < fit->matrix_count; i++) {
        const struct fit_matrix *m = &fit->matrices[i];
        AUTO(free_pointer)
        uint8_t *keep = alloc_large((size_t)m->tensor->count + 1);

        if (o->context->cancelled(o->context->self))
            return FAIL(STATUS_CANCELLED, "cancelled at \"%s\"",
                        m->tensor->name);
        if (keep == NULL)
            return FAIL(STATUS_NO_MEMORY, "no memory for a mask of \"%s\"",
                        m->tensor->name);
        allow(o, m->tensor, keep);
        TRY(fit_choose(fit, i, keep), "\"%s\"", m->tensor->name);
        TRY_PLAIN(store(o, m, keep));
    }
    o->sums.loss += fit->loss;
    return SUCCESS;
}

/* ---- all of it ------------------------------------------------------------------- */

static json_t *result_of(const struct prune_open *o, const char *artifact)
{
    const struct prune_sums *s = &o->sums;
    json_t *result = json_pack(
        "{s:s, s:{s:f, s:I}}", "artifact", artifact, "metrics", "sparsity",
        s->weights == 0 ? 0.0 : (double)s->gone / (double)s->weights, "emptied",
        (json_int_t)s->emptied);

    if (o->config.prune.method == PRUNE_SPARSEGPT)
        (void)json_object_set_new(json_object_get(result, "metrics"), "loss",
                                  json_real(s->loss));
    return result;
}

static void warn(const struct prune_open *o)
{
    char line[128];

    if (o->sums.emptied == 0)
        return;
    (void)snprintf(line, sizeof(line),
                   "warning: %llu outputs of matrices have no weight left",
                   (unsigned long long)o->sums.emptied);
    o->context->log(o->context->self, line);
}

static struct status run(const json_t *params, struct job_context *context,
                         json_t **ret_result)
{
    AUTO(prune_open_release)
    struct prune_open o = { .params = params,
                            .context = context,
                            .found = found };
    char artifact[DIGEST_TEXT];

    TRY_PLAIN(read_config(params, &o.config));
    TRY_PLAIN(prune_open(&o, "prune"));
    TRY_PLAIN(prune_open_walk(&o));
    warn(&o);
    TRY_PLAIN(delta_store(&o.delta, context, artifact));
    *ret_result = result_of(&o, artifact);
    return SUCCESS;
}

extern const struct job_kind job_prune_fit;
const struct job_kind job_prune_fit = {
    .catalog = { .name = "prune_fit",
                 .summary = "finds what wanda and sparsegpt prune; made by "
                            "`prune`",
                 .sort = STAGE_ARTIFACT,
                 .keys = prune_keys,
                 .check = check },
    .run = run,
};
