#include "bench/text_models.h"

#include "bench/bench.h"
#include "common/clock.h"
#include "common/memory.h"
#include "common/philox.h"
#include "tensor/blas.h"

static const struct text_shape text_shapes[] = {
    { "1M", 128, 4, 4, 258, 128, 8, 10 },
    { "10M", 320, 8, 8, 1024, 256, 4, 2 },
    { "gpt2-124M", 768, 12, 12, 50257, 256, 1, 1 },
    { .name = NULL },
};

void text_stop_on(struct status s)
{
    if (!status_failed(&s))
        return;
    fprintf(stderr, "%s\n", s.message);
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

static struct text_run new_run(const struct text_shape *s, bool gradients)
{
    json_t *json =
        json_pack("{ss si si si si si}", "model_type", "gpt2", "n_embd",
                  s->hidden, "n_layer", s->layers, "n_head", s->heads,
                  "vocab_size", s->vocab, "n_positions", s->length);
    struct text_run r = { .shape = s };
    struct model_config c;

    text_stop_on(model_config_read(json, &c));
    json_decref(json);
    text_stop_on(model_new(&c, 1, &r.model));
    fill_batch(&r);
    r.room = (struct pass_room){
        .rows = (size_t)s->length * (size_t)s->sequences,
        .longest = (size_t)s->length,
        .gradients = gradients,
    };
    return r;
}

static void free_run(struct text_run *r)
{
    free((void *)(uintptr_t)r->batch.starts);
    free((void *)(uintptr_t)r->batch.tokens);
    free((void *)(uintptr_t)r->batch.labels);
    model_free(r->model);
}

static size_t batch_tokens(const struct text_run *r)
{
    return (size_t)r->shape->length * (size_t)r->shape->sequences;
}

/* Of products with matrices, forward. The embedding is a product once, as the
 * head; attention sees half of the sequence on the mean. */
static double flops_of_a_token(const struct text_run *r)
{
    const struct text_shape *s = r->shape;
    double d = s->hidden;

    return 2.0 * (12.0 * d * d * s->layers + d * s->vocab) +
           2.0 * d * s->length * s->layers;
}

/* Floating point operations a second of a product of 512 x 512 matrices. */
static double sgemm_rate(void)
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

static bool is_wanted(const struct text_shape *s, int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], s->name) == 0)
            return true;
    return argc < 2;
}

static void print(const struct text_bench *b, const struct text_run *r,
                  double seconds, double sgemm)
{
    AUTO(free_pointer) char *name = xasprintf("%s.%s", b->name, r->shape->name);
    AUTO(free_pointer) char *share = xasprintf("%s.share", name);
    double tokens = (double)batch_tokens(r);
    double rate = b->products * flops_of_a_token(r) * tokens / seconds;

    bench_print("sgemm", 1e-9 * sgemm, "GFLOP/s", 0.0, NULL);
    bench_print(name, tokens / seconds, "tokens/s", 0.0, NULL);
    bench_print(share, 1e-9 * rate, "GFLOP/s", rate / sgemm, "sgemm");
}

/* Median time of a batch. */
static double measure(const struct text_bench *b, const struct text_run *r,
                      void *self)
{
    enum { ROUNDS = 3 };
    double seconds[ROUNDS];

    b->once(r, self);
    for (size_t i = 0; i < ROUNDS; i++) {
        int64_t begin = clock_now();

        for (int k = 0; k < r->shape->rounds; k++)
            b->once(r, self);
        seconds[i] = 1e-9 * (double)(clock_now() - begin) / r->shape->rounds;
    }
    return bench_quantile(seconds, ROUNDS, 0.5);
}

int text_bench_main(const struct text_bench *b, int argc, char **argv)
{
    for (const struct text_shape *s = text_shapes; s->name != NULL; s++) {
        struct text_run r;
        double before, seconds;
        void *self;

        if (!is_wanted(s, argc, argv))
            continue;
        r = new_run(s, b->gradients);
        self = b->open(&r);
        before = sgemm_rate();
        seconds = measure(b, &r, self);
        print(b, &r, seconds, 0.5 * (before + sgemm_rate()));
        b->close(self);
        free_run(&r);
    }
    return 0;
}
