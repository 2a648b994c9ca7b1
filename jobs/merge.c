/* merge.c -- the kind `merge`: a mergekit configuration as the body of a
 * stage. It is lazy: jobs/recipe.c realises it in the job that reads the
 * model. */
#include "jobs/job_kind.h"
#include "jobs/merge/merge_body.h"
#include "jobs/merge/merge_method.h"
#include "jobs/merge/merge_parts.h"

/* Words and names of the tables of merge_method.c; a test compares them. */
static const char *const method_words[] = {
    "linear",      "average",      "task_arithmetic", "ties",
    "dare_linear", "dare_ties",    "dare_pcb",        "magnitude_linear",
    "pcb",         "slerp",        "nuslerp",         "nearswap",
    "della",       "della_linear", "breadcrumbs",     "breadcrumbs_ties",
    "model_stock", "sce",          "passthrough",     NULL,
};
static const char *const elect_words[] = { "mean", "sum", "max", NULL };
static const char *const scope_words[] = { "model", "tensor", NULL };
static const char *const dtype_words[] = { "float32", "float16", "bfloat16",
                                           NULL };
static const char *const mismatch_words[] = { "error", "submatrix", "skip",
                                              NULL };
static const char *const rescale_words[] = { "paper", "l1", "none", NULL };
static const char *const flag_words[] = { "false", "true", NULL };
static const char *const tokenizer_words[] = { "base", "union", NULL };

#define DEPTH(name_, help_)                                 \
    {                                                       \
        .name = (name_), .type = KEY_DEPTH, .help = (help_) \
    }
#define SHARE(name_, help_)                                            \
    {                                                                  \
        .name = (name_), .type = KEY_DEPTH, .least = 0.0, .most = 1.0, \
        .help = (help_)                                                \
    }
#define BOOL(name_, help_)                                 \
    {                                                      \
        .name = (name_), .type = KEY_BOOL, .help = (help_) \
    }
#define WORD(name_, words_, help_)                                            \
    {                                                                         \
        .name = (name_), .type = KEY_WORD, .words = (words_), .help = (help_) \
    }

/* Any level may hold any of them, as in mergekit; what a method does not know
 * means nothing to it. */
static const struct catalog_key parameter_keys[] = {
    DEPTH("weight", "how much of a model is taken"),
    DEPTH("density", "share of a task vector that is kept"),
    DEPTH("lambda", "scale of the merged task vector (pcb: of a model's)"),
    SHARE("trim_density", "kept by magnitude after a drop (dare_ties/mergelm)"),
    SHARE("ratio", "share of elements that win (pcb)"),
    SHARE("clamp_quantile", "magnitudes clipped at either end (pcb)"),
    DEPTH("t", "how far from the base to the other model (slerp, nearswap)"),
    DEPTH("gamma", "share of the largest differences removed (breadcrumbs)"),
    DEPTH("epsilon", "how far keep probabilities go from the density (della)"),
    DEPTH("select_topk", "share of the elements that vary most (sce)"),
    DEPTH("scale", "factor of a model's tensors (passthrough)"),
    { .name = "normalize",
      .type = KEY_DEPTH,
      .words = flag_words,
      .help = "divide by the sum of the weights" },
    BOOL("rescale", "make up for what a random drop took away"),
    WORD("rescale_rule", rescale_words,
         "paper: / density; l1: keep the L1 norm of each tensor"),
    WORD("elect", elect_words, "what is made of those that agree (ties)"),
    WORD("scope", scope_words, "thresholds of the model or a tensor (pcb)"),
    BOOL("filter_wise", "each row by itself (model_stock)"),
    BOOL("nuslerp_flatten", "a tensor is one vector (nuslerp)"),
    BOOL("nuslerp_row_wise", "vectors along the first axis, else the last"),
    BOOL("remove_first", "drop the largest before the rest (breadcrumbs)"),
    BOOL("int8_mask", "of mergekit; changes memory only, so it is accepted"),
    { .name = NULL },
};

#define PARAMETERS(help_)                                              \
    {                                                                  \
        .name = "parameters", .type = KEY_MAP, .keys = parameter_keys, \
        .help = (help_)                                                \
    }

static const struct catalog_key model_keys[] = {
    { .name = "model",
      .type = KEY_MODEL,
      .required = true,
      .help = "a fine-tune of the base" },
    PARAMETERS("numbers of this model"),
    { .name = NULL },
};
static const struct catalog_key model_row[] = {
    { .name = "*",
      .type = KEY_MAP,
      .keys = model_keys,
      .help = "a model and its numbers" },
    { .name = NULL },
};

static const struct catalog_key layer_row[] = {
    { .name = "*",
      .type = KEY_INTEGER,
      .least = 0,
      .most = INT32_MAX,
      .help = "number of a layer, from 0" },
    { .name = NULL },
};
static const struct catalog_key source_keys[] = {
    { .name = "model",
      .type = KEY_MODEL,
      .required = true,
      .help = "whose layers" },
    { .name = "layer_range",
      .type = KEY_LIST,
      .required = true,
      .keys = layer_row,
      .help = "[from, to): the first layer, and the first that is not taken" },
    PARAMETERS("numbers of this model in this slice"),
    { .name = NULL },
};
static const struct catalog_key source_row[] = {
    { .name = "*",
      .type = KEY_MAP,
      .keys = source_keys,
      .help = "layers of a model" },
    { .name = NULL },
};
static const struct catalog_key slice_keys[] = {
    { .name = "sources",
      .type = KEY_LIST,
      .required = true,
      .keys = source_row,
      .help = "layers that are merged with each other" },
    { .name = "base_model",
      .type = KEY_MODEL,
      .help = "of this slice, one of its sources" },
    PARAMETERS("numbers of this slice"),
    { .name = NULL },
};
static const struct catalog_key slice_row[] = {
    { .name = "*",
      .type = KEY_MAP,
      .keys = slice_keys,
      .help = "a run of layers of the result" },
    { .name = NULL },
};

#define MODELS                                                 \
    {                                                          \
        .name = "models", .type = KEY_LIST, .keys = model_row, \
        .help = "whole models that are merged"                 \
    }
#define SLICES                                                     \
    {                                                              \
        .name = "slices", .type = KEY_LIST, .keys = slice_row,     \
        .help = "the result from bottom to top, in runs of layers" \
    }

static const struct catalog_key module_keys[] = {
    MODELS,
    SLICES,
    PARAMETERS("numbers of the module"),
    { .name = NULL },
};
static const struct catalog_key module_row[] = {
    { .name = "*",
      .type = KEY_MAP,
      .keys = module_keys,
      .help = "models or slices of the module" },
    { .name = NULL },
};

static const struct catalog_key tokenizer_keys[] = {
    { .name = "source",
      .type = KEY_MODEL,
      .words = tokenizer_words,
      .help = "as tokenizer_source" },
    { .name = "tokens",
      .type = KEY_ANY,
      .help = "refused: embeddings are not chosen token by token" },
    { .name = "pad_to_multiple_of",
      .type = KEY_ANY,
      .help = "refused: there is a row for each token and no more" },
    { .name = NULL },
};

static const struct catalog_key name_row[] = {
    { .name = "*", .type = KEY_TEXT, .help = "a part of a tensor's name" },
    { .name = NULL },
};

static const struct catalog_key statistics_keys[] = {
    { .name = "parts",
      .type = KEY_INTEGER,
      .least = 0,
      .most = MERGE_PARTS,
      .help = "jobs that count; 0: the one that needs the model does" },
    { .name = NULL },
};

const struct catalog_key merge_keys[] = {
    { .name = "merge_method",
      .type = KEY_WORD,
      .required = true,
      .words = method_words,
      .help = "how models become one" },
    { .name = "variant",
      .type = KEY_TEXT,
      .help = "whose form of the method: mergekit, mergelm, nlp, root" },
    { .name = "base_model",
      .type = KEY_MODEL,
      .help = "what the models were fine-tuned from" },
    MODELS,
    SLICES,
    { .name = "modules",
      .type = KEY_MAP_OF,
      .keys = module_row,
      .help = "one module with models or slices of its own" },
    PARAMETERS("numbers of the merge"),
    WORD("dtype", dtype_words,
         "of the result; sums are float32 or wider in any case"),
    WORD("out_dtype", dtype_words, "the same, and goes before dtype"),
    { .name = "tokenizer_source",
      .type = KEY_MODEL,
      .words = tokenizer_words,
      .help = "base, union or a model: whose tokens the result has" },
    { .name = "tokenizer",
      .type = KEY_MAP,
      .keys = tokenizer_keys,
      .help = "the longer form of tokenizer_source" },
    { .name = "chat_template",
      .type = KEY_TEXT,
      .help = "auto: the first there is; none; or the template itself" },
    WORD("on_shape_mismatch", mismatch_words,
         "submatrix: rows that all have; skip: leave that model out"),
    { .name = "exclude",
      .type = KEY_LIST,
      .keys = name_row,
      .help = "tensors with these in their names are the base's" },
    { .name = "seed",
      .type = KEY_INTEGER,
      .least = 0,
      .most = UINT32_MAX,
      .help = "of random drops; the trial's if not given" },
    { .name = "statistics",
      .type = KEY_MAP,
      .keys = statistics_keys,
      .help = "how thresholds of the whole model are found" },
    { .name = NULL },
};

static const char *const structural[] = { "merge_method", "variant", NULL };

extern const struct job_kind job_merge;
const struct job_kind job_merge = {
    .catalog = { .name = "merge",
                 .summary = "models of one shape become one",
                 .example = "merge_method: dare_ties\n"
                            "base_model: base\n"
                            "models:\n"
                            "  - model: base\n"
                            "  - model: math\n"
                            "    parameters: {weight: 0.5, density: 0.5}\n"
                            "  - model: code\n"
                            "    parameters:\n"
                            "      weight: [0.3, 0.7]\n"
                            "      density:\n"
                            "        - {filter: mlp, value: 0.9}\n"
                            "        - value: 0.5\n"
                            "parameters: {normalize: true, int8_mask: true}\n"
                            "dtype: bfloat16\n",
                 .sort = STAGE_LAZY,
                 .keys = merge_keys,
                 .structural = structural,
                 .normalise = merge_body_normalise,
                 .check = merge_body_check,
                 .fusable = merge_body_fusable,
                 .before = merge_body_before },
};
