#include "support/tiny_mlp.h"

#include "support/test.h"

#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "jobs/data.h"
#include "model/trainer.h"

enum { BATCH = 64 };

static void train(struct model *m, struct data *d, uint32_t seed, int steps)
{
    const struct trainer_settings settings = {
        .optim = { .row = optim_find("sgd"),
                   .rate = 0.1,
                   .decay = 1e-3,
                   .beta1 = 0.9 },
        .momentum = 0.1,
    };
    const struct pass_room room = data_room(d, BATCH, true);
    struct trainer_report report;
    struct trainer *t;
    struct batch b;

    assert_ok(data_batch(d, BATCH, &b));
    assert_ok(trainer_new(m, &room, &settings, &t));
    for (int step = 0; step < steps; step++) {
        struct pass_batch view;
        bool added;

        batch_clear(&b);
        for (uint64_t i = 0; i < BATCH; i++)
            assert_ok(
                data_draw(d, seed, (uint64_t)step * BATCH + i, &b, &added));
        view = batch_view(&b);
        assert_ok(
            trainer_step(t, step < steps / 2 ? 1.0 : 0.1, &view, 1, &report));
    }
    trainer_free(t);
    batch_release(&b);
}

struct model *tiny_mlp(struct fake_context *f, uint32_t seed, int steps)
{
    json_t *config =
        json_pack("{ss s[iii]}", "model_type", "mlp", "sizes", 64, 32, 10);
    json_t *value = json_pack("{ss}", "builtin", "teacher10k");
    const struct data_use use = { .window = 0 };
    struct model_config c;
    struct model *m;
    struct data d;

    assert_ok(model_config_read(config, &c));
    assert_ok(model_new(&c, seed, &m));
    assert_ok(data_open(value, &use, &f->context, &d));
    assert_ok(data_check(&d, m));
    train(m, &d, seed, steps);
    data_release(&d);
    json_decref(config);
    json_decref(value);
    return m;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct tensor *)a)->name,
                  ((const struct tensor *)b)->name);
}

json_t *tiny_mlp_write(struct fake_context *f, const struct model *m,
                       const char *name)
{
    struct tensor *items = xcalloc(m->parameter_count, sizeof(*items));
    const struct tensor_set set = { m->parameter_count, items };
    json_t *config = model_config_write(&m->config, "float32");
    char *text = json_canonical(config);

    for (size_t i = 0; i < set.count; i++)
        items[i] = model_tensor(m, i);
    qsort(items, set.count, sizeof(*items), by_name);
    fake_context_write_model(f, name, &set, text);
    json_decref(config);
    free(text);
    free(items);
    return fake_context_source(f, name);
}
