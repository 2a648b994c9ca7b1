#include "model/subset.h"

#include <fnmatch.h>

static bool all(const struct graph *g, const struct graph_parameter *p)
{
    (void)g;
    return p->role != ROLE_STATISTIC;
}

static bool bias(const struct graph *g, const struct graph_parameter *p)
{
    (void)g;
    return p->role == ROLE_BIAS || p->role == ROLE_SHIFT;
}

static bool norm(const struct graph *g, const struct graph_parameter *p)
{
    (void)g;
    return p->role == ROLE_NORM || p->role == ROLE_SHIFT;
}

static bool embedding(const struct graph *g, const struct graph_parameter *p)
{
    (void)g;
    return p->role == ROLE_EMBEDDING || p->role == ROLE_PLACES;
}

/* The weight that the logits are made with: tied, it is the embedding. */
static bool head(const struct graph *g, const struct graph_parameter *p)
{
    const struct graph_step *s = &g->steps[g->values[g->logits].writer];

    return p == graph_parameter_of(g, s->in[1]) || p->role == ROLE_HEAD;
}

static bool matrix(const struct graph *g, const struct graph_parameter *p)
{
    (void)g;
    return p->role == ROLE_MATRIX;
}

static bool adapter(const struct graph *g, const struct graph_parameter *p)
{
    (void)g;
    return p->role == ROLE_ADAPTER;
}

const struct subset_word subset_words[] = {
    { "all", "everything", all },
    { "bias", "biases, those of norms among them", bias },
    { "norm", "what norms multiply with and add", norm },
    { "embedding", "tables of tokens and places", embedding },
    { "head", "the last matrix; tied, the embedding", head },
    { "matrix", "matrices and kernels of the layers", matrix },
    { "adapter", "what LoRA and its variants add", adapter },
    { NULL, NULL, NULL },
};

static struct status add_word(const struct graph *g,
                              const struct subset_word *w, bool *chosen)
{
    bool any = false;

    for (size_t i = 0; i < g->parameter_count; i++)
        if (w->has(g, &g->parameters[i]))
            any = chosen[i] = true;
    if (!any)
        return FAIL(STATUS_INVALID,
                    "there is no \"%s\" (%s) in this architecture; leave the "
                    "word out",
                    w->word, w->help);
    return SUCCESS;
}

static struct status add_names(const struct graph *g, const char *pattern,
                               bool *chosen)
{
    bool any = false;

    for (size_t i = 0; i < g->parameter_count; i++)
        if (fnmatch(pattern, g->parameters[i].name, FNM_NOESCAPE) == 0 &&
            g->parameters[i].role != ROLE_STATISTIC)
            any = chosen[i] = true;
    if (!any)
        return FAIL(STATUS_INVALID,
                    "no tensor of the model is called like \"%.80s\"; the "
                    "first one is \"%s\"",
                    pattern, g->parameters[0].name);
    return SUCCESS;
}

struct status subset_add(const struct graph *g, const char *word, bool *chosen)
{
    char known[160] = "";
    size_t used = 0;

    if (strncmp(word, "name:", strlen("name:")) == 0)
        return add_names(g, word + strlen("name:"), chosen);
    for (const struct subset_word *w = subset_words; w->word != NULL; w++) {
        if (strcmp(w->word, word) == 0)
            return add_word(g, w, chosen);
        used += (size_t)snprintf(known + used, sizeof(known) - used, "%s, ",
                                 w->word);
    }
    return FAIL(STATUS_INVALID,
                "parameters \"%.40s\" are not known; known are: %sname:PATTERN",
                word, known);
}

size_t subset_size(const struct graph *g, const bool *chosen)
{
    size_t size = 0;

    for (size_t i = 0; i < g->parameter_count; i++)
        size += chosen[i] ? g->parameters[i].count : 0;
    return size;
}
