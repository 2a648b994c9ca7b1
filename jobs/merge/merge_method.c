#include "jobs/merge/merge_method.h"

#include <string.h>

#include "jobs/merge/merge_kernel.h"
#include "jobs/merge/merge_pcb.h"
#include "jobs/merge/merge_survey.h"

const struct merge_parameter_row merge_parameters[MERGE_PARAMETERS] = {
    [MERGE_WEIGHT] = { "weight", "how much of this model is taken" },
    [MERGE_DENSITY] = { "density", "share of a task vector that is kept; "
                                   "1 - density is the drop rate" },
    [MERGE_LAMBDA] = { "lambda", "scale of the merged task vector" },
    [MERGE_TRIM_DENSITY] = { "trim_density",
                             "share kept by magnitude after the random drop" },
    [MERGE_RATIO] = { "ratio", "share of elements that win the competition" },
    [MERGE_CLAMP_QUANTILE] = { "clamp_quantile",
                               "share of magnitudes clipped at either end" },
};

/* Wider than anything that makes sense, but finite in float32 sums. */
#define ANY   -1e6, 1e6
#define SHARE 0.0, 1.0

#define END         \
    {               \
        .most = 0.0 \
    }

static const struct merge_use linear_uses[] = {
    { MERGE_WEIGHT, true, false, false, false, true, ANY, 1.0 },
    END,
};
static const struct merge_use no_uses[] = { END };
static const struct merge_use arithmetic_uses[] = {
    { MERGE_WEIGHT, true, true, false, false, true, ANY, 1.0 },
    { MERGE_LAMBDA, false, false, false, false, true, ANY, 1.0 },
    END,
};
static const struct merge_use ties_uses[] = {
    { MERGE_WEIGHT, true, true, false, false, true, ANY, 1.0 },
    { MERGE_DENSITY, true, false, true, false, true, SHARE, 1.0 },
    { MERGE_LAMBDA, false, false, false, false, true, ANY, 1.0 },
    END,
};
static const struct merge_use ties_global_uses[] = {
    { MERGE_DENSITY, true, false, true, true, true, SHARE, 0.2 },
    { MERGE_LAMBDA, false, false, false, false, true, ANY, 1.0 },
    END,
};
static const struct merge_use dare_uses[] = {
    { MERGE_WEIGHT, true, true, false, false, true, ANY, 1.0 },
    { MERGE_DENSITY, true, false, false, false, true, SHARE, 1.0 },
    { MERGE_LAMBDA, false, false, false, false, true, ANY, 1.0 },
    END,
};
static const struct merge_use dare_global_uses[] = {
    { MERGE_DENSITY, true, false, false, false, true, SHARE, 1.0 },
    { MERGE_TRIM_DENSITY, false, false, true, true, true, SHARE, 0.2 },
    { MERGE_LAMBDA, false, false, false, false, true, ANY, 1.0 },
    END,
};
/* q at 0.5 would leave nothing between the bounds. */
#define PCB_USES(quantile)                                       \
    { MERGE_RATIO, false, false, true, true, true, SHARE, 0.1 }, \
        { MERGE_CLAMP_QUANTILE,                                  \
          false,                                                 \
          false,                                                 \
          false,                                                 \
          true,                                                  \
          false,                                                 \
          0.0,                                                   \
          0.4,                                                   \
          (quantile) },                                          \
    {                                                            \
        MERGE_LAMBDA, true, false, false, false, true, ANY, 1.0  \
    }
static const struct merge_use pcb_uses[] = { PCB_USES(0.01), END };
static const struct merge_use pcb_root_uses[] = { PCB_USES(0.0001), END };
static const struct merge_use dare_pcb_uses[] = {
    { MERGE_DENSITY, true, false, false, false, true, SHARE, 1.0 },
    PCB_USES(0.01),
    END,
};

#define MERGELM  "MergeLM, model_merging_methods/merging_methods.py"
#define MERGEKIT "mergekit, merge_methods/generalized_task_arithmetic.py"

const struct merge_method merge_methods[] = {
    { .name = "linear",
      .summary = "weighted mean of models",
      .formula = "sum w_i t_i / sum w_i (mergekit, merge_methods/linear.py)",
      .least_models = 1,
      .normalize = MERGE_NORMALIZED,
      .uses = linear_uses,
      .combine = merge_combine_linear },
    { .name = "average",
      .summary = "uniform mean of models",
      .formula = "sum t_i / n (" MERGELM ")",
      .least_models = 1,
      .uses = no_uses,
      .combine = merge_combine_average },
    { .name = "task_arithmetic",
      .summary = "base plus weighted task vectors",
      .formula = "b + lambda sum w_i d_i (" MERGELM "; " MERGEKIT ")",
      .base = true,
      .least_models = 1,
      .normalize = MERGE_RAW,
      .uses = arithmetic_uses,
      .combine = merge_combine_sum },
    { .name = "ties",
      .variant = "mergekit",
      .summary = "trim each tensor, elect signs, merge what agrees",
      .formula = "b + lambda sum m_i w_i d_i / sum m_i w_i (" MERGEKIT ")",
      .base = true,
      .least_models = 1,
      .normalize = MERGE_NORMALIZED,
      .uses = ties_uses,
      .survey = &merge_survey_trim,
      .combine = merge_combine_ties },
    { .name = "ties",
      .variant = "mergelm",
      .summary = "trim the whole model, elect signs, mean of what agrees",
      .formula = "b + lambda mean{d_i: kept, sign elected} (" MERGELM ")",
      .base = true,
      .least_models = 1,
      .uses = ties_global_uses,
      .survey = &merge_survey_global,
      .combine = merge_combine_ties_mean },
    { .name = "dare_linear",
      .summary = "drop elements at random, rescale, add weighted task vectors",
      .formula =
          "b + lambda sum w_i r_i m_i d_i (arXiv:2311.03099; " MERGEKIT ")",
      .base = true,
      .draws = true,
      .least_models = 1,
      .normalize = MERGE_RAW,
      .uses = dare_uses,
      .combine = merge_combine_sum },
    { .name = "dare_ties",
      .variant = "mergekit",
      .summary = "drop elements at random, rescale, elect signs",
      .formula = "b + lambda sum{w_i r_i m_i d_i: sign elected} (" MERGEKIT ")",
      .base = true,
      .draws = true,
      .least_models = 1,
      .normalize = MERGE_RAW,
      .uses = dare_uses,
      .combine = merge_combine_elect },
    { .name = "dare_ties",
      .variant = "mergelm",
      .summary = "drop at random, rescale, then TIES over the whole model",
      .formula = "ties/mergelm of r_i m_i d_i (" MERGELM ")",
      .base = true,
      .draws = true,
      .least_models = 1,
      .uses = dare_global_uses,
      .survey = &merge_survey_global,
      .combine = merge_combine_ties_mean },
    { .name = "pcb",
      .variant = "nlp",
      .summary = "parameter competition balancing over the whole model",
      .formula = "b + sum l_i c_i g_i / sum g_i (pcb-merging, "
                 "nlp_source_code/utils/merge_utils.py)",
      .base = true,
      .least_models = 1,
      .uses = pcb_uses,
      .survey = &merge_survey_pcb,
      .combine = merge_combine_pcb },
    { .name = "pcb",
      .variant = "root",
      .summary = "the same with the clip of the method's own listing",
      .formula = "b + sum l_i c_i g_i / sum g_i (pcb-merging, pcb-merging.py)",
      .base = true,
      .least_models = 1,
      .uses = pcb_root_uses,
      .survey = &merge_survey_pcb,
      .combine = merge_combine_pcb },
    { .name = "dare_pcb",
      .variant = "nlp",
      .summary = "drop elements at random, rescale, then PCB",
      .formula = "pcb/nlp of r_i m_i d_i (arXiv:2410.02396)",
      .base = true,
      .draws = true,
      .least_models = 1,
      .uses = dare_pcb_uses,
      .survey = &merge_survey_pcb,
      .combine = merge_combine_pcb },
    { .name = NULL },
};

const struct merge_method *merge_method_find(const char *name,
                                             const char *variant)
{
    for (const struct merge_method *m = merge_methods; m->name != NULL; m++) {
        if (strcmp(m->name, name) != 0)
            continue;
        if (variant == NULL ||
            (m->variant != NULL && strcmp(m->variant, variant) == 0))
            return m;
    }
    return NULL;
}

const struct merge_use *merge_method_use(const struct merge_method *method,
                                         enum merge_parameter parameter)
{
    for (const struct merge_use *use = method->uses; use->most > 0.0; use++) {
        if (use->parameter == parameter)
            return use;
    }
    return NULL;
}
