#include "tensor/blas.h"

#include <assert.h>
#include <limits.h>
#include <stdint.h>

#include <cblas.h>

#include "common/macros.h"
#include "tensor/gemm.h"
#include "tensor/one_thread.h"

static blasint size_of(size_t size)
{
    assert(size <= INT_MAX);
    return (blasint)size;
}

/* cblas wants a stride of at least 1, also of empty rows. */
static blasint stride_of(size_t stride)
{
    return size_of(stride == 0 ? 1 : stride);
}

static CBLAS_TRANSPOSE order_of(const struct blas_operand *x)
{
    return x->transposed ? CblasTrans : CblasNoTrans;
}

/* Products that OpenBLAS does clearly faster, with the rate of ours as a share
 * of its. All others are ours: 0.94 to 1.16 for the shapes of a training, up to
 * 2.3 where one side is short; small cubes (0.76 to 0.91 for sides of 8 to 64)
 * are not worth a row. */
static const struct {
    size_t m[2], n[2], k[2]; /* least and most */
} theirs[] = {
    { { 1, 1 }, { 1, SIZE_MAX }, { 0, SIZE_MAX } }, /* 0.3: B is read once */
    { { 1, SIZE_MAX }, { 1, 7 }, { 0, SIZE_MAX } }, /* 0.1 to 0.8: a panel is
                                                       mostly padding */
    /* 0.9: copies of A pay */
    { { 2048, SIZE_MAX }, { 2048, SIZE_MAX }, { 2048, SIZE_MAX } },
};

static bool within(size_t size, const size_t range[2])
{
    return size >= range[0] && size <= range[1];
}

static bool is_ours(const struct blas_product *p)
{
    for (size_t i = 0; i < COUNT_OF(theirs); i++)
        if (within(p->m, theirs[i].m) && within(p->n, theirs[i].n) &&
            within(p->k, theirs[i].k))
            return false;
    return true;
}

/* What OpenBLAS finds in C: the bias and what is added. */
static float begin(const struct blas_product *p, float *c, size_t stride)
{
    if (p->bias == NULL && p->sum.data == NULL)
        return p->beta;
    for (size_t i = 0; i < p->m; i++)
        for (size_t j = 0; j < p->n; j++)
            c[i * stride + j] =
                (p->bias == NULL ? 0.0F : p->bias[j]) +
                (p->sum.data == NULL ? 0.0F
                                     : p->sum.data[i * p->sum.stride + j]);
    return 1.0F;
}

void blas_multiply(const struct blas_product *p, float *c, size_t stride)
{
    const struct gemm_set *set = gemm_best();
    float beta;

    assert(p->beta == 0.0F || (p->bias == NULL && p->sum.data == NULL));
    if (p->m == 0 || p->n == 0)
        return;
    if (set != NULL && is_ours(p)) {
        gemm_multiply(set, p, c, stride);
        return;
    }
    beta = begin(p, c, stride);
    cblas_sgemm(CblasRowMajor, order_of(&p->a), order_of(&p->b), size_of(p->m),
                size_of(p->n), size_of(p->k), p->alpha, p->a.data,
                stride_of(p->a.stride), p->b.data, stride_of(p->b.stride), beta,
                c, stride_of(stride));
}

static void multiply(size_t m, size_t n, size_t k, struct blas_operand a,
                     struct blas_operand b, float beta, float *c)
{
    const struct blas_product p = {
        .m = m, .n = n, .k = k, .alpha = 1.0F, .beta = beta, .a = a, .b = b
    };

    blas_multiply(&p, c, n);
}

void blas_nn(size_t m, size_t n, size_t k, const float *a, const float *b,
             float beta, float *c)
{
    multiply(m, n, k, (struct blas_operand){ .data = a, .stride = k },
             (struct blas_operand){ .data = b, .stride = n }, beta, c);
}

void blas_nt(size_t m, size_t n, size_t k, const float *a, const float *b,
             float beta, float *c)
{
    multiply(
        m, n, k, (struct blas_operand){ .data = a, .stride = k },
        (struct blas_operand){ .data = b, .stride = k, .transposed = true },
        beta, c);
}

void blas_tn(size_t m, size_t n, size_t k, const float *a, const float *b,
             float beta, float *c)
{
    multiply(
        m, n, k,
        (struct blas_operand){ .data = a, .stride = m, .transposed = true },
        (struct blas_operand){ .data = b, .stride = n }, beta, c);
}

void blas_gram(size_t rows, size_t n, float alpha, const float *x, float beta,
               float *c)
{
    if (n == 0)
        return;
    cblas_ssyrk(CblasRowMajor, CblasUpper, CblasTrans, size_of(n),
                size_of(rows), alpha, x, stride_of(n), beta, c, stride_of(n));
}
