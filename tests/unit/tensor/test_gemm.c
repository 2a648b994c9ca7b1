#include "tensor/gemm.h"

#include <math.h>
#include <string.h>

#include "common/macros.h"
#include "common/memory.h"
#include "support/reference.h"
#include "support/test.h"

enum { PAD = 5 }; /* floats between rows */

/* A product with room around everything, and what it must give. */
struct trial {
    struct blas_product p;
    float *a, *b, *bias, *sum, *before, *c;
    double *expected;
    size_t stride;
};

static float *filled(size_t count, uint32_t seed)
{
    float *x = xcalloc(count + 1, sizeof(*x));

    reference_fill(x, count, seed);
    return x;
}

static double element(const struct blas_operand *x, size_t i, size_t j)
{
    return (double)(x->transposed ? x->data[j * x->stride + i]
                                  : x->data[i * x->stride + j]);
}

static void expect(struct trial *t)
{
    const struct blas_product *p = &t->p;

    for (size_t i = 0; i < p->m; i++)
        for (size_t j = 0; j < p->n; j++) {
            double sum = 0.0;

            for (size_t k = 0; k < p->k; k++)
                sum += element(&p->a, i, k) * element(&p->b, k, j);
            sum *= (double)p->alpha;
            if (p->beta != 0.0F)
                sum += (double)p->beta * (double)t->before[i * t->stride + j];
            if (p->bias != NULL)
                sum += (double)p->bias[j];
            if (p->sum.data != NULL)
                sum += element(&p->sum, i, j);
            t->expected[i * p->n + j] = sum;
        }
}

/* `form`: bits 0 and 1 turn a and b; 2: a beta; 3: a bias and a sum. With
 * beta 0, C is full of NaN. */
static void trial_init(struct trial *t, const size_t size[3], unsigned form)
{
    size_t m = size[0], n = size[1], k = size[2];
    struct blas_operand a = { NULL, PAD + k, false };
    struct blas_operand b = { NULL, PAD + n, false };

    if ((form & 1U) != 0)
        a = (struct blas_operand){ NULL, PAD + m, true };
    if ((form & 2U) != 0)
        b = (struct blas_operand){ NULL, PAD + k, true };
    t->stride = n + PAD;
    a.data = t->a = filled((a.transposed ? k : m) * a.stride, 1);
    b.data = t->b = filled((b.transposed ? n : k) * b.stride, 2);
    t->bias = filled(n, 3);
    t->sum = filled(m * t->stride, 4);
    t->before = filled(m * t->stride, 5);
    t->c = filled(m * t->stride, 5);
    t->expected = xcalloc(m * n + 1, sizeof(*t->expected));
    t->p = (struct blas_product){
        .m = m, .n = n, .k = k, .alpha = 1.0F, .a = a, .b = b
    };
    if ((form & 4U) != 0) {
        t->p.alpha = -0.5F;
        t->p.beta = 0.25F;
    } else if ((form & 8U) != 0) {
        t->p.bias = t->bias;
        t->p.sum = (struct blas_operand){ t->sum, t->stride, false };
    }
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; t->p.beta == 0.0F && j < n; j++)
            t->c[i * t->stride + j] = NAN;
    expect(t);
}

static void trial_release(struct trial *t)
{
    free(t->a);
    free(t->b);
    free(t->bias);
    free(t->sum);
    free(t->before);
    free(t->c);
    free(t->expected);
}

static void check(const struct trial *t, const char *name, unsigned form)
{
    const struct blas_product *p = &t->p;
    double allowed = 1e-6 * (2.0 + sqrt((double)p->k));

    for (size_t i = 0; i < p->m; i++) {
        const float *row = t->c + i * t->stride;

        for (size_t j = 0; j < p->n; j++)
            if (!(fabs((double)row[j] - t->expected[i * p->n + j]) < allowed))
                fail_msg("%s, form %u, %zu x %zu x %zu: c[%zu][%zu] is %.9g, "
                         "not %.9g",
                         name, form, p->m, p->n, p->k, i, j, (double)row[j],
                         t->expected[i * p->n + j]);
        assert_memory_equal(row + p->n, t->before + i * t->stride + p->n,
                            PAD * sizeof(*row));
    }
}

/* Around the edges of tiles, squares, vectors, panels, depths and blocks; a
 * stride of 1024 - PAD + PAD, whose rows share the sets of a cache. */
static const size_t sizes[][3] = {
    { 1, 1, 1 },    { 1, 1, 0 },     { 0, 3, 4 },       { 3, 0, 4 },
    { 2, 2, 3 },    { 3, 5, 2 },     { 7, 15, 8 },      { 8, 16, 9 },
    { 9, 17, 7 },   { 5, 8, 15 },    { 6, 31, 16 },     { 11, 32, 17 },
    { 13, 33, 33 }, { 16, 47, 1 },   { 4, 48, 65 },     { 12, 63, 64 },
    { 17, 64, 31 }, { 25, 65, 127 }, { 10, 40, 255 },   { 9, 34, 256 },
    { 14, 7, 257 }, { 3, 9, 513 },   { 21, 3, 1019 },   { 600, 2, 256 },
    { 5, 1, 40 },   { 1, 50, 40 },   { 1200, 20, 130 }, { 300, 40, 270 }
};

static void test_all_forms_of_all_sizes_agree_with_the_formula(void **state)
{
    (void)state;
    for (const struct gemm_set *const *set = gemm_sets; *set != NULL; set++)
        for (size_t i = 0; (*set)->usable() && i < COUNT_OF(sizes); i++)
            for (unsigned form = 0; form < 12; form++) {
                struct trial t;

                trial_init(&t, sizes[i], form);
                gemm_multiply(*set, &t.p, t.c, t.stride);
                check(&t, (*set)->name, form);
                trial_release(&t);
            }
}

/* Every instruction set, and every part of the rows and columns. */
static void test_the_bits_are_the_same_however_a_product_is_cut(void **state)
{
    static const size_t size[3] = { 270, 75, 300 };
    const struct gemm_set *best = gemm_best();

    (void)state;
    for (unsigned form = 0; best != NULL && form < 4; form++) {
        struct trial t, part;

        trial_init(&t, size, form);
        trial_init(&part, size, form);
        gemm_multiply(best, &t.p, t.c, t.stride);
        for (const struct gemm_set *const *set = gemm_sets; *set != NULL;
             set++) {
            if (!(*set)->usable())
                continue;
            gemm_multiply(*set, &part.p, part.c, part.stride);
            assert_memory_equal(part.c, t.c, size[0] * t.stride * sizeof(*t.c));
        }
        part.p.m = 11;
        part.p.n = 41;
        gemm_multiply(best, &part.p, part.c, part.stride);
        assert_memory_equal(part.c, t.c, size[0] * t.stride * sizeof(*t.c));
        trial_release(&t);
        trial_release(&part);
    }
}

/* Both ways of blas.h give bias and sum. */
static void test_vectors_get_what_is_added_too(void **state)
{
    static const size_t shapes[][3] = { { 1, 9, 12 }, { 9, 1, 12 } };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(shapes); i++) {
        struct trial t;

        trial_init(&t, shapes[i], 8);
        blas_multiply(&t.p, t.c, t.stride);
        check(&t, "blas", 8);
        trial_release(&t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_forms_of_all_sizes_agree_with_the_formula),
        cmocka_unit_test(test_the_bits_are_the_same_however_a_product_is_cut),
        cmocka_unit_test(test_vectors_get_what_is_added_too),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
