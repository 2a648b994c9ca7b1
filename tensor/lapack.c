#include "tensor/lapack.h"

#include <assert.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include <arpack.h>
#include <cblas.h>

#include "common/memory.h"
#include "tensor/one_thread.h"

/* LAPACK lies in the library of BLAS and has no header of its own there. A
 * lower triangle by columns is an upper one by rows, and the other way round.
 * NOLINTBEGIN: its names end so */
extern void spotrf_(const char *triangle, const blasint *n, float *a,
                    const blasint *stride, blasint *ret_info,
                    size_t triangle_size);
extern void spotri_(const char *triangle, const blasint *n, float *a,
                    const blasint *stride, blasint *ret_info,
                    size_t triangle_size);
extern void dsyevr_(const char *vectors, const char *range,
                    const char *triangle, const blasint *n, double *a,
                    const blasint *stride, const double *above,
                    const double *below, const blasint *first,
                    const blasint *last, const double *tolerance,
                    blasint *ret_found, double *ret_values, double *ret_vectors,
                    const blasint *vectors_stride, blasint *ret_support,
                    double *work, const blasint *work_size, blasint *whole,
                    const blasint *whole_size, blasint *ret_info,
                    size_t vectors_size, size_t range_size,
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

bool lapack_inverse_factor(size_t n, float *h)
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

void lapack_multiply(const struct lapack_product *p, double *c, size_t stride)
{
    if (p->m == 0 || p->n == 0)
        return;
    cblas_dgemm(CblasRowMajor, p->a_transposed ? CblasTrans : CblasNoTrans,
                p->b_transposed ? CblasTrans : CblasNoTrans, size_of(p->m),
                size_of(p->n), size_of(p->k), 1.0, p->a, stride_of(p->a_stride),
                p->b, stride_of(p->b_stride), p->beta, c, stride_of(stride));
}

void lapack_gram(size_t n, size_t width, const double *x, double *c)
{
    if (n == 0)
        return;
    cblas_dsyrk(CblasRowMajor, CblasLower, CblasNoTrans, size_of(n),
                size_of(width), 1.0, x, stride_of(width), 0.0, c, stride_of(n));
}

/* --- all of a matrix --------------------------------------------------------
 */

struct eigen {
    blasint n, first, last, count;
    double *values;   /* [n] */
    double *columns;  /* [count][n] */
    blasint *support; /* [2 n] */
    double *work;
    blasint *whole;
};

static void eigen_release(struct eigen *e)
{
    free(e->values);
    free(e->columns);
    free(e->support);
    free(e->work);
    free(e->whole);
}

/* Asks for the sizes of work memory if they are -1. */
static blasint eigen_call(struct eigen *e, double *a, blasint work_size,
                          blasint whole_size, double *work, blasint *whole)
{
    const double none = 0.0;
    blasint info = 0;

    /* The upper triangle by columns. */
    dsyevr_("V", "I", "U", &e->n, a, &e->n, &none, &none, &e->first, &e->last,
            &none, &e->count, e->values, e->columns, &e->n, e->support, work,
            &work_size, whole, &whole_size, &info, 1, 1, 1);
    return info;
}

enum { WORK_ROWS = 66, WHOLE_ROWS = 10 }; /* blocks of 64, and what it asks */

size_t lapack_eigen_memory(size_t n, size_t count)
{
    return n * sizeof(double) * (1 + count + WORK_ROWS) +
           n * sizeof(blasint) * (2 + WHOLE_ROWS);
}

MUST_CHECK static struct status eigen_solve(struct eigen *e, double *a)
{
    size_t n = (size_t)e->n;
    blasint info;

    e->values = calloc(n, sizeof(*e->values));
    e->columns = calloc(n * (size_t)e->count, sizeof(*e->columns));
    e->support = calloc(2 * n, sizeof(*e->support));
    e->work = calloc(WORK_ROWS * n, sizeof(*e->work));
    e->whole = calloc(WHOLE_ROWS * n, sizeof(*e->whole));
    if (e->values == NULL || e->columns == NULL || e->support == NULL ||
        e->work == NULL || e->whole == NULL)
        return FAIL(STATUS_NO_MEMORY, "no memory for %d eigenpairs of %zu rows",
                    e->count, n);
    info = eigen_call(e, a, size_of(WORK_ROWS * n), size_of(WHOLE_ROWS * n),
                      e->work, e->whole);
    if (info != 0)
        return FAIL(STATUS_FAILED,
                    "LAPACK finds no eigenpairs of a matrix of %zu rows (%d)",
                    n, info);
    return SUCCESS;
}

/* Columns [count][n] as rows [n][count]. */
static void take_rows(const double *columns, size_t n, size_t count,
                      double *rows)
{
    for (size_t k = 0; k < count; k++)
        for (size_t i = 0; i < n; i++)
            rows[i * count + k] = columns[k * n + i];
}

struct status lapack_eigen(size_t n, double *a, size_t first, size_t count,
                           double *ret_values, double *ret_vectors)
{
    struct eigen e = { .n = size_of(n),
                       .first = size_of(first + 1),
                       .last = size_of(first + count),
                       .count = size_of(count) };
    struct status st;

    assert(first + count <= n);
    if (count == 0)
        return SUCCESS;
    st = eigen_solve(&e, a);
    if (!status_failed(&st)) {
        memcpy(ret_values, e.values, count * sizeof(*ret_values));
        take_rows(e.columns, n, count, ret_vectors);
    }
    eigen_release(&e);
    return st;
}

/* --- the ends of an operator ------------------------------------------------
 */

struct lanczos {
    const struct lapack_operator *o;
    a_int n, count, width; /* of the basis: 2 count + 1 */
    double *residual;      /* [n] */
    double *basis;         /* [width][n] */
    double *vectors;       /* [3][n] */
    double *work;
    a_int work_size;
    a_int *chosen; /* [width] */
    double *values;
    a_int settings[11], places[14];
};

static void lanczos_release(struct lanczos *z)
{
    free(z->residual);
    free(z->basis);
    free(z->vectors);
    free(z->work);
    free(z->chosen);
    free(z->values);
}

size_t lapack_largest_memory(size_t n, size_t count)
{
    size_t width = 2 * count + 1;

    return sizeof(double) * (n * (width + 4) + width * (width + 8) + count) +
           sizeof(a_int) * width;
}

MUST_CHECK static struct status lanczos_init(struct lanczos *z, size_t n,
                                             size_t count)
{
    size_t width = 2 * count + 1;

    z->n = (a_int)size_of(n);
    z->count = (a_int)count;
    z->width = (a_int)width;
    z->work_size = (a_int)(width * (width + 8));
    z->residual = calloc(n, sizeof(double));
    z->basis = calloc(n * width, sizeof(double));
    z->vectors = calloc(3 * n, sizeof(double));
    z->work = calloc(width * (width + 8), sizeof(double));
    z->chosen = calloc(width, sizeof(a_int));
    z->values = calloc(count, sizeof(double));
    if (z->residual == NULL || z->basis == NULL || z->vectors == NULL ||
        z->work == NULL || z->chosen == NULL || z->values == NULL)
        return FAIL(STATUS_NO_MEMORY,
                    "no memory for %zu Lanczos vectors of %zu elements", width,
                    n);
    memcpy(z->residual, z->o->start, n * sizeof(double));
    z->settings[0] = 1; /* exact shifts */
    z->settings[2] = z->o->iterations;
    z->settings[6] = 1; /* A x = lambda x */
    return SUCCESS;
}

/* ARPACK asks for products until it has what it wants. */
MUST_CHECK static struct status lanczos_iterate(struct lanczos *z)
{
    a_int state = 0, info = 1; /* the first vector is given */

    for (;;) {
        dsaupd_c(&state, "I", z->n, "LA", z->count, z->o->tolerance,
                 z->residual, z->width, z->basis, z->n, z->settings, z->places,
                 z->vectors, z->work, z->work_size, &info);
        if (state != 1 && state != -1)
            break;
        /* lapack_largest() frees what z holds. */
        /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
        if (!z->o->apply(z->o->self, z->vectors + z->places[0] - 1,
                         z->vectors + z->places[1] - 1))
            return FAIL(STATUS_CANCELLED, "interrupted");
    }
    if (info == 0)
        return SUCCESS;
    return FAIL(STATUS_FAILED,
                "ARPACK found %d of %d eigenpairs of %d rows after %d restarts "
                "(%d)",
                z->settings[4], z->count, z->n, z->settings[2], info);
}

MUST_CHECK static struct status lanczos_collect(struct lanczos *z)
{
    a_int info = 0;

    dseupd_c(1, "A", z->chosen, z->values, z->basis, z->n, 0.0, "I", z->n, "LA",
             z->count, z->o->tolerance, z->residual, z->width, z->basis, z->n,
             z->settings, z->places, z->vectors, z->work, z->work_size, &info);
    if (info != 0)
        return FAIL(STATUS_FAILED,
                    "ARPACK gives no eigenvectors of %d rows "
                    "(%d)",
                    z->n, info);
    return SUCCESS;
}

MUST_CHECK static struct status lanczos_run(struct lanczos *z, size_t count)
{
    TRY_PLAIN(lanczos_init(z, z->o->n, count));
    TRY_PLAIN(lanczos_iterate(z));
    return lanczos_collect(z);
}

struct status lapack_largest(const struct lapack_operator *o, size_t count,
                             double *ret_values, double *ret_vectors)
{
    struct lanczos z = { .o = o };
    struct status st;

    assert(count > 0 && 2 * count + 1 <= o->n);
    st = lanczos_run(&z, count);
    /* They come in ascending order. */
    for (size_t k = 0; k < count && !status_failed(&st); k++) {
        size_t from = count - 1 - k;

        ret_values[k] = z.values[from];
        for (size_t i = 0; i < o->n; i++)
            ret_vectors[i * count + k] = z.basis[from * o->n + i];
    }
    lanczos_release(&z);
    return st;
}
