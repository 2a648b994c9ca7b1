#include "tensor/blas.h"

#include <assert.h>
#include <limits.h>

#include <cblas.h>

/* LAPACK lies in the same library; it has no header of its own there. A lower
 * triangle by columns is an upper one by rows. NOLINTBEGIN: its names end so */
extern void spotrf_(const char *triangle, const blasint *n, float *a,
                    const blasint *stride, blasint *ret_info,
                    size_t triangle_size);
extern void spotri_(const char *triangle, const blasint *n, float *a,
                    const blasint *stride, blasint *ret_info,
                    size_t triangle_size);
/* NOLINTEND */

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

void blas_multiply(const struct blas_product *p, float *c, size_t stride)
{
    if (p->m == 0 || p->n == 0)
        return;
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

bool blas_inverse_factor(size_t n, float *h)
{
    blasint size = size_of(n), stride = stride_of(n), info = 0;

    if (n == 0)
        return true;
    spotrf_("L", &size, h, &stride, &info, 1);
    if (info == 0)
        spotri_("L", &size, h, &stride, &info, 1);
    if (info == 0)
        spotrf_("L", &size, h, &stride, &info, 1);
    return info == 0;
}

void blas_set_threads(int count)
{
    openblas_set_num_threads(count);
}
