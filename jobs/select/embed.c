#include "jobs/select/embed.h"

#include <math.h>
#include <string.h>

#include "common/memory.h"

const char select_embed_version[] = "1";

/* Of the square of a row's length: less than that is rounding. */
static const double rounding = 1e-12;

bool select_embed_is_zero(const float *row, size_t width)
{
    for (size_t i = 0; i < width; i++)
        if (row[i] != 0.0F)
            return false;
    return true;
}

void select_pool(const float *hidden, size_t rows, size_t width, float *ret_row)
{
    for (size_t i = 0; i < width; i++) {
        double sum = 0.0;

        for (size_t t = 0; t < rows; t++)
            sum += (double)hidden[t * width + i];
        ret_row[i] = rows == 0 ? 0.0F : (float)(sum / (double)rows);
    }
}

/* What a model makes of a sample may be no number. */
static void clear_if_broken(float *row, size_t width)
{
    bool finite = true;

    for (size_t i = 0; i < width; i++)
        finite = finite && isfinite(row[i]);
    if (!finite)
        memset(row, 0, width * sizeof(*row));
}

/* [width]; the caller frees. */
static double *mean_of(const float *rows, size_t count, size_t width)
{
    double *mean = xcalloc(width, sizeof(*mean));
    size_t there = 0;

    for (size_t r = 0; r < count; r++) {
        const float *row = rows + r * width;

        there += !select_embed_is_zero(row, width);
        for (size_t i = 0; i < width; i++)
            mean[i] += (double)row[i];
    }
    for (size_t i = 0; i < width && there > 0; i++)
        mean[i] /= (double)there;
    return mean;
}

void select_unit(float *row, size_t width, const double *mean)
{
    double squares = 0.0, before = 0.0, by;

    for (size_t i = 0; i < width; i++) {
        double x = (double)row[i] - (mean == NULL ? 0.0 : mean[i]);

        before += (double)row[i] * (double)row[i];
        squares += x * x;
    }
    by = squares > rounding * before ? 1.0 / sqrt(squares) : 0.0;
    for (size_t i = 0; i < width; i++)
        row[i] =
            (float)(((double)row[i] - (mean == NULL ? 0.0 : mean[i])) * by);
}

void select_centre(float *rows, size_t count, size_t width)
{
    AUTO(free_pointer) double *mean = NULL;

    for (size_t r = 0; r < count; r++)
        clear_if_broken(rows + r * width, width);
    mean = mean_of(rows, count, width);
    for (size_t r = 0; r < count; r++)
        if (!select_embed_is_zero(rows + r * width, width))
            select_unit(rows + r * width, width, mean);
}
