#include "bench/text_models.h"

#include "bench/bench.h"
#include "common/clock.h"
#include "common/memory.h"
#include "common/philox.h"
#include "tensor/blas.h"

const struct text_shape text_shapes[] = {
    { "1M", 128, 4, 4, 258, 128, 8, 20 },
    { "10M", 320, 8, 8, 1024, 256, 4, 3 },
    { "gpt2-124M", 768, 12, 12, 50257, 256, 1, 1 },
    { .name = NULL },
};

static void stop(const struct status *s)
{
    fprintf(stderr, "%s\n", s->message);
    exit(1);
}

static void fill_batch(struct text_run *r)
{
    const struct text_shape *s = r->shape;
    size_t rows = (size_t)s->length * (size_t)s->sequences;
    uint32_t *starts = xcalloc((size_t)s->sequences + 1, sizeof(*starts));
    int32_t *tokens = xcalloc(rows, sizeof(*tokens));
    int32_t *labels = xcalloc(rows, sizeof(*labels));
    const struct philox_key key = { .seed = 1 };

    for (int i = 0; i <= s->sequences; i++)
        starts[i] = (uint32_t)(i * s->length);
    for (size_t i = 0; i < rows; i++) {
        tokens[i] = (int32_t)philox_below(key, i, (uint32_t)s->vocab);
        labels[i] = (int32_t)philox_below(key, rows + i, (uint32_t)s->vocab);
    }
    r->batch = (struct pass_batch){ .segments = (size_t)s->sequences,
                                    .starts = starts,
                                    .tokens = tokens,
                                    .labels = labels };
}

struct text_run text_run_new(const struct text_shape *s, bool gradients)
{
    json_t *json =
        json_pack("{ss si si si si si}", "model_type", "gpt2", "n_embd",
                  s->hidden, "n_layer", s->layers, "n_head", s->heads,
                  "vocab_size", s->vocab, "n_positions", s->length);
    struct text_run r = { .shape = s };
    struct model_config c;
    struct status st = model_config_read(json, &c);

    json_decref(json);
    if (!status_failed(&st))
        st = model_new(&c, 1, &r.model);
    if (status_failed(&st))
        stop(&st);
    fill_batch(&r);
    r.room = (struct pass_room){
        .rows = (size_t)s->length * (size_t)s->sequences,
        .longest = (size_t)s->length,
        .gradients = gradients,
    };
    return r;
}

void text_run_free(struct text_run *r)
{
    free((void *)(uintptr_t)r->batch.starts);
    free((void *)(uintptr_t)r->batch.tokens);
    free((void *)(uintptr_t)r->batch.labels);
    model_free(r->model);
}

size_t text_tokens(const struct text_run *r)
{
    return (size_t)r->shape->length * (size_t)r->shape->sequences;
}

/* The embedding is a product once, as the head; attention sees half of the
 * sequence on the mean. */
double text_flops(const struct text_run *r)
{
    const struct text_shape *s = r->shape;
    double d = s->hidden;

    return 2.0 * (12.0 * d * d * s->layers + d * s->vocab) +
           2.0 * d * s->length * s->layers;
}

double text_sgemm_rate(void)
{
    enum { SIDE = 512, ROUNDS = 9, TIMES = 4 };
    float *x = xcalloc_large((size_t)3 * SIDE * SIDE, sizeof(*x));
    double rates[ROUNDS];
    double rate;

    for (size_t i = 0; i < (size_t)2 * SIDE * SIDE; i++)
        x[i] = (float)(i % 7) - 3.0F;
    for (size_t i = 0; i < ROUNDS; i++) {
        int64_t begin = clock_now();

        for (int k = 0; k < TIMES; k++)
            blas_nt(SIDE, SIDE, SIDE, x, x + (size_t)SIDE * SIDE, 0.0F,
                    x + (size_t)2 * SIDE * SIDE);
        rates[i] = 2.0 * SIDE * SIDE * SIDE * TIMES /
                   ((double)(clock_now() - begin) * 1e-9);
    }
    rate = bench_quantile(rates, ROUNDS, 0.5);
    free(x);
    return rate;
}

bool text_wanted(const struct text_shape *s, int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], s->name) == 0)
            return true;
    return argc < 2;
}

void text_print(const char *what, const struct text_run *r, double seconds,
                double flops, double sgemm)
{
    AUTO(free_pointer) char *name = xasprintf("%s.%s", what, r->shape->name);
    AUTO(free_pointer) char *share = xasprintf("%s.share", name);
    double tokens = (double)text_tokens(r);

    bench_print(name, tokens / seconds, "tokens/s", 0.0, NULL);
    bench_print(share, flops * tokens / seconds * 1e-9, "GFLOP/s",
                flops * tokens / seconds / sgemm, "sgemm");
}
