/* prune_config.c -- what a prune is asked to do, and to which tensors. */
#include "jobs/prune.h"

#include <stdlib.h>
#include <string.h>

#include "common/decimal.h"
#include "common/memory.h"
#include "jobs/prune_body.h"
#include "model/arch.h"

/* ---- numbers and words ------------------------------------------------------ */

const char *const prune_method_words[] = { "magnitude", "random", "wanda",
                                           "sparsegpt", NULL };
const char *const prune_rule_words[] = { "exact",   "torch_round", "lte",
                                         "topk_gt", "alpha",       NULL };
const char *const prune_scope_words[] = { "layer", "global", "row", NULL };

/* Its place in a list; `otherwise` if it is not given. */
MUST_CHECK static struct status read_word(const json_t *params,
                                          const char *name,
                                          const char *const *words,
                                          int otherwise, int *ret_index)
{
    const char *word = json_text_or(params, name, words[otherwise]);

    for (int i = 0; words[i] != NULL; i++) {
        if (strcmp(words[i], word) == 0) {
            *ret_index = i;
            return SUCCESS;
        }
    }
    return FAIL(STATUS_INVALID, "prune: there is no %s \"%.40s\"", name, word);
}

bool prune_read_pattern(const char *text, size_t *ret_go, size_t *ret_of)
{
    enum { MOST = 4096 };
    char *end;
    unsigned long go, of;

    *ret_go = *ret_of = 0;
    if (strcmp(text, "unstructured") == 0)
        return true;
    if (*text < '1' || *text > '9')
        return false;
    go = strtoul(text, &end, 10);
    if (*end != ':' || end[1] < '1' || end[1] > '9')
        return false;
    of = strtoul(end + 1, &end, 10);
    if (*end != '\0' || of > MOST || go >= of)
        return false;
    *ret_go = go;
    *ret_of = of;
    return true;
}

/* 1 - 0.9 is 0.1 here. */
MUST_CHECK static struct status read_sparsity(const json_t *params,
                                              double *ret_sparsity)
{
    const json_t *sparsity = json_object_get(params, "sparsity");
    const json_t *density = json_object_get(params, "density");

    if ((sparsity == NULL) == (density == NULL))
        return FAIL(STATUS_INVALID,
                    "prune: it takes either `sparsity` or `density`");
    if (sparsity != NULL)
        *ret_sparsity = json_number_value(sparsity);
    else
        *ret_sparsity =
            decimal_round(1.0 - json_number_value(density), DECIMAL_EXACT);
    if (*ret_sparsity >= 0.0 && *ret_sparsity < 1.0)
        return SUCCESS;
    if (density != NULL)
        return FAIL(STATUS_INVALID,
                    "prune: `density` is %g; above 0, at most 1: something "
                    "must be kept",
                    json_number_value(density));
    return FAIL(STATUS_INVALID,
                "prune: `sparsity` is %g; from 0 to below 1: something must "
                "be kept",
                *ret_sparsity);
}

struct status prune_config_read(const json_t *params,
                                struct prune_config *ret_config)
{
    const char *pattern = json_text_or(params, "pattern", "unstructured");
    struct prune_config c = {
        .seed = (uint32_t)json_int_or(params, "seed", 0),
        .include = json_object_get(params, "include"),
        .exclude = json_object_get(params, "exclude"),
    };
    int method = 0, rule = 0, scope = 0;

    TRY_PLAIN(read_word(params, "method", prune_method_words, 0, &method));
    TRY_PLAIN(read_word(params, "rule", prune_rule_words, 0, &rule));
    TRY_PLAIN(read_word(params, "scope", prune_scope_words, 0, &scope));
    if (!prune_read_pattern(pattern, &c.how.go, &c.how.of))
        return FAIL(STATUS_INVALID,
                    "prune: the pattern \"%.40s\" is neither unstructured nor "
                    "like 2:4 (2 of 4 go)",
                    pattern);
    c.method = (enum prune_method)method;
    c.how.rule = (enum prune_rule)rule;
    c.how.scope = (enum prune_scope)scope;
    if (c.how.of > 0)
        c.how.sparsity = (double)c.how.go / (double)c.how.of;
    else
        TRY_PLAIN(read_sparsity(params, &c.how.sparsity));
    *ret_config = c;
    return SUCCESS;
}

struct status prune_config_read_lazy(const json_t *params,
                                     struct prune_config *ret_config)
{
    TRY_PLAIN(prune_config_read(params, ret_config));
    if (ret_config->method == PRUNE_SPARSEGPT ||
        (ret_config->method == PRUNE_WANDA &&
         json_object_get(params, "inputs") == NULL))
        return FAIL(STATUS_INVALID,
                    "prune: %s needs a job that sees what the model is fed; "
                    "a sweep makes one",
                    prune_method_words[ret_config->method]);
    return SUCCESS;
}

struct digest prune_family_of(const json_t *params)
{
    AUTO(json_release) json_t *copy = json_copy((json_t *)(uintptr_t)params);
    AUTO(free_pointer) char *text = NULL;

    (void)json_object_del(copy, "sparsity");
    (void)json_object_del(copy, "density");
    text = json_canonical(copy);
    return digest_of(text, strlen(text));
}

/* ---- tensors ------------------------------------------------------------------ */

static bool names_part(const json_t *list, const char *name)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *part = json_string_value(json_array_get(list, i));

        if (part != NULL && strstr(name, part) != NULL)
            return true;
    }
    return false;
}

static bool is_chosen(const struct prune_config *c,
                      const struct graph_parameter *p)
{
    return p->role == ROLE_MATRIX && p->rank >= 2 &&
           (json_array_size(c->include) == 0 ||
            names_part(c->include, p->name)) &&
           !names_part(c->exclude, p->name);
}

const struct tensor *prune_find_tensor(const struct tensor_set *set,
                                       const struct arch *arch,
                                       const char *name)
{
    const struct tensor *t = tensor_find(set, name);
    size_t size = arch->prefix == NULL ? 0 : strlen(arch->prefix);

    if (t == NULL && size > 0 && strncmp(name, arch->prefix, size) == 0)
        t = tensor_find(set, name + size);
    return t;
}

static struct prune_matrix matrix_of(const struct graph_parameter *p)
{
    return (struct prune_matrix){
        .outputs = p->turned ? p->shape[1] : p->shape[0],
        .inputs = p->turned ? p->shape[0] : p->count / p->shape[0],
        .turned = p->turned,
    };
}

MUST_CHECK static struct status check_shape(const struct graph_parameter *p,
                                            const struct tensor *t)
{
    struct tensor wanted = { .rank = p->rank, .count = p->count };
    const char *file = t == NULL || t->file == NULL ? "" : t->file;
    const char *of = *file == '\0' ? "" : " of ";
    char is[128], should[128];

    for (uint32_t i = 0; i < p->rank; i++)
        wanted.shape[i] = p->shape[i];
    if (t == NULL)
        return FAIL(STATUS_INVALID,
                    "tensor \"%s\" is missing; config.json asks for it with "
                    "shape %s",
                    p->name, tensor_shape_text(&wanted, should, sizeof should));
    if (!tensor_same_shape(&wanted, t))
        return FAIL(STATUS_INVALID,
                    "tensor \"%s\"%s%s is %s; config.json asks for %s", p->name,
                    of, file, tensor_shape_text(t, is, sizeof is),
                    tensor_shape_text(&wanted, should, sizeof should));
    if (!dtype_is_float(t->dtype))
        return FAIL(STATUS_INVALID, "tensor \"%s\"%s%s holds %s, not floats",
                    p->name, of, file, dtype_name(t->dtype));
    return SUCCESS;
}

MUST_CHECK static struct status choose(const struct prune_config *c,
                                       const struct arch *arch,
                                       const struct graph *g,
                                       const struct tensor_set *set,
                                       struct prune_target *targets)
{
    size_t chosen = 0;

    for (size_t i = 0; i < g->parameter_count; i++) {
        const struct graph_parameter *p = &g->parameters[i];
        const struct tensor *t;

        if (!is_chosen(c, p))
            continue;
        t = prune_find_tensor(set, arch, p->name);
        TRY_PLAIN(check_shape(p, t));
        targets[t - set->items] =
            (struct prune_target){ .chosen = true, .matrix = matrix_of(p) };
        chosen++;
    }
    if (chosen == 0)
        return FAIL(STATUS_INVALID,
                    "prune: no matrix of the model goes with `include` and "
                    "`exclude`; `sinter inspect` lists the names");
    return SUCCESS;
}

struct status prune_targets_of(const struct prune_config *c,
                               const json_t *config,
                               const struct tensor_set *set,
                               struct prune_target **ret_targets)
{
    AUTO(free_pointer) struct prune_target *targets = NULL;
    AUTO(graph_release) struct graph *g = NULL;
    struct model_config read;

    if (config == NULL)
        return FAIL(STATUS_INVALID,
                    "there is no config.json, which says what may be pruned; "
                    "give the directory of the model, not one file of it");
    TRY_PLAIN(model_config_read(config, &read));
    g = read.arch->build(&read);
    targets = xcalloc(set->count + 1, sizeof(*targets));
    TRY_PLAIN(choose(c, read.arch, g, set, targets));
    *ret_targets = targets;
    targets = NULL;
    return SUCCESS;
}
