#include "jobs/job_kind.h"

#include <string.h>

extern const struct job_kind job_merge;
extern const struct job_kind job_merge_count;
extern const struct job_kind job_merge_settle;
extern const struct job_kind job_prune;
extern const struct job_kind job_prune_fit;
extern const struct job_kind job_prune_inputs;
extern const struct job_kind job_soup;
extern const struct job_kind job_train;
extern const struct job_kind job_retrain;
extern const struct job_kind job_select;
extern const struct job_kind job_evaluate_perplexity;
extern const struct job_kind job_evaluate_accuracy;
extern const struct job_kind job_evaluate_error;
extern const struct job_kind job_evaluate_lmc;
extern const struct job_kind job_evaluate_cka;
extern const struct job_kind job_evaluate_footprint;
extern const struct job_kind job_evaluate_command;
extern const struct job_kind job_evaluate_noop;
extern const struct job_kind job_evaluate_verify;
extern const struct job_kind job_export;
extern const struct job_kind job_select_samples;
extern const struct job_kind job_select_hidden;
extern const struct job_kind job_select_encode;
extern const struct job_kind job_select_embed;
extern const struct job_kind job_select_spectrum;
extern const struct job_kind job_select_clusters;
extern const struct job_kind job_select_jsd;
extern const struct job_kind job_select_ifd;
extern const struct job_kind job_select_length;

/* In the order in which `sinter` lists them. */
const struct job_kind *const job_kinds[] = {
    &job_merge,
    &job_prune,
    &job_soup,
    &job_train,
    &job_retrain,
    &job_select,
    &job_evaluate_perplexity,
    &job_evaluate_accuracy,
    &job_evaluate_error,
    &job_evaluate_lmc,
    &job_evaluate_cka,
    &job_evaluate_footprint,
    &job_evaluate_command,
    &job_evaluate_noop,
    &job_evaluate_verify,
    &job_export,
    &job_merge_count,
    &job_merge_settle,
    &job_prune_fit,
    &job_prune_inputs,
    &job_select_samples,
    &job_select_hidden,
    &job_select_encode,
    &job_select_embed,
    &job_select_spectrum,
    &job_select_clusters,
    &job_select_jsd,
    &job_select_ifd,
    &job_select_length,
    NULL,
};

/* Addresses of the same rows, as the compiler of sweeps wants them. */
static const struct catalog_kind *const catalog_kinds[] = {
    &job_merge.catalog,
    &job_prune.catalog,
    &job_soup.catalog,
    &job_train.catalog,
    &job_retrain.catalog,
    &job_select.catalog,
    &job_evaluate_perplexity.catalog,
    &job_evaluate_accuracy.catalog,
    &job_evaluate_error.catalog,
    &job_evaluate_lmc.catalog,
    &job_evaluate_cka.catalog,
    &job_evaluate_footprint.catalog,
    &job_evaluate_command.catalog,
    &job_evaluate_noop.catalog,
    &job_evaluate_verify.catalog,
    &job_export.catalog,
    &job_merge_count.catalog,
    &job_merge_settle.catalog,
    &job_prune_fit.catalog,
    &job_prune_inputs.catalog,
    &job_select_samples.catalog,
    &job_select_hidden.catalog,
    &job_select_encode.catalog,
    &job_select_embed.catalog,
    &job_select_spectrum.catalog,
    &job_select_clusters.catalog,
    &job_select_jsd.catalog,
    &job_select_ifd.catalog,
    &job_select_length.catalog,
    NULL,
};
_Static_assert(COUNT_OF(job_kinds) == COUNT_OF(catalog_kinds),
               "each kind stands in both tables");

const struct job_kind *job_kind_find(const char *name)
{
    for (const struct job_kind *const *kind = job_kinds; *kind != NULL;
         kind++) {
        if (strcmp((*kind)->catalog.name, name) == 0)
            return *kind;
    }
    return NULL;
}

const struct catalog *job_catalog(void)
{
    static const struct catalog catalog = { .kinds = catalog_kinds };

    return &catalog;
}
