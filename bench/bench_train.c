/* How fast models of text are trained, on one thread.
 *
 *     train [1M|10M|gpt2-124M...]
 *
 * A step is forward, backward, clipping and AdamW on one batch. Beside tokens
 * a second stand the floating point operations of its matrix products, as a
 * share of what SGEMM does in the same run. bench/text_torch.py runs the same
 * shapes with PyTorch. */
#include "bench/bench.h"
#include "bench/text_models.h"
#include "common/clock.h"
#include "model/trainer.h"
#include "tensor/blas.h"

enum { ROUNDS = 5 };

static void stop_on(struct status s)
{
    if (!status_failed(&s))
        return;
    fprintf(stderr, "%s\n", s.message);
    exit(1);
}

static double seconds_of_a_step(struct text_run *r, struct trainer *t)
{
    double seconds[ROUNDS];
    struct trainer_report report;

    stop_on(trainer_step(t, 1.0, &r->batch, 1, &report));
    for (size_t i = 0; i < ROUNDS; i++) {
        int64_t begin = clock_now();

        for (int k = 0; k < r->shape->rounds; k++)
            stop_on(trainer_step(t, 1.0, &r->batch, 1, &report));
        seconds[i] =
            (double)(clock_now() - begin) * 1e-9 / (double)r->shape->rounds;
    }
    return bench_quantile(seconds, ROUNDS, 0.5);
}

int main(int argc, char **argv)
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

    blas_set_threads(1);
    for (const struct text_shape *s = text_shapes; s->name != NULL; s++) {
        struct text_run r;
        struct trainer *t;
        double before, seconds, after;

        if (!text_wanted(s, argc, argv))
            continue;
        r = text_run_new(s, true);
        stop_on(trainer_new(r.model, &r.room, &settings, &t));
        before = text_sgemm_rate();
        seconds = seconds_of_a_step(&r, t);
        after = text_sgemm_rate();
        bench_print("sgemm", 0.5e-9 * (before + after), "GFLOP/s", 0.0, NULL);
        /* Backward makes two products for each of forward. */
        text_print("train", &r, seconds, 3.0 * text_flops(&r),
                   0.5 * (before + after));
        trainer_free(t);
        text_run_free(&r);
    }
    return 0;
}
