#include "jobs/merge/merge_method.h"

#include <string.h>

#include "jobs/merge/merge_breadcrumbs.h"
#include "jobs/merge/merge_della.h"
#include "jobs/merge/merge_kernel.h"
#include "jobs/merge/merge_mean.h"
#include "jobs/merge/merge_norms.h"
#include "jobs/merge/merge_pcb.h"
#include "jobs/merge/merge_sce.h"
#include "jobs/merge/merge_slerp.h"
#include "jobs/merge/merge_stock.h"
#include "jobs/merge/merge_survey.h"
#include "jobs/merge/merge_trim.h"

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
    [MERGE_T] = { "t", "how far from the first model to the second" },
    [MERGE_GAMMA] = { "gamma", "share of the largest deltas removed" },
    [MERGE_EPSILON] = { "epsilon", "how far keep probabilities go from the "
                                   "density, by rank" },
    [MERGE_SELECT_TOPK] = { "select_topk", "share of the elements kept that "
                                           "vary most between models" },
    [MERGE_SCALE] = { "scale", "factor of the model's tensors" },
};

static const char *const yes_or_no[] = { "false", "true", NULL };
static const char *const elect_words[] = { "mean", "sum", "max", NULL };
static const char *const scope_words[] = { "model", "tensor", NULL };

const struct merge_option_row merge_options[MERGE_OPTIONS] = {
    [MERGE_ELECT] = { "elect", elect_words,
                      "what becomes of elements with the elected sign" },
    [MERGE_SCOPE] = { "scope", scope_words,
                      "what order statistics are taken over" },
    [MERGE_FILTER_WISE] = { "filter_wise", yes_or_no,
                            "each row of a tensor by itself" },
    [MERGE_NUSLERP_FLATTEN] = { "nuslerp_flatten", yes_or_no,
                                "a tensor is one vector" },
    [MERGE_NUSLERP_ROW_WISE] = { "nuslerp_row_wise", yes_or_no,
                                 "not flattened: vectors along the first "
                                 "axis, else along the last" },
    [MERGE_REMOVE_FIRST] = { "remove_first", yes_or_no,
                             "the largest deltas go before the rest is "
                             "ranked" },
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
    { MERGE_DENSITY, true, false, false, true, true, SHARE, 1.0 },
    { MERGE_TRIM_DENSITY, false, false, true, true, true, SHARE, 0.2 },
    { MERGE_LAMBDA, false, false, false, false, true, ANY, 1.0 },
    END,
};
static const struct merge_choice elect_choices[] = {
    { MERGE_ELECT, 0 },
    { MERGE_OPTIONS, 0 },
};
/* q at 0.5 would leave nothing between the bounds. */
#define PCB_USES(quantile, ratio)                                    \
    { MERGE_RATIO, false, false, true, true, true, SHARE, (ratio) }, \
        { MERGE_CLAMP_QUANTILE,                                      \
          false,                                                     \
          false,                                                     \
          false,                                                     \
          true,                                                      \
          false,                                                     \
          0.0,                                                       \
          0.4,                                                       \
          (quantile) },                                              \
    {                                                                \
        MERGE_LAMBDA, true, false, false, false, true, ANY, 1.0      \
    }
static const struct merge_use pcb_uses[] = { PCB_USES(0.01, 0.1), END };
static const struct merge_use pcb_root_uses[] = { PCB_USES(0.0001, 0.1), END };
static const struct merge_use pcb_vision_uses[] = { PCB_USES(0.01, 0.05), END };
static const struct merge_choice pcb_choices[] = {
    { MERGE_SCOPE, 0 },
    { MERGE_OPTIONS, 0 },
};
static const struct merge_use dare_pcb_uses[] = {
    { MERGE_DENSITY, true, false, false, true, true, SHARE, 1.0 },
    PCB_USES(0.01, 0.1),
    END,
};

static const struct merge_use slerp_uses[] = {
    { MERGE_T, false, true, false, false, true, SHARE, 0.5 },
    END,
};
static const struct merge_use nuslerp_uses[] = {
    { MERGE_WEIGHT, true, true, false, false, true, ANY, 1.0 },
    END,
};
static const struct merge_choice nuslerp_choices[] = {
    { MERGE_NUSLERP_FLATTEN, true },
    { MERGE_NUSLERP_ROW_WISE, false },
    { MERGE_OPTIONS, 0 },
};
static const struct merge_use nearswap_uses[] = {
    { MERGE_T, false, true, false, false, true, 0.0, 1e6, 0.0 },
    END,
};
static const struct merge_use della_uses[] = {
    { MERGE_WEIGHT, true, true, false, false, true, ANY, 1.0 },
    { MERGE_DENSITY, true, false, false, false, true, SHARE, 1.0 },
    { MERGE_EPSILON, true, false, false, false, true, SHARE, 0.15 },
    { MERGE_LAMBDA, false, false, false, false, true, ANY, 1.0 },
    END,
};
static const struct merge_use breadcrumbs_uses[] = {
    { MERGE_WEIGHT, true, true, false, false, true, ANY, 1.0 },
    { MERGE_DENSITY, true, false, true, false, true, SHARE, 1.0 },
    { MERGE_GAMMA, true, false, false, false, true, SHARE, 0.01 },
    { MERGE_LAMBDA, false, false, false, false, true, ANY, 1.0 },
    END,
};
static const struct merge_choice crumb_rows_choices[] = {
    { MERGE_REMOVE_FIRST, true },
    { MERGE_OPTIONS, 0 },
};
static const struct merge_choice stock_choices[] = {
    { MERGE_FILTER_WISE, false },
    { MERGE_OPTIONS, 0 },
};
static const struct merge_use sce_uses[] = {
    { MERGE_SELECT_TOPK, false, false, true, false, true, SHARE, 1.0 },
    END,
};
static const struct merge_use passthrough_uses[] = {
    { MERGE_SCALE, true, false, false, false, true, ANY, 1.0 },
    END,
};

#define MERGELM  "MergeLM, model_merging_methods/merging_methods.py"
#define MERGEKIT "mergekit, merge_methods/generalized_task_arithmetic.py"

static const struct merge_survey *norms(const struct merge_step *step)
{
    return step->rescale == MERGE_RESCALE_L1 ? &merge_survey_norms : NULL;
}

static const struct merge_survey *largest(const struct merge_step *step)
{
    (void)step;
    return &merge_survey_largest;
}

static const struct merge_survey *above(const struct merge_step *step)
{
    (void)step;
    return &merge_survey_above;
}

static const struct merge_survey *original(const struct merge_step *step)
{
    (void)step;
    return &merge_survey_original;
}

static const struct merge_survey *mergelm(const struct merge_step *step)
{
    (void)step;
    return &merge_survey_mergelm;
}

static const struct merge_survey *pcb(const struct merge_step *step)
{
    enum { MODEL, TENSOR }; /* words of the option */

    return step->options[MERGE_SCOPE] == TENSOR ? &merge_survey_pcb_tensors
                                                : &merge_survey_pcb;
}

static const struct merge_survey *slerp(const struct merge_step *step)
{
    (void)step;
    return &merge_survey_slerp;
}

static const struct merge_survey *della(const struct merge_step *step)
{
    (void)step;
    return &merge_survey_della;
}

static const struct merge_survey *breadcrumbs(const struct merge_step *step)
{
    (void)step;
    return &merge_survey_breadcrumbs;
}

static const struct merge_survey *crumb_rows(const struct merge_step *step)
{
    (void)step;
    return &merge_survey_crumb_rows;
}

static const struct merge_survey *sce(const struct merge_step *step)
{
    (void)step;
    return &merge_survey_sce;
}

static enum merge_cut rows(const struct merge_step *step)
{
    (void)step;
    return MERGE_CUT_ROWS;
}

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
      .narrow = true,
      .combine = merge_combine_sum,
      .combine_points = merge_combine_sum_points },
    { .name = "magnitude_linear",
      .summary = "drop the smallest of each tensor, add weighted task vectors",
      .formula = "b + lambda sum w_i m_i d_i, m_i: |d_i| above number "
                 "int((1 - density) D) (MergeLM, "
                 "model_merging_methods/mask_weights_utils.py)",
      .base = true,
      .least_models = 1,
      .normalize = MERGE_RAW,
      .uses = dare_uses,
      .counts = "an order statistic of each |d|, by tensor",
      .survey = above,
      .narrow = true,
      .combine = merge_combine_trimmed,
      .combine_points = merge_combine_trimmed_points },
    { .name = "ties",
      .variant = "mergekit",
      .summary = "trim each tensor, elect signs, merge what agrees",
      .formula = "b + lambda sum m_i w_i d_i / sum m_i w_i (" MERGEKIT ")",
      .base = true,
      .least_models = 1,
      .normalize = MERGE_NORMALIZED,
      .uses = ties_uses,
      .counts = "an order statistic of each |d|, by tensor",
      .survey = largest,
      .narrow = true,
      .combine = merge_combine_elect,
      .combine_points = merge_combine_elect_points },
    { .name = "ties",
      .variant = "original",
      .summary = "trim the whole model, elect signs, merge what agrees",
      .formula = "b + lambda mean{d_i: kept, sign elected} (ties-merging, "
                 "src/ties_minimal.ipynb; `elect`: sum or max instead)",
      .base = true,
      .least_models = 1,
      .uses = ties_global_uses,
      .choices = elect_choices,
      .counts =
          "an order statistic of each |d| and the sum of signs, of the model",
      .survey = original,
      .narrow = true,
      .combine = merge_combine_majority,
      .combine_points = merge_combine_majority_points },
    { .name = "ties",
      .variant = "mergelm",
      .summary = "trim the whole model, elect signs, mean of what agrees",
      .formula = "b + lambda mean{d_i: kept, sign elected} (" MERGELM ")",
      .base = true,
      .least_models = 1,
      .uses = ties_global_uses,
      .counts =
          "an order statistic of each |d| and the sum of signs, of the model",
      .survey = mergelm,
      .narrow = true,
      .combine = merge_combine_majority,
      .combine_points = merge_combine_majority_points },
    { .name = "dare_linear",
      .summary = "drop elements at random, rescale, add weighted task vectors",
      .formula =
          "b + lambda sum w_i r_i m_i d_i (arXiv:2311.03099; " MERGEKIT ")",
      .base = true,
      .draws = true,
      .rescales = true,
      .l1 = true,
      .rescale = MERGE_RESCALE_PAPER,
      .least_models = 1,
      .normalize = MERGE_RAW,
      .uses = dare_uses,
      .counts =
          "with rescale_rule l1: L1 norms before and after the drop, by tensor",
      .survey = norms,
      .narrow = true,
      .combine = merge_combine_sum,
      .combine_points = merge_combine_sum_points },
    { .name = "dare_ties",
      .variant = "mergekit",
      .summary = "drop elements at random, rescale, elect signs",
      .formula = "b + lambda sum{w_i r_i m_i d_i: sign elected} (" MERGEKIT ")",
      .base = true,
      .draws = true,
      .rescales = true,
      .l1 = true,
      .rescale = MERGE_RESCALE_PAPER,
      .least_models = 1,
      .normalize = MERGE_RAW,
      .uses = dare_uses,
      .counts =
          "with rescale_rule l1: L1 norms before and after the drop, by tensor",
      .survey = norms,
      .narrow = true,
      .combine = merge_combine_elect,
      .combine_points = merge_combine_elect_points },
    { .name = "dare_ties",
      .variant = "mergelm",
      .summary = "drop at random, rescale, then TIES over the whole model",
      .formula = "ties/mergelm of r_i m_i d_i (" MERGELM ")",
      .base = true,
      .draws = true,
      .rescales = true,
      .rescale = MERGE_RESCALE_PAPER,
      .least_models = 1,
      .uses = dare_global_uses,
      .counts =
          "an order statistic of each |d| and the sum of signs, of the model",
      .survey = mergelm,
      .narrow = true,
      .combine = merge_combine_majority,
      .combine_points = merge_combine_majority_points },
    { .name = "pcb",
      .variant = "nlp",
      .summary = "parameter competition balancing over the whole model",
      .formula = "b + sum l_i c_i g_i / sum g_i (pcb-merging, "
                 "nlp_source_code/utils/merge_utils.py)",
      .base = true,
      .least_models = 1,
      .uses = pcb_uses,
      .choices = pcb_choices,
      .counts = "two order statistics of each |d|, then one of the scores and "
                "their maximum",
      .survey = pcb,
      .combine = merge_combine_pcb,
      .combine_points = merge_combine_pcb_points },
    { .name = "pcb",
      .variant = "root",
      .summary = "the same with the clip of the method's own listing",
      .formula = "b + sum l_i c_i g_i / sum g_i (pcb-merging, pcb-merging.py)",
      .base = true,
      .least_models = 1,
      .uses = pcb_root_uses,
      .choices = pcb_choices,
      .counts = "two order statistics of each |d|, then one of the scores and "
                "their maximum",
      .survey = pcb,
      .combine = merge_combine_pcb,
      .combine_points = merge_combine_pcb_points },
    { .name = "pcb",
      .variant = "vision",
      .summary = "scores by the signs of the other models and their strength",
      .formula = "pcb with tanh(d_i sum_j sign(d_j) z_j) (pcb-merging, "
                 "vision_source_code/src/pcb.py)",
      .base = true,
      .least_models = 1,
      .uses = pcb_vision_uses,
      .choices = pcb_choices,
      .counts = "two order statistics of each |d|, then one of the scores and "
                "their maximum",
      .survey = pcb,
      .combine = merge_combine_pcb,
      .combine_points = merge_combine_pcb_points },
    { .name = "pcb",
      .variant = "es",
      .summary = "scores against each other model; for searched lambdas",
      .formula = "pcb with sum_j tanh(sign(d_i d_j) z_i z_j) (pcb-merging, "
                 "vision_source_code/src/pcb_ES.py)",
      .base = true,
      .least_models = 1,
      .uses = pcb_vision_uses,
      .choices = pcb_choices,
      .counts = "two order statistics of each |d|, then one of the scores and "
                "their maximum",
      .survey = pcb,
      .combine = merge_combine_pcb,
      .combine_points = merge_combine_pcb_points },
    { .name = "dare_pcb",
      .variant = "nlp",
      .summary = "drop elements at random, rescale, then PCB",
      .formula = "pcb/nlp of r_i m_i d_i (arXiv:2410.02396)",
      .base = true,
      .draws = true,
      .rescales = true,
      .rescale = MERGE_RESCALE_PAPER,
      .least_models = 1,
      .uses = dare_pcb_uses,
      .choices = pcb_choices,
      .counts = "two order statistics of each |d|, then one of the scores and "
                "their maximum",
      .survey = pcb,
      .combine = merge_combine_pcb,
      .combine_points = merge_combine_pcb_points },
    { .name = "slerp",
      .summary = "along the arc from the base to another model",
      .formula = "(sin((1 - t) a) b + sin(t a) t_1) / sin a, a the angle "
                 "between them (mergekit, merge_methods/slerp.py)",
      .base_is_model = true,
      .least_models = 2,
      .most_models = 2,
      .uses = slerp_uses,
      .counts = "dot products, by tensor",
      .survey = slerp,
      .combine = merge_combine_slerp },
    { .name = "nuslerp",
      .summary = "along the arc between two models or their task vectors",
      .formula = "b + slerp(d_1, d_2, w_2 / (w_1 + w_2)), of weights without "
                 "a base (mergekit, merge_methods/nuslerp.py)",
      .base_optional = true,
      .least_models = 2,
      .most_models = 2,
      .uses = nuslerp_uses,
      .choices = nuslerp_choices,
      .cut = merge_nuslerp_cut,
      .counts = "dot products, by tensor or column; by row as it goes",
      .survey = merge_nuslerp_survey,
      .combine = merge_combine_nuslerp,
      .combine_points = merge_combine_nuslerp_points },
    { .name = "nearswap",
      .summary = "from the base to another model where they are near",
      .formula = "b + w (t_1 - b), w = min(t / max(|t_1 - b|, 1e-6), 1) "
                 "(mergekit, merge_methods/nearswap.py)",
      .base_is_model = true,
      .least_models = 2,
      .most_models = 2,
      .uses = nearswap_uses,
      .combine = merge_combine_nearswap },
    { .name = "della",
      .variant = "mergekit",
      .summary = "drop at random, small deltas of a row more often, elect "
                 "signs, keep the L1 norm",
      .formula = "b + lambda sum m_i w_i d_i / sum m_i w_i of r_i k_i d_i "
                 "(arXiv:2406.11617; mergekit, sparsify.py)",
      .base = true,
      .draws = true,
      .rescales = true,
      .l1 = true,
      .rescale = MERGE_RESCALE_L1,
      .least_models = 1,
      .normalize = MERGE_NORMALIZED,
      .uses = della_uses,
      .misfit = merge_della_misfit,
      .cut = rows,
      .counts =
          "with rescale_rule l1: L1 norms before and after the drop, by tensor",
      .survey = della,
      .combine = merge_combine_della,
      .combine_points = merge_combine_della_points },
    { .name = "della",
      .variant = "authors",
      .summary = "the same, each delta divided by its own keep probability",
      .formula = "b + lambda sum m_i w_i d_i / sum m_i w_i of k_i d_i / p_i "
                 "(arXiv:2406.11617; della, mergekit/sparsify.py)",
      .base = true,
      .draws = true,
      .rescales = true,
      .l1 = true,
      .rescale = MERGE_RESCALE_PAPER,
      .least_models = 1,
      .normalize = MERGE_NORMALIZED,
      .uses = della_uses,
      .misfit = merge_della_misfit,
      .cut = rows,
      .counts =
          "with rescale_rule l1: L1 norms before and after the drop, by tensor",
      .survey = della,
      .combine = merge_combine_della,
      .combine_points = merge_combine_della_points },
    { .name = "della_linear",
      .variant = "mergekit",
      .summary = "drop at random, small deltas of a row more often, keep the "
                 "L1 norm",
      .formula = "b + lambda sum w_i r_i k_i d_i (arXiv:2406.11617; mergekit, "
                 "sparsify.py)",
      .base = true,
      .draws = true,
      .rescales = true,
      .l1 = true,
      .rescale = MERGE_RESCALE_L1,
      .least_models = 1,
      .normalize = MERGE_RAW,
      .uses = della_uses,
      .misfit = merge_della_misfit,
      .cut = rows,
      .counts =
          "with rescale_rule l1: L1 norms before and after the drop, by tensor",
      .survey = della,
      .combine = merge_combine_della_linear,
      .combine_points = merge_combine_della_linear_points },
    { .name = "della_linear",
      .variant = "authors",
      .summary = "the same, each delta divided by its own keep probability",
      .formula = "b + lambda sum w_i k_i d_i / p_i (arXiv:2406.11617; della, "
                 "mergekit/sparsify.py)",
      .base = true,
      .draws = true,
      .rescales = true,
      .l1 = true,
      .rescale = MERGE_RESCALE_PAPER,
      .least_models = 1,
      .normalize = MERGE_RAW,
      .uses = della_uses,
      .misfit = merge_della_misfit,
      .cut = rows,
      .counts =
          "with rescale_rule l1: L1 norms before and after the drop, by tensor",
      .survey = della,
      .combine = merge_combine_della_linear,
      .combine_points = merge_combine_della_linear_points },
    { .name = "breadcrumbs",
      .variant = "mergekit",
      .summary = "without the largest and smallest deltas of each tensor",
      .formula = "b + lambda sum w_i k_i d_i (arXiv:2312.06795; mergekit, "
                 "sparsify.py)",
      .base = true,
      .least_models = 1,
      .normalize = MERGE_RAW,
      .uses = breadcrumbs_uses,
      .counts = "two order statistics of each |d|, by tensor",
      .survey = breadcrumbs,
      .combine = merge_combine_breadcrumbs },
    { .name = "breadcrumbs",
      .variant = "authors",
      .summary = "without the largest and smallest deltas of each row",
      .formula = "b + lambda sum w_i k_i d_i (arXiv:2312.06795; breadcrumbs, "
                 "src/task_vectors.py)",
      .base = true,
      .least_models = 1,
      .normalize = MERGE_RAW,
      .uses = breadcrumbs_uses,
      .choices = crumb_rows_choices,
      .cut = rows,
      .counts = "order statistics of each |d|, by row",
      .survey = crumb_rows,
      .combine = merge_combine_crumb_rows,
      .combine_points = merge_combine_crumb_rows_points },
    { .name = "breadcrumbs_ties",
      .summary = "without the largest and smallest deltas, elect signs",
      .formula = "b + lambda sum{w_i k_i d_i: sign elected} (" MERGEKIT ")",
      .base = true,
      .least_models = 1,
      .normalize = MERGE_RAW,
      .uses = breadcrumbs_uses,
      .counts = "two order statistics of each |d|, by tensor",
      .survey = breadcrumbs,
      .combine = merge_combine_breadcrumbs_ties },
    { .name = "model_stock",
      .summary = "towards the mean as far as task vectors point the same way",
      .formula = "r mean(t_i) + (1 - r) b, r = n c / (1 + (n - 1) c), c the "
                 "mean cosine (arXiv:2403.19522; mergekit, "
                 "merge_methods/model_stock.py)",
      .base = true,
      .least_models = 2,
      .uses = no_uses,
      .choices = stock_choices,
      .cut = merge_stock_cut,
      .counts = "dot products of all pairs, by tensor; by row as it goes",
      .survey = merge_stock_survey,
      .combine = merge_combine_stock },
    { .name = "sce",
      .summary = "deltas that vary most, weighted by their squares",
      .formula = "b + sum m_i w_i d_i / sum m_i w_i, w_i = |d_i|^2 / sum "
                 "|d_j|^2 (arXiv:2408.07990; mergekit, merge_methods/sce.py)",
      .base = true,
      .least_models = 1,
      .uses = sce_uses,
      .counts = "variances over the models, their order statistic, mean "
                "squares of what is selected, by tensor",
      .survey = sce,
      .combine = merge_combine_sce,
      .combine_points = merge_combine_sce_points },
    { .name = "passthrough",
      .summary = "one model as it is, or scaled",
      .formula = "s t_1 (mergekit, merge_methods/passthrough.py)",
      .least_models = 1,
      .most_models = 1,
      .uses = passthrough_uses,
      .combine = merge_combine_scaled },
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

const struct merge_choice *merge_method_choice(const struct merge_method *m,
                                               enum merge_option option)
{
    const struct merge_choice *choice = m->choices;

    while (choice != NULL && choice->option != MERGE_OPTIONS) {
        if (choice->option == option)
            return choice;
        choice++;
    }
    return NULL;
}
