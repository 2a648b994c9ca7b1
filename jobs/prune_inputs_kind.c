/* prune_inputs_kind.c -- the kind `prune_inputs`: what the matrices of a dense
 * model are fed, whatever is pruned of them: one walk serves all sparsities
 * and patterns with `flow: dense`. */
#include <string.h>

#include "common/memory.h"
#include "jobs/job_kind.h"
#include "jobs/prune_body.h"
#include "jobs/prune_open.h"

/* Each matrix has norms of its own, also those that read the same. */
static void store_norms(const struct fit *fit, struct delta *d)
{
    for (size_t i = 0; i < fit->matrix_count; i++) {
        const struct fit_matrix *m = &fit->matrices[i];
        const struct prune_norms *n = &fit->inputs[m->from].norms;
        AUTO(free_pointer) float *roots = xcalloc(n->inputs + 1, sizeof(float));
        const struct tensor like = { .name = m->tensor->name,
                                     .dtype = DTYPE_F32,
                                     .rank = 1,
                                     .shape = { n->inputs },
                                     .count = n->inputs };

        prune_norms_roots(n, roots);
        delta_add_tensor(d, &like, roots);
    }
}

static void add_part(struct delta *d, const char *name, const char *suffix,
                     enum dtype dtype, size_t count, const void *data)
{
    AUTO(free_pointer) char *whole = xasprintf("%s.%s", name, suffix);
    const struct tensor like = { .name = whole,
                                 .dtype = dtype,
                                 .rank = 1,
                                 .shape = { count },
                                 .count = count };

    delta_add_tensor(d, &like, data);
}

/* Of the first matrix that reads it; without a triangle it could not be
 * factored. */
MUST_CHECK static struct status store_factor(const struct fit *fit,
                                             struct fit_inputs *in,
                                             struct delta *d)
{
    const char *name = fit->matrices[in->first].tensor->name;
    size_t bytes = prune_factor_packed(in->inputs);
    AUTO(free_pointer) float *packed = NULL;

    TRY_PLAIN(fit_need_factor(fit, in));
    add_part(d, name, "dead", DTYPE_U8, in->inputs, in->factor.dead);
    if (!in->factor.damped)
        return SUCCESS;
    packed = alloc_large(bytes);
    if (packed == NULL)
        return FAIL(STATUS_NO_MEMORY, "no memory for a factor of \"%s\"", name);
    prune_factor_pack(&in->factor, packed);
    add_part(d, name, "factor", DTYPE_F32, bytes / sizeof(float), packed);
    return SUCCESS;
}

static struct status found(struct prune_open *o, struct fit *fit)
{
    if (o->config.prune.method == PRUNE_WANDA)
        store_norms(fit, &o->delta);
    for (size_t i = 0;
         i < fit->input_count && o->config.prune.method == PRUNE_SPARSEGPT; i++)
        TRY_PLAIN(store_factor(fit, &fit->inputs[i], &o->delta));
    return SUCCESS;
}

static struct status run(const json_t *params, struct job_context *context,
                         json_t **ret_result)
{
    bool wanda = strcmp(json_text_or(params, "method", ""), "wanda") == 0;
    AUTO(prune_open_release)
    struct prune_open o = { .params = params,
                            .context = context,
                            .found = found };
    char artifact[DIGEST_TEXT];

    o.config = (struct fit_config){
        .prune = { .method = wanda ? PRUNE_WANDA : PRUNE_SPARSEGPT,
                   .include = json_object_get(params, "include"),
                   .exclude = json_object_get(params, "exclude") },
        .block = FIT_BLOCK,
        .damping = json_real_or(params, "damping", FIT_DAMPING),
        .dense = true,
        .looks = true,
    };
    TRY_PLAIN(prune_open(&o, "inputs"));
    TRY_PLAIN(prune_open_walk(&o));
    TRY_PLAIN(delta_store(&o.delta, context, artifact));
    *ret_result = json_pack("{s:s}", "artifact", artifact);
    return SUCCESS;
}

extern const struct job_kind job_prune_inputs;
const struct job_kind job_prune_inputs = {
    .catalog = { .name = "prune_inputs",
                 .summary = "sees what a dense model's matrices are fed; made "
                            "by `prune` for wanda and sparsegpt",
                 .sort = STAGE_ARTIFACT,
                 .keys = prune_keys },
    .run = run,
};
