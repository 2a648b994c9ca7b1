/* golden_images.c -- models of images: gradients, running statistics, logits
 * with them, and a few steps of masked training. */
#include "tests/golden/golden.h"

#include "model/trainer.h"

struct fixture {
    struct st_model *file;
    const struct tensor_set *set;
    struct model *model;
    float *pixels;
    int32_t *labels;
    uint32_t starts[2];
    size_t rows; /* images of the file */
};

static void fixture_release(struct fixture *f)
{
    model_free(f->model);
    st_model_close(f->file);
    free(f->pixels);
    free(f->labels);
}

/* PREFIX/NAME of the file; statistics, which it has not, begin as 0 and 1. */
static struct status fill(struct fixture *f, const char *prefix)
{
    for (size_t i = 0; i < f->model->parameter_count; i++) {
        const struct model_parameter *p = &f->model->parameters[i];
        AUTO(free_pointer) char *name = xasprintf("%s/%s", prefix, p->name);
        const struct tensor *t;

        if (p->role == ROLE_STATISTIC)
            continue;
        TRY_PLAIN(golden_need(f->set, name, &t));
        if (t->count != p->count)
            return FAIL(STATUS_CORRUPT, "\"%s\" has %zu numbers, not %zu", name,
                        (size_t)t->count, p->count);
        dtype_to_f32(t->dtype, t->data, p->own, p->count);
    }
    return SUCCESS;
}

static struct status take_images(struct fixture *f)
{
    const struct tensor *x, *y;

    TRY_PLAIN(golden_need(f->set, "x", &x));
    TRY_PLAIN(golden_need(f->set, "y", &y));
    f->rows = x->shape[0];
    f->pixels = golden_floats(x);
    f->labels = xcalloc(f->rows, sizeof(*f->labels));
    for (size_t i = 0; i < f->rows; i++)
        f->labels[i] = (int32_t)golden_whole(y, i);
    return SUCCESS;
}

/* MASK/NAME, where there are any. */
static struct status prune(struct fixture *f)
{
    for (size_t i = 0; i < f->model->parameter_count; i++) {
        const struct model_parameter *p = &f->model->parameters[i];
        AUTO(free_pointer) char *name = xasprintf("mask/%s", p->name);
        const struct tensor *t = tensor_find(f->set, name);

        if (t != NULL)
            TRY_PLAIN(model_mask(f->model, i, t->data));
    }
    return SUCCESS;
}

static struct status fixture_init(struct fixture *f, const char *directory,
                                  const json_t *entry, json_t *config,
                                  const char *prefix)
{
    struct model_config c;
    struct status s = model_config_read(config, &c);

    json_decref(config);
    TRY_PLAIN(s);
    TRY_PLAIN(model_new(&c, 0, &f->model));
    TRY_PLAIN(
        golden_open(directory, json_text_or(entry, "file", ""), &f->file));
    f->set = st_model_tensors(f->file);
    TRY_PLAIN(fill(f, prefix));
    TRY_PLAIN(take_images(f));
    return prune(f);
}

/* `count` images from `first` on. */
static struct pass_batch batch_of(struct fixture *f, size_t first, size_t count)
{
    f->starts[1] = (uint32_t)count;
    return (struct pass_batch){
        .segments = 1,
        .starts = f->starts,
        .labels = f->labels + first,
        .pixels = f->pixels + first * f->model->graph->pixels,
    };
}

/* "bn0.running_mean" stands in the file as "running_mean/bn0". */
static struct status compare_statistics(const struct fixture *f,
                                        struct tolerance t, struct verdict *v)
{
    for (size_t i = 0; i < f->model->parameter_count; i++) {
        const struct model_parameter *p = &f->model->parameters[i];
        const char *end = strrchr(p->name, '.');
        const struct tensor *expected;

        if (p->role == ROLE_STATISTIC) {
            AUTO(free_pointer)
            char *name =
                xasprintf("%s/%.*s", end + 1, (int)(end - p->name), p->name);

            TRY_PLAIN(golden_need(f->set, name, &expected));
            golden_compare_all(v, expected, p->data, t);
        }
    }
    return SUCCESS;
}

/* The gradients of the file are masked. */
static struct status compare_gradients(const struct fixture *f,
                                       const struct pass *pass,
                                       struct tolerance t, struct verdict *v)
{
    for (size_t i = 0; i < f->model->parameter_count; i++) {
        const struct model_parameter *p = &f->model->parameters[i];
        AUTO(free_pointer) char *name = xasprintf("grad/%s", p->name);
        const float *d = pass_gradient(pass, i);
        const struct tensor *expected;

        if (d == NULL)
            continue;
        TRY_PLAIN(golden_need(f->set, name, &expected));
        for (size_t k = 0; k < p->count; k++)
            if (p->keep == NULL || p->keep[k] != 0)
                golden_compare(v, name, k, (double)d[k],
                               golden_element(expected, k), t);
    }
    return SUCCESS;
}

static struct status compare_tensor(const struct fixture *f, const char *name,
                                    const float *found, struct tolerance t,
                                    struct verdict *v)
{
    const struct tensor *expected = tensor_find(f->set, name);

    if (expected != NULL)
        golden_compare_all(v, expected, found, t);
    return SUCCESS;
}

static struct status compare_pass(struct fixture *f, const json_t *entry,
                                  struct verdict *v)
{
    const struct pass_room room = { .rows = f->rows,
                                    .longest = f->rows,
                                    .gradients = true };
    const struct pass_batch batch = batch_of(f, 0, f->rows);
    struct tolerance t = golden_tolerance(entry, NULL);
    AUTO(pass_release) struct pass *pass = NULL;
    const struct tensor *loss;
    double found;

    TRY_PLAIN(pass_new(f->model, &room, &pass));
    TRY_PLAIN(pass_forward(pass, &batch, &found));
    TRY_PLAIN(golden_need(f->set, "loss", &loss));
    golden_compare(v, "loss", 0, found, golden_element(loss, 0), t);
    TRY_PLAIN(compare_tensor(f, "logits_train", pass_logits(pass), t, v));
    TRY_PLAIN(compare_tensor(f, "logits", pass_logits(pass), t, v));
    TRY_PLAIN(pass_note_statistics(pass, f->model, 0.1));
    TRY_PLAIN(compare_statistics(f, t, v));
    pass_backward(pass);
    TRY_PLAIN(compare_gradients(f, pass, t, v));
    pass_measure_batches(pass, false);
    TRY_PLAIN(pass_forward(pass, &batch, &found));
    return compare_tensor(f, "logits_eval", pass_logits(pass), t, v);
}

static json_t *mlp_config(const json_t *entry)
{
    const json_t *params = json_object_get(entry, "params");

    return json_pack("{ss sO}", "model_type", "mlp", "sizes",
                     json_object_get(params, "sizes"));
}

struct status golden_mlp(const char *directory, const json_t *entry,
                         struct verdict *v)
{
    AUTO(fixture_release) struct fixture f = { .file = NULL };

    TRY_PLAIN(fixture_init(&f, directory, entry, mlp_config(entry), "param"));
    return compare_pass(&f, entry, v);
}

/* The network of the file: two blocks, 3 x 8 x 8 to 5 classes. */
struct status golden_preresnet(const char *directory, const json_t *entry,
                               struct verdict *v)
{
    AUTO(fixture_release) struct fixture f = { .file = NULL };
    json_t *config =
        json_pack("{ss s[ii] s[ii] si si si si}", "model_type", "preresnet",
                  "widths", 4, 6, "blocks", 1, 1, "channels", 3, "height", 8,
                  "width", 8, "classes", 5);

    TRY_PLAIN(fixture_init(&f, directory, entry, config, "param"));
    return compare_pass(&f, entry, v);
}

/* --- training -------------------------------------------------------------- */

static struct status compare_steps(struct fixture *f, const json_t *entry,
                                   struct verdict *v)
{
    const json_t *params = json_object_get(entry, "params");
    const json_t *milestones = json_object_get(params, "milestones");
    size_t batch = (size_t)json_int_or(params, "batch", 1);
    const struct trainer_settings settings = {
        .optim = { .row = optim_find("sgd"),
                   .rate = json_real_or(params, "lr", 0.0),
                   .decay = json_real_or(params, "weight_decay", 0.0),
                   .beta1 = json_real_or(params, "momentum", 0.0) },
        .momentum = 0.1,
    };
    const struct pass_room room = { .rows = batch,
                                    .longest = batch,
                                    .gradients = true };
    struct schedule schedule = { .row = schedule_find("multistep"),
                                 .gamma = json_real_or(params, "gamma", 0.0) };
    AUTO(trainer_release) struct trainer *t = NULL;

    for (size_t i = 0; i < json_array_size(milestones); i++)
        schedule.milestones[i] =
            (uint64_t)json_integer_value(json_array_get(milestones, i));
    TRY_PLAIN(trainer_new(f->model, &room, &settings, &t));
    for (int64_t i = 0; i < json_int_or(params, "steps", 0); i++) {
        const struct pass_batch b =
            batch_of(f, (size_t)i % (f->rows / batch) * batch, batch);
        struct trainer_report report;

        TRY_PLAIN(trainer_step(t, schedule_factor(&schedule, (uint64_t)i), &b,
                               1, &report));
        golden_compare(v, "losses", (size_t)i, report.loss,
                       json_number_value(json_array_get(
                           json_object_get(params, "losses"), (size_t)i)),
                       golden_tolerance(entry, "losses"));
    }
    return SUCCESS;
}

struct status golden_mlp_train(const char *directory, const json_t *entry,
                               struct verdict *v)
{
    AUTO(fixture_release) struct fixture f = { .file = NULL };
    struct tolerance t = golden_tolerance(entry, "final");

    TRY_PLAIN(fixture_init(&f, directory, entry, mlp_config(entry), "param0"));
    TRY_PLAIN(compare_steps(&f, entry, v));
    TRY_PLAIN(compare_statistics(&f, t, v));
    for (size_t i = 0; i < f.model->parameter_count; i++) {
        const struct model_parameter *p = &f.model->parameters[i];
        AUTO(free_pointer) char *name = xasprintf("final/%s", p->name);

        TRY_PLAIN(compare_tensor(&f, name, p->data, t, v));
        for (size_t k = 0; p->keep != NULL && k < p->count; k++)
            if (p->keep[k] == 0 && p->data[k] != 0.0F)
                return FAIL(STATUS_FAILED, "%s[%zu] is not pruned any more",
                            name, k);
    }
    return SUCCESS;
}
