/* golden_models.c -- models of text: logits, loss, streams, every gradient. */
#include "tests/golden/golden.h"

#include "model/pass.h"
#include "model/subset.h"

struct fixture {
    struct model *model;
    struct pass *pass;
    uint32_t *starts;
    int32_t *tokens, *labels;
    struct pass_batch batch;
};

static void fixture_release(struct fixture *f)
{
    pass_free(f->pass);
    model_free(f->model);
    free(f->starts);
    free(f->tokens);
    free(f->labels);
}

/* Labels of the file stand at the token itself and are shifted here. */
static struct status build_batch(struct fixture *f,
                                 const struct tensor_set *set)
{
    const struct tensor *ids, *labels;
    size_t length;

    TRY_PLAIN(golden_need(set, "input_ids", &ids));
    TRY_PLAIN(golden_need(set, "labels", &labels));
    length = ids->shape[1];
    f->starts = xcalloc(ids->shape[0] + 1, sizeof(*f->starts));
    f->tokens = xcalloc(ids->count, sizeof(*f->tokens));
    f->labels = xcalloc(ids->count, sizeof(*f->labels));
    for (size_t i = 0; i < ids->count; i++) {
        bool last = i % length == length - 1;
        int64_t next = last ? -100 : golden_whole(labels, i + 1);

        f->tokens[i] = (int32_t)golden_whole(ids, i);
        f->labels[i] = next == -100 ? OP_NO_LABEL : (int32_t)next;
    }
    for (size_t i = 0; i <= ids->shape[0]; i++)
        f->starts[i] = (uint32_t)(i * length);
    f->batch = (struct pass_batch){ .segments = ids->shape[0],
                                    .starts = f->starts,
                                    .tokens = f->tokens,
                                    .labels = f->labels };
    return SUCCESS;
}

static struct status build(struct fixture *f, const json_t *entry,
                           const struct tensor_set *weights,
                           const struct tensor_set *set)
{
    struct model_config config;
    struct pass_room room = { .gradients = true };
    json_t *json;

    TRY_PLAIN(json_member_object(entry, "config", &json));
    TRY_PLAIN(model_config_read(json, &config));
    TRY_PLAIN(model_load(&config, weights, MODEL_BORROW, &f->model));
    TRY_PLAIN(build_batch(f, set));
    room.longest = f->starts[1];
    room.rows = f->starts[f->batch.segments];
    return pass_new(f->model, &room, &f->pass);
}

static struct status compare_gradients(const struct fixture *f,
                                       const struct tensor_set *set,
                                       struct tolerance t, struct verdict *v)
{
    for (size_t i = 0; i < f->model->parameter_count; i++) {
        const struct model_parameter *p = &f->model->parameters[i];
        AUTO(free_pointer) char *name = xasprintf("grad/%s", p->name);
        const struct tensor *expected;

        TRY_PLAIN(golden_need(set, name, &expected));
        golden_compare_all(v, expected, pass_gradient(f->pass, i), t);
    }
    return SUCCESS;
}

/* The parameters of a group are those that our word means, no more. */
static struct status compare_group(const struct model *m, const json_t *names,
                                   const char *group, const char *word)
{
    AUTO(free_pointer)
    bool *chosen = xcalloc(m->parameter_count, sizeof(*chosen));
    size_t count = 0;

    if (json_array_size(names) == 0)
        return subset_add(m->graph, word, chosen).code == STATUS_INVALID
                   ? SUCCESS
                   : FAIL(STATUS_FAILED, "there are none of %s", group);
    TRY_PLAIN(subset_add(m->graph, word, chosen));
    for (size_t i = 0; i < m->parameter_count; i++)
        count += chosen[i];
    for (size_t i = 0; i < json_array_size(names); i++) {
        const char *name = json_string_value(json_array_get(names, i));

        if (!chosen[graph_find(m->graph, name)])
            return FAIL(STATUS_FAILED, "\"%s\" is one of %s", name, group);
    }
    if (count != json_array_size(names))
        return FAIL(STATUS_FAILED, "%zu tensors are not %s", count, group);
    return SUCCESS;
}

static struct status compare_groups(const struct model *m, const json_t *entry)
{
    const json_t *groups =
        json_object_get(json_object_get(entry, "params"), "groups");
    static const struct {
        const char *group, *word;
    } rows[] = { { "biases", "bias" }, { "ln", "norm" }, { "head", "head" } };

    for (size_t i = 0; i < COUNT_OF(rows); i++)
        TRY_PLAIN(compare_group(
            m, json_object_get(json_object_get(groups, rows[i].group), "names"),
            rows[i].group, rows[i].word));
    return SUCCESS;
}

static struct status compare_model(struct fixture *f, const json_t *entry,
                                   const struct tensor_set *set,
                                   struct verdict *v)
{
    const struct tensor *expected;
    double loss;

    TRY_PLAIN(pass_forward(f->pass, &f->batch, &loss));
    pass_backward(f->pass);
    TRY_PLAIN(golden_need(set, "loss", &expected));
    golden_compare(v, "loss", 0, loss, golden_element(expected, 0),
                   golden_tolerance(entry, "loss"));
    TRY_PLAIN(golden_need(set, "logits", &expected));
    golden_compare_all(v, expected, pass_logits(f->pass),
                       golden_tolerance(entry, "logits"));
    for (uint32_t i = 0; i <= f->model->config.layers; i++) {
        AUTO(free_pointer) char *name = xasprintf("hidden/%u", i);

        TRY_PLAIN(golden_need(set, name, &expected));
        golden_compare_all(v, expected, pass_stream(f->pass, i),
                           golden_tolerance(entry, "hidden"));
    }
    TRY_PLAIN(compare_groups(f->model, entry));
    return compare_gradients(f, set, golden_tolerance(entry, "grad"), v);
}

struct status golden_text_model(const char *directory, const json_t *entry,
                                struct verdict *v)
{
    AUTO(golden_close) struct st_model *weights = NULL;
    AUTO(golden_close) struct st_model *set = NULL;
    AUTO(fixture_release) struct fixture f = { 0 };
    const json_t *inputs = json_object_get(entry, "input");
    const char *file = json_string_value(json_array_get(inputs, 0));

    TRY_PLAIN(golden_open(directory, file == NULL ? "" : file, &weights));
    TRY_PLAIN(golden_open(directory, json_text_or(entry, "file", ""), &set));
    TRY_PLAIN(
        build(&f, entry, st_model_tensors(weights), st_model_tensors(set)));
    return compare_model(&f, entry, st_model_tensors(set), v);
}
