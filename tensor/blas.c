#include "tensor/blas.h"

#include <assert.h>
#include <limits.h>

#include <cblas.h>

#include "tensor/gemm.h"

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

/* Vectors are not worth a panel. */
static bool is_ours(const struct blas_product *p)
{
    return p->m > 1 && p->n > 1;
}

void blas_multiply(const struct blas_product *p, float *c, size_t stride)
{
    const struct gemm_set *set = gemm_best();

    if (p->m == 0 || p->n == 0)
        return;
    if (set != NULL && is_ours(p)) {
        gemm_multiply(set, p, c, stride);
        return;
    }
    cblas_sgemm(CblasRowMajor, order_of(&p->a), order_of(&p->b), size_of(p->m),
                size_of(p->n), size_of(p->k), p->alpha, p->a.data,
                stride_of(p->a.stride), p->b.data, stride_of(p->b.stride),
                p->beta, c, stride_of(stride));
}

void blas_nn(size_t m, size_t n, size_t k, const float *a, const float *b,
             float beta, float *c)
{
    struct blas_product p = {
        .m = m,
        .n = n,
        .k = k,
        .alpha = 1.0F,
        .beta = beta,
        .a = { .data = a, .stride = k },
        .b = { .data = b, .stride = n },
    };

    blas_multiply(&p, c, n);
}

void blas_nt(size_t m, size_t n, size_t k, const float *a, const float *b,
             float beta, float *c)
{
    struct blas_product p = {
        .m = m,
        .n = n,
        .k = k,
        .alpha = 1.0F,
        .beta = beta,
        .a = { .data = a, .stride = k },
        .b = { .data = b, .stride = k, .transposed = true },
    };

    blas_multiply(&p, c, n);
}

void blas_tn(size_t m, size_t n, size_t k, const float *a, const float *b,
             float beta, float *c)
{
    struct blas_product p = {
        .m = m,
        .n = n,
        .k = k,
        .alpha = 1.0F,
        .beta = beta,
        .a = { .data = a, .stride = m, .transposed = true },
        .b = { .data = b, .stride = n },
    };

    blas_multiply(&p, c, n);
}

void blas_gram(size_t rows, size_t n, float alpha, const float *x, float beta,
               float *c)
{
    if (n == 0)
        return;
    cblas_ssyrk(CblasRowMajor, CblasUpper, CblasTrans, size_of(n),
                size_of(rows), alpha, x, stride_of(n), beta, c, stride_of(n));
}

void blas_set_threads(int count)
{
    openblas_set_num_threads(count);
}
