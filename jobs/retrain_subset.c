#include "jobs/retrain.h"

#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "jobs/prune_body.h"
#include "model/subset.h"

/* Words of `train` beside adapters and "name:PATTERN", and what they are in
 * model/subset.h; NULL: an adapter. */
static const struct word {
    const char *name, *subset;
    bool inside; /* blocks have it */
} words[] = {
    { "bias", "bias", true }, { "norm", "norm", true },
    { "full", "all", true },  { "embedding", "embedding", false },
    { "head", NULL, false },  { NULL, NULL, false },
};

static const struct word *find_word(const char *name)
{
    for (const struct word *w = words; w->name != NULL; w++)
        if (strcmp(w->name, name) == 0)
            return w;
    return NULL;
}

static bool has_word(const json_t *train, const char *name)
{
    const json_t *word;
    size_t i;

    json_array_foreach(train, i, word) if (json_is_string(word) &&
                                           strcmp(json_string_value(word),
                                                  name) == 0) return true;
    return false;
}

static bool is_name(const char *word)
{
    return strncmp(word, "name:", strlen("name:")) == 0;
}

static bool check_word(const char *word, bool reconstruct,
                       struct catalog_problem *ret_problem)
{
    const struct word *w = find_word(word);
    char message[128];

    (void)snprintf(message, sizeof(message), "`train` knows no \"%.40s\"",
                   word);
    if (w == NULL && adapter_find(word) == NULL && !is_name(word))
        return catalog_refuse(ret_problem, "/train",
                              "bias, norm, embedding, head, lora, lora_prune, "
                              "mask_lora, scale_lora, full, name:PATTERN",
                              "%s", message);
    (void)snprintf(message, sizeof(message),
                   "\"%.40s\" is in no block, so it cannot be reconstructed",
                   word);
    if (reconstruct && w != NULL && !w->inside)
        return catalog_refuse(ret_problem, "/train", "leave it out", "%s",
                              message);
    return true;
}

bool retrain_check_words(const json_t *train, bool reconstruct,
                         struct catalog_problem *ret_problem)
{
    const json_t *word;
    size_t i, kinds = 0;

    json_array_foreach(train, i, word)
    {
        if (!json_is_string(word))
            continue; /* another in each point */
        if (!check_word(json_string_value(word), reconstruct, ret_problem))
            return false;
        kinds += adapter_find(json_string_value(word)) != NULL;
    }
    if (json_array_size(train) == 0)
        return catalog_refuse(ret_problem, "/train",
                              "train: [bias, norm, mask_lora], or mode: none",
                              "nothing is trained");
    if (kinds > 1)
        return catalog_refuse(ret_problem, "/train", "keep one",
                              "a matrix has one sort of adapter");
    if (has_word(train, "full") && json_array_size(train) > 1)
        return catalog_refuse(ret_problem, "/train", "train: [full]",
                              "`full` means everything already");
    return true;
}

bool retrain_has_adapters(const json_t *train)
{
    const json_t *word;
    size_t i;

    json_array_foreach(train, i, word) if (!json_is_string(word) ||
                                           adapter_find(json_string_value(
                                               word)) != NULL) return true;
    return has_word(train, "head");
}

struct status retrain_read_words(struct retrain *r)
{
    const char *mode = json_text_or(r->params, "mode", "retrain");
    struct catalog_problem problem;
    const json_t *word;
    json_t *train;
    size_t i;

    TRY_PLAIN(json_member_array(r->params, "train", &train));
    if (!retrain_check_words(train, strcmp(mode, "reconstruct") == 0, &problem))
        return FAIL(STATUS_INVALID, "%s; %s", problem.message,
                    problem.suggestion);
    json_array_foreach(train, i, word)
    {
        const char *name = json_string_value(word);

        if (name == NULL)
            return FAIL(STATUS_INVALID, "`train` is a list of words");
        if (adapter_find(name) != NULL)
            r->row = adapter_find(name);
    }
    r->head = has_word(train, "head");
    return SUCCESS;
}

/* The matrix that the logits are made with, if it is that alone. */
static size_t head_of(const struct graph *g)
{
    for (size_t i = 0; i < g->parameter_count; i++)
        if (g->parameters[i].role == ROLE_HEAD && g->parameters[i].rank == 2)
            return i;
    return g->parameter_count;
}

static struct status adapt(struct retrain *r, const struct adapter_row *row,
                           const bool *chosen)
{
    const json_t *lora = json_object_get(r->params, "lora");
    const struct adapter_settings settings = {
        .row = row,
        .rank = (size_t)json_int_or(lora, "rank", 16),
        .alpha = json_real_or(lora, "alpha", 32.0),
        .seed = (uint32_t)json_int_or(r->params, "seed", 0),
    };

    return adapter_add(r->model, chosen, &settings);
}

static struct status adapt_head(struct retrain *r)
{
    const struct graph *g = r->model->graph;
    AUTO(free_pointer)
    bool *last = xcalloc(g->parameter_count + 1, sizeof(*last));
    size_t head = head_of(g);

    if (head == g->parameter_count)
        return FAIL(STATUS_INVALID,
                    "there is no \"head\" of its own in this architecture; "
                    "leave the word out");
    last[head] = true;
    return adapt(r, adapter_find("lora"), last);
}

struct status retrain_adapt(struct retrain *r, size_t section)
{
    const struct graph *g = r->model->graph;
    AUTO(free_pointer)
    bool *matrices = xcalloc(g->parameter_count + 1, sizeof(*matrices));

    for (size_t i = 0; i < g->parameter_count; i++)
        matrices[i] =
            g->parameters[i].role == ROLE_MATRIX &&
            (section == SIZE_MAX || g->parameters[i].section == section);
    if (r->row != NULL)
        TRY_PLAIN(adapt(r, r->row, matrices));
    return r->head ? adapt_head(r) : SUCCESS;
}

struct status retrain_choose(const struct retrain *r, bool **ret_trained)
{
    const struct graph *g = r->model->graph;
    AUTO(free_pointer)
    bool *trained = xcalloc(g->parameter_count + 1, sizeof(*trained));
    const json_t *train = json_object_get(r->params, "train");
    const json_t *word;
    size_t i;

    json_array_foreach(train, i, word)
    {
        const char *name = json_string_value(word);
        const struct word *w = find_word(name);

        if (w != NULL && w->subset != NULL)
            TRY_PLAIN(subset_add(g, w->subset, trained));
        else if (is_name(name))
            TRY_PLAIN(subset_add(g, name, trained));
    }
    if (r->row != NULL || r->head)
        TRY_PLAIN(subset_add(g, "adapter", trained));
    *ret_trained = trained;
    trained = NULL;
    return SUCCESS;
}

struct status retrain_merge(struct retrain *r)
{
    const struct adapter_row *row =
        r->row != NULL ? r->row : adapter_find("lora");
    AUTO(free_pointer) struct adapter_made *list = NULL;
    size_t count = adapter_list(r->model, row, &list);

    for (size_t i = 0; i < count; i++) {
        const struct model_parameter *p = &r->model->parameters[list[i].matrix];

        /* Nothing is pruned: what is 0 by chance may move. */
        if (p->keep == NULL && list[i].row->scaled)
            list[i].row = adapter_find("lora");
        delta_add_adapter(&r->delta, model_input_name(&r->input, p->name),
                          &list[i]);
        r->changed[list[i].matrix] = true;
    }
    return adapter_merge(r->model, row);
}
