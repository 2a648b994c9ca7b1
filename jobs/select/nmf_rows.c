#include <string.h>

#include "jobs/select/nmf_parts.h"
#include "tensor/isa.h"

/* Columns are taken in groups of some vectors; lane l of the sums has columns
 * l, l + 8, l + 16 ..., whatever vectors the machine has. */
enum {
    LANES = 8,
    VECTORS = 4,
    GROUP = LANES * VECTORS,
    CACHED = 24 << 10, /* bytes of both factors at hand at a time */
};
typedef double lanes __attribute__((vector_size(LANES * sizeof(double))));
typedef int64_t bits __attribute__((vector_size(LANES * sizeof(int64_t))));

size_t nmf_padded(size_t n)
{
    return (n + GROUP - 1) / GROUP * GROUP;
}

void nmf_transpose(const double *rows, size_t n, size_t k, double *columns)
{
    size_t padded = nmf_padded(n);

    for (size_t j = 0; j < k; j++) {
        for (size_t i = 0; i < n; i++)
            columns[j * padded + i] = rows[i * k + j];
        for (size_t i = n; i < padded; i++)
            columns[j * padded + i] = 0.0;
    }
}

/* sums[l] += sum |z Z^T| X_l over some groups of columns. */
static inline __attribute__((always_inline)) void add_columns(
    const struct nmf_rows *r, const double *z, size_t first, size_t end,
    lanes *sums)
{
    const bits magnitude = (bits){ 0 } + INT64_MAX;

    for (size_t at = first; at < end; at += GROUP) {
        lanes s[VECTORS] = { { 0.0 } }, x;

        for (size_t j = 0; j < r->rank; j++)
            for (size_t v = 0; v < VECTORS; v++) {
                memcpy(&x, r->factor + j * r->padded + at + v * LANES,
                       sizeof(x));
                s[v] += z[j] * x;
            }
        for (size_t v = 0; v < VECTORS; v++)
            s[v] = (lanes)((bits)s[v] & magnitude);
        for (size_t l = 0; l < r->k; l++) {
            lanes sum = sums[l];

            for (size_t v = 0; v < VECTORS; v++) {
                memcpy(&x, r->other + l * r->padded + at + v * LANES,
                       sizeof(x));
                sum += s[v] * x;
            }
            sums[l] = sum;
        }
    }
}

static double add_lanes(const lanes *x)
{
    double sums[LANES];

    memcpy(sums, x, sizeof(sums));
    for (size_t half = LANES / 2; half > 0; half /= 2)
        for (size_t l = 0; l < half; l++)
            sums[l] += sums[l + half];
    return sums[0];
}

size_t nmf_rows_scratch(size_t rows, size_t k)
{
    return rows * k * LANES;
}

ISA_CLONES
void nmf_multiply(const struct nmf_rows *r, const double *z, size_t rows,
                  void *scratch, double *product)
{
    lanes *sums = scratch;
    size_t width = CACHED / sizeof(double) / (r->rank + r->k) / GROUP * GROUP;

    width = width < GROUP ? GROUP : width;
    memset(sums, 0, rows * r->k * sizeof(*sums));
    for (size_t at = 0; at < r->padded; at += width) {
        size_t end = r->padded - at < width ? r->padded : at + width;

        for (size_t i = 0; i < rows; i++)
            add_columns(r, z + i * r->rank, at, end, sums + i * r->k);
    }
    for (size_t i = 0; i < rows * r->k; i++)
        product[i] = add_lanes(&sums[i]);
}
