/* How fast models of text are measured, on one thread: forward and loss.
 *
 *     forward [1M|10M|gpt2-124M...]
 *
 * As bench/train, without backward. */
#include "bench/bench.h"
#include "bench/text_models.h"
#include "common/clock.h"
#include "tensor/blas.h"

enum { ROUNDS = 5 };

static void stop_on(struct status s)
{
    if (!status_failed(&s))
        return;
    fprintf(stderr, "%s\n", s.message);
    exit(1);
}

static double seconds_of_a_batch(struct text_run *r, struct pass *p)
{
    double seconds[ROUNDS];
    double loss;

    stop_on(pass_forward(p, &r->batch, &loss));
    for (size_t i = 0; i < ROUNDS; i++) {
        int64_t begin = clock_now();

        for (int k = 0; k < r->shape->rounds; k++)
            stop_on(pass_forward(p, &r->batch, &loss));
        seconds[i] =
            (double)(clock_now() - begin) * 1e-9 / (double)r->shape->rounds;
    }
    return bench_quantile(seconds, ROUNDS, 0.5);
}

int main(int argc, char **argv)
{
    blas_set_threads(1);
    for (const struct text_shape *s = text_shapes; s->name != NULL; s++) {
        struct text_run r;
        struct pass *p;
        double before, seconds, after;

        if (!text_wanted(s, argc, argv))
            continue;
        r = text_run_new(s, false);
        stop_on(pass_new(r.model, &r.room, &p));
        before = text_sgemm_rate();
        seconds = seconds_of_a_batch(&r, p);
        after = text_sgemm_rate();
        bench_print("sgemm", 0.5e-9 * (before + after), "GFLOP/s", 0.0, NULL);
        text_print("forward", &r, seconds, text_flops(&r),
                   0.5 * (before + after));
        pass_free(p);
        text_run_free(&r);
    }
    return 0;
}
