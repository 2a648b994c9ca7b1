/* picture.h -- the door to cairo: a table of numbers as a heat map.
 *
 * The colours (viridis) rise in brightness too, so that they are told apart
 * without colour vision and on paper; the numbers stand in the cells. */
#ifndef SINTER_CLI_PICTURE_H
#define SINTER_CLI_PICTURE_H

#include "common/status.h"

#include <stddef.h>

struct picture_map {
    const char *title;
    const char *legend; /* what the colours mean */
    const char *rows_are, *columns_are;
    size_t rows, columns;
    const char *const *row_labels;
    const char *const *column_labels;
    const double *values; /* row by row, 0 or more; NaN: there is nothing */
};

enum { PICTURE_ROWS = 2000, PICTURE_COLUMNS = 500 };

/* Writes an SVG file: whole or not at all. Equal maps give equal bytes in a
 * fresh process with the same fonts. TOO_BIG beyond the rows and columns. */
MUST_CHECK struct status picture_write_svg(const struct picture_map *map,
                                           const char *path);

#endif
