#include "jobs/prune_inputs.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "tensor/blas.h"
#include "tensor/isa.h"

void prune_norms_init(struct prune_norms *n, size_t inputs)
{
    *n = (struct prune_norms){
        .inputs = inputs,
        .squares = xcalloc(inputs + 1, sizeof(double)),
        .sums = xcalloc(inputs + 1, sizeof(double)),
    };
}

void prune_norms_release(struct prune_norms *n)
{
    free(n->squares);
    free(n->sums);
}

ISA_CLONES
static void add_squares(double *sums, const float *x, size_t count)
{
    for (size_t i = 0; i < count; i++)
        sums[i] += (double)x[i] * (double)x[i];
}

void prune_norms_add(struct prune_norms *n, const float *x, size_t rows,
                     size_t samples)
{
    double before = (double)n->samples;
    double after = before + (double)samples;

    memset(n->sums, 0, n->inputs * sizeof(double));
    for (size_t r = 0; r < rows; r++)
        add_squares(n->sums, x + r * n->inputs, n->inputs);
    for (size_t i = 0; i < n->inputs; i++)
        n->squares[i] = n->squares[i] * (before / after) + n->sums[i] / after;
    n->samples += samples;
}

void prune_norms_roots(const struct prune_norms *n, float *ret_norms)
{
    for (size_t i = 0; i < n->inputs; i++)
        ret_norms[i] = (float)sqrt(n->squares[i]);
}

/* One factor for each, or one for all. */
ISA_CLONES
static void score_each(const float *w, const float *norms, size_t count,
                       float *scores)
{
    for (size_t i = 0; i < count; i++)
        scores[i] = fabsf(w[i]) * norms[i];
}

ISA_CLONES
static void score_all(const float *w, float norm, size_t count, float *scores)
{
    for (size_t i = 0; i < count; i++)
        scores[i] = fabsf(w[i]) * norm;
}

void prune_norms_score(const struct prune_matrix *m, const float *norms,
                       const float *w, uint64_t first, size_t count,
                       float *ret_scores)
{
    size_t width = m->turned ? m->outputs : m->inputs;

    for (size_t i = 0; i < count;) {
        size_t at = (size_t)((first + i) % width);
        size_t row = (size_t)((first + i) / width);
        size_t size = width - at < count - i ? width - at : count - i;

        if (m->turned)
            score_all(w + i, norms[row], size, ret_scores + i);
        else
            score_each(w + i, norms + at, size, ret_scores + i);
        i += size;
    }
}

struct status prune_hessian_init(struct prune_hessian *h, size_t inputs)
{
    *h = (struct prune_hessian){
        .inputs = inputs,
        .h = xcalloc_large(inputs * inputs, sizeof(float)),
    };
    if (h->h == NULL)
        return FAIL(STATUS_NO_MEMORY, "no memory for a Hessian of %zu inputs",
                    inputs);
    return SUCCESS;
}

void prune_hessian_release(struct prune_hessian *h)
{
    free(h->h);
}

void prune_hessian_add(struct prune_hessian *h, const float *x, size_t rows,
                       size_t samples)
{
    double before = (double)h->samples;
    double after = before + (double)samples;

    blas_gram(rows, h->inputs, (float)(2.0 / after), x, (float)(before / after),
              h->h);
    h->samples += samples;
}
