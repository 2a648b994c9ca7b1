/* How fast models of text are trained, on one thread.
 *
 *     train [1M|10M|gpt2-124M...]
 *
 * A step is forward, backward, clipping and AdamW on one batch. Beside tokens
 * a second stand the floating point operations of its matrix products, as a
 * share of what SGEMM does in the same run. bench/text_peers.sh runs the same
 * shapes with PyTorch. */
#include "bench/text_models.h"
#include "model/trainer.h"

static void *open_trainer(const struct text_run *r)
{
    const struct trainer_settings settings = {
        .optim = { .row = optim_find("adamw"),
                   .rate = 1e-4,
                   .decay = 0.01,
                   .beta1 = 0.9,
                   .beta2 = 0.99,
                   .eps = 1e-8 },
        .clip = 1.0,
    };
    struct trainer *t = NULL;

    text_stop_on(trainer_new(r->model, &r->room, &settings, &t));
    return t;
}

static void step(const struct text_run *r, void *self)
{
    struct trainer_report report;

    text_stop_on(trainer_step(self, 1.0, &r->batch, 1, &report));
}

static void close_trainer(void *self)
{
    trainer_free(self);
}

int main(int argc, char **argv)
{
    static const struct text_bench bench = {
        .name = "train",
        .gradients = true,
        .products = 3.0, /* backward makes two for each of forward */
        .open = open_trainer,
        .once = step,
        .close = close_trainer,
    };

    return text_bench_main(&bench, argc, argv);
}
