/* How fast models of text are measured, on one thread: forward and loss.
 *
 *     forward [1M|10M|gpt2-124M...]
 *
 * As bench/train, without backward. */
#include "bench/text_models.h"

static void *open_pass(const struct text_run *r)
{
    struct pass *p = NULL;

    text_stop_on(pass_new(r->model, &r->room, &p));
    return p;
}

static void forward(const struct text_run *r, void *self)
{
    double loss;

    text_stop_on(pass_forward(self, &r->batch, &loss));
}

static void close_pass(void *self)
{
    pass_free(self);
}

int main(int argc, char **argv)
{
    static const struct text_bench bench = {
        .name = "forward",
        .products = 1.0,
        .open = open_pass,
        .once = forward,
        .close = close_pass,
    };

    return text_bench_main(&bench, argc, argv);
}
