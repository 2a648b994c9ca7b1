/* bench_prune.c -- bytes of weights that pruning takes per second.
 *
 *     prune [METHOD]
 *
 * Eight matrices of 2048 outputs and 1024 inputs, in memory; what is left and
 * its mask are written again and again, as in a slot. GB of weights a second of
 * each method: float32 with one thread, as a share of what a triad of one
 * moves ("bus", weights are read and written once), and with two; bfloat16; and
 * what 16 sparsities at once cost against one ("points"). SparseGPT is one
 * matrix: rows n^2 operations a second beside SGEMM's. bench/prune_torch.py does
 * the same in PyTorch, bench/prune_peers.sh runs both in turn. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/bench.h"
#include "bench/triad.h"
#include "common/clock.h"
#include "common/memory.h"
#include "common/philox.h"
#include "jobs/parallel.h"
#include "jobs/prune.h"
#include "jobs/prune_bits.h"
#include "jobs/prune_sparsegpt.h"
#include "tensor/blas.h"

enum {
    TENSORS = 8,
    OUTPUTS = 2048,
    INPUTS = 1024,
    EACH = OUTPUTS * INPUTS,
    SAMPLES = 4096,
    POINTS = 16,
    RUNS = 5,
    BLOCK = 128,
};

static double seconds_since(int64_t begin)
{
    return (double)(clock_now() - begin) / (double)NS_PER_S;
}

/* Sums of four draws: near enough to normal. */
static void fill(float *x, size_t count, uint32_t seed)
{
    float *draws = xcalloc(count, sizeof(*draws));

    memset(x, 0, count * sizeof(*x));
    for (uint32_t i = 0; i < 4; i++) {
        const struct philox_key key = { seed, i, 0 };

        philox_uniform(key, 0, count, draws);
        for (size_t k = 0; k < count; k++)
            x[k] += 0.02F * (draws[k] - 0.5F);
    }
    free(draws);
}

/* ---- weights alone, and norms --------------------------------------------------- */

struct model {
    enum dtype dtype;
    struct tensor items[TENSORS];
    struct tensor_set set;
    struct prune_target targets[TENSORS];
    float *norms[TENSORS];
    char names[TENSORS][16];
    char *out[POINTS][TENSORS];
    uint8_t *bits[POINTS][TENSORS];
};

static struct model *model_new(enum dtype dtype)
{
    struct model *m = xnew(struct model);
    float *x = xcalloc(EACH, sizeof(*x));

    m->dtype = dtype;
    for (size_t i = 0; i < TENSORS; i++) {
        void *data = alloc_large(EACH * dtype_size(dtype));

        fill(x, EACH, (uint32_t)i + 1);
        dtype_from_f32(dtype, x, data, EACH);
        (void)snprintf(m->names[i], sizeof(m->names[i]), "m%zu", i);
        m->items[i] = (struct tensor){ .name = m->names[i],
                                       .dtype = dtype,
                                       .rank = 2,
                                       .shape = { OUTPUTS, INPUTS },
                                       .count = EACH,
                                       .data = data };
        m->targets[i] =
            (struct prune_target){ true, { OUTPUTS, INPUTS, false } };
        m->norms[i] = xcalloc(INPUTS, sizeof(float));
        for (size_t k = 0; k < INPUTS; k++)
            m->norms[i][k] = 1.0F + fabsf(x[k]);
        for (size_t p = 0; p < POINTS; p++) {
            m->out[p][i] = xcalloc(EACH, dtype_size(dtype));
            m->bits[p][i] = xcalloc(EACH / 8 + 1, 1);
        }
    }
    m->set = (struct tensor_set){ TENSORS, m->items };
    free(x);
    return m;
}

static void model_free(struct model *m)
{
    for (size_t i = 0; i < TENSORS; i++) {
        free((void *)(uintptr_t)m->items[i].data);
        free(m->norms[i]);
        for (size_t p = 0; p < POINTS; p++) {
            free(m->out[p][i]);
            free(m->bits[p][i]);
        }
    }
    free(m);
}

static struct status put(void *self, size_t point, size_t tensor,
                         uint64_t first, const uint8_t *keep, size_t count)
{
    struct model *m = self;
    size_t size = dtype_size(m->dtype);
    char *to = m->out[point][tensor] + first * size;

    memcpy(to, (const char *)m->items[tensor].data + first * size,
           count * size);
    prune_zero(m->dtype, to, keep, count);
    prune_put_bits(m->bits[point][tensor], first, keep, count);
    return SUCCESS;
}

static bool never(void *self)
{
    (void)self;
    return false;
}

static const struct way {
    const char *name;
    enum prune_method method;
    struct prune_how how;
} ways[] = {
    { "magnitude.layer", PRUNE_MAGNITUDE, { .sparsity = 0.5 } },
    { "magnitude.row",
      PRUNE_MAGNITUDE,
      { .sparsity = 0.5, .scope = PRUNE_ROW } },
    { "magnitude.global",
      PRUNE_MAGNITUDE,
      { .sparsity = 0.5, .scope = PRUNE_GLOBAL } },
    { "magnitude.2_4", PRUNE_MAGNITUDE, { .sparsity = 0.5, .go = 2, .of = 4 } },
    { "random", PRUNE_RANDOM, { .sparsity = 0.5 } },
    { "wanda.row", PRUNE_WANDA, { .sparsity = 0.5, .scope = PRUNE_ROW } },
};

static void stop_on(struct status s)
{
    if (!status_failed(&s))
        return;
    (void)fprintf(stderr, "%s\n", s.message);
    exit(1);
}

static struct status prune_one(void *self, size_t hand, size_t tensor)
{
    (void)hand;
    return prune_tensor(self, tensor);
}

/* Seconds of a pass, the median. */
static double time_way(const struct way *w, struct model *m, size_t points,
                       size_t threads)
{
    struct prune_config configs[POINTS];
    double seconds[RUNS];

    for (size_t i = 0; i < points; i++) {
        configs[i] = (struct prune_config){ .method = w->method,
                                            .how = w->how,
                                            .seed = 1 };
        if (points > 1)
            configs[i].how.sparsity = ((double)i + 0.5) / (double)points;
    }
    for (size_t run = 0; run < RUNS; run++) {
        struct prune_pass pass = { .set = &m->set,
                                   .targets = m->targets,
                                   .points = configs,
                                   .count = points,
                                   .norms = m->norms,
                                   .threads = threads,
                                   .self = m,
                                   .put = put,
                                   .cancelled = never };
        int64_t begin = clock_now();

        for (size_t i = 0; i < TENSORS; i++)
            for (size_t p = 0; p < points; p++)
                memset(m->bits[p][i], 0, EACH / 8);
        stop_on(prune_begin(&pass));
        stop_on(parallel_run(threads, TENSORS, prune_one, &pass));
        prune_end(&pass);
        seconds[run] = seconds_since(begin);
    }
    return bench_quantile(seconds, RUNS, 0.5);
}

static double gigabytes(enum dtype dtype, double seconds)
{
    return (double)TENSORS * EACH * (double)dtype_size(dtype) / seconds / 1e9;
}

static void bench_ways(const char *only)
{
    struct model *whole = model_new(DTYPE_F32), *half = model_new(DTYPE_BF16);
    double bus = triad_bytes_per_second(TRIAD_FLOATS, 1) / 1e9;

    for (size_t i = 0; i < COUNT_OF(ways); i++) {
        const struct way *w = &ways[i];
        double one, two, brief, many;
        char name[64];

        if (only != NULL && strcmp(only, w->name) != 0)
            continue;
        one = time_way(w, whole, 1, 1);
        two = time_way(w, whole, 1, 2);
        brief = time_way(w, half, 1, 1);
        (void)snprintf(name, sizeof(name), "prune.%s", w->name);
        bench_print(name, gigabytes(DTYPE_F32, one), "GB/s",
                    2.0 * gigabytes(DTYPE_F32, one) / bus, "bus");
        (void)snprintf(name, sizeof(name), "prune.%s.threads2", w->name);
        bench_print(name, gigabytes(DTYPE_F32, two), "GB/s", one / two, "one");
        (void)snprintf(name, sizeof(name), "prune.%s.bf16", w->name);
        bench_print(name, gigabytes(DTYPE_BF16, brief), "GB/s", one / brief,
                    "float32");
        if (w->how.of > 0)
            continue;
        many = time_way(w, whole, POINTS, 1);
        (void)snprintf(name, sizeof(name), "prune.%s.points16", w->name);
        bench_print(name, gigabytes(DTYPE_F32, many), "GB/s", many / one,
                    "one");
    }
    model_free(whole);
    model_free(half);
}

/* ---- SparseGPT ------------------------------------------------------------------- */

static double sgemm_rate(void)
{
    enum { N = 1024 };
    float *x = xcalloc(3 * N * N, sizeof(*x));
    double seconds[RUNS];

    fill(x, 2 * N * N, 9);
    for (size_t run = 0; run < RUNS; run++) {
        int64_t begin = clock_now();

        blas_nn(N, N, N, x, x + N * N, 0.0F, x + 2 * N * N);
        seconds[run] = seconds_since(begin);
    }
    free(x);
    return 2.0 * N * N * N / bench_quantile(seconds, RUNS, 0.5);
}

struct matrix {
    float *x, *w, *work;
    uint8_t *keep;
};

/* The Hessian of the samples, its factor, and what goes: seconds of each. */
static void time_sparsegpt(const struct matrix *m, const struct prune_how *how,
                           uint64_t threads, double seconds[3])
{
    const struct prune_weights weights = { OUTPUTS, m->work, m->keep, threads };
    struct prune_hessian h;
    struct prune_factor f;
    double loss;
    int64_t begin = clock_now();

    stop_on(prune_hessian_init(&h, INPUTS));
    prune_hessian_add(&h, m->x, SAMPLES, 1);
    seconds[0] = seconds_since(begin);
    begin = clock_now();
    prune_factor_init(&f, &h, 0.01);
    seconds[1] = seconds_since(begin);
    memcpy(m->work, m->w, EACH * sizeof(float));
    memset(m->keep, 1, EACH);
    begin = clock_now();
    stop_on(prune_sparsegpt(&f, how, BLOCK, &weights, &loss));
    seconds[2] = seconds_since(begin);
    prune_factor_release(&f);
}

static void bench_sparsegpt(const char *only)
{
    static const struct {
        const char *name;
        struct prune_how how;
    } rows[] = {
        { "sparsegpt", { .sparsity = 0.5 } },
        { "sparsegpt.2_4", { .sparsity = 0.5, .go = 2, .of = 4 } },
    };
    const double updates = (double)OUTPUTS * INPUTS * INPUTS;
    struct matrix m = { .x = xcalloc((size_t)SAMPLES * INPUTS, sizeof(float)),
                        .w = xcalloc(EACH, sizeof(float)),
                        .work = xcalloc(EACH, sizeof(float)),
                        .keep = xcalloc(EACH, 1) };
    double rate = sgemm_rate();

    fill(m.x, (size_t)SAMPLES * INPUTS, 3);
    fill(m.w, EACH, 1);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        double seconds[3][RUNS], two[RUNS], median, pair;
        char name[64];

        if (only != NULL && strcmp(only, rows[i].name) != 0)
            continue;
        for (size_t run = 0; run < RUNS; run++) {
            double one[3];

            time_sparsegpt(&m, &rows[i].how, 2, one);
            two[run] = one[2];
            time_sparsegpt(&m, &rows[i].how, 1, one);
            for (size_t k = 0; k < 3; k++)
                seconds[k][run] = one[k];
        }
        median = bench_quantile(seconds[2], RUNS, 0.5);
        pair = bench_quantile(two, RUNS, 0.5);
        (void)snprintf(name, sizeof(name), "prune.%s", rows[i].name);
        bench_print(name, (double)EACH * sizeof(float) / median / 1e9, "GB/s",
                    updates / median / rate, "sgemm");
        (void)snprintf(name, sizeof(name), "prune.%s.threads2", rows[i].name);
        bench_print(name, (double)EACH * sizeof(float) / pair / 1e9, "GB/s",
                    median / pair, "one");
        if (i > 0)
            continue;
        median = bench_quantile(seconds[0], RUNS, 0.5);
        bench_print("prune.hessian",
                    (double)SAMPLES * INPUTS * sizeof(float) / median / 1e9,
                    "GB/s", (double)SAMPLES * INPUTS * INPUTS / median / rate,
                    "sgemm");
        median = bench_quantile(seconds[1], RUNS, 0.5);
        bench_print(
            "prune.factor",
            (double)INPUTS * INPUTS * sizeof(float) / median / 1e9, "GB/s",
            4.0 / 3.0 * INPUTS * INPUTS * INPUTS / median / rate, "sgemm");
    }
    free(m.x);
    free(m.w);
    free(m.work);
    free(m.keep);
}

int main(int argc, char **argv)
{
    const char *only = argc > 1 ? argv[1] : NULL;

    if (only == NULL || strncmp(only, "sparsegpt", 9) != 0)
        bench_ways(only);
    if (only == NULL || strncmp(only, "sparsegpt", 9) == 0)
        bench_sparsegpt(only);
    return 0;
}
