/* prune_norms_kind.c -- the kind `prune_norms`: what the matrices of a dense
 * model are fed, whatever is pruned of them: one walk serves all sparsities
 * and patterns of Wanda with `flow: dense`. */
#include "common/memory.h"
#include "jobs/delta.h"
#include "jobs/job_kind.h"
#include "jobs/prune_body.h"
#include "jobs/prune_open.h"

/* Each matrix has norms of its own, also those that read the same. */
static void store(const struct fit *fit, struct delta *d)
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

MUST_CHECK static struct status see_section(struct prune_open *o,
                                            size_t section, struct delta *d)
{
    AUTO(fit_release) struct fit fit = { .inputs = NULL };

    TRY_PLAIN(fit_init(&fit, &o->config, o->model, o->targets, o->set, section,
                       o->context));
    TRY_PLAIN(prune_walk_through(&o->walk, section, section + 1 < o->sections,
                                 fit_look, &fit));
    store(&fit, d);
    return SUCCESS;
}

static struct status run(const json_t *params, struct job_context *context,
                         json_t **ret_result)
{
    AUTO(prune_open_release)
    struct prune_open o = { .params = params, .context = context };
    AUTO(delta_release) struct delta d = { .head = NULL };
    char artifact[DIGEST_TEXT];

    o.config = (struct fit_config){
        .prune = { .method = PRUNE_WANDA,
                   .include = json_object_get(params, "include"),
                   .exclude = json_object_get(params, "exclude") },
        .dense = true,
    };
    TRY_PLAIN(prune_open(&o));
    TRY_PLAIN(
        delta_init(&d, "norms", json_object_get(params, "model"), context));
    for (size_t s = 0; s < o.sections; s++) {
        TRY_PLAIN(prune_open_enter(&o, s));
        TRY_PLAIN(see_section(&o, s, &d));
        prune_open_leave(&o, s);
    }
    TRY_PLAIN(delta_store(&d, context, artifact));
    *ret_result = json_pack("{s:s}", "artifact", artifact);
    return SUCCESS;
}

extern const struct job_kind job_prune_norms;
const struct job_kind job_prune_norms = {
    .catalog = { .name = "prune_norms",
                 .summary = "sees what a dense model's matrices are fed; made "
                            "by `prune` for wanda",
                 .sort = STAGE_ARTIFACT,
                 .keys = prune_keys },
    .run = run,
};
