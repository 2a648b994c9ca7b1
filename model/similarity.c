#include "model/similarity.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* All in float64: sums of squares of squares lose much. */
struct columns {
    size_t rows, width;
    double *x; /* [rows][width], each column with mean 0 */
};

static struct columns center(const float *from, size_t rows, size_t width)
{
    struct columns c = { rows, width, calloc(rows * width, sizeof(*c.x)) };

    for (size_t k = 0; c.x != NULL && k < width; k++) {
        double mean = 0.0;

        for (size_t i = 0; i < rows; i++)
            mean += (double)from[i * width + k];
        mean /= (double)rows;
        for (size_t i = 0; i < rows; i++)
            c.x[i * width + k] = (double)from[i * width + k] - mean;
    }
    return c;
}

/* |X' Y|^2 */
static double by_columns(const struct columns *x, const struct columns *y,
                         double *product)
{
    double sum = 0.0;

    memset(product, 0, x->width * y->width * sizeof(*product));
    for (size_t i = 0; i < x->rows; i++)
        for (size_t a = 0; a < x->width; a++) {
            double value = x->x[i * x->width + a];
            double *row = product + a * y->width;

            for (size_t b = 0; b < y->width; b++)
                row[b] += value * y->x[i * y->width + b];
        }
    for (size_t i = 0; i < x->width * y->width; i++)
        sum += product[i] * product[i];
    return sum;
}

static double row_product(const struct columns *c, size_t i, size_t k)
{
    double sum = 0.0;

    for (size_t a = 0; a < c->width; a++)
        sum += c->x[i * c->width + a] * c->x[k * c->width + a];
    return sum;
}

/* <X X', Y Y'> */
static double by_rows(const struct columns *x, const struct columns *y)
{
    double sum = 0.0;

    for (size_t i = 0; i < x->rows; i++)
        for (size_t k = 0; k < x->rows; k++)
            sum += row_product(x, i, k) * row_product(y, i, k);
    return sum;
}

/* The unbiased estimate, with the diagonals left out of both kernels. Columns
 * have mean 0, so what is left of a row of X X' sums to minus its diagonal. */
static double unbiased(const struct columns *x, const struct columns *y,
                       double *product)
{
    double n = (double)x->rows, both, x_all = 0.0, y_all = 0.0, shared = 0.0;

    both = by_columns(x, y, product);
    for (size_t i = 0; i < x->rows; i++) {
        double p = row_product(x, i, i), q = row_product(y, i, i);

        shared += p * q;
        x_all += p;
        y_all += q;
    }
    return (both - shared + x_all * y_all / ((n - 1.0) * (n - 2.0)) -
            2.0 * shared / (n - 2.0)) /
           (n * (n - 3.0));
}

static double alignment(const struct columns *x, const struct columns *y,
                        enum cka_form form, double *product)
{
    switch (form) {
    case CKA_FEATURE:
        return by_columns(x, y, product);
    case CKA_GRAM:
        return by_rows(x, y);
    case CKA_DEBIASED:
        break;
    }
    return unbiased(x, y, product);
}

static size_t widest(const struct cka_pair *pair)
{
    return pair->x_width > pair->y_width ? pair->x_width : pair->y_width;
}

size_t cka_bytes(const struct cka_pair *pair, enum cka_form form)
{
    size_t columns = pair->rows * (pair->x_width + pair->y_width);
    size_t product = form == CKA_GRAM ? 0 : widest(pair) * widest(pair);

    return (columns + product) * sizeof(double);
}

/* What is left of rounding where nothing varies: columns are centred to
 * within an ulp of their size. */
static bool varies(double own, const float *from, size_t count)
{
    double squares = 0.0;

    for (size_t i = 0; i < count; i++)
        squares += (double)from[i] * (double)from[i];
    return own > 1e-24 * squares * squares;
}

static struct status compare(const struct cka_pair *pair, enum cka_form form,
                             const struct columns *x, const struct columns *y,
                             double *product, double *ret_similarity)
{
    double own_x = alignment(x, x, form, product);
    double own_y = alignment(y, y, form, product);

    if (!varies(own_x, pair->x, pair->rows * pair->x_width) ||
        !varies(own_y, pair->y, pair->rows * pair->y_width))
        return FAIL(STATUS_FAILED,
                    "outputs of the %s model do not vary: similarity is not "
                    "defined",
                    varies(own_x, pair->x, pair->rows * pair->x_width)
                        ? "second"
                        : "first");
    *ret_similarity =
        alignment(x, y, form, product) / (sqrt(own_x) * sqrt(own_y));
    if (!isfinite(*ret_similarity))
        return FAIL(STATUS_FAILED, "outputs are not finite");
    return SUCCESS;
}

struct status cka(const struct cka_pair *pair, enum cka_form form,
                  double *ret_similarity)
{
    size_t least = form == CKA_DEBIASED ? 4 : 2;
    struct columns x, y;
    double *product;
    struct status st;

    if (pair->rows < least)
        return FAIL(STATUS_FAILED,
                    "similarity of %zu outputs is not defined; give at least "
                    "%zu",
                    pair->rows, least);
    x = center(pair->x, pair->rows, pair->x_width);
    y = center(pair->y, pair->rows, pair->y_width);
    product = calloc(form == CKA_GRAM ? 1 : widest(pair) * widest(pair),
                     sizeof(*product));
    st = x.x == NULL || y.x == NULL || product == NULL
             ? FAIL(STATUS_NO_MEMORY, "no memory to compare outputs: %zu bytes",
                    cka_bytes(pair, form))
             : compare(pair, form, &x, &y, product, ret_similarity);
    free(x.x);
    free(y.x);
    free(product);
    return st;
}

double connectivity(const double *values, size_t count, size_t *ret_at)
{
    double middle = (values[0] + values[count - 1]) / 2.0;
    size_t at = 0;

    for (size_t i = 1; i < count; i++)
        if (fabs(middle - values[i]) > fabs(middle - values[at]))
            at = i;
    *ret_at = at;
    return middle - values[at];
}
